import { ShapeError, UnsupportedError } from '../../core/errors.ts';
import { showShape } from '../../core/shape.ts';
import { binaryCrossEntropy, binaryCrossEntropyWithLogits } from '../../ops/classification.ts';
import { add, cast, div, mul } from '../../ops/elementwise.ts';
import { mseLoss } from '../../ops/losses.ts';
import { describe } from '../../ops/record.ts';
import { reshape } from '../../ops/structure.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Module } from '../module.ts';
import { AUC } from './auc.ts';
import { Accuracy, F1Score, Precision, Recall, TopKAccuracy } from './classification.ts';
import { Accumulated, hostZeros, Metric, type MetricCall } from './metric.ts';
import { MeanAbsoluteError, MeanSquaredError, R2Score } from './regression.ts';

/** A loss: a scalar from predictions and targets. For weighted samples it is asked for one value each, with `reduction: 'none'`. */
export type LossFunction = (
  prediction: Tensor,
  target: Tensor,
  options?: { readonly reduction?: 'none' | undefined },
) => Tensor;

/** A loss as `compile` takes it: a function, or a module of prediction and target such as `nn.CrossEntropyLoss`. */
export type Loss = LossFunction | Module<readonly [Tensor, Tensor]>;

/** Metrics that `compile` knows by name; `top5` and the like are `TopKAccuracy`. */
export type MetricName = 'accuracy' | `top${number}` | 'precision' | 'recall' | 'f1' | 'auc' | 'mae' | 'mse' | 'r2';

/** A metric of one's own: a scalar, the mean over a batch's samples, by which batches are averaged. Its name is the function's. */
export type MetricFunction = (prediction: Tensor, target: Tensor) => Tensor;

/** A metric as `compile` takes it. */
export type MetricLike = MetricName | MetricFunction | Metric<unknown>;

/** Above which output a loss means yes, as far as it says so. */
function thresholdOf(loss: Loss): number | undefined {
  const known = 'functional' in loss ? loss.functional : loss;
  if (known === binaryCrossEntropyWithLogits) return 0;
  return known === mseLoss || known === binaryCrossEntropy ? 0.5 : undefined;
}

type MeanState = { readonly sum: Tensor; readonly samples: Tensor };

/** A function's means over batches, weighted by their samples. */
class BatchMean extends Accumulated<MeanState> {
  constructor(
    name: string,
    private readonly fn: MetricFunction,
  ) {
    super(name);
  }

  protected override start({ device }: Tensor): MeanState {
    return { sum: hostZeros([], 'float32', device), samples: hostZeros([], 'float32', device) };
  }

  protected override next(state: MeanState, prediction: Tensor, target: Tensor): MeanState {
    const value = this.fn(prediction, target);
    if (value.size !== 1)
      throw new ShapeError(
        `${this.name}: it has shape ${showShape(value.shape)} for a batch, but it must be a scalar; reduce it with mean()`,
      );
    const samples = target.shape[0] ?? 1;
    return {
      sum: add(state.sum, mul(cast(reshape(value, []), 'float32'), samples)),
      samples: add(state.samples, samples),
    };
  }

  protected override result({ sum, samples }: MeanState): Tensor {
    return div(sum, samples);
  }
}

/** @internal A metric that `compile` was given. */
export interface CompiledMetric {
  readonly name: string;
  /** Gives the metric for a pass: a new one, or the user's own, which is shared by all passes. */
  readonly make: () => Metric<unknown>;
  readonly shared: boolean;
}

/** @internal What gives the metrics of a pass. */
export function metricsOf(metrics: readonly MetricLike[], loss: Loss): CompiledMetric[] {
  const threshold = thresholdOf(loss);
  const known: Readonly<Record<string, () => Metric<unknown>>> = {
    accuracy: () => new Accuracy({ threshold }),
    precision: () => new Precision({ threshold }),
    recall: () => new Recall({ threshold }),
    f1: () => new F1Score({ threshold }),
    auc: () => new AUC(),
    mae: () => new MeanAbsoluteError(),
    mse: () => new MeanSquaredError(),
    r2: () => new R2Score(),
  };
  const names = new Set(['loss']);
  return metrics.map((metric, i) => {
    const made = compiled(metric, i);
    if (names.has(made.name))
      throw new UnsupportedError(`compile: two metrics are called ${made.name}; give functions names of their own`);
    names.add(made.name);
    return made;
  });

  function compiled(metric: MetricLike, i: number): CompiledMetric {
    if (metric instanceof Metric) return { name: metric.name, make: () => metric, shared: true };
    if (typeof metric === 'function') {
      const { metric: exact } = metric as Partial<MetricCall<unknown>>;
      if (exact) return { name: exact().name, make: exact, shared: false };
      const name = metric.name || `metric${i + 1}`;
      return { name, make: () => new BatchMean(name, metric), shared: false };
    }
    const top = typeof metric === 'string' ? /^top([1-9]\d*)$/.exec(metric) : null;
    const make = top
      ? () => new TopKAccuracy(Number(top[1]))
      : Object.hasOwn(known, metric)
        ? known[metric]
        : undefined;
    if (!make)
      throw new UnsupportedError(
        `compile: there is no metric ${describe(metric)}; use ${Object.keys(known).join(', ')}, top5 and the like, one of nn.metrics, or a function of prediction and target`,
      );
    return { name: metric, make, shared: false };
  }
}
