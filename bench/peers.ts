// The same work in other libraries, where they are installed in bench/peers. They are loaded from there and described here by what
// is used of them, so that nothing of tensorloom depends on them.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { type Contestant, packageVersion } from './harness.ts';
import { imageBatches, random, SIZES } from './training.ts';
import type { Task } from './workloads.ts';

const manifest = new URL('./peers/package.json', import.meta.url);
const fromPeers = createRequire(manifest);
const NAMES = ['@jax-js/jax', '@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm', '@tensorflow/tfjs-backend-webgpu'];

export const peersInstalled: boolean = existsSync(new URL('./peers/node_modules', import.meta.url));
export const HOW_TO_INSTALL =
  'Other libraries are not installed: run `npm --prefix bench/peers ci` to compare with them.';

/** The versions of the peers that are installed. */
export async function peerVersions(): Promise<Record<string, string>> {
  const found = await Promise.all(NAMES.map(async (name) => [name, await packageVersion(name, manifest)] as const));
  return Object.fromEntries(found.filter((entry): entry is [string, string] => entry[1] !== null));
}

/** Libraries for pages look for WebGPU on `navigator`. */
export function provideNavigator(gpu: GPU | null): void {
  const { navigator } = globalThis;
  const value = {
    userAgent: navigator?.userAgent ?? 'Node.js',
    hardwareConcurrency: navigator?.hardwareConcurrency ?? 1,
    ...(gpu && { gpu }),
  };
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true, writable: true });
}

/** A library on one device that does tasks. */
export interface Peer {
  readonly name: string;
  readonly device: 'cpu' | 'webgpu';
  /** Whether it is written here for a task. */
  does(task: Task): boolean;
  make(task: Task): Contestant;
}

/** Of the models, an MLP. */
const doesMlp = (task: Task): boolean => task.kind !== 'train' || task.model === 'MLP';

/** The peers that run here. `report` gets a line for each that does not. */
export async function openPeers(
  gpu: GPU | null,
  devices: ReadonlySet<string>,
  report: (line: string) => void,
): Promise<Peer[]> {
  provideNavigator(gpu);
  const peers: Peer[] = [];
  for (const [name, open] of [
    ['jax-js', openJax],
    ['tfjs', openTfjs],
  ] as const) {
    try {
      peers.push(...(await open(gpu !== null && devices.has('webgpu'), devices.has('cpu'))));
    } catch (error) {
      report(`${name} does not run here: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return peers;
}

// jax-js. Passing an array to a function hands it over; `ref` is one more reference to keep.

interface JaxArray {
  readonly ref: JaxArray;
  add(x: JaxArray | number): JaxArray;
  sub(x: JaxArray | number): JaxArray;
  mul(x: JaxArray | number): JaxArray;
  div(x: JaxArray | number): JaxArray;
  sum(): JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  slice(...ranges: (readonly [number, number])[]): JaxArray;
  data(): Promise<ArrayLike<number>>;
  blockUntilReady(): Promise<unknown>;
  gpuBufferSync(): unknown;
  dispose(): void;
}

interface Jax {
  init(...devices: string[]): Promise<readonly string[]>;
  defaultDevice(device: string): string;
  jit<F extends (...args: never[]) => unknown>(fn: F): F;
  valueAndGrad(
    fn: (params: readonly JaxArray[], x: JaxArray, y: JaxArray) => JaxArray,
  ): (params: readonly JaxArray[], x: JaxArray, y: JaxArray) => [JaxArray, JaxArray[]];
  readonly numpy: {
    array(data: Float32Array, options?: { readonly shape?: readonly number[] }): JaxArray;
    zeros(shape: readonly number[]): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
    sum(x: JaxArray, axis?: number): JaxArray;
    sqrt(x: JaxArray): JaxArray;
    square(x: JaxArray): JaxArray;
    mean(x: JaxArray, axis: number, options: { readonly keepdims: boolean }): JaxArray;
  };
  readonly nn: {
    gelu(x: JaxArray, options: { readonly approximate: boolean }): JaxArray;
    relu(x: JaxArray): JaxArray;
    softmax(x: JaxArray, axis: number): JaxArray;
    logSoftmax(x: JaxArray, axis: number): JaxArray;
  };
}

async function openJax(webgpu: boolean, wasm: boolean): Promise<Peer[]> {
  // Its ES module: what Node would take by `require` is another copy.
  const path = fromPeers.resolve('@jax-js/jax').replace(/index\.cjs$/, 'index.js');
  const jax = (await import(pathToFileURL(path).href)) as Jax;
  const wanted = [...(wasm ? ['wasm'] : []), ...(webgpu ? ['webgpu'] : [])];
  const found = await jax.init(...wanted);
  return wanted
    .filter((device) => found.includes(device))
    .map((device) => ({
      name: `jax-js ${device}`,
      device: device === 'wasm' ? 'cpu' : 'webgpu',
      does: doesMlp,
      make: (task) => jaxContestant(jax, device, task),
    }));
}

/** jax-js is lazy, and drops the work behind what is disposed: this has it done, or handed to the GPU. */
function force(device: string, arrays: readonly JaxArray[]): void | Promise<void> {
  if (device === 'webgpu') for (const x of arrays) x.ref.gpuBufferSync();
  else return Promise.all(arrays.map((x) => x.blockUntilReady())).then(() => {});
}

function jaxContestant(jax: Jax, device: string, task: Task): Contestant {
  const { numpy: np, nn } = jax;
  jax.defaultDevice(device);
  const input = (shape: readonly number[], seed: number): JaxArray =>
    np.array(
      random(
        shape.reduce((a, b) => a * b, 1),
        seed,
      ),
      { shape },
    );
  const common = {
    name: `jax-js ${device}`,
    device: device === 'wasm' ? ('cpu' as const) : ('webgpu' as const),
    enter: (): void => {
      jax.defaultDevice(device);
    },
  };
  const op = (inputs: readonly JaxArray[], compute: (...args: JaxArray[]) => JaxArray, rank: number): Contestant => {
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
        const one = rank === 0 ? last!.ref : last!.ref.slice(...Array.from({ length: rank }, () => [0, 1] as const));
        return (await one.data())[0]!;
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
      return op([input(shape, 11), input(shape, 12)], (a, b) => np.matmul(a!, b!), 2);
    }
    case 'gelu':
      return op([input([task.size], 11)], (x) => nn.gelu(x!, { approximate: true }), 1);
    case 'sum':
      return op([input([task.rows, task.cols], 11)], (x) => np.sum(x!), 0);
    case 'rowsum':
      return op([input([task.rows, task.cols], 11)], (x) => np.sum(x!, 1), 1);
    case 'softmax':
      return op([input([task.rows, task.cols], 11)], (x) => nn.softmax(x!, -1), 2);
    case 'layernorm':
      return op(
        [input([task.rows, task.cols], 11), input([task.cols], 12), input([task.cols], 13)],
        (x, weight, bias) => {
          const mean = np.mean(x!.ref, -1, { keepdims: true });
          const centred = x!.sub(mean);
          const variance = np.mean(np.square(centred.ref), -1, { keepdims: true });
          return centred
            .div(np.sqrt(variance.add(1e-5)))
            .mul(weight!)
            .add(bias!);
        },
        2,
      );
    case 'train':
      return jaxMlp(jax, device, common, task.batch);
  }
}

/** Forward, gradients and Adam in one `jit`, the fastest way that jax-js has. */
function jaxMlp(
  jax: Jax,
  device: string,
  common: Pick<Contestant, 'name' | 'device' | 'enter'>,
  batch: number,
): Contestant {
  const { numpy: np, nn } = jax;
  const shapes = SIZES.slice(1).flatMap((to, i) => [[SIZES[i]!, to], [to]]);
  const loss = (params: readonly JaxArray[], x: JaxArray, y: JaxArray): JaxArray => {
    let h = x;
    for (let i = 0; i < params.length; i += 2) {
      h = np.matmul(h, params[i]!).add(params[i + 1]!);
      if (i + 2 < params.length) h = nn.relu(h);
    }
    return nn
      .logSoftmax(h, -1)
      .mul(y)
      .sum()
      .mul(-1 / batch);
  };
  const gradients = jax.valueAndGrad(loss);
  type State = [JaxArray, JaxArray[], JaxArray[], JaxArray[]];
  const step = jax.jit(
    (params: JaxArray[], m: JaxArray[], v: JaxArray[], scales: JaxArray[], x: JaxArray, y: JaxArray): State => {
      const [value, grads] = gradients(
        params.map((p) => p.ref),
        x,
        y,
      );
      const [rate, root] = scales as [JaxArray, JaxArray];
      const m2 = m.map((old, i) => old.mul(0.9).add(grads[i]!.ref.mul(0.1)));
      const v2 = v.map((old, i) => old.mul(0.999).add(np.square(grads[i]!).mul(0.001)));
      const p2 = params.map((p, i) => p.sub(m2[i]!.ref.mul(rate.ref).div(np.sqrt(v2[i]!.ref).mul(root.ref).add(1e-8))));
      rate.dispose();
      root.dispose();
      return [value, p2, m2, v2];
    },
  );
  const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
  const scaled = (shape: readonly number[], i: number): Float32Array =>
    random(sizeOf(shape), i + 1).map((x) => (shape.length > 1 ? x / Math.sqrt(shape[0]!) : 0));
  let params = shapes.map((shape, i) => np.array(scaled(shape, i), { shape }));
  let m = shapes.map((shape) => np.zeros(shape));
  let v = shapes.map((shape) => np.zeros(shape));
  const { x: rows, y: labels } = imageBatches(1, batch)[0]!;
  const x = np.array(rows, { shape: [batch, SIZES[0]] });
  const y = np.array(oneHot(labels), { shape: [batch, SIZES[3]] });
  let value: JaxArray | undefined;
  let t = 0;
  return {
    ...common,
    once() {
      t++;
      value?.dispose();
      const scalar = (s: number): JaxArray => np.array(Float32Array.of(s), { shape: [1] });
      const scales = [scalar(1e-3 / (1 - 0.9 ** t)), scalar(1 / Math.sqrt(1 - 0.999 ** t))];
      [value, params, m, v] = step(params, m, v, scales, x.ref, y.ref);
      return force(device, [value, ...params]);
    },
    settle: async () => (await value!.ref.data())[0]!,
    dispose() {
      for (const a of [...params, ...m, ...v, x, y]) a.dispose();
      value?.dispose();
    },
  };
}

const oneHot = (labels: Int32Array): Float32Array => {
  const out = new Float32Array(labels.length * SIZES[3]);
  labels.forEach((label, i) => {
    out[i * SIZES[3] + label] = 1;
  });
  return out;
};

// TensorFlow.js.

interface TfTensor {
  data(): Promise<ArrayLike<number>>;
  dispose(): void;
  reshape(shape: readonly number[]): TfTensor;
  slice(begin: readonly number[], size: readonly number[]): TfTensor;
}

interface Tf {
  ready(): Promise<void>;
  setBackend(name: string): Promise<boolean>;
  getBackend(): string;
  tidy<T>(fn: () => T): T;
  tensor(data: Float32Array, shape: readonly number[]): TfTensor;
  variable(value: TfTensor): TfTensor;
  matMul(a: TfTensor, b: TfTensor): TfTensor;
  add(a: TfTensor, b: TfTensor | number): TfTensor;
  sub(a: TfTensor, b: TfTensor | number): TfTensor;
  mul(a: TfTensor, b: TfTensor | number): TfTensor;
  div(a: TfTensor, b: TfTensor | number): TfTensor;
  tanh(x: TfTensor): TfTensor;
  relu(x: TfTensor): TfTensor;
  sqrt(x: TfTensor): TfTensor;
  square(x: TfTensor): TfTensor;
  sum(x: TfTensor, axis?: number): TfTensor;
  mean(x: TfTensor, axis: number, keepDims: boolean): TfTensor;
  softmax(x: TfTensor, dim: number): TfTensor;
  readonly losses: { softmaxCrossEntropy(labels: TfTensor, logits: TfTensor): TfTensor };
  readonly train: {
    adam(rate: number): { minimize(fn: () => TfTensor, returnCost: boolean): TfTensor; dispose(): void };
  };
}

async function openTfjs(webgpu: boolean, wasm: boolean): Promise<Peer[]> {
  // By `require`: all of its packages then share one core.
  const tf = fromPeers('@tensorflow/tfjs') as Tf;
  const wanted: ('wasm' | 'webgpu')[] = [];
  if (wasm) {
    fromPeers('@tensorflow/tfjs-backend-wasm');
    wanted.push('wasm');
  }
  if (webgpu) {
    fromPeers('@tensorflow/tfjs-backend-webgpu');
    wanted.push('webgpu');
  }
  const peers: Peer[] = [];
  for (const backend of wanted) {
    if (!(await tf.setBackend(backend))) continue;
    await tf.ready();
    peers.push({
      name: `tfjs ${backend}`,
      device: backend === 'wasm' ? 'cpu' : 'webgpu',
      does: doesMlp,
      make: (task) => tfContestant(tf, backend, task),
    });
  }
  return peers;
}

function tfContestant(tf: Tf, backend: 'wasm' | 'webgpu', task: Task): Contestant {
  if (tf.getBackend() !== backend) void tf.setBackend(backend);
  const input = (shape: readonly number[], seed: number): TfTensor =>
    tf.tensor(
      random(
        shape.reduce((a, b) => a * b, 1),
        seed,
      ),
      shape,
    );
  const common = {
    name: `tfjs ${backend}`,
    device: backend === 'wasm' ? ('cpu' as const) : ('webgpu' as const),
    enter: async (): Promise<void> => {
      await tf.setBackend(backend);
    },
  };
  let last: TfTensor | undefined;
  const run = (inputs: readonly TfTensor[], compute: () => TfTensor, end = (): void => {}): Contestant => ({
    ...common,
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
      const [a, b] = [input([task.n, task.n], 11), input([task.n, task.n], 12)];
      return run([a, b], () => tf.matMul(a, b));
    }
    case 'gelu': {
      const x = input([task.size], 11);
      return run([x], () => {
        const inner = tf.mul(tf.add(x, tf.mul(tf.mul(tf.square(x), x), 0.044715)), Math.sqrt(2 / Math.PI));
        return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
      });
    }
    case 'sum': {
      const x = input([task.rows, task.cols], 11);
      return run([x], () => tf.sum(x));
    }
    case 'rowsum': {
      const x = input([task.rows, task.cols], 11);
      return run([x], () => tf.sum(x, 1));
    }
    case 'softmax': {
      const x = input([task.rows, task.cols], 11);
      return run([x], () => tf.softmax(x, -1));
    }
    case 'layernorm': {
      const x = input([task.rows, task.cols], 11);
      const [weight, bias] = [input([task.cols], 12), input([task.cols], 13)];
      return run([x, weight, bias], () => {
        const centred = tf.sub(x, tf.mean(x, -1, true));
        const variance = tf.mean(tf.square(centred), -1, true);
        return tf.add(tf.mul(tf.div(centred, tf.sqrt(tf.add(variance, 1e-5))), weight), bias);
      });
    }
    case 'train': {
      const { batch } = task;
      const { x: rows, y: labels } = imageBatches(1, batch)[0]!;
      const x = tf.tensor(rows, [batch, SIZES[0]]);
      const y = tf.tensor(oneHot(labels), [batch, SIZES[3]]);
      const params = SIZES.slice(1).flatMap((to, i) => {
        const from = SIZES[i]!;
        const weight = random(from * to, i + 1).map((v) => v / Math.sqrt(from));
        return [tf.variable(tf.tensor(weight, [from, to])), tf.variable(tf.tensor(new Float32Array(to), [to]))];
      });
      const adam = tf.train.adam(1e-3);
      const loss = (): TfTensor => {
        let h = x;
        for (let i = 0; i < params.length; i += 2) {
          h = tf.add(tf.matMul(h, params[i]!), params[i + 1]!);
          if (i + 2 < params.length) h = tf.relu(h);
        }
        return tf.losses.softmaxCrossEntropy(y, h);
      };
      return run(
        [x, y, ...params],
        () => adam.minimize(loss, true),
        () => adam.dispose(),
      );
    }
  }
}
