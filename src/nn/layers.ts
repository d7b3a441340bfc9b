import { ShapeError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import { zeros } from '../ops/creation.ts';
import { bilinear, linear } from '../ops/matmul.ts';
import { checkWhole } from '../ops/movement.ts';
import { checkOptions, checkTensor, describe } from '../ops/record.ts';
import { reshape } from '../ops/structure.ts';
import type { Device } from '../tensor/device.ts';
import { internal } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
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
    checkOptions('Linear', options, ['device'], ['bias']);
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

/**
 * A weighted sum of the products of the elements of two inputs, over their last dims (`torch.nn.Bilinear`); see
 * `functional.bilinear`. Weight [out, in1, in2] and bias [out] start uniform in ±1 / sqrt(in1).
 *
 * @throws ShapeError when the last dims of the inputs are of other sizes.
 */
export class Bilinear extends Module<readonly [Tensor, Tensor]> {
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  constructor(
    readonly in1Features: number,
    readonly in2Features: number,
    readonly outFeatures: number,
    options: LinearOptions = {},
  ) {
    super();
    checkOptions('Bilinear', options, ['bias', 'device']);
    for (const n of [in1Features, in2Features, outFeatures]) checkWhole('Bilinear', 'a number of features', n, 1);
    const { bias = true, device } = options;
    const bound = 1 / Math.sqrt(in1Features);
    const make = (shape: readonly number[]): Tensor =>
      uniform_(new Parameter(zeros(shape, device ? { device } : {})), -bound, bound);
    [this.weight, this.bias] = internal('Bilinear', () => [
      make([outFeatures, in1Features, in2Features]),
      bias ? make([outFeatures]) : null,
    ]);
  }

  override forward(x1: Tensor, x2: Tensor): Tensor {
    return bilinear(x1, x2, this.weight, this.bias);
  }

  protected override extra(): string {
    return `in1Features=${this.in1Features}, in2Features=${this.in2Features}, outFeatures=${this.outFeatures}, bias=${this.bias !== null}`;
  }
}

/** Its input (`torch.nn.Identity`): what stands where a layer was taken out. */
export class Identity extends Module {
  override forward(x: Tensor): Tensor {
    return reshape(x, x.shape);
  }
}
