/*
 * Linear regression of several variables: the course of diabetes after a year from ten measurements (Efron et al., "Least angle
 * regression", 2004), by gradient descent and in closed form.
 *
 * J(w, b) = 1/m |X w + b - y|^2, for columns of X of mean 0 and variance 1. Descent converges for rates below 2 / lambda, where lambda
 * is the largest eigenvalue of the Hessian 2/m A^T A, A being X with a column of ones. The optimum solves A^T A c = A^T y.
 *
 * The descent is soon about as good as the optimum, and far from its coefficients for long: the blood sera s1 to s6 nearly depend
 * on each other, so that the cost is flat in some directions.
 *
 * | figure                             | full     | short    |
 * |------------------------------------|----------|----------|
 * | rows of the training set           | 353      | 353      |
 * | R2 on the test set, closed form    | 0.424    | 0.424    |
 * | R2 on the test set, descent        | 0.424    | 0.424    |
 * | largest rate that converges        | 0.254    | 0.254    |
 * | largest difference of coefficients | <= 0.004 | 7.49     |
 * | the same, normal equations         | <= 0.001 | <= 0.001 |
 */
import * as Plot from '@observablehq/plot';
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../../src/node.ts';
import { type Course, chart, dataset, type Figures, toTensor } from '../course.ts';

export async function run({ short, save, log }: Course): Promise<Figures> {
  const { x, y, names } = await dataset('diabetes');
  const [xTrain, xTest, yTrain, yTest] = tl.data.trainTestSplit(toTensor(x), tl.tensor(y), { testSize: 0.2 });
  const scaler = new tl.data.StandardScaler().fit(xTrain);
  const [inputs, testInputs] = [scaler.transform(xTrain), scaler.transform(xTest)];
  const [rows, columns] = inputs.shape as [number, number];

  // The largest rate that converges, from the curvature of the cost.
  const augmented = tl.cat([inputs, tl.ones([rows, 1])], 1);
  const gram = augmented.t().matmul(augmented);
  const largest =
    2 /
    (await tl.linalg
      .eigvalsh(gram)
      .amax()
      .mul(2 / rows)
      .item());

  const descend = async (lr: number, steps: number) => {
    const w = tl.zeros([columns], { requiresGrad: true });
    const b = tl.tensor(0, { requiresGrad: true });
    const sgd = new tl.optim.SGD([w, b], { lr });
    const costs: number[] = [];
    for (let step = 0; step < steps; step++) {
      const loss = sgd.minimize(() => tl.nn.functional.mseLoss(inputs.matmul(w).add(b), yTrain));
      costs.push(await loss.item());
    }
    log(`rate ${lr}: cost ${costs[0]!.toFixed(0)} to ${costs.at(-1)!.toFixed(0)} in ${steps} steps`);
    return { w, b, costs };
  };
  const { w, b } = await descend(0.2, short ? 500 : 3000);

  const closed = await new tl.estimators.LinearRegression().fit(inputs, yTrain);
  const optimum = await tl.nn.functional.mseLoss(closed.predict(inputs), yTrain).item();
  const curves = [];
  for (const lr of [0.003, 0.03, 0.2, 0.26]) {
    const { costs } = await descend(lr, 60);
    curves.push(...costs.map((cost, step) => ({ step, excess: cost - optimum, rate: `rate ${lr}` })));
  }
  const normal = tl.linalg.solve(gram, augmented.t().matmul(yTrain));

  const apart = (found: tl.Tensor) => found.sub(closed.coef).abs().amax().item();
  await save(
    'cost',
    chart('How far the cost is above the least one, over the steps, for four rates', {
      x: { label: 'step' },
      y: { label: 'mean squared error above its minimum', type: 'log', nice: true, ticks: 5 },
      marginRight: 70,
      marks: [
        Plot.line(curves, { x: 'step', y: 'excess', stroke: 'rate', strokeWidth: 2 }),
        Plot.text(
          curves,
          Plot.selectLast({ x: 'step', y: 'excess', z: 'rate', text: 'rate', textAnchor: 'start', dx: 6 }),
        ),
      ],
    }),
  );
  const [byDescent, exact] = [await w.data(), await closed.coef.data()];
  const coefficients = names.flatMap((name, i) => [
    { name, how: 'closed form', value: exact[i]! },
    { name, how: 'descent', value: byDescent[i]! },
  ]);
  await save(
    'coefficients',
    chart('The coefficients of the closed form and of the descent', {
      x: { label: null, axis: null },
      fx: { label: null, domain: names },
      y: { label: 'change of the target by a standard deviation (blue: closed form, orange: descent)', nice: true },
      marks: [
        Plot.barY(coefficients, {
          fx: 'name',
          x: 'how',
          y: 'value',
          fill: (c) => (c.how === 'descent' ? '#d9702a' : '#2a6fdb'),
        }),
        Plot.ruleY([0]),
      ],
    }),
  );
  return {
    'rows of the training set': rows,
    'R2 on the test set, closed form': await closed.score(testInputs, yTest),
    'R2 on the test set, descent': await tl.nn.metrics.r2Score(testInputs.matmul(w).add(b), yTest).item(),
    'largest rate that converges': largest,
    'largest difference of coefficients': await apart(w),
    'the same, normal equations': await apart(normal.slice(0, 0, columns)),
  };
}
