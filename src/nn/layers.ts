import { ShapeError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import { zeros } from '../ops/creation.ts';
import { relu, sigmoid, tanh } from '../ops/elementwise.ts';
import { linear } from '../ops/matmul.ts';
import { checkOptions, checkTensor, describe } from '../ops/record.ts';
import { logSoftmax, softmax } from '../ops/reductions.ts';
import { flatten } from '../ops/structure.ts';
import type { Device } from '../tensor/device.ts';
import { internal } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkProbability, dropout } from './functional.ts';
import { kaimingUniform_, uniform_ } from './init.ts';
import { Module, Parameter } from './module.ts';

/** Options of `Linear`. */
export interface LinearOptions {
  /** Add a learned offset; true unless given. */
  readonly bias?: boolean | undefined;
  /** The default device unless given. */
  readonly device?: Device | undefined;
}

/**
 * x @ weight^T + bias, over the last dim (`torch.nn.Linear`). Weight [out, in] and bias [out] start uniform in ±1 / sqrt(in).
 *
 * @throws ShapeError when the last dim of the input is not `inFeatures`.
 * @example
 * ```ts
 * const layer = new tl.nn.Linear(64, 10);
 * layer.forward(tl.zeros([32, 64])); // shape [32, 10]
 * ```
 */
export class Linear extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  constructor(
    readonly inFeatures: number,
    readonly outFeatures: number,
    options: LinearOptions = {},
  ) {
    super();
    checkOptions('Linear', options, ['bias', 'device']);
    for (const n of [inFeatures, outFeatures])
      if (!Number.isInteger(n) || n < 1)
        throw new ShapeError(`Linear: ${describe(n)} features; sizes are whole numbers of at least 1`);
    const { bias = true, device } = options;
    const make = (shape: readonly number[]): Tensor => new Parameter(zeros(shape, device ? { device } : {}));
    const bound = 1 / Math.sqrt(inFeatures);
    [this.weight, this.bias] = internal('Linear', () => [
      kaimingUniform_(make([outFeatures, inFeatures]), { a: Math.sqrt(5) }),
      bias ? uniform_(make([outFeatures]), -bound, bound) : null,
    ]);
  }

  override forward(x: Tensor): Tensor {
    checkTensor('Linear', x);
    if (x.shape[x.ndim - 1] !== this.inFeatures)
      throw new ShapeError(
        `Linear: the input ${showShape(x.shape)} must end in ${this.inFeatures}, the layer's number of inputs; its weight is ${showShape(this.weight.shape)}`,
      );
    return linear(x, this.weight, this.bias);
  }

  protected override extra(): string {
    return `inFeatures=${this.inFeatures}, outFeatures=${this.outFeatures}, bias=${this.bias !== null}`;
  }
}

/** max(x, 0) (`torch.nn.ReLU`). */
export class ReLU extends Module {
  override forward(x: Tensor): Tensor {
    return relu(x);
  }
}

/** 1 / (1 + exp(-x)) (`torch.nn.Sigmoid`). */
export class Sigmoid extends Module {
  override forward(x: Tensor): Tensor {
    return sigmoid(x);
  }
}

/** The hyperbolic tangent (`torch.nn.Tanh`). */
export class Tanh extends Module {
  override forward(x: Tensor): Tensor {
    return tanh(x);
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

/**
 * Sets elements to 0 with probability p in training mode, and scales the others by 1 / (1 - p); nothing in evaluation mode
 * (`torch.nn.Dropout`).
 *
 * @throws UnsupportedError unless p is a probability.
 */
export class Dropout extends Module {
  constructor(readonly p: number = 0.5) {
    super();
    checkProbability('Dropout', p);
  }

  override forward(x: Tensor): Tensor {
    return dropout(x, { p: this.p, training: this.training });
  }

  protected override extra(): string {
    return `p=${this.p}`;
  }
}

/** Dims `startDim` to `endDim` merged into one: all but the first unless given (`torch.nn.Flatten`). */
export class Flatten extends Module {
  constructor(
    readonly startDim: number = 1,
    readonly endDim: number = -1,
  ) {
    super();
  }

  override forward(x: Tensor): Tensor {
    return flatten(x, this.startDim, this.endDim);
  }

  protected override extra(): string {
    return `startDim=${this.startDim}, endDim=${this.endDim}`;
  }
}
