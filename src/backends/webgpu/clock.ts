import type { Clock, Timing } from '../clock.ts';
import { COPY_DST, COPY_SRC, MAP_MODE_READ, MAP_READ, QUERY_RESOLVE } from './constants.ts';
import type { TimedPasses } from './encoder.ts';
import type { OrderedQueue } from './queue.ts';

/** A set of queries has at most 4096, two for each pass. */
const PASSES = 2048;
const NANOSECONDS = 1e6;

/** Passes whose times are on their way to the host. */
interface Taken {
  readonly labels: readonly string[];
  readonly staging: GPUBuffer;
}

/** Times dispatches by timestamp queries: each is a pass of its own while it runs. */
export class GPUClock implements Clock, TimedPasses {
  readonly apart = true;
  private set: GPUQuerySet | null = null;
  private resolved: GPUBuffer | null = null;
  private labels: string[] = [];
  private taken: Taken[] = [];

  constructor(
    private readonly device: GPUDevice,
    private readonly queue: OrderedQueue,
  ) {}

  get running(): boolean {
    return this.set !== null;
  }

  start(): void {
    this.forget();
    this.set = this.device.createQuerySet({ type: 'timestamp', count: 2 * PASSES });
    this.resolved = this.device.createBuffer({ size: 16 * PASSES, usage: QUERY_RESOLVE | COPY_SRC });
  }

  /** Where the next pass writes its times. */
  pass(encoder: GPUCommandEncoder, label: string): GPUComputePassEncoder {
    if (this.labels.length === PASSES) this.take(encoder);
    const at = 2 * this.labels.length;
    this.labels.push(label);
    const timestampWrites = {
      querySet: this.set!,
      beginningOfPassWriteIndex: at,
      endOfPassWriteIndex: at + 1,
    };
    return encoder.beginComputePass({ timestampWrites });
  }

  /** Copies the times of the passes so far into a buffer that the host can map. */
  take(encoder: GPUCommandEncoder): void {
    const { labels } = this;
    if (labels.length === 0) return;
    const staging = this.device.createBuffer({ size: 16 * labels.length, usage: MAP_READ | COPY_DST });
    encoder.resolveQuerySet(this.set!, 0, 2 * labels.length, this.resolved!, 0);
    encoder.copyBufferToBuffer(this.resolved!, 0, staging, 0, 16 * labels.length);
    this.taken.push({ labels, staging });
    this.labels = [];
  }

  async stop(): Promise<readonly Timing[]> {
    const { taken } = this;
    this.taken = [];
    this.forget();
    const timings: Timing[] = [];
    let origin: bigint | undefined;
    try {
      for (const { labels, staging } of taken) {
        await this.queue.unlessDead(staging.mapAsync(MAP_MODE_READ));
        const times = new BigUint64Array(staging.getMappedRange());
        origin ??= times[0]!;
        for (const [i, label] of labels.entries()) {
          const [from, to] = [times[2 * i]!, times[2 * i + 1]!];
          // A device may set its clock back between two passes, or within one.
          const ms = Math.max(0, Number(to - from) / NANOSECONDS);
          timings.push({ label, start: Number(from - origin) / NANOSECONDS, ms });
        }
      }
    } finally {
      for (const { staging } of taken) staging.destroy();
    }
    return timings;
  }

  /** Lets go of everything. */
  forget(): void {
    this.set?.destroy();
    this.resolved?.destroy();
    for (const { staging } of this.taken) staging.destroy();
    this.set = null;
    this.resolved = null;
    this.labels = [];
    this.taken = [];
  }
}
