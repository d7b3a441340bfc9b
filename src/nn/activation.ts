import { DTypeError } from '../core/errors.ts';
import { glu, maxout, prelu, softmin } from '../ops/activations.ts';
import { full } from '../ops/creation.ts';
import {
  type AlphaOptions,
  celu,
  elu,
  type GeluOptions,
  gelu,
  type HardtanhOptions,
  hardsigmoid,
  hardswish,
  hardtanh,
  leakyRelu,
  logSigmoid,
  mish,
  relu,
  relu6,
  type SoftplusOptions,
  selu,
  sigmoid,
  silu,
  softplus,
  softsign,
  tanh,
} from '../ops/elementwise.ts';
import { checkWhole } from '../ops/movement.ts';
import { numberOptions } from '../ops/options.ts';
import { checkOptions, describe } from '../ops/record.ts';
import { logSoftmax, softmax } from '../ops/reductions.ts';
import type { Device } from '../tensor/device.ts';
import { internal } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Module, Parameter } from './module.ts';

/** max(x, 0) (`torch.nn.ReLU`). */
export class ReLU extends Module {
  override forward(x: Tensor): Tensor {
    return relu(x);
  }
}

/** x limited to 0 to 6 (`torch.nn.ReLU6`). */
export class ReLU6 extends Module {
  override forward(x: Tensor): Tensor {
    return relu6(x);
  }
}

/** 1 / (1 + exp(-x)) (`torch.nn.Sigmoid`). */
export class Sigmoid extends Module {
  override forward(x: Tensor): Tensor {
    return sigmoid(x);
  }
}

/** log(sigmoid(x)) (`torch.nn.LogSigmoid`). */
export class LogSigmoid extends Module {
  override forward(x: Tensor): Tensor {
    return logSigmoid(x);
  }
}

/** The hyperbolic tangent (`torch.nn.Tanh`). */
export class Tanh extends Module {
  override forward(x: Tensor): Tensor {
    return tanh(x);
  }
}

/** x * sigmoid(x), also called swish (`torch.nn.SiLU`). */
export class SiLU extends Module {
  override forward(x: Tensor): Tensor {
    return silu(x);
  }
}

/** x * tanh(softplus(x)) (`torch.nn.Mish`). */
export class Mish extends Module {
  override forward(x: Tensor): Tensor {
    return mish(x);
  }
}

/** x / (1 + |x|) (`torch.nn.Softsign`). */
export class Softsign extends Module {
  override forward(x: Tensor): Tensor {
    return softsign(x);
  }
}

/** x / 6 + 0.5 limited to 0 to 1 (`torch.nn.Hardsigmoid`). */
export class Hardsigmoid extends Module {
  override forward(x: Tensor): Tensor {
    return hardsigmoid(x);
  }
}

/** x * hardsigmoid(x) (`torch.nn.Hardswish`). */
export class Hardswish extends Module {
  override forward(x: Tensor): Tensor {
    return hardswish(x);
  }
}

/** The self-normalizing elu with its two fixed constants (`torch.nn.SELU`). */
export class SELU extends Module {
  override forward(x: Tensor): Tensor {
    return selu(x);
  }
}

/** x above 0 and alpha * (exp(x) - 1) elsewhere; alpha is 1 unless given (`torch.nn.ELU`). */
export class ELU extends Module {
  readonly alpha: number;

  constructor(options: AlphaOptions = {}) {
    super();
    this.alpha = numberOptions('ELU', options, { alpha: 1 }).alpha;
  }

  override forward(x: Tensor): Tensor {
    return elu(x, { alpha: this.alpha });
  }

  protected override extra(): string {
    return `alpha=${this.alpha}`;
  }
}

/** x above 0 and alpha * (exp(x / alpha) - 1) elsewhere; alpha is 1 unless given (`torch.nn.CELU`). */
export class CELU extends Module {
  readonly alpha: number;

  constructor(options: AlphaOptions = {}) {
    super();
    this.alpha = numberOptions('CELU', options, { alpha: 1 }).alpha;
  }

  override forward(x: Tensor): Tensor {
    return celu(x, { alpha: this.alpha });
  }

  protected override extra(): string {
    return `alpha=${this.alpha}`;
  }
}

/** x above 0 and a small slope, 0.01 unless given, times x elsewhere (`torch.nn.LeakyReLU`). */
export class LeakyReLU extends Module {
  readonly negativeSlope: number;

  constructor(options: { readonly negativeSlope?: number | undefined } = {}) {
    super();
    this.negativeSlope = numberOptions('LeakyReLU', options, { negativeSlope: 0.01 }).negativeSlope;
  }

  override forward(x: Tensor): Tensor {
    return leakyRelu(x, { negativeSlope: this.negativeSlope });
  }

  protected override extra(): string {
    return `negativeSlope=${this.negativeSlope}`;
  }
}

/** x times the normal distribution's share below x, exact or approximate (`torch.nn.GELU`). */
export class GELU extends Module {
  constructor(private readonly options: GeluOptions = {}) {
    super();
    checkOptions('GELU', options, ['approximate']);
  }

  override forward(x: Tensor): Tensor {
    return gelu(x, this.options);
  }

  protected override extra(): string {
    return `approximate=${this.options.approximate ?? 'none'}`;
  }
}

/** log(1 + exp(beta * x)) / beta (`torch.nn.Softplus`). */
export class Softplus extends Module {
  readonly beta: number;
  readonly threshold: number;

  constructor(options: SoftplusOptions = {}) {
    super();
    ({ beta: this.beta, threshold: this.threshold } = numberOptions('Softplus', options, { beta: 1, threshold: 20 }));
  }

  override forward(x: Tensor): Tensor {
    return softplus(x, { beta: this.beta, threshold: this.threshold });
  }

  protected override extra(): string {
    return `beta=${this.beta}, threshold=${this.threshold}`;
  }
}

/** x limited to `minVal` to `maxVal`, -1 to 1 unless given (`torch.nn.Hardtanh`). */
export class Hardtanh extends Module {
  readonly minVal: number;
  readonly maxVal: number;

  constructor(options: HardtanhOptions = {}) {
    super();
    ({ minVal: this.minVal, maxVal: this.maxVal } = numberOptions('Hardtanh', options, { minVal: -1, maxVal: 1 }));
  }

  override forward(x: Tensor): Tensor {
    return hardtanh(x, { minVal: this.minVal, maxVal: this.maxVal });
  }

  protected override extra(): string {
    return `minVal=${this.minVal}, maxVal=${this.maxVal}`;
  }
}

/** exp(x) normalised along a dim, the last unless given (`torch.nn.Softmax`). */
export class Softmax extends Module {
  constructor(readonly dim: number = -1) {
    super();
  }

  override forward(x: Tensor): Tensor {
    return softmax(x, this.dim);
  }

  protected override extra(): string {
    return `dim=${this.dim}`;
  }
}

/** log(softmax(x)) along a dim, the last unless given (`torch.nn.LogSoftmax`). */
export class LogSoftmax extends Module {
  constructor(readonly dim: number = -1) {
    super();
  }

  override forward(x: Tensor): Tensor {
    return logSoftmax(x, this.dim);
  }

  protected override extra(): string {
    return `dim=${this.dim}`;
  }
}

/** softmax(-x) along a dim, the last unless given (`torch.nn.Softmin`). */
export class Softmin extends Module {
  constructor(readonly dim: number = -1) {
    super();
  }

  override forward(x: Tensor): Tensor {
    return softmin(x, this.dim);
  }

  protected override extra(): string {
    return `dim=${this.dim}`;
  }
}

/** The first half of a dim, the last unless given, times the sigmoid of the second (`torch.nn.GLU`). */
export class GLU extends Module {
  constructor(readonly dim: number = -1) {
    super();
  }

  override forward(x: Tensor): Tensor {
    return glu(x, this.dim);
  }

  protected override extra(): string {
    return `dim=${this.dim}`;
  }
}

/**
 * The largest of each `pieces` neighbours along a dim, the last unless given; see `functional.maxout`.
 *
 * @example
 * ```ts
 * const units = new tl.nn.Sequential(new tl.nn.Linear(8, 3 * 16), new tl.nn.Maxout(3)); // 16 maxout units
 * ```
 */
export class Maxout extends Module {
  constructor(
    readonly pieces: number,
    readonly dim: number = -1,
  ) {
    super();
    checkWhole('Maxout', 'pieces', pieces, 1);
  }

  override forward(x: Tensor): Tensor {
    return maxout(x, this.pieces, this.dim);
  }

  protected override extra(): string {
    return `pieces=${this.pieces}, dim=${this.dim}`;
  }
}

/** Options of `PReLU`. */
export interface PReLUOptions {
  /** The slope to start with; 0.25 unless given. */
  readonly init?: number | undefined;
  /** The default device unless given. */
  readonly device?: Device | undefined;
}

/**
 * x above 0 and a learned slope times x elsewhere: one slope, or one for each of `numParameters` channels, which are dim 1
 * (`torch.nn.PReLU`).
 */
export class PReLU extends Module {
  readonly weight: Tensor;

  constructor(
    readonly numParameters: number = 1,
    options: PReLUOptions = {},
  ) {
    super();
    checkOptions('PReLU', options, ['init', 'device']);
    checkWhole('PReLU', 'numParameters', numParameters, 1);
    const { init = 0.25, device } = options;
    if (typeof init !== 'number')
      throw new DTypeError(`PReLU: init is ${describe(init)}, but it must be a number; leave it out for 0.25`);
    this.weight = internal('PReLU', () => new Parameter(full([numParameters], init, device ? { device } : {})));
  }

  override forward(x: Tensor): Tensor {
    return prelu(x, this.weight);
  }

  protected override extra(): string {
    return `numParameters=${this.numParameters}`;
  }
}
