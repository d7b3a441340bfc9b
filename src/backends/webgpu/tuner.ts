import { bytesOf, type DType, isFloating } from '../../core/dtype.ts';
import { OutOfMemoryError } from '../../core/errors.ts';
import { halfBits } from '../../core/float16.ts';
import { sizeOf } from '../../core/shape.ts';
import { type Kernel, kernelKey, type MatmulKernel, outerSpace } from '../../ir/kernel.ts';
import type { Buffer } from '../backend.ts';
import {
  kindKey,
  type TunedAdapter,
  type Tuner,
  type TuningEntry,
  type TuningProgress,
  type Variant,
} from '../tuning.ts';
import { COPY_DST, COPY_SRC, MAP_MODE_READ, MAP_READ, QUERY_RESOLVE } from './constants.ts';
import { Encoder, type Job, type TimedPasses } from './encoder.ts';
import { clamp, type Source } from './lower.ts';
import { Pipelines } from './pipelines.ts';
import { type Memory, memoryOf } from './pool.ts';
import { usualVariant } from './products.ts';
import { Programs } from './programs.ts';
import type { OrderedQueue } from './queue.ts';
import { guarded } from './scopes.ts';
import { type Bounds, fits, kindOf, variants } from './variants.ts';

/** Milliseconds that a sample of the usual variant takes, and the most runs in one. */
const SAMPLE_MS = 10;
const MOST_RUNS = 200;
/**
 * Rounds of a stage, how long its samples are, and who goes on to the next one: at most so many, whose time is at most so much of the
 * usual variant's. Each stage goes by what it measures itself, so that luck in one decides nothing in the next; the last one says
 * whether the winner is worth it.
 */
const STAGES = [
  { rounds: 1, length: 1 / 8, most: Number.POSITIVE_INFINITY, limit: 1.5 },
  { rounds: 3, length: 1, most: 6, limit: 1.1 },
  { rounds: 4, length: 1, most: 1, limit: 1 },
  { rounds: 7, length: 1, most: 1, limit: 0.95 },
];
/** Products of one kind that are timed together, and the bytes that all but the first may take. */
const MOST_ALIKE = 4;
const MOST_BYTES = 2 ** 30;

/** Of a product: as it was submitted, and over the dims that variants are chosen by. */
interface Product {
  readonly kernel: MatmulKernel;
  readonly folded: MatmulKernel;
}

/** A variant, or for undefined the usual one of each product, with what a run of it dispatches. */
interface Contestant {
  readonly variant: Variant | undefined;
  readonly jobs: readonly Job[];
}

type Result = Pick<TuningProgress, 'variants' | 'failed' | 'usual' | 'best' | 'speedup'>;

const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1]!;

/** What tells products apart that run the same code, or not. */
const productKey = (kernel: MatmulKernel): string => {
  const places = [
    ...kernel.inputs.map((x) => x.access),
    ...kernel.outputs.map(({ strides, offset }) => [strides, offset]),
  ];
  return `${kernelKey(kernel)} ${JSON.stringify([kernel.space, places])}`;
};

/** The elements that a binding of a product must have, and their dtype. */
function extentOf(kernel: MatmulKernel, binding: number): { dtype: DType; length: number } {
  const outer = outerSpace(kernel);
  const reach = (space: readonly number[], strides: readonly number[], offset: number): number =>
    space.reduce((end, size, d) => end + (size - 1) * Math.max(0, strides[d]!), offset + 1);
  const uses = [
    ...kernel.inputs.map(({ dtype, access, binding: of }) => {
      const space = access.mode === 'direct' ? kernel.space : access.shape;
      return { dtype, of, length: reach(space, access.strides, access.offset) };
    }),
    ...kernel.outputs.map(({ dtype, strides, offset, binding: of }) => ({
      dtype,
      of,
      length: reach(outer, strides, offset),
    })),
  ].filter(({ of }) => of === binding);
  return { dtype: uses[0]!.dtype, length: Math.max(...uses.map(({ length }) => length)) };
}

const productBytes = ({ kernel }: Product): number =>
  Array.from({ length: kernel.bindings }, (_, binding) => {
    const { dtype, length } = extentOf(kernel, binding);
    return bytesOf(dtype, length);
  }).reduce((sum, bytes) => sum + bytes, 0);

/** The first product, and more while their memory is small. */
function alike(products: readonly Product[]): Product[] {
  let bytes = 0;
  return products.slice(0, MOST_ALIKE).filter((product, i) => {
    bytes += i === 0 ? 0 : productBytes(product);
    return bytes <= MOST_BYTES;
  });
}

const FILLING = 2 ** 16;

/** Numbers that kernels compute with as with any: random floats, none of which is small, and ones. */
function filling(dtype: DType): Uint32Array<ArrayBuffer> {
  const floats = Float32Array.from(
    { length: FILLING },
    () => (Math.random() < 0.5 ? -1 : 1) * (0.5 + Math.random() / 2),
  );
  if (dtype === 'float32') return new Uint32Array(floats.buffer);
  if (dtype === 'float16')
    return Uint32Array.from(floats, (x, i) => halfBits(x) | (halfBits(-floats[FILLING - 1 - i]!) << 16));
  return new Uint32Array(FILLING).fill(1);
}

/** Times passes by the device's clock where it has one, else from submission to completion by the host's. */
class Stopwatch implements TimedPasses {
  readonly running = true;
  readonly apart = false;
  private readonly set: GPUQuerySet;
  private readonly resolved: GPUBuffer;
  private readonly staging: GPUBuffer;

  constructor(device: GPUDevice) {
    this.set = device.createQuerySet({ type: 'timestamp', count: 2 });
    this.resolved = device.createBuffer({ size: 16, usage: QUERY_RESOLVE | COPY_SRC });
    this.staging = device.createBuffer({ size: 16, usage: MAP_READ | COPY_DST });
  }

  pass(encoder: GPUCommandEncoder): GPUComputePassEncoder {
    const timestampWrites = { querySet: this.set, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 };
    return encoder.beginComputePass({ timestampWrites });
  }

  take(encoder: GPUCommandEncoder): void {
    encoder.resolveQuerySet(this.set, 0, 2, this.resolved, 0);
    encoder.copyBufferToBuffer(this.resolved, 0, this.staging, 0, 16);
  }

  async read(): Promise<number> {
    await this.staging.mapAsync(MAP_MODE_READ);
    const [from, to] = new BigUint64Array(this.staging.getMappedRange());
    this.staging.unmap();
    return Number(to! - from!) / 1e6;
  }

  destroy(): void {
    this.set.destroy();
    this.resolved.destroy();
    this.staging.destroy();
  }
}

/** What the tuner asks of the backend. */
interface Memories {
  allocate(bytes: number): Buffer;
  release(buffer: Buffer): void;
}

export class GPUTuner implements Tuner {
  readonly adapter: TunedAdapter;
  private readonly bounds: Bounds;
  private seen = new Map<string, Product>();

  constructor(
    private readonly device: GPUDevice,
    { vendor, architecture, device: name, description }: GPUAdapterInfo,
    private readonly programs: Programs,
    private readonly queue: OrderedQueue,
    private readonly memories: Memories,
  ) {
    this.adapter = { vendor, architecture, device: name, description };
    this.bounds = { ...programs.kind, limits: device.limits };
  }

  watch(): void {
    this.seen = new Map();
    this.programs.watcher = (kernel: Kernel) => {
      if (kernel.kind !== 'matmul' || sizeOf(kernel.space) === 0) return;
      const key = productKey(kernel);
      if (!this.seen.has(key)) this.seen.set(key, { kernel, folded: this.programs.fold(kernel) });
    };
  }

  unwatch(): void {
    this.programs.watcher = undefined;
  }

  use(entries: readonly TuningEntry[]): void {
    const table = new Map(entries.map((entry) => [kindKey(entry), entry.variant]));
    const measured = (folded: MatmulKernel): Variant | undefined => {
      const variant = table.get(kindKey(kindOf(folded)));
      return variant && fits(folded, variant, this.bounds) ? variant : undefined;
    };
    this.programs.measured = table.size === 0 ? undefined : measured;
  }

  async measure(report: (progress: TuningProgress) => void): Promise<ReadonlyMap<string, TuningEntry | undefined>> {
    const kinds = new Map<string, Product[]>();
    for (const product of this.seen.values()) {
      const key = kindKey(kindOf(product.folded));
      kinds.set(key, [...(kinds.get(key) ?? []), product]);
    }
    const found = new Map<string, TuningEntry | undefined>();
    const trial = new Trial(this.device, this.bounds, this.queue, this.memories);
    try {
      trial.begin();
      for (const [key, products] of kinds) {
        const kind = kindOf(products[0]!.folded);
        const result = await trial.run(products);
        const { best, speedup } = result;
        found.set(key, speedup > 1 ? { ...kind, variant: best, speedup } : undefined);
        report({ done: found.size, total: kinds.size, ...kind, ...result });
      }
    } finally {
      trial.end();
    }
    return found;
  }
}

/** Measurements with pipelines, bind groups and memory of their own. */
class Trial {
  private readonly counters = { dispatches: 0, passes: 0, submits: 0, bindGroups: 0, buffers: 0, pipelines: 0 };
  private readonly programs: Programs;
  private readonly taken: Buffer[] = [];
  private readonly fillings = new Map<DType, Memory>();
  private encoder: Encoder | undefined;
  private stopwatch: Stopwatch | undefined;

  constructor(
    private readonly device: GPUDevice,
    private readonly bounds: Bounds,
    private readonly queue: OrderedQueue,
    private readonly memories: Memories,
  ) {
    this.programs = new Programs(new Pipelines(device, this.counters), bounds);
  }

  begin(): void {
    // A status word of its own: what kernels say of random indices is for nobody.
    this.encoder = new Encoder(this.device, this.take(4), this.counters);
    if (this.device.features.has('timestamp-query')) this.stopwatch = new Stopwatch(this.device);
    for (const dtype of ['float32', 'float16', 'int32'] as const) this.fillings.set(dtype, this.take(4 * FILLING));
  }

  end(): void {
    this.giveBack(0);
    this.encoder?.destroy();
    this.stopwatch?.destroy();
  }

  private take(bytes: number): Memory {
    const buffer = this.memories.allocate(bytes);
    this.taken.push(buffer);
    return memoryOf(buffer);
  }

  private giveBack(from: number): void {
    for (const buffer of this.taken.splice(from)) {
      this.encoder?.forget(memoryOf(buffer));
      this.memories.release(buffer);
    }
  }

  /** Which variant of products of one kind is the fastest. */
  async run(products: readonly Product[]): Promise<Result> {
    const kept = this.taken.length;
    const usual = usualVariant(products[0]!.folded, this.bounds);
    try {
      const { contestants, failed } = await this.contestants(alike(products));
      const { contestant, speedup } = await this.fastest(contestants);
      return { variants: contestants.length, failed, usual, best: contestant?.variant ?? usual, speedup };
    } catch (error) {
      // There is no room to try it out.
      if (error instanceof OutOfMemoryError) return { variants: 0, failed: 0, usual, best: usual, speedup: 1 };
      throw error;
    } finally {
      this.giveBack(kept);
    }
  }

  /** Those that the device runs, the usual one first. */
  private async contestants(products: readonly Product[]): Promise<{ contestants: Contestant[]; failed: number }> {
    const fitting = variants(products[0]!.folded, this.bounds)
      .slice(1)
      .filter((variant) => products.every(({ folded }) => fits(folded, variant, this.bounds)));
    const made = [undefined, ...fitting].map((variant) => ({
      variant,
      programs: products.map(({ kernel }) => this.programs.make(kernel, variant)),
    }));
    const memories: (readonly Memory[])[] = [];
    for (const product of products) memories.push(await this.memoriesOf(product));
    const most: number[] = [];
    for (const { scratch } of made.flatMap(({ programs }) => programs))
      for (const [i, bytes] of scratch.entries()) most[i] = Math.max(most[i] ?? 0, bytes);
    const scratch = most.map((bytes) => this.take(bytes));
    await this.usable(scratch);

    const contestants: Contestant[] = [];
    for (const { variant, programs } of made) {
      const jobs = programs.flatMap(({ steps, kernel }, p) => {
        const memory = (from: Source): Memory =>
          typeof from === 'number' ? memories[p]![from]! : scratch[from.scratch]!;
        const scalars = kernel.scalars.map((dtype) => (isFloating(dtype) ? 0.5 : 1));
        return steps.map((step): Job => ({ step, memories: step.buffers.map(memory), scalars, label: 'autotune' }));
      });
      if (await this.works(jobs)) contestants.push({ variant, jobs });
    }
    return { contestants, failed: made.length - contestants.length };
  }

  /** Memory for each binding of a product, filled. */
  private async memoriesOf({ kernel }: Product): Promise<Memory[]> {
    const filled = Array.from({ length: kernel.bindings }, (_, binding) => {
      const { dtype, length } = extentOf(kernel, binding);
      const kind = isFloating(dtype) ? dtype : 'int32';
      return { memory: this.take(bytesOf(dtype, length)), kind, from: this.fillings.get(kind)! };
    });
    const memories = filled.map(({ memory }) => memory);
    await this.usable([...memories, ...this.fillings.values()]);
    await this.queue.run([], () => {
      const encoder = this.device.createCommandEncoder();
      for (const { memory, kind, from } of filled) {
        this.device.queue.writeBuffer(from.gpu, 0, filling(kind));
        for (let at = 0; at < memory.size; at += from.size)
          encoder.copyBufferToBuffer(from.gpu, 0, memory.gpu, at, Math.min(from.size, memory.size - at));
      }
      this.device.queue.submit([encoder.finish()]);
    });
    return memories;
  }

  /** Waits until memory is there. */
  private async usable(memories: readonly Memory[]): Promise<void> {
    await this.queue.unlessDead(Promise.all(memories.map(({ ready }) => ready)));
    for (const { error } of memories) if (error) throw error;
  }

  /** Compiles and runs jobs once. */
  private async works(jobs: readonly Job[]): Promise<boolean> {
    const pipelines = jobs.map(({ step }) => step.pipeline);
    await this.queue.unlessDead(Promise.all(pipelines.map(({ ready }) => ready)));
    if (pipelines.some(({ error }) => error)) return false;
    const send = (): Promise<unknown> => guarded(this.device, 'autotune', () => this.send(jobs)).error;
    return (await this.queue.run([], send)) === undefined;
  }

  private send(jobs: readonly Job[]): void {
    const encoder = this.device.createCommandEncoder();
    this.encoder!.encode(encoder, jobs, this.stopwatch);
    this.device.queue.submit([encoder.finish()]);
  }

  /** The fastest, and how many times as fast as the usual one it is. */
  private async fastest(contestants: readonly Contestant[]): Promise<{ contestant?: Contestant; speedup: number }> {
    const [usual, ...others] = contestants;
    if (!usual || usual.variant) return { speedup: 1 };
    await this.sample(usual, 1);
    const runs = clamp(Math.round(SAMPLE_MS / (await this.sample(usual, 1))), 1, MOST_RUNS);
    let left: readonly { readonly contestant: Contestant; readonly ratio: number }[] = others.map((contestant) => ({
      contestant,
      ratio: 1,
    }));
    for (const { rounds, length, most, limit } of STAGES) {
      if (left.length === 0) break;
      const ratios = await this.race(
        usual,
        left.map(({ contestant }) => contestant),
        rounds,
        Math.ceil(length * runs),
      );
      left = left
        .map(({ contestant }, i) => ({ contestant, ratio: ratios[i]! }))
        .filter(({ ratio }) => ratio <= limit)
        .sort((x, y) => x.ratio - y.ratio)
        .slice(0, most);
    }
    const [best] = left;
    return best ? { contestant: best.contestant, speedup: 1 / best.ratio } : { speedup: 1 };
  }

  /** The times of contestants over that of the usual one in the same round, the median of the rounds. */
  private async race(
    usual: Contestant,
    others: readonly Contestant[],
    rounds: number,
    runs: number,
  ): Promise<number[]> {
    const all = [usual, ...others];
    const ratios: number[][] = others.map(() => []);
    for (let round = 0; round < rounds; round++) {
      const times: number[] = [];
      for (let turn = 0; turn < all.length; turn++) {
        const i = (turn + round) % all.length;
        times[i] = await this.sample(all[i]!, runs);
      }
      for (const [i, list] of ratios.entries()) list.push(times[i + 1]! / times[0]!);
    }
    return ratios.map(median);
  }

  /** Milliseconds of one run among several. */
  private async sample({ jobs }: Contestant, runs: number): Promise<number> {
    const all = Array.from({ length: runs }, () => jobs).flat();
    let from = 0;
    await this.queue.run([], () => {
      from = performance.now();
      this.send(all);
    });
    if (this.stopwatch) return (await this.queue.unlessDead(this.stopwatch.read())) / runs;
    await this.queue.unlessDead(this.device.queue.onSubmittedWorkDone());
    return (performance.now() - from) / runs;
  }
}
