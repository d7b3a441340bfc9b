// The library as a machine for programs.
import type { Backend } from '../../src/backends/backend.ts';
import * as tl from '../../src/index.ts';
import { provideGPU } from '../../src/init.ts';
import { Device } from '../../src/tensor/device.ts';
import { gpu, type TestedDevice } from '../setup/devices.ts';
import { type Machine, type Reading, SYNCED } from './program.ts';
import * as unique from './unique.ts';

provideGPU(gpu);

/** A place to run programs: a backend, in float32 or float64, fused or one op a kernel. */
export interface Place {
  readonly name: string;
  readonly backend: Backend;
  readonly fusion: boolean;
  /** Fewer bindings than the backend has. */
  readonly bindings?: number;
}

/** What every WebGPU device has, less the status word. */
const FEWEST_BINDINGS = 7;

/** Backends for the whole run: they keep their programs. The first place is the plain one that others are compared with. */
export async function openPlaces(names: readonly TestedDevice[]): Promise<Place[]> {
  const places: Place[] = [];
  const both = (name: string, backend: Backend): void => {
    places.push({ name: `${name} unfused`, backend, fusion: false }, { name: `${name} fused`, backend, fusion: true });
  };
  if (names.includes('reference')) {
    const plain = (await tl.device('reference')).backend;
    places.push(
      { name: 'reference unfused', backend: plain, fusion: false },
      // The fused plans of a WebGPU device, without its pipelines.
      { name: 'reference fused', backend: plain, fusion: true, bindings: FEWEST_BINDINGS },
    );
    const { backend } = await tl.device('reference', { precision: 'float64' });
    places.push({ name: 'reference float64', backend, fusion: true });
  }
  if (names.includes('cpu')) both('cpu', (await tl.device('cpu')).backend);
  if (names.includes('webgpu')) both('webgpu', (await tl.device('webgpu')).backend);
  return places;
}

/** A backend that survives the devices made over it, and holds kernels to its bindings. */
function shared(b: Backend, bindings: number): Backend {
  return {
    name: b.name,
    description: b.description,
    limits: { ...b.limits, bindings },
    precision: b.precision,
    halves: b.halves,
    clock: b.clock,
    allocate: (bytes, prefer) => b.allocate(bytes, prefer),
    release: (buffer) => b.release(buffer),
    prepare: (kernel) => {
      if (kernel.bindings > bindings) throw new Error(`a kernel binds ${kernel.bindings} buffers of ${bindings}`);
      return b.prepare(kernel);
    },
    submit: (batch) => b.submit(batch),
    read: (buffer, dtype, offset, length) => b.read(buffer, dtype, offset, length),
    sync: () => b.sync(),
    memory: () => b.memory(),
    destroy: () => undefined,
  };
}

type Callable = (...args: unknown[]) => unknown;
const functions = { ...tl, ...tl.linalg, ...unique, norm: tl.norm } as unknown as Record<string, Callable | undefined>;

/** Tensors in what a function gives: one, several, or by name. */
function tensorsOf(result: unknown): tl.Tensor[] {
  if (result instanceof tl.Tensor) return [result];
  if (Array.isArray(result)) return result as tl.Tensor[];
  if (typeof result === 'object' && result !== null) return Object.values(result) as tl.Tensor[];
  return [];
}

/** A device of its own over a shared backend: plans do not pass from one program to another, so failures repeat alone. */
export class Library implements Machine<tl.Tensor, tl.Scope> {
  readonly device: Device;
  private readonly before: { bytes: number; buffers: number; tensors: number };

  constructor(place: Place) {
    const { name, limits } = place.backend;
    this.device = new Device(name, shared(place.backend, place.bindings ?? limits.bindings), 'for a program');
    this.device.engine.fusion = place.fusion;
    tl.setDefaultDevice(this.device);
    tl.manualSeed(0);
    this.before = this.memory();
  }

  private memory(): { bytes: number; buffers: number; tensors: number } {
    const { bytes, buffers, tensors } = tl.memory(this.device);
    return { bytes, buffers, tensors };
  }

  /** What is left of the program in memory, in words; empty if nothing is. */
  leaks(): string {
    const now = this.memory();
    return (['bytes', 'buffers', 'tensors'] as const)
      .filter((k) => now[k] !== this.before[k])
      .map((k) => `${now[k] - this.before[k]} ${k}`)
      .join(', ');
  }

  /** The device is done. */
  end(): void {
    this.device.destroy();
  }

  call(fn: string, args: readonly unknown[]): tl.Tensor[] {
    const f = functions[fn];
    if (f) return tensorsOf(f(...args));
    // Some are only methods.
    const [x, ...rest] = args;
    return tensorsOf((x as unknown as Record<string, Callable>)[fn]!(...rest));
  }

  async start(fn: string, args: readonly unknown[]): Promise<tl.Tensor[]> {
    return tensorsOf(await functions[fn]!(...args));
  }

  gradOf(h: tl.Tensor): tl.Tensor | null {
    return h.grad;
  }

  clearGrad(h: tl.Tensor): void {
    h.grad = null;
  }

  requiresGrad(h: tl.Tensor, on: boolean): void {
    h.requiresGrad = on;
  }

  dispose(h: tl.Tensor): void {
    h.dispose();
  }

  disposed(h: tl.Tensor): boolean {
    return h.disposed;
  }

  keep(h: tl.Tensor): void {
    tl.keep(h);
  }

  tidy(fn: () => readonly tl.Tensor[]): void {
    tl.tidy(fn);
  }

  noGrad(fn: () => void): void {
    tl.noGrad(fn);
  }

  open(): tl.Scope {
    return tl.scope();
  }

  run(scope: tl.Scope, fn: () => readonly tl.Tensor[]): void {
    scope.run(fn);
  }

  track(scope: tl.Scope, h: tl.Tensor): void {
    scope.track(h);
  }

  close(scope: tl.Scope): void {
    scope.dispose();
  }

  async read(h: tl.Tensor): Promise<Reading> {
    // Not data(): that rounds float64 to float32.
    const numbers = h.numbers('data');
    const { shape, dtype } = h;
    return { shape, dtype, data: await numbers };
  }

  async sync(): Promise<Reading> {
    await this.device.sync();
    return SYNCED;
  }
}
