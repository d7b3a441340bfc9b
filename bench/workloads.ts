// The work that is timed, and how tensorloom does it. Peers do the same in jax.ts and tfjs.ts.
import * as tl from '../src/index.ts';
import type { Contestant, DeviceKind, Workload } from './harness.ts';
import { GPT, input, type ModelName, mlpFlops, SIZES, sizeOf } from './models.ts';
import { beginAlike, MODELS } from './training.ts';

/** What a workload computes, and with which sizes: enough for every library to do it. */
export type Task =
  | { readonly kind: 'matmul'; readonly n: number }
  | { readonly kind: 'gelu'; readonly size: number }
  | { readonly kind: 'sum' | 'rowsum' | 'softmax' | 'layernorm'; readonly rows: number; readonly cols: number }
  | {
      readonly kind: 'conv2d';
      readonly input: readonly [batch: number, channels: number, height: number, width: number];
      readonly kernel: readonly [out: number, channels: number, height: number, width: number];
      readonly padding: number;
    }
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

/** The jobs, smaller where WebGPU is computed by the CPU. Bytes are those that must at least be read and written. */
export function jobs(options: { readonly software: boolean; readonly large: boolean }): Job[] {
  const matmuls = [64, 256, 512, 1024, ...(options.large ? [2048] : [])];
  const elements = options.software ? MEGA : 4 * MEGA;
  const [rows, cols] = [1024, 4096] as const;
  const row = { rows, cols };
  const slow: readonly DeviceKind[] = ['reference'];
  return [
    ...matmuls.map(
      (n): Job => ({
        name: `matmul-${n}`,
        title: `matmul [${n}, ${n}] x [${n}, ${n}]`,
        task: { kind: 'matmul', n },
        flops: 2 * n ** 3,
        without: n > 64 ? slow : [],
      }),
    ),
    // The size that the CPU backend's target is stated for, and one that a software adapter finishes soon.
    ...[...new Set([elements, 4 * MEGA])].map(
      (size): Job => ({
        name: `gelu-${size / MEGA}M`,
        title: `gelu (tanh) of ${size / MEGA}M elements`,
        task: { kind: 'gelu', size },
        bytes: 8 * size,
        without: options.software && size > MEGA ? ['reference', 'webgpu'] : slow,
      }),
    ),
    {
      name: 'sum-all',
      title: `sum of [${rows}, ${cols}] to a scalar`,
      task: { kind: 'sum', ...row },
      bytes: 4 * rows * cols,
      without: slow,
    },
    {
      name: 'sum-rows',
      title: `sum of each row of [${rows}, ${cols}]`,
      task: { kind: 'rowsum', ...row },
      bytes: 4 * rows * cols,
      without: slow,
    },
    {
      name: 'softmax',
      title: `softmax of [${rows}, ${cols}], rows`,
      task: { kind: 'softmax', ...row },
      bytes: 8 * rows * cols,
      without: slow,
    },
    {
      name: 'layernorm',
      title: `layer norm of [${rows}, ${cols}], rows, by composed ops, with weight and bias`,
      task: { kind: 'layernorm', ...row },
      bytes: 8 * rows * cols,
      without: slow,
    },
    // The size that targets are stated for, and one that a software adapter finishes soon.
    conv2d(8, 64, 56, options.software ? ['reference', 'webgpu'] : slow),
    ...(options.software ? [conv2d(2, 32, 28, slow)] : []),
    ...[64, 128].map(
      (batch): Job => ({
        name: `mlp-${batch}`,
        title: `train step of an MLP ${SIZES.join('-')} with Adam, batch of ${batch}`,
        task: { kind: 'train', model: 'MLP', batch },
        flops: mlpFlops(batch),
        without: slow,
      }),
    ),
    {
      name: 'lenet-64',
      title: 'train step of a LeNet on 28 x 28 with Adam, batch of 64',
      task: { kind: 'train', model: 'LeNet', batch: 64 },
      without: slow,
    },
    {
      name: 'lstm-64',
      title: 'train step of an LSTM of 64 units over 28 rows with Adam, batch of 64',
      task: { kind: 'train', model: 'LSTM', batch: 64 },
      without: slow,
    },
    {
      name: 'gpt-8',
      title: `train step of a transformer of ${GPT.layers} layers of width ${GPT.width} over ${GPT.context} tokens with Adam, batch of 8`,
      task: { kind: 'train', model: 'GPT', batch: 8 },
      without: slow,
    },
  ];
}

/** A device, opened fused and unfused. */
export interface OpenDevice {
  readonly kind: DeviceKind;
  readonly fused: tl.Device;
  readonly unfused: tl.Device;
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

function ours(task: Task, { kind, fused }: OpenDevice): Make {
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
      case 'train':
        return train(fused, kind, task, true);
    }
  };
}

/** Train steps on a batch that is on the device. */
function train(
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
