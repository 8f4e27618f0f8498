// x is about d * q - m: the searches of the formats that have a scale and a minimum.
#pragma once
#include "lanes.h"

// The lines found for four blocks, and the sums that tell what an error of d or m costs.
struct LineFit {
  Lanes d, m;
  Lanes w, q, qq;  // sums of w, w * q, w * q * q
};

// How factors are tried: codes reach (most + first + step * s) / most of the values' range, s in 0..steps.
struct LineTrials {
  float first, step;
  int steps;
  float shift;
};

// The line of least squares for the best codes in 0..most that were found, d not below zero; where `below`, nor m.
template <bool weighted, bool below, int n>
INLINE LineFit fit_lines(const Four<n>& x, const Four<n>& w, float most, LineTrials trials, int refinements) {
  Lanes low = below ? lanes(0) : x.v[0], high = x.v[0];
  for (int i = 0; i < n; i++) {
    low = lesser(low, x.v[i]);
    high = greater(high, x.v[i]);
  }
  // The values above the lowest, so that the sums do not cancel.
  Four<n> y;
  Lanes sw = lanes(0), sy = lanes(0), syy = lanes(0);
  for (int i = 0; i < n; i++) {
    y.v[i] = x.v[i] - low;
    const Lanes wy = weighted ? w.v[i] * y.v[i] : y.v[i];
    sw += weighted ? w.v[i] : lanes(1);
    sy += wy;
    syy += wy * y.v[i];
  }
  // What y is about in the best case so far: d * q + at.
  const Lanes per_range = inverse(high - low);
  Lanes left = syy, at = lanes(0);
  LineFit best = {lanes(0), lanes(0), sw, lanes(0), lanes(0)};

  const Codes code(0, most);
  const auto attempt = [&](Lanes factor, Lanes shift) {
    Lanes sq = lanes(0), sqq = lanes(0), sqy = lanes(0);
    for (int i = 0; i < n; i++) {
      const Lanes q = code(y.v[i] * factor + shift);
      const Lanes wq = weighted ? w.v[i] * q : q;
      sq += wq;
      sqq += wq * q;
      sqy += wq * y.v[i];
    }
    const Lanes determinant = sw * sqq - sq * sq, per = inverse(determinant);
    Lanes d = (sw * sqy - sy * sq) * per, o = (sqq * sy - sq * sqy) * per;
    Lanes now = syy - d * sqy - o * sy;
    const Mask one = determinant <= lanes(1e-6f) * sw * sqq;  // all codes are
    if (below) {
      const Mask above = (o + low > lanes(0)) | one;
      const Lanes sqx = sqy + low * sq, d0 = sqx * inverse(sqq);
      now = choose(above, syy + low * (sy + sy + low * sw) - d0 * sqx, now);
      d = choose(above, d0, d);
      o = choose(above, -low, o);
    } else {
      d = choose(one, lanes(0), d);
    }
    const Mask better = (now < left) & (d > lanes(0));
    left = choose(better, now, left);
    best.d = choose(better, d, best.d);
    at = choose(better, o, at);
    best.q = choose(better, sq, best.q);
    best.qq = choose(better, sqq, best.qq);
  };
  for (int s = 0; s <= trials.steps; s++)
    for (int k = -1; k <= 1; k++)
      attempt(lanes(most + trials.first + trials.step * s) * per_range, lanes(trials.shift * k));
  for (int r = 0; r < refinements; r++) {
    const Lanes factor = inverse(best.d);
    attempt(factor, -at * factor);
  }
  best.m = -(at + low);
  return best;
}
