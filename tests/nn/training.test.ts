import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, held, open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;
const { nn, optim, data } = tl;
const F = nn.functional;

/** Two clouds of points, which are their classes. */
function clouds(n: number): { x: { data: Float32Array; shape: number[] }; y: Int32Array } {
  const values = new Float32Array(n * 2);
  const y = new Int32Array(n);
  for (let i = 0; i < n; i++) {
    y[i] = i % 2;
    const centre = i % 2 === 0 ? 1 : -1;
    values[2 * i] = centre + Math.sin(i * 12.9898) * 0.6;
    values[2 * i + 1] = -centre + Math.cos(i * 78.233) * 0.6;
  }
  return { x: { data: values, shape: [n, 2] }, y };
}

describe.each(devices)('training on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  const build = (options: { seed?: number; metrics?: readonly tl.nn.MetricLike[]; dropout?: number } = {}) => {
    tl.manualSeed(options.seed ?? 4);
    const model = new nn.Sequential(
      new nn.Linear(2, 8),
      new nn.Tanh(),
      new nn.Dropout(options.dropout ?? 0),
      new nn.Linear(8, 2),
    );
    const adam = new optim.Adam(model.parameters(), { lr: 0.05 });
    model.compile({ optimizer: adam, loss: F.crossEntropy, metrics: options.metrics ?? ['accuracy'] });
    return {
      model,
      adam,
      [Symbol.dispose]() {
        adam.dispose();
        model.dispose();
      },
    };
  };

  it('fit learns, and reports losses and metrics of every epoch', async () => {
    await clean(device, async () => {
      using made = build();
      const { x, y } = clouds(50);
      const { epoch, history } = await made.model.fit(x, y, {
        epochs: 6,
        batchSize: 8,
        validationSplit: 0.2,
        verbose: 0,
      });
      expect(epoch).toEqual([0, 1, 2, 3, 4, 5]);
      expect(Object.keys(history)).toEqual(['loss', 'accuracy', 'valLoss', 'valAccuracy']);
      expect(Object.values(history).every((list) => list.length === 6 && list.every(Number.isFinite))).toBe(true);
      expect(history.loss!.at(-1)!).toBeLessThan(0.1 * history.loss![0]! + 0.1);
      expect(history.valAccuracy!.at(-1)).toBeGreaterThan(0.85);
      expect(made.model.parameters().every((p) => p.grad === null)).toBe(true);
    });
  });

  it('gives the means over all samples, the smaller last batch included', async () => {
    await clean(device, async () => {
      using made = build();
      const { x, y } = clouds(11);
      const logs = await made.model.evaluate(x, y, { batchSize: 4 });
      const whole = await made.model.evaluate(x, y, { batchSize: 11 });
      expect(logs.loss).toBeCloseTo(whole.loss!, 5);
      expect(logs.accuracy).toBeCloseTo(whole.accuracy!, 6);
      const logits = await made.model.predict(x, { batchSize: 4 });
      expect(logits.shape).toEqual([11, 2]);
      const byHand = tl.tidy(() => F.crossEntropy(logits, tl.tensor(y)));
      expect(await byHand.item()).toBeCloseTo(whole.loss!, 5);
      const answers = tl.tidy(() => logits.argmax({ dim: 1 }));
      const right = Array.from(await answers.data()).filter((v, i) => v === y[i]).length;
      expect(whole.accuracy).toBeCloseTo(right / 11, 6);
      for (const t of [logits, byHand, answers]) t.dispose();
    });
  });

  it('takes tensors, arrays, loaders and generators alike', async () => {
    await clean(device, async () => {
      const { x, y } = clouds(24);
      const options = { epochs: 2, verbose: 0, shuffle: false } as const;
      const losses: number[][] = [];
      const run = async (train: (model: tl.nn.Sequential) => Promise<tl.nn.History>): Promise<void> => {
        using made = build();
        losses.push((await train(made.model)).history.loss!);
      };
      const xt = tl.tensor(x.data, { shape: x.shape });
      const yt = tl.tensor(y);
      const nested = (await xt.toArray()) as number[][];
      const loader = new data.DataLoader(new data.TensorDataset(xt, yt), { batchSize: 8 });
      await run((m) => m.fit(x, y, { ...options, batchSize: 8 }));
      await run((m) => m.fit(xt, yt, { ...options, batchSize: 8 }));
      await run((m) => m.fit(nested, y, { ...options, batchSize: 8 }));
      await run((m) => m.fit(loader, { epochs: 2, verbose: 0 }));
      const again = {
        *[Symbol.iterator]() {
          for (let b = 0; b < 3; b++) yield { x: nested.slice(8 * b, 8 * b + 8), y: y.slice(8 * b, 8 * b + 8) };
        },
      };
      await run((m) => m.fit(again, { epochs: 2, verbose: 0 }));
      for (const list of losses) expect(list).toEqual(losses[0]);
      xt.dispose();
      yt.dispose();
      using made = build();
      await expect(made.model.fit(again[Symbol.iterator](), { epochs: 2, verbose: 0 })).rejects.toThrow(
        /an iterator that was used up/,
      );
    });
  });

  it('the same seed gives the same run, shuffling and dropout included', async () => {
    await clean(device, async () => {
      const { x, y } = clouds(20);
      const run = async (): Promise<number[]> => {
        using made = build({ dropout: 0.2 });
        return (await made.model.fit(x, y, { epochs: 3, batchSize: 8, verbose: 0 })).history.loss!;
      };
      expect(await run()).toEqual(await run());
    });
  });

  it('drops nothing when it evaluates, and puts modes back', async () => {
    await clean(device, async () => {
      using made = build({ dropout: 0.9 });
      const { x, y } = clouds(10);
      const first = await made.model.evaluate(x, y);
      expect(await made.model.evaluate(x, y)).toEqual(first);
      expect(made.model.modules().every((m) => m.training)).toBe(true);
      made.model[2]!.eval();
      await made.model.fit(x, y, { verbose: 0 });
      expect(made.model.modules().map((m) => m.training)).toEqual([true, true, true, false, true]);
    });
  });

  it('memory is flat over steps and epochs', async () => {
    await clean(device, async () => {
      using made = build();
      const { x, y } = clouds(40);
      const seen: unknown[] = [];
      await made.model.fit(x, y, {
        epochs: 25,
        batchSize: 5,
        validationSplit: 0.1,
        verbose: 0,
        callbacks: [
          {
            onEpochEnd: async () => {
              await device.sync();
              seen.push(held(device));
            },
          },
        ],
      });
      for (const memory of seen.slice(1)) expect(memory).toEqual(seen[1]);
      expect(seen).toHaveLength(25);
    });
  });

  it('steps of a run share their plans', async () => {
    await clean(device, async () => {
      using made = build();
      const { x, y } = clouds(32);
      const { counters } = device.engine;
      await made.model.fit(x, y, { epochs: 2, batchSize: 8, verbose: 0 });
      const plans = counters.plans;
      await made.model.fit(x, y, { epochs: 5, batchSize: 8, verbose: 0 });
      expect(counters.plans).toBe(plans);
    });
  });

  it('runs with fusion off to the same losses', async () => {
    const { x, y } = clouds(24);
    const run = async (): Promise<number[]> => {
      using made = build({ dropout: 0.1 });
      return (await made.model.fit(x, y, { epochs: 4, batchSize: 8, verbose: 0 })).history.loss!;
    };
    const fused = await run();
    const unfused = await open(name, { fusion: false });
    try {
      const plain = await run();
      fused.forEach((loss, i) => {
        expect(Math.abs(loss - plain[i]!)).toBeLessThanOrEqual(1e-4 * plain[i]!);
      });
    } finally {
      unfused.destroy();
      tl.setDefaultDevice(device);
    }
  });

  it('trainOnBatch learns from a stream of single samples', async () => {
    await clean(device, async () => {
      tl.manualSeed(2);
      const model = new nn.Linear(1, 1);
      const sgd = new optim.SGD(model.parameters(), { lr: 0.1 });
      model.compile({ optimizer: sgd, loss: new nn.MSELoss(), metrics: ['mae', 'mse'] });
      let logs: tl.nn.Logs = {};
      await model.trainOnBatch([[0]], [[1]]);
      await device.sync();
      const before = held(device);
      for (let i = 0; i < 60; i++) {
        const v = Math.sin(i * 7);
        logs = await model.trainOnBatch([[v]], [[2 * v + 1]]);
      }
      expect(held(device)).toEqual(before);
      expect(Object.keys(logs)).toEqual(['loss', 'mae', 'mse']);
      expect(logs.mse).toBeCloseTo(logs.loss!, 6);
      expect(logs.loss).toBeLessThan(0.01);
      sgd.dispose();
      model.dispose();
    });
  });

  it('measures accuracy as the loss and the shapes say', async () => {
    await clean(device, async () => {
      const model = new (class extends nn.Module {
        override forward(x: Tensor): Tensor {
          return x.mul(1);
        }
      })();
      const w = tl.tensor([1], { requiresGrad: true });
      const optimizer = new optim.SGD([w]);
      const accuracy = async (loss: tl.nn.Loss, x: number[][], y: number[][] | Int32Array): Promise<number> => {
        model.compile({ optimizer, loss, metrics: ['accuracy'] });
        return (await model.evaluate(x, y)).accuracy!;
      };
      const three = [[0.1], [-0.2], [0.7], [0.6]];
      const wanted = [[1], [0], [0], [1]];
      expect(await accuracy(F.binaryCrossEntropyWithLogits, three, wanted)).toBe(0.75);
      expect(await accuracy(new nn.BCEWithLogitsLoss(), three, wanted)).toBe(0.75);
      expect(await accuracy(F.mseLoss, three, wanted)).toBe(0.5);
      const two = [
        [1, 2],
        [3, 0],
      ];
      expect(await accuracy(F.crossEntropy, two, Int32Array.of(1, 1))).toBe(0.5);
      expect(
        await accuracy(F.crossEntropy, two, [
          [0, 1],
          [1, 0],
        ]),
      ).toBe(1);
      await expect(accuracy((p, t) => p.sub(t).square().mean(), three, wanted)).rejects.toThrow(
        /accuracy: it is not known whether .*; give { threshold: 0.5 } or { threshold: 0 }/,
      );
      optimizer.dispose();
      w.dispose();
    });
  });

  it('takes metrics of one’s own under their names', async () => {
    await clean(device, async () => {
      const largest = (prediction: Tensor): Tensor => prediction.amax();
      using made = build({ metrics: [largest, 'accuracy'] });
      const { x, y } = clouds(8);
      expect(Object.keys(await made.model.evaluate(x, y))).toEqual(['loss', 'largest', 'accuracy']);
      const rows = (prediction: Tensor): Tensor => prediction.sum({ dim: 1 });
      made.model.compile({ optimizer: made.adam, loss: F.crossEntropy, metrics: [rows] });
      await expect(made.model.evaluate(x, y)).rejects.toThrow(
        /rows: it has shape \[8\] for a batch, but it must be a scalar/,
      );
    });
  });

  it('calls callbacks in order, awaits them, and stops when asked', async () => {
    await clean(device, async () => {
      using made = build();
      const { x, y } = clouds(8);
      const calls: string[] = [];
      const schedule = new optim.StepLR(made.adam, { stepSize: 1, gamma: 0.5 });
      const { epoch } = await made.model.fit(x, y, {
        epochs: 5,
        batchSize: 4,
        verbose: 0,
        callbacks: [
          {
            onTrainBegin: (run) => void calls.push(`begin ${run.epochs}`),
            onEpochBegin: async (e) => {
              await Promise.resolve();
              calls.push(`epoch ${e}`);
            },
            onBatchEnd: (b) => void calls.push(`batch ${b}`),
            onEpochEnd: (e, logs, run) => {
              calls.push(`end ${e} ${Object.keys(logs)}`);
              schedule.step();
              if (e === 1) run.stop();
            },
            onTrainEnd: ({ history }) => void calls.push(`done ${history.epoch.length}`),
          },
        ],
      });
      expect(epoch).toEqual([0, 1]);
      expect(made.adam.lr).toBeCloseTo(0.0125, 10);
      const one = ['batch 0', 'batch 1'];
      expect(calls).toEqual([
        'begin 5',
        'epoch 0',
        ...one,
        'end 0 loss,accuracy',
        'epoch 1',
        ...one,
        'end 1 loss,accuracy',
        'done 2',
      ]);
    });
  });

  it('says as much as it is told to', async () => {
    using made = build();
    const { x, y } = clouds(8);
    const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
    try {
      await made.model.fit(x, y, { epochs: 2, verbose: 0 });
      expect(log).not.toHaveBeenCalled();
      await made.model.fit(x, y, { epochs: 2, verbose: 2, validationData: [x, y] });
      expect(log.mock.calls.map(([line]) => String(line).replace(/[\d.]+(e-\d+)?/g, '#'))).toEqual(
        Array(2).fill('epoch #/#  # s  loss #  accuracy #  valLoss #  valAccuracy #'),
      );
    } finally {
      log.mockRestore();
    }
  });

  describe('refuses, leaves nothing behind and no parameter changed:', () => {
    const { x, y } = clouds(8);
    type Model = tl.nn.Sequential;
    const quiet = { verbose: 0 } as const;
    it.each<[string, (model: Model) => Promise<unknown>, new (m?: string) => Error, RegExp]>([
      [
        'no samples',
        (m) => m.fit({ data: new Float32Array(0), shape: [0, 2] }, new Int32Array(0), quiet),
        tl.ShapeError,
        /fit: there are no samples; x has the shape \[0, 2\]/,
      ],
      ['an empty loader', (m) => m.fit([], { ...quiet } as never), tl.UnsupportedError, /the targets y are an object/],
      [
        'a batch size of 0',
        (m) => m.fit(x, y, { batchSize: 0 }),
        tl.UnsupportedError,
        /fit: batchSize is number 0, but it must be a whole number of at least 1/,
      ],
      ['half an epoch', (m) => m.fit(x, y, { epochs: 0.5 }), tl.UnsupportedError, /fit: epochs is number 0.5/],
      [
        'a validation split of 1',
        (m) => m.fit(x, y, { validationSplit: 1 }),
        tl.UnsupportedError,
        /validationSplit is number 1, but it must be at least 0 and less than 1/,
      ],
      [
        'two kinds of validation',
        (m) => m.fit(x, y, { validationSplit: 0.5, validationData: [x, y] }),
        tl.UnsupportedError,
        /not both/,
      ],
      [
        'validation data of another kind',
        (m) => m.fit(x, y, { validationData: { a: 1 } as never }),
        tl.UnsupportedError,
        /validationData is an object; give \[x, y\]/,
      ],
      [
        'an unknown option',
        (m) => m.fit(x, y, { epoch: 3 } as object),
        tl.UnsupportedError,
        /fit: there is no option epoch; it takes epochs, batchSize/,
      ],
      [
        'fewer targets than inputs',
        (m) => m.fit(x, y.slice(1), quiet),
        tl.ShapeError,
        /fit: x has 8 samples and y has 7; they must be as many/,
      ],
      ['no targets', (m) => m.fit(x, undefined as never), tl.UnsupportedError, /fit: the targets y are undefined/],
      ['no inputs', (m) => m.fit(3 as never, y), tl.UnsupportedError, /fit: x is number 3/],
      [
        'batches of another kind',
        (m) => m.fit([{ a: 1 }] as never, quiet),
        tl.UnsupportedError,
        /a batch is an object; it must be an object \{ x, y \}/,
      ],
      [
        'NaN among the targets',
        (m) => m.fit(x, Float32Array.of(0, 1, Number.NaN, 0, 1, 0, 1, 0), quiet),
        tl.DTypeError,
        /there is NaN among the targets y; remove or replace/,
      ],
      [
        'NaN among targets of int32',
        (m) => m.fit(x, { data: Float32Array.of(0, 1, Number.NaN, 0, 1, 0, 1, 0), shape: [8], dtype: 'int32' }, quiet),
        tl.DTypeError,
        /NaN/,
      ],
      [
        'float labels',
        (m) => m.fit(x, Array.from(y), quiet),
        tl.DTypeError,
        /crossEntropy: labels of shape \[8\] are float32; give class indices as int32/,
      ],
      [
        'inputs that do not fit the model',
        (m) => m.fit({ data: x.data, shape: [4, 4] }, y.slice(4), quiet),
        tl.ShapeError,
        /Linear: the input \[4, 4\] must end in 2/,
      ],
      [
        'an option of evaluate',
        (m) => m.evaluate(x, y, { verbose: 1 } as object),
        tl.UnsupportedError,
        /evaluate: there is no option verbose/,
      ],
      [
        'an option of predict',
        (m) => m.predict(x, { size: 1 } as object),
        tl.UnsupportedError,
        /predict: there is no option size/,
      ],
      [
        'nothing to predict',
        (m) => m.predict({ data: new Float32Array(0), shape: [0, 2] }),
        tl.ShapeError,
        /predict: there are no samples/,
      ],
      [
        'a batch of two lengths',
        (m) => m.trainOnBatch(x, y.slice(2)),
        tl.ShapeError,
        /trainOnBatch: x has 8 samples and y has 6/,
      ],
    ])('%s', async (_, act, type, message) => {
      await clean(device, async () => {
        using made = build();
        const before = await Promise.all(made.model.parameters().map((p) => p.data()));
        const error = await act(made.model).then(
          () => null,
          (e: unknown) => e,
        );
        expect(error).toBeInstanceOf(type);
        expect(String(error)).toMatch(message);
        expect(await Promise.all(made.model.parameters().map((p) => p.data()))).toEqual(before);
      });
    });

    it('NaN among targets on the device', async () => {
      await clean(device, async () => {
        using made = build();
        const target = tl.tensor([0, Number.NaN, 1, 0, 1, 0, 1, 0]);
        await expect(made.model.fit(x, target, quiet)).rejects.toThrow(tl.DTypeError);
        target.dispose();
        await expect(made.model.fit(x, target, quiet)).rejects.toThrow(tl.DisposedError);
      });
    });

    it('fit before compile, and bad things to compile', async () => {
      await clean(device, async () => {
        const model = new nn.Linear(2, 2);
        await expect(model.fit(x, y)).rejects.toThrow(/fit: the module has no optimizer and loss yet; call compile/);
        await expect(model.evaluate(x, y)).rejects.toThrow(/evaluate: the module has no optimizer/);
        const optimizer = new optim.SGD(model.parameters());
        expect(() => model.compile({ optimizer: 'adam' as never, loss: F.mseLoss })).toThrow(
          /optimizer is string adam; pass one/,
        );
        expect(() => model.compile({ optimizer, loss: 'mse' as never })).toThrow(/loss is string mse; pass a function/);
        expect(() => model.compile({ optimizer, loss: F.mseLoss, metrics: ['f2' as never] })).toThrow(
          /there is no metric string f2; use accuracy, precision, recall, f1, auc, mae, mse, r2, top5/,
        );
        expect(() => model.compile({ optimizer, loss: F.mseLoss, metrics: ['mse', 'mse'] })).toThrow(
          /two metrics are called mse/,
        );
        expect(() => model.compile({ optimizer, loss: F.mseLoss, metric: [] } as never)).toThrow(
          /there is no option metric/,
        );
        optimizer.dispose();
        model.dispose();
      });
    });
  });

  it('reports labels that are no classes, which only the device finds', async () => {
    await clean(device, async () => {
      using made = build();
      const { x, y } = clouds(8);
      y[5] = 2;
      await expect(made.model.fit(x, y, { verbose: 0 })).rejects.toThrow(tl.IndexError);
      y[5] = -1;
      await expect(made.model.evaluate(x, y)).rejects.toThrow(/crossEntropy: an index or label is out of range/);
      y[5] = 1;
      expect((await made.model.evaluate(x, y)).loss).toBeGreaterThan(0);
    });
  });

  it('an error in a callback ends the run and frees what it made', async () => {
    await clean(device, async () => {
      using made = build();
      const { x, y } = clouds(8);
      const onBatchEnd = (): void => {
        throw new Error('enough');
      };
      const options = { batchSize: 2, verbose: 0, callbacks: [{ onBatchEnd }] } as const;
      await expect(made.model.fit(x, y, options)).rejects.toThrow('enough');
      // What a flush used up goes back once the device has accepted it.
      await device.sync();
    });
  });

  it('a step of the MLP 784-256-128-10 with Adam stays at 16 launches and one flush', async () => {
    await clean(device, async () => {
      tl.manualSeed(0);
      const model = new nn.Sequential(
        new nn.Linear(784, 256),
        new nn.ReLU(),
        new nn.Linear(256, 128),
        new nn.ReLU(),
        new nn.Linear(128, 10),
      );
      const adam = new optim.Adam(model.parameters());
      const x = new Float32Array(64 * 784).map((_, i) => Math.sin(i));
      const y = Int32Array.from({ length: 64 }, (_, i) => i % 10);
      const { counters } = device.engine;
      const counts: number[][] = [];
      for (let i = 0; i < 4; i++) {
        const [xs, ys] = [tl.tensor(x, { shape: [64, 784] }), tl.tensor(y)];
        const before = { ...counters };
        const loss = adam.minimize(() => F.crossEntropy(model.forward(xs), ys));
        counts.push([
          counters.flushes - before.flushes,
          counters.launches - before.launches,
          counters.planHits - before.planHits,
        ]);
        if (i === 3) expect(await loss.item()).toBeLessThan(Math.log(10));
        xs.dispose();
        ys.dispose();
      }
      for (const [flushes, launches, hits] of counts.slice(2)) {
        expect([flushes, hits]).toEqual([1, 1]);
        // With fewer than 11 bindings, the update of the last bias and the gradient of the logits take a kernel each.
        expect(launches).toBeLessThanOrEqual(device.backend.limits.bindings < 11 ? 17 : 16);
      }
      adam.dispose();
      model.dispose();
    });
  });
});
