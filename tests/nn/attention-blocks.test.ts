// Attention in blocks of queries, made small here, against the same in one piece.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withBlocksOf } from '../../src/ops/attention.ts';
import { devices, inBrowser } from '../setup/devices.ts';
import { clean, held, open, tl } from '../setup/open.ts';
import { spread } from './layer.ts';

type Tensor = tl.Tensor;
type Shape = readonly number[];
const { nn } = tl;
const F = nn.functional;

interface Case {
  readonly name: string;
  readonly inputs: readonly Shape[];
  readonly call: (...inputs: Tensor[]) => Tensor;
}

/** True two times out of three, and nowhere in the last row of more than one. */
const allowed = (...shape: number[]): Tensor => {
  const [rows = 1, columns = 1] = shape.slice(-2);
  return tl.where(
    tl
      .arange(rows)
      .reshape([rows, 1])
      .eq(Math.max(rows - 1, 1)),
    tl.tensor(false),
    tl
      .arange(shape.reduce((a, b) => a * b, 1))
      .remainder(3)
      .ne(1)
      .reshape(shape.length > 1 ? shape : [1, columns]),
  );
};

const self = (x: Tensor, weight: Tensor, rest: object): Tensor =>
  F.multiHeadAttentionForward(x, x, x, {
    numHeads: 2,
    inProjWeight: weight.narrow(0, 0, 12),
    outProjWeight: weight.narrow(0, 12, 4),
    needWeights: false,
    ...rest,
  }).attnOutput;

const cases: readonly Case[] = [
  {
    name: 'plain, with values of another width',
    inputs: [
      [2, 7, 3],
      [2, 5, 3],
      [2, 5, 2],
    ],
    call: (q, k, v) => F.scaledDotProductAttention(q, k, v),
  },
  {
    name: 'causal, scaled',
    inputs: [
      [2, 7, 4],
      [2, 7, 4],
      [2, 7, 4],
    ],
    call: (q, k, v) => F.scaledDotProductAttention(q, k, v, { isCausal: true, scale: 0.3 }),
  },
  {
    name: 'causal with fewer keys',
    inputs: [
      [7, 4],
      [4, 4],
      [4, 3],
    ],
    call: (q, k, v) => F.scaledDotProductAttention(q, k, v, { isCausal: true }),
  },
  {
    name: 'causal with more keys',
    inputs: [
      [5, 4],
      [9, 4],
      [9, 3],
    ],
    call: (q, k, v) => F.scaledDotProductAttention(q, k, v, { isCausal: true }),
  },
  {
    name: 'batches that broadcast',
    inputs: [
      [2, 1, 3, 2],
      [3, 4, 2],
      [2, 2, 1, 4, 2],
    ],
    call: (q, k, v) => F.scaledDotProductAttention(q, k, v, { dropoutP: 0.3 }),
  },
  {
    name: 'bools as a mask, with a query that may attend to nothing',
    inputs: [
      [2, 2, 3, 3],
      [2, 2, 4, 3],
      [2, 2, 4, 3],
    ],
    call: (q, k, v) => F.scaledDotProductAttention(q, k, v, { attnMask: allowed(3, 4) }),
  },
  {
    name: 'floats as a mask, for each query and key',
    inputs: [
      [2, 2, 3, 3],
      [2, 2, 4, 3],
      [2, 2, 4, 3],
      [2, 1, 3, 4],
    ],
    call: (q, k, v, attnMask) => F.scaledDotProductAttention(q, k, v, { attnMask, dropoutP: 0.2 }),
  },
  {
    name: 'floats as a mask, the same for all queries',
    inputs: [[5, 4], [6, 4], [6, 4], [6]],
    call: (q, k, v, attnMask) => F.scaledDotProductAttention(q, k, v, { attnMask }),
  },
  {
    name: 'floats as a mask, the same for all keys, and one number',
    inputs: [[5, 4], [6, 4], [6, 4], [5, 1], []],
    call: (q, k, v, rows, one) =>
      F.scaledDotProductAttention(q, k, v, { attnMask: rows! }).add(
        F.scaledDotProductAttention(q, k, v, { attnMask: one! }),
      ),
  },
  {
    name: 'several heads, causal and with masks of queries and of keys',
    inputs: [
      [5, 2, 4],
      [16, 4],
      [5, 5],
      [2, 5],
    ],
    call: (x, weight, attnMask, keyPaddingMask) =>
      self(x!, weight!, { attnMask, keyPaddingMask, isCausal: true, dropoutP: 0.25 }),
  },
  {
    name: 'several heads with bools, a learned key and one of zeros',
    inputs: [
      [5, 2, 4],
      [16, 4],
      [1, 1, 4],
      [1, 1, 4],
    ],
    call: (x, weight, biasK, biasV) =>
      self(x!, weight!, {
        attnMask: allowed(4, 5, 5).logicalNot(),
        keyPaddingMask: allowed(2, 5).logicalNot(),
        biasK,
        biasV,
        addZeroAttn: true,
      }),
  },
];

/** The output and gradients of first and second order. */
function derivatives({ inputs: shapes, call }: Case): Tensor[] {
  return tl.tidy(() => {
    const inputs = shapes.map((shape, i) => {
      const x = spread(shape, i + 1).detach();
      x.requiresGrad = true;
      return x;
    });
    tl.manualSeed(3);
    const y = call(...inputs);
    const weighed = (x: Tensor, i: number): Tensor => x.mul(spread(x.shape, 20 + i)).sum();
    const first = tl.grad([weighed(y.square(), 0)], inputs, { createGraph: true });
    const second = tl.grad([first.map(weighed).reduce((a, b) => a.add(b))], inputs);
    const plain = tl.grad([weighed(call(...inputs).square(), 0)], inputs);
    return [y, ...first, ...second, ...plain].map((t) => t.detach());
  });
}

/** All values, in one list. */
async function valuesOf(tensors: readonly Tensor[]): Promise<number[]> {
  const lists = await Promise.all(tensors.map(async (t) => Array.from(await t.data(), Number)));
  for (const t of tensors) t.dispose();
  return lists.flat();
}

/** Expects values as those wanted, but for what float32 loses: second derivatives here are up to some hundreds. */
function expectNear(values: readonly number[], want: readonly number[], tolerance = 5e-4): void {
  expect(values.length).toBe(want.length);
  const off = (a: number, i: number): number => Math.abs(a - want[i]!) / Math.max(1, Math.abs(want[i]!));
  expect(Math.max(0, ...values.map(off))).toBeLessThan(tolerance);
}
const undropped = ({ name }: Case): boolean => !/broadcast|each query and key|causal and with masks/.test(name);

// A minute of compilation on WebGPU, and the kernels are those of Node: Chromium has the cases below.
const compared = devices.filter((name) => !(inBrowser && name === 'webgpu'));

describe.each(compared)('attention in blocks on %s', (name) => {
  describe.each(name === 'webgpu' ? [true] : [true, false])('fused: %s', (fusion) => {
    let device: tl.Device;
    beforeAll(async () => {
      device = await open(name, { fusion });
    });
    afterAll(() => device.destroy());

    it.each(cases.filter(undropped))('$name: values and gradients are those of one piece', (c) =>
      clean(device, async () => {
        const whole = await valuesOf(derivatives(c));
        expect(whole.every(Number.isFinite)).toBe(true);
        // Each is other kernels, which take WebGPU long to make.
        for (const rows of name === 'webgpu' ? [2] : [1, 2, 3])
          expectNear(await valuesOf(withBlocksOf(rows, () => derivatives(c))), whole);
      }),
    );

    it('draws the same for the gradient, with and without a record of it', () =>
      clean(device, async () => {
        for (const c of cases.filter((x) => !undropped(x))) {
          const count = c.inputs.length;
          const again = (...inputs: Tensor[]): Tensor => {
            tl.manualSeed(3);
            return c.call(...inputs);
          };
          const parts = withBlocksOf(2, () => derivatives({ ...c, call: again }));
          const [y, first, second, plain] = [
            parts.slice(0, 1),
            parts.slice(1, 1 + count),
            parts.slice(1 + count, 1 + 2 * count),
            parts.slice(1 + 2 * count),
          ];
          const values = await valuesOf(first);
          expect(values.some((v) => v !== 0)).toBe(true);
          expectNear(await valuesOf(plain), values);
          await valuesOf([...y, ...second]);
        }
      }));
  });
});

describe.each(devices)('attention in blocks on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => device.destroy());

  const inputs = (...shapes: Shape[]): Tensor[] => tl.tidy(() => shapes.map((shape, i) => spread(shape, i + 1)));
  const outputs = async (rows: number, call: () => Tensor): Promise<number[]> => {
    tl.manualSeed(5);
    return valuesOf([withBlocksOf(rows, () => tl.tidy(call))]);
  };

  it('drops weights by the seed, on every device alike', () =>
    clean(device, async () => {
      const [q, k, v] = inputs([5, 4], [6, 4], [6, 6]) as [Tensor, Tensor, Tensor];
      const run = (rows: number, dropoutP = 0.5): Promise<number[]> =>
        outputs(rows, () => F.scaledDotProductAttention(q, k, v, { dropoutP }));
      const first = await run(2);
      expect(await run(2)).toEqual(first);
      expect(await run(2, 0)).not.toEqual(first);
      expect(await run(2, 1)).toEqual(new Array(30).fill(0));
      // Alike scores and values of 1: what is left of weights of a sixth, doubled. The last queries draw first.
      const ones = tl.ones([6, 1]);
      const flat = tl.zeros([5, 4]);
      const left = await outputs(2, () => F.scaledDotProductAttention(flat, k, ones, { dropoutP: 0.5 }));
      tl.manualSeed(5);
      const kept = tl.tidy(() => [2, 2, 1].map((rows) => tl.rand([rows, 6]).ge(0.5).sum({ dim: 1 }).div(3)));
      const [last, middle, start] = await Promise.all(kept.map((t) => valuesOf([t])));
      expectNear(left, [...start!, ...middle!, ...last!]);
      for (const t of [q, k, v, ones, flat]) t.dispose();
    }));

  it('handles what is empty', () =>
    clean(device, async () => {
      const shapes: Shape[][] = [
        [
          [0, 3],
          [4, 3],
          [4, 2],
        ],
        [
          [4, 3],
          [0, 3],
          [0, 2],
        ],
        [
          [0, 4, 3],
          [0, 4, 3],
          [0, 4, 2],
        ],
        [
          [4, 0],
          [4, 0],
          [4, 2],
        ],
        [
          [4, 3],
          [4, 3],
          [4, 0],
        ],
      ];
      for (const list of shapes) {
        const [q, k, v] = inputs(...list) as [Tensor, Tensor, Tensor];
        const call = (): Tensor => F.scaledDotProductAttention(q, k, v, { isCausal: true, scale: 1 });
        expectNear(await outputs(2, call), await outputs(Infinity, call));
        for (const t of [q, k, v]) t.dispose();
      }
    }));

  it('holds between forward and backward what goes in and out, and two numbers a row', () =>
    clean(device, async () => {
      const shape = [2, 64, 4];
      const [q, k, v] = inputs(shape, shape, shape) as [Tensor, Tensor, Tensor];
      for (const t of [q, k, v]) t.requiresGrad = true;
      await valuesOf([tl.tidy(() => q.add(k).add(v))]);
      const before = held(device).bytes;
      const seen: number[] = [];
      for (let i = 0; i < 3; i++) {
        const loss = withBlocksOf(16, () =>
          tl.tidy(() => F.scaledDotProductAttention(q, k, v, { isCausal: true, dropoutP: 0.1 }).sum()),
        );
        seen.push(held(device).bytes - before);
        expect(seen.at(-1)).toBeLessThanOrEqual(4 * 2 * 64 * (4 + 2) + 256);
        tl.tidy(() => loss.backward());
        loss.dispose();
        for (const t of [q, k, v]) {
          t.grad!.dispose();
          t.grad = null;
        }
        await device.sync();
        expect(held(device).bytes).toBe(before);
      }
      expect(new Set(seen).size).toBe(1);
      for (const t of [q, k, v]) t.dispose();
    }));

  it('looks at one query in one piece', () =>
    clean(device, async () => {
      const [q, k, v] = inputs([2, 1, 4], [2, 6, 4], [2, 6, 4]) as [Tensor, Tensor, Tensor];
      const kernels = (rows: number): string =>
        withBlocksOf(rows, () => tl.tidy(() => tl.explain(F.scaledDotProductAttention(q, k, v))));
      expect(kernels(1)).toBe(kernels(Infinity));
      for (const t of [q, k, v]) t.dispose();
    }));

  it('computes in float32 what comes as float16', async () => {
    if (!device.backend.halves) return;
    await clean(device, async () => {
      const [q, k, v] = tl.tidy(() => [1, 2, 3].map((seed) => spread([2, 5, 4], seed).to('float16').detach())) as [
        Tensor,
        Tensor,
        Tensor,
      ];
      const wide = tl.tidy(() => [q, k, v].map((t) => t.to('float32').detach()));
      for (const t of [q, k, v, ...wide]) t.requiresGrad = true;
      const run = (list: readonly Tensor[]): Promise<number[]> =>
        valuesOf(
          withBlocksOf(2, () =>
            tl.tidy(() => {
              const [a, b, c] = list as [Tensor, Tensor, Tensor];
              const y = F.scaledDotProductAttention(a, b, c, { isCausal: true });
              expect(y.dtype).toBe(a.dtype);
              return [y, ...tl.grad([y.square().sum()], list)].map((t) => t.detach());
            }),
          ),
        );
      const want = await run(wide);
      expectNear(await run([q, k, v]), want, 1e-2);
      for (const t of [q, k, v, ...wide]) t.dispose();
    });
  });
});

describe('attention in blocks, in float64', () => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open('reference', { precision: 'float64' });
  });
  afterAll(() => device.destroy());

  it.each(cases)('$name: gradients of both orders are those of differences', ({ inputs: shapes, call }) =>
    clean(device, async () => {
      const inputs = tl.tidy(() => shapes.map((shape, i) => spread(shape, i + 1)));
      const blocked = (...x: Tensor[]): Tensor => withBlocksOf(2, () => call(...x));
      expect(await tl.gradcheck(blocked, inputs)).toBe(true);
      expect(await tl.gradgradcheck(blocked, inputs)).toBe(true);
      for (const t of inputs) t.dispose();
    }),
  );
});
