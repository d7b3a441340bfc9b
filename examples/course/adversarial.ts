/*
 * Adversarial examples: digits changed a little, so that an eye reads them as before, and a network reads others.
 *
 * The gradient of the loss with respect to the image says how to change each pixel. FGSM takes one step of size epsilon along its signs,
 * x + eps sign(dL/dx) (Goodfellow et al., "Explaining and harnessing adversarial examples", 2015); PGD takes several small ones, and
 * after each goes back to within epsilon of the image. Training on what PGD makes of the images gives a network that withstands more
 * (Madry et al., "Towards deep learning models resistant to adversarial attacks", 2018).
 *
 * | figure                           | full    | short   |
 * |----------------------------------|---------|---------|
 * | test accuracy                    | >= 0.96 | >= 0.93 |
 * | under FGSM, epsilon 0.1          | <= 0.5  | <= 0.6  |
 * | under PGD, epsilon 0.1           | <= 0.45 | <= 0.55 |
 * | hardened                         | >= 0.92 | >= 0.84 |
 * | hardened, under PGD, epsilon 0.1 | >= 0.75 | >= 0.63 |
 */
import * as Plot from '@observablehq/plot';
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../../src/node.ts';
import { type Course, chart, digits, type Figures, toTensor } from '../course.ts';

const { nn, optim } = tl;
const [EPSILON, SHOWN] = [0.2, 8];
const { crossEntropy } = nn.functional;

interface Attack {
  readonly epsilon: number;
  readonly steps: number;
}
const fgsm = (epsilon: number): Attack => ({ epsilon, steps: 1 });
const pgd = (epsilon: number): Attack => ({ epsilon, steps: 10 });

/** The images within epsilon, pixel by pixel, that raise the loss of the model: a step along the signs of its gradient, or several. */
function attack(model: tl.nn.Module, images: tl.Tensor, labels: tl.Tensor, { epsilon, steps }: Attack): tl.Tensor {
  const slope = tl.grad((x: tl.Tensor) => crossEntropy(model.forward(x), labels));
  const size = steps === 1 ? epsilon : (2.5 * epsilon) / steps;
  let attacked = images;
  for (let step = 0; step < steps; step++) {
    const [upwards] = slope(attacked);
    const moved = attacked.add(upwards.sign().mul(size));
    attacked = moved.minimum(images.add(epsilon)).maximum(images.sub(epsilon)).clamp({ min: 0, max: 1 });
  }
  return attacked.detach();
}

export async function run({ short, save, log }: Course): Promise<Figures> {
  const { xTrain, xTest, yTrain, yTest } = await digits(64);
  const [images, labels] = [toTensor(xTest), toTensor(yTest)];
  const batches = new tl.data.DataLoader(new tl.data.TensorDataset(xTrain, yTrain), { batchSize: 64, shuffle: true });

  /** A network that learns the digits, or what an attack makes of them. */
  const trained = async (against?: Attack): Promise<tl.nn.Sequential> => {
    const hidden = [new nn.Linear(64, 128), new nn.ReLU(), new nn.Linear(128, 128), new nn.ReLU()];
    const model = new nn.Sequential(...hidden, new nn.Linear(128, 10));
    using adam = new optim.Adam(model.parameters(), { lr: 2e-3 });
    for (let epoch = 0; epoch < (short ? 8 : 40); epoch++)
      for await (const { x, y } of batches)
        adam.minimize(() => crossEntropy(model.forward(against ? attack(model, x, y, against) : x), y));
    return model;
  };
  const accuracy = async (model: tl.nn.Module, against: Attack): Promise<number> => {
    using right = tl.tidy(() => {
      const scores = model.forward(attack(model, images, labels, against));
      return scores.argmax({ dim: 1 }).eq(labels).to('float32').mean();
    });
    return right.item();
  };
  const models = { plain: await trained(), hardened: await trained(pgd(EPSILON)) };

  const curve: { epsilon: number; accuracy: number; model: string; by: string }[] = [];
  for (const epsilon of short ? [0, 0.1, 0.2] : [0, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3])
    for (const [model, network] of Object.entries(models))
      for (const [by, against] of Object.entries({ FGSM: fgsm(epsilon), PGD: pgd(epsilon) }))
        curve.push({ epsilon, accuracy: await accuracy(network, against), model, by });
  const found = (epsilon: number, model: string, by: string): number =>
    curve.find((at) => at.epsilon === epsilon && at.model === model && at.by === by)!.accuracy;
  for (const { epsilon, accuracy, model, by } of curve) log(`${model}, ${by} ${epsilon}: ${accuracy.toFixed(3)}`);
  const at = { x: 'epsilon', y: 'accuracy', stroke: 'model' };
  await save(
    'accuracy',
    chart('Test accuracy under attack; solid: PGD, dashed: FGSM', {
      marginRight: 70,
      x: { label: 'epsilon, in brightness from 0 to 1' },
      y: { label: 'test accuracy', domain: [0, 1] },
      color: { domain: ['plain', 'hardened'], range: ['#d9702a', '#2a6fdb'] },
      marks: [
        Plot.line(curve, { ...at, filter: ({ by }) => by === 'PGD', marker: 'dot' }),
        Plot.line(curve, { ...at, filter: ({ by }) => by === 'FGSM', strokeDasharray: '5 4' }),
        Plot.text(
          curve,
          Plot.selectLast({ x: 'epsilon', y: 'accuracy', z: 'model', fill: 'model', text: 'model', dx: 34 }),
        ),
      ],
    }),
  );
  const some = images.narrow(0, 0, SHOWN);
  const attacked = attack(models.plain, images, labels, fgsm(EPSILON)).narrow(0, 0, SHOWN);
  const rows = [
    some,
    attacked
      .sub(some)
      .div(2 * EPSILON)
      .add(0.5),
    attacked,
  ];
  const read = await models.plain.forward(attacked).argmax({ dim: 1 }).data<'int32'>();
  const names = [
    ...yTest.data.slice(0, SHOWN),
    ...Array.from(read, () => ''),
    ...Array.from(read, (v) => `read as ${v}`),
  ];
  await save('images', await tl.plotImages(tl.cat(rows).reshape([-1, 8, 8]), { labels: names, range: [0, 1] }));
  return {
    'test accuracy': found(0, 'plain', 'PGD'),
    'under FGSM, epsilon 0.1': found(0.1, 'plain', 'FGSM'),
    'under PGD, epsilon 0.1': found(0.1, 'plain', 'PGD'),
    hardened: found(0, 'hardened', 'PGD'),
    'hardened, under PGD, epsilon 0.1': found(0.1, 'hardened', 'PGD'),
  };
}
