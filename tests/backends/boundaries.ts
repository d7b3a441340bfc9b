import type { Numbers } from '../../src/backends/backend.ts';
import type { DType } from '../../src/core/dtype.ts';
import { contiguousStrides, type Shape, sizeOf } from '../../src/core/shape.ts';
import * as s from '../../src/ir/expr.ts';
import {
  DENSE,
  type DenseAlgorithm,
  type DenseKernel,
  denseSize,
  type Input,
  type Output,
  type ScanKernel,
  type ScatterKernel,
  type ScatterOp,
  type SortKernel,
} from '../../src/ir/kernel.ts';
import { blank, integers, uniforms, type View, wholes } from './kernels.ts';

// Scans, sorts, scatters and factorisations, as the tests of all devices run them.

export interface BoundaryCase {
  readonly name: string;
  readonly kernel: ScanKernel | SortKernel | ScatterKernel | DenseKernel;
  /** What the buffers hold at first; the last is the output's. */
  readonly buffers: readonly Numbers[];
  readonly scalars?: readonly number[];
  /** Tolerance relative to the value of the reference in float64; 0, the default, demands equal numbers. */
  readonly relative?: number;
  /** Tolerance as it stands. */
  readonly absolute?: number;
  /** Whether an element of the output is determined, so that it can be compared with the reference. */
  readonly unique?: (element: number) => boolean;
  /** What the output must be, where it is known without the reference. */
  readonly expected?: readonly number[];
  readonly status?: number;
  /** What is wrong with the output by itself, or null. */
  readonly check?: (output: Numbers) => string | null;
}

export const boundaryCases: BoundaryCase[] = [];
const add = (name: string, c: Omit<BoundaryCase, 'name'>): void => void boundaryCases.push({ name, ...c });

const inputOf = (space: Shape, x: View, binding: number): Input => ({
  dtype: x.dtype ?? 'float32',
  binding: x.binding ?? binding,
  access: { mode: 'direct', strides: x.strides ?? contiguousStrides(space), offset: x.offset ?? 0 },
});

const outputOf = (expr: s.Expr, binding: number): readonly [Output] => [
  { dtype: expr.dtype, expr, level: 'element', strides: [], offset: 0, binding },
];

const r = (i: number, dtype: DType = 'float32'): s.Expr => s.result(i, dtype);

export function scan(
  space: Shape,
  views: readonly View[],
  combine: readonly s.Expr[],
  {
    expr = combine.length === 1 ? r(0, combine[0]!.dtype) : r(1, combine[1]!.dtype),
    reverse = false,
    scalars = [],
  }: {
    readonly expr?: s.Expr;
    readonly reverse?: boolean;
    readonly scalars?: readonly DType[];
  } = {},
): ScanKernel {
  const inputs = views.map((v, i) => inputOf(space, v, i));
  return {
    kind: 'scan',
    space,
    inputs,
    combine,
    reverse,
    outputs: outputOf(expr, views.length),
    scalars,
    bindings: views.length + 1,
  };
}

export function sort(space: Shape, view: View, key: s.Expr, other: View | null = null): SortKernel {
  const inputs = (other ? [view, other] : [view]).map((v, i) => inputOf(space, v, i));
  return {
    kind: 'sort',
    space,
    inputs,
    key,
    outputs: outputOf(s.position, inputs.length),
    scalars: [],
    bindings: inputs.length + 1,
  };
}

export function scatter(
  space: Shape,
  targets: number,
  reduce: ScatterOp,
  {
    place = {},
    element = {},
    views = [],
    expr = r(0, element.dtype ?? 'float32'),
    check = null,
  }: {
    readonly place?: View;
    readonly element?: View;
    readonly views?: readonly View[];
    readonly expr?: s.Expr;
    readonly check?: number | null;
  } = {},
): ScatterKernel {
  const over = [...space.slice(0, -1), targets];
  const inputs = [
    inputOf(space, { ...place, dtype: 'int32' }, 0),
    inputOf(space, element, 1),
    ...views.map((v, i) => inputOf(over, v, i + 2)),
  ];
  return {
    kind: 'scatter',
    space,
    inputs,
    targets,
    reduce,
    check,
    outputs: outputOf(expr, inputs.length),
    scalars: check === null ? [] : ['int32'],
    bindings: inputs.length + 1,
  };
}

export function dense(
  algorithm: DenseAlgorithm,
  space: Shape,
  columns: number | null = null,
  views: readonly View[] = [],
  check: number | null = null,
): DenseKernel {
  const [m] = space.slice(-2) as [number, number];
  const inputs = [inputOf(space, views[0] ?? {}, 0)];
  if (columns !== null) inputs.push(inputOf([...space.slice(0, -2), m, columns], views[1] ?? {}, 1));
  return {
    kind: 'dense',
    space,
    inputs,
    algorithm,
    columns: columns ?? 0,
    check,
    outputs: outputOf(r(0), inputs.length),
    scalars: check === null ? [] : ['int32'],
    bindings: inputs.length + 1,
  };
}

const LENGTHS = [1, 2, 3, 5, 63, 64, 65, 255, 256, 257, 1023, 1024, 1025, 4097];
const bools = (n: number, share = 0.5, seed = 9): Uint32Array =>
  Uint32Array.from(uniforms(n, 0, 1, seed), (x) => (x < share ? 1 : 0));
const counting = (n: number): Int32Array => Int32Array.from({ length: n }, (_, i) => i);
const places = (n: number, targets: number, seed = 7): Int32Array =>
  Int32Array.from(uniforms(n, 0, targets, seed), (x) => Math.min(Math.floor(x), targets - 1));

// --- scan ---

const sums = [s.add(r(0), r(1))];

for (const n of LENGTHS) {
  add(`scan: sums of ${n} whole numbers`, { kernel: scan([n], [{}], sums), buffers: [wholes(n), blank(n)] });
  add(`scan: sums of ${n} numbers, from the end`, {
    kernel: scan([n], [{}], sums, { reverse: true }),
    buffers: [uniforms(n, 0, 1), blank(n)],
    relative: 2e-6,
  });
  add(`scan: the greatest of ${n} so far, 3 rows`, {
    kernel: scan([3, n], [{}], [s.max(r(0), r(1))]),
    buffers: [uniforms(3 * n), blank(3 * n)],
  });
}
for (const reverse of [false, true])
  add(`scan: sums of 100,000 numbers${reverse ? ' from the end' : ''}`, {
    kernel: scan([100_000], [{}], sums, { reverse }),
    buffers: [uniforms(100_000, 0, 1), blank(100_000)],
    relative: 1e-5,
  });
add('scan: sums of 100,000 numbers that cancel', {
  kernel: scan([100_000], [{}], sums),
  buffers: [uniforms(100_000), blank(100_000)],
  absolute: 2e-4,
});
add('scan: products of 5,000 numbers about 1', {
  kernel: scan([5000], [{}], [s.mul(r(0), r(1))]),
  buffers: [uniforms(5000, 0.99, 1.0101), blank(5000)],
  relative: 1e-4,
});
const SPACES: readonly (readonly [name: string, space: Shape, view: View, size: number])[] = [
  ['many short rows', [70_000, 3], {}, 210_000],
  ['some long rows', [5, 20_011], {}, 100_055],
  ['rows of one', [130, 1], {}, 130],
  ['seven rows', [7, 300], {}, 2100],
  ['columns', [67, 129], { strides: [1, 67] }, 67 * 129],
  ['few columns', [3, 1000], { strides: [1, 3] }, 3000],
  ['one dim of three', [5, 6, 77], { strides: [77 * 6, 1, 6] }, 5 * 6 * 77],
  ['rows that repeat', [50, 65], { strides: [0, 1] }, 65],
  ['an element that repeats along the row', [50, 65], { strides: [1, 0] }, 50],
  ['a window with steps', [10, 20], { strides: [150, 3], offset: 7 }, 1600],
  ['backwards', [9, 33], { strides: [-33, -1], offset: 9 * 33 - 1 }, 9 * 33],
  ['dims of size 1', [1, 17, 1, 40], { strides: [3, 40, 9, 1] }, 680],
  ['four dims in another order', [3, 4, 5, 6], { strides: [1, 3, 12, 60] }, 360],
];
for (const [name, space, view, size] of SPACES)
  for (const reverse of [false, true])
    add(`scan: sums over ${name}${reverse ? ', from the end' : ''}`, {
      kernel: scan(space, [view], sums, { reverse }),
      buffers: [wholes(size), blank(space)],
    });
for (const space of [[0], [3, 0], [0, 5]])
  add(`scan: nothing over [${space}]`, { kernel: scan(space, [{}], sums), buffers: [wholes(4), blank(4)] });
add('scan: sums with NaN and infinities', {
  kernel: scan([3, 5], [{}], sums),
  buffers: [Float32Array.of(1, Number.NaN, 2, 3, 4, 1, Infinity, 2, 3, 4, 1, Infinity, 2, -Infinity, 4), blank(15)],
});
add('scan: sums of int32 that wrap', {
  kernel: scan([4, 257], [{ dtype: 'int32' }], [s.add(r(0, 'int32'), r(1, 'int32'))]),
  buffers: [integers(4 * 257), blank(4 * 257, 'int32')],
});
add('scan: products of uint32', {
  kernel: scan([3, 65], [{ dtype: 'uint32' }], [s.mul(r(0, 'uint32'), r(1, 'uint32'))], { reverse: true }),
  buffers: [Uint32Array.from(integers(195)), blank(195, 'uint32')],
});
add('scan: the least int32', {
  kernel: scan([1000], [{ dtype: 'int32' }], [s.min(r(0, 'int32'), r(1, 'int32'))]),
  buffers: [integers(1000), blank(1000, 'int32')],
});
for (const [name, combine] of [
  ['all', s.and(r(0, 'bool'), r(1, 'bool'))],
  ['any', s.or(r(0, 'bool'), r(1, 'bool'))],
  ['parity', s.xor(r(0, 'bool'), r(1, 'bool'))],
] as const)
  add(`scan: ${name} of bools`, {
    kernel: scan([11, 70], [{ dtype: 'bool' }], [combine]),
    buffers: [bools(770, name === 'all' ? 0.95 : name === 'any' ? 0.02 : 0.5), blank(770, 'uint32')],
  });
add('scan: bools counted in an expression', {
  kernel: scan([5, 70], [{ dtype: 'bool' }], [s.or(r(0, 'bool'), r(1, 'bool'))], {
    expr: s.select(r(0, 'bool'), s.constant(3), s.constant(-1)),
  }),
  buffers: [bools(350, 0.05), blank(350)],
});
add('scan: an output of another dtype, with a scalar', {
  kernel: scan([6, 90], [{}], sums, {
    expr: s.cast(s.mul(r(0), s.uniform(0, 'float32')), 'int32'),
    scalars: ['float32'],
  }),
  buffers: [wholes(540), blank(540, 'int32')],
  scalars: [4],
});
add('scan: a scalar in the combination', {
  kernel: scan([300], [{}], [s.add(s.add(r(0), r(1)), s.uniform(0, 'float32'))], { scalars: ['float32'] }),
  buffers: [wholes(300), blank(300)],
  scalars: [0.5],
});

/** A greatest element with its place; the later of equal ones, and the first NaN for good. */
const keepLeft = s.and(s.not(s.le(r(0), r(2))), s.not(s.and(s.isnan(r(2)), s.not(s.isnan(r(0))))));
const greatest = [s.select(keepLeft, r(0), r(2)), s.select(keepLeft, r(1, 'int32'), r(3, 'int32'))];
for (const [n, rows] of [
  [1, 1],
  [65, 9],
  [1025, 2],
  [4097, 1],
] as const)
  for (const part of [0, 1]) {
    const data = wholes(rows * n);
    if (n > 50) data[40] = Number.NaN;
    add(`scan: ${part ? 'place of the' : 'the'} greatest of ${rows} rows of ${n}`, {
      kernel: scan([rows, n], [{}, { dtype: 'int32', strides: [0, 1] }], greatest, {
        expr: part ? r(1, 'int32') : r(0),
      }),
      buffers: [data, counting(n), blank(rows * n, part ? 'int32' : 'float32')],
    });
  }
/** x[t] = a[t] x[t - 1] + b[t]. */
const recurrence = [s.mul(r(0), r(2)), s.add(s.mul(r(1), r(2)), r(3))];
for (const [space, strides] of [
  [[1], undefined],
  [[257], undefined],
  [[20, 65], undefined],
  [
    [65, 20],
    [1, 65],
  ],
  [[4097], undefined],
] as const)
  for (const reverse of [false, true])
    add(`scan: a linear recurrence over [${space}]${strides ? ', transposed' : ''}${reverse ? ' from the end' : ''}`, {
      kernel: scan(space, [strides ? { strides } : {}, {}], recurrence, { reverse }),
      buffers: [uniforms(sizeOf(space), 0.5, 0.99), uniforms(sizeOf(space), 0, 1, 4), blank(space)],
      relative: 1e-5,
    });
add('scan: sums within segments', {
  kernel: scan(
    [7, 129],
    [{ dtype: 'bool' }, {}],
    [s.or(r(0, 'bool'), r(2, 'bool')), s.select(r(2, 'bool'), r(3), s.add(r(1), r(3)))],
  ),
  buffers: [bools(903, 0.1), wholes(903), blank(903)],
});
add('scan: four parts of four dtypes', {
  kernel: scan(
    [13, 77],
    [{}, { dtype: 'int32' }, { dtype: 'bool', strides: [1, 13] }, { dtype: 'uint32', strides: [0, 1] }],
    [
      s.add(r(0), r(4)),
      s.max(r(1, 'int32'), r(5, 'int32')),
      s.or(r(2, 'bool'), r(6, 'bool')),
      s.xor(r(3, 'uint32'), r(7, 'uint32')),
    ],
    {
      expr: s.add(
        s.select(r(2, 'bool'), r(0), s.neg(r(0))),
        s.add(
          s.cast(s.shr(r(1, 'int32'), s.constant(20, 'int32')), 'float32'),
          s.cast(s.and(r(3, 'uint32'), 255), 'float32'),
        ),
      ),
    },
  ),
  buffers: [wholes(1001), integers(1001), bools(1001, 0.02), Uint32Array.from(integers(77, 8)), blank(1001)],
});
add('scan: the first element, from a combination that drops the right one', {
  kernel: scan([6, 40], [{}], [r(0)]),
  buffers: [uniforms(240), blank(240)],
});
add('scan: logarithms of sums of exponentials', {
  kernel: scan([5, 300], [{}], [s.add(s.max(r(0), r(1)), s.log1p(s.exp(s.neg(s.abs(s.sub(r(0), r(1)))))))]),
  buffers: [uniforms(1500, -4, 4), blank(1500)],
  absolute: 1e-4,
});

// --- sort ---

const bits = s.bitcast(s.load(0, 'float32'), 'uint32');
const negative = s.ne(s.and(bits, 0x80000000), s.constant(0, 'uint32'));
/** The order of floats, NaN last, and both zeros alike. */
const floatKey = s.select(
  s.isnan(s.load(0, 'float32')),
  s.constant(0xffffffff, 'uint32'),
  s.select(
    s.eq(s.load(0, 'float32'), 0),
    s.constant(0x80000000, 'uint32'),
    s.select(negative, s.not(bits), s.or(bits, 0x80000000)),
  ),
);
const uintKey = s.load(0, 'uint32');
const intKey = s.xor(s.bitcast(s.load(0, 'int32'), 'uint32'), s.constant(0x80000000, 'uint32'));

for (const n of [...LENGTHS, 16, 17, 32, 33, 47, 48, 49, 100, 127, 128, 129, 100_000]) {
  add(`sort: ${n} random keys`, {
    kernel: sort([n], { dtype: 'uint32' }, uintKey),
    buffers: [Uint32Array.from(integers(n)), blank(n, 'int32')],
  });
  add(`sort: ${n} floats with many equal ones`, {
    kernel: sort([n], {}, floatKey),
    buffers: [wholes(n, -3, 3), blank(n, 'int32')],
  });
}
for (const [name, keys] of [
  ['all equal', new Uint32Array(1000).fill(77)],
  ['sorted', Uint32Array.from({ length: 1000 }, (_, i) => i * 3)],
  ['sorted the other way', Uint32Array.from({ length: 1000 }, (_, i) => 5000 - i)],
  ['that differ in the highest byte', Uint32Array.from(integers(1000), (x) => (x & 0xff000000) | 0x123456)],
  ['that differ in the second byte', Uint32Array.from(integers(1000), (x) => (x & 0xff00) | 0x12000056)],
  ['of 0 and 1', bools(1000)],
  ['at the limits', Uint32Array.from(integers(1000), (x) => [0, 1, 0x7fffffff, 0x80000000, 0xffffffff][x & 3]!)],
] as const)
  add(`sort: keys ${name}`, {
    kernel: sort([1000], { dtype: 'uint32' }, uintKey),
    buffers: [keys, blank(1000, 'int32')],
  });
for (const [name, space, view, size] of SPACES)
  add(`sort: ${name}`, {
    kernel: sort(space, view, floatKey),
    buffers: [wholes(size, -20, 20), blank(space, 'int32')],
  });
for (const space of [[0], [3, 0], [0, 5]])
  add(`sort: nothing over [${space}]`, {
    kernel: sort(space, {}, floatKey),
    buffers: [wholes(4), blank(4, 'int32')],
  });
{
  const odd = uniforms(3000);
  for (let i = 0; i < odd.length; i += 7) odd[i] = [Number.NaN, Infinity, -Infinity, 0, -0][(i / 7) % 5]!;
  for (const [name, key] of [
    ['ascending', floatKey],
    ['descending', s.not(floatKey)],
  ] as const)
    for (const space of [[3000], [60, 50], [750, 4]])
      add(`sort: NaN, infinities and zeros over [${space}], ${name}`, {
        kernel: sort(space, {}, key),
        buffers: [odd, blank(3000, 'int32')],
      });
}
add('sort: NaN last, equal ones in order', {
  kernel: sort([6], {}, floatKey),
  buffers: [Float32Array.of(Number.NaN, 2, -0, Number.NaN, 0, -Infinity), blank(6, 'int32')],
  expected: [5, 2, 4, 1, 0, 3],
});
add('sort: keys from two inputs', {
  kernel: sort([5, 90], { dtype: 'uint32' }, s.add(s.mul(uintKey, 100), s.cast(s.load(1, 'int32'), 'uint32')), {
    dtype: 'int32',
    strides: [0, 1],
  }),
  buffers: [Uint32Array.from(places(450, 3)), places(90, 4), blank(450, 'int32')],
});
add('sort: int32', {
  kernel: sort([5, 200], { dtype: 'int32' }, intKey),
  buffers: [integers(1000), blank(1000, 'int32')],
});
add('sort: bools', {
  kernel: sort([3, 300], { dtype: 'bool' }, s.cast(s.load(0, 'bool'), 'uint32')),
  buffers: [bools(900), blank(900, 'int32')],
});
add('sort: 10,000 rows of 100', {
  kernel: sort([10_000, 100], {}, floatKey),
  buffers: [uniforms(1_000_000), blank(1_000_000, 'int32')],
});

// --- scatter ---

const OPS: readonly ScatterOp[] = ['sum', 'prod', 'max', 'min', 'last'];
const dataOf: Record<'float32' | 'int32' | 'uint32' | 'bool', (n: number) => Numbers> = {
  float32: (n) => wholes(n, -2, 2),
  int32: (n) => integers(n),
  uint32: (n) => Uint32Array.from(integers(n)),
  bool: (n) => bools(n),
};
for (const reduce of OPS)
  for (const dtype of ['float32', 'int32', 'uint32', 'bool'] as const) {
    const out = dtype === 'bool' ? 'uint32' : dtype;
    add(`scatter: ${reduce} of ${dtype}, few meet`, {
      kernel: scatter([3, 65], 40, reduce, { element: { dtype } }),
      buffers: [places(195, 40), dataOf[dtype](195), blank(120, out)],
    });
    add(`scatter: ${reduce} of ${dtype}, many meet, lines side by side`, {
      kernel: scatter([19, 70], 5, reduce, { place: { strides: [0, 1] }, element: { dtype, strides: [1, 19] } }),
      buffers: [places(70, 4), dataOf[dtype](70 * 19), blank(95, out)],
      // Products of 17 numbers up to 2.
      relative: 0,
    });
    add(`scatter: ${reduce} of ${dtype}, where nothing arrives the old value stays`, {
      kernel: scatter([4, 30], 50, reduce, {
        element: { dtype },
        views: [{ dtype, strides: [1, 4] }],
        expr: s.select(r(1, 'bool'), r(0, dtype), s.load(2, dtype)),
      }),
      buffers: [places(120, 50), dataOf[dtype](120), dataOf[dtype](200), blank(200, out)],
    });
  }
for (const n of LENGTHS) {
  add(`scatter: ${n} elements to 10 places`, {
    kernel: scatter([n], 10, 'sum'),
    buffers: [places(n, 10), uniforms(n, 0, 1), blank(10)],
    relative: 1e-5,
  });
  add(`scatter: ${n} elements to as many places`, {
    kernel: scatter([n], n, 'last'),
    buffers: [places(n, n), uniforms(n), blank(n)],
  });
}
add('scatter: sums of 100,000 elements at two places', {
  kernel: scatter([100_000], 2, 'sum'),
  buffers: [places(100_000, 2), uniforms(100_000, 0, 1), blank(2)],
  relative: 1e-5,
});
add('scatter: 100,000 elements to 70,000 places', {
  kernel: scatter([100_000], 70_000, 'sum'),
  buffers: [places(100_000, 70_000), wholes(100_000), blank(70_000)],
});
add('scatter: many lines of one element', {
  kernel: scatter([3001, 1], 7, 'sum'),
  buffers: [places(3001, 7), wholes(3001), blank(3001 * 7)],
});
add('scatter: rows of a table', {
  kernel: scatter([33, 500], 90, 'sum', { place: { strides: [0, 1] }, element: { strides: [1, 33] } }),
  buffers: [places(500, 90), wholes(33 * 500), blank(33 * 90)],
});
add('scatter: columns, each with places of its own', {
  kernel: scatter([33, 100], 20, 'max', { place: { strides: [1, 33] }, element: { strides: [1, 33] } }),
  buffers: [places(3300, 20), wholes(3300), blank(660)],
});
add('scatter: three dims in another order, one element for all', {
  kernel: scatter([4, 5, 60], 12, 'sum', {
    place: { strides: [1, 240, 4] },
    element: { strides: [0, 0, 0], offset: 2 },
  }),
  buffers: [places(1200, 12), Float32Array.of(5, 6, 7), blank(240)],
});
add('scatter: lines side by side in the middle, with hits', {
  kernel: scatter([3, 21, 40], 11, 'sum', {
    place: { strides: [840, 1, 21] },
    element: { strides: [840, 1, 21] },
    expr: s.select(r(1, 'bool'), r(0), s.constant(-9)),
  }),
  buffers: [places(2520, 11), wholes(2520), blank(693)],
});
add('scatter: what was hit', {
  kernel: scatter([2, 20], 33, 'sum', { expr: r(1, 'bool') }),
  buffers: [places(40, 33), wholes(40), blank(66, 'uint32')],
});
add('scatter: an expression that changes the dtype', {
  kernel: scatter([3, 50], 9, 'sum', { expr: s.cast(s.mul(r(0), 2), 'int32') }),
  buffers: [places(150, 9), wholes(150), blank(27, 'int32')],
});
add('scatter: added to what was there', {
  kernel: scatter([5, 64], 17, 'sum', { views: [{ strides: [0, 1] }], expr: s.add(s.load(2, 'float32'), r(0)) }),
  buffers: [places(320, 17), wholes(320), wholes(17, -9, 9, 5), blank(85)],
});
add('scatter: max of NaN', {
  kernel: scatter([6], 3, 'max'),
  buffers: [Int32Array.of(0, 1, 0, 1, 0, 2), Float32Array.of(1, Number.NaN, Number.NaN, 5, 3, -1), blank(3)],
  expected: [Number.NaN, Number.NaN, -1],
});
for (const reduce of OPS)
  for (const [space, targets] of [
    [[0], 5],
    [[3, 0], 4],
    [[0, 4], 3],
    [[2, 4], 0],
  ] as const)
    add(`scatter: ${reduce} over [${space}] to ${targets}`, {
      kernel: scatter(space, targets, reduce),
      buffers: [places(8, 5), wholes(8), blank([...space.slice(0, -1), targets])],
    });
const wild = Int32Array.of(0, -1, 2, 3, 2, 2 ** 31 - 1, -(2 ** 31), 1);
for (const check of [null, 0])
  add(`scatter: places out of range, ${check === null ? 'dropped' : 'reported'}`, {
    kernel: scatter([2, 4], 3, 'sum', { check }),
    buffers: [wild, wholes(8), blank(6)],
    scalars: check === null ? [] : [1234],
    status: check === null ? 0 : 1234,
  });
for (const [name, wrong] of [
  ['none', []],
  ['one too large', [50]],
  ['one below 0', [-1]],
  ['many', [50, -1, 2 ** 31 - 1, 51, -5, 70]],
] as const) {
  const given = places(6000, 50);
  wrong.forEach((place, i) => {
    given[3003 + 400 * i] = place;
  });
  add(`scatter: 6,000 places, ${name} out of range`, {
    kernel: scatter([2, 3000], 50, 'sum', { check: 0 }),
    buffers: [given, wholes(6000), blank(100)],
    scalars: [1234],
    status: wrong.length > 0 ? 1234 : 0,
  });
}
for (const n of [3, 3000])
  add(`scatter: ${n} elements to no places, with a check`, {
    kernel: scatter([n], 0, 'sum', { check: 0 }),
    buffers: [places(n, 1), wholes(n), blank(2)],
    scalars: [1234],
    status: 1234,
  });
add('scatter: all in range, with a check', {
  kernel: scatter([2, 4], 9, 'sum', { check: 0 }),
  buffers: [places(8, 9), wholes(8), blank(18)],
  scalars: [1234],
  status: 0,
});

// --- dense ---

type Matrix = (i: number, j: number) => number;

/** The largest difference of two matrices, as text where it passes the tolerance. */
function differs(what: string, m: number, n: number, got: Matrix, want: Matrix, tolerance: number): string | null {
  let worst = 0;
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) {
      const off = Math.abs(got(i, j) - want(i, j));
      worst = off <= worst ? worst : Number.isNaN(off) ? Infinity : off;
    }
  return worst <= tolerance ? null : `${what} is off by ${worst}`;
}

const at =
  (x: Numbers, start: number, width: number): Matrix =>
  (i, j) =>
    x[start + i * width + j]!;
const product =
  (k: number, a: Matrix, b: Matrix): Matrix =>
  (i, j) => {
    let sum = 0;
    for (let l = 0; l < k; l++) sum += a(i, l) * b(l, j);
    return sum;
  };
const turned =
  (a: Matrix): Matrix =>
  (i, j) =>
    a(j, i);
const unit: Matrix = (i, j) => (i === j ? 1 : 0);

/** The first thing that is wrong with the parts of one factorised matrix, where `a` and `b` are its inputs. */
function flaw(
  algorithm: DenseAlgorithm,
  m: number,
  n: number,
  columns: number,
  a: Matrix,
  b: Matrix,
  out: Numbers,
): string | null {
  const parts: Record<string, Matrix> = {};
  let start = 0;
  for (const [name, [rows, cols]] of Object.entries(DENSE[algorithm](m, n, columns))) {
    parts[name] = at(out, start, cols);
    start += rows * cols;
  }
  let scale = 1e-30;
  for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) scale = Math.max(scale, Math.abs(a(i, j)));
  const size = Math.max(m, n);
  const close = 2e-6 * size;
  const orthonormal = (name: string, rows: number, cols: number): string | null =>
    differs(`${name}^T ${name}`, cols, cols, product(rows, turned(parts[name]!), parts[name]!), unit, close);
  switch (algorithm) {
    case 'solve':
      return differs('a x', m, columns, product(n, a, parts.x!), b, 1e-4 * size);
    case 'lower':
      return differs(
        'a x',
        n,
        columns,
        product(n, (i, j) => (j > i ? 0 : a(i, j)), parts.x!),
        b,
        1e-4 * size,
      );
    case 'upper':
      return differs(
        'a x',
        n,
        columns,
        product(n, (i, j) => (j < i ? 0 : a(i, j)), parts.x!),
        b,
        1e-4 * size,
      );
    case 'cholesky': {
      const l = parts.l!;
      for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) if (l(i, j) !== 0) return 'l is not lower';
      return differs(
        'l l^T',
        n,
        n,
        product(n, l, turned(l)),
        (i, j) => a(Math.max(i, j), Math.min(i, j)),
        close * scale,
      );
    }
    case 'qr': {
      const rank = Math.min(m, n);
      for (let i = 0; i < rank; i++) for (let j = 0; j < i; j++) if (parts.r!(i, j) !== 0) return 'r is not upper';
      return differs('q r', m, n, product(rank, parts.q!, parts.r!), a, close * scale) ?? orthonormal('q', m, rank);
    }
    case 'eigh': {
      const { values, v } = parts;
      for (let i = 1; i < n; i++) if (values!(0, i) < values!(0, i - 1)) return 'eigenvalues do not ascend';
      const symmetric: Matrix = (i, j) => a(Math.max(i, j), Math.min(i, j));
      const scaled: Matrix = (i, j) => v!(i, j) * values!(0, j);
      return (
        differs('v d v^T', n, n, product(n, scaled, turned(v!)), symmetric, close * scale) ?? orthonormal('v', n, n)
      );
    }
    case 'svd': {
      const { s: values, u, v } = parts;
      for (let i = 0; i < n; i++)
        if (values!(0, i) < 0 || (i > 0 && values!(0, i) > values!(0, i - 1))) return 'singular values do not descend';
      const scaled: Matrix = (i, j) => u!(i, j) * values!(0, j);
      return (
        differs('u s v^T', m, n, product(n, scaled, turned(v!)), a, close * scale) ??
        orthonormal('u', m, n) ??
        orthonormal('v', n, n)
      );
    }
  }
}

const HAS_COLUMNS: readonly DenseAlgorithm[] = ['solve', 'lower', 'upper'];
/** Leading elements of each matrix's output that are the same for every right algorithm. */
const UNIQUE: Record<DenseAlgorithm, (m: number, n: number) => number> = {
  solve: () => Infinity,
  lower: () => Infinity,
  upper: () => Infinity,
  cholesky: () => Infinity,
  qr: (m, n) => Math.min(m, n) * n,
  eigh: (_, n) => n,
  svd: (_, n) => n,
};

function addDense(
  name: string,
  algorithm: DenseAlgorithm,
  space: Shape,
  a: Float32Array,
  options: {
    readonly columns?: number;
    readonly views?: readonly View[];
    readonly b?: Float32Array;
    /** Whether to look at the result at all. */
    readonly sound?: boolean;
    readonly status?: number;
    /** Whether the leading part is determined. */
    readonly determined?: boolean;
  } = {},
): void {
  const [m, n] = space.slice(-2) as [number, number];
  const batch = sizeOf(space.slice(0, -2));
  const columns = HAS_COLUMNS.includes(algorithm) ? (options.columns ?? 3) : null;
  const right = options.b ?? uniforms(batch * m * (columns ?? 0), -1, 1, 11);
  const size = denseSize(algorithm, m, n, columns ?? 0);
  const kernel = dense(algorithm, space, columns, options.views, options.status === undefined ? null : 0);
  const unique = (options.determined ?? true) ? UNIQUE[algorithm](m, n) : 0;
  const [first, second] = kernel.inputs.map(({ access }) => access as Extract<typeof access, { mode: 'direct' }>);
  const peak = a.reduce((most, x) => Math.max(most, Number.isFinite(x) ? Math.abs(x) : 0), 0);
  add(`dense: ${algorithm} ${name}`, {
    kernel,
    buffers: columns === null ? [a, blank(batch * size)] : [a, right, blank(batch * size)],
    scalars: options.status === undefined ? [] : [77],
    status: options.status ?? 0,
    relative: 2e-3,
    absolute: (options.sound ?? true) ? 1e-4 * Math.max(1, peak) : 1e-4,
    unique: (i) => i % size < unique,
    check: (out) => {
      if (options.sound === false) return null;
      for (let k = 0; k < batch; k++) {
        // Over the leading dims as one, which the views of batches here allow.
        const read = (access: typeof first, from: Float32Array): Matrix => {
          if (!access) return () => 0;
          const { strides, offset } = access;
          const [step, down, across] = [strides.at(-3) ?? 0, strides.at(-2)!, strides.at(-1)!];
          return (i, j) => from[offset + k * step + i * down + j * across]!;
        };
        const wrong = flaw(
          algorithm,
          m,
          n,
          columns ?? 0,
          read(first, a),
          read(second, right),
          out.subarray(k * size, (k + 1) * size),
        );
        if (wrong) return `matrix ${k}: ${wrong}`;
      }
      return null;
    },
  });
}

const square = (n: number, batch: number, entry: (i: number, j: number, k: number) => number): Float32Array =>
  Float32Array.from({ length: batch * n * n }, (_, at) =>
    entry(Math.floor(at / n) % n, at % n, Math.floor(at / n / n)),
  );
/** Random, with a strong diagonal, so that it is well conditioned. */
const regular = (n: number, batch = 1): Float32Array => {
  const x = uniforms(batch * n * n, -1, 1, n + 1);
  return square(n, batch, (i, j, k) => x[k * n * n + i * n + j]! + (i === j ? 1.5 + Math.sqrt(n) : 0));
};
/** Random a a^T + 1. */
const definite = (n: number, batch = 1): Float32Array => {
  const x = uniforms(batch * n * n, -1, 1, n + 2);
  return square(n, batch, (i, j, k) => {
    let sum = i === j ? 1 : 0;
    for (let l = 0; l < n; l++) sum += x[k * n * n + i * n + l]! * x[k * n * n + j * n + l]!;
    return sum;
  });
};
const SIZES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33];
for (const n of SIZES) {
  for (const algorithm of ['solve', 'lower', 'upper', 'qr', 'svd'] as const)
    addDense(`of ${n} x ${n}`, algorithm, [n, n], regular(n));
  for (const algorithm of ['cholesky', 'eigh'] as const) addDense(`of ${n} x ${n}`, algorithm, [n, n], definite(n));
  for (const algorithm of ['qr', 'svd'] as const)
    addDense(`of ${n + 5} x ${n}`, algorithm, [n + 5, n], uniforms((n + 5) * n, -1, 1, n + 3));
  addDense(`of ${n} x ${n + 6}`, 'qr', [n, n + 6], uniforms(n * (n + 6), -1, 1, n + 3));
}
for (const algorithm of ['solve', 'lower', 'upper'] as const) {
  addDense('without right-hand sides', algorithm, [6, 6], regular(6), { columns: 0 });
  addDense('with one right-hand side', algorithm, [17, 17], regular(17), { columns: 1 });
  addDense('with 40 right-hand sides', algorithm, [9, 9], regular(9), { columns: 40 });
  addDense('of a batch, transposed', algorithm, [7, 5, 5], regular(5, 7), {
    views: [{ strides: [25, 1, 5] }, { strides: [15, 1, 5] }],
  });
  addDense('of one matrix for all', algorithm, [6, 4, 4], regular(4), { views: [{ strides: [0, 4, 1] }] });
  addDense('of no matrices', algorithm, [0, 3, 3], regular(3));
  addDense('of 500 matrices', algorithm, [500, 2, 2], regular(2, 500));
}
for (const algorithm of ['cholesky', 'eigh'] as const) {
  addDense('of a batch', algorithm, [9, 6, 6], definite(6, 9));
  addDense('of two batch dims', algorithm, [3, 2, 5, 5], definite(5, 6));
  addDense('of no matrices', algorithm, [0, 3, 3], definite(3));
}
for (const algorithm of ['qr', 'svd'] as const) {
  addDense('of a batch, wide windows', algorithm, [5, 8, 4], uniforms(600), {
    views: [{ strides: [100, 11, 2], offset: 3 }],
  });
  addDense('of a tall matrix', algorithm, [300, 3], uniforms(900));
  addDense(
    'of large numbers',
    algorithm,
    [6, 4],
    uniforms(24).map((x) => x * 1e30),
  );
  addDense(
    'of small numbers',
    algorithm,
    [6, 4],
    uniforms(24).map((x) => x * 1e-30),
  );
  addDense('of zeros', algorithm, [5, 3], new Float32Array(15));
  addDense('of ones', algorithm, [6, 5], new Float32Array(30).fill(1), { determined: algorithm === 'svd' });
  addDense('of the identity', algorithm, [5, 5], square(5, 1, unit));
}
addDense(
  'of rank 2',
  'svd',
  [9, 7],
  Float32Array.from({ length: 63 }, (_, k) => {
    const [i, j] = [Math.floor(k / 7), k % 7];
    return (i + 1) * (j - 3) + (i % 3) * (j % 2);
  }),
);
addDense(
  'with equal singular values',
  'svd',
  [6, 6],
  square(6, 1, (i, j) => ((i + 2) % 6 === j ? 3 : 0)),
);
addDense(
  'with equal eigenvalues',
  'eigh',
  [8, 8],
  square(8, 1, (i, j) => (i === j ? 2 : 1)),
);
addDense(
  'from the lower half',
  'eigh',
  [3, 4, 4],
  definite(4, 3).map((x, at) => (at % 4 > Math.floor(at / 4) % 4 ? 77 : x)),
  { sound: false },
);
addDense('of the identity', 'eigh', [6, 6], square(6, 1, unit));
addDense('of zeros', 'eigh', [4, 4], new Float32Array(16));
addDense(
  'of large numbers',
  'eigh',
  [5, 5],
  definite(5).map((x) => x * 1e30),
);
addDense(
  'of small numbers',
  'eigh',
  [5, 5],
  definite(5).map((x) => x * 1e-30),
);
addDense(
  'with a positive and negative half',
  'eigh',
  [9, 9],
  square(9, 1, (i, j) => Math.sin(i * j + i + j)),
);
addDense('that needs exchanges', 'solve', [4, 4], Float32Array.of(0, 2, 1, 0, 1, 0, 0, 3, 0, 0, 0, 2, 4, 1, 0, 0));
addDense(
  'of large numbers',
  'solve',
  [4, 4],
  regular(4).map((x) => x * 1e10),
);

const SINGULAR = Float32Array.of(1, 2, 2, 4);
addDense('of a singular matrix', 'solve', [2, 2], SINGULAR, { sound: false, status: 77 });
addDense('of a singular matrix in a batch', 'solve', [2, 2, 2], Float32Array.of(1, 2, 3, 4, ...SINGULAR), {
  sound: false,
  status: 77,
});
addDense('of regular matrices, with a check', 'solve', [3, 4, 4], regular(4, 3), { status: 0 });
addDense('with a zero on the diagonal', 'lower', [2, 2], Float32Array.of(1, 5, 3, 0), { sound: false, status: 77 });
addDense('with a zero on the diagonal', 'upper', [2, 2], Float32Array.of(0, 5, 3, 1), { sound: false, status: 77 });
addDense('of what is not definite', 'cholesky', [3, 3], Float32Array.of(1, 0, 0, 2, 1, 0, 0, 0, 1), {
  sound: false,
  status: 77,
});
addDense('of what is definite, with a check', 'cholesky', [4, 3, 3], definite(3, 4), { status: 0 });
for (const [name, x] of [
  ['NaN', Number.NaN],
  ['infinity', Infinity],
] as const) {
  for (const algorithm of ['solve', 'lower', 'cholesky', 'qr', 'eigh', 'svd'] as const) {
    const a = definite(5);
    a[7] = x;
    a[11] = x;
    addDense(`with ${name}`, algorithm, [5, 5], a, { sound: false, determined: false });
  }
}
