import type { Backend } from './backends/backend.ts';
import type { TuningTable } from './backends/tuning.ts';
import { DeviceError, UnsupportedError } from './core/errors.ts';
import { checkOptions } from './ops/record.ts';
import { Device, setDefaultDevice } from './tensor/device.ts';

/** Names that `init` and `device` take. */
export type DeviceName = 'auto' | 'webgpu' | 'cpu' | 'reference';

/** Options of `init` and `device`. */
export interface InitOptions {
  /** 'auto' unless given: hardware WebGPU if there is one, else the CPU. A software adapter only by the name 'webgpu'. */
  readonly device?: DeviceName | undefined;
  /** A WebGPU device of the page's own, to share buffers with its rendering. */
  readonly gpuDevice?: GPUDevice | undefined;
  /** What the reference device computes in; float32 unless given. */
  readonly precision?: 'float32' | 'float64' | undefined;
  /** WebGPU limits to ask for: the adapter's own, or the specification's defaults. */
  readonly limits?: 'adapter' | 'default' | undefined;
  /** Fuse ops into as few kernels as possible; true unless given. Off, every op is a kernel of its own. */
  readonly fusion?: boolean | undefined;
  /**
   * What `autotune` gave on an earlier run, or several such tables: the one that was measured on the adapter that is found holds from the
   * start. A warning says so where there is none for the adapter; devices other than WebGPU need none.
   */
  readonly tuning?: TuningTable | readonly TuningTable[] | undefined;
}

type FindGPU = () => Promise<GPU | null>;

// A page has WebGPU or not; Node's entry puts Dawn here.
let findGPU: FindGPU = async () => (typeof navigator === 'undefined' ? null : (navigator.gpu ?? null));

/** @internal Says where WebGPU comes from on this platform. */
export function provideGPU(find: FindGPU): void {
  findGPU = find;
}

async function webgpu(options: InitOptions): Promise<Backend & { readonly isSoftware: boolean }> {
  const gpu = await findGPU();
  if (!gpu)
    throw new DeviceError(
      "init: there is no WebGPU here; in Node install the optional package with `npm install webgpu`, in a browser use one that supports it, or pass { device: 'cpu' }",
    );
  const { createWebGPUBackend } = await import('./backends/webgpu/webgpu.ts');
  return createWebGPUBackend({
    gpu,
    ...(options.gpuDevice ? { device: options.gpuDevice } : {}),
    limits: options.limits ?? 'adapter',
  });
}

async function cpu(): Promise<{ backend: Backend; note: string }> {
  const { createCpuBackend } = await import('./backends/cpu/cpu.ts');
  try {
    return { backend: await createCpuBackend(), note: '' };
  } catch (error) {
    // Without code generation (a strict CSP) slow is better than nothing.
    const reason = error instanceof Error ? error.message : String(error);
    console.warn(
      `tensorloom: the CPU backend cannot run here (${reason}); using the slow reference backend. A page's CSP must allow 'wasm-unsafe-eval'.`,
    );
    return { backend: await reference({}), note: ' (in place of the CPU backend)' };
  }
}

async function reference(options: InitOptions): Promise<Backend> {
  const { ReferenceBackend } = await import('./backends/reference/reference.ts');
  return new ReferenceBackend(options.precision);
}

async function choose(options: InitOptions): Promise<Device> {
  const name = options.device ?? (options.gpuDevice ? 'webgpu' : 'auto');
  switch (name) {
    case 'webgpu':
      return new Device('webgpu', await webgpu(options), 'asked for by name');
    case 'cpu': {
      const { backend, note } = await cpu();
      return new Device(backend.name, backend, `asked for by name${note}`);
    }
    case 'reference':
      return new Device('reference', await reference(options), 'asked for by name');
    case 'auto': {
      let why = 'no WebGPU here';
      try {
        const backend = await webgpu(options);
        if (!backend.isSoftware) return new Device('webgpu', backend, 'a hardware WebGPU adapter is there');
        backend.destroy();
        why = 'the only WebGPU adapter is a software one, which is slower';
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error;
      }
      const { backend, note } = await cpu();
      return new Device(backend.name, backend, `${why}${note}`);
    }
    default:
      throw new UnsupportedError(
        `init: there is no device ${String(name)}; use 'auto', 'webgpu', 'cpu' or 'reference'`,
      );
  }
}

/**
 * Makes a device, without making it the default.
 *
 * @throws DeviceError when it is not there, saying what to do, and FormatError for a tuning table that is malformed or of another version.
 */
export async function device(name: DeviceName = 'auto', options: Omit<InitOptions, 'device'> = {}): Promise<Device> {
  checkOptions('device', options, ['gpuDevice', 'precision', 'limits', 'fusion', 'tuning']);
  const tables = options.tuning && (await import('./tuning.ts')).checkedTables(options.tuning);
  const made = await choose({ ...options, device: name });
  if (options.fusion === false) made.engine.fusion = false;
  await tables?.(made);
  return made;
}

/**
 * Finds a device and makes it the default; call it before any tensor is made.
 *
 * @returns the device; its `name`, `description` and `reason` say what was taken and why.
 * @throws DeviceError when the device asked for is not there, and FormatError for a tuning table that is malformed or of another version.
 * @example
 * ```ts
 * const device = await tl.init();
 * console.log(`${device.name}: ${device.description} (${device.reason})`);
 * ```
 */
export async function init(options: InitOptions = {}): Promise<Device> {
  checkOptions('init', options, ['device', 'gpuDevice', 'precision', 'limits', 'fusion', 'tuning']);
  const { device: name, ...rest } = options;
  const made = await device(name ?? (options.gpuDevice ? 'webgpu' : 'auto'), rest);
  setDefaultDevice(made);
  return made;
}
