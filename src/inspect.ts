import { currentDevice, type Device } from './tensor/device.ts';
import { scoped } from './tensor/scope.ts';
import { type Cell, liveTensors, type Tensor } from './tensor/tensor.ts';

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
 * The plan that would run if the open scopes ended now and kept this tensor: kernels, what was fused into each, bytes and buffers.
 * Outside a scope every tensor that nobody disposed is kept as well.
 *
 * @throws DisposedError when the tensor is gone.
 * @example
 * ```ts
 * tl.tidy(() => console.log(tl.explain(tl.rand([8, 8]).mul(2).sum())));
 * ```
 */
export function explain(tensor: Tensor): string {
  tensor.alive('explain');
  const ending = new Map<Cell, number>();
  for (const t of scoped()) if (t !== tensor) ending.set(t.cell, (ending.get(t.cell) ?? 0) + 1);
  const loose = [...ending].filter(([cell, handles]) => handles === cell.handles).map(([cell]) => cell.node);
  for (const node of loose) node.holders--;
  try {
    return tensor.device.engine.explain();
  } finally {
    for (const node of loose) node.holders++;
  }
}
