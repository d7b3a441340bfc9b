import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

const { estimators } = tl;

describe.each(devices)('estimators on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  const near = (values: readonly number[], digits = 4): unknown[] => values.map((v) => expect.closeTo(v, digits));
  const numbers = async (t: tl.Tensor): Promise<number[]> => Array.from(await t.data(), Number);
  const free = async (t: tl.Tensor): Promise<number[]> => {
    using out = t;
    return numbers(out);
  };

  it('LinearRegression finds the line, in closed form and by descent', () =>
    clean(device, async () => {
      const x = [[0, 1], [1, 0], [2, 2], [3, 1], [4, 5]]; // biome-ignore format: a matrix
      const y = x.map(([a = 0, b = 0]) => 3 * a - 2 * b + 0.5);
      using closed = new estimators.LinearRegression();
      expect(await closed.fit(x, y)).toBe(closed);
      expect(closed.coef.shape).toEqual([2]);
      expect(await numbers(closed.coef)).toEqual(near([3, -2]));
      expect(await closed.intercept.item()).toBeCloseTo(0.5, 4);
      expect(await free(closed.predict([[10, 10]]))).toEqual(near([10.5], 3));
      expect(await closed.score(x, y)).toBeCloseTo(1, 5);
      expect(closed.losses).toEqual([]);
      using descent = new estimators.LinearRegression({ solver: 'descent', lr: 0.08, epochs: 600 });
      await descent.fit(x, y);
      expect(await numbers(descent.coef)).toEqual(near([3, -2], 2));
      expect(descent.losses).toHaveLength(600);
      expect(descent.losses[0]).toBeCloseTo(y.reduce((s, v) => s + v * v, 0) / 5, 3);
      expect(descent.losses.at(-1)).toBeLessThan(1e-3);
      using wild = new estimators.LinearRegression({ solver: 'descent', lr: 10, epochs: 500 });
      await expect(wild.fit(x, y)).rejects.toThrow(
        /LinearRegression.fit: the descent diverged within \d+ steps of lr 10/,
      );
      // Columns that depend on each other: the weights of least norm.
      using twice = await new estimators.LinearRegression().fit([[1, 1], [2, 2], [4, 4]], [2, 4, 8]); // biome-ignore format: a matrix
      expect(await numbers(twice.coef)).toEqual(near([1, 1], 3));
      // Fewer samples than columns, several targets, no intercept.
      using wide = new estimators.LinearRegression({ fitIntercept: false });
      await wide.fit([[1, 0, 0], [0, 2, 0]], [[1, 2], [4, 6]]); // biome-ignore format: a matrix
      expect(wide.coef.shape).toEqual([3, 2]);
      expect(await numbers(wide.coef)).toEqual(near([1, 2, 2, 3, 0, 0]));
      expect(await numbers(wide.intercept)).toEqual([0, 0]);
    }));

  it('Ridge makes the weights smaller, and leaves the intercept', () =>
    clean(device, async () => {
      const x = [[-1], [0], [1]];
      using plain = await new estimators.Ridge({ alpha: 0 }).fit(x, [3, 5, 7]);
      using model = await new estimators.Ridge({ alpha: 2 }).fit(x, [3, 5, 7]);
      expect(await numbers(plain.coef)).toEqual(near([2]));
      expect(await numbers(model.coef)).toEqual(near([1]));
      expect(await model.intercept.item()).toBeCloseTo(5, 5);
      // R² of predictions 4, 5, 6.
      expect(await model.score(x, [3, 5, 7])).toBeCloseTo(0.75, 5);
    }));

  it('LogisticRegression ends where the gradient of its loss is 0', () =>
    clean(device, async () => {
      tl.manualSeed(4);
      using x = tl.tidy(() =>
        tl
          .randn([60, 3])
          .mul(tl.tensor([1, 10, 0.1]))
          .add(tl.tensor([5, 0, -1])),
      );
      const rows = (await x.toArray()) as number[][];
      for (const classes of [2, 3]) {
        const y = rows.map(([a = 0, b = 0], i) =>
          i % 7 === 0 ? 4 : 4 + 3 * ((a + b / 10 > 5 ? 1 : 0) + (classes === 3 && b > 5 ? 1 : 0)),
        );
        using model = new estimators.LogisticRegression({ C: 2 });
        await model.fit(x, y);
        expect(model.classes).toEqual(classes === 2 ? [4, 7] : [4, 7, 10]);
        expect(model.coef.shape).toEqual([classes === 2 ? 1 : 3, 3]);
        expect(await model.score(x, y)).toBeGreaterThan(0.75);
        const likely = await free(model.predictProba(x));
        const predicted = await free(model.predict(x));
        const coef = await numbers(model.coef);
        for (let c = 0; c < (classes === 2 ? 1 : 3); c++) {
          const at = classes === 2 ? 1 : c;
          for (let d = 0; d < 4; d++) {
            const slope = rows.reduce(
              (s, row, i) =>
                s + (likely[i * classes + at]! - (y[i] === model.classes[at] ? 1 : 0)) * (d < 3 ? row[d]! : 1),
              0,
            );
            // Of 2 * cross-entropy + |coef|² / 2.
            expect(2 * slope + (d < 3 ? coef[c * 3 + d]! : 0)).toBeCloseTo(0, 1);
          }
        }
        rows.forEach((_, i) => {
          const row = likely.slice(i * classes, (i + 1) * classes);
          expect(row.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
          expect(predicted[i]).toBe(model.classes[row.indexOf(Math.max(...row))]);
        });
      }
    }));

  it('Perceptron stops where classes can be told apart, and never for XOR', () =>
    clean(device, async () => {
      const x = [[0, 0], [0, 1], [1, 0], [1, 1]]; // biome-ignore format: a matrix
      using or = new estimators.Perceptron({ shuffle: false });
      await or.fit(x, [0, 1, 1, 1]);
      // By hand: from 0, a sample on the line counts as a mistake.
      expect(or.mistakes).toEqual(orByHand());
      expect(await free(or.predict(x))).toEqual([0, 1, 1, 1]);
      using xor = await new estimators.Perceptron({ maxIter: 12 }).fit(x, [0, 1, 1, 0]);
      expect(xor.mistakes).toHaveLength(12);
      expect(xor.mistakes.every((n) => n > 0)).toBe(true);
      expect(await xor.score(x, [0, 1, 1, 0])).toBeLessThan(1);
      using three = await new estimators.Perceptron().fit([[0, 9], [1, 8], [9, 0], [8, 1], [-9, -9], [-8, -9]], [1, 1, 2, 2, 5, 5]); // biome-ignore format: a matrix
      expect(await free(three.predict([[0, 7], [7, 0], [-7, -7]]))).toEqual([1, 2, 5]); // biome-ignore format: a matrix
    }));

  it('KMeans finds clusters, moves empty ones, and is the same for the same seed', () =>
    clean(device, async () => {
      const x = [[0, 0], [0, 1], [1, 0], [10, 10], [10, 11], [-10, 10]]; // biome-ignore format: a matrix
      tl.manualSeed(1);
      using model = await new estimators.KMeans({ nClusters: 3, nInit: 2 }).fit(x);
      expect(model.inertia).toBeCloseTo(4 / 3 + 0.5, 4);
      const labels = await numbers(model.labels);
      expect(new Set(labels).size).toBe(3);
      expect(new Set(labels.slice(0, 3)).size).toBe(1);
      expect(await free(model.predict([[9, 9], [0, 0.4]]))).toEqual([labels[3], labels[0]]); // biome-ignore format: a matrix
      expect(await model.score(x)).toBeCloseTo(-model.inertia, 3);
      // Two centres at one place: one of them is empty, and goes to the farthest sample.
      using given = new estimators.KMeans({ nClusters: 3, init: [[0, 0], [10, 10], [10, 10]] }); // biome-ignore format: a matrix
      await given.fit(x);
      expect(given.inertia).toBeCloseTo(4 / 3 + 0.5, 4);
      using same = await new estimators.KMeans({ nClusters: 2 }).fit([[1], [1], [1]]);
      expect(same.inertia).toBe(0);
    }));

  it('PCA turns towards the most variance, and back', () =>
    clean(device, async () => {
      const x = [[2, 0, 1], [0, 2, -1], [-2, 0, 1], [0, -2, -1], [4, 4, 0], [-4, -4, 0]]; // biome-ignore format: a matrix
      using full = await new estimators.PCA().fit(x);
      const root = Math.SQRT1_2;
      expect(await numbers(full.components)).toEqual(
        near([root, root, 0, root, -root, 0, 0, 0, 1].map(Math.abs)).map((v, i) =>
          i === 4 ? expect.closeTo(-root, 4) : v,
        ),
      );
      expect(await numbers(full.explainedVariance)).toEqual(near([72 / 5, 8 / 5, 4 / 5]));
      expect(await numbers(full.explainedVarianceRatio)).toEqual(near([72 / 84, 8 / 84, 4 / 84]));
      const there = full.transform(x);
      expect(await free(full.inverseTransform(there))).toEqual(near(x.flat()));
      there.dispose();
      using one = await new estimators.PCA({ nComponents: 1, whiten: true }).fit(x);
      const z = await one.fitTransform(x);
      const values = await free(z);
      expect(z.shape).toEqual([6, 1]);
      expect(values.reduce((s, v) => s + v * v, 0) / 5).toBeCloseTo(1, 4);
      // The Gaussian of the two smaller directions has their mean variance.
      const log = Math.log((72 / 5) * 1.2 * 1.2) + 3 * Math.log(2 * Math.PI);
      const spread = 5 / 6 + (5 * (1.6 + 0.8)) / 6 / 1.2;
      expect(await one.score(x)).toBeCloseTo(-0.5 * (log + spread), 3);
    }));

  it('refuse bad input, and leave nothing behind', () =>
    clean(device, async () => {
      using line = new estimators.LinearRegression();
      expect(() => line.predict([[1]])).toThrow(
        'LinearRegression.predict: it was not fitted yet; await fit(...) first',
      );
      await expect(line.fit([1, 2], [1, 2])).rejects.toThrow(/x of \[2\] must be of shape \[samples, columns\]/);
      await expect(line.fit([[1], [2]], [1])).rejects.toThrow(/x has 2 samples and y is \[1\]/);
      await line.fit([[1], [2]], [1, 2]);
      expect(() => line.predict([[1, 2]])).toThrow(/x has 2 columns where it was fitted to 1/);
      using logistic = new estimators.LogisticRegression();
      await expect(logistic.fit([[1], [2]], [3, 3])).rejects.toThrow(
        /all labels are 3; there must be at least two classes/,
      );
      using pca = new estimators.PCA({ nComponents: 3 });
      await expect(pca.fit([[1, 2], [3, 4]])).rejects.toThrow(/no 3 components in 2 samples of 2 columns; at most 2/); // biome-ignore format: a matrix
      using clusters = new estimators.KMeans({ nClusters: 3 });
      await expect(clusters.fit([[1], [2]])).rejects.toThrow(/2 samples are too few; there must be at least 3/);
      using placed = new estimators.KMeans({ nClusters: 1, init: [[1, 2]] });
      await expect(placed.fit([[1], [2]])).rejects.toThrow(/init of \[1, 2\] must be of shape \[1, 1\]/);
      expect(() => new estimators.Ridge({ alpha: -1 })).toThrow(/alpha is number -1/);
      expect(() => new estimators.KMeans({ nClusters: 1.5 })).toThrow(/nClusters is number 1.5/);
      expect(() => new estimators.LogisticRegression({ c: 1 } as object)).toThrow(/there is no option c/);
      expect(() => new estimators.LinearRegression({ solver: 'newton' as never })).toThrow(
        /solver is .*newton.*use 'closed'/,
      );
    }));
});

/** The mistakes of each pass of a perceptron that learns OR in order. */
function orByHand(): number[] {
  const samples = [[0, 0, -1], [0, 1, 1], [1, 0, 1], [1, 1, 1]] as const; // biome-ignore format: a matrix
  let [a, b, c] = [0, 0, 0];
  const out: number[] = [];
  for (;;) {
    let wrong = 0;
    for (const [p, q, side] of samples) {
      if ((a * p + b * q + c) * side > 0) continue;
      wrong++;
      [a, b, c] = [a + side * p, b + side * q, c + side];
    }
    out.push(wrong);
    if (wrong === 0) return out;
  }
}
