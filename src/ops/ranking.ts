import { ShapeError } from '../core/errors.ts';
import { broadcastShapes, sameShape, showShape } from '../core/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { add, clamp, div, eq, minimum, mul, ne, neg, sqrt, square, sub } from './elementwise.ts';
import { where } from './functions.ts';
import { checkNumber, type LossOptions, lossOf, sameShapes } from './losses.ts';
import { norm } from './norms.ts';
import { checkFlag, checkOptions, checkTensor, deviceOf } from './record.ts';
import { floats } from './reductions.ts';
import { type Drawn, type Samples, sample } from './samples.ts';
import { sum } from './structure.ts';

/* Losses of pairs and of distances, whose targets are 1 and -1. */

/** Options of losses with a margin. */
export interface MarginOptions extends LossOptions {
  /** What is beyond it does not count. */
  readonly margin?: number | undefined;
}

const positive = (x: Tensor): Tensor => clamp(x, { min: 0 });

function checkFloats(op: string, inputs: readonly Tensor[]): void {
  for (const x of inputs) checkTensor(op, x);
  deviceOf(op, inputs);
  for (const x of inputs) floats(op, x);
}

/**
 * Distances of similar pairs (target 1) themselves, and of dissimilar ones (target -1) by how much they fall short of the margin, 1
 * unless given (`F.hinge_embedding_loss`).
 *
 * @throws ShapeError when the shapes differ.
 */
export function hingeEmbeddingLoss(input: Tensor, target: Tensor, options: MarginOptions = {}): Tensor {
  const op = 'hingeEmbeddingLoss';
  checkOptions(op, options, ['reduction', 'margin']);
  const { reduction, margin = 1 } = options;
  checkNumber(op, 'margin', margin);
  sameShapes(op, input, target);
  return lossOf(op, [input, target], reduction, (...inputs) => {
    const [x, y] = inputs as [Tensor, Tensor];
    return add(where(ne(y, 1), positive(sub(margin, x)), 0), where(ne(y, -1), x, 0));
  });
}

/**
 * By how much the first of two scores does not exceed the second (target 1), or the second the first (target -1), with a margin, 0
 * unless given: max(0, margin - target * (input1 - input2)) (`F.margin_ranking_loss`). The inputs broadcast.
 *
 * @throws ShapeError when the shapes do not broadcast.
 * @example
 * ```ts
 * const loss = tl.nn.functional.marginRankingLoss(tl.tensor([1, 2]), tl.tensor([0, 3]), tl.ones([2])); // 0.5
 * ```
 */
export function marginRankingLoss(input1: Tensor, input2: Tensor, target: Tensor, options: MarginOptions = {}): Tensor {
  const op = 'marginRankingLoss';
  checkOptions(op, options, ['reduction', 'margin']);
  const { reduction, margin = 0 } = options;
  checkNumber(op, 'margin', margin);
  checkFloats(op, [input1, input2]);
  checkTensor(op, target);
  deviceOf(op, [input1, target]);
  broadcastShapes(op, broadcastShapes(op, input1.shape, input2.shape), target.shape);
  return lossOf(op, [input1, input2, target], reduction, (...inputs) => {
    const [a, b, y] = inputs as [Tensor, Tensor, Tensor];
    return positive(add(mul(neg(y), sub(a, b)), margin));
  });
}

/**
 * 1 less the cosine of the angle between similar vectors (target 1), and for dissimilar ones (target -1) by how much the cosine
 * exceeds the margin, 0 unless given (`F.cosine_embedding_loss`). Vectors [N, D] with targets [N], or [D] with a scalar.
 *
 * @throws ShapeError when the shapes do not fit.
 */
export function cosineEmbeddingLoss(
  input1: Tensor,
  input2: Tensor,
  target: Tensor,
  options: MarginOptions = {},
): Tensor {
  const op = 'cosineEmbeddingLoss';
  checkOptions(op, options, ['reduction', 'margin']);
  const { reduction, margin = 0 } = options;
  checkNumber(op, 'margin', margin);
  checkFloats(op, [input1, input2]);
  checkTensor(op, target);
  deviceOf(op, [input1, target]);
  const { shape } = input1;
  if (
    !sameShape(shape, input2.shape) ||
    shape.length < 1 ||
    shape.length > 2 ||
    !sameShape(target.shape, shape.slice(0, -1))
  )
    throw new ShapeError(
      `${op}: vectors ${showShape(shape)} and ${showShape(input2.shape)} with targets ${showShape(target.shape)} do not fit; ` +
        'give vectors [N, D] with targets [N], or [D] with a scalar',
    );
  return lossOf(op, [input1, input2, target], reduction, (...inputs) => {
    const [a, b, y] = inputs as [Tensor, Tensor, Tensor];
    const last = { dim: -1 };
    const length = (x: Tensor): Tensor => sqrt(add(sum(square(x), last), 1e-12));
    const cosine = div(div(sum(mul(a, b), last), length(a)), length(b));
    return add(where(eq(y, 1), sub(1, cosine), 0), where(eq(y, -1), positive(sub(cosine, margin)), 0));
  });
}

/** Options of `tripletMarginLoss`. */
export interface TripletMarginLossOptions extends MarginOptions {
  /** The order of the norm that is the distance; 2 unless given. */
  readonly p?: number | undefined;
  /** Added to the differences; 1e-6 unless given. */
  readonly eps?: number | undefined;
  /** Take the distance from the positive to the negative where it is smaller (Balntas et al., BMVC 2016); false unless given. */
  readonly swap?: boolean | undefined;
}

/**
 * By how much an anchor is not nearer to its positive than to its negative by a margin, 1 unless given:
 * max(0, d(anchor, positive) - d(anchor, negative) + margin) (`F.triplet_margin_loss`). Vectors in the last dim; the inputs broadcast.
 *
 * @throws ShapeError when the inputs have another number of dims, or none, or do not broadcast.
 * @example
 * ```ts
 * const [a, p, n] = [tl.rand([8, 4]), tl.rand([8, 4]), tl.rand([8, 4])];
 * const loss = tl.nn.functional.tripletMarginLoss(a, p, n, { margin: 0.5, swap: true });
 * ```
 */
export function tripletMarginLoss(
  anchor: Tensor,
  positives: Tensor,
  negatives: Tensor,
  options: TripletMarginLossOptions = {},
): Tensor {
  const op = 'tripletMarginLoss';
  checkOptions(op, options, ['reduction', 'margin', 'p', 'eps', 'swap']);
  const { reduction, margin = 1, p = 2, eps = 1e-6, swap = false } = options;
  checkNumber(op, 'margin', margin);
  checkNumber(op, 'p', p, (v) => !Number.isNaN(v), 'the order of a norm');
  checkNumber(op, 'eps', eps);
  checkFlag(op, 'swap', swap);
  const given = [anchor, positives, negatives];
  checkFloats(op, given);
  if (anchor.ndim === 0 || given.some((x) => x.ndim !== anchor.ndim))
    throw new ShapeError(
      `${op}: anchor, positives and negatives are ${given.map((x) => showShape(x.shape)).join(', ')}; ` +
        'they must have the same number of dims, of which the last is that of the vectors',
    );
  broadcastShapes(op, broadcastShapes(op, anchor.shape, positives.shape), negatives.shape);
  return lossOf(op, given, reduction, (...inputs) => {
    const [a, near, far] = inputs as [Tensor, Tensor, Tensor];
    const distance = (x: Tensor, y: Tensor): Tensor => norm(add(sub(x, y), eps), { p, dim: -1 });
    const apart = distance(a, far);
    return positive(add(sub(distance(a, near), swap ? minimum(apart, distance(near, far)) : apart), margin));
  });
}

const signs: Drawn = { shape: [4], values: [1, -1, -1, 1] };
const vectors = [4, 3] as const;

/** Calls for the generated tests. */
export const samples = (): Samples => ({
  hingeEmbeddingLoss: {
    calls: [
      sample([[4], signs], (x, y) => hingeEmbeddingLoss(x, y)),
      sample([[4], signs], (x, y) => hingeEmbeddingLoss(x, y, { margin: 0.3, reduction: 'none' })),
    ],
  },
  marginRankingLoss: {
    calls: [
      sample([[4], [4], signs], (a, b, y) => marginRankingLoss(a, b, y, { margin: 0.4 })),
      sample([[3, 4], [3, 1], signs], (a, b, y) => marginRankingLoss(a, b, y, { reduction: 'sum' })),
    ],
  },
  cosineEmbeddingLoss: {
    calls: [
      sample([vectors, vectors, signs], (a, b, y) => cosineEmbeddingLoss(a, b, y, { margin: -0.3 })),
      sample([[3], [3], { shape: [], values: [-1] }], (a, b, y) => cosineEmbeddingLoss(a, b, y, { margin: -0.9 })),
    ],
  },
  tripletMarginLoss: {
    calls: [
      sample([vectors, vectors, vectors], (a, p, n) => tripletMarginLoss(a, p, n, { reduction: 'none' })),
      sample([vectors, [1, 3], vectors], (a, p, n) => tripletMarginLoss(a, p, n, { swap: true, p: 3, margin: 2 })),
      sample([[3], [3], [3]], (a, p, n) => tripletMarginLoss(a, p, n, { p: 1, margin: 5 })),
    ],
  },
});
