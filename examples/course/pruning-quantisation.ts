/*
 * Making a trained network smaller: magnitude pruning (Han et al., 2015) sets the smallest weights to 0, fine-tuning lets the others make up
 * for them, and int8 quantisation (Jacob et al., 2018) stores every row of a weight as bytes with a scale of its own.
 *
 * A mask keeps pruned weights at 0 while the network is fine-tuned: they are multiplied with it after every step.
 *
 * | figure                            | full    | short   |
 * |-----------------------------------|---------|---------|
 * | test accuracy                     | >= 0.96 | >= 0.95 |
 * | with 80 % of the weights pruned   | <= 0.95 | <= 0.95 |
 * | the same, fine-tuned              | >= 0.95 | >= 0.92 |
 * | the same, in int8                 | >= 0.95 | >= 0.92 |
 * | answers that int8 changes, of 360 | <= 4    | <= 4    |
 * | bytes of the weights, float32     | 37888   | 37888   |
 * | bytes of the weights, int8        | 10024   | 10024   |
 */
import * as Plot from '@observablehq/plot';
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../../src/node.ts';
import { type Course, chart, digits, type Figures, toTensor } from '../course.ts';

const { nn, optim } = tl;
const SHARE = 0.8;

const makeModel = () => new nn.Sequential(new nn.Linear(64, 128), new nn.ReLU(), new nn.Linear(128, 10));
type Model = ReturnType<typeof makeModel>;

const weightsOf = (model: Model): tl.Tensor[] =>
  model.namedParameters().flatMap(([name, p]) => (name.endsWith('weight') ? [p] : []));

/** 1 for the weights of the largest magnitude, 0 for a share of the others. */
function maskOf(weight: tl.Tensor, share: number): tl.Tensor {
  const sizes = weight.detach().abs();
  const bound = sizes
    .flatten()
    .sort()
    .values.select(0, Math.floor(share * (weight.size - 1)));
  return sizes.gt(bound).to('float32');
}

/** A model with the same parameters, whose weights a function changes. */
function changed(model: Model, change: (weight: tl.Tensor, i: number) => tl.Tensor): Model {
  const copy = makeModel();
  copy.loadStateDict(model.stateDict());
  tl.noGrad(() => weightsOf(copy).forEach((weight, i) => void weight.assign_(change(weight, i))));
  return copy;
}

export async function run({ short, save, log, verbose }: Course): Promise<Figures> {
  const { xTrain, xTest, yTrain, yTest } = await digits(64);
  const images = toTensor(xTest);
  const compiled = (model: Model, lr: number): Model => {
    const optimizer = new optim.Adam(model.parameters(), { lr });
    model.compile({ optimizer, loss: nn.functional.crossEntropy, metrics: ['accuracy'] });
    return model;
  };
  const accuracyOf = async (model: Model): Promise<number> =>
    (await compiled(model, 1e-3).evaluate(xTest, yTest, { batchSize: 360 })).accuracy!;

  const model = compiled(makeModel(), 3e-3);
  await model.fit(xTrain, yTrain, { epochs: short ? 15 : 40, batchSize: 64, verbose });
  const accuracy = await accuracyOf(model);

  const sweep: { share: number; accuracy: number; line: string }[] = [];
  let small = model;
  for (const share of [0, 0.2, 0.4, 0.6, 0.7, SHARE, 0.9, 0.95]) {
    const masks = weightsOf(model).map((weight) => tl.tidy(() => maskOf(weight, share)));
    const pruned = changed(model, (weight, i) => weight.mul(masks[i]!));
    sweep.push({ share, accuracy: await accuracyOf(pruned), line: 'pruned' });
    const onBatchEnd = () => tl.noGrad(() => weightsOf(pruned).forEach((weight, i) => void weight.mul_(masks[i]!)));
    const epochs = short ? 3 : 10;
    await compiled(pruned, 1e-3).fit(xTrain, yTrain, {
      epochs,
      batchSize: 64,
      verbose: 0,
      callbacks: [{ onBatchEnd }],
    });
    sweep.push({ share, accuracy: await accuracyOf(pruned), line: 'fine-tuned' });
    log(`${share * 100} % pruned: ${sweep.at(-2)!.accuracy.toFixed(3)}, then ${sweep.at(-1)!.accuracy.toFixed(3)}`);
    if (share === SHARE) small = pruned;
  }
  await save(
    'pruning',
    chart('Test accuracy over the share of weights that are pruned, before and after fine-tuning', {
      x: { label: 'weights that are 0 (%)', transform: (share: number) => 100 * share },
      y: { label: 'test accuracy' },
      marginRight: 70,
      marks: [
        Plot.line(sweep, { x: 'share', y: 'accuracy', stroke: 'line', strokeWidth: 2, marker: 'dot' }),
        Plot.text(
          sweep,
          Plot.selectLast({ x: 'share', y: 'accuracy', z: 'line', text: 'line', textAnchor: 'start', dx: 8 }),
        ),
      ],
    }),
  );

  // Every row as bytes with a scale (rows of zeros, too), and the same network with the numbers that these stand for.
  const most = (weight: tl.Tensor) => weight.detach().abs().amax({ dim: 1, keepDim: true });
  const scales = weightsOf(small).map((weight) => most(weight).div(127).clamp({ min: 1e-12 }));
  const bytes = weightsOf(small).map((weight, i) => weight.detach().div(scales[i]!).round().to('int8'));
  const bytewise = changed(small, (_, i) => bytes[i]!.mul(scales[i]!));
  const [before, after] = [small, bytewise].map((net) => net.forward(images).argmax({ dim: 1 })) as [
    tl.Tensor,
    tl.Tensor,
  ];
  const title = 'Weights of the hidden units, in bytes: grey ones are 0';
  const grid = bytes[0]!.to('float32').reshape([128, 8, 8]);
  await save('weights', await tl.plotImages(grid, { columns: 16, size: 32, range: [-127, 127], title }));

  const bytesOf = (list: readonly tl.Tensor[], each: number) => list.reduce((sum, t) => sum + each * t.size, 0);
  const at = (line: string) => sweep.find((row) => row.share === SHARE && row.line === line)!.accuracy;
  return {
    'test accuracy': accuracy,
    'with 80 % of the weights pruned': at('pruned'),
    'the same, fine-tuned': at('fine-tuned'),
    'the same, in int8': await accuracyOf(bytewise),
    'answers that int8 changes, of 360': await before.ne(after).sum().item(),
    'bytes of the weights, float32': bytesOf(weightsOf(small), 4),
    'bytes of the weights, int8': bytesOf(bytes, 1) + bytesOf(scales, 4),
  };
}
