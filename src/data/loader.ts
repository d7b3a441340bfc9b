import { UnsupportedError } from '../core/errors.ts';
import { hostRandom } from '../core/random.ts';
import { checkFunction, checkOptions, describe } from '../ops/record.ts';
import type { Device } from '../tensor/device.ts';
import { Loan, tensorsIn } from '../tensor/scope.ts';
import { type Batch, Dataset, type Sample, type XY } from './dataset.ts';

/** Options of `DataLoader`. */
export interface DataLoaderOptions<B extends Batch = XY> {
  /** Samples in a batch; 1 unless given. */
  readonly batchSize?: number | undefined;
  /** A new order in every pass, from the seed of `manualSeed`. */
  readonly shuffle?: boolean | undefined;
  /** Leave out a last batch that is smaller than the others. */
  readonly dropLast?: boolean | undefined;
  /** Where batches from the host go: the default device unless given. */
  readonly device?: Device | undefined;
  /** How many batches are made ahead, while the loop works on the one before; 0 unless given. For datasets that take their time. */
  readonly prefetch?: number | undefined;
  /** Makes a batch of samples, in place of stacking them. */
  readonly collate?: ((samples: readonly Sample<B>[]) => B | Promise<B>) | undefined;
}

/** @internal Whole numbers below `n`, in order or shuffled (Fisher and Yates) by the seeded generator of the host. */
export function order(n: number, shuffle: boolean): Int32Array {
  const indices = Int32Array.from({ length: n }, (_, i) => i);
  if (!shuffle) return indices;
  const random = hostRandom();
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const kept = indices[i] ?? 0;
    indices[i] = indices[j] ?? 0;
    indices[j] = kept;
  }
  return indices;
}

/**
 * Batches of a dataset (`torch.utils.data.DataLoader`), for `for await` and for `fit`. It owns its batch, which is disposed at the
 * next iteration and when the loop ends, unless `keep` is called on its tensors.
 *
 * @throws UnsupportedError for unknown options and a batch size below 1.
 * @example
 * ```ts
 * const set = new tl.data.TensorDataset(tl.randn([100, 4]), tl.randint(0, 3, [100]));
 * for await (const { x, y } of new tl.data.DataLoader(set, { batchSize: 32, shuffle: true })) {
 *   console.log(x.shape, y.shape);
 * }
 * ```
 */
export class DataLoader<B extends Batch = XY> implements AsyncIterable<B> {
  readonly batchSize: number;
  private readonly options: DataLoaderOptions<B>;

  constructor(
    readonly dataset: Dataset<B>,
    options: DataLoaderOptions<B> = {},
  ) {
    if (!(dataset instanceof Dataset))
      throw new UnsupportedError(`DataLoader: ${describe(dataset)} is no dataset; wrap tensors in a TensorDataset`);
    checkOptions('DataLoader', options, ['batchSize', 'device', 'prefetch', 'collate'], ['shuffle', 'dropLast']);
    const { batchSize = 1, prefetch = 0 } = options;
    if (!Number.isInteger(batchSize) || batchSize < 1)
      throw new UnsupportedError(
        `DataLoader: batchSize is ${describe(batchSize)}, but it must be a whole number of at least 1`,
      );
    if (!Number.isInteger(prefetch) || prefetch < 0)
      throw new UnsupportedError(
        `DataLoader: prefetch is ${describe(prefetch)}, but it must be a whole number that is not negative`,
      );
    if (options.collate !== undefined) checkFunction('DataLoader', options.collate);
    this.batchSize = batchSize;
    this.options = options;
  }

  /** Number of batches in a pass. */
  get length(): number {
    const whole = this.dataset.length / this.batchSize;
    return this.options.dropLast ? Math.floor(whole) : Math.ceil(whole);
  }

  /** One pass over the dataset, batch by batch. */
  async *[Symbol.asyncIterator](): AsyncGenerator<B, void, undefined> {
    const { shuffle = false, device, collate, prefetch = 0 } = this.options;
    const indices = order(this.dataset.length, shuffle);
    const loan = new Loan(
      'by its DataLoader, which went on or ended; use the batch before, or call keep() on its tensors',
    );
    const make = async (b: number): Promise<B> => {
      const some = indices.slice(b * this.batchSize, (b + 1) * this.batchSize);
      return collate
        ? await collate(await Promise.all(Array.from(some, (i) => this.dataset.get(i))))
        : await this.dataset.batch(some, device);
    };
    const batches = this.length;
    // Begun, in order, and not yet handed out.
    const ahead: Promise<B>[] = [];
    let begun = 0;
    try {
      for (let b = 0; b < batches; b++) {
        for (; begun < Math.min(batches, b + 1 + prefetch); begun++) {
          const batch = make(begun);
          // One that fails does so when its turn comes.
          batch.catch(() => {});
          ahead.push(batch);
        }
        const next = ahead.shift();
        if (next) yield loan.lend(await next);
      }
    } finally {
      loan.takeBack();
      // What nobody has seen.
      for (const batch of await Promise.allSettled(ahead))
        if (batch.status === 'fulfilled') for (const t of tensorsIn(batch.value)) t.dispose();
    }
  }
}
