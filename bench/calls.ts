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

/** Counts what is called on a device from now on. */
export function countCalls(device: GPUDevice, calls: Calls = none()): Calls {
  const count = (name: keyof Calls) => (): void => {
    calls[name]++;
  };
  wrap(device, 'createBindGroup', count('bindGroups'));
  wrap(device, 'createShaderModule', count('shaderModules'));
  wrap(device, 'createComputePipeline', count('pipelines'));
  wrap(device, 'createComputePipelineAsync', count('pipelines'));
  wrap(device, 'createBuffer', (buffer) => {
    calls.buffers++;
    wrap(buffer as GPUBuffer, 'mapAsync', count('maps'));
  });
  wrap(device, 'createCommandEncoder', (result) => {
    calls.encoders++;
    const encoder = result as GPUCommandEncoder;
    wrap(encoder, 'copyBufferToBuffer', count('copies'));
    wrap(encoder, 'beginComputePass', (pass) => {
      calls.passes++;
      wrap(pass as GPUComputePassEncoder, 'dispatchWorkgroups', count('dispatches'));
      wrap(pass as GPUComputePassEncoder, 'dispatchWorkgroupsIndirect', count('dispatches'));
    });
  });
  wrap(device.queue, 'submit', count('submits'));
  wrap(device.queue, 'writeBuffer', (_, [, , data, , size]) => {
    calls.writeBuffer++;
    const view = data as ArrayBufferView & { readonly BYTES_PER_ELEMENT?: number };
    calls.bytesWritten += typeof size === 'number' ? size * (view.BYTES_PER_ELEMENT ?? 1) : view.byteLength;
  });
  return calls;
}

/** What was called between two moments. */
export function between(before: Calls, after: Calls): Calls {
  const out = none();
  for (const name of Object.keys(out) as (keyof Calls)[]) out[name] = after[name] - before[name];
  return out;
}

/** A GPU with the calls on all devices that are got from it. */
export function counted(gpu: GPU): { gpu: GPU; calls: () => Calls } {
  const calls = none();
  const requestAdapter = async (options?: GPURequestAdapterOptions): Promise<GPUAdapter | null> => {
    const adapter = await gpu.requestAdapter(options);
    if (!adapter) return null;
    const requestDevice = adapter.requestDevice.bind(adapter);
    Object.defineProperty(adapter, 'requestDevice', {
      value: async (descriptor?: GPUDeviceDescriptor): Promise<GPUDevice> => {
        const device = await requestDevice(descriptor);
        countCalls(device, calls);
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
  return { gpu: proxy, calls: () => ({ ...calls }) };
}
