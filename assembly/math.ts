// exp, log and integer powers, from operations that every engine rounds alike (+, -, *, /), so that sampling gives the
// same tokens everywhere. No tables: the module has no static data.

const LOG2_E: f64 = Math.LOG2E;
const LN_2: f64 = Math.LN2;
// ln 2 in two parts: n * LN_2_HIGH is exact for |n| < 2^11.
const LN_2_HIGH: f32 = 0.693359375;
const LN_2_LOW: f32 = -2.1219444005469057e-4;

const ROUNDER: f32 = 12582912;

function times(a: v128, b: f32, c: v128): v128 {
  return f32x4.add(f32x4.mul(a, c), f32x4.splat(b));
}

/**
 * e^x of four lanes, x <= 0: relative error below 2e-7; subnormal results are kept, x below -104 (and -infinity) gives
 * 0, NaN stays. x = 0 gives exactly 1.
 */
export function exp4(x: v128): v128 {
  // pmax keeps a NaN in its first operand and is one instruction, unlike max.
  x = f32x4.pmax(x, f32x4.splat(-110));
  // Adding 1.5 * 2^23 rounds to an integer, and leaves it in the low bits: half the price of nearest and trunc_sat.
  const shifted = f32x4.add(f32x4.mul(x, f32x4.splat(<f32>LOG2_E)), f32x4.splat(ROUNDER));
  const n = f32x4.sub(shifted, f32x4.splat(ROUNDER));
  let r = f32x4.sub(x, f32x4.mul(n, f32x4.splat(LN_2_HIGH)));
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(LN_2_LOW)));
  // |r| <= ln(2)/2, where Taylor's r^8/8! is below a twelfth of a unit in the last place.
  let y = times(f32x4.splat(1.0 / 5040.0), 1.0 / 720.0, r);
  y = times(y, 1.0 / 120.0, r);
  y = times(y, 1.0 / 24.0, r);
  y = times(y, 1.0 / 6.0, r);
  y = times(y, 0.5, r);
  y = times(y, 1.0, r);
  y = times(y, 1.0, r);
  // 2^n in two factors: n reaches -159, below the smallest exponent.
  const i = i32x4.sub(shifted, i32x4.splat(reinterpret<i32>(ROUNDER)));
  const half = i32x4.shr_s(i, 1);
  const bias = i32x4.splat(127);
  const low = i32x4.shl(i32x4.add(half, bias), 23);
  const high = i32x4.shl(i32x4.add(i32x4.sub(i, half), bias), 23);
  return f32x4.mul(f32x4.mul(y, low), high);
}

/** e^x for |x| < 700, relative error below 1e-15. */
export function exp(x: f64): f64 {
  const n = nearest(x * LOG2_E);
  const r = x - n * LN_2;
  let y: f64 = 1;
  for (let k = 14; k > 0; k--) y = 1 + (y * r) / <f64>k;
  return y * reinterpret<f64>((<i64>n + 1023) << 52);
}

/** Natural logarithm of a normal positive number, relative error below 1e-15 (absolute near 1). */
export function log(x: f64): f64 {
  const bits = reinterpret<i64>(x);
  let exponent = (bits >> 52) - 1023;
  let m = reinterpret<f64>((bits & 0xfffffffffffff) | 0x3ff0000000000000);
  if (m > Math.SQRT2) {
    m *= 0.5;
    exponent++;
  }
  // log m = 2 artanh(s), |s| < 0.172
  const s = (m - 1) / (m + 1);
  const square = s * s;
  let sum: f64 = 0;
  for (let k = 23; k > 0; k -= 2) sum = sum * square + 1 / <f64>k;
  return <f64>exponent * LN_2 + 2 * s * sum;
}

/** x^n for n >= 0, by squaring. */
export function power(x: f64, n: i32): f64 {
  let result: f64 = 1;
  while (n > 0) {
    if (n & 1) result *= x;
    x *= x;
    n >>= 1;
  }
  return result;
}
