/*
 * A generative adversarial network (Goodfellow et al., "Generative adversarial nets", 2014) on eight clusters of points on a circle.
 *
 * The generator G makes points of noise; the discriminator D tells them from real ones. D minimizes
 * -E log D(x) - E log(1 - D(G(z))), G minimizes -E log D(G(z)), in turns. Where G wins, D can but guess: its loss is then 2 ln 2 = 1.386.
 * Nothing else measures how good the points are, but here it is known what they should be: in all eight clusters, and near them. A
 * penalty on the slope of D at the real points, 1/2 E |grad D(x)|^2 (Mescheder et al., "Which training methods for GANs do actually
 * converge?", 2018), keeps the two from going in circles; its gradient is a second derivative.
 *
 * | figure                            | full    | short  |
 * |-----------------------------------|---------|--------|
 * | clusters reached, of 8            | >= 8    | >= 6   |
 * | share of points within four sigma | >= 0.85 | >= 0.4 |
 * | loss of D at the end              | 1.386   | >= 1.2 |
 */
import * as Plot from '@observablehq/plot';
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../../src/node.ts';
import { type Course, chart, type Figures } from '../course.ts';

const { nn, optim } = tl;
const CLUSTERS = 8;
const SPREAD = 0.08;
const NOISE = 8;
const BATCH = 128;
const SAMPLES = 500;

const network = (from: number, to: number): tl.nn.Sequential => {
  const hidden = [new nn.Linear(from, 64), new nn.ReLU(), new nn.Linear(64, 64), new nn.ReLU()];
  return new nn.Sequential(...hidden, new nn.Linear(64, to));
};

export async function run({ short, save, log }: Course): Promise<Figures> {
  const angles = tl.arange(CLUSTERS).mul((2 * Math.PI) / CLUSTERS);
  const centres = tl.stack([angles.cos(), angles.sin()], 1);
  const real = (): tl.Tensor =>
    centres.indexSelect(0, tl.randint(0, CLUSTERS, [BATCH])).add(tl.randn([BATCH, 2]).mul(SPREAD));
  const generator = network(NOISE, 2);
  const discriminator = network(2, 1);
  const points = (count: number): tl.Tensor => generator.forward(tl.randn([count, NOISE]));
  /** How surprised D is to hear that its inputs are real, or made. */
  const surprise = (scores: tl.Tensor, isReal: boolean): tl.Tensor =>
    nn.functional.binaryCrossEntropyWithLogits(scores, tl.fullLike(scores, Number(isReal)));

  const settings = { lr: 2e-3, betas: [0.5, 0.99] } as const;
  const ofG = new optim.Adam(generator.parameters(), settings);
  const ofD = new optim.Adam(discriminator.parameters(), settings);
  const curve: { step: number; loss: number; of: string }[] = [];
  const seen: { step: number; x: number; y: number }[] = [];
  const look = async (step: number): Promise<tl.Tensor> => {
    const made = tl.tidy(() => tl.noGrad(() => points(SAMPLES)));
    const at = await made.data();
    for (let i = 0; i < SAMPLES; i++) seen.push({ step, x: at[2 * i]!, y: at[2 * i + 1]! });
    return made;
  };

  const steps = short ? 300 : 3000;
  const looks = [0, 0.02, 0.1, 0.3, 1].map((share) => Math.round(share * steps));
  for (let step = 0; step < steps; step++) {
    if (looks.includes(step)) (await look(step)).dispose();
    const lossOfD = ofD.minimize(() => {
      const x = real();
      x.requiresGrad = true;
      const scores = discriminator.forward(x);
      const [slope] = tl.grad([scores.sum()], [x], { createGraph: true });
      const penalty = slope!.square().sum({ dim: 1 }).mean().mul(0.05);
      return surprise(scores, true)
        .add(surprise(discriminator.forward(points(BATCH).detach()), false))
        .add(penalty);
    });
    const lossOfG = ofG.minimize(() => surprise(discriminator.forward(points(BATCH)), true));
    if (step % (steps / 100) !== 0) continue;
    curve.push({ step, loss: await lossOfD.item(), of: 'D' }, { step, loss: await lossOfG.item(), of: 'G' });
    if (step % (steps / 10) === 0)
      log(`step ${step}: loss of D ${curve.at(-2)!.loss.toFixed(3)}, of G ${curve.at(-1)!.loss.toFixed(3)}`);
  }

  const nearest = (await look(steps)).unsqueeze(1).sub(centres).square().sum({ dim: 2 }).sqrt().min({ dim: 1 });
  const [distances, clusters] = [await nearest.values.data(), await nearest.indices.data<'int32'>()];
  /** The cluster of each point that is in one. */
  const inside = clusters.filter((_, i) => distances[i]! < 4 * SPREAD);
  const reached = Array.from({ length: CLUSTERS }, (_, c) => inside.filter((v) => v === c).length >= 0.02 * SAMPLES);
  const last = curve.filter(({ of }) => of === 'D').slice(-20);
  const centreDots = (await centres.toArray()) as [number, number][];
  await save(
    'points',
    chart('Points of the generator while it learns; circles: the centres of the clusters', {
      ...{ width: 1100, height: 280, inset: 4 },
      fx: { label: null, tickFormat: (step: number) => `step ${step}` },
      x: { domain: [-1.6, 1.6], ticks: 3 },
      y: { domain: [-1.6, 1.6], ticks: 3 },
      marks: [
        Plot.frame(),
        Plot.dot(seen, { fx: 'step', x: 'x', y: 'y', r: 1.5, fill: '#2a6fdb', clip: true }),
        Plot.dot(centreDots, { r: 12, stroke: '#d9702a' }),
      ],
    }),
  );
  await save(
    'losses',
    chart('The losses of both; dashed: where D can but guess', {
      ...{ marginRight: 40 },
      x: { label: 'step' },
      y: { label: 'loss' },
      color: { domain: ['D', 'G'], range: ['#2a6fdb', '#d9702a'] },
      marks: [
        Plot.ruleY([Math.LN2, 2 * Math.LN2], { strokeDasharray: '4 4' }),
        Plot.line(curve, { x: 'step', y: 'loss', stroke: 'of' }),
        Plot.text(curve, Plot.selectLast({ x: 'step', y: 'loss', z: 'of', fill: 'of', text: 'of', dx: 16 })),
      ],
    }),
  );
  return {
    'clusters reached, of 8': reached.filter(Boolean).length,
    'share of points within four sigma': inside.length / SAMPLES,
    'loss of D at the end': last.reduce((sum, { loss }) => sum + loss, 0) / last.length,
  };
}
