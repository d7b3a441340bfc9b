import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, held, open, tl } from '../setup/open.ts';

const { nn, optim } = tl;
const F = nn.functional;

const x = { data: Float32Array.from({ length: 24 }, (_, i) => Math.sin(3 * i)), shape: [12, 2] };
const y = { data: Float32Array.from({ length: 12 }, (_, i) => Math.cos(i)), shape: [12, 1] };
const quiet = { verbose: 0 } as const;

describe.each(devices)('callbacks on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  const build = (lr = 0.1) => {
    tl.manualSeed(8);
    const model = new nn.Sequential(new nn.Linear(2, 3), new nn.Tanh(), new nn.Linear(3, 1));
    const sgd = new optim.SGD(model.parameters(), { lr });
    model.compile({ optimizer: sgd, loss: F.mseLoss, metrics: ['mae'] });
    return {
      model,
      sgd,
      weights: async (): Promise<number[][]> =>
        Promise.all(model.parameters().map(async (p) => Array.from(await p.data()))),
      [Symbol.dispose]() {
        sgd.dispose();
        model.dispose();
      },
    };
  };

  /** A callback that makes the figures of the epochs what the test says, for those behind it. */
  const feed = async (
    callback: tl.nn.Callback,
    figures: readonly tl.nn.Logs[],
  ): Promise<{ stopped: number | null }> => {
    using made = build();
    let stopped: number | null = null;
    using scope = tl.scope();
    const run: tl.nn.TrainingRun = {
      model: made.model,
      optimizer: made.sgd,
      epochs: figures.length,
      history: new nn.History(),
      scope,
      stop: () => undefined,
    };
    await callback.onTrainBegin?.(run);
    for (const [epoch, logs] of figures.entries()) {
      await callback.onEpochEnd?.(epoch, logs, {
        ...run,
        stop: () => {
          stopped ??= epoch;
        },
      });
      if (stopped !== null) break;
    }
    await callback.onTrainEnd?.(run);
    return { stopped };
  };

  describe('earlyStopping', () => {
    it('restores the parameters of the best epoch to the bit', async () => {
      await clean(device, async () => {
        // The rate explodes after the third epoch, so that the loss gets worse.
        using made = build(0.05);
        const seen: { loss: number; weights: number[][] }[] = [];
        const stopping = nn.earlyStopping({ monitor: 'valLoss', patience: 2, restoreBestWeights: true });
        const { epoch, history } = await made.model.fit(x, y, {
          epochs: 20,
          batchSize: 4,
          validationData: [x, y],
          callbacks: [
            {
              onEpochEnd: async (e, logs, run) => {
                seen.push({ loss: logs.valLoss!, weights: await made.weights() });
                if (e === 2) run.optimizer.lr = 3;
              },
            },
            stopping,
          ],
          ...quiet,
        });
        const losses = seen.map(({ loss }) => loss);
        const best = losses.indexOf(Math.min(...losses));
        expect(best).toBeGreaterThanOrEqual(2);
        expect(epoch).toHaveLength(best + 3);
        expect([stopping.bestEpoch, stopping.best, stopping.stoppedEpoch]).toEqual([best, losses[best], best + 2]);
        expect(await made.weights()).toEqual(seen[best]!.weights);
        expect(await made.weights()).not.toEqual(seen.at(-1)!.weights);
        expect((await made.model.evaluate(x, y)).loss).toBeCloseTo(history.valLoss![best]!, 5);
        // The next run starts from nothing.
        made.sgd.lr = 0.01;
        await made.model.fit(x, y, { epochs: 2, validationData: [x, y], callbacks: [stopping], ...quiet });
        expect([stopping.bestEpoch, stopping.stoppedEpoch]).toEqual([1, null]);
      });
    });

    it('restores when the run ends by itself, and leaves the last parameters unless asked', async () => {
      await clean(device, async () => {
        for (const restoreBestWeights of [true, false]) {
          using made = build(0.05);
          const weights: number[][][] = [];
          const stopping = nn.earlyStopping({ monitor: 'loss', mode: 'max', patience: 9, restoreBestWeights });
          await made.model.fit(x, y, {
            epochs: 3,
            callbacks: [stopping, { onEpochEnd: async () => void weights.push(await made.weights()) }],
            ...quiet,
          });
          expect(stopping.bestEpoch).toBe(0);
          expect(await made.weights()).toEqual(weights[restoreBestWeights ? 0 : 2]);
        }
      });
    });

    it('waits as long as it is patient, counts changes from minDelta, and knows which way is better', async () => {
      await clean(device, async () => {
        const losses = (...list: number[]) => list.map((valLoss) => ({ valLoss }));
        const run = async (options: tl.nn.EarlyStoppingOptions, figures: readonly tl.nn.Logs[]) => {
          const stopping = nn.earlyStopping(options);
          const { stopped } = await feed(stopping, figures);
          return [stopped, stopping.bestEpoch, stopping.best];
        };
        expect(await run({}, losses(3, 2, 2, 1))).toEqual([2, 1, 2]);
        expect(await run({ patience: 2 }, losses(3, 2, 2.5, 1, 1.5, 1.2, 0))).toEqual([5, 3, 1]);
        expect(await run({ patience: 1, minDelta: 0.5 }, losses(3, 2.4, 2.1, 1))).toEqual([2, 1, 2.4]);
        expect(await run({ patience: 2 }, losses(Number.NaN, 3, Number.NaN, Number.NaN, 1))).toEqual([3, 1, 3]);
        expect(await run({ patience: 2 }, losses(Number.NaN, Number.NaN))).toEqual([1, null, null]);
        const rising = [0.5, 0.6, 0.55, 0.7].map((v) => ({ valAccuracy: v, valTop5: v, own: v, valR2: v }));
        for (const monitor of ['valAccuracy', 'valTop5', 'valR2'])
          expect(await run({ monitor, patience: 2 }, rising)).toEqual([null, 3, 0.7]);
        expect(await run({ monitor: 'own', mode: 'max' }, rising)).toEqual([2, 1, 0.6]);
        expect(await run({ monitor: 'own', mode: 'min' }, rising)).toEqual([1, 0, 0.5]);
      });
    });
  });

  describe('modelCheckpoint', () => {
    it('keeps the last state, or the best, as it was', async () => {
      await clean(device, async () => {
        for (const saveBestOnly of [false, true]) {
          using made = build(0.05);
          using checkpoint = nn.modelCheckpoint({ monitor: 'loss', mode: 'max', saveBestOnly });
          expect([checkpoint.epoch, checkpoint.stateDict]).toEqual([null, null]);
          const weights: number[][][] = [];
          await made.model.fit(x, y, {
            epochs: 3,
            callbacks: [checkpoint, { onEpochEnd: async () => void weights.push(await made.weights()) }],
            ...quiet,
          });
          const epoch = saveBestOnly ? 0 : 2;
          expect(checkpoint.epoch).toBe(epoch);
          await made.model.fit(x, y, { epochs: 2, ...quiet });
          expect(await made.weights()).not.toEqual(weights[epoch]);
          made.model.loadStateDict(checkpoint.stateDict!);
          expect(await made.weights()).toEqual(weights[epoch]);
        }
      });
    });

    it('hands checkpoints to a function, and waits for it', async () => {
      await clean(device, async () => {
        using made = build();
        const saved: { epoch: number; loss: number; weights: number[][]; slots: string[] }[] = [];
        const after: number[][][] = [];
        const save: tl.nn.SaveCheckpoint = async ({ epoch, logs, model, optimizer }) => {
          await new Promise((resolve) => setTimeout(resolve, 5));
          saved.push({
            epoch,
            loss: logs.loss!,
            weights: await Promise.all(Object.values(model).map(async (p) => Array.from(await p.data()))),
            slots: optimizer.paramGroups.map((group) => group.params.join()),
          });
        };
        const checkpoint = nn.modelCheckpoint({ save, every: 2 });
        const { history } = await made.model.fit(x, y, {
          epochs: 5,
          callbacks: [checkpoint, { onEpochEnd: async () => void after.push(await made.weights()) }],
          ...quiet,
        });
        expect(saved).toEqual(
          [1, 3].map((epoch) => ({ epoch, loss: history.loss![epoch], weights: after[epoch], slots: ['0,1,2,3'] })),
        );
        expect([checkpoint.epoch, checkpoint.stateDict]).toEqual([3, null]);
        const failing = nn.modelCheckpoint({ save: () => Promise.reject(new Error('disk full')) });
        await expect(made.model.fit(x, y, { callbacks: [failing], ...quiet })).rejects.toThrow('disk full');
      });
    });

    it('holds one state, however many epochs', async () => {
      await clean(device, async () => {
        using made = build();
        using checkpoint = nn.modelCheckpoint();
        const seen: unknown[] = [];
        await made.model.fit(x, y, {
          epochs: 6,
          callbacks: [
            checkpoint,
            {
              onEpochEnd: async () => {
                await device.sync();
                seen.push(held(device));
              },
            },
          ],
          ...quiet,
        });
        for (const memory of seen.slice(2)) expect(memory).toEqual(seen[1]);
      });
    });
  });

  describe('lrScheduler', () => {
    it('steps schedules by epochs or batches, and asks functions', async () => {
      await clean(device, async () => {
        const rates = async (
          make: (sgd: tl.optim.SGD) => tl.nn.Callback,
          when: 'onBatchEnd' | 'onEpochEnd' = 'onEpochEnd',
        ): Promise<number[]> => {
          using made = build(0.1);
          const seen: number[] = [];
          const watch = { [when]: () => void seen.push(Number(made.sgd.lr.toFixed(6))) };
          await made.model.fit(x, y, {
            epochs: 3,
            batchSize: 6,
            callbacks: [make(made.sgd), watch],
            ...quiet,
          });
          return seen;
        };
        const halved = (sgd: tl.optim.SGD) => new optim.ExponentialLR(sgd, { gamma: 0.5 });
        expect(await rates((sgd) => nn.lrScheduler(halved(sgd)))).toEqual([0.05, 0.025, 0.0125]);
        expect(await rates((sgd) => nn.lrScheduler(halved(sgd), { interval: 'batch' }), 'onBatchEnd')).toEqual([
          0.05, 0.025, 0.0125, 0.00625, 0.003125, 0.001563,
        ]);
        expect(await rates(() => nn.lrScheduler((epoch, lr) => (epoch === 1 ? 1 : lr / 10)))).toEqual([0.01, 1, 0.1]);
        const given: (number | undefined)[] = [];
        const plateau = { step: (figure?: number) => void given.push(figure) };
        using made = build();
        const { history } = await made.model.fit(x, y, {
          epochs: 2,
          callbacks: [nn.lrScheduler(plateau, { monitor: 'mae' }), nn.lrScheduler(plateau)],
          ...quiet,
        });
        expect(given).toEqual([history.mae![0], undefined, history.mae![1], undefined]);
        await expect(made.model.fit(x, y, { callbacks: [nn.lrScheduler(() => -1)], ...quiet })).rejects.toThrow(
          /SGD: lr is number -1/,
        );
      });
    });
  });

  describe('csvLogger', () => {
    it('writes a head and a line an epoch, to functions, streams and memory alike', async () => {
      await clean(device, async () => {
        const figures = [
          { loss: 0.5, 'a,b': 1 },
          { loss: Number.NaN, 'a,b': -2e-7 },
        ];
        const wanted = 'epoch,loss,"a,b"\n0,0.5,1\n1,NaN,-2e-7\n';
        const memory = nn.csvLogger();
        await feed(memory, figures);
        expect(memory.text).toBe(wanted);
        const lines: string[] = [];
        await feed(
          nn.csvLogger(async (text) => {
            await Promise.resolve();
            lines.push(text);
          }),
          figures,
        );
        expect(lines.join('')).toBe(wanted);
        const stream = { text: '', write: (text: string) => (stream.text += text) };
        await feed(nn.csvLogger(stream, { separator: ';' }), figures);
        expect(stream.text).toBe(wanted.replace('"a,b"', 'a,b').replaceAll(/(?<!a),/g, ';'));
        const web: string[] = [];
        const writable = new WritableStream<string>({ write: (text) => void web.push(text) });
        const logger = nn.csvLogger(writable, { append: true });
        await feed(logger, figures);
        expect(web.join('')).toBe(wanted.split('\n').slice(1).join('\n'));
        expect(writable.locked).toBe(false);
        // A run starts anew; what a later epoch lacks is NA.
        await feed(logger, [{ loss: 1, mae: 2 }, { loss: 1 }]);
        expect(logger.text).toBe('0,1,2\n1,1,NA\n');
        await expect(
          feed(
            nn.csvLogger(() => Promise.reject(new Error('closed'))),
            figures,
          ),
        ).rejects.toThrow('closed');
      });
    });
  });

  it('refuses what it does not know', async () => {
    await clean(device, async () => {
      const wrong: [() => unknown, RegExp][] = [
        [() => nn.earlyStopping({ patience: -1 }), /earlyStopping: patience is number -1/],
        [() => nn.earlyStopping({ minDelta: Number.NaN }), /earlyStopping: minDelta is number NaN/],
        [() => nn.earlyStopping({ monitor: 'own' }), /it is not known whether less or more own is better; give mode/],
        [
          () => nn.earlyStopping({ mode: 'most' as 'max' }),
          /earlyStopping: mode is string most; use 'auto', 'min' or 'max'/,
        ],
        [() => nn.earlyStopping({ monitor: 3 as never }), /earlyStopping: monitor is number 3/],
        [() => nn.earlyStopping({ restore: true } as object), /earlyStopping: there is no option restore/],
        [() => nn.earlyStopping({ restoreBestWeights: 1 as never }), /restoreBestWeights is number 1/],
        [() => nn.modelCheckpoint({ save: 'dir' as never }), /modelCheckpoint: expected a function, got string dir/],
        [() => nn.modelCheckpoint({ every: 0 }), /modelCheckpoint: every is number 0/],
        [() => nn.modelCheckpoint({ saveBestOnly: true, monitor: 'own' }), /modelCheckpoint: it is not known whether/],
        [() => nn.lrScheduler(3 as never), /lrScheduler: number 3 is no schedule/],
        [() => nn.lrScheduler(() => 1, { interval: 'batch' }), /lrScheduler: a function goes with epochs/],
        [() => nn.lrScheduler({ step: () => undefined }, { interval: 'week' as 'batch' }), /interval is string week/],
        [
          () => nn.lrScheduler({ step: () => undefined }, { interval: 'batch', monitor: 'loss' }),
          /monitor goes with epochs/,
        ],
        [() => nn.csvLogger(3 as never), /csvLogger: number 3 cannot be written to/],
        [() => nn.csvLogger(null as never), /csvLogger: null cannot be written to/],
        [() => nn.csvLogger(undefined, { separator: '"' }), /csvLogger: separator is string "/],
        [() => nn.csvLogger(undefined, { append: 1 as never }), /append is number 1/],
      ];
      for (const [act, message] of wrong) {
        expect(act).toThrow(message);
        expect(act).toThrow(tl.UnsupportedError);
      }
      using made = build();
      for (const callback of [
        nn.earlyStopping(),
        nn.modelCheckpoint({ saveBestOnly: true }),
        nn.lrScheduler({ step: () => undefined }, { monitor: 'valLoss' }),
      ])
        await expect(made.model.fit(x, y, { callbacks: [callback], ...quiet })).rejects.toThrow(
          /the logs have no valLoss, but loss, mae; monitor one of these, or give fit validation data/,
        );
    });
  });
});

describe('History', () => {
  const history = new nn.History();
  history.push(0, { loss: 0.25, valLoss: 12.5 });
  history.push(1, { loss: 0.00012, valLoss: Number.POSITIVE_INFINITY });
  history.push(2, { loss: Number.NaN, valLoss: 0 });

  it('prints a table', () => {
    expect(history.table()).toBe(
      [
        'epoch     loss   valLoss',
        '-----  -------  --------',
        '    1   0.2500   12.5000',
        '    2  1.20e-4  Infinity',
        '    3      NaN    0.0000',
      ].join('\n'),
    );
    expect(new nn.History().table()).toBe('epoch\n-----');
  });

  it('goes to JSON and back, with what JSON has no numbers for', () => {
    const text = JSON.stringify(history);
    expect(JSON.parse(text)).toEqual({
      epoch: [0, 1, 2],
      history: { loss: [0.25, 0.00012, 'NaN'], valLoss: [12.5, 'Infinity', 0] },
    });
    for (const again of [nn.History.fromJSON(text), nn.History.fromJSON(history.toJSON())]) {
      expect(again).toBeInstanceOf(nn.History);
      expect([again.epoch, again.history]).toEqual([history.epoch, history.history]);
    }
    for (const [wrong, message] of [
      ['{', /History.fromJSON: the text is no JSON/],
      ['3', /History.fromJSON: number 3 is no history/],
      [null, /History.fromJSON: null is no history/],
      [{ epoch: [1] }, /an object is no history; give what toJSON\(\) gave/],
      [{ epoch: [0], history: { loss: [1, 2] } }, /loss is an array, but it must be an array of 1 figures/],
    ] as const) {
      expect(() => nn.History.fromJSON(wrong as never)).toThrow(tl.FormatError);
      expect(() => nn.History.fromJSON(wrong as never)).toThrow(message);
    }
  });
});
