// The models that are trained, as every library is given them: their sizes, their weights at the start and their batches. Of images of
// 784 pixels in ten classes an MLP 784-256-128-10, a LeNet on 28 x 28, and an LSTM that reads 28 rows; and a small transformer that
// guesses the next of 64 tokens.

export type ModelName = 'MLP' | 'LeNet' | 'LSTM' | 'GPT';

export const MODEL_NAMES: readonly ModelName[] = ['MLP', 'LeNet', 'LSTM', 'GPT'];

/** Samples of a training step. */
export const BATCH: Readonly<Record<ModelName, number>> = { MLP: 64, LeNet: 64, LSTM: 64, GPT: 8 };

export const SIZES = [784, 256, 128, 10] as const;
export const LSTM = { steps: 28, inputs: 28, hidden: 64 } as const;
export const GPT = { tokens: 64, context: 64, width: 128, heads: 4, layers: 2 } as const;

/** Adam's settings, which are PyTorch's. */
export const ADAM = { rate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8 } as const;

/** Multiplications and additions of the products of one step of the MLP: forward, and two backward but for the first layer's input. */
export function mlpFlops(batch: number): number {
  const [a, b, c, d] = SIZES;
  const forward = 2 * batch * (a * b + b * c + c * d);
  return 3 * forward - 2 * batch * a * b;
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
export function random(size: number, seed: number): Float32Array<ArrayBuffer> {
  const next = numbers(seed);
  const out = new Float32Array(size);
  for (let i = 0; i < size; i++) out[i] = 2 * next() - 1;
  return out;
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

type Shapes = Readonly<Record<string, readonly number[]>>;

const linear = (name: string, inputs: number, outputs: number): Shapes => ({
  [`${name}.weight`]: [outputs, inputs],
  [`${name}.bias`]: [outputs],
});
const norm = (name: string, width: number): Shapes => ({ [`${name}.weight`]: [width], [`${name}.bias`]: [width] });

function gptShapes(): Shapes {
  const { tokens, context, width, layers } = GPT;
  let shapes: Shapes = { positions: [context, width], 'tokens.weight': [tokens, width] };
  for (let i = 0; i < layers; i++) {
    const layer = `blocks.layers.${i}`;
    shapes = {
      ...shapes,
      [`${layer}.self_attn.in_proj_weight`]: [3 * width, width],
      [`${layer}.self_attn.in_proj_bias`]: [3 * width],
      ...linear(`${layer}.self_attn.out_proj`, width, width),
      ...linear(`${layer}.linear1`, width, 4 * width),
      ...linear(`${layer}.linear2`, 4 * width, width),
      ...norm(`${layer}.norm1`, width),
      ...norm(`${layer}.norm2`, width),
    };
  }
  return { ...shapes, ...norm('norm', width), 'head.weight': [tokens, width] };
}

/** The parameters of the models by PyTorch's names, in its layouts: of linear layers [out, in], of convolutions [out, in, height, width]. */
export const PARAMETERS: Readonly<Record<ModelName, Shapes>> = {
  MLP: { ...linear('0', SIZES[0], SIZES[1]), ...linear('2', SIZES[1], SIZES[2]), ...linear('4', SIZES[2], SIZES[3]) },
  LeNet: {
    '0.weight': [6, 1, 5, 5],
    '0.bias': [6],
    '3.weight': [16, 6, 5, 5],
    '3.bias': [16],
    ...linear('7', 400, 120),
    ...linear('9', 120, 84),
    ...linear('11', 84, 10),
  },
  LSTM: {
    'lstm.weight_ih_l0': [4 * LSTM.hidden, LSTM.inputs],
    'lstm.weight_hh_l0': [4 * LSTM.hidden, LSTM.hidden],
    'lstm.bias_ih_l0': [4 * LSTM.hidden],
    'lstm.bias_hh_l0': [4 * LSTM.hidden],
    ...linear('head', LSTM.hidden, 10),
  },
  GPT: gptShapes(),
};

export interface HostArray {
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer>;
}

/** The elements of the i-th input of a task, the same for every library. */
export const input = (shape: readonly number[], i: number): HostArray => ({
  shape,
  data: random(sizeOf(shape), 11 + i),
});

/** The weights that every library starts from: matrices spread by their number of inputs, offsets small, scales of norms about 1. */
export function initialWeights(model: ModelName): Record<string, HostArray> {
  const entries = Object.entries(PARAMETERS[model]).map(([name, shape], i): [string, HostArray] => {
    const scale = /norm\d?\.weight$/.test(name);
    const spread = shape.length > 1 ? 1 / Math.sqrt(sizeOf(shape.slice(1))) : 0.1;
    return [name, { shape, data: random(sizeOf(shape), 100 + i).map((x) => spread * x + (scale ? 1 : 0)) }];
  });
  return Object.fromEntries(entries);
}

/** An array with its dims in another order, for libraries with other layouts. */
export function permuted({ shape, data }: HostArray, order: readonly number[]): HostArray {
  const strides = shape.map((_, dim) => sizeOf(shape.slice(dim + 1)));
  const to = order.map((dim) => shape[dim]!);
  const out = new Float32Array(data.length);
  const index = to.map(() => 0);
  for (let i = 0; i < out.length; i++) {
    out[i] = data[index.reduce((at, k, dim) => at + k * strides[order[dim]!]!, 0)]!;
    for (let dim = to.length - 1; dim >= 0 && ++index[dim]! === to[dim]; dim--) index[dim] = 0;
  }
  return { shape: to, data: out };
}

export interface HostBatch {
  readonly x: Float32Array | Int32Array;
  readonly y: Int32Array;
}

/** Images of ten classes, or texts of tokens with the ones that follow. */
export function hostBatches(model: ModelName, count: number, batch: number): HostBatch[] {
  const next = numbers(7);
  const draw = (size: number, kinds: number): Int32Array =>
    Int32Array.from({ length: size }, () => Math.floor(next() * kinds));
  const text = batch * GPT.context;
  return Array.from({ length: count }, (_, i) =>
    model === 'GPT'
      ? { x: draw(text, GPT.tokens), y: draw(text, GPT.tokens) }
      : { x: random(batch * SIZES[0], i + 1), y: draw(batch, SIZES[3]) },
  );
}

/** Rows of zeros with a one at each label. */
export function oneHot(labels: Int32Array, kinds: number): HostArray {
  const data = new Float32Array(labels.length * kinds);
  labels.forEach((label, i) => {
    data[i * kinds + label] = 1;
  });
  return { shape: [labels.length, kinds], data };
}
