import { noGrad } from '../autograd/grad.ts';
import { IndexError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { eye, type TensorOptions, tensor } from '../ops/creation.ts';
import { add, div, eq, mul, sub } from '../ops/elementwise.ts';
import { where } from '../ops/functions.ts';
import { indexSelect } from '../ops/gather.ts';
import { checkOptions, compose, describe } from '../ops/record.ts';
import { mean, std } from '../ops/reductions.ts';
import { reshape } from '../ops/structure.ts';
import { keep } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';
import { asRows, countRows, type HostRows, pickHost, pickRows, type Rows } from './dataset.ts';
import { order } from './loader.ts';

/** Options of `trainTestSplit`. */
export interface SplitOptions {
  /** Share (below 1) or number of the samples in the test set; 0.25 unless given. */
  readonly testSize?: number | undefined;
  /** Shuffle first, by the seed of `manualSeed`; true unless given. */
  readonly shuffle?: boolean | undefined;
}

/** A part of rows: a tensor of a tensor, rows on the host of what is there. */
export type Part<R extends Rows> = R extends Tensor ? Tensor : HostRows;

/**
 * Splits samples into two sets (`sklearn.model_selection.train_test_split`): of both, inputs first. Tensors are copied on their
 * device; the parts are the caller's.
 *
 * @throws ShapeError when the numbers of rows differ.
 * @throws UnsupportedError when a part would be empty.
 * @example
 * ```ts
 * const [xTrain, xTest, yTrain, yTest] = tl.data.trainTestSplit(tl.randn([100, 4]), tl.randint(0, 3, [100]), { testSize: 0.2 });
 * ```
 */
export function trainTestSplit<X extends Rows, Y extends Rows>(
  x: X,
  y: Y,
  options: SplitOptions = {},
): [Part<X>, Part<X>, Part<Y>, Part<Y>] {
  const op = 'trainTestSplit';
  checkOptions(op, options, ['testSize'], ['shuffle']);
  const { testSize = 0.25, shuffle = true } = options;
  const xs = asRows(op, x);
  const ys = asRows(op, y);
  const n = countRows(xs);
  if (countRows(ys) !== n)
    throw new ShapeError(`${op}: x has ${n} rows and y has ${countRows(ys)}; each sample needs one of both`);
  // A share is rounded up, as scikit-learn does.
  const test = testSize < 1 ? Math.ceil(n * testSize) : testSize;
  if (!Number.isInteger(test) || test < 1 || test >= n)
    throw new UnsupportedError(
      `${op}: testSize ${describe(testSize)} of ${n} samples leaves a part empty; give a share between 0 and 1, or a whole number below ${n}`,
    );
  const all = order(n, shuffle);
  const parts = [all.slice(0, n - test), all.slice(n - test)] as const;
  const pick = (rows: Tensor | HostRows, part: Int32Array): Tensor | HostRows =>
    rows instanceof Tensor ? pickRows(op, rows, part, undefined) : pickHost(rows, part);
  return compose(op, () => [pick(xs, parts[0]), pick(xs, parts[1]), pick(ys, parts[0]), pick(ys, parts[1])]) as [
    Part<X>,
    Part<X>,
    Part<Y>,
    Part<Y>,
  ];
}

/**
 * Scales every column to mean 0 and variance 1 (`sklearn.preprocessing.StandardScaler`), by the mean and the population's standard
 * deviation of the rows it was fitted to; columns that do not vary are only shifted.
 *
 * @example
 * ```ts
 * const scaler = new tl.data.StandardScaler();
 * const x = scaler.fitTransform(tl.randn([100, 4]).mul(3));
 * ```
 */
export class StandardScaler {
  private means: Tensor | null = null;
  private scales: Tensor | null = null;

  /** The mean of each column; the scaler's own. */
  get mean(): Tensor {
    return this.fitted('mean')[0];
  }

  /** What each column is divided by; the scaler's own. */
  get scale(): Tensor {
    return this.fitted('scale')[1];
  }

  /** Learns mean and deviation of each column. */
  fit(x: Tensor): this {
    x.alive('StandardScaler.fit');
    if (x.ndim === 0 || countRows(x) === 0)
      throw new ShapeError('StandardScaler.fit: there are no rows; give a tensor of one row a sample');
    const found = compose('StandardScaler', () =>
      noGrad(() => {
        const deviation = std(x, { dim: 0, correction: 0 });
        return [mean(x, { dim: 0 }), where(eq(deviation, 0), 1, deviation)] as const;
      }),
    );
    this.dispose();
    this.means = keep(found[0]);
    this.scales = keep(found[1]);
    return this;
  }

  /** (x - mean) / scale. */
  transform(x: Tensor): Tensor {
    const [means, scales] = this.fitted('transform');
    return compose('StandardScaler', () => div(sub(x, means), scales));
  }

  /** `fit`, then `transform`. */
  fitTransform(x: Tensor): Tensor {
    return this.fit(x).transform(x);
  }

  /** x * scale + mean: the inverse of `transform`. */
  inverseTransform(x: Tensor): Tensor {
    const [means, scales] = this.fitted('inverseTransform');
    return compose('StandardScaler', () => add(mul(x, scales), means));
  }

  /** Frees what was learned. */
  dispose(): void {
    this.means?.dispose();
    this.scales?.dispose();
    this.means = null;
    this.scales = null;
  }

  /** The same as `dispose()`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  private fitted(op: string): readonly [Tensor, Tensor] {
    if (!this.means || !this.scales)
      throw new UnsupportedError(`StandardScaler.${op}: it was not fitted yet; call fit(x) first`);
    return [this.means, this.scales];
  }
}

/**
 * A row for each label, 1 at the label's place and 0 elsewhere (`F.one_hot`), as float32. For numbers on the host the number of
 * classes is one more than the largest label unless given.
 *
 * @throws IndexError for a label that is no class; where only the device knows, at the next await.
 * @example
 * ```ts
 * const y = tl.data.oneHot([2, 0, 1]); // shape [3, 3]
 * ```
 */
export function oneHot(labels: Tensor | ArrayLike<number>, classes?: number, options: TensorOptions = {}): Tensor {
  if (classes !== undefined && (!Number.isInteger(classes) || classes < 1))
    throw new UnsupportedError(`oneHot: ${describe(classes)} classes; it must be a whole number of at least 1`);
  if (labels instanceof Tensor) {
    if (classes === undefined)
      throw new UnsupportedError(
        'oneHot: give the number of classes; what labels a tensor holds is known on its device only',
      );
    return compose('oneHot', () =>
      reshape(indexSelect(eye(classes, { device: labels.device, ...options }), 0, reshape(labels, [-1])), [
        ...labels.shape,
        classes,
      ]),
    );
  }
  const list = Array.from(labels);
  const n = classes ?? list.reduce((most, label) => Math.max(most, label + 1), 0);
  const wrong = list.findIndex((label) => !Number.isInteger(label) || label < 0 || label >= n);
  if (wrong >= 0)
    throw new IndexError(`oneHot: label ${wrong} is ${list[wrong]}; labels are whole numbers from 0 to ${n - 1}`);
  const data = new Float32Array(list.length * n);
  list.forEach((label, i) => {
    data[i * n + label] = 1;
  });
  return tensor(data, { ...options, shape: [list.length, n] });
}
