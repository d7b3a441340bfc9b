/*
 * A small language model: a causal transformer (Vaswani et al., "Attention is all you need", 2017) that learns two poems by Lewis Carroll
 * character by character, and writes lines of its own.
 *
 * Each of the last 32 characters becomes a vector, to which one for its position is added. In every layer a position gathers from those
 * up to it, softmax(Q K^T / sqrt(d)) V with all later ones masked, and the last linear layer scores what comes next. The loss is the
 * cross-entropy; over ln 2 it is the number of bits that a character costs. So little text is learned by heart: the last two stanzas,
 * which are kept aside, cost as much as they have that is new.
 *
 * | figure                            | full    | short   |
 * |-----------------------------------|---------|---------|
 * | bits per character at the start   | 7.146   | 7.146   |
 * | bits per character at the end     | <= 1.1  | <= 4.0  |
 * | bits per character, text not seen | <= 4.2  | <= 4.2  |
 * | share of next characters guessed  | >= 0.76 | >= 0.23 |
 */
import * as Plot from '@observablehq/plot';
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../../src/node.ts';
import { type Course, chart, type Figures, text } from '../course.ts';

const { nn, optim } = tl;
const [ASCII, CONTEXT, WIDTH, BATCH] = [128, 32, 48, 16];
/** Characters of the last two stanzas. */
const UNSEEN = 374;
const TEMPERATURE = 0.7;

const LAYER = { dimFeedforward: 4 * WIDTH, batchFirst: true, normFirst: true };

class CharacterModel extends nn.Module {
  readonly characters = new nn.Embedding(ASCII, WIDTH);
  readonly positions = new nn.Embedding(CONTEXT, WIDTH);
  readonly encoder = new nn.TransformerEncoder(new nn.TransformerEncoderLayer(WIDTH, 4, LAYER), 2);
  readonly head = new nn.Sequential(new nn.LayerNorm(WIDTH), new nn.Linear(WIDTH, ASCII));

  embed(codes: tl.Tensor): tl.Tensor {
    return this.characters.forward(codes).add(this.positions.forward(upTo(codes.shape[1]!)));
  }

  /** From characters [batch, length] to scores of the next ones [batch, length, ASCII]. */
  override forward(codes: tl.Tensor): tl.Tensor {
    return this.head.forward(this.encoder.forward(this.embed(codes), { isCausal: true }));
  }

  /** What each position of the first layer looks at, the mean over its heads: [batch, to, from]. */
  attention(codes: tl.Tensor): tl.Tensor {
    const [layer] = this.encoder.layers;
    const x = layer!.norm1.forward(this.embed(codes));
    const [, weights] = layer!.self_attn.forward(x, x, x, { isCausal: true });
    return weights!;
  }
}

const upTo = (n: number): tl.Tensor => tl.arange(n, { dtype: 'int32' });
const encode = (s: string): tl.Tensor => tl.tensor(Int32Array.from(s, (c) => c.charCodeAt(0)));

export async function run({ short, save, log }: Course): Promise<Figures> {
  const poems = await text('carroll.txt');
  const [seen, unseen] = [encode(poems.slice(0, -UNSEEN)), encode(poems.slice(-UNSEEN))];
  const model = new CharacterModel();
  const loss = (scores: tl.Tensor, next: tl.Tensor) => nn.functional.crossEntropy(scores.transpose(1, 2), next);
  /** Windows are one longer than the context: inputs, and what comes next. */
  const split = (windows: tl.Tensor) => [windows.narrow(1, 0, CONTEXT), windows.narrow(1, 1, CONTEXT)] as const;
  const test = async (codes: tl.Tensor): Promise<{ bits: number; right: number }> => {
    const [x, next] = split(codes.unfold(0, CONTEXT + 1, CONTEXT));
    const scores = await model.predict(x);
    const right = scores.argmax({ dim: -1 }).eq(next).to('float32').mean();
    return { bits: (await loss(scores, next).item()) / Math.LN2, right: await right.item() };
  };
  const start = await test(seen);
  const steps = short ? 80 : 1500;
  const adam = new optim.AdamW(model.parameters());
  const schedule = new optim.OneCycleLR(adam, { maxLr: 6e-3, totalSteps: steps });
  const curve: { step: number; bits: number }[] = [];
  for (let step = 1; step <= steps; step++) {
    const found = adam.minimize(() => {
      const starts = tl.randint(0, seen.size - CONTEXT, [BATCH, 1]);
      const [x, next] = split(seen.take(starts.add(upTo(CONTEXT + 1))));
      return loss(model.forward(x), next);
    });
    schedule.step();
    if (step % 10 === 0) curve.push({ step, bits: (await found.item()) / Math.LN2 });
    if (step % 100 === 0) log(`step ${step}: ${curve.at(-1)!.bits.toFixed(2)} bits per character`);
  }
  model.eval();
  const end = await test(seen);

  let written = 'The Walrus';
  while (written.length < (short ? 40 : 300)) {
    using next = tl.tidy(() => {
      const scores = model.forward(encode(written.slice(-CONTEXT)).unsqueeze(0)).select(1, -1);
      return tl.multinomial(scores.div(TEMPERATURE).softmax(-1), 1);
    });
    written += String.fromCharCode(await next.item());
  }
  log(`It writes:\n\n${written}\n`);

  const phrase = 'He left it dead, and with its he';
  const weights = await model.attention(encode(phrase).unsqueeze(0)).data();
  const cells = Array.from(weights, (weight, i) => ({ to: Math.floor(i / CONTEXT), from: i % CONTEXT, weight }));
  const letters = { type: 'band', tickFormat: (i: number) => phrase[i]!.replace(' ', '␣'), tickSize: 0 } as const;
  await save(
    'attention',
    chart('What each character of a line looks at in the first layer', {
      ...{ width: 560, height: 560, grid: false, marginBottom: 48 },
      x: { ...letters, label: 'looked at', labelOffset: 44 },
      y: { ...letters, label: 'position' },
      color: { scheme: 'blues' },
      marks: [Plot.cell(cells, { filter: (c) => c.from <= c.to, x: 'from', y: 'to', fill: 'weight' })],
    }),
  );
  const line = Plot.line(curve, { x: 'step', y: 'bits', stroke: '#2a6fdb' });
  await save('loss', chart('Bits per character while it learns', { y: { domain: [0, 7] }, marks: [line] }));
  return {
    'bits per character at the start': start.bits,
    'bits per character at the end': end.bits,
    'bits per character, text not seen': (await test(unseen)).bits,
    'share of next characters guessed': end.right,
  };
}
