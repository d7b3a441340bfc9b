import { noGrad } from '../../autograd/grad.ts';
import { ShapeError, UnsupportedError } from '../../core/errors.ts';
import { sameShape, showShape } from '../../core/shape.ts';
import { add, cast, div, gt, isnan, mul, ne, sub } from '../../ops/elementwise.ts';
import { where } from '../../ops/functions.ts';
import { gather } from '../../ops/gather.ts';
import { cat, stack } from '../../ops/joins.ts';
import { any } from '../../ops/masks.ts';
import { checkTensor, compose } from '../../ops/record.ts';
import { cummax, cumsum } from '../../ops/scans.ts';
import { sort } from '../../ops/sorting.ts';
import { reshape, select, slice, sum } from '../../ops/structure.ts';
import { pad } from '../../ops/windows.ts';
import { keep } from '../../tensor/scope.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { calling, Metric, type MetricCall } from './metric.ts';

/** So many parts are joined into one, so that there are never many. */
const FAN = 32;

/** How high each sample scores as the second of two classes. */
function scoresOf(op: string, prediction: Tensor, target: Tensor): Tensor {
  if (sameShape(prediction.shape, target.shape)) return reshape(cast(prediction, 'float32'), [-1]);
  if (prediction.ndim !== 2 || prediction.shape[1] !== 2 || !sameShape(target.shape, prediction.shape.slice(0, 1)))
    throw new ShapeError(
      `${op}: outputs ${showShape(prediction.shape)} do not fit targets ${showShape(target.shape)}; it takes scores and targets of one shape, or outputs [N, 2] and labels [N]`,
    );
  // In the order of the second class's probability, and exact where that is rounded to 1.
  return cast(sub(select(prediction, 1, 1), select(prediction, 1, 0)), 'float32');
}

/** The area under the curve through the ends of runs of equal scores, by trapezoids. */
function area(scores: Tensor, positive: Tensor): Tensor {
  const n = scores.size;
  const { values, indices } = sort(scores);
  const y = gather(positive, 0, indices);
  const last = pad(ne(slice(values, 0, 0, n - 1), slice(values, 0, 1)), [0, 1], { value: 1 });
  const [p, q] = [cumsum(y, 0), cumsum(sub(1, y), 0)];
  const before = (counts: Tensor): Tensor => {
    const ended = cummax(where(last, counts, 0), 0).values;
    return pad(slice(ended, 0, 0, n - 1), [1, 0]);
  };
  const [positives, negatives] = [select(p, 0, n - 1), select(q, 0, n - 1)];
  const width = div(sub(p, before(p)), positives);
  const height = div(add(q, before(q)), mul(cast(negatives, 'float32'), 2));
  return where(any(isnan(scores)), Number.NaN, sum(where(last, mul(width, height), 0)));
}

/**
 * The area under the ROC curve: the probability that a positive sample scores higher than a negative one, where ties count half.
 * Exact, from the scores themselves: it holds two numbers for each sample until it is reset. Takes scores and targets of one shape
 * (positive above 0.5), or outputs [N, 2] and labels [N]. NaN where there is only one class.
 *
 * @example
 * ```ts
 * using auc = new tl.nn.metrics.AUC();
 * auc.update(tl.tensor([0.1, 0.4, 0.35, 0.8]), tl.tensor([0, 0, 1, 1]));
 * console.log(await auc.compute()); // 0.75
 * ```
 */
export class AUC extends Metric {
  /** Parts of single batches, parts that were joined from those, and so on. */
  private levels: Tensor[][] = [];

  constructor() {
    super('auc');
  }

  /** @internal */
  override get running(): boolean {
    return false;
  }

  override update(prediction: Tensor, target: Tensor): void {
    checkTensor(this.name, prediction);
    checkTensor(this.name, target);
    compose(this.name, () =>
      noGrad(() => {
        const scores = scoresOf(this.name, prediction, target);
        const labels = reshape(gt(cast(target, 'float32'), 0.5), [-1]);
        this.put(0, stack([scores, cast(labels, 'float32')]));
      }),
    );
  }

  private put(level: number, part: Tensor): void {
    const parts = this.levels[level] ?? [];
    this.levels[level] = parts;
    parts.push(keep(part));
    if (parts.length < FAN) return;
    this.put(level + 1, cat(parts, 1));
    for (const joined of parts.splice(0)) joined.dispose();
  }

  override value(): Tensor {
    const parts = this.levels.flat();
    if (parts.length === 0)
      throw new UnsupportedError(`${this.name}: there was no batch yet; call update(prediction, target) first`);
    return compose(this.name, () =>
      noGrad(() => {
        const all = cat(parts, 1);
        return area(select(all, 0, 0), cast(select(all, 0, 1), 'int32'));
      }),
    );
  }

  override reset(): void {
    for (const part of this.levels.flat()) part.dispose();
    this.levels = [];
  }
}

/** The area under the ROC curve of a batch; see `AUC`. */
export const auc: MetricCall<never> = /* @__PURE__ */ calling(() => new AUC());
