import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend, Numbers } from '../../src/backends/backend.ts';
import { createCpuBackend } from '../../src/backends/cpu/cpu.ts';
import { ReferenceBackend } from '../../src/backends/reference/reference.ts';
import { createWebGPUBackend } from '../../src/backends/webgpu/webgpu.ts';
import { contiguousStrides, type Shape, sizeOf } from '../../src/core/shape.ts';
import { exactFunction } from '../../src/ir/exact.ts';
import * as s from '../../src/ir/expr.ts';
import { isLoop, type Kernel } from '../../src/ir/kernel.ts';
import { devices, gpu, hasWebGPU, type TestedDevice } from '../setup/devices.ts';
import {
  blank,
  contraction,
  difference,
  integers,
  map,
  matmul,
  reduction,
  rows,
  run,
  UNTOUCHED,
  ulps,
  uniforms,
  wholes,
} from './kernels.ts';

const f = (i: number): s.Expr => s.load(i, 'float32');
const int = (i: number): s.Expr => s.load(i, 'int32');
const uint = (i: number): s.Expr => s.load(i, 'uint32');
const bool = (i: number): s.Expr => s.load(i, 'bool');
const sum = s.result(0, 'float32');
const raised = s.exp(s.sub(f(0), sum));
const { NaN: nan, POSITIVE_INFINITY: inf, NEGATIVE_INFINITY: minusInf } = Number;

interface Case {
  readonly name: string;
  readonly kernel: Kernel | readonly Kernel[];
  /** What the buffers hold at first; `blank` ones show what was written. */
  readonly buffers: readonly Numbers[];
  readonly scalars?: readonly number[];
  /** Tolerance relative to the value; 0 demands equal numbers. */
  readonly relative?: number;
  /** Tolerance relative to what the kernel gives for the absolute values of its inputs: for sums that cancel. */
  readonly ofAbsolutes?: number;
  /** Tolerance as it stands. */
  readonly absolute?: number;
  /** The content of some buffers in the end, where it is known without the reference. */
  readonly expected?: Readonly<Record<number, readonly number[]>>;
  readonly status?: number;
}

const cases: Case[] = [];
/** `relative` 0 by default: all data movement and integer arithmetic is exact. */
const add = (name: string, c: Omit<Case, 'name'>): void => void cases.push({ name, ...c });

// --- map: views ---

for (const n of [1, 3, 4, 5, 63, 64, 65, 1000, 4099]) {
  add(`map: contiguous, ${n} elements`, {
    kernel: map([n], [{}, {}], [s.add(s.mul(f(0), 2), f(1))]),
    buffers: [wholes(n), wholes(n, -9, 9, 5), blank(n)],
  });
}
add('map: a scalar space', {
  kernel: map([], [{}], [s.add(f(0), 1)]),
  buffers: [Float32Array.of(41), blank(1)],
  expected: { 1: [42] },
});
add('map: a row and a column, broadcast', {
  kernel: map([37, 53], [{}, { strides: [0, 1] }, { strides: [1, 0] }], [s.add(s.mul(f(0), f(1)), f(2))]),
  buffers: [wholes(37 * 53), wholes(53, -9, 9, 5), wholes(37, -9, 9, 6), blank(37 * 53)],
});
add('map: one element, broadcast', {
  kernel: map([130], [{}, { strides: [0], offset: 2 }], [s.mul(f(0), f(1))]),
  buffers: [wholes(130), Float32Array.of(5, 6, 7), blank(130)],
});
add('map: everything broadcast', {
  kernel: map([9, 11], [{ strides: [0, 0] }], [s.neg(f(0))]),
  buffers: [Float32Array.of(3), blank(99)],
});
add('map: transposed', {
  kernel: map([31, 45], [{ strides: [1, 31] }], [f(0)]),
  buffers: [uniforms(31 * 45), blank(31 * 45)],
});
add('map: reversed', {
  kernel: map([100], [{ strides: [-1], offset: 99 }], [f(0)]),
  buffers: [uniforms(100), blank(100)],
});
add('map: a window with steps and an offset', {
  kernel: map([10, 20], [{ strides: [150, 3], offset: 7 }], [f(0)]),
  buffers: [uniforms(1600), blank(200)],
});
add('map: three dims permuted', {
  kernel: map([5, 6, 7], [{ strides: [1, 35, 5] }], [f(0)]),
  buffers: [uniforms(210), blank(210)],
});
add('map: six dims, three inputs in different orders', {
  kernel: map(
    [2, 3, 2, 3, 2, 3],
    [{}, { strides: [1, 2, 6, 12, 36, 72] }, { strides: [0, 1, 0, 3, 0, 9] }],
    [s.add(f(0), s.add(f(1), f(2)))],
  ),
  buffers: [wholes(216), wholes(216, -9, 9, 5), wholes(27), blank(216)],
});
add('map: dims of size 1', {
  kernel: map([1, 17, 1, 3], [{ strides: [99, 3, 55, 1] }], [s.add(f(0), 1)]),
  buffers: [wholes(51), blank(51)],
});
add('map: a strided output leaves the gaps alone', {
  kernel: map([8, 9], [{}], [{ expr: s.neg(f(0)), strides: [1, 20], offset: 3 }]),
  buffers: [wholes(72), blank(200)],
});
add('map: outputs of three dtypes', {
  kernel: map([77], [{}], [s.mul(f(0), 2), s.cast(f(0), 'int32'), s.lt(f(0), 1)]),
  buffers: [wholes(77), blank(77), blank(77, 'int32'), blank(77, 'uint32')],
});
add('map: one buffer read through two views', {
  kernel: map([50], [{}, { strides: [-1], offset: 49, binding: 0 }], [{ expr: s.sub(f(0), f(1)), binding: 1 }]),
  buffers: [wholes(50), blank(50)],
});
add('map: parts of one buffer', {
  kernel: map([33], [{ offset: 1 }, { offset: 40, binding: 0 }], [{ expr: s.add(f(0), f(1)), binding: 1, offset: 5 }]),
  buffers: [wholes(80), blank(40)],
});
for (const space of [[0], [3, 0, 2], [0, 4]] as const) {
  add(`map: an empty space ${JSON.stringify(space)}`, {
    kernel: map(space, [{}], [f(0)]),
    buffers: [wholes(6), blank(6)],
  });
}

// --- map: in place ---

add('map: in place', {
  kernel: map([133], [{}], [{ expr: s.add(s.mul(f(0), 2), 1), binding: 0 }]),
  buffers: [wholes(133)],
});
add('map: in place, with another input', {
  kernel: map([12, 11], [{}, { strides: [0, 1] }], [{ expr: s.sub(f(0), f(1)), binding: 0 }]),
  buffers: [wholes(132), wholes(11, -9, 9, 4)],
});
add('map: two buffers exchanged in place', {
  kernel: map(
    [70],
    [{}, {}],
    [
      { expr: f(1), binding: 0 },
      { expr: f(0), binding: 1 },
    ],
  ),
  buffers: [wholes(70), wholes(70, -9, 9, 4)],
});
add('map: part of a buffer in place', {
  kernel: map(
    [5, 6],
    [{ strides: [10, 1], offset: 12 }],
    [{ expr: s.mul(f(0), -1), binding: 0, strides: [10, 1], offset: 12 }],
  ),
  buffers: [wholes(80)],
});
add('map: a step of momentum, two buffers in place and one read', {
  kernel: map(
    [259],
    [{}, {}, {}],
    [
      {
        expr: s.sub(f(0), s.mul(s.uniform(0, 'float32'), s.add(s.mul(f(1), s.uniform(1, 'float32')), f(2)))),
        binding: 0,
      },
      { expr: s.add(s.mul(f(1), s.uniform(1, 'float32')), f(2)), binding: 1 },
    ],
    ['float32', 'float32'],
  ),
  buffers: [wholes(259), wholes(259, -9, 9, 5), wholes(259, -9, 9, 6)],
  scalars: [0.25, 0.5],
});

// --- map: indices, positions, uniforms, literals ---

add('map: coordinates and position', {
  kernel: map([4, 5, 6], [], [s.index(0), s.index(1), s.index(2), s.position]),
  buffers: Array.from({ length: 4 }, () => blank(120, 'int32')),
});
add('map: position of a strided output', {
  kernel: map([6, 7], [], [{ expr: s.cast(s.position, 'float32'), strides: [1, 6] }]),
  buffers: [blank(42)],
});
add('map: uniforms of every dtype', {
  kernel: map(
    [10],
    [],
    [
      s.uniform(0, 'float32'),
      s.uniform(1, 'int32'),
      s.uniform(2, 'uint32'),
      s.uniform(3, 'bool'),
      s.uniform(4, 'float32'),
    ],
    ['float32', 'int32', 'uint32', 'bool', 'float32'],
  ),
  buffers: [blank(10), blank(10, 'int32'), blank(10, 'uint32'), blank(10, 'uint32'), blank(10)],
  scalars: [0.1, -(2 ** 31), 2 ** 32 - 1, 1, minusInf],
});
add('map: uniforms that are NaN and infinite', {
  kernel: map(
    [6],
    [{}],
    [s.add(f(0), s.uniform(0, 'float32')), s.max(f(0), s.uniform(1, 'float32'))],
    ['float32', 'float32'],
  ),
  buffers: [wholes(6), blank(6), blank(6)],
  scalars: [nan, inf],
});
const LITERALS = [0, 1, -1.5, 0.1, 3.4028235e38, -3.4028235e38, 1.1754944e-38, inf, minusInf, nan, 16777217, 1e-20];
for (const some of [LITERALS.slice(0, 6), LITERALS.slice(6)]) {
  add(`map: literals ${some.map((x) => (Object.is(x, -0) ? '-0' : x)).join(', ')}`, {
    kernel: map(
      [5],
      [{}],
      some.map((x) => s.select(s.lt(f(0), 0), x, s.constant(x))),
    ),
    buffers: [Float32Array.of(-1, 0, 1, 2, -3), ...some.map(() => blank(5))],
  });
}
add('map: float literals alone, and operations on them', {
  kernel: map(
    [3],
    [],
    [s.constant(7), s.div(s.constant(1), s.constant(0)), s.sqrt(s.constant(-1)), s.mul(s.constant(3e38), 10)],
  ),
  buffers: Array.from({ length: 4 }, () => blank(3)),
  expected: { 0: [7, 7, 7], 1: [inf, inf, inf], 2: [nan, nan, nan], 3: [inf, inf, inf] },
});
add('map: integer literals alone, and operations on them', {
  kernel: map(
    [2],
    [],
    [
      s.constant(-(2 ** 31), 'int32'),
      s.add(s.constant(2 ** 31 - 1, 'int32'), 1),
      s.constant(2 ** 32 - 1, 'uint32'),
      s.constant(1, 'bool'),
    ],
  ),
  buffers: [blank(2, 'int32'), blank(2, 'int32'), blank(2, 'uint32'), blank(2, 'uint32')],
  expected: { 0: [-(2 ** 31), -(2 ** 31)], 1: [-(2 ** 31), -(2 ** 31)], 2: [2 ** 32 - 1, 2 ** 32 - 1], 3: [1, 1] },
});

// --- map: casts and arithmetic of every dtype ---

const FLOATS = Float32Array.of(
  ...[0, 0.5, 1, 1.5, 2.5, 3.5, 0.49999997, 7.999, 1e6 + 0.5, 8388607.5, 16777216, 2147483520, 2147483648, 4294967040],
  ...[4294967296, 1e20, 3e38, inf, 1e-30, 0.99999994].flatMap((x) => [x, -x]),
  ...[-0, -0.5, -1, -1.5, -2.5, -3.5, -0.3, -2147483648, nan],
);
const INTS = Int32Array.of(
  0,
  1,
  -1,
  2,
  -2,
  7,
  -7,
  31,
  100,
  -100,
  65537,
  -65537,
  2 ** 31 - 1,
  -(2 ** 31),
  16777217,
  -123456789,
);
const UINTS = Uint32Array.of(
  0,
  1,
  2,
  7,
  31,
  100,
  65537,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 31 + 1,
  2 ** 32 - 1,
  4000000000,
  16777217,
  3,
);
const BOOLS = Uint32Array.of(0, 1, 1, 0, 1, 0, 0);
const DTYPES = ['float32', 'int32', 'uint32', 'bool'] as const;
const SAMPLES: Record<(typeof DTYPES)[number], Numbers> = { float32: FLOATS, int32: INTS, uint32: UINTS, bool: BOOLS };

for (const from of DTYPES) {
  for (const to of DTYPES) {
    const data = SAMPLES[from];
    add(`cast ${from} to ${to}`, {
      kernel: map([data.length], [{ dtype: from }], [s.cast(s.load(0, from), to)]),
      buffers: [data, blank(data.length, to)],
    });
  }
}

/** Every pair of two lists, as two columns. */
function pairs<T extends Numbers>(a: T, b: T): [T, T] {
  const Type = a.constructor as unknown as { from(x: Iterable<number>): T };
  return [Type.from([...a].flatMap((x) => [...b].map(() => x))), Type.from([...a].flatMap(() => [...b]))];
}

const BINARY = { add: s.add, sub: s.sub, mul: s.mul, div: s.div, max: s.max, min: s.min };
const COMPARE = { eq: s.eq, ne: s.ne, lt: s.lt, le: s.le, gt: s.gt, ge: s.ge };
const BITS = { and: s.and, or: s.or, xor: s.xor };

for (const dtype of ['float32', 'int32', 'uint32'] as const) {
  const [a, b] = pairs(SAMPLES[dtype], SAMPLES[dtype]);
  const [x, y] = [s.load(0, dtype), s.load(1, dtype)];
  const table = dtype === 'float32' ? { ...BINARY, ...COMPARE } : { ...BINARY, ...COMPARE, ...BITS };
  const views = [{ dtype }, { dtype }];
  for (const [name, op] of Object.entries(table)) {
    const expr = op(x, y);
    add(`${name} of ${dtype}`, {
      kernel: map([a.length], views, [expr]),
      buffers: [a, b, blank(a.length, expr.dtype)],
      // WGSL allows a division 2.5 ulp, and any operation to flush subnormals.
      ...(name === 'div' && dtype === 'float32' ? { relative: 3e-7, absolute: 2 ** -126 } : {}),
    });
  }
  add(`select of ${dtype} by a comparison`, {
    kernel: map([a.length], views, [s.select(s.lt(x, y), x, y)]),
    buffers: [a, b, blank(a.length, dtype)],
  });
}

const UNARY = { neg: s.neg, abs: s.abs, floor: s.floor, ceil: s.ceil, trunc: s.trunc, round: s.round };
for (const [name, op] of Object.entries(UNARY)) {
  add(`${name} of float32`, {
    kernel: map([FLOATS.length], [{}], [op(f(0))]),
    buffers: [FLOATS, blank(FLOATS.length)],
  });
}
add('sqrt of float32', {
  kernel: map([FLOATS.length], [{}], [s.sqrt(f(0))]),
  buffers: [FLOATS, blank(FLOATS.length)],
  relative: 3e-7,
});
for (const [name, op] of Object.entries({ neg: s.neg, abs: s.abs, not: s.not })) {
  add(`${name} of int32`, {
    kernel: map([INTS.length], [{ dtype: 'int32' }], [op(int(0))]),
    buffers: [INTS, blank(INTS.length, 'int32')],
  });
}
add('not of uint32', {
  kernel: map([UINTS.length], [{ dtype: 'uint32' }], [s.not(uint(0))]),
  buffers: [UINTS, blank(UINTS.length, 'uint32')],
});
add('integers divided by zero are 0, and towards zero elsewhere', {
  kernel: map([6], [{ dtype: 'int32' }, { dtype: 'int32' }], [s.div(int(0), int(1))]),
  buffers: [Int32Array.of(5, -5, 7, -7, -(2 ** 31), 0), Int32Array.of(0, 0, 2, 2, -1, 0), blank(6, 'int32')],
  expected: { 2: [0, 0, 3, -3, -(2 ** 31), 0] },
});
add('integers divided by a literal zero', {
  kernel: map([3], [{ dtype: 'int32' }, { dtype: 'uint32' }], [s.div(int(0), 0), s.div(uint(1), 0)]),
  buffers: [Int32Array.of(5, -5, 0), Uint32Array.of(5, 0, 2 ** 31), blank(3, 'int32'), blank(3, 'uint32')],
  expected: { 2: [0, 0, 0], 3: [0, 0, 0] },
});
for (const dtype of ['int32', 'uint32'] as const) {
  const x = s.load(0, dtype);
  for (const n of [0, 1, 7, 31]) {
    add(`shifts of ${dtype} by ${n}`, {
      kernel: map([32], [{ dtype }], [s.shl(x, n), s.shr(x, n)]),
      buffers: [dtype === 'int32' ? integers(32) : Uint32Array.from(integers(32)), blank(32, dtype), blank(32, dtype)],
    });
  }
  add(`shifts of ${dtype} by other elements`, {
    kernel: map([32], [{ dtype }, { dtype }], [s.shl(x, s.load(1, dtype)), s.shr(x, s.load(1, dtype))]),
    buffers: [
      dtype === 'int32' ? integers(32) : Uint32Array.from(integers(32)),
      dtype === 'int32' ? Int32Array.from({ length: 32 }, (_, i) => i) : Uint32Array.from({ length: 32 }, (_, i) => i),
      blank(32, dtype),
      blank(32, dtype),
    ],
  });
}
add('bitcasts between floats and integers', {
  kernel: map(
    [40],
    [{}, { dtype: 'int32' }],
    [
      s.bitcast(f(0), 'int32'),
      s.bitcast(f(0), 'uint32'),
      s.bitcast(s.or(s.and(int(1), 0x007fffff), 0x3f800000), 'float32'),
      s.bitcast(int(1), 'uint32'),
    ],
  ),
  buffers: [
    uniforms(40, -1e6, 1e6),
    integers(40),
    blank(40, 'int32'),
    blank(40, 'uint32'),
    blank(40),
    blank(40, 'uint32'),
  ],
});
add('hashes of positions, as random numbers are made', {
  kernel: map(
    [300],
    [],
    [
      (() => {
        let h = s.mul(s.bitcast(s.position, 'uint32'), 0x9e3779b9);
        h = s.mul(s.xor(h, s.shr(h, 16)), 0x85ebca6b);
        h = s.mul(s.xor(h, s.shr(h, 13)), 0xc2b2ae35);
        return s.mul(s.cast(s.shr(s.xor(h, s.shr(h, 16)), 8), 'float32'), 2 ** -24);
      })(),
    ],
  ),
  buffers: [blank(300)],
});
{
  const [a, b] = pairs(BOOLS, BOOLS);
  const views = [{ dtype: 'bool' }, { dtype: 'bool' }] as const;
  const exprs = [
    s.and(bool(0), bool(1)),
    s.or(bool(0), bool(1)),
    s.xor(bool(0), bool(1)),
    s.not(bool(0)),
    s.eq(bool(0), bool(1)),
    s.ne(bool(0), bool(1)),
    s.lt(bool(0), bool(1)),
    s.select(bool(0), bool(1), s.not(bool(1))),
    s.max(bool(0), bool(1)),
    s.min(bool(0), bool(1)),
  ];
  for (const [i, expr] of exprs.entries()) {
    add(`bools: ${s.showExpr(expr)}`, {
      kernel: map([a.length], views, [expr]),
      buffers: [a, b, blank(a.length, 'uint32')],
    });
    if (i === 0) {
      add('bools choose between numbers of every dtype', {
        kernel: map([a.length], views, [
          s.select(bool(0), s.constant(2.5), 0),
          s.select(bool(1), s.constant(-3, 'int32'), 4),
          s.select(bool(0), s.constant(5, 'uint32'), 6),
        ]),
        buffers: [a, b, blank(a.length), blank(a.length, 'int32'), blank(a.length, 'uint32')],
      });
    }
  }
}

// --- map: indirect loads ---

const TABLE = wholes(12, -50, 50, 9);
const WILD = Int32Array.of(0, 11, 5, -1, 12, 100, -(2 ** 31), 2 ** 31 - 1, 3);
add('loadAt: in range and out of range, unchecked', {
  kernel: map([WILD.length], [{ shape: [12] }, { dtype: 'int32' }], [s.loadAt(0, 'float32', [int(1)])]),
  buffers: [TABLE, WILD, blank(WILD.length)],
  expected: { 2: [TABLE[0]!, TABLE[11]!, TABLE[5]!, 0, 0, 0, 0, 0, TABLE[3]!] },
  status: 0,
});
const checked = (indices: Int32Array): Omit<Case, 'name'> => ({
  kernel: map(
    [indices.length],
    [{ shape: [12], check: 1 }, { dtype: 'int32' }],
    [s.mul(s.loadAt(0, 'float32', [int(1)]), s.uniform(0, 'float32'))],
    ['float32', 'uint32'],
  ),
  buffers: [TABLE, indices, blank(indices.length)],
  scalars: [2, 1234],
});
add('loadAt: in range, checked', { ...checked(Int32Array.of(0, 11, 3, 3, 7, 1, 2)), status: 0 });
add('loadAt: out of range, checked', { ...checked(WILD), status: 1234 });
add('loadAt: only the last of many out of range', {
  ...checked(Int32Array.from({ length: 1001 }, (_, i) => (i === 1000 ? 12 : i % 12))),
  status: 1234,
});
add('loadAt: two checks, of which one fails', {
  kernel: map(
    [4],
    [
      { shape: [12], check: 0 },
      { shape: [12], check: 1, binding: 0 },
      { dtype: 'int32', binding: 1 },
    ],
    [{ expr: s.add(s.loadAt(0, 'float32', [int(2)]), s.loadAt(1, 'float32', [s.add(int(2), 10)])), binding: 2 }],
    ['uint32', 'uint32'],
  ),
  buffers: [TABLE, Int32Array.of(0, 1, 2, 0), blank(4)],
  scalars: [5, 6],
  status: 6,
});
add('loadAt: two coordinates into a strided table', {
  kernel: map(
    [30],
    [{ shape: [3, 4], strides: [1, 3], offset: 2 }, { dtype: 'int32' }, { dtype: 'int32' }],
    [s.loadAt(0, 'float32', [int(1), int(2)])],
  ),
  buffers: [
    wholes(14, -50, 50, 9),
    Int32Array.from({ length: 30 }, (_, i) => (i % 5) - 1),
    Int32Array.from({ length: 30 }, (_, i) => (i % 6) - 1),
    blank(30),
  ],
});
add('loadAt: rows of a table', {
  kernel: map(
    [7, 33],
    [{ shape: [20, 33] }, { dtype: 'int32', strides: [1, 0] }],
    [s.loadAt(0, 'float32', [int(1), s.index(1)])],
  ),
  buffers: [wholes(660), Int32Array.of(19, 0, 3, 20, 3, -1, 7), blank(231)],
});
add('loadAt: of integers and bools', {
  kernel: map(
    [9],
    [
      { shape: [5], dtype: 'int32' },
      { shape: [5], dtype: 'bool' },
      { shape: [5], dtype: 'uint32' },
    ],
    [0, 1, 2].map((i) => s.loadAt(i, (['int32', 'bool', 'uint32'] as const)[i]!, [s.sub(s.index(0), 2)])),
  ),
  buffers: [
    Int32Array.of(5, -6, 7, -8, 9),
    Uint32Array.of(1, 0, 1, 1, 0),
    Uint32Array.of(2 ** 32 - 1, 2, 3, 4, 5),
    blank(9, 'int32'),
    blank(9, 'uint32'),
    blank(9, 'uint32'),
  ],
});
add('loadAt: a pad, by coordinates outside', {
  kernel: map([6, 9], [{ shape: [4, 5] }], [s.loadAt(0, 'float32', [s.sub(s.index(0), 1), s.sub(s.index(1), 2)])]),
  buffers: [wholes(20, 1, 9), blank(54)],
});
add('loadAt: a concatenation, by a choice of two', {
  kernel: map(
    [11, 3],
    [{ shape: [4, 3] }, { shape: [7, 3] }],
    [
      s.select(
        s.lt(s.index(0), 4),
        s.loadAt(0, 'float32', [s.index(0), s.index(1)]),
        s.loadAt(1, 'float32', [s.sub(s.index(0), 4), s.index(1)]),
      ),
    ],
  ),
  buffers: [wholes(12, 1, 9), wholes(21, 1, 9, 4), blank(33)],
});
add('loadAt: from an empty table', {
  kernel: map([4], [{ shape: [0] }], [s.loadAt(0, 'float32', [s.index(0)])]),
  buffers: [new Float32Array(1), blank(4)],
  expected: { 1: [0, 0, 0, 0] },
});
add('loadAt: twice, the second at what the first gave', {
  kernel: map(
    [5],
    [{ shape: [5], dtype: 'int32' }, { shape: [12] }],
    [s.loadAt(1, 'float32', [s.loadAt(0, 'int32', [s.sub(4, s.index(0))])])],
  ),
  buffers: [Int32Array.of(3, 1, 4, 1, 5), TABLE, blank(5)],
});

// --- functions ---

const FUNCTIONS: Readonly<Record<s.FunctionOp, readonly [low: number, high: number, limit: number]>> = {
  exp: [-87, 88, 2],
  expm1: [-20, 88, 3],
  log: [1e-6, 10, 2],
  log1p: [-0.999, 10, 3],
  log2: [1e-6, 10, 3],
  sin: [-100, 100, 2],
  cos: [-100, 100, 2],
  tan: [-1.5, 1.5, 6],
  asin: [-1, 1, 4],
  acos: [-1, 1, 4],
  atan: [-10, 10, 5],
  sinh: [-89, 89, 6],
  cosh: [-89, 89, 5],
  tanh: [-9, 9, 4],
  erf: [-4, 4, 4],
  gated: [-80, 80, 4],
  atan2: [-3, 3, 5],
  pow: [-5, 5, 4],
  fmod: [-50, 50, 0],
  isnan: [-1, 1, 0],
};
const EDGES = Float32Array.of(
  ...[
    0, -0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 2.5, -2.5, 100, -100, 1000, -1000, 1e-10, -1e-10, 1e10, -1e10, 3e38, -3e38,
  ],
  ...[88.8, -104, 1.1754944e-38, 16777216, 16777215, inf, minusInf, nan],
);
const TWO: ReadonlySet<string> = new Set(['gated', 'atan2', 'pow', 'fmod']);

// --- reductions ---

const OPS = ['sum', 'prod', 'max', 'min'] as const;
for (const op of OPS) {
  for (const n of [1, 2, 3, 4, 7, 16, 63, 64, 65, 127, 255, 256, 257, 1000, 1025, 4100]) {
    const data = op === 'prod' ? uniforms(3 * n, 0.9, 1.1) : wholes(3 * n, -20, 20);
    add(`${op} of 3 rows of ${n}`, {
      kernel: reduction(op, [3, n], 1),
      buffers: [data, blank(3)],
      ...(op === 'prod' ? { relative: 1e-7 * (n + 4) } : {}),
    });
  }
  add(`${op} of integers`, {
    kernel: reduction(op, [5, 301], 1, { dtype: 'int32' }),
    buffers: [integers(5 * 301), blank(5, 'int32')],
  });
  add(`${op} of unsigned integers`, {
    kernel: reduction(op, [5, 301], 1, { dtype: 'uint32' }),
    buffers: [Uint32Array.from(integers(5 * 301)), blank(5, 'uint32')],
  });
  add(`${op} of empty rows`, { kernel: reduction(op, [4, 0], 1), buffers: [wholes(4), blank(4)] });
  add(`${op} of empty rows of integers`, {
    kernel: reduction(op, [4, 0], 1, { dtype: 'int32' }),
    buffers: [integers(4), blank(4, 'int32')],
  });
  add(`${op} of empty rows of unsigned integers`, {
    kernel: reduction(op, [4, 0], 1, { dtype: 'uint32' }),
    buffers: [Uint32Array.from(integers(4)), blank(4, 'uint32')],
  });
  add(`${op} of rows of one element`, { kernel: reduction(op, [150, 1], 1), buffers: [uniforms(150), blank(150)] });
  add(`${op} of no rows`, { kernel: reduction(op, [0, 5], 1), buffers: [wholes(5), blank(3)] });
  add(`${op} of everything`, {
    kernel: reduction(op, [13, 17], 2),
    buffers: [op === 'prod' ? uniforms(221, 0.9, 1.1) : wholes(221), blank(1)],
    ...(op === 'prod' ? { relative: 3e-5 } : {}),
  });
  add(`${op} over columns`, {
    kernel: reduction(op, [19, 83], 1, { strides: [1, 19] }),
    buffers: [op === 'prod' ? uniforms(19 * 83, 0.9, 1.1) : wholes(19 * 83), blank(19)],
    ...(op === 'prod' ? { relative: 1e-5 } : {}),
  });
  add(`${op} over columns of many`, {
    kernel: reduction(op, [515, 40], 1, { strides: [1, 515] }),
    buffers: [op === 'prod' ? uniforms(515 * 40, 0.9, 1.1) : wholes(515 * 40), blank(515)],
    ...(op === 'prod' ? { relative: 1e-5 } : {}),
  });
}
for (const op of ['sum', 'max', 'min'] as const) {
  const special = Float32Array.of(
    ...[1, nan, 2, 3],
    ...[1, inf, 2, 3],
    ...[minusInf, 1, 2, 3],
    ...[inf, minusInf, 1, 2],
    ...[nan, inf, minusInf, 0],
    ...[minusInf, minusInf, minusInf, minusInf],
    ...[inf, inf, inf, inf],
    ...[-0, 0, -0, 0],
    ...[3e38, 3e38, -3e38, 1],
  );
  add(`${op} of rows with NaN and infinities`, {
    kernel: reduction(op, [op === 'sum' ? 8 : 9, 4], 1),
    buffers: [special, blank(9)],
  });
  add(`${op} of a long row with one NaN`, {
    kernel: reduction(op, [2, 3000], 1),
    buffers: [Float32Array.from({ length: 6000 }, (_, i) => (i === 1234 ? nan : i % 100)), blank(2)],
  });
  for (const [space, inner, strides] of [
    [[6, 5, 7], 2, [35, 7, 1]],
    [[6, 5, 7], 2, [1, 42, 6]],
    [[5, 6, 7], 2, [7, 35, 1]],
    [[4, 3, 5, 6], 3, [90, 30, 6, 1]],
    [[4, 3, 5, 6], 3, [1, 4, 12, 60]],
    [[4, 3, 5, 6], 2, [30, 120, 6, 1]],
    [[2, 3, 4, 5], 2, [1, 40, 2, 8]],
    [[3, 4, 5], 3, [1, 3, 12]],
    [[9, 8, 7], 1, [56, 1, 8]],
  ] as const) {
    const n = sizeOf(space);
    add(`${op} of [${space}] over ${inner} dims, strides ${strides}`, {
      kernel: reduction(op, space, inner, { strides }),
      buffers: [wholes(n), blank(sizeOf(space.slice(0, space.length - inner)))],
    });
  }
  add(`${op} of a broadcast input`, {
    kernel: reduction(op, [4, 6], 1, { strides: [1, 0] }),
    buffers: [wholes(4), blank(4)],
  });
  add(`${op} of 70,000 rows`, {
    kernel: reduction(op, [70_000, 3], 1),
    buffers: [wholes(210_000), blank(70_000)],
  });
  add(`${op} of bools, as a number or as all and any`, {
    kernel: rows(
      [3, 50],
      1,
      [{ dtype: 'bool' }],
      [{ op, expr: op === 'sum' ? s.cast(bool(0), 'int32') : bool(0) }],
      [{ expr: s.result(0, op === 'sum' ? 'int32' : 'bool'), level: 'row' }],
    ),
    buffers: [
      Uint32Array.from({ length: 150 }, (_, i) => (i < 50 ? 0 : i < 100 ? 1 : i % 2)),
      op === 'sum' ? blank(3, 'int32') : blank(3, 'uint32'),
    ],
  });
}
for (const n of [100_000, 1_000_003]) {
  add(`sum of ${n} values around 1000 keeps its digits`, {
    kernel: reduction('sum', [1, n], 1),
    buffers: [uniforms(n, 999, 1001), blank(1)],
    relative: 1e-6,
  });
}
add('sum of 100,000 values that cancel', {
  kernel: reduction('sum', [2, 100_000], 1),
  buffers: [uniforms(200_000, -1, 1), blank(2)],
  ofAbsolutes: 1e-7,
});
add('sum over long columns', {
  kernel: reduction('sum', [5, 20_000], 1, { strides: [1, 5] }),
  buffers: [uniforms(100_000, 999, 1001), blank(5)],
  relative: 2e-6,
});
add('a reduction with a prologue and an epilogue', {
  kernel: rows(
    [12, 70],
    1,
    [{}, { strides: [1, 0] }],
    [{ op: 'sum', expr: s.mul(s.sub(f(0), 1), s.sub(f(0), f(1))) }],
    [
      {
        expr: s.add(s.mul(sum, s.uniform(0, 'float32')), s.add(f(1), s.cast(s.index(0), 'float32'))),
        level: 'row',
      },
    ],
    ['float32'],
  ),
  buffers: [wholes(840), wholes(12), blank(12)],
  scalars: [0.25],
});
for (const [name, space, inner] of [
  ['one row', [1, 9000], 1],
  ['few rows', [6, 5000], 1],
  ['rows of two dims', [3, 40, 70], 2],
] as const) {
  const product = s.mul(f(0), f(1));
  add(`${name} with elements that do not need the result, which may be added up as they were written`, {
    kernel: rows(
      space,
      inner,
      [{}, { strides: space.map((_, d) => Number(d === 0)) }, { dtype: 'float32' }],
      [
        { op: 'sum', expr: product },
        { op: 'max', expr: s.add(f(2), product) },
      ],
      [
        product,
        { expr: s.sub(sum, s.uniform(0, 'float32')), level: 'row' },
        { expr: s.result(1, 'float32'), level: 'row' },
      ],
      ['float32'],
    ),
    buffers: [
      wholes(sizeOf(space)),
      wholes(space[0], -9, 9, 4),
      wholes(sizeOf(space), -9, 9, 5),
      blank(sizeOf(space)),
      blank(space[0]),
      blank(space[0]),
    ],
    scalars: [3],
  });
}
for (const length of [7, 300])
  add(`rows of ${length} whose elements use the terms of a sum again, in two outputs`, {
    kernel: rows(
      [70, length],
      1,
      [{}],
      [
        { op: 'max', expr: f(0) },
        { op: 'sum', expr: raised },
      ],
      [s.div(raised, s.result(1, 'float32')), s.mul(raised, 3), { expr: s.result(1, 'float32'), level: 'row' }],
    ),
    buffers: [uniforms(70 * length), blank(70 * length), blank(70 * length), blank(70)],
    relative: 1e-5,
  });
add('a reduction with two row outputs', {
  kernel: rows(
    [6, 40],
    1,
    [{}],
    [{ op: 'max', expr: f(0) }],
    [
      { expr: sum, level: 'row' },
      { expr: s.cast(sum, 'int32'), level: 'row' },
    ],
  ),
  buffers: [wholes(240), blank(6), blank(6, 'int32')],
});
add('a row output with strides', {
  kernel: rows(
    [3, 4, 8],
    1,
    [{}],
    [{ op: 'sum', expr: f(0) }],
    [{ expr: sum, level: 'row', strides: [1, 10], offset: 2 }],
  ),
  buffers: [wholes(96), blank(40)],
});
add('a reduction of coordinates', {
  kernel: rows(
    [5, 9],
    1,
    [],
    [{ op: 'sum', expr: s.mul(s.index(0), s.index(1)) }],
    [{ expr: s.result(0, 'int32'), level: 'row' }],
  ),
  buffers: [blank(5, 'int32')],
});
add('a pooling, by indirect loads over windows', {
  kernel: rows(
    [4, 5, 3, 3],
    2,
    [{ shape: [8, 9] }],
    [
      {
        op: 'sum',
        expr: s.loadAt(0, 'float32', [
          s.sub(s.add(s.mul(s.index(0), 2), s.index(2)), 1),
          s.sub(s.add(s.mul(s.index(1), 2), s.index(3)), 1),
        ]),
      },
    ],
    [{ expr: s.mul(sum, 0.125), level: 'row' }],
  ),
  buffers: [wholes(72), blank(20)],
});
add('a reduction whose indirect loads fail their check', {
  kernel: rows(
    [4, 5],
    1,
    [{ shape: [6], check: 0 }],
    [{ op: 'sum', expr: s.loadAt(0, 'float32', [s.add(s.index(0), s.index(1))]) }],
    [{ expr: sum, level: 'row' }],
    ['uint32'],
  ),
  buffers: [wholes(6), blank(4)],
  scalars: [99],
  status: 99,
});

// --- row programs ---

const softmax = (space: Shape, inner: number, strides = contiguousStrides(space)): Kernel =>
  rows(
    space,
    inner,
    [{ strides }],
    [
      { op: 'max', expr: f(0) },
      { op: 'sum', expr: s.exp(s.sub(f(0), sum)) },
    ],
    [s.div(s.exp(s.sub(f(0), sum)), s.result(1, 'float32'))],
  );
for (const [space, inner] of [
  [[13, 100], 1],
  [[3, 1], 1],
  [[2, 5000], 1],
  [[300, 5], 1],
  [[1, 70_000], 1],
  [[4, 3, 50], 1],
  [[6, 7, 8], 2],
  [[257], 1],
] as const) {
  const n = sizeOf(space);
  add(`softmax of [${space}] over ${inner}`, {
    kernel: softmax(space, inner),
    buffers: [uniforms(n, -20, 20), blank(n)],
    relative: 1e-5,
  });
}
add('softmax over columns', {
  kernel: softmax([40, 30], 1, [1, 40]),
  buffers: [uniforms(1200, -5, 5), blank(1200)],
  relative: 1e-5,
});
add('softmax with -infinity, and of large numbers', {
  kernel: softmax([3, 4], 1),
  buffers: [Float32Array.of(minusInf, 0, 1, minusInf, 1000, 999, -1000, 998, nan, 0, 1, 2), blank(12)],
  relative: 1e-5,
});
for (const [space, inner] of [
  [[10, 64], 1],
  [[5, 1000], 1],
  [[4, 6, 20], 2],
  [[2, 30_000], 1],
] as const) {
  const length = sizeOf(space.slice(-inner));
  const outer = sizeOf(space) / length;
  const centered = s.sub(f(0), s.mul(sum, s.uniform(0, 'float32')));
  const variance = s.mul(s.result(1, 'float32'), s.uniform(0, 'float32'));
  const inverse = s.div(1, s.sqrt(s.add(variance, s.uniform(1, 'float32'))));
  const affine = [...new Array<number>(space.length - inner).fill(0), ...contiguousStrides(space.slice(-inner))];
  add(`mean, variance and the normalised rows of [${space}] over ${inner}`, {
    kernel: rows(
      space,
      inner,
      [{}, { strides: affine }, { strides: affine }],
      [
        { op: 'sum', expr: f(0) },
        { op: 'sum', expr: s.mul(centered, centered) },
      ],
      [
        s.add(s.mul(s.mul(centered, inverse), f(1)), f(2)),
        { expr: s.mul(sum, s.uniform(0, 'float32')), level: 'row' },
        { expr: inverse, level: 'row' },
      ],
      ['float32', 'float32'],
    ),
    buffers: [
      uniforms(sizeOf(space), 4, 6),
      uniforms(length, 1, 2),
      uniforms(length, 3, 4, 8),
      blank(space),
      blank(outer),
      blank(outer),
    ],
    scalars: [1 / length, 1e-5],
    absolute: 1e-5,
  });
}
add('the backward pass of a normalisation: two sums and a row input', {
  kernel: rows(
    [9, 120],
    1,
    [{}, {}, { strides: [1, 0] }],
    [
      { op: 'sum', expr: f(1) },
      { op: 'sum', expr: s.mul(f(0), f(1)) },
    ],
    [s.mul(f(2), s.sub(f(1), s.mul(s.add(sum, s.mul(f(0), s.result(1, 'float32'))), 0.0078125)))],
  ),
  buffers: [wholes(1080), wholes(1080, -9, 9, 5), wholes(9), blank(1080)],
});
add('the place of the largest: a maximum, then the least index that has it', {
  kernel: rows(
    [7, 90],
    1,
    [{}],
    [
      { op: 'max', expr: f(0) },
      { op: 'min', expr: s.select(s.eq(f(0), sum), s.index(1), 2 ** 31 - 1) },
    ],
    [
      { expr: s.result(1, 'int32'), level: 'row' },
      { expr: sum, level: 'row' },
    ],
  ),
  buffers: [wholes(630, -5, 5), blank(7, 'int32'), blank(7)],
});
add('a row program of integers with four chained reductions', {
  kernel: rows(
    [4, 33],
    1,
    [{ dtype: 'int32' }],
    [
      { op: 'sum', expr: int(0) },
      { op: 'max', expr: s.sub(int(0), s.result(0, 'int32')) },
      { op: 'min', expr: s.xor(int(0), s.result(1, 'int32')) },
      { op: 'prod', expr: s.or(s.add(int(0), s.result(2, 'int32')), 1) },
    ],
    [s.add(s.mul(int(0), s.result(3, 'int32')), s.result(1, 'int32')), { expr: s.result(2, 'int32'), level: 'row' }],
  ),
  buffers: [integers(132), blank(132, 'int32'), blank(4, 'int32')],
});
add('a row program without elements still writes its rows', {
  kernel: rows(
    [3, 0],
    1,
    [{}],
    [
      { op: 'sum', expr: f(0) },
      { op: 'max', expr: f(0) },
    ],
    [f(0), { expr: sum, level: 'row' }, { expr: s.result(1, 'float32'), level: 'row' }],
  ),
  buffers: [wholes(3), blank(2), blank(3), blank(3)],
  expected: { 1: [UNTOUCHED, UNTOUCHED], 2: [0, 0, 0], 3: [minusInf, minusInf, minusInf] },
});
add('an element output with strides, beside one of another dtype', {
  kernel: rows(
    [6, 5],
    1,
    [{}],
    [{ op: 'sum', expr: f(0) }],
    [{ expr: s.add(f(0), sum), strides: [1, 6] }, s.lt(f(0), sum)],
  ),
  buffers: [wholes(30), blank(30), blank(30, 'uint32')],
});
add('cross-entropy: a gather at the label inside a row program', {
  kernel: rows(
    [8, 10],
    1,
    [{}, { dtype: 'int32', strides: [1, 0] }, { shape: [8, 10], binding: 0 }],
    [
      { op: 'max', expr: f(0) },
      { op: 'sum', expr: s.exp(s.sub(f(0), sum)) },
      { op: 'sum', expr: s.select(s.eq(s.index(1), int(1)), f(0), 0) },
    ],
    [
      {
        expr: s.sub(s.add(s.log(s.result(1, 'float32')), sum), s.result(2, 'float32')),
        level: 'row',
        binding: 2,
      },
    ],
  ),
  buffers: [uniforms(80, -3, 3), Int32Array.of(0, 9, 3, 4, 1, 7, 2, 5), blank(8)],
  relative: 1e-5,
});
add('a row program over 70,000 rows', {
  kernel: rows([70_000, 2], 1, [{}], [{ op: 'max', expr: f(0) }], [s.sub(f(0), sum)]),
  buffers: [wholes(140_000), blank(140_000)],
});

for (const [r, length] of [
  [1, 9000],
  [3, 5],
  [7, 1300],
  [70, 33],
  [300, 2],
] as const)
  for (const [layout, strides] of [
    ['lie apart', [length, 1]],
    ['side by side', [1, r]],
  ] as const) {
    const momentum = s.add(s.mul(f(1), s.uniform(0, 'float32')), sum);
    add(`${r} rows of ${length}, which ${layout}: two buffers updated in place, once a row`, {
      kernel: rows(
        [r, length],
        1,
        [{ strides }, { strides: [1, 0] }, { strides: [1, 0] }],
        [{ op: 'sum', expr: f(0) }],
        [
          { expr: momentum, level: 'row', binding: 1 },
          { expr: s.sub(f(2), s.mul(momentum, s.uniform(1, 'float32'))), level: 'row', binding: 2 },
        ],
        ['float32', 'float32'],
      ),
      buffers: [wholes(r * length), wholes(r, -9, 9, 5), wholes(r, -9, 9, 6)],
      scalars: [0.5, 0.25],
    });
  }
// Kernels of one key but for what is the same along a row.
for (const strides of [
  [1, 0],
  [0, 1],
  [2, 1],
])
  add(`sums of products with what lies [${strides}] apart`, {
    kernel: rows([9, 6], 1, [{}, { strides }], [{ op: 'sum', expr: s.mul(f(0), f(1)) }], [{ expr: sum, level: 'row' }]),
    buffers: [wholes(54), wholes(30, -9, 9, 5), blank(9)],
  });
add('a row program that writes elements, and updates a buffer in place once a row', {
  kernel: rows(
    [20, 1100],
    1,
    [{}, { strides: [1, 0] }],
    [{ op: 'sum', expr: f(0) }],
    [s.mul(f(0), 2), { expr: s.sub(f(1), sum), level: 'row', binding: 1 }],
  ),
  buffers: [wholes(22_000), wholes(20, -9, 9, 5), blank(22_000)],
});

// --- matmul ---

for (const [m, k, n] of [
  [1, 1, 1],
  [1, 5, 70],
  [70, 5, 1],
  [1, 300, 1],
  [1, 256, 513],
  [513, 256, 1],
  [4, 0, 5],
  [4, 1, 5],
  [8, 8, 8],
  [17, 33, 65],
  [31, 32, 33],
  [65, 17, 33],
  [64, 256, 128],
  [100, 3, 100],
  [3, 1000, 3],
  [129, 257, 65],
] as const) {
  add(`matmul ${m}x${k} by ${k}x${n}, whole numbers`, {
    kernel: matmul([m, n], k),
    buffers: [wholes(m * k), wholes(k * n, -8, 8, 5), blank(m * n)],
  });
}
add('matmul 64x784 by 784x256', {
  kernel: matmul([64, 256], 784),
  buffers: [uniforms(64 * 784), uniforms(784 * 256, -1, 1, 5), blank(64 * 256)],
  ofAbsolutes: 1e-6,
});
add('matmul of a long inner dim', {
  kernel: matmul([3, 5], 20_000),
  buffers: [uniforms(60_000, 0, 2), uniforms(100_000, 0, 2, 5), blank(15)],
  relative: 1e-5,
});
for (const space of [
  [0, 5],
  [5, 0],
  [0, 0],
  [0, 4, 5],
  [3, 0, 5],
] as const) {
  add(`matmul without results ${JSON.stringify(space)}`, {
    kernel: matmul(space, 3),
    buffers: [wholes(60), wholes(60), blank(4)],
  });
}
for (const [name, a, b] of [
  ['a transposed', [1, 37], undefined],
  ['b transposed', undefined, [1, 29]],
  ['both transposed', [1, 37], [1, 29]],
  ['a with gaps', [100, 2], undefined],
  ['b with gaps', undefined, [100, 3]],
  ['a repeating its row', [0, 1], undefined],
  ['b repeating its column', undefined, [1, 0]],
] as const) {
  const [m, k, n] = [37, 29, 41];
  add(`matmul with ${name}`, {
    kernel: matmul([m, n], k, {
      ...(a ? { a: { strides: a, offset: 3 } } : {}),
      ...(b ? { b: { strides: b, offset: 5 } } : {}),
    }),
    buffers: [wholes(4000), wholes(4000, -8, 8, 5), blank(m * n)],
  });
}
// What can be read in vectors of four, and what cannot: by the sizes, the steps and the start.
for (const [m, k, n] of [
  [36, 32, 44],
  [37, 8, 43],
  [64, 28, 20],
  [5, 4, 16],
] as const)
  for (const [name, a, b, offset] of [
    ['by rows', [k, 1], [n, 1], 4],
    ['transposed', [1, m], [1, k], 8],
    ['from an odd place', [k, 1], [1, k], 3],
    ['with gaps', [k + 4, 1], [n + 4, 1], 0],
    ['with odd gaps', [k + 1, 1], [1, k + 2], 0],
  ] as const)
    add(`matmul ${m}x${k}x${n} of operands ${name}`, {
      kernel: matmul([m, n], k, { a: { strides: a, offset }, b: { strides: b, offset } }),
      buffers: [wholes(3500), wholes(3500, -8, 8, 5), blank(m * n)],
    });
for (const m of [12, 20, 28])
  add(`matmul of a transposed 8x${m} by 8x16, whole numbers`, {
    kernel: matmul([m, 16], 8, { a: { strides: [1, m] } }),
    buffers: [wholes(8 * m), wholes(8 * 16, -9, 9, 5), blank([m, 16])],
  });
add('matmul of one buffer by itself, in vectors', {
  kernel: matmul([32, 32], 32, { b: { strides: [32, 1], binding: 0 }, targets: [{ expr: sum, binding: 1 }] }),
  buffers: [wholes(1024), blank(1024)],
});
add('matmul of a buffer with its own transpose', {
  kernel: matmul([23, 23], 40, { b: { strides: [1, 40], binding: 0 }, targets: [{ expr: sum, binding: 1 }] }),
  buffers: [wholes(920), blank(529)],
});
for (const [name, space, k, a, b, sizes] of [
  ['a batch', [5, 9, 11], 7, undefined, undefined, [5 * 63, 5 * 77]],
  ['two batch dims', [2, 3, 9, 11], 7, undefined, undefined, [6 * 63, 6 * 77]],
  ['b shared by the batch', [5, 9, 11], 7, undefined, [0, 11, 1], [5 * 63, 77]],
  ['a shared by the batch', [5, 9, 11], 7, [0, 7, 1], undefined, [63, 5 * 77]],
  ['either side shared by one batch dim', [2, 3, 9, 11], 7, [63, 0, 7, 1], [0, 77, 11, 1], [126, 231]],
  ['heads between rows and columns', [4, 10, 12], 8, [8, 32, 1], [8, 1, 32], [320, 384]],
  ['a batch of vectors', [50, 1, 6], 7, undefined, undefined, [350, 2100]],
  ['a large batch', [300, 4, 4], 4, undefined, undefined, [4800, 4800]],
] as const) {
  add(`matmul with ${name}`, {
    kernel: matmul(space, k, { ...(a ? { a: { strides: a } } : {}), ...(b ? { b: { strides: b } } : {}) }),
    buffers: [wholes(sizes[0]), wholes(sizes[1], -8, 8, 5), blank(sizeOf(space))],
  });
}
for (const [m, k, n] of [
  [17, 33, 65],
  [64, 128, 96],
  [1, 50, 40],
  [6, 0, 7],
] as const) {
  const biased = s.add(sum, f(2));
  add(`matmul ${m}x${k}x${n} with a bias, a relu, a residual and two outputs`, {
    kernel: matmul([m, n], k, {
      views: [{ strides: [0, 1] }, {}],
      targets: [s.add(s.max(biased, 0), f(3)), biased],
    }),
    buffers: [wholes(m * k), wholes(k * n, -8, 8, 5), wholes(n), wholes(m * n), blank(m * n), blank(m * n)],
  });
}
for (const [m, k, n] of [
  [5, 3, 7],
  [70, 40, 130],
  [130, 600, 70],
  [16, 4096, 16],
  [1, 2000, 9],
] as const) {
  const momentum = s.add(s.mul(f(2), s.uniform(0, 'float32')), sum);
  add(`matmul ${m}x${k}x${n} that updates two buffers in place, one of them transposed`, {
    kernel: matmul([m, n], k, {
      views: [{}, { strides: [1, m] }],
      targets: [
        { expr: momentum, binding: 2 },
        { expr: s.sub(f(3), s.mul(momentum, s.uniform(1, 'float32'))), binding: 3, strides: [1, m] },
      ],
      scalars: ['float32', 'float32'],
    }),
    buffers: [wholes(m * k, -2, 2), wholes(k * n, -2, 2, 5), wholes(m * n, -9, 9, 6), wholes(m * n, -9, 9, 7)],
    scalars: [0.5, 0.25],
  });
}
add('matmul with coordinates, uniforms and a mask in its epilogue', {
  kernel: matmul([2, 20, 20], 6, {
    targets: [
      s.select(s.lt(s.index(1), s.index(2)), s.constant(minusInf), s.mul(sum, s.uniform(0, 'float32'))),
      { expr: s.add(s.cast(sum, 'int32'), s.position) },
    ],
    scalars: ['float32'],
  }),
  buffers: [wholes(240), wholes(240, -8, 8, 5), blank(800), blank(800, 'int32')],
  scalars: [0.125],
});
add('matmul into a transposed output with an offset', {
  kernel: matmul([13, 22], 9, { targets: [{ expr: sum, strides: [1, 15], offset: 4 }] }),
  buffers: [wholes(117), wholes(198, -8, 8, 5), blank(340)],
});
{
  const special = wholes(19 * 6);
  special[6] = inf;
  special[13] = nan;
  special[20] = minusInf;
  const other = wholes(6 * 21, 1, 8, 5);
  other[21 * 2 + 2] = 0;
  add('matmul with NaN and infinities in some rows only', {
    kernel: matmul([19, 21], 6),
    buffers: [special, other, blank(399)],
  });
}

// --- matmul of several dims m, n or k ---

/** Windows of a contiguous image: their places, and what lies in each. */
interface Windows {
  readonly image: readonly number[];
  readonly kernel: readonly number[];
  readonly stride: number;
  readonly gap: number;
}
/** The strides over places and over the elements of a window. */
const windowsOf = ({ image, kernel, stride, gap }: Windows): { places: number[]; over: number[]; inside: number[] } => {
  const steps = contiguousStrides(image);
  return {
    places: image.map((n, d) => Math.floor((n - (kernel[d]! - 1) * gap - 1) / stride) + 1),
    over: steps.map((s) => s * stride),
    inside: steps.map((s) => s * gap),
  };
};
const none = (dims: readonly unknown[]): number[] => dims.map(() => 0);

for (const [name, windows, batch, channels, outputs] of [
  ['a row of windows', { image: [40], kernel: [5], stride: 1, gap: 1 }, 2, 3, 7],
  ['images', { image: [13, 17], kernel: [3, 3], stride: 1, gap: 1 }, 2, 5, 9],
  ['images and windows apart', { image: [19, 23], kernel: [3, 2], stride: 2, gap: 1 }, 3, 4, 6],
  ['windows of five, seven side by side', { image: [8, 11], kernel: [3, 5], stride: 1, gap: 1 }, 2, 3, 6],
  ['windows of three, fourteen side by side', { image: [9, 16], kernel: [2, 3], stride: 1, gap: 1 }, 3, 5, 17],
  ['windows with gaps', { image: [16, 15], kernel: [3, 4], stride: 1, gap: 3 }, 2, 4, 13],
  ['windows with gaps, further apart', { image: [21, 22], kernel: [2, 3], stride: 3, gap: 2 }, 1, 6, 5],
  ['volumes', { image: [7, 8, 9], kernel: [2, 3, 2], stride: 1, gap: 1 }, 2, 3, 8],
  ['windows of one element', { image: [9, 11], kernel: [1, 1], stride: 1, gap: 1 }, 3, 8, 8],
  ['windows of one element, apart', { image: [9, 11], kernel: [1, 1], stride: 2, gap: 1 }, 3, 8, 8],
  ['one window', { image: [6, 5], kernel: [6, 5], stride: 1, gap: 1 }, 5, 4, 9],
  ['many small images', { image: [5, 6], kernel: [2, 3], stride: 1, gap: 1 }, 40, 3, 10],
  ['a long k', { image: [6, 7], kernel: [3, 3], stride: 1, gap: 1 }, 2, 90, 20],
  ['a wide image', { image: [3, 1500], kernel: [3, 3], stride: 1, gap: 1 }, 1, 2, 5],
] as const satisfies readonly (readonly [string, Windows, number, number, number])[]) {
  const { places, over, inside } = windowsOf(windows);
  const own = sizeOf(windows.image);
  const image = channels * own;
  const taps = sizeOf(windows.kernel);
  const weights = channels * taps;
  const inner = windows.kernel.length + 1;
  const k = [channels, ...windows.kernel];
  const flat = contiguousStrides(k);
  const sizes = [wholes(batch * image), wholes(outputs * weights, -8, 8, 5)] as const;
  const results = batch * outputs * sizeOf(places);
  // [N, O | places], weights from the left, and the same with the parts of left and right exchanged.
  const left = { strides: [0, weights, ...none(places), ...flat] };
  const right = { strides: [image, 0, ...over, own, ...inside] };
  const space = [batch, outputs, ...places, ...k];
  add(`products of weights and ${name}`, {
    kernel: contraction(space, 1, places.length, inner, { a: { ...left, binding: 1 }, b: { ...right, binding: 0 } }),
    buffers: [...sizes, blank(results)],
  });
  add(`products of weights and ${name}, with a bias, a relu and a permuted output`, {
    kernel: contraction(space, 1, places.length, inner, {
      a: { ...left, binding: 1 },
      b: { ...right, binding: 0 },
      views: [{ strides: [0, 1, ...none(places)] }],
      targets: [
        s.max(s.add(sum, f(2)), 0),
        { expr: sum, strides: [outputs * sizeOf(places), 1, ...contiguousStrides(places).map((x) => x * outputs)] },
      ],
    }),
    buffers: [...sizes, wholes(outputs), blank(results), blank(results)],
  });
  add(`products of ${name} and weights`, {
    kernel: contraction([batch, ...places, outputs, ...k], 1 + places.length, 1, inner, {
      a: { strides: [image, ...over, 0, own, ...inside] },
      b: { strides: [0, ...none(places), weights, ...flat] },
    }),
    buffers: [...sizes, blank(results)],
  });
  // The gradient of the weights: sums over images and places.
  const gradient = batch * outputs * sizeOf(places);
  add(`products of ${name} and their gradient`, {
    kernel: contraction([outputs, ...k, batch, ...places], 1, inner, 1 + places.length, {
      a: { strides: [sizeOf(places), ...none(k), outputs * sizeOf(places), ...contiguousStrides(places)], binding: 1 },
      b: { strides: [0, own, ...inside, image, ...over], binding: 0 },
    }),
    buffers: [sizes[0], wholes(gradient, -8, 8, 5), blank(outputs * weights)],
  });
}
add('a matmul of two dims m with steps backwards', {
  kernel: contraction([5, 7, 30, 6, 3], 2, 1, 2, {
    a: { strides: [126, 18, 0, -3, -1], offset: 17 },
    b: { strides: [0, 0, 1, 90, 30] },
  }),
  buffers: [wholes(630), wholes(540, -8, 8, 5), blank(1050)],
});
add('a matmul whose operands stand still along some dims', {
  kernel: contraction([3, 4, 5, 6, 7, 2, 8], 2, 2, 2, {
    a: { strides: [32, 0, 8, 0, 0, 0, 1] },
    b: { strides: [0, 0, 0, 7, 1, 42, 0] },
  }),
  buffers: [wholes(104), wholes(84, -8, 8, 5), blank(2520)],
});
for (const space of [
  [3, 0, 4, 2, 3],
  [3, 2, 0, 2, 3],
  [0, 2, 4, 2, 3],
  [3, 2, 4, 2, 0],
] as const)
  add(`a matmul of several dims with none of something ${JSON.stringify(space)}`, {
    kernel: contraction(space, 1, 2, 2, { a: { strides: [0, 0, 0, 3, 1] }, b: { strides: [0, 1, 1, 3, 1] } }),
    buffers: [wholes(60), wholes(60), blank(24)],
  });
add('a matmul of several dims with coordinates and places in its epilogue', {
  kernel: contraction([2, 6, 5, 4, 3, 2], 1, 2, 2, {
    a: { strides: [36, 6, 0, 0, 2, 1] },
    b: { strides: [0, 0, 4, 1, 60, 20] },
    targets: [
      { expr: s.add(s.cast(sum, 'int32'), s.mul(s.index(2), s.index(3))) },
      { expr: s.add(s.cast(sum, 'int32'), s.position) },
    ],
  }),
  buffers: [wholes(72), wholes(200, -8, 8, 5), blank(240, 'int32'), blank(240, 'int32')],
});
add('a batch of wide products with an epilogue', {
  kernel: matmul([2, 10, 1000], 8, { targets: [s.max(sum, 0)] }),
  buffers: [wholes(160), wholes(16_000, -8, 8, 5), blank(20_000)],
});

/** 0 where exactness is demanded. */
function toleranceOf(c: Case, want: Numbers, absolutes: Numbers | undefined): (i: number) => number {
  return (i) =>
    (c.absolute ?? 0) + (c.relative ?? 0) * Math.abs(want[i]!) + (c.ofAbsolutes ?? 0) * (absolutes?.[i] ?? 0);
}

/** Storage buffers that every device allows a kernel, less the one for the status word. */
const MOST_BINDINGS = 7;

function open(device: TestedDevice): Promise<Backend> {
  if (device === 'reference') return Promise.resolve(new ReferenceBackend('float32'));
  return device === 'cpu' ? createCpuBackend() : gpu().then((found) => createWebGPUBackend({ gpu: found }));
}

async function agrees(backend: Backend, reference: Backend, c: Case): Promise<void> {
  const kernels = 'kind' in c.kernel ? [c.kernel] : c.kernel;
  for (const { bindings } of kernels) expect(bindings).toBeLessThanOrEqual(MOST_BINDINGS);
  const before = backend.memory();
  const got = await run(backend, kernels, c.buffers, c.scalars);
  const want = await run(reference, kernels, c.buffers, c.scalars);
  const absolute = (x: Numbers): Numbers => (x instanceof Float32Array ? x.map(Math.abs) : x);
  const scale = c.ofAbsolutes ? await run(reference, kernels, c.buffers.map(absolute), c.scalars) : undefined;
  want.buffers.forEach((expected, i) => {
    const problem = difference(got.buffers[i]!, expected, toleranceOf(c, expected, scale?.buffers[i]));
    expect(problem, `buffer ${i}`).toBeNull();
  });
  for (const [i, values] of Object.entries(c.expected ?? {})) expect([...got.buffers[Number(i)]!]).toEqual(values);
  expect(got.status).toBe(c.status ?? 0);
  expect(backend.memory()).toMatchObject({ bytes: before.bytes, buffers: before.buffers });
}

// The variants for hardware join the lanes of a row by subgroups where the device has them.
describe.skipIf(!hasWebGPU).each([
  ['with all that the adapter has', 'adapter'],
  ['with what is guaranteed', 'default'],
] as const)('rows on webgpu as on hardware, %s', (_, limits) => {
  const reference = new ReferenceBackend('float32');
  const rows = cases.filter(({ kernel }) => 'kind' in kernel && isLoop(kernel) && kernel.inner > 0);
  let backend: Backend;
  beforeAll(async () => {
    backend = await createWebGPUBackend({ gpu: await gpu(), variants: 'hardware', limits });
  });
  afterAll(() => backend?.destroy());

  test.each(rows.map((c) => [c.name, c] as const))('%s', (_, c) => agrees(backend, reference, c));
});

describe.each([...devices])('kernels on %s', (device) => {
  const reference = new ReferenceBackend('float32');
  let backend: Backend;
  beforeAll(async () => {
    backend = await open(device);
  });
  afterAll(() => backend?.destroy());

  test.each(cases.map((c) => [c.name, c] as const))('%s', (_, c) => agrees(backend, reference, c));

  describe.each(Object.entries(FUNCTIONS))('%s', (name, [low, high, limit]) => {
    const op = name as s.FunctionOp;
    const two = TWO.has(op);
    const check = async (xs: Float32Array, ys: Float32Array, floor: number): Promise<void> => {
      const args = two ? [f(0), f(1)] : [f(0)];
      const dtype = op === 'isnan' ? 'bool' : 'float32';
      const kernel = map(
        [xs.length],
        args.map(() => ({})),
        [{ op, dtype, args, value: 0 }],
      );
      const inputs = two ? [xs, ys] : [xs];
      const { buffers } = await run(backend, [kernel], [...inputs, blank(xs.length, dtype)]);
      const got = buffers.at(-1)!;
      const exact = exactFunction(op);
      // The reference rounds exactly. Division on a GPU may err by 2.5 ulp, and signs of zero and subnormals may be lost there.
      const allowed = device === 'webgpu' ? limit * 1.5 + (limit > 0 ? 1 : 0) : limit;
      got.forEach((y, i) => {
        const want = exact(xs[i]!, ys[i]!);
        // Halves of the least normal numbers may be flushed on the way.
        if (device === 'webgpu' && Math.abs(want) < 2 ** -124 && Math.abs(y) < 2 ** -124) return;
        const error = ulps(y, want, device !== 'webgpu') * (Math.abs(want) < floor ? Math.abs(want) / floor : 1);
        expect(error, `${op}(${two ? `${xs[i]}, ${ys[i]}` : xs[i]}) is ${y}, not ${want}`).toBeLessThanOrEqual(allowed);
      });
    };

    test('ordinary inputs', () =>
      check(uniforms(2000, low, high, 11), uniforms(2000, low, high, 12), /^(sin|cos|tan)$/.test(op) ? 2 ** -14 : 0));

    test('edges', async () => {
      // Sines of large numbers are bounded, not right.
      const points = EDGES.filter((x) =>
        /^(sin|cos|tan)$/.test(op) ? !(Math.abs(x) > 1e4 && Math.abs(x) < inf) : op !== 'gated' || x !== -104,
      );
      // A gate is of what goes through it; the share is 0 where it would be subnormal.
      const [xs, ys] = two && op !== 'gated' ? pairs(points, points) : [points, points];
      const near = (i: number): boolean =>
        op !== 'fmod' || !(Math.abs(xs[i]! / ys[i]!) >= 2 ** 23 && Math.abs(ys[i]!) > 0) || xs[i]! === inf;
      await check(
        xs.filter((_, i) => near(i)),
        ys.filter((_, i) => near(i)),
        0,
      );
    });
  });

  test('more elements than 65,535 workgroups of 64', async () => {
    const n = 64 * 65_535 + 4097;
    const { buffers } = await run(backend, [map([n], [], [s.xor(s.position, 0x55)])], [blank(n, 'int32')]);
    const got = buffers[0]!;
    let wrong = 0;
    for (let i = 0; i < n; i++) if (got[i] !== (i ^ 0x55)) wrong++;
    expect(wrong).toBe(0);
  });

  test('kernels of one structure and different sizes, in one batch', async () => {
    const made = [5, 64, 1000, 3, 77].map((n) => {
      const kernel = map([n], [{}, { strides: [0] }], [s.mul(f(0), f(1))]);
      return { n, kernel, buffers: [n, 1, n].map((k) => backend.allocate(k * 4)) };
    });
    const submitted = backend.submit({
      uploads: made.flatMap(({ n, buffers }) => [
        { buffer: buffers[0]!, data: wholes(n) },
        { buffer: buffers[1]!, data: Float32Array.of(n) },
      ]),
      launches: made.map(({ kernel, buffers }) => ({
        program: backend.prepare(kernel),
        buffers,
        scalars: [],
        label: 'test',
      })),
    });
    for (const { n, buffers } of made) {
      const { data } = await backend.read(buffers[2]!, 'float32', 0, n);
      expect(
        difference(
          data,
          wholes(n).map((x) => x * n),
          () => 0,
        ),
      ).toBeNull();
      for (const b of buffers) backend.release(b);
    }
    await submitted;
  });

  test('structures that differ only in what is broadcast', async () => {
    for (const strides of [
      [0, 0],
      [4, 1],
      [0, 1],
      [1, 0],
      [0, 0],
      [1, 3],
    ]) {
      const kernel = map([3, 4], [{ strides }], [s.add(f(0), 1)]);
      const input = wholes(12);
      const got = await run(backend, [kernel], [input, blank(12)]);
      const want = await run(reference, [kernel], [input, blank(12)]);
      expect(
        difference(got.buffers[1]!, want.buffers[1]!, () => 0),
        `strides ${strides}`,
      ).toBeNull();
    }
  });

  test('one program, several launches with different scalars, each reading what the last one wrote', async () => {
    const n = 100;
    const kernel = map(
      [n],
      [{}],
      [s.add(s.mul(f(0), s.uniform(0, 'float32')), s.uniform(1, 'float32'))],
      ['float32', 'float32'],
    );
    const [a, b] = [backend.allocate(n * 4), backend.allocate(n * 4)];
    const program = backend.prepare(kernel);
    await backend.submit({
      uploads: [{ buffer: a, data: new Float32Array(n).fill(1) }],
      launches: [1, 2, 3, 4].map((k) => ({
        program,
        buffers: k % 2 ? [a, b] : [b, a],
        scalars: [2, k],
        label: 'test',
      })),
    });
    const { data } = await backend.read(a, 'float32', 40, 20);
    expect([...data]).toEqual(new Array(20).fill((((1 * 2 + 1) * 2 + 2) * 2 + 3) * 2 + 4));
    backend.release(a);
    backend.release(b);
  });

  test('a read sees what was submitted before it, whatever follows', async () => {
    const buffer = backend.allocate(16);
    const double = backend.prepare(map([4], [{}], [{ expr: s.mul(f(0), 2), binding: 0 }]));
    const launch = { program: double, buffers: [buffer], scalars: [], label: 'test' };
    void backend.submit({ uploads: [{ buffer, data: Float32Array.of(1, 2, 3, 4) }], launches: [launch] });
    const first = backend.read(buffer, 'float32', 0, 4);
    void backend.submit({ uploads: [], launches: [launch] });
    const second = backend.read(buffer, 'float32', 1, 2);
    backend.release(buffer);
    expect([...(await first).data]).toEqual([2, 4, 6, 8]);
    expect([...(await second).data]).toEqual([8, 12]);
  });

  test('the status word is reset by the read that reports it', async () => {
    const c = checked(WILD);
    expect((await run(backend, [c.kernel as Kernel], c.buffers, c.scalars)).status).toBe(1234);
    expect(await backend.sync()).toBe(0);
    const fine = checked(Int32Array.of(1, 2));
    expect((await run(backend, [fine.kernel as Kernel], fine.buffers, fine.scalars)).status).toBe(0);
  });
});
