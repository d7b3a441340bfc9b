/*
 * An autoencoder: digits through a bottleneck of two numbers, and back (Hinton and Salakhutdinov, "Reducing the dimensionality of data
 * with neural networks", 2006).
 *
 * The encoder gives each image of 64 pixels a place z = f(x) in the plane, the decoder draws it again from there, and both are trained on
 * the mean of (g(f(x)) - x)^2. With linear f and g, the best there is are the first two principal components; the layers in between
 * bend the plane, so that it passes closer to the digits.
 *
 * | figure                                           | full     | short   |
 * |--------------------------------------------------|----------|---------|
 * | test error                                       | <= 0.033 | <= 0.05 |
 * | test error of PCA                                | 0.05335  | 0.05335 |
 * | test digits whose nearest training code is right | >= 0.78  | >= 0.45 |
 * | the same with PCA                                | 0.544    | 0.544   |
 */
import * as Plot from '@observablehq/plot';
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../../src/node.ts';
import { type Course, chart, digits, type Figures, toTensor } from '../course.ts';

const { nn, optim } = tl;
const SHOWN = 10;
const GRID = 12;

class Autoencoder extends nn.Module {
  readonly encoder = new nn.Sequential(
    new nn.Linear(64, 64),
    new nn.Tanh(),
    new nn.Linear(64, 32),
    new nn.Tanh(),
    new nn.Linear(32, 2),
  );
  readonly decoder = new nn.Sequential(
    new nn.Linear(2, 32),
    new nn.Tanh(),
    new nn.Linear(32, 64),
    new nn.Tanh(),
    new nn.Linear(64, 64),
    new nn.Sigmoid(),
  );

  override forward(x: tl.Tensor): tl.Tensor {
    return this.decoder.forward(this.encoder.forward(x));
  }
}

export async function run({ short, save, verbose }: Course): Promise<Figures> {
  const { xTrain, xTest, yTrain, yTest } = await digits(64);
  const model = new Autoencoder();
  const epochs = short ? 15 : 100;
  const optimizer = new optim.Adam(model.parameters(), { lr: 5e-3 });
  model.compile({ optimizer, loss: nn.functional.mseLoss });
  const history = await model.fit(xTrain, xTrain, {
    epochs,
    validationData: { x: xTest, y: xTest },
    callbacks: [nn.lrScheduler(new optim.CosineAnnealingLR(optimizer, { tMax: epochs }))],
    verbose,
  });
  await save('history', tl.plot(history, { title: 'The error of the images that come back' }));
  const pca = await new tl.estimators.PCA({ nComponents: 2 }).fit(xTrain);

  const [train, test] = [toTensor(xTrain), toTensor(xTest)];
  const encode = (x: tl.Tensor) => model.encoder.predict(x);
  const code = await encode(test);
  const [drawn, drawnByPca] = [await model.decoder.predict(code), pca.inverseTransform(pca.transform(test))];
  const error = async (images: tl.Tensor): Promise<number> => nn.functional.mseLoss(images, test).item();
  /** How often the nearest training digit in the plane is the same digit. */
  const right = async (codes: tl.Tensor, others: tl.Tensor): Promise<number> => {
    const nearest = codes.unsqueeze(1).sub(others).square().sum({ dim: 2 }).argmin({ dim: 1 });
    return toTensor(yTrain).take(nearest).eq(toTensor(yTest)).to('float32').mean().item();
  };

  const some = [test, drawn, drawnByPca].map((images) => images.narrow(0, 0, SHOWN));
  const rows = tl.cat(some).reshape([-1, 8, 8]);
  await save(
    'images',
    await tl.plotImages(rows, {
      columns: SHOWN,
      size: 64,
      range: [0, 1],
      title: 'From above: test digits, by the autoencoder, by PCA',
    }),
  );

  const places = await code.data();
  const points = Array.from(yTest.data, (digit, i) => ({ x: places[2 * i]!, y: places[2 * i + 1]!, digit }));
  await save(
    'plane',
    chart('Where the test digits lie in the plane', {
      ...{ width: 720, height: 560, inset: 10 },
      x: { label: 'first number of the code' },
      y: { label: 'second number of the code' },
      color: { type: 'categorical', scheme: 'tableau10' },
      marks: [Plot.text(points, { x: 'x', y: 'y', text: (p) => `${p.digit}`, fill: 'digit', fontWeight: 'bold' })],
    }),
  );
  const [low, high] = [await code.min({ dim: 0 }).values.data(), await code.max({ dim: 0 }).values.data()];
  const [down, across] = tl.meshgrid([tl.linspace(high[1]!, low[1]!, GRID), tl.linspace(low[0]!, high[0]!, GRID)]);
  const everywhere = await model.decoder.predict(tl.stack([across!, down!], -1).reshape([-1, 2]));
  await save(
    'drawn',
    await tl.plotImages(everywhere.reshape([-1, 8, 8]), {
      columns: GRID,
      size: 44,
      range: [0, 1],
      title: 'What the decoder draws over the plane',
    }),
  );
  return {
    'test error': await error(drawn),
    'test error of PCA': await error(drawnByPca),
    'test digits whose nearest training code is right': await right(code, await encode(train)),
    'the same with PCA': await right(pca.transform(test), pca.transform(train)),
  };
}
