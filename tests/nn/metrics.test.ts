import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, held, open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;
const { nn, optim } = tl;
const { metrics } = nn;

/** Numbers that look like noise, the same everywhere; multiples of 1/64, so that there are ties. */
const noise = (n: number, seed: number): number[] =>
  Array.from({ length: n }, (_, i) => Math.round(64 * Math.sin(12.9898 * (i + 1) * seed)) / 64);

/** Outputs of three classes, the labels, and what a loop over them counts. */
function threeClasses(n: number): { rows: number[][]; labels: number[]; matrix: number[][] } {
  const values = noise(3 * n, 1.3);
  const rows = Array.from({ length: n }, (_, i) => values.slice(3 * i, 3 * i + 3));
  const labels = noise(n, 2.1).map((v) => (v < -0.7 ? 0 : v < 0.2 ? 1 : 2));
  const matrix = [0, 1, 2].map(() => [0, 0, 0]);
  rows.forEach((row, i) => {
    matrix[labels[i]!]![row.indexOf(Math.max(...row))]!++;
  });
  return { rows, labels, matrix };
}

const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);

/** Pairs of a positive and a negative sample in the right order; ties count half. */
function pairsInOrder(scores: readonly number[], positive: readonly number[]): number {
  let right = 0;
  let pairs = 0;
  scores.forEach((a, i) => {
    scores.forEach((b, j) => {
      if (positive[i] !== 1 || positive[j] !== 0) return;
      pairs++;
      right += a > b ? 1 : a === b ? 0.5 : 0;
    });
  });
  return right / pairs;
}

describe.each(devices)('metrics on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  const int = (values: readonly number[]): Tensor => tl.tensor(Int32Array.from(values));

  /** The figure of batches of different sizes, and that of the whole by the function; both must agree. */
  async function both<R>(
    metric: tl.nn.metrics.Metric<R>,
    call: (p: Tensor, t: Tensor) => Tensor,
    prediction: () => Tensor,
    target: () => Tensor,
    sizes: readonly number[],
  ): Promise<R> {
    const [p, t] = tl.tidy(() => [prediction(), target()]);
    let start = 0;
    for (const size of sizes) {
      tl.tidy(() => metric.update(p!.slice(0, start, start + size), t!.slice(0, start, start + size)));
      start += size;
    }
    expect(start).toBe(p!.shape[0]);
    const streamed = await metric.compute();
    const whole = call(p!, t!);
    const figures = (value: unknown): unknown => [value].flat(3).map((v) => expect.closeTo(v as number, 5));
    expect([await whole.toArray()].flat(3)).toEqual(figures(streamed));
    for (const x of [p!, t!, whole]) x.dispose();
    metric.dispose();
    return streamed;
  }

  const sizes = [4, 1, 7, 5, 13];
  const n = sum(sizes);

  it('counts right answers and confusions of classes exactly over batches of different sizes', async () => {
    await clean(device, async () => {
      const { rows, labels, matrix } = threeClasses(n);
      const run = <R>(metric: tl.nn.metrics.Metric<R>, call: (p: Tensor, t: Tensor) => Tensor): Promise<R> =>
        both(
          metric,
          call,
          () => tl.tensor(rows),
          () => int(labels),
          sizes,
        );
      const hits = matrix.map((row, c) => row[c]!);
      const predicted = [0, 1, 2].map((c) => sum(matrix.map((row) => row[c]!)));
      const actual = matrix.map(sum);
      expect(await run(new metrics.ConfusionMatrix(), metrics.confusionMatrix)).toEqual(matrix);
      expect(await run(new metrics.Accuracy(), metrics.accuracy)).toBeCloseTo(sum(hits) / n, 6);
      const averaged = (each: readonly number[], micro: number) => ({
        macro: sum(each) / 3,
        weighted: sum(each.map((v, c) => v * actual[c]!)) / n,
        micro,
      });
      const wanted = {
        precision: averaged(
          hits.map((h, c) => h / predicted[c]!),
          sum(hits) / n,
        ),
        recall: averaged(
          hits.map((h, c) => h / actual[c]!),
          sum(hits) / n,
        ),
        f1: averaged(
          hits.map((h, c) => (2 * h) / (predicted[c]! + actual[c]!)),
          sum(hits) / n,
        ),
      };
      for (const average of name === 'webgpu' ? (['weighted'] as const) : (['macro', 'weighted', 'micro'] as const)) {
        const options = { average };
        const p = await run(new metrics.Precision(options), (a, b) => metrics.precision(a, b, options));
        expect(p).toBeCloseTo(wanted.precision[average], 5);
        const r = await run(new metrics.Recall(options), (a, b) => metrics.recall(a, b, options));
        expect(r).toBeCloseTo(wanted.recall[average], 5);
        const f = await run(new metrics.F1Score(options), (a, b) => metrics.f1Score(a, b, options));
        expect(f).toBeCloseTo(wanted.f1[average], 5);
      }
    });
  });

  it('takes one-hot targets, dims behind the classes, and classes that do not occur', async () => {
    await clean(device, async () => {
      const call = async (fn: () => Tensor): Promise<unknown> => {
        const value = tl.tidy(fn);
        const read = await value.toArray();
        value.dispose();
        return read;
      };
      const rows = [
        [1, 2, 0],
        [3, 0, 0],
      ];
      const oneHot = [
        [0, 1, 0],
        [0, 1, 0],
      ];
      expect(await call(() => metrics.accuracy(tl.tensor(rows), tl.tensor(oneHot)))).toBe(0.5);
      expect(await call(() => metrics.confusionMatrix(tl.tensor(rows), tl.tensor(oneHot)))).toEqual([
        [0, 0, 0],
        [1, 1, 0],
        [0, 0, 0],
      ]);
      // Class 0 was answered without labels, class 2 does not occur: (0 + 1) / 2 and (0 + 1/2) / 2.
      expect(await call(() => metrics.precision(tl.tensor(rows), tl.tensor(oneHot)))).toBe(0.5);
      expect(await call(() => metrics.recall(tl.tensor(rows), tl.tensor(oneHot)))).toBe(0.25);
      // [N, C, d]: the labels have the shape [N, d].
      const images = () =>
        tl.tensor([
          [
            [1, 0],
            [0, 1],
          ],
          [
            [1, 1],
            [0, 0],
          ],
        ]);
      expect(
        await call(() =>
          metrics.accuracy(
            images(),
            tl.tensor(
              [
                [0, 1],
                [0, 1],
              ],
              { dtype: 'int32' },
            ),
          ),
        ),
      ).toBe(0.75);
      expect(
        await call(() =>
          metrics.topKAccuracy(
            images(),
            tl.tensor(
              [
                [1, 1],
                [0, 1],
              ],
              { dtype: 'int32' },
            ),
            1,
          ),
        ),
      ).toBe(0.5);
    });
  });

  it('counts yes and no above a threshold', async () => {
    await clean(device, async () => {
      const scores = noise(n, 3.7);
      const answers = noise(n, 5.1).map((v) => (v > -0.2 ? 1 : 0));
      const yes = scores.map((s) => (s > 0 ? 1 : 0));
      const hits = sum(yes.map((v, i) => v * answers[i]!));
      const [p, r] = [hits / sum(yes), hits / sum(answers)];
      const run = (metric: tl.nn.metrics.Metric, call: (p: Tensor, t: Tensor) => Tensor, columns: number) =>
        both(
          metric,
          call,
          () => tl.tensor(scores).reshape([-1, columns]),
          () => tl.tensor(answers).reshape([-1, columns]),
          columns === 1 ? sizes : [2, 8],
        );
      const logits = { threshold: 0 };
      for (const columns of [1, 3]) {
        expect(
          await run(new metrics.Precision(logits), (a, b) => metrics.precision(a, b, logits), columns),
        ).toBeCloseTo(p, 5);
        expect(await run(new metrics.Recall(logits), (a, b) => metrics.recall(a, b, logits), columns)).toBeCloseTo(
          r,
          5,
        );
        expect(await run(new metrics.F1Score(logits), (a, b) => metrics.f1Score(a, b, logits), columns)).toBeCloseTo(
          (2 * p * r) / (p + r),
          5,
        );
        expect(await run(new metrics.Accuracy(logits), (a, b) => metrics.accuracy(a, b, logits), columns)).toBeCloseTo(
          sum(yes.map((v, i) => (v === answers[i] ? 1 : 0))) / n,
          5,
        );
      }
      // Class 1 of two columns is the same as yes.
      const two = { average: 'binary' } as const;
      const columns = () => tl.tensor(scores.map((s) => [0, s]));
      expect(
        await both(
          new metrics.Precision(two),
          (a, b) => metrics.precision(a, b, two),
          columns,
          () => int(answers),
          sizes,
        ),
      ).toBeCloseTo(p, 5);
    });
  });

  it('finds labels among the k largest, the first of equal ones', async () => {
    await clean(device, async () => {
      const rows = [
        [0.1, 0.9, 0.5, 0.2],
        [0.3, 0.3, 0.3, 0.3],
        [0.3, 0.3, 0.3, 0.3],
        [4, 3, 2, 1],
        [Number.NaN, 0, 1, 2],
      ];
      const labels = [2, 1, 2, 3, 0];
      for (const [k, right] of [
        [1, 0],
        [2, 2],
        [3, 3],
        [4, 4],
      ] as const)
        expect(
          await both(
            new metrics.TopKAccuracy(k),
            (p, t) => metrics.topKAccuracy(p, t, k),
            () => tl.tensor(rows),
            () => int(labels),
            [2, 3],
          ),
        ).toBeCloseTo(right / 5, 6);
      expect(new metrics.TopKAccuracy().name).toBe('top5');
    });
  });

  it('gives the exact area under the curve, ties included, however samples come', async () => {
    await clean(device, async () => {
      const call = (p: Tensor, t: Tensor): Tensor => metrics.auc(p, t);
      const scores = noise(n, 3.7);
      const answers = noise(n, 5.1).map((v) => (v > -0.2 ? 1 : 0));
      const wanted = pairsInOrder(scores, answers);
      expect(new Set(scores).size).toBeLessThan(n);
      expect(
        await both(
          new metrics.AUC(),
          call,
          () => tl.tensor(scores),
          () => tl.tensor(answers),
          sizes,
        ),
      ).toBeCloseTo(wanted, 6);
      // By columns, and by labels.
      expect(
        await both(
          new metrics.AUC(),
          call,
          () => tl.tensor(scores.map((s) => [1 - s, 1 + s])),
          () => int(answers),
          sizes,
        ),
      ).toBeCloseTo(wanted, 6);
      // One by one: parts are joined on the way.
      const many = 70;
      const [s, a] = [noise(many, 1.9), noise(many, 0.7).map((v) => (v > 0.1 ? 1 : 0))];
      const one = Array.from({ length: many }, () => 1);
      expect(
        await both(
          new metrics.AUC(),
          call,
          () => tl.tensor(s),
          () => tl.tensor(a),
          one,
        ),
      ).toBeCloseTo(pairsInOrder(s, a), 6);
      const value = async (p: number[], t: number[]): Promise<unknown> => {
        const found = tl.tidy(() => metrics.auc(tl.tensor(p), tl.tensor(t)));
        const read = await found.item();
        found.dispose();
        return read;
      };
      expect(await value([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])).toBeCloseTo(0.75, 6);
      expect(await value([2, 1], [1, 0])).toBe(1);
      expect(await value([1, 1, 1], [1, 0, 1])).toBeCloseTo(0.5, 6);
      expect(await value([0.5, 0.7], [1, 1])).toBeNaN();
      expect(await value([0.5, Number.NaN, 0.7], [1, 0, 0])).toBeNaN();
    });
  });

  it('measures errors and explained variance, far from 0 as well', async () => {
    await clean(device, async () => {
      const outputs = 2;
      const goal = noise(n * outputs, 1.7).map((v) => v + 1000);
      const guess = goal.map((v, i) => v + noise(n * outputs, 2.9)[i]! / 4);
      const rows = (values: readonly number[]): Tensor => tl.tensor([...values]).reshape([-1, outputs]);
      const errors = goal.map((v, i) => Math.fround(v) - Math.fround(guess[i]!));
      const run = (metric: tl.nn.metrics.Metric, call: (p: Tensor, t: Tensor) => Tensor) =>
        both(
          metric,
          call,
          () => rows(guess),
          () => rows(goal),
          sizes,
        );
      expect(await run(new metrics.MeanAbsoluteError(), (p, t) => metrics.meanAbsoluteError(p, t))).toBeCloseTo(
        sum(errors.map(Math.abs)) / (n * outputs),
        5,
      );
      expect(await run(new metrics.MeanSquaredError(), (p, t) => metrics.meanSquaredError(p, t))).toBeCloseTo(
        sum(errors.map((e) => e * e)) / (n * outputs),
        5,
      );
      const of = (list: readonly number[], d: number): number[] => list.filter((_, i) => i % outputs === d);
      const r2 = [0, 1].map((d) => {
        const y = of(goal, d);
        const mean = sum(y) / n;
        return 1 - sum(of(errors, d).map((e) => e * e)) / sum(y.map((v) => (v - mean) ** 2));
      });
      expect(await run(new metrics.R2Score(), (p, t) => metrics.r2Score(p, t))).toBeCloseTo(sum(r2) / 2, 4);
      const value = async (p: number[], t: number[]): Promise<number> => {
        const found = tl.tidy(() => metrics.r2Score(tl.tensor(p), tl.tensor(t)));
        const read = await found.item();
        found.dispose();
        return read;
      };
      expect(await value([2.5, 0, 2, 8], [3, -0.5, 2, 7])).toBeCloseTo(0.948608, 5);
      expect(await value([1, 1], [1, 1])).toBe(1);
      expect(await value([1, 2], [1, 1])).toBe(0);
      expect(await value([1, Number.NaN], [1, 2])).toBeNaN();
    });
  });

  it('holds no more with every batch, and nothing after reset', async () => {
    await clean(device, async () => {
      const all = [
        new metrics.Accuracy(),
        new metrics.F1Score(),
        new metrics.ConfusionMatrix(),
        new metrics.TopKAccuracy(1),
      ];
      const [p, t] = tl.tidy(() => [
        tl.tensor([
          [1, 0],
          [0, 1],
        ]),
        int([0, 0]),
      ]);
      const update = (): void => tl.tidy(() => all.forEach((metric) => void metric.update(p!, t!)));
      update();
      await device.sync();
      const before = held(device);
      for (let i = 0; i < 20; i++) update();
      await device.sync();
      expect(held(device)).toEqual(before);
      for (const metric of all) metric.reset();
      for (const metric of all)
        await expect(metric.compute()).rejects.toThrow(
          /there was no batch yet; call update\(prediction, target\) first/,
        );
      update();
      expect(await all[2]!.compute()).toEqual([
        [1, 1],
        [0, 0],
      ]);
      for (const metric of all) metric.dispose();
      p!.dispose();
      t!.dispose();
    });
  });

  it('takes metrics of one’s own that keep a state', async () => {
    await clean(device, async () => {
      type State = { readonly largest: Tensor };
      class LargestError extends metrics.Accumulated<State> {
        constructor() {
          super('largestError');
        }
        protected override start(prediction: Tensor): State {
          return { largest: tl.tensor(0, { device: prediction.device }) };
        }
        protected override next({ largest }: State, prediction: Tensor, target: Tensor): State {
          return { largest: tl.maximum(largest, prediction.sub(target).abs().amax()) };
        }
        protected override result({ largest }: State): Tensor {
          return largest.mul(1);
        }
      }
      using metric = new LargestError();
      using model = new nn.Linear(1, 1);
      using sgd = new optim.SGD(model.parameters());
      tl.noGrad(() => {
        model.weight.fill_(1);
        model.bias!.fill_(0);
      });
      model.compile({ optimizer: sgd, loss: nn.functional.mseLoss, metrics: [metric] });
      const logs = await model.evaluate([[1], [2], [3]], [[1], [6], [2]], { batchSize: 2 });
      expect(logs).toEqual({ loss: expect.closeTo(17 / 3, 5), largestError: 4 });
      expect(await metric.compute()).toBe(4);
    });
  });

  it('by name, by function and as objects in compile: the same figures', async () => {
    await clean(device, async () => {
      const { rows, labels, matrix } = threeClasses(n);
      tl.manualSeed(1);
      using model = new nn.Linear(3, 3, { bias: false });
      using sgd = new optim.SGD(model.parameters());
      tl.tidy(() => tl.noGrad(() => model.weight.assign_(tl.eye(3))));
      const loss = nn.functional.crossEntropy;
      const evaluate = (list: readonly tl.nn.MetricLike[]): Promise<tl.nn.Logs> => {
        model.compile({ optimizer: sgd, loss, metrics: list });
        return model.evaluate(rows, Int32Array.from(labels), { batchSize: 7 });
      };
      const byName = await evaluate(['accuracy', 'top2', 'precision', 'recall', 'f1']);
      const byFunction = await evaluate([metrics.accuracy, metrics.precision, metrics.recall, metrics.f1Score]);
      const { top2, ...rest } = byName;
      expect(byFunction).toEqual(rest);
      expect(top2).toBeGreaterThan(rest.accuracy!);
      expect(rest.accuracy).toBeCloseTo(sum(matrix.map((row, c) => row[c]!)) / n, 5);
      using confusion = new metrics.ConfusionMatrix();
      using weighted = new metrics.F1Score({ average: 'weighted' });
      const logs = await evaluate([confusion, weighted]);
      expect(Object.keys(logs)).toEqual(['loss', 'f1']);
      expect(await confusion.compute()).toEqual(matrix);
      // Every pass begins anew.
      await model.evaluate(rows, Int32Array.from(labels));
      expect(await confusion.compute()).toEqual(matrix);

      const scores = rows.map(([a]) => [a!]);
      const yes = labels.map((l) => [l > 1 ? 1 : 0]);
      using single = new nn.Linear(1, 1, { bias: false });
      tl.noGrad(() => single.weight.fill_(1));
      using other = new optim.SGD(single.parameters());
      const flat = scores.map(([s]) => s!);
      const binary = yes.map(([v]) => v!);
      for (const batchSize of [5, n]) {
        single.compile({
          optimizer: other,
          loss: nn.functional.binaryCrossEntropyWithLogits,
          metrics: ['auc', 'accuracy', 'precision'],
        });
        const found = await single.evaluate(scores, yes, { batchSize });
        expect(found.auc).toBeCloseTo(pairsInOrder(flat, binary), 5);
        expect(found.accuracy).toBeCloseTo(sum(flat.map((s, i) => (s > 0 === (binary[i] === 1) ? 1 : 0))) / n, 5);
        single.compile({ optimizer: other, loss: nn.functional.mseLoss, metrics: ['r2', 'mae', 'mse'] });
        const errors = await single.evaluate(scores, yes, { batchSize });
        const mean = sum(binary) / n;
        const squares = sum(flat.map((s, i) => (s - binary[i]!) ** 2));
        expect(errors.r2).toBeCloseTo(1 - squares / sum(binary.map((v) => (v - mean) ** 2)), 4);
        expect(errors.mse).toBeCloseTo(squares / n, 5);
        expect(errors.mse).toBeCloseTo(errors.loss!, 5);
      }
    });
  });

  it('says what does not fit, and keeps nothing of it', async () => {
    await clean(device, async () => {
      const scratch = tl.scope();
      const [rows, labels] = scratch.run(() => [tl.zeros([4, 3]), int([0, 1, 2, 0])]) as [Tensor, Tensor];
      const scores = scratch.run(() => tl.zeros([4]));
      const matrix = new metrics.ConfusionMatrix();
      matrix.update(rows, labels);
      await device.sync();
      const before = held(device);
      const wrong: [() => unknown, RegExp][] = [
        [
          () => matrix.update(rows, scores.reshape([2, 2])),
          /confusionMatrix: outputs \[4, 3\] do not fit targets \[2, 2\]/,
        ],
        [
          () => metrics.accuracy(rows, scores.slice(0, 0, 3)),
          /accuracy: outputs \[4, 3\] need labels of shape \[4\], got \[3\]/,
        ],
        [
          () => metrics.accuracy(scores, scores),
          /accuracy: it is not known whether the outputs are probabilities or logits; give \{ threshold: 0.5 \}/,
        ],
        [() => metrics.accuracy(rows, labels, { threshold: Number.NaN }), /Accuracy: threshold is number NaN/],
        [
          () => metrics.accuracy(rows, labels, { limit: 1 } as object),
          /Accuracy: there is no option limit; it takes threshold/,
        ],
        [
          () => metrics.precision(rows, labels, { average: 'mean' as 'macro' }),
          /Precision: average is string mean; use macro, micro, weighted, binary/,
        ],
        [
          () => metrics.f1Score(rows, labels, { average: 'binary' }),
          /F1Score: average 'binary' needs two classes, and there are 3/,
        ],
        [() => metrics.topKAccuracy(rows, labels, 0), /TopKAccuracy: k is number 0/],
        [() => metrics.topKAccuracy(rows, rows), /top5: outputs \[4, 3\] need labels of shape \[4\], got \[4, 3\]/],
        [
          () => metrics.auc(rows, labels),
          /auc: outputs \[4, 3\] do not fit targets \[4\]; it takes scores and targets of one shape/,
        ],
        [
          () => metrics.meanAbsoluteError(rows, scores),
          /mae: outputs \[4, 3\] and targets \[4\] must have the same shape/,
        ],
        [() => metrics.r2Score(rows, scores), /r2: outputs/],
        [() => metrics.auc(3 as never, labels), /auc: expected a tensor, got number 3/],
        [() => metrics.accuracy(rows, [1] as never), /accuracy: expected a tensor, got an array/],
      ];
      for (const [act, message] of wrong) expect(() => tl.tidy(act as () => undefined)).toThrow(message);
      device.engine.flush();
      expect(held(device)).toEqual(before);
      expect(await matrix.compute()).toEqual([
        [2, 0, 0],
        [1, 0, 0],
        [1, 0, 0],
      ]);
      matrix.dispose();
      scratch.dispose();
    });
  });

  it('reports labels that are no classes', async () => {
    await clean(device, async () => {
      using matrix = new metrics.ConfusionMatrix();
      tl.tidy(() => matrix.update(tl.zeros([2, 2]), int([0, 9])));
      await expect(matrix.compute()).rejects.toThrow(tl.IndexError);
      matrix.reset();
      tl.tidy(() => matrix.update(tl.zeros([2, 2]), int([0, 1])));
      expect(await matrix.compute()).toEqual([
        [1, 0],
        [1, 0],
      ]);
    });
  });
});
