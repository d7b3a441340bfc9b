// The training steps that benchmarks and counts share, in tensorloom, with cross-entropy and Adam; models.ts says what is trained.
import * as tl from '../src/index.ts';
import {
  ADAM,
  GPT,
  type HostBatch,
  hostBatches,
  initialWeights,
  LSTM,
  type ModelName,
  SIZES,
  sizeOf,
} from './models.ts';

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

/** LeNet-5 (LeCun et al., 1998) with ReLU and maxima, as it is taught today. */
function makeLeNet(): tl.nn.Module {
  const { Sequential, Conv2d, ReLU, MaxPool2d, Flatten, Linear } = tl.nn;
  return new Sequential(
    ...[new Conv2d(1, 6, 5, { padding: 2 }), new ReLU(), new MaxPool2d(2)],
    ...[new Conv2d(6, 16, 5), new ReLU(), new MaxPool2d(2), new Flatten()],
    ...[new Linear(400, 120), new ReLU(), new Linear(120, 84), new ReLU(), new Linear(84, 10)],
  );
}

function makeMlp(): tl.nn.Module {
  const { Sequential, Linear, ReLU } = tl.nn;
  const [a, b, c, d] = SIZES;
  return new Sequential(new Linear(a, b), new ReLU(), new Linear(b, c), new ReLU(), new Linear(c, d));
}

/** An LSTM of 64 units over the 28 rows of an image. */
class RowReader extends tl.nn.Module {
  lstm = new tl.nn.LSTM(LSTM.inputs, LSTM.hidden, { batchFirst: true });
  head = new tl.nn.Linear(LSTM.hidden, 10);

  override forward(rows: tl.Tensor): tl.Tensor {
    return this.head.forward(this.lstm.forward(rows)[0].select(1, -1));
  }
}

/** A transformer of two layers of width 128 with four heads, over 64 tokens of 64 kinds. */
class Gpt extends tl.nn.Module {
  tokens = new tl.nn.Embedding(GPT.tokens, GPT.width);
  positions = tl.tidy(() => new tl.nn.Parameter(tl.zeros([GPT.context, GPT.width])));
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
    const y = this.head.forward(this.norm.forward(this.blocks.forward(embedded, { isCausal: true })));
    return y.reshape([-1, GPT.tokens]);
  }
}

/** A model, and the shape of what it reads, without the batch. */
const NETS: Readonly<Record<ModelName, readonly [make: () => tl.nn.Module, input: readonly number[]]>> = {
  MLP: [makeMlp, [SIZES[0]]],
  LeNet: [makeLeNet, [1, 28, 28]],
  LSTM: [() => new RowReader(), [LSTM.steps, LSTM.inputs]],
  GPT: [() => new Gpt(), [GPT.context]],
};

/** A model with its optimizer, on the default device. */
function makeTraining(name: ModelName): Training {
  const [make, input] = NETS[name];
  const model = make();
  const adam = new tl.optim.Adam(model.parameters(), {
    lr: ADAM.rate,
    betas: [ADAM.beta1, ADAM.beta2],
    eps: ADAM.eps,
  });
  return {
    model,
    adam,
    batches: (count, batch) => hostBatches(name, count, batch),
    upload({ x, y }) {
      const rows = x.length / sizeOf(input);
      const labels = y.length === rows ? [rows] : [rows, y.length / rows];
      return { x: tl.tensor(x, { shape: [rows, ...input] }), y: tl.tensor(y, { shape: labels }) };
    },
    step: (x, y) => adam.minimize(() => tl.nn.functional.crossEntropy(model.forward(x), y.reshape([-1]))),
    dispose() {
      adam.dispose();
      for (const p of model.parameters()) p.dispose();
    },
  };
}

/** The models, by their names in tables. */
export const MODELS: Readonly<Record<ModelName, () => Training>> = {
  MLP: () => makeTraining('MLP'),
  LeNet: () => makeTraining('LeNet'),
  LSTM: () => makeTraining('LSTM'),
  GPT: () => makeTraining('GPT'),
};

/** Gives a model the weights that all libraries begin with. */
export function beginAlike({ model }: Training, name: ModelName): void {
  const weights = Object.entries(initialWeights(name)).map(
    ([key, { data, shape }]) => [key, tl.tensor(data, { shape })] as const,
  );
  model.loadStateDict(Object.fromEntries(weights));
  for (const [, weight] of weights) weight.dispose();
}
