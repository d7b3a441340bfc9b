/*
 * The perceptron (Rosenblatt, 1958) learns AND and OR, and never XOR; a network with one hidden layer does.
 *
 * The perceptron says yes where w . x + b > 0, and adds (or takes away) each sample that it gets wrong to w. Where a line parts the
 * two classes it stops making mistakes (Novikoff, 1962); no line parts those of XOR (Minsky and Papert, 1969). A hidden layer bends
 * the plane before the line is drawn.
 *
 * | figure                                | full    | short  |
 * |---------------------------------------|---------|--------|
 * | AND, passes until it makes no mistake | 13      | 13     |
 * | OR, passes until it makes no mistake  | 7       | 7      |
 * | XOR, fewest mistakes in a pass        | 2       | 2      |
 * | XOR, accuracy of the perceptron       | 0.75    | 0.75   |
 * | XOR, accuracy of the network          | 1       | 1      |
 * | XOR, loss of the network              | 0.00367 | 0.0126 |
 */
import * as Plot from '@observablehq/plot';
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../../src/node.ts';
import { type Course, chart, type Figures } from '../course.ts';

const INPUTS = [[0, 0], [0, 1], [1, 0], [1, 1]]; // biome-ignore format: a table
const GATES = { AND: [0, 0, 0, 1], OR: [0, 1, 1, 1], XOR: [0, 1, 1, 0] };
const SIZE = 61;

/** A picture of a score over the plane: grey where it is above 0. */
function surface(title: string, scores: ArrayLike<number>, labels: number[]): string {
  const field = { width: SIZE, height: SIZE, x1: -0.5, y1: -0.5, x2: 1.5, y2: 1.5, interpolate: 'nearest' } as const;
  return chart(`${title}: grey where the answer is yes; full dots are the inputs where it should be`, {
    width: 320,
    height: 320,
    x: { label: 'first input', ticks: [0, 1] },
    y: { label: 'second input', ticks: [0, 1] },
    marks: [
      Plot.contour(scores, { ...field, fill: '#dddddd', stroke: 'black', thresholds: [1e-6] }),
      Plot.dot(INPUTS, {
        x: '0',
        y: '1',
        fill: (_, i) => (labels[i] ? '#2a6fdb' : 'white'),
        stroke: '#2a6fdb',
        r: 7,
        strokeWidth: 2,
      }),
    ],
  });
}

export async function run({ short, save, log }: Course): Promise<Figures> {
  const places = tl.linspace(-0.5, 1.5, SIZE);
  const plane = tl.stack(tl.meshgrid([places, places], { indexing: 'xy' }), -1).reshape([-1, 2]);

  const mistakes = [];
  const learned = [];
  for (const [gate, labels] of Object.entries(GATES)) {
    const perceptron = await new tl.estimators.Perceptron({ maxIter: 24 }).fit(INPUTS, labels);
    const accuracy = await perceptron.score(INPUTS, labels);
    log(`${gate}: accuracy ${accuracy} after ${perceptron.mistakes.length} passes`);
    mistakes.push(...perceptron.mistakes.map((count, i) => ({ gate, pass: i + 1, count })));
    learned.push({ passes: perceptron.mistakes.length, accuracy });
    await save(
      gate.toLowerCase(),
      surface(`perceptron, ${gate}`, await perceptron.decisionFunction(plane).data(), labels),
    );
  }
  const { nn } = tl;
  const x = tl.tensor(INPUTS);
  const y = tl.tensor(GATES.XOR, { shape: [4, 1] });
  const network = new nn.Sequential(new nn.Linear(2, 4), new nn.Tanh(), new nn.Linear(4, 1));
  const adam = new tl.optim.Adam(network.parameters(), { lr: 0.05 });
  const losses: number[] = [];
  for (let step = 0; step < (short ? 150 : 300); step++) {
    const loss = adam.minimize(() => nn.functional.binaryCrossEntropyWithLogits(network.forward(x), y));
    losses.push(await loss.item());
  }
  const scores = await network.predict(plane);
  await save('network', surface('network, XOR', await scores.data(), GATES.XOR));
  const accuracy = await nn.metrics.accuracy(await network.predict(x), y, { threshold: 0 }).item();

  await save(
    'mistakes',
    chart('The mistakes of the perceptron in each pass over the four inputs', {
      marginRight: 50,
      x: { label: 'pass' },
      y: { label: 'mistakes', ticks: 4, tickFormat: 'd', domain: [0, 4.2] },
      marks: [
        Plot.line(mistakes, { x: 'pass', y: 'count', stroke: 'gate', strokeWidth: 2, marker: 'dot' }),
        Plot.text(
          mistakes,
          Plot.selectLast({ x: 'pass', y: 'count', z: 'gate', text: 'gate', textAnchor: 'start', dx: 8 }),
        ),
      ],
    }),
  );
  await save(
    'loss',
    chart('The loss of the network on XOR over the steps', {
      x: { label: 'step' },
      y: { label: 'cross-entropy' },
      marks: [Plot.lineY(losses, { stroke: '#2a6fdb', strokeWidth: 2 })],
    }),
  );
  const [and, or, xor] = learned;
  return {
    'AND, passes until it makes no mistake': and!.passes,
    'OR, passes until it makes no mistake': or!.passes,
    'XOR, fewest mistakes in a pass': Math.min(
      ...mistakes.filter(({ gate }) => gate === 'XOR').map(({ count }) => count),
    ),
    'XOR, accuracy of the perceptron': xor!.accuracy,
    'XOR, accuracy of the network': accuracy,
    'XOR, loss of the network': losses.at(-1)!,
  };
}
