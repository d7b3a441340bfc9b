import { DTYPES, type DType, isDType, isFloating } from '../core/dtype.ts';
import { DTypeError, UnsupportedError } from '../core/errors.ts';
import type { Shape } from '../core/shape.ts';
import { template } from '../engine/node.ts';
import * as s from '../ir/expr.ts';
import type { Device } from '../tensor/device.ts';
import type { GradientRule } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { where } from './functions.ts';
import { numberOptions, type Wrapping, wrapping } from './options.ts';
import {
  type Binary,
  checkOptions,
  compose,
  describe,
  deviceOf,
  deviceOfOperands,
  elementwise,
  floating,
  numeric,
  type Operand,
  produce,
  promoting,
  type Recorded,
  type TypeRule,
  taped,
  type Unary,
  viewed,
} from './record.ts';

/*
 * Every op on single elements: its record, or a function with options over records. Easy gradients stand in the record; those
 * that need care stand as named functions at the end, with the expressions that several records share.
 */

type Expr = s.Expr;
/** A recorded op whose further operands are the numbers of a wrapper's options. */
type Parametric = ((x: Tensor, ...numbers: number[]) => Tensor) & Recorded;
type Ternary = ((x: Operand, y: Operand, z: Operand) => Tensor) & Recorded;

const LN2 = Math.LN2;
const LN10 = Math.LN10;
const SQRT_HALF = Math.SQRT1_2;

// Arithmetic

/** Options of `add` and `sub`. */
export interface AlphaOptions {
  /** Factor of the second operand. */
  readonly alpha?: number | undefined;
}

const plus: Binary = elementwise('add', {
  type: promoting,
  lower: s.add,
  gradient: (g) => [g, g],
  sample: [-3, 3],
});

const minus: Binary = elementwise('sub', {
  type: numeric,
  lower: s.sub,
  gradient: (g, { needs }) => [g, needs[1] ? neg(g) : null],
  sample: [-3, 3],
});

function scaled(op: string, a: Operand, b: Operand, options: AlphaOptions): Operand {
  const { alpha } = numberOptions(op, options, { alpha: 1 });
  deviceOfOperands(op, [a, b]);
  if (typeof b === 'number') return b * alpha;
  if (!isFloating(promoting(op, [b, a])) && !Number.isInteger(alpha))
    throw new DTypeError(
      `${op}: alpha ${alpha} is no integer, but both operands are; convert one of them with .to('float32')`,
    );
  return mul(b, alpha);
}

/**
 * Sum of two operands that broadcast and promote, the second one times `alpha`; or for bools (`torch.add`).
 *
 * @throws ShapeError when the shapes do not broadcast.
 * @example
 * ```ts
 * const y = tl.tensor([1, 2]).add(tl.tensor([[10], [20]])); // [[11, 12], [21, 22]]
 * ```
 */
export const add: ((x: Operand, y: Operand, options?: AlphaOptions) => Tensor) & Wrapping = wrapping(
  (x, y, options) => (options ? compose('add', () => plus(x, scaled('add', x, y, options))) : plus(x, y)),
  () => [plus],
);

/** Difference of two operands that broadcast and promote, the second one times `alpha`; not for bools (`torch.sub`). */
export const sub: ((x: Operand, y: Operand, options?: AlphaOptions) => Tensor) & Wrapping = wrapping(
  (x, y, options) => (options ? compose('sub', () => minus(x, scaled('sub', x, y, options))) : minus(x, y)),
  () => [minus],
);

/** Product of two operands that broadcast and promote; and for bools (`torch.mul`). */
export const mul: Binary = elementwise('mul', {
  type: promoting,
  lower: s.mul,
  gradient: (g, { inputs, needs }) => {
    const [x, y] = inputs as Pair;
    return [needs[0] ? mul(g, y) : null, needs[1] ? mul(g, x) : null];
  },
  saves: 'inputs',
  sample: [-3, 3],
});

const quotient: Binary = elementwise('div', {
  type: floating,
  lower: s.div,
  gradient: (g, { inputs, needs }) => {
    const [x, y] = inputs as Pair;
    return [needs[0] ? quotient(g, y) : null, needs[1] ? neg(mul(g, quotient(quotient(x, y), y))) : null];
  },
  saves: 'inputs',
  sample: [
    [-3, 3],
    [0.5, 3],
  ],
});

const quotientFloor: Binary = elementwise('divFloor', {
  type: numeric,
  lower: (x, y) => (x.dtype === 'float32' ? floorQuotient(x, y) : integerFloorQuotient(x, y)),
  gradient: noGradient,
  sample: [
    [-9, 9],
    [1, 4],
  ],
});

const quotientTrunc: Binary = elementwise('divTrunc', {
  type: numeric,
  lower: (x, y) => (x.dtype === 'float32' ? s.trunc(s.div(x, y)) : s.div(x, y)),
  gradient: noGradient,
  sample: [
    [-9, 9],
    [1, 4],
  ],
});

/** Options of `div`. */
export interface DivOptions {
  /** Round the quotient down or towards zero, and keep integers; true division otherwise. */
  readonly roundingMode?: 'floor' | 'trunc' | null | undefined;
}

/**
 * Quotient of two operands that broadcast and promote (`torch.div`). True division gives float32; with a rounding mode the
 * dtype stays, and an integer divided by 0 is 0.
 *
 * @throws UnsupportedError for another rounding mode.
 */
export const div: ((x: Operand, y: Operand, options?: DivOptions) => Tensor) & Wrapping = wrapping(
  (x, y, options) => {
    if (!options) return quotient(x, y);
    checkOptions('div', options, ['roundingMode']);
    const mode = options.roundingMode ?? null;
    if (mode === null) return quotient(x, y);
    if (mode === 'floor') return quotientFloor(x, y);
    if (mode === 'trunc') return quotientTrunc(x, y);
    throw new UnsupportedError(
      `div: no rounding mode ${describe(mode)}; use 'floor', 'trunc', or none for true division`,
    );
  },
  () => [quotient, quotientFloor, quotientTrunc],
);

/**
 * Remainder with the sign of the divisor, as in Python (`torch.remainder`). An integer modulo 0 is itself; floats are exact
 * where the quotient is below 2^23.
 */
export const remainder: Binary = elementwise('remainder', {
  type: numeric,
  lower: (x, y) => {
    const rest = x.dtype === 'float32' ? s.fmod(x, y) : s.sub(x, s.mul(s.div(x, y), y));
    return s.select(crossesZero(rest, y), s.add(rest, y), rest);
  },
  gradient: (g, { inputs, needs }) => {
    const [x, y] = inputs as Pair;
    return [g, needs[1] ? neg(mul(g, quotientFloor(x, y))) : null];
  },
  saves: 'inputs',
  sample: [
    [-9, 9],
    [1, 4],
  ],
});

/**
 * Remainder with the sign of the dividend, as in C (`torch.fmod`). An integer modulo 0 is itself; floats are exact where the
 * quotient is below 2^23.
 */
export const fmod: Binary = elementwise('fmod', {
  type: numeric,
  lower: (x, y) => (x.dtype === 'float32' ? s.fmod(x, y) : s.sub(x, s.mul(s.div(x, y), y))),
  gradient: (g, { inputs, needs }) => {
    const [x, y] = inputs as Pair;
    return [g, needs[1] ? neg(mul(g, quotientTrunc(x, y))) : null];
  },
  saves: 'inputs',
  sample: [
    [-9, 9],
    [1, 4],
  ],
});

const power: Binary = elementwise('pow', {
  type: powerType,
  precise: true,
  lower: (x, y) => (x.dtype === 'float32' ? s.pow(x, y) : integerPower(x, y)),
  gradient: powerGradient,
  saves: 'inputs',
  sample: [
    [0.25, 3],
    [-2, 3],
  ],
});

const LARGEST_FIXED_POWER = 8;
const fixedPowers = new Map<number, Unary>();

/** The power by a small integer other than 0, which is part of the kernel: products instead of the general function. */
function fixedPower(n: number): Unary {
  const known = fixedPowers.get(n);
  if (known) return known;
  const made: Unary = elementwise('pow', {
    type: (op, [x]) => powerType(op, [x as Tensor, n]),
    precise: true,
    lower: (x) => (n < 0 ? s.div(1, repeatedProduct(x, -n)) : repeatedProduct(x, n)),
    gradient: n === 1 ? (g) => [g] : fromInput((g, x) => mul(g, mul(pow(x, n - 1), n))),
    saves: n === 1 ? 'nothing' : 'inputs',
    sample: n < 0 ? [0.5, 3] : [-3, 3],
  });
  fixedPowers.set(n, made);
  return made;
}

/**
 * `x` to the power of `y`; the operands broadcast and promote (`torch.pow`). Integers stay integers and wrap around; an
 * integer to the power of a tensor's negative element is 0, but for bases 1 and -1.
 *
 * @throws DTypeError for integers with a negative number as the exponent.
 * @example
 * ```ts
 * const squares = tl.tensor([1, 2, 3]).pow(2); // [1, 4, 9]
 * ```
 */
export const pow: ((x: Operand, y: Operand) => Tensor) & Wrapping = wrapping(
  (x, y) => {
    if (typeof y !== 'number' || typeof x === 'number' || !Number.isInteger(y) || Math.abs(y) > LARGEST_FIXED_POWER)
      return power(x, y);
    if (y !== 0) return fixedPower(y)(x);
    const device = deviceOf('pow', [x]);
    const ones = filled(device, 'pow', powerType('pow', [x, y]), x.shape, 1);
    return taped('pow', { gradient: noGradient, saves: 'nothing' }, [x], ones);
  },
  () => [power, ...[-2, -1, 1, 2, 3, 5].map(fixedPower)],
);

/** The square of each element; bools give int32 (`torch.square`). */
export const square: Unary = elementwise('square', {
  type: (op, [x]) => promoting(op, [x as Tensor, 2]),
  precise: true,
  lower: (x) => s.mul(x, x),
  gradient: fromInput((g, x) => mul(g, mul(x, 2))),
  saves: 'inputs',
  sample: [-3, 3],
});

/** One divided by each element, as float32 (`torch.reciprocal`). */
export const reciprocal: Unary = elementwise('reciprocal', {
  type: floating,
  precise: true,
  lower: (x) => s.div(1, x),
  gradient: fromOutput((g, y) => neg(mul(g, square(y)))),
  saves: 'output',
  sample: [0.5, 3],
});

/** The negative of each element; not for bools (`torch.neg`). */
export const neg: Unary = elementwise('neg', {
  type: numeric,
  lower: s.neg,
  gradient: (g) => [neg(g)],
  sample: [-3, 3],
});

/** The magnitude of each element, whose gradient at 0 is 0; not for bools (`torch.abs`). */
export const abs: Unary = elementwise('abs', {
  type: numeric,
  lower: s.abs,
  gradient: fromInput((g, x) => mul(g, sign(x))),
  saves: 'inputs',
  sample: [-3, 3],
  kinks: [0],
});

/** -1, 0 or 1 by the sign of each element; NaN gives 0 (`torch.sign`). */
export const sign: Unary = elementwise('sign', {
  type: promoting,
  lower: (x) => (x.dtype === 'bool' ? x : s.select(s.lt(0, x), 1, s.select(s.lt(x, 0), s.constant(-1, x.dtype), 0))),
  gradient: noGradient,
  sample: [-3, 3],
  kinks: [0],
});

/** The larger of two elements, NaN if either is; equal ones share the gradient (`torch.maximum`). */
export const maximum: Binary = elementwise('maximum', {
  type: promoting,
  lower: s.max,
  gradient: (g, { inputs }) => sharedGradient(g, inputs as Pair, lt),
  saves: 'inputs',
  sample: [-3, 3],
});

/** The smaller of two elements, NaN if either is; equal ones share the gradient (`torch.minimum`). */
export const minimum: Binary = elementwise('minimum', {
  type: promoting,
  lower: s.min,
  gradient: (g, { inputs }) => sharedGradient(g, inputs as Pair, gt),
  saves: 'inputs',
  sample: [-3, 3],
});

const clampBoth: Ternary = elementwise('clamp', {
  type: numeric,
  lower: (x, low, high) => s.min(s.max(x, low), high),
  gradient: clampGradient,
  saves: 'inputs',
  sample: [
    [-4, 4],
    [-2, -1],
    [1, 2],
  ],
});

const clampMin: Binary = elementwise('clamp', {
  type: numeric,
  lower: s.max,
  gradient: (g, { inputs, needs }) => {
    const [x, low] = inputs as Pair;
    return [where(ge(x, low), g, 0), needs[1] ? where(lt(x, low), g, 0) : null];
  },
  saves: 'inputs',
  sample: [-3, 3],
});

const clampMax: Binary = elementwise('clamp', {
  type: numeric,
  lower: s.min,
  gradient: (g, { inputs, needs }) => {
    const [x, high] = inputs as Pair;
    return [where(le(x, high), g, 0), needs[1] ? where(gt(x, high), g, 0) : null];
  },
  saves: 'inputs',
  sample: [-3, 3],
});

/** Options of `clamp`: at least one of them. */
export interface ClampOptions {
  readonly min?: Operand | undefined;
  readonly max?: Operand | undefined;
}

/**
 * Elements limited to the range from `min` to `max`, which are numbers or tensors; `max` where they cross. The gradient passes
 * at the bounds themselves (`torch.clamp`).
 *
 * @throws UnsupportedError when both bounds are missing.
 * @example
 * ```ts
 * const y = x.clamp({ min: 0, max: 1 });
 * ```
 */
export const clamp: ((x: Tensor, options: ClampOptions) => Tensor) & Wrapping = wrapping(
  (x, options) => {
    checkOptions('clamp', options, ['min', 'max']);
    const { min, max } = options;
    if (min !== undefined && max !== undefined) return clampBoth(x, min, max);
    if (min !== undefined) return clampMin(x, min);
    if (max !== undefined) return clampMax(x, max);
    throw new UnsupportedError('clamp: neither min nor max is given; give at least one, as in clamp({ min: 0 })');
  },
  () => [clampBoth, clampMin, clampMax],
);

/** From `x` to `y` by `weight`, extrapolating outside 0 to 1; float32 (`torch.lerp`). */
export const lerp: ((x: Tensor, y: Tensor, weight: Operand) => Tensor) & Recorded = elementwise('lerp', {
  type: floating,
  // From the nearer end, so that both ends are met exactly.
  lower: (x, y, w) => {
    const way = s.sub(y, x);
    return s.select(s.lt(s.abs(w), 0.5), s.add(x, s.mul(w, way)), s.sub(y, s.mul(way, s.sub(1, w))));
  },
  gradient: (g, { inputs, needs }) => {
    const [x, y, w] = inputs as readonly [Tensor, Tensor, Operand];
    const back = typeof w === 'number' ? 1 - w : needs[0] ? sub(1, w) : 0;
    return [needs[0] ? mul(g, back) : null, needs[1] ? mul(g, w) : null, needs[2] ? mul(g, sub(y, x)) : null];
  },
  saves: 'inputs',
  sample: [
    [-3, 3],
    [-3, 3],
    [-0.5, 1.5],
  ],
});

// Rounding

/** The largest integer that is not larger, as the same dtype (`torch.floor`). */
export const floor: Unary = elementwise('floor', {
  type: numeric,
  lower: s.floor,
  gradient: noGradient,
  sample: [-4.5, 4.5],
});
/** The smallest integer that is not smaller, as the same dtype (`torch.ceil`). */
export const ceil: Unary = elementwise('ceil', {
  type: numeric,
  lower: s.ceil,
  gradient: noGradient,
  sample: [-4.5, 4.5],
});
/** Without the fraction, as the same dtype (`torch.trunc`). */
export const trunc: Unary = elementwise('trunc', {
  type: numeric,
  lower: s.trunc,
  gradient: noGradient,
  sample: [-4.5, 4.5],
});
/** The nearest integer, halves to the even one, as the same dtype (`torch.round`). */
export const round: Unary = elementwise('round', {
  type: numeric,
  lower: s.round,
  gradient: noGradient,
  sample: [-4.5, 4.5],
});

// Exponentials and roots

/** e to the power of each element, as float32 (`torch.exp`). */
export const exp: Unary = elementwise('exp', {
  type: floating,
  precise: true,
  lower: s.exp,
  gradient: fromOutput((g, y) => mul(g, y)),
  saves: 'output',
  sample: [-4, 4],
});
/** exp(x) - 1, accurate near 0, as float32 (`torch.expm1`). */
export const expm1: Unary = elementwise('expm1', {
  type: floating,
  precise: true,
  lower: s.expm1,
  gradient: fromOutput((g, y) => mul(g, add(y, 1))),
  saves: 'output',
  sample: [-4, 4],
});
/** The natural logarithm, as float32; NaN below 0 (`torch.log`). */
export const log: Unary = elementwise('log', {
  type: floating,
  precise: true,
  lower: s.log,
  gradient: fromInput((g, x) => div(g, x)),
  saves: 'inputs',
  sample: [0.25, 4],
});
/** log(1 + x), accurate near 0, as float32 (`torch.log1p`). */
export const log1p: Unary = elementwise('log1p', {
  type: floating,
  precise: true,
  lower: s.log1p,
  gradient: fromInput((g, x) => div(g, add(x, 1))),
  saves: 'inputs',
  sample: [-0.5, 4],
});
/** The logarithm to base 2, as float32 (`torch.log2`). */
export const log2: Unary = elementwise('log2', {
  type: floating,
  precise: true,
  lower: s.log2,
  gradient: fromInput((g, x) => div(g, mul(x, LN2))),
  saves: 'inputs',
  sample: [0.25, 4],
});
/** The logarithm to base 10, as float32 (`torch.log10`). */
export const log10: Unary = elementwise('log10', {
  type: floating,
  precise: true,
  lower: (x) => s.mul(s.log2(x), LN2 / LN10),
  gradient: fromInput((g, x) => div(g, mul(x, LN10))),
  saves: 'inputs',
  sample: [0.25, 4],
});
/** The square root, as float32; NaN below 0 (`torch.sqrt`). */
export const sqrt: Unary = elementwise('sqrt', {
  type: floating,
  lower: s.sqrt,
  gradient: fromOutput((g, y) => div(g, mul(y, 2))),
  saves: 'output',
  sample: [0.25, 4],
});
/** One over the square root, as float32 (`torch.rsqrt`). */
export const rsqrt: Unary = elementwise('rsqrt', {
  type: floating,
  precise: true,
  lower: (x) => s.div(1, s.sqrt(x)),
  gradient: fromOutput((g, y) => mul(g, mul(pow(y, 3), -0.5))),
  saves: 'output',
  sample: [0.25, 4],
});
/** The Gauss error function, as float32 (`torch.erf`). */
export const erf: Unary = elementwise('erf', {
  type: floating,
  lower: s.erf,
  gradient: fromInput((g, x) => mul(g, mul(exp(neg(square(x))), 2 / Math.sqrt(Math.PI)))),
  saves: 'inputs',
  sample: [-3, 3],
});

// Trigonometry

/** The sine of radians, as float32; less accurate beyond ±1e4 (`torch.sin`). */
export const sin: Unary = elementwise('sin', {
  type: floating,
  lower: s.sin,
  gradient: fromInput((g, x) => mul(g, cos(x))),
  saves: 'inputs',
  sample: [-7, 7],
});
/** The cosine of radians, as float32; less accurate beyond ±1e4 (`torch.cos`). */
export const cos: Unary = elementwise('cos', {
  type: floating,
  lower: s.cos,
  gradient: fromInput((g, x) => neg(mul(g, sin(x)))),
  saves: 'inputs',
  sample: [-7, 7],
});
/** The tangent of radians, as float32; less accurate beyond ±1e4 (`torch.tan`). */
export const tan: Unary = elementwise('tan', {
  type: floating,
  precise: true,
  lower: s.tan,
  gradient: fromOutput((g, y) => mul(g, add(square(y), 1))),
  saves: 'output',
  sample: [-1.25, 1.25],
});
/** The angle of a sine, in radians, as float32; NaN outside -1 to 1 (`torch.asin`). */
export const asin: Unary = elementwise('asin', {
  type: floating,
  precise: true,
  lower: s.asin,
  gradient: fromInput((g, x) => mul(g, rsqrt(mul(sub(1, x), add(x, 1))))),
  saves: 'inputs',
  sample: [-0.875, 0.875],
});
/** The angle of a cosine, in radians, as float32; NaN outside -1 to 1 (`torch.acos`). */
export const acos: Unary = elementwise('acos', {
  type: floating,
  precise: true,
  lower: s.acos,
  gradient: fromInput((g, x) => neg(mul(g, rsqrt(mul(sub(1, x), add(x, 1)))))),
  saves: 'inputs',
  sample: [-0.875, 0.875],
});
/** The angle of a tangent, in radians, as float32 (`torch.atan`). */
export const atan: Unary = elementwise('atan', {
  type: floating,
  lower: s.atan,
  gradient: fromInput((g, x) => div(g, add(square(x), 1))),
  saves: 'inputs',
  sample: [-4, 4],
});
/** The angle of the point (y, x) from the x axis, in radians, as float32; the first argument is y (`torch.atan2`). */
export const atan2: Binary = elementwise('atan2', {
  type: floating,
  lower: s.atan2,
  gradient: (g, { inputs, needs }) => {
    const [y, x] = inputs as Pair;
    const slope = div(g, add(typeof y === 'number' ? y * y : square(y), typeof x === 'number' ? x * x : square(x)));
    return [needs[0] ? mul(slope, x) : null, needs[1] ? neg(mul(slope, y)) : null];
  },
  saves: 'inputs',
  sample: [
    [-3, 3],
    [0.5, 3],
  ],
});
/** The hyperbolic sine, as float32 (`torch.sinh`). */
export const sinh: Unary = elementwise('sinh', {
  type: floating,
  precise: true,
  lower: s.sinh,
  gradient: fromInput((g, x) => mul(g, cosh(x))),
  saves: 'inputs',
  sample: [-3, 3],
});
/** The hyperbolic cosine, as float32 (`torch.cosh`). */
export const cosh: Unary = elementwise('cosh', {
  type: floating,
  precise: true,
  lower: s.cosh,
  gradient: fromInput((g, x) => mul(g, sinh(x))),
  saves: 'inputs',
  sample: [-3, 3],
});
/** The hyperbolic tangent, as float32 (`torch.tanh`). */
export const tanh: Unary = elementwise('tanh', {
  type: floating,
  lower: s.tanh,
  gradient: fromOutput((g, y) => mul(g, sub(1, square(y)))),
  saves: 'output',
  sample: [-3, 3],
});

// Activations

/**
 * The logistic function 1 / (1 + exp(-x)), as float32 (`torch.sigmoid`).
 *
 * @example
 * ```ts
 * const p = tl.tensor([-100, 0, 100]).sigmoid(); // [0, 0.5, 1]
 * ```
 */
export const sigmoid: Unary = elementwise('sigmoid', {
  type: floating,
  lower: logistic,
  gradient: fromOutput((g, y) => mul(g, mul(y, sub(1, y)))),
  saves: 'output',
  sample: [-8, 8],
});
/** log(sigmoid(x)) without underflow, as float32 (`F.logsigmoid`). */
export const logSigmoid: Unary = elementwise('logSigmoid', {
  type: floating,
  lower: (x) => s.neg(smoothRamp(s.neg(x))),
  gradient: fromInput((g, x) => mul(g, sigmoid(neg(x)))),
  saves: 'inputs',
  sample: [-8, 8],
});
/** max(x, 0), whose gradient at 0 is 0; not for bools (`torch.relu`). */
export const relu: Unary = elementwise('relu', {
  type: numeric,
  lower: (x) => s.max(x, 0),
  gradient: fromOutput((g, y) => passed(g, y)),
  saves: 'output',
  sample: [-3, 3],
  kinks: [0],
});
/** A gradient where an element is above 0, and 0 elsewhere. */
const passed: Binary = elementwise('relu', {
  type: numeric,
  lower: (g, y) => s.select(s.le(y, 0), 0, g),
  gradient: (g, { inputs }) => [passed(g, inputs[1]!), null],
  saves: [1],
  sample: [1, 3],
});
/** Elements limited to 0 to 6, with gradient 0 at these bounds (`F.relu6`). */
export const relu6: Unary = elementwise('relu6', {
  type: numeric,
  lower: (x) => s.min(s.max(x, 0), 6),
  gradient: fromInput((g, x) => where(outside(x, 0, 6), 0, g)),
  saves: 'inputs',
  sample: [-3, 9],
  kinks: [0, 6],
});

const leaky: Parametric = elementwise('leakyRelu', {
  type: floating,
  lower: (x, slope) => s.select(s.lt(0, x), x, s.mul(x, slope)),
  gradient: (g, { inputs }) => {
    const [x, slope] = inputs as Pair;
    return [where(gt(x, 0), g, mul(g, slope))];
  },
  saves: 'inputs',
  sample: [-3, 3],
  kinks: [0],
  numbers: [null, 0.125],
});

/** x above 0 and `negativeSlope` (0.01) times x elsewhere, as float32; at 0 the gradient is the slope (`F.leaky_relu`). */
export const leakyRelu: ((x: Tensor, options?: { readonly negativeSlope?: number | undefined }) => Tensor) & Wrapping =
  wrapping(
    (x, options) => leaky(x, numberOptions('leakyRelu', options, { negativeSlope: 0.01 }).negativeSlope),
    () => [leaky],
  );

const eluOp: Parametric = exponentialLinear('elu');
const celuOp: Parametric = exponentialLinear('celu');
const seluOp: Parametric = exponentialLinear('selu');

/** x above 0 and alpha * (exp(x) - 1) elsewhere, as float32; at 0 the gradient is alpha (`F.elu`). */
export const elu: ((x: Tensor, options?: AlphaOptions) => Tensor) & Wrapping = wrapping(
  (x, options) => eluOp(x, numberOptions('elu', options, { alpha: 1 }).alpha, 1, 1),
  () => [eluOp],
);
/** x above 0 and alpha * (exp(x / alpha) - 1) elsewhere, as float32 (`F.celu`). */
export const celu: ((x: Tensor, options?: AlphaOptions) => Tensor) & Wrapping = wrapping(
  (x, options) => {
    const { alpha } = numberOptions('celu', options, { alpha: 1 });
    return celuOp(x, alpha, 1, 1 / alpha);
  },
  () => [celuOp],
);
/** The self-normalizing elu with its two fixed constants, as float32 (`F.selu`). */
export const selu: ((x: Tensor) => Tensor) & Wrapping = wrapping(
  (x) => seluOp(x, 1.6732632423543772, 1.0507009873554805, 1),
  () => [seluOp],
);

const geluErf: Unary = elementwise('gelu', {
  type: floating,
  lower: (x) => s.mul(x, s.mul(s.add(s.erf(s.mul(x, SQRT_HALF)), 1), 0.5)),
  gradient: fromInput((g, x) => {
    const below = mul(add(erf(mul(x, SQRT_HALF)), 1), 0.5);
    const density = mul(exp(mul(square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return mul(g, add(below, mul(x, density)));
  }),
  saves: 'inputs',
  sample: [-4, 4],
});

// 0.5 * (1 + tanh(u)) is sigmoid(2u). Beyond ±50 it is 0 or 1 in any precision; the products of the gradient must not overflow there.
const GELU_LINEAR = 2 * Math.sqrt(2 / Math.PI);
const GELU_CUBIC = GELU_LINEAR * 0.044715;
const geluTanh: Unary = elementwise('gelu', {
  type: floating,
  lower: (x) => s.gated(x, s.mul(x, s.add(s.mul(s.mul(x, x), GELU_CUBIC), GELU_LINEAR))),
  gradient: fromInput((g, x) => {
    const near = clampBoth(x, -50, 50);
    const squared = square(near);
    const gate = sigmoid(mul(near, add(mul(squared, GELU_CUBIC), GELU_LINEAR)));
    const slope = mul(mul(gate, sub(1, gate)), add(mul(squared, 3 * GELU_CUBIC), GELU_LINEAR));
    return mul(g, add(gate, mul(near, slope)));
  }),
  saves: 'inputs',
  sample: [-4, 4],
});

/** Options of `gelu`. */
export interface GeluOptions {
  /** 'none': by the error function. 'tanh': by the approximation that GPT-2 uses. */
  readonly approximate?: 'none' | 'tanh' | undefined;
}

/**
 * x times the normal distribution's share below x, exact or approximate, as float32 (`F.gelu`).
 *
 * @example
 * ```ts
 * const y = x.gelu({ approximate: 'tanh' });
 * ```
 */
export const gelu: ((x: Tensor, options?: GeluOptions) => Tensor) & Wrapping = wrapping(
  (x, options) => {
    if (!options) return geluErf(x);
    checkOptions('gelu', options, ['approximate']);
    const kind = options.approximate ?? 'none';
    if (kind === 'none') return geluErf(x);
    if (kind === 'tanh') return geluTanh(x);
    throw new UnsupportedError(`gelu: no approximation ${describe(kind)}; use 'none' or 'tanh'`);
  },
  () => [geluErf, geluTanh],
);

/** x * sigmoid(x), also called swish, as float32 (`F.silu`). */
export const silu: Unary = elementwise('silu', {
  type: floating,
  lower: (x) => s.gated(x, x),
  gradient: fromInput((g, x) => {
    const gate = sigmoid(x);
    return mul(g, mul(gate, add(mul(x, sub(1, gate)), 1)));
  }),
  saves: 'inputs',
  sample: [-6, 6],
});
/** x * tanh(softplus(x)), as float32 (`F.mish`). */
export const mish: Unary = elementwise('mish', {
  type: floating,
  lower: (x) => s.mul(x, s.tanh(smoothRamp(x))),
  gradient: fromInput((g, x) => {
    const gate = tanh(softplus(x));
    return mul(g, add(gate, mul(mul(x, sigmoid(x)), sub(1, square(gate)))));
  }),
  saves: 'inputs',
  sample: [-6, 6],
});

const softRamp: Parametric = elementwise('softplus', {
  type: floating,
  precise: true,
  lower: (x, beta, threshold) => {
    const z = s.mul(x, beta);
    return s.select(s.lt(threshold, z), x, s.div(smoothRamp(z), beta));
  },
  gradient: (g, { inputs }) => {
    const [x, beta, threshold] = inputs as readonly [Tensor, Operand, Operand];
    const z = mul(x, beta);
    return [where(gt(z, threshold), g, mul(g, sigmoid(z)))];
  },
  saves: 'inputs',
  sample: [-6, 6],
  numbers: [null, 2, 20],
});

/** Options of `softplus`. */
export interface SoftplusOptions {
  /** Steepness, 1 by default. */
  readonly beta?: number | undefined;
  /** Where `beta * x` is larger, the result is x itself; 20 by default. */
  readonly threshold?: number | undefined;
}

/** log(1 + exp(beta * x)) / beta without overflow, as float32 (`F.softplus`). */
export const softplus: ((x: Tensor, options?: SoftplusOptions) => Tensor) & Wrapping = wrapping(
  (x, options) => {
    const { beta, threshold } = numberOptions('softplus', options, { beta: 1, threshold: 20 });
    return softRamp(x, beta, threshold);
  },
  () => [softRamp],
);

/** x / (1 + |x|), as float32 (`F.softsign`). */
export const softsign: Unary = elementwise('softsign', {
  type: floating,
  lower: (x) => s.div(x, s.add(s.abs(x), 1)),
  gradient: fromInput((g, x) => div(g, square(add(abs(x), 1)))),
  saves: 'inputs',
  sample: [-4, 4],
  kinks: [0],
});

const hardRange: Parametric = elementwise('hardtanh', {
  type: numeric,
  lower: (x, low, high) => s.min(s.max(x, low), high),
  gradient: (g, { inputs }) => {
    const [x, low, high] = inputs as readonly [Tensor, Operand, Operand];
    return [where(outside(x, low, high), 0, g)];
  },
  saves: 'inputs',
  sample: [-3, 3],
  kinks: [-1, 1],
  numbers: [null, -1, 1],
});

/** Options of `hardtanh`. */
export interface HardtanhOptions {
  /** Lower bound, -1 by default. */
  readonly minVal?: number | undefined;
  /** Upper bound, 1 by default. */
  readonly maxVal?: number | undefined;
}

/** Elements limited to `minVal` to `maxVal`; unlike `clamp`, the gradient at the bounds is 0 (`F.hardtanh`). */
export const hardtanh: ((x: Tensor, options?: HardtanhOptions) => Tensor) & Wrapping = wrapping(
  (x, options) => {
    const { minVal, maxVal } = numberOptions('hardtanh', options, { minVal: -1, maxVal: 1 });
    return hardRange(x, minVal, maxVal);
  },
  () => [hardRange],
);

/** x / 6 + 0.5 limited to 0 to 1, as float32 (`F.hardsigmoid`). */
export const hardsigmoid: Unary = elementwise('hardsigmoid', {
  type: floating,
  lower: hardLogistic,
  gradient: fromInput((g, x) => where(outside(x, -3, 3), 0, div(g, 6))),
  saves: 'inputs',
  sample: [-5, 5],
  kinks: [-3, 3],
});
/** x * hardsigmoid(x), as float32 (`F.hardswish`). */
export const hardswish: Unary = elementwise('hardswish', {
  type: floating,
  lower: (x) => s.mul(x, hardLogistic(x)),
  gradient: fromInput((g, x) => where(lt(x, -3), 0, where(le(x, 3), mul(g, add(div(x, 3), 0.5)), g))),
  saves: 'inputs',
  sample: [-5, 5],
  kinks: [-3, 3],
});

// Comparison, logic and bits

/** Whether two elements are equal; NaN equals nothing (`torch.eq`). Gives bool. */
export const eq: Binary = elementwise('eq', { type: promoting, lower: s.eq, gradient: null, sample: [-2, 2] });
/** Whether two elements differ; NaN differs from everything (`torch.ne`). Gives bool. */
export const ne: Binary = elementwise('ne', { type: promoting, lower: s.ne, gradient: null, sample: [-2, 2] });
/** Whether the first element is smaller (`torch.lt`). Gives bool. */
export const lt: Binary = elementwise('lt', { type: promoting, lower: s.lt, gradient: null, sample: [-2, 2] });
/** Whether the first element is smaller or equal (`torch.le`). Gives bool. */
export const le: Binary = elementwise('le', { type: promoting, lower: s.le, gradient: null, sample: [-2, 2] });
/** Whether the first element is larger (`torch.gt`). Gives bool. */
export const gt: Binary = elementwise('gt', { type: promoting, lower: s.gt, gradient: null, sample: [-2, 2] });
/** Whether the first element is larger or equal (`torch.ge`). Gives bool. */
export const ge: Binary = elementwise('ge', { type: promoting, lower: s.ge, gradient: null, sample: [-2, 2] });

const truth: TypeRule = () => 'bool';

/** Whether both are non-zero; NaN counts as non-zero (`torch.logical_and`). Gives bool. */
export const logicalAnd: Binary = elementwise('logicalAnd', {
  type: truth,
  lower: s.and,
  gradient: null,
  sample: [0, 1],
});
/** Whether either is non-zero (`torch.logical_or`). Gives bool. */
export const logicalOr: Binary = elementwise('logicalOr', { type: truth, lower: s.or, gradient: null, sample: [0, 1] });
/** Whether exactly one is non-zero (`torch.logical_xor`). Gives bool. */
export const logicalXor: Binary = elementwise('logicalXor', {
  type: truth,
  lower: s.xor,
  gradient: null,
  sample: [0, 1],
});
/** Whether it is 0 (`torch.logical_not`). Gives bool. */
export const logicalNot: Unary = elementwise('logicalNot', {
  type: truth,
  lower: s.not,
  gradient: null,
  sample: [0, 1],
});

/** Whether it is NaN (`torch.isnan`). Gives bool. */
export const isnan: Unary = elementwise('isnan', {
  type: promoting,
  lower: (x) => (x.dtype === 'float32' ? s.isnan(x) : s.ne(x, x)),
  gradient: null,
  sample: [-3, 3],
});
/** Whether it is positive or negative infinity (`torch.isinf`). Gives bool. */
export const isinf: Unary = elementwise('isinf', {
  type: promoting,
  lower: (x) => (x.dtype === 'float32' ? s.eq(magnitudeBits(x), INFINITY_BITS) : s.ne(x, x)),
  gradient: null,
  sample: [-3, 3],
});
/** Whether it is neither infinite nor NaN (`torch.isfinite`). Gives bool. */
export const isfinite: Unary = elementwise('isfinite', {
  type: promoting,
  lower: (x) => (x.dtype === 'float32' ? s.lt(magnitudeBits(x), INFINITY_BITS) : s.eq(x, x)),
  gradient: null,
  sample: [-3, 3],
});

/** The bits that both have; integers and bools (`torch.bitwise_and`). */
export const bitwiseAnd: Binary = elementwise('bitwiseAnd', {
  type: integral,
  lower: s.and,
  gradient: null,
  sample: [-9, 9],
});
/** The bits that either has; integers and bools (`torch.bitwise_or`). */
export const bitwiseOr: Binary = elementwise('bitwiseOr', {
  type: integral,
  lower: s.or,
  gradient: null,
  sample: [-9, 9],
});
/** The bits that exactly one has; integers and bools (`torch.bitwise_xor`). */
export const bitwiseXor: Binary = elementwise('bitwiseXor', {
  type: integral,
  lower: s.xor,
  gradient: null,
  sample: [-9, 9],
});
/** The opposite of every bit; integers and bools (`torch.bitwise_not`). */
export const bitwiseNot: Unary = elementwise('bitwiseNot', {
  type: integral,
  lower: s.not,
  gradient: null,
  sample: [-9, 9],
});

// Conversion

const casts: Readonly<Record<DType, Unary>> = {
  float32: castTo('float32'),
  float16: castTo('float16'),
  int32: castTo('int32'),
  uint32: castTo('uint32'),
  int8: castTo('int8'),
  uint8: castTo('uint8'),
  bool: castTo('bool'),
};

/**
 * The elements in another dtype, in storage of their own; a view where the dtype is the same (`Tensor.to`). Floats lose their
 * fraction on the way to integers, which saturate, and NaN becomes 0; anything non-zero is true. int8 and uint8 keep the last eight
 * bits of the int32, so that 256 and -1 become 0 and 255 in uint8.
 *
 * @throws DTypeError for a dtype that there is not.
 */
export const cast: ((x: Tensor, dtype: DType) => Tensor) & Wrapping = wrapping(
  (x, dtype) => {
    deviceOf('to', [x]);
    if (!isDType(dtype)) throw new DTypeError(`to: ${describe(dtype)} is no dtype; use ${DTYPES}`);
    return x.dtype === dtype ? viewed('to', x, x.view, (g) => [g]) : casts[dtype](x);
  },
  // That to float16 is tested with the devices that have it.
  () => [casts.float32, casts.int32, casts.uint32, casts.int8, casts.uint8, casts.bool],
);

/* @__NO_SIDE_EFFECTS__ */
function castTo(dtype: DType): Unary {
  const gradient: GradientRule | null = isFloating(dtype) ? (g) => [g] : null;
  return elementwise('to', { type: () => dtype, lower: (x) => x, gradient, sample: [-3, 3] });
}

// Type rules

/** As `promoting`, for integers and bools only. */
function integral(op: string, operands: readonly Operand[]): DType {
  const dtype = promoting(op, operands);
  if (isFloating(dtype))
    throw new DTypeError(`${op}: ${dtype} tensors have no bitwise ops; convert with .to('int32') first`);
  return dtype;
}

/** As `promoting`, but bools count as integers, and integers have no negative power. */
function powerType(op: string, operands: readonly Operand[]): DType {
  const dtype = promoting(op, operands);
  if (isFloating(dtype)) return dtype;
  const [, y] = operands;
  if (typeof y === 'number' && y < 0)
    throw new DTypeError(
      `${op}: ${dtype} to the power of ${y} is no integer; convert the base with .to('float32') first`,
    );
  return dtype === 'bool' ? 'int32' : dtype;
}

// Gradients

type Pair = readonly [Tensor, Tensor];

/** The gradient of an op of one tensor, from what went in. */
/* @__NO_SIDE_EFFECTS__ */
function fromInput(rule: (g: Tensor, x: Tensor) => Tensor): GradientRule {
  return (g, { inputs: [x] }) => [rule(g, x as Tensor)];
}

/** The gradient of an op of one tensor, from what came out. */
/* @__NO_SIDE_EFFECTS__ */
function fromOutput(rule: (g: Tensor, y: Tensor) => Tensor): GradientRule {
  return (g, { output }) => [rule(g, output)];
}

/** The zeros that a step function has for a gradient. */
function noGradient(...[g, { shapes, needs }]: Parameters<GradientRule>): (Tensor | null)[] {
  return shapes.map((shape, i) => (needs[i] ? filled(g.device, 'zeros', 'float32', shape, 0) : null));
}

/** Half of the gradient for each where they are equal, none for the operand that lost. */
function sharedGradient(g: Tensor, [x, y]: Pair, lost: Binary): Tensor[] {
  const share = where(eq(x, y), mul(g, 0.5), g);
  return [where(lost(x, y), 0, share), where(lost(y, x), 0, share)];
}

function clampGradient(...[g, { inputs, needs }]: Parameters<GradientRule>): (Tensor | null)[] {
  const [x, low, high] = inputs as readonly [Tensor, Operand, Operand];
  const crossed = (): Tensor => gt(low, high);
  return [
    needs[0] ? where(logicalAnd(ge(x, low), le(x, high)), g, 0) : null,
    needs[1] ? where(logicalOr(ge(x, low), crossed()), 0, g) : null,
    needs[2] ? where(logicalOr(gt(x, high), crossed()), g, 0) : null,
  ];
}

/**
 * y * x^(y - 1) and x^y * log(x). The one is 0 for exponent 0 and the other for base 0, where a factor is infinite or NaN: the
 * base is 1 there, so that no order of derivative multiplies 0 by infinity.
 */
function powerGradient(...[g, { inputs, needs }]: Parameters<GradientRule>): (Tensor | null)[] {
  const [x, y] = inputs as readonly [Operand, Operand];
  const byBase = (): Tensor => {
    if (typeof y === 'number') return mul(pow(x, y - 1), y);
    const flat = logicalAnd(eq(y, 0), logicalOr(eq(x, 0), ne(x, x)));
    return mul(pow(where(flat, 1, x), sub(y, 1)), y);
  };
  const byExponent = (): Tensor => {
    const value = power(x, y);
    if (typeof x === 'number') return mul(value, x === 0 ? where(ge(y, 0), 0, Number.NEGATIVE_INFINITY) : Math.log(x));
    return mul(value, log(where(logicalAnd(eq(x, 0), ge(y, 0)), 1, x)));
  };
  return [needs[0] ? mul(g, byBase()) : null, needs[1] ? mul(g, byExponent()) : null];
}

const outside = (x: Tensor, low: Operand, high: Operand): Tensor => logicalOr(le(x, low), ge(x, high));

function filled(device: Device, op: string, dtype: DType, shape: Shape, value: number): Tensor {
  return produce(device, op, dtype, shape, {
    template: template('map', s.constant(value, dtype)),
    space: shape,
    inputs: [],
  });
}

// Expressions

/** 1 / (1 + exp(-x)) without overflow. */
function logistic(x: Expr): Expr {
  return s.div(1, s.add(s.exp(s.neg(x)), 1));
}

/** log(1 + exp(x)) without overflow. */
function smoothRamp(x: Expr): Expr {
  return s.add(s.max(x, 0), s.log1p(s.exp(s.neg(s.abs(x)))));
}

function hardLogistic(x: Expr): Expr {
  return s.div(s.min(s.max(s.add(x, 3), 0), 6), 6);
}

/** scale * (x above 0, alpha * (exp(inputScale * x) - 1) elsewhere): elu, celu and selu. */
/* @__NO_SIDE_EFFECTS__ */
function exponentialLinear(op: string): Parametric {
  return elementwise(op, {
    type: floating,
    lower: (x, alpha, scale, inputScale) =>
      s.mul(s.select(s.lt(0, x), x, s.mul(s.expm1(s.mul(x, inputScale)), alpha)), scale),
    gradient: (g, { inputs }) => {
      const [x, alpha, scale, inputScale] = inputs as unknown as readonly [Tensor, number, number, number];
      // The exponential must be finite where it is not chosen, too: 0 times infinity is NaN.
      const slope = mul(exp(mul(clampMax(x, 0), inputScale)), alpha * scale * inputScale);
      return [mul(g, where(gt(x, 0), scale, slope))];
    },
    saves: 'inputs',
    sample: [-3, 3],
    kinks: [0],
    numbers: [null, 0.75, 1.25, 1.5],
  });
}

function repeatedProduct(x: Expr, n: number): Expr {
  if (n === 1) return x;
  const half = repeatedProduct(x, n >> 1);
  const even = s.mul(half, half);
  return n % 2 === 1 ? s.mul(even, x) : even;
}

/** By squaring, over the 31 bits of the exponent; products wrap around. */
function integerPower(x: Expr, y: Expr): Expr {
  const one = s.constant(1, x.dtype);
  let value: Expr = one;
  let squared = x;
  for (let bit = 0; bit < 31; bit++) {
    const set = s.ne(s.and(y, s.constant(2 ** bit, y.dtype)), 0);
    value = s.mul(value, s.select(set, squared, one));
    squared = s.mul(squared, squared);
  }
  if (x.dtype === 'uint32') return value;
  // Of the inverses of integers, only those of 1 and -1 are integers: x itself, or 1.
  const unit = s.eq(s.mul(x, x), 1);
  return s.select(s.lt(y, 0), s.select(unit, s.select(s.eq(s.and(y, 1), 0), one, x), 0), value);
}

/** The remainder is on the other side of 0 than the divisor, so that the quotient rounded down is one less. */
function crossesZero(rest: Expr, divisor: Expr): Expr {
  return s.and(s.ne(rest, 0), s.xor(s.lt(rest, 0), s.lt(divisor, 0)));
}

function integerFloorQuotient(x: Expr, y: Expr): Expr {
  const quotient = s.div(x, y);
  const rest = s.sub(x, s.mul(quotient, y));
  return s.select(s.and(crossesZero(rest, y), s.ne(y, 0)), s.sub(quotient, 1), quotient);
}

/** From the exact remainder: the rounded quotient may be an integer where the true one lies just below it. */
function floorQuotient(x: Expr, y: Expr): Expr {
  const rest = s.fmod(x, y);
  const quotient = s.round(s.div(s.sub(x, rest), y));
  return s.select(s.eq(y, 0), s.div(x, y), s.select(crossesZero(rest, y), s.sub(quotient, 1), quotient));
}

const INFINITY_BITS = 0x7f800000;

/** The bits but the sign: compilers may assume that there is neither NaN nor infinity, but not for integers. */
function magnitudeBits(x: Expr): Expr {
  return s.and(s.bitcast(x, 'uint32'), 0x7fffffff);
}
