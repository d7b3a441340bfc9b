/*
 * Initial values of parameters, in place and without recording (`torch.nn.init`). All give the tensor back, and draw from the
 * stream of `manualSeed`.
 */
import { noGrad } from '../autograd/grad.ts';
import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { showShape, sizeOf } from '../core/shape.ts';
import { assign_ } from '../ops/assign.ts';
import { rand, randn } from '../ops/creation.ts';
import { add, mul } from '../ops/elementwise.ts';
import { checkOptions, checkTensor } from '../ops/record.ts';
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
