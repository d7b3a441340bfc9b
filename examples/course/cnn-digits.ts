/*
 * A convolutional network reads handwritten digits, and shows what it looks at: its filters, the saliency of each pixel (the gradient of
 * a score by the image; Simonyan et al., 2014) and Grad-CAM (feature maps weighted by their mean gradient; Selvaraju et al., 2017).
 *
 * 15 epochs with Adam and a rate that falls along a cosine, 5 in the short form.
 *
 * | figure        | full    | short   |
 * |---------------|---------|---------|
 * | parameters    | 38378   | 38378   |
 * | test accuracy | >= 0.98 | >= 0.97 |
 */
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../../src/node.ts';
import { type Course, digits, type Figures, toTensor } from '../course.ts';

const { nn, optim } = tl;

class DigitsNet extends nn.Module {
  features = new nn.Sequential(
    new nn.Conv2d(1, 16, 3, { padding: 1 }),
    new nn.BatchNorm2d(16),
    new nn.ReLU(),
    new nn.Conv2d(16, 32, 3, { padding: 1 }),
    new nn.BatchNorm2d(32),
    new nn.ReLU(),
  );
  head = new nn.Sequential(
    new nn.MaxPool2d(2),
    new nn.Flatten(),
    new nn.Dropout(0.3),
    new nn.Linear(32 * 4 * 4, 64),
    new nn.ReLU(),
    new nn.Linear(64, 10),
  );

  override forward(images: tl.Tensor): tl.Tensor {
    return this.head.forward(this.features.forward(images));
  }
}

/** Scales each image so that its largest element is 1. */
const perImage = (maps: tl.Tensor): tl.Tensor => maps.div(maps.amax({ dim: [1, 2], keepDim: true }).add(1e-9));

export async function run({ short, save, verbose }: Course): Promise<Figures> {
  const { xTrain, xTest, yTrain, yTest } = await digits(1, 8, 8);
  const model = new DigitsNet();
  const epochs = short ? 5 : 15;
  const optimizer = new optim.Adam(model.parameters(), { lr: 3e-3 });
  model.compile({ optimizer, loss: nn.functional.crossEntropy, metrics: ['accuracy'] });
  const history = await model.fit(xTrain, yTrain, {
    epochs,
    batchSize: 32,
    validationData: [xTest, yTest],
    callbacks: [nn.lrScheduler(new optim.CosineAnnealingLR(optimizer, { tMax: epochs }))],
    verbose,
  });
  const { accuracy } = await model.evaluate(xTest, yTest);
  await save('training', tl.plot(history));

  const [first] = model.parameters();
  await save('filters', await tl.plotImages(first!.squeeze(1), { title: 'Filters of the first layer' }));

  // The first test image of each digit.
  model.eval();
  const picked = Array.from({ length: 10 }, (_, digit) => (yTest.data as Int32Array).indexOf(digit));
  const images = toTensor(xTest).indexSelect(0, tl.tensor(picked, { dtype: 'int32' }));
  images.requiresGrad = true;
  const maps = model.features.forward(images);
  // The sum of each image's own highest score: its gradient by an image is that of this image's score alone.
  const score = model.head.forward(maps).amax({ dim: 1 }).sum();
  const [byPixel, byMap] = tl.grad([score], [images, maps]);
  const saliency = perImage(byPixel!.abs().squeeze(1));
  const weights = byMap!.mean({ dim: [2, 3], keepDim: true });
  const cam = perImage(maps.mul(weights).sum({ dim: 1 }).relu());
  const rows = tl.cat([images.squeeze(1), saliency, cam]).detach();
  await save(
    'attention',
    await tl.plotImages(rows, { columns: 10, size: 56, title: 'Digits, saliency of their pixels, and Grad-CAM' }),
  );
  const parameters = model.parameters().reduce((n, p) => n + p.size, 0);
  return { parameters, 'test accuracy': accuracy! };
}
