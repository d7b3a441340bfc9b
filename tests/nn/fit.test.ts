import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, held, open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;
const { nn, optim, data } = tl;
const F = nn.functional;

/** Points around three centres, with noise that is the same everywhere. */
function points(n: number): { x: { data: Float32Array; shape: number[] }; y: Int32Array } {
  const values = Float32Array.from(
    { length: 2 * n },
    (_, i) => Math.sin(12.9898 * (i + 1)) * 0.7 + Math.cos(((i >> 1) % 3) * 2 + (i % 2)),
  );
  return { x: { data: values, shape: [n, 2] }, y: Int32Array.from({ length: n }, (_, i) => i % 3) };
}

const quiet = { verbose: 0 } as const;

describe.each(devices)('fit on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  const build = (loss: tl.nn.Loss = F.crossEntropy, metrics: readonly tl.nn.MetricLike[] = ['accuracy']) => {
    tl.manualSeed(5);
    const model = new nn.Sequential(new nn.Linear(2, 6), new nn.Tanh(), new nn.Linear(6, 3));
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1, momentum: 0.5 });
    model.compile({ optimizer, loss, metrics });
    return {
      model,
      optimizer,
      weights: async (): Promise<number[][]> =>
        Promise.all(model.parameters().map(async (p) => Array.from(await p.data()))),
      [Symbol.dispose]() {
        optimizer.dispose();
        model.dispose();
      },
    };
  };
  type Made = ReturnType<typeof build>;
  /** What a run leaves: the losses of its epochs, and the parameters. */
  const trained = async (
    run: (made: Made) => Promise<tl.nn.History>,
    loss?: tl.nn.Loss,
  ): Promise<{ losses: number[]; weights: number[][] }> => {
    using made = build(loss);
    const { history } = await run(made);
    return { losses: history.loss!, weights: await made.weights() };
  };
  const near = (lists: readonly (readonly number[])[], digits = 5): unknown[][] =>
    lists.map((list) => list.map((v) => expect.closeTo(v, digits)));

  it('equals the loop that one writes by hand, number by number', async () => {
    await clean(device, async () => {
      const { x, y } = points(23);
      const byFit = await trained((m) => m.model.fit(x, y, { epochs: 3, batchSize: 5, ...quiet }));
      using made = build();
      const set = new data.TensorDataset(x, y);
      const losses: number[] = [];
      for (let epoch = 0; epoch < 3; epoch++) {
        let total = 0;
        for await (const batch of new data.DataLoader(set, { batchSize: 5, shuffle: true })) {
          const loss = made.optimizer.minimize(() => F.crossEntropy(made.model.forward(batch.x), batch.y));
          total += (await loss.item()) * batch.x.shape[0]!;
        }
        losses.push(total / 23);
      }
      expect(byFit.losses).toEqual(near([losses])[0]);
      expect(byFit.weights).toEqual(await made.weights());
    });
  });

  it('gives the figures that evaluate gives', async () => {
    await clean(device, async () => {
      using made = build(F.crossEntropy, ['accuracy', 'f1', 'top2']);
      const { x, y } = points(31);
      const held = points(17);
      const seen: tl.nn.Logs[] = [];
      const { history } = await made.model.fit(x, y, {
        epochs: 3,
        batchSize: 8,
        validationData: [held.x, held.y],
        callbacks: [
          {
            onEpochEnd: async () => void seen.push(await made.model.evaluate(held.x, held.y, { batchSize: 8 })),
          },
        ],
        ...quiet,
      });
      expect(Object.keys(history)).toEqual([
        'loss',
        'accuracy',
        'f1',
        'top2',
        'valLoss',
        'valAccuracy',
        'valF1',
        'valTop2',
      ]);
      seen.forEach((logs, i) => {
        expect({
          loss: history.valLoss![i],
          accuracy: history.valAccuracy![i],
          f1: history.valF1![i],
          top2: history.valTop2![i],
        }).toEqual(logs);
      });
      // A split is the last samples.
      using again = build();
      const split = await again.model.fit(x, y, { batchSize: 8, validationSplit: 0.25, ...quiet });
      const last = { data: x.data.slice(2 * 24), shape: [7, 2] };
      const byHand = await again.model.evaluate(last, y.slice(24), { batchSize: 8 });
      expect([split.history.valLoss![0], split.history.valAccuracy![0]]).toEqual([byHand.loss, byHand.accuracy]);
    });
  });

  it('weighs classes as if their samples were repeated', async () => {
    await clean(device, async () => {
      const { x, y } = points(12);
      const rows = (indices: readonly number[]) => ({
        x: {
          data: Float32Array.from(indices.flatMap((i) => [x.data[2 * i]!, x.data[2 * i + 1]!])),
          shape: [indices.length, 2],
        },
        y: Int32Array.from(indices, (i) => y[i]!),
      });
      const all = Array.from({ length: 12 }, (_, i) => i);
      const repeated = rows(all.flatMap((i) => Array<number>(y[i] === 1 ? 3 : 1).fill(i)));
      const whole = { epochs: 4, batchSize: 100, shuffle: false, ...quiet } as const;
      const oneHot = Array.from(y, (label) => [0, 1, 2].map((c) => (c === label ? 1 : 0)));
      const losses = [new nn.CrossEntropyLoss({ labelSmoothing: 0.1 }), F.crossEntropy, new nn.CrossEntropyLoss()];
      for (const loss of name === 'webgpu' ? losses.slice(0, 1) : losses) {
        const wanted = await trained((m) => m.model.fit(repeated.x, repeated.y, whole), loss);
        const near3 = { losses: near([wanted.losses])[0], weights: near(wanted.weights) };
        const weighted = [
          await trained((m) => m.model.fit(x, y, { ...whole, classWeight: { 1: 3 } }), loss),
          await trained((m) => m.model.fit(x, y, { ...whole, classWeight: [1, 3, 1] }), loss),
          await trained((m) => m.model.fit(x, oneHot, { ...whole, classWeight: { 1: 3 } }), loss),
          await trained(
            (m) => m.model.fit(x, y, { ...whole, sampleWeight: Array.from(y, (c) => (c === 1 ? 3 : 1)) }),
            loss,
          ),
          // Both are multiplied.
          await trained(
            (m) =>
              m.model.fit(x, y, {
                ...whole,
                classWeight: { 1: 6, 0: 0.5, 2: 2 },
                sampleWeight: Array.from(y, (c) => [2, 0.5, 0.5][c]!),
              }),
            loss,
          ),
        ];
        for (const one of weighted) expect(one).toEqual(near3);
      }
      const plain = await trained((m) => m.model.fit(x, y, whole));
      expect(plain.losses[3]).not.toBeCloseTo(
        (await trained((m) => m.model.fit(repeated.x, repeated.y, whole))).losses[3]!,
        3,
      );
    });
  });

  it('leaves out samples of weight 0, whole batches too, and weighs evaluate alike', async () => {
    await clean(device, async () => {
      const { x, y } = points(12);
      const sampleWeight = Float32Array.from({ length: 12 }, (_, i) => (i < 8 ? 1 : 0));
      const options = { epochs: 2, batchSize: 4, shuffle: false, ...quiet } as const;
      const part = { data: x.data.slice(0, 16), shape: [8, 2] };
      using without = build();
      await without.model.fit(part, y.slice(0, 8), { ...options, epochs: 1 });
      using withZeros = build();
      // Momentum would move parameters in the batch that does not count; it comes last.
      await withZeros.model.fit(x, y, { ...options, epochs: 1, sampleWeight, callbacks: [] });
      expect((await withZeros.weights()).flat().every(Number.isFinite)).toBe(true);
      const logs = await without.model.evaluate(x, y, { sampleWeight, batchSize: 5 });
      const wanted = await without.model.evaluate(part, y.slice(0, 8));
      expect(logs.loss).toBeCloseTo(wanted.loss!, 5);
      // Metrics count every sample.
      expect(logs.accuracy).toBeCloseTo((await without.model.evaluate(x, y)).accuracy!, 6);
      const { history } = await without.model.fit(x, y, {
        ...options,
        epochs: 1,
        sampleWeight,
        validationData: [x, y, sampleWeight],
        batchSize: 5,
      });
      expect(history.valLoss![0]).toBe((await without.model.evaluate(x, y, { sampleWeight, batchSize: 5 })).loss);
      const split = await without.model.fit(x, y, { ...options, sampleWeight, validationSplit: 0.5 });
      const half = { data: x.data.slice(12), shape: [6, 2] };
      const byHand = await without.model.evaluate(half, y.slice(6), {
        sampleWeight: sampleWeight.slice(6),
        batchSize: 4,
      });
      expect(split.history.valLoss!.at(-1)).toBe(byHand.loss);
    });
  });

  it('takes weights from batches, and of one batch', async () => {
    await clean(device, async () => {
      const { x, y } = points(8);
      const sampleWeight = Float32Array.from([1, 2, 0.5, 3, 1, 1, 0, 4]);
      const byArrays = await trained((m) =>
        m.model.fit(x, y, { epochs: 2, batchSize: 4, shuffle: false, sampleWeight, ...quiet }),
      );
      const batches = [0, 4].map((at) => ({
        x: { data: x.data.slice(2 * at, 2 * at + 8), shape: [4, 2] },
        y: y.slice(at, at + 4),
        sampleWeight: sampleWeight.slice(at, at + 4),
      }));
      const set = new data.TensorDataset<{ x: Tensor; y: Tensor; sampleWeight: Tensor }>({ x, y, sampleWeight });
      const loader = new data.DataLoader(set, { batchSize: 4 });
      expect(await trained((m) => m.model.fit(batches, { epochs: 2, ...quiet }))).toEqual(byArrays);
      expect(await trained((m) => m.model.fit(loader, { epochs: 2, ...quiet }))).toEqual(byArrays);
      using made = build();
      const losses: number[] = [];
      for (let epoch = 0; epoch < 2; epoch++)
        for (const batch of batches) {
          const { sampleWeight } = batch;
          const tested = await made.model.testOnBatch(batch.x, batch.y, { sampleWeight });
          const logs = await made.model.trainOnBatch(batch.x, batch.y, { sampleWeight });
          expect(logs.loss).toBeCloseTo(tested.loss!, 5);
          losses.push(logs.loss!);
        }
      expect(await made.weights()).toEqual(byArrays.weights);
      const unweighted = await made.model.trainOnBatch(x, y);
      const weighted = await made.model.trainOnBatch(x, y, { classWeight: { 0: 5 } });
      expect(Math.abs(weighted.loss! - unweighted.loss!)).toBeGreaterThan(1e-3);
      const out = await made.model.predictOnBatch(x);
      const whole = await made.model.predict(loader);
      expect(await out.toArray()).toEqual(near((await whole.toArray()) as number[][]));
      out.dispose();
      whole.dispose();
    });
  });

  it('starts later, and takes epochs of a given number of steps from endless data', async () => {
    await clean(device, async () => {
      const { x, y } = points(12);
      const options = { batchSize: 4, shuffle: false, ...quiet } as const;
      using made = build();
      const { epoch } = await made.model.fit(x, y, { ...options, initialEpoch: 3, epochs: 5 });
      expect(epoch).toEqual([3, 4]);

      const batch = (at: number) => ({
        x: { data: x.data.slice(2 * at, 2 * at + 8), shape: [4, 2] },
        y: y.slice(at, at + 4),
      });
      let closed = 0;
      const opened: number[] = [];
      const stream = {
        *[Symbol.iterator]() {
          opened.push(0);
          try {
            for (let i = 0; ; i++) yield batch(4 * (i % 3));
          } finally {
            closed++;
          }
        },
      };
      // Two epochs of three steps go over the data twice.
      const wanted = await trained((m) => m.model.fit(x, y, { ...options, epochs: 2 }));
      expect(await trained((m) => m.model.fit(stream, { epochs: 2, stepsPerEpoch: 3, ...quiet }))).toEqual(wanted);
      expect([opened.length, closed]).toEqual([1, 1]);
      // Four steps go on where the epoch before ended, and start again where the data ends.
      const order: number[] = [];
      await trained((m) => {
        const loader = new data.DataLoader(new data.TensorDataset(x, y), { batchSize: 4 });
        const watched = {
          async *[Symbol.asyncIterator]() {
            for await (const b of loader) {
              order.push((await b.y.data<'int32'>())[0]! + 3 * order.length);
              yield b;
            }
          },
        };
        return m.model.fit(watched, { epochs: 3, stepsPerEpoch: 2, ...quiet });
      });
      expect(order).toEqual([0, 4, 8, 9, 13, 17]);
      await expect(
        trained((m) => m.model.fit([batch(0)][Symbol.iterator]() as never, { stepsPerEpoch: 2, ...quiet })),
      ).rejects.toThrow(/fit: the batches were used up after 1 of the 2 steps of an epoch; pass something that can be/);
      // An error lets go of the stream, too.
      await expect(
        trained((m) =>
          m.model.fit(stream, {
            stepsPerEpoch: 3,
            callbacks: [
              {
                onBatchEnd() {
                  throw new Error('enough');
                },
              },
            ],
            ...quiet,
          }),
        ),
      ).rejects.toThrow('enough');
      expect(closed).toBe(2);
      await device.sync();
    });
  });

  it('streams what is on the host: never more than a batch of it is on the device', async () => {
    await clean(device, async () => {
      const n = 4096;
      const features = 64;
      const x = { data: new Float32Array(n * features).map((_, i) => Math.sin(i)), shape: [n, features] };
      const y = Int32Array.from({ length: n }, (_, i) => i % 2);
      tl.manualSeed(1);
      using model = new nn.Linear(features, 2);
      using sgd = new optim.SGD(model.parameters(), { lr: 0.01 });
      model.compile({ optimizer: sgd, loss: F.crossEntropy });
      const most: number[] = [];
      const options = {
        batchSize: 256,
        callbacks: [{ onBatchEnd: () => void most.push(held(device).bytes) }],
        ...quiet,
      };
      await model.fit(x, y, options);
      const loader = new data.DataLoader(new data.TensorDataset(x, y), { batchSize: 256, shuffle: true });
      await model.fit(loader, options);
      expect(most).toHaveLength(32);
      // Two batches, with what is held of the one before; the set has a megabyte.
      expect(Math.max(...most)).toBeLessThan(2 * 256 * (features + 1) * 4 + 4096);
      (await model.predict(x, { batchSize: 256 })).dispose();
    });
  });

  it('learns from a stream, one example at a time, in memory that stays flat', async () => {
    await clean(device, async () => {
      tl.manualSeed(2);
      using model = new nn.Linear(2, 1);
      using adam = new optim.Adam(model.parameters(), { lr: 0.02 });
      model.compile({ optimizer: adam, loss: F.mseLoss, metrics: ['mae', 'r2'] });
      const example = (i: number): [number[][], number[][]] => {
        const [a, b] = [Math.sin(7 * i), Math.cos(3 * i)];
        return [[[a, b]], [[2 * a - b + 0.5]]];
      };
      let logs: tl.nn.Logs = {};
      for (let i = 0; i < 3; i++) logs = await model.trainOnBatch(...example(i));
      await device.sync();
      const before = tl.memory(device);
      const plans = device.engine.counters.plans;
      // WebGPU in software is slow.
      const steps = name === 'webgpu' ? 200 : 1000;
      for (let i = 3; i < steps; i++) logs = await model.trainOnBatch(...example(i));
      await device.sync();
      const after = tl.memory(device);
      expect([after.tensors, after.bytes, after.buffers]).toEqual([before.tensors, before.bytes, before.buffers]);
      expect(after.peakBytes).toBe(before.peakBytes);
      expect(device.engine.counters.plans).toBe(plans);
      expect(logs.loss).toBeLessThan(name === 'webgpu' ? 0.1 : 1e-3);
    });
  });

  it('leaves nothing behind wherever a callback fails', async () => {
    await clean(device, async () => {
      const { x, y } = points(9);
      using made = build();
      await made.model.fit(x, y, quiet);
      await device.sync();
      // Not bytes: a parameter may come to lie in a buffer that is a little larger than it.
      const handles = () => {
        const { tensors, buffers } = held(device);
        return { tensors, buffers };
      };
      const before = handles();
      const hooks = ['onTrainBegin', 'onEpochBegin', 'onBatchEnd', 'onEpochEnd', 'onTrainEnd'] as const;
      for (const hook of hooks)
        for (const asynchronous of [false, true]) {
          const fail = (): void | Promise<void> => {
            if (asynchronous) return Promise.reject(new Error(hook));
            throw new Error(hook);
          };
          await expect(
            made.model.fit(x, y, {
              epochs: 3,
              batchSize: 4,
              validationSplit: 0.3,
              classWeight: { 0: 2 },
              callbacks: [nn.earlyStopping({ restoreBestWeights: true }), { [hook]: fail }],
              ...quiet,
            }),
          ).rejects.toThrow(hook);
          await device.sync();
          expect(handles()).toEqual(before);
          expect(made.model.modules().every((m) => m.training)).toBe(true);
        }
    });
  });

  describe('refuses, and leaves nothing behind:', () => {
    const { x, y } = points(6);
    const rows = Array.from({ length: 6 }, () => 1);
    it.each<[string, (made: Made) => Promise<unknown>, new (m?: string) => Error, RegExp]>([
      [
        'fewer weights than samples',
        ({ model }) => model.fit(x, y, { sampleWeight: [1, 2] }),
        tl.ShapeError,
        /fit: x has 6 samples and sampleWeight has 2/,
      ],
      [
        'negative weights',
        ({ model }) => model.fit(x, y, { sampleWeight: [...rows.slice(1), -1] }),
        tl.DTypeError,
        /fit: a weight in sampleWeight is negative or no finite number/,
      ],
      [
        'weights of NaN',
        ({ model }) => model.evaluate(x, y, { sampleWeight: [...rows.slice(1), Number.NaN] }),
        tl.DTypeError,
        /evaluate: a weight in sampleWeight/,
      ],
      [
        'weights of two columns',
        ({ model }) => model.fit(x, y, { sampleWeight: rows.map(() => [1, 1]), ...quiet }),
        tl.ShapeError,
        /fit: sampleWeight \[6, 2\] must have one number for each of the 6 samples/,
      ],
      [
        'weights beside batches',
        ({ model }) => model.fit([{ x, y }], { sampleWeight: rows }),
        tl.UnsupportedError,
        /fit: sampleWeight needs x and y; batches carry theirs/,
      ],
      [
        'weights beside batches to evaluate',
        ({ model }) => model.evaluate([{ x, y }], { sampleWeight: rows }),
        tl.UnsupportedError,
        /evaluate: sampleWeight needs x and y/,
      ],
      [
        'classes that are no numbers',
        ({ model }) => model.fit(x, y, { classWeight: { cat: 2 } as never }),
        tl.UnsupportedError,
        /fit: classWeight has a class cat; classes are whole numbers from 0/,
      ],
      [
        'a negative weight of a class',
        ({ model }) => model.fit(x, y, { classWeight: { 1: -2 } }),
        tl.UnsupportedError,
        /fit: the weight of class 1 is number -2/,
      ],
      [
        'no weights of classes',
        ({ model }) => model.trainOnBatch(x, y, { classWeight: 3 as never }),
        tl.UnsupportedError,
        /trainOnBatch: classWeight is number 3; give an object/,
      ],
      [
        'weights of classes without labels',
        ({ model }) => {
          model.compile({ optimizer: new optim.SGD(model.parameters()), loss: F.mseLoss });
          return model.fit(x, { data: new Int32Array(18), shape: [6, 3] }, { classWeight: { 1: 2 }, ...quiet });
        },
        tl.ShapeError,
        /fit: classWeight needs one label for each sample, and the targets are int32 \[6, 3\]/,
      ],
      [
        'weights for a loss without samples',
        ({ model }) => {
          model.compile({ optimizer: new optim.SGD(model.parameters()), loss: (p, t) => F.crossEntropy(p, t) });
          return model.fit(x, y, { classWeight: { 1: 2 }, ...quiet });
        },
        tl.ShapeError,
        /fit: weights need the loss of every sample, and for \{ reduction: 'none' \} the loss gave the shape \[\] for 6 samples/,
      ],
      [
        'weights for a loss module of one’s own',
        ({ model, optimizer }) => {
          const loss = new (class extends nn.Module<readonly [Tensor, Tensor]> {
            override forward(p: Tensor, t: Tensor): Tensor {
              return F.crossEntropy(p, t);
            }
          })();
          model.compile({ optimizer, loss });
          return model.fit(x, y, { classWeight: { 1: 2 }, ...quiet });
        },
        tl.ShapeError,
        /use a loss of nn.functional, or a function that heeds its third argument/,
      ],
      [
        'half a step',
        ({ model }) => model.fit(x, y, { stepsPerEpoch: 0.5 }),
        tl.UnsupportedError,
        /fit: stepsPerEpoch is number 0.5/,
      ],
      [
        'a start behind the end',
        ({ model }) => model.fit(x, y, { initialEpoch: 2, epochs: 2 }),
        tl.UnsupportedError,
        /fit: initialEpoch 2 leaves nothing of 2 epochs/,
      ],
      [
        'a negative start',
        ({ model }) => model.fit(x, y, { initialEpoch: -1 }),
        tl.UnsupportedError,
        /fit: initialEpoch is number -1/,
      ],
      [
        'callbacks that are none',
        ({ model }) => model.fit(x, y, { callbacks: [() => undefined] as never }),
        tl.UnsupportedError,
        /fit: callbacks are an array; pass an array of objects such as/,
      ],
      [
        'metrics that are no array',
        async ({ model, optimizer }) => model.compile({ optimizer, loss: F.mseLoss, metrics: 'mse' as never }),
        tl.UnsupportedError,
        /compile: metrics are string mse; pass an array/,
      ],
      [
        'inputs to predict that are no batches',
        ({ model }) => model.predict([{ y }] as never),
        tl.UnsupportedError,
        /predict: a batch is an object; it must be an object \{ x \}/,
      ],
      [
        'no batches to predict',
        ({ model }) => model.predict(new Set() as never),
        tl.ShapeError,
        /predict: there was no batch/,
      ],
      [
        'an option of trainOnBatch',
        ({ model }) => model.trainOnBatch(x, y, { weight: 1 } as object),
        tl.UnsupportedError,
        /trainOnBatch: there is no option weight/,
      ],
      [
        'an option of testOnBatch',
        ({ model }) => model.testOnBatch(x, y, { classWeight: {} } as object),
        tl.UnsupportedError,
        /testOnBatch: there is no option classWeight/,
      ],
      [
        'predictOnBatch of what does not fit',
        ({ model }) => model.predictOnBatch([[1, 2, 3]]),
        tl.ShapeError,
        /Linear: the input \[1, 3\] must end in 2/,
      ],
    ])('%s', async (_, act, type, message) => {
      await clean(device, async () => {
        using made = build();
        const before = await made.weights();
        const error = await act(made).then(
          () => null,
          (e: unknown) => e,
        );
        expect(String(error)).toMatch(message);
        expect(error).toBeInstanceOf(type);
        expect(await made.weights()).toEqual(before);
      });
    });
  });
});
