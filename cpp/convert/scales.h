// Searches for the scale of a block: many candidates are tried, for each the best codes are found, for these the best scale by
// least squares, and the one with the least weighted error stays.
#pragma once
#include "values.h"

/** x[j] is about d * codes[j]; d is an f16. */
template <int n>
struct Scale {
  float d;
  Values<n> codes;
};

/** x[j] is about d * codes[j] + m; both are f16. */
template <int n>
struct Line {
  float d, m;
  Values<n> codes;
};

template <int n>
INLINE Values<n> shifted(const Values<n>& x, float by) {
  Values<n> out;
  for (int i = 0; i < n / 4; i++) out.v[i] = wasm_f32x4_add(x.v[i], wasm_f32x4_splat(by));
  return out;
}

/** The nearest whole numbers to x · factor within [least, most]. */
template <int n>
INLINE Values<n> nearest(const Values<n>& x, float factor, float least, float most) {
  Values<n> out;
  for (int i = 0; i < n / 4; i++) {
    const v128_t whole = wasm_f32x4_nearest(wasm_f32x4_mul(x.v[i], wasm_f32x4_splat(factor)));
    out.v[i] = wasm_f32x4_pmin(wasm_f32x4_pmax(whole, wasm_f32x4_splat(least)), wasm_f32x4_splat(most));
  }
  return out;
}

/** Sums of w·x·q and w·q². */
struct Moments {
  float xq, qq;
};
template <int n>
INLINE Moments moments(const Values<n>& x, const Values<n>& w, const Values<n>& q) {
  v128_t xq = f32x4_zero(), qq = f32x4_zero();
  for (int i = 0; i < n / 4; i++) {
    const v128_t wq = wasm_f32x4_mul(w.v[i], q.v[i]);
    xq = f32x4_muladd(xq, wq, x.v[i]);
    qq = f32x4_muladd(qq, wq, q.v[i]);
  }
  return {f32x4_hsum(xq), f32x4_hsum(qq)};
}

/** How many candidates there are on either side, and how far apart, in codes of the furthest value. */
constexpr int STEPS = 9;
constexpr float STEP = 0.1f;

/**
 * The best f16 scale for codes in [least, most], |least| the larger: the furthest value is near `least`, whatever its sign.
 */
template <int n>
INLINE Scale<n> best_scale(const Values<n>& x, const Values<n>& w, float least, float most) {
  const float far = furthest(x);
  if (far == 0) return {0, Values<n>::all(0)};
  float found = -1, d = 0;
  for (int s = -STEPS; s <= STEPS; s++) {
    const Values<n> q = nearest(x, (least + STEP * s) / far, least, most);
    const auto [xq, qq] = moments(x, w, q);
    if (qq > 0 && xq * xq > found * qq) {
      found = xq * xq / qq;
      d = xq / qq;
    }
  }
  if (found < 0) d = far / least; // nothing weighs
  d = as_half(d);
  return {d, nearest(x, d ? 1 / d : 0, least, most)};
}

/** Weighted squares of what is left of x at d·q + m. */
template <int n>
INLINE float squares_left(const Values<n>& x, const Values<n>& w, const Values<n>& q, float d, float m) {
  v128_t total = f32x4_zero();
  for (int i = 0; i < n / 4; i++) {
    const v128_t at = f32x4_muladd(wasm_f32x4_splat(m), q.v[i], wasm_f32x4_splat(d));
    const v128_t left = wasm_f32x4_sub(x.v[i], at);
    total = f32x4_muladd(total, wasm_f32x4_mul(left, left), w.v[i]);
  }
  return f32x4_hsum(total);
}

/** A line through weighted points, not rounded. */
struct Fit {
  float d, m;
};

/**
 * The line of least squares through the points (q, x).
 * @param below - whether m may not be above zero
 */
template <int n>
INLINE Fit fit(const Values<n>& x, const Values<n>& w, const Values<n>& q, bool below) {
  v128_t s[5] = {f32x4_zero(), f32x4_zero(), f32x4_zero(), f32x4_zero(), f32x4_zero()};
  for (int i = 0; i < n / 4; i++) {
    const v128_t wq = wasm_f32x4_mul(w.v[i], q.v[i]);
    s[0] = wasm_f32x4_add(s[0], w.v[i]);
    s[1] = f32x4_muladd(s[1], w.v[i], x.v[i]);
    s[2] = wasm_f32x4_add(s[2], wq);
    s[3] = f32x4_muladd(s[3], wq, q.v[i]);
    s[4] = f32x4_muladd(s[4], wq, x.v[i]);
  }
  const float ws = f32x4_hsum(s[0]), xs = f32x4_hsum(s[1]), qs = f32x4_hsum(s[2]), qq = f32x4_hsum(s[3]),
              xq = f32x4_hsum(s[4]);
  const float determinant = ws * qq - qs * qs;
  if (!(determinant > 0)) return {0, 0};
  const float d = (ws * xq - xs * qs) / determinant, m = (qq * xs - qs * xq) / determinant;
  if (below && m > 0) return {qq > 0 ? xq / qq : 0, 0};
  return {d, m};
}

/** A fit and the codes that it was made for. */
template <int n>
struct Fitted {
  Fit line;
  Values<n> codes;
  float left;  // weighted squares
};

/**
 * The best line for codes in 0..most: of some near the one through the smallest and the largest value.
 * @param below - whether m may not be above zero: then zero is among the values that the line reaches
 */
template <int n>
INLINE Fitted<n> best_fit(const Values<n>& x, const Values<n>& w, float most, bool below, float first, float step,
                          int steps) {
  float low = smallest(x);
  const float high = largest(x);
  if (below && low > 0) low = 0;
  if (high <= low) {
    // All values are one.
    Fitted<n> same = {{0, low}, Values<n>::all(0), 0};
    return same;
  }
  Fitted<n> best;
  const Values<n> above = shifted(x, -low);
  best.line = {(high - low) / most, low};
  best.codes = nearest(above, most / (high - low), 0, most);
  best.left = squares_left(x, w, best.codes, best.line.d, best.line.m);
  for (int s = 0; s <= steps; s++) {
    const Values<n> q = nearest(above, (most + first + step * s) / (high - low), 0, most);
    const Fit line = fit(x, w, q, below);
    const float left = squares_left(x, w, q, line.d, line.m);
    if (left < best.left) best = {line, q, left};
  }
  return best;
}

/** The same, rounded to f16. */
template <int n>
INLINE Line<n> best_line(const Values<n>& x, const Values<n>& w, float most) {
  const Fit line = best_fit(x, w, most, false, -0.9f, 0.1f, 18).line;
  Line<n> out;
  out.d = as_half(line.d);
  out.m = as_half(line.m);
  out.codes = nearest(shifted(x, -out.m), out.d ? 1 / out.d : 0, 0, most);
  return out;
}
