import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { open, tl } from '../setup/open.ts';

/** A data set: all columns but the last, and the last. */
function read(name: string): { x: tl.data.HostRows; y: Float32Array } {
  const table = tl.data.readCsv(readFileSync(new URL(`../../examples/data/${name}.csv`, import.meta.url), 'utf8'));
  const target = table.names.at(-1) as string;
  return { x: table.rows(table.names.slice(0, -1)), y: table.rows([target]).data };
}

/** What the documentation of scikit-learn gives for the same data. */
describe('estimators give what scikit-learn gives', () => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open('cpu');
  });
  afterAll(() => device.destroy());
  const near = (values: readonly number[], digits: number): unknown[] => values.map((v) => expect.closeTo(v, digits));

  it('for the principal components of iris', async () => {
    using model = await new tl.estimators.PCA().fit(read('iris').x);
    expect(await model.explainedVarianceRatio.toArray()).toEqual(
      near([0.92461872, 0.05306648, 0.01710261, 0.00521218], 5),
    );
    expect(((await model.components.toArray()) as number[][])[0]).toEqual(
      near([0.36138659, -0.08452251, 0.85667061, 0.3582892], 5),
    );
  });

  it('for three clusters in iris', async () => {
    tl.manualSeed(0);
    using model = await new tl.estimators.KMeans({ nClusters: 3, nInit: 3 }).fit(read('iris').x);
    expect(model.inertia).toBeCloseTo(78.85144, 3);
  });

  it('for least squares on diabetes', async () => {
    const { x, y } = read('diabetes');
    using model = await new tl.estimators.LinearRegression().fit(x, y);
    expect(await model.score(x, y)).toBeCloseTo(0.5177494, 4);
  });

  it('for logistic regression on iris and breast cancer', async () => {
    const iris = read('iris');
    using model = await new tl.estimators.LogisticRegression().fit(iris.x, iris.y);
    expect(await model.score(iris.x, iris.y)).toBeCloseTo(146 / 150, 5);
    expect(((await model.coef.toArray()) as number[][])[0]).toEqual(near([-0.424, 0.967, -2.517, -1.079], 2));
    const cancer = read('breast_cancer');
    using two = await new tl.estimators.LogisticRegression().fit(cancer.x, cancer.y);
    expect(await two.score(cancer.x, cancer.y)).toBeCloseTo(0.9578, 2);
  });
});
