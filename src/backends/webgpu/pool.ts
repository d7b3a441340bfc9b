import { DeviceError, OutOfMemoryError, type TensorloomError } from '../../core/errors.ts';
import type { Buffer, MemoryUse } from '../backend.ts';
import { COPY_DST, COPY_SRC, type Counters, MAP_READ, STORAGE } from './constants.ts';
import { guarded } from './scopes.ts';

/** A GPUBuffer that serves one handle after another. */
export interface Memory {
  readonly id: number;
  readonly gpu: GPUBuffer;
  readonly size: number;
  /** The other one of a pair: given where this was asked for and in use, and the other way round, so that updates go on taking turns. */
  partner: Memory | undefined;
  /** Until its error scope is clean. */
  ready: Promise<void> | undefined;
  error: TensorloomError | undefined;
  /** It is the user's. */
  readonly foreign: boolean;
}

export class DeviceBuffer implements Buffer {
  memory: Memory | undefined;
  constructor(
    readonly id: number,
    readonly bytes: number,
    memory: Memory,
  ) {
    this.memory = memory;
  }
}

/** The memory behind a buffer that is in use. */
export function memoryOf(buffer: Buffer): Memory {
  const { memory } = buffer as DeviceBuffer;
  if (!memory) throw new DeviceError(`buffer ${buffer.id} was used after its release`);
  return memory;
}

const SMALLEST = 256;
const KEPT = 256 * 2 ** 20;
const REMEMBERED = 4096;

/** Powers of two and the quarter steps between them: at most a quarter is wasted. */
export function sizeClass(bytes: number, limit: number): number {
  if (bytes <= SMALLEST) return SMALLEST;
  const step = 2 ** (Math.ceil(Math.log2(bytes)) - 3);
  return Math.min(Math.max(Math.ceil(bytes / step) * step, SMALLEST), limit);
}

/**
 * Storage buffers, handed out again at once, as everything that uses them is submitted in order: to whoever had them the last time,
 * so that a repeated plan meets the same memory and finds its bind groups, else last in, first out.
 */
export class Pool {
  private nextId = 1;
  private readonly free = new Map<number, Memory[]>();
  /** All free memory, the longest unused first. */
  private readonly idle = new Set<Memory>();
  private readonly all = new Set<Memory>();
  /** The memory behind a handle, in use or not, for the latest handles. */
  private readonly behind = new Map<number, Memory>();
  private bytes = 0;
  private buffers = 0;
  private peak = 0;
  private idleBytes = 0;

  constructor(
    private readonly device: GPUDevice,
    private readonly limit: number,
    private readonly counters: Counters,
    /** Called with memory that goes away; it is still in use by what is queued. */
    private readonly discard: (memory: Memory) => void,
  ) {}

  allocate(bytes: number, prefer?: number): DeviceBuffer {
    if (bytes > this.limit)
      throw new OutOfMemoryError(
        `a buffer of ${bytes} bytes is larger than the ${this.limit} bytes that this WebGPU device allows; ` +
          'split the tensor, or use a smaller batch',
      );
    const size = sizeClass(bytes, this.limit);
    const memory = this.take(size, prefer);
    if (this.idle.delete(memory)) this.idleBytes -= size;
    this.bytes += bytes;
    this.buffers++;
    this.peak = Math.max(this.peak, this.bytes);
    const id = this.nextId++;
    this.behind.set(id, memory);
    if (this.behind.size > REMEMBERED) this.behind.delete(this.behind.keys().next().value!);
    return new DeviceBuffer(id, bytes, memory);
  }

  /** Memory of a size class: that of the handle preferred, its partner while it is in use, or any. */
  private take(size: number, prefer: number | undefined): Memory {
    const list = this.free.get(size);
    const had = prefer === undefined ? undefined : this.behind.get(prefer);
    if (had?.size !== size) return list?.pop() ?? this.create(size);
    // Whoever asked has a new handle from now on.
    this.behind.delete(prefer!);
    const again = [had, had.partner].find((memory) => memory && this.idle.has(memory));
    if (again) {
      list!.splice(list!.lastIndexOf(again), 1);
      return again;
    }
    // Not one that another pair takes turns with, if it can be.
    const single = list?.findLastIndex((memory) => !memory.partner) ?? -1;
    const other = (single >= 0 ? list?.splice(single, 1)[0] : list?.pop()) ?? this.create(size);
    had.partner = other;
    other.partner = had;
    return other;
  }

  /** The user's buffer under a handle, which the pool does not count. */
  adopt(gpu: GPUBuffer, bytes: number, error: Promise<TensorloomError | undefined>): DeviceBuffer {
    return new DeviceBuffer(this.nextId++, bytes, this.remember(gpu, bytes, error, true));
  }

  release(buffer: DeviceBuffer): void {
    const memory = memoryOf(buffer);
    buffer.memory = undefined;
    if (memory.foreign) {
      this.discard(memory);
      return;
    }
    this.bytes -= buffer.bytes;
    this.buffers--;
    if (memory.error) {
      this.drop(memory);
      return;
    }
    let list = this.free.get(memory.size);
    if (!list) {
      list = [];
      this.free.set(memory.size, list);
    }
    list.push(memory);
    this.idle.add(memory);
    this.idleBytes += memory.size;
    this.trim(Math.max(KEPT, 1.5 * this.peak));
  }

  /** Drops what was unused for longest until at most `bytes` are kept. */
  trim(bytes: number): void {
    for (const memory of this.idle) {
      if (this.idleBytes <= bytes) break;
      this.idle.delete(memory);
      this.idleBytes -= memory.size;
      this.free.get(memory.size)!.shift();
      this.drop(memory);
    }
  }

  use(): MemoryUse {
    return { bytes: this.bytes, buffers: this.buffers, pooledBytes: this.idleBytes };
  }

  destroy(): void {
    for (const memory of this.all) memory.gpu.destroy();
    this.all.clear();
    this.idle.clear();
    this.behind.clear();
    this.free.clear();
    this.idleBytes = 0;
  }

  private drop(memory: Memory): void {
    if (memory.partner?.partner === memory) memory.partner.partner = undefined;
    this.all.delete(memory);
    this.discard(memory);
  }

  private create(size: number): Memory {
    const { value: gpu, error } = guarded(this.device, `making a buffer of ${size} bytes`, () =>
      this.device.createBuffer({ size, usage: STORAGE | COPY_SRC | COPY_DST }),
    );
    this.counters.buffers++;
    const memory = this.remember(gpu, size, error, false);
    this.all.add(memory);
    return memory;
  }

  private remember(
    gpu: GPUBuffer,
    size: number,
    error: Promise<TensorloomError | undefined>,
    foreign: boolean,
  ): Memory {
    const id = this.nextId++;
    const memory: Memory = { id, gpu, size, partner: undefined, ready: undefined, error: undefined, foreign };
    memory.ready = error.then((failed) => {
      memory.ready = undefined;
      memory.error = failed;
    });
    return memory;
  }
}

/** Buffers that the host reads from. */
export class Staging {
  private readonly free = new Map<number, GPUBuffer[]>();

  constructor(
    private readonly device: GPUDevice,
    private readonly counters: Counters,
  ) {}

  take(bytes: number): GPUBuffer {
    const size = sizeClass(bytes, Number.POSITIVE_INFINITY);
    const kept = this.free.get(size)?.pop();
    if (kept) return kept;
    this.counters.buffers++;
    return this.device.createBuffer({ size, usage: MAP_READ | COPY_DST });
  }

  give(buffer: GPUBuffer): void {
    const list = this.free.get(buffer.size) ?? [];
    this.free.set(buffer.size, list);
    if (list.length < 4) list.push(buffer);
    else buffer.destroy();
  }

  destroy(): void {
    for (const list of this.free.values()) for (const buffer of list) buffer.destroy();
    this.free.clear();
  }
}
