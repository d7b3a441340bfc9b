// The tasks in TensorFlow.js, by its core ops.
import type { Contestant } from './harness.ts';
import {
  ADAM,
  GPT,
  type HostArray,
  hostBatches,
  initialWeights,
  input,
  LSTM,
  type ModelName,
  oneHot,
  permuted,
  SIZES,
} from './models.ts';
import type { Peer, PeerDevices } from './peers.ts';
import type { Task } from './workloads.ts';

interface TfTensor {
  readonly shape: readonly number[];
  data(): Promise<ArrayLike<number>>;
  dispose(): void;
  reshape(shape: readonly number[]): TfTensor;
  slice(begin: readonly number[], size: readonly number[]): TfTensor;
}

type Padding = number | 'valid' | 'same';

/** What is used of the library. */
export interface Tf {
  ready(): Promise<void>;
  setBackend(name: string): Promise<boolean>;
  getBackend(): string;
  tidy<T>(fn: () => T): T;
  tensor(data: Float32Array, shape: readonly number[]): TfTensor;
  variable(value: TfTensor): TfTensor;
  matMul(a: TfTensor, b: TfTensor, transposeA?: boolean, transposeB?: boolean): TfTensor;
  conv2d(x: TfTensor, kernel: TfTensor, strides: number, pad: Padding): TfTensor;
  maxPool(x: TfTensor, size: number, strides: number, pad: Padding): TfTensor;
  add(a: TfTensor, b: TfTensor | number): TfTensor;
  sub(a: TfTensor, b: TfTensor | number): TfTensor;
  mul(a: TfTensor, b: TfTensor | number): TfTensor;
  div(a: TfTensor, b: TfTensor | number): TfTensor;
  tanh(x: TfTensor): TfTensor;
  erf(x: TfTensor): TfTensor;
  relu(x: TfTensor): TfTensor;
  sigmoid(x: TfTensor): TfTensor;
  sqrt(x: TfTensor): TfTensor;
  rsqrt(x: TfTensor): TfTensor;
  square(x: TfTensor): TfTensor;
  sum(x: TfTensor, axis?: number): TfTensor;
  mean(x: TfTensor, axis: number, keepDims: boolean): TfTensor;
  softmax(x: TfTensor, dim: number): TfTensor;
  transpose(x: TfTensor, order: readonly number[]): TfTensor;
  split(x: TfTensor, parts: number, axis: number): TfTensor[];
  unstack(x: TfTensor, axis: number): TfTensor[];
  readonly losses: { softmaxCrossEntropy(labels: TfTensor, logits: TfTensor): TfTensor };
  readonly train: {
    adam(
      rate: number,
      beta1: number,
      beta2: number,
      eps: number,
    ): { minimize(fn: () => TfTensor, returnCost: boolean, variables: readonly TfTensor[]): TfTensor; dispose(): void };
  };
}

type Backend = 'wasm' | 'webgpu';

/** TensorFlow.js on the devices that it finds; their backends are registered already. */
export async function openTfjs(tf: Tf, devices: PeerDevices): Promise<Peer[]> {
  const wanted: Backend[] = [...(devices.cpu ? ['wasm' as const] : []), ...(devices.webgpu ? ['webgpu' as const] : [])];
  const peers: Peer[] = [];
  for (const backend of wanted) {
    if (!(await tf.setBackend(backend))) continue;
    await tf.ready();
    peers.push({
      name: `tfjs ${backend}`,
      device: backend === 'wasm' ? 'cpu' : 'webgpu',
      make: (task) => contestant(tf, backend, task),
    });
  }
  return peers;
}

function contestant(tf: Tf, backend: Backend, task: Task): Contestant {
  if (tf.getBackend() !== backend) void tf.setBackend(backend);
  const tensor = ({ data, shape }: HostArray): TfTensor => tf.tensor(data, shape);
  let last: TfTensor | undefined;
  const run = (inputs: readonly TfTensor[], compute: () => TfTensor, end = (): void => {}): Contestant => ({
    name: `tfjs ${backend}`,
    device: backend === 'wasm' ? 'cpu' : 'webgpu',
    enter: async (): Promise<void> => {
      await tf.setBackend(backend);
    },
    once() {
      last?.dispose();
      last = tf.tidy(compute);
    },
    async settle() {
      const one = tf.tidy(() => last!.reshape([-1]).slice([0], [1]));
      const value = (await one.data())[0]!;
      one.dispose();
      return value;
    },
    dispose() {
      last?.dispose();
      for (const x of inputs) x.dispose();
      end();
    },
  });
  switch (task.kind) {
    case 'matmul': {
      const [a, b] = [tensor(input([task.n, task.n], 0)), tensor(input([task.n, task.n], 1))];
      return run([a, b], () => tf.matMul(a, b));
    }
    case 'conv2d': {
      // Its kernels are for images [batch, height, width, channels].
      const x = tensor(permuted(input(task.input, 0), NHWC));
      const kernel = tensor(permuted(input(task.kernel, 1), HWIO));
      return run([x, kernel], () => tf.conv2d(x, kernel, 1, task.padding));
    }
    case 'attention': {
      const shape = [1, task.heads, task.length, task.width];
      const [q, k, v] = [tensor(input(shape, 0)), tensor(input(shape, 1)), tensor(input(shape, 2))];
      const mask = tensor(causalMask(task.length));
      return run([q, k, v, mask], () => attention(tf, q, k, v, mask, task.width));
    }
    case 'gelu': {
      const x = tensor(input([task.size], 0));
      return run([x], () => {
        const inner = tf.mul(tf.add(x, tf.mul(tf.mul(tf.square(x), x), 0.044715)), Math.sqrt(2 / Math.PI));
        return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
      });
    }
    case 'sum': {
      const x = tensor(input([task.rows, task.cols], 0));
      return run([x], () => tf.sum(x));
    }
    case 'rowsum': {
      const x = tensor(input([task.rows, task.cols], 0));
      return run([x], () => tf.sum(x, 1));
    }
    case 'softmax': {
      const x = tensor(input([task.rows, task.cols], 0));
      return run([x], () => tf.softmax(x, -1));
    }
    case 'layernorm': {
      const x = tensor(input([task.rows, task.cols], 0));
      const [weight, bias] = [tensor(input([task.cols], 1)), tensor(input([task.cols], 2))];
      return run([x, weight, bias], () => {
        const centred = tf.sub(x, tf.mean(x, -1, true));
        const variance = tf.mean(tf.square(centred), -1, true);
        return tf.add(tf.mul(tf.div(centred, tf.sqrt(tf.add(variance, 1e-5))), weight), bias);
      });
    }
    case 'train': {
      const { model, batch } = task;
      const [net, shape] = NETS[model];
      const params: Params = Object.fromEntries(
        Object.entries(initialWeights(model)).map(([name, array]) => [name, tf.variable(tensor(laid(name, array)))]),
      );
      const host = hostBatches(model, 1, batch)[0]!;
      const rows = host.x instanceof Int32Array ? oneHot(host.x, GPT.tokens).data : host.x;
      const x = tf.tensor(rows, [batch, ...shape]);
      const y = tensor(oneHot(host.y, model === 'GPT' ? GPT.tokens : SIZES[3]));
      const constants = model === 'GPT' ? { mask: tensor(causalMask(GPT.context)) } : {};
      const variables = Object.values(params);
      const adam = tf.train.adam(ADAM.rate, ADAM.beta1, ADAM.beta2, ADAM.eps);
      const loss = (): TfTensor => tf.losses.softmaxCrossEntropy(y, net(tf, { ...params, ...constants }, x));
      return run(
        [x, y, ...variables, ...Object.values(constants)],
        () => adam.minimize(loss, true, variables),
        () => adam.dispose(),
      );
    }
  }
}

const NHWC = [0, 2, 3, 1];
const HWIO = [2, 3, 1, 0];

type Params = Record<string, TfTensor>;

/** The logits of a batch. */
type Net = (tf: Tf, params: Params, x: TfTensor) => TfTensor;

/** A linear layer, of whatever comes before the last dim. */
function linear(tf: Tf, p: Params, name: string, x: TfTensor): TfTensor {
  return tf.add(tf.matMul(x, p[`${name}.weight`]!), p[`${name}.bias`]!);
}

function mlp(tf: Tf, p: Params, x: TfTensor): TfTensor {
  return linear(tf, p, '4', tf.relu(linear(tf, p, '2', tf.relu(linear(tf, p, '0', x)))));
}

function lenet(tf: Tf, p: Params, x: TfTensor): TfTensor {
  const layer = (h: TfTensor, name: string, padding: Padding): TfTensor => {
    const y = tf.conv2d(h, p[`${name}.weight`]!, 1, padding);
    return tf.maxPool(tf.relu(tf.add(y, p[`${name}.bias`]!)), 2, 2, 'valid');
  };
  const flat = layer(layer(x, '0', 'same'), '3', 'valid').reshape([-1, 400]);
  return linear(tf, p, '11', tf.relu(linear(tf, p, '9', tf.relu(linear(tf, p, '7', flat)))));
}

function lstm(tf: Tf, p: Params, x: TfTensor): TfTensor {
  const rows = x.reshape([-1, LSTM.inputs]);
  const bias = tf.add(p['lstm.bias_ih_l0']!, p['lstm.bias_hh_l0']!);
  const inputs = tf.add(tf.matMul(rows, p['lstm.weight_ih_l0']!), bias).reshape([-1, LSTM.steps, 4 * LSTM.hidden]);
  let h: TfTensor | undefined;
  let c: TfTensor | undefined;
  for (const own of tf.unstack(inputs, 1)) {
    const gates: TfTensor = h ? tf.add(own, tf.matMul(h, p['lstm.weight_hh_l0']!)) : own;
    const [i, f, g, o] = tf.split(gates, 4, 1) as [TfTensor, TfTensor, TfTensor, TfTensor];
    const added = tf.mul(tf.sigmoid(i), tf.tanh(g));
    c = c ? tf.add(tf.mul(c, tf.sigmoid(f)), added) : added;
    h = tf.mul(tf.sigmoid(o), tf.tanh(c));
  }
  return linear(tf, p, 'head', h!);
}

/** What is added to the scores of attention: much below zero for later tokens. */
const causalMask = (n: number): HostArray => ({
  shape: [n, n],
  data: Float32Array.from({ length: n ** 2 }, (_, i) => (i % n > Math.floor(i / n) ? -1e9 : 0)),
});

function attention(tf: Tf, q: TfTensor, k: TfTensor, v: TfTensor, mask: TfTensor, width: number): TfTensor {
  const scores = tf.add(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(width)), mask);
  return tf.matMul(tf.softmax(scores, -1), v);
}

function gpt(tf: Tf, p: Params, x: TfTensor): TfTensor {
  const { context, width, heads, layers } = GPT;
  const norm = (h: TfTensor, name: string): TfTensor => {
    const centred = tf.sub(h, tf.mean(h, -1, true));
    const variance = tf.mean(tf.square(centred), -1, true);
    const scaled = tf.mul(centred, tf.rsqrt(tf.add(variance, 1e-5)));
    return tf.add(tf.mul(scaled, p[`${name}.weight`]!), p[`${name}.bias`]!);
  };
  // Rows of all texts are one matrix, but for the positions and in attention.
  const rows = tf.matMul(x.reshape([-1, GPT.tokens]), p['tokens.weight']!);
  let h = tf.add(rows.reshape([-1, context, width]), p.positions!).reshape([-1, width]);
  for (let i = 0; i < layers; i++) {
    const layer = `blocks.layers.${i}`;
    const qkv = tf.add(
      tf.matMul(norm(h, `${layer}.norm1`), p[`${layer}.self_attn.in_proj_weight`]!),
      p[`${layer}.self_attn.in_proj_bias`]!,
    );
    const split = tf.transpose(qkv.reshape([-1, context, 3, heads, width / heads]), [2, 0, 3, 1, 4]);
    const [q, k, v] = tf.unstack(split, 0) as [TfTensor, TfTensor, TfTensor];
    const mixed = tf.transpose(attention(tf, q, k, v, p.mask!, width / heads), [0, 2, 1, 3]).reshape([-1, width]);
    h = tf.add(h, linear(tf, p, `${layer}.self_attn.out_proj`, mixed));
    const wide = linear(tf, p, `${layer}.linear1`, norm(h, `${layer}.norm2`));
    const gelu = tf.mul(tf.mul(wide, 0.5), tf.add(tf.erf(tf.mul(wide, Math.SQRT1_2)), 1));
    h = tf.add(h, linear(tf, p, `${layer}.linear2`, gelu));
  }
  return tf.matMul(norm(h, 'norm'), p['head.weight']!);
}

/** The nets, and the shape of what they read. */
const NETS: Readonly<Record<ModelName, readonly [net: Net, input: readonly number[]]>> = {
  MLP: [mlp, [SIZES[0]]],
  LeNet: [lenet, [28, 28, 1]],
  LSTM: [lstm, [LSTM.steps, LSTM.inputs]],
  // One-hot rows: their product with the table is what `gather` and its gradient are.
  GPT: [gpt, [GPT.context, GPT.tokens]],
};

/** Matrices of linear layers lie [in, out] here, kernels [height, width, in, out], and channels are the last of what is flattened. */
function laid(name: string, array: HostArray): HostArray {
  const { shape, data } = array;
  if (shape.length === 4) return permuted(array, HWIO);
  if (shape.length !== 2 || /^(positions|tokens)/.test(name)) return array;
  if (name !== '7.weight') return permuted(array, [1, 0]);
  return { data: permuted({ shape: [120, 16, 5, 5], data }, [2, 3, 1, 0]).data, shape: [400, 120] };
}
