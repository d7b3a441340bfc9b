import type { Failure } from '../engine/engine.ts';
import { template } from '../engine/node.ts';
import { select as choose, constant, index, load, loadAt } from '../ir/expr.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { currentOp, deviceOf, produce, reading, readingAt } from './record.ts';

/**
 * @internal A tensor of at least one dim, checked on the device: where `ok` does not hold it reads out of range, which gives 0 and ends
 * in the error of the failure at the next await. Without a gradient.
 */
export function guarded(op: string, x: Tensor, ok: Tensor, failure: Failure): Tensor {
  const device = deviceOf(op, [x, ok]);
  const at = [...x.shape.keys()].map(index);
  const outside = choose(load(1, 'bool'), at[0]!, constant(-1, 'int32'));
  return produce(device, op, x.dtype, x.shape, {
    template: template('map', loadAt(0, x.dtype, [outside, ...at.slice(1)]), ['int32']),
    space: x.shape,
    inputs: [readingAt(x, 0), reading(ok, x.shape)],
    scalars: [device.engine.checkCode(currentOp(op), failure)],
  });
}
