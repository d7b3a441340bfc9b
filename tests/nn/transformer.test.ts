import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Shape } from '../../src/core/shape.ts';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';
import { composite, spread, testLayers } from './layer.ts';

type Tensor = tl.Tensor;
const { nn } = tl;

const attention = (name: string): Record<string, Shape> => ({
  [`${name}.in_proj_weight`]: [9, 3],
  [`${name}.in_proj_bias`]: [9],
  [`${name}.out_proj.weight`]: [3, 3],
  [`${name}.out_proj.bias`]: [3],
});
const feedforward: Record<string, Shape> = {
  'linear1.weight': [2, 3],
  'linear1.bias': [2],
  'linear2.weight': [3, 2],
  'linear2.bias': [3],
};
const norm = (name: string): Record<string, Shape> => ({ [`${name}.weight`]: [3], [`${name}.bias`]: [3] });
const encoded = { ...attention('self_attn'), ...feedforward, ...norm('norm1'), ...norm('norm2') };
const prefixed = (prefix: string, state: Record<string, Shape>): Record<string, Shape> =>
  Object.fromEntries(Object.entries(state).map(([key, shape]) => [`${prefix}${key}`, shape]));
const small = { dimFeedforward: 2, activation: 'gelu' } as const;

testLayers('transformer layers', [
  composite({
    name: 'TransformerEncoderLayer',
    text: 'TransformerEncoderLayer(',
    make: () => new nn.TransformerEncoderLayer(3, 3, small),
    inputs: [[2, 1, 3]],
    call: (m, x) => [m.forward(x!, { isCausal: true })],
    outputs: [[2, 1, 3]],
    state: encoded,
  }),
  composite({
    name: 'TransformerEncoderLayer without biases, normalising first, batch first',
    text: 'TransformerEncoderLayer(',
    make: () => new nn.TransformerEncoderLayer(3, 3, { ...small, bias: false, normFirst: true, batchFirst: true }),
    inputs: [[1, 2, 3]],
    call: (m, x) => [m.forward(x!)],
    outputs: [[1, 2, 3]],
    state: Object.fromEntries(Object.entries(encoded).filter(([key]) => !key.endsWith('bias'))),
  }),
  composite({
    name: 'TransformerDecoderLayer',
    text: 'TransformerDecoderLayer(',
    make: () => new nn.TransformerDecoderLayer(3, 3, small),
    inputs: [
      [1, 1, 3],
      [2, 1, 3],
    ],
    call: (m, x, memory) => [m.forward(x!, memory!, { tgtIsCausal: true })],
    outputs: [[1, 1, 3]],
    state: {
      ...attention('self_attn'),
      ...attention('multihead_attn'),
      ...feedforward,
      ...norm('norm1'),
      ...norm('norm2'),
      ...norm('norm3'),
    },
  }),
  composite({
    name: 'TransformerEncoder',
    text: 'TransformerEncoder(',
    make: () =>
      new nn.TransformerEncoder(new nn.TransformerEncoderLayer(3, 3, { ...small, normFirst: true }), 2, {
        norm: new nn.LayerNorm(3),
      }),
    inputs: [[2, 1, 3]],
    call: (m, x) => [m.forward(x!)],
    outputs: [[2, 1, 3]],
    state: { ...prefixed('layers.0.', encoded), ...prefixed('layers.1.', encoded), ...norm('norm') },
  }),
]);

/** A layer's output by hand, from the parts it is made of. */
function encodedByHand(m: tl.nn.TransformerEncoderLayer, x: Tensor, first: boolean, mask: Tensor): Tensor {
  const attend = (v: Tensor): Tensor => m.self_attn.forward(v, v, v, { attnMask: mask })[0];
  const feed = (v: Tensor): Tensor => m.linear2.forward(m.linear1.forward(v).relu());
  if (first) {
    const y = x.add(attend(m.norm1.forward(x)));
    return y.add(feed(m.norm2.forward(y)));
  }
  const y = m.norm1.forward(x.add(attend(x)));
  return m.norm2.forward(y.add(feed(y)));
}

const close = async (t: Tensor): Promise<unknown[]> => Array.from(await t.data(), (v) => expect.closeTo(v, 4));

describe.each(devices)('transformers on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => device.destroy());

  it.each([false, true])('are made of their parts, normalising first: %s', async (normFirst) => {
    await clean(device, async () => {
      const layer = new nn.TransformerEncoderLayer(6, 3, { dimFeedforward: 5, normFirst }).eval();
      const [x, mask] = tl.tidy(() => [spread([4, 2, 6]), tl.ones([4, 4]).triu(1).gt(0)]) as [Tensor, Tensor];
      const outputs = tl.tidy(() => [
        layer.forward(x, { srcMask: mask }),
        layer.forward(x, { isCausal: true }),
        encodedByHand(layer, x, normFirst, mask),
      ]) as [Tensor, Tensor, Tensor];
      const want = await close(outputs[2]);
      expect(Array.from(await outputs[0].data())).toEqual(want);
      expect(Array.from(await outputs[1].data())).toEqual(want);
      for (const t of [layer, x, mask, ...outputs]) t.dispose();
    });
  });

  it('decode with the memory, and pass masks on', async () => {
    await clean(device, async () => {
      const layer = new nn.TransformerDecoderLayer(4, 2, { dimFeedforward: 5, activation: (v) => v.tanh() });
      const decoder = new nn.TransformerDecoder(layer, 2, { norm: new nn.LayerNorm(4) }).eval();
      const [x, memory, padding] = tl.tidy(() => [
        spread([3, 2, 4], 1),
        spread([5, 2, 4], 2),
        tl.tensor(
          [
            [0, 0, 0, 1, 1],
            [0, 0, 0, 0, 1],
          ],
          { dtype: 'bool' },
        ),
      ]) as [Tensor, Tensor, Tensor];
      const [got, want, other] = tl.tidy(() => {
        const options = { memoryKeyPaddingMask: padding, tgtIsCausal: true };
        let y = x;
        for (const m of decoder.layers) {
          const own = m.norm1.forward(y.add(m.self_attn.forward(y, y, y, { isCausal: true })[0]));
          const [seen] = m.multihead_attn.forward(own, memory, memory, { keyPaddingMask: padding });
          const both = m.norm2.forward(own.add(seen));
          y = m.norm3.forward(both.add(m.linear2.forward(m.linear1.forward(both).tanh())));
        }
        // What is masked does not count.
        const changed = memory.add(tl.tensor([0, 0, 0, 0, 9]).reshape([5, 1, 1]));
        return [decoder.forward(x, memory, options), decoder.norm!.forward(y), decoder.forward(x, changed, options)];
      }) as [Tensor, Tensor, Tensor];
      expect(Array.from(await got.data())).toEqual(await close(want));
      expect(Array.from(await other.data())).toEqual(await close(got));
      for (const t of [decoder, x, memory, padding, got, want, other]) t.dispose();
    });
  });

  it('start as copies of the first layer, with parameters of their own', async () => {
    await clean(device, async () => {
      const encoder = new nn.TransformerEncoder(new nn.TransformerEncoderLayer(4, 2, { dimFeedforward: 3 }), 3);
      expect(encoder.parameters()).toHaveLength(3 * 12);
      const [first, , third] = [...encoder.layers];
      expect(await third!.linear1.weight.toArray()).toEqual(await first!.linear1.weight.toArray());
      tl.tidy(() => {
        tl.noGrad(() => first!.linear1.weight.mul_(2));
      });
      expect(await third!.linear1.weight.toArray()).not.toEqual(await first!.linear1.weight.toArray());
      encoder.dispose();
    });
  });

  it('drop in training mode only', async () => {
    await clean(device, async () => {
      const layer = new nn.TransformerEncoderLayer(4, 2, { dimFeedforward: 3, dropout: 0.5 });
      const x = tl.tidy(() => spread([3, 2, 4]));
      const run = async (seed: number): Promise<number[]> => {
        tl.manualSeed(seed);
        const y = layer.forward(x);
        const values = Array.from(await y.data());
        y.dispose();
        return values;
      };
      expect(await run(1)).not.toEqual(await run(2));
      expect(await run(1)).toEqual(await run(1));
      layer.eval();
      expect(await run(1)).toEqual(await run(2));
      for (const t of [layer, x]) t.dispose();
    });
  });

  it('learn, and need no more memory with every step', async () => {
    await clean(device, async () => {
      tl.manualSeed(6);
      const model = new nn.TransformerEncoderLayer(8, 2, { dimFeedforward: 16, dropout: 0 });
      const adam = new tl.optim.Adam(model.parameters(), { lr: 0.01 });
      const [x, y] = tl.tidy(() => [spread([4, 2, 8], 1), spread([4, 2, 8], 5)]) as [Tensor, Tensor];
      const step = (): Tensor => adam.minimize(() => nn.functional.mseLoss(model.forward(x), y));
      const first = await step().item();
      step();
      await device.sync();
      const { bytes } = tl.memory(device);
      let last = first;
      for (let i = 0; i < 20; i++) last = await step().item();
      expect(last).toBeLessThan(0.8 * first);
      await device.sync();
      expect(tl.memory(device).bytes).toBe(bytes);
      for (const t of [x, y, adam, model]) t.dispose();
    });
  });

  it('refuse what does not fit, and say what would', async () => {
    await clean(device, () => {
      const layer = new nn.TransformerEncoderLayer(4, 2, { dimFeedforward: 3 });
      tl.tidy(() => {
        const x = tl.zeros([3, 2, 4]);
        const wrong: [() => unknown, new (message: string) => Error, RegExp][] = [
          [() => new nn.TransformerEncoderLayer(4, 3), tl.ShapeError, /3 heads do not divide the width 4/],
          [
            () => new nn.TransformerEncoderLayer(4, 2, { dimFeedforward: 0 }),
            tl.ShapeError,
            /^TransformerEncoderLayer: dimFeedforward is number 0, but it must be a whole number of at least 1/,
          ],
          [
            () => new nn.TransformerEncoderLayer(4, 2, { activation: 'selu' as never }),
            tl.UnsupportedError,
            /use 'relu', 'gelu' or a function/,
          ],
          [
            () => new nn.TransformerDecoderLayer(4, 2, { normFirst: 1 as never }),
            tl.UnsupportedError,
            /^TransformerDecoderLayer: normFirst is number 1/,
          ],
          [
            () => new nn.TransformerEncoderLayer(4, 2, { nhead: 2 } as never),
            tl.UnsupportedError,
            /there is no option nhead/,
          ],
          [() => new nn.TransformerEncoder(layer, 0), tl.ShapeError, /^TransformerEncoder: number 0 layers/],
          [
            () => new nn.TransformerEncoder(new nn.ReLU() as never, 1),
            tl.UnsupportedError,
            /must be made by TransformerEncoderLayer/,
          ],
          [() => new nn.TransformerEncoderLayer(4, 2, { dropout: 2 }), tl.UnsupportedError, /it must be a probability/],
          [
            () => new nn.TransformerEncoder(layer, 1, { norm: x as never }),
            tl.UnsupportedError,
            /norm is a Tensor, but it must be a module/,
          ],
          [() => layer.forward(tl.zeros([3, 2, 5])), tl.ShapeError, /must end in 4/],
          [() => layer.forward(x, { mask: x } as never), tl.UnsupportedError, /there is no option mask/],
          [() => layer.forward(x, { srcMask: tl.zeros([2, 2]) }), tl.ShapeError, /attnMask \[2, 2\]/],
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
