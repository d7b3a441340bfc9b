/*
 * Linear regression of one variable: the cost as a surface over weight and bias, and the path that gradient descent takes on it.
 *
 * J(w, b) = 1/(2m) sum (w x + b - y)^2, descended by autograd from w = -1, b = 5 with rate 0.1, 120 steps (40 in the short form).
 *
 * | figure            | full   | short  |
 * |-------------------|--------|--------|
 * | weight            | 1.961  | 1.968  |
 * | bias              | 0.929  | 0.985  |
 * | weight, exactly   | 1.961  | 1.961  |
 * | bias, exactly     | 0.929  | 0.929  |
 * | cost at the start | 16.63  | 16.63  |
 * | cost at the end   | 0.0808 | 0.0828 |
 */
import * as Plot from '@observablehq/plot';
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../../src/node.ts';
import { type Course, chart, type Figures } from '../course.ts';

const SAMPLES = 60;
const [TRUE_WEIGHT, TRUE_BIAS] = [2, 1];

export async function run({ short, save, log }: Course): Promise<Figures> {
  const x = tl.rand([SAMPLES, 1]).mul(4).sub(2);
  const y = x
    .mul(TRUE_WEIGHT)
    .add(TRUE_BIAS)
    .add(tl.randn([SAMPLES, 1]).mul(0.4));

  const w = tl.tensor(-1, { requiresGrad: true });
  const b = tl.tensor(5, { requiresGrad: true });
  const cost = () => x.mul(w).add(b).sub(y).square().mean().div(2);
  const descent = new tl.optim.SGD([w, b], { lr: 0.1 });
  const path: { w: number; b: number; cost: number }[] = [];
  for (let step = 0; step < (short ? 40 : 120); step++) {
    const at = { w: await w.item(), b: await b.item() };
    const loss = descent.minimize(cost);
    path.push({ ...at, cost: await loss.item() });
    if (step % 20 === 0)
      log(`step ${step}: w ${at.w.toFixed(3)}, b ${at.b.toFixed(3)}, cost ${path[step]!.cost.toFixed(4)}`);
  }
  const closed = await new tl.estimators.LinearRegression().fit(x, y);

  // The cost of a whole grid of weights and biases at once, by broadcasting: [samples, biases, weights].
  const [weights, biases] = [tl.linspace(-2, 5, 71), tl.linspace(-3, 6, 71).reshape([71, 1])];
  const errors = x
    .reshape([SAMPLES, 1, 1])
    .mul(weights)
    .add(biases)
    .sub(y.reshape([SAMPLES, 1, 1]));
  const surface = await errors.square().mean({ dim: 0 }).div(2).data();
  const field = { width: 71, height: 71, x1: -2, y1: -3, x2: 5, y2: 6, interpolate: 'nearest' } as const;
  await save(
    'surface',
    chart('The cost over weight and bias, and the path of the descent', {
      x: { label: 'weight' },
      y: { label: 'bias' },
      color: { scheme: 'blues', type: 'sqrt' },
      marks: [
        Plot.contour(surface, { ...field, fill: Plot.identity, stroke: 'white', thresholds: 16 }),
        Plot.line(path, { x: 'w', y: 'b', stroke: '#d9702a', marker: 'dot' }),
        Plot.dot([[TRUE_WEIGHT, TRUE_BIAS]], { symbol: 'times', stroke: 'black', r: 6 }),
      ],
    }),
  );
  const points = Array.from(await x.data(), (at, i) => ({ x: at, i }));
  const targets = await y.data();
  const end = { weight: await w.item(), bias: await b.item() };
  await save(
    'line',
    chart('The samples and the fitted line', {
      x: { label: 'x' },
      y: { label: 'y' },
      marks: [
        Plot.dot(points, { x: 'x', y: (p: { i: number }) => targets[p.i]!, stroke: '#2a6fdb' }),
        Plot.line([-2, 2], { x: Plot.identity, y: (v: number) => end.weight * v + end.bias, stroke: '#d9702a' }),
      ],
    }),
  );
  return {
    weight: end.weight,
    bias: end.bias,
    'weight, exactly': await closed.coef.item(),
    'bias, exactly': await closed.intercept.item(),
    'cost at the start': path[0]!.cost,
    'cost at the end': path.at(-1)!.cost,
  };
}
