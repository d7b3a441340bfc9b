import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { checkSizes, type Shape, sameShape, showShape } from '../core/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { add, mul, rsqrt, square, sub } from './elementwise.ts';
import { checkOptions, compose, describe, deviceOf } from './record.ts';
import { floats, mean } from './reductions.ts';
import { type Samples, sample } from './samples.ts';
import { inFloat32 } from './structure.ts';

/** Options of `layerNorm`. */
export interface LayerNormOptions {
  /** Scales the normalised elements; of the normalised shape. */
  readonly weight?: Tensor | null | undefined;
  /** Added to the scaled elements; of the normalised shape. */
  readonly bias?: Tensor | null | undefined;
  /** Added to the variance; 1e-5 unless given. */
  readonly eps?: number | undefined;
}

/**
 * The elements of the last dims, whose shape is given, less their mean and over their standard deviation, which is not corrected
 * (`F.layer_norm`).
 *
 * @throws ShapeError when the last dims, or weight or bias, are of another shape.
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const y = tl.nn.functional.layerNorm(tl.rand([4, 8]), [8], { weight: tl.ones([8]), bias: tl.zeros([8]) });
 * ```
 */
export function layerNorm(x: Tensor, normalizedShape: number | Shape, options: LayerNormOptions = {}): Tensor {
  checkOptions('layerNorm', options, ['weight', 'bias', 'eps']);
  const { weight, bias, eps = 1e-5 } = options;
  const given = [x, ...[weight, bias].filter((t) => t !== null && t !== undefined)];
  deviceOf('layerNorm', given);
  for (const t of given) floats('layerNorm', t);
  if (typeof eps !== 'number' || !(eps >= 0))
    throw new UnsupportedError(`layerNorm: eps is ${describe(eps)}, but it must be a number of at least 0`);
  const shape = typeof normalizedShape === 'number' ? [normalizedShape] : normalizedShape;
  checkSizes('layerNorm', shape);
  if (shape.length === 0 || !sameShape(shape, x.shape.slice(-shape.length)))
    throw new ShapeError(
      `layerNorm: the normalized shape ${showShape(shape)} must be that of the last dims of ${showShape(x.shape)}`,
    );
  for (const [name, t] of Object.entries({ weight, bias }))
    if (t && !sameShape(t.shape, shape))
      throw new ShapeError(
        `layerNorm: ${name} of shape ${showShape(t.shape)} must have the normalized shape ${showShape(shape)}`,
      );
  return compose('layerNorm', () =>
    inFloat32('layerNorm', given, (y, ...affine) => {
      const over = { dim: shape.map((_, i) => i - shape.length), keepDim: true };
      const deviation = sub(y, mean(y, over));
      const normal = mul(deviation, rsqrt(add(mean(square(deviation), over), eps)));
      const scaled = weight ? mul(normal, affine[0] as Tensor) : normal;
      return bias ? add(scaled, affine.at(-1) as Tensor) : scaled;
    }),
  );
}

/** @internal */
export const samples = (): Samples => ({
  layerNorm: {
    calls: [
      sample([[3, 5]], (x) => layerNorm(x, 5)),
      sample(
        [
          [2, 3, 5],
          [3, 5],
          [3, 5],
        ],
        (x, weight, bias) => layerNorm(x, [3, 5], { weight, bias, eps: 0.1 }),
      ),
      sample([[4], [4]], (x, weight) => layerNorm(x, [4], { weight })),
      sample([[0, 3]], (x) => layerNorm(x, [3])),
    ],
  },
});
