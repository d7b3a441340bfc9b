/*
 * Reading a digit row by row: a recurrent network with long short-term memory (Hochreiter and Schmidhuber, "Long short-term memory",
 * 1997).
 *
 * An 8 x 8 image is a sequence of 8 rows of 8 pixels. The LSTM takes them from the top to the bottom and carries what it has seen in its
 * state h_t; one linear layer guesses the digit from it. The guess after the last row is the answer. The loss is its cross-entropy, and to
 * 0.3 the mean over the guesses after every row (target replication: Lipton et al., "Learning to diagnose with LSTM recurrent neural
 * networks", 2016), without which the earlier ones would mean nothing.
 *
 * | figure                   | full    | short   |
 * |--------------------------|---------|---------|
 * | test accuracy            | >= 0.95 | >= 0.85 |
 * | accuracy after two rows  | >= 0.25 | >= 0.05 |
 * | accuracy after four rows | >= 0.65 | >= 0.25 |
 * | accuracy after six rows  | >= 0.85 | >= 0.6  |
 */
import * as Plot from '@observablehq/plot';
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../../src/node.ts';
import { type Course, chart, digits, type Figures, toTensor } from '../course.ts';

const { nn, optim } = tl;
const ROWS = 8;
/** How much the guesses after all rows count in the loss. */
const REPLICATED = 0.3;
const SHOWN = 5;

class RowReader extends nn.Module {
  readonly lstm = new nn.LSTM(8, 64, { batchFirst: true });
  readonly head = new nn.Linear(64, 10);

  /** The scores of the ten digits after each row: [images, 10, rows], as crossEntropy takes them. */
  override forward(images: tl.Tensor): tl.Tensor {
    const [states] = this.lstm.forward(images);
    return this.head.forward(states).transpose(1, 2);
  }
}

const loss = (scores: tl.Tensor, labels: tl.Tensor): tl.Tensor =>
  tl.add(
    nn.functional.crossEntropy(scores.select(2, -1), labels).mul(1 - REPLICATED),
    nn.functional.crossEntropy(scores, labels.unsqueeze(1).expand([-1, ROWS])).mul(REPLICATED),
  );

const rightAfterEachRow = (scores: tl.Tensor, labels: tl.Tensor): tl.Tensor =>
  scores.argmax({ dim: 1 }).eq(labels.unsqueeze(1)).to('float32').mean({ dim: 0 });

function accuracy(scores: tl.Tensor, labels: tl.Tensor): tl.Tensor {
  return rightAfterEachRow(scores, labels).select(0, -1);
}

export async function run({ short, save, verbose }: Course): Promise<Figures> {
  const { xTrain, xTest, yTrain, yTest } = await digits(ROWS, 8);
  const model = new RowReader();
  const epochs = short ? 6 : 20;
  const optimizer = new optim.Adam(model.parameters(), { lr: 0.02 });
  model.compile({ optimizer, loss, metrics: [accuracy] });
  const history = await model.fit(xTrain, yTrain, {
    epochs,
    batchSize: 64,
    validationData: { x: xTest, y: yTest },
    callbacks: [nn.lrScheduler(new optim.CosineAnnealingLR(optimizer, { tMax: epochs }))],
    verbose,
  });
  await save('history', tl.plot(history, { title: 'Reading digits row by row' }));

  // How the guess forms: over all test images, and for some of them.
  const images = toTensor(xTest);
  const scores = await model.predict(images);
  const byRow = await rightAfterEachRow(scores, toTensor(yTest)).data();
  await save('some-digits', await tl.plotImages(images.narrow(0, 0, SHOWN), { size: 110, title: 'Some test digits' }));
  const probabilities = await scores.narrow(0, 0, SHOWN).softmax(1).data();
  const cells = Array.from(probabilities, (probability, i) => ({
    image: `digit ${Math.floor(i / (ROWS * 10)) + 1}: a ${yTest.data[Math.floor(i / (ROWS * 10))]}`,
    guess: Math.floor(i / ROWS) % 10,
    row: (i % ROWS) + 1,
    probability,
  }));
  await save(
    'guesses',
    chart('The probability of each digit after each row', {
      width: 900,
      height: 300,
      fx: { label: null },
      x: { label: 'guess', type: 'band' },
      y: { label: 'rows read', type: 'band' },
      color: { scheme: 'blues', domain: [0, 1] },
      marks: [Plot.cell(cells, { fx: 'image', x: 'guess', y: 'row', fill: 'probability', inset: 0.5 }), Plot.frame()],
    }),
  );
  await save(
    'accuracy-by-row',
    chart('The test accuracy of the guess after each row', {
      x: { label: 'rows read', ticks: ROWS, inset: 16 },
      y: { label: 'test accuracy', domain: [0, 1] },
      marks: [
        Plot.line(byRow, { x: (_: number, i: number) => i + 1, y: Plot.identity, stroke: '#2a6fdb', marker: 'dot' }),
        Plot.text(byRow, {
          x: (_: number, i: number) => i + 1,
          y: Plot.identity,
          text: (v: number) => v.toFixed(2),
          dy: -12,
        }),
      ],
    }),
  );
  return {
    'test accuracy': byRow.at(-1)!,
    'accuracy after two rows': byRow[1]!,
    'accuracy after four rows': byRow[3]!,
    'accuracy after six rows': byRow[5]!,
  };
}
