import { ARRAYS, bytesOf, type DType, widthOf } from '../../core/dtype.ts';
import { DeviceError, DeviceLostError, type TensorloomError } from '../../core/errors.ts';
import { halfBits, halfValue } from '../../core/float16.ts';
import type { Kernel } from '../../ir/kernel.ts';
import type {
  Backend,
  BackendLimits,
  Batch,
  Buffer,
  MemoryUse,
  Numbers,
  Program,
  Readback,
  Sharing,
} from '../backend.ts';
import type { Tuner } from '../tuning.ts';
import { GPUClock } from './clock.ts';
import { COPY_SRC, type Counters, MAP_MODE_READ, STORAGE } from './constants.ts';
import { describe, type OpenDevice, openDevice, subgroupLanes, type WebGPUOptions } from './device.ts';
import { Encoder, type Job } from './encoder.ts';
import { Pipelines } from './pipelines.ts';
import { type DeviceBuffer, type Memory, memoryOf, Pool, Staging } from './pool.ts';
import { Programs, type WebGPUProgram } from './programs.ts';
import { OrderedQueue } from './queue.ts';
import { guarded } from './scopes.ts';

export type { Counters } from './constants.ts';
export type { WebGPUOptions } from './device.ts';

type Upload = { readonly memory: Memory; readonly data: Numbers | Uint16Array };

/** Copied, or as float32 where it is not yet. */
const hostCopy = (data: Upload['data']): Upload['data'] =>
  data instanceof Float64Array ? Float32Array.from(data) : data.slice();

/** Bytes in whole words, as a device takes them. */
function inWords(data: Numbers): Numbers {
  if (data.byteLength % 4 === 0) return data;
  const out = new Uint8Array(4 * Math.ceil(data.byteLength / 4));
  out.set(data);
  return out;
}

/** The bits of float16, in whole words. */
function halvesOf(data: Numbers): Uint16Array {
  const out = new Uint16Array(bytesOf('float16', data.length) / 2);
  for (let i = 0; i < data.length; i++) out[i] = halfBits(data[i]!);
  return out;
}

class WebGPUBackend implements Backend {
  readonly name = 'webgpu';
  readonly precision = 'float32';
  readonly halves: boolean;
  readonly description: string;
  readonly limits: BackendLimits;
  readonly sharing: Sharing | undefined;
  readonly clock: GPUClock | undefined;
  readonly adapterInfo: GPUAdapterInfo;
  readonly isSoftware: boolean;
  /** Resolves when the device is lost or destroyed. */
  readonly lost: Promise<DeviceLostError>;
  readonly counters: Counters = { dispatches: 0, passes: 0, submits: 0, bindGroups: 0, buffers: 0, pipelines: 0 };

  private readonly device: GPUDevice;
  private readonly owned: boolean;
  private readonly queue = new OrderedQueue();
  private readonly pool: Pool;
  private readonly staging: Staging;
  private readonly status: DeviceBuffer;
  private readonly encoder: Encoder;
  private readonly programs: Programs;
  private measuring: Tuner | undefined;
  /** What the device reported outside of any error scope; the next read or sync rejects with it. */
  private uncaptured: TensorloomError | undefined;
  private announceLoss: (error: DeviceLostError) => void = () => {};

  constructor(open: OpenDevice, variants: 'software' | 'hardware') {
    const { device, info, isSoftware, owned } = open;
    this.device = device;
    this.owned = owned;
    this.adapterInfo = info;
    this.isSoftware = isSoftware;
    this.description = describe(open);
    const bufferBytes = Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize);
    this.halves = device.features.has('shader-f16');
    this.limits = { bindings: device.limits.maxStorageBuffersPerShaderStage - 1, bufferBytes };
    this.clock = device.features.has('timestamp-query') ? new GPUClock(device, this.queue) : undefined;
    this.sharing = owned
      ? undefined
      : { adopt: (gpu, bytes) => this.adopt(gpu, bytes), lend: (buffer) => this.lend(buffer) };
    this.pool = new Pool(device, bufferBytes, this.counters, (memory) => this.discard(memory));
    this.staging = new Staging(device, this.counters);
    this.status = this.pool.allocate(4);
    this.encoder = new Encoder(device, memoryOf(this.status), this.counters);
    this.programs = new Programs(new Pipelines(device, this.counters), {
      software: variants === 'software',
      lanes: subgroupLanes(device, info),
    });
    this.lost = new Promise((resolve) => {
      this.announceLoss = resolve;
    });
    void device.lost.then(({ reason, message }) =>
      this.die(
        new DeviceLostError(`the WebGPU device was ${reason === 'destroyed' ? 'destroyed' : 'lost'}: ${message}`),
      ),
    );
    if (owned)
      device.addEventListener('uncapturederror', (event) => {
        this.uncaptured ??= new DeviceError(`WebGPU: ${event.error.message}`);
      });
  }

  allocate(bytes: number, prefer?: number): Buffer {
    if (this.queue.error) throw this.queue.error;
    return this.pool.allocate(bytes, prefer);
  }

  release(buffer: Buffer): void {
    if (!this.queue.error) this.pool.release(buffer as DeviceBuffer);
  }

  private adopt(gpu: GPUBuffer, bytes: number): Buffer {
    if (this.queue.error) throw this.queue.error;
    const refuse = (why: string): never => {
      throw new DeviceError(`fromGPUBuffer: the buffer ${why}`);
    };
    if ((gpu.usage & STORAGE) === 0 || (gpu.usage & COPY_SRC) === 0)
      refuse(`has the usage flags ${gpu.usage}; make it with STORAGE | COPY_SRC, which kernels and reads need`);
    if (gpu.mapState !== 'unmapped') refuse(`is mapped; call its unmap() first`);
    if (bytes > this.limits.bufferBytes)
      refuse(`is to hold ${bytes} bytes, more than the ${this.limits.bufferBytes} that this WebGPU device can bind`);
    const { error } = guarded(this.device, 'fromGPUBuffer: the buffer is of another GPUDevice, or destroyed', () => {
      // Both are found where commands that use it are submitted.
      const encoder = this.device.createCommandEncoder();
      encoder.copyBufferToBuffer(gpu, 0, memoryOf(this.status).gpu, 0, 0);
      this.device.queue.submit([encoder.finish()]);
    });
    return this.pool.adopt(gpu, bytes, error);
  }

  private async lend(buffer: Buffer): Promise<GPUBuffer> {
    const memory = memoryOf(buffer);
    return this.queue.run(memory.ready ? [memory.ready] : [], () => {
      if (memory.error) throw memory.error;
      return memory.gpu;
    });
  }

  async tuner(): Promise<Tuner> {
    const { GPUTuner } = await import('./tuner.ts');
    this.measuring ??= new GPUTuner(this.device, this.adapterInfo, this.programs, this.queue, this);
    return this.measuring;
  }

  prepare(kernel: Kernel): Program {
    if (this.queue.error) throw this.queue.error;
    return this.programs.make(kernel);
  }

  submit({ uploads, launches }: Batch): Promise<void> | undefined {
    const waits: Promise<void>[] = [];
    const use = (buffer: Buffer): Memory => {
      const memory = memoryOf(buffer);
      if (memory.ready) waits.push(memory.ready);
      return memory;
    };
    const copies: Upload[] = uploads.map(({ buffer, data, halves }) => ({
      memory: use(buffer),
      data: halves ? halvesOf(data) : inWords(data),
    }));
    const jobs: Job[] = [];
    for (const { program: launched, buffers, scalars, label } of launches) {
      const program = launched as WebGPUProgram;
      this.programs.watcher?.(program.kernel);
      const scratch: DeviceBuffer[] = [];
      try {
        for (const bytes of program.scratch) scratch.push(this.pool.allocate(bytes));
        for (const step of program.steps) {
          if (step.pipeline.ready) waits.push(step.pipeline.ready);
          const memories: Memory[] = [];
          for (const from of step.buffers)
            memories.push(use(typeof from === 'number' ? buffers[from]! : scratch[from.scratch]!));
          jobs.push({ step, memories, scalars, label });
        }
      } finally {
        // At once: what is submitted later may have it. In this order, so that the next launch gets the same.
        for (const buffer of scratch.reverse()) this.pool.release(buffer);
      }
    }
    const work = { copies, jobs };
    let inCall = true;
    const outcome = this.queue.run([...new Set(waits)], () => this.execute(inCall ? work : kept!));
    inCall = false;
    if (outcome === undefined) return undefined;
    // It waits: the caller may change the bytes and the scalars from now on.
    const kept: typeof work | undefined = {
      copies: copies.map(({ memory, data }) => ({ memory, data: hostCopy(data) })),
      jobs: jobs.map((job) => ({ ...job, scalars: job.scalars.slice() })),
    };
    outcome.catch(() => {});
    return outcome;
  }

  private execute({ copies, jobs }: { copies: readonly Upload[]; jobs: readonly Job[] }): Promise<void> | undefined {
    for (const { memory } of copies) if (memory.error) throw memory.error;
    // Whatever becomes of the jobs: tensors that others use are among what is uploaded.
    this.upload(copies);
    if (jobs.length === 0) return undefined;
    for (const { step, memories, label } of jobs) {
      let { error } = step.pipeline;
      for (const memory of memories) error ??= memory.error;
      if (error) throw new (error.constructor as typeof DeviceError)(`${label}: ${error.message}`);
    }
    if (this.encoder.isWarm(jobs)) {
      this.send(jobs);
      return undefined;
    }
    const labels = [...new Set(jobs.map((job) => job.label))].join(', ');
    const { error } = guarded(this.device, labels, () => this.send(jobs));
    return error.then((failed) => {
      if (failed) throw failed;
    });
  }

  private upload(copies: readonly Upload[]): void {
    const { queue } = this.device;
    for (const { memory, data } of copies)
      if (data.length > 0)
        queue.writeBuffer(
          memory.gpu,
          0,
          (data instanceof Float64Array ? hostCopy(data) : data) as GPUAllowSharedBufferSource,
        );
  }

  private send(jobs: readonly Job[]): void {
    const encoder = this.device.createCommandEncoder();
    this.encoder.encode(encoder, jobs, this.clock);
    this.device.queue.submit([encoder.finish()]);
    this.counters.submits++;
  }

  async read(buffer: Buffer, dtype: DType, offset: number, length: number): Promise<Readback> {
    const memory = memoryOf(buffer);
    const waits = memory.ready ? [memory.ready] : [];
    return this.queue.run(waits, () => this.fetch(memory, dtype, offset, length));
  }

  async sync(): Promise<number> {
    const { status } = await this.queue.run([], () => this.fetch(undefined, 'uint32', 0, 0));
    return status;
  }

  /** Copies the status word and elements of a memory for the host, and resets the former. */
  private async fetch(memory: Memory | undefined, dtype: DType, offset: number, length: number): Promise<Readback> {
    if (memory?.error) throw memory.error;
    // Copies are of whole words: from the one that holds the first element to the one that holds the last.
    const width = widthOf(dtype);
    const skipped = (offset * width) % 4;
    const bytes = 4 * Math.ceil((skipped + length * width) / 4);
    const staging = this.staging.take(4 + bytes);
    const word = memoryOf(this.status).gpu;
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(word, 0, staging, 0, 4);
    encoder.clearBuffer(word, 0, 4);
    if (memory && length > 0) encoder.copyBufferToBuffer(memory.gpu, offset * width - skipped, staging, 4, bytes);
    this.device.queue.submit([encoder.finish()]);
    this.counters.submits++;
    try {
      await this.queue.unlessDead(staging.mapAsync(MAP_MODE_READ, 0, 4 + bytes));
    } catch (reason) {
      staging.destroy();
      throw this.queue.error ?? this.takeUncaptured() ?? new DeviceError(`reading failed: ${String(reason)}`);
    }
    const read = staging.getMappedRange(0, 4 + bytes).slice(0);
    staging.unmap();
    this.staging.give(staging);
    const failed = this.takeUncaptured();
    if (failed) throw failed;
    const [status = 0] = new Uint32Array(read, 0, 1);
    if (dtype === 'float16')
      return { data: Float32Array.from(new Uint16Array(read, 4 + skipped, length), halfValue), status };
    return { data: new ARRAYS[dtype](read, 4 + skipped, length), status };
  }

  memory(): MemoryUse {
    const { bytes, buffers, pooledBytes } = this.pool.use();
    return { bytes: bytes - this.status.bytes, buffers: buffers - 1, pooledBytes };
  }

  destroy(): void {
    if (this.queue.error) return;
    this.die(new DeviceLostError('the WebGPU device was destroyed'));
    this.encoder.destroy();
    this.clock?.forget();
    this.pool.destroy();
    this.staging.destroy();
    if (this.owned) this.device.destroy();
  }

  private die(error: DeviceLostError): void {
    this.queue.kill(error);
    this.announceLoss(error);
  }

  private takeUncaptured(): TensorloomError | undefined {
    const error = this.uncaptured;
    this.uncaptured = undefined;
    return error;
  }

  /** Destroys memory once nothing that waits to be submitted uses it. */
  private discard(memory: Memory): void {
    const result = this.queue.run([], () => {
      this.encoder.forget(memory);
      if (!memory.foreign) memory.gpu.destroy();
    });
    if (result) result.catch(() => {});
  }
}

export type { WebGPUBackend };

/** Opens a WebGPU device. Throws DeviceError where there is no adapter. */
export async function createWebGPUBackend(options: WebGPUOptions): Promise<WebGPUBackend> {
  const open = await openDevice(options);
  return new WebGPUBackend(open, options.variants ?? (open.isSoftware ? 'software' : 'hardware'));
}
