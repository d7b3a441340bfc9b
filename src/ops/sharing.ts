import type { Sharing } from '../backends/backend.ts';
import { bytesOf, DTYPES, type DType, isDType, widthOf } from '../core/dtype.ts';
import { DeviceError, DTypeError, FormatError, ShapeError } from '../core/errors.ts';
import { checkShape, isContiguous, type Shape, showShape, sizeOf } from '../core/shape.ts';
import { Device, defaultDevice } from '../tensor/device.ts';
import { fromNode, type Tensor } from '../tensor/tensor.ts';
import { checkOptions, describe, deviceOf } from './record.ts';

/** Where the elements of a tensor lie in the memory of a `GPUDevice`. */
export interface GPUBufferRange {
  readonly buffer: GPUBuffer;
  /** The byte of the first element. */
  readonly offset: number;
  /** Bytes of all elements. */
  readonly size: number;
}

/** What `fromGPUBuffer` needs to know of a buffer. */
export interface GPUBufferOptions {
  readonly shape: Shape;
  /** float32 unless given. */
  readonly dtype?: DType | undefined;
  /** The default device unless given. */
  readonly device?: Device | undefined;
}

function sharingOf(op: string, device: Device): Sharing {
  const { sharing } = device.backend;
  if (!sharing)
    throw new DeviceError(
      `${op}: this ${device.name} device has no GPUDevice in common with you; make one with init({ gpuDevice }) and use its tensors`,
    );
  return sharing;
}

/**
 * The `GPUBuffer` that a tensor lies in, without a copy, for commands of your own: what is pending is computed first, and what you
 * submit to the queue after the await sees the elements, row by row: bools as u32 of 0 and 1, bytes and float16 packed. The buffer
 * has the usages STORAGE, COPY_SRC and COPY_DST. It stays as it is until the tensor and all views of its storage are disposed, or
 * one of them is asked again after an in-place op, which gives the tensor another buffer. Read it only, and do not destroy it.
 *
 * @returns the buffer, the byte of the first element, which a binding takes only as a multiple of 256, and the bytes of all.
 * @throws DeviceError for a device that was not made from a `GPUDevice` of yours.
 * @throws ShapeError for a view with gaps or in another order; `contiguous()` makes a tensor that has neither.
 * @example
 * ```ts
 * const { buffer, offset, size } = await x.gpuBuffer();
 * const encoder = gpuDevice.createCommandEncoder();
 * encoder.copyBufferToBuffer(buffer, offset, vertices, 0, size);
 * gpuDevice.queue.submit([encoder.finish()]);
 * ```
 */
export async function gpuBuffer(x: Tensor): Promise<GPUBufferRange> {
  const device = deviceOf('gpuBuffer', [x]);
  sharingOf('gpuBuffer', device);
  if (!isContiguous(x.view))
    throw new ShapeError(
      `gpuBuffer: a view of shape ${showShape(x.shape)} has gaps or another order than its storage; call contiguous() first`,
    );
  const width = widthOf(x.dtype);
  const [offset, size] = [x.view.offset * width, x.size * width];
  x.cell.lend();
  return { buffer: await device.engine.lend(x.node), offset, size };
}

/**
 * A tensor over the elements in a `GPUBuffer` of yours, without a copy. The buffer stays yours: no op writes to it, and it is never
 * destroyed here; an in-place op gives the tensor storage of its own. What reads the tensor reads what the buffer holds when the
 * device gets there, so await results, or `device.sync()`, before you write to the buffer or destroy it. Elements lie row by row
 * from its start: bools as u32 of 0 and 1, bytes and float16 packed.
 *
 * @throws DeviceError for a device that was not made from a `GPUDevice` of yours, and for a buffer that is mapped, too large to
 * bind, or without the usages STORAGE and COPY_SRC; where it is used, at the latest at the next await, for a buffer of another
 * `GPUDevice`, or a destroyed one.
 * @throws ShapeError when the buffer is smaller than the shape.
 * @example
 * ```ts
 * const positions = tl.fromGPUBuffer(vertices, { shape: [100, 3] });
 * const center = await positions.mean({ dim: 0 }).toArray();
 * ```
 */
export function fromGPUBuffer(buffer: GPUBuffer, options: GPUBufferOptions): Tensor {
  const op = 'fromGPUBuffer';
  checkOptions(op, options, ['shape', 'dtype', 'device']);
  const { shape, dtype = 'float32', device = defaultDevice(op) } = options;
  checkShape(op, shape);
  if (!isDType(dtype)) throw new DTypeError(`${op}: ${describe(dtype)} is no dtype; use ${DTYPES}`);
  if (!(device instanceof Device) || device.destroyed)
    throw new DeviceError(`${op}: device must be a Device that was not destroyed, as init() and device() give it`);
  const sharing = sharingOf(op, device);
  device.engine.checkDType(op, dtype);
  if (typeof buffer?.size !== 'number' || typeof buffer.usage !== 'number')
    throw new FormatError(`${op}: ${describe(buffer)} is no GPUBuffer; for elements on the host use tensor()`);
  // A binding has at least one word.
  const bytes = Math.max(4, bytesOf(dtype, sizeOf(shape)));
  if (buffer.size < bytes)
    throw new ShapeError(
      `${op}: a buffer of ${buffer.size} bytes does not hold the shape ${showShape(shape)} of ${dtype}, which takes ${bytes}`,
    );
  return fromNode(device, device.engine.adopt(dtype, sizeOf(shape), sharing.adopt(buffer, bytes), op), shape);
}
