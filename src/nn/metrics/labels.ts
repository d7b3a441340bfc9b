import { ShapeError, UnsupportedError } from '../../core/errors.ts';
import { sameShape, showShape } from '../../core/shape.ts';
import { cast, gt } from '../../ops/elementwise.ts';
import { checkOptions, describe } from '../../ops/record.ts';
import { argmax } from '../../ops/reductions.ts';
import { reshape } from '../../ops/structure.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/** Options of metrics of classes. */
export interface ClassOptions {
  /**
   * Take every output for an answer of its own, yes where it is above this: 0.5 for probabilities, 0 for logits. Targets have the
   * outputs' shape then, and mean yes above 0.5.
   */
  readonly threshold?: number | undefined;
}

/** @internal */
export function checkClassOptions(op: string, options: ClassOptions, more: readonly string[] = []): void {
  checkOptions(op, options, ['threshold', ...more]);
  const { threshold } = options;
  if (threshold !== undefined && !Number.isFinite(threshold))
    throw new UnsupportedError(
      `${op}: threshold is ${describe(threshold)}, but it must be a finite number, such as 0.5 for probabilities and 0 for logits`,
    );
}

/** @internal Answers and what was wanted, as class numbers in one row. */
export interface Labels {
  readonly predicted: Tensor;
  readonly actual: Tensor;
  readonly classes: number;
  /** Yes and no, 1 and 0. */
  readonly binary: boolean;
}

/** @internal Where the classes are among the dims of outputs. */
export const classDimOf = (prediction: Tensor): number => (prediction.ndim === 1 ? 0 : 1);

const row = (labels: Tensor): Tensor => reshape(cast(labels, 'int32'), [-1]);

/** @internal What outputs and targets say, by their shapes. */
export function labelsOf(op: string, prediction: Tensor, target: Tensor, threshold: number | undefined): Labels {
  const dim = classDimOf(prediction);
  const columns = prediction.shape[dim] ?? 1;
  if (threshold === undefined && target.ndim === prediction.ndim - 1) {
    const rest = prediction.shape.filter((_, d) => d !== dim);
    if (!sameShape(target.shape, rest))
      throw new ShapeError(
        `${op}: outputs ${showShape(prediction.shape)} need labels of shape ${showShape(rest)}, got ${showShape(target.shape)}`,
      );
    return { predicted: row(argmax(prediction, { dim })), actual: row(target), classes: columns, binary: false };
  }
  if (!sameShape(prediction.shape, target.shape))
    throw new ShapeError(
      `${op}: outputs ${showShape(prediction.shape)} do not fit targets ${showShape(target.shape)}; give class labels, or targets of the same shape`,
    );
  if (threshold !== undefined)
    return {
      predicted: row(gt(prediction, threshold)),
      actual: row(gt(cast(target, 'float32'), 0.5)),
      classes: 2,
      binary: true,
    };
  if (prediction.ndim > 1 && columns > 1)
    return {
      predicted: row(argmax(prediction, { dim })),
      actual: row(argmax(target, { dim })),
      classes: columns,
      binary: false,
    };
  throw new UnsupportedError(
    `${op}: it is not known whether the outputs are probabilities or logits; give { threshold: 0.5 } or { threshold: 0 }, in compile as a metric made with that option`,
  );
}
