// Asks for weights before they are used, in place of the prefetch instruction that WebAssembly does not have.
#pragma once
#include "simd.h"

inline constexpr uint32_t CACHE_LINE = 64;

// The word at p, by a load that the compiler keeps.
INLINE uint32_t word_of(const uint8_t* p) {
  struct __attribute__((packed)) Word {
    volatile uint32_t value;
  };
  return reinterpret_cast<const Word*>(p)->value;
}

// Uses a word: an engine that checks bounds itself (Deno's) drops loads that nobody uses.
INLINE void use_word(uint32_t word) {
  v128_t slot;
  store_now(slot, wasm_i32x4_splat(word));
}

// Where `on`, reads ahead in R streams of `bytes` bytes, `distance` apart: one word of each cache line, eight lines of each stream at
// a time, 512 to 1024 bytes before they are used. A core has some hundred instructions in flight, which is a few lines of
// quantized weights, and where its prefetcher does not see further it waits for each line: on a Xeon whose memory answers
// after 100 ns Q4_0 came at 4.0 GB/s in one stream, where plain reading had 10. Lines asked for together arrive together:
// 9.1 GB/s in one stream, 10.7 in four. Bursts of 4 to 16 lines are alike; single lines do half as well; lines further
// ahead, the streams' bursts one after the other, or every second line do worse. But a Zen 4 does better without.
template <int R, bool on = true>
class ReadAhead {
 public:
  static constexpr uint32_t BURST = 8 * CACHE_LINE;

  INLINE ReadAhead(const uint8_t* start, uint32_t bytes, uint32_t distance)
      : next(start), last(start + bytes - 2 * BURST), distance(distance) {}

  INLINE void operator()(const uint8_t* position) {
    if constexpr (!on) return;
    if (position < next || next > last) return;
    for (int r = 0; r < R; r++) {
      for (uint32_t i = 0; i < BURST; i += CACHE_LINE) seen ^= word_of(next + r * distance + BURST + i);
    }
    next += BURST;
  }

  INLINE void finish() {
    if constexpr (on) use_word(seen);
  }

 private:
  const uint8_t* next;
  const uint8_t* const last;
  const uint32_t distance;
  uint32_t seen = 0;
};
