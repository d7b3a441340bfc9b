/*
 * A network with one hidden layer reads handwritten digits: batch, mini-batch and stochastic descent, and four optimizers.
 *
 * 64 pixels, 64 hidden ReLU units, 10 scores, trained by the cross-entropy of their softmax. All runs begin with the same weights.
 * Gradient descent steps after all 1437 images (batch), after 32 (mini-batch), or after each one (stochastic): with as much
 * arithmetic in an epoch, smaller batches make more steps. Momentum goes on in the direction it had (Polyak, 1964); RMSprop divides by
 * the size that gradients have had lately (Tieleman and Hinton, 2012); Adam does both (Kingma and Ba, 2014).
 *
 * | figure                    | full    | short   |
 * |---------------------------|---------|---------|
 * | test accuracy, batch      | <= 0.5  | <= 0.5  |
 * | test accuracy, mini-batch | >= 0.92 | >= 0.75 |
 * | test accuracy, stochastic | >= 0.94 | >= 0.88 |
 * | test accuracy, SGD        | >= 0.93 | >= 0.91 |
 * | test accuracy, momentum   | >= 0.96 | >= 0.96 |
 * | test accuracy, RMSprop    | >= 0.95 | >= 0.95 |
 * | test accuracy, Adam       | >= 0.96 | >= 0.94 |
 * | the best of them          | >= 0.97 | >= 0.96 |
 */
import * as Plot from '@observablehq/plot';
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../../src/node.ts';
import { type Course, chart, digits, type Figures } from '../course.ts';

const { nn, optim } = tl;
type Params = Iterable<tl.Tensor>;
const network = () => new nn.Sequential(new nn.Linear(64, 64), new nn.ReLU(), new nn.Linear(64, 10));

export async function run({ short, save, log }: Course): Promise<Figures> {
  const { xTrain, xTest, yTrain, yTest } = await digits(64);
  const start = network().stateDict();

  async function train(
    name: string,
    optimizer: (parameters: Params) => tl.optim.Optimizer,
    { epochs, batchSize = 32 }: { epochs: number; batchSize?: number },
  ) {
    const model = network();
    model.loadStateDict(start);
    const confusion = new nn.metrics.ConfusionMatrix();
    model.compile({
      optimizer: optimizer(model.parameters()),
      loss: nn.functional.crossEntropy,
      metrics: ['accuracy', confusion],
    });
    const { history } = await model.fit(xTrain, yTrain, { epochs, batchSize, verbose: 0 });
    const { accuracy } = await model.evaluate(xTest, yTest, { batchSize: 360 });
    log(`${name}: test accuracy ${accuracy!.toFixed(4)} after ${epochs} epochs`);
    return { curve: history.loss!.map((loss, i) => ({ name, epoch: i + 1, loss })), accuracy: accuracy!, confusion };
  }

  const sgd =
    (lr: number, momentum = 0) =>
    (p: Params) =>
      new optim.SGD(p, { lr, momentum });
  const few = { epochs: short ? 2 : 15 };
  const batch = await train('batch', sgd(0.1), { ...few, batchSize: 1437 });
  const mini = await train('mini-batch', sgd(0.1), { ...few, batchSize: 32 });
  const stochastic = await train('stochastic', sgd(0.01), { ...few, batchSize: 1 });

  const many = { epochs: short ? 20 : 50 };
  const plain = await train('SGD', sgd(0.05), many);
  const momentum = await train('momentum', sgd(0.05, 0.9), many);
  const rmsprop = await train('RMSprop', (p) => new optim.RMSprop(p, { lr: 3e-3 }), many);
  const adam = await train('Adam', (p) => new optim.Adam(p, { lr: 3e-3 }), many);

  const losses = (title: string, runs: (typeof adam)[]) => {
    const points = runs.flatMap(({ curve }) => curve);
    return chart(title, {
      marginRight: 80,
      x: { label: 'epoch' },
      y: { label: 'training loss (cross-entropy)', type: 'log', tickFormat: String, ticks: 5 },
      marks: [
        Plot.line(points, { x: 'epoch', y: 'loss', stroke: 'name', strokeWidth: 2 }),
        Plot.text(
          points,
          Plot.selectLast({ x: 'epoch', y: 'loss', z: 'name', text: 'name', textAnchor: 'start', dx: 8 }),
        ),
      ],
    });
  };
  await save('batches', losses('The loss by the size of the batch', [batch, mini, stochastic]));
  const optimizers = [plain, momentum, rmsprop, adam];
  await save('optimizers', losses('The loss by the optimizer', optimizers));
  const best = optimizers.reduce((a, b) => (b.accuracy > a.accuracy ? b : a));
  await save('confusion', tl.plotConfusionMatrix(await best.confusion.compute()));
  return {
    'test accuracy, batch': batch.accuracy,
    'test accuracy, mini-batch': mini.accuracy,
    'test accuracy, stochastic': stochastic.accuracy,
    'test accuracy, SGD': plain.accuracy,
    'test accuracy, momentum': momentum.accuracy,
    'test accuracy, RMSprop': rmsprop.accuracy,
    'test accuracy, Adam': adam.accuracy,
    'the best of them': best.accuracy,
  };
}
