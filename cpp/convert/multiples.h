// x is about d * q: the searches of the formats that have a scale and no minimum.
#pragma once
#include "lanes.h"

// How factors are tried: the value furthest from zero is at code `least` + step * s, s in -steps..steps.
struct Trials {
  float step;
  int steps;
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

// The scales of least squares for the best codes in least..most that were found, |least| the larger.
template <bool weighted, int n>
INLINE Lanes fit_multiples(const Four<n>& x, const Four<n>& w, float least, float most, Trials trials,
                           int refinements) {
  const Lanes per_far = inverse(furthest(x));
  Lanes gained = lanes(0), best = lanes(0);
  const Codes code(least, most);
  const auto attempt = [&](Lanes factor) {
    Lanes qq = lanes(0), qx = lanes(0);
    for (int i = 0; i < n; i++) {
      const Lanes q = code(x.v[i] * factor), wq = weighted ? w.v[i] * q : q;
      qq += wq * q;
      qx += wq * x.v[i];
    }
    // What is left of the squares of x is smallest where this is largest.
    const Lanes d = qx * inverse(qq), now = qx * d;
    const Mask better = now > gained;
    gained = choose(better, now, gained);
    best = choose(better, d, best);
  };
  for (int s = -trials.steps; s <= trials.steps; s++) attempt(lanes(least + trials.step * s) * per_far);
  for (int r = 0; r < refinements; r++) attempt(inverse(best));
  return best;
}
