import { currentDevice, type Device } from './tensor/device.ts';
import { liveTensors, type Tensor } from './tensor/tensor.ts';

/** What `memory` reports. */
export interface MemoryReport {
  /** Bytes on the device that tensors hold. */
  readonly bytes: number;
  /** Buffers that hold them. */
  readonly buffers: number;
  /** Bytes kept for reuse. */
  readonly pooledBytes: number;
  /** The most bytes that were held at once. */
  readonly peakBytes: number;
  /** Tensors that are not disposed, on all devices. */
  readonly tensors: number;
}

/** Memory of a device, the default one unless given. Before `init` there is none. */
export function memory(device: Device | null = currentDevice()): MemoryReport {
  if (!device) return { bytes: 0, buffers: 0, pooledBytes: 0, peakBytes: 0, tensors: liveTensors() };
  const { bytes, buffers, pooledBytes, peakBytes } = device.engine.memory();
  return { bytes, buffers, pooledBytes, peakBytes, tensors: liveTensors() };
}

/**
 * The plan that would compute what is pending now, this tensor included: kernels, what was fused into each, bytes and buffers.
 *
 * @example
 * ```ts
 * console.log(tl.explain(tl.rand([8, 8]).mul(2).sum()));
 * ```
 */
export function explain(tensor: Tensor): string {
  tensor.alive('explain');
  return tensor.device.engine.explain();
}
