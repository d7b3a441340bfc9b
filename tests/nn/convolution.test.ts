import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clean, open, refuses, tl } from '../setup/open.ts';
import { testLayers } from './layer.ts';

type Tensor = tl.Tensor;
const { nn } = tl;
const F = nn.functional;

testLayers('convolutional layers', [
  {
    text: 'Conv1d(2, 4, kernelSize=[3], stride=[1], padding=[0], dilation=[1], groups=1, bias=true)',
    make: () => new nn.Conv1d(2, 4, 3),
    inputs: [[2, 2, 9]],
    output: [2, 4, 7],
    state: { weight: [4, 2, 3], bias: [4] },
  },
  {
    text: 'Conv1d(2, 3, kernelSize=[4], stride=[1], padding=same, dilation=[2], groups=1, bias=true)',
    make: () => new nn.Conv1d(2, 3, 4, { padding: 'same', dilation: 2 }),
    inputs: [[2, 9]],
    output: [3, 9],
    state: { weight: [3, 2, 4], bias: [3] },
  },
  {
    text: 'Conv2d(4, 6, kernelSize=[3, 2], stride=[2, 1], padding=[1, 0], dilation=[1, 1], groups=2, bias=false)',
    make: () => new nn.Conv2d(4, 6, [3, 2], { stride: [2, 1], padding: [1, 0], groups: 2, bias: false }),
    inputs: [[2, 4, 5, 6]],
    output: [2, 6, 3, 5],
    state: { weight: [6, 2, 3, 2] },
  },
  {
    text: 'Conv2d(1, 2, kernelSize=[3, 3], stride=[1, 1], padding=[2, 1], dilation=[1, 1], groups=1, bias=true, paddingMode=reflect)',
    make: () => new nn.Conv2d(1, 2, 3, { padding: [2, 1], paddingMode: 'reflect' }),
    inputs: [[1, 4, 5]],
    output: [2, 6, 5],
    state: { weight: [2, 1, 3, 3], bias: [2] },
  },
  {
    text: 'Conv2d(2, 2, kernelSize=[2, 3], stride=[1, 1], padding=same, dilation=[1, 1], groups=1, bias=true, paddingMode=circular)',
    make: () => new nn.Conv2d(2, 2, [2, 3], { padding: 'same', paddingMode: 'circular' }),
    inputs: [[1, 2, 4, 3]],
    output: [1, 2, 4, 3],
    state: { weight: [2, 2, 2, 3], bias: [2] },
  },
  {
    text: 'Conv2d(2, 2, kernelSize=[2, 2], stride=[1, 1], padding=valid, dilation=[1, 1], groups=1, bias=true, paddingMode=replicate)',
    make: () => new nn.Conv2d(2, 2, 2, { padding: 'valid', paddingMode: 'replicate' }),
    inputs: [[1, 2, 3, 3]],
    output: [1, 2, 2, 2],
    state: { weight: [2, 2, 2, 2], bias: [2] },
  },
  {
    text: 'Conv3d(1, 2, kernelSize=[2, 2, 2], stride=[2, 2, 2], padding=[1, 1, 1], dilation=[1, 1, 1], groups=1, bias=true)',
    make: () => new nn.Conv3d(1, 2, 2, { stride: 2, padding: 1 }),
    inputs: [[1, 1, 2, 3, 4]],
    output: [1, 2, 2, 2, 3],
    state: { weight: [2, 1, 2, 2, 2], bias: [2] },
  },
  {
    text: 'ConvTranspose1d(3, 2, kernelSize=[4], stride=[3], padding=[1], dilation=[2], groups=1, bias=true, outputPadding=[2])',
    make: () => new nn.ConvTranspose1d(3, 2, 4, { stride: 3, padding: 1, outputPadding: 2, dilation: 2 }),
    inputs: [[2, 3, 4]],
    output: [2, 2, 16],
    state: { weight: [3, 2, 4], bias: [2] },
  },
  {
    text: 'ConvTranspose2d(4, 2, kernelSize=[2, 3], stride=[2, 1], padding=[0, 0], dilation=[1, 1], groups=2, bias=false, outputPadding=[0, 0])',
    make: () => new nn.ConvTranspose2d(4, 2, [2, 3], { stride: [2, 1], groups: 2, bias: false }),
    inputs: [[4, 3, 2]],
    output: [2, 6, 4],
    state: { weight: [4, 1, 2, 3] },
  },
  {
    text: 'ConvTranspose3d(2, 1, kernelSize=[2, 2, 2], stride=[1, 1, 1], padding=[0, 0, 0], dilation=[1, 1, 1], groups=1, bias=true, outputPadding=[0, 0, 0])',
    make: () => new nn.ConvTranspose3d(2, 1, 2),
    inputs: [[1, 2, 1, 2, 2]],
    output: [1, 1, 2, 3, 3],
    state: { weight: [2, 1, 2, 2, 2], bias: [1] },
  },
]);

describe('convolutional layers', () => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await tl.init({ device: 'reference', precision: 'float64' });
  });
  afterAll(() => {
    device.destroy();
  });

  it("has parameters of PyTorch's ranges", async () => {
    await clean(device, async () => {
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
