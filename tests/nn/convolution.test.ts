import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, refuses, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;
const { nn } = tl;
const F = nn.functional;

/** Layers with every option at least once, an input for each, and the shape of the output. */
const LAYERS: readonly (readonly [name: string, make: () => tl.nn.Module, input: number[], output: number[]])[] = [
  ['Conv1d', () => new nn.Conv1d(2, 4, 3), [2, 2, 9], [2, 4, 7]],
  ['Conv1d, same, dilated', () => new nn.Conv1d(2, 3, 4, { padding: 'same', dilation: 2 }), [2, 9], [3, 9]],
  [
    'Conv2d with strides, groups and no bias',
    () => new nn.Conv2d(4, 6, [3, 2], { stride: [2, 1], padding: [1, 0], groups: 2, bias: false }),
    [2, 4, 5, 6],
    [2, 6, 3, 5],
  ],
  [
    'Conv2d, reflecting',
    () => new nn.Conv2d(1, 2, 3, { padding: [2, 1], paddingMode: 'reflect' }),
    [1, 4, 5],
    [2, 6, 5],
  ],
  [
    'Conv2d, the same size with a circular border',
    () => new nn.Conv2d(2, 2, [2, 3], { padding: 'same', paddingMode: 'circular' }),
    [1, 2, 4, 3],
    [1, 2, 4, 3],
  ],
  [
    'Conv2d, replicating no border',
    () => new nn.Conv2d(2, 2, 2, { padding: 'valid', paddingMode: 'replicate' }),
    [1, 2, 3, 3],
    [1, 2, 2, 2],
  ],
  ['Conv3d', () => new nn.Conv3d(1, 2, 2, { stride: 2, padding: 1 }), [1, 1, 2, 3, 4], [1, 2, 2, 2, 3]],
  [
    'ConvTranspose1d',
    () => new nn.ConvTranspose1d(3, 2, 4, { stride: 3, padding: 1, outputPadding: 2, dilation: 2 }),
    [2, 3, 4],
    [2, 2, 16],
  ],
  [
    'ConvTranspose2d',
    () => new nn.ConvTranspose2d(4, 2, [2, 3], { stride: [2, 1], groups: 2, bias: false }),
    [4, 3, 2],
    [2, 6, 4],
  ],
  ['ConvTranspose3d', () => new nn.ConvTranspose3d(2, 1, 2), [1, 2, 1, 2, 2], [1, 1, 2, 3, 3]],
];

describe.each(devices)('convolutional layers on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  it.each(LAYERS)(
    '%s gives outputs of the right shape, a state that comes back, and leaves nothing',
    async (_, make, input, output) => {
      await clean(device, async () => {
        const layer = tl.tidy(make);
        const other = tl.tidy(make);
        const x = tl.randn(input);
        const forward = async (of: tl.nn.Module): Promise<number[]> => {
          const y = of.forward(x);
          expect(y.shape).toEqual(output);
          const values = Array.from(await y.data());
          y.dispose();
          return values;
        };
        const before = await forward(layer);
        expect(await forward(other)).not.toEqual(before);
        expect(other.loadStateDict(layer.stateDict())).toEqual({ missing: [], unexpected: [] });
        expect(await forward(other)).toEqual(before);
        layer.eval();
        expect(await forward(layer)).toEqual(before);
        for (const thing of [layer, other, x]) thing.dispose();
      });
    },
  );
});

describe('convolutional layers', () => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await tl.init({ device: 'reference', precision: 'float64' });
  });
  afterAll(() => {
    device.destroy();
  });

  it.each(LAYERS)('%s has gradients of first and second order', async (_, make, input) => {
    await clean(device, async () => {
      const layer = tl.tidy(make);
      const x = tl.randn(input);
      // The parameters are inputs, so that they are checked as well.
      const own = layer.namedParameters();
      const set = (values: readonly Tensor[]): unknown =>
        Object.assign(layer, Object.fromEntries(own.map(([path], i) => [path, values[i]])));
      const call = (image: Tensor, ...values: Tensor[]): Tensor => {
        set(values);
        return layer.forward(image);
      };
      const inputs = [x, ...own.map(([, p]) => p)];
      await tl.gradcheck((image, ...values) => call(image!, ...values), inputs);
      await tl.gradgradcheck((image, ...values) => call(image!, ...values), inputs);
      set(inputs.slice(1));
      layer.dispose();
      x.dispose();
    });
  });

  it("has PyTorch's names, shapes and ranges of parameters", async () => {
    await clean(device, async () => {
      const shapes = (layer: tl.nn.Module): unknown => {
        const list = layer.namedParameters().map(([path, p]) => [path, p.shape]);
        layer.dispose();
        return list;
      };
      expect(shapes(new nn.Conv2d(4, 6, [3, 5], { groups: 2 }))).toEqual([
        ['weight', [6, 2, 3, 5]],
        ['bias', [6]],
      ]);
      expect(shapes(new nn.ConvTranspose2d(4, 6, [3, 5], { groups: 2 }))).toEqual([
        ['weight', [4, 3, 3, 5]],
        ['bias', [6]],
      ]);
      expect(shapes(new nn.Conv3d(1, 2, 3, { bias: false }))).toEqual([['weight', [2, 1, 3, 3, 3]]]);
      for (const [layer, fan] of [
        [new nn.Conv2d(8, 64, 3), 8 * 9],
        [new nn.ConvTranspose2d(64, 8, 3), 8 * 9],
      ] as const) {
        const bound = 1 / Math.sqrt(fan);
        const weights = Array.from(await layer.weight.data());
        const largest = Math.max(...weights.map(Math.abs));
        expect(largest).toBeLessThanOrEqual(bound);
        expect(largest).toBeGreaterThan(0.95 * bound);
        expect(Math.abs(weights.reduce((sum, w) => sum + w, 0) / weights.length)).toBeLessThan(0.05 * bound);
        for (const b of await layer.bias!.data()) expect(Math.abs(b)).toBeLessThanOrEqual(bound);
        layer.dispose();
      }
    });
  });

  it('pads as pad does', async () => {
    await clean(device, async () => {
      const layer = new nn.Conv1d(1, 1, 4, { padding: 'same', paddingMode: 'circular', bias: false });
      const [got, want] = tl.tidy(() => {
        const x = tl.arange(6).reshape([1, 1, 6]);
        return [layer.forward(x), F.conv1d(x.pad([1, 2], { mode: 'circular' }), layer.weight)];
      });
      expect(Array.from(await got!.data())).toEqual(Array.from(await want!.data()));
      for (const t of [layer, got!, want!]) t.dispose();
    });
  });

  it('shows its sizes', () => {
    const layers = [
      new nn.Conv2d(3, 8, 3, { padding: 'same', paddingMode: 'reflect' }),
      new nn.ConvTranspose1d(3, 8, 4, { stride: 2, bias: false }),
    ];
    expect(layers.map(String)).toEqual([
      'Conv2d(3, 8, kernelSize=[3, 3], stride=[1, 1], padding=same, dilation=[1, 1], groups=1, bias=true, paddingMode=reflect)',
      'ConvTranspose1d(3, 8, kernelSize=[4], stride=[2], padding=[0], dilation=[1], groups=1, bias=false, outputPadding=[0])',
    ]);
    for (const layer of layers) layer.dispose();
  });

  const x = (...shape: number[]): Tensor => tl.ones(shape);
  it.each<[string, () => unknown, new (...args: never[]) => Error, RegExp]>([
    ['no channels', () => new nn.Conv2d(0, 4, 3), tl.ShapeError, /Conv2d: number 0 channels or groups/],
    [
      'groups',
      () => new nn.Conv2d(4, 6, 3, { groups: 4 }),
      tl.ShapeError,
      /Conv2d: 4 and 6 channels do not divide into 4 groups/,
    ],
    ['kernel size', () => new nn.Conv2d(4, 6, [3]), tl.ShapeError, /Conv2d: kernelSize .*one for each of the 2 dims/],
    ['kernel of nothing', () => new nn.Conv1d(4, 6, 0), tl.ShapeError, /Conv1d: kernelSize is number 0/],
    ['strides', () => new nn.Conv1d(1, 1, 2, { stride: [1, 2] }), tl.ShapeError, /Conv1d: stride .*list of one/],
    [
      'same with strides',
      () => new nn.Conv2d(1, 1, 2, { padding: 'same', stride: 2 }),
      tl.UnsupportedError,
      /Conv2d: padding 'same' goes with stride 1 only/,
    ],
    [
      'padding mode',
      () => new nn.Conv2d(1, 1, 2, { paddingMode: 'mirror' as 'reflect' }),
      tl.UnsupportedError,
      /Conv2d: paddingMode is .*use 'zeros', 'reflect', 'replicate' or 'circular'/,
    ],
    ['unknown option', () => new nn.Conv2d(1, 1, 2, { outputPadding: 1 } as object), tl.UnsupportedError, /Conv2d/],
    [
      'other channels',
      () => tl.tidy(() => new nn.Conv2d(3, 4, 2).forward(x(1, 2, 4, 4))),
      tl.ShapeError,
      /Conv2d: the input \[1, 2, 4, 4\] must have 4 dims, or 3 without a batch, with the layer's 3 channels/,
    ],
    [
      'a border wider than what it reflects',
      () => tl.tidy(() => new nn.Conv1d(1, 1, 2, { padding: 3, paddingMode: 'reflect' }).forward(x(1, 1, 3))),
      tl.ShapeError,
      /mode reflect cannot add 3/,
    ],
    [
      'output padding',
      () => F.convTranspose2d(x(1, 1, 2, 2), x(1, 1, 2, 2), null, { stride: 2, outputPadding: 2 }),
      tl.ShapeError,
      /convTranspose2d: outputPadding \[2, 2\] must be less than the stride \[2, 2\] or the dilation/,
    ],
    [
      'a transposed convolution that cuts off everything',
      () => F.convTranspose1d(x(1, 1, 2), x(1, 1, 2), null, { padding: 2 }),
      tl.ShapeError,
      /convTranspose1d: .* do not fit: the result would be of size \[-1\]/,
    ],
    [
      'weights of other channels',
      () => F.convTranspose1d(x(1, 3, 2), x(2, 1, 2)),
      tl.ShapeError,
      /convTranspose1d: .* there must be 2 channels, and channels that divide by 1/,
    ],
    [
      'a matrix as a volume',
      () => F.conv3d(x(2, 2), x(1, 1, 1, 1, 1)),
      tl.ShapeError,
      /conv3d: .*\[N, C, D, H, W\] or \[C, D, H, W\] and \[O, C \/ groups, kD, kH, kW\]/,
    ],
    ['integers', () => F.conv1d(tl.ones([1, 1, 3], { dtype: 'int32' }), x(1, 1, 2)), tl.DTypeError, /conv1d/],
  ])('refuses %s', (_, run, error, says) => {
    refuses(run, error, says);
  });
});

/** Bytes of the buffers of a plan, by what `explain` says of it. */
function planned(text: string): { kernels: number; bytes: number } {
  const [, kernels, size, unit] = /^(\d+) kernels?, \d+ buffers? of ([\d.]+) (B|kB|MB)/.exec(text) ?? [];
  const scale = { B: 1, kB: 1e3, MB: 1e6 }[(unit ?? '') as 'B'];
  if (scale === undefined) throw new Error(`no plan: ${text}`);
  return { kernels: Number(kernels), bytes: Number(size) * scale };
}

describe('the plans of convolutions', () => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open('reference');
  });
  afterAll(() => {
    device.destroy();
  });

  const N = 2;
  const [C, O, S, K] = [8, 16, 20, 5];
  const image = N * C * S * S * 4;
  const columns = image * K * K;
  const all = (options: tl.nn.functional.ConvOptions, order: 1 | 2): string =>
    tl.tidy(() => {
      const [x, w] = [tl.rand([N, C, S, S]), tl.rand([O, C / (options.groups ?? 1), K, K])];
      device.engine.flush();
      const loss = (a: Tensor, b: Tensor): Tensor => F.conv2d(a, b, null, options).square().sum();
      const first = (a: Tensor, b: Tensor): Tensor[] => [...tl.grad(loss)(a, b)];
      const results =
        order === 1
          ? first(x, w)
          : [
              ...tl.grad((a: Tensor, b: Tensor) =>
                first(a, b).reduce((sum, g) => sum.add(g.square().sum()), tl.tensor(0)),
              )(x, w),
            ];
      const joined = tl.cat(
        results.map((r) => r.reshape([-1])),
        0,
      );
      return tl.explain(joined);
    });

  it.each([
    ['plain', {}],
    ['padded', { padding: 2 }],
    ['with strides', { stride: 2, padding: 1 }],
    ['dilated', { dilation: 2, padding: 4 }],
    ['in groups', { groups: 4, padding: 2 }],
  ] satisfies [string, tl.nn.functional.ConvOptions][])('hold no windows side by side: %s', (_, options) => {
    for (const order of [1, 2] as const) {
      const { kernels, bytes } = planned(all(options, order));
      expect(kernels).toBeGreaterThan(3);
      // Several images and results, with borders; the windows side by side are 25 images.
      expect(bytes, `order ${order}`).toBeLessThan(order === 1 ? columns / 2 : columns);
    }
  });

  it.each([
    ['convolution', false],
    ['transposed convolution', true],
  ])('keep images and kernels of a %s for the reverse pass, and no copy with a border', async (_, transposed) => {
    await clean(device, () => {
      const x = tl.rand([N, C, S, S]);
      const w = tl.rand(transposed ? [C, O, K, K] : [O, C, K, K]);
      for (const t of [x, w]) t.requiresGrad = true;
      device.engine.flush();
      const before = tl.memory(device).bytes;
      const y = transposed ? F.convTranspose2d(x, w, null, { padding: 2 }) : F.conv2d(x, w, null, { padding: 2 });
      device.engine.flush();
      expect(tl.memory(device).bytes - before).toBe(4 * y.size);
      for (const t of [x, w, y]) t.dispose();
    });
  });

  it('are one kernel with the bias and what follows it, and one more for a border', () => {
    const plan = (options: tl.nn.functional.ConvOptions, transposed = false): string =>
      tl.tidy(() => {
        const x = tl.rand([N, C, S, S]);
        const w = tl.rand(transposed ? [C, O, K, K] : [O, C / (options.groups ?? 1), K, K]);
        const b = tl.rand([O]);
        device.engine.flush();
        return tl.explain((transposed ? F.convTranspose2d(x, w, b) : F.conv2d(x, w, b, options)).relu());
      });
    expect(planned(plan({})).kernels).toBe(1);
    expect(planned(plan({ stride: 3, dilation: 2 })).kernels).toBe(1);
    expect(planned(plan({ padding: 1 })).kernels).toBe(2);
    expect(planned(plan({}, true)).kernels).toBe(2);
    expect(plan({})).toMatch(/matmul 2x\[16 16x16 k=8x5x5\]: out = max\(\(r0 \+ in2\), 0\)/);
  });
});
