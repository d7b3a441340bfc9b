import { ShapeError } from '../core/errors.ts';
import type { Shape } from '../core/shape.ts';
import { ones, zeros } from '../ops/creation.ts';
import { layerNorm } from '../ops/normalization.ts';
import { checkFlag, checkOptions, describe } from '../ops/record.ts';
import type { Device } from '../tensor/device.ts';
import { internal } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Module, Parameter } from './module.ts';

/** Options of `LayerNorm`. */
export interface LayerNormLayerOptions {
  /** Added to the variance; 1e-5 unless given. */
  readonly eps?: number | undefined;
  /** Learn a factor and an offset for each element; true unless given. */
  readonly elementwiseAffine?: boolean | undefined;
  /** Learn an offset beside the factor; true unless given. */
  readonly bias?: boolean | undefined;
  /** The default device unless given. */
  readonly device?: Device | undefined;
}

/**
 * Layer normalisation over the last dims, whose shape is given (`torch.nn.LayerNorm`; Ba et al., arXiv 1607.06450). Weight and bias,
 * of that shape, start as 1 and 0.
 *
 * @throws ShapeError for sizes that are not whole numbers of at least 1, and for an input whose last dims are of another shape.
 * @example
 * ```ts
 * const norm = new tl.nn.LayerNorm(8);
 * norm.forward(tl.rand([4, 8])); // shape [4, 8]
 * ```
 */
export class LayerNorm extends Module {
  readonly normalizedShape: Shape;
  readonly eps: number;
  readonly weight: Tensor | null;
  readonly bias: Tensor | null;

  constructor(normalizedShape: number | Shape, options: LayerNormLayerOptions = {}) {
    super();
    checkOptions('LayerNorm', options, ['eps', 'elementwiseAffine', 'bias', 'device']);
    const { eps = 1e-5, elementwiseAffine = true, bias = true, device } = options;
    for (const [name, flag] of Object.entries({ elementwiseAffine, bias })) checkFlag('LayerNorm', name, flag);
    const shape = typeof normalizedShape === 'number' ? [normalizedShape] : normalizedShape;
    if (!Array.isArray(shape) || shape.length === 0 || shape.some((n) => !Number.isInteger(n) || n < 1))
      throw new ShapeError(
        `LayerNorm: the normalized shape is ${describe(normalizedShape)}; sizes are whole numbers of at least 1`,
      );
    this.normalizedShape = shape;
    this.eps = eps;
    const on = device ? { device } : {};
    [this.weight, this.bias] = internal('LayerNorm', () => [
      elementwiseAffine ? new Parameter(ones(shape, on)) : null,
      elementwiseAffine && bias ? new Parameter(zeros(shape, on)) : null,
    ]);
  }

  override forward(x: Tensor): Tensor {
    return layerNorm(x, this.normalizedShape, { weight: this.weight, bias: this.bias, eps: this.eps });
  }

  protected override extra(): string {
    return `[${this.normalizedShape.join(', ')}], eps=${this.eps}, elementwiseAffine=${this.weight !== null}`;
  }
}
