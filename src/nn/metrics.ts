import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { sameShape, showShape } from '../core/shape.ts';
import { binaryCrossEntropy, binaryCrossEntropyWithLogits } from '../ops/classification.ts';
import { abs, cast, eq, gt, sub } from '../ops/elementwise.ts';
import { mseLoss } from '../ops/losses.ts';
import { compose, describe } from '../ops/record.ts';
import { argmax, mean } from '../ops/reductions.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Module } from './module.ts';

/** A loss: a scalar from predictions and targets. */
export type LossFunction = (prediction: Tensor, target: Tensor) => Tensor;

/** A loss as `compile` takes it: a function, or a module of prediction and target such as `nn.CrossEntropyLoss`. */
export type Loss = LossFunction | Module<readonly [Tensor, Tensor]>;

/** Metrics that `compile` knows by name. */
export type MetricName = 'accuracy' | 'mse' | 'mae';

/** A metric of one's own: a scalar, the mean over a batch's samples. Its name is the function's. */
export type MetricFunction = (prediction: Tensor, target: Tensor) => Tensor;

/**
 * The share of right predictions. Labels of a class [N] meet the largest of the outputs [N, C]; targets of the outputs' shape meet
 * a threshold (0 for logits, else 0.5), or the largest of several outputs.
 */
function accuracy(prediction: Tensor, target: Tensor, loss: Loss): Tensor {
  return compose('accuracy', () => {
    const share = (right: Tensor): Tensor => mean(cast(right, 'float32'));
    const classDim = prediction.ndim === 1 ? 0 : 1;
    if (target.ndim === prediction.ndim - 1)
      return share(eq(argmax(prediction, { dim: classDim }), cast(target, 'int32')));
    if (!sameShape(prediction.shape, target.shape))
      throw new ShapeError(
        `accuracy: outputs ${showShape(prediction.shape)} do not fit targets ${showShape(target.shape)}; give class labels, or targets of the same shape`,
      );
    const known = 'functional' in loss ? loss.functional : loss;
    const logits = known === binaryCrossEntropyWithLogits;
    if (logits || known === mseLoss || known === binaryCrossEntropy)
      return share(eq(gt(prediction, logits ? 0 : 0.5), gt(target, 0.5)));
    if (prediction.ndim > 1 && (prediction.shape[1] ?? 0) > 1)
      return share(eq(argmax(prediction, { dim: 1 }), argmax(target, { dim: 1 })));
    throw new UnsupportedError(
      "accuracy: of a loss of one's own it is not known whether the outputs are logits; pass a metric function in place of 'accuracy'",
    );
  });
}

/** @internal Metrics by name, as functions. */
export function metricsOf(metrics: readonly (MetricName | MetricFunction)[], loss: Loss): Map<string, MetricFunction> {
  const found = new Map<string, MetricFunction>();
  const known: Readonly<Record<MetricName, MetricFunction>> = {
    accuracy: (p, t) => accuracy(p, t, loss),
    mse: (p, t) => mseLoss(p, t),
    mae: (p, t) => compose('mae', () => mean(abs(sub(p, t)))),
  };
  metrics.forEach((metric, i) => {
    if (typeof metric !== 'function' && !Object.hasOwn(known, metric))
      throw new UnsupportedError(
        `compile: there is no metric ${describe(metric)}; use ${Object.keys(known).join(', ')}, or a function of prediction and target`,
      );
    const name = typeof metric === 'function' ? metric.name || `metric${i + 1}` : metric;
    if (found.has(name) || name === 'loss')
      throw new UnsupportedError(`compile: two metrics are called ${name}; give functions names of their own`);
    found.set(name, typeof metric === 'function' ? metric : known[metric]);
  });
  return found;
}
