import { DeviceError } from '../../core/errors.ts';

export interface WebGPUOptions {
  /** `navigator.gpu`, or what `create()` of the npm package `webgpu` gives; keep a reference to the latter. */
  readonly gpu: GPU;
  /** A device of your own; it is not destroyed with the backend. */
  readonly device?: GPUDevice;
  readonly forceFallbackAdapter?: boolean;
  /** `default`: the limits that WebGPU guarantees everywhere. `adapter` (the default): the adapter's own, where larger. */
  readonly limits?: 'default' | 'adapter';
  /** The kind of adapter that kernel variants are chosen for; by default the kind it is. For tests and measurements. */
  readonly variants?: 'software' | 'hardware';
}

export interface OpenDevice {
  readonly device: GPUDevice;
  readonly info: GPUAdapterInfo;
  /** True when the adapter computes on the CPU. */
  readonly isSoftware: boolean;
  /** False for the user's own device. */
  readonly owned: boolean;
}

const RAISED = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
] as const;
const MOST_STORAGE_BUFFERS = 16;
const FEATURES = ['timestamp-query', 'subgroups', 'shader-f16'] as const;

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|basic render|software/i;

const isSoftware = (info: GPUAdapterInfo): boolean =>
  info.isFallbackAdapter || SOFTWARE.test(`${info.vendor} ${info.architecture} ${info.device} ${info.description}`);

export async function openDevice(options: WebGPUOptions): Promise<OpenDevice> {
  if (options.device) {
    const { device } = options;
    return { device, info: device.adapterInfo, isSoftware: isSoftware(device.adapterInfo), owned: false };
  }
  const adapter = await options.gpu
    .requestAdapter({
      powerPreference: 'high-performance',
      ...(options.forceFallbackAdapter ? { forceFallbackAdapter: true } : {}),
    })
    .catch(() => null);
  if (!adapter) throw new DeviceError('no WebGPU adapter was found: check the graphics driver, or use another device');

  const requiredLimits: Record<string, number> = {};
  const requiredFeatures: GPUFeatureName[] = [];
  if (options.limits !== 'default') {
    for (const name of RAISED) requiredLimits[name] = adapter.limits[name];
    const buffers = adapter.limits.maxStorageBuffersPerShaderStage;
    requiredLimits.maxStorageBuffersPerShaderStage = Math.min(buffers, MOST_STORAGE_BUFFERS);
    for (const feature of FEATURES) if (adapter.features.has(feature)) requiredFeatures.push(feature);
  }
  const device = await adapter.requestDevice({ requiredLimits, requiredFeatures }).catch((reason: unknown) => {
    throw new DeviceError(`the WebGPU adapter gives no device: ${reason instanceof Error ? reason.message : reason}`);
  });
  return { device, info: adapter.info, isSoftware: isSoftware(adapter.info), owned: true };
}

export const describe = ({ info, isSoftware: software }: OpenDevice): string => {
  const names = [info.vendor, info.architecture, info.description || info.device].filter(Boolean);
  return `WebGPU on ${names.join(' ') || 'an unnamed adapter'}${software ? ' (software)' : ''}`;
};

/** The threads of a subgroup, where the device has them and they are always as many; else 0. */
export function subgroupLanes(device: GPUDevice, { subgroupMinSize = 0, subgroupMaxSize }: GPUAdapterInfo): number {
  return device.features.has('subgroups') && subgroupMinSize === subgroupMaxSize ? subgroupMinSize : 0;
}
