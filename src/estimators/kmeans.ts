import { noGrad } from '../autograd/grad.ts';
import { ShapeError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import { type Rows, toTensor } from '../data/dataset.ts';
import { assign_ } from '../ops/assign.ts';
import { arange, randint } from '../ops/creation.ts';
import { add, cast, clamp, div, eq, maximum, minimum, mul, neg, square, sub } from '../ops/elementwise.ts';
import { where } from '../ops/functions.ts';
import { indexSelect } from '../ops/gather.ts';
import { cat } from '../ops/joins.ts';
import { matmul } from '../ops/matmul.ts';
import { checkOptions } from '../ops/record.ts';
import { amin, argmin, mean, variance } from '../ops/reductions.ts';
import { multinomial } from '../ops/sampling.ts';
import { cumsum } from '../ops/scans.ts';
import { topk } from '../ops/sorting.ts';
import { squeeze, sum, transpose, unsqueeze } from '../ops/structure.ts';
import { scope, tidy } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Estimator, positive, whole } from './estimator.ts';

/** Options of `KMeans`. */
export interface KMeansOptions {
  /** Number of clusters; 8 unless given. */
  readonly nClusters?: number | undefined;
  /** The centres to begin with; drawn by k-means++ unless given. */
  readonly init?: Rows | undefined;
  /** How often to begin anew, of which the best result counts; 1 unless given. */
  readonly nInit?: number | undefined;
  /** The most steps; 300 unless given. */
  readonly maxIter?: number | undefined;
  /** Done when the centres move by no more, in squares relative to the variance of the columns; 1e-4 unless given. */
  readonly tol?: number | undefined;
}

type Learned = { readonly clusterCenters: Tensor; readonly labels: Tensor };

/** Squared distances of rows [n, d] from centres [k, d]: [n, k]. */
const distances = (x: Tensor, centers: Tensor): Tensor =>
  clamp(
    add(
      sub(sum(square(x), { dim: 1, keepDim: true }), mul(matmul(x, transpose(centers, 0, 1)), 2)),
      sum(square(centers), { dim: 1 }),
    ),
    { min: 0 },
  );

/**
 * k-means (Lloyd, 1982; `sklearn.cluster.KMeans`), begun by k-means++ (Arthur and Vassilvitskii, 2007). A cluster that loses all its
 * samples is moved to the sample that is farthest from its centre.
 *
 * @example
 * ```ts
 * tl.manualSeed(0);
 * const model = await new tl.estimators.KMeans({ nClusters: 2 }).fit([[0, 0], [0, 1], [9, 9], [9, 8]]);
 * model.inertia; // 1
 * ```
 */
export class KMeans extends Estimator<Learned> {
  protected override readonly name: string = 'KMeans';
  private readonly options: KMeansOptions;
  private readonly k: number;
  private best = 0;
  private steps = 0;

  constructor(options: KMeansOptions = {}) {
    super();
    checkOptions('KMeans', options, ['nClusters', 'init', 'nInit', 'maxIter', 'tol']);
    const { nClusters = 8, nInit = 1, maxIter = 300, tol = 1e-4 } = options;
    whole('KMeans', 'nClusters', nClusters);
    whole('KMeans', 'nInit', nInit);
    whole('KMeans', 'maxIter', maxIter);
    positive('KMeans', 'tol', tol, true);
    this.options = options;
    this.k = nClusters;
  }

  /** The centres [nClusters, columns]; the model's own. */
  get clusterCenters(): Tensor {
    return this.fitted('clusterCenters').clusterCenters;
  }

  /** The cluster of each sample that it was fitted to, as int32; the model's own. */
  get labels(): Tensor {
    return this.fitted('labels').labels;
  }

  /** The sum of the squared distances of the samples from their centres. */
  get inertia(): number {
    this.fitted('inertia');
    return this.best;
  }

  /** Steps that the best run took. */
  get nIter(): number {
    this.fitted('nIter');
    return this.steps;
  }

  /**
   * Learns from samples [samples, columns].
   *
   * @throws ShapeError for fewer samples than clusters, and for given centres of another shape.
   */
  async fit(x: Rows): Promise<this> {
    const { nInit = 1, init } = this.options;
    using made = scope();
    const rows = made.run(() => this.rows('fit', x));
    this.enough('fit', rows, this.k);
    // Distances are differences of squares, which lose least around 0.
    const center = made.run(() => mean(rows, { dim: 0, keepDim: true }));
    const moved = made.run(() => sub(rows, center));
    using variances = tidy(() => mean(variance(rows, { dim: 0, correction: 0 })));
    const tolerance = (this.options.tol ?? 1e-4) * (await variances.item());
    let best = Infinity;
    for (let run = 0; run < (init ? 1 : nInit); run++) {
      using attempt = scope();
      const centers = attempt.run(() => (init ? sub(this.given(init, rows), center) : this.draw(moved)));
      const steps = await this.run(moved, centers, tolerance);
      const found = tidy(() => {
        const d = distances(moved, centers);
        const labels = argmin(d, { dim: 1 });
        // By differences, not by squares.
        const inertia = sum(square(sub(moved, indexSelect(centers, 0, labels))));
        return { inertia, learned: { clusterCenters: add(centers, center), labels } };
      });
      using inertia = found.inertia;
      const value = await inertia.item();
      if (value < best) {
        [best, this.steps] = [value, steps];
        this.learn(found.learned);
        this.best = value;
      } else for (const t of Object.values(found.learned)) t.dispose();
    }
    return this;
  }

  /** Moves the centres until they rest; gives the number of steps. */
  private async run(x: Tensor, centers: Tensor, tolerance: number): Promise<number> {
    const { maxIter = 300 } = this.options;
    const { device } = x;
    const { k } = this;
    for (let step = 1; step <= maxIter; step++) {
      using shift = tidy(() =>
        noGrad(() => {
          const d = distances(x, centers);
          const labels = argmin(d, { dim: 1 });
          const members = cast(eq(unsqueeze(labels, 1), arange(k, { dtype: 'int32', device })), 'float32');
          const counts = sum(members, { dim: 0 });
          const sums = matmul(transpose(members, 0, 1), x);
          // The empty ones go to the farthest samples, one each.
          const empty = eq(counts, 0);
          const far = topk(amin(d, { dim: 1 }), k).indices;
          const rank = sub(cumsum(cast(empty, 'int32'), 0), 1);
          const spare = indexSelect(x, 0, indexSelect(far, 0, maximum(rank, 0)));
          const moved = where(unsqueeze(empty, 1), spare, div(sums, unsqueeze(maximum(counts, 1), 1)));
          const change = sum(square(sub(moved, centers)));
          assign_(centers, moved);
          return change;
        }),
      );
      if ((await shift.item()) <= tolerance) return step;
    }
    return maxIter;
  }

  /** Each centre a sample, drawn in proportion to its squared distance from the centres before. */
  private draw(x: Tensor): Tensor {
    const { device } = x;
    const n = x.shape[0] ?? 0;
    const chosen = [indexSelect(x, 0, randint(0, n, [1], { device }))];
    let nearest = squeeze(distances(x, chosen[0] as Tensor), 1);
    while (chosen.length < this.k) {
      // Where all samples are centres already, any will do.
      const next = indexSelect(x, 0, multinomial(maximum(nearest, 1e-30), 1));
      chosen.push(next);
      nearest = minimum(nearest, squeeze(distances(x, next), 1));
    }
    return cat(chosen, 0);
  }

  private given(init: Rows, x: Tensor): Tensor {
    const centers = cast(toTensor('KMeans', init, x.device), 'float32');
    if (centers.ndim !== 2 || centers.shape[0] !== this.k || centers.shape[1] !== x.shape[1])
      throw new ShapeError(
        `KMeans.fit: init of ${showShape(centers.shape)} must be of shape ${showShape([this.k, x.shape[1] ?? 0])}, a row for each cluster`,
      );
    return centers;
  }

  /** Squared distances of samples from the centres, and the centres that they are from. */
  private distancesOf(what: string, x: Rows): Tensor {
    const { clusterCenters } = this.fitted(what);
    const rows = this.rows(what, x, clusterCenters.device);
    this.columns(what, rows, clusterCenters.shape[1] ?? 0);
    const center = mean(clusterCenters, { dim: 0, keepDim: true });
    return distances(sub(rows, center), sub(clusterCenters, center));
  }

  /** The nearest centre of each sample, as int32. */
  predict(x: Rows): Tensor {
    return tidy(() => argmin(this.distancesOf('predict', x), { dim: 1 }));
  }

  /** Minus the sum of the squared distances of the samples from their nearest centres. */
  async score(x: Rows): Promise<number> {
    using out = tidy(() => neg(sum(amin(this.distancesOf('score', x), { dim: 1 }))));
    return out.item();
  }
}
