import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';
import { composite, spread, testLayers } from './layer.ts';

type Tensor = tl.Tensor;
const { nn } = tl;
const F = nn.functional;

testLayers('attention', [
  composite({
    name: 'self-attention',
    text: 'MultiheadAttention(embedDim=4, numHeads=2',
    make: () => new nn.MultiheadAttention(4, 2),
    inputs: [[3, 2, 4]],
    call: (m, x) => m.forward(x!, x!, x!, { isCausal: true }) as Tensor[],
    outputs: [
      [3, 2, 4],
      [2, 3, 3],
    ],
    state: { in_proj_weight: [12, 4], in_proj_bias: [12], 'out_proj.weight': [4, 4], 'out_proj.bias': [4] },
  }),
  composite({
    name: 'attention to keys and values of other widths, with a learned key and one of zeros, batch first',
    text: 'MultiheadAttention(embedDim=4, numHeads=2',
    make: () =>
      new nn.MultiheadAttention(4, 2, { kdim: 3, vdim: 5, addBiasKv: true, addZeroAttn: true, batchFirst: true }),
    inputs: [
      [2, 1, 4],
      [2, 2, 3],
      [2, 2, 5],
    ],
    call: (m, q, k, v) => m.forward(q!, k!, v!, { averageAttnWeights: false }) as Tensor[],
    outputs: [
      [2, 1, 4],
      [2, 2, 1, 4],
    ],
    state: {
      q_proj_weight: [4, 4],
      k_proj_weight: [4, 3],
      v_proj_weight: [4, 5],
      in_proj_bias: [12],
      bias_k: [1, 1, 4],
      bias_v: [1, 1, 4],
      'out_proj.weight': [4, 4],
      'out_proj.bias': [4],
    },
  }),
  composite({
    name: 'attention without biases and a batch',
    text: 'MultiheadAttention(embedDim=2, numHeads=1',
    make: () => new nn.MultiheadAttention(2, 1, { bias: false }),
    inputs: [
      [1, 2],
      [3, 2],
    ],
    call: (m, q, k) => m.forward(q!, k!, k!) as Tensor[],
    outputs: [
      [1, 2],
      [1, 3],
    ],
    state: { in_proj_weight: [6, 2], 'out_proj.weight': [2, 2] },
  }),
]);

/** Attention in plain arithmetic: scores, to which a function adds, and their softmax, over [L, E], [S, E] and [S, V]. */
function attended(
  q: readonly number[][],
  k: readonly number[][],
  v: readonly number[][],
  bias: (i: number, j: number) => number,
): number[][] {
  return q.map((row, i) => {
    const scores = k.map(
      (key, j) => row.reduce((sum, x, d) => sum + x * key[d]!, 0) / Math.sqrt(row.length) + bias(i, j),
    );
    const top = Math.max(...scores);
    const raised = scores.map((x) => (top === -Infinity ? 0 : Math.exp(x - top)));
    const total = raised.reduce((a, b) => a + b, 0) || 1;
    return v[0]!.map((_, d) => raised.reduce((sum, w, j) => sum + (w / total) * v[j]![d]!, 0));
  });
}

const close = (rows: readonly number[][]): unknown[] => rows.map((row) => row.map((v) => expect.closeTo(v, 4)));

describe.each(devices)('attention on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => device.destroy());

  it('weighs values by the softmax of scores, and gives zeros where nothing may be attended to', async () => {
    await clean(device, async () => {
      const [q, k, v] = tl.tidy(() => [spread([3, 4], 1), spread([5, 4], 2), spread([5, 2], 3)]) as [
        Tensor,
        Tensor,
        Tensor,
      ];
      const arrays = (await Promise.all([q, k, v].map((t) => t.toArray()))) as number[][][];
      const allowed = [
        [1, 0, 1, 1, 0],
        [0, 0, 0, 0, 0],
        [1, 1, 1, 1, 1],
      ];
      const attnMask = tl.tensor(allowed, { dtype: 'bool' });
      const added = tl.tidy(() => tl.where(attnMask, 0, -Infinity));
      const want = attended(arrays[0]!, arrays[1]!, arrays[2]!, (i, j) => (allowed[i]![j] ? 0 : -Infinity));
      expect(want[1]).toEqual([0, 0]);
      for (const mask of [attnMask, added]) {
        const y = F.scaledDotProductAttention(q, k, v, { attnMask: mask });
        expect(await y.toArray()).toEqual(close(want));
        y.dispose();
      }
      const causal = F.scaledDotProductAttention(q, k, v, { isCausal: true });
      const past = attended(arrays[0]!, arrays[1]!, arrays[2]!, (i, j) => (j <= i ? 0 : -Infinity));
      expect(await causal.toArray()).toEqual(close(past));
      // The gradient of a query without keys is 0, not NaN.
      const leaf = tl.tidy(() => q.mul(1).detach());
      leaf.requiresGrad = true;
      tl.tidy(() => {
        F.scaledDotProductAttention(leaf, k, v, { attnMask }).sum().backward();
      });
      const gradient = (await leaf.grad!.toArray()) as number[][];
      expect(gradient[1]).toEqual([0, 0, 0, 0]);
      expect(gradient.flat().every(Number.isFinite)).toBe(true);
      for (const t of [q, k, v, attnMask, added, causal, leaf]) t.dispose();
    });
  });

  it('drops weights at random, by the seed and in training mode only', async () => {
    await clean(device, async () => {
      const [q, k] = tl.tidy(() => [spread([6, 8], 1), spread([7, 8], 2)]) as [Tensor, Tensor];
      const layer = new nn.MultiheadAttention(8, 2, { dropout: 0.5 });
      const run = async (): Promise<number[]> => {
        tl.manualSeed(9);
        const [y] = tl.tidy(() => layer.forward(q, k, k, { needWeights: false }));
        const values = Array.from(await y.data());
        y.dispose();
        return values;
      };
      const first = await run();
      expect(await run()).toEqual(first);
      layer.eval();
      const whole = await run();
      expect(whole).not.toEqual(first);
      tl.manualSeed(1);
      expect(await run()).toEqual(whole);
      const none = F.scaledDotProductAttention(q, k, k, { dropoutP: 1 });
      expect(Array.from(await none.data())).toEqual(new Array(48).fill(0));
      for (const t of [q, k, layer, none]) t.dispose();
    });
  });

  it('starts as in PyTorch, with offsets of 0', async () => {
    await clean(device, async () => {
      tl.manualSeed(4);
      const layer = new nn.MultiheadAttention(16, 4);
      expect(Array.from(await layer.in_proj_bias!.data())).toEqual(new Array(48).fill(0));
      expect(Array.from(await layer.out_proj.bias!.data())).toEqual(new Array(16).fill(0));
      const weight = Array.from(await layer.in_proj_weight!.data());
      const bound = Math.sqrt(6 / (16 + 48));
      expect(Math.max(...weight.map(Math.abs))).toBeLessThanOrEqual(bound);
      expect(Math.max(...weight)).toBeGreaterThan(0.95 * bound);
      layer.dispose();
    });
  });

  it('reads masks of keys and of pairs, for each head and with further keys', async () => {
    await clean(device, async () => {
      const layer = new nn.MultiheadAttention(4, 2, { addZeroAttn: true, batchFirst: true });
      const x = tl.tidy(() => spread([2, 3, 4]));
      const padding = tl.tensor(
        [
          [0, 0, 1],
          [1, 1, 1],
        ],
        { dtype: 'bool' },
      );
      const pairs = tl.tidy(() => tl.eye(3).gt(0).expand([4, 3, 3]).contiguous());
      const options = { keyPaddingMask: padding, attnMask: pairs, averageAttnWeights: false };
      const [y, weights] = layer.forward(x, x, x, options) as [Tensor, Tensor];
      expect(weights.shape).toEqual([2, 2, 3, 4]);
      const values = (await weights.toArray()) as number[][][][];
      for (const [n, heads] of values.entries())
        for (const rows of heads)
          for (const [i, row] of rows.entries()) {
            expect(row.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
            // The key of zeros is always there.
            const seen = row.map((w) => w > 0);
            expect(seen).toEqual([0, 1, 2].map((j) => n === 0 && j !== 2 && j !== i).concat(true));
          }
      for (const t of [layer, x, padding, pairs, y, weights]) t.dispose();
    });
  });

  it('refuses what does not fit, and says what would', async () => {
    await clean(device, () => {
      const layer = new nn.MultiheadAttention(4, 2);
      tl.tidy(() => {
        const x = tl.zeros([3, 2, 4]);
        const q = tl.zeros([3, 4]);
        const ints = tl.zeros([3, 3], { dtype: 'int32' });
        const w = { numHeads: 2, outProjWeight: tl.zeros([4, 4]) };
        const attend = (options: object): unknown => F.multiHeadAttentionForward(x, x, x, { ...w, ...options });
        const packed = { inProjWeight: tl.zeros([12, 4]) };
        const sdpa = (options: object): unknown => F.scaledDotProductAttention(q, q, q, options);
        const wrong: [() => unknown, new (message: string) => Error, RegExp][] = [
          [() => F.scaledDotProductAttention(q, tl.zeros([3, 5]), q), tl.ShapeError, /must be \[\.\.\., L, E\]/],
          [() => F.scaledDotProductAttention(q, q, tl.zeros([2, 4])), tl.ShapeError, /as many keys as values/],
          [() => F.scaledDotProductAttention(tl.zeros([4]), q, q), tl.ShapeError, /queries \[4\]/],
          [() => F.scaledDotProductAttention(ints, ints, ints), tl.DTypeError, /needs a floating tensor/],
          [() => sdpa({ attnMask: ints }), tl.DTypeError, /attnMask is int32; it is made of bools/],
          [() => sdpa({ attnMask: tl.zeros([2, 3, 3]) }), tl.ShapeError, /must broadcast to \[3, 3\]/],
          [() => sdpa({ attnMask: tl.zeros([3, 3]), isCausal: true }), tl.UnsupportedError, /exclude each other/],
          [() => sdpa({ dropoutP: -1 }), tl.UnsupportedError, /it must be a probability/],
          [() => sdpa({ isCausal: 1 }), tl.UnsupportedError, /isCausal is number 1/],
          [() => sdpa({ scale: 'big' }), tl.DTypeError, /scale is a number/],
          [() => sdpa({ mask: null }), tl.UnsupportedError, /there is no option mask/],
          [() => attend({}), tl.UnsupportedError, /give inProjWeight, or all of qProjWeight/],
          [() => attend({ ...packed, qProjWeight: q }), tl.UnsupportedError, /give inProjWeight, or all of/],
          [
            () => attend({ ...packed, biasK: tl.zeros([1, 1, 4]) }),
            tl.UnsupportedError,
            /biasK and biasV come together/,
          ],
          [() => attend({ ...packed, numHeads: 3 }), tl.ShapeError, /3 heads do not divide the width 4/],
          [
            () => attend({ inProjWeight: tl.zeros([4, 4]) }),
            tl.ShapeError,
            /inProjWeight \[4, 4\] must be of shape \[12, 4\]/,
          ],
          [
            () => attend({ ...packed, attnMask: tl.zeros([2, 3]) }),
            tl.ShapeError,
            /attnMask \[2, 3\] must be of shape \[3, 3\] or \[4, 3, 3\]/,
          ],
          [
            () => attend({ ...packed, keyPaddingMask: tl.zeros([3, 2]) }),
            tl.ShapeError,
            /keyPaddingMask \[3, 2\] must be of shape \[2, 3\]/,
          ],
          [() => attend({ ...packed, attnMask: ints }), tl.DTypeError, /attnMask is int32/],
          [
            () => new nn.MultiheadAttention(4, 3),
            tl.ShapeError,
            /^MultiheadAttention: 3 heads do not divide the width 4/,
          ],
          [() => new nn.MultiheadAttention(4, 0), tl.ShapeError, /numHeads is number 0/],
          [() => new nn.MultiheadAttention(4, 2, { dropout: 1.5 }), tl.UnsupportedError, /it must be a probability/],
          [
            () => new nn.MultiheadAttention(4, 2, { heads: 2 } as never),
            tl.UnsupportedError,
            /there is no option heads/,
          ],
          [() => layer.forward(x, x, tl.zeros([3, 2, 5])), tl.ShapeError, /must end in 4, 4 and 4/],
          [() => layer.forward(x, tl.zeros([3, 1, 4]), x), tl.ShapeError, /must be \[L, N, E\]/],
          [() => layer.forward(x, x, x, { mask: x } as never), tl.UnsupportedError, /there is no option mask/],
        ];
        for (const [call, type, text] of wrong) {
          expect(call).toThrow(type);
          expect(call).toThrow(text);
        }
      });
      layer.dispose();
    });
  });
});
