import { expect, it } from 'vitest';
import { counted, given, onDevices, type Refusal, refuses, tl, value } from '../setup/open.ts';

type Tensor = tl.Tensor;
const F = tl.nn.functional;

/** Calls with what PyTorch gives for them. */
const VALUES: readonly (readonly [name: string, call: () => Tensor, want: tl.NestedArray])[] = [
  [
    'conv2d',
    () => F.conv2d(counted(1, 1, 3, 3), tl.ones([1, 1, 2, 2])),
    [
      [
        [
          [8, 12],
          [20, 24],
        ],
      ],
    ],
  ],
  ['conv2d does not turn the kernel', () => F.conv2d(counted(1, 1, 1, 3), counted(1, 1, 1, 2)), [[[[1, 2]]]]],
  ['conv2d of one image', () => F.conv2d(counted(1, 2, 2), tl.ones([2, 1, 2, 2]), tl.tensor([1, 2])), [[[7]], [[8]]]],
  [
    'conv2d with padding',
    () => F.conv2d(tl.ones([1, 1, 2, 2]), tl.ones([1, 1, 3, 3]), null, { padding: 1 }),
    [
      [
        [
          [4, 4],
          [4, 4],
        ],
      ],
    ],
  ],
  [
    'conv2d with one padding for each dim',
    () => F.conv2d(tl.ones([1, 1, 1]), tl.ones([1, 1, 1, 3]), null, { padding: [0, 2] }),
    [[[1, 1, 1]]],
  ],
  [
    'conv2d of the same size',
    () => F.conv2d(counted(1, 1, 3), tl.ones([1, 1, 1, 2]), null, { padding: 'same' }),
    [[[1, 3, 2]]],
  ],
  [
    'conv2d with strides',
    () => F.conv2d(counted(1, 3, 4), tl.ones([1, 1, 1, 1]), null, { stride: [2, 3] }),
    [
      [
        [0, 3],
        [8, 11],
      ],
    ],
  ],
  [
    'conv2d with dilation',
    () => F.conv2d(counted(1, 3, 4), tl.ones([1, 1, 2, 2]), null, { dilation: [2, 3] }),
    [[[22]]],
  ],
  [
    'conv2d in groups',
    () => F.conv2d(counted(2, 1, 2), counted(4, 1, 1, 1), undefined, { groups: 2 }),
    [[[0, 0]], [[0, 1]], [[4, 6]], [[6, 9]]],
  ],
  ['conv2d of no images', () => F.conv2d(tl.ones([0, 1, 2, 2]), tl.ones([1, 1, 2, 2])), []],
  [
    'layerNorm of equal elements',
    () => F.layerNorm(tl.ones([2, 2]), 2),
    [
      [0, 0],
      [0, 0],
    ],
  ],
  ['layerNorm with an eps', () => F.layerNorm(tl.tensor([-1, 1]), [2], { eps: 3 }), [-0.5, 0.5]],
  [
    'layerNorm with weight and bias',
    () => F.layerNorm(tl.tensor([-1, 1]), [2], { eps: 3, weight: tl.tensor([2, 4]), bias: tl.tensor([1, 1]) }),
    [0, 3],
  ],
  [
    'layerNorm over two dims',
    () =>
      F.layerNorm(
        tl.tensor([
          [-1, -1],
          [1, 1],
        ]),
        [2, 2],
        { eps: 3 },
      ),
    [
      [-0.5, -0.5],
      [0.5, 0.5],
    ],
  ],
];

const ones = (...shape: number[]): Tensor => tl.ones(shape);
const BAD: readonly Refusal[] = [
  [
    'conv2d of a matrix',
    () => F.conv2d(ones(3, 3), ones(1, 1, 2, 2)),
    tl.ShapeError,
    /conv2d: images \[3, 3\] and kernels \[1, 1, 2, 2\] must be of shape/,
  ],
  [
    'conv2d of other channels',
    () => F.conv2d(ones(1, 3, 4, 4), ones(4, 2, 2, 2)),
    tl.ShapeError,
    /do not fit with 1 groups: there must be 2 channels/,
  ],
  [
    'conv2d in groups that do not divide',
    () => F.conv2d(ones(1, 4, 4, 4), ones(3, 2, 2, 2), null, { groups: 2 }),
    tl.ShapeError,
    /do not fit with 2 groups/,
  ],
  [
    'conv2d with a bias too long',
    () => F.conv2d(ones(1, 1, 4, 4), ones(1, 1, 2, 2), ones(2)),
    tl.ShapeError,
    /conv2d: bias \[2\] must be of shape \[1\]/,
  ],
  [
    'conv2d with a kernel too large',
    () => F.conv2d(ones(1, 1, 4, 4), ones(1, 1, 2, 3), null, { dilation: 2 }),
    tl.ShapeError,
    /a kernel takes \[3, 5\] of \[4, 4\] places/,
  ],
  [
    'conv2d of the same size with strides',
    () => F.conv2d(ones(1, 1, 4, 4), ones(1, 1, 2, 2), null, { padding: 'same', stride: 2 }),
    tl.UnsupportedError,
    /padding 'same' goes with stride 1 only, got \[2, 2\]/,
  ],
  [
    'conv2d that stands still',
    () => F.conv2d(ones(1, 1, 4, 4), ones(1, 1, 2, 2), null, { stride: 0 }),
    tl.ShapeError,
    /conv2d: stride is number 0, but it must be a whole number of at least 1/,
  ],
  [
    'conv2d with three strides',
    () => F.conv2d(ones(1, 1, 4, 4), ones(1, 1, 2, 2), null, { stride: [1, 1, 1] }),
    tl.ShapeError,
    /conv2d: stride is \[1, 1, 1\], but it must be a number or one for each of the 2 dims/,
  ],
  [
    'conv2d with unknown padding',
    () => F.conv2d(ones(1, 1, 4, 4), ones(1, 1, 2, 2), null, { padding: 'full' as never }),
    tl.ShapeError,
    /conv2d: padding is string full/,
  ],
  [
    'conv2d of integers',
    () => F.conv2d(ones(1, 1, 4, 4).to('int32'), ones(1, 1, 2, 2)),
    tl.DTypeError,
    /conv2d: needs a floating tensor, got int32/,
  ],
  [
    'layerNorm of another shape',
    () => F.layerNorm(ones(2, 3), [2]),
    tl.ShapeError,
    /layerNorm: the normalized shape \[2\] must be that of the last dims of \[2, 3\]/,
  ],
  ['layerNorm of no dims', () => F.layerNorm(ones(2, 3), []), tl.ShapeError, /layerNorm: the normalized shape \[\]/],
  [
    'layerNorm with a weight of another shape',
    () => F.layerNorm(ones(2, 3), 3, { weight: ones(2) }),
    tl.ShapeError,
    /layerNorm: weight of shape \[2\] must have the normalized shape \[3\]/,
  ],
  [
    'layerNorm of integers',
    () => F.layerNorm(ones(3).to('int32'), 3),
    tl.DTypeError,
    /layerNorm: needs a floating tensor, got int32/,
  ],
];

onDevices('functions of nn', (clean) => {
  it.each(VALUES)('%s', async (_, call, want) => {
    await clean(async () => {
      expect(await value(call)).toEqual(want);
    });
  });

  it.each(BAD)('%s is an error', async (_, run, error, says) => {
    await clean(() => {
      refuses(run, error, says);
    });
  });

  it('differentiates conv2d', async () => {
    await clean(async () => {
      const grads = tl.tidy(() => {
        const image = tl.tidy(() => counted(1, 1, 3, 3));
        const kernel = tl.tensor([1, 2, 3, 4], { shape: [1, 1, 2, 2] });
        const bias = tl.zeros([1]);
        for (const t of [image, kernel, bias]) t.requiresGrad = true;
        return tl.grad([F.conv2d(image, kernel, bias).sum()], [image, kernel, bias]);
      });
      expect(await Promise.all(grads.map(given))).toEqual([
        [
          [
            [
              [1, 3, 2],
              [4, 10, 6],
              [3, 7, 4],
            ],
          ],
        ],
        [
          [
            [
              [8, 12],
              [20, 24],
            ],
          ],
        ],
        [4],
      ]);
    });
  });

  it('normalises without cancellation, far from 0', async () => {
    await clean(async () => {
      const y = tl.tidy(() => F.layerNorm(tl.tensor([10000, 10001, 10002]), 3, { eps: 0 }));
      const got = (await given(y)) as number[];
      for (const [i, want] of [-Math.sqrt(1.5), 0, Math.sqrt(1.5)].entries()) expect(got[i]).toBeCloseTo(want, 3);
    });
  });

  it('makes one kernel of layerNorm, and one of its gradient', async () => {
    await clean((device) => {
      tl.tidy(() => {
        const x = tl.ones([4, 8], { requiresGrad: true });
        const [weight, bias] = [tl.ones([8]), tl.zeros([8])];
        device.engine.flush();
        expect(tl.explain(tl.noGrad(() => F.layerNorm(x, 8, { weight, bias })))).toMatch(/^1 kernel/);
        expect(tl.explain(tl.grad([F.layerNorm(x, 8, { weight, bias }).square().sum()], [x])[0]!)).toMatch(/^1 kernel/);
      });
    });
  });
});
