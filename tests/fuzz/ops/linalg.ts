// Linear algebra in double: elimination, expansion along rows and Jacobi's rotations, whose gradients are composed of the same.
// How far float32 may be off follows from the condition of the matrix; a value of a matrix in poor condition is not compared.
import { type Entry, fail, type Handle, optionsOf, read } from '../handles.ts';
import {
  add,
  broadcast,
  broadcastShape,
  constant,
  div,
  log,
  map,
  mapOf,
  matmul,
  mul,
  neg,
  number,
  put,
  raise,
  type Shape,
  sameShape,
  shaped,
  smooth,
  sqrt,
  sub,
  take,
  taped,
  type Val,
  value,
} from '../values.ts';

const WORST = 1e3;
const most = (data: ArrayLike<number>): number => Array.from(data).reduce((m, v) => Math.max(m, Math.abs(v)), 0);
const batchOf = (x: Val): Shape => x.shape.slice(0, -2);
const rows = (x: Val): number => x.shape[x.shape.length - 2]!;
const columns = (x: Val): number => x.shape[x.shape.length - 1]!;

function T(x: Val): Val {
  const r = x.shape.length;
  const shape = [...batchOf(x), columns(x), rows(x)];
  return take(
    x,
    mapOf(shape, x.shape, (at) => [...at.slice(0, -2), at[r - 1]!, at[r - 2]!]),
    shape,
  );
}

/** A value of which float32 knows fewer digits: `rel` roundings of its largest element, and of its gradients' as well. */
const rough = (x: Val, rel: number): Val => {
  const out: Val = { ...x, err: x.err + rel * most(x.data), tape: null };
  if (!(out.err < 1e6)) return { ...taped(out, [x], (g) => [rough(g, rel)]), wild: true };
  return taped(out, [x], (g) => [rough(g, rel)]);
};

function square(x: Val): number {
  if (x.shape.length < 2 || rows(x) !== columns(x)) fail('ShapeError', 'square');
  return rows(x);
}

const matrix = (h: unknown): Val => {
  const { dtype } = h as Handle;
  if (dtype !== 'float32') fail('DTypeError', 'matrix');
  const x = read(h as Handle);
  return x.shape.length < 2 ? fail('ShapeError', 'matrix') : x;
};

const eye = (n: number): Val =>
  value(
    Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0)),
    [n, n],
    'float32',
    0,
    false,
  );

/** Gauss and Jordan's elimination with pivots, of one matrix beside its right-hand sides; null for a singular one. */
function eliminate(a: Float64Array, n: number, b: Float64Array, k: number): Float64Array | null {
  const m = Array.from({ length: n }, (_, i) => [...a.slice(i * n, i * n + n), ...b.slice(i * k, i * k + k)]);
  for (let c = 0; c < n; c++) {
    let best = c;
    for (let r = c + 1; r < n; r++) if (Math.abs(m[r]![c]!) > Math.abs(m[best]![c]!)) best = r;
    [m[c], m[best]] = [m[best]!, m[c]!];
    const pivot = m[c]![c]!;
    if (!(Math.abs(pivot) > 1e-12)) return null;
    for (let r = 0; r < n; r++) {
      if (r === c) continue;
      const f = m[r]![c]! / pivot;
      for (let j = c; j < n + k; j++) m[r]![j]! -= f * m[c]![j]!;
    }
    for (let j = n + k - 1; j >= c; j--) m[c]![j]! /= pivot;
  }
  return Float64Array.from(m.flatMap((row) => row.slice(n)));
}

const rowNorm = (a: Float64Array, n: number): number => {
  let out = 0;
  for (let r = 0; r < n; r++)
    out = Math.max(
      out,
      a.slice(r * n, r * n + n).reduce((s, v) => s + Math.abs(v), 0),
    );
  return out;
};
const each = (x: Val, fn: (part: Float64Array, i: number) => void): void => {
  const size = rows(x) * columns(x);
  if (size > 0) for (let i = 0; i * size < x.data.length; i++) fn(x.data.slice(i * size, i * size + size), i);
};

/** Facts of a batch of square matrices: the worst condition, the largest inverse, and whether one is surely singular. */
function condition(a: Val): { kappa: number; inverse: number; singular: boolean } {
  const n = rows(a);
  let [kappa, inverse, singular] = [1, 0, false];
  each(a, (part) => {
    const found = eliminate(part, n, eye(n).data, n);
    const size = found ? rowNorm(found, n) : Infinity;
    kappa = Math.max(kappa, found ? size * rowNorm(part, n) : Infinity);
    inverse = Math.max(inverse, size);
    // Rows and columns of zeros stay zero on the way, so that their pivot is 0.
    const line = (of: (i: number, j: number) => number): boolean =>
      Array.from({ length: n }, (_, i) => i).some((i) =>
        Array.from({ length: n }, (_, j) => part[of(i, j)]).every((v) => v === 0),
      );
    if (a.err === 0 && (line((i, j) => i * n + j) || line((i, j) => j * n + i))) singular = true;
  });
  return { kappa, inverse, singular };
}

/** x with a x = b, of the same batch dims. */
function solved(a: Val, b: Val): Val {
  const [n, k] = [rows(a), columns(b)];
  const { kappa, inverse, singular } = condition(a);
  const data = new Float64Array(b.data.length);
  each(a, (part, i) => {
    data.set(eliminate(part, n, b.data.slice(i * n * k, (i + 1) * n * k), k) ?? [], i * n * k);
  });
  const size = most(data);
  const err = inverse * (b.err + n * a.err * size) + 2 * n * kappa * size;
  const wild = a.wild || b.wild || !(kappa < WORST) || !(err < 1e6);
  const plain: Val = { ...value(data, b.shape, 'float32', 0, wild), err, tape: null };
  const out: Val = taped(plain, [a, b], (g) => {
    const back = solved(T(a), g);
    return [neg(matmul(back, T(out))), back];
  });
  if (a.wild || !(kappa < WORST)) return raise(out, 'NumericsError', singular && !a.wild);
  return out;
}

function together(a: Val, b: Val): [Val, Val] {
  const batch = broadcastShape(batchOf(a), batchOf(b));
  return [broadcast(a, [...batch, ...a.shape.slice(-2)]), broadcast(b, [...batch, ...b.shape.slice(-2)])];
}

/** A right-hand side without its last dim is one vector for each matrix. */
const isVector = (a: Val, b: Val): boolean => b.shape.length === 1 || sameShape(b.shape, a.shape.slice(0, -1));

/** Runs a solver for matrices of right-hand sides, or for vectors. */
function withRight(a: Val, b: Val, fn: (a: Val, b: Val) => Val): Val {
  const vector = isVector(a, b);
  const right = vector ? shaped(b, [...b.shape, 1]) : b;
  if (right.shape.length < 2 || rows(right) !== rows(a)) fail('ShapeError', 'right-hand side');
  const x = fn(a, right);
  return vector ? shaped(x, x.shape.slice(0, -1)) : x;
}

const solve = (a: Val, b: Val): Val => solved(...together(a, b));

/** The elements of matrices, each with the batch dims. */
const entries = (a: Val): Val[][] =>
  Array.from({ length: rows(a) }, (_, i) =>
    Array.from({ length: columns(a) }, (__, j) =>
      take(
        a,
        mapOf(batchOf(a), a.shape, (at) => [...at, i, j]),
        batchOf(a),
      ),
    ),
  );

/** Matrices from their elements. */
function assembled(parts: readonly (readonly Val[])[], batch: Shape): Val {
  const shape = [...batch, parts.length, parts[0]!.length];
  let out = value(new Float64Array(shape.reduce((n, d) => n * d, 1)), shape, 'float32', 0, false);
  parts.forEach((row, i) => {
    row.forEach((v, j) => {
      out = add(
        out,
        put(
          v,
          mapOf(batch, shape, (at) => [...at, i, j]),
          shape,
        ),
      );
    });
  });
  return out;
}

/** Laplace's expansion along the first row. */
function expansion(e: readonly (readonly Val[])[]): Val {
  const [first = [], ...rest] = e;
  if (rest.length === 0) return first[0] ?? number(1);
  return first
    .map((v, j) => {
      const minor = expansion(rest.map((row) => row.filter((_, k) => k !== j)));
      return mul(j % 2 === 0 ? v : neg(v), minor);
    })
    .reduce(add);
}

/** How many roundings a value of a matrix is off for its condition. */
const roundings = (a: Val): number => {
  const { kappa } = condition(a);
  return kappa < WORST ? 2 * rows(a) * kappa : Infinity;
};

function determinant(a: Val): Val {
  square(a);
  return rough(expansion(entries(a)), roundings(a));
}

function cholesky(given: Val): Val {
  const n = square(given);
  const a = mul(add(given, T(given)), number(0.5));
  const e = entries(a);
  const l: Val[][] = [];
  const batch = batchOf(a);
  const nothing = (): Val => value(new Float64Array(batch.reduce((m, d) => m * d, 1)), batch, 'float32', 0, false);
  let [indefinite, sure] = [false, false];
  for (let i = 0; i < n; i++) {
    l.push(Array.from({ length: n }, nothing));
    for (let j = 0; j <= i; j++) {
      let rest = e[i]![j]!;
      for (let k = 0; k < j; k++) rest = sub(rest, mul(l[i]![k]!, l[j]![k]!));
      if (i === j) {
        const least = Math.min(...rest.data);
        if (least < 1e-2) [indefinite, sure] = [true, sure || (!indefinite && least < -1e-2)];
        l[i]![i] = sqrt(rest);
      } else l[i]![j] = div(rest, l[j]![j]!);
    }
  }
  const out = rough(assembled(l, batch), indefinite ? 1 : roundings(a));
  return indefinite || given.wild ? raise(out, 'NumericsError', sure && !given.wild) : out;
}

/** Jacobi's rotations: eigenvalues of a symmetric matrix in ascending order, and their vectors as rows. */
function jacobi(given: Float64Array, n: number): { values: number[]; vectors: number[][] } {
  const a = Array.from({ length: n }, (_, i) => Array.from(given.slice(i * n, i * n + n)));
  const v: number[][] = Array.from({ length: n }, (_, i) => Array.from({ length: n }, (__, j) => Number(i === j)));
  for (let sweep = 0; sweep < 60; sweep++)
    for (let p = 0; p < n; p++)
      for (let q = p + 1; q < n; q++) {
        if (a[p]![q] === 0) continue;
        const angle = 0.5 * Math.atan2(2 * a[p]![q]!, a[q]![q]! - a[p]![p]!);
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        for (let k = 0; k < n; k++) {
          const [x, y] = [a[k]![p]!, a[k]![q]!];
          [a[k]![p], a[k]![q]] = [c * x - s * y, s * x + c * y];
        }
        for (let k = 0; k < n; k++) {
          const [x, y] = [a[p]![k]!, a[q]![k]!];
          [a[p]![k], a[q]![k]] = [c * x - s * y, s * x + c * y];
          const [u, w] = [v[p]![k]!, v[q]![k]!];
          [v[p]![k], v[q]![k]] = [c * u - s * w, s * u + c * w];
        }
      }
  const order = a.map((_, i) => i).sort((i, j) => a[i]![i]! - a[j]![j]!);
  return { values: order.map((i) => a[i]![i]!), vectors: order.map((i) => v[i]!) };
}

/** Eigenvalues of symmetric matrices, and for each the projection onto its vectors: both smooth where eigenvalues differ. */
function spectrum(a: Val): { values: Val; projections: Val[] } {
  const n = square(a);
  const batch = batchOf(a);
  const count = batch.reduce((m, d) => m * d, 1);
  const values = new Float64Array(count * n);
  const planes = Array.from({ length: n }, () => new Float64Array(count * n * n));
  let [gap, size] = [Infinity, 0];
  each(a, (part, b) => {
    const found = jacobi(part, n);
    found.values.forEach((l, i) => {
      values[b * n + i] = l;
      if (i > 0) gap = Math.min(gap, l - found.values[i - 1]!);
      size = Math.max(size, Math.abs(l));
      const vector = found.vectors[i]!;
      for (let p = 0; p < n * n; p++) planes[i]![b * n * n + p] = vector[Math.floor(p / n)]! * vector[p % n]!;
    });
  });
  const err = n * a.err + 4 * size;
  const wild = a.wild || gap < 0.25 || !(err < 1e6);
  const bare = (data: Float64Array, shape: Shape, e: number): Val => ({
    ...value(data, shape, 'float32', 0, wild),
    err: e,
    tape: null,
  });
  const symmetric = (x: Val): Val => mul(add(x, T(x)), number(0.5));
  /** One eigenvalue for each matrix, to multiply matrices with. */
  const single = (of: Val, i: number): Val =>
    take(
      of,
      mapOf([...batch, 1, 1], of.shape, (at) => [...at.slice(0, -2), i]),
      [...batch, 1, 1],
    );
  const lambda: Val = taped(bare(values, [...batch, n], err), [a], (g) => [
    symmetric(projections.map((p, i) => mul(single(g, i), p)).reduce(add)),
  ]);
  const projections: Val[] = planes.map((plane, i) =>
    taped(bare(plane, a.shape, (2 * err) / gap + 4), [a], (g) => {
      const turned = projections.flatMap((p, j) => {
        if (j === i) return [];
        const own = projections[i]!;
        const both = add(matmul(matmul(own, g), p), matmul(matmul(p, g), own));
        return [div(both, sub(single(lambda, i), single(lambda, j)))];
      });
      return [turned.length > 0 ? symmetric(turned.reduce(add)) : mul(g, number(0))];
    }),
  );
  return { values: lambda, projections };
}

const sine = (x: Val): Val =>
  smooth(
    x,
    Math.sin,
    () => 1,
    (g) => mul(g, cosine(x)),
    8,
  );
const cosine = (x: Val): Val =>
  smooth(
    x,
    Math.cos,
    () => 1,
    (g) => neg(mul(g, sine(x))),
    8,
  );

/** The function of a symmetric matrix that a function of its eigenvalues makes. */
function functionOf(a: Val, fn: (l: Val) => Val): Val {
  const { values, projections } = spectrum(a);
  const batch = batchOf(a);
  return projections
    .map((p, i) => {
      const l = take(
        values,
        mapOf([...batch, 1, 1], values.shape, (at) => [...at.slice(0, -2), i]),
        [...batch, 1, 1],
      );
      return mul(fn(l), p);
    })
    .reduce(add);
}

/** The smaller product of a matrix with itself, whose eigenvalues are the squares of the singular values. */
const gram = (a: Val): Val => (rows(a) >= columns(a) ? matmul(T(a), a) : matmul(a, T(a)));

function singularValues(a: Val): Val {
  const { values } = spectrum(gram(a));
  const r = values.shape.length;
  const descending = take(
    values,
    mapOf(values.shape, values.shape, (at) => [...at.slice(0, -1), values.shape[r - 1]! - 1 - at[r - 1]!]),
    values.shape,
  );
  return values.data.some((v) => v < 0.05) ? { ...descending, wild: true } : rough(sqrt(descending), 4 * rows(a));
}

/** Where the rank may be lower, nobody knows the result, and its gradient may be an error. */
const safe = (a: Val, part = a): Val =>
  a.wild || spectrum(constant(gram(part))).values.data.some((v) => !(v >= 0.05))
    ? taped({ ...a, wild: true, tape: null }, [a], (g) => [raise(g, 'NumericsError', false)])
    : a;
/** What a factorisation of full rank knows of the matrix. */
const factored = (a: Val): Val => {
  const least = Math.min(...spectrum(constant(gram(a))).values.data);
  const largest = Math.max(...spectrum(constant(gram(a))).values.data);
  return rough(safe(a), 16 * Math.max(...a.shape.slice(-2)) * Math.sqrt(Math.max(1, largest / Math.max(least, 1e-9))));
};

/** The same of qr, whose gradient divides by the first columns, as many as there are rows. */
function orthogonalized(a: Val): Val {
  const x = factored(a);
  const [n, m] = [rows(a), columns(a)];
  if (n >= m) return x;
  const shape = [...batchOf(a), n, n];
  return safe(
    x,
    constant(
      take(
        a,
        mapOf(shape, a.shape, (at) => at),
        shape,
      ),
    ),
  );
}

const lower = (a: Val, upper: boolean): Val =>
  take(
    a,
    mapOf(a.shape, a.shape, (at) => {
      const [i, j] = at.slice(-2) as [number, number];
      return (upper ? j >= i : j <= i) ? at : null;
    }),
    a.shape,
  );

export const LINALG: Record<string, Entry> = {
  solve: (_, [a, b]) => {
    const x = matrix(a);
    square(x);
    return withRight(x, read(b as Handle), solve);
  },
  solveTriangular: (_, [a, b, o]) => {
    const x = matrix(a);
    square(x);
    return withRight(lower(x, optionsOf(o).upper as boolean), read(b as Handle), solve);
  },
  inverse: (_, [a]) => {
    const x = matrix(a);
    return solve(x, eye(square(x)));
  },
  det: (_, [a]) => determinant(matrix(a)),
  slogdet: (m, [a]) => {
    const det = determinant(matrix(a));
    const signs = constant(map([constant(det)], (v) => Math.sign(v!)));
    // Far from 0, the sign is sure.
    const sign: Val = { ...signs, err: 0, wild: det.wild || det.data.some((v) => Math.abs(v) < 0.1) };
    return [m.fresh(sign), m.fresh(sign.wild ? { ...det, wild: true } : log(mul(det, sign)))];
  },
  cholesky: (_, [a]) => cholesky(matrix(a)),
  qrProduct: (_, [a]) => orthogonalized(matrix(a)),
  qrGram: (_, [a]) => {
    const x = orthogonalized(matrix(a));
    return matmul(T(x), x);
  },
  eigvalsh: (_, [a]) => spectrum(matrix(a)).values,
  eighSin: (_, [a]) => functionOf(matrix(a), sine),
  svdvals: (_, [a]) => singularValues(matrix(a)),
  svdProduct: (_, [a]) => {
    const x = matrix(a);
    // The gradient divides by the gaps between singular values.
    return spectrum(constant(gram(x))).values.wild ? { ...x, wild: true } : factored(x);
  },
  svdSin: (_, [a]) => {
    const x = safe(matrix(a));
    const middle = functionOf(gram(x), (l) => div(sine(sqrt(l)), sqrt(l)));
    return rows(x) >= columns(x) ? matmul(x, middle) : matmul(middle, x);
  },
  lstsq: (_, [a, b]) =>
    withRight(matrix(a), read(b as Handle), (x, right) => {
      const tall = rows(x) >= columns(x);
      const out = tall ? solve(gram(x), matmul(T(x), right)) : matmul(T(x), solve(gram(x), right));
      // Most of a right-hand side may be orthogonal to the columns: its rounding is not.
      const least = Math.sqrt(Math.max(1e-6, Math.min(...spectrum(constant(gram(x))).values.data)));
      return out.err > 0 ? { ...out, err: out.err + (4 * rows(x) * most(right.data)) / least } : out;
    }),
  ridge: (_, [a, b, alpha]) =>
    withRight(matrix(a), read(b as Handle), (x, right) => {
      const normal = matmul(T(x), x);
      return solve(add(normal, mul(eye(columns(x)), number(alpha as number))), matmul(T(x), right));
    }),
  pinv: (_, [a]) => {
    const x = matrix(a);
    return rows(x) >= columns(x) ? solve(gram(x), T(x)) : matmul(T(x), solve(gram(x), eye(rows(x))));
  },
  matrixRank: (_, [a]) => {
    const s = singularValues(matrix(a));
    const batch = batchOf(matrix(a));
    const n = s.shape[s.shape.length - 1]!;
    const data = new Float64Array(batch.reduce((m, d) => m * d, 1)).fill(n);
    return { shape: batch, dtype: 'int32', data, err: 0, wild: s.wild, tape: null };
  },
};
