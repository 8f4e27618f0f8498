// The shared library's functions: each goes to the best level that the processor has, which is looked for when the library is
// loaded.
#include "library.h"

#include <string.h>

namespace {

#if defined(__x86_64__)
bool has_sse41() { return __builtin_cpu_supports("sse4.1"); }
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c") && __builtin_cpu_supports("fma"); }
bool has_avx512_vnni() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}
#endif

// The best first.
const struct {
  bool (*supported)();
  const Level* level;
} levels[] = {
#if defined(__x86_64__)
    {has_avx512_vnni, &level_avx512_vnni}, {has_avx2, &level_avx2}, {has_sse41, &level_sse41},
#else
    {+[] { return true; }, &level_neon},
#endif
};

const Level* chosen = [] () -> const Level* {
#if defined(__x86_64__)
  __builtin_cpu_init();
#endif
  for (const auto& each : levels) {
    if (each.supported()) return each.level;
  }
  return nullptr;
}();

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

// Which sources this was made from.
EXPORT uint32_t tramontane_sources() { return SOURCES; }
// Where a memory is: `at` as a number.
EXPORT uint64_t tramontane_address(const uint8_t* at) { return reinterpret_cast<uint64_t>(at); }

// The levels that run here, the best first: their number, and the name of one, which takes 15 bytes at most.
EXPORT uint32_t tramontane_levels() {
  uint32_t count = 0;
  for (const auto& each : levels) count += each.supported();
  return count;
}
static const Level* level_at(uint32_t index) {
  for (const auto& each : levels) {
    if (each.supported() && index-- == 0) return each.level;
  }
  return nullptr;
}
EXPORT uint32_t tramontane_level_name(uint32_t index, char* name) {
  const Level* level = level_at(index);
  if (!level) return 1;
  uint32_t i = 0;
  for (; i < 15 && level->name[i]; i++) name[i] = level->name[i];
  name[i] = 0;
  return 0;
}
// All calls after this one, of the whole process, go to a level. Returns 1 where there is none of this index.
EXPORT uint32_t tramontane_choose(uint32_t index) {
  const Level* level = level_at(index);
  if (level) chosen = level;
  return level ? 0 : 1;
}

#define ENTRY(result, name, parameters, arguments) \
  EXPORT result tramontane_##name parameters { return chosen->name arguments; }
#include "entries.def"
