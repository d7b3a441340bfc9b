import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, type Refusal, refuses, tl } from '../setup/open.ts';
import { spread, testLayers } from './layer.ts';

type Tensor = tl.Tensor;
const { nn } = tl;
const F = nn.functional;

testLayers('pooling', [
  { text: 'MaxPool1d(kernelSize=2)', make: () => new nn.MaxPool1d(2), inputs: [[2, 3, 7]], output: [2, 3, 3] },
  {
    text: 'MaxPool2d(kernelSize=[3, 2], stride=2, padding=1)',
    make: () => new nn.MaxPool2d([3, 2], { stride: 2, padding: 1 }),
    inputs: [[1, 2, 5, 6]],
    output: [1, 2, 3, 4],
  },
  {
    text: 'MaxPool2d(kernelSize=2, dilation=2, stride=1)',
    make: () => new nn.MaxPool2d(2, { dilation: 2, stride: 1 }),
    inputs: [[2, 5, 4]],
    output: [2, 3, 2],
  },
  {
    text: 'AvgPool1d(kernelSize=3, stride=2, ceilMode=true)',
    make: () => new nn.AvgPool1d(3, { stride: 2, ceilMode: true }),
    inputs: [[1, 2, 8]],
    output: [1, 2, 4],
  },
  {
    text: 'AvgPool2d(kernelSize=3, stride=2, padding=1, countIncludePad=false)',
    make: () => new nn.AvgPool2d(3, { stride: 2, padding: 1, countIncludePad: false }),
    inputs: [[1, 2, 5, 6]],
    output: [1, 2, 3, 3],
  },
  {
    text: 'AvgPool2d(kernelSize=2, divisorOverride=3)',
    make: () => new nn.AvgPool2d(2, { divisorOverride: 3 }),
    inputs: [[2, 4, 4]],
    output: [2, 2, 2],
  },
  {
    text: 'AdaptiveAvgPool1d(outputSize=3)',
    make: () => new nn.AdaptiveAvgPool1d(3),
    inputs: [[2, 1, 7]],
    output: [2, 1, 3],
  },
  {
    text: 'AdaptiveAvgPool2d(outputSize=[null, 2])',
    make: () => new nn.AdaptiveAvgPool2d([null, 2]),
    inputs: [[1, 2, 3, 5]],
    output: [1, 2, 3, 2],
  },
  {
    text: 'AdaptiveMaxPool1d(outputSize=3)',
    make: () => new nn.AdaptiveMaxPool1d(3),
    inputs: [[2, 1, 7]],
    output: [2, 1, 3],
  },
  {
    text: 'AdaptiveMaxPool2d(outputSize=2)',
    make: () => new nn.AdaptiveMaxPool2d(2),
    inputs: [[1, 2, 3, 5]],
    output: [1, 2, 2, 2],
  },
]);

const x = (...shape: number[]): Tensor => tl.ones(shape);
const BAD: readonly Refusal[] = [
  [
    'maxPool2d of a matrix',
    () => F.maxPool2d(x(3, 3), 2),
    tl.ShapeError,
    /^maxPool2d: the input \[3, 3\] must be of shape \[N, C, H, W\] or \[C, H, W\]/,
  ],
  ['maxPool1d of images', () => F.maxPool1d(x(1, 1, 3, 3), 2), tl.ShapeError, /\[N, C, L\] or \[C, L\]/],
  [
    'maxPool2d by nothing',
    () => F.maxPool2d(x(1, 3, 3), 0),
    tl.ShapeError,
    /^maxPool2d: kernelSize is number 0, but it must be a whole number of at least 1/,
  ],
  [
    'maxPool2d by three sizes',
    () => F.maxPool2d(x(1, 3, 3), [2, 2, 2]),
    tl.ShapeError,
    /^maxPool2d: kernelSize is \[2, 2, 2\], but it must be a number or one for each of the 2 dims/,
  ],
  [
    'maxPool1d by two sizes',
    () => F.maxPool1d(x(1, 3), [2, 2]),
    tl.ShapeError,
    /^maxPool1d: kernelSize is \[2, 2\], but it must be a number or a list of one$/,
  ],
  [
    'maxPool2d by windows too large',
    () => F.maxPool2d(x(1, 3, 3), 2, { dilation: 3 }),
    tl.ShapeError,
    /^maxPool2d: a window of 4 places does not fit into 3 of an image \[3, 3\]/,
  ],
  [
    'maxPool2d of no images',
    () => F.maxPool2d(x(1, 0, 3), 1),
    tl.ShapeError,
    /does not fit into 0 of an image \[0, 3\]/,
  ],
  [
    'maxPool2d with too much padding',
    () => F.maxPool2d(x(1, 3, 3), 2, { padding: 2 }),
    tl.ShapeError,
    /^maxPool2d: padding 2 is more than half a window of 2 places; use at most 1/,
  ],
  [
    'maxPool2d that stands still',
    () => F.maxPool2d(x(1, 3, 3), 2, { stride: 0 }),
    tl.ShapeError,
    /^maxPool2d: stride is number 0/,
  ],
  [
    'maxPool2d with a flag that is none',
    () => F.maxPool2d(x(1, 3, 3), 2, { ceilMode: 1 as never }),
    tl.UnsupportedError,
    /^maxPool2d: ceilMode is number 1, but it must be true or false/,
  ],
  [
    'maxPool2d of integers',
    () => F.maxPool2d(x(1, 3, 3).to('int32'), 2),
    tl.DTypeError,
    /^maxPool2d: needs a floating tensor, got int32/,
  ],
  [
    'maxPool2d with an option of another',
    () => F.maxPool2d(x(1, 3, 3), 2, { countIncludePad: true } as never),
    tl.UnsupportedError,
    /^maxPool2d: there is no option countIncludePad/,
  ],
  [
    'avgPool2d with dilation',
    () => F.avgPool2d(x(1, 3, 3), 2, { dilation: 2 } as never),
    tl.UnsupportedError,
    /^avgPool2d: there is no option dilation/,
  ],
  [
    'avgPool1d with a divisor',
    () => F.avgPool1d(x(1, 3), 2, { divisorOverride: 2 } as never),
    tl.UnsupportedError,
    /^avgPool1d: there is no option divisorOverride/,
  ],
  [
    'avgPool2d over 0',
    () => F.avgPool2d(x(1, 3, 3), 2, { divisorOverride: 0 }),
    tl.UnsupportedError,
    /^avgPool2d: divisorOverride is number 0, but it must be a number other than 0/,
  ],
  [
    'adaptiveAvgPool2d to nothing',
    () => F.adaptiveAvgPool2d(x(1, 3, 3), 0),
    tl.ShapeError,
    /^adaptiveAvgPool2d: outputSize is number 0/,
  ],
  [
    'adaptiveAvgPool2d to no size',
    () => F.adaptiveAvgPool2d(x(1, 3, 3), undefined as never),
    tl.ShapeError,
    /^adaptiveAvgPool2d: outputSize is undefined/,
  ],
  [
    'adaptiveMaxPool1d of nothing',
    () => F.adaptiveMaxPool1d(x(1, 1, 0), 1),
    tl.ShapeError,
    /^adaptiveMaxPool1d: dim 2 of \[1, 1, 0\] has no elements to pool/,
  ],
  [
    'adaptiveAvgPool1d past int32',
    () => F.adaptiveAvgPool1d(tl.zeros([1, 1]).expand([1, 100_000]), 99_999),
    tl.UnsupportedError,
    /^adaptiveAvgPool1d: windows of 100000 elements at 99999 places would be counted past int32/,
  ],
  ['MaxPool2d by nothing', () => new nn.MaxPool2d(0), tl.ShapeError, /^MaxPool2d: kernelSize is number 0/],
  [
    'MaxPool2d with negative padding',
    () => new nn.MaxPool2d(2, { padding: -1 }),
    tl.ShapeError,
    /^MaxPool2d: padding is number -1/,
  ],
  [
    'MaxPool2d with places',
    () => new nn.MaxPool2d(2, { returnIndices: true } as never),
    tl.UnsupportedError,
    /^MaxPool2d: there is no option returnIndices/,
  ],
  [
    'AvgPool1d with dilation',
    () => new nn.AvgPool1d(2, { dilation: 1 } as never),
    tl.UnsupportedError,
    /^AvgPool1d: there is no option dilation/,
  ],
];

describe.each(devices)('pooling on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => device.destroy());

  it.each(BAD)('%s is an error', async (_, run, error, says) => {
    await clean(device, () => {
      refuses(run, error, says);
    });
  });

  it('gives NaN and -Infinity their due, and the first of equals the gradient', async () => {
    await clean(device, async () => {
      const results = tl.tidy(() => {
        const line = tl.tensor([[[1, NaN, -Infinity, -Infinity, 2, 2, 0, 5]]], { requiresGrad: true });
        const [values, places] = F.maxPool1d(line, 2, { returnIndices: true });
        // A window of padding and -Infinity has its first element.
        const low = tl.full([1, 1, 3], -Infinity);
        const [edge, at] = F.maxPool1d(low, 2, { padding: 1, stride: 2, returnIndices: true });
        const [gradient] = tl.grad([values], [line], { gradOutputs: [tl.tensor([[[1, 2, 3, 4]]])] });
        return [values.detach(), places, gradient!, edge, at];
      });
      const [values, places, gradient, edge, at] = await Promise.all(
        results.map(async (t) => Array.from(await t.data())),
      );
      expect(values).toEqual([NaN, -Infinity, 2, 5]);
      expect(places).toEqual([1, 2, 4, 7]);
      expect(gradient).toEqual([0, 1, 2, 0, 3, 0, 0, 4]);
      expect(edge).toEqual([-Infinity, -Infinity]);
      expect(at).toEqual([0, 1]);
      for (const t of results) t.dispose();
    });
  });

  it('adds up what overlapping windows give back to one element', async () => {
    await clean(device, async () => {
      const results = tl.tidy(() => {
        const line = tl.tensor([[[0, 1, 9, 3, 4]]], { requiresGrad: true });
        const y = F.maxPool1d(line, 3, { stride: 1 });
        return [tl.grad([y.sum()], [line])[0]!];
      });
      expect(Array.from(await results[0]!.data())).toEqual([0, 0, 3, 0, 0]);
      results[0]!.dispose();
    });
  });

  it('keeps of a maximum no more than the places, and makes no tensor of windows', async () => {
    await clean(device, async () => {
      const image = tl.tidy(() => spread([1, 4, 16, 16]).mul(1));
      image.requiresGrad = true;
      await device.sync();
      const before = tl.memory(device).bytes;
      const y = F.maxPool2d(image, 3, { stride: 1 });
      await device.sync();
      // Buffers may be rounded up.
      const one = 4 * y.size;
      expect(tl.memory(device).bytes - before).toBeLessThan(2.5 * one);
      expect(tl.tidy(() => tl.explain(tl.grad([F.maxPool2d(image, 3, { stride: 1 }).sum()], [image])[0]!))).toMatch(
        /^3 kernels/,
      );
      expect(tl.tidy(() => tl.explain(tl.noGrad(() => F.avgPool2d(image.relu(), 3, { padding: 1 }))))).toMatch(
        /^[12] kernel/,
      );
      image.dispose();
      y.dispose();
    });
  });

  it('means the same in another plan: sizes and strides are no part of it', async () => {
    await clean(device, async () => {
      const kernels = (call: (image: Tensor) => Tensor): string =>
        tl
          .tidy(() => tl.explain(call(tl.ones([1, 2, 12, 12]))))
          .replace(/\d+x[\dx]+/g, '')
          .replace(/[\d.]+ k?B/g, '');
      expect(kernels((v) => F.maxPool2d(v, 3, { stride: 2, padding: 1 }))).toBe(
        kernels((v) => F.maxPool2d(v, [3, 5], { stride: 3, padding: 1 })),
      );
    });
  });
});
