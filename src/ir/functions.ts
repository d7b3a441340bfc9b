import {
  abs,
  add,
  and,
  bitcast,
  cast,
  constant,
  div,
  type Expr,
  eq,
  type FunctionOp,
  floor,
  ge,
  gt,
  lt,
  max,
  min,
  mul,
  ne,
  neg,
  type Operand,
  or,
  rewrite,
  type ScalarOp,
  select,
  shl,
  shr,
  sqrt,
  sub,
  trunc,
  xor,
} from './expr.ts';

// One float32 formula a function, for all backends: straight-line code, because a vector evaluates both sides of a select.
// Compilers for GPUs may take NaN and infinity for impossible, so these are told apart by their bits, and what has to be
// exact is made exact by masking bits, never by sums like (1 + x) - 1. Coefficients without a source are minimax fits of
// ours (Lawson's iteration in higher precision, then rounded to float32 one by one).

const SIGN = 0x80000000 | 0;
const INFINITY_BITS = 0x7f800000;
const QUIET_NAN = 0x7fc00000; // joined by `or` to other bits: WGSL rejects a NaN that is constant

const int = (e: Expr): Expr => bitcast(e, 'int32');
const float = (e: Expr): Expr => bitcast(e, 'float32');
const magnitude = (x: Expr): Expr => and(int(x), 0x7fffffff);
const withSign = (y: Expr, x: Expr): Expr => float(or(int(y), and(int(x), SIGN)));
/** NaN where the non-negative integer exceeds the limit, by setting all bits. */
const nanAbove = (y: Expr, bits: Expr, limit: number): Expr => float(or(int(y), shr(sub(limit, bits), 31)));
// One object for the limit in both places, so that a backend sees the minimum or maximum in it.
const atMost = (x: Expr, limit: number, c: Expr = constant(limit)): Expr => select(gt(x, c), c, x);
const atLeast = (x: Expr, limit: number, c: Expr = constant(limit)): Expr => select(lt(x, c), c, x);
/** The upper 12 bits of the significand, so that the product of two of them is exact. */
const upper = (x: Expr): Expr => float(and(int(x), 0xfffff000 | 0));

/** Horner's rule, constant term first. */
function polynomial(x: Expr, ...coefficients: Operand[]): Expr {
  let sum = coefficients.at(-1)!;
  for (let i = coefficients.length - 2; i >= 0; i--) sum = add(mul(x, sum), coefficients[i]!);
  return sum as Expr;
}

const ROUNDER = 12582912; // 1.5 * 2^23: a float this large has no fraction, and its last bits are the integer
const ROUNDER_BITS = 0x4b400000;

/** The nearest integer to |x| < 2^22, as int32; only the bits of the sum are used, so nothing can cancel it. */
const nearest = (x: Expr): Expr => sub(int(add(x, ROUNDER)), ROUNDER_BITS);
/** p * 2^n by adding to the exponent. */
const scale = (p: Expr, n: Expr): Expr => float(add(int(p), shl(n, 23)));
/** The same for n <= 128: above the largest float the sum of the bits passes those of infinity, and is cut there. */
const cutScale = (p: Expr, n: Expr): Expr => float(min(add(int(p), shl(n, 23)), INFINITY_BITS));

const LOG2E = Math.LOG2E;
// ln 2 in two parts, the first of 15 bits so that its products with exponents are exact.
const LN2_UPPER = 0.693145751953125;
const LN2_LOWER = 1.42860677e-6;

/** x = n ln 2 + r, |r| <= ln 2 / 2 (Cody and Waite). */
function reduceExp(x: Expr): { n: Expr; r: Expr } {
  const n = nearest(mul(x, LOG2E));
  const k = cast(n, 'float32');
  return { n, r: sub(sub(x, mul(k, LN2_UPPER)), mul(k, LN2_LOWER)) };
}

// Minimax on |r| <= ln 2 / 2, relative error 2^-28.
const expPolynomial = (r: Expr): Expr =>
  polynomial(r, 1, 1, 0.49999994, 0.166665211, 0.0416682623, 0.00836867094, 0.00138209993);

/** Results under 2^-126 are 0. */
function exp(x: Expr): Expr {
  const { n, r } = reduceExp(atMost(x, 89));
  const y = cutScale(expPolynomial(r), n);
  return nanAbove(select(lt(x, -87.33654), 0, y), magnitude(x), INFINITY_BITS);
}

/** As NaN in x comes through the division, e^-z needs no care for it; nor for what is too small to change a sum with 1. */
function gated(x: Expr, z: Expr): Expr {
  const { n, r } = reduceExp(atLeast(atMost(neg(z), 89), -87));
  return div(x, add(cutScale(expPolynomial(r), n), 1));
}

/** (e^x - 1) / 4 for -18 <= x <= 89.5, without overflow. */
function quarterExpm1(x: Expr): Expr {
  const { n, r } = reduceExp(x);
  // (e^r - 1) / r, minimax on |r| <= ln 2 / 2, relative error 2^-26.
  const q = mul(r, polynomial(r, 1, 0.49999997, 0.166665465, 0.0416674428, 0.00836625323, 0.00138699461));
  const s = float(shl(add(n, 125), 23));
  return sub(mul(s, q), sub(0.25, s));
}

function expm1(x: Expr): Expr {
  const y = mul(quarterExpm1(atLeast(atMost(x, 89), -18)), 4);
  return nanAbove(y, magnitude(x), INFINITY_BITS);
}

/** sinh = (t + t / (t + 1)) / 2 with t = e^|x| - 1 (fdlibm). */
function sinh(x: Expr): Expr {
  const q = quarterExpm1(atMost(abs(x), 89.5));
  const y = mul(add(q, div(q, add(mul(q, 4), 1))), 2);
  return nanAbove(withSign(y, x), magnitude(x), INFINITY_BITS);
}

function cosh(x: Expr): Expr {
  const { n, r } = reduceExp(atMost(abs(x), 89.5));
  const quarter = scale(expPolynomial(r), sub(n, 2));
  return nanAbove(add(mul(quarter, 2), div(0.125, quarter)), magnitude(x), INFINITY_BITS);
}

/** 1 - 2 / (e^2a + 1) from 0.55 on, where the subtraction is harmless; an odd polynomial below, and for NaN. */
function tanh(x: Expr): Expr {
  const bits = magnitude(x);
  const t = mul(atMost(float(bits), 9.1), 2 * LOG2E);
  const n = nearest(t);
  const r = sub(t, cast(n, 'float32'));
  // 0.974 2^r, minimax weighted by its share in the result; the factor brings the sum just under a power of two, where
  // rounding is finest.
  const p = polynomial(r, 0.974429011, 0.67542237, 0.234078795, 0.0540888757, 0.00942682475, 0.00129026419);
  const large = sub(1, div(1.9488579, add(scale(p, n), 0.974428952)));
  const z = mul(x, x);
  // Minimax on |x| <= 0.55, relative error 2^-24.7.
  const tail = polynomial(z, -0.333329469, 0.133207217, -0.05267125, 0.0164360609);
  const small = add(x, mul(mul(x, z), tail));
  const BIG = 0x3f0ccccd; // 0.55
  const isLarge = lt(bitcast(sub(bits, BIG), 'uint32'), INFINITY_BITS + 1 - BIG);
  return withSign(select(isLarge, large, small), x);
}

/** 1 - c / q(a)^8 from 1.04 on, the form of Abramowitz and Stegun 7.1.28; an odd polynomial below. */
function erf(x: Expr): Expr {
  const a = abs(x);
  // 1.468 erfc(a)^(-1/8), minimax on [1.04, 4.2]: 0.2 ulp of the result; grows without bound after that.
  const q = polynomial(
    a,
    1.46134973,
    0.240573913,
    0.0595405512,
    0.121733077,
    -0.0567335859,
    0.0290266573,
    -0.00645793788,
    0.000846204639,
  );
  const q2 = mul(q, q);
  const q4 = mul(q2, q2);
  const large = sub(1, div(21.5711231, mul(q4, q4)));
  // erf(x) / x - 1, minimax on |x| <= 1.04, relative error 2^-28.
  const z = mul(x, x);
  const tail = polynomial(
    z,
    0.128379166,
    -0.37612623,
    0.112835288,
    -0.0268508084,
    0.00518169394,
    -0.00079453137,
    7.62130876e-5,
  );
  return select(lt(a, 1.04), add(x, mul(x, tail)), withSign(large, x));
}

/** Bits of a positive float as if subnormals had exponents below the least: subnormals are converted as integers. */
const normalized = (bits: Expr): Expr => select(lt(bits, 0x00800000), sub(int(cast(bits, 'float32')), 149 << 23), bits);

const SQRT_HALF_BITS = 0x3f3504f3;

/** x = 2^k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), for the bits of a positive x; f is exact. */
function splitLog(bits: Expr): { k: Expr; f: Expr } {
  const shifted = sub(normalized(bits), SQRT_HALF_BITS);
  const m = float(add(and(shifted, 0x007fffff), SQRT_HALF_BITS));
  return { k: shr(shifted, 23), f: sub(m, 1) };
}

// (log(1 + f) - f) / f^2 on sqrt(1/2) <= 1 + f <= sqrt(2), error relative to log(1 + f) 2^-24.9.
const logTail = (f: Expr): Expr =>
  mul(
    mul(f, f),
    polynomial(f, -0.5, 0.333339095, -0.250013351, 0.199631006, -0.165776536, 0.149145111, -0.142669126, 0.0870035738),
  );

/** A logarithm's y where x is positive and finite: -infinity at 0, NaN below, x itself for infinity and NaN. */
function logEdges(x: Expr, y: Expr): Expr {
  const bits = int(x);
  const negative = float(or(int(y), shr(bits, 31)));
  const zero = float(or(bits, 0xff800000 | 0));
  return select(ge(bits, INFINITY_BITS), x, select(eq(x, 0), zero, negative));
}

function log(x: Expr): Expr {
  const { k, f } = splitLog(int(x));
  const e = cast(k, 'float32');
  return logEdges(x, add(add(f, add(logTail(f), mul(e, LN2_LOWER))), mul(e, LN2_UPPER)));
}

/** The exponent is that of 1 + x, but f = x 2^-k - (1 - 2^-k) comes from x, so that no digit is lost. */
function log1p(x: Expr): Expr {
  const u = add(x, 1);
  const shifted = sub(int(u), SQRT_HALF_BITS);
  const s = float(sub(0x40800000, and(shifted, 0xff800000 | 0))); // 4 * 2^-k, which never underflows
  const f = sub(mul(mul(x, s), 0.25), sub(1, mul(s, 0.25)));
  // Minus k, so that only subtractions of +0 follow for x = -0, and the result keeps its sign.
  const e = cast(neg(shr(shifted, 23)), 'float32');
  return logEdges(u, sub(add(f, sub(logTail(f), mul(e, LN2_LOWER))), mul(e, LN2_UPPER)));
}

function log2(x: Expr): Expr {
  const { k, f } = splitLog(int(x));
  // log2(1 + f) / f, minimax, relative error 2^-25.
  const q = polynomial(
    f,
    1.44269502,
    -0.721347392,
    0.48090899,
    -0.360700488,
    0.287952423,
    -0.239016995,
    0.215493381,
    -0.206775203,
    0.125793457,
  );
  return logEdges(x, add(cast(k, 'float32'), mul(f, q)));
}

/**
 * x = n pi/2 + r, |r| <= pi/4: Cody and Waite with pi/2 in parts of 5, 11, 6 and 24 bits; the first three differences are
 * exact for |x| <= 1e4, and the error is below 3e-4 up to 8e5. A larger x is taken as 0: its neighbours are far apart.
 */
function reduceTrig(x: Expr): { quadrant: Expr; sine: Expr; cosine: Expr } {
  const y = select(gt(magnitude(x), 0x49435000), 0, x); // 800000
  const n = nearest(mul(y, 2 / Math.PI));
  const k = cast(n, 'float32');
  let r = sub(y, mul(k, 1.5625));
  r = sub(r, mul(k, 0.00829315185546875));
  r = sub(r, mul(k, 3.159046173095703e-6));
  r = sub(r, mul(k, 1.5893254712295857e-8));
  const z = mul(r, r);
  // Minimax on |r| <= pi/4, relative errors 2^-28 and 2^-33.
  const sine = withSign(add(r, mul(mul(r, z), polynomial(z, -0.1666665375, 0.008332106285, -0.0001950788283))), r); // -0
  const cosine = polynomial(z, 1, -0.5, 0.04166664556, -0.001388730831, 2.443210178e-5);
  return { quadrant: n, sine, cosine };
}

const oddQuadrant = (n: Expr): Expr => ne(and(n, 1), 0);

function sin(x: Expr): Expr {
  const { quadrant, sine, cosine } = reduceTrig(x);
  const sign = shl(and(quadrant, 2), 30);
  const y = float(xor(int(select(oddQuadrant(quadrant), cosine, sine)), sign));
  return nanAbove(y, magnitude(x), INFINITY_BITS - 1);
}

function cos(x: Expr): Expr {
  const { quadrant, sine, cosine } = reduceTrig(x);
  const sign = shl(and(add(quadrant, 1), 2), 30);
  const y = float(xor(int(select(oddQuadrant(quadrant), sine, cosine)), sign));
  return nanAbove(y, magnitude(x), INFINITY_BITS - 1);
}

function tan(x: Expr): Expr {
  const { quadrant, sine, cosine } = reduceTrig(x);
  const odd = oddQuadrant(quadrant);
  const y = div(select(odd, neg(cosine), sine), select(odd, sine, cosine));
  return nanAbove(y, magnitude(x), INFINITY_BITS - 1);
}

const HALF_PI = Math.PI / 2;

/** asin(|x|) up to 1/2; above, asin(sqrt((1 - |x|) / 2)), from which asin(x) = pi/2 - 2p and acos(x) = 2p (Cephes). */
function halfAsin(x: Expr): { large: Expr; p: Expr } {
  const a = abs(x);
  const large = gt(a, 0.5);
  const z = select(large, mul(sub(1, a), 0.5), mul(a, a));
  const s = select(large, sqrt(z), a);
  // Minimax on [0, 1/2], relative error 2^-27.6.
  const tail = polynomial(z, 0.166667521, 0.07495309412, 0.04546914995, 0.02418478206, 0.04215829074);
  return { large, p: add(s, mul(mul(s, z), tail)) };
}

const ONE_BITS = 0x3f800000;

function asin(x: Expr): Expr {
  const { large, p } = halfAsin(x);
  const y = withSign(select(large, sub(HALF_PI, mul(p, 2)), p), x);
  return nanAbove(y, magnitude(x), ONE_BITS);
}

function acos(x: Expr): Expr {
  const { large, p } = halfAsin(x);
  const signed = withSign(p, x);
  const y = select(large, add(select(lt(x, 0), constant(Math.PI), 0), mul(signed, 2)), sub(HALF_PI, signed));
  return nanAbove(y, magnitude(x), ONE_BITS);
}

// Minimax on 0 <= t <= 1, relative error 2^-25.8.
function atanPolynomial(t: Expr): Expr {
  const z = mul(t, t);
  const tail = polynomial(
    z,
    -0.333331525,
    0.199937671,
    -0.142110035,
    0.106657863,
    -0.0755172893,
    0.0432059728,
    -0.0163642373,
    0.00291975634,
  );
  return add(t, mul(mul(t, z), tail));
}

function atan(x: Expr): Expr {
  const a = abs(x);
  const large = gt(a, 1);
  const p = atanPolynomial(select(large, div(1, a), a));
  return nanAbove(withSign(select(large, sub(HALF_PI, p), p), x), magnitude(x), INFINITY_BITS);
}

function atan2(y: Expr, x: Expr): Expr {
  const a = abs(x);
  const b = abs(y);
  const steep = gt(b, a);
  const over = select(steep, a, b);
  const under = select(steep, b, a);
  // Equal sides first: both may be infinite, or zero.
  const t = select(eq(over, under), select(eq(under, 0), constant(0), 1), div(over, under));
  const p = atanPolynomial(t);
  const first = select(steep, sub(HALF_PI, p), p);
  const y2 = withSign(select(lt(int(x), 0), sub(Math.PI, first), first), y);
  return nanAbove(y2, max(magnitude(x), magnitude(y)), INFINITY_BITS);
}

/**
 * 2^(y log2|x|) with the logarithm in two floats, as fdlibm's e_powf does it: log2 m = 2/ln 2 atanh(s), s = (m-1)/(m+1),
 * with factors of 12 bits wherever a product has to be exact. Results under 2^-126 are 0.
 */
function pow(x: Expr, y: Expr): Expr {
  const xBits = int(x);
  const a = magnitude(x);
  const { k, f } = splitLog(a);
  const e = cast(k, 'float32');
  // s = sUpper + sLower.
  const inverse = div(1, add(f, 2));
  const s = mul(f, inverse);
  const sUpper = upper(s);
  const fUpper = upper(f);
  const residual = sub(sub(sub(f, mul(sUpper, 2)), mul(sUpper, fUpper)), mul(sUpper, sub(f, fUpper)));
  const sLower = mul(residual, inverse);
  // The rest of the series over s^3, minimax on |s| <= 0.1717, relative error of the logarithm 2^-30.
  const z = mul(s, s);
  const tail = mul(mul(s, z), polynomial(z, 0.9617982507, 0.5767562389, 0.4309141934));
  const main = mul(sUpper, 2.884765625);
  const rest = add(tail, add(mul(sUpper, 0.0006244567921385169), mul(sLower, 2.885390043258667)));
  const logUpper = upper(add(e, main));
  const logLower = add(add(sub(e, logUpper), main), rest);
  // The exponent's 2^33 is enough to overflow with any base but 1.
  const exponent = atMost(atLeast(y, -8589934592), 8589934592);
  const eUpper = upper(exponent);
  const zUpper = mul(eUpper, logUpper);
  const zLower = add(mul(sub(exponent, eUpper), logUpper), mul(exponent, logLower));
  // Bases 0 and infinity have no logarithm; the sign of the exponent decides.
  const regular = lt(bitcast(sub(a, 1), 'uint32'), INFINITY_BITS - 1);
  const grows = xor(lt(int(y), 0), gt(a, ONE_BITS));
  const total = select(regular, add(zUpper, zLower), select(grows, constant(300), -300));
  const n = nearest(total);
  const r = add(sub(zUpper, cast(n, 'float32')), zLower);
  // 2^r, minimax on |r| <= 1/2, relative error 2^-28.
  const p = polynomial(r, 1, 0.693147182, 0.240226477, 0.0555035956, 0.00961850025, 0.00133909762, 0.000153289075);
  const size = select(lt(total, -126), 0, select(lt(total, 128.5), cutScale(p, n), mul(total, 3e38)));
  // Negative bases: the sign of odd exponents, NaN for fractions.
  const negative = lt(xBits, 0);
  const half = mul(y, 0.5);
  const odd = and(eq(floor(y), y), ne(floor(half), half));
  const signed = float(or(int(size), and(xBits, select(odd, constant(SIGN, 'int32'), 0))));
  const fraction = and(and(negative, regular), ne(floor(y), y));
  const aNaN = or(gt(max(a, magnitude(y)), INFINITY_BITS), fraction);
  const value = float(or(int(signed), select(aNaN, constant(QUIET_NAN, 'int32'), 0)));
  return select(or(eq(magnitude(y), 0), eq(xBits, ONE_BITS)), 1, value);
}

/** |x| - trunc(|x| / |y|) |y| by four exact products; exact for quotients under 2^23, and 0 where it would be far off. */
function fmod(x: Expr, y: Expr): Expr {
  const a = abs(x);
  const b = abs(y);
  const q = trunc(div(a, b));
  const qUpper = upper(q);
  const qLower = sub(q, qUpper);
  const bUpper = upper(b);
  const bLower = sub(b, bUpper);
  let r = sub(sub(a, mul(qUpper, bUpper)), mul(qUpper, bLower));
  r = sub(sub(r, mul(qLower, bUpper)), mul(qLower, bLower));
  // The rounded quotient may be one off.
  r = select(lt(r, 0), add(r, b), select(ge(r, b), sub(r, b), r));
  const inside = and(ge(r, 0), lt(r, b));
  const size = select(lt(a, b), a, select(inside, r, 0));
  const valid = and(lt(magnitude(x), INFINITY_BITS), lt(bitcast(sub(magnitude(y), 1), 'uint32'), INFINITY_BITS));
  return float(or(int(withSign(size, x)), select(valid, constant(0, 'int32'), QUIET_NAN)));
}

const isnan = (x: Expr): Expr => gt(magnitude(x), INFINITY_BITS);

type Formula = (...args: Expr[]) => Expr;

const FORMULAS: Readonly<Record<FunctionOp, Formula>> = {
  exp,
  expm1,
  log,
  log1p,
  log2,
  sin,
  cos,
  tan,
  asin,
  acos,
  atan,
  atan2,
  sinh,
  cosh,
  tanh,
  erf,
  gated,
  pow,
  fmod,
  isnan,
};

/** The float32 formula of a function, in core ops. */
export const functionFormula = (op: FunctionOp): ((args: readonly Expr[]) => Expr) => {
  const formula = FORMULAS[op];
  return (args) => formula(...args);
};

export const isFunction = (op: ScalarOp): op is FunctionOp => Object.hasOwn(FORMULAS, op);

/** Replaces the functions that a backend has no instruction for (those not in `keep`) by their formulas. */
export function expandFunctions(roots: readonly Expr[], keep: ReadonlySet<ScalarOp>): Expr[] {
  return rewrite(roots, (e, args) => (isFunction(e.op) && !keep.has(e.op) ? FORMULAS[e.op](...args) : undefined));
}
