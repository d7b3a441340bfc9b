import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, type Refusal, refuses, tl } from '../setup/open.ts';
import { spread, testLayers } from './layer.ts';

type Tensor = tl.Tensor;
const { nn } = tl;
const F = nn.functional;

testLayers('shapes and products', [
  { text: 'Flatten(startDim=1, endDim=-1)', make: () => new nn.Flatten(), inputs: [[2, 3, 4]], output: [2, 12] },
  { text: 'Flatten(startDim=0, endDim=1)', make: () => new nn.Flatten(0, 1), inputs: [[2, 3, 4]], output: [6, 4] },
  {
    text: 'Unflatten(dim=1, sizes=[2, -1])',
    make: () => new nn.Unflatten(1, [2, -1]),
    inputs: [[2, 6]],
    output: [2, 2, 3],
  },
  {
    text: 'Upsample(scaleFactor=2)',
    make: () => new nn.Upsample({ scaleFactor: 2 }),
    inputs: [[1, 2, 3]],
    output: [1, 2, 6],
  },
  {
    text: 'Upsample(size=[3, 5], mode=bilinear, alignCorners=true)',
    make: () => new nn.Upsample({ size: [3, 5], mode: 'bilinear', alignCorners: true }),
    inputs: [[1, 1, 4, 3]],
    output: [1, 1, 3, 5],
  },
  {
    text: 'PixelShuffle(upscaleFactor=2)',
    make: () => new nn.PixelShuffle(2),
    inputs: [[1, 8, 1, 2]],
    output: [1, 2, 2, 4],
  },
  {
    text: 'PixelUnshuffle(downscaleFactor=2)',
    make: () => new nn.PixelUnshuffle(2),
    inputs: [[2, 4, 2]],
    output: [8, 2, 1],
  },
  {
    text: 'ZeroPad2d(padding=[1, 1, 1, 1])',
    make: () => new nn.ZeroPad2d(1),
    inputs: [[1, 1, 2, 3]],
    output: [1, 1, 4, 5],
  },
  {
    text: 'ZeroPad2d(padding=[2, -1, 0, 1])',
    make: () => new nn.ZeroPad2d([2, -1, 0, 1]),
    inputs: [[1, 2, 3]],
    output: [1, 3, 4],
  },
  { text: 'Identity()', make: () => new nn.Identity(), inputs: [[2, 3]], output: [2, 3] },
  {
    text: 'Bilinear(in1Features=3, in2Features=2, outFeatures=4, bias=true)',
    make: () => new nn.Bilinear(3, 2, 4),
    inputs: [
      [2, 5, 3],
      [2, 5, 2],
    ],
    output: [2, 5, 4],
    state: { weight: [4, 3, 2], bias: [4] },
  },
  {
    text: 'Bilinear(in1Features=2, in2Features=3, outFeatures=1, bias=false)',
    make: () => new nn.Bilinear(2, 3, 1, { bias: false }),
    inputs: [[2], [3]],
    output: [1],
    state: { weight: [1, 2, 3] },
  },
]);

const x = (...shape: number[]): Tensor => tl.ones(shape);
const BAD: readonly Refusal[] = [
  [
    'interpolate without a size',
    () => F.interpolate(x(1, 1, 3)),
    tl.UnsupportedError,
    /^interpolate: give either size or scaleFactor, got none/,
  ],
  [
    'interpolate with two sizes',
    () => F.interpolate(x(1, 1, 3), { size: 2, scaleFactor: 2 }),
    tl.UnsupportedError,
    /got both/,
  ],
  [
    'interpolate in an unknown mode',
    () => F.interpolate(x(1, 1, 3), { size: 2, mode: 'cubic' as never }),
    tl.UnsupportedError,
    /^interpolate: mode is string cubic; use nearest, .*, bicubic or area/,
  ],
  [
    'interpolate in a mode for images',
    () => F.interpolate(x(1, 1, 3), { size: 2, mode: 'bilinear' }),
    tl.ShapeError,
    /^interpolate: mode bilinear is for images of 2 dims with \[N, C\] before them, got \[1, 1, 3\]/,
  ],
  ['interpolate of a matrix', () => F.interpolate(x(3, 3), { size: 2 }), tl.ShapeError, /of 1 or 2 or 3 dims/],
  [
    'interpolate with corners that nothing aligns',
    () => F.interpolate(x(1, 1, 3), { size: 2, alignCorners: true }),
    tl.UnsupportedError,
    /^interpolate: mode nearest has no corners to align/,
  ],
  [
    'interpolate to nothing',
    () => F.interpolate(x(1, 1, 3), { scaleFactor: 0.3 }),
    tl.ShapeError,
    /^interpolate: the size by scaleFactor is number 0/,
  ],
  [
    'interpolate by a negative factor',
    () => F.interpolate(x(1, 1, 3), { scaleFactor: -1 }),
    tl.ShapeError,
    /^interpolate: scaleFactor is number -1, but it must be a positive number$/,
  ],
  [
    'interpolate by factors for other dims',
    () => F.interpolate(x(1, 1, 3, 3), { scaleFactor: [2] }),
    tl.ShapeError,
    /^interpolate: scaleFactor is \[2\], but it must be a positive number or one for each of the 2 dims/,
  ],
  [
    'interpolate of nothing',
    () => F.interpolate(x(1, 1, 0), { size: 2 }),
    tl.ShapeError,
    /^interpolate: \[1, 1, 0\] has no elements/,
  ],
  [
    'interpolate of integers',
    () => F.interpolate(x(1, 1, 3).to('int32'), { size: 2 }),
    tl.DTypeError,
    /^interpolate: needs a floating tensor/,
  ],
  ['Upsample by a number', () => new nn.Upsample(2 as never), tl.UnsupportedError, /^Upsample: options are an object/],
  [
    'unfold of windows too large',
    () => F.unfold(x(1, 1, 3, 3), 4),
    tl.ShapeError,
    /^unfold: a window of 4 places does not fit into 3 of an image \[3, 3\]/,
  ],
  ['unfold of a matrix', () => F.unfold(x(3, 3), 2), tl.ShapeError, /^unfold: the input \[3, 3\] must be of shape/],
  [
    'unfold with an option of pooling',
    () => F.unfold(x(1, 3, 3), 2, { ceilMode: true } as never),
    tl.UnsupportedError,
    /^unfold: there is no option ceilMode/,
  ],
  [
    'fold of too few columns',
    () => F.fold(x(1, 4, 3), 3, 2),
    tl.ShapeError,
    /^fold: columns \[1, 4, 3\] must be 4 of a multiple of 4 elements, for windows \[2, 2\] of an image \[3, 3\]/,
  ],
  ['fold of a vector', () => F.fold(x(4), 3, 2), tl.ShapeError, /^fold: columns \[4\] must be of shape/],
  [
    'pixelShuffle of too few channels',
    () => F.pixelShuffle(x(1, 6, 2, 2), 2),
    tl.ShapeError,
    /^pixelShuffle: \[1, 6, 2, 2\] must be of shape \[\.\.\., C \* 4, H, W\]/,
  ],
  ['pixelShuffle of a matrix', () => F.pixelShuffle(x(4, 2), 2), tl.ShapeError, /^pixelShuffle: \[4, 2\]/],
  ['pixelShuffle by nothing', () => F.pixelShuffle(x(4, 2, 2), 0), tl.ShapeError, /upscaleFactor is number 0/],
  [
    'pixelUnshuffle of odd images',
    () => F.pixelUnshuffle(x(1, 3, 4), 2),
    tl.ShapeError,
    /^pixelUnshuffle: \[1, 3, 4\]/,
  ],
  ['ZeroPad2d by two sizes', () => new nn.ZeroPad2d([1, 1]), tl.ShapeError, /^ZeroPad2d: padding is an array/],
  ['Unflatten into a number', () => new nn.Unflatten(1, 2 as never), tl.ShapeError, /^Unflatten: expected an array/],
  [
    'bilinear of other sizes',
    () => F.bilinear(x(2, 3), x(2, 4), x(5, 3, 3)),
    tl.ShapeError,
    /^bilinear: inputs \[2, 3\] and \[2, 4\] and weight \[5, 3, 3\] must be of shape/,
  ],
  [
    'bilinear of other batches',
    () => F.bilinear(x(2, 3), x(1, 4), x(5, 3, 4)),
    tl.ShapeError,
    /differ in another dim than the last/,
  ],
  [
    'bilinear with a bias too long',
    () => F.bilinear(x(2, 3), x(2, 4), x(5, 3, 4), x(4)),
    tl.ShapeError,
    /^bilinear: bias \[4\] must be of shape \[5\]/,
  ],
  ['Bilinear of nothing', () => new nn.Bilinear(0, 1, 1), tl.ShapeError, /^Bilinear: a number of features is number 0/],
];

const list = async (t: Tensor): Promise<number[]> => Array.from(await t.data());
const near = (values: readonly number[]): unknown[] => values.map((v) => expect.closeTo(v, 5));

describe.each(devices)('images on %s', (name) => {
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

  it('interpolates as PyTorch does', async () => {
    await clean(device, async () => {
      const line = tl.tensor([[[0, 1, 4, 9]]]);
      const cases: [tl.nn.functional.InterpolateOptions, number[]][] = [
        [{ size: 6 }, [0, 0, 1, 4, 4, 9]],
        [{ size: 6, mode: 'nearest-exact' }, [0, 1, 1, 4, 9, 9]],
        [{ size: 3 }, [0, 1, 4]],
        [{ size: 3, mode: 'nearest-exact' }, [0, 4, 9]],
        [{ scaleFactor: 1.7 }, [0, 0, 1, 1, 4, 4]],
        [{ size: 7, mode: 'linear', alignCorners: true }, [0, 0.5, 1, 2.5, 4, 6.5, 9]],
        [{ size: 8, mode: 'linear' }, [0, 0.25, 0.75, 1.75, 3.25, 5.25, 7.75, 9]],
        [{ size: 2, mode: 'area' }, [0.5, 6.5]],
        [{ size: 4, mode: 'linear' }, [0, 1, 4, 9]],
        [{ size: 1, mode: 'linear', alignCorners: true }, [0]],
      ];
      for (const [options, want] of cases) {
        const y = F.interpolate(line, options);
        expect(await list(y), JSON.stringify(options)).toEqual(near(want));
        y.dispose();
      }
      // Keys' kernel with a = -0.75 half way between two elements: -0.09375, 0.59375, 0.59375, -0.09375; borders repeat.
      const cubic = tl.tidy(() =>
        F.interpolate(tl.tensor([0, 1, 4, 9], { shape: [1, 1, 1, 4] }), { size: [1, 2], mode: 'bicubic' }),
      );
      expect(await list(cubic)).toEqual(near([-0.09375 * 4 + 0.59375, -0.09375 * 10 + 0.59375 * 13]));
      cubic.dispose();
      line.dispose();
    });
  });

  it('gives the identity its input: another handle', async () => {
    await clean(device, async () => {
      const input = tl.tensor([1, 2]);
      const y = new nn.Identity().forward(input);
      const z = tl.tidy(() => F.interpolate(input.reshape([1, 1, 2]), { size: 2 }));
      y.dispose();
      expect(await list(input)).toEqual([1, 2]);
      expect(await list(z)).toEqual([1, 2]);
      input.dispose();
      z.dispose();
    });
  });

  it('counts by fold of unfold how many windows show an element', async () => {
    await clean(device, async () => {
      const y = tl.tidy(() => F.fold(F.unfold(tl.ones([1, 1, 3, 4]), 2), [3, 4], 2));
      expect(await list(y)).toEqual([1, 2, 2, 1, 2, 4, 4, 2, 1, 2, 2, 1]);
      y.dispose();
    });
  });

  it('starts Bilinear uniform in 1 / sqrt(in1), from the seed', async () => {
    await clean(device, async () => {
      tl.manualSeed(1);
      const layer = new nn.Bilinear(16, 8, 32);
      const [weight, bias] = [await list(layer.weight), await list(layer.bias!)];
      for (const values of [weight, bias]) {
        expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(0.25);
        expect(Math.max(...values)).toBeGreaterThan(0.2);
        expect(Math.min(...values)).toBeLessThan(-0.2);
      }
      tl.manualSeed(1);
      const again = new nn.Bilinear(16, 8, 32);
      expect(await list(again.weight)).toEqual(weight);
      const inputs = tl.tidy(() => [spread([3, 16]), spread([3, 8])]);
      const [a, b] = tl.tidy(() => [
        layer.forward(inputs[0]!, inputs[1]!),
        tl.einsum('bi,oij,bj->bo', inputs[0]!, layer.weight, inputs[1]!).add(layer.bias!),
      ]);
      for (const [i, v] of (await list(a!)).entries()) expect(v).toBeCloseTo((await list(b!))[i]!, 4);
      for (const t of [layer, again, a!, b!, ...inputs]) t.dispose();
    });
  });
});
