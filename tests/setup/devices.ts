// Which devices to test here, and how to reach WebGPU; for tests and scripts, in Node and in the browser.
import { provideWaiting } from '../../src/backends/waiting.ts';

export type TestedDevice = 'reference' | 'cpu' | 'webgpu';

export const inBrowser: boolean = typeof window !== 'undefined';

// Vitest hands the variables on to the browser as import.meta.env.
const variables: Readonly<Record<string, string | undefined>> = inBrowser
  ? ((import.meta as { env?: Record<string, string | undefined> }).env ?? {})
  : process.env;

/** Whether WebGPU must work here: the test environment found an adapter. */
export const hasWebGPU: boolean = variables.TENSORLOOM_WEBGPU !== 'none';

/**
 * The devices that a test or script covers here: all three in Node, `webgpu` and `cpu` in the browser, without `webgpu`
 * where there is no adapter (an error in CI). `TENSORLOOM_DEVICES=cpu,webgpu` narrows them.
 */
export const devices: readonly TestedDevice[] = chooseDevices();

function chooseDevices(): TestedDevice[] {
  const all: TestedDevice[] = inBrowser ? ['webgpu', 'cpu'] : ['reference', 'cpu', 'webgpu'];
  const named = variables.TENSORLOOM_DEVICES?.split(',').map((name) => name.trim());
  for (const name of named ?? []) {
    if (name !== 'reference' && name !== 'cpu' && name !== 'webgpu') {
      throw new Error(`TENSORLOOM_DEVICES names '${name}'; it may name reference, cpu and webgpu, separated by commas`);
    }
  }
  return all.filter((device) => (device !== 'webgpu' || hasWebGPU) && (named?.includes(device) ?? true));
}

/** Whether devices get no more than WebGPU's default limits: `TENSORLOOM_LIMITS=default`. */
export const defaultLimits: boolean = variables.TENSORLOOM_LIMITS === 'default';

/**
 * The kernels that devices get, in place of those for the adapter: `TENSORLOOM_VARIANTS=hardware` those for GPUs, `registers` those for
 * software adapters without subgroups.
 */
export const variants: string | undefined = variables.TENSORLOOM_VARIANTS;
if (variants !== undefined && variants !== 'hardware' && variants !== 'registers')
  throw new Error(`TENSORLOOM_VARIANTS is '${variants}'; it may be hardware or registers`);

/** Whether tests that take long cover everything: `TENSORLOOM_EXHAUSTIVE=1`. */
export const exhaustive: boolean = Boolean(variables.TENSORLOOM_EXHAUSTIVE);

let found: Promise<GPU> | undefined;

/**
 * WebGPU's entry point: `navigator.gpu` in the browser, Dawn in Node, where WebGPU's constants become global too. There is
 * one for the whole process, and it is kept: Dawn would take its devices along when collected.
 */
export function gpu(): Promise<GPU> {
  found ??= (inBrowser ? browserGPU() : nodeGPU()).then((entry) => {
    const limited = defaultLimits ? changed(entry, modest) : entry;
    return variants ? changed(limited, variants === 'hardware' ? asHardware : withoutSubgroups) : limited;
  });
  return found;
}

/** Devices get the limits that WebGPU guarantees everywhere, whatever is asked for. */
function modest(adapter: GPUAdapter): void {
  const request = adapter.requestDevice.bind(adapter);
  Object.defineProperty(adapter, 'requestDevice', {
    value: (descriptor: GPUDeviceDescriptor = {}) => request({ ...descriptor, requiredLimits: {} }),
  });
}

/** The adapter does not say that it computes on the CPU. */
function asHardware(adapter: GPUAdapter): void {
  const { subgroupMinSize, subgroupMaxSize } = adapter.info;
  const info = {
    vendor: 'tests',
    architecture: 'any',
    device: '',
    description: 'taken for a GPU',
    isFallbackAdapter: false,
  };
  Object.defineProperty(adapter, 'info', { value: { ...info, subgroupMinSize, subgroupMaxSize } });
}

function withoutSubgroups(adapter: GPUAdapter): void {
  const features = new Set([...adapter.features].filter((name) => name !== 'subgroups'));
  Object.defineProperty(adapter, 'features', { value: features });
}

/** The same entry point with changed adapters. */
function changed(entry: GPU, change: (adapter: GPUAdapter) => void): GPU {
  return {
    requestAdapter: async (options?: GPURequestAdapterOptions) => {
      const adapter = await entry.requestAdapter(options);
      if (adapter) change(adapter);
      return adapter;
    },
    getPreferredCanvasFormat: () => entry.getPreferredCanvasFormat(),
    wgslLanguageFeatures: entry.wgslLanguageFeatures,
  } as GPU;
}

async function browserGPU(): Promise<GPU> {
  if (!navigator.gpu) throw new Error('This browser has no navigator.gpu');
  return navigator.gpu;
}

async function nodeGPU(): Promise<GPU> {
  // In a variable, so that Vite leaves the import alone in the browser's copy of this file.
  const name = 'webgpu';
  const { create, globals } = (await import(/* @vite-ignore */ name)) as typeof import('webgpu');
  Object.assign(globalThis, globals);
  // As the entry for Node does.
  provideWaiting((await import('../../src/pacing.ts')).pace);
  return create(['enable-dawn-features=vulkan_enable_f16_on_nvidia']);
}
