// What a level of the library has: a function for each line of entries.def.
#pragma once
#include <stdint.h>

struct Level {
  const char* name;
#define ENTRY(result, name, parameters, arguments) result(*name) parameters;
#include "entries.def"
};

#if defined(__x86_64__)
extern "C" const Level level_sse41, level_avx2, level_avx512_vnni;
#else
extern "C" const Level level_neon;
#endif
