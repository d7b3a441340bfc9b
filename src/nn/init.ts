/*
 * Initial values of parameters, in place and without recording (`torch.nn.init`). All give the tensor back, and draw from the
 * stream of `manualSeed`.
 */
import { noGrad } from '../autograd/grad.ts';
import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { showShape, sizeOf } from '../core/shape.ts';
import { exactFunction } from '../ir/exact.ts';
import { assign_ } from '../ops/assign.ts';
import { rand, randn } from '../ops/creation.ts';
import { add, clamp, log, lt, mul, neg, sqrt, sub } from '../ops/elementwise.ts';
import { where } from '../ops/functions.ts';
import { qr } from '../ops/linalg.ts';
import { checkOptions, checkTensor } from '../ops/record.ts';
import { diagonal, reshape, transpose } from '../ops/structure.ts';
import { internal } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';

function set(op: string, x: Tensor, value: () => Tensor | number): Tensor {
  checkTensor(op, x);
  return internal(op, () => noGrad(() => assign_(x, value())));
}

/** Uniform from `a` up to `b` (`init.uniform_`). */
export function uniform_(x: Tensor, a = 0, b = 1): Tensor {
  return set('uniform_', x, () => add(mul(rand(x.shape, { device: x.device }), b - a), a));
}

/** Normal with the given mean and standard deviation (`init.normal_`). */
export function normal_(x: Tensor, mean = 0, std = 1): Tensor {
  return set('normal_', x, () => add(mul(randn(x.shape, { device: x.device }), std), mean));
}

/** Options of `truncNormal_`. */
export interface TruncNormalOptions {
  /** The mean before the ends are cut off; 0 unless given. */
  readonly mean?: number | undefined;
  /** The standard deviation before that; 1 unless given. */
  readonly std?: number | undefined;
  /** The least value; -2 unless given. */
  readonly a?: number | undefined;
  /** The largest value; 2 unless given. */
  readonly b?: number | undefined;
}

/** Coefficients of the inverse error function, highest power first: for w < 5, and beyond. */
const CENTRAL = [
  2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 0.00021858087, -0.00125372503, -0.00417768164,
  0.246640727, 1.50140941,
];
const TAIL = [
  -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
  1.00167406, 2.83297682,
];

/** The inverse of the error function to seven digits (Giles, "Approximating the erfinv function", GPU Computing Gems 2, 2010). */
function erfinv(x: Tensor): Tensor {
  const w = neg(log(mul(sub(1, x), add(1, x))));
  const polynomial = (of: Tensor, [first = 0, second = 0, ...rest]: readonly number[]): Tensor =>
    rest.reduce((sum, c) => add(mul(sum, of), c), add(mul(of, first), second));
  const central = polynomial(sub(w, 2.5), CENTRAL);
  return mul(x, where(lt(w, 5), central, polynomial(sub(sqrt(w), 3), TAIL)));
}

/**
 * Normal with the given mean and standard deviation, of which only the values from `a` to `b` are drawn (`init.trunc_normal_`).
 *
 * @throws UnsupportedError unless `a` is less than `b` and `std` is above 0.
 * @example
 * ```ts
 * const w = tl.nn.init.truncNormal_(tl.zeros([64, 32]), { std: 0.02, a: -0.04, b: 0.04 });
 * ```
 */
export function truncNormal_(x: Tensor, options: TruncNormalOptions = {}): Tensor {
  const op = 'truncNormal_';
  checkOptions(op, options, ['mean', 'std', 'a', 'b']);
  const { mean = 0, std = 1, a = -2, b = 2 } = options;
  if (!Number.isFinite(mean) || !(std > 0 && Number.isFinite(std)) || !(a < b))
    throw new UnsupportedError(
      `${op}: mean ${mean}, std ${std}, a ${a} and b ${b} are no truncated normal distribution; std must be above 0, and a less than b`,
    );
  const erf = exactFunction('erf');
  const [low, high] = [a, b].map((end) => erf((end - mean) / std / Math.SQRT2, 0)) as [number, number];
  return set(op, x, () => {
    const uniform = add(mul(rand(x.shape, { device: x.device }), high - low), low);
    // At ±1 it would be infinite.
    const inside = clamp(uniform, { min: -1 + 2 ** -24, max: 1 - 2 ** -24 });
    return clamp(add(mul(erfinv(inside), std * Math.SQRT2), mean), { min: a, max: b });
  });
}

/** One value (`init.constant_`). */
export function constant_(x: Tensor, value: number): Tensor {
  return set('constant_', x, () => value);
}

/** Zeros (`init.zeros_`). */
export function zeros_(x: Tensor): Tensor {
  return constant_(x, 0);
}

/** Ones (`init.ones_`). */
export function ones_(x: Tensor): Tensor {
  return constant_(x, 1);
}

/** How many inputs an output has and the other way round, as PyTorch counts them: [out, in, window sizes]. */
function fans(op: string, x: Tensor): { fanIn: number; fanOut: number } {
  const [out = 0, input = 0, ...window] = x.shape;
  if (x.ndim < 2)
    throw new ShapeError(
      `${op}: the tensor of shape ${showShape(x.shape)} has no inputs and outputs to count; it needs at least two dims`,
    );
  return { fanIn: input * sizeOf(window), fanOut: out * sizeOf(window) };
}

/** Nonlinearities that `calculateGain` knows. */
export type Nonlinearity = 'linear' | 'sigmoid' | 'tanh' | 'relu' | 'leakyRelu' | 'selu';

/**
 * The factor by which weights are larger before a nonlinearity, to keep the variance (`init.calculate_gain`). `param` is the
 * negative slope of `leakyRelu`, 0.01 unless given.
 */
export function calculateGain(nonlinearity: Nonlinearity, param = 0.01): number {
  switch (nonlinearity) {
    case 'linear':
    case 'sigmoid':
      return 1;
    case 'tanh':
      return 5 / 3;
    case 'relu':
      return Math.SQRT2;
    case 'leakyRelu':
      return Math.sqrt(2 / (1 + param ** 2));
    case 'selu':
      return 3 / 4;
    default:
      throw new UnsupportedError(
        `calculateGain: ${String(nonlinearity)} is unknown; use linear, sigmoid, tanh, relu, leakyRelu or selu`,
      );
  }
}

/** Uniform in ±gain * sqrt(6 / (inputs + outputs)) (`init.xavier_uniform_`; Glorot and Bengio, AISTATS 2010). */
export function xavierUniform_(x: Tensor, gain = 1): Tensor {
  const { fanIn, fanOut } = fans('xavierUniform_', x);
  const bound = gain * Math.sqrt(6 / (fanIn + fanOut));
  return uniform_(x, -bound, bound);
}

/** Normal with standard deviation gain * sqrt(2 / (inputs + outputs)) (`init.xavier_normal_`). */
export function xavierNormal_(x: Tensor, gain = 1): Tensor {
  const { fanIn, fanOut } = fans('xavierNormal_', x);
  return normal_(x, 0, gain * Math.sqrt(2 / (fanIn + fanOut)));
}

/** Options of the Kaiming initialisers. */
export interface KaimingOptions {
  /** Negative slope of `leakyRelu`; 0 unless given. */
  readonly a?: number | undefined;
  /** Keep the variance forward ('fanIn', the default) or backward ('fanOut'). */
  readonly mode?: 'fanIn' | 'fanOut' | undefined;
  /** 'leakyRelu' unless given. */
  readonly nonlinearity?: Nonlinearity | undefined;
}

function kaiming(op: string, x: Tensor, options: KaimingOptions): number {
  checkOptions(op, options, ['a', 'mode', 'nonlinearity']);
  const { a = 0, mode = 'fanIn', nonlinearity = 'leakyRelu' } = options;
  if (mode !== 'fanIn' && mode !== 'fanOut')
    throw new UnsupportedError(`${op}: mode ${String(mode)} is unknown; use 'fanIn' or 'fanOut'`);
  return calculateGain(nonlinearity, a) / Math.sqrt(fans(op, x)[mode]);
}

/** Uniform in ±gain * sqrt(3 / fan) (`init.kaiming_uniform_`; He et al., arXiv 1502.01852). */
export function kaimingUniform_(x: Tensor, options: KaimingOptions = {}): Tensor {
  const bound = Math.sqrt(3) * kaiming('kaimingUniform_', x, options);
  return uniform_(x, -bound, bound);
}

/** Normal with standard deviation gain / sqrt(fan) (`init.kaiming_normal_`). */
export function kaimingNormal_(x: Tensor, options: KaimingOptions = {}): Tensor {
  return normal_(x, 0, kaiming('kaimingNormal_', x, options));
}

/**
 * A matrix [first dim, all others] whose rows, or columns where they are fewer, are orthogonal and of length `gain`
 * (`init.orthogonal_`; Saxe, McClelland and Ganguli, arXiv 1312.6120).
 *
 * @throws ShapeError for fewer than two dims.
 * @example
 * ```ts
 * const w = tl.nn.init.orthogonal_(tl.zeros([3, 5])); // w @ w^T is the identity
 * ```
 */
export function orthogonal_(x: Tensor, gain = 1): Tensor {
  const op = 'orthogonal_';
  checkTensor(op, x);
  const [rows, ...others] = x.shape;
  if (rows === undefined || others.length === 0)
    throw new ShapeError(`${op}: the tensor of shape ${showShape(x.shape)} is no matrix; it needs at least two dims`);
  const columns = sizeOf(others);
  if (x.size === 0) return x;
  return set(op, x, () => {
    const wide = rows < columns;
    const { q, r } = qr(randn(wide ? [columns, rows] : [rows, columns], { device: x.device }));
    // The signs make the distribution uniform.
    const even = mul(q, where(lt(diagonal(r), 0), -1, 1));
    return mul(reshape(wide ? transpose(even, 0, 1) : even, x.shape), gain);
  });
}
