import { isFloating } from '../core/dtype.ts';
import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { sameShape, showShape, sizeOf } from '../core/shape.ts';
import { tensor } from '../ops/creation.ts';
import { cast, div, ge, gt, logicalAnd, lt, mul } from '../ops/elementwise.ts';
import { where } from '../ops/functions.ts';
import { indexSelect } from '../ops/gather.ts';
import { describe } from '../ops/record.ts';
import { argmax, mean } from '../ops/reductions.ts';
import { reshape, sum } from '../ops/structure.ts';
import type { Device } from '../tensor/device.ts';
import { keep } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Loss, LossFunction } from './metrics/named.ts';

/** Weights of classes, by their numbers; 1 where there is none (Keras `class_weight`). */
export type ClassWeight = Readonly<Record<number, number>> | readonly number[];

/** @internal A table of the weights of classes on a device, the last place for all others. To be disposed. */
export function classTable(op: string, weights: ClassWeight, device: Device | undefined): Tensor {
  if (typeof weights !== 'object' || weights === null)
    throw new UnsupportedError(
      `${op}: classWeight is ${describe(weights)}; give an object { class: weight }, such as { 0: 1, 1: 5 }, or an array`,
    );
  const pairs = Object.entries(weights);
  for (const [label, weight] of pairs) {
    if (!/^\d+$/.test(label))
      throw new UnsupportedError(`${op}: classWeight has a class ${label}; classes are whole numbers from 0`);
    if (!(Number.isFinite(weight) && weight >= 0))
      throw new UnsupportedError(
        `${op}: the weight of class ${label} is ${describe(weight)}, but it must be a finite number of at least 0`,
      );
  }
  const table = new Float32Array(pairs.reduce((n, [label]) => Math.max(n, Number(label) + 1), 0) + 1).fill(1);
  for (const [label, weight] of pairs) table[Number(label)] = weight;
  return keep(tensor(table, device ? { device } : {}));
}

/** The weight of each sample by its label: class numbers [N] or [N, 1], or one-hot rows [N, C]. */
function byClass(op: string, table: Tensor, y: Tensor): Tensor {
  const n = y.shape[0] ?? 0;
  const oneHot = y.ndim === 2 && y.shape[1] !== 1 && isFloating(y.dtype);
  if (!oneHot && y.size !== n)
    throw new ShapeError(
      `${op}: classWeight needs one label for each sample, and the targets are ${y.dtype} ${showShape(y.shape)}; give labels [N] or one-hot rows [N, C], or sampleWeight`,
    );
  const labels = oneHot ? argmax(y, { dim: 1 }) : reshape(cast(y, 'int32'), [n]);
  const others = table.size - 1;
  return indexSelect(table, 0, where(logicalAnd(ge(labels, 0), lt(labels, others)), labels, others));
}

/** @internal What each sample of a batch counts for, or null where all count the same. */
export function weightsOf(
  op: string,
  y: Tensor,
  sampleWeight: Tensor | undefined,
  table: Tensor | null,
): Tensor | null {
  const classes = table && byClass(op, table, y);
  if (!sampleWeight) return classes;
  if (!sameShape(sampleWeight.shape, y.shape.slice(0, 1)))
    throw new ShapeError(
      `${op}: sampleWeight ${showShape(sampleWeight.shape)} must have one number for each of the ${y.shape[0]} samples`,
    );
  const given = cast(sampleWeight, 'float32');
  return classes ? mul(given, classes) : given;
}

/** @internal A loss as a function, which gives one value a sample where it is asked to. */
export function lossFunction(loss: Loss): LossFunction | null {
  if (typeof loss === 'function') return loss;
  if (typeof loss?.forward !== 'function') return null;
  // The losses of nn stand for a function, and hold its options: the same one, with another reduction.
  const { options } = loss as { readonly options?: object };
  const single = { options: { value: { ...options, reduction: 'none' } } };
  const each = 'functional' in loss ? (Object.create(loss, single) as typeof loss) : loss;
  return (prediction, target, more) => (more ? each : loss).forward(prediction, target);
}

/** @internal The loss of a batch, and what it counts for among others. */
export interface BatchLoss {
  readonly value: Tensor;
  readonly weight: Tensor | number;
}

/** @internal The loss; with weights the weighted mean over samples, 0 where none counts. */
export function batchLoss(
  op: string,
  loss: LossFunction,
  prediction: Tensor,
  y: Tensor,
  weights: Tensor | null,
): BatchLoss {
  const n = y.shape[0] ?? 1;
  if (!weights) return { value: loss(prediction, y), weight: n };
  const each = loss(prediction, y, { reduction: 'none' });
  if (each.shape[0] !== n || each.ndim === 0)
    throw new ShapeError(
      `${op}: weights need the loss of every sample, and for { reduction: 'none' } the loss gave the shape ${showShape(each.shape)} for ${n} samples; use a loss of nn.functional, or a function that heeds its third argument`,
    );
  const rows = mean(reshape(each, [n, sizeOf(each.shape.slice(1))]), { dim: 1 });
  const weight = sum(weights);
  return { value: div(sum(mul(rows, weights)), where(gt(weight, 0), weight, 1)), weight };
}
