import type { DType } from '../core/dtype.ts';
import type { Kernel } from '../ir/kernel.ts';
import type { Clock } from './clock.ts';
import type { Tuner } from './tuning.ts';

/** Memory of a device. Owned by whoever allocated it until `release`; opaque otherwise. */
export interface Buffer {
  /** Unique for the life of the backend, also when the memory behind it is reused. */
  readonly id: number;
  readonly bytes: number;
}

/** A kernel made ready to run. Cached by the backend; holds no buffers. */
export interface Program {
  readonly kernel: Kernel;
}

/** One run of a program: a buffer for each binding and a value for each scalar of its kernel. */
export interface Launch {
  readonly program: Program;
  readonly buffers: readonly Buffer[];
  readonly scalars: readonly number[];
  /** The ops the kernel serves, for error messages and profiles. */
  readonly label: string;
}

/**
 * Elements on their way to or from a device. Bools travel as Uint32Array of 0 and 1, float16 as a Float32Array of rounded numbers,
 * int8 and uint8 as bytes; Float64Array only where `precision` is float64.
 */
export type Numbers = Float32Array | Int32Array | Uint32Array | Int8Array | Uint8Array | Float64Array;

/** Elements for a buffer. */
export interface Upload {
  readonly buffer: Buffer;
  readonly data: Numbers;
  /** They are of float16. */
  readonly halves?: boolean;
}

/** What one flush hands over: uploads happen first, then the launches in order. */
export interface Batch {
  readonly uploads: readonly Upload[];
  readonly launches: readonly Launch[];
}

/** A readback: the elements, and the status word, which reading resets (0, or the code of a failed index check). */
export interface Readback {
  readonly data: Numbers;
  readonly status: number;
}

export interface BackendLimits {
  /** Distinct buffers a kernel may bind. */
  readonly bindings: number;
  readonly bufferBytes: number;
}

export interface MemoryUse {
  /** Bytes and number of buffers handed out and not released. */
  readonly bytes: number;
  readonly buffers: number;
  /** Bytes kept for reuse. */
  readonly pooledBytes: number;
}

/** What a device offers that was made from a `GPUDevice` of the user's. */
export interface Sharing {
  /** The user's memory as a buffer, of which a release takes nothing away. Throws DeviceError where kernels cannot use it. */
  adopt(gpu: GPUBuffer, bytes: number): Buffer;
  /** The memory of a buffer, when all that was submitted before the call has gone to the device's queue. */
  lend(buffer: Buffer): Promise<GPUBuffer>;
}

/**
 * A device. Submits, reads and releases take effect in the order of the calls, whatever runs asynchronously inside: a
 * buffer that was released may be handed out again at once, because what uses it next is submitted later.
 */
export interface Backend {
  readonly name: 'reference' | 'cpu' | 'webgpu';
  /** For people: adapter, instruction set, precision. */
  readonly description: string;
  readonly limits: BackendLimits;
  /** What float32 tensors are computed in; float64 only on the reference backend. */
  readonly precision: 'float32' | 'float64';
  readonly sharing?: Sharing | undefined;
  /** Whether it stores float16. */
  readonly halves: boolean;
  /** Times launches, where the device can. */
  readonly clock: Clock | undefined;
  /** Loads what measures the variants of products, where there are any. */
  tuner?(): Promise<Tuner>;
  /**
   * A buffer of at least the given bytes (a multiple of 4; 0 is allowed), its content undefined. Throws OutOfMemoryError.
   * `prefer` is the id of the buffer that the caller had for this the last time, to be given again if it is free.
   */
  allocate(bytes: number, prefer?: number): Buffer;
  /** Gives a buffer back to the pool. Work submitted earlier still sees its content. */
  release(buffer: Buffer): void;
  /** Makes a program, or returns the cached one. May go on in the background: `submit` waits for it. */
  prepare(kernel: Kernel): Program;
  /**
   * Runs a batch: all of its launches or, on failure, none; uploads that the device says nothing against stay. Bytes of uploads are copied before it returns. Throws what is known
   * at once; the promise, where there is one, rejects with what the device says later.
   */
  submit(batch: Batch): Promise<void> | undefined;
  /** A copy of `length` elements from element `offset` on, as of now (after all that was submitted before the call). */
  read(buffer: Buffer, dtype: DType, offset: number, length: number): Promise<Readback>;
  /** The same at once, where the device can. */
  readSync?(buffer: Buffer, dtype: DType, offset: number, length: number): Readback;
  /** Resolves when all submitted work is done; the status word is read and reset. */
  sync(): Promise<number>;
  memory(): MemoryUse;
  /** Frees everything; pending reads reject with DeviceLostError. */
  destroy(): void;
}
