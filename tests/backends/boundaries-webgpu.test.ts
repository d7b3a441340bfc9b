import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend, Numbers } from '../../src/backends/backend.ts';
import { createCpuBackend } from '../../src/backends/cpu/cpu.ts';
import { ReferenceBackend } from '../../src/backends/reference/reference.ts';
import { createWebGPUBackend } from '../../src/backends/webgpu/webgpu.ts';
import type { DType } from '../../src/core/dtype.ts';
import { contiguousStrides, type Shape } from '../../src/core/shape.ts';
import * as s from '../../src/ir/expr.ts';
import {
  type DenseAlgorithm,
  type DenseKernel,
  denseSize,
  type Input,
  type Kernel,
  type Output,
  type ScanKernel,
  type ScatterKernel,
  type ScatterOp,
  type SortKernel,
} from '../../src/ir/kernel.ts';
import { devices, gpu } from '../setup/devices.ts';
import { blank, difference, generator, integers, run, uniforms, type View, wholes } from './kernels.ts';

// Scans, sorts, scatters and factorisations on every device, against the reference in float64.

const common = (
  spaces: readonly Shape[],
  views: readonly View[],
  expr: s.Expr,
  scalars: readonly DType[] = [],
): { inputs: Input[]; outputs: [Output]; scalars: readonly DType[]; bindings: number } => ({
  inputs: views.map(({ dtype = 'float32', strides, offset = 0, binding }, i) => ({
    dtype,
    binding: binding ?? i,
    access: { mode: 'direct', strides: strides ?? contiguousStrides(spaces[i]!), offset },
  })),
  outputs: [{ dtype: expr.dtype, expr, level: 'element', strides: [], offset: 0, binding: views.length }],
  scalars,
  bindings: views.length + 1,
});

const scan = (
  space: Shape,
  views: readonly View[],
  combine: readonly s.Expr[],
  { out = s.result(0, combine[0]!.dtype), reverse = false, scalars = [] as DType[] } = {},
): ScanKernel => ({
  kind: 'scan',
  space,
  combine,
  reverse,
  ...common(
    views.map(() => space),
    views,
    out,
    scalars,
  ),
});

const sort = (space: Shape, views: readonly View[], key: s.Expr): SortKernel => {
  const parts = common(
    views.map(() => space),
    views,
    s.position,
  );
  return { kind: 'sort', space, key, ...parts };
};

const scatter = (
  space: Shape,
  targets: number,
  reduce: ScatterOp,
  views: readonly View[],
  { out = s.result(0, views[1]!.dtype ?? 'float32'), check = null as number | null } = {},
): ScatterKernel => {
  const over = [space, space, ...views.slice(2).map(() => [...space.slice(0, -1), targets])];
  const parts = common(over, [{ dtype: 'int32', ...views[0]! }, ...views.slice(1)], out, ['uint32']);
  return { kind: 'scatter', space, targets, reduce, check, ...parts };
};

const dense = (algorithm: DenseAlgorithm, space: Shape, columns = 0, views: readonly View[] = []): DenseKernel => {
  const batch = space.slice(0, -2);
  const parts = common(
    [space, [...batch, space.at(-2)!, columns]],
    columns > 0 ? [views[0] ?? {}, views[1] ?? {}] : [views[0] ?? {}],
    s.position,
    ['uint32'],
  );
  return {
    kind: 'dense',
    space,
    algorithm,
    columns,
    check: 0,
    ...parts,
    outputs: [{ ...parts.outputs[0], dtype: 'float32' }],
  };
};

/** Integers from 0 to below `n`. */
const below = (count: number, n: number, seed = 7): Int32Array => {
  const next = generator(seed);
  return Int32Array.from({ length: count }, () => next() % n);
};

const open: Record<string, () => Promise<Backend>> = {
  reference: async () => new ReferenceBackend('float32'),
  cpu: () => createCpuBackend(),
  webgpu: async () => createWebGPUBackend({ gpu: await gpu() }),
  'webgpu as on hardware': async () => createWebGPUBackend({ gpu: await gpu(), variants: 'hardware' }),
};

describe.each(Object.keys(open).filter((name) => devices.some((d) => name.startsWith(d))))('%s', (name) => {
  const oracle = new ReferenceBackend('float64');
  let backend: Backend;
  beforeAll(async () => {
    backend = await open[name]!();
  });
  afterAll(() => backend?.destroy());

  /** Runs a kernel here and in float64, and compares what they write. Returns what was written. */
  async function check(
    kernel: Kernel,
    inputs: readonly Numbers[],
    size: number,
    { relative = 0, absolute = 0, scalars = [] as number[], status = 0 } = {},
  ): Promise<Numbers> {
    const before = backend.memory();
    const buffers = [...inputs, blank(size, kernel.outputs[0]!.dtype)];
    const got = await run(backend, [kernel], buffers, scalars);
    const want = await run(oracle, [kernel], buffers, scalars);
    const expected = want.buffers.at(-1)!;
    expect(difference(got.buffers.at(-1)!, expected, (i) => absolute + relative * Math.abs(expected[i]!))).toBeNull();
    inputs.forEach((data, i) => {
      expect(difference(got.buffers[i]!, data, () => 0)).toBeNull();
    });
    expect(want.status).toBe(status);
    expect(got.status).toBe(status);
    expect(backend.memory()).toMatchObject({ bytes: before.bytes, buffers: before.buffers });
    return got.buffers.at(-1)!;
  }

  const LENGTHS = [1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, 257, 1023, 1024, 1025, 4097];

  describe('scan', () => {
    const [left, right] = [s.result(0, 'float32'), s.result(1, 'float32')];
    const sum = [s.add(left, right)];
    const two = (op: (a: s.Expr, b: s.Expr) => s.Expr, dtype: DType): s.Expr[] => [
      op(s.result(0, dtype), s.result(1, dtype)),
    ];

    test.each(LENGTHS)('sums of %i', async (n) => {
      await check(scan([n], [{}], sum), [wholes(n)], n);
      await check(scan([3, n], [{}], sum, { reverse: true }), [wholes(3 * n)], 3 * n);
    });

    test('a long line', async () => {
      const n = 100_000;
      await check(scan([n], [{}], sum), [uniforms(n, 0, 1)], n, { relative: 1e-5 });
      await check(scan([n], [{}], sum, { reverse: true }), [uniforms(n, 0, 1)], n, { relative: 1e-5 });
    });

    test('some long lines', async () => {
      await check(scan([5, 20_011], [{}], sum), [uniforms(100_055, 0, 1)], 100_055, { relative: 1e-5 });
    });

    test('many lines', async () => {
      await check(scan([70_000, 3], [{}], sum), [wholes(210_000)], 210_000);
      await check(scan([300, 2, 50], [{}], sum), [wholes(30_000)], 30_000);
    });

    test.each(['float32', 'int32', 'uint32', 'bool'] as const)('%s', async (dtype) => {
      for (const op of [s.add, s.mul, s.max, s.min]) {
        const data: Numbers = {
          float32: wholes(500, 1, 2),
          int32: integers(500),
          uint32: new Uint32Array(integers(500)),
          bool: new Uint32Array(below(500, 2)),
        }[dtype];
        const near = dtype === 'float32' && op === s.mul ? { relative: 1e-5 } : {};
        await check(scan([2, 5, 50], [{ dtype }], two(op, dtype)), [data], 500, near);
        if (op === s.add) await check(scan([1, 1, 500], [{ dtype }], two(op, dtype)), [data], 500);
      }
    });

    test('NaN and infinity stay with what follows', async () => {
      const data = wholes(3000);
      data[1500] = Number.NaN;
      await check(scan([3000], [{}], sum), [data], 3000);
      await check(scan([3000], [{}], [s.max(left, right)], { reverse: true }), [data], 3000);
    });

    test('views', async () => {
      await check(scan([40, 70], [{ strides: [1, 40] }], sum), [wholes(2800)], 2800);
      await check(scan([2, 3, 700], [{ strides: [0, 700, 1], offset: 3 }], sum), [wholes(2103)], 4200);
      await check(scan([4000], [{ strides: [-2], offset: 7999 }], sum), [wholes(8000)], 4000);
      await check(scan([30], [{ strides: [0], offset: 2 }], sum), [wholes(3)], 30);
    });

    test.each([5, 300, 5000])('a linear recurrence, %i long', async (n) => {
      const part = (i: number): s.Expr => s.result(i, 'float32');
      const combine = [s.mul(part(0), part(2)), s.add(s.mul(part(1), part(2)), part(3))];
      for (const reverse of [false, true]) {
        await check(
          scan([3, n], [{}, { strides: [0, 1] }], combine, { out: part(1), reverse }),
          [uniforms(3 * n, -0.9, 0.9), uniforms(n, -1, 1, 5)],
          3 * n,
          { absolute: 1e-5 },
        );
      }
    });

    test('the largest so far and where it was, of other dtypes', async () => {
      const [a, i, b, j] = [s.result(0, 'float32'), s.result(1, 'int32'), s.result(2, 'float32'), s.result(3, 'int32')];
      const later = s.le(a, b);
      const combine = [s.select(later, b, a), s.select(later, j, i)];
      const places = Int32Array.from({ length: 3000 }, (_, k) => k);
      await check(
        scan([3000], [{}, { dtype: 'int32' }], combine, { out: s.result(1, 'int32') }),
        [wholes(3000, -50, 50), places],
        3000,
      );
    });

    test('four parts, a uniform and a bool output', async () => {
      const part = (i: number): s.Expr => s.result(i, 'int32');
      const combine = [0, 1, 2, 3].map((i) => s.add(part(i), part(i + 4)));
      const out = s.lt(s.add(part(0), part(3)), s.uniform(0, 'int32'));
      const views = [0, 0, 0, 0].map((): View => ({ dtype: 'int32' }));
      await check(
        scan([2, 1500], views, combine, { out, scalars: ['int32'] }),
        [1, 2, 3, 4].map((seed) => below(3000, 5, seed)),
        3000,
        { scalars: [3000] },
      );
    });

    test('without elements', async () => {
      await check(scan([0], [{}], sum), [wholes(1)], 2);
      await check(scan([3, 0], [{}], sum), [wholes(1)], 2);
      await check(scan([0, 3], [{}], sum), [wholes(1)], 2);
    });
  });

  describe('sort', () => {
    const whole = s.load(0, 'uint32');
    // Floats as integers of the same order, NaN last.
    const bits = s.bitcast(s.load(0, 'float32'), 'uint32');
    const ordered = s.select(s.lt(s.bitcast(bits, 'int32'), 0), s.not(bits), s.xor(bits, 0x80000000));
    const float = s.select(s.isnan(s.load(0, 'float32')), s.constant(0xffffffff, 'uint32'), ordered);
    const keys = (n: number, most: number): Uint32Array => Uint32Array.from(below(n, most));

    test.each(LENGTHS)('%i keys', async (n) => {
      await check(sort([n], [{ dtype: 'uint32' }], whole), [Uint32Array.from(integers(n))], n);
      await check(sort([3, n], [{ dtype: 'uint32' }], whole), [keys(3 * n, 5)], 3 * n);
      await check(sort([n], [{ dtype: 'uint32' }], whole), [keys(n, 1)], n);
    });

    test('100,000 keys', async () => {
      await check(sort([100_000], [{ dtype: 'uint32' }], whole), [keys(100_000, 1000)], 100_000);
    });

    test('many lines', async () => {
      await check(sort([20_000, 3], [{ dtype: 'uint32' }], whole), [keys(60_000, 3)], 60_000);
      await check(sort([7, 30, 40], [{ dtype: 'uint32' }], whole), [keys(8400, 20)], 8400);
    });

    test('floats with ties and NaN', async () => {
      const data = wholes(4000, -20, 20);
      for (let i = 0; i < 4000; i += 37) data[i] = [Number.NaN, Infinity, -Infinity][i % 3]!;
      await check(sort([2, 2000], [{}], float), [data], 4000);
    });

    test('the largest keys', async () => {
      const data = keys(700, 3).map((x) => 0xffffffff - x);
      await check(sort([700], [{ dtype: 'uint32' }], whole), [data], 700);
    });

    test('views, and keys from two inputs', async () => {
      await check(sort([40, 70], [{ dtype: 'uint32', strides: [1, 40] }], whole), [keys(2800, 50)], 2800);
      await check(sort([300], [{ dtype: 'uint32', strides: [-1], offset: 299 }], whole), [keys(300, 50)], 300);
      const both = s.add(s.mul(whole, 100), s.cast(s.load(1, 'int32'), 'uint32'));
      await check(
        sort([5, 90], [{ dtype: 'uint32' }, { dtype: 'int32', strides: [0, 1] }], both),
        [keys(450, 3), below(90, 4)],
        450,
      );
    });

    test('without elements', async () => {
      await check(sort([0], [{ dtype: 'uint32' }], whole), [keys(1, 2)], 2);
      await check(sort([3, 0], [{ dtype: 'uint32' }], whole), [keys(1, 2)], 2);
    });
  });

  describe('scatter', () => {
    const OPS = ['sum', 'prod', 'max', 'min', 'last'] as const;
    const DTYPES = ['float32', 'int32', 'uint32', 'bool'] as const;
    const elements = (dtype: DType, n: number): Numbers => {
      if (dtype === 'float32') return wholes(n, -2, 2);
      if (dtype === 'int32') return integers(n);
      return dtype === 'bool' ? Uint32Array.from(below(n, 2)) : Uint32Array.from(integers(n));
    };
    const OPEN = { scalars: [9] };

    test.each(OPS)('%s of every dtype, short and long lines, hits and no hits', async (op) => {
      for (const dtype of DTYPES)
        for (const [lines, n, targets] of [
          [3, 20, 7],
          [2, 1500, 900],
        ] as const)
          await check(
            scatter([lines, n], targets, op, [{}, { dtype }]),
            [below(lines * n, targets), elements(dtype, lines * n)],
            lines * targets,
            OPEN,
          );
    });

    test.each([1, 31, 32, 33, 64, 1023, 1024, 1025, 4097])('%i elements', async (n) => {
      await check(scatter([n], 700, 'sum', [{}, {}]), [below(n, 700), wholes(n)], 700, OPEN);
      await check(scatter([n], 1, 'last', [{}, {}]), [below(n, 1), wholes(n)], 1, OPEN);
    });

    test('many elements to few targets', async () => {
      await check(scatter([20_000], 3, 'sum', [{}, {}]), [below(20_000, 3), uniforms(20_000, 0, 1)], 3, {
        ...OPEN,
        relative: 1e-5,
      });
    });

    test('many targets and lines', async () => {
      await check(scatter([100_000], 30_000, 'sum', [{}, {}]), [below(1e5, 30_000), wholes(1e5)], 30_000, OPEN);
      await check(scatter([3000, 4], 50, 'sum', [{}, {}]), [below(12_000, 50), wholes(12_000)], 150_000, OPEN);
    });

    test('lines that share their places, elements transposed: the gradient of an embedding', async () => {
      const [d, n, v] = [12, 2000, 300];
      await check(
        scatter([d, n], v, 'sum', [{ strides: [0, 1] }, { strides: [1, d] }]),
        [below(n, v), wholes(d * n)],
        d * v,
        OPEN,
      );
      await check(
        scatter([3, 4, n], v, 'max', [{ strides: [n, 0, 1] }, {}]),
        [below(3 * n, v), wholes(12 * n)],
        12 * v,
        OPEN,
      );
      await check(scatter([4, n], 5, 'sum', [{ strides: [0, 0] }, {}]), [Int32Array.of(3), wholes(4 * n)], 20, OPEN);
    });

    test.each([25, 3000])('what arrives joins what was there, %i elements', async (n) => {
      const [sum, hit] = [s.result(0, 'float32'), s.result(1, 'bool')];
      const before = s.load(2, 'float32');
      const out = s.select(hit, s.add(sum, s.mul(before, s.uniform(0, 'float32'))), before);
      const kernel = scatter([2, n], 500, 'sum', [{}, {}, { strides: [1, 2] }], { out });
      await check({ ...kernel, scalars: ['float32'] }, [below(2 * n, 400), wholes(2 * n), wholes(1000)], 1000, OPEN);
      await check(
        scatter([n], 40, 'sum', [{}, {}], { out: s.add(s.cast(hit, 'int32'), s.index(0)) }),
        [below(n, 20), wholes(n)],
        40,
        OPEN,
      );
    });

    test.each([25, 3000])('places out of range are dropped, and told where asked, %i elements', async (n) => {
      const places = below(2 * n, 60).map((x) => x - 5);
      const kernel = (check: number | null): Kernel => scatter([2, n], 50, 'sum', [{}, {}], { check });
      await check(kernel(null), [places, wholes(2 * n)], 100, { scalars: [9] });
      await check(kernel(0), [places, wholes(2 * n)], 100, { scalars: [9], status: 9 });
      await check(kernel(0), [below(2 * n, 50), wholes(2 * n)], 100, { scalars: [9] });
      const one = below(2 * n, 50);
      one[n + 3] = 50;
      await check(kernel(0), [one, wholes(2 * n)], 100, { scalars: [9], status: 9 });
      one[n + 3] = -1;
      await check(kernel(0), [one, wholes(2 * n)], 100, { scalars: [9], status: 9 });
    });

    test('nothing, and to nowhere', async () => {
      for (const op of OPS) await check(scatter([0], 70, op, [{}, {}]), [wholes(1), wholes(1)], 70, OPEN);
      await check(scatter([3, 0], 5, 'sum', [{}, {}]), [wholes(1), wholes(1)], 15, OPEN);
      await check(scatter([0, 3], 5, 'sum', [{}, {}]), [wholes(1), wholes(1)], 2, OPEN);
      await check(scatter([2, 3], 0, 'sum', [{}, {}]), [below(6, 1), wholes(6)], 2, OPEN);
      for (const n of [3, 3000])
        await check(scatter([n], 0, 'sum', [{}, {}], { check: 0 }), [below(n, 1), wholes(n)], 2, {
          scalars: [9],
          status: 9,
        });
    });
  });

  describe('dense', () => {
    const SIZES = [1, 2, 3, 4, 5, 8, 15, 16, 17, 33];
    /** Matrices whose diagonal is large enough for the rest. */
    const regular = (batch: number, n: number, seed = 1): Float32Array => {
      const out = uniforms(batch * n * n, -1, 1, seed);
      for (let k = 0; k < batch; k++) for (let i = 0; i < n; i++) out[k * n * n + i * n + i]! += 0.6 * n;
      return out;
    };
    /** a b^T of matrices with rows of length k. */
    const timesTransposed = (a: ArrayLike<number>, b: ArrayLike<number>, k: number): Float32Array => {
      const [rows, columns] = [a.length / k, b.length / k];
      const out = new Float32Array(rows * columns);
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++) {
          let sum = 0;
          for (let e = 0; e < k; e++) sum += a[i * k + e]! * b[j * k + e]!;
          out[i * columns + j] = sum;
        }
      return out;
    };
    const transposed = (a: ArrayLike<number>, columns: number): Float32Array => {
      const rows = columns === 0 ? 0 : a.length / columns;
      return Float32Array.from({ length: a.length }, (_, i) => a[(i % rows) * columns + Math.floor(i / rows)]!);
    };
    const near = (got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number): void =>
      expect(difference(Float32Array.from(got), Float32Array.from(want), () => tolerance)).toBeNull();
    const eye = (n: number): Float32Array =>
      Float32Array.from({ length: n * n }, (_, i) => Number(Math.floor(i / n) === i % n));
    const FINE = { relative: 5e-5, absolute: 2e-5, scalars: [9] };
    const UNDEFINED = { scalars: [9], status: 9, absolute: Infinity };

    test.each(SIZES)('systems of %i', async (n) => {
      for (const columns of [0, 1, n, 3]) {
        const b = columns > 0 ? [wholes(n * columns)] : [];
        await check(dense('solve', [n, n], columns), [uniforms(n * n, -1, 1, 40 + n), ...b], n * (n + columns), {
          ...FINE,
          absolute: 2e-3,
          relative: 1e-3,
        });
        await check(dense('solve', [n, n], columns), [regular(1, n), ...b], n * (n + columns), FINE);
        if (columns === 0) continue;
        for (const side of ['lower', 'upper'] as const)
          await check(dense(side, [n, n], columns), [regular(1, n), ...b], n * columns, FINE);
      }
    });

    test('batches of systems, of views', async () => {
      const b = wholes(2 * 3 * 5 * 4);
      await check(dense('solve', [2, 3, 5, 5], 4), [regular(6, 5), b], 6 * 45, FINE);
      const views: View[] = [{ strides: [0, 25, 1, 5] }, { strides: [60, 0, 1, 5] }];
      await check(dense('solve', [2, 3, 5, 5], 4, views), [regular(3, 5), b], 6 * 45, FINE);
      await check(dense('upper', [2, 3, 5, 5], 4, views), [regular(3, 5), b], 6 * 20, FINE);
      await check(dense('solve', [500, 2, 2], 1), [regular(500, 2), wholes(1000)], 3000, FINE);
    });

    test('rows that have to be exchanged', async () => {
      const a = Float32Array.of(0, 2, 0, 0, 0, 3, 4, 0, 0);
      await check(dense('solve', [3, 3], 1), [a, Float32Array.of(2, 3, 4)], 12, FINE);
    });

    test('singular matrices', async () => {
      await check(dense('solve', [2, 2], 1), [Float32Array.of(1, 2, 2, 4), wholes(2)], 6, UNDEFINED);
      const singular = regular(3, 4);
      singular.fill(0, 20, 24);
      await check(dense('solve', [3, 4, 4], 1), [singular, wholes(12)], 60, UNDEFINED);
      await check({ ...dense('solve', [3, 4, 4], 1), check: null }, [singular, wholes(12)], 60, {
        ...UNDEFINED,
        status: 0,
      });
      await check(dense('lower', [2, 2], 1), [Float32Array.of(1, 9, 2, 0), wholes(2)], 2, UNDEFINED);
      const u = await run(backend, [dense('solve', [2, 2])], [Float32Array.of(0, 0, 0, 0), blank(4)], [9]);
      expect([...u.buffers[1]!].map(Math.abs)).toEqual([0, 0, 0, 0]);
    });

    test.each(SIZES)('Cholesky of %i', async (n) => {
      const half = uniforms(2 * n * n);
      const a = timesTransposed(half.subarray(0, n * n), half.subarray(0, n * n), n);
      for (let i = 0; i < n; i++) a[i * n + i]! += 1;
      await check(dense('cholesky', [n, n]), [a], n * n, FINE);
      const two = Float32Array.of(...a, ...a);
      await check(dense('cholesky', [2, n, n], 0, [{ strides: [n * n, 1, n] }]), [two], 2 * n * n, FINE);
      a[n * n - 1] = -1;
      await check(dense('cholesky', [n, n]), [a], n * n, UNDEFINED);
    });

    test.each([...SIZES.map((n) => [n, n] as const), [1, 5], [5, 1], [3, 7], [7, 3], [33, 17], [17, 33]] as const)(
      'QR of %i x %i',
      async (m, n) => {
        const rank = Math.min(m, n);
        const a = uniforms(3 * m * n, -1, 1, m + n);
        const size = denseSize('qr', m, n, 0);
        // Where several digits cancel, all depends on the last one.
        await check(dense('qr', [3, m, n]), [a], 3 * size, { scalars: [9], absolute: 2e-3 });
        const { buffers } = await run(backend, [dense('qr', [3, m, n])], [a, blank(3 * size)], [9]);
        const out = buffers[1]!.subarray(size);
        const [r, q] = [out.subarray(0, rank * n), out.subarray(m * n, m * n + m * rank)];
        near(timesTransposed(q, transposed(r, n), rank), a.subarray(m * n, 2 * m * n), 1e-5 * m);
        near(timesTransposed(transposed(q, rank), transposed(q, rank), m), eye(rank), 1e-5);
      },
    );

    /** Eigenvalues as the reference has them, and vectors that fit. */
    const checkEigh = async (n: number, a: Float32Array): Promise<void> => {
      const buffers = [a, blank(n + 2 * n * n)];
      const [got, want] = [backend, oracle].map((b) => run(b, [dense('eigh', [n, n])], buffers, [9]));
      const [values, v] = [(await got!).buffers[1]!.subarray(0, n), (await got!).buffers[1]!.subarray(n, n + n * n)];
      const scale = Math.max(1, ...a.map(Math.abs)) * n;
      near(values, (await want!).buffers[1]!.subarray(0, n), 2e-6 * scale);
      const scaled = v.map((x, i) => x * values[i % n]!);
      near(timesTransposed(scaled, v, n), a, 2e-6 * scale);
      near(timesTransposed(v, v, n), eye(n), 1e-5);
      expect((await got!).status).toBe(0);
    };
    const symmetric = (n: number): Float32Array => {
      const a = uniforms(n * n, -1, 1, n);
      for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) a[j * n + i] = a[i * n + j]!;
      return a;
    };

    test.each(SIZES)('eigenvalues of %i', async (n) => checkEigh(n, symmetric(n)));

    test('repeated eigenvalues, and other special matrices', async () => {
      await checkEigh(6, eye(6));
      await checkEigh(5, new Float32Array(25));
      await checkEigh(7, new Float32Array(49).fill(1));
      await checkEigh(4, Float32Array.of(2, 0, 0, 0, 0, 5, 3, 0, 0, 3, 5, 0, 0, 0, 0, 2));
      await checkEigh(
        9,
        symmetric(9).map((x) => x * 1e-25),
      );
      await checkEigh(
        9,
        symmetric(9).map((x) => x * 1e25),
      );
    });

    test('eigenvalues of a batch, from the lower half; NaN gives NaN', async () => {
      const n = 3;
      const a = symmetric(6).slice(0, 27);
      const lower = a.map((x, i) => (i % n > Math.floor((i % 9) / n) ? 77 : x));
      const size = n + 2 * n * n;
      const { buffers } = await run(backend, [dense('eigh', [n, n, n])], [lower, blank(3 * size)], [9]);
      const want = await run(oracle, [dense('eigh', [n, n, n])], [lower, blank(3 * size)], [9]);
      for (let k = 0; k < 3; k++)
        near(buffers[1]!.subarray(k * size, k * size + n), want.buffers[1]!.subarray(k * size, k * size + n), 1e-5);
      lower[0] = Number.NaN;
      const odd = await run(backend, [dense('eigh', [n, n])], [lower, blank(size)], [9]);
      expect([...odd.buffers[1]!.subarray(0, n)]).toEqual([Number.NaN, Number.NaN, Number.NaN]);
    });

    const checkSvd = async (m: number, n: number, a: Float32Array): Promise<void> => {
      const buffers = [a, blank(denseSize('svd', m, n, 0))];
      const [got, want] = [backend, oracle].map((b) => run(b, [dense('svd', [m, n])], buffers, [9]));
      const out = (await got!).buffers[1]!;
      const [values, u, v] = [out.subarray(0, n), out.subarray(n, n + m * n), out.subarray(n + m * n)];
      const scale = Math.max(...a.map(Math.abs)) * m;
      near(values, (await want!).buffers[1]!.subarray(0, n), 2e-6 * scale);
      near(
        timesTransposed(
          u.map((x, i) => x * values[i % n]!),
          v,
          n,
        ),
        a,
        2e-6 * scale,
      );
      near(timesTransposed(transposed(u, n), transposed(u, n), m), eye(n), 2e-5);
      near(timesTransposed(v, v, n), eye(n), 1e-5);
      expect((await got!).status).toBe(0);
    };

    test.each([...SIZES.map((n) => [n, n] as const), [5, 1], [7, 3], [33, 17]] as const)(
      'singular values of %i x %i',
      async (m, n) => checkSvd(m, n, uniforms(m * n, -1, 1, m + n)),
    );

    test('singular values of matrices without full rank, and of odd scales', async () => {
      await checkSvd(4, 4, new Float32Array(16));
      await checkSvd(6, 4, new Float32Array(24).fill(1));
      await checkSvd(5, 5, eye(5));
      await checkSvd(12, 9, timesTransposed(wholes(36), wholes(27, -8, 8, 5), 3));
      await checkSvd(
        6,
        6,
        uniforms(36).map((x) => x * 1e-25),
      );
      await checkSvd(
        6,
        6,
        uniforms(36).map((x) => x * 1e25),
      );
    });

    test.each(['solve', 'lower', 'upper', 'cholesky', 'qr', 'eigh', 'svd'] as const)(
      '%s without elements',
      async (name) => {
        for (const space of [
          [0, 0],
          [2, 0, 0],
          [0, 3, 3],
        ])
          await check(dense(name, space), [wholes(1)], 2, { scalars: [9] });
      },
    );
  });
});
