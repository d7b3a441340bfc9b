import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { devices, inBrowser } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

const range = (n: number, f: (i: number) => number = (i) => i): number[] => Array.from({ length: n }, (_, i) => f(i));

/** What PyTorch 2 prints for the same data, but for the words of the suffixes. */
const PRINTED: readonly { name: string; make: () => tl.Tensor; text: string }[] = [
  { name: 'whole floats', make: () => tl.tensor([1, 2, 3]), text: 'tensor([1., 2., 3.])' },
  {
    name: 'floats, four digits',
    make: () => tl.tensor([1.5, -2, 0.33333]),
    text: 'tensor([ 1.5000, -2.0000,  0.3333])',
  },
  { name: 'a scalar', make: () => tl.tensor(Math.PI), text: 'tensor(3.1416)' },
  { name: 'a whole scalar', make: () => tl.tensor(3), text: 'tensor(3.)' },
  { name: 'an integer scalar', make: () => tl.tensor(-7, { dtype: 'int32' }), text: 'tensor(-7, dtype=int32)' },
  { name: 'a bool scalar', make: () => tl.tensor(true), text: 'tensor(true)' },
  { name: 'bools', make: () => tl.tensor([true, false]), text: 'tensor([ true, false])' },
  {
    name: 'integers, aligned',
    make: () =>
      tl.tensor(
        [
          [1, -20],
          [300, 4],
        ],
        { dtype: 'int32' },
      ),
    text: 'tensor([[  1, -20],\n        [300,   4]], dtype=int32)',
  },
  {
    name: 'uint32',
    make: () => tl.tensor([0, 4294967295], { dtype: 'uint32' }),
    text: 'tensor([         0, 4294967295], dtype=uint32)',
  },
  {
    name: 'ties to even digits',
    make: () => tl.tensor([0.03125, 0.09375, -0.03125]),
    text: 'tensor([ 0.0312,  0.0938, -0.0312])',
  },
  { name: 'ties in whole numbers', make: () => tl.tensor([0.5, 1.5, 2.5]), text: 'tensor([0.5000, 1.5000, 2.5000])' },
  {
    name: 'nan and inf beside floats',
    make: () => tl.tensor([NaN, 1.5, Infinity, -Infinity]),
    text: 'tensor([   nan, 1.5000,    inf,   -inf])',
  },
  {
    name: 'nan and inf beside whole floats',
    make: () => tl.tensor([NaN, 1, -Infinity]),
    text: 'tensor([nan, 1., -inf])',
  },
  { name: 'only nan', make: () => tl.tensor([NaN, 0]), text: 'tensor([nan, 0.])' },
  { name: 'negative zero', make: () => tl.tensor([-0, 1]), text: 'tensor([-0., 1.])' },
  { name: 'large and small', make: () => tl.tensor([0.001, 10.5]), text: 'tensor([1.0000e-03, 1.0500e+01])' },
  {
    name: 'a ratio of 1000',
    make: () => tl.tensor([0.25, 250]),
    text: 'tensor([  0.2500, 250.0000])',
  },
  { name: 'tiny', make: () => tl.tensor([0.00005, 0]), text: 'tensor([5.0000e-05, 0.0000e+00])' },
  { name: 'huge whole numbers', make: () => tl.tensor([2e8, 1e8]), text: 'tensor([2.0000e+08, 1.0000e+08])' },
  { name: 'whole numbers far apart', make: () => tl.tensor([1, 2000]), text: 'tensor([1.0000e+00, 2.0000e+03])' },
  {
    name: 'three-digit exponents as two',
    make: () => tl.tensor([1e-38, -1e38]),
    text: 'tensor([ 1.0000e-38, -1.0000e+38])',
  },
  {
    name: 'a matrix',
    make: () =>
      tl.tensor([
        [1, 0.5],
        [-2, 10],
      ]),
    text: 'tensor([[ 1.0000,  0.5000],\n        [-2.0000, 10.0000]])',
  },
  {
    name: 'three dims, with a blank line',
    make: () => tl.arange(8).reshape([2, 2, 2]),
    text: 'tensor([[[0., 1.],\n         [2., 3.]],\n\n        [[4., 5.],\n         [6., 7.]]])',
  },
  {
    name: 'four dims, with two',
    make: () => tl.tensor([[[[1]]], [[[2]]]]),
    text: 'tensor([[[[1.]]],\n\n\n        [[[2.]]]])',
  },
  {
    name: 'long rows, wrapped',
    make: () => tl.tensor(range(25)),
    text: 'tensor([ 0.,  1.,  2.,  3.,  4.,  5.,  6.,  7.,  8.,  9., 10., 11., 12., 13.,\n        14., 15., 16., 17., 18., 19., 20., 21., 22., 23., 24.])',
  },
  {
    name: 'a summary',
    make: () => tl.tensor(range(1001, (i) => i % 10)),
    text: 'tensor([0., 1., 2.,  ..., 8., 9., 0.])',
  },
  {
    name: 'a summary of a matrix',
    make: () =>
      tl.tensor(
        range(2000, (i) => i % 7),
        { shape: [40, 50] },
      ),
    text: [
      'tensor([[0., 1., 2.,  ..., 5., 6., 0.],',
      '        [1., 2., 3.,  ..., 6., 0., 1.],',
      '        [2., 3., 4.,  ..., 0., 1., 2.],',
      '        ...,',
      '        [2., 3., 4.,  ..., 0., 1., 2.],',
      '        [3., 4., 5.,  ..., 1., 2., 3.],',
      '        [4., 5., 6.,  ..., 2., 3., 4.]])',
    ].join('\n'),
  },
  {
    name: 'a summary of one long dim only',
    make: () =>
      tl.tensor(
        range(1002, (i) => i % 3),
        { shape: [501, 2] },
      ),
    text: 'tensor([[0., 1.],\n        [2., 0.],\n        [1., 2.],\n        ...,\n        [0., 1.],\n        [2., 0.],\n        [1., 2.]])',
  },
  { name: 'nothing', make: () => tl.zeros([0]), text: 'tensor([])' },
  { name: 'nothing in a shape', make: () => tl.zeros([0, 3]), text: 'tensor([], shape=[0, 3])' },
  {
    name: 'no integers',
    make: () => tl.zeros([2, 0], { dtype: 'int32' }),
    text: 'tensor([], shape=[2, 0], dtype=int32)',
  },
  { name: 'no bools', make: () => tl.zeros([0], { dtype: 'bool' }), text: 'tensor([], dtype=bool)' },
  { name: 'a leaf', make: () => tl.tensor([1], { requiresGrad: true }), text: 'tensor([1.], requiresGrad=true)' },
  {
    name: 'a result with history',
    make: () => tl.tensor([1], { requiresGrad: true }).mul(2),
    text: 'tensor([2.], gradFn=<mul>)',
  },
  {
    name: 'a suffix on a line of its own',
    make: () =>
      tl.tensor(
        range(14, () => 10),
        { requiresGrad: true },
      ),
    text: `tensor([${range(14, () => 10)
      .map((x) => `${x}.`)
      .join(', ')}],\n       requiresGrad=true)`,
  },
  {
    name: 'a transposed view',
    make: () =>
      tl
        .tensor([
          [1, 2],
          [3, 4],
        ])
        .t(),
    text: 'tensor([[1., 3.],\n        [2., 4.]])',
  },
  { name: 'an expanded view', make: () => tl.tensor([7]).expand([3]), text: 'tensor([7., 7., 7.])' },
  { name: 'a slice with a step', make: () => tl.tensor([0, 1, 2, 3, 4]).slice(0, 1, 5, 2), text: 'tensor([1., 3.])' },
];

describe.each(devices)('printing on %s', (name) => {
  let device: tl.Device;
  const readable = name !== 'webgpu';
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });
  afterEach(() => {
    tl.setPrintOptions({ precision: 4, threshold: 1000, edgeItems: 3, lineWidth: 80, sciMode: null });
  });

  it.each(PRINTED)('$name', ({ make, text }) =>
    clean(device, async () => {
      const x = tl.tidy(make);
      expect(await x.format()).toBe(text);
      if (readable) expect(String(x)).toBe(text);
      x.dispose();
    }),
  );

  it('computes nothing', () =>
    clean(device, async () => {
      const x = tl.ones([2]);
      const before = device.engine.counters.flushes;
      expect(`${x}`).toBe(`Tensor(shape [2], float32, ${name})`);
      expect(device.engine.counters.flushes).toBe(before);
      await device.sync();
      expect(`${x}`).toBe(readable ? 'tensor([1., 1.])' : `Tensor(shape [2], float32, ${name})`);
      await x.data();
      expect(`${x}`).toBe('tensor([1., 1.])');
      x.add_(1);
      expect(`${x}`).toBe(`Tensor(shape [2], float32, ${name})`);
      await x.data();
      expect(`${x}`).toBe('tensor([2., 2.])');
      x.dispose();
    }));

  it('knows what was given, before and after it was used', () =>
    clean(device, async () => {
      const x = tl.tensor([1, 2]);
      expect(`${x}`).toBe('tensor([1., 2.])');
      const y = x.mul(2);
      await y.data();
      expect(`${x} ${y}`).toBe('tensor([1., 2.]) tensor([2., 4.])');
      const z = y.reshape([2, 1]);
      expect(`${z}`).toBe('tensor([[2.],\n        [4.]])');
      for (const t of [x, y, z]) t.dispose();
    }));

  it('does not hand out what it remembers', () =>
    clean(device, async () => {
      const x = tl.tidy(() => tl.ones([2]).mul(2));
      (await x.data()).fill(9);
      expect(`${x}`).toBe('tensor([2., 2.])');
      x.dispose();
    }));

  it('leaves a failed index check to the next await', () =>
    clean(device, async () => {
      const x = tl.tidy(() => tl.ones([2]).indexSelect(0, tl.tensor([5], { dtype: 'int32' })));
      device.engine.flush();
      expect(`${x}`).toBe(readable ? 'tensor([0.])' : `Tensor(shape [1], float32, ${name})`);
      await expect(device.sync()).rejects.toThrow(tl.IndexError);
      await device.sync();
      x.dispose();
    }));

  it('names the device where it is not the default', async () => {
    const other = await tl.device(name);
    const x = tl.tensor([1], { device: other });
    expect(`${x}`).toBe(`tensor([1.], device=${name})`);
    other.destroy();
    expect(`${x}`).toBe(`Tensor(shape [1], float32, ${name})`);
    x.dispose();
    expect(`${x}`).toBe(`Tensor(shape [1], float32, ${name}, disposed)`);
    await expect(x.format()).rejects.toThrow(tl.DisposedError);
  });

  it('takes options for one call, or for all', () =>
    clean(device, async () => {
      const x = tl.tensor([1.5, 1 / 3, 2000]);
      expect(await x.format({ precision: 2, sciMode: false })).toBe('tensor([   1.50,    0.33, 2000.00])');
      expect(await x.format({ sciMode: true, precision: 1 })).toBe('tensor([1.5e+00, 3.3e-01, 2.0e+03])');
      expect(await x.format({ precision: 0, sciMode: false })).toBe('tensor([   2,    0, 2000])');
      expect(await x.format({ threshold: 2, edgeItems: 1 })).toBe('tensor([1.5000e+00,  ..., 2.0000e+03])');
      expect(await x.format({ lineWidth: 20 })).toBe('tensor([1.5000e+00,\n        3.3333e-01,\n        2.0000e+03])');
      const before = tl.setPrintOptions({ precision: 1, sciMode: false });
      expect(before).toEqual({ precision: 4, threshold: 1000, edgeItems: 3, lineWidth: 80, sciMode: null });
      expect(`${x}`).toBe('tensor([   1.5,    0.3, 2000.0])');
      tl.setPrintOptions(before);
      expect(`${x}`).toBe('tensor([1.5000e+00, 3.3333e-01, 2.0000e+03])');
      expect(() => tl.setPrintOptions({ precision: 1.5 })).toThrow(
        /setPrintOptions: precision is number 1.5, but it must be a whole number from 0 to 60/,
      );
      expect(() => tl.setPrintOptions({ digits: 2 } as never)).toThrow(/there is no option digits; it takes precision/);
      await expect(x.format({ sciMode: 1 as never })).rejects.toThrow(
        /format: sciMode is number 1, but it must be true/,
      );
      x.dispose();
    }));

  it.skipIf(inBrowser)('shows in Node’s console, indented and to its depth', async () => {
    const { inspect } = await import('node:util');
    const x = tl.tensor([
      [1, 2],
      [3, 4],
    ]);
    expect(inspect(x)).toBe('tensor([[1., 2.],\n        [3., 4.]])');
    expect(inspect({ x })).toBe('{\n  x: tensor([[1., 2.],\n          [3., 4.]])\n}');
    expect(inspect({ a: { b: { c: { x } } } }, { depth: 0 })).toBe('{ a: [Object] }');
    expect(inspect({ x }, { depth: 0 })).toBe(`{ x: Tensor(shape [2, 2], float32, ${name}) }`);
    x.dispose();
  });
});
