import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';
import { composite, testLayers } from './layer.ts';

const { nn } = tl;
const F = nn.functional;

testLayers('embeddings', [
  composite({
    name: 'Embedding',
    text: 'Embedding(5, 3)',
    make: () => new nn.Embedding(5, 3),
    inputs: [],
    call: (m) => [
      m.forward(
        tl.tensor(
          [
            [0, 4, 4],
            [2, 0, 4],
          ],
          { dtype: 'int32' },
        ),
      ),
    ],
    outputs: [[2, 3, 3]],
    state: { weight: [5, 3] },
  }),
]);

describe.each(devices)('embeddings on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => device.destroy());

  it('start normal, with zeros in the padding row', async () => {
    await clean(device, async () => {
      tl.manualSeed(2);
      const layer = new nn.Embedding(100, 20, { paddingIdx: -2 });
      expect(String(layer)).toBe('Embedding(100, 20, paddingIdx=98)');
      const values = Array.from(await layer.weight.data());
      expect(values.slice(98 * 20, 99 * 20)).toEqual(new Array(20).fill(0));
      const mean = values.reduce((a, b) => a + b, 0) / values.length;
      expect(mean).toBeCloseTo(0, 1);
      expect(values.reduce((a, b) => a + b * b, 0) / values.length).toBeCloseTo(1, 0);
      expect(layer.weight.requiresGrad && layer.weight.isLeaf).toBe(true);
      layer.dispose();
    });
  });

  it('add up the gradients of a row, and give none to the padding row', async () => {
    await clean(device, async () => {
      const layer = new nn.Embedding(4, 2, { paddingIdx: 1 });
      const words = tl.tensor([1, 3, 3, 0], { dtype: 'int32' });
      const weights = tl.tensor([
        [1, 2],
        [3, 4],
        [5, 6],
        [7, 8],
      ]);
      tl.tidy(() => {
        layer.forward(words).mul(weights).sum().backward();
      });
      expect(await layer.weight.grad!.toArray()).toEqual([
        [7, 8],
        [0, 0],
        [0, 0],
        [8, 10],
      ]);
      for (const t of [layer, words, weights]) t.dispose();
    });
  });

  it('has a gradient of the gradient, with a padding row as without one', async () => {
    await clean(device, async () => {
      const weight = tl.tensor(
        [
          [1, 2],
          [3, 4],
        ],
        { requiresGrad: true },
      );
      const words = tl.tensor([1, 0, 1], { dtype: 'int32' });
      const found = tl.tidy(() => {
        const y = F.embedding(words, weight, { paddingIdx: 0 }).pow(3).sum();
        const [g] = tl.grad([y], [weight], { createGraph: true });
        const [second] = tl.grad([g!.sum()], [weight]);
        return second!.detach();
      });
      expect(await found.toArray()).toEqual([
        [0, 0],
        [36, 48],
      ]);
      for (const t of [weight, words, found]) t.dispose();
    });
  });

  it('finds indices out of range on the device', async () => {
    await clean(device, async () => {
      const layer = new nn.Embedding(3, 2);
      const words = tl.tensor([3], { dtype: 'int32' });
      const y = layer.forward(words);
      await expect(y.data()).rejects.toThrow(/^embedding: an index or label is out of range/);
      for (const t of [layer, words, y]) t.dispose();
    });
  });

  it('refuse what does not fit, and say what would', async () => {
    await clean(device, () => {
      tl.tidy(() => {
        const words = tl.zeros([2], { dtype: 'int32' });
        const weight = tl.zeros([3, 2]);
        const wrong: [() => unknown, new (message: string) => Error, RegExp][] = [
          [() => F.embedding(tl.zeros([2]), weight), tl.DTypeError, /^embedding: indices must be int32, got float32/],
          [() => F.embedding(words, words), tl.DTypeError, /^embedding: needs a floating tensor, got int32/],
          [() => F.embedding(words, tl.zeros([3])), tl.ShapeError, /^embedding: the weight \[3\] must be a matrix/],
          [() => F.embedding(words, weight, { paddingIdx: 3 }), tl.IndexError, /names none of the 3 rows; use -3 to 2/],
          [
            () => F.embedding(words, weight, { maxNorm: 1 } as never),
            tl.UnsupportedError,
            /there is no option maxNorm/,
          ],
          [() => new nn.Embedding(0, 2), tl.ShapeError, /^Embedding: a size is number 0/],
          [() => new nn.Embedding(2, 2, { paddingIdx: -3 }), tl.IndexError, /^Embedding: paddingIdx number -3/],
        ];
        for (const [call, type, text] of wrong) {
          expect(call).toThrow(type);
          expect(call).toThrow(text);
        }
      });
    });
  });
});
