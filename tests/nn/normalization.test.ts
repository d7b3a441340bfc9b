import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, type Refusal, refuses, tl } from '../setup/open.ts';
import { spread, testLayers } from './layer.ts';

type Tensor = tl.Tensor;
const { nn } = tl;
const F = nn.functional;

const affine = { weight: [3], bias: [3] };
const statistics = { running_mean: [3], running_var: [3], num_batches_tracked: [] };

testLayers('normalisation', [
  {
    text: 'LayerNorm([2, 3], eps=0.00001, elementwiseAffine=true)',
    make: () => new nn.LayerNorm([2, 3]),
    inputs: [[4, 2, 3]],
    output: [4, 2, 3],
    state: { weight: [2, 3], bias: [2, 3] },
  },
  {
    text: 'LayerNorm([5], eps=0.1, elementwiseAffine=true)',
    make: () => new nn.LayerNorm(5, { eps: 0.1, bias: false }),
    inputs: [[2, 5]],
    output: [2, 5],
    state: { weight: [5] },
  },
  {
    text: 'LayerNorm([5], eps=0.00001, elementwiseAffine=false)',
    make: () => new nn.LayerNorm(5, { elementwiseAffine: false }),
    inputs: [[2, 5]],
    output: [2, 5],
  },
  {
    text: 'RMSNorm([5], eps=null, elementwiseAffine=true)',
    make: () => new nn.RMSNorm(5),
    inputs: [[2, 5]],
    output: [2, 5],
    state: { weight: [5] },
  },
  {
    text: 'GroupNorm(2, 4, eps=0.00001, affine=true)',
    make: () => new nn.GroupNorm(2, 4),
    inputs: [[2, 4, 3]],
    output: [2, 4, 3],
    state: { weight: [4], bias: [4] },
  },
  {
    text: 'InstanceNorm1d(3, eps=0.00001, affine=false)',
    make: () => new nn.InstanceNorm1d(3),
    inputs: [[2, 3, 5]],
    output: [2, 3, 5],
  },
  {
    text: 'InstanceNorm1d(3, eps=0.1, affine=false)',
    make: () => new nn.InstanceNorm1d(3, { eps: 0.1 }),
    inputs: [[3, 5]],
    output: [3, 5],
  },
  {
    text: 'InstanceNorm2d(3, eps=0.00001, affine=true)',
    make: () => new nn.InstanceNorm2d(3, { affine: true }),
    inputs: [[2, 3, 2, 3]],
    output: [2, 3, 2, 3],
    state: affine,
  },
  {
    text: 'BatchNorm1d(3, eps=0.00001, momentum=0.1, affine=true, trackRunningStats=true)',
    make: () => new nn.BatchNorm1d(3),
    inputs: [[4, 3]],
    output: [4, 3],
    state: { ...affine, ...statistics },
  },
  {
    text: 'BatchNorm1d(3, eps=0.1, momentum=null, affine=false, trackRunningStats=true)',
    make: () => new nn.BatchNorm1d(3, { affine: false, eps: 0.1, momentum: null }),
    inputs: [[2, 3, 4]],
    output: [2, 3, 4],
    state: statistics,
  },
  {
    text: 'BatchNorm2d(3, eps=0.00001, momentum=0.1, affine=true, trackRunningStats=false)',
    make: () => new nn.BatchNorm2d(3, { trackRunningStats: false }),
    inputs: [[2, 3, 2, 3]],
    output: [2, 3, 2, 3],
    state: affine,
  },
  {
    text: 'BatchNorm3d(3, eps=0.00001, momentum=0.5, affine=true, trackRunningStats=true)',
    make: () => new nn.BatchNorm3d(3, { momentum: 0.5 }),
    inputs: [[2, 3, 1, 2, 2]],
    output: [2, 3, 1, 2, 2],
    state: { ...affine, ...statistics },
  },
]);

const x = (...shape: number[]): Tensor => tl.ones(shape);
const BAD: readonly Refusal[] = [
  [
    'batchNorm of a vector',
    () => F.batchNorm(x(3), null, null, { training: true }),
    tl.ShapeError,
    /^batchNorm: the input \[3\] must be of shape \[N, C\]/,
  ],
  [
    'batchNorm with a weight of another size',
    () => F.batchNorm(x(2, 3), null, null, { training: true, weight: x(2) }),
    tl.ShapeError,
    /^batchNorm: weight \[2\] must be of shape \[3\], one for each channel of \[2, 3\]/,
  ],
  [
    'batchNorm with statistics of another size',
    () => F.batchNorm(x(2, 3), x(2), x(3)),
    tl.ShapeError,
    /^batchNorm: runningMean \[2\] must be of shape \[3\]/,
  ],
  [
    'batchNorm without statistics',
    () => F.batchNorm(x(2, 3)),
    tl.UnsupportedError,
    /^batchNorm: there are no running statistics; give both, or none in training/,
  ],
  [
    'batchNorm with half of the statistics',
    () => F.batchNorm(x(2, 3), x(3), null, { training: true }),
    tl.UnsupportedError,
    /^batchNorm: one of runningMean and runningVar is missing/,
  ],
  [
    'batchNorm of one element a channel',
    () => F.batchNorm(x(1, 3), null, null, { training: true }),
    tl.ShapeError,
    /^batchNorm: \[1, 3\] has one element a channel, whose deviation is 0/,
  ],
  [
    'batchNorm of integers',
    () => F.batchNorm(x(2, 3).to('int32'), null, null, { training: true }),
    tl.DTypeError,
    /^batchNorm: needs a floating tensor, got int32/,
  ],
  [
    'groupNorm in groups that do not divide',
    () => F.groupNorm(x(2, 4, 3), 3),
    tl.ShapeError,
    /^groupNorm: 4 channels of \[2, 4, 3\] do not divide into 3 groups/,
  ],
  ['groupNorm in no groups', () => F.groupNorm(x(2, 4), 0), tl.ShapeError, /^groupNorm: numGroups is number 0/],
  [
    'instanceNorm of one element',
    () => F.instanceNorm(x(2, 3, 1)),
    tl.ShapeError,
    /^instanceNorm: \[2, 3, 1\] has one element a channel/,
  ],
  ['instanceNorm of a matrix', () => F.instanceNorm(x(2, 3)), tl.ShapeError, /must be of shape \[N, C, …\]/],
  [
    'instanceNorm with running statistics',
    () => F.instanceNorm(x(2, 3, 4), { momentum: 0.1 } as never),
    tl.UnsupportedError,
    /^instanceNorm: there is no option momentum/,
  ],
  [
    'rmsNorm of another shape',
    () => F.rmsNorm(x(2, 3), [2]),
    tl.ShapeError,
    /^rmsNorm: the normalized shape \[2\] must be that of the last dims of \[2, 3\]/,
  ],
  [
    'rmsNorm with a bias',
    () => F.rmsNorm(x(2, 3), 3, { bias: x(3) } as never),
    tl.UnsupportedError,
    /^rmsNorm: there is no option bias/,
  ],
  ['normalize along no dim', () => F.normalize(x(3)), tl.IndexError, /^normalize: dim 1 is out of range/],
  [
    'normalize of bools',
    () => F.normalize(x(1, 3).to('bool')),
    tl.DTypeError,
    /^normalize: needs a floating tensor, got bool/,
  ],
  [
    'cosineSimilarity of shapes that do not broadcast',
    () => F.cosineSimilarity(x(2, 3), x(2, 4)),
    tl.ShapeError,
    /^cosineSimilarity: shapes \[2, 3\] and \[2, 4\] do not broadcast/,
  ],
  ['BatchNorm1d of nothing', () => new nn.BatchNorm1d(0), tl.ShapeError, /^BatchNorm1d: numFeatures is number 0/],
  [
    'BatchNorm1d with a momentum that is none',
    () => new nn.BatchNorm1d(3, { momentum: '0.1' as never }),
    tl.DTypeError,
    /^BatchNorm1d: momentum is string 0\.1, but it must be a number/,
  ],
  [
    'GroupNorm in groups that do not divide',
    () => new nn.GroupNorm(3, 4),
    tl.ShapeError,
    /^GroupNorm: 4 channels do not divide into 3 groups/,
  ],
  [
    'InstanceNorm2d with running statistics',
    () => new nn.InstanceNorm2d(3, { trackRunningStats: true } as never),
    tl.UnsupportedError,
    /^InstanceNorm2d: there is no option trackRunningStats/,
  ],
  ['LayerNorm over no dims', () => new nn.LayerNorm([]), tl.ShapeError, /^LayerNorm: the normalized shape is \[\]/],
  [
    'LayerNorm with an eps that is none',
    () => new nn.LayerNorm(3, { eps: NaN }),
    tl.DTypeError,
    /^LayerNorm: eps is number NaN, but it must be a number/,
  ],
  [
    'RMSNorm with a flag that is none',
    () => new nn.RMSNorm(3, { elementwiseAffine: 1 as never }),
    tl.UnsupportedError,
    /elementwiseAffine is number 1/,
  ],
];

const list = async (t: Tensor | null): Promise<number[]> => Array.from(await t!.data());
const near = (values: readonly number[]): unknown[] => values.map((v) => expect.closeTo(v, 5));

describe.each(devices)('normalisation on %s', (name) => {
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

  it('refuses inputs of other shapes', async () => {
    await clean(device, () => {
      const [images, features, instances] = [new nn.BatchNorm2d(4), new nn.BatchNorm1d(3), new nn.InstanceNorm2d(3)];
      const input = tl.ones([2, 3, 2, 2]);
      expect(() => images.forward(input)).toThrow(
        /^BatchNorm2d: the input \[2, 3, 2, 2\] must have 4 dims, with 4 channels in dim 1/,
      );
      expect(() => features.forward(input)).toThrow(/^BatchNorm1d: .* must have 3 or 2 dims, with 3 channels in dim 1/);
      const volume = tl.ones([2, 2, 2]);
      expect(() => instances.forward(volume)).toThrow(/must have 4 or 3 dims, with 3 channels in dim 0/);
      for (const t of [images, features, instances, input, volume]) t.dispose();
    });
  });

  it('keeps running statistics in training mode, and uses them in evaluation mode', async () => {
    await clean(device, async () => {
      const norm = new nn.BatchNorm1d(2, { momentum: 0.25, eps: 0 });
      const batch = tl.tensor([
        [1, 10],
        [3, 30],
        [5, 20],
      ]);
      const y = tl.tidy(() => norm.forward(batch));
      const deviation = Math.sqrt(8 / 3);
      const [a, b] = [2 / deviation, 10 / (10 * Math.sqrt(2 / 3))];
      expect(await list(y)).toEqual(near([-a, -b, 0, b, a, 0]));
      expect(await list(norm.runningMean)).toEqual(near([0.75, 5]));
      // Of the batch the corrected variance: 4 and 100.
      expect(await list(norm.runningVar)).toEqual(near([0.75 + 1, 0.75 + 25]));
      expect(await list(norm.numBatchesTracked)).toEqual([1]);
      norm.eval();
      const z = norm.forward(batch);
      expect(await list(z)).toEqual(
        near([1, 10, 3, 30, 5, 20].map((v, i) => (v - [0.75, 5][i % 2]!) / Math.sqrt([1.75, 25.75][i % 2]!))),
      );
      expect(await list(norm.numBatchesTracked)).toEqual([1]);
      // A failed call changes nothing.
      norm.train();
      const single = tl.tensor([[1, 2]]);
      expect(() => norm.forward(single)).toThrow(tl.ShapeError);
      expect(await list(norm.numBatchesTracked)).toEqual([1]);
      expect(await list(norm.runningMean)).toEqual(near([0.75, 5]));
      for (const t of [norm, batch, single, y, z]) t.dispose();
    });
  });

  it('takes the mean over all batches without a momentum', async () => {
    await clean(device, async () => {
      const norm = new nn.BatchNorm1d(1, { momentum: null });
      for (const level of [0, 3, 6]) tl.tidy(() => void norm.forward(tl.tensor([[level - 1], [level + 1]])));
      expect(await list(norm.numBatchesTracked)).toEqual([3]);
      expect(await list(norm.runningMean)).toEqual(near([3]));
      expect(await list(norm.runningVar)).toEqual(near([2]));
      norm.dispose();
    });
  });

  it("loads PyTorch's state as it is", async () => {
    await clean(device, async () => {
      const model = new nn.Sequential(new nn.BatchNorm2d(2), new nn.ReLU());
      const state = tl.tidy(() => ({
        '0.weight': tl.tensor([1, 2]),
        '0.bias': tl.tensor([0.5, -0.5]),
        '0.running_mean': tl.tensor([1, -1]),
        '0.running_var': tl.tensor([4, 9]),
        '0.num_batches_tracked': tl.tensor(7, { dtype: 'int32' }),
      }));
      expect(model.loadStateDict(state)).toEqual({ missing: [], unexpected: [] });
      expect(model.namedBuffers().map(([key]) => key)).toEqual([
        '0.running_mean',
        '0.running_var',
        '0.num_batches_tracked',
      ]);
      model.eval();
      const y = tl.tidy(() => model.forward(tl.tensor([3, 2], { shape: [1, 2, 1, 1] })));
      expect(await list(y)).toEqual(near([1.5, 1.5]));
      y.dispose();
      for (const t of [model, ...Object.values(state)]) t.dispose();
    });
  });

  it('trains in a scope: running statistics outlive it, and memory does not grow', async () => {
    await clean(device, async () => {
      tl.manualSeed(5);
      const model = new nn.Sequential(new nn.Linear(3, 4), new nn.BatchNorm1d(4), new nn.Tanh(), new nn.Linear(4, 1));
      const adam = new tl.optim.Adam(model.parameters(), { lr: 0.05 });
      const [input, target] = tl.tidy(() => [spread([8, 3]), spread([8, 1])]);
      const losses: number[] = [];
      const bytes: number[] = [];
      for (let step = 0; step < 6; step++) {
        const loss = adam.minimize(() => F.mseLoss(model.forward(input!), target!));
        losses.push(await loss.item());
        bytes.push(tl.memory(device).bytes);
      }
      expect(losses[5]).toBeLessThan(losses[0]!);
      expect(bytes[5]).toBe(bytes[2]);
      expect(await list((model[1] as tl.nn.BatchNorm1d).numBatchesTracked)).toEqual([6]);
      for (const t of [adam, model, input!, target!]) t.dispose();
    });
  });

  it('normalises without cancellation, far from 0', async () => {
    await clean(device, async () => {
      const far = tl.tensor([10000, 10001, 10002]);
      const root = Math.sqrt(1.5);
      const results = tl.tidy(() => [
        F.batchNorm(far.reshape([3, 1]), null, null, { training: true, eps: 0 }),
        F.groupNorm(far.reshape([1, 3]), 1, { eps: 0 }),
        F.instanceNorm(far.reshape([1, 1, 3]), { eps: 0 }),
      ]);
      for (const y of results) {
        for (const [i, v] of (await list(y)).entries()) expect(v).toBeCloseTo([-root, 0, root][i]!, 3);
        y.dispose();
      }
      far.dispose();
    });
  });

  it('gives zeros for zeros where it divides by a norm', async () => {
    await clean(device, async () => {
      const results = tl.tidy(() => {
        const zero = tl.zeros([1, 3], { requiresGrad: true });
        const y = F.normalize(zero);
        const c = F.cosineSimilarity(zero, tl.ones([1, 3]));
        return [y.detach(), c.detach(), ...tl.grad([y.sum().mul(0).add(c.sum())], [zero]), F.rmsNorm(zero, 3).detach()];
      });
      const [y, c, g, r] = await Promise.all(results.map(list));
      expect(y).toEqual([0, 0, 0]);
      expect(c).toEqual([0]);
      // The norm is held at 1e-8, so the slope is that of a line.
      expect(g!.every((v) => v > 1e7 && Number.isFinite(v))).toBe(true);
      expect(r).toEqual([0, 0, 0]);
      for (const t of results) t.dispose();
    });
  });

  it('keeps the elements and two numbers a row for the gradient, and no more', async () => {
    await clean(device, async () => {
      const [input, weight] = tl.tidy(() => [spread([16, 256]).mul(1), spread([256]).mul(1)]) as [Tensor, Tensor];
      input.requiresGrad = true;
      weight.requiresGrad = true;
      await device.sync();
      const before = tl.memory(device).bytes;
      const y = F.layerNorm(input, 256, { weight });
      await device.sync();
      expect(tl.memory(device).bytes - before - 4 * y.size).toBeLessThanOrEqual(1024);
      for (const t of [input, weight, y]) t.dispose();
    });
  });

  it('makes one kernel of a normalisation, and one of its gradient', async () => {
    await clean(device, () => {
      tl.tidy(() => {
        const image = tl.ones([4, 6, 3, 3], { requiresGrad: true });
        const [weight, bias] = [tl.ones([6]), tl.zeros([6])];
        const [w, b] = [tl.ones([6], { requiresGrad: true }), tl.zeros([6], { requiresGrad: true })];
        device.engine.flush();
        const batch = (v: Tensor): Tensor => F.batchNorm(v, null, null, { weight, bias, training: true });
        expect(tl.explain(tl.noGrad(() => batch(image)))).toMatch(/^1 kernel/);
        expect(tl.explain(tl.grad([batch(image).square().sum()], [image])[0]!)).toMatch(/^1 kernel/);
        const group = (v: Tensor): Tensor => F.groupNorm(v, 2, { weight, bias });
        expect(tl.explain(tl.noGrad(() => group(image)))).toMatch(/^1 kernel/);
        const trained = F.batchNorm(image, null, null, { weight: w, bias: b, training: true });
        expect(tl.explain(tl.grad([trained.square().sum()], [w])[0]!)).toMatch(/^1 kernel/);
      });
    });
  });
});
