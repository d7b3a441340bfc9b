import type { DType } from '../../core/dtype.ts';
import { DeviceError } from '../../core/errors.ts';
import type { Kernel } from '../../ir/kernel.ts';
import type { Backend, BackendLimits, Batch, Buffer, MemoryUse, Numbers, Program, Readback } from '../backend.ts';
import { HostClock } from '../clock.ts';
import { assemble, FunctionBuilder, op } from './assembler.ts';
import { CustomProgram } from './custom.ts';
import { DenseProgram } from './dense.ts';
import { type Block, Heap, MAXIMUM_PAGES } from './heap.ts';
import { GemmKernels, MatmulProgram } from './matmul.ts';
import { LoopProgram, Modules, type Runnable } from './program.ts';
import { scanProgram } from './scan.ts';
import { ScatterProgram } from './scatter.ts';
import { SortProgram } from './sort.ts';
import { STATUS } from './values.ts';

class CpuBuffer implements Buffer {
  released = false;

  constructor(
    readonly id: number,
    readonly bytes: number,
    readonly block: Block,
  ) {}
}

class CpuProgram implements Program {
  constructor(
    readonly kernel: Kernel,
    readonly code: Runnable,
  ) {}
}

/** Bytes at the start of the memory that hold the status word. */
const RESERVED = 64;

/** Runs kernels at once, on one thread, as WebAssembly SIMD that is emitted from their expressions. */
export class CpuBackend implements Backend {
  readonly name = 'cpu';
  readonly description = 'WebAssembly SIMD, one thread';
  readonly precision = 'float32';
  readonly halves = false;
  readonly clock: HostClock = new HostClock();
  readonly limits: BackendLimits = { bindings: 64, bufferBytes: 2 ** 31 };
  private readonly heap: Heap;
  private readonly modules: Modules;
  private readonly gemm: GemmKernels;
  private readonly programs = new WeakMap<Kernel, CpuProgram>();
  private nextId = 1;
  private bytes = 0;
  private buffers = 0;

  constructor(maximumPages: number = MAXIMUM_PAGES) {
    this.heap = new Heap(RESERVED, maximumPages);
    this.modules = new Modules(this.heap);
    this.gemm = new GemmKernels(this.modules);
  }

  /** Modules compiled so far: a kernel with the structure of an earlier one compiles nothing. */
  get compiled(): number {
    return this.modules.compiled;
  }

  allocate(bytes: number): Buffer {
    const block = this.heap.take(bytes);
    this.bytes += bytes;
    this.buffers++;
    return new CpuBuffer(this.nextId++, bytes, block);
  }

  release(buffer: Buffer): void {
    const own = buffer as CpuBuffer;
    if (own.released) throw new Error(`buffer ${buffer.id} was released before`);
    own.released = true;
    this.bytes -= buffer.bytes;
    this.buffers--;
    this.heap.give(own.block);
  }

  prepare(kernel: Kernel): Program {
    let program = this.programs.get(kernel);
    if (!program) {
      program = new CpuProgram(kernel, this.code(kernel));
      this.programs.set(kernel, program);
    }
    return program;
  }

  private code(kernel: Kernel): Runnable {
    switch (kernel.kind) {
      case 'matmul':
        return new MatmulProgram(this.gemm, kernel);
      case 'scan':
        return scanProgram(this.modules, kernel);
      case 'sort':
        return new SortProgram(this.modules, kernel);
      case 'scatter':
        return new ScatterProgram(this.modules, kernel);
      case 'dense':
        return new DenseProgram(kernel);
      case 'custom':
        return new CustomProgram(kernel);
      default:
        return new LoopProgram(this.modules, kernel);
    }
  }

  submit({ uploads, launches }: Batch): undefined {
    let need = 0;
    for (const { program } of launches) need = Math.max(need, (program as CpuProgram).code.scratch);
    const scratch = need > 0 ? this.heap.take(need) : null;
    try {
      for (const { buffer, data } of uploads) this.upload(buffer as CpuBuffer, data);
      for (const { program, buffers, scalars, label } of launches) {
        const addresses = buffers.map((b) => (b as CpuBuffer).block.address);
        this.clock.run(label, () =>
          (program as CpuProgram).code.launch(this.heap, addresses, scalars, scratch?.address ?? 0),
        );
      }
    } finally {
      if (scratch) this.heap.give(scratch);
    }
  }

  private upload({ block }: CpuBuffer, data: Numbers): void {
    const { heap } = this;
    const { i32, u32, i8, u8, f32 } = heap;
    const view = [i32, u32, i8, u8].find((v) => data instanceof v.constructor) ?? f32;
    view.set(data, block.address / view.BYTES_PER_ELEMENT);
  }

  private takeStatus(): number {
    const { i32 } = this.heap;
    const status = i32[STATUS / 4]!;
    i32[STATUS / 4] = 0;
    return status;
  }

  readSync(buffer: Buffer, dtype: DType, offset: number, length: number): Readback {
    const { address } = (buffer as CpuBuffer).block;
    return { data: this.heap.view(dtype, address, offset, length).slice(), status: this.takeStatus() };
  }

  async read(buffer: Buffer, dtype: DType, offset: number, length: number): Promise<Readback> {
    return this.readSync(buffer, dtype, offset, length);
  }

  async sync(): Promise<number> {
    return this.takeStatus();
  }

  memory(): MemoryUse {
    return { bytes: this.bytes, buffers: this.buffers, pooledBytes: this.heap.bytes - this.heap.used };
  }

  destroy(): void {}
}

/** Throws where WebAssembly, its SIMD instructions or the right to compile are missing. */
function requireSimd(): void {
  try {
    const probe = new FunctionBuilder('probe', 0);
    probe.splat(0);
    probe.op(op.drop);
    new WebAssembly.Module(assemble([probe], 1));
  } catch (cause) {
    throw new DeviceError(
      `The CPU backend needs WebAssembly with SIMD, and the right to compile it (a page with a content security policy must allow 'wasm-unsafe-eval'): ${cause}`,
      { cause },
    );
  }
}

/** The CPU backend, or a DeviceError where the environment cannot run it. */
export async function createCpuBackend(options: { readonly maximumPages?: number } = {}): Promise<CpuBackend> {
  requireSimd();
  return new CpuBackend(options.maximumPages);
}
