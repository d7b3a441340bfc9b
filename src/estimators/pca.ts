import { noGrad } from '../autograd/grad.ts';
import { ShapeError } from '../core/errors.ts';
import type { Rows } from '../data/dataset.ts';
import { eye, zeros } from '../ops/creation.ts';
import { abs, add, div, mul, sign, sqrt, square, sub } from '../ops/elementwise.ts';
import { gather } from '../ops/gather.ts';
import { inverse, qr, slogdet, svd } from '../ops/linalg.ts';
import { matmul } from '../ops/matmul.ts';
import { checkOptions } from '../ops/record.ts';
import { argmax, mean } from '../ops/reductions.ts';
import { narrow, sum, transpose, unsqueeze } from '../ops/structure.ts';
import { scope, tidy } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Estimator, whole } from './estimator.ts';

/** Options of `PCA`. */
export interface PCAOptions {
  /** How many components to keep; as many as there are unless given. */
  readonly nComponents?: number | undefined;
  /** Scale the transformed columns to variance 1; false unless given. */
  readonly whiten?: boolean | undefined;
}

type Learned = {
  readonly mean: Tensor;
  readonly components: Tensor;
  readonly singularValues: Tensor;
  readonly explainedVariance: Tensor;
  readonly explainedVarianceRatio: Tensor;
  readonly noiseVariance: Tensor;
};

/**
 * Principal components (`sklearn.decomposition.PCA`), by a singular value decomposition of the centred samples. The element of largest
 * magnitude in each component is positive.
 *
 * @example
 * ```ts
 * const model = await new tl.estimators.PCA({ nComponents: 2 }).fit(tl.randn([50, 4]));
 * const flat = model.transform(tl.randn([10, 4])); // shape [10, 2]
 * ```
 */
export class PCA extends Estimator<Learned> {
  protected override readonly name: string = 'PCA';
  private readonly nComponents: number | undefined;
  private readonly whiten: boolean;

  constructor(options: PCAOptions = {}) {
    super();
    checkOptions('PCA', options, ['nComponents'], ['whiten']);
    if (options.nComponents !== undefined) whole('PCA', 'nComponents', options.nComponents);
    this.nComponents = options.nComponents;
    this.whiten = options.whiten ?? false;
  }

  /** The mean of each column; the model's own. */
  get mean(): Tensor {
    return this.fitted('mean').mean;
  }

  /** The directions [components, columns], the one of most variance first; the model's own. */
  get components(): Tensor {
    return this.fitted('components').components;
  }

  /** The singular value of each component; the model's own. */
  get singularValues(): Tensor {
    return this.fitted('singularValues').singularValues;
  }

  /** The variance along each component; the model's own. */
  get explainedVariance(): Tensor {
    return this.fitted('explainedVariance').explainedVariance;
  }

  /** The share of all variance along each component; the model's own. */
  get explainedVarianceRatio(): Tensor {
    return this.fitted('explainedVarianceRatio').explainedVarianceRatio;
  }

  /**
   * Learns from samples [samples, columns].
   *
   * @throws ShapeError for fewer than two samples, and for more components than there are.
   */
  async fit(x: Rows): Promise<this> {
    using made = scope();
    const rows = made.run(() => this.rows('fit', x));
    this.enough('fit', rows, 2);
    const [n = 0, columns = 0] = rows.shape;
    const all = Math.min(n, columns);
    const k = this.nComponents ?? all;
    if (k > all)
      throw new ShapeError(
        `PCA.fit: there are no ${k} components in ${n} samples of ${columns} columns; at most ${all}`,
      );
    this.learn(
      tidy(() =>
        noGrad(() => {
          const { device } = rows;
          const center = mean(rows, { dim: 0 });
          const centred = sub(rows, center);
          // The singular values of R are those of Q R.
          const { s, vh } = svd(n > columns ? qr(centred).r : centred);
          const largest = gather(vh, 1, argmax(abs(vh), { dim: 1, keepDim: true }));
          const variances = div(square(s), n - 1);
          const rest = all - k;
          return {
            mean: center,
            components: narrow(mul(vh, sign(largest)), 0, 0, k),
            singularValues: narrow(s, 0, 0, k),
            explainedVariance: narrow(variances, 0, 0, k),
            explainedVarianceRatio: narrow(div(variances, sum(variances)), 0, 0, k),
            noiseVariance: rest > 0 ? mean(narrow(variances, 0, k, rest)) : zeros([], { device }),
          };
        }),
      ),
    );
    return this;
  }

  /** Samples in the directions of the components: [samples, components]. */
  transform(x: Rows): Tensor {
    const { mean: center, components, explainedVariance } = this.fitted('transform');
    return tidy(() => {
      const rows = this.rows('transform', x, components.device);
      this.columns('transform', rows, components.shape[1] ?? 0);
      const out = matmul(sub(rows, center), transpose(components, 0, 1));
      return this.whiten ? div(out, sqrt(explainedVariance)) : out;
    });
  }

  /** The same as `transform`. */
  predict(x: Rows): Tensor {
    return this.transform(x);
  }

  /** `fit`, then `transform`. */
  async fitTransform(x: Rows): Promise<Tensor> {
    await this.fit(x);
    return this.transform(x);
  }

  /** Back from the components; what the left out ones held is lost. */
  inverseTransform(z: Rows): Tensor {
    const { mean: center, components, explainedVariance } = this.fitted('inverseTransform');
    return tidy(() => {
      const rows = this.rows('inverseTransform', z, components.device);
      this.columns('inverseTransform', rows, components.shape[0] ?? 0);
      return add(matmul(this.whiten ? mul(rows, sqrt(explainedVariance)) : rows, components), center);
    });
  }

  /**
   * The mean log-likelihood of samples under the Gaussian that the components and the variance of the others describe (Tipping and
   * Bishop, "Probabilistic principal component analysis", 1999). NumericsError where that Gaussian is flat in a direction.
   */
  async score(x: Rows): Promise<number> {
    const { mean: center, components, explainedVariance, noiseVariance } = this.fitted('score');
    using out = tidy(() =>
      noGrad(() => {
        const columns = components.shape[1] ?? 0;
        const rows = this.rows('score', x, components.device);
        this.columns('score', rows, columns);
        const beyond = unsqueeze(sub(explainedVariance, noiseVariance), 1);
        const covariance = add(
          matmul(transpose(components, 0, 1), mul(components, beyond)),
          mul(eye(columns, { device: rows.device }), noiseVariance),
        );
        const d = sub(rows, center);
        const spread = sum(mul(matmul(d, inverse(covariance)), d), { dim: 1 });
        return mul(add(add(mean(spread), slogdet(covariance).logabsdet), columns * Math.log(2 * Math.PI)), -0.5);
      }),
    );
    return out.item();
  }
}
