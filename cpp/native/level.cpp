// All kernels of cpp/, compiled for one level of the host's vector units: scripts/native.mjs has the flags of each, and LEVEL is
// its name. The sources are one within a namespace of their own, so that no level ever runs another's functions.
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <type_traits>

#include "library.h"
#include "wasm_simd128.h"

namespace LEVEL {

#define KERNEL static
#include "../dequantize.cpp"
#include "../elementwise.cpp"
#include "../kv_store.cpp"
#include "../norm.cpp"
#include "../pack.cpp"
#include "../products.cpp"
#include "../repack.cpp"
#include "../rope.cpp"
#include "../router.cpp"
// The last, for it has names of its own for what others have, too.
#include "../attention.cpp"

#include "entries.h"

}  // namespace LEVEL

#define JOIN(a, b) a##b
#define LEVEL_NAMED(name) JOIN(level_, name)
#define QUOTED(name) #name
#define NAME_OF(name) QUOTED(name)

extern "C" const Level LEVEL_NAMED(LEVEL) = {
    NAME_OF(LEVEL),
#define ENTRY(result, name, parameters, arguments) LEVEL::entries::name,
#include "entries.def"
};
