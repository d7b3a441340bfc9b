// float16: on the reference, which rounds, and on WebGPU where the adapter has shader-f16 (npm run test:float16 brings one).
import { describe, expect, test } from 'vitest';
import { createWebGPUBackend } from '../../src/backends/webgpu/webgpu.ts';
import { type DType, isFloating } from '../../src/core/dtype.ts';
import { DTypeError } from '../../src/core/errors.ts';
import { halfBits, halfRound, halfValue } from '../../src/core/float16.ts';
import * as tl from '../../src/index.ts';
import { Device } from '../../src/tensor/device.ts';
import { devices, gpu } from '../setup/devices.ts';
import {
  difference,
  forward,
  type Given,
  gradients,
  operandType,
  ops,
  type Result,
  random,
  type Situation,
  sample,
  situations,
  tensorOperands,
} from './harness.ts';
import { leaveNothing, openDevices } from './opened.ts';

type Tensor = tl.Tensor;

const { oracle, opened } = await openDevices();
const names = [...opened].filter(([, d]) => d.backend.halves).map(([name]) => name);
const lacking = [...opened].filter(([, d]) => !d.backend.halves).map(([name]) => name);
const plain = new Map<string, Device>();
for (const name of names) plain.set(name, await tl.device(name as 'webgpu', { fusion: false }));
leaveNothing([...plain.values()]);

/** One unit in the last place: conversion may round either way. Below 2^-14 devices may flush to 0. */
const FORWARD = { rtol: 2 ** -10, atol: 2 ** -14 };
/** What a rule computes from a rounded output is off by that rounding. */
const GRADIENT = { rtol: 2 ** -8, atol: 2 ** -9 };
/** Of several ops, each of which rounds. */
const COMPOSED = { rtol: 2 ** -6, atol: 2 ** -6 };

/** As `difference`, for float16 results of which the wanted ones are not rounded yet. */
function wrong(got: Result, want: Result, { rtol, atol }: typeof FORWARD): string | null {
  if (want.dtype !== 'float16') return difference(got, want, FORWARD);
  if (got.dtype !== want.dtype || got.shape.join() !== want.shape.join())
    return `got ${got.dtype} [${got.shape}], want ${want.dtype} [${want.shape}]`;
  for (let i = 0; i < want.values.length; i++) {
    const a = got.values[i]!;
    const b = halfRound(want.values[i]!);
    if (a !== halfRound(a) && !Number.isNaN(a)) return `element ${i} is ${a}, which float16 cannot hold`;
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    if (!(Math.abs(a - b) <= atol + rtol * Math.abs(b))) return `element ${i} is ${a}, want ${b}`;
  }
  return null;
}

/** A call with its float operands as float16. */
const halved = ({ name, operands }: Situation): Situation => ({
  name,
  operands: operands.map((g) =>
    typeof g === 'number' || g.dtype !== 'float32' ? g : { ...g, dtype: 'float16', values: g.values.map(halfRound) },
  ),
});

const halves = (values: readonly number[], device: Device, shape?: readonly number[]): Tensor =>
  tl.tensor(Float64Array.from(values), { dtype: 'float16', device, shape: shape ?? [values.length] });

/** Numbers of float16 in a range. */
function drawn(n: number, low = -2, high = 2, seed = 1): number[] {
  const next = random(seed);
  return Array.from({ length: n }, () => halfRound(low + (high - low) * next()));
}

/** Computes on a device from tensors of float16 or of other dtypes, and reads the results. */
async function compute(
  device: Device,
  inputs: readonly (readonly [values: readonly number[], shape: readonly number[], dtype?: DType])[],
  fn: (...inputs: Tensor[]) => Tensor | readonly Tensor[],
  requiresGrad = false,
): Promise<Result[]> {
  using s = tl.scope();
  const out = s.run(() => {
    const made = inputs.map(([values, shape, dtype = 'float16']) =>
      tl.tensor(Float64Array.from(values), { shape, dtype, device, requiresGrad: requiresGrad && isFloating(dtype) }),
    );
    return [fn(...made)].flat();
  });
  return Promise.all(out.map(async (y) => ({ dtype: y.dtype, shape: y.shape, values: await y.numbers('test') })));
}

describe('binary16 on the host', () => {
  test('every pattern comes back', () => {
    for (let bits = 0; bits < 65536; bits++) {
      const value = halfValue(bits);
      if (Number.isNaN(value)) expect(halfValue(halfBits(value))).toBeNaN();
      else if (halfBits(value) !== bits) expect(halfBits(value), String(value)).toBe(bits);
    }
  });

  test('numbers go to the nearest, halves to even', () => {
    const positive = Array.from({ length: 0x7c00 }, (_, bits) => halfValue(bits));
    const next = random(5);
    for (let i = 0; i < 100_000; i++) {
      const x = Math.fround(2 ** (44 * next() - 28) * (i % 4 === 0 ? Math.round(next() * 4096) / 2048 : next()));
      let low = 0;
      let high = positive.length;
      while (high - low > 1) {
        const mid = (low + high) >> 1;
        if (positive[mid]! <= x) low = mid;
        else high = mid;
      }
      const below = positive[low]!;
      const above = positive[low + 1] ?? 65536;
      const up = x - below > above - x || (x - below === above - x && low % 2 === 1);
      const want = up ? (above === 65536 ? Infinity : above) : below;
      if (halfRound(x) !== want) expect(halfRound(x), String(x)).toBe(want);
      if (halfRound(-x) !== -want) expect(halfRound(-x), String(-x)).toBe(-want);
    }
    expect([65519.99, 65520, -65520, 2 ** -25, 2 ** -25 + 2 ** -40, 1e-30].map(halfRound)).toEqual([
      65504,
      Infinity,
      -Infinity,
      0,
      2 ** -24,
      0,
    ]);
    expect(Object.is(halfRound(-0), -0) && Object.is(halfRound(-1e-30), -0)).toBe(true);
  });
});

describe.each(lacking)('%s, which has no float16', (name) => {
  const device = opened.get(name)!;
  const refused: Readonly<Record<string, (x: Tensor) => unknown>> = {
    tensor: () => tl.tensor([1], { dtype: 'float16', device }),
    zeros: () => tl.zeros([2], { dtype: 'float16', device }),
    eye: () => tl.eye(2, { dtype: 'float16', device }),
    linspace: () => tl.linspace(0, 1, 3, { dtype: 'float16', device }),
    rand: () => tl.rand([2], { dtype: 'float16', device }),
    randn: () => tl.randn([2], { dtype: 'float16', device }),
    to: (x) => x.to('float16'),
  };
  test.each(Object.keys(refused))('%s refuses it by name', (op) => {
    tl.tidy(() => {
      const x = tl.ones([2], { device });
      expect(() => refused[op]!(x)).toThrow(DTypeError);
      expect(() => refused[op]!(x)).toThrow(new RegExp(`^${op}: .*float16.*\\.to\\('float32'\\)`));
    });
  });

  test('a tensor of float16 gets there as float32', async () => {
    using s = tl.scope();
    const x = s.track(halves([0.1, -2], oracle));
    await expect(x.to(device)).rejects.toThrow(DTypeError);
    const y = s.track(await s.track(x.to('float32')).to(device));
    expect([y.dtype, await y.toArray()]).toEqual(['float32', [0.1, -2].map(Math.fround)]);
  });
});

if (devices.includes('webgpu') && !names.includes('webgpu'))
  test.skip('float16 on webgpu: this adapter has no shader-f16; see npm run test:float16', () => {});

describe.each(names)('float16 on %s', (name) => {
  const device = opened.get(name)!;
  /** Lists the differences of results from those of the oracle in float64. */
  async function check(
    inputs: Parameters<typeof compute>[1],
    fn: Parameters<typeof compute>[2],
    tolerance = FORWARD,
    requiresGrad = false,
  ): Promise<void> {
    const want = await compute(oracle, inputs, fn, requiresGrad);
    for (const d of [device, plain.get(name)!]) {
      const got = await compute(d, inputs, fn, requiresGrad);
      expect(got.map((g, i) => wrong(g, want[i]!, tolerance)).filter(Boolean)).toEqual([]);
    }
  }

  describe.each([...ops].filter(([, op]) => operandType(op, 0) !== 'int32'))('%s', (_, op) => {
    const few = name === 'webgpu';
    test('forward', async () => {
      const calls = situations(op, few).map(halved);
      const [got, want] = [await forward(op, calls, device), await forward(op, calls, oracle)];
      const list = calls.flatMap((c, i) => {
        const text = wrong(got[i]!, want[i]!, FORWARD);
        return text ? [`${c.name}: ${text}`] : [];
      });
      expect(list).toEqual([]);
    });

    if (!op.record.gradient) return;
    test('gradient', async () => {
      const operands = Array.from({ length: op.record.numbers?.length ?? op.record.lower.length }, (__, i): Given => {
        if (!tensorOperands(op).includes(i)) return op.record.numbers![i]!;
        const values = sample(op, i, 6, 3, false).map(halfRound);
        const dtype = operandType(op, i) === 'bool' ? 'bool' : 'float16';
        return { values: dtype === 'bool' ? values.map(Math.round) : values, shape: [6], dtype };
      });
      const call = { name: 'smooth', operands };
      const [got, want] = [await gradients(op, call, device), await gradients(op, call, oracle)];
      const result = (values: ArrayLike<number>): Result => ({ dtype: 'float16', shape: [values.length], values });
      expect(got.map((g, i) => wrong(result(g), result(want[i]!), GRADIENT)).filter(Boolean)).toEqual([]);
    });
  });

  const dtypes: readonly DType[] = ['float32', 'float16', 'int32', 'uint32', 'int8', 'uint8', 'bool'];
  const VALUES: Readonly<Record<DType, readonly number[]>> = {
    float32: [0.1, -2.7, 65519, 65520, -1e9, 2 ** -24, 3e-8, Number.NaN, -Infinity],
    float16: [0.1, -2.7, 65504, 2049, 0, -0, 2 ** -14, Number.NaN, -Infinity].map(halfRound),
    int32: [0, -1, 2049, 70000, -(2 ** 31)],
    uint32: [0, 1, 2049, 70000, 2 ** 32 - 1],
    int8: [0, -1, 127, -128],
    uint8: [0, 1, 255],
    bool: [0, 1],
  };

  test.each(dtypes.flatMap((from) => dtypes.map((to) => [from, to] as const)))('casts %s to %s', async (from, to) => {
    if (from !== 'float16' && to !== 'float16') return;
    const whole = (x: number, low: number, high: number): number =>
      Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), low), high);
    const want: Readonly<Record<DType, (x: number) => number>> = {
      float32: (x) => x,
      float16: halfRound,
      int32: (x) => whole(x, -(2 ** 31), 2 ** 31 - 1),
      uint32: (x) => whole(x, 0, 2 ** 32 - 1),
      int8: (x) => (whole(x, -(2 ** 31), 2 ** 31 - 1) << 24) >> 24,
      uint8: (x) => whole(x, -(2 ** 31), 2 ** 31 - 1) & 255,
      bool: (x) => Number(x !== 0),
    };
    const values = VALUES[from];
    for (const d of [device, plain.get(name)!]) {
      const [got] = await compute(d, [[values, [values.length], from]], (x) => x.to(to));
      expect(got!.dtype).toBe(to);
      expect(wrong(got!, { ...got!, values: values.map(want[to]) }, FORWARD)).toBeNull();
    }
  });

  test('promotion is that of PyTorch', () => {
    tl.tidy(() => {
      const of = (dtype: DType): Tensor => tl.ones([2], { dtype, device });
      const h = of('float16');
      const met = dtypes.map((dtype) => [h.add(of(dtype)).dtype, of(dtype).mul(h).dtype]);
      expect(met).toEqual(dtypes.map((d) => (d === 'float32' ? ['float32', 'float32'] : ['float16', 'float16'])));
      expect(
        [h.add(1), h.mul(0.1), tl.sub(3, h), h.div(2), h.sqrt(), h.pow(2), h.square()].map((x) => x.dtype),
      ).toEqual(new Array(7).fill('float16'));
      expect([h.lt(1), h.isnan(), h.argmax()].map((x) => x.dtype)).toEqual(['bool', 'bool', 'int32']);
      expect(tl.where(h.lt(1), h, 0).dtype).toBe('float16');
      expect(tl.cat([h, of('int32')]).dtype).toBe('float16');
      expect(tl.matmul(h, of('float32')).dtype).toBe('float32');
      expect(h.matmul(of('int32')).dtype).toBe('float16');
      expect([of('int32').sqrt().dtype, of('int32').div(of('bool')).dtype]).toEqual(['float32', 'float32']);
    });
  });

  const [A, B] = [drawn(7 * 33, -1, 1, 2), drawn(33 * 5, -1, 1, 3)];

  test('reductions add up in float32', async () => {
    const x = drawn(3 * 257 * 2);
    const shape = [3, 257, 2];
    for (const dim of [undefined, 0, 1, -1, [0, 2]])
      await check([[x, shape]], (t) => [
        t.sum({ dim }),
        t.mean({ dim, keepDim: true }),
        t.var({ dim }),
        t.std({ dim }),
        t.logsumexp({ dim }),
        t.amax({ dim }),
        t.amin({ dim }),
      ]);
    await check([[x, shape]], (t) => [t.argmax(), t.argmin({ dim: 1 }), ...Object.values(t.max({ dim: 1 }))]);
    await check([[x, shape]], (t) => [t.softmax(1), t.logSoftmax(-1)]);
    // Beyond what float16 could hold on the way: 4096 ones, and a mean of large numbers.
    const [ones, large] = await compute(device, [[new Array(4096).fill(1), [4096]]], (t) => [
      t.sum(),
      t.mul(60000).mean(),
    ]);
    expect([ones!.values[0], large!.values[0]]).toEqual([4096, halfRound(60000)]);
  });

  test('products add up in float32', async () => {
    await check(
      [
        [A, [7, 33]],
        [B, [33, 5]],
      ],
      (a, b) => [
        a.matmul(b),
        b.t().matmul(a.t()),
        a.select(0, 1).matmul(b),
        a.matmul(b.select(1, 0)),
        a.unsqueeze(0).expand([2, 7, 33]).matmul(b),
      ],
    );
    await check(
      [
        [A, [7, 33]],
        [B, [33, 5]],
      ],
      (a, b) => [a.matmul(b).mul(2).add(1).relu(), tl.linear(a, b.t(), b.select(0, 0))],
      COMPOSED,
    );
    // A kernel for long and narrow products, and one of the sum of 2048 times 1.
    const [long] = await compute(device, [[new Array(4096).fill(1), [2, 2048]]], (a) => a.matmul(a.t()));
    expect(Array.from(long!.values)).toEqual([2048, 2048, 2048, 2048]);
  });

  test('gradients are float16', async () => {
    const leaf = (fn: (x: Tensor, y: Tensor) => Tensor) => (x: Tensor, y: Tensor) => {
      const gs = tl.grad([fn(x, y).sum()], [x, y]);
      return gs.map((g) => g.detach());
    };
    const cases: ((x: Tensor, y: Tensor) => Tensor)[] = [
      (x, y) => x.matmul(y).square(),
      (x, y) => x.softmax(1).mul(x).sum().add(y.logSoftmax(0).square().sum()),
      (x, y) => x.mean({ dim: 0 }).square().sum().mul(y.var()),
      (x, y) => x.add(y.select(1, 0)).tanh().logsumexp({ dim: 1 }),
      (x, y) => tl.cat([x, y.t()]).amax({ dim: 0 }).mul(3),
      (x, y) => x.gather(1, tl.zeros([7, 2], { dtype: 'int32', device: x.device })).mul(y.select(0, 0).slice(0, 0, 2)),
      (x, y) =>
        tl
          .where(x.gt(0), x.square(), 0)
          .sum()
          .add(y.pad([1, 2]).pow(3).sum()),
    ];
    for (const fn of cases) {
      await check(
        [
          [A, [7, 33]],
          [B, [33, 5]],
        ],
        leaf(fn),
        COMPOSED,
        true,
      );
    }
    // Of the second order.
    await check(
      [[drawn(9, 0.25, 1), [9]]],
      (x) => {
        const [g] = tl.grad([x.pow(3).sum()], [x], { createGraph: true });
        return tl.grad([g!.sum()], [x])[0]!.detach();
      },
      GRADIENT,
      true,
    );
  });

  test('elements move unchanged', async () => {
    const x = drawn(5 * 7);
    await check(
      [
        [x, [5, 7]],
        [[4, 0, 2], [3], 'int32'],
      ],
      (t, i) => [
        t.t().contiguous(),
        t.slice(0, 1, 5, 3).slice(1, 1, 7, 2),
        t.flatten().slice(0, 3),
        t.diagonal(1),
        t.pad([1, 0, 2, 1], { value: 0.1 }),
        tl.cat([t, t.slice(0, 0, 1)], 0),
        tl.stack([t.select(1, 0), t.select(1, 6)], 1),
        t.indexSelect(0, i),
        t.expand([2, 5, 7]).contiguous(),
        t.reshape([7, 5]).t(),
      ],
      { rtol: 0, atol: 0 },
    );
  });

  test('odd sizes and offsets are read right', async () => {
    for (const n of [0, 1, 2, 3, 5, 255, 1001]) {
      const x = drawn(n);
      using s = tl.scope();
      const t = s.track(halves(x, device));
      const y = s.run(() => t.mul(1));
      expect(await y.toArray()).toEqual(x);
      for (const [from, to] of [
        [1, n],
        [1, 2],
        [2, 3],
      ] as const)
        expect(Array.from(await s.track(y.slice(0, from, to)).data<'float16'>())).toEqual(x.slice(from, to));
    }
  });

  test('fused and unfused give the same numbers', async () => {
    const chain = (x: Tensor): Tensor[] => [
      x.mul(3).exp().sub(1).tanh().mul(x).add(0.1),
      x.add(1000).sub(1000),
      x.mul(60000).mul(2).div(4),
      x.gelu().silu().square().neg(),
      tl.where(x.mul(0.3).gt(0), x.add(1024), x.sub(1024)).sub(x),
    ];
    const x = [drawn(257), [257]] as const;
    const [fused, unfused, exact] = await Promise.all(
      [device, plain.get(name)!, opened.get('reference') ?? device].map((d) => compute(d, [x], chain)),
    );
    expect(fused).toEqual(unfused);
    // And those of the interpreter, where functions do not differ.
    expect([1, 2, 4].map((i) => fused![i])).toEqual([1, 2, 4].map((i) => exact![i]));
  });

  test('takes half of the memory of float32', async () => {
    using s = tl.scope();
    const before = tl.memory(device).bytes;
    const made = s.run(() => [tl.ones([1001], { dtype: 'float16', device }), tl.ones([1000], { device })]);
    await device.sync();
    expect(tl.memory(device).bytes - before).toBe(2004 + 4000);
    expect(made.length).toBe(2);
  });

  test('updates in place', async () => {
    using s = tl.scope();
    const x = s.run(() => halves([1, 2, 3, 4, 5], device).mul(1));
    await device.sync();
    const before = tl.memory(device);
    s.run(() => {
      x.add_(0.1).mul_(2);
      x.slice(0, 1, 4).assign_(tl.tensor([7, 65520, -0.1], { device }));
    });
    await device.sync();
    expect(tl.memory(device).bytes).toBe(before.bytes);
    expect(await x.toArray()).toEqual([
      halfRound(2 * halfRound(1.1)),
      7,
      Infinity,
      halfRound(-0.1),
      halfRound(2 * halfRound(5.1)),
    ]);
    const whole = s.run(() => tl.zeros([5], { dtype: 'int32', device }));
    expect(() => whole.assign_(x)).toThrow(DTypeError);
  });

  test('creation and random draws', async () => {
    tl.setDefaultDevice(device);
    using s = tl.scope();
    const options = { dtype: 'float16', device } as const;
    const made = s.run(() => [
      tl.full([2], 0.1, options),
      tl.full([1], 65520, options),
      tl.eye(2, options),
      tl.arange(3, options),
      tl.linspace(0, 1, 4, options),
      tl.onesLike(tl.zeros([2], options)),
    ]);
    expect(made.map((x) => x.dtype)).toEqual(new Array(6).fill('float16'));
    expect(await Promise.all(made.map((x) => x.toArray()))).toEqual([
      [halfRound(0.1), halfRound(0.1)],
      [Infinity],
      [
        [1, 0],
        [0, 1],
      ],
      [0, 1, 2],
      [0, 1 / 3, 2 / 3, 1].map(halfRound),
      [1, 1],
    ]);
    tl.manualSeed(3);
    const [u, n, like] = s.run(() => {
      const uniform = tl.rand([2000], options);
      return [uniform, tl.randn([2000], options), tl.randLike(uniform), tl.bernoulli(uniform)];
    });
    const values = Array.from(await u!.data());
    expect(values.every((x) => x >= 0 && x < 1 && Number.isInteger(x * 2048))).toBe(true);
    expect(like!.dtype).toBe('float16');
    const normal = Array.from(await n!.data());
    expect(Math.abs(normal.reduce((a, b) => a + b, 0) / 2000)).toBeLessThan(0.1);
    const typed = s.track(tl.fromBuffer(Uint16Array.of(0x3c00, 0xc000, 0x7c00).buffer, options));
    expect(await typed.toArray()).toEqual([1, -2, Infinity]);
    const { Float16Array: Half } = globalThis as { Float16Array?: new (values: number[]) => tl.HalfArray };
    if (Half) expect(s.track(tl.tensor(new Half([0.5, 2]), { device })).dtype).toBe('float16');
  });

  test('losses and optimizers', async () => {
    const steps = async (d: Device, make: (p: Tensor) => { minimize(f: () => Tensor): Tensor; dispose(): void }) => {
      using s = tl.scope();
      const w = s.track(halves(B, d, [33, 5]));
      w.requiresGrad = true;
      const x = s.track(halves(A, d, [7, 33]));
      const labels = s.track(tl.tensor([0, 1, 2, 3, 4, 0, 1], { dtype: 'int32', device: d }));
      const optimizer = make(w);
      const losses: number[] = [];
      for (let i = 0; i < 4; i++) {
        const loss = optimizer.minimize(() => tl.nn.functional.crossEntropy(x.matmul(w), labels));
        expect(loss.dtype).toBe('float16');
        losses.push(await loss.item());
      }
      expect(w.dtype).toBe('float16');
      const values = Array.from(await w.data());
      optimizer.dispose();
      return [losses, values];
    };
    for (const make of [
      (p: Tensor) => new tl.optim.SGD([p], { lr: 0.5, momentum: 0.9 }),
      (p: Tensor) => new tl.optim.Adam([p], { lr: 0.05 }),
    ]) {
      const [got, want] = [await steps(device, make), await steps(oracle, make)];
      got.forEach((list, k) => {
        list.forEach((v, i) => {
          expect(Math.abs(v - want[k]![i]!)).toBeLessThan(0.01);
        });
      });
      expect(got[0]!.at(-1)).toBeLessThan(got[0]![0]!);
    }
  });
});

test.runIf(names.includes('webgpu'))('kernels for hardware take float16, too', async () => {
  const backend = await createWebGPUBackend({ gpu: await gpu(), variants: 'hardware' });
  const device = new Device('webgpu', backend, 'for a test');
  const size = 70;
  const inputs = [
    [drawn(size * size, -1, 1, 2), [size, size]],
    [drawn(size * size, -1, 1, 3), [size, size]],
  ] as const;
  const fn = (a: Tensor, b: Tensor): Tensor[] => [
    a.matmul(b).add(a),
    a.t().matmul(b),
    a.sum({ dim: 0 }),
    a.mul(2).softmax(1),
    a.matmul(b.select(1, 0)),
    a.flatten().mean(),
  ];
  const [got, want] = [await compute(device, inputs, fn), await compute(oracle, inputs, fn)];
  expect(got.map((g, i) => wrong(g, want[i]!, { rtol: 2 ** -9, atol: 2 ** -10 })).filter(Boolean)).toEqual([]);
  device.destroy();
});
