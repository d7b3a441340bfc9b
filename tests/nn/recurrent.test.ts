import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';
import { composite, spread, testLayers } from './layer.ts';

type Tensor = tl.Tensor;
const { nn } = tl;

testLayers('recurrent layers', [
  composite({
    name: 'RNN with relu, of two layers in both directions, from a state',
    text: 'RNN(1, 2, numLayers=2, bidirectional=true)',
    make: () => new nn.RNN(1, 2, { nonlinearity: 'relu', numLayers: 2, bidirectional: true }),
    inputs: [
      [2, 1, 1],
      [4, 1, 2],
    ],
    call: (m, x, h) => m.forward(x!, h),
    outputs: [
      [2, 1, 4],
      [4, 1, 2],
    ],
    state: {
      weight_ih_l0: [2, 1],
      weight_hh_l0: [2, 2],
      bias_ih_l0: [2],
      bias_hh_l0: [2],
      weight_ih_l0_reverse: [2, 1],
      weight_hh_l0_reverse: [2, 2],
      bias_ih_l0_reverse: [2],
      bias_hh_l0_reverse: [2],
      weight_ih_l1: [2, 4],
      weight_hh_l1: [2, 2],
      bias_ih_l1: [2],
      bias_hh_l1: [2],
      weight_ih_l1_reverse: [2, 4],
      weight_hh_l1_reverse: [2, 2],
      bias_ih_l1_reverse: [2],
      bias_hh_l1_reverse: [2],
    },
  }),
  composite({
    name: 'LSTM, batch first, from a state',
    text: 'LSTM(3, 2, batchFirst=true)',
    make: () => new nn.LSTM(3, 2, { batchFirst: true }),
    inputs: [
      [2, 3, 3],
      [1, 2, 2],
      [1, 2, 2],
    ],
    call: (m, x, h, c) => m.forward(x!, [h!, c!]).flat(),
    outputs: [
      [2, 3, 2],
      [1, 2, 2],
      [1, 2, 2],
    ],
    state: { weight_ih_l0: [8, 3], weight_hh_l0: [8, 2], bias_ih_l0: [8], bias_hh_l0: [8] },
  }),
  composite({
    name: 'LSTM with a projection, in both directions, from a state',
    text: 'LSTM(2, 3, bidirectional=true, projSize=2)',
    make: () => new nn.LSTM(2, 3, { bidirectional: true, projSize: 2 }),
    inputs: [
      [2, 1, 2],
      [2, 1, 2],
      [2, 1, 3],
    ],
    call: (m, x, h, c) => m.forward(x!, [h!, c!]).flat(),
    outputs: [
      [2, 1, 4],
      [2, 1, 2],
      [2, 1, 3],
    ],
    state: {
      weight_ih_l0: [12, 2],
      weight_hh_l0: [12, 2],
      bias_ih_l0: [12],
      bias_hh_l0: [12],
      weight_hr_l0: [2, 3],
      weight_ih_l0_reverse: [12, 2],
      weight_hh_l0_reverse: [12, 2],
      bias_ih_l0_reverse: [12],
      bias_hh_l0_reverse: [12],
      weight_hr_l0_reverse: [2, 3],
    },
  }),
  composite({
    name: 'GRU without biases and batch',
    text: 'GRU(3, 2, bias=false)',
    make: () => new nn.GRU(3, 2, { bias: false }),
    inputs: [
      [3, 3],
      [1, 2],
    ],
    call: (m, x, h) => m.forward(x!, h),
    outputs: [
      [3, 2],
      [1, 2],
    ],
    state: { weight_ih_l0: [6, 3], weight_hh_l0: [6, 2] },
  }),
  composite({
    name: 'RNNCell',
    text: 'RNNCell(3, 2)',
    make: () => new nn.RNNCell(3, 2),
    inputs: [
      [2, 3],
      [2, 2],
    ],
    call: (m, x, h) => [m.forward(x!, h)],
    outputs: [[2, 2]],
    state: { weight_ih: [2, 3], weight_hh: [2, 2], bias_ih: [2], bias_hh: [2] },
  }),
  composite({
    name: 'LSTMCell without a batch',
    text: 'LSTMCell(3, 2)',
    make: () => new nn.LSTMCell(3, 2),
    inputs: [[3], [2], [2]],
    call: (m, x, h, c) => m.forward(x!, [h!, c!]),
    outputs: [[2], [2]],
    state: { weight_ih: [8, 3], weight_hh: [8, 2], bias_ih: [8], bias_hh: [8] },
  }),
  composite({
    name: 'GRUCell without biases and a state',
    text: 'GRUCell(3, 2, bias=false)',
    make: () => new nn.GRUCell(3, 2, { bias: false }),
    inputs: [[2, 3]],
    call: (m, x) => [m.forward(x!)],
    outputs: [[2, 2]],
    state: { weight_ih: [6, 3], weight_hh: [6, 2] },
  }),
]);

/** Elements of several tensors, which are disposed. */
const read = async (tensors: readonly Tensor[]): Promise<number[][]> => {
  const out = await Promise.all(tensors.map(async (t) => Array.from(await t.data())));
  for (const t of tensors) t.dispose();
  return out;
};
const close = (list: readonly number[]): unknown[] => list.map((v) => expect.closeTo(v, 5));

describe.each(devices)('recurrent layers on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => device.destroy());

  it('start uniform in 1 / sqrt(hidden size)', async () => {
    await clean(device, async () => {
      tl.manualSeed(5);
      const layer = new nn.GRU(8, 16);
      for (const p of layer.parameters()) {
        const values = Array.from(await p.data());
        expect(Math.max(...values)).toBeLessThanOrEqual(0.25);
        expect(Math.max(...values)).toBeGreaterThan(0.2);
        expect(Math.min(...values)).toBeLessThan(-0.2);
      }
      layer.dispose();
    });
  });

  it('give what their cells give step by step', async () => {
    await clean(device, async () => {
      const x = tl.tidy(() => spread([4, 2, 3]));
      const [lstm, cell] = [new nn.LSTM(3, 5), new nn.LSTMCell(3, 5)];
      const [gru, gruCell] = [new nn.GRU(3, 5), new nn.GRUCell(3, 5)];
      const own = (m: tl.nn.AnyModule): Record<string, Tensor> =>
        Object.fromEntries(Object.entries(m.stateDict()).map(([key, t]) => [key.replace('_l0', ''), t]));
      cell.loadStateDict(own(lstm));
      gruCell.loadStateDict(own(gru));
      const all = tl.tidy(() => {
        const [output, [h, c]] = lstm.forward(x);
        let state = cell.forward(x.select(0, 0));
        const states = [state[0]];
        for (let t = 1; t < 4; t++) {
          state = cell.forward(x.select(0, t), state);
          states.push(state[0]);
        }
        const [gruOutput] = gru.forward(x);
        const gruStates = [gruCell.forward(x.select(0, 0))];
        for (let t = 1; t < 4; t++) gruStates.push(gruCell.forward(x.select(0, t), gruStates[t - 1]));
        return [output, tl.stack(states), h, state[0], c, state[1], gruOutput, tl.stack(gruStates)];
      });
      const values = await read(all);
      for (let i = 0; i < values.length; i += 2) expect(values[i]).toEqual(close(values[i + 1]!));
      for (const t of [x, lstm, cell, gru, gruCell]) t.dispose();
    });
  });

  it.each([1, 4])('project the state of every one of %i steps', async (steps) => {
    await clean(device, async () => {
      const layer = new nn.LSTM(3, 5, { numLayers: 2, bidirectional: true, projSize: 2 });
      const [x, h0, c0] = tl.tidy(() => [spread([steps, 2, 3]), spread([4, 2, 2]), spread([4, 2, 5])]) as Tensor[];
      const own = layer.stateDict();
      /** One layer in one direction, by the formulas of PyTorch's page. */
      const loop = (rows: readonly Tensor[], i: number): { states: Tensor[]; c: Tensor } => {
        const suffix = `l${i >> 1}${i % 2 ? '_reverse' : ''}`;
        const [wi, wh, bi, bh, wr] = ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh', 'weight_hr'].map(
          (part) => own[`${part}_${suffix}`]!,
        ) as [Tensor, Tensor, Tensor, Tensor, Tensor];
        let [h, c] = [h0!.select(0, i), c0!.select(0, i)];
        const states = rows.map((row) => {
          const gates = tl
            .linear(row, wi, bi)
            .add(tl.linear(h, wh, bh))
            .split(5, 1);
          const [input, forget, cell, output] = gates as [Tensor, Tensor, Tensor, Tensor];
          c = forget.sigmoid().mul(c).add(input.sigmoid().mul(cell.tanh()));
          h = tl.linear(output.sigmoid().mul(c.tanh()), wr);
          return h;
        });
        return { states, c };
      };
      const all = tl.tidy(() => {
        const [output, [h, c]] = layer.forward(x!, [h0!, c0!]);
        let rows = x!.unbind(0);
        const ends: Tensor[] = [];
        const cells: Tensor[] = [];
        for (const i of [0, 2]) {
          const ahead = loop(rows, i);
          const back = loop([...rows].reverse(), i + 1);
          ends.push(ahead.states.at(-1)!, back.states.at(-1)!);
          cells.push(ahead.c, back.c);
          const other = [...back.states].reverse();
          rows = ahead.states.map((state, t) => tl.cat([state, other[t]!], 1));
        }
        return [output, tl.stack(rows), h, tl.stack(ends), c, tl.stack(cells)];
      });
      const values = await read(all);
      for (let i = 0; i < values.length; i += 2) expect(values[i]).toEqual(close(values[i + 1]!));
      for (const t of [x, h0, c0, layer]) t!.dispose();
    });
  });

  it('drop between layers in training mode only', async () => {
    await clean(device, async () => {
      const layer = new nn.LSTM(3, 4, { numLayers: 2, dropout: 1 });
      const single = new nn.LSTM(3, 4, { dropout: 1 });
      const x = tl.tidy(() => spread([3, 2, 3]));
      const run = (m: tl.nn.LSTM): Promise<number[][]> => read(tl.tidy(() => [m.forward(x)[0]]));
      const before = (await run(layer))[0]!;
      tl.tidy(() => {
        tl.noGrad(() => layer.weight_ih_l1!.mul_(2));
      });
      // All that goes into the second layer is dropped, so that its weights do not count.
      expect((await run(layer))[0]).toEqual(before);
      layer.eval();
      expect((await run(layer))[0]).not.toEqual(before);
      const alone = (await run(single))[0]!;
      single.eval();
      expect((await run(single))[0]).toEqual(alone);
      for (const t of [x, layer, single]) t.dispose();
    });
  });

  it('stay finite where gates are saturated, with their gradients', async () => {
    await clean(device, async () => {
      const layers = [new nn.RNN(1, 2), new nn.LSTM(1, 2), new nn.GRU(1, 2)] as const;
      for (const layer of layers) {
        const x = tl.tensor([1e4, -1e4, 1e4], { shape: [3, 1, 1], requiresGrad: true });
        const output = tl.tidy(() => {
          const [y] = layer.forward(x);
          y.sum().backward();
          return y.detach();
        });
        for (const t of [output, x.grad!, ...layer.parameters().map((p) => p.grad!)])
          expect(Array.from(await t.data()).every(Number.isFinite)).toBe(true);
        for (const t of [output, x, layer]) t.dispose();
        for (const p of layer.parameters()) p.dispose();
      }
    });
  });

  it('run over no batch at all', async () => {
    await clean(device, async () => {
      const layer = new nn.LSTM(3, 4);
      const [output, [h, c]] = tl.tidy(() => layer.forward(tl.zeros([2, 0, 3])));
      expect([output.shape, h.shape]).toEqual([
        [2, 0, 4],
        [1, 0, 4],
      ]);
      tl.tidy(() => {
        output.sum().backward();
      });
      for (const t of [output, h, c, layer]) t.dispose();
      await device.sync();
    });
  });

  it('refuse what does not fit, and say what would', async () => {
    await clean(device, () => {
      const lstm = new nn.LSTM(3, 4);
      const projected = new nn.LSTM(3, 4, { projSize: 2 });
      const rnn = new nn.RNN(3, 4, { batchFirst: true });
      const cell = new nn.GRUCell(3, 4);
      tl.tidy(() => {
        const x = tl.zeros([2, 5, 3]);
        const h = tl.zeros([1, 5, 4]);
        const wrong: [() => unknown, new (message: string) => Error, RegExp][] = [
          [() => new nn.RNN(0, 4), tl.ShapeError, /^RNN: inputSize is number 0; it is a whole number of at least 1/],
          [() => new nn.LSTM(3, 4, { numLayers: 1.5 }), tl.ShapeError, /^LSTM: numLayers/],
          [() => new nn.GRU(3, 4, { dropout: 2 }), tl.UnsupportedError, /^GRU: p is number 2/],
          [() => new nn.GRU(3, 4, { layers: 2 } as never), tl.UnsupportedError, /^GRU: there is no option layers/],
          [() => new nn.GRU(3, 4, { projSize: 2 } as never), tl.UnsupportedError, /^GRU: there is no option projSize/],
          [() => new nn.LSTM(3, 4, { projSize: 4 }), tl.ShapeError, /^LSTM: projSize is number 4; .* hidden size of 4/],
          [() => projected.forward(x, [h, h]), tl.ShapeError, /^LSTM: h0 \[1, 5, 4\] must be \[1, 5, 2\]/],
          [() => new nn.RNN(3, 4, { nonlinearity: 'selu' as never }), tl.UnsupportedError, /use 'tanh' or 'relu'/],
          [() => new nn.LSTM(3, 4, { bias: 1 as never }), tl.UnsupportedError, /^LSTM: bias is number 1/],
          [
            () => lstm.forward(tl.zeros([2, 5, 4])),
            tl.ShapeError,
            /^LSTM: the input \[2, 5, 4\] must be \[time, batch, 3\]/,
          ],
          [() => rnn.forward(tl.zeros([3])), tl.ShapeError, /^RNN: the input \[3\] must be \[batch, time, 3\]/],
          [() => lstm.forward(tl.zeros([0, 5, 3])), tl.ShapeError, /has no steps/],
          [() => lstm.forward(x, [tl.zeros([1, 2, 4]), h]), tl.ShapeError, /^LSTM: h0 \[1, 2, 4\] must be \[1, 5, 4\]/],
          [() => lstm.forward(x, [h, tl.zeros([5, 4])]), tl.ShapeError, /^LSTM: c0 \[5, 4\] must be \[1, 5, 4\]/],
          [() => lstm.forward(x, h as never), tl.UnsupportedError, /must be a pair/],
          [
            () => lstm.forward(tl.zeros([2, 5, 3], { dtype: 'int32' })),
            tl.DTypeError,
            /^LSTM: needs a floating tensor/,
          ],
          [() => rnn.forward(x, h), tl.ShapeError, /^RNN: h0 \[1, 5, 4\] must be \[1, 2, 4\]/],
          [() => cell.forward(tl.zeros([2, 2])), tl.ShapeError, /^GRUCell: the input \[2, 2\] must be \[batch, 3\]/],
          [() => cell.forward(tl.zeros([2, 3]), tl.zeros([4])), tl.ShapeError, /^GRUCell: h \[4\] must be \[2, 4\]/],
          [() => new nn.LSTMCell(3, -1), tl.ShapeError, /^LSTMCell: hiddenSize/],
        ];
        for (const [call, type, text] of wrong) {
          expect(call).toThrow(type);
          expect(call).toThrow(text);
        }
      });
      for (const m of [lstm, projected, rnn, cell]) m.dispose();
    });
  });
});

describe('the loop over time', () => {
  /** Kernels of a training step, the peak of memory, and what a step leaves behind, over so many steps of time. */
  async function trained(
    make: () => tl.nn.RNN | tl.nn.LSTM | tl.nn.GRU,
    time: number,
  ): Promise<{ launches: number; peak: number; left: number }> {
    const device = await open('cpu');
    const layer = make();
    const optimizer = new tl.optim.SGD(layer.parameters(), { lr: 0.01 });
    const x = tl.rand([time, 2, 4]);
    const step = (): void => {
      optimizer.minimize(() => layer.forward(x)[0].square().mean());
    };
    for (let i = 0; i < 3; i++) step();
    const { launches } = device.engine.counters;
    const { bytes } = tl.memory(device);
    for (let i = 0; i < 3; i++) step();
    const after = tl.memory(device);
    device.destroy();
    return {
      launches: (device.engine.counters.launches - launches) / 3,
      peak: after.peakBytes - bytes,
      left: after.bytes - bytes,
    };
  }

  // Besides the loop, stacking takes a kernel for every seven tensors of a level: of states, and of gradients.
  const STACKING = 2 / 6;
  it.each([
    ['RNN', () => new nn.RNN(4, 8), 2],
    ['LSTM', () => new nn.LSTM(4, 8), 4],
    ['GRU', () => new nn.GRU(4, 8), 4],
  ] as const)(
    'of %s takes a product and at most a map a step in each direction, and memory in proportion',
    async (_, make, kernels) => {
      const short = await trained(make, 40);
      const long = await trained(make, 160);
      const each = (long.launches - short.launches) / (160 - 40);
      expect(each).toBeGreaterThanOrEqual(kernels);
      expect(each).toBeLessThanOrEqual(kernels + STACKING + 0.05);
      // Four times as much, and what the levels of stacking need.
      expect(long.peak / short.peak).toBeLessThan(6);
      expect([short.left, long.left]).toEqual([0, 0]);
    },
  );
});
