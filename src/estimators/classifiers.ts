import { noGrad } from '../autograd/grad.ts';
import { ShapeError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import type { Rows } from '../data/dataset.ts';
import { order } from '../data/loader.ts';
import { add_, assign_ } from '../ops/assign.ts';
import { full, ones, tensor, zeros } from '../ops/creation.ts';
import { abs, add, cast, div, eq, gt, le, mul, sigmoid, sqrt, sub } from '../ops/elementwise.ts';
import { where } from '../ops/functions.ts';
import { indexSelect } from '../ops/gather.ts';
import { cat } from '../ops/joins.ts';
import { inverse } from '../ops/linalg.ts';
import { linear, matmul } from '../ops/matmul.ts';
import { diag, trace } from '../ops/movement.ts';
import { checkOptions } from '../ops/record.ts';
import { amax, argmax, mean, softmax, std } from '../ops/reductions.ts';
import { narrow, reshape, select, squeeze, sum, transpose, unsqueeze } from '../ops/structure.ts';
import { scope, tidy } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { accuracy, Estimator, positive, whole } from './estimator.ts';

/** What a classifier has learned: a row of weights and a number for each class, or one for two classes; and the labels. */
type Learned = { readonly coef: Tensor; readonly intercept: Tensor; readonly labels: Tensor };

/** The class whose x coef^T + intercept is largest. */
abstract class LinearClassifier extends Estimator<Learned> {
  protected abstract readonly fitIntercept: boolean;
  private known: readonly number[] = [];

  /** Weights [classes, columns], one row for two classes; the model's own. */
  get coef(): Tensor {
    return this.fitted('coef').coef;
  }

  /** What is added, [classes], or [1] for two classes; the model's own. */
  get intercept(): Tensor {
    return this.fitted('intercept').intercept;
  }

  /** The labels, ascending. */
  get classes(): readonly number[] {
    this.fitted('classes');
    return this.known;
  }

  /**
   * Learns from samples [samples, columns] and their labels [samples].
   *
   * @throws ShapeError when the shapes do not fit together, and for fewer than two classes.
   */
  async fit(x: Rows, y: Rows): Promise<this> {
    using made = scope();
    const [rows, labels] = made.run(() => {
      const inputs = this.rows('fit', x);
      return [inputs, this.flat('fit', inputs, y)] as const;
    });
    const values = await labels.data();
    const classes = [...new Set(Array.from(values as ArrayLike<number>))].sort((a, b) => a - b);
    if (classes.length < 2)
      throw new ShapeError(`${this.name}.fit: all labels are ${classes.join()}; there must be at least two classes`);
    const { device } = rows;
    // A column of 0 and 1 for each class; one for two classes.
    const targets = made.run(() => {
      const all = tensor(Float32Array.from(classes), { device });
      const hot = cast(eq(unsqueeze(cast(labels, 'float32'), 1), all), 'float32');
      return classes.length === 2 ? narrow(hot, 1, 1, 1) : hot;
    });
    const found = await this.solve(rows, targets);
    this.learn({ ...found, labels: tensor(Int32Array.from(classes), { device }) });
    this.known = classes;
    return this;
  }

  /** Weights [k, columns] and what is added, [k], for k columns of targets. */
  protected abstract solve(x: Tensor, targets: Tensor): Promise<Omit<Learned, 'labels'>>;

  /** x coef^T + intercept: [samples, classes], or [samples] for two classes, where the second one is above 0. */
  decisionFunction(x: Rows): Tensor {
    const { coef, intercept } = this.fitted('decisionFunction');
    return tidy(() => {
      const rows = this.rows('decisionFunction', x, coef.device);
      this.columns('decisionFunction', rows, coef.shape[1] ?? 0);
      const out = linear(rows, coef, intercept);
      return coef.shape[0] === 1 ? squeeze(out, 1) : out;
    });
  }

  /** The label of each sample, as int32. */
  predict(x: Rows): Tensor {
    const { labels } = this.fitted('predict');
    return tidy(() => {
      const scores = this.decisionFunction(x);
      return indexSelect(labels, 0, scores.ndim === 1 ? cast(gt(scores, 0), 'int32') : argmax(scores, { dim: 1 }));
    });
  }

  /** The share of samples whose label it predicts. */
  async score(x: Rows, y: Rows): Promise<number> {
    this.fitted('score');
    using out = tidy(() => {
      const predicted = this.predict(x);
      return accuracy(predicted, cast(this.flat('score', predicted, y), 'int32'));
    });
    return out.item();
  }

  private flat(what: string, x: Tensor, y: Rows): Tensor {
    const labels = this.targets(what, x, y);
    if (labels.ndim !== 1)
      throw new ShapeError(`${this.name}.${what}: labels ${showShape(labels.shape)} must be one number a sample`);
    return labels;
  }
}

/** Options of `LogisticRegression`. */
export interface LogisticRegressionOptions {
  /** Inverse strength of the penalty: the loss is C times the summed cross-entropy, plus half of |coef|². 1 unless given; Infinity for no penalty. */
  readonly C?: number | undefined;
  /** Learn what is added, too; it is not made small. True unless given. */
  readonly fitIntercept?: boolean | undefined;
  /** The most steps; 1000 unless given. */
  readonly maxIter?: number | undefined;
  /** Done when no part of the gradient of the mean loss, for columns of variance 1, is larger; 1e-5 unless given. */
  readonly tol?: number | undefined;
}

/** Steps between looks at the gradient. */
const CHUNK = 10;

/**
 * Logistic regression (`sklearn.linear_model.LogisticRegression`), by softmax for more than two classes. Columns are scaled while it
 * learns, which changes nothing in the result. Each step solves with a fixed bound of the Hessian (Böhning, "Multinomial logistic
 * regression algorithm", 1992), with Nesterov's momentum, which starts anew where it leads upwards (O'Donoghue and Candès, 2015).
 *
 * @example
 * ```ts
 * const model = await new tl.estimators.LogisticRegression().fit([[0], [1], [2], [3]], [0, 0, 1, 1]);
 * await model.score([[0.2], [2.7]], [0, 1]); // 1
 * ```
 */
export class LogisticRegression extends LinearClassifier {
  protected override readonly name: string = 'LogisticRegression';
  protected override readonly fitIntercept: boolean;
  private readonly C: number;
  private readonly maxIter: number;
  private readonly tol: number;
  private steps = 0;

  constructor(options: LogisticRegressionOptions = {}) {
    super();
    const op = 'LogisticRegression';
    checkOptions(op, options, ['C', 'maxIter', 'tol'], ['fitIntercept']);
    const { C = 1, maxIter = 1000, tol = 1e-5 } = options;
    positive(op, 'C', C);
    whole(op, 'maxIter', maxIter);
    positive(op, 'tol', tol, true);
    this.fitIntercept = options.fitIntercept ?? true;
    [this.C, this.maxIter, this.tol] = [C, maxIter, tol];
  }

  /** Steps that the last `fit` took. */
  get nIter(): number {
    return this.steps;
  }

  /** The probability of each class: [samples, classes]. */
  predictProba(x: Rows): Tensor {
    return tidy(() => {
      const scores = this.decisionFunction(x);
      if (scores.ndim === 2) return softmax(scores, 1);
      const one = unsqueeze(sigmoid(scores), 1);
      return cat([sub(1, one), one], 1);
    });
  }

  protected override async solve(x: Tensor, targets: Tensor): Promise<Omit<Learned, 'labels'>> {
    const { device } = x;
    const [n = 0, columns = 0] = x.shape;
    const k = targets.shape[1] ?? 0;
    using made = scope();
    // Columns of mean 0 and variance 1, and one of ones; the penalty is that of the columns as they came.
    const { scaled, center, scale, penalty, step } = made.run(() =>
      noGrad(() => {
        const deviation = std(x, { dim: 0, correction: 0 });
        const scale = where(eq(deviation, 0), 1, deviation);
        const center = this.fitIntercept ? mean(x, { dim: 0 }) : zeros([columns], { device });
        const scaled = cat([div(sub(x, center), scale), full([n, 1], this.fitIntercept ? 1 : 0, { device })], 1);
        const penalty = cat([div(1 / (this.C * n), mul(scale, scale)), zeros([1], { device })], 0);
        const curvature = mul(matmul(transpose(scaled, 0, 1), scaled), (k === 1 ? 0.25 : 0.5) / n);
        // What columns that depend on each other, or no intercept, would make singular.
        const least = mul(div(trace(curvature), columns + 1), 1e-6);
        return { scaled, center, scale, penalty, step: inverse(add(curvature, diag(add(penalty, least)))) };
      }),
    );
    const state = made.run(() => ({
      weights: zeros([columns + 1, k], { device }),
      before: zeros([columns + 1, k], { device }),
      momentum: ones([], { device }),
    }));
    this.steps = 0;
    for (let slope = Infinity; slope > this.tol && this.steps < this.maxIter; ) {
      using largest = tidy(() =>
        noGrad(() => {
          let last: Tensor | null = null;
          for (let i = 0; i < CHUNK && this.steps < this.maxIter; i++, this.steps++)
            last = this.advance(scaled, targets, penalty, step, state);
          return amax(abs(last ?? zeros([], { device })));
        }),
      );
      slope = await largest.item();
    }
    return tidy(() => {
      const weights = transpose(narrow(state.weights, 0, 0, columns), 0, 1);
      const coef = div(weights, scale);
      const offset = reshape(narrow(state.weights, 0, columns, 1), [k]);
      return { coef, intercept: sub(offset, matmul(coef, center)) };
    });
  }

  /** One step; gives the gradient where it began. */
  private advance(
    x: Tensor,
    targets: Tensor,
    penalty: Tensor,
    step: Tensor,
    state: { readonly weights: Tensor; readonly before: Tensor; readonly momentum: Tensor },
  ): Tensor {
    const { weights, before, momentum } = state;
    const next = div(add(sqrt(add(mul(mul(momentum, momentum), 4), 1)), 1), 2);
    const ahead = add(weights, mul(sub(weights, before), div(sub(momentum, 1), next)));
    const scores = matmul(x, ahead);
    const likely = targets.shape[1] === 1 ? sigmoid(scores) : softmax(scores, 1);
    const gradient = add(
      div(matmul(transpose(x, 0, 1), sub(likely, targets)), x.shape[0] ?? 1),
      mul(ahead, unsqueeze(penalty, 1)),
    );
    const found = sub(ahead, matmul(step, gradient));
    const upwards = gt(sum(mul(gradient, sub(found, weights))), 0);
    assign_(before, weights);
    assign_(weights, found);
    assign_(momentum, where(upwards, 1, next));
    return gradient;
  }
}

/** Options of `Perceptron`. */
export interface PerceptronOptions {
  /** The most passes over the samples; 1000 unless given. It ends with the first that makes no mistake. */
  readonly maxIter?: number | undefined;
  /** Learn what is added, too; true unless given. */
  readonly fitIntercept?: boolean | undefined;
  /** What weights change by; 1 unless given. */
  readonly eta0?: number | undefined;
  /** Samples in a new order in each pass, by the seed of `manualSeed`; true unless given. */
  readonly shuffle?: boolean | undefined;
}

/** Samples that are learned from in one scope. */
const BLOCK = 32;

/**
 * The perceptron (Rosenblatt, 1958; `sklearn.linear_model.Perceptron`): goes through the samples one by one, and adds each that is
 * on the wrong side to the weights. One against the rest for more than two classes.
 *
 * @example
 * ```ts
 * const and = await new tl.estimators.Perceptron().fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1]);
 * and.mistakes.at(-1); // 0: the two classes can be told apart by a line
 * ```
 */
export class Perceptron extends LinearClassifier {
  protected override readonly name: string = 'Perceptron';
  protected override readonly fitIntercept: boolean;
  private readonly maxIter: number;
  private readonly eta0: number;
  private readonly shuffle: boolean;
  private counted: number[] = [];

  constructor(options: PerceptronOptions = {}) {
    super();
    checkOptions('Perceptron', options, ['maxIter', 'eta0'], ['fitIntercept', 'shuffle']);
    const { maxIter = 1000, eta0 = 1 } = options;
    whole('Perceptron', 'maxIter', maxIter);
    positive('Perceptron', 'eta0', eta0);
    this.fitIntercept = options.fitIntercept ?? true;
    this.shuffle = options.shuffle ?? true;
    [this.maxIter, this.eta0] = [maxIter, eta0];
  }

  /** How many mistakes each pass of the last `fit` made. */
  get mistakes(): readonly number[] {
    return this.counted;
  }

  protected override async solve(x: Tensor, targets: Tensor): Promise<Omit<Learned, 'labels'>> {
    const { device } = x;
    const [n = 0, columns = 0] = x.shape;
    const k = targets.shape[1] ?? 0;
    using made = scope();
    const { coef, intercept, wrong } = made.run(() => ({
      coef: zeros([k, columns], { device }),
      intercept: zeros([k], { device }),
      wrong: zeros([], { device }),
    }));
    this.counted = [];
    for (let pass = 0; pass < this.maxIter; pass++) {
      const all = order(n, this.shuffle);
      for (let at = 0; at < n; at += BLOCK)
        tidy(() =>
          noGrad(() => {
            const some = tensor(all.slice(at, at + BLOCK), { device });
            const samples = indexSelect(x, 0, some);
            // 1 and -1.
            const sides = sub(mul(indexSelect(targets, 0, some), 2), 1);
            for (let i = 0; i < (some.shape[0] ?? 0); i++) {
              const sample = select(samples, 0, i);
              const side = select(sides, 0, i);
              const score = add(sum(mul(coef, sample), { dim: 1 }), intercept);
              const mistaken = cast(le(mul(score, side), 0), 'float32');
              const change = mul(mul(mistaken, side), this.eta0);
              add_(coef, mul(unsqueeze(change, 1), sample));
              if (this.fitIntercept) add_(intercept, change);
              add_(wrong, sum(mistaken));
            }
          }),
        );
      const total = await wrong.item();
      const before = this.counted.reduce((a, b) => a + b, 0);
      this.counted.push(total - before);
      if (total === before) break;
    }
    return tidy(() => ({ coef: add(coef, 0), intercept: add(intercept, 0) }));
  }
}
