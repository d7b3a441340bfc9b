import { noGrad } from '../autograd/grad.ts';
import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import { ones, tensor } from '../ops/creation.ts';
import { add, div, eq, mul, sub } from '../ops/elementwise.ts';
import { where } from '../ops/functions.ts';
import { indexSelect } from '../ops/gather.ts';
import { cat } from '../ops/joins.ts';
import { checkOptions, checkTensor, compose, describe } from '../ops/record.ts';
import { amax, amin, mean, std } from '../ops/reductions.ts';
import { prod } from '../ops/scans.ts';
import { reshape } from '../ops/structure.ts';
import { keep } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { countRows } from './dataset.ts';

/** (x - shift) / scale by columns; what shift and scale are is learned from rows. */
abstract class ColumnScaler {
  private learned: readonly [shift: Tensor, scale: Tensor] | null = null;

  /** For messages. */
  protected abstract readonly name: string;
  /** What is taken from each column and what it is divided by. */
  protected abstract learn(x: Tensor): readonly [shift: Tensor, scale: Tensor];

  /** What each column is divided by; the scaler's own. */
  get scale(): Tensor {
    return this.fitted('scale')[1];
  }

  /**
   * Learns from the columns of rows.
   *
   * @throws ShapeError when there are no rows.
   */
  fit(x: Tensor): this {
    const { name } = this;
    checkTensor(`${name}.fit`, x);
    if (x.ndim === 0 || countRows(x) === 0)
      throw new ShapeError(`${name}.fit: there are no rows; give a tensor of one row a sample`);
    const [shift, scale] = compose(name, () => noGrad(() => this.learn(x)));
    this.dispose();
    this.learned = [keep(shift), keep(scale)];
    return this;
  }

  /** The columns scaled. */
  transform(x: Tensor): Tensor {
    const [shift, scale] = this.fitted('transform');
    return compose(this.name, () => div(sub(x, shift), scale));
  }

  /** `fit`, then `transform`. */
  fitTransform(x: Tensor): Tensor {
    return this.fit(x).transform(x);
  }

  /** The inverse of `transform`. */
  inverseTransform(x: Tensor): Tensor {
    const [shift, scale] = this.fitted('inverseTransform');
    return compose(this.name, () => add(mul(x, scale), shift));
  }

  /** Frees what was learned. */
  dispose(): void {
    for (const t of this.learned ?? []) t.dispose();
    this.learned = null;
  }

  /** The same as `dispose()`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** What was learned. */
  protected fitted(what: string): readonly [shift: Tensor, scale: Tensor] {
    if (!this.learned) throw new UnsupportedError(`${this.name}.${what}: it was not fitted yet; call fit(x) first`);
    return this.learned;
  }
}

/** Columns that do not vary are only shifted. */
const orOne = (x: Tensor): Tensor => where(eq(x, 0), 1, x);

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
export class StandardScaler extends ColumnScaler {
  protected override readonly name: string = 'StandardScaler';

  /** The mean of each column; the scaler's own. */
  get mean(): Tensor {
    return this.fitted('mean')[0];
  }

  protected override learn(x: Tensor): readonly [Tensor, Tensor] {
    return [mean(x, { dim: 0 }), orOne(std(x, { dim: 0, correction: 0 }))];
  }
}

/**
 * Mean normalisation: (x - mean) / (max - min) for every column, so that its mean is 0 and its range 1; columns that do not vary are
 * only shifted.
 *
 * @example
 * ```ts
 * const x = new tl.data.MeanNormalizer().fitTransform(tl.rand([100, 4]));
 * ```
 */
export class MeanNormalizer extends ColumnScaler {
  protected override readonly name: string = 'MeanNormalizer';

  /** The mean of each column; the scaler's own. */
  get mean(): Tensor {
    return this.fitted('mean')[0];
  }

  protected override learn(x: Tensor): readonly [Tensor, Tensor] {
    return [mean(x, { dim: 0 }), orOne(sub(amax(x, { dim: 0 }), amin(x, { dim: 0 })))];
  }
}

/** Options of `MinMaxScaler`. */
export interface MinMaxScalerOptions {
  /** What the least and the largest element of a column become; [0, 1] unless given. */
  readonly featureRange?: readonly [number, number] | undefined;
}

/**
 * Scales every column to a range (`sklearn.preprocessing.MinMaxScaler`); columns that do not vary become its lower end.
 *
 * @throws UnsupportedError for a range whose ends are not in order.
 * @example
 * ```ts
 * const scaler = new tl.data.MinMaxScaler({ featureRange: [-1, 1] });
 * const x = scaler.fitTransform(tl.randn([100, 4]));
 * ```
 */
export class MinMaxScaler extends ColumnScaler {
  protected override readonly name: string = 'MinMaxScaler';
  private readonly range: readonly [number, number];

  constructor(options: MinMaxScalerOptions = {}) {
    super();
    checkOptions('MinMaxScaler', options, ['featureRange']);
    const range = options.featureRange ?? [0, 1];
    if (!Array.isArray(range) || range.length !== 2 || !(Number(range[0]) < Number(range[1])))
      throw new UnsupportedError(
        `MinMaxScaler: featureRange is ${describe(range)}, but it must be two numbers, the smaller one first`,
      );
    this.range = [Number(range[0]), Number(range[1])];
  }

  protected override learn(x: Tensor): readonly [Tensor, Tensor] {
    const [low, high] = this.range;
    const least = amin(x, { dim: 0 });
    const scale = div(orOne(sub(amax(x, { dim: 0 }), least)), high - low);
    return [sub(least, mul(scale, low)), scale];
  }
}

/** Options of `PolynomialFeatures`. */
export interface PolynomialFeaturesOptions {
  /** A column of ones in front; true unless given. */
  readonly includeBias?: boolean | undefined;
  /** Only products of different columns; false unless given. */
  readonly interactionOnly?: boolean | undefined;
}

/**
 * All products of columns up to a degree (`sklearn.preprocessing.PolynomialFeatures`, in its order): for columns a and b and degree 2
 * the columns 1, a, b, a², ab, b².
 *
 * @throws UnsupportedError unless the degree is a whole number that is not negative.
 * @example
 * ```ts
 * const x = new tl.data.PolynomialFeatures(3).transform(tl.rand([20, 1])); // 1, x, x², x³: shape [20, 4]
 * ```
 */
export class PolynomialFeatures {
  private readonly bias: boolean;
  private readonly interactionOnly: boolean;

  constructor(
    readonly degree = 2,
    options: PolynomialFeaturesOptions = {},
  ) {
    checkOptions('PolynomialFeatures', options, [], ['includeBias', 'interactionOnly']);
    if (!Number.isInteger(degree) || degree < 0)
      throw new UnsupportedError(
        `PolynomialFeatures: degree is ${describe(degree)}, but it must be a whole number that is not negative`,
      );
    this.bias = options.includeBias ?? true;
    this.interactionOnly = options.interactionOnly ?? false;
  }

  /** For each column of the result the columns of the input whose product it is. */
  products(columns: number): number[][] {
    const out: number[][] = this.bias ? [[]] : [];
    let last: number[][] = [[]];
    for (let d = 1; d <= this.degree; d++) {
      last = last.flatMap((product) => {
        const from = product.length === 0 ? 0 : (product.at(-1) ?? 0) + (this.interactionOnly ? 1 : 0);
        return Array.from({ length: Math.max(0, columns - from) }, (_, i) => [...product, from + i]);
      });
      out.push(...last);
    }
    return out;
  }

  /**
   * The products of rows [n, columns].
   *
   * @throws ShapeError unless the input has two dims.
   */
  transform(x: Tensor): Tensor {
    const op = 'PolynomialFeatures';
    checkTensor(`${op}.transform`, x);
    if (x.ndim !== 2)
      throw new ShapeError(`${op}.transform: ${showShape(x.shape)} must be of shape [samples, columns]`);
    const [n, columns] = x.shape as [number, number];
    const products = this.products(columns);
    const factors = Math.max(1, this.degree);
    // Column 0 holds ones, which fill up the products of fewer factors.
    const places = products.flatMap((product) => Array.from({ length: factors }, (_, i) => (product[i] ?? -1) + 1));
    return compose(op, () => {
      const { device } = x;
      const extended = cat([ones([n, 1], { device }), x], 1);
      const picked = indexSelect(extended, 1, tensor(Int32Array.from(places), { device }));
      return prod(reshape(picked, [n, products.length, factors]), { dim: 2 });
    });
  }

  /** The same as `transform`: there is nothing to learn. */
  fitTransform(x: Tensor): Tensor {
    return this.transform(x);
  }
}
