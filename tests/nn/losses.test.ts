import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, type Refusal, refuses, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;
const { nn } = tl;
const F = nn.functional;
const i32 = { dtype: 'int32' } as const;

const labels = (...values: number[]): Tensor => tl.tensor(values, i32);
const ones = (...shape: number[]): Tensor => tl.ones(shape);

/** What the tensor holds, which is disposed. */
async function given(x: Tensor): Promise<tl.NestedArray> {
  try {
    return await x.toArray();
  } finally {
    x.dispose();
  }
}

/** A module, the function it stands for with the same options, and inputs. */
const MODULES: readonly (readonly [
  name: string,
  make: () => tl.nn.AnyModule,
  call: (...inputs: Tensor[]) => Tensor,
  inputs: () => Tensor[],
  buffers?: readonly string[],
])[] = (() => {
  const x = (): Tensor => tl.tensor([0.5, -1, 2, 0.25, 0.75, -3], { shape: [2, 3] });
  const p = (): Tensor => tl.tensor([0.5, 0.1, 0.9, 0.25, 0.75, 0.3], { shape: [2, 3] });
  const sign = (): Tensor => tl.tensor([1, -1]);
  const w = (): Tensor => tl.tensor([1, 2, 0.5]);
  return [
    [
      'MSELoss',
      () => new nn.MSELoss({ reduction: 'none' }),
      (a, b) => F.mseLoss(a!, b!, { reduction: 'none' }),
      () => [x(), p()],
    ],
    ['L1Loss', () => new nn.L1Loss(), (a, b) => F.l1Loss(a!, b!), () => [x(), p()]],
    [
      'SmoothL1Loss',
      () => new nn.SmoothL1Loss({ beta: 0.5 }),
      (a, b) => F.smoothL1Loss(a!, b!, { beta: 0.5 }),
      () => [x(), p()],
    ],
    [
      'HuberLoss',
      () => new nn.HuberLoss({ delta: 0.5 }),
      (a, b) => F.huberLoss(a!, b!, { delta: 0.5 }),
      () => [x(), p()],
    ],
    [
      'PoissonNLLLoss',
      () => new nn.PoissonNLLLoss({ full: true }),
      (a, b) => F.poissonNllLoss(a!, b!, { full: true }),
      () => [x(), p()],
    ],
    [
      'GaussianNLLLoss',
      () => new nn.GaussianNLLLoss({ reduction: 'sum' }),
      (a, b, c) => F.gaussianNllLoss(a!, b!, c!, { reduction: 'sum' }),
      () => [x(), p(), p()],
    ],
    [
      'BCELoss',
      () => new nn.BCELoss({ weight: w() }),
      (a, b) => F.binaryCrossEntropy(a!, b!, { weight: w() }),
      () => [p(), p()],
      ['weight'],
    ],
    [
      'BCEWithLogitsLoss',
      () => new nn.BCEWithLogitsLoss({ posWeight: w(), weight: w() }),
      (a, b) => F.binaryCrossEntropyWithLogits(a!, b!, { posWeight: w(), weight: w() }),
      () => [x(), p()],
      ['weight', 'pos_weight'],
    ],
    [
      'NLLLoss',
      () => new nn.NLLLoss({ ignoreIndex: 1 }),
      (a, b) => F.nllLoss(a!, b!, { ignoreIndex: 1 }),
      () => [x(), labels(0, 1)],
    ],
    [
      'CrossEntropyLoss',
      () => new nn.CrossEntropyLoss({ weight: w(), labelSmoothing: 0.1 }),
      (a, b) => F.crossEntropy(a!, b!, { weight: w(), labelSmoothing: 0.1 }),
      () => [x(), labels(0, 2)],
      ['weight'],
    ],
    [
      'KLDivLoss',
      () => new nn.KLDivLoss({ reduction: 'batchmean' }),
      (a, b) => F.klDiv(a!, b!, { reduction: 'batchmean' }),
      () => [x(), p()],
    ],
    [
      'MultiMarginLoss',
      () => new nn.MultiMarginLoss({ p: 2, weight: w() }),
      (a, b) => F.multiMarginLoss(a!, b!, { p: 2, weight: w() }),
      () => [x(), labels(0, 2)],
      ['weight'],
    ],
    [
      'HingeEmbeddingLoss',
      () => new nn.HingeEmbeddingLoss({ margin: 2 }),
      (a, b) => F.hingeEmbeddingLoss(a!, b!, { margin: 2 }),
      () => [sign(), sign()],
    ],
    [
      'MarginRankingLoss',
      () => new nn.MarginRankingLoss({ margin: 2 }),
      (a, b, c) => F.marginRankingLoss(a!, b!, c!, { margin: 2 }),
      () => [sign(), labels(1, 2).to('float32'), sign()],
    ],
    [
      'CosineEmbeddingLoss',
      () => new nn.CosineEmbeddingLoss({ margin: 0.1 }),
      (a, b, c) => F.cosineEmbeddingLoss(a!, b!, c!, { margin: 0.1 }),
      () => [x(), p(), sign()],
    ],
    [
      'TripletMarginLoss',
      () => new nn.TripletMarginLoss({ swap: true }),
      (a, b, c) => F.tripletMarginLoss(a!, b!, c!, { swap: true }),
      () => [x(), p(), ones(2, 3)],
    ],
  ];
})();

/** Elements that formulas stumble over, with what PyTorch gives for them. */
const EDGES: readonly (readonly [name: string, call: () => Tensor, want: tl.NestedArray])[] = [
  [
    'huberLoss of a difference too large to square',
    () => F.huberLoss(tl.tensor([1e30]), tl.tensor([0])),
    expect.closeTo(1e30, -25),
  ],
  [
    'smoothL1Loss with a tiny beta',
    () => F.smoothL1Loss(tl.tensor([1e-10]), tl.tensor([0]), { beta: 1e-30 }),
    expect.closeTo(1e-10, 15),
  ],
  [
    'binaryCrossEntropy of certain answers',
    () => F.binaryCrossEntropy(tl.tensor([0, 1, 0, 1]), tl.tensor([0, 1, 1, 0]), { reduction: 'none' }).add(0),
    [0, 0, 100, 100],
  ],
  [
    'binaryCrossEntropy outside [0, 1]',
    () => F.binaryCrossEntropy(tl.tensor([-0.1, 1.1]), tl.tensor([0, 1]), { reduction: 'none' }).isnan(),
    [true, true],
  ],
  [
    'binaryCrossEntropyWithLogits of large logits',
    () => F.binaryCrossEntropyWithLogits(tl.tensor([1000, -1000]), tl.tensor([0, 0]), { reduction: 'none' }),
    [1000, 0],
  ],
  ['klDiv of targets of 0', () => F.klDiv(tl.tensor([-5, 0]), tl.tensor([0, 1]), { reduction: 'none' }), [0, 0]],
  ['klDiv of a scalar by batch', () => F.klDiv(tl.tensor(-1), tl.tensor(1), { reduction: 'batchmean' }), 1],
  ['poissonNllLoss with a small target', () => F.poissonNllLoss(tl.tensor([0]), tl.tensor([0]), { full: true }), 1],
  [
    'gaussianNllLoss of no variance',
    () => F.gaussianNllLoss(tl.tensor([1]), tl.tensor([1]), tl.tensor([0]), { eps: 1 }),
    0,
  ],
  ['gaussianNllLoss of a number', () => F.gaussianNllLoss(tl.tensor([1, 2]), tl.tensor([3, 2]), 1), 1],
  [
    'gaussianNllLoss of a negative variance',
    () => F.gaussianNllLoss(tl.tensor([1]), tl.tensor([1]), tl.tensor([-1])).isnan(),
    true,
  ],
  ['crossEntropy of no rows', () => F.crossEntropy(tl.ones([0, 3]), tl.zeros([0], i32)).isnan(), true],
  [
    'crossEntropy of ignored labels only',
    () => F.crossEntropy(ones(2, 3), labels(-100, -100), { reduction: 'sum' }),
    0,
  ],
  [
    'nllLoss ignores what is out of range by name',
    () => F.nllLoss(ones(2, 3), labels(255, 1), { ignoreIndex: 255 }),
    -1,
  ],
  ['cosineEmbeddingLoss of zeros', () => F.cosineEmbeddingLoss(tl.zeros([3]), ones(3), tl.tensor(1)), 1],
  ['multiMarginLoss leaves the label out', () => F.multiMarginLoss(tl.tensor([5, 1]), tl.tensor(0, i32)), 0],
];

/** Gradients that are PyTorch's convention, or where a formula would give NaN. */
const SLOPES: readonly (readonly [name: string, x: number[], loss: (x: Tensor) => Tensor, want: number[]])[] = [
  ['l1Loss of equals', [1, 2], (x) => F.l1Loss(x, tl.tensor([1, 1]), { reduction: 'sum' }), [0, 1]],
  ['huberLoss at its limit', [1, -1, 0], (x) => F.huberLoss(x, tl.zeros([3]), { reduction: 'sum' }), [1, -1, 0]],
  [
    'binaryCrossEntropy at the ends',
    [0, 1],
    (x) => F.binaryCrossEntropy(x, tl.tensor([0, 1]), { reduction: 'sum' }),
    [0, 0],
  ],
  ['klDiv by the target', [0, 1], (x) => F.klDiv(tl.tensor([-2, -3]), x, { reduction: 'sum' }), [2, 4]],
  [
    'poissonNllLoss by the target',
    [0, 0],
    (x) => F.poissonNllLoss(tl.tensor([1, 2]), x, { full: true, reduction: 'sum' }),
    [-1, -2],
  ],
  [
    'gaussianNllLoss passes below eps',
    [0, 1],
    (x) => F.gaussianNllLoss(tl.zeros([2]), tl.zeros([2]), x, { eps: 0.5, reduction: 'sum' }),
    [1, 0.5],
  ],
  [
    'tripletMarginLoss of one point',
    [1, 1],
    (x) => F.tripletMarginLoss(x, tl.tensor([1, 1]), tl.tensor([1, 1]), { eps: 0 }),
    [0, 0],
  ],
  [
    'hingeEmbeddingLoss at the margin',
    [1, 2],
    (x) => F.hingeEmbeddingLoss(x, tl.tensor([-1, -1]), { reduction: 'sum' }),
    [-1, 0],
  ],
];

const BAD: readonly Refusal[] = [
  [
    'l1Loss of two shapes',
    () => F.l1Loss(ones(2), ones(3)),
    tl.ShapeError,
    /l1Loss: input \[2\] and target \[3\] must have the same shape; reshape one/,
  ],
  [
    'mseLoss of integers',
    () => F.mseLoss(labels(1), labels(1)),
    tl.DTypeError,
    /mseLoss: needs a floating tensor, got int32; convert it/,
  ],
  [
    'smoothL1Loss with a negative beta',
    () => F.smoothL1Loss(ones(2), ones(2), { beta: -1 }),
    tl.UnsupportedError,
    /smoothL1Loss: beta is number -1, but it must be a finite number of at least 0/,
  ],
  [
    'huberLoss with a delta of 0',
    () => F.huberLoss(ones(2), ones(2), { delta: 0 }),
    tl.UnsupportedError,
    /huberLoss: delta is number 0, but it must be a finite number above 0/,
  ],
  [
    'poissonNllLoss with a flag that is none',
    () => F.poissonNllLoss(ones(2), ones(2), { full: 1 as never }),
    tl.UnsupportedError,
    /poissonNllLoss: full is number 1, but it must be true or false/,
  ],
  [
    'gaussianNllLoss with variances of another shape',
    () => F.gaussianNllLoss(ones(2, 3), ones(2, 3), ones(3)),
    tl.ShapeError,
    /gaussianNllLoss: a variance of shape \[3\] does not fit the input \[2, 3\]; .* of shape \[2, 1\]/,
  ],
  [
    'binaryCrossEntropy with a weight that does not broadcast',
    () => F.binaryCrossEntropy(ones(2), ones(2), { weight: ones(3) }),
    tl.ShapeError,
    /do not broadcast/,
  ],
  [
    'nllLoss of floats',
    () => F.nllLoss(ones(2, 3), ones(2)),
    tl.DTypeError,
    /nllLoss: labels of shape \[2\] are float32; give class indices as int32$/,
  ],
  [
    'nllLoss of other labels',
    () => F.nllLoss(ones(2, 3), labels(1)),
    tl.ShapeError,
    /nllLoss: log-probabilities \[2, 3\] need labels of shape \[2\], got \[1\]/,
  ],
  [
    'crossEntropy with half an index',
    () => F.crossEntropy(ones(2, 3), labels(1, 2), { ignoreIndex: 0.5 }),
    tl.UnsupportedError,
    /crossEntropy: ignoreIndex is number 0.5, but it must be a whole number/,
  ],
  [
    'crossEntropy of probabilities with an ignored label',
    () => F.crossEntropy(ones(2, 3), ones(2, 3), { ignoreIndex: 1 }),
    tl.UnsupportedError,
    /ignoreIndex 1 is for labels, but the targets are probabilities/,
  ],
  [
    'klDiv with a reduction that is none',
    () => F.klDiv(ones(2), ones(2), { reduction: 'avg' as never }),
    tl.UnsupportedError,
    /klDiv: reduction avg is unknown/,
  ],
  [
    'multiMarginLoss of three dims',
    () => F.multiMarginLoss(ones(2, 3, 4), tl.zeros([2, 4], i32)),
    tl.ShapeError,
    /scores \[2, 3, 4\] must be of shape \[N, C\] or \[C\]/,
  ],
  [
    'multiMarginLoss with p 3',
    () => F.multiMarginLoss(ones(2, 3), labels(0, 1), { p: 3 as never }),
    tl.UnsupportedError,
    /p is number 3, but it must be 1 or 2/,
  ],
  [
    'marginRankingLoss without a target',
    () => (F.marginRankingLoss as (a: Tensor, b: Tensor) => Tensor)(ones(2), ones(2)),
    tl.UnsupportedError,
    /marginRankingLoss: expected a tensor, got undefined/,
  ],
  [
    'marginRankingLoss that does not broadcast',
    () => F.marginRankingLoss(ones(2), ones(3), ones(1)),
    tl.ShapeError,
    /marginRankingLoss: shapes \[2\] and \[3\] do not broadcast/,
  ],
  [
    'cosineEmbeddingLoss of scalars',
    () => F.cosineEmbeddingLoss(tl.tensor(1), tl.tensor(1), tl.tensor(1)),
    tl.ShapeError,
    /give vectors \[N, D\] with targets \[N\], or \[D\] with a scalar/,
  ],
  [
    'tripletMarginLoss of different dims',
    () => F.tripletMarginLoss(ones(2, 3), ones(3), ones(2, 3)),
    tl.ShapeError,
    /are \[2, 3\], \[3\], \[2, 3\]; they must have the same number of dims/,
  ],
  [
    'tripletMarginLoss with a norm that is none',
    () => F.tripletMarginLoss(ones(2), ones(2), ones(2), { p: Number.NaN }),
    tl.UnsupportedError,
    /p is number NaN, but it must be the order of a norm/,
  ],
  [
    'a module with an option that it has not',
    () => new nn.L1Loss({ beta: 1 } as never),
    tl.UnsupportedError,
    /L1Loss: there is no option beta; it takes reduction/,
  ],
  [
    'a module with a weight that is no tensor',
    () => new nn.NLLLoss({ weight: [1, 2] as never }),
    tl.UnsupportedError,
    /NLLLoss: weight is an array, but it must be a tensor/,
  ],
];

describe.each(devices)('losses on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  const modules = MODULES.map(([name, make, call, inputs, buffers = []]) => ({ name, make, call, inputs, buffers }));
  it.each(modules)('$name is its function', async ({ make, call, inputs, buffers }) => {
    await clean(device, async () => {
      const module = make() as unknown as tl.nn.Module<readonly Tensor[]>;
      expect(Object.keys(module.stateDict()).sort()).toEqual([...buffers].sort());
      const [got, want] = tl.tidy(() => {
        const xs = inputs();
        return [module.forward(...xs), call(...xs)];
      });
      expect(await given(got!)).toEqual(await given(want!));
      module.dispose();
    });
  });

  it.each(EDGES)('%s', async (_, call, want) => {
    await clean(device, async () => {
      expect(await given(tl.tidy(call))).toEqual(want);
    });
  });

  it.each(SLOPES)('the gradient of %s', async (_, x, loss, want) => {
    await clean(device, async () => {
      const g = tl.tidy(() => {
        const leaf = tl.tensor(x, { requiresGrad: true });
        return tl.grad([loss(leaf)], [leaf])[0]!;
      });
      expect(await given(g)).toEqual(want.map((v) => expect.closeTo(v, 5)));
    });
  });

  it('huberLoss and smoothL1Loss are curved at 0', async () => {
    await clean(device, async () => {
      const curvature = (loss: (x: Tensor) => Tensor): Tensor =>
        tl.tidy(() => {
          const x = tl.zeros([2], { requiresGrad: true });
          const [g] = tl.grad([loss(x)], [x], { createGraph: true });
          return tl.grad([g!.sum()], [x])[0]!;
        });
      const zero = (): Tensor => tl.zeros([2]);
      expect(await given(curvature((x) => F.huberLoss(x, zero(), { reduction: 'sum' })))).toEqual([1, 1]);
      expect(await given(curvature((x) => F.smoothL1Loss(x, zero(), { reduction: 'sum', beta: 0.5 })))).toEqual([2, 2]);
    });
  });

  it.each(BAD)('%s is an error', async (_, run, error, says) => {
    await clean(device, () => {
      refuses(run, error, says);
    });
  });

  it.each<[string, (y: Tensor) => Tensor]>([
    ['nllLoss', (y) => F.nllLoss(ones(2, 3), y)],
    ['crossEntropy', (y) => F.crossEntropy(ones(2, 3), y, { weight: ones(3) })],
    ['multiMarginLoss', (y) => F.multiMarginLoss(ones(2, 3), y)],
  ])('%s of a label that is no class is an IndexError', async (op, loss) => {
    await clean(device, async () => {
      for (const label of [3, -1]) {
        const out = tl.tidy(() => loss(labels(0, label)));
        const found = await out.item().catch((error: unknown) => error);
        expect(found).toBeInstanceOf(tl.IndexError);
        expect(String(found)).toMatch(new RegExp(`${op}: an index or label is out of range`));
        out.dispose();
      }
    });
  });

  it('the options of a loss are data: other numbers need no other plan', async () => {
    await clean(device, async () => {
      const [x, y] = [tl.rand([8]), tl.rand([8])];
      const run = (beta: number): Promise<tl.NestedArray> => given(tl.tidy(() => F.smoothL1Loss(x, y, { beta })));
      await device.sync();
      await run(0.5);
      const { plans } = device.engine.counters;
      for (const beta of [0.25, 0.75, 2]) await run(beta);
      expect(device.engine.counters.plans).toBe(plans);
      for (const t of [x, y]) t.dispose();
    });
  });

  it('a binary classifier has an accuracy with BCELoss', async () => {
    await clean(device, async () => {
      const model = new nn.Sequential(new nn.Linear(1, 1), new nn.Sigmoid());
      using optimizer = new tl.optim.SGD(model.parameters(), { lr: 0 });
      model.compile({ optimizer, loss: new nn.BCELoss(), metrics: ['accuracy'] });
      tl.noGrad(() => {
        for (const [i, v] of [1, 0].entries()) model.parameters()[i]!.fill_(v);
      });
      const logs = await model.evaluate([[-1], [1], [2], [-2]], [[0], [1], [0], [1]]);
      expect(logs.accuracy).toBe(0.5);
      expect(logs.loss).toBeCloseTo((Math.log1p(Math.exp(-1)) + Math.log1p(Math.exp(2))) / 2, 5);
      model.dispose();
    });
  });
});
