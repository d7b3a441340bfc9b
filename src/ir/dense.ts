import type { DenseAlgorithm } from './kernel.ts';

/*
 * The algorithms of dense kernels for one matrix, in float64: what the reference and the CPU run, and what a parallel version
 * must agree with. Matrices are row by row; `out` has the parts that `DENSE` names, one after the other. They return whether
 * the result is defined.
 */

type Numbers = Float64Array;
type Factorisation = (m: number, n: number, columns: number, a: Numbers, b: Numbers, out: Numbers) => boolean;

const SWEEPS = 40;

/** Gaussian elimination with row pivoting, then back substitution. */
const solve: Factorisation = (m, n, columns, a, b, out) => {
  const u = out.subarray(0, m * n);
  const x = out.subarray(m * n);
  u.set(a);
  x.set(b);
  let regular = true;
  for (let c = 0; c < n; c++) {
    let pivot = c;
    for (let r = c + 1; r < n; r++) if (Math.abs(u[r * n + c]!) > Math.abs(u[pivot * n + c]!)) pivot = r;
    if (pivot !== c)
      for (const [matrix, width] of [[u, n] as const, [x, columns] as const])
        for (let j = 0; j < width; j++) {
          const upper = matrix[c * width + j]!;
          matrix[c * width + j] = matrix[pivot * width + j]!;
          matrix[pivot * width + j] = -upper;
        }
    const head = u[c * n + c]!;
    if (head === 0) {
      regular = false;
      continue;
    }
    for (let r = c + 1; r < n; r++) {
      const factor = u[r * n + c]! / head;
      u[r * n + c] = 0;
      for (let j = c + 1; j < n; j++) u[r * n + j]! -= factor * u[c * n + j]!;
      for (let j = 0; j < columns; j++) x[r * columns + j]! -= factor * x[c * columns + j]!;
    }
  }
  substitute(n, columns, u, x, true);
  return regular;
};

/** x := the solution of a triangular system, from the right-hand sides in x. */
function substitute(n: number, columns: number, a: Numbers, x: Numbers, upper: boolean): void {
  for (let i = 0; i < n; i++) {
    const r = upper ? n - 1 - i : i;
    for (let j = 0; j < columns; j++) {
      let sum = x[r * columns + j]!;
      for (let k = upper ? r + 1 : 0; k < (upper ? n : r); k++) sum -= a[r * n + k]! * x[k * columns + j]!;
      x[r * columns + j] = sum / a[r * n + r]!;
    }
  }
}

const triangular =
  (upper: boolean): Factorisation =>
  (_, n, columns, a, b, out) => {
    out.set(b);
    substitute(n, columns, a, out, upper);
    for (let i = 0; i < n; i++) if (a[i * n + i] === 0) return false;
    return true;
  };

const cholesky: Factorisation = (_, n, _columns, a, _b, l) => {
  l.fill(0);
  let definite = true;
  for (let c = 0; c < n; c++)
    for (let r = c; r < n; r++) {
      let sum = a[r * n + c]!;
      for (let k = 0; k < c; k++) sum -= l[r * n + k]! * l[c * n + k]!;
      if (r === c) {
        definite &&= sum > 0;
        l[r * n + c] = Math.sqrt(sum);
      } else l[r * n + c] = sum / l[c * n + c]!;
    }
  return definite;
};

/** Householder reflections with the signs of LAPACK's dgeqrf and dorgqr. */
const qr: Factorisation = (m, n, _columns, a, _b, out) => {
  const rank = Math.min(m, n);
  const r = out.subarray(0, m * n);
  const q = out.subarray(m * n, m * n + m * rank);
  const scales = out.subarray(m * n + m * rank);
  r.set(a);
  // Reflects the columns of a matrix, from `first` on, by the vector that is stored below the diagonal of column k.
  const reflect = (k: number, matrix: Numbers, width: number, first: number): void => {
    for (let c = first; c < width; c++) {
      let sum = matrix[k * width + c]!;
      for (let i = k + 1; i < m; i++) sum += r[i * n + k]! * matrix[i * width + c]!;
      sum *= scales[k]!;
      matrix[k * width + c]! -= sum;
      for (let i = k + 1; i < m; i++) matrix[i * width + c]! -= sum * r[i * n + k]!;
    }
  };
  for (let k = 0; k < rank; k++) {
    const head = r[k * n + k]!;
    let tail = 0;
    for (let i = k + 1; i < m; i++) tail += r[i * n + k]! ** 2;
    scales[k] = 0;
    if (tail !== 0) {
      const norm = head < 0 || Object.is(head, -0) ? Math.sqrt(head * head + tail) : -Math.sqrt(head * head + tail);
      scales[k] = (norm - head) / norm;
      for (let i = k + 1; i < m; i++) r[i * n + k]! /= head - norm;
      reflect(k, r, n, k + 1);
      r[k * n + k] = norm;
    }
  }
  q.fill(0);
  for (let k = rank - 1; k >= 0; k--) {
    q[k * rank + k] = 1;
    reflect(k, q, rank, k);
  }
  for (let i = 1; i < m; i++) r.fill(0, i * n, i * n + Math.min(i, n));
  return true;
};

/** Rotates columns p and q of a matrix with the given row length. */
function rotate(matrix: Numbers, width: number, p: number, q: number, cos: number, sin: number): void {
  for (let i = 0; i < matrix.length; i += width) {
    const [x, y] = [matrix[i + p]!, matrix[i + q]!];
    matrix[i + p] = cos * x - sin * y;
    matrix[i + q] = sin * x + cos * y;
  }
}

function identity(v: Numbers, n: number): void {
  v.fill(0);
  for (let i = 0; i < n; i++) v[i * n + i] = 1;
}

/** The rotation that makes the off-diagonal element of [[a, b], [b, c]] zero. */
function rotation(a: number, b: number, c: number): [cos: number, sin: number] {
  const zeta = (c - a) / (2 * b);
  const t = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
  const cos = 1 / Math.sqrt(1 + t * t);
  return [cos, t * cos];
}

/** Reorders the columns of matrices of row length n so that `values` ascend by `before`. */
function sortColumns(values: Numbers, before: (a: number, b: number) => boolean, ...matrices: Numbers[]): void {
  const n = values.length;
  for (let i = 0; i < n; i++) {
    let best = i;
    for (let j = i + 1; j < n; j++) if (before(values[j]!, values[best]!)) best = j;
    if (best === i) continue;
    for (const list of [values, ...matrices])
      for (let row = 0; row < list.length; row += n)
        [list[row + i], list[row + best]] = [list[row + best]!, list[row + i]!];
  }
}

/** Cyclic Jacobi rotations (Golub and Van Loan, Matrix Computations, 8.5). */
const eigh: Factorisation = (_, n, _columns, a, _b, out) => {
  const values = out.subarray(0, n);
  const v = out.subarray(n, n + n * n);
  const work = out.subarray(n + n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) work[i * n + j] = a[Math.max(i, j) * n + Math.min(i, j)]!;
  identity(v, n);
  const norm = Math.sqrt(work.reduce((sum, x) => sum + x * x, 0));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    let moved = false;
    for (let p = 0; p < n; p++)
      for (let q = p + 1; q < n; q++) {
        const off = work[p * n + q]!;
        if (!(Math.abs(off) > 1e-16 * norm)) continue;
        moved = true;
        const [cos, sin] = rotation(work[p * n + p]!, off, work[q * n + q]!);
        rotate(work, n, p, q, cos, sin);
        for (let j = 0; j < n; j++) {
          const [x, y] = [work[p * n + j]!, work[q * n + j]!];
          work[p * n + j] = cos * x - sin * y;
          work[q * n + j] = sin * x + cos * y;
        }
        rotate(v, n, p, q, cos, sin);
      }
    if (!moved) break;
  }
  for (let i = 0; i < n; i++) values[i] = Number.isNaN(norm) ? Number.NaN : work[i * n + i]!;
  sortColumns(values, (x, y) => x < y, v);
  return true;
};

/** One-sided Jacobi rotations (Hestenes); columns of u without a singular value are completed to orthonormal ones. */
const svd: Factorisation = (m, n, _columns, a, _b, out) => {
  const s = out.subarray(0, n);
  const u = out.subarray(n, n + m * n);
  const v = out.subarray(n + m * n);
  u.set(a);
  identity(v, n);
  const dot = (p: number, q: number): number => {
    let sum = 0;
    for (let i = 0; i < m; i++) sum += u[i * n + p]! * u[i * n + q]!;
    return sum;
  };
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    let moved = false;
    for (let p = 0; p < n; p++)
      for (let q = p + 1; q < n; q++) {
        const [pp, pq, qq] = [dot(p, p), dot(p, q), dot(q, q)];
        if (!(Math.abs(pq) > 1e-15 * Math.sqrt(pp * qq))) continue;
        moved = true;
        const [cos, sin] = rotation(pp, pq, qq);
        rotate(u, n, p, q, cos, sin);
        rotate(v, n, p, q, cos, sin);
      }
    if (!moved) break;
  }
  for (let j = 0; j < n; j++) s[j] = Math.sqrt(dot(j, j));
  sortColumns(s, (x, y) => x > y, u, v);
  for (let j = 0; j < n; j++) {
    if (!(s[j]! <= 1e-14 * s[0]!)) {
      for (let i = 0; i < m; i++) u[i * n + j]! /= s[j]!;
      continue;
    }
    // The unit vector that is farthest from the columns so far, made orthogonal to them, twice.
    const left = Float64Array.from({ length: m }, (_, i) => {
      let sum = 1;
      for (let k = 0; k < j; k++) sum -= u[i * n + k]! ** 2;
      return sum;
    });
    const unit = left.indexOf(Math.max(...left));
    for (let i = 0; i < m; i++) u[i * n + j] = i === unit ? 1 : 0;
    for (let pass = 0; pass < 2; pass++)
      for (let k = 0; k < j; k++) {
        const along = dot(j, k);
        for (let i = 0; i < m; i++) u[i * n + j]! -= along * u[i * n + k]!;
      }
    const length = Math.sqrt(dot(j, j));
    for (let i = 0; i < m; i++) u[i * n + j]! /= length;
  }
  return true;
};

export const factorisations: Readonly<Record<DenseAlgorithm, Factorisation>> = {
  solve,
  lower: triangular(false),
  upper: triangular(true),
  cholesky,
  qr,
  eigh,
  svd,
};
