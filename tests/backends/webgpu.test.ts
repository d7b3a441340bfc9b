import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend, Buffer, Launch } from '../../src/backends/backend.ts';
import { ReferenceBackend } from '../../src/backends/reference/reference.ts';
import { createWebGPUBackend, type WebGPUBackend, type WebGPUOptions } from '../../src/backends/webgpu/webgpu.ts';
import { DeviceError, DeviceLostError, OutOfMemoryError } from '../../src/core/errors.ts';
import { contiguousStrides } from '../../src/core/shape.ts';
import * as s from '../../src/ir/expr.ts';
import type { Input, Kernel, Output } from '../../src/ir/kernel.ts';
import { gpu, hasWebGPU } from '../setup/devices.ts';
import { contraction, matmul } from './kernels.ts';

const open = async (options: Partial<WebGPUOptions> = {}): Promise<WebGPUBackend> =>
  createWebGPUBackend({ gpu: await gpu(), ...options });

const input = (binding: number, strides: readonly number[]): Input => ({
  dtype: 'float32',
  binding,
  access: { mode: 'direct', strides, offset: 0 },
});
const output = (binding: number, expr: s.Expr, strides: readonly number[]): Output => ({
  dtype: expr.dtype,
  expr,
  level: 'element',
  strides,
  offset: 0,
  binding,
});
const x = s.load(0, 'float32');

/** out = formula(in) over n elements; `formula` may use the scalar. */
const mapKernel = (n: number, expr: s.Expr): Kernel => ({
  kind: 'map',
  space: [n],
  inner: 0,
  inputs: [input(0, [1])],
  reductions: [],
  outputs: [output(1, expr, [1])],
  scalars: ['float32'],
  bindings: 2,
});
const scaled = s.mul(x, s.uniform(0, 'float32'));

function launch(backend: Backend, kernel: Kernel, buffers: Buffer[], scalars: number[] = [], label = 'test'): Launch {
  return { program: backend.prepare(kernel), buffers, scalars, label };
}

const floats = async (backend: Backend, buffer: Buffer, n: number): Promise<number[]> => [
  ...(await backend.read(buffer, 'float32', 0, n)).data,
];

describe.skipIf(!hasWebGPU)('the WebGPU backend', () => {
  let backend: WebGPUBackend;
  beforeAll(async () => {
    backend = await open();
  });
  afterAll(() => backend.destroy());

  test('makes nothing in a repeated batch, and one pass, one submit', async () => {
    const data = Float32Array.of(1, 2, 3);
    const [a, b, c] = [backend.allocate(12), backend.allocate(12), backend.allocate(12)];
    const step = (rate: number): Promise<void> | undefined =>
      backend.submit({
        uploads: [{ buffer: a, data }],
        launches: [
          launch(backend, mapKernel(3, scaled), [a, b], [rate]),
          launch(backend, mapKernel(3, s.add(x, 1)), [b, c]),
        ],
      });
    await step(2);
    expect(await floats(backend, c, 3)).toEqual([3, 5, 7]);
    const before = { ...backend.counters };
    expect(step(10)).toBeUndefined();
    expect(backend.counters).toEqual({
      ...before,
      dispatches: before.dispatches + 2,
      passes: before.passes + 1,
      submits: before.submits + 1,
    });
    expect(await floats(backend, c, 3)).toEqual([11, 21, 31]);
    for (const buffer of [a, b, c]) backend.release(buffer);
  });

  test.each([
    ['software', [5, 6, 8, 1000]],
    // Vectors that are all full have a shader of their own.
    ['hardware', [5, 6, 1001]],
    ['hardware', [8, 4, 1000]],
  ] as const)('makes no pipeline for another size, with the variants for %s', async (variants, sizes) => {
    const backend = await open({ variants });
    const expr = s.sub(x, 0.5);
    const run = async (n: number): Promise<number[]> => {
      const [a, b] = [backend.allocate(4 * n), backend.allocate(4 * n)];
      await backend.submit({
        uploads: [{ buffer: a, data: new Float32Array(n).fill(n) }],
        launches: [launch(backend, mapKernel(n, expr), [a, b])],
      });
      const out = await floats(backend, b, n);
      backend.release(a);
      backend.release(b);
      return out;
    };
    const [first, ...others] = sizes;
    expect(await run(first)).toEqual(Array(first).fill(first - 0.5));
    const { pipelines } = backend.counters;
    for (const n of others) expect(await run(n)).toEqual(Array(n).fill(n - 0.5));
    expect(backend.counters.pipelines).toBe(pipelines);
    backend.destroy();
  });

  test('keeps the order of submits, uploads, reads and releases while pipelines are made', async () => {
    const fresh = await open();
    const data = Float32Array.of(1, 2);
    const scalars = [3];
    const [a, b] = [fresh.allocate(8), fresh.allocate(8)];
    fresh.submit({ uploads: [{ buffer: a, data }], launches: [launch(fresh, mapKernel(2, scaled), [a, b], scalars)] });
    // The bytes and scalars were copied at the call.
    data.fill(100);
    scalars[0] = 0;
    const first = floats(fresh, b, 2);
    fresh.submit({ uploads: [{ buffer: a, data: Float32Array.of(5, 6) }], launches: [] });
    const second = floats(fresh, a, 2);
    fresh.submit({ uploads: [], launches: [launch(fresh, mapKernel(2, s.neg(x)), [a, b])] });
    const third = floats(fresh, b, 2);
    fresh.release(b);
    // The same memory, handed out again at once.
    const c = fresh.allocate(8);
    fresh.submit({ uploads: [{ buffer: c, data: Float32Array.of(7, 8) }], launches: [] });
    expect(await Promise.all([first, second, third, floats(fresh, c, 2)])).toEqual([
      [3, 6],
      [5, 6],
      [-5, -6],
      [7, 8],
    ]);
    fresh.destroy();
  });

  test('names the launch and shows the source when a shader does not compile, and goes on', async () => {
    const [a, b] = [backend.allocate(8), backend.allocate(8)];
    const broken: Kernel = {
      ...mapKernel(2, s.loadAt(0, 'float32', [s.index(0)])),
      inputs: [
        {
          dtype: 'float32',
          binding: 0,
          access: { mode: 'indirect', shape: [1, 2], strides: [2, 1], offset: 0, check: null },
        },
      ],
    };
    const failing = backend.submit({ uploads: [], launches: [launch(backend, broken, [a, b], [], 'gather')] });
    const after = backend.submit({
      uploads: [{ buffer: a, data: Float32Array.of(1, 2) }],
      launches: [launch(backend, mapKernel(2, s.mul(x, x)), [a, b], [])],
    });
    const error = await failing!.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DeviceError);
    expect((error as Error).message).toMatch(/^gather: the shader does not compile: line \d+: [\s\S]*\n +1 \| /);
    await after;
    expect(await floats(backend, b, 2)).toEqual([1, 4]);
    // Now it is known at once.
    expect(() => backend.submit({ uploads: [], launches: [launch(backend, broken, [a, b], [], 'gather')] })).toThrow(
      /^gather: /,
    );
    backend.release(a);
    backend.release(b);
  });

  test('rejects a submit that the device refuses, naming its launches, and goes on', async () => {
    const [a, b] = [backend.allocate(8), backend.allocate(8)];
    const kernel = mapKernel(2, s.add(x, 3));
    await backend.submit({ uploads: [], launches: [launch(backend, kernel, [a, b])] });
    // One buffer may not be bound for reading and for writing in one dispatch.
    const refused = backend.submit({ uploads: [], launches: [launch(backend, kernel, [a, a], [], 'alias')] });
    await expect(refused).rejects.toThrow(/^alias: /);
    await backend.submit({
      uploads: [{ buffer: a, data: Float32Array.of(1, 2) }],
      launches: [launch(backend, kernel, [a, b])],
    });
    expect(await floats(backend, b, 2)).toEqual([4, 5]);
    backend.release(a);
    backend.release(b);
  });

  test('reports a failed index check once, with the value of its scalar', async () => {
    const [table, at, out] = [backend.allocate(12), backend.allocate(8), backend.allocate(8)];
    const gather: Kernel = {
      kind: 'map',
      space: [2],
      inner: 0,
      inputs: [
        { dtype: 'float32', binding: 0, access: { mode: 'indirect', shape: [3], strides: [1], offset: 0, check: 0 } },
        { dtype: 'int32', binding: 1, access: { mode: 'direct', strides: [1], offset: 0 } },
      ],
      reductions: [],
      outputs: [output(2, s.loadAt(0, 'float32', [s.load(1, 'int32')]), [1])],
      scalars: ['int32'],
      bindings: 3,
    };
    const run = (indices: number[]): Promise<void> | undefined =>
      backend.submit({
        uploads: [
          { buffer: table, data: Float32Array.of(10, 20, 30) },
          { buffer: at, data: Int32Array.from(indices) },
        ],
        launches: [launch(backend, gather, [table, at, out], [42])],
      });
    await run([2, 0]);
    expect(await backend.sync()).toBe(0);
    await run([1, -1]);
    expect(await backend.read(out, 'float32', 0, 2)).toEqual({ data: Float32Array.of(20, 0), status: 42 });
    expect(await backend.sync()).toBe(0);
    await run([3, 1]);
    expect(await backend.sync()).toBe(42);
    for (const buffer of [table, at, out]) backend.release(buffer);
  });

  test('covers more points than one dimension of workgroups holds', async () => {
    const n = 65535 * 64 + 1000;
    const [a, b] = [backend.allocate(4 * n), backend.allocate(4 * n)];
    const data = Float32Array.from({ length: n }, (_, i) => i % 1000);
    await backend.submit({
      uploads: [{ buffer: a, data }],
      launches: [launch(backend, mapKernel(n, s.add(x, 1)), [a, b])],
    });
    const { data: out } = await backend.read(b, 'float32', 0, n);
    expect(out.every((value, i) => value === (i % 1000) + 1)).toBe(true);
    backend.release(a);
    backend.release(b);
  });

  test('takes 0 bytes, and refuses more than the device allows', async () => {
    const before = backend.memory();
    const empty = backend.allocate(0);
    await backend.submit({ uploads: [{ buffer: empty, data: new Float32Array(0) }], launches: [] });
    expect(await floats(backend, empty, 0)).toEqual([]);
    backend.release(empty);
    expect(() => backend.allocate(backend.limits.bufferBytes + 4)).toThrow(OutOfMemoryError);
    expect(() => backend.allocate(backend.limits.bufferBytes + 4)).toThrow(
      new RegExp(`${backend.limits.bufferBytes + 4} bytes .* ${backend.limits.bufferBytes} bytes`),
    );
    expect(backend.memory()).toMatchObject({ bytes: before.bytes, buffers: before.buffers });
  });

  test('reads several ranges at once, by dtype', async () => {
    const a = backend.allocate(16);
    backend.submit({ uploads: [{ buffer: a, data: Int32Array.of(1, -1, 3, 4) }], launches: [] });
    const reads = [backend.read(a, 'int32', 0, 4), backend.read(a, 'uint32', 1, 1), backend.read(a, 'bool', 0, 1)];
    const data = (await Promise.all(reads)).map((r) => r.data);
    expect(data).toEqual([Int32Array.of(1, -1, 3, 4), Uint32Array.of(2 ** 32 - 1), Uint32Array.of(1)]);
    backend.release(a);
  });

  test('two devices compute side by side', async () => {
    const other = await open({ limits: 'default' });
    expect(other.limits.bindings).toBe(7);
    const results = [backend, other].map(async (device, i) => {
      const [a, b] = [device.allocate(4), device.allocate(4)];
      await device.submit({
        uploads: [{ buffer: a, data: Float32Array.of(i + 1) }],
        launches: [launch(device, mapKernel(1, scaled), [a, b], [10])],
      });
      return floats(device, b, 1);
    });
    expect(await Promise.all(results)).toEqual([[10], [20]]);
    other.destroy();
  });

  test('rejects pending work when it is destroyed, and everything later', async () => {
    const doomed = await open();
    const [a, b] = [doomed.allocate(4), doomed.allocate(4)];
    const early = doomed.read(a, 'float32', 0, 1);
    const work = doomed.submit({ uploads: [], launches: [launch(doomed, mapKernel(1, s.abs(x)), [a, b])] });
    const late = doomed.read(b, 'float32', 0, 1);
    const sync = doomed.sync();
    doomed.destroy();
    for (const pending of [early, work, late, sync]) await expect(pending).rejects.toBeInstanceOf(DeviceLostError);
    expect(await doomed.lost).toBeInstanceOf(DeviceLostError);
    expect(() => doomed.allocate(4)).toThrow(DeviceLostError);
    await expect(doomed.read(a, 'float32', 0, 1)).rejects.toBeInstanceOf(DeviceLostError);
    doomed.release(a);
    doomed.destroy();
  });

  test('uses a device of your own and leaves it alone', async () => {
    const adapter = await (await gpu()).requestAdapter();
    const device = await adapter!.requestDevice();
    const guest = await open({ device });
    const [a, b] = [guest.allocate(4), guest.allocate(4)];
    await guest.submit({
      uploads: [{ buffer: a, data: Float32Array.of(2) }],
      launches: [launch(guest, mapKernel(1, scaled), [a, b], [4])],
    });
    expect(await floats(guest, b, 1)).toEqual([8]);
    guest.destroy();
    const alive = await Promise.race([
      device.lost.then(() => false),
      device.queue.onSubmittedWorkDone().then(() => true),
    ]);
    expect(alive).toBe(true);
    device.destroy();
  });

  test.each([
    [1, 130, 70, 33],
    [2, 64, 64, 16],
    [3, 7, 9, 5],
    [1, 1, 300, 40],
    [1, 200, 1, 128],
    [2, 5, 4, 0],
    [1, 3, 2, 20000],
    [1, 65, 33, 4096],
    [2, 40, 40, 6007],
  ])('every matmul variant agrees: %i products of %i x %i, depth %i', async (batch, m, n, k) => {
    const a = Float32Array.from({ length: batch * m * k }, (_, i) => ((i * 7) % 11) - 5);
    const b = Float32Array.from({ length: batch * k * n }, (_, i) => ((i * 5) % 7) - 3);
    const expected = new Float32Array(batch * m * n);
    for (let p = 0; p < batch; p++)
      for (let i = 0; i < m; i++)
        for (let j = 0; j < n; j++)
          for (let d = 0; d < k; d++)
            expected[(p * m + i) * n + j]! += a[(p * m + i) * k + d]! * b[(p * k + d) * n + j]!;
    for (const variants of ['software', 'hardware'] as const) {
      const device = await open({ variants });
      const buffers = [a, b, expected].map((data) => device.allocate(data.byteLength));
      const kernel = matmul([batch, m, n], k);
      await device.submit({
        uploads: [a, b].map((data, i) => ({ buffer: buffers[i]!, data })),
        launches: [launch(device, kernel, buffers)],
      });
      expect((await device.read(buffers[2]!, 'float32', 0, expected.length)).data, variants).toEqual(expected);
      device.destroy();
    }
  });

  test.each<[string, number[], number, number, number, number[], number[]]>([
    ['windows of images', [3, 70, 9, 9, 5, 3, 3], 1, 2, 3, [0, 45, 0, 0, 9, 3, 1], [605, 0, 11, 1, 121, 11, 1]],
    ['many small images', [40, 70, 3, 3, 5, 3, 3], 1, 2, 3, [0, 45, 0, 0, 9, 3, 1], [125, 0, 5, 1, 25, 5, 1]],
    [
      'the gradient of kernels',
      [6, 4, 3, 3, 8, 20, 20],
      1,
      3,
      3,
      [400, 0, 0, 0, 2400, 20, 1],
      [0, 484, 22, 1, 1936, 22, 1],
    ],
    [
      'k backwards, and columns that repeat',
      [4, 17, 40, 20, 6, 2],
      2,
      2,
      2,
      [52, 3, 0, 0, -2, -1],
      [0, 0, 1, 0, 80, 40],
    ],
  ])(
    'every matmul variant agrees where m, n and k are several dims: %s',
    async (_, space, rows, columns, inner, aStrides, bStrides) => {
      const reach = (strides: readonly number[]): number =>
        1 + strides.reduce<number>((sum, x, d) => sum + Math.abs(x) * (space[d]! - 1), 0);
      const back = -aStrides.reduce<number>((sum, x, d) => sum + Math.min(0, x) * (space[d]! - 1), 0);
      const a = Float32Array.from({ length: reach(aStrides) }, (_, i) => ((i * 7) % 11) - 5);
      const b = Float32Array.from({ length: reach(bStrides) }, (_, i) => ((i * 5) % 7) - 3);
      const kernel = contraction(space, rows, columns, inner, {
        a: { strides: aStrides, offset: back },
        b: { strides: bStrides },
      });
      const bytes = 4 * space.slice(0, -inner).reduce((n, size) => n * size, 1);
      const run = async (device: Backend): Promise<unknown> => {
        const buffers = [a.byteLength, b.byteLength, bytes].map((n) => device.allocate(n));
        await device.submit({
          uploads: [a, b].map((data, i) => ({ buffer: buffers[i]!, data })),
          launches: [launch(device, kernel, buffers)],
        });
        return (await device.read(buffers[2]!, 'float32', 0, bytes / 4)).data;
      };
      const expected = await run(new ReferenceBackend());
      for (const variants of ['software', 'hardware'] as const) {
        const device = await open({ variants });
        expect(await run(device), variants).toEqual(expected);
        device.destroy();
      }
    },
  );

  describe.each(['software', 'hardware'] as const)('rows, as for %s', (variants) => {
    let device: WebGPUBackend;
    beforeAll(async () => {
      device = await open({ variants });
    });
    afterAll(() => device.destroy());

    const weight = s.add(s.index(1), 1);
    const value = s.load(0, 'int32');
    test.each([
      ['many short rows', [3000, 7], 1],
      ['long rows', [5, 3000], 1],
      ['two long rows, cut unevenly', [2, 70001], 1],
      ['one long row', [1, 65536], 1],
      ['rows of two dims', [2, 130, 301], 2],
      ['rows of two dims, the first of them small', [3, 5, 20011], 2],
      ['rows of three dims', [1, 16, 8, 512], 3],
      ['empty rows', [4, 0], 1],
    ] as [string, number[], number][])('%s', async (_name, space, inner) => {
      const strides = contiguousStrides(space);
      const outer = space.slice(0, space.length - inner);
      const rows = outer.reduce((a, b) => a * b, 1);
      const n = space.reduce((a, b) => a * b, 1);
      // The transposed one has its rows side by side.
      for (const transposed of [false, true]) {
        const at = transposed ? [1, ...contiguousStrides(space.slice(1)).map((d) => d * space[0]!)] : strides;
        const kernel: Kernel = {
          kind: 'reduce',
          space,
          inner,
          inputs: [
            { dtype: 'int32', binding: 0, access: { mode: 'direct', strides: at, offset: 0 } },
            input(1, [1, ...space.slice(1).map(() => 0)]),
          ],
          reductions: [
            { op: 'sum', expr: s.mul(value, weight) },
            { op: 'max', expr: s.cast(value, 'float32') },
            { op: 'prod', expr: s.lt(value, 1000) },
          ],
          outputs: [
            {
              dtype: 'int32',
              expr: s.result(0, 'int32'),
              level: 'row',
              strides: contiguousStrides(outer),
              offset: 0,
              binding: 2,
            },
            {
              dtype: 'float32',
              expr: s.select(s.result(2, 'bool'), s.add(s.result(1, 'float32'), s.load(1, 'float32')), -1),
              level: 'row',
              strides: contiguousStrides(outer),
              offset: 1,
              binding: 3,
            },
          ],
          scalars: [],
          bindings: 4,
        };
        const data = Int32Array.from({ length: n }, (_, i) => (i * 7919) % 1001);
        const shift = Float32Array.from({ length: Math.max(rows, space[0]!) }, (_, i) => i);
        const expected = await run(new ReferenceBackend(), kernel, [data, shift], rows);
        expect(await run(device, kernel, [data, shift], rows), transposed ? 'transposed' : 'contiguous').toEqual(
          expected,
        );
      }
    });

    async function run(
      on: Backend,
      kernel: Kernel,
      inputs: (Int32Array | Float32Array)[],
      rows: number,
    ): Promise<unknown> {
      const buffers = [...inputs.map((data) => data.byteLength), 4 * rows, 4 * rows + 4].map((bytes) =>
        on.allocate(bytes),
      );
      await on.submit({
        uploads: inputs.map((data, i) => ({ buffer: buffers[i]!, data })),
        launches: [launch(on, kernel, buffers)],
      });
      const sums = await on.read(buffers[2]!, 'int32', 0, rows);
      const largest = await on.read(buffers[3]!, 'float32', 1, rows);
      for (const buffer of buffers) on.release(buffer);
      return [sums.data, largest.data];
    }

    test('keeps the precision of long sums', async () => {
      const n = 100_000;
      const data = Float32Array.from({ length: n }, (_, i) => 1000 + ((i * 7919) % 1001) / 1001);
      const exact = data.reduce((a, b) => a + b, 0);
      const [a, b] = [device.allocate(4 * n), device.allocate(4)];
      // Two passes over the row keep it in one kernel.
      const sum = { op: 'sum', expr: x } as const;
      const kernel: Kernel = {
        kind: 'rowwise',
        space: [n],
        inner: 1,
        inputs: [input(0, [1])],
        reductions: [sum, { op: 'max', expr: s.sub(x, s.result(0, 'float32')) }],
        outputs: [{ dtype: 'float32', expr: s.result(0, 'float32'), level: 'row', strides: [], offset: 0, binding: 1 }],
        scalars: [],
        bindings: 2,
      };
      for (const variant of [kernel, { ...kernel, kind: 'reduce', reductions: [sum] } as const]) {
        await device.submit({ uploads: [{ buffer: a, data }], launches: [launch(device, variant, [a, b])] });
        const [got] = await floats(device, b, 1);
        expect(Math.abs(got! / exact - 1)).toBeLessThan(1e-6);
      }
    });
  });
});
