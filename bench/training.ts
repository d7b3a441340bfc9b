// The training steps that benchmarks and counts share, with cross-entropy and Adam: of images of 784 pixels in ten classes an MLP
// 784-256-128-10, a LeNet on 28 x 28, and an LSTM that reads 28 rows; and a small transformer that guesses the next of 64 tokens.
import * as tl from '../src/index.ts';

export const SIZES = [784, 256, 128, 10] as const;

/** Multiplications and additions of the products of one step: forward, and two backward but for the first layer's input. */
export function mlpFlops(batch: number): number {
  const [a, b, c, d] = SIZES;
  const forward = 2 * batch * (a * b + b * c + c * d);
  return 3 * forward - 2 * batch * a * b;
}

export interface HostBatch {
  readonly x: Float32Array | Int32Array;
  readonly y: Int32Array;
}

export interface Training {
  readonly model: tl.nn.Module;
  /** Batches on the host. */
  batches(count: number, batch: number): HostBatch[];
  /** A batch on the default device. */
  upload(batch: HostBatch): { x: tl.Tensor; y: tl.Tensor };
  readonly adam: tl.optim.Adam;
  /** One step on a batch; the loss lives until the next step. */
  step(x: tl.Tensor, y: tl.Tensor): tl.Tensor;
  dispose(): void;
}

/** Numbers in [0, 1) that are the same in every run. */
export function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Elements spread evenly around zero. */
export function random(size: number, seed: number): Float32Array {
  const next = numbers(seed);
  return Float32Array.from({ length: size }, () => 2 * next() - 1);
}

/** Images of ten classes on the host. */
export function imageBatches(count: number, batch: number): (HostBatch & { readonly x: Float32Array })[] {
  const next = numbers(7);
  return Array.from({ length: count }, (_, i) => ({
    x: random(batch * SIZES[0], i + 1),
    y: Int32Array.from({ length: batch }, () => Math.floor(next() * SIZES[3])),
  }));
}

/** A model with its optimizer on the default device, for images of a shape. */
function training(model: tl.nn.Module, image: readonly number[], lr: number): Training {
  const adam = new tl.optim.Adam(model.parameters(), { lr });
  return {
    model,
    adam,
    batches: imageBatches,
    upload: ({ x, y }) => ({ x: tl.tensor(x, { shape: [y.length, ...image] }), y: tl.tensor(y) }),
    step: (x, y) => adam.minimize(() => tl.nn.functional.crossEntropy(model.forward(x), y)),
    dispose() {
      adam.dispose();
      for (const p of model.parameters()) p.dispose();
    },
  };
}

export function makeMlp(lr = 1e-3): Training {
  const { Sequential, Linear, ReLU } = tl.nn;
  const [a, b, c, d] = SIZES;
  const model = new Sequential(new Linear(a, b), new ReLU(), new Linear(b, c), new ReLU(), new Linear(c, d));
  return training(model, [a], lr);
}

/** LeNet-5 (LeCun et al., 1998) with ReLU and maxima, as it is taught today. */
export function makeLeNet(lr = 1e-3): Training {
  const { Sequential, Conv2d, ReLU, MaxPool2d, Flatten, Linear } = tl.nn;
  const model = new Sequential(
    ...[new Conv2d(1, 6, 5, { padding: 2 }), new ReLU(), new MaxPool2d(2)],
    ...[new Conv2d(6, 16, 5), new ReLU(), new MaxPool2d(2), new Flatten()],
    ...[new Linear(400, 120), new ReLU(), new Linear(120, 84), new ReLU(), new Linear(84, 10)],
  );
  return training(model, [1, 28, 28], lr);
}

class RowReader extends tl.nn.Module {
  lstm = new tl.nn.LSTM(28, 64, { batchFirst: true });
  head = new tl.nn.Linear(64, 10);

  override forward(rows: tl.Tensor): tl.Tensor {
    return this.head.forward(this.lstm.forward(rows)[0].select(1, -1));
  }
}

/** An LSTM of 64 units over the 28 rows of an image. */
export const makeLstm = (lr = 1e-3): Training => training(new RowReader(), [28, 28], lr);

export const GPT = { tokens: 64, context: 64, width: 128, heads: 4, layers: 2 } as const;

class Gpt extends tl.nn.Module {
  tokens = new tl.nn.Embedding(GPT.tokens, GPT.width);
  positions = tl.tidy(() => tl.nn.init.normal_(new tl.nn.Parameter(tl.zeros([GPT.context, GPT.width])), 0, 0.02));
  blocks = new tl.nn.TransformerEncoder(
    new tl.nn.TransformerEncoderLayer(GPT.width, GPT.heads, {
      dimFeedforward: 4 * GPT.width,
      activation: 'gelu',
      batchFirst: true,
      normFirst: true,
      dropout: 0,
    }),
    GPT.layers,
  );
  norm = new tl.nn.LayerNorm(GPT.width);
  head = new tl.nn.Linear(GPT.width, GPT.tokens, { bias: false });

  override forward(x: tl.Tensor): tl.Tensor {
    const embedded = this.tokens.forward(x).add(this.positions);
    return this.head.forward(this.norm.forward(this.blocks.forward(embedded, { isCausal: true })));
  }
}

/** A transformer of two layers of width 128 with four heads, over 64 tokens of 64 kinds. */
export function makeGpt(lr = 1e-3): Training {
  const model = new Gpt();
  const adam = new tl.optim.Adam(model.parameters(), { lr });
  const { tokens, context } = GPT;
  return {
    model,
    adam,
    batches(count, batch) {
      const next = numbers(7);
      const draw = (): Int32Array => Int32Array.from({ length: batch * context }, () => Math.floor(next() * tokens));
      return Array.from({ length: count }, () => ({ x: draw(), y: draw() }));
    },
    upload: ({ x, y }) => ({ x: tl.tensor(x, { shape: [y.length / context, context] }), y: tl.tensor(y) }),
    step: (x, y) => adam.minimize(() => tl.nn.functional.crossEntropy(model.forward(x).reshape([-1, tokens]), y)),
    dispose() {
      adam.dispose();
      for (const p of model.parameters()) p.dispose();
    },
  };
}

/** The models, by their names in tables. */
export const MODELS: Readonly<Record<'MLP' | 'LeNet' | 'LSTM' | 'GPT', () => Training>> = {
  MLP: makeMlp,
  LeNet: makeLeNet,
  LSTM: makeLstm,
  GPT: makeGpt,
};
