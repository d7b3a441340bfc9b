import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { checkOptions, compose, describe } from '../ops/record.ts';
import { Tensor } from '../tensor/tensor.ts';
import {
  asRows,
  type Batch,
  countRows,
  type Dataset,
  type HostRows,
  pickHost,
  pickRows,
  type Rows,
  Subset,
} from './dataset.ts';
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
 * Splits a dataset at random (`torch.utils.data.random_split`), by the seed of `manualSeed`: into parts of the given numbers of
 * samples, or of the given shares, which sum to 1; what does not divide goes to the first parts.
 *
 * @throws UnsupportedError unless the lengths sum to the number of samples, or the shares to 1.
 * @example
 * ```ts
 * const set = new tl.data.TensorDataset(tl.randn([100, 4]), tl.randint(0, 3, [100]));
 * const [train, validation] = tl.data.randomSplit(set, [0.8, 0.2]);
 * ```
 */
export function randomSplit<B extends Batch>(dataset: Dataset<B>, lengths: readonly number[]): Subset<B>[] {
  const op = 'randomSplit';
  const n = dataset.length;
  const total = lengths.reduce((a, b) => a + b, 0);
  const shares = Math.abs(total - 1) < 1e-9 && lengths.every((l) => l >= 0 && l <= 1);
  const whole = shares ? lengths.map((share) => Math.floor(n * share)) : [...lengths];
  const rest = n - whole.reduce((a, b) => a + b, 0);
  const counts = shares ? whole.map((count, i) => count + (i < rest ? 1 : 0)) : whole;
  if (counts.some((c) => !Number.isInteger(c) || c < 0) || counts.reduce((a, b) => a + b, 0) !== n)
    throw new UnsupportedError(
      `${op}: [${lengths.join(', ')}] of ${n} samples; give numbers of samples that sum to ${n}, or shares that sum to 1`,
    );
  const all = order(n, true);
  let from = 0;
  return counts.map((count) => {
    from += count;
    return new Subset(dataset, all.slice(from - count, from));
  });
}

/** The numbers of the samples of a fold. */
export interface Fold {
  readonly train: Int32Array;
  readonly test: Int32Array;
}

/** Options of `KFold`. */
export interface KFoldOptions {
  /** Shuffle first, by the seed of `manualSeed`; false unless given. */
  readonly shuffle?: boolean | undefined;
}

/**
 * Cross-validation (`sklearn.model_selection.KFold`): every sample is in the test set of one of the folds, and in the training set of
 * all others. The first folds are one larger where the samples do not divide.
 *
 * @throws UnsupportedError for fewer than two folds, and fewer samples than folds.
 * @example
 * ```ts
 * const set = new tl.data.TensorDataset(tl.randn([100, 4]), tl.randint(0, 3, [100]));
 * for (const { train, test } of new tl.data.KFold(5, { shuffle: true }).split(set)) {
 *   const parts = [new tl.data.Subset(set, train), new tl.data.Subset(set, test)];
 * }
 * ```
 */
export class KFold {
  private readonly shuffle: boolean;

  constructor(
    readonly folds = 5,
    options: KFoldOptions = {},
  ) {
    checkOptions('KFold', options, [], ['shuffle']);
    if (!Number.isInteger(folds) || folds < 2)
      throw new UnsupportedError(`KFold: ${describe(folds)} folds; it must be a whole number of at least 2`);
    this.shuffle = options.shuffle ?? false;
  }

  /** The folds of a dataset, of rows, or of a number of samples. */
  split(samples: number | Rows | Dataset<Batch>): Fold[] {
    const n = this.count(samples);
    if (!Number.isInteger(n) || n < this.folds)
      throw new UnsupportedError(
        `KFold.split: ${describe(n)} samples are too few for ${this.folds} folds; each needs one of its own`,
      );
    const all = order(n, this.shuffle);
    let from = 0;
    return Array.from({ length: this.folds }, (_, i) => {
      const to = from + Math.floor(n / this.folds) + (i < n % this.folds ? 1 : 0);
      const inside = (_value: number, at: number): boolean => at >= from && at < to;
      const fold = { train: all.filter((v, at) => !inside(v, at)), test: all.filter(inside) };
      from = to;
      return fold;
    });
  }

  private count(samples: number | Rows | Dataset<Batch>): number {
    if (typeof samples === 'number') return samples;
    return 'get' in samples ? (samples as Dataset<Batch>).length : countRows(asRows('KFold.split', samples as Rows));
  }
}
