import { describe, expect, test } from 'vitest';
import { factorisations } from '../../src/ir/dense.ts';
import { DENSE, type DenseAlgorithm, denseSize } from '../../src/ir/kernel.ts';

type Rows = readonly (readonly number[])[];

/** The parts of a factorisation, by name, as rows. */
function factorise(
  algorithm: DenseAlgorithm,
  a: Rows,
  b: Rows = [],
  n = a[0]?.length ?? 0,
): Record<string, number[][]> & { defined: boolean } {
  const m = a.length;
  const columns = b[0]?.length ?? 0;
  const out = new Float64Array(denseSize(algorithm, m, n, columns)).fill(0.5);
  const defined = factorisations[algorithm](
    m,
    n,
    columns,
    Float64Array.from(a.flat()),
    Float64Array.from(b.flat()),
    out,
  );
  const parts: Record<string, number[][]> = {};
  let start = 0;
  for (const [name, [rows, cols]] of Object.entries(DENSE[algorithm](m, n, columns))) {
    parts[name] = Array.from({ length: rows }, (_, i) => [...out.subarray(start + i * cols, start + (i + 1) * cols)]);
    start += rows * cols;
  }
  return Object.assign(parts, { defined }) as Record<string, number[][]> & { defined: boolean };
}

/** From rows as text, of numbers parted by blanks. */
const matrix = (text: string): number[][] => text.split(';').map((row) => row.trim().split(/\s+/).map(Number));

function close(got: Rows, want: Rows, tolerance = 1e-13): void {
  expect(got.map((r) => r.length)).toEqual(want.map((r) => r.length));
  got.forEach((row, i) => {
    row.forEach((x, j) => {
      expect(Math.abs(x - want[i]![j]!), `row ${i}, column ${j}: ${x}, not ${want[i]![j]}`).toBeLessThanOrEqual(
        tolerance,
      );
    });
  });
}

const product = (a: Rows, b: Rows): number[][] =>
  a.map((row) => (b[0] ?? []).map((_, j) => row.reduce((sum, x, k) => sum + x * b[k]![j]!, 0)));
const turned = (a: Rows): number[][] => (a[0] ?? []).map((_, j) => a.map((row) => row[j]!));
const diagonal = (values: readonly number[]): number[][] =>
  values.map((v, i) => values.map((_, j) => (i === j ? v : 0)));
const identity = (n: number): number[][] => diagonal(new Array<number>(n).fill(1));
const hilbert = (n: number): number[][] => identity(n).map((row, i) => row.map((_, j) => 1 / (i + j + 1)));

describe('solve', () => {
  test('gives the solution, and an upper triangle whose diagonal multiplies to the determinant', () => {
    const { u, x, defined } = factorise('solve', matrix('0 2 1; 4 1 0; 2 3 5'), [[4], [2], [13]]);
    expect(defined).toBe(true);
    close(product(matrix('0 2 1; 4 1 0; 2 3 5'), x!), [[4], [2], [13]]);
    // 0 (5) - 2 (20) + 1 (10)
    expect(u![0]![0]! * u![1]![1]! * u![2]![2]!).toBeCloseTo(-30, 12);
  });

  test('takes the largest element of the column as the pivot', () => {
    const { u, x } = factorise('solve', matrix('1e-20 1; 1 1'), [[1], [2]]);
    expect(u![0]).toEqual([1, 1]);
    close(x!, [[1], [1]]);
  });

  test('reports a singular matrix, whose determinant is 0', () => {
    const { u, defined } = factorise('solve', matrix('1 2; 2 4'), [[1], [1]]);
    expect(defined).toBe(false);
    expect(u![0]![0]! * u![1]![1]!).toBeCloseTo(0);
    expect(factorise('solve', [[0]], [[1]])).toMatchObject({ defined: false, x: [[Infinity]] });
  });
});

test('triangular systems read their own half only', () => {
  const a = [
    [2, Number.NaN],
    [3, 4],
  ];
  close(factorise('lower', a, matrix('2 4; 11 2')).x!, matrix('1 2; 2 -1'));
  close(factorise('upper', turned(a), matrix('8 4; 4 8')).x!, matrix('2.5 -1; 1 2'));
  expect(factorise('lower', matrix('1 0; 1 0'), [[1], [1]]).defined).toBe(false);
});

test('cholesky', () => {
  const { l, defined } = factorise('cholesky', matrix('4 7 7; 12 37 7; -16 -43 98'));
  expect(defined).toBe(true);
  expect(l).toEqual(matrix('2 0 0; 6 1 0; -8 5 3'));
  expect(factorise('cholesky', matrix('1 2; 2 1')).defined).toBe(false);
  expect(factorise('cholesky', [[0]]).defined).toBe(false);
  expect(factorise('cholesky', [[Number.NaN]]).defined).toBe(false);
});

describe('qr', () => {
  test('has the signs of LAPACK', () => {
    const { q, r } = factorise('qr', matrix('12 -51 4; 6 167 -68; -4 24 -41'));
    close(r!, matrix('-14 -21 14; 0 -175 70; 0 0 -35'), 1e-12);
    close(q!, [
      [-6 / 7, 69 / 175, 58 / 175],
      [-3 / 7, -158 / 175, -6 / 175],
      [2 / 7, -6 / 35, 33 / 35],
    ]);
    // A negative head makes a positive diagonal, and what is zero below the diagonal already stays as it is.
    close(factorise('qr', matrix('-3 1; 4 2')).r!, matrix('5 1; 0 2'));
    const upper = factorise('qr', matrix('2 3; 0 -4'));
    expect(upper.r).toEqual(matrix('2 3; 0 -4'));
    expect(upper.q).toEqual(identity(2));
  });

  test('of tall, wide and empty matrices', () => {
    for (const a of [
      hilbert(5),
      hilbert(6).map((row) => row.slice(0, 3)),
      hilbert(6).slice(0, 2),
      [[5]],
      [[1], [2], [2]],
    ]) {
      const { q, r } = factorise('qr', a);
      const rank = Math.min(a.length, a[0]!.length);
      close(product(q!, r!.slice(0, rank)), a);
      close(product(turned(q!), q!), identity(rank));
    }
    expect(factorise('qr', []).q).toEqual([]);
    expect(factorise('qr', [[], []], [], 0).q).toEqual([[], []]);
  });
});

describe('eigh', () => {
  test('of small matrices', () => {
    const { values, v } = factorise('eigh', matrix('2 9; 1 2'));
    close(values!, [[1, 3]]);
    close(
      v!.map((row) => row.map(Math.abs)),
      [
        [Math.SQRT1_2, Math.SQRT1_2],
        [Math.SQRT1_2, Math.SQRT1_2],
      ],
    );
    close(factorise('eigh', matrix('2 0 0; 0 -1 0; 0 0 2')).values!, [[-1, 2, 2]]);
    expect(factorise('eigh', [[-7]])).toMatchObject({ values: [[-7]], v: [[1]] });
    expect(factorise('eigh', []).values).toEqual([[]]);
  });

  test.each([
    ['of many near zero', hilbert(12)],
    ['repeated', identity(8).map((row) => row.map((x) => x + 1))],
    ['of both signs', hilbert(9).map((row, i) => row.map((x, j) => (i % 2 === j % 2 ? x : -x)))],
    ['of large numbers', hilbert(6).map((row) => row.map((x) => x * 1e30))],
    ['of small numbers', hilbert(6).map((row) => row.map((x) => x * 1e-30))],
  ] as const)('eigenvalues %s', (_, a) => {
    const { values, v } = factorise('eigh', a);
    const scale = Math.abs(a[0]![0]!);
    close(product(product(v!, diagonal(values![0]!)), turned(v!)), a, 1e-13 * scale);
    close(product(turned(v!), v!), identity(a.length));
    expect([...values![0]!].sort((x, y) => x - y)).toEqual(values![0]);
  });

  test('the second difference has known eigenvalues', () => {
    const n = 20;
    const a = identity(n).map((row, i) => row.map((_, j) => (i === j ? 2 : Math.abs(i - j) === 1 ? -1 : 0)));
    const want = Array.from({ length: n }, (_, k) => 2 - 2 * Math.cos((Math.PI * (k + 1)) / (n + 1)));
    close(factorise('eigh', a).values!, [want]);
  });
});

describe('svd', () => {
  test('of small matrices', () => {
    close(factorise('svd', matrix('3 0; 4 5')).s!, [[Math.sqrt(45), Math.sqrt(5)]]);
    close(factorise('svd', matrix('0 2; 0 0; -3 0')).s!, [[3, 2]]);
    expect(factorise('svd', [[-2]])).toMatchObject({ s: [[2]], u: [[-1]], v: [[1]] });
    expect(factorise('svd', [[], []], [], 0).u).toEqual([[], []]);
  });

  test.each([
    ['of many near zero', hilbert(12)],
    ['of a tall matrix', hilbert(30).map((row) => row.slice(0, 4))],
    ['of zeros', hilbert(5).map((row) => row.map(() => 0))],
    ['of rank 1', hilbert(7).map((row, i) => row.map((_, j) => (i + 1) * (j - 2)))],
    ['of equal ones', identity(6).map((row) => row.map((x) => -3 * x))],
    ['of a zero column', hilbert(6).map((row) => row.map((x, j) => (j === 2 ? 0 : x)))],
    ['of large numbers', hilbert(6).map((row) => row.map((x) => x * 1e30))],
    ['of small numbers', hilbert(6).map((row) => row.map((x) => x * 1e-30))],
  ] as const)('singular values %s', (_, a) => {
    const { s, u, v } = factorise('svd', a);
    const scale = Math.max(...a.flat().map(Math.abs));
    close(product(product(u!, diagonal(s![0]!)), turned(v!)), a, 1e-13 * scale);
    close(product(turned(u!), u!), identity(a[0]!.length));
    close(product(turned(v!), v!), identity(a[0]!.length));
    expect([...s![0]!].sort((x, y) => y - x)).toEqual(s![0]);
  });
});

test('elements that are no finite numbers end in NaN', () => {
  for (const x of [Number.NaN, Infinity, -Infinity])
    for (const at of [0, 3, 8])
      for (const algorithm of ['qr', 'eigh', 'svd'] as const) {
        const a = hilbert(3);
        a[Math.floor(at / 3)]![at % 3] = x;
        const { r, values, s } = factorise(algorithm, a);
        const flat = (r ?? values ?? s)!.flat();
        if (algorithm === 'qr') expect(flat.every(Number.isFinite)).toBe(false);
        else expect(flat).toEqual(flat.map(() => Number.NaN));
      }
});
