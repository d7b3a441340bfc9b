import { DTypeError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { checkSizes, normalizeDim, normalizeDims, showShape } from '../core/shape.ts';
import { type GradientRule, withGrad } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { zeros } from './creation.ts';
import { abs, div, eq, mul, ne, pow, sign, sqrt, square } from './elementwise.ts';
import { where } from './functions.ts';
import { svdvals } from './linalg.ts';
import { checkOptions, compose, describe, taped } from './record.ts';
import { amax, amin, floats, notEmpty } from './reductions.ts';
import { type Samples, sample } from './samples.ts';
import { inFloat32, keptShape, movedim, type ReduceOptions, reshape, squeeze, sum, withDims } from './structure.ts';

/** Options of `norm`. */
export interface NormOptions extends ReduceOptions {
  /** Any number, Infinity and -Infinity included, or 'fro' for 2, which is the default. */
  readonly p?: number | 'fro' | undefined;
}

/** Options of `linalg.vectorNorm`. */
export interface VectorNormOptions extends ReduceOptions {
  /** Any number, Infinity and -Infinity included; 2 by default. */
  readonly ord?: number | undefined;
}

/** The norms that there are of matrices. */
export type MatrixNormOrder = 'fro' | 'nuc' | number;

/** Options of `linalg.matrixNorm`. */
export interface MatrixNormOptions {
  /** 'fro' by default, 1, -1, Infinity or -Infinity; those by singular values are 2, -2 and 'nuc'. */
  readonly ord?: MatrixNormOrder | undefined;
  /** The dims of rows and of columns; the last two by default. */
  readonly dim?: readonly [number, number] | undefined;
  /** Keep the reduced dims with size 1. */
  readonly keepDim?: boolean | undefined;
}

/** Options of `linalg.norm`. */
export interface LinalgNormOptions extends ReduceOptions {
  /** A norm of vectors or of matrices; unless given, the 2-norm of all elements. */
  readonly ord?: MatrixNormOrder | undefined;
}

/** The p-norm over some dims. */
function ofVectors(op: string, x: Tensor, p: number, dims: readonly number[], keepDim = false): Tensor {
  if (typeof p !== 'number' || Number.isNaN(p))
    throw new DTypeError(`${op}: the order of a norm is a number or Infinity, got ${describe(p)}`);
  if (p < 0 || p === Number.POSITIVE_INFINITY) notEmpty(op, x, dims);
  return compose(op, () => inFloat32(op, [x], (y) => ofFloats(op, y, p, dims, keepDim)));
}

function ofFloats(op: string, x: Tensor, p: number, dims: readonly number[], keepDim: boolean): Tensor {
  const options = { dim: dims, keepDim };
  return compose(op, () => {
    if (p === 1) return sum(abs(x), options);
    if (p === Number.POSITIVE_INFINITY) return amax(abs(x), options);
    if (p === Number.NEGATIVE_INFINITY) return amin(abs(x), options);
    const out = withGrad(false, () => {
      if (p === 0) return sum(where(ne(x, 0), 1, 0), { dim: dims });
      if (p === 2) return sqrt(sum(square(x), { dim: dims }));
      return pow(sum(pow(abs(x), p), { dim: dims }), 1 / p);
    });
    const normed = taped(op, { gradient: slope(p, dims), saves: 'both' }, [x], out);
    return keepDim ? withDims(normed, x.shape, dims) : normed;
  });
}

/** The gradient of a norm of finite order; 0 where the norm is 0, and for the count that is the 0-norm. */
function slope(p: number, dims: readonly number[]): GradientRule {
  return (g, { inputs, output, shapes }) => {
    const x = inputs[0] as Tensor;
    if (p === 0) return [zeros(shapes[0] ?? [], { device: g.device })];
    const kept = keptShape(x.shape, dims);
    const total = reshape(output, kept);
    const none = eq(total, 0);
    // No order of derivative divides by 0.
    const safe = where(none, 1, total);
    const weight = where(none, 0, reshape(g, kept));
    if (p === 2) return [mul(x, div(weight, safe))];
    const share = where(eq(x, 0), 1, div(abs(x), safe));
    return [mul(weight, mul(sign(x), pow(share, p - 1)))];
  };
}

/**
 * The p-norm of the elements over some dims, or over all: the 2-norm unless given, the largest magnitude for Infinity, the number
 * of elements that are not 0 for 0 (`torch.norm`). The gradient of a zero vector is 0; equal largest ones share it.
 *
 * @throws DTypeError for integers and bools.
 * @throws ShapeError for Infinity and negative orders of no elements.
 * @example
 * ```ts
 * const lengths = tl.tensor([[3, 4], [6, 8]]).norm({ dim: 1 }); // [5, 10]
 * ```
 */
export function norm(x: Tensor, options: NormOptions = {}): Tensor {
  checkOptions('norm', options, ['p', 'dim'], ['keepDim']);
  floats('norm', x);
  const { p = 2, dim, keepDim } = options;
  return ofVectors('norm', x, p === 'fro' ? 2 : p, normalizeDims('norm', dim, x.ndim), keepDim);
}

/**
 * The norm of the elements over some dims, or over all, as of one vector (`torch.linalg.vector_norm`). See `norm`.
 *
 * @throws DTypeError for integers and bools.
 * @throws ShapeError for Infinity and negative orders of no elements.
 */
export function vectorNorm(x: Tensor, options: VectorNormOptions = {}): Tensor {
  checkOptions('linalg.vectorNorm', options, ['ord', 'dim'], ['keepDim']);
  floats('linalg.vectorNorm', x);
  const { ord = 2, dim, keepDim } = options;
  return ofVectors('linalg.vectorNorm', x, ord, normalizeDims('linalg.vectorNorm', dim, x.ndim), keepDim);
}

function ofMatrices(
  op: string,
  A: Tensor,
  ord: MatrixNormOrder,
  pair: readonly [number, number],
  keepDim = false,
): Tensor {
  checkSizes(op, pair);
  const dims = pair.map((d) => normalizeDim(op, d, A.ndim)) as [number, number];
  if (A.ndim < 2 || dims.length !== 2 || dims[0] === dims[1])
    throw new ShapeError(
      `${op}: dims ${showShape(pair)} of ${showShape(A.shape)} must be two different ones, of rows and of columns`,
    );
  if (ord === 'fro') return ofVectors(op, A, 2, dims, keepDim);
  if (ord !== 'nuc' && (typeof ord !== 'number' || ![1, 2, Number.POSITIVE_INFINITY].includes(Math.abs(ord))))
    throw new UnsupportedError(
      `${op}: no norm ${describe(ord)} of matrices; use 'fro', 'nuc', 1, -1, 2, -2, Infinity or -Infinity`,
    );
  if (ord === 'nuc' || Math.abs(ord) === 2)
    return compose(op, () => {
      const values = svdvals(movedim(A, dims, [-2, -1]));
      if (ord !== 'nuc') notEmpty(op, values, [values.ndim - 1]);
      const last = { dim: -1 };
      const out = ord === 'nuc' ? sum(values, last) : ord === 2 ? amax(values, last) : amin(values, last);
      return keepDim ? reshape(out, keptShape(A.shape, dims)) : out;
    });
  const [added, compared] = Math.abs(ord) === 1 ? dims : [dims[1], dims[0]];
  notEmpty(op, A, [compared]);
  return compose(op, () => {
    const sums = sum(abs(A), { dim: added, keepDim: true });
    const out = ord > 0 ? amax(sums, { dim: compared, keepDim: true }) : amin(sums, { dim: compared, keepDim: true });
    return keepDim ? out : squeeze(out, dims);
  });
}

/**
 * A norm of matrices in two dims, the others being a batch: 'fro', the root of the sum of squares; 1 and -1, the largest and
 * smallest column sum of magnitudes; Infinity and -Infinity, the same of rows (`torch.linalg.matrix_norm`).
 *
 * @throws UnsupportedError for another order.
 * @throws ShapeError when the dims are not two.
 */
export function matrixNorm(A: Tensor, options: MatrixNormOptions = {}): Tensor {
  checkOptions('linalg.matrixNorm', options, ['ord', 'dim'], ['keepDim']);
  floats('linalg.matrixNorm', A);
  const { ord = 'fro', dim = [-2, -1], keepDim } = options;
  return ofMatrices('linalg.matrixNorm', A, ord, dim, keepDim);
}

/**
 * A norm of vectors or of matrices (`torch.linalg.norm`): without `ord` the 2-norm over the dims, or over all; else `vectorNorm`
 * over one dim, or of a vector, and `matrixNorm` over two, or of a matrix.
 *
 * @throws ShapeError when an order is given for more dims than two.
 * @example
 * ```ts
 * const columns = tl.linalg.norm(tl.ones([3, 2]), { ord: 1 }); // 3
 * ```
 */
export function linalgNorm(A: Tensor, options: LinalgNormOptions = {}): Tensor {
  const op = 'linalg.norm';
  checkOptions(op, options, ['ord', 'dim'], ['keepDim']);
  floats(op, A);
  const { ord, dim, keepDim } = options;
  const named = typeof dim === 'number' ? [dim] : dim;
  if (ord === undefined) return ofVectors(op, A, 2, normalizeDims(op, named, A.ndim), keepDim);
  const dims = named ?? A.shape.map((_, d) => d);
  checkSizes(op, dims);
  const [first, second] = dims;
  if (dims.length === 1 && typeof ord === 'number')
    return ofVectors(op, A, ord, normalizeDims(op, dims, A.ndim), keepDim);
  if (dims.length !== 2 || first === undefined || second === undefined)
    throw new ShapeError(
      `${op}: the norm ${ord} of ${dims.length} dims of ${showShape(A.shape)}; name one dim for vectors ('fro' and 'nuc' have none), two for matrices`,
    );
  return ofMatrices(op, A, ord, [first, second], keepDim);
}

const vectors = (call: (x: Tensor) => Tensor) => [sample([[7]], call), sample([[3, 5]], call)];

/** Calls for the generated tests. */
export const samples = (): Samples => ({
  norm: {
    calls: [
      ...vectors((x) => norm(x)),
      ...vectors((x) => norm(x, { p: 1, dim: -1 })),
      ...vectors((x) => norm(x, { p: 3, dim: 0 })),
      ...vectors((x) => norm(x, { p: 2.5, keepDim: true })),
      ...vectors((x) => norm(x, { p: 0.5 })),
      ...vectors((x) => norm(x, { p: -1.5, dim: -1 })),
      ...vectors((x) => norm(x, { p: 0, dim: 0 })),
      sample([{ shape: [3, 5], distinct: true, range: [0.5, 3] }], (x) =>
        norm(x, { p: Number.POSITIVE_INFINITY, dim: 1 }),
      ),
      sample([{ shape: [7], distinct: true, range: [-3, -0.5] }], (x) => norm(x, { p: Number.NEGATIVE_INFINITY })),
      sample([[2, 3, 4]], (x) => norm(x, { dim: [0, -1] })),
      sample([[]], (x) => norm(x)),
      sample([[0, 3]], (x) => norm(x, { dim: 0 })),
    ],
  },
  vectorNorm: {
    calls: [
      ...vectors((x) => vectorNorm(x)),
      sample([[2, 3, 4]], (x) => vectorNorm(x, { ord: 3, dim: [0, -1], keepDim: true })),
    ],
  },
  matrixNorm: {
    calls: [
      sample([[3, 5]], (A) => matrixNorm(A)),
      sample([[2, 3, 4]], (A) => matrixNorm(A, { ord: 1 })),
      sample([[2, 3, 4]], (A) => matrixNorm(A, { ord: -1, keepDim: true })),
      sample([[2, 3, 4]], (A) => matrixNorm(A, { ord: Number.POSITIVE_INFINITY, dim: [0, 2] })),
      sample([[2, 3, 4]], (A) => matrixNorm(A, { ord: Number.NEGATIVE_INFINITY, dim: [2, 0], keepDim: true })),
    ],
  },
  linalgNorm: {
    calls: [
      sample([[2, 3, 4]], (A) => linalgNorm(A)),
      sample([[2, 3, 4]], (A) => linalgNorm(A, { ord: 3, dim: 1 })),
      sample([[2, 3, 4]], (A) => linalgNorm(A, { dim: [0, 2], keepDim: true })),
      sample([[3, 5]], (A) => linalgNorm(A, { ord: 1 })),
      sample([{ shape: [4, 3], distinct: true }], (A) => linalgNorm(A, { ord: 'nuc' })),
      sample([{ shape: [2, 3, 4], distinct: true }], (A) => linalgNorm(A, { ord: 2, dim: [1, 2], keepDim: true })),
      sample([[3, 5]], (A) => linalgNorm(A, { ord: 'fro' })),
      sample([[7]], (A) => linalgNorm(A, { ord: Number.POSITIVE_INFINITY })),
    ],
  },
});
