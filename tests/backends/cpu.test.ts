import { describe, expect, test } from 'vitest';
import { type CpuBackend, createCpuBackend } from '../../src/backends/cpu/cpu.ts';
import { Heap } from '../../src/backends/cpu/heap.ts';
import { ReferenceBackend } from '../../src/backends/reference/reference.ts';
import { OutOfMemoryError } from '../../src/core/errors.ts';
import { contiguousStrides, type Shape, sizeOf } from '../../src/core/shape.ts';
import * as s from '../../src/ir/expr.ts';
import type { Input, Kernel, LoopKernel, MatmulKernel, Output, ReduceOp } from '../../src/ir/kernel.ts';
import { matmul } from './kernels.ts';

const input = (binding: number, strides: readonly number[], offset = 0): Input => ({
  dtype: 'float32',
  binding,
  access: { mode: 'direct', strides, offset },
});
const output = (
  binding: number,
  expr: s.Expr,
  strides: readonly number[],
  level: Output['level'] = 'element',
): Output => ({
  dtype: expr.dtype,
  expr,
  level,
  strides,
  offset: 0,
  binding,
});
const x = s.load(0, 'float32');
const sum = s.result(0, 'float32');

const map = (space: Shape, inputs: readonly Input[], outputs: readonly Output[]): LoopKernel => ({
  kind: 'map',
  space,
  inner: 0,
  inputs,
  reductions: [],
  outputs,
  scalars: [],
  bindings: inputs.length + outputs.length,
});
/** Reduces [rows, columns] along the columns, whose elements lie `step` apart. */
const reduce = (
  op: ReduceOp,
  rows: number,
  columns: number,
  strides: readonly number[],
  expr: s.Expr = x,
): LoopKernel => ({
  kind: 'reduce',
  space: [rows, columns],
  inner: 1,
  inputs: [input(0, strides)],
  reductions: [{ op, expr }],
  outputs: [output(1, s.result(0, expr.dtype), [1], 'row')],
  scalars: [],
  bindings: 2,
});

function random(n: number, seed = 1): Float32Array {
  let state = seed;
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 8) / 2 ** 23 - 1;
  });
}

/** Uploads the inputs, runs the kernel, and reads the last buffer, of `length` floats. */
function run(
  backend: CpuBackend | ReferenceBackend,
  kernel: Kernel,
  inputs: readonly Float32Array[],
  length: number,
): Float32Array {
  const buffers = [...inputs.map((data) => backend.allocate(data.byteLength)), backend.allocate(length * 4)];
  const program = backend.prepare(kernel);
  backend.submit({
    uploads: inputs.map((data, i) => ({ buffer: buffers[i]!, data })),
    launches: [{ program, buffers, scalars: [], label: 'test' }],
  });
  const { data } = backend.readSync(buffers.at(-1)!, 'float32', 0, length);
  for (const buffer of buffers) backend.release(buffer);
  return Float32Array.from(data);
}

const worst = (got: Float32Array, want: Float32Array): number =>
  got.reduce((most, y, i) => Math.max(most, Math.abs(y - want[i]!)), 0);

describe('memory', () => {
  test('ids stay unique and memory flat over 10,000 allocations', async () => {
    const backend = await createCpuBackend();
    const ids = new Set<number>();
    const sizes = [0, 4, 100, 4096, 70_000, 1_000_000];
    const held = sizes.map((n) => backend.allocate(n));
    const total = backend.memory();
    for (let i = 0; i < 10_000; i++) {
      const slot = (i * 7) % sizes.length;
      backend.release(held[slot]!);
      held[slot] = backend.allocate(sizes[slot]! + 4 * (i % 3));
      ids.add(held[slot].id);
    }
    expect(ids.size).toBe(10_000);
    expect(backend.memory().bytes + backend.memory().pooledBytes).toBeLessThan(2 * (total.bytes + total.pooledBytes));
    for (const b of held) backend.release(b);
    expect(backend.memory()).toMatchObject({ bytes: 0, buffers: 0 });
  });

  test('blocks are aligned, do not overlap, and merge when given back', () => {
    const heap = new Heap(64);
    const taken = Array.from({ length: 200 }, (_, i) => heap.take(1 + ((i * 7919) % 5000)));
    const sorted = [...taken].sort((a, b) => a.address - b.address);
    sorted.forEach((block, i) => {
      expect(block.address % 64).toBe(0);
      const next = sorted[i + 1];
      if (next) expect(block.address + block.size).toBeLessThanOrEqual(next.address);
    });
    const before = heap.bytes;
    taken.forEach((block, i) => {
      if (i % 2 === 0) heap.give(block);
    });
    taken.forEach((block, i) => {
      if (i % 2 === 1) heap.give(block);
    });
    heap.take(before - 4096);
    expect(heap.used).toBe(before - 4096);
    expect(heap.bytes).toBe(before);
  });

  test('an allocation that does not fit throws and changes nothing', async () => {
    const backend = await createCpuBackend({ maximumPages: 64 });
    const kept = backend.allocate(1 << 20);
    expect(() => backend.allocate(1 << 23)).toThrow(OutOfMemoryError);
    expect(() => backend.allocate(1 << 23)).toThrow(/8388608 bytes.*1048576/);
    expect(backend.memory()).toMatchObject({ bytes: 1 << 20, buffers: 1 });
    backend.release(kept);
    backend.release(backend.allocate(3 << 20));
  });

  test('a launch without room for its scratch runs nothing of its batch', async () => {
    const backend = await createCpuBackend({ maximumPages: 32 });
    const [a, b] = [backend.allocate(900_000), backend.allocate(900_000)];
    const [m, k, n] = [400, 400, 400];
    const kernel = matmul([m, n], k, { b: { binding: 0 }, targets: [{ expr: s.add(sum, 1), binding: 1 }] });
    const copy = map([4], [input(0, [1])], [output(1, x, [1])]);
    backend.submit({ uploads: [{ buffer: b, data: Float32Array.of(1, 2, 3, 4) }], launches: [] });
    const launch = (kernel: Kernel) => ({
      program: backend.prepare(kernel),
      buffers: [a, b],
      scalars: [],
      label: 'test',
    });
    expect(() => backend.submit({ uploads: [], launches: [launch(copy), launch(kernel)] })).toThrow(OutOfMemoryError);
    expect([...backend.readSync(b, 'float32', 0, 4).data]).toEqual([1, 2, 3, 4]);
  });

  test('a buffer cannot be released twice', async () => {
    const backend = await createCpuBackend();
    const buffer = backend.allocate(64);
    backend.release(buffer);
    expect(() => backend.release(buffer)).toThrow(/released/);
  });
});

describe('modules', () => {
  test('a kernel of a known structure compiles nothing', async () => {
    const backend = await createCpuBackend();
    const data = random(3000);
    const double = (n: number, m: number): LoopKernel =>
      map([n, m], [input(0, [m, 1])], [output(1, s.mul(x, 2), [m, 1])]);
    run(backend, double(3, 5), [data], 15);
    run(backend, reduce('sum', 7, 11, [11, 1]), [data], 7);
    const before = backend.compiled;
    expect([...run(backend, double(30, 100), [data], 3000)]).toEqual([...data].map((v) => v * 2));
    run(backend, double(17, 9), [data], 153);
    run(backend, reduce('sum', 30, 100, [100, 1]), [data], 30);
    expect(backend.compiled).toBe(before);
    run(backend, reduce('sum', 30, 100, [1, 30]), [data], 30);
    expect(backend.compiled).toBe(before + 1);
  });

  test('the same kernel object gives the same program', async () => {
    const backend = await createCpuBackend();
    const kernel = reduce('max', 3, 4, [4, 1]);
    expect(backend.prepare(kernel)).toBe(backend.prepare(kernel));
  });
});

describe('reductions', () => {
  test.each([
    ['along rows', [1_000_000, 1]],
    ['across rows', [1, 1]],
  ])('a million values near 1000, %s, add up to within 1e-7', async (_, strides) => {
    const backend = await createCpuBackend();
    const n = 1_000_000;
    const data = random(n + 8).map((v) => 1000 + v);
    const rows = strides[0] === 1 ? 8 : 1;
    const got = run(backend, reduce('sum', rows, n, strides), [data], rows);
    const exact = data.subarray(0, n).reduce((total, v) => total + v, 0);
    expect(Math.abs(got[0]! / exact - 1)).toBeLessThan(1e-7);
  });

  test('max and min see a NaN wherever it stands, and infinities', async () => {
    const backend = await createCpuBackend();
    for (const op of ['max', 'min'] as const)
      for (const at of [0, 1, 5, 36, 63, 66]) {
        const data = random(67);
        data[at] = Number.NaN;
        expect(run(backend, reduce(op, 1, 67, [67, 1]), [data], 1)).toEqual(Float32Array.of(Number.NaN));
        data[at] = op === 'max' ? Infinity : -Infinity;
        expect(run(backend, reduce(op, 1, 67, [67, 1]), [data], 1)[0]).toBe(data[at]);
      }
    const infinite = new Float32Array(10_000).fill(1);
    infinite[3] = Infinity;
    expect(run(backend, reduce('sum', 1, 10_000, [0, 1]), [infinite], 1)[0]).toBe(Infinity);
  });

  test.each([
    [1, 1],
    [5, 3],
    [9, 4096],
    [33, 100],
    [1, 70_001],
  ])('softmax of [%i, %i] along rows and across them', async (rows, columns) => {
    const backend = await createCpuBackend();
    const data = random(rows * columns);
    const e = s.exp(s.sub(x, sum));
    for (const strides of [
      [columns, 1],
      [1, rows],
    ]) {
      const kernel: LoopKernel = {
        ...reduce('max', rows, columns, strides),
        kind: 'rowwise',
        reductions: [
          { op: 'max', expr: x },
          { op: 'sum', expr: e },
        ],
        outputs: [output(1, s.div(e, s.result(1, 'float32')), strides)],
      };
      const want = run(new ReferenceBackend(), kernel, [data], rows * columns);
      expect(worst(run(backend, kernel, [data], rows * columns), want)).toBeLessThan(3e-7);
    }
  });
});

describe('products', () => {
  const shapes: readonly (readonly [number, number, number])[] = [
    [1, 1, 1],
    [1, 64, 33],
    [33, 64, 1],
    [4, 8, 8],
    [5, 401, 9],
    [6, 802, 17],
    [13, 3, 100],
    [97, 50, 30],
    [100, 7, 1030],
    [100, 802, 20],
  ];
  const operand = (rows: number, columns: number, transposed: boolean): number[] =>
    transposed ? [1, rows] : [columns, 1];
  const product = (m: number, k: number, n: number, ta: boolean, tb: boolean, tc: boolean): MatmulKernel =>
    matmul([m, n], k, {
      a: { strides: operand(m, k, ta) },
      b: { strides: operand(k, n, tb) },
      targets: [{ expr: sum, strides: operand(m, n, tc) }],
    });

  test.each(shapes)('%i x %i x %i in every layout, with and without epilogue', async (m, k, n) => {
    const backend = await createCpuBackend();
    const reference = new ReferenceBackend();
    const [a, b] = [random(m * k, 2), random(k * n, 3)];
    for (let layout = 0; layout < 8; layout++) {
      const plain = product(m, k, n, (layout & 1) !== 0, (layout & 2) !== 0, (layout & 4) !== 0);
      const bias: MatmulKernel = {
        ...plain,
        inputs: [...plain.inputs, input(0, [0, 0, 0], 0)],
        outputs: plain.outputs.map((o) => ({
          ...o,
          expr: s.max(s.add(s.mul(sum, s.load(2, 'float32')), s.cast(s.index(0), 'float32')), 0),
        })),
      };
      for (const kernel of [plain, bias]) {
        const want = run(reference, kernel, [a, b], m * n);
        expect(worst(run(backend, kernel, [a, b], m * n), want)).toBeLessThan(1e-4);
      }
    }
  });

  test('a NaN in what lies beside an operand stays out', async () => {
    const backend = await createCpuBackend();
    const [m, k, n] = [5, 3, 9];
    const [a, b] = [random(m * k + 4), random(k * n + 20)];
    a.fill(Number.NaN, m * k);
    b.fill(Number.NaN, k * n);
    expect(run(backend, product(m, k, n, false, false, false), [a, b], m * n)).not.toContain(Number.NaN);
    const [c, d] = [random(64 * 33), random(33 * 64 + 64)];
    d.fill(Number.NaN, 33 * 64);
    expect(run(backend, product(8, 33, 64, false, false, false), [c, d], 8 * 64)).not.toContain(Number.NaN);
  });

  test.each([
    ['A shared', [0, 1, 1], [6, 20, 24]],
    ['B shared', [1, 0, 1], [6, 20, 24]],
    ['neither', [1, 1, 1], [6, 20, 24]],
    ['large', [1, 1, 1], [3, 200, 240]],
  ] as const)('batches, %s', async (_, [batchA, batchB, batchC], [count, m, n]) => {
    const backend = await createCpuBackend();
    const k = 10;
    const space = [count, m, n];
    const kernel = matmul(space, k, {
      a: { strides: [batchA * m * k, k, 1] },
      b: { strides: [batchB * k * n, n, 1] },
      targets: [{ expr: s.add(sum, s.cast(s.position, 'float32')), strides: [batchC * m * n, n, 1] }],
    });
    const [a, b] = [random(count * m * k), random(count * k * n)];
    const want = run(new ReferenceBackend(), kernel, [a, b], sizeOf(space));
    expect(worst(run(backend, kernel, [a, b], sizeOf(space)), want)).toBeLessThan(0.02);
  });

  test('an empty inner dim gives zeros', async () => {
    const backend = await createCpuBackend();
    expect([
      ...run(backend, product(9, 0, 10, false, false, false), [new Float32Array(1), new Float32Array(1)], 90),
    ]).toEqual(new Array(90).fill(0));
  });
});

describe('maps', () => {
  test.each([
    [40, 50],
    [33, 70],
    [16, 16],
    [100, 3],
  ])('a transposed input of [%i, %i]', async (rows, columns) => {
    const backend = await createCpuBackend();
    const data = random(rows * columns);
    const kernel = map(
      [rows, columns],
      [input(0, [1, rows])],
      [output(1, s.neg(x), contiguousStrides([rows, columns]))],
    );
    expect(run(backend, kernel, [data], rows * columns)).toEqual(
      run(new ReferenceBackend(), kernel, [data], rows * columns),
    );
  });

  test('nothing beyond the outputs is written', async () => {
    const backend = await createCpuBackend();
    for (let n = 1; n < 40; n++) {
      const kernel = map([n], [input(0, [1])], [output(1, x, [1])]);
      const [a, b] = [backend.allocate(4 * n), backend.allocate(4 * (n + 8))];
      const launch = { program: backend.prepare(kernel), buffers: [a, b], scalars: [], label: 'test' };
      const marks = new Float32Array(n + 8).fill(-77);
      backend.submit({
        uploads: [
          { buffer: a, data: random(n) },
          { buffer: b, data: marks },
        ],
        launches: [launch],
      });
      const { data } = backend.readSync(b, 'float32', 0, n + 8);
      expect([...data.subarray(n)]).toEqual(new Array(8).fill(-77));
      expect(data.subarray(0, n)).toEqual(random(n));
    }
  });

  test('an index out of range reads 0 and sets the status word, once', async () => {
    const backend = await createCpuBackend();
    const kernel: LoopKernel = {
      ...map([10], [], [output(1, s.loadAt(0, 'float32', [s.sub(s.index(0), 2)]), [1])]),
      inputs: [
        { dtype: 'float32', binding: 0, access: { mode: 'indirect', shape: [8], strides: [1], offset: 0, check: 0 } },
      ],
      scalars: ['int32'],
      bindings: 2,
    };
    const [a, b] = [backend.allocate(32), backend.allocate(40)];
    const data = random(8);
    backend.submit({
      uploads: [{ buffer: a, data }],
      launches: [{ program: backend.prepare(kernel), buffers: [a, b], scalars: [42], label: 'test' }],
    });
    const read = backend.readSync(b, 'float32', 0, 10);
    expect([...read.data]).toEqual([0, 0, ...data]);
    expect(read.status).toBe(42);
    expect(await backend.sync()).toBe(0);
  });
});
