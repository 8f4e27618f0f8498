// The grids that the IQ1, IQ2 and IQ3 formats choose from, ready to be searched. A group of values, divided by its scale, is
// rounded to the levels of a grid; these levels name a point, and each point has a list of the entries nearest to it, of which
// the one with the smallest weighted error is taken.
#pragma once
#include "../grids.h"
#include "lanes.h"

constexpr int power(int base, int exponent) { return exponent ? base * power(base, exponent - 1) : 1; }

// What is chosen for a group: sums of w * q * q and w * q * y tell how well it suits.
struct Choice {
  int entry;
  float qq, qy;
};

// N entries of G values, each on one of R levels that are about first + step * rank; K of them are looked at.
template <int G, int R, int N, int K>
struct Codebook {
  static constexpr int points = power(R, G), group = G;
  float entries[N][G];
  uint16_t near[points][K];
  float first, per_step;
  bool ready;

  // Made where it is needed first. bits: of a rank in `ranks`.
  template <class Grid, class Ranks>
  void prepare(const Grid& grid, const Ranks& ranks, int bits, float first, float step) {
    if (ready) return;
    this->first = first;
    per_step = 1 / step;
    uint8_t rank[N][G];
    for (int i = 0; i < N; i++)
      for (int j = 0; j < G; j++) {
        entries[i][j] = static_cast<int8_t>(grid[i] >> (8 * j));
        rank[i][j] = ranks[i] >> (bits * j) & ((1 << bits) - 1);
      }
    for (int point = 0; point < points; point++) {
      uint8_t at[G];
      for (int j = 0, rest = point; j < G; j++, rest /= R) at[j] = static_cast<uint8_t>(rest % R);
      list_nearest(at, rank, near[point]);
    }
    ready = true;
  }

  // The K entries nearest to a point, the lowest first among equals: sorted by counting.
  static void list_nearest(const uint8_t* at, const uint8_t (*rank)[G], uint16_t* list) {
    constexpr int most = G * (R - 1) * (R - 1);
    uint8_t distance[N];
    uint16_t place[most + 2] = {};
    for (int i = 0; i < N; i++) {
      int sum = 0;
      for (int j = 0; j < G; j++) sum += (rank[i][j] - at[j]) * (rank[i][j] - at[j]);
      distance[i] = static_cast<uint8_t>(sum);
      place[sum + 1]++;
    }
    for (int d = 0; d < most; d++) place[d + 1] += place[d];
    for (int i = 0; i < N; i++) {
      const int to = place[distance[i]]++;
      if (to < K) list[to] = static_cast<uint16_t>(i);
    }
  }

  // The best entry for y about s * (entry + shift).
  INLINE Choice choose_entry(const float* y, const float* w, float s, float per_s, float shift) const {
    constexpr int V = G / 4;
    const Codes level(0, R - 1);
    Lanes a[V], b[V], digits = lanes(0);
    constexpr float places[8] = {1, R, R * R, R * R * R, power(R, 4), power(R, 5), power(R, 6), power(R, 7)};
    for (int v = 0; v < V; v++) {
      const Lanes yv = (Lanes)wasm_v128_load(y + 4 * v) - lanes(s * shift), wv = (Lanes)wasm_v128_load(w + 4 * v);
      a[v] = wv * lanes(s);
      b[v] = wv * yv * lanes(2);
      digits += level((yv * lanes(per_s) - lanes(first)) * lanes(per_step)) * (Lanes)wasm_v128_load(places + 4 * v);
    }
    const uint16_t* list = near[static_cast<int>(total(digits))];
    // Errors of four entries at a time, without what is the same for all, and divided by s.
    const auto error = [&](int k) {
      const float* e = entries[list[k]];
      Lanes sum = lanes(0);
      for (int v = 0; v < V; v++) {
        const Lanes q = (Lanes)wasm_v128_load(e + 4 * v);
        sum += q * (a[v] * q - b[v]);
      }
      return (v128_t)sum;
    };
    Lanes least = lanes(__builtin_inff()), which = lanes(0);
    for (int k = 0; k < K; k += 4) {
      const Lanes now = (Lanes)f32x4_hsum4(error(k), error(k + 1), error(k + 2), error(k + 3));
      const Mask better = now < least;
      least = choose(better, now, least);
      which = choose(better, lanes(static_cast<float>(k)), which);
    }
    const float smallest = -largest(-least);
    const int lane = __builtin_ctz(wasm_i32x4_bitmask((v128_t)(least == lanes(smallest))) | 16) & 3;
    const int entry = list[static_cast<int>(which[lane]) + lane];
    Lanes qq = lanes(0), qy = lanes(0);
    for (int v = 0; v < V; v++) {
      const Lanes q = (Lanes)wasm_v128_load(entries[entry] + 4 * v) + lanes(shift);
      const Lanes wq = (Lanes)wasm_v128_load(w + 4 * v) * q;
      qq += wq * q;
      qy += wq * (Lanes)wasm_v128_load(y + 4 * v);
    }
    return {entry, total(qq), total(qy)};
  }
};

// A super-block of 256 values in their order, near one, and what an error of each weighs.
struct Plain {
  float y[256], w[256];
  float unit;  // 0: nothing to encode

  INLINE void load(const float* values, const float* importance) {
    unit = unit_of(largest_magnitude(values, 256));
    if (unit == 0) return;
    const float heavy = importance ? unit_of(largest_magnitude(importance, 256)) : 0;
    for (int i = 0; i < 256; i += 4) {
      wasm_v128_store(y + i, (v128_t)((Lanes)wasm_v128_load(values + i) * lanes(unit)));
      const Lanes weight =
          heavy > 0 ? greater(lanes(LEAST_WEIGHT), (Lanes)wasm_v128_load(importance + i) * lanes(heavy)) : lanes(1);
      wasm_v128_store(w + i, (v128_t)weight);
    }
  }
};
