import { isFloating } from '../core/dtype.ts';
import { DTypeError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { sameShape, showShape } from '../core/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { add, cast, div, logSigmoid, mul, ne, neg, square, sub } from './elementwise.ts';
import { where } from './functions.ts';
import { gather, indexSelect } from './gather.ts';
import { checkOptions, checkTensor, compose } from './record.ts';
import { logSoftmax, logsumexp, mean } from './reductions.ts';
import { inFloat32, movedim, reshape, squeeze, sum, unsqueeze } from './structure.ts';

/** How the losses of single elements become one: their mean, their sum, or not at all. */
export type LossReduction = 'mean' | 'sum' | 'none';

/** Options that every loss has. */
export interface LossOptions {
  /** 'mean' unless given. */
  readonly reduction?: LossReduction | undefined;
}

function reduceLoss(op: string, loss: Tensor, reduction: LossReduction): Tensor {
  switch (reduction) {
    case 'mean':
      return mean(loss);
    case 'sum':
      return sum(loss);
    case 'none':
      return loss;
    default:
      throw new UnsupportedError(`${op}: reduction ${String(reduction)} is unknown; use 'mean', 'sum' or 'none'`);
  }
}

function sameShapes(op: string, input: Tensor, target: Tensor): void {
  checkTensor(op, input);
  checkTensor(op, target);
  if (!sameShape(input.shape, target.shape))
    throw new ShapeError(
      `${op}: input ${showShape(input.shape)} and target ${showShape(target.shape)} must have the same shape; reshape one of them`,
    );
}

/** Squared differences (`F.mse_loss`). */
export function mseLoss(input: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  checkOptions('mseLoss', options, ['reduction']);
  sameShapes('mseLoss', input, target);
  return compose('mseLoss', () => reduceLoss('mseLoss', square(sub(input, target)), options.reduction ?? 'mean'));
}

/** Options of `binaryCrossEntropyWithLogits`. */
export interface BinaryCrossEntropyOptions extends LossOptions {
  /** A weight for each element; broadcasts. */
  readonly weight?: Tensor | undefined;
  /** A weight for positive examples; broadcasts. */
  readonly posWeight?: Tensor | undefined;
}

/** Binary cross-entropy of logits against targets in [0, 1], stable for logits of any size (`F.binary_cross_entropy_with_logits`). */
export function binaryCrossEntropyWithLogits(
  input: Tensor,
  target: Tensor,
  options: BinaryCrossEntropyOptions = {},
): Tensor {
  const op = 'binaryCrossEntropyWithLogits';
  checkOptions(op, options, ['reduction', 'weight', 'posWeight']);
  sameShapes(op, input, target);
  return compose(op, () => {
    const softplus = neg(logSigmoid(input));
    const positive = options.posWeight ? add(mul(sub(options.posWeight, 1), target), 1) : null;
    const loss = add(mul(sub(1, target), input), positive ? mul(positive, softplus) : softplus);
    return reduceLoss(op, options.weight ? mul(loss, options.weight) : loss, options.reduction ?? 'mean');
  });
}

/** Options of `crossEntropy`. */
export interface CrossEntropyOptions extends LossOptions {
  /** A weight for each class. */
  readonly weight?: Tensor | undefined;
  /** A label that does not count; -100 unless given. */
  readonly ignoreIndex?: number | undefined;
  /** The share of each target spread over all classes. */
  readonly labelSmoothing?: number | undefined;
}

/**
 * Cross-entropy of logits [N, C], [C] or [N, C, d1, …] against class indices (int32, of the shape without C) or probabilities
 * (floats, of the input's shape), as `F.cross_entropy`.
 *
 * @throws DTypeError when labels are not int32 and have not the input's shape.
 * @throws ShapeError when the shapes do not fit.
 * @throws IndexError at the next await, for a label outside 0 … C-1 that is not `ignoreIndex`.
 * @example
 * ```ts
 * const loss = tl.nn.functional.crossEntropy(tl.zeros([2, 10]), tl.tensor([3, 7], { dtype: 'int32' })); // log(10)
 * ```
 */
export function crossEntropy(input: Tensor, target: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const op = 'crossEntropy';
  checkOptions(op, options, ['reduction', 'weight', 'ignoreIndex', 'labelSmoothing']);
  const { reduction = 'mean', labelSmoothing: smoothing = 0, ignoreIndex = -100, weight } = options;
  if (!(smoothing >= 0 && smoothing <= 1))
    throw new UnsupportedError(`${op}: labelSmoothing ${smoothing} must lie in [0, 1]`);
  checkTensor(op, input);
  checkTensor(op, target);
  if (input.ndim === 0) throw new ShapeError(`${op}: the logits are a scalar; they need a dim of classes`);
  const classDim = input.ndim === 1 ? 0 : 1;
  const classes = input.shape[classDim]!;
  const labels = input.shape.filter((_, d) => d !== classDim);
  if (weight !== undefined) {
    checkTensor(op, weight);
    if (!sameShape(weight.shape, [classes]))
      throw new ShapeError(
        `${op}: a weight of shape ${showShape(weight.shape)} does not fit ${classes} classes; give one number for each, of shape [${classes}]`,
      );
  }
  const probabilities = isFloating(target.dtype) && sameShape(target.shape, input.shape);
  if (!probabilities && (isFloating(target.dtype) || target.dtype === 'bool'))
    throw new DTypeError(
      `${op}: labels of shape ${showShape(target.shape)} are ${target.dtype}; give class indices as int32, or probabilities of shape ${showShape(input.shape)}`,
    );
  if (!probabilities && !sameShape(target.shape, labels))
    throw new ShapeError(
      `${op}: logits ${showShape(input.shape)} need labels of shape ${showShape(labels)}, got ${showShape(target.shape)}`,
    );
  const loss = (input: Tensor, target: Tensor, weight?: Tensor): Tensor => {
    // Classes last: one row a label.
    const x = classDim === input.ndim - 1 ? input : movedim(input, classDim, -1);
    if (probabilities) {
      const goal = classDim === input.ndim - 1 ? target : movedim(target, classDim, -1);
      const wanted = smoothing > 0 ? add(mul(goal, 1 - smoothing), smoothing / classes) : goal;
      const logp = logSoftmax(x, -1);
      const each = neg(sum(mul(weight ? mul(logp, weight) : logp, wanted), { dim: -1 }));
      return reduction === 'mean' ? div(sum(each), each.size) : reduceLoss(op, each, reduction);
    }
    const counts = ne(target, ignoreIndex);
    const safe = cast(where(counts, target, 0), 'int32');
    const total = logsumexp(x, { dim: -1 });
    const own = sub(total, squeeze(gather(x, -1, unsqueeze(safe, -1)), -1));
    const classWeight = weight ? reshape(indexSelect(weight, 0, reshape(safe, [-1])), labels) : null;
    let each = classWeight ? mul(own, classWeight) : own;
    if (smoothing > 0) {
      const spread = weight
        ? sum(mul(sub(unsqueeze(total, -1), x), weight), { dim: -1 })
        : sub(mul(total, classes), sum(x, { dim: -1 }));
      each = add(mul(each, 1 - smoothing), mul(spread, smoothing / classes));
    }
    const counted = where(counts, each, 0);
    if (reduction !== 'mean') return reduceLoss(op, counted, reduction);
    const share = classWeight ? where(counts, classWeight, 0) : cast(counts, 'float32');
    return div(sum(counted), sum(share));
  };
  return compose(op, () => inFloat32(op, weight ? [input, target, weight] : [input, target], loss));
}
