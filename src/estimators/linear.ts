import { noGrad } from '../autograd/grad.ts';
import { NumericsError, UnsupportedError } from '../core/errors.ts';
import type { Rows } from '../data/dataset.ts';
import { sub_ } from '../ops/assign.ts';
import { zeros } from '../ops/creation.ts';
import { add, cast, mul, square, sub } from '../ops/elementwise.ts';
import { stack } from '../ops/joins.ts';
import { pinv, qr, ridge } from '../ops/linalg.ts';
import { matmul } from '../ops/matmul.ts';
import { checkOptions, describe } from '../ops/record.ts';
import { mean } from '../ops/reductions.ts';
import { reshape, squeeze, transpose } from '../ops/structure.ts';
import { scope, tidy } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Estimator, positive, r2, whole } from './estimator.ts';

/** What a linear model has learned. */
type Learned = { readonly coef: Tensor; readonly intercept: Tensor };

/** y = x coef + intercept. */
abstract class LinearModel extends Estimator<Learned> {
  protected abstract readonly fitIntercept: boolean;

  /** Weights, [columns], or [columns, targets] where y has two dims; the model's own. */
  get coef(): Tensor {
    return this.fitted('coef').coef;
  }

  /** What is added, [] or [targets]; the model's own. */
  get intercept(): Tensor {
    return this.fitted('intercept').intercept;
  }

  /**
   * Learns from samples and their targets: y is [samples] or [samples, targets].
   *
   * @throws ShapeError when the shapes do not fit together.
   */
  async fit(x: Rows, y: Rows): Promise<this> {
    using made = scope();
    const [rows, targets] = made.run(() => {
      const inputs = this.rows('fit', x);
      this.enough('fit', inputs, 1);
      return [inputs, cast(this.targets('fit', inputs, y), 'float32')] as const;
    });
    const flat = targets.ndim === 1;
    const wide = made.run(() => reshape(targets, [rows.shape[0] ?? 0, -1]));
    const found = await this.solve(rows, wide);
    this.learn(flat ? tidy(() => ({ coef: squeeze(found.coef, 1), intercept: squeeze(found.intercept, 0) })) : found);
    if (flat) for (const t of [found.coef, found.intercept]) t.dispose();
    return this;
  }

  /** Weights [columns, targets] and what is added, [targets]. */
  protected abstract solve(x: Tensor, y: Tensor): Promise<Learned>;

  /** What the model says of samples. */
  predict(x: Rows): Tensor {
    const { coef, intercept } = this.fitted('predict');
    return tidy(() => {
      const rows = this.rows('predict', x, coef.device);
      this.columns('predict', rows, coef.shape[0] ?? 0);
      return add(matmul(rows, coef), intercept);
    });
  }

  /** The coefficient of determination R² of its predictions: 1 at best, 0 for a model that says the mean. */
  async score(x: Rows, y: Rows): Promise<number> {
    this.fitted('score');
    using out = tidy(() => {
      const predicted = this.predict(x);
      return r2(predicted, this.targets('score', predicted, y));
    });
    return out.item();
  }

  /** Solves for centred columns, and puts the means into the intercept. */
  protected centred(x: Tensor, y: Tensor, solve: (x: Tensor, y: Tensor) => Tensor): Learned {
    return tidy(() =>
      noGrad(() => {
        if (!this.fitIntercept) return { coef: solve(x, y), intercept: zeros([y.shape[1] ?? 0], { device: x.device }) };
        const xMean = mean(x, { dim: 0, keepDim: true });
        const yMean = mean(y, { dim: 0, keepDim: true });
        const coef = solve(sub(x, xMean), sub(y, yMean));
        return { coef, intercept: squeeze(sub(yMean, matmul(xMean, coef)), 0) };
      }),
    );
  }
}

/** Options of `LinearRegression`. */
export interface LinearRegressionOptions {
  /** Learn what is added, too; true unless given. */
  readonly fitIntercept?: boolean | undefined;
  /** 'closed' (the default): least squares by QR. 'descent': gradient descent on the mean squared error, with all samples in each step. */
  readonly solver?: 'closed' | 'descent' | undefined;
  /** Step of the descent; 0.1 unless given. Columns of like scale allow larger ones: see `StandardScaler`. */
  readonly lr?: number | undefined;
  /** Steps of the descent; 1000 unless given. */
  readonly epochs?: number | undefined;
}

/** How many steps go by between looks at the loss. */
const CHUNK = 100;

/**
 * Least squares (`sklearn.linear_model.LinearRegression`), in closed form or by gradient descent. Columns that depend on each other
 * give the weights of least norm in the closed form.
 *
 * @throws NumericsError when the descent diverges.
 * @example
 * ```ts
 * const model = new tl.estimators.LinearRegression();
 * await model.fit([[1], [2], [3]], [2, 4, 6]);
 * await model.score([[4]], [8]);
 * ```
 */
export class LinearRegression extends LinearModel {
  protected override readonly name: string = 'LinearRegression';
  protected override readonly fitIntercept: boolean;
  private readonly solver: 'closed' | 'descent';
  private readonly lr: number;
  private readonly epochs: number;
  private seen: number[] = [];

  constructor(options: LinearRegressionOptions = {}) {
    super();
    const op = 'LinearRegression';
    checkOptions(op, options, ['solver', 'lr', 'epochs'], ['fitIntercept']);
    const { solver = 'closed', lr = 0.1, epochs = 1000 } = options;
    if (solver !== 'closed' && solver !== 'descent')
      throw new UnsupportedError(`${op}: solver is ${describe(solver)}; use 'closed' or 'descent'`);
    positive(op, 'lr', lr);
    whole(op, 'epochs', epochs);
    this.fitIntercept = options.fitIntercept ?? true;
    [this.solver, this.lr, this.epochs] = [solver, lr, epochs];
  }

  /** The mean squared error before each step of the descent; empty for the closed form. */
  get losses(): readonly number[] {
    return this.seen;
  }

  protected override async solve(x: Tensor, y: Tensor): Promise<Learned> {
    this.seen = [];
    if (this.solver === 'descent') return this.descend(x, y);
    return this.centred(x, y, (a, b) => {
      const [n = 0, columns = 0] = a.shape;
      if (n < columns) return matmul(pinv(a), b);
      const { q, r } = qr(a);
      return matmul(pinv(r), matmul(transpose(q, 0, 1), b));
    });
  }

  private async descend(x: Tensor, y: Tensor): Promise<Learned> {
    const { device } = x;
    const [n = 0, columns = 0] = x.shape;
    using made = scope();
    const { coef, intercept } = made.run(() => ({
      coef: zeros([columns, y.shape[1] ?? 0], { device }),
      intercept: zeros([y.shape[1] ?? 0], { device }),
    }));
    for (let done = 0; done < this.epochs; ) {
      const losses: Tensor[] = [];
      for (let i = 0; i < CHUNK && done < this.epochs; i++, done++)
        losses.push(
          tidy(() =>
            noGrad(() => {
              const residual = sub(add(matmul(x, coef), intercept), y);
              const slope = mul(matmul(transpose(x, 0, 1), residual), 2 / n);
              const shift = mul(mean(residual, { dim: 0 }), 2);
              const loss = mean(square(residual));
              sub_(coef, mul(slope, this.lr));
              if (this.fitIntercept) sub_(intercept, mul(shift, this.lr));
              return loss;
            }),
          ),
        );
      using all = tidy(() => stack(losses));
      for (const loss of losses) loss.dispose();
      this.seen.push(...(await all.data()));
      const last = this.seen.at(-1) ?? 0;
      if (!Number.isFinite(last))
        throw new NumericsError(
          `LinearRegression.fit: the descent diverged within ${done} steps of lr ${this.lr}; take smaller steps, or scale the columns with StandardScaler first`,
        );
    }
    return tidy(() => ({ coef: add(coef, 0), intercept: add(intercept, 0) }));
  }
}

/** Options of `Ridge`. */
export interface RidgeOptions {
  /** Weight of the squared norm of the coefficients; 1 unless given. */
  readonly alpha?: number | undefined;
  /** Learn what is added, too; it is not made small. True unless given. */
  readonly fitIntercept?: boolean | undefined;
}

/**
 * Least squares with a penalty of alpha |coef|² (`sklearn.linear_model.Ridge`), in closed form.
 *
 * @example
 * ```ts
 * const model = await new tl.estimators.Ridge({ alpha: 0.5 }).fit(tl.randn([20, 3]), tl.randn([20]));
 * ```
 */
export class Ridge extends LinearModel {
  protected override readonly name: string = 'Ridge';
  protected override readonly fitIntercept: boolean;
  private readonly alpha: number;

  constructor(options: RidgeOptions = {}) {
    super();
    checkOptions('Ridge', options, ['alpha'], ['fitIntercept']);
    const { alpha = 1 } = options;
    positive('Ridge', 'alpha', alpha, true);
    this.fitIntercept = options.fitIntercept ?? true;
    this.alpha = alpha;
  }

  protected override async solve(x: Tensor, y: Tensor): Promise<Learned> {
    return this.centred(x, y, (a, b) => ridge(a, b, this.alpha));
  }
}
