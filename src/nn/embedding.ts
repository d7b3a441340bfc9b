import { ShapeError } from '../core/errors.ts';
import { zero_ } from '../ops/assign.ts';
import { randn } from '../ops/creation.ts';
import { type EmbeddingOptions, embedding, paddingRow } from '../ops/embedding.ts';
import { checkOptions, describe } from '../ops/record.ts';
import { select } from '../ops/structure.ts';
import type { Device } from '../tensor/device.ts';
import { internal } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Module, Parameter } from './module.ts';

/** Options of `Embedding`. */
export interface EmbeddingLayerOptions extends EmbeddingOptions {
  /** The default device unless given. */
  readonly device?: Device | undefined;
}

/**
 * A table of learned vectors, looked up by index (`torch.nn.Embedding`). Its weight [numEmbeddings, embeddingDim] starts normal, with
 * zeros in the padding row, which gets no gradient.
 *
 * @throws ShapeError for sizes that are not whole numbers of at least 1.
 * @throws IndexError for a padding row that is not there.
 * @example
 * ```ts
 * const words = new tl.nn.Embedding(1000, 16, { paddingIdx: 0 });
 * words.forward(tl.zeros([8, 12], { dtype: 'int32' })); // shape [8, 12, 16]
 * ```
 */
export class Embedding extends Module {
  readonly weight: Tensor;
  /** The padding row from 0 on, or null. */
  readonly paddingIdx: number | null;

  constructor(
    readonly numEmbeddings: number,
    readonly embeddingDim: number,
    options: EmbeddingLayerOptions = {},
  ) {
    super();
    checkOptions('Embedding', options, ['paddingIdx', 'device']);
    for (const n of [numEmbeddings, embeddingDim])
      if (!Number.isInteger(n) || n < 1)
        throw new ShapeError(`Embedding: a size is ${describe(n)}; sizes are whole numbers of at least 1`);
    const padding = paddingRow('Embedding', options.paddingIdx, numEmbeddings);
    const { device } = options;
    this.paddingIdx = padding;
    this.weight = internal('Embedding', () => {
      const rows = randn([numEmbeddings, embeddingDim], device ? { device } : {});
      if (padding !== null) zero_(select(rows, 0, padding));
      return new Parameter(rows);
    });
  }

  override forward(input: Tensor): Tensor {
    return embedding(input, this.weight, { paddingIdx: this.paddingIdx });
  }

  protected override extra(): string {
    const padding = this.paddingIdx === null ? '' : `, paddingIdx=${this.paddingIdx}`;
    return `${this.numEmbeddings}, ${this.embeddingDim}${padding}`;
  }
}
