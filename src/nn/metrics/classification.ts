import { ShapeError, UnsupportedError } from '../../core/errors.ts';
import { sameShape, showShape } from '../../core/shape.ts';
import { arange, onesLike } from '../../ops/creation.ts';
import {
  add,
  cast,
  div,
  eq,
  gt,
  le,
  logicalAnd,
  logicalNot,
  logicalOr,
  lt,
  maximum,
  mul,
} from '../../ops/elementwise.ts';
import { where } from '../../ops/functions.ts';
import { gather, scatterAdd } from '../../ops/gather.ts';
import { describe } from '../../ops/record.ts';
import { movedim, reshape, select, sum, unsqueeze } from '../../ops/structure.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type ClassOptions, checkClassOptions, classDimOf, labelsOf } from './labels.ts';
import { Accumulated, calling, hostZeros, type MetricCall } from './metric.ts';

/** Right answers out of all: two counts. */
type Shares = { readonly right: Tensor; readonly total: Tensor };

/** Metrics that count right answers. */
abstract class Share extends Accumulated<Shares> {
  /** 1 for each sample whose answer is right, else 0. */
  protected abstract right(prediction: Tensor, target: Tensor): Tensor;

  protected override start({ device }: Tensor): Shares {
    return { right: hostZeros([], 'int32', device), total: hostZeros([], 'int32', device) };
  }

  protected override next(state: Shares, prediction: Tensor, target: Tensor): Shares {
    const right = this.right(prediction, target);
    return { right: add(state.right, sum(right)), total: add(state.total, right.size) };
  }

  protected override result({ right, total }: Shares): Tensor {
    return div(right, total);
  }
}

/**
 * The share of right answers. Labels [N] meet the largest of the outputs [N, C], as do one-hot targets [N, C]; with a threshold,
 * targets of the outputs' shape meet that.
 *
 * @example
 * ```ts
 * using accuracy = new tl.nn.metrics.Accuracy();
 * accuracy.update(tl.tensor([[0.1, 0.9], [0.8, 0.2]]), tl.tensor([1, 1], { dtype: 'int32' }));
 * console.log(await accuracy.compute()); // 0.5
 * ```
 */
export class Accuracy extends Share {
  constructor(private readonly options: ClassOptions = {}) {
    super('accuracy');
    checkClassOptions('Accuracy', options);
  }

  protected override right(prediction: Tensor, target: Tensor): Tensor {
    const { predicted, actual } = labelsOf(this.name, prediction, target, this.options.threshold);
    return eq(predicted, actual);
  }
}

/**
 * The share of labels [N] that are among the k largest of the outputs [N, C]; of equal outputs the first ones count, and NaN is never
 * among them. The name is `top5` for k = 5.
 *
 * @throws UnsupportedError unless k is a whole number of at least 1.
 */
export class TopKAccuracy extends Share {
  constructor(private readonly k: number = 5) {
    super(`top${k}`);
    if (!Number.isInteger(k) || k < 1)
      throw new UnsupportedError(`TopKAccuracy: k is ${describe(k)}, but it must be a whole number of at least 1`);
  }

  protected override right(prediction: Tensor, target: Tensor): Tensor {
    const dim = classDimOf(prediction);
    const rest = prediction.shape.filter((_, d) => d !== dim);
    if (prediction.ndim === 0 || !sameShape(target.shape, rest))
      throw new ShapeError(
        `${this.name}: outputs ${showShape(prediction.shape)} need labels of shape ${showShape(rest)}, got ${showShape(target.shape)}`,
      );
    const scores = movedim(prediction, dim, -1);
    const label = unsqueeze(cast(target, 'int32'), -1);
    const own = gather(scores, -1, label);
    const places = arange(prediction.shape[dim] ?? 1, { dtype: 'int32', device: prediction.device });
    const before = logicalOr(logicalNot(le(scores, own)), logicalAnd(eq(scores, own), lt(places, label)));
    return lt(sum(before, { dim: -1 }), this.k);
  }
}

/** How figures of classes become one. */
export type Average = 'macro' | 'micro' | 'weighted' | 'binary';

/** Options of precision, recall and F1. */
export interface AverageOptions extends ClassOptions {
  /**
   * 'macro', unless given: the mean over the classes that occur; 'weighted': the mean by how often they occur; 'micro': of all counts
   * together; 'binary': that of class 1 of two. Answers above a threshold are always 'binary'.
   */
  readonly average?: Average | undefined;
}

const AVERAGES: readonly Average[] = ['macro', 'micro', 'weighted', 'binary'];

/** Counts by class. */
type Counts = {
  /** Right answers. */
  readonly hits: Tensor;
  /** Answers. */
  readonly predicted: Tensor;
  /** Labels. */
  readonly actual: Tensor;
};

const floats = (x: Tensor): Tensor => cast(x, 'float32');

/** 0 where there is nothing to divide by, as scikit-learn has it. */
const ratio = (a: Tensor, b: Tensor): Tensor => where(gt(b, 0), div(a, maximum(b, 1)), 0);

/** Metrics from right answers, answers and labels of each class. */
abstract class ByClass extends Accumulated<Counts> {
  private binary = false;

  constructor(
    name: string,
    private readonly op: string,
    private readonly options: AverageOptions,
  ) {
    super(name);
    checkClassOptions(op, options, ['average']);
    if (options.average !== undefined && !AVERAGES.includes(options.average))
      throw new UnsupportedError(`${op}: average is ${describe(options.average)}; use ${AVERAGES.join(', ')}`);
  }

  /** Dividend and divisor of a class. */
  protected abstract parts(counts: Counts): readonly [Tensor, Tensor];

  protected override start(prediction: Tensor, target: Tensor): Counts {
    const { classes, binary } = labelsOf(this.name, prediction, target, this.options.threshold);
    if (this.options.average === 'binary' && classes !== 2)
      throw new ShapeError(`${this.op}: average 'binary' needs two classes, and there are ${classes}; use 'macro'`);
    this.binary = binary || this.options.average === 'binary';
    const zeros = (): Tensor => hostZeros([classes], 'int32', prediction.device);
    return { hits: zeros(), predicted: zeros(), actual: zeros() };
  }

  protected override next(state: Counts, prediction: Tensor, target: Tensor): Counts {
    const { predicted, actual } = labelsOf(this.name, prediction, target, this.options.threshold);
    const ones = onesLike(actual);
    return {
      hits: scatterAdd(state.hits, 0, actual, cast(eq(predicted, actual), 'int32')),
      predicted: scatterAdd(state.predicted, 0, predicted, ones),
      actual: scatterAdd(state.actual, 0, actual, ones),
    };
  }

  protected override result(counts: Counts): Tensor {
    const { average = 'macro' } = this.options;
    const [a, b] = this.parts(counts);
    if (average === 'micro' && !this.binary) return ratio(sum(a), sum(b));
    const each = ratio(a, b);
    if (this.binary) return select(each, 0, 1);
    const weight = average === 'weighted' ? floats(counts.actual) : floats(gt(add(counts.predicted, counts.actual), 0));
    return div(sum(mul(each, weight)), sum(weight));
  }
}

/**
 * The share of answers that are right, by class: right answers / answers. 0 for a class that was never answered.
 *
 * @throws UnsupportedError for options whose values break their rule.
 */
export class Precision extends ByClass {
  constructor(options: AverageOptions = {}) {
    super('precision', 'Precision', options);
  }

  protected override parts({ hits, predicted }: Counts): [Tensor, Tensor] {
    return [floats(hits), floats(predicted)];
  }
}

/**
 * The share of samples that were found, by class: right answers / labels. 0 for a class without labels.
 *
 * @throws UnsupportedError for options whose values break their rule.
 */
export class Recall extends ByClass {
  constructor(options: AverageOptions = {}) {
    super('recall', 'Recall', options);
  }

  protected override parts({ hits, actual }: Counts): [Tensor, Tensor] {
    return [floats(hits), floats(actual)];
  }
}

/**
 * The harmonic mean of precision and recall, by class: 2 right answers / (answers + labels).
 *
 * @throws UnsupportedError for options whose values break their rule.
 */
export class F1Score extends ByClass {
  constructor(options: AverageOptions = {}) {
    super('f1', 'F1Score', options);
  }

  protected override parts({ hits, predicted, actual }: Counts): [Tensor, Tensor] {
    return [floats(mul(hits, 2)), floats(add(predicted, actual))];
  }
}

type Matrix = { readonly counts: Tensor };

/**
 * How often each class was taken for which: rows are the labels, columns the answers, both in the order of the classes; int32.
 * Among the metrics of `compile` it is filled by every pass and not reported; `compute` it after `evaluate`.
 *
 * @example
 * ```ts
 * using matrix = new tl.nn.metrics.ConfusionMatrix();
 * matrix.update(tl.tensor([[0.1, 0.9], [0.8, 0.2]]), tl.tensor([1, 1], { dtype: 'int32' }));
 * console.log(await matrix.compute()); // [[0, 0], [1, 1]]
 * ```
 */
export class ConfusionMatrix extends Accumulated<Matrix, number[][]> {
  constructor(private readonly options: ClassOptions = {}) {
    super('confusionMatrix');
    checkClassOptions('ConfusionMatrix', options);
  }

  protected override start(prediction: Tensor, target: Tensor): Matrix {
    const { classes } = labelsOf(this.name, prediction, target, this.options.threshold);
    return { counts: hostZeros([classes, classes], 'int32', prediction.device) };
  }

  protected override next(state: Matrix, prediction: Tensor, target: Tensor): Matrix {
    const { predicted, actual } = labelsOf(this.name, prediction, target, this.options.threshold);
    const { shape } = state.counts;
    const place = add(mul(actual, shape[1] ?? 1), predicted);
    const flat = scatterAdd(reshape(state.counts, [-1]), 0, place, onesLike(actual));
    return { counts: reshape(flat, shape) };
  }

  protected override result({ counts }: Matrix): Tensor {
    return mul(counts, 1);
  }
}

/** The share of right answers of a batch; see `Accuracy`. */
export const accuracy: MetricCall<ClassOptions> = /* @__PURE__ */ calling((options) => new Accuracy(options));
/** The share of labels among the k largest outputs, 5 unless given; see `TopKAccuracy`. */
export const topKAccuracy: MetricCall<number> = /* @__PURE__ */ calling((k) => new TopKAccuracy(k));
/** The share of a batch's answers that are right, by class; see `Precision`. */
export const precision: MetricCall<AverageOptions> = /* @__PURE__ */ calling((options) => new Precision(options));
/** The share of a batch's samples that were found, by class; see `Recall`. */
export const recall: MetricCall<AverageOptions> = /* @__PURE__ */ calling((options) => new Recall(options));
/** The harmonic mean of precision and recall of a batch; see `F1Score`. */
export const f1Score: MetricCall<AverageOptions> = /* @__PURE__ */ calling((options) => new F1Score(options));
/** How often each class was taken for which in a batch, int32 [C, C]; see `ConfusionMatrix`. */
export const confusionMatrix: MetricCall<ClassOptions> = /* @__PURE__ */ calling(
  (options) => new ConfusionMatrix(options),
);
