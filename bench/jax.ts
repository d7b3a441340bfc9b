// The tasks in jax-js. Passing an array to a function hands it over; `ref` is one more reference to keep.
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

interface JaxArray {
  readonly ref: JaxArray;
  readonly shape: readonly number[];
  add(x: JaxArray | number): JaxArray;
  sub(x: JaxArray | number): JaxArray;
  mul(x: JaxArray | number): JaxArray;
  div(x: JaxArray | number): JaxArray;
  sum(): JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  slice(...ranges: (number | readonly number[])[]): JaxArray;
  data(): Promise<ArrayLike<number>>;
  blockUntilReady(): Promise<unknown>;
  gpuBufferSync(): unknown;
  dispose(): void;
}

/** Arrays by name. */
type Tree = Record<string, JaxArray>;

/** What is used of the library. */
export interface Jax {
  init(...devices: string[]): Promise<readonly string[]>;
  defaultDevice(device: string): string;
  jit<F extends (...args: never[]) => unknown>(fn: F): F;
  valueAndGrad(
    fn: (params: Tree, x: JaxArray, y: JaxArray) => JaxArray,
  ): (params: Tree, x: JaxArray, y: JaxArray) => [JaxArray, Tree];
  readonly tree: { ref(tree: Tree): Tree; dispose(tree: Tree): void };
  readonly numpy: {
    array(data: Float32Array, options?: { readonly shape?: readonly number[] }): JaxArray;
    zeros(shape: readonly number[]): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
    sum(x: JaxArray, axis?: number): JaxArray;
    max(x: JaxArray, axis: readonly number[]): JaxArray;
    sqrt(x: JaxArray): JaxArray;
    square(x: JaxArray): JaxArray;
    tanh(x: JaxArray): JaxArray;
    mean(x: JaxArray, axis: number, options: { readonly keepdims: boolean }): JaxArray;
    split(x: JaxArray, sections: number, axis: number): JaxArray[];
  };
  readonly nn: {
    gelu(x: JaxArray, options: { readonly approximate: boolean }): JaxArray;
    relu(x: JaxArray): JaxArray;
    sigmoid(x: JaxArray): JaxArray;
    softmax(x: JaxArray, axis: number): JaxArray;
    logSoftmax(x: JaxArray, axis: number): JaxArray;
    standardize(x: JaxArray, axis: number, options: { readonly epsilon: number }): JaxArray;
    dotProductAttention(q: JaxArray, k: JaxArray, v: JaxArray, options: { readonly isCausal: boolean }): JaxArray;
  };
  readonly lax: {
    convGeneralDilated(
      x: JaxArray,
      kernel: JaxArray,
      strides: readonly number[],
      padding: readonly (readonly [number, number])[],
    ): JaxArray;
  };
}

/** jax-js on the devices that it finds. */
export async function openJax(jax: Jax, devices: PeerDevices): Promise<Peer[]> {
  const wanted = [...(devices.cpu ? ['wasm'] : []), ...(devices.webgpu ? ['webgpu'] : [])];
  const found = await jax.init(...wanted);
  return wanted
    .filter((device) => found.includes(device))
    .map((device) => ({
      name: `jax-js ${device}`,
      device: device === 'wasm' ? 'cpu' : 'webgpu',
      make: (task) => contestant(jax, device, task),
    }));
}

/** jax-js is lazy, and drops the work behind what is disposed: this has it done, or handed to the GPU. */
function force(device: string, arrays: readonly JaxArray[]): void | Promise<void> {
  if (device === 'webgpu') for (const x of arrays) x.ref.gpuBufferSync();
  else return Promise.all(arrays.map((x) => x.blockUntilReady())).then(() => {});
}

type Common = Pick<Contestant, 'name' | 'device' | 'enter'>;

function contestant(jax: Jax, device: string, task: Task): Contestant {
  const { numpy: np, nn, lax } = jax;
  jax.defaultDevice(device);
  const array = ({ data, shape }: HostArray): JaxArray => np.array(data, { shape });
  const common: Common = {
    name: `jax-js ${device}`,
    device: device === 'wasm' ? 'cpu' : 'webgpu',
    enter: (): void => {
      jax.defaultDevice(device);
    },
  };
  const op = (shapes: readonly (readonly number[])[], compute: (...args: JaxArray[]) => JaxArray): Contestant => {
    const inputs = shapes.map((shape, i) => array(input(shape, i)));
    const fn = jax.jit(compute);
    let last: JaxArray | undefined;
    return {
      ...common,
      once() {
        last?.dispose();
        last = fn(...inputs.map((x) => x.ref));
        return force(device, [last]);
      },
      async settle() {
        const first = last!.shape.map(() => [0, 1]);
        return (await (first.length === 0 ? last!.ref : last!.ref.slice(...first)).data())[0]!;
      },
      dispose() {
        last?.dispose();
        for (const x of inputs) x.dispose();
      },
    };
  };
  switch (task.kind) {
    case 'matmul': {
      const shape = [task.n, task.n];
      return op([shape, shape], (a, b) => np.matmul(a!, b!));
    }
    case 'conv2d':
      return op([task.input, task.kernel], (x, kernel) => {
        const { padding: p } = task;
        return lax.convGeneralDilated(x!, kernel!, [1, 1], [[p, p] as const, [p, p] as const]);
      });
    case 'attention': {
      // Its heads come after the length.
      const shape = [1, task.length, task.heads, task.width];
      return op([shape, shape, shape], (q, k, v) => nn.dotProductAttention(q!, k!, v!, { isCausal: true }));
    }
    case 'gelu':
      return op([[task.size]], (x) => nn.gelu(x!, { approximate: true }));
    case 'sum':
      return op([[task.rows, task.cols]], (x) => np.sum(x!));
    case 'rowsum':
      return op([[task.rows, task.cols]], (x) => np.sum(x!, 1));
    case 'softmax':
      return op([[task.rows, task.cols]], (x) => nn.softmax(x!, -1));
    case 'layernorm':
      return op([[task.rows, task.cols], [task.cols], [task.cols]], (x, weight, bias) => {
        const mean = np.mean(x!.ref, -1, { keepdims: true });
        const centred = x!.sub(mean);
        const variance = np.mean(np.square(centred.ref), -1, { keepdims: true });
        return centred
          .div(np.sqrt(variance.add(1e-5)))
          .mul(weight!)
          .add(bias!);
      });
    case 'train':
      return train(jax, device, common, task.model, task.batch);
  }
}

/** The logits of a batch. Takes over the parameters and the batch. */
type Net = (jax: Jax, params: Tree, x: JaxArray) => JaxArray;

const linear = ({ numpy: np }: Jax, p: Tree, name: string, x: JaxArray): JaxArray =>
  np.matmul(x, p[`${name}.weight`]!).add(p[`${name}.bias`]!);

function mlp(jax: Jax, p: Tree, x: JaxArray): JaxArray {
  const { relu } = jax.nn;
  return linear(jax, p, '4', relu(linear(jax, p, '2', relu(linear(jax, p, '0', x)))));
}

function lenet(jax: Jax, p: Tree, x: JaxArray): JaxArray {
  const { numpy: np, nn, lax } = jax;
  const layer = (h: JaxArray, name: string, padding: number): JaxArray => {
    const pairs = [
      [padding, padding],
      [padding, padding],
    ] as const;
    const y = nn.relu(
      lax.convGeneralDilated(h, p[`${name}.weight`]!, [1, 1], pairs).add(p[`${name}.bias`]!.reshape([-1, 1, 1])),
    );
    const [n, c, height, width] = y.shape as [number, number, number, number];
    return np.max(y.reshape([n, c, height / 2, 2, width / 2, 2]), [3, 5]);
  };
  const h = layer(layer(x, '0', 2), '3', 0);
  const flat = h.reshape([h.shape[0]!, 400]);
  return linear(jax, p, '11', nn.relu(linear(jax, p, '9', nn.relu(linear(jax, p, '7', flat)))));
}

/**
 * It has no loop over time that `jit` would keep: the steps are written out. A product with the input in each of them takes less time than
 * one for all whose slices are taken, and slices of the gates fewer dispatches than `split`.
 */
function lstm(jax: Jax, p: Tree, x: JaxArray): JaxArray {
  const { numpy: np, nn } = jax;
  const hidden = p['lstm.weight_hh_l0']!;
  const bias = p['lstm.bias_ih_l0']!.add(p['lstm.bias_hh_l0']!);
  const weight = p['lstm.weight_ih_l0']!;
  let h: JaxArray | undefined;
  let c: JaxArray | undefined;
  for (let t = 0; t < LSTM.steps; t++) {
    const own = np.matmul(x.ref.slice([], t), weight.ref).add(bias.ref);
    const gates = h ? own.add(np.matmul(h, hidden.ref)) : own;
    const gate = (k: number): JaxArray => gates.ref.slice([], [k * LSTM.hidden, (k + 1) * LSTM.hidden]);
    const [i, f, g, o] = [gate(0), gate(1), gate(2), gate(3)];
    gates.dispose();
    const added: JaxArray = nn.sigmoid(i).mul(np.tanh(g));
    const kept: JaxArray = nn.sigmoid(f);
    if (c) c = c.mul(kept).add(added);
    else {
      kept.dispose();
      c = added;
    }
    h = nn.sigmoid(o).mul(np.tanh(c.ref));
  }
  c!.dispose();
  for (const used of [x, weight, bias, hidden]) used.dispose();
  return linear(jax, p, 'head', h!);
}

function gpt(jax: Jax, p: Tree, x: JaxArray): JaxArray {
  const { numpy: np, nn } = jax;
  const { context, width, heads, layers } = GPT;
  const norm = (h: JaxArray, name: string): JaxArray =>
    nn.standardize(h, -1, { epsilon: 1e-5 }).mul(p[`${name}.weight`]!).add(p[`${name}.bias`]!);
  let h = np.matmul(x, p['tokens.weight']!).add(p.positions!);
  for (let i = 0; i < layers; i++) {
    const layer = `blocks.layers.${i}`;
    const qkv = np
      .matmul(norm(h.ref, `${layer}.norm1`), p[`${layer}.self_attn.in_proj_weight`]!)
      .add(p[`${layer}.self_attn.in_proj_bias`]!);
    const [q, k, v] = np.split(qkv, 3, -1).map((part) => part.reshape([-1, context, heads, width / heads])) as [
      JaxArray,
      JaxArray,
      JaxArray,
    ];
    const attended = nn.dotProductAttention(q, k, v, { isCausal: true }).reshape([-1, context, width]);
    h = h.add(linear(jax, p, `${layer}.self_attn.out_proj`, attended));
    const wide = nn.gelu(linear(jax, p, `${layer}.linear1`, norm(h.ref, `${layer}.norm2`)), { approximate: false });
    h = h.add(linear(jax, p, `${layer}.linear2`, wide));
  }
  return np.matmul(norm(h, 'norm'), p['head.weight']!).reshape([-1, GPT.tokens]);
}

/** The nets, and the shape of what they read. */
const NETS: Readonly<Record<ModelName, readonly [net: Net, input: readonly number[]]>> = {
  MLP: [mlp, [SIZES[0]]],
  LeNet: [lenet, [1, 28, 28]],
  LSTM: [lstm, [LSTM.steps, LSTM.inputs]],
  // One-hot rows: their product with the table is what `take` and its gradient are, and as fast.
  GPT: [gpt, [GPT.context, GPT.tokens]],
};

/** Matrices of linear layers lie [in, out] here. */
const laid = (name: string, array: HostArray): HostArray =>
  array.shape.length === 2 && !/^(positions|tokens)/.test(name) ? permuted(array, [1, 0]) : array;

const mapTree = (tree: Tree, fn: (array: JaxArray, name: string) => JaxArray): Tree =>
  Object.fromEntries(Object.entries(tree).map(([name, array]) => [name, fn(array, name)]));

/** Forward, gradients and Adam in one `jit`, the fastest way that jax-js has. */
function train(jax: Jax, device: string, common: Common, model: ModelName, batch: number): Contestant {
  const { numpy: np, nn } = jax;
  const { rate, beta1, beta2, eps } = ADAM;
  const [net, shape] = NETS[model];
  const gradients = jax.valueAndGrad((params, x, y) => {
    const rows = y.shape[0]!;
    return nn
      .logSoftmax(net(jax, params, x), -1)
      .mul(y)
      .sum()
      .mul(-1 / rows);
  });
  const step = jax.jit(
    (params: Tree, m: Tree, v: Tree, scales: JaxArray[], x: JaxArray, y: JaxArray): [JaxArray, Tree, Tree, Tree] => {
      const [value, grads] = gradients(jax.tree.ref(params), x, y);
      const [scale, root] = scales as [JaxArray, JaxArray];
      const m2 = mapTree(m, (old, name) => old.mul(beta1).add(grads[name]!.ref.mul(1 - beta1)));
      const v2 = mapTree(v, (old, name) => old.mul(beta2).add(np.square(grads[name]!).mul(1 - beta2)));
      const p2 = mapTree(params, (p, name) => {
        const divisor = np.sqrt(v2[name]!.ref).mul(root.ref).add(eps);
        return p.sub(m2[name]!.ref.mul(scale.ref).div(divisor));
      });
      scale.dispose();
      root.dispose();
      return [value, p2, m2, v2];
    },
  );
  const weights = Object.entries(initialWeights(model)).map(([name, array]) => [name, laid(name, array)] as const);
  let params: Tree = Object.fromEntries(weights.map(([name, w]) => [name, np.array(w.data, { shape: w.shape })]));
  let m = mapTree(params, (p) => np.zeros(p.shape));
  let v = mapTree(params, (p) => np.zeros(p.shape));
  const host = hostBatches(model, 1, batch)[0]!;
  const rows = host.x instanceof Int32Array ? oneHot(host.x, GPT.tokens).data : host.x;
  const x = np.array(rows, { shape: [batch, ...shape] });
  const labels = oneHot(host.y, model === 'GPT' ? GPT.tokens : SIZES[3]);
  const y = np.array(labels.data, { shape: labels.shape });
  let value: JaxArray | undefined;
  let t = 0;
  return {
    ...common,
    once() {
      t++;
      value?.dispose();
      const scalar = (s: number): JaxArray => np.array(Float32Array.of(s), { shape: [1] });
      const scales = [scalar(rate / (1 - beta1 ** t)), scalar(1 / Math.sqrt(1 - beta2 ** t))];
      [value, params, m, v] = step(params, m, v, scales, x.ref, y.ref);
      return force(device, [value, ...Object.values(params)]);
    },
    settle: async () => (await value!.ref.data())[0]!,
    dispose() {
      for (const tree of [params, m, v]) jax.tree.dispose(tree);
      for (const a of [x, y]) a.dispose();
      value?.dispose();
    },
  };
}
