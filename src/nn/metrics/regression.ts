import { ShapeError } from '../../core/errors.ts';
import { sameShape, showShape, sizeOf } from '../../core/shape.ts';
import { abs, add, cast, div, eq, mul, square, sub } from '../../ops/elementwise.ts';
import { where } from '../../ops/functions.ts';
import { mean } from '../../ops/reductions.ts';
import { reshape, sum } from '../../ops/structure.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { Accumulated, calling, hostZeros, type MetricCall } from './metric.ts';

function sameShapes(op: string, prediction: Tensor, target: Tensor): void {
  if (!sameShape(prediction.shape, target.shape))
    throw new ShapeError(
      `${op}: outputs ${showShape(prediction.shape)} and targets ${showShape(target.shape)} must have the same shape; reshape one of them`,
    );
}

const floats = (x: Tensor): Tensor => cast(x, 'float32');

type ErrorSum = { readonly sum: Tensor; readonly count: Tensor };

/** Means of a function of the error over all elements. */
abstract class MeanError extends Accumulated<ErrorSum> {
  /** What is averaged, of each error. */
  protected abstract of(error: Tensor): Tensor;

  protected override start({ device }: Tensor): ErrorSum {
    return { sum: hostZeros([], 'float32', device), count: hostZeros([], 'float32', device) };
  }

  protected override next(state: ErrorSum, prediction: Tensor, target: Tensor): ErrorSum {
    sameShapes(this.name, prediction, target);
    const errors = this.of(sub(floats(prediction), floats(target)));
    return { sum: add(state.sum, sum(errors)), count: add(state.count, errors.size) };
  }

  protected override result(state: ErrorSum): Tensor {
    return div(state.sum, state.count);
  }
}

/** The mean of |prediction - target| over all elements. */
export class MeanAbsoluteError extends MeanError {
  constructor() {
    super('mae');
  }

  protected override of(error: Tensor): Tensor {
    return abs(error);
  }
}

/** The mean of (prediction - target)² over all elements. */
export class MeanSquaredError extends MeanError {
  constructor() {
    super('mse');
  }

  protected override of(error: Tensor): Tensor {
    return square(error);
  }
}

type Spread = {
  readonly count: Tensor;
  /** The mean of the targets, by output. */
  readonly mean: Tensor;
  /** The sum of squares of their distances from it. */
  readonly spread: Tensor;
  /** The sum of squares of the errors. */
  readonly errors: Tensor;
};

/**
 * The share of the targets' variance that the predictions explain: 1 - Σ (target - prediction)² / Σ (target - mean)². For several
 * outputs [N, D] the mean over them. Where a target never varies, it is 1 without errors and 0 otherwise, as in scikit-learn.
 */
export class R2Score extends Accumulated<Spread> {
  constructor() {
    super('r2');
  }

  protected override start(prediction: Tensor): Spread {
    const zeros = (shape: readonly number[]): Tensor => hostZeros(shape, 'float32', prediction.device);
    const outputs = [sizeOf(prediction.shape.slice(1))];
    return { count: zeros([]), mean: zeros(outputs), spread: zeros(outputs), errors: zeros(outputs) };
  }

  protected override next(state: Spread, prediction: Tensor, target: Tensor): Spread {
    sameShapes(this.name, prediction, target);
    const n = prediction.shape[0] ?? 1;
    const shape = [n, sizeOf(prediction.shape.slice(1))];
    const [p, y] = [reshape(floats(prediction), shape), reshape(floats(target), shape)];
    // Means and distances of both parts are put together (Chan, Golub and LeVeque): sums of squares would lose their digits.
    const centre = mean(y, { dim: 0 });
    const count = add(state.count, n);
    const apart = sub(centre, state.mean);
    const moved = mul(apart, div(n, count));
    return {
      count,
      mean: add(state.mean, moved),
      spread: add(add(state.spread, sum(square(sub(y, centre)), { dim: 0 })), mul(mul(apart, moved), state.count)),
      errors: add(state.errors, sum(square(sub(y, p)), { dim: 0 })),
    };
  }

  protected override result({ spread, errors }: Spread): Tensor {
    const constant = where(eq(errors, 0), 1, 0);
    return mean(where(eq(spread, 0), constant, sub(1, div(errors, spread))));
  }
}

/** The mean of |prediction - target| of a batch. */
export const meanAbsoluteError: MetricCall<never> = /* @__PURE__ */ calling(() => new MeanAbsoluteError());
/** The mean of (prediction - target)² of a batch. */
export const meanSquaredError: MetricCall<never> = /* @__PURE__ */ calling(() => new MeanSquaredError());
/** The share of variance that a batch's predictions explain; see `R2Score`. */
export const r2Score: MetricCall<never> = /* @__PURE__ */ calling(() => new R2Score());
