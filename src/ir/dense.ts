import type { DenseAlgorithm } from './kernel.ts';

/*
 * The algorithms of dense kernels for one matrix, in float64: what the reference and the CPU run, and what a parallel version
 * must agree with. Matrices are row by row; `out` has the parts that `DENSE` names, one after the other. They return whether
 * the result is defined, and may overwrite their inputs. Inner loops run along rows.
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
    for (let k = upper ? r + 1 : 0; k < (upper ? n : r); k++) {
      const factor = a[r * n + k]!;
      for (let j = 0; j < columns; j++) x[r * columns + j]! -= factor * x[k * columns + j]!;
    }
    for (let j = 0; j < columns; j++) x[r * columns + j]! /= a[r * n + r]!;
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
  const sums = new Float64Array(n);
  // Reflects the columns of a matrix, from `first` on, by the vector that is stored below the diagonal of column k.
  const reflect = (k: number, matrix: Numbers, width: number, first: number): void => {
    for (let c = first; c < width; c++) sums[c] = matrix[k * width + c]!;
    for (let i = k + 1; i < m; i++) {
      const x = r[i * n + k]!;
      for (let c = first; c < width; c++) sums[c]! += x * matrix[i * width + c]!;
    }
    for (let c = first; c < width; c++) {
      sums[c]! *= scales[k]!;
      matrix[k * width + c]! -= sums[c]!;
    }
    for (let i = k + 1; i < m; i++) {
      const x = r[i * n + k]!;
      for (let c = first; c < width; c++) matrix[i * width + c]! -= sums[c]! * x;
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

/** Rotates rows p and q of a matrix with the given row length. */
function rotate(matrix: Numbers, width: number, p: number, q: number, cos: number, sin: number): void {
  const [first, second] = [p * width, q * width];
  for (let i = 0; i < width; i++) {
    const x = matrix[first + i]!;
    const y = matrix[second + i]!;
    matrix[first + i] = cos * x - sin * y;
    matrix[second + i] = sin * x + cos * y;
  }
}

function identity(v: Numbers, n: number): void {
  v.fill(0);
  for (let i = 0; i < n; i++) v[i * n + i] = 1;
}

/** The rotation that makes the off-diagonal element of [[a, b], [b, c]] zero, and a - tan b and c + tan b of the others. */
function rotation(a: number, b: number, c: number): [cos: number, sin: number, tan: number] {
  const zeta = (c - a) / (2 * b);
  const tan = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
  const cos = 1 / Math.sqrt(1 + tan * tan);
  return [cos, tan * cos, tan];
}

/** Reorders the rows of matrices so that their `values` ascend by `before`. */
function sortRows(values: Numbers, before: (a: number, b: number) => boolean, ...matrices: Numbers[]): void {
  const n = values.length;
  for (let i = 0; i < n; i++) {
    let best = i;
    for (let j = i + 1; j < n; j++) if (before(values[j]!, values[best]!)) best = j;
    if (best === i) continue;
    for (const list of [values, ...matrices]) {
      const width = list.length / n;
      for (let k = 0; k < width; k++)
        [list[i * width + k], list[best * width + k]] = [list[best * width + k]!, list[i * width + k]!];
    }
  }
}

/** Transposes a matrix of the given size, by way of `work`. */
function transpose(matrix: Numbers, rows: number, columns: number, work: Numbers): void {
  work.set(matrix);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) matrix[j * rows + i] = work[i * columns + j]!;
}

/** The dot product of rows p and q. */
function dot(matrix: Numbers, width: number, p: number, q: number): number {
  const [first, second] = [p * width, q * width];
  let sum = 0;
  for (let i = 0; i < width; i++) sum += matrix[first + i]! * matrix[second + i]!;
  return sum;
}

/** Cyclic Jacobi rotations (Golub and Van Loan, Matrix Computations, 8.5). All NaN where an element is no finite number. */
const eigh: Factorisation = (_, n, _columns, a, _b, out) => {
  const values = out.subarray(0, n);
  const v = out.subarray(n, n + n * n);
  const work = out.subarray(n + n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) work[i * n + j] = a[Math.max(i, j) * n + Math.min(i, j)]!;
  const norm = Math.sqrt(dot(work, n * n, 0, 0));
  if (!Number.isFinite(norm)) {
    out.fill(Number.NaN);
    return true;
  }
  // Transposed, as everything that is rotated.
  identity(v, n);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    let moved = false;
    for (let p = 0; p < n; p++)
      for (let q = p + 1; q < n; q++) {
        const off = work[p * n + q]!;
        if (Math.abs(off) <= (Number.EPSILON / 2) * norm) continue;
        moved = true;
        const [pp, qq] = [work[p * n + p]!, work[q * n + q]!];
        const [cos, sin, tan] = rotation(pp, off, qq);
        rotate(v, n, p, q, cos, sin);
        rotate(work, n, p, q, cos, sin);
        for (let i = 0; i < n; i++) {
          work[i * n + p] = work[p * n + i]!;
          work[i * n + q] = work[q * n + i]!;
        }
        work[p * n + p] = pp - tan * off;
        work[q * n + q] = qq + tan * off;
        work[p * n + q] = 0;
        work[q * n + p] = 0;
      }
    if (!moved) break;
  }
  for (let i = 0; i < n; i++) values[i] = work[i * n + i]!;
  sortRows(values, (x, y) => x < y, v);
  transpose(v, n, n, work);
  return true;
};

/**
 * One-sided Jacobi rotations (Hestenes); columns of u without a singular value are completed to orthonormal ones. All NaN
 * where an element is no finite number.
 */
const svd: Factorisation = (m, n, _columns, a, _b, out) => {
  const s = out.subarray(0, n);
  const u = out.subarray(n, n + m * n);
  const v = out.subarray(n + m * n);
  if (!Number.isFinite(dot(a, m * n, 0, 0))) {
    out.fill(Number.NaN);
    return true;
  }
  // Both transposed until the end.
  u.set(a);
  transpose(u, m, n, a);
  identity(v, n);
  const close = Number.EPSILON * Math.max(m, 10);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    let moved = false;
    for (let j = 0; j < n; j++) s[j] = dot(u, m, j, j);
    for (let p = 0; p < n; p++)
      for (let q = p + 1; q < n; q++) {
        const [pp, pq, qq] = [s[p]!, dot(u, m, p, q), s[q]!];
        // The squares lose accuracy in a sweep, and may pass 0.
        if (!(Math.abs(pq) > close * Math.sqrt(pp) * Math.sqrt(qq))) continue;
        moved = true;
        const [cos, sin, tan] = rotation(pp, pq, qq);
        rotate(u, m, p, q, cos, sin);
        rotate(v, n, p, q, cos, sin);
        s[p] = pp - tan * pq;
        s[q] = qq + tan * pq;
      }
    if (!moved) break;
  }
  for (let j = 0; j < n; j++) s[j] = Math.sqrt(dot(u, m, j, j));
  sortRows(s, (x, y) => x > y, u, v);
  for (let j = 0; j < n; j++) {
    const row = u.subarray(j * m, (j + 1) * m);
    if (s[j]! > 1e-14 * s[0]!) {
      for (let i = 0; i < m; i++) row[i]! /= s[j]!;
      continue;
    }
    // The unit vector that is farthest from the others so far, made orthogonal to them, twice.
    let [unit, least] = [0, Infinity];
    for (let i = 0; i < m; i++) {
      let along = 0;
      for (let k = 0; k < j; k++) along += u[k * m + i]! ** 2;
      if (along < least) [unit, least] = [i, along];
    }
    row.fill(0);
    row[unit] = 1;
    for (let pass = 0; pass < 2; pass++)
      for (let k = 0; k < j; k++) {
        const along = dot(u, m, j, k);
        for (let i = 0; i < m; i++) row[i]! -= along * u[k * m + i]!;
      }
    const length = Math.sqrt(dot(u, m, j, j));
    for (let i = 0; i < m; i++) row[i]! /= length;
  }
  transpose(u, n, m, a);
  transpose(v, n, n, a);
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
