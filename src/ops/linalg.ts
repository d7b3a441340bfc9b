import { DTypeError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { broadcastShapes, showShape, sizeOf } from '../core/shape.ts';
import { type NodeInput, template } from '../engine/node.ts';
import { result } from '../ir/expr.ts';
import { DENSE, type DenseAlgorithm, denseSize } from '../ir/kernel.ts';
import { withGrad } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { eye } from './creation.ts';
import { abs, add, cast, div, eq, gt, log, mul, neg, sign, sin, sub } from './elementwise.ts';
import { where } from './functions.ts';
import { cat } from './joins.ts';
import { multiply as matmul } from './matmul.ts';
import { tril, triu } from './movement.ts';
import { checkOptions, compose, currentOp, describe, deviceOf, produce, taped } from './record.ts';
import { amax } from './reductions.ts';
import { type Drawn, type Samples, sample } from './samples.ts';
import { prod } from './scans.ts';
import { contiguous, diagonal, expand, reshape, slice, squeeze, sum, transpose, unsqueeze } from './structure.ts';

/*
 * Factorisations and what is made of them, of matrices in the last two dims. Those whose result is not defined, of a singular
 * matrix or one that is not positive definite, are found on the device, and end in a NumericsError at the next await.
 */

const T = (x: Tensor): Tensor => transpose(x, -1, -2);

/** Checks a matrix or a batch of them, and gives its numbers of rows and columns. */
function matrices(op: string, a: Tensor, kind: 'any' | 'square' = 'any'): readonly [m: number, n: number] {
  deviceOf(op, [a]);
  if (a.dtype !== 'float32')
    throw new DTypeError(`${op}: needs float32 matrices, got ${a.dtype}; convert them with .to('float32')`);
  const [m, n] = a.shape.slice(-2) as [number, number];
  if (a.ndim < 2 || (kind === 'square' && m !== n))
    throw new ShapeError(
      `${op}: ${showShape(a.shape)} ${a.ndim < 2 ? 'is no matrix; it needs at least two dims' : 'is not square in its last two dims'}`,
    );
  return [m, n];
}

/** A dense kernel's output for matrices and right-hand sides of the same batch dims, in parts, each a tensor of its own. */
function factored(
  op: string,
  algorithm: DenseAlgorithm,
  a: Tensor,
  b: Tensor | null,
  wanted: readonly string[],
  failure: 'singular' | 'indefinite' | null,
): Tensor[] {
  const device = deviceOf(op, b ? [a, b] : [a]);
  return compose(op, () =>
    withGrad(false, () => {
      const batch = a.shape.slice(0, -2);
      const [m, n] = a.shape.slice(-2) as [number, number];
      const columns = b ? b.shape[b.ndim - 1]! : 0;
      const over = (t: Tensor): NodeInput => ({
        node: t.node,
        access: { mode: 'direct', strides: t.view.strides, offset: t.view.offset },
      });
      const shape = [...batch, denseSize(algorithm, m, n, columns)];
      const flat = produce(device, op, 'float32', shape, {
        template: template('dense', result(0, 'float32'), failure ? ['int32'] : [], {
          algorithm,
          check: failure ? 0 : null,
        }),
        space: a.shape,
        k: columns,
        size: sizeOf(shape),
        inputs: b ? [over(a), over(b)] : [over(a)],
        scalars: failure ? [device.engine.checkCode(currentOp(op), failure)] : [],
      });
      let start = 0;
      const parts = new Map<string, Tensor>();
      for (const [name, [rows, cols]] of Object.entries(DENSE[algorithm](m, n, columns))) {
        if (wanted.includes(name))
          // In memory of its own: what is only work goes back.
          parts.set(name, contiguous(reshape(slice(flat, -1, start, start + rows * cols), [...batch, rows, cols])));
        start += rows * cols;
      }
      return wanted.map((name) => parts.get(name)!);
    }),
  );
}

/** Matrices and right-hand sides expanded to the same batch dims. */
function together(op: string, a: Tensor, b: Tensor): [Tensor, Tensor] {
  const batch = broadcastShapes(op, a.shape.slice(0, -2), b.shape.slice(0, -2));
  return [expand(a, [...batch, ...a.shape.slice(-2)]), expand(b, [...batch, ...b.shape.slice(-2)])];
}

/** PyTorch's rule: a right-hand side without its last dim is one vector for each matrix. */
const isVector = (a: Tensor, b: Tensor): boolean =>
  b.ndim === 1 || (b.ndim === a.ndim - 1 && a.shape.slice(0, -1).every((n, i) => n === b.shape[i]));

function rightHandSide(op: string, a: Tensor, b: Tensor): Tensor {
  deviceOf(op, [a, b]);
  if (b.dtype !== 'float32')
    throw new DTypeError(`${op}: needs a float32 right-hand side, got ${b.dtype}; convert it with .to('float32')`);
  const right = isVector(a, b) ? unsqueeze(b, -1) : b;
  if (right.ndim < 2 || right.shape[right.ndim - 2] !== a.shape[a.ndim - 2])
    throw new ShapeError(
      `${op}: a right-hand side ${showShape(b.shape)} does not fit matrices ${showShape(a.shape)}; it needs as many rows`,
    );
  return right;
}

interface Saved {
  readonly inputs: readonly Tensor[];
  readonly output: Tensor;
  readonly needs: readonly boolean[];
}

/** The solution of square systems of the same batch dims; `checked`: that they are regular. */
function solved(op: string, a: Tensor, b: Tensor, checked: boolean): Tensor {
  const [x] = factored(op, 'solve', a, b, ['x'], checked ? 'singular' : null) as [Tensor];
  const gradient = (g: Tensor, { inputs, output, needs }: Saved): (Tensor | null)[] => {
    const back = solved(op, T(inputs[0]!), g, checked);
    return [needs[0] ? neg(matmul(back, T(output))) : null, back];
  };
  return taped(op, { gradient, saves: 'both' }, [a, b], x);
}

/** The solution of triangular systems of the same batch dims. */
function substituted(a: Tensor, b: Tensor, upper: boolean): Tensor {
  const [x] = factored('solveTriangular', upper ? 'upper' : 'lower', a, b, ['x'], 'singular') as [Tensor];
  const gradient = (g: Tensor, { inputs, output, needs }: Saved): (Tensor | null)[] => {
    const back = substituted(T(inputs[0]!), g, !upper);
    const product = (): Tensor => neg(matmul(back, T(output)));
    return [needs[0] ? (upper ? triu(product()) : tril(product())) : null, back];
  };
  return taped('solveTriangular', { gradient, saves: 'both' }, [a, b], x);
}

/**
 * The solution x of a x = b for square matrices (`torch.linalg.solve`): b is a matrix of right-hand sides, or a vector; batch dims
 * broadcast. A singular matrix gives a NumericsError at the next await.
 *
 * @throws ShapeError when a is not square or b does not have its rows.
 * @example
 * ```ts
 * const solution = tl.solve(tl.tensor([[2, 0], [0, 4]]), tl.tensor([2, 2])); // [1, 0.5]
 * ```
 */
export function solve(a: Tensor, b: Tensor): Tensor {
  matrices('solve', a, 'square');
  return compose('solve', () => {
    const right = rightHandSide('solve', a, b);
    const x = solved('solve', ...together('solve', a, right), true);
    return isVector(a, b) ? squeeze(x, -1) : x;
  });
}

/** Options of `solveTriangular`. */
export interface SolveTriangularOptions {
  /** Whether a is upper triangular, or lower; what lies in its other half is not read. */
  readonly upper: boolean;
}

/**
 * The solution x of a x = b for triangular matrices (`torch.linalg.solve_triangular`). A zero on the diagonal gives a NumericsError at
 * the next await.
 *
 * @throws ShapeError when a is not square or b does not have its rows.
 */
export function solveTriangular(a: Tensor, b: Tensor, options: SolveTriangularOptions): Tensor {
  matrices('solveTriangular', a, 'square');
  checkOptions('solveTriangular', options, [], ['upper']);
  if (options.upper === undefined)
    throw new UnsupportedError(
      'solveTriangular: upper is not given; it is true for upper triangles, false for lower ones',
    );
  return compose('solveTriangular', () => {
    const right = rightHandSide('solveTriangular', a, b);
    const x = substituted(...together('solveTriangular', a, right), options.upper);
    return isVector(a, b) ? squeeze(x, -1) : x;
  });
}

const identityLike = (a: Tensor): Tensor =>
  expand(eye(a.shape[a.ndim - 1]!, { dtype: a.dtype, device: a.device }), a.shape);

function inverted(a: Tensor, checked: boolean): Tensor {
  const [x] = factored('inverse', 'solve', a, identityLike(a), ['x'], checked ? 'singular' : null) as [Tensor];
  const gradient = (g: Tensor, { output: y }: Saved): Tensor[] => [neg(matmul(matmul(T(y), g), T(y)))];
  return taped('inverse', { gradient, saves: 'output' }, [a], x);
}

/**
 * The inverse of square matrices (`torch.linalg.inv`); `solve` is faster and more accurate than a product with it. A singular matrix
 * gives a NumericsError at the next await.
 *
 * @throws ShapeError when the matrices are not square.
 */
export function inverse(a: Tensor): Tensor {
  matrices('inverse', a, 'square');
  return compose('inverse', () => inverted(a, true));
}

/** The upper factor of elimination: the product of its diagonal is the determinant. */
const eliminated = (op: string, a: Tensor): Tensor => factored(op, 'solve', a, slice(a, -1, 0, 0), ['u'], null)[0]!;

/** The transposed matrix of cofactors, from singular values: of singular matrices too. */
function cofactors(a: Tensor): Tensor {
  const { u, s, vh } = svd(a);
  // For each singular value the product of the others.
  const ones = identityLike(a);
  const others = prod(add(mul(sub(1, ones), unsqueeze(s, -2)), ones), { dim: -1 });
  const signs = mul(det(u), det(vh));
  return mul(matmul(mul(u, unsqueeze(others, -2)), vh), reshape(signs, [...signs.shape, 1, 1]));
}

/**
 * The determinant of square matrices (`torch.linalg.det`). The gradient is right for singular matrices too.
 *
 * @throws ShapeError when the matrices are not square.
 */
export function det(a: Tensor): Tensor {
  matrices('det', a, 'square');
  const out = compose('det', () => withGrad(false, () => prod(diagonal(eliminated('det', a), 0, -2, -1), { dim: -1 })));
  const gradient = (g: Tensor, { inputs, output }: Saved): Tensor[] => {
    const x = inputs[0]!;
    const wide = (t: Tensor): Tensor => reshape(t, [...t.shape, 1, 1]);
    const singular = wide(eq(output, 0));
    const regular = mul(wide(output), T(inverted(where(singular, identityLike(x), x), false)));
    return [mul(wide(g), where(singular, cofactors(x), regular))];
  };
  return taped('det', { gradient, saves: 'both' }, [a], out);
}

/** The sign of the determinant of square matrices, and the logarithm of its magnitude (`torch.linalg.slogdet`). */
export function slogdet(a: Tensor): { readonly sign: Tensor; readonly logabsdet: Tensor } {
  matrices('slogdet', a, 'square');
  return compose('slogdet', () => {
    const pivots = withGrad(false, () => diagonal(eliminated('slogdet', a), 0, -2, -1));
    const magnitude = withGrad(false, () => sum(log(abs(pivots)), { dim: -1 }));
    const gradient = (g: Tensor, { inputs }: Saved): Tensor[] => [
      mul(reshape(g, [...g.shape, 1, 1]), T(inverted(inputs[0]!, true))),
    ];
    return {
      sign: withGrad(false, () => prod(sign(pivots), { dim: -1 })),
      logabsdet: taped('slogdet', { gradient, saves: 'inputs' }, [a], magnitude),
    };
  });
}

/**
 * The lower triangular L of symmetric positive definite matrices L L^T (`torch.linalg.cholesky`), read from their lower half. Other
 * matrices give a NumericsError at the next await. The gradient is symmetric.
 *
 * @throws ShapeError when the matrices are not square.
 */
export function cholesky(a: Tensor): Tensor {
  matrices('cholesky', a, 'square');
  const [l] = factored('cholesky', 'cholesky', a, null, ['l'], 'indefinite') as [Tensor];
  // Murray, "Differentiation of the Cholesky decomposition", 2016.
  const gradient = (g: Tensor, { output }: Saved): Tensor[] => {
    const lower = tril(matmul(T(output), tril(g)));
    const middle = sub(lower, mul(0.5, mul(lower, identityLike(lower))));
    const left = substituted(T(output), middle, true);
    const s = T(substituted(T(output), T(left), true));
    return [mul(0.5, add(s, T(s)))];
  };
  return taped('cholesky', { gradient, saves: 'output' }, [a], l);
}

/** Puts two outputs of one kernel on the tape: each has the gradient rule with zeros in place of the other's gradient. */
function outputs(
  op: string,
  a: Tensor,
  found: readonly Tensor[],
  rule: (gradients: readonly (Tensor | null)[], values: readonly Tensor[]) => Tensor,
): Tensor[] {
  if (!a.requiresGrad) return [...found];
  // As one tensor on the tape, so that the rule runs once, with all gradients.
  const sizes = found.map((t) => sizeOf(t.shape.slice(a.ndim - 2)));
  const batch = a.shape.slice(0, -2);
  const whole = withGrad(false, () =>
    cat(
      found.map((t, i) => reshape(t, [...batch, sizes[i]!])),
      -1,
    ),
  );
  const parts = (t: Tensor): Tensor[] => {
    let start = 0;
    return found.map((f, i) => {
      start += sizes[i]!;
      return reshape(slice(t, -1, start - sizes[i]!, start), f.shape);
    });
  };
  const gradient = (g: Tensor, { output }: Saved): Tensor[] => [rule(parts(g), parts(output))];
  return parts(taped(op, { gradient, saves: 'output' }, [a], whole));
}

/** Q and R of matrices Q R: orthonormal columns, and an upper triangle. */
export interface QR {
  readonly q: Tensor;
  readonly r: Tensor;
}

/**
 * The reduced QR decomposition of matrices [..., m, n] (`torch.linalg.qr`): q is [..., m, k] and r [..., k, n], with k the smaller of m
 * and n, and the signs that LAPACK gives.
 *
 * @throws ShapeError for less than two dims.
 */
export function qr(a: Tensor): QR {
  const [m, n] = matrices('qr', a);
  return compose('qr', () => {
    if (m < n) {
      const { q, r } = qr(slice(a, -1, 0, m));
      return { q, r: cat([r, matmul(T(q), slice(a, -1, m))], -1) };
    }
    const [full, q] = factored('qr', 'qr', a, null, ['r', 'q'], null) as [Tensor, Tensor];
    // Walter and Lehmann, "Algorithmic differentiation of linear algebra functions", 2010.
    const rule = ([gq, gr]: readonly (Tensor | null)[], [qs, rs]: readonly Tensor[]): Tensor => {
      const inner = sub(matmul(rs!, T(gr!)), matmul(T(gq!), qs!));
      const lower = add(tril(inner), T(tril(inner, -1)));
      return T(substituted(rs!, T(add(gq!, matmul(qs!, lower))), true));
    };
    const [qs, rs] = outputs('qr', a, [q, slice(full, -2, 0, n)], rule) as [Tensor, Tensor];
    return { q: qs, r: triu(rs) };
  });
}

/** 1 / (x_j - x_i) of a vector at row i and column j; 0 where they are equal. */
function reciprocalGaps(x: Tensor): Tensor {
  const gaps = sub(unsqueeze(x, -2), unsqueeze(x, -1));
  const equal = eq(gaps, 0);
  return where(equal, 0, div(1, where(equal, 1, gaps)));
}

/** Eigenvalues, ascending, and orthonormal eigenvectors in the columns of a matrix. */
export interface Eigen {
  readonly eigenvalues: Tensor;
  readonly eigenvectors: Tensor;
}

/**
 * Eigenvalues and eigenvectors of symmetric matrices, read from their lower half (`torch.linalg.eigh`). Vectors are unique but for their
 * sign; gradients through them exist where eigenvalues differ.
 *
 * @throws ShapeError when the matrices are not square.
 */
export function eigh(a: Tensor): Eigen {
  matrices('eigh', a, 'square');
  return compose('eigh', () => {
    const [values, v] = factored('eigh', 'eigh', a, null, ['values', 'v'], null) as [Tensor, Tensor];
    const rule = ([gl, gv]: readonly (Tensor | null)[], [l, vs]: readonly Tensor[]): Tensor => {
      const turned = mul(reciprocalGaps(l!), matmul(T(vs!), gv!));
      const middle = add(turned, mul(identityLike(turned), unsqueeze(gl!, -2)));
      const g = matmul(matmul(vs!, middle), T(vs!));
      return mul(0.5, add(g, T(g)));
    };
    const [eigenvalues, eigenvectors] = outputs('eigh', a, [squeeze(values, -2), v], rule) as [Tensor, Tensor];
    return { eigenvalues, eigenvectors };
  });
}

/** Singular vectors in the columns of u and the rows of vh, and singular values, descending. */
export interface SVD {
  readonly u: Tensor;
  readonly s: Tensor;
  readonly vh: Tensor;
}

/**
 * The reduced singular value decomposition u diag(s) vh of matrices [..., m, n] (`torch.linalg.svd`, without full matrices): with k the
 * smaller of m and n, u is [..., m, k], s [..., k], vh [..., k, n]. Vectors are unique but for a common sign; gradients through them exist
 * where singular values differ.
 *
 * @throws ShapeError for less than two dims.
 */
export function svd(a: Tensor): SVD {
  const [m, n] = matrices('svd', a);
  return compose('svd', () => {
    if (m < n) {
      const { u, s, vh } = svd(T(a));
      return { u: T(vh), s, vh: T(u) };
    }
    const [s, u, v] = factored('svd', 'svd', a, null, ['s', 'u', 'v'], null) as [Tensor, Tensor, Tensor];
    // Townsend, "Differentiating the singular value decomposition", 2016.
    const rule = ([gs, gu, gv]: readonly (Tensor | null)[], [ss, us, vs]: readonly Tensor[]): Tensor => {
      const row = unsqueeze(ss!, -2);
      const column = unsqueeze(ss!, -1);
      const gaps = reciprocalGaps(mul(ss!, ss!));
      const skew = (x: Tensor, g: Tensor): Tensor => {
        const product = matmul(T(x), g);
        return mul(gaps, sub(product, T(product)));
      };
      const middle = add(mul(skew(us!, gu!), row), mul(column, skew(vs!, gv!)));
      const inside = matmul(us!, add(middle, mul(identityLike(middle), unsqueeze(gs!, -2))));
      // What u turns out of its own columns.
      const zero = eq(row, 0);
      const scaled = where(zero, 0, div(gu!, where(zero, 1, row)));
      const outside = sub(scaled, matmul(us!, matmul(T(us!), scaled)));
      return matmul(m > n ? add(inside, outside) : inside, T(vs!));
    };
    const [ss, us, vs] = outputs('svd', a, [squeeze(s, -2), u, v], rule) as [Tensor, Tensor, Tensor];
    return { u: us, s: ss, vh: T(vs) };
  });
}

/**
 * The x that makes the norm of a x - b least, for matrices of full rank (`torch.linalg.lstsq`, its solution), by QR decomposition: the
 * least of all such x where there are more columns than rows. A matrix that lacks rank gives a NumericsError at the next await: use
 * `pinv`.
 *
 * @throws ShapeError when b does not have a's rows.
 */
export function lstsq(a: Tensor, b: Tensor): Tensor {
  const [m, n] = matrices('lstsq', a);
  return compose('lstsq', () => {
    const right = rightHandSide('lstsq', a, b);
    const { q, r } = qr(m < n ? T(a) : a);
    const x =
      m < n
        ? matmul(q, substituted(...together('lstsq', T(r), right), false))
        : substituted(...together('lstsq', r, matmul(T(q), right)), true);
    return isVector(a, b) ? squeeze(x, -1) : x;
  });
}

/** The x that makes |a x - b|² + alpha |x|² least: (a^T a + alpha I)^-1 a^T b. */
export function ridge(a: Tensor, b: Tensor, alpha: number): Tensor {
  matrices('ridge', a);
  if (typeof alpha !== 'number' || !(alpha >= 0))
    throw new UnsupportedError(`ridge: alpha is ${describe(alpha)}, but it must be a number of at least 0`);
  return compose('ridge', () => {
    const right = rightHandSide('ridge', a, b);
    const square = matmul(T(a), a);
    const x = solve(add(square, mul(identityLike(square), alpha)), matmul(T(a), right));
    return isVector(a, b) ? squeeze(x, -1) : x;
  });
}

/** Options of `pinv` and `matrixRank`. */
export interface RankOptions {
  /** Singular values up to this share of the largest count as 0; the larger size times 1.2e-7 by default. */
  readonly rtol?: number | undefined;
}

/** The share of the largest singular value up to which others count as 0. */
function tolerance(op: string, a: Tensor, options: RankOptions): number {
  checkOptions(op, options, ['rtol']);
  const { rtol = Math.max(...a.shape.slice(-2)) * 2 ** -23 } = options;
  if (typeof rtol !== 'number' || !(rtol >= 0))
    throw new UnsupportedError(`${op}: rtol is ${describe(rtol)}, but it must be a number of at least 0`);
  return rtol;
}

function significant(s: Tensor, rtol: number): Tensor {
  return s.size === 0 ? gt(s, 0) : gt(s, mul(amax(s, { dim: -1, keepDim: true }), rtol));
}

/** The pseudo-inverse of matrices of any rank, from their singular values (`torch.linalg.pinv`). */
export function pinv(a: Tensor, options: RankOptions = {}): Tensor {
  matrices('pinv', a);
  const rtol = tolerance('pinv', a, options);
  return compose('pinv', () => {
    const { u, s, vh } = svd(a);
    const kept = withGrad(false, () => significant(s, rtol));
    const turned = where(kept, div(1, where(kept, s, 1)), 0);
    return matmul(mul(T(vh), unsqueeze(turned, -2)), T(u));
  });
}

/** How many singular values are not negligible, as int32 (`torch.linalg.matrix_rank`). */
export function matrixRank(a: Tensor, options: RankOptions = {}): Tensor {
  matrices('matrixRank', a);
  const rtol = tolerance('matrixRank', a, options);
  return compose('matrixRank', () =>
    withGrad(false, () => sum(cast(significant(svd(a).s, rtol), 'int32'), { dim: -1 })),
  );
}

/** Eigenvalues of symmetric matrices, ascending (`torch.linalg.eigvalsh`). */
export function eigvalsh(a: Tensor): Tensor {
  matrices('eigvalsh', a, 'square');
  return compose('eigvalsh', () => eigh(a).eigenvalues);
}

/** Singular values of matrices, descending (`torch.linalg.svdvals`). */
export function svdvals(a: Tensor): Tensor {
  matrices('svdvals', a);
  return compose('svdvals', () => svd(a).s);
}

const spread = (...shape: number[]): Drawn => ({ shape, distinct: true });
/** Well-conditioned square matrices, symmetric ones, and positive definite ones. */
const regular = (x: Tensor): Tensor => add(x, mul(3, identityLike(x)));
const symmetric = (x: Tensor): Tensor => add(x, T(x));
const definite = (x: Tensor): Tensor => add(matmul(x, T(x)), identityLike(x));
/** Vectors as they show up in functions that their signs do not change. */
const turned = (u: Tensor, s: Tensor, vh: Tensor): Tensor => matmul(mul(u, unsqueeze(sin(s), -2)), vh);

/** Calls for the generated tests. */
export const samples = (): Samples => ({
  solve: {
    calls: [
      sample([spread(3, 3), [3, 2]], (a, b) => solve(regular(a), b)),
      sample([spread(5, 5), [5]], (a, b) => solve(regular(a), b)),
      sample([spread(2, 1, 3, 3), [2, 3, 2]], (a, b) => solve(regular(a), b)),
      sample([{ shape: [3, 3], values: [0, 2, 1, 1, 0, 1, 2, 1, 0] }, [3, 1]], (a, b) => solve(a, b)),
      sample([spread(0, 0), [0, 2]], (a, b) => solve(a, b)),
    ],
  },
  solveTriangular: {
    calls: [
      sample([spread(4, 4), [4, 2]], (a, b) => solveTriangular(regular(a), b, { upper: true })),
      sample([spread(2, 3, 3), [3, 2]], (a, b) => solveTriangular(regular(a), b, { upper: false })),
    ],
  },
  inverse: {
    calls: [
      sample([spread(3, 3)], (a) => inverse(regular(a))),
      sample([spread(2, 5, 5)], (a) => inverse(regular(a))),
      sample([[1, 1]], (a) => inverse(regular(a))),
    ],
  },
  det: {
    calls: [
      sample([spread(3, 3)], det),
      sample([spread(2, 4, 4)], (a) => det(regular(a))),
      sample([spread(1, 1)], det),
      sample([{ shape: [3, 3], values: [0, 1, 0, 1, 0, 0, 0, 0, 2] }], det),
    ],
  },
  slogdet: {
    calls: [
      sample([spread(3, 3)], (a) => [slogdet(a).sign, slogdet(a).logabsdet]),
      sample([spread(2, 4, 4)], (a) => slogdet(a).logabsdet),
    ],
  },
  cholesky: {
    calls: [
      sample([spread(3, 3)], (a) => cholesky(definite(a))),
      sample([spread(2, 4, 4)], (a) => cholesky(definite(a))),
    ],
  },
  qr: {
    calls: [
      sample([spread(3, 3)], (a) => Object.values(qr(a))),
      sample([spread(5, 2)], (a) => Object.values(qr(a))),
      sample([spread(2, 3, 4)], (a) => Object.values(qr(a))),
    ],
  },
  eigh: {
    calls: [
      sample([spread(3, 3)], (a) => {
        const { eigenvalues, eigenvectors } = eigh(symmetric(a));
        return [eigenvalues, turned(eigenvectors, eigenvalues, T(eigenvectors))];
      }),
      sample([spread(2, 4, 4)], (a) => eigh(symmetric(a)).eigenvalues),
    ],
  },
  eigvalsh: { calls: [sample([spread(3, 3)], (a) => eigvalsh(symmetric(a)))] },
  svd: {
    calls: [
      sample([spread(4, 3)], (a) => {
        const { u, s, vh } = svd(a);
        return [s, turned(u, s, vh)];
      }),
      sample([spread(3, 3)], (a) => {
        const { u, s, vh } = svd(a);
        return turned(u, s, vh);
      }),
      sample([spread(2, 2, 3)], (a) => {
        const { u, s, vh } = svd(a);
        return turned(u, s, vh);
      }),
    ],
  },
  svdvals: { calls: [sample([spread(4, 3)], svdvals)] },
  lstsq: {
    calls: [
      sample([spread(5, 3), [5, 2]], lstsq),
      sample([spread(3, 3), [3]], lstsq),
      sample([spread(2, 4), [2, 1]], lstsq),
    ],
  },
  ridge: {
    calls: [
      sample([spread(5, 3), [5, 2]], (a, b) => ridge(a, b, 0.5)),
      sample([spread(4, 3), [4]], (a, b) => ridge(a, b, 2)),
    ],
  },
  pinv: { calls: [sample([spread(4, 3)], (a) => pinv(a)), sample([spread(2, 3)], (a) => pinv(a))] },
  matrixRank: {
    noGradient: 'a count of singular values',
    calls: [
      sample([spread(4, 3)], (a) => matrixRank(a)),
      sample([{ shape: [3, 3], values: [1, 2, 3, 2, 4, 6, 1, 0, 1] }], (a) => matrixRank(a)),
    ],
  },
});
