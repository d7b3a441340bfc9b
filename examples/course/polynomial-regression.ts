/*
 * Polynomial regression: the degree that a noisy sine asks for, under- and over-fitting, and what a penalty does about the latter.
 *
 * y = c_0 + c_1 x + ... + c_d x^d is linear in its coefficients, so that least squares finds them. The error on the samples it was
 * fitted to falls with every degree; the error on others (validation) rises again where the curve follows the noise. Ridge
 * regression (Hoerl and Kennard, 1970) minimizes |X c - y|^2 + lambda |c|^2, which keeps a high degree from doing so.
 *
 * | figure                              | full   | short  |
 * |-------------------------------------|--------|--------|
 * | validation error, degree 1          | 0.272  | 0.272  |
 * | best degree                         | 3      | 3      |
 * | its validation error                | 0.0932 | 0.0932 |
 * | training error, degree 12           | 0.0135 | 0.0135 |
 * | validation error, degree 12         | 11.7   | 11.7   |
 * | best lambda                         | 0.001  | 0.001  |
 * | validation error, degree 12 with it | 0.114  | 0.114  |
 */
import * as Plot from '@observablehq/plot';
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../../src/node.ts';
import { type Course, chart, type Figures } from '../course.ts';

const HIGH = 12;
const NOISE = 0.3;

/** Samples of a sine with noise. */
function sample(count: number) {
  const x = tl.rand([count, 1]).mul(2).sub(1);
  const noise = tl.randn([count, 1]).mul(NOISE);
  return { x, y: x.mul(Math.PI).sin().add(noise).squeeze(1) };
}

export async function run({ save, log }: Course): Promise<Figures> {
  const [train, validation] = [sample(20), sample(200)];
  const grid = tl.linspace(-1, 1, 201).reshape([201, 1]);

  /** The errors of a model of some degree on both sets, and its curve. */
  async function fitted(at: number, model: tl.estimators.LinearRegression | tl.estimators.Ridge, degree: number) {
    const features = new tl.data.PolynomialFeatures(degree, { includeBias: false });
    const scaler = new tl.data.StandardScaler().fit(features.transform(train.x));
    const powers = (x: tl.Tensor) => scaler.transform(features.transform(x));
    await model.fit(powers(train.x), train.y);
    const error = ({ x, y }: typeof train) => tl.nn.metrics.meanSquaredError(model.predict(powers(x)), y).item();
    const errors = { at, training: await error(train), validation: await error(validation) };
    return { ...errors, curve: await model.predict(powers(grid)).data() };
  }

  const degrees = await Promise.all(
    Array.from({ length: HIGH }, (_, i) => fitted(i + 1, new tl.estimators.LinearRegression(), i + 1)),
  );
  const lambdas = await Promise.all(
    Array.from({ length: 13 }, (_, i) => 10 ** (i / 2 - 4)).map((alpha) =>
      fitted(alpha, new tl.estimators.Ridge({ alpha }), HIGH),
    ),
  );
  for (const { at, training, validation } of [...degrees, ...lambdas])
    log(`${at.toPrecision(2)}: training ${training.toFixed(3)}, validation ${validation.toFixed(3)}`);

  const best = (of: typeof degrees) => of.reduce((a, b) => (b.validation < a.validation ? b : a));
  const [degree, lambda] = [best(degrees), best(lambdas)];

  const errorsOver = (over: string, of: typeof degrees, x: Plot.ScaleOptions) => {
    const rows = of.flatMap(({ at, training, validation }) => [
      { at, set: 'training', error: training },
      { at, set: 'validation', error: validation },
    ]);
    const label = 'mean squared error (dashed: the variance of the noise)';
    return chart(`Training and validation error over ${over}`, {
      x: { label: over, tickFormat: String, ...x },
      y: { label, type: 'log', ticks: 5, tickFormat: String },
      marks: [
        Plot.ruleY([NOISE ** 2], { strokeDasharray: '4 3' }),
        Plot.line(rows, { x: 'at', y: 'error', stroke: 'set', strokeWidth: 2, marker: 'dot' }),
        Plot.text(rows.slice(-14, -12), { x: 'at', y: 'error', text: 'set', dy: -12 }),
      ],
    });
  };
  await save('degree', errorsOver('degree', degrees, { ticks: HIGH }));
  await save('lambda', errorsOver(`lambda, at degree ${HIGH}`, lambdas, { type: 'log', ticks: 6 }));

  const [samples, targets, places] = [await train.x.data(), await train.y.data(), await grid.data()];
  const shown = [
    { ...degrees[0]!, title: 'degree 1' },
    { ...degree, title: `degree ${degree.at}` },
    { ...degrees[HIGH - 1]!, title: `degree ${HIGH}` },
    { ...lambda, title: `degree ${HIGH}, lambda ${lambda.at.toPrecision(1)}` },
  ];
  const curves = shown.flatMap(({ title, curve }) => Array.from(curve, (y, i) => ({ title, x: places[i]!, y })));
  await save(
    'curves',
    chart('Curves of four models, the samples they were fitted to, and the sine (dashed)', {
      width: 900,
      height: 280,
      fx: { label: null, domain: shown.map(({ title }) => title) },
      x: { label: 'x', ticks: [-0.5, 0, 0.5] },
      y: { label: 'y', domain: [-2, 2] },
      marks: [
        Plot.dot(samples, { x: Plot.identity, y: targets, stroke: '#2a6fdb', r: 2.5 }),
        Plot.line(places, { x: Plot.identity, y: (x: number) => Math.sin(Math.PI * x), strokeDasharray: '4 3' }),
        Plot.line(curves, { fx: 'title', x: 'x', y: 'y', stroke: '#d9702a', strokeWidth: 2, clip: true }),
      ],
    }),
  );
  return {
    'validation error, degree 1': degrees[0]!.validation,
    'best degree': degree.at,
    'its validation error': degree.validation,
    [`training error, degree ${HIGH}`]: degrees[HIGH - 1]!.training,
    [`validation error, degree ${HIGH}`]: degrees[HIGH - 1]!.validation,
    'best lambda': lambda.at,
    [`validation error, degree ${HIGH} with it`]: lambda.validation,
  };
}
