// Counts calls of WebGPU on its own objects, independently of what the library counts about itself.

/** Calls made so far; `pipelines` of both kinds of creation, `bytesWritten` by `queue.writeBuffer`. */
export interface Calls {
  dispatches: number;
  passes: number;
  encoders: number;
  submits: number;
  bindGroups: number;
  buffers: number;
  pipelines: number;
  shaderModules: number;
  writeBuffer: number;
  bytesWritten: number;
  copies: number;
  maps: number;
}

const none = (): Calls => ({
  dispatches: 0,
  passes: 0,
  encoders: 0,
  submits: 0,
  bindGroups: 0,
  buffers: 0,
  pipelines: 0,
  shaderModules: 0,
  writeBuffer: 0,
  bytesWritten: 0,
  copies: 0,
  maps: 0,
});

/** Bytes of the buffers that are not destroyed, of all kinds. One that is left to the garbage collector counts as live. */
export interface LiveBytes {
  now: number;
  /** The most since it was last set. */
  peak: number;
}

type Method = (this: unknown, ...args: unknown[]) => unknown;

/** Replaces a method of one object by one that reports the call, and its result, first. */
function wrap<T extends object>(
  target: T,
  name: keyof T & string,
  seen: (result: unknown, args: unknown[]) => void,
): void {
  const original = target[name] as Method;
  Object.defineProperty(target, name, {
    configurable: true,
    writable: true,
    value: (...args: unknown[]): unknown => {
      const result = original.apply(target, args);
      seen(result, args);
      return result;
    },
  });
}

/** Counts what is called on a device from now on, while `counting.on`. */
function countCalls(device: GPUDevice, calls: Calls, bytes: LiveBytes, counting: { readonly on: boolean }): void {
  const watch = <T extends object>(target: T, name: keyof T & string, seen: Parameters<typeof wrap<T>>[2]): void =>
    wrap(target, name, (result, args) => {
      if (counting.on) seen(result, args);
    });
  const count = (name: keyof Calls) => (): void => {
    calls[name]++;
  };
  watch(device, 'createBindGroup', count('bindGroups'));
  watch(device, 'createShaderModule', count('shaderModules'));
  watch(device, 'createComputePipeline', count('pipelines'));
  watch(device, 'createComputePipelineAsync', count('pipelines'));
  wrap(device, 'createBuffer', (made) => {
    const buffer = made as GPUBuffer;
    if (counting.on) calls.buffers++;
    watch(buffer, 'mapAsync', count('maps'));
    let { size } = buffer;
    bytes.now += size;
    bytes.peak = Math.max(bytes.peak, bytes.now);
    wrap(buffer, 'destroy', () => {
      bytes.now -= size;
      size = 0;
    });
  });
  watch(device, 'createCommandEncoder', (result) => {
    calls.encoders++;
    const encoder = result as GPUCommandEncoder;
    watch(encoder, 'copyBufferToBuffer', count('copies'));
    watch(encoder, 'beginComputePass', (pass) => {
      calls.passes++;
      watch(pass as GPUComputePassEncoder, 'dispatchWorkgroups', count('dispatches'));
      watch(pass as GPUComputePassEncoder, 'dispatchWorkgroupsIndirect', count('dispatches'));
    });
  });
  watch(device.queue, 'submit', count('submits'));
  watch(device.queue, 'writeBuffer', (_, [, , data, , size]) => {
    calls.writeBuffer++;
    const view = data as ArrayBufferView & { readonly BYTES_PER_ELEMENT?: number };
    calls.bytesWritten += typeof size === 'number' ? size * (view.BYTES_PER_ELEMENT ?? 1) : view.byteLength;
  });
}

/** What was called between two moments. */
export function between(before: Calls, after: Calls): Calls {
  const out = none();
  for (const name of Object.keys(out) as (keyof Calls)[]) out[name] = after[name] - before[name];
  return out;
}

export interface CountedGPU {
  readonly gpu: GPU;
  /** The calls so far on all devices that were got from it. */
  readonly calls: () => Calls;
  /** Off: nothing is counted, and next to nothing is added to what calls take. */
  readonly counting: { on: boolean };
  /** Of all devices that were got from it; followed at all times. */
  readonly bytes: LiveBytes;
}

/** A GPU whose calls are counted. */
export function counted(gpu: GPU): CountedGPU {
  const calls = none();
  const counting = { on: true };
  const bytes = { now: 0, peak: 0 };
  const requestAdapter = async (options?: GPURequestAdapterOptions): Promise<GPUAdapter | null> => {
    const adapter = await gpu.requestAdapter(options);
    if (!adapter) return null;
    const requestDevice = adapter.requestDevice.bind(adapter);
    Object.defineProperty(adapter, 'requestDevice', {
      value: async (descriptor?: GPUDeviceDescriptor): Promise<GPUDevice> => {
        const device = await requestDevice(descriptor);
        countCalls(device, calls, bytes, counting);
        return device;
      },
    });
    return adapter;
  };
  const proxy = new Proxy(gpu, {
    get: (target, name) => {
      if (name === 'requestAdapter') return requestAdapter;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { gpu: proxy, calls: () => ({ ...calls }), counting, bytes };
}
