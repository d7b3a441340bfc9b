// The work that is timed, and how tensorloom does it. Peers do the same in jax.ts and tfjs.ts.
import * as tl from '../src/index.ts';
import type { Contestant, DeviceKind, Workload } from './harness.ts';
import { BATCH, GPT, input, LSTM, type ModelName, mlpFlops, SIZES, sizeOf } from './models.ts';
import { beginAlike, MODELS } from './training.ts';

type RowKind = 'sum' | 'rowsum' | 'softmax' | 'layernorm';

/** What a workload computes, and with which sizes: enough for every library to do it. */
export type Task =
  | { readonly kind: 'matmul'; readonly n: number }
  | { readonly kind: 'gelu'; readonly size: number }
  | { readonly kind: RowKind; readonly rows: number; readonly cols: number }
  | {
      readonly kind: 'conv2d';
      readonly input: readonly [batch: number, channels: number, height: number, width: number];
      readonly kernel: readonly [out: number, channels: number, height: number, width: number];
      readonly padding: number;
    }
  | { readonly kind: 'attention'; readonly heads: number; readonly length: number; readonly width: number }
  | { readonly kind: 'train'; readonly model: ModelName; readonly batch: number };

export interface Job {
  readonly name: string;
  readonly title: string;
  readonly task: Task;
  readonly flops?: number;
  readonly bytes?: number;
  /** Where it would take too long, and is left out. */
  readonly without: readonly DeviceKind[];
}

const MEGA = 2 ** 20;

/** A convolution of images whose padding keeps their size, by kernels of 3 x 3. */
function conv2d(batch: number, channels: number, size: number, without: readonly DeviceKind[]): Job {
  const task = {
    kind: 'conv2d',
    input: [batch, channels, size, size],
    kernel: [channels, channels, 3, 3],
    padding: 1,
  } as const;
  return {
    name: `conv2d-${channels}`,
    title: `conv2d [${task.input.join(', ')}] * [${task.kernel.join(', ')}], padding 1`,
    task,
    flops: 2 * sizeOf(task.input) * channels * 9,
    without,
  };
}

/** Heads, each of queries that attend to the keys before them: half of two products of length x length x width. */
function attentionJob(heads: number, length: number, width: number, without: readonly DeviceKind[]): Job {
  return {
    name: `attention-${length}`,
    title: `causal attention of [1, ${heads}, ${length}, ${width}]`,
    task: { kind: 'attention', heads, length, width },
    flops: 2 * heads * length ** 2 * width,
    without,
  };
}

function trainJob(model: ModelName, what: string, without: readonly DeviceKind[], batch = BATCH[model]): Job {
  return {
    name: `${model.toLowerCase()}-${batch}`,
    title: `train step of ${what} with Adam, batch of ${batch}`,
    task: { kind: 'train', model, batch },
    without,
  };
}

const matmulJob = (n: number, without: readonly DeviceKind[]): Job => ({
  name: `matmul-${n}`,
  title: `matmul [${n}, ${n}] x [${n}, ${n}]`,
  task: { kind: 'matmul', n },
  flops: 2 * n ** 3,
  without,
});

const geluJob = (size: number, without: readonly DeviceKind[]): Job => ({
  name: size < MEGA ? `gelu-${size}` : `gelu-${size / MEGA}M`,
  title: `gelu (tanh) of ${size.toLocaleString('en')} elements`,
  task: { kind: 'gelu', size },
  bytes: 8 * size,
  without,
});

/** Reductions and what is normalised row by row. */
function rowJobs(rows: number, cols: number, without: readonly DeviceKind[]): Job[] {
  const shape = `[${rows}, ${cols}]`;
  const [read, moved] = [4 * rows * cols, 8 * rows * cols];
  const all: readonly (readonly [name: string, title: string, kind: RowKind, bytes: number])[] = [
    ['sum-all', `sum of ${shape} to a scalar`, 'sum', read],
    ['sum-rows', `sum of each row of ${shape}`, 'rowsum', read],
    ['softmax', `softmax of ${shape}, rows`, 'softmax', moved],
    ['layernorm', `layer norm of ${shape}, rows, by composed ops, with weight and bias`, 'layernorm', moved],
  ];
  return all.map(([name, title, kind, bytes]) => ({ name, title, task: { kind, rows, cols }, bytes, without }));
}

const trainJobs = (without: readonly DeviceKind[], mlp: readonly number[], batch?: number): Job[] => [
  ...mlp.map(
    (size): Job => ({ ...trainJob('MLP', `an MLP ${SIZES.join('-')}`, without, size), flops: mlpFlops(size) }),
  ),
  trainJob('LeNet', 'a LeNet on 28 x 28', without, batch),
  trainJob('LSTM', `an LSTM of ${LSTM.hidden} units over ${LSTM.steps} rows`, without, batch),
  trainJob(
    'GPT',
    `a transformer of ${GPT.layers} layers of width ${GPT.width} over ${GPT.context} tokens`,
    without,
    batch,
  ),
];

/** The jobs, smaller where WebGPU is computed by the CPU. Bytes are those that must at least be read and written. */
export function jobs(options: { readonly software: boolean; readonly large: boolean }): Job[] {
  const { software, large } = options;
  const slow: readonly DeviceKind[] = ['reference'];
  // Of the sizes that targets are stated for, those that a software adapter does not finish soon.
  const heavy: readonly DeviceKind[] = software ? ['reference', 'webgpu'] : slow;
  return [
    matmulJob(64, []),
    ...[256, 512, 1024, ...(large ? [2048] : [])].map((n) => matmulJob(n, slow)),
    ...(software ? [geluJob(MEGA, slow)] : []),
    geluJob(4 * MEGA, heavy),
    ...rowJobs(1024, 4096, slow),
    conv2d(8, 64, 56, heavy),
    ...(software ? [conv2d(2, 32, 28, slow)] : []),
    attentionJob(8, 1024, 64, heavy),
    ...trainJobs(slow, [BATCH.MLP, 128]),
  ];
}

/** The jobs for a GPU, or all of them tiny. */
export function gpuJobs(quick: boolean): Job[] {
  const matmuls = quick ? [64] : [1024, 2048, 4096, 8192];
  return [
    ...matmuls.map((n) => matmulJob(n, [])),
    geluJob(quick ? 2 ** 12 : 64 * MEGA, []),
    ...rowJobs(quick ? 16 : 16384, quick ? 64 : 4096, []),
    quick ? conv2d(1, 4, 8, []) : conv2d(8, 64, 56, []),
    ...(quick ? [16] : [1024, 4096]).map((length) => attentionJob(8, length, 64, [])),
    ...(quick ? trainJobs([], [2], 2) : trainJobs([], [BATCH.MLP])),
  ];
}

/** A device, opened fused and unfused. */
export interface OpenDevice {
  readonly kind: DeviceKind;
  readonly fused: tl.Device;
  readonly unfused: tl.Device;
}

export async function openDevice(kind: DeviceKind): Promise<OpenDevice> {
  return { kind, fused: await tl.device(kind), unfused: await tl.device(kind, { fusion: false }) };
}

type Make = () => Contestant;

/** A contestant whose work is one result made from inputs that stay. */
function op(device: tl.Device, kind: DeviceKind, inputs: readonly tl.Tensor[], compute: () => tl.Tensor): Contestant {
  let last: tl.Tensor | undefined;
  const flat = (t: tl.Tensor): tl.Tensor => tl.narrow(tl.reshape(t, [t.size]), 0, 0, 1);
  return {
    name: `tensorloom ${kind}`,
    device: kind,
    baseline: true,
    enter: () => tl.setDefaultDevice(device),
    once() {
      last?.dispose();
      last = tl.tidy(compute);
    },
    async settle() {
      const one = flat(last!);
      const value = (await one.data())[0]!;
      one.dispose();
      return Number(value);
    },
    dispose() {
      last?.dispose();
      for (const t of inputs) t.dispose();
    },
  };
}

function layerNorm(x: tl.Tensor, weight: tl.Tensor, bias: tl.Tensor): tl.Tensor {
  const centred = tl.sub(x, tl.mean(x, { dim: -1, keepDim: true }));
  const variance = tl.mean(tl.square(centred), { dim: -1, keepDim: true });
  return tl.add(tl.mul(tl.div(centred, tl.sqrt(tl.add(variance, 1e-5))), weight), bias);
}

/** What does a task on a device. */
export function ours(task: Task, { kind, fused }: OpenDevice): Make {
  return () => {
    const device = fused;
    tl.setDefaultDevice(device);
    const given = (shape: readonly number[], i: number): tl.Tensor =>
      tl.tensor(input(shape, i).data, { shape, device });
    switch (task.kind) {
      case 'matmul': {
        const [a, b] = [given([task.n, task.n], 0), given([task.n, task.n], 1)];
        return op(device, kind, [a, b], () => tl.matmul(a, b));
      }
      case 'conv2d': {
        const [x, kernel] = [given(task.input, 0), given(task.kernel, 1)];
        return op(device, kind, [x, kernel], () => tl.nn.functional.conv2d(x, kernel, null, { padding: task.padding }));
      }
      case 'gelu': {
        const x = given([task.size], 0);
        return op(device, kind, [x], () => tl.gelu(x, { approximate: 'tanh' }));
      }
      case 'sum': {
        const x = given([task.rows, task.cols], 0);
        return op(device, kind, [x], () => tl.sum(x));
      }
      case 'rowsum': {
        const x = given([task.rows, task.cols], 0);
        return op(device, kind, [x], () => tl.sum(x, { dim: -1 }));
      }
      case 'softmax': {
        const x = given([task.rows, task.cols], 0);
        return op(device, kind, [x], () => tl.softmax(x, -1));
      }
      case 'layernorm': {
        const x = given([task.rows, task.cols], 0);
        const [weight, bias] = [given([task.cols], 1), given([task.cols], 2)];
        return op(device, kind, [x, weight, bias], () => layerNorm(x, weight, bias));
      }
      case 'attention': {
        const [q, k, v] = [0, 1, 2].map((i) => given([1, task.heads, task.length, task.width], i));
        return op(device, kind, [q!, k!, v!], () =>
          tl.nn.functional.scaledDotProductAttention(q!, k!, v!, { isCausal: true }),
        );
      }
      case 'train':
        return train(fused, kind, task, true);
    }
  };
}

/** Train steps on a batch that is on the device. */
export function train(
  device: tl.Device,
  kind: DeviceKind,
  { model, batch }: Extract<Task, { kind: 'train' }>,
  fused: boolean,
): Contestant {
  tl.setDefaultDevice(device);
  const training = MODELS[model]();
  beginAlike(training, model);
  const { x, y } = training.upload(training.batches(1, batch)[0]!);
  let loss: tl.Tensor | undefined;
  return {
    name: `tensorloom ${kind}${fused ? '' : ', unfused'}`,
    device: kind,
    baseline: fused,
    enter: () => tl.setDefaultDevice(device),
    once() {
      loss = training.step(x, y);
    },
    ready: async () => {
      await training.model.parameters()[0]!.data();
    },
    settle: async () => Number(await loss!.item()),
    dispose() {
      training.dispose();
      x.dispose();
      y.dispose();
    },
  };
}

/** The contestants of tensorloom for a job, on the devices that are open. */
export function contestants(job: Job, devices: readonly OpenDevice[]): Workload['contestants'] {
  const used = devices.filter((d) => !job.without.includes(d.kind));
  const makers = used.map((d): Make => ours(job.task, d));
  const { task } = job;
  if (task.kind !== 'train') return makers;
  return [
    ...makers,
    ...used.map(
      (d): Make =>
        () =>
          train(d.unfused, d.kind, task, false),
    ),
  ];
}
