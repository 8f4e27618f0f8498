// x is about d * q: the searches of the formats that have a scale and no minimum.
#pragma once
#include "lanes.h"

// How factors are tried: those that bring the value furthest from zero to first * ratio^s, s in 0..steps. With importance
// that goes on for `heavy_steps`, for the furthest value may be one that hardly weighs, and better cut off.
struct Trials {
  float exact;  // is tried before: the code that is furthest from zero
  float first, ratio;
  int steps, heavy_steps;
  float turned;  // where not 0, the furthest value is also brought to turned * first * ratio^s
};

// Of each of four blocks the value of the largest magnitude, with its sign.
template <int n>
INLINE Lanes furthest(const Four<n>& x) {
  Lanes low = x.v[0], high = x.v[0];
  for (int i = 1; i < n; i++) {
    low = lesser(low, x.v[i]);
    high = greater(high, x.v[i]);
  }
  return choose(high >= -low, high, low);
}

// The scales of least squares for the best codes that were found, code(x) the one nearest to x.
template <bool weighted, int n, class Code>
INLINE Lanes fit_multiples(const Four<n>& x, const Four<n>& w, const Code& code, Trials trials, int refinements) {
  const Lanes per_far = inverse(furthest(x));
  // What rounding adds is no reason to leave the first scale, which is exact for equal values: a power of two is their part.
  const Lanes more = loop_lanes(1 + 0x1p-20f);
  Lanes gained = lanes(0), best = lanes(0);
  const auto attempt = [&](Lanes factor) {
    Lanes qq = lanes(0), qx = lanes(0);
    for (int i = 0; i < n; i++) {
      const Lanes q = code(x.v[i] * factor), wq = weighted ? w.v[i] * q : q;
      qq += wq * q;
      qx += wq * x.v[i];
    }
    // What is left of the squares of x is smallest where this is largest.
    const Lanes d = qx * inverse(qq), now = qx * d;
    const Mask better = now > gained * more;
    gained = choose(better, now, gained);
    best = choose(better, d, best);
  };
  attempt(lanes(trials.exact) * per_far);
  float far = trials.first;
  for (int s = weighted ? trials.heavy_steps : trials.steps; s >= 0; s--, far *= trials.ratio) {
    attempt(lanes(far) * per_far);
    if (trials.turned) attempt(lanes(trials.turned * far) * per_far);
  }
  for (int r = 0; r < refinements; r++) attempt(inverse(best));
  return best;
}
