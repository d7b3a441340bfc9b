/*
 * Transfer learning: what a network has learned of the digits 0 to 4 helps it with the digits 5 to 9, of which there are few images.
 *
 * The digits lie anywhere in images of 16 x 16 pixels. A convolutional network learns all those from 0 to 4. Its convolutions are then
 * frozen (requiresGrad_(false)), and a new last layer learns a few images of the other five. The same network from scratch has to find out
 * from these few what a digit is wherever it lies (Yosinski et al., "How transferable are features in deep neural networks?", 2014). With
 * enough images it overtakes: its convolutions are made for these digits.
 *
 * | figure                         | full    | short   |
 * |--------------------------------|---------|---------|
 * | accuracy on 0 to 4             | >= 0.97 | >= 0.88 |
 * | 5 images a digit, transferred  | >= 0.47 | >= 0.38 |
 * | 5 images a digit, from scratch | <= 0.44 | <= 0.47 |
 */
import * as Plot from '@observablehq/plot';
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../../src/node.ts';
import { type Course, chart, digits, type Figures } from '../course.ts';

const { nn, optim } = tl;
const SIZE = 16;
const FIVE = [0, 1, 2, 3, 4];

const convolutions = (): tl.nn.Sequential =>
  new nn.Sequential(
    new nn.Conv2d(1, 16, 3, { padding: 1 }),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
    new nn.Conv2d(16, 32, 3, { padding: 1 }),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
    new nn.Conv2d(32, 64, 3, { padding: 1 }),
    new nn.ReLU(),
    new nn.MaxPool2d(4),
    new nn.Flatten(),
  );

/** Convolutions, and a last layer for five digits. */
const network = (features: tl.nn.Sequential): tl.nn.Sequential => new nn.Sequential(features, new nn.Linear(64, 5));

/** Images of the five digits from `first` on, or a part of those of each, somewhere in larger ones; labels count from 0. */
async function five(images: ArrayLike<number>, labels: ArrayLike<number>, first: number, part: number[] = []) {
  const all = Array.from(labels, (_, i) => i);
  const rows = FIVE.flatMap((k) => all.filter((i) => labels[i] === first + k).slice(...part));
  const corners = await tl.randint(0, SIZE - 7, [rows.length, 2]).data<'int32'>();
  const data = new Float32Array(rows.length * SIZE * SIZE);
  for (const [at, row] of rows.entries())
    for (let p = 0; p < 64; p++) {
      const [top, left] = [corners[2 * at]! + Math.floor(p / 8), corners[2 * at + 1]! + (p % 8)];
      data[(at * SIZE + top) * SIZE + left] = images[64 * row + p]!;
    }
  return { x: { data, shape: [rows.length, 1, SIZE, SIZE] }, y: Int32Array.from(rows, (i) => labels[i]! - first) };
}

type Samples = Awaited<ReturnType<typeof five>>;

/** Trains a network, and gives its accuracy on test images. */
async function learn(model: tl.nn.Module, { x, y }: Samples, test: Samples, epochs: number): Promise<number> {
  using optimizer = new optim.Adam(model.parameters(), { lr: 3e-3 });
  model.compile({ optimizer, loss: nn.functional.crossEntropy, metrics: ['accuracy'] });
  await model.fit(x, y, { epochs, verbose: 0 });
  const { accuracy } = await model.evaluate(test.x, test.y);
  return accuracy!;
}

export async function run({ short, save, log }: Course): Promise<Figures> {
  const { xTrain, xTest, yTrain, yTest } = await digits(64);
  const train = (first: number, part?: number[]) => five(xTrain.data, yTrain.data, first, part);
  const test = (first: number) => five(xTest.data, yTest.data, first);

  const learned = convolutions();
  const before = await learn(network(learned), await train(0), await test(0), short ? 8 : 25);
  log(`accuracy on 0 to 4: ${before.toFixed(3)}`);
  learned.requiresGrad_(false);

  // Of each number of images several draws, since much depends on which ones they are.
  const others = await test(5);
  const draws = short ? [0] : [0, 1, 2];
  const curve: { images: number; accuracy: number; how: string }[] = [];
  for (const images of short ? [2, 5] : [1, 2, 5, 10, 20]) {
    for (const how of ['transferred', 'from scratch']) {
      let accuracy = 0;
      for (const draw of draws) {
        const model = network(how === 'transferred' ? learned : convolutions());
        const few = await train(5, [draw * images, (draw + 1) * images]);
        accuracy += (await learn(model, few, others, short ? 40 : 60)) / draws.length;
      }
      log(`${images} images of each of 5 to 9, ${how}: ${accuracy.toFixed(3)}`);
      curve.push({ images, accuracy, how });
    }
  }
  await save(
    'accuracy',
    chart('Test accuracy on the digits 5 to 9; dashed: at random', {
      marginRight: 90,
      x: { type: 'log', label: 'images of each digit', ticks: [1, 2, 5, 10, 20], tickFormat: 'd' },
      y: { label: 'test accuracy', domain: [0, 1] },
      color: { domain: ['transferred', 'from scratch'], range: ['#2a6fdb', '#d9702a'] },
      marks: [
        Plot.ruleY([0.2], { strokeDasharray: '4 4' }),
        Plot.line(curve, { x: 'images', y: 'accuracy', stroke: 'how', marker: 'dot' }),
        Plot.text(curve, Plot.selectLast({ x: 'images', y: 'accuracy', z: 'how', fill: 'how', text: 'how', dx: 46 })),
      ],
    }),
  );
  const some = tl.tensor(others.x.data, { shape: others.x.shape }).slice(0, 0, 176, 22);
  await save(
    'images',
    await tl.plotImages(some, { size: 80, title: 'Some digits to learn, anywhere in their images' }),
  );
  const [transferred, scratch] = curve.filter(({ images }) => images === 5).map(({ accuracy }) => accuracy);
  return {
    'accuracy on 0 to 4': before,
    '5 images a digit, transferred': transferred!,
    '5 images a digit, from scratch': scratch!,
  };
}
