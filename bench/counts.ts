// What a training step asks of WebGPU, on Dawn's null backend: it checks and encodes everything and runs nothing, so the numbers
// it computes mean nothing, and the calls and the host's time are those of any device.
import { create, globals } from 'webgpu';
import { createWebGPUBackend } from '../src/backends/webgpu/webgpu.ts';
import * as tl from '../src/index.ts';
import { Device } from '../src/tensor/device.ts';
import { between, type Calls, type CountedGPU, counted } from './calls.ts';
import { nodeLibraries } from './libraries.ts';
import { BATCH, type ModelName } from './models.ts';
import { openPeer, type PeerName } from './peers.ts';
import { MODELS, type Training } from './training.ts';

/** The least, the middle and the most of a count over the steps. */
export interface Range {
  readonly least: number;
  readonly median: number;
  readonly most: number;
}

export interface StepCounts {
  /** Per step without a read, over the steps after the warm-up. */
  readonly steps: Readonly<Record<keyof Calls, Range>>;
  /** What a step with a read of the loss adds: submits and copies. */
  readonly reads: Readonly<Record<keyof Calls, Range>>;
  /** Calls per step on average, steps with a read included. */
  readonly mean: Calls;
  /** The last step, counted from 0, that made a bind group, a buffer or a pipeline; -1 for none. */
  readonly lastMade: number;
  /** Bytes of live buffers: after the warm-up, and the most in the steps that follow. */
  readonly bytes: { readonly resting: number; readonly peak: number };
  /**
   * Milliseconds of the host in a step without a read (uploading the batch, recording, planning, encoding, submitting), of as many
   * more steps that were not counted.
   */
  readonly ms: Range;
  /** The same on average, steps with a read included. */
  readonly meanMs: number;
}

export interface LiveMemory {
  readonly bytes: Range;
  readonly buffers: Range;
  readonly tensors: Range;
}

/** The elements in the middle and at the ends. */
export function range(values: readonly number[]): Range {
  const sorted = [...values].sort((a, b) => a - b);
  return { least: sorted[0] ?? 0, median: sorted[sorted.length >> 1] ?? 0, most: sorted[sorted.length - 1] ?? 0 };
}

/** Dawn without a device, counted. Keep it as long as its devices are used. */
export function nullGPU(): CountedGPU {
  Object.assign(globalThis, globals);
  return counted(create(['backend=null']));
}

/** A device on Dawn's null backend that is the default one, and its calls. Keep the result as long as the device is used. */
export async function openNull(
  variants: 'software' | 'hardware' = 'hardware',
): Promise<CountedGPU & { readonly device: tl.Device }> {
  const gpu = nullGPU();
  const device = new Device('webgpu', await createWebGPUBackend({ gpu: gpu.gpu, variants }), "Dawn's null backend");
  tl.setDefaultDevice(device);
  return { device, ...gpu };
}

/** Reads on the null backend end, but the copy was not run: the status word and the element are whatever was there. */
async function read(loss: tl.Tensor): Promise<void> {
  try {
    await loss.item();
  } catch (error) {
    if (!(error instanceof tl.IndexError)) throw error;
  }
}

const average = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

const mean = (list: readonly Calls[]): Calls => {
  const names = Object.keys(list[0] ?? {}) as (keyof Calls)[];
  return Object.fromEntries(names.map((name) => [name, average(list.map((c) => c[name]))])) as unknown as Calls;
};

const rangesOf = (list: readonly Calls[]): Record<keyof Calls, Range> => {
  const names = Object.keys(list[0] ?? {}) as (keyof Calls)[];
  return Object.fromEntries(names.map((name) => [name, range(list.map((c) => c[name]))])) as Record<keyof Calls, Range>;
};

/** Runs steps: some to warm up, some that are counted, and as many that are timed. Every tenth reads its loss. */
async function drive(
  { calls, counting, bytes }: CountedGPU,
  { warmup = 30, steps = 200 }: CountOptions,
  run: (index: number, reads: boolean) => Promise<unknown> | undefined,
): Promise<StepCounts> {
  const plain: Calls[] = [];
  const reading: Calls[] = [];
  const times: number[] = [];
  const allTimes: number[] = [];
  let lastMade = -1;
  let resting = 0;
  for (let i = 0; i < warmup + 2 * steps; i++) {
    counting.on = i < warmup + steps;
    if (i === warmup) bytes.peak = resting = bytes.now;
    const reads = i % 10 === 9;
    const before = calls();
    const from = performance.now();
    const pending = run(i, reads);
    if (pending) await pending;
    const ms = performance.now() - from;
    const made = between(before, calls());
    if (made.bindGroups + made.buffers + made.pipelines > 0) lastMade = i;
    if (i < warmup) continue;
    if (counting.on) (reads ? reading : plain).push(made);
    else {
      allTimes.push(ms);
      if (!reads) times.push(ms);
    }
  }
  counting.on = true;
  return {
    steps: rangesOf(plain),
    reads: rangesOf(reading),
    mean: mean([...plain, ...reading]),
    lastMade,
    bytes: { resting, peak: bytes.peak },
    ms: range(times),
    meanMs: average(allTimes),
  };
}

export interface CountOptions {
  readonly batch?: number;
  readonly warmup?: number;
  readonly steps?: number;
}

/** Makes a model with its optimizer on the default device. */
export type Maker = () => Training;

/**
 * Counts the calls of training steps on the default device: each with a fresh batch from the host and a new rate from a scheduler,
 * every tenth with a read of the loss.
 */
export async function countSteps(gpu: CountedGPU, make: Maker, options: CountOptions = {}): Promise<StepCounts> {
  tl.manualSeed(1);
  const training = make();
  const schedule = new tl.optim.LambdaLR(training.adam, (step) => 1 / (1 + 0.01 * step));
  const data = training.batches(16, options.batch ?? 64);
  const counts = await drive(gpu, options, (i, reads) => {
    const { x, y } = training.upload(data[i % data.length]!);
    const loss = training.step(x, y);
    schedule.step();
    x.dispose();
    y.dispose();
    return reads ? read(loss) : undefined;
  });
  training.dispose();
  return counts;
}

/** Live memory over the steps after the first hundred, with batches from a loop or from a DataLoader. */
export async function watchMemory(
  device: tl.Device,
  kind: 'loop' | 'loader',
  make: Maker,
  options: CountOptions = {},
): Promise<LiveMemory> {
  const { batch = 64, warmup = 100, steps = 1000 } = options;
  tl.manualSeed(1);
  const training = make();
  const schedule = new tl.optim.LambdaLR(training.adam, (step) => 1 / (1 + 0.01 * step));
  const seen: tl.MemoryReport[] = [];
  let i = 0;
  const step = async (x: tl.Tensor, y: tl.Tensor): Promise<void> => {
    const loss = training.step(x, y);
    schedule.step();
    if (i % 10 === 9) await read(loss);
    if (i++ >= warmup) seen.push(tl.memory(device));
  };
  if (kind === 'loop') {
    const data = training.batches(16, batch);
    while (i < steps) {
      const { x, y } = training.upload(data[i % data.length]!);
      await step(x, y);
      x.dispose();
      y.dispose();
    }
  } else {
    const rowsOf = training.upload(training.batches(1, 20 * batch)[0]!);
    const set = new tl.data.TensorDataset(rowsOf.x, rowsOf.y);
    const loader = new tl.data.DataLoader(set, { batchSize: batch, shuffle: true });
    while (i < steps) for await (const { x, y } of loader) await step(x, y);
    rowsOf.x.dispose();
    rowsOf.y.dispose();
  }
  training.dispose();
  return {
    bytes: range(seen.map((m) => m.bytes)),
    buffers: range(seen.map((m) => m.buffers)),
    tensors: range(seen.map((m) => m.tensors)),
  };
}

/** The counts of one library on one model. */
export interface CountReport {
  readonly name: string;
  readonly model: ModelName;
  readonly counts: StepCounts;
  readonly memory?: { readonly loop: LiveMemory; readonly loader: LiveMemory };
}

/** tensorloom on a family of kernels, each model on a device of its own; with `memory`, what is live over many steps too. */
export async function countModels(
  variants: 'software' | 'hardware',
  options: CountOptions & { readonly memory?: boolean } = {},
): Promise<CountReport[]> {
  const reports: CountReport[] = [];
  for (const [model, make] of Object.entries(MODELS) as [ModelName, Maker][]) {
    const { device, ...gpu } = await openNull(variants);
    const batch = BATCH[model];
    const counts = await countSteps(gpu, make, { ...options, batch });
    const memory = options.memory && {
      loop: await watchMemory(device, 'loop', make, { batch }),
      loader: await watchMemory(device, 'loader', make, { batch }),
    };
    reports.push({ name: `tensorloom, kernels for ${variants}`, model, counts, ...(memory && { memory }) });
    device.destroy();
  }
  return reports;
}

/** A peer on a model, in a process that has used WebGPU for nothing else: what it keeps for later would count. */
export async function countPeer(name: PeerName, model: ModelName): Promise<CountReport> {
  const gpu = nullGPU();
  const [peer] = await openPeer(name, nodeLibraries(gpu.gpu), { webgpu: true, cpu: false });
  if (!peer) throw new Error(`${name} finds no WebGPU`);
  const contestant = peer.make({ kind: 'train', model, batch: BATCH[model] });
  await contestant.enter?.();
  const counts = await drive(gpu, { steps: 50 }, async (_, reads) => {
    await contestant.once();
    if (reads) await contestant.settle();
  });
  return { name: peer.name, model, counts };
}

const short = (x: number): number => Number(x.toPrecision(3));

/** Prints the counts, a row for each library. */
export function showCounts(reports: readonly CountReport[]): void {
  const rows = reports.map(
    ({ name, model, counts: { mean: m, lastMade, bytes, ms, meanMs } }): [string, Record<string, number>] => [
      `${model}: ${name}`,
      {
        dispatches: short(m.dispatches),
        passes: short(m.passes),
        submits: short(m.submits),
        'bind groups': short(m.bindGroups),
        buffers: short(m.buffers),
        pipelines: short(m.pipelines),
        writeBuffer: short(m.writeBuffer),
        'last step that made any': lastMade,
        'MiB at rest': short(bytes.resting / 2 ** 20),
        'MiB at most': short(bytes.peak / 2 ** 20),
        'host ms (median)': short(ms.median),
        'host ms (mean)': short(meanMs),
      },
    ],
  );
  console.log(
    'WebGPU calls per step of training with Adam (see bench/models.ts), after the warm-up; the loss is read in every ' +
      'tenth step, which adds one submit',
  );
  console.table(Object.fromEntries(rows));
  for (const { name, model, memory } of reports) {
    if (!memory) continue;
    console.log(`${model}: ${name}: live memory over 900 of 1,000 steps, least and most`);
    const row = ({ bytes, buffers, tensors }: LiveMemory): Record<string, string> => ({
      bytes: `${bytes.least}-${bytes.most}`,
      buffers: `${buffers.least}-${buffers.most}`,
      tensors: `${tensors.least}-${tensors.most}`,
    });
    console.table({
      'a batch from the host each step': row(memory.loop),
      'for await over a DataLoader': row(memory.loader),
    });
  }
}
