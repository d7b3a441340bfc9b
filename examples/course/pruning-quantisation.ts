/*
 * Making a trained network small: most of its weights are set to zero, and the others become bytes.
 *
 * Pruning keeps the weights of largest magnitude, by a mask m: y = x (m * W)^T + b. Trained on with the mask in place, those that stay make
 * up for the others (Han et al., "Learning both weights and connections for efficient neural networks", 2015). Quantisation writes a
 * weight as w = s (q - z) with a whole number q from -128 to 127, and a scale s and a zero point z for each matrix (Jacob et al.,
 * "Quantization and training of neural networks for efficient integer-arithmetic-only inference", 2018): the error is at most s / 2.
 *
 * | figure                           | full    | short   |
 * |----------------------------------|---------|---------|
 * | test accuracy                    | >= 0.96 | >= 0.93 |
 * | in int8                          | >= 0.96 | >= 0.93 |
 * | 90 % pruned                      | <= 0.65 | <= 0.65 |
 * | 90 % pruned and trained on       | >= 0.92 | >= 0.75 |
 * | kB of parameters                 | 68.90   | 68.90   |
 * | kB in int8                       | 17.86   | 17.86   |
 * | largest error of int8, in scales | 0.500   | 0.500   |
 */
import * as Plot from '@observablehq/plot';
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../../src/node.ts';
import { type Course, chart, digits, type Figures } from '../course.ts';

const { nn, optim } = tl;

/** A linear layer, some of whose weights count as zero. */
class MaskedLinear extends nn.Linear {
  declare readonly mask: tl.Tensor;

  constructor(inFeatures: number, outFeatures: number) {
    super(inFeatures, outFeatures);
    this.registerBuffer('mask', tl.onesLike(this.weight));
  }

  override forward(x: tl.Tensor): tl.Tensor {
    return nn.functional.linear(x, this.weight.mul(this.mask), this.bias);
  }

  /** Leaves out a share of the weights, the smallest ones. */
  prune(share: number): void {
    const sizes = this.weight.detach().abs();
    const least = sizes
      .flatten()
      .sort()
      .values.select(0, Math.floor(share * sizes.size));
    this.mask.assign_(sizes.ge(least).to('float32'));
  }
}

/** A network, perhaps with the parameters of another one. */
function network(from?: tl.nn.Module): tl.nn.Sequential {
  const hidden = [new MaskedLinear(64, 128), new nn.ReLU(), new MaskedLinear(128, 64), new nn.ReLU()];
  const model = new nn.Sequential(...hidden, new MaskedLinear(64, 10));
  if (from) model.loadStateDict(from.stateDict());
  const optimizer = new optim.Adam(model.parameters(), { lr: from ? 1e-3 : 2e-3 });
  model.compile({ optimizer, loss: nn.functional.crossEntropy, metrics: ['accuracy'] });
  return model;
}

/** Puts all weights into bytes, and gives them the values that these stand for: what all take, and the largest error in scales. */
async function roundToBytes(model: tl.nn.Module): Promise<{ bytes: number; error: number }> {
  let [bytes, error] = [0, 0];
  for (const layer of model.modules()) {
    if (!(layer instanceof MaskedLinear)) continue;
    const weight = layer.weight.detach().mul(layer.mask);
    const [low, high] = [weight.min().clamp({ max: 0 }), weight.max().clamp({ min: 0 })];
    const scale = high.sub(low).div(255);
    const zeroPoint = low.div(scale).add(128).round().neg();
    const q = weight.div(scale).round().add(zeroPoint).clamp({ min: -128, max: 127 }).to('int8');
    const rounded = q.to('float32').sub(zeroPoint).mul(scale);
    error = Math.max(error, await rounded.sub(weight).abs().max().div(scale).item());
    bytes += (await q.data<'int8'>()).byteLength + 4 * (scale.size + zeroPoint.size + layer.bias!.size);
    tl.noGrad(() => layer.weight.assign_(rounded));
  }
  return { bytes, error };
}

export async function run({ short, save, log, verbose }: Course): Promise<Figures> {
  const { xTrain, xTest, yTrain, yTest } = await digits(64);
  const accuracyOf = async (model: tl.nn.Module): Promise<number> => (await model.evaluate(xTest, yTest)).accuracy!;
  const model = network();
  await model.fit(xTrain, yTrain, { epochs: short ? 8 : 30, verbose });

  const inBytes = network(model);
  const { bytes, error } = await roundToBytes(inBytes);

  const curve: { pruned: number; accuracy: number; how: string }[] = [];
  for (const pruned of short ? [0.5, 0.9] : [0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98]) {
    const small = network(model);
    small.apply((layer) => layer instanceof MaskedLinear && layer.prune(pruned));
    curve.push({ pruned, accuracy: await accuracyOf(small), how: 'pruned' });
    await small.fit(xTrain, yTrain, { epochs: short ? 3 : 10, verbose: 0 });
    curve.push({ pruned, accuracy: await accuracyOf(small), how: 'and trained on' });
    const [before, after] = curve.slice(-2).map(({ accuracy }) => accuracy.toFixed(3));
    log(`${(100 * pruned).toFixed(0)} % pruned: accuracy ${before}, trained on ${after}`);
  }
  const [cut, tuned] = curve.filter(({ pruned }) => pruned === 0.9).map(({ accuracy }) => accuracy);
  await save(
    'accuracy',
    chart('Test accuracy over the share of weights left out', {
      marginRight: 100,
      x: { label: 'share of weights pruned', domain: [0, 1] },
      y: { label: 'test accuracy', domain: [0, 1] },
      color: { domain: ['pruned', 'and trained on'], range: ['#d9702a', '#2a6fdb'] },
      marks: [
        Plot.line(curve, { x: 'pruned', y: 'accuracy', stroke: 'how', marker: 'dot' }),
        Plot.text(curve, Plot.selectLast({ x: 'pruned', y: 'accuracy', z: 'how', fill: 'how', text: 'how', dx: 54 })),
      ],
    }),
  );
  return {
    'test accuracy': await accuracyOf(model),
    'in int8': await accuracyOf(inBytes),
    '90 % pruned': cut!,
    '90 % pruned and trained on': tuned!,
    'kB of parameters': (4 * model.parameters().reduce((n, p) => n + p.size, 0)) / 1000,
    'kB in int8': bytes / 1000,
    'largest error of int8, in scales': error,
  };
}
