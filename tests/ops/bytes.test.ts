// int8 and uint8: one byte an element on every device, moved as they are and computed with as int32.
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createWebGPUBackend } from '../../src/backends/webgpu/webgpu.ts';
import { bytesOf, type DType } from '../../src/core/dtype.ts';
import { DTypeError, FormatError } from '../../src/core/errors.ts';
import * as tl from '../../src/index.ts';
import { Device } from '../../src/tensor/device.ts';
import { devices, gpu } from '../setup/devices.ts';
import { openDevice } from './harness.ts';

type Tensor = tl.Tensor;
type Byte = 'int8' | 'uint8';

const BYTES: readonly Byte[] = ['int8', 'uint8'];
const ARRAYS = { int8: Int8Array, uint8: Uint8Array };

const opened: [string, Device][] = [];
for (const name of devices) {
  opened.push([name, await openDevice(name)]);
  opened.push([`${name}, unfused`, await tl.device(name, { fusion: false })]);
}
// The kernels that hardware gets, on whatever adapter there is.
if (devices.includes('webgpu'))
  opened.push([
    'webgpu, kernels for hardware',
    new Device('webgpu', await createWebGPUBackend({ gpu: (await gpu())!, variants: 'hardware' }), 'for tests'),
  ]);
const elsewhere = await tl.device('reference');

afterAll(() => {
  for (const [, d] of opened) d.destroy();
  elsewhere.destroy();
});

let baseline: number[] = [];
const inUse = (): number[] => opened.map(([, d]) => tl.memory(d).bytes);
beforeEach(() => {
  baseline = inUse();
});
afterEach(async () => {
  for (const [, d] of opened) await d.sync();
  expect(inUse(), 'bytes on the devices').toEqual(baseline);
});

/** Numbers over the whole range of the dtype. */
const drawn = (n: number, dtype: Byte, seed = 7): number[] =>
  Array.from({ length: n }, (_, i) => held(i * 37 + seed * 11 + (i >> 3), dtype));

/** A number as the dtype holds it: floats lose their fraction, and the last eight bits stay. */
const held = (x: number, dtype: Byte): number => ARRAYS[dtype].of(Math.trunc(x))[0]!;

const LENGTHS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 1001];

describe.each(opened)('bytes on %s', (_name, device) => {
  const bytes = (values: readonly number[], dtype: Byte, shape: readonly number[] = [values.length]): Tensor =>
    tl.tensor(ARRAYS[dtype].from(values), { shape, device });
  /** What a function gives for tensors of bytes, and their dtypes. */
  async function run(
    inputs: readonly (readonly [values: readonly number[], dtype: Byte, shape?: readonly number[]])[],
    fn: (...inputs: Tensor[]) => readonly Tensor[],
  ): Promise<{ dtype: DType; shape: readonly number[]; values: number[] }[]> {
    using s = tl.scope();
    const out = s.run(() => fn(...inputs.map(([values, dtype, shape]) => bytes(values, dtype, shape))));
    return Promise.all(
      out.map(async (x) => ({ dtype: x.dtype, shape: x.shape, values: Array.from(await x.data<DType>()) })),
    );
  }

  test.each(BYTES)('%s is made, read and printed', async (dtype) => {
    tl.setDefaultDevice(device);
    using s = tl.scope();
    const options = { dtype } as const;
    const x = s.track(tl.tensor(ARRAYS[dtype].of(1, 2, 3)));
    expect(x.dtype).toBe(dtype);
    expect(await x.data<Byte>()).toEqual(ARRAYS[dtype].of(1, 2, 3));
    expect(await s.run(() => x.slice(0, 1, 3)).data<Byte>()).toEqual(ARRAYS[dtype].of(2, 3));
    expect(await x.format()).toBe(`tensor([1, 2, 3], dtype=${dtype})`);
    expect(String(x)).toBe(`tensor([1, 2, 3], dtype=${dtype})`);
    const made = s.run(() => [
      tl.tensor(
        [
          [1, 0],
          [2.9, 127],
        ],
        options,
      ),
      tl.tensor([true, false], options),
      tl.tensor(Float32Array.of(1.5, 2), options),
      tl.fromBuffer(Uint8Array.of(1, 2, 255).buffer, options),
      tl.zeros([3], options),
      tl.ones([3], options),
      tl.full([5], 100, options),
      tl.eye(3, options),
      tl.arange(3, 10, 2, options),
      tl.linspace(0, 4, 5, options),
      tl.onesLike(x),
      tl.fullLike(x, 7),
      tl.emptyLike(x),
    ]);
    expect(new Set(made.map((t) => t.dtype))).toEqual(new Set([dtype]));
    expect(await Promise.all(made.map((t) => t.toArray()))).toEqual([
      [
        [1, 0],
        [2, 127],
      ],
      [1, 0],
      [1, 2],
      [1, 2, held(255, dtype)],
      [0, 0, 0],
      [1, 1, 1],
      [100, 100, 100, 100, 100],
      [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
      ],
      [3, 5, 7, 9],
      [0, 1, 2, 3, 4],
      [1, 1, 1],
      [7, 7, 7],
      [0, 0, 0],
    ]);
    expect(await s.track(tl.full([], 9, options)).item()).toBe(9);
    expect(s.track(tl.tensor(Uint8ClampedArray.of(1))).dtype).toBe('uint8');
    expect(s.track(tl.tensor(Int16Array.of(1))).dtype).toBe('int32');
    const drawn = await s.track(tl.randint(0, 100, [50], options)).data<Byte>();
    expect(drawn).toBeInstanceOf(ARRAYS[dtype]);
    expect(new Set(drawn).size).toBeGreaterThan(10);
  });

  test('what a byte cannot hold is refused where a number is given', () => {
    tl.setDefaultDevice(device);
    expect(() => tl.tensor([0, 256], { dtype: 'uint8' })).toThrow(
      /element 1 is 256, which uint8 cannot hold \(0 to 255\)/,
    );
    expect(() => tl.tensor(Uint8Array.of(200), { dtype: 'int8' })).toThrow(DTypeError);
    expect(() => tl.full([2], -1, { dtype: 'uint8' })).toThrow(DTypeError);
    expect(() => tl.rand([2], { dtype: 'uint8' })).toThrow(DTypeError);
    expect(() => tl.fromBuffer(new ArrayBuffer(6), { dtype: 'int32' })).toThrow(FormatError);
    tl.tidy(() => {
      const x = tl.zeros([3], { dtype: 'uint8' });
      expect(() => x.fill_(256)).toThrow(/256 does not fit into uint8 \(0 to 255\)/);
      expect(() => x.assign_(tl.ones([3]))).toThrow(DTypeError);
      expect(() => x.maskedFill(x.eq(0), 300)).toThrow(DTypeError);
      expect(() => {
        x.requiresGrad = true;
      }).toThrow(DTypeError);
      expect(() => x.mean()).toThrow(DTypeError);
      expect(() => tl.zeros([3]).gather(0, x)).toThrow(/indices must be int32, got uint8/);
    });
  });

  const VALUES: Readonly<Record<DType, readonly number[]>> = {
    float32: [0, 1.9, -1.9, 127.5, 128, 255.9, 256, -129, 1e6, 3e9, -3e9, Number.NaN, Infinity, -Infinity],
    float16: [],
    int32: [0, -1, 127, 128, 255, 256, -128, -129, 2 ** 31 - 1, -(2 ** 31)],
    uint32: [0, 1, 255, 256, 2 ** 32 - 1],
    int8: [0, -1, 127, -128],
    uint8: [0, 1, 128, 255],
    bool: [0, 1],
  };
  const WHOLE: readonly DType[] = ['float32', 'int32', 'uint32', 'int8', 'uint8', 'bool'];
  const pairs = WHOLE.flatMap((from) => WHOLE.map((to) => [from, to] as const));
  test.each(pairs.filter(([a, b]) => BYTES.includes(a as Byte) || BYTES.includes(b as Byte)))(
    'casts %s to %s',
    async (from, to) => {
      const whole = (x: number): number =>
        Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), -(2 ** 31)), from === 'uint32' ? 2 ** 32 : 2 ** 31 - 1);
      const want: Readonly<Record<DType, (x: number) => number>> = {
        float32: (x) => x,
        float16: (x) => x,
        int32: (x) => whole(x) | 0,
        uint32: (x) => whole(x) >>> 0,
        int8: (x) => (whole(x) << 24) >> 24,
        uint8: (x) => whole(x) & 255,
        bool: (x) => Number(x !== 0),
      };
      using s = tl.scope();
      const x = s.track(tl.tensor([...VALUES[from]], { dtype: from, device }));
      const [y, z] = s.run(() => [x.to(to), x.to(to).to('float32').add(0.5)]);
      expect(y!.dtype).toBe(to);
      expect(Array.from(await y!.data<DType>())).toEqual(VALUES[from].map(want[to]));
      // Without storage between, the value is the same.
      expect(Array.from(await z!.data())).toEqual(VALUES[from].map((v) => Math.fround(want[to](v) + 0.5)));
    },
  );

  test.each(BYTES)('%s of every length, in views from every offset', async (dtype) => {
    for (const n of LENGTHS) {
      const x = drawn(n, dtype);
      using s = tl.scope();
      const t = s.track(bytes(x, dtype));
      expect(Array.from(await t.data<Byte>())).toEqual(x);
      // Computed on the device, not only uploaded.
      const y = s.run(() => t.add(1).to(dtype));
      const want = x.map((v) => held(v + 1, dtype));
      expect(Array.from(await y.data<Byte>())).toEqual(want);
      for (const from of [1, 2, 3, 5])
        for (const to of [from + 1, from + 2, n]) {
          const part = s.run(() => y.slice(0, from, to));
          expect(Array.from(await part.data<Byte>())).toEqual(want.slice(from, to));
          expect(Array.from(await s.run(() => part.mul(3).to(dtype)).data<Byte>())).toEqual(
            want.slice(from, to).map((v) => held(3 * v, dtype)),
          );
        }
    }
  });

  test.each(BYTES)('%s moves', async (dtype) => {
    const x = drawn(35, dtype);
    const at = (f: (i: number, j: number) => number): number[] =>
      Array.from({ length: 35 }, (_, k) => f(Math.floor(k / 7), k % 7));
    const got = await run([[x, dtype, [5, 7]]], (t) => [
      t.t().contiguous(),
      t.flip([0, 1]),
      t.roll(1, 1),
      t.reshape([7, 5]).t(),
      t.slice(1, 1, 7, 3).contiguous(),
      t.expand([2, 5, 7]).contiguous(),
      t.select(1, 3).contiguous(),
      t.tril(),
      t.pad([1, 2], { value: 9 }),
      tl.stack([t.select(0, 1), t.select(0, 4)], 1),
      t.diagonal().contiguous(),
    ]);
    expect(new Set(got.map((r) => r.dtype))).toEqual(new Set([dtype]));
    const e = (i: number, j: number): number => x[i * 7 + j]!;
    const rows = (n: number, m: number, f: (i: number, j: number) => number): number[] =>
      Array.from({ length: n * m }, (_, k) => f(Math.floor(k / m), k % m));
    expect(got.map((r) => r.values)).toEqual([
      rows(7, 5, (i, j) => e(j, i)),
      at((i, j) => e(4 - i, 6 - j)),
      at((i, j) => e(i, (j + 6) % 7)),
      rows(5, 7, (i, j) => x[j * 5 + i]!),
      rows(5, 2, (i, j) => e(i, 1 + 3 * j)),
      [...x, ...x],
      rows(5, 1, (i) => e(i, 3)),
      at((i, j) => (j <= i ? e(i, j) : 0)),
      rows(5, 10, (i, j) => (j < 1 || j > 7 ? 9 : e(i, j - 1))),
      rows(7, 2, (i, j) => e(j === 0 ? 1 : 4, i)),
      rows(5, 1, (i) => e(i, i)),
    ]);
  });

  test.each(BYTES)('%s of odd pieces joins', async (dtype) => {
    const parts = [1, 0, 2, 3, 5, 7, 1].map((n, i) => drawn(n, dtype, i));
    const [flat] = await run(
      parts.map((p) => [p, dtype] as const),
      (...t) => [tl.cat(t)],
    );
    expect(flat).toEqual({ dtype, shape: [19], values: parts.flat() });
    const [a, b] = [drawn(9, dtype, 1), drawn(15, dtype, 2)];
    const [across] = await run(
      [
        [a, dtype, [3, 3]],
        [b, dtype, [3, 5]],
      ],
      (x, y) => [tl.cat([x, y], 1)],
    );
    expect(across!.values).toEqual(
      [0, 1, 2].flatMap((i) => [...a.slice(3 * i, 3 * i + 3), ...b.slice(5 * i, 5 * i + 5)]),
    );
  });

  test.each(BYTES)('%s is picked, put and compared', async (dtype) => {
    const x = drawn(21, dtype);
    const y = drawn(21, dtype, 3);
    const index = [2, 0, 1, 2, 2];
    const got = await run(
      [
        [x, dtype, [3, 7]],
        [y, dtype, [3, 7]],
      ],
      (a, b) => {
        const i = tl.tensor(Int32Array.from(index), { device });
        const j = tl.tensor(Int32Array.of(5, 1), { device });
        return [
          a.indexSelect(0, i),
          a.gather(1, tl.tensor(Int32Array.of(6, 0, 3), { shape: [3, 1], device })),
          a.index(i, 3),
          a.index(':', { step: 2 }).contiguous(),
          tl.where(a.gt(b), a, b),
          tl.where(a.lt(0), a, 1),
          a.maskedFill(b.gt(50), 3),
          a.scatter(0, tl.tensor(Int32Array.from(new Array(7).fill(1)), { shape: [1, 7], device }), b),
          a.indexPut([tl.tensor(Int32Array.of(2, 0), { device })], b.slice(0, 0, 2)),
          a.take(j),
        ];
      },
    );
    const e = (v: readonly number[], i: number, j: number): number => v[i * 7 + j]!;
    expect(got.map((r) => r.dtype)).toEqual(new Array(got.length).fill(dtype));
    expect(got.map((r) => r.values)).toEqual([
      index.flatMap((i) => x.slice(7 * i, 7 * i + 7)),
      [e(x, 0, 6), e(x, 1, 0), e(x, 2, 3)],
      index.map((i) => e(x, i, 3)),
      [0, 1, 2].flatMap((i) => [0, 2, 4, 6].map((j) => e(x, i, j))),
      x.map((v, i) => Math.max(v, y[i]!)),
      x.map((v) => (v < 0 ? v : 1)),
      x.map((v, i) => (y[i]! > 50 ? 3 : v)),
      x.map((v, i) => (i >= 7 && i < 14 ? y[i - 7]! : v)),
      [...y.slice(7, 14), ...x.slice(7, 14), ...y.slice(0, 7)],
      [x[5]!, x[1]!],
    ]);
    const compared = await run(
      [
        [x, dtype],
        [y, dtype],
      ],
      (a, b) => [a.eq(b), a.lt(b), a.ge(100), a.ne(300)],
    );
    expect(compared.map((r) => r.dtype)).toEqual(new Array(4).fill('bool'));
    expect(compared.map((r) => r.values)).toEqual([
      x.map((v, i) => Number(v === y[i]!)),
      x.map((v, i) => Number(v < y[i]!)),
      x.map((v) => Number(v >= 100)),
      x.map(() => 1),
    ]);
  });

  test.each(BYTES)('%s is computed with as int32, and with floats as float32', async (dtype) => {
    const x = drawn(45, dtype);
    const y = drawn(45, dtype, 3);
    const got = await run(
      [
        [x, dtype],
        [y, dtype],
      ],
      (a, b) => [
        a.add(b),
        a.mul(b),
        a.sub(1000),
        a.neg(),
        tl.maximum(a, b),
        a.clamp({ min: 3, max: 90 }),
        a.bitwiseAnd(b),
        a.square(),
        a.sum(),
        a.reshape([5, 9]).sum({ dim: 0 }),
        a.cumsum(0),
        a.slice(0, 0, 3).prod(),
      ],
    );
    expect(got.map((r) => r.dtype)).toEqual(new Array(got.length).fill('int32'));
    const sum = (v: readonly number[]): number => v.reduce((s, w) => s + w, 0);
    expect(got.map((r) => r.values)).toEqual([
      x.map((v, i) => v + y[i]!),
      x.map((v, i) => v * y[i]!),
      x.map((v) => v - 1000),
      x.map((v) => (v === 0 ? 0 : -v)),
      x.map((v, i) => Math.max(v, y[i]!)),
      x.map((v) => Math.min(Math.max(v, 3), 90)),
      x.map((v, i) => v & y[i]!),
      x.map((v) => v * v),
      [sum(x)],
      Array.from({ length: 9 }, (_, j) => sum([0, 1, 2, 3, 4].map((i) => x[9 * i + j]!))),
      x.map((_, i) => sum(x.slice(0, i + 1))),
      [x[0]! * x[1]! * x[2]!],
    ]);
    const floats = await run([[x, dtype]], (a) => [a.div(2), a.add(0.5), a.mul(tl.full([], 0.25, { device }))]);
    expect(floats.map((r) => r.dtype)).toEqual(['float32', 'float32', 'float32']);
    expect(floats.map((r) => r.values)).toEqual([x.map((v) => v / 2), x.map((v) => v + 0.5), x.map((v) => v / 4)]);
  });

  test.each(BYTES)('%s is ordered, and what is chosen stays so', async (dtype) => {
    const x = drawn(45, dtype);
    const got = await run([[x, dtype, [5, 9]]], (t) => {
      const sorted = t.sort({ dim: 1 });
      const best = t.max({ dim: 0 });
      return [
        sorted.values,
        t.amax({ dim: 1 }),
        t.amin(),
        best.values,
        t.cummax(1).values,
        sorted.indices,
        t.argmax({ dim: 1 }),
      ];
    });
    expect(got.map((r) => r.dtype)).toEqual([...new Array(5).fill(dtype), 'int32', 'int32']);
    const rows = [0, 1, 2, 3, 4].map((i) => x.slice(9 * i, 9 * i + 9));
    const order = rows.map((r) => r.map((_, i) => i).sort((a, b) => r[a]! - r[b]! || a - b));
    expect(got.map((r) => r.values)).toEqual([
      rows.flatMap((r, i) => order[i]!.map((k) => r[k]!)),
      rows.map((r) => Math.max(...r)),
      [Math.min(...x)],
      rows[0]!.map((_, j) => Math.max(...rows.map((r) => r[j]!))),
      rows.flatMap((r) => r.map((_, j) => Math.max(...r.slice(0, j + 1)))),
      order.flat(),
      rows.map((r) => r.indexOf(Math.max(...r))),
    ]);
  });

  test('products, and their epilogues', async () => {
    const a = drawn(15, 'int8');
    const b = drawn(21, 'int8', 2).slice(0, 18);
    const want = Array.from({ length: 30 }, (_, k) =>
      [0, 1, 2].reduce((s, m) => s + a[3 * Math.floor(k / 6) + m]! * b[6 * m + (k % 6)]!, 0),
    );
    const c = drawn(30, 'uint8');
    const got = await run(
      [
        [a, 'int8', [5, 3]],
        [b, 'int8', [3, 6]],
        [c, 'uint8', [5, 6]],
      ],
      (x, y, z) => {
        const product = x.to('float32').matmul(y.to('float32'));
        return [x.matmul(y), product.to('int8'), product.add(z), x.matmul(y.to('float32'))];
      },
    );
    expect(got.map((r) => r.dtype)).toEqual(['int32', 'int8', 'float32', 'float32']);
    expect(got.map((r) => r.values)).toEqual([
      want,
      want.map((v) => held(v, 'int8')),
      want.map((v, i) => v + c[i]!),
      want,
    ]);
  });

  test('sums into places, where bytes wrap around', async () => {
    const x = drawn(9, 'uint8');
    const index = Array.from({ length: 400 }, (_, i) => (i * 7) % 9);
    const values = drawn(400, 'uint8', 5);
    const [got] = await run(
      [
        [x, 'uint8'],
        [values, 'uint8'],
      ],
      (t, v) => [t.scatterAdd(0, tl.tensor(Int32Array.from(index), { device }), v)],
    );
    const want = Uint8Array.from(x);
    index.forEach((i, k) => {
      want[i]! += values[k]!;
    });
    expect(got).toEqual({ dtype: 'uint8', shape: [9], values: Array.from(want) });
  });

  test('promotion is that of PyTorch, but that arithmetic on bytes gives int32', () => {
    tl.tidy(() => {
      const of = (dtype: DType): Tensor => tl.ones([2], { dtype, device });
      const u = of('uint8');
      const others: readonly DType[] = ['float32', 'int32', 'int8', 'uint8', 'bool'];
      expect(others.map((d) => u.add(of(d)).dtype)).toEqual(['float32', 'int32', 'int32', 'int32', 'int32']);
      expect(others.map((d) => tl.cat([u, of(d)]).dtype)).toEqual(['float32', 'int32', 'int32', 'uint8', 'uint8']);
      expect(tl.where(u.eq(1), u, 5).dtype).toBe('uint8');
      expect(tl.where(u.eq(1), u, 0.5).dtype).toBe('float32');
      expect(u.add(1).dtype).toBe('int32');
      expect(u.sqrt().dtype).toBe('float32');
      expect(() => u.add(of('uint32'))).toThrow(/uint8 and uint32 have no common dtype/);
    });
  });

  test('updates in place, in views between neighbours', async () => {
    using s = tl.scope();
    const x = s.run(() => bytes([1, 2, 3, 4, 5, 6, 7], 'uint8').mul(2).to('uint8'));
    await device.sync();
    const before = tl.memory(device).bytes;
    s.run(() => {
      x.slice(0, 1, 4).assign_(tl.tensor(Uint8Array.of(200, 201, 202), { device }));
      x.slice(0, 5, 7).fill_(9);
      x.slice(0, 0, 7, 3).add_(100);
    });
    await device.sync();
    expect(tl.memory(device).bytes).toBe(before);
    expect(await x.toArray()).toEqual([102, 200, 201, (202 + 100) & 255, 10, 9, (9 + 100) & 255]);
    s.run(() => x.add_(1));
    expect(await x.toArray()).toEqual([103, 201, 202, 47, 11, 10, 110]);
  });

  test('several outputs of one kernel, over many threads', async () => {
    const n = 100_003;
    const x = drawn(n, 'uint8');
    const [a, b, c] = await run([[x, 'uint8']], (t) => [
      t.mul(3).to('uint8'),
      t.sub(128).to('int8'),
      t.to('float32').div(255),
    ]);
    expect(a!.values).toEqual(x.map((v) => (3 * v) & 255));
    expect(b!.values).toEqual(x.map((v) => v - 128));
    expect(c!.values.every((v, i) => Math.abs(v - x[i]! / 255) < 1e-7)).toBe(true);
  });

  test('take a byte an element, and copy to other devices', async () => {
    using s = tl.scope();
    const before = tl.memory(device).bytes;
    const made = s.run(() => [1001, 3, 0].map((n) => tl.ones([n], { dtype: 'uint8', device })));
    await device.sync();
    expect(tl.memory(device).bytes - before).toBe(1004 + 4);
    expect(bytesOf('int8', 5)).toBe(8);
    const there = s.track(await s.run(() => made[0]!.slice(0, 998, 1001)).to(elsewhere));
    expect([there.dtype, await there.toArray()]).toEqual(['uint8', [1, 1, 1]]);
    const back = s.track(await there.to(device));
    expect(await back.data<'uint8'>()).toEqual(Uint8Array.of(1, 1, 1));
  });

  test('a kernel of the user reads and writes them', async () => {
    const flip = tl.customKernel({
      name: 'flip',
      output: (a) => ({ shape: a!.shape, dtype: 'int8' }),
      wgsl: 'fn element(i: u32) -> i32 { return input0(output_shape(0) - 1u - i) - 128; }',
      cpu: ([a], out) => {
        for (let i = 0; i < out.data.length; i++) out.data[i] = a!.data[a!.data.length - 1 - i]! - 128;
      },
    });
    const x = drawn(7, 'uint8');
    const [got, part] = await run([[x, 'uint8']], (t) => [flip(t), flip(t.slice(0, 3, 6))]);
    expect(got!.values).toEqual(x.map((v) => v - 128).reverse());
    expect(part!.values).toEqual(
      x
        .slice(3, 6)
        .map((v) => v - 128)
        .reverse(),
    );
  });
});
