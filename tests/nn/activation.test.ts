import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, type Refusal, refuses, tl } from '../setup/open.ts';
import { type LayerCase, spread, testLayers } from './layer.ts';

type Tensor = tl.Tensor;
const { nn } = tl;
const F = nn.functional;

/** Modules with the functions that they stand for. */
const ACTIVATIONS: readonly (readonly [text: string, make: () => tl.nn.Module, fn: (x: Tensor) => Tensor])[] = [
  ['ReLU()', () => new nn.ReLU(), F.relu],
  ['ReLU6()', () => new nn.ReLU6(), F.relu6],
  ['Sigmoid()', () => new nn.Sigmoid(), F.sigmoid],
  ['LogSigmoid()', () => new nn.LogSigmoid(), F.logSigmoid],
  ['Tanh()', () => new nn.Tanh(), F.tanh],
  ['SiLU()', () => new nn.SiLU(), F.silu],
  ['Mish()', () => new nn.Mish(), F.mish],
  ['Softsign()', () => new nn.Softsign(), F.softsign],
  ['Hardsigmoid()', () => new nn.Hardsigmoid(), F.hardsigmoid],
  ['Hardswish()', () => new nn.Hardswish(), F.hardswish],
  ['SELU()', () => new nn.SELU(), F.selu],
  ['ELU(alpha=0.5)', () => new nn.ELU({ alpha: 0.5 }), (x) => F.elu(x, { alpha: 0.5 })],
  ['CELU(alpha=1)', () => new nn.CELU(), (x) => F.celu(x)],
  ['CELU(alpha=2)', () => new nn.CELU({ alpha: 2 }), (x) => F.celu(x, { alpha: 2 })],
  ['LeakyReLU(negativeSlope=0.01)', () => new nn.LeakyReLU(), (x) => F.leakyRelu(x)],
  [
    'LeakyReLU(negativeSlope=0.2)',
    () => new nn.LeakyReLU({ negativeSlope: 0.2 }),
    (x) => F.leakyRelu(x, { negativeSlope: 0.2 }),
  ],
  ['GELU(approximate=none)', () => new nn.GELU(), (x) => F.gelu(x)],
  ['GELU(approximate=tanh)', () => new nn.GELU({ approximate: 'tanh' }), (x) => F.gelu(x, { approximate: 'tanh' })],
  ['Softplus(beta=2, threshold=20)', () => new nn.Softplus({ beta: 2 }), (x) => F.softplus(x, { beta: 2 })],
  ['Hardtanh(minVal=-1, maxVal=0.5)', () => new nn.Hardtanh({ maxVal: 0.5 }), (x) => F.hardtanh(x, { maxVal: 0.5 })],
  ['Softmax(dim=-1)', () => new nn.Softmax(), (x) => F.softmax(x, -1)],
  ['LogSoftmax(dim=0)', () => new nn.LogSoftmax(0), (x) => F.logSoftmax(x, 0)],
  ['Softmin(dim=1)', () => new nn.Softmin(1), (x) => F.softmax(x.neg(), 1)],
];

testLayers('activations', [
  ...ACTIVATIONS.map(([text, make]): LayerCase => ({ text, make, inputs: [[3, 4]], output: [3, 4] })),
  { text: 'GLU(dim=1)', make: () => new nn.GLU(1), inputs: [[2, 6, 2]], output: [2, 3, 2] },
  { text: 'Maxout(pieces=3, dim=-1)', make: () => new nn.Maxout(3), inputs: [[2, 6]], output: [2, 2] },
  {
    text: 'PReLU(numParameters=1)',
    make: () => new nn.PReLU(),
    inputs: [[3, 4]],
    output: [3, 4],
    state: { weight: [1] },
  },
  {
    text: 'PReLU(numParameters=3)',
    make: () => new nn.PReLU(3, { init: 0.5 }),
    inputs: [[2, 3, 4]],
    output: [2, 3, 4],
    state: { weight: [3] },
  },
  { text: 'Dropout(p=0.5)', make: () => new nn.Dropout(), inputs: [[3, 4]], output: [3, 4] },
  { text: 'Dropout1d(p=0.25)', make: () => new nn.Dropout1d(0.25), inputs: [[2, 3, 4]], output: [2, 3, 4] },
  { text: 'Dropout2d(p=0.5)', make: () => new nn.Dropout2d(), inputs: [[2, 3, 2, 2]], output: [2, 3, 2, 2] },
  { text: 'AlphaDropout(p=0.5)', make: () => new nn.AlphaDropout(), inputs: [[3, 4]], output: [3, 4] },
]);

const x = (...shape: number[]): Tensor => tl.ones(shape);
const BAD: readonly Refusal[] = [
  [
    'glu of an odd dim',
    () => F.glu(x(2, 3)),
    tl.ShapeError,
    /^glu: dim -1 of \[2, 3\] has 3 elements; it takes an even/,
  ],
  ['glu of integers', () => F.glu(x(2).to('int32')), tl.DTypeError, /^glu: needs a floating tensor/],
  ['softmin of integers', () => F.softmin(x(2).to('int32'), 0), tl.DTypeError, /^softmin: needs a floating tensor/],
  [
    'maxout in groups that do not divide',
    () => F.maxout(x(2, 5), 2),
    tl.ShapeError,
    /^maxout: the 5 elements of dim -1 of \[2, 5\] do not divide into groups of 2/,
  ],
  ['maxout in no pieces', () => F.maxout(x(2, 5), 0), tl.ShapeError, /^maxout: pieces is number 0/],
  [
    'prelu with too many slopes',
    () => F.prelu(x(2, 3), x(2)),
    tl.ShapeError,
    /^prelu: weight \[2\] must be of shape \[1\] or \[3\], one slope for each channel of \[2, 3\]/,
  ],
  ['prelu with a matrix of slopes', () => F.prelu(x(2, 3), x(3, 1)), tl.ShapeError, /^prelu: weight \[3, 1\]/],
  ['PReLU of no slopes', () => new nn.PReLU(0), tl.ShapeError, /^PReLU: numParameters is number 0/],
  ['PReLU that starts nowhere', () => new nn.PReLU(1, { init: '1' as never }), tl.DTypeError, /^PReLU: .*init/],
  ['Maxout in half pieces', () => new nn.Maxout(1.5), tl.ShapeError, /^Maxout: pieces is number 1\.5/],
  [
    'ELU with an option of another',
    () => new nn.ELU({ slope: 1 } as never),
    tl.UnsupportedError,
    /^ELU: there is no option slope; it takes alpha/,
  ],
  ['LeakyReLU by a string', () => new nn.LeakyReLU({ negativeSlope: '1' as never }), tl.DTypeError, /^LeakyReLU: /],
  [
    'GELU of another approximation',
    () => new nn.GELU({ approximate: 'erf' as never }).forward(x(1)),
    tl.UnsupportedError,
    /^gelu: no approximation string erf; use 'none' or 'tanh'/,
  ],
  ['dropout1d of images', () => F.dropout1d(x(1, 2, 3, 4)), tl.ShapeError, /^dropout1d: the input \[1, 2, 3, 4\]/],
  ['dropout2d of a matrix', () => F.dropout2d(x(1, 2)), tl.ShapeError, /^dropout2d: .* must have 2 dims behind/],
  ['dropout2d of no tensor', () => F.dropout2d(1 as never), tl.UnsupportedError, /^dropout2d: expected a tensor/],
  [
    'alphaDropout by no probability',
    () => F.alphaDropout(x(1), { p: 2 }),
    tl.UnsupportedError,
    /^alphaDropout: p is number 2/,
  ],
  ['Dropout2d by no probability', () => new nn.Dropout2d(-1), tl.UnsupportedError, /^Dropout2d: p is number -1/],
];

describe.each(devices)('activations on %s', (name) => {
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

  it('computes what the functions compute', async () => {
    await clean(device, async () => {
      const pairs = tl.tidy(() => {
        const input = spread([3, 4]);
        return ACTIVATIONS.map(([text, make, fn]) => [text, make().forward(input), fn(input)] as const);
      });
      for (const [text, a, b] of pairs) {
        expect(Array.from(await a.data()), text).toEqual(Array.from(await b.data()));
        a.dispose();
        b.dispose();
      }
    });
  });

  it('drops whole channels, the share that it should', async () => {
    await clean(device, async () => {
      tl.manualSeed(4);
      const y = tl.tidy(() => new nn.Dropout2d(0.25).forward(tl.ones([40, 25, 2, 3])));
      const values = Array.from(await y.data(), (v) => Math.round(v * 3));
      const channels = Array.from({ length: 1000 }, (_, i) => values.slice(6 * i, 6 * i + 6));
      expect(channels.every((c) => c.every((v) => v === c[0]))).toBe(true);
      expect(new Set(values)).toEqual(new Set([0, 4]));
      expect(channels.filter((c) => c[0] === 0).length / 1000).toBeCloseTo(0.25, 1);
      const single = tl.tidy(() => new nn.Dropout1d(0.5).forward(tl.ones([64, 5])));
      const rows = Array.from(await single.data());
      expect(rows.every((v, i) => v === rows[i - (i % 5)])).toBe(true);
      expect(new Set(rows)).toEqual(new Set([0, 2]));
      y.dispose();
      single.dispose();
    });
  });

  it('keeps mean and variance by alpha dropout', async () => {
    await clean(device, async () => {
      tl.manualSeed(6);
      const y = tl.tidy(() => F.alphaDropout(tl.randn([100, 100]), { p: 0.3 }));
      const values = Array.from(await y.data());
      const mean = values.reduce((s, v) => s + v, 0) / values.length;
      const variance = values.reduce((s, v) => s + (v - mean) ** 2, 0) / values.length;
      expect(mean).toBeCloseTo(0, 1);
      expect(variance).toBeCloseTo(1, 1);
      y.dispose();
    });
  });

  it('drops all or nothing for the probabilities 1 and 0', async () => {
    await clean(device, async () => {
      const results = tl.tidy(() =>
        [F.dropout1d, F.dropout2d, F.alphaDropout].flatMap((drop) => {
          const input = tl.ones([2, 1, 1]);
          return [drop(input, { p: 1 }), drop(input, { p: 0 }), drop(input, { training: false })];
        }),
      );
      for (const [i, y] of results.entries()) {
        expect(Array.from(await y.data())).toEqual(i % 3 === 0 ? [0, 0] : [1, 1]);
        y.dispose();
      }
    });
  });

  it("takes PyTorch's side at the kinks", async () => {
    await clean(device, async () => {
      const results = tl.tidy(() => {
        const zero = tl.tensor([0, 1, -1], { requiresGrad: true });
        const slope = tl.tensor([0.25], { requiresGrad: true });
        const ties = tl.tensor([3, 3, 1, 1], { requiresGrad: true });
        return [...tl.grad([F.prelu(zero, slope).sum()], [zero, slope]), ...tl.grad([F.maxout(ties, 2).sum()], [ties])];
      });
      const [zero, slope, ties] = await Promise.all(results.map(async (t) => Array.from(await t.data())));
      expect(zero).toEqual([0.25, 1, 0.25]);
      expect(slope).toEqual([-1]);
      expect(ties).toEqual([1, 0, 1, 0]);
      for (const t of results) t.dispose();
    });
  });
});
