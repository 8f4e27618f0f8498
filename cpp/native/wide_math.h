// e^x of ../math.h, and what else the gates need, on the host's wide vectors: the same operations, in the same order.
#pragma once
#include "../math.h"
#include "wide.h"

class WideExp {
  using floats = wide::floats;
  using ints = wide::ints;

 public:
  explicit WideExp(const Exp& e)
      : magic_(of(e.magic)), per_ln2_(of(e.per_ln2)), ln2_high_(of(e.ln2_high)), ln2_low_(of(e.ln2_low)), c4_(of(e.c4)),
        c3_(of(e.c3)), c2_(of(e.c2)), c1_(of(e.c1)), c0_(of(e.c0)), one_(of(e.one)), least_(of(e.least)) {}

  // For x <= 0.
  INLINE floats decay(floats x) const { return (floats)(~(x < least_) & (ints)scaled(x)); }

  INLINE floats operator()(floats x) const {
    const ints large = x > wide::splat(88.72283f);
    return (floats)((large & (ints)wide::splat(__builtin_inff())) | (~large & (ints)decay(x)));
  }

  // e^x where neither bound is passed.
  INLINE floats scaled(floats x) const {
    const floats t = magic_ + x * per_ln2_, n = t - magic_;
    const floats r = (x - n * ln2_high_) + n * ln2_low_;
    const floats p = c0_ + r * (c1_ + r * (c2_ + r * (c3_ + r * c4_)));
    return (floats)((ints)((r + (r * r) * p) + one_) + ((ints)t << 23));  // times 2^n
  }

 private:
  INLINE static floats of(v128_t lane) { return wide::broadcast_floats(lane); }

  floats magic_, per_ln2_, ln2_high_, ln2_low_, c4_, c3_, c2_, c1_, c0_, one_, least_;
};

// v, or 0 where it is negligible: ../f32x4.h.
INLINE wide::floats significant_floats(wide::floats v) {
  const wide::ints magnitude = (wide::ints)v & 0x7fffffff;
  return (wide::floats)((wide::ints)v & ~((wide::floats)magnitude < wide::splat(NEGLIGIBLE)));
}
