import { IndexError, ShapeError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import { Tensor } from '../tensor/tensor.ts';
import { ne } from './elementwise.ts';
import { where } from './functions.ts';
import { indexSelect, integers } from './gather.ts';
import { checkOptions, compose, describe, deviceOf, taped } from './record.ts';
import { floats } from './reductions.ts';
import { indices, type Samples, sample } from './samples.ts';
import { flatten, reshape, unsqueeze } from './structure.ts';

/** Options of `embedding`. */
export interface EmbeddingOptions {
  /** A row that is looked up as any other and gets no gradient; negative ones count from the end. */
  readonly paddingIdx?: number | null | undefined;
}

/** @internal The padding row from 0 on, or null. */
export function paddingRow(op: string, paddingIdx: number | null | undefined, rows: number): number | null {
  if (paddingIdx === null || paddingIdx === undefined) return null;
  if (!Number.isInteger(paddingIdx) || paddingIdx < -rows || paddingIdx >= rows)
    throw new IndexError(
      `${op}: paddingIdx ${describe(paddingIdx)} names none of the ${rows} rows; use ${-rows} to ${rows - 1}, or null for none`,
    );
  return paddingIdx < 0 ? paddingIdx + rows : paddingIdx;
}

/** The same elements, of which only those where the mask holds have a gradient. */
function gradientWhere(x: Tensor, mask: Tensor): Tensor {
  const gradient = (g: Tensor, { inputs }: { inputs: readonly Tensor[] }): (Tensor | null)[] => [
    where(inputs[1]!, g, 0),
    null,
  ];
  return taped('embedding', { gradient, saves: [1] }, [x, mask], new Tensor(x.device, x.cell, x.view, null));
}

/**
 * Rows of a matrix [rows, width], looked up by a tensor of indices of any shape (`F.embedding`): of the shape of the indices and
 * then the width. The gradient of a row is the sum over all places that looked it up. Indices out of range give an IndexError at the
 * next await.
 *
 * @throws ShapeError unless the weight is a matrix.
 * @throws DTypeError unless the indices are int32 and the weight is of floats.
 * @throws IndexError for a padding row that is not there.
 * @example
 * ```ts
 * const words = tl.tensor([[1, 0], [2, 2]], { dtype: 'int32' });
 * const y = tl.nn.functional.embedding(words, tl.rand([3, 5]), { paddingIdx: 0 }); // shape [2, 2, 5]
 * ```
 */
export function embedding(input: Tensor, weight: Tensor, options: EmbeddingOptions = {}): Tensor {
  const op = 'embedding';
  checkOptions(op, options, ['paddingIdx']);
  deviceOf(op, [input, weight]);
  integers(op, input);
  floats(op, weight);
  if (weight.ndim !== 2)
    throw new ShapeError(`${op}: the weight ${showShape(weight.shape)} must be a matrix [rows, width]`);
  const [rows, width] = weight.shape as [number, number];
  const padding = paddingRow(op, options.paddingIdx, rows);
  return compose(op, () => {
    const flat = flatten(input);
    const found = indexSelect(weight, 0, flat);
    const out = padding === null ? found : gradientWhere(found, unsqueeze(ne(flat, padding), 1));
    return reshape(out, [...input.shape, width]);
  });
}

/** Calls for the generated tests; what has no gradient by convention is no derivative, and stands in a test of its own. */
export const samples = (): Samples => ({
  embedding: {
    calls: [
      sample([indices([2, 3], 5), [5, 3]], (i, w) => embedding(i, w)),
      sample([indices([7], 4), [4, 2]], (i, w) => embedding(i, w)),
      sample([indices([], 4), [4, 2]], (i, w) => embedding(i, w)),
      sample([indices([0], 4), [4, 2]], (i, w) => embedding(i, w)),
    ],
  },
});
