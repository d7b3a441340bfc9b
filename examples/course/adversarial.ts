/*
 * Attacks on a network, and training that withstands them.
 *
 * FGSM (Goodfellow, Shlens and Szegedy, 2015) moves every pixel by epsilon in the direction of the sign of the loss's gradient by the image.
 * PGD (Madry et al., 2018) takes several smaller steps, each followed by a projection back to within epsilon of the image. Adversarial
 * training minimizes the loss of the attacked images.
 *
 * | figure                            | full    | short   |
 * |-----------------------------------|---------|---------|
 * | test accuracy, plain              | >= 0.95 | >= 0.94 |
 * | the same under FGSM               | <= 0.3  | <= 0.35 |
 * | the same under PGD                | <= 0.2  | <= 0.25 |
 * | test accuracy, trained by attacks | >= 0.9  | >= 0.85 |
 * | its accuracy under FGSM           | >= 0.6  | >= 0.5  |
 * | its accuracy under PGD            | >= 0.5  | >= 0.45 |
 */
import * as Plot from '@observablehq/plot';
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../../src/node.ts';
import { type Course, chart, digits, type Figures, toTensor } from '../course.ts';

const { nn, optim } = tl;
const EPSILON = 0.15;

const makeModel = () => new nn.Sequential(new nn.Linear(64, 128), new nn.ReLU(), new nn.Linear(128, 10));
type Model = ReturnType<typeof makeModel>;

/** Images that are at most epsilon away in every pixel, and that the model takes for something else, if it can be had in so many steps. */
function attack(model: Model, images: tl.Tensor, labels: tl.Tensor, epsilon: number, steps: number): tl.Tensor {
  const slope = tl.grad((x: tl.Tensor) => nn.functional.crossEntropy(model.forward(x), labels));
  const [low, high] = [images.sub(epsilon).clamp({ min: 0 }), images.add(epsilon).clamp({ max: 1 })];
  // A single step goes all the way; more of them may wander.
  const stride = steps === 1 ? epsilon : (2.5 * epsilon) / steps;
  let attacked = images;
  for (let step = 0; step < steps; step++)
    attacked = attacked.add(slope(attacked)[0]!.sign().mul(stride)).maximum(low).minimum(high);
  return attacked.detach();
}

export async function run({ short, save, log }: Course): Promise<Figures> {
  const { xTrain, xTest, yTrain, yTest } = await digits(64);
  const [images, labels] = [toTensor(xTest), toTensor(yTest)];

  async function trained(by: 'plain' | 'attacks'): Promise<Model> {
    const model = makeModel();
    const adam = new optim.Adam(model.parameters(), { lr: 3e-3 });
    const set = new tl.data.TensorDataset(toTensor(xTrain), toTensor(yTrain));
    const epochs = short ? 12 : 40;
    for (let epoch = 1; epoch <= epochs; epoch++) {
      let last = 0;
      for await (const { x, y } of new tl.data.DataLoader(set, { batchSize: 64, shuffle: true })) {
        const loss = adam.minimize(() => {
          const seen = by === 'plain' ? x! : attack(model, x!, y!, EPSILON, short ? 3 : 7);
          return nn.functional.crossEntropy(model.forward(seen), y!);
        });
        last = await loss.item();
      }
      if (epoch % 4 === 0) log(`${by}, epoch ${epoch}: loss ${last.toFixed(4)}`);
    }
    return model;
  }

  const accuracy = async (model: Model, epsilon: number, steps: number): Promise<number> => {
    const right = tl.tidy(() => {
      const seen = epsilon > 0 ? attack(model, images, labels, epsilon, steps) : images;
      return nn.metrics.accuracy(model.forward(seen), labels);
    });
    return right.item();
  };

  const [plain, robust] = [await trained('plain'), await trained('attacks')];
  const curves: { epsilon: number; accuracy: number; line: string }[] = [];
  for (const [model, name] of [
    [plain, 'plain'],
    [robust, 'robust'],
  ] as const)
    for (const [steps, attacker] of [
      [1, 'FGSM'],
      [10, 'PGD'],
    ] as const)
      for (const epsilon of [0, 0.05, 0.1, 0.15, 0.2, 0.25])
        curves.push({ epsilon, accuracy: await accuracy(model, epsilon, steps), line: `${name}, ${attacker}` });
  await save(
    'accuracy',
    chart('Test accuracy under attacks of growing size, of a plain network and of one that was trained by attacks', {
      x: { label: 'epsilon: the most that a pixel may change, of 1' },
      y: { label: 'test accuracy', domain: [0, 1] },
      marks: [
        Plot.line(curves, { x: 'epsilon', y: 'accuracy', stroke: 'line', strokeWidth: 2, marker: 'dot' }),
        Plot.text(
          curves.filter(({ epsilon }) => epsilon === EPSILON),
          { x: 'epsilon', y: 'accuracy', text: 'line', textAnchor: 'start', dx: 8, dy: -4 },
        ),
      ],
    }),
  );

  const [few, theirs] = [images.narrow(0, 0, 10), labels.narrow(0, 0, 10)];
  const [forPlain, forRobust] = [plain, robust].map((model) => attack(model, few, theirs, EPSILON, 10)) as tl.Tensor[];
  const changes = forPlain!
    .sub(few)
    .div(2 * EPSILON)
    .add(0.5);
  const answers = (model: Model, x: tl.Tensor) => model.forward(x).argmax({ dim: 1 }).toArray();
  const said = await Promise.all([theirs.toArray(), answers(plain, forPlain!), answers(robust, forRobust!)]);
  const [truth, byPlain, byRobust] = said as number[][];
  await save(
    'attacks',
    await tl.plotImages(tl.cat([few, changes, forPlain!, forRobust!]).reshape([40, 8, 8]), {
      columns: 10,
      size: 56,
      labels: [...truth!, ...new Array<string>(10).fill(''), ...byPlain!, ...byRobust!],
      range: [0, 1],
      title: 'Digits, changes, and what plain and robust networks read of theirs',
    }),
  );
  return {
    'test accuracy, plain': await accuracy(plain, 0, 0),
    'the same under FGSM': await accuracy(plain, EPSILON, 1),
    'the same under PGD': await accuracy(plain, EPSILON, 10),
    'test accuracy, trained by attacks': await accuracy(robust, 0, 0),
    'its accuracy under FGSM': await accuracy(robust, EPSILON, 1),
    'its accuracy under PGD': await accuracy(robust, EPSILON, 10),
  };
}
