import { DTYPES, type DType, isDType } from '../core/dtype.ts';
import { DTypeError } from '../core/errors.ts';
import { Device } from '../tensor/device.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { tensor } from './creation.ts';
import { cast } from './elementwise.ts';
import { describe, deviceOf } from './record.ts';

/**
 * The tensor converted to a dtype (`torch.Tensor.to`): floats truncate to integers and saturate, anything that is
 * not 0 is true. int8 and uint8 keep the last eight bits of the int32: clamp first where values may be out of their range.
 *
 * @throws DTypeError for anything that is neither a dtype nor a device, and for float16 where the device does not have it.
 * @example
 * ```ts
 * const labels = tl.tensor([1.7, -1.7]).to('int32'); // [1, -1]
 * ```
 */
export function to(x: Tensor, dtype: DType): Tensor;
/** A copy of the tensor on another device. Its history stays behind: the copy is a leaf that requires a gradient if the tensor did. */
export function to(x: Tensor, device: Device): Promise<Tensor>;
export function to(x: Tensor, target: DType | Device): Tensor | Promise<Tensor> {
  if (isDType(target)) return cast(x, target);
  if (target instanceof Device) return moved(x, target);
  throw new DTypeError(`to: ${describe(target)} is neither a dtype nor a device; use ${DTYPES}, or what init() gives`);
}

async function moved(x: Tensor, device: Device): Promise<Tensor> {
  deviceOf('to', [x]);
  const { shape, dtype, requiresGrad } = x;
  device.engine.checkDType('to', dtype);
  const data = await x.numbers('to');
  return tensor(data, { shape, dtype, device, requiresGrad });
}
