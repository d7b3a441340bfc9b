import { ShapeError } from '../core/errors.ts';
import { type MultiheadCallOptions, multiHeadAttentionForward } from '../ops/attention.ts';
import { zeros } from '../ops/creation.ts';
import { checkFlag, checkOptions, checkTensor, compose, describe } from '../ops/record.ts';
import { transpose } from '../ops/structure.ts';
import type { Device } from '../tensor/device.ts';
import { internal } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkProbability } from './functional.ts';
import { xavierNormal_, xavierUniform_, zeros_ } from './init.ts';
import { Linear } from './layers.ts';
import { Module, Parameter } from './module.ts';

/** Options of `MultiheadAttention`. */
export interface MultiheadAttentionOptions {
  /** The probability with which a weight is dropped in training mode; 0 unless given. */
  readonly dropout?: number | undefined;
  /** Add learned offsets to the projections; true unless given. */
  readonly bias?: boolean | undefined;
  /** Add a learned key and value; false unless given. */
  readonly addBiasKv?: boolean | undefined;
  /** Add a key and a value of zeros; false unless given. */
  readonly addZeroAttn?: boolean | undefined;
  /** Width of the keys; that of the queries unless given. */
  readonly kdim?: number | undefined;
  /** Width of the values; that of the queries unless given. */
  readonly vdim?: number | undefined;
  /** Inputs and outputs are [batch, length, width] in place of [length, batch, width]; false unless given. */
  readonly batchFirst?: boolean | undefined;
  /** The default device unless given. */
  readonly device?: Device | undefined;
}

const NAMES = ['dropout', 'bias', 'addBiasKv', 'addZeroAttn', 'kdim', 'vdim', 'batchFirst', 'device'];

/**
 * Multi-head attention (`torch.nn.MultiheadAttention`; Vaswani et al., "Attention is all you need", 2017), under PyTorch's names of
 * parameters. From queries [L, N, embedDim], keys [S, N, kdim] and values [S, N, vdim], or all of them without the batch dim N, it
 * gives the output [L, N, embedDim] and the weights [N, L, S], which are null where `needWeights` is false. A query that may attend to
 * no key gets weights of 0.
 *
 * @throws ShapeError for a number of heads that does not divide the width, and for inputs and masks that do not fit.
 * @throws DTypeError for masks that are neither bools nor floats.
 * @example
 * ```ts
 * const attention = new tl.nn.MultiheadAttention(16, 4, { batchFirst: true });
 * const words = tl.rand([2, 10, 16]);
 * const [output] = attention.forward(words, words, words, { isCausal: true, needWeights: false }); // [2, 10, 16]
 * ```
 */
export class MultiheadAttention extends Module<
  readonly [query: Tensor, key: Tensor, value: Tensor, options?: MultiheadCallOptions | undefined],
  [Tensor, Tensor | null]
> {
  /** [3 * embedDim, embedDim]; null where keys or values have a width of their own. */
  readonly in_proj_weight: Tensor | null;
  /** [embedDim, embedDim], [embedDim, kdim] and [embedDim, vdim]; null where `in_proj_weight` holds all three. */
  readonly q_proj_weight: Tensor | null;
  readonly k_proj_weight: Tensor | null;
  readonly v_proj_weight: Tensor | null;
  /** [3 * embedDim]. */
  readonly in_proj_bias: Tensor | null;
  readonly out_proj: Linear;
  /** [1, 1, embedDim]. */
  readonly bias_k: Tensor | null;
  readonly bias_v: Tensor | null;
  readonly kdim: number;
  readonly vdim: number;
  readonly dropout: number;
  readonly addZeroAttn: boolean;
  readonly batchFirst: boolean;

  constructor(
    readonly embedDim: number,
    readonly numHeads: number,
    options: MultiheadAttentionOptions = {},
  ) {
    super();
    const op = 'MultiheadAttention';
    checkOptions(op, options, NAMES);
    const { dropout = 0, bias = true, addBiasKv = false, addZeroAttn = false, batchFirst = false, device } = options;
    const { kdim = embedDim, vdim = embedDim } = options;
    for (const [name, n] of Object.entries({ embedDim, numHeads, kdim, vdim }))
      if (!Number.isInteger(n) || n < 1)
        throw new ShapeError(`${op}: ${name} is ${describe(n)}; it is a whole number of at least 1`);
    if (embedDim % numHeads !== 0)
      throw new ShapeError(`${op}: ${numHeads} heads do not divide the width ${embedDim}; choose a divisor`);
    for (const [name, flag] of Object.entries({ bias, addBiasKv, addZeroAttn, batchFirst })) checkFlag(op, name, flag);
    checkProbability(op, dropout);
    this.kdim = kdim;
    this.vdim = vdim;
    this.dropout = dropout;
    this.addZeroAttn = addZeroAttn;
    this.batchFirst = batchFirst;
    const make = (...shape: number[]): Tensor => new Parameter(zeros(shape, device ? { device } : {}));
    const packed = kdim === embedDim && vdim === embedDim;
    const parameters = internal(op, () => ({
      weight: packed ? xavierUniform_(make(3 * embedDim, embedDim)) : null,
      separate: packed ? [] : [embedDim, kdim, vdim].map((width) => xavierUniform_(make(embedDim, width))),
      bias: bias ? make(3 * embedDim) : null,
      kv: addBiasKv ? [0, 1].map(() => xavierNormal_(make(1, 1, embedDim))) : [],
    }));
    const [q = null, k = null, v = null] = parameters.separate;
    this.in_proj_weight = parameters.weight;
    this.q_proj_weight = q;
    this.k_proj_weight = k;
    this.v_proj_weight = v;
    this.in_proj_bias = parameters.bias;
    this.out_proj = new Linear(embedDim, embedDim, { bias, device });
    if (this.out_proj.bias) zeros_(this.out_proj.bias);
    const [biasK = null, biasV = null] = parameters.kv;
    this.bias_k = biasK;
    this.bias_v = biasV;
  }

  override forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    options: MultiheadCallOptions = {},
  ): [output: Tensor, weights: Tensor | null] {
    const op = 'MultiheadAttention';
    checkOptions(op, options, ['keyPaddingMask', 'needWeights', 'attnMask', 'averageAttnWeights', 'isCausal']);
    for (const x of [query, key, value]) checkTensor(op, x);
    if (query.shape.at(-1) !== this.embedDim || key.shape.at(-1) !== this.kdim || value.shape.at(-1) !== this.vdim)
      throw new ShapeError(
        `${op}: queries ${query}, keys ${key} and values ${value} must end in ${this.embedDim}, ${this.kdim} and ${this.vdim}, the layer's widths`,
      );
    return compose(op, () => {
      const swapped = this.batchFirst && query.ndim === 3;
      // What is one tensor stays one, so that its projections are one product.
      const turned = new Map<Tensor, Tensor>();
      const turn = (x: Tensor): Tensor => {
        if (!swapped || x.ndim !== 3) return x;
        const known = turned.get(x) ?? transpose(x, 0, 1);
        turned.set(x, known);
        return known;
      };
      const { attnOutput, attnOutputWeights } = multiHeadAttentionForward(turn(query), turn(key), turn(value), {
        ...options,
        numHeads: this.numHeads,
        inProjWeight: this.in_proj_weight,
        qProjWeight: this.q_proj_weight,
        kProjWeight: this.k_proj_weight,
        vProjWeight: this.v_proj_weight,
        inProjBias: this.in_proj_bias,
        biasK: this.bias_k,
        biasV: this.bias_v,
        addZeroAttn: this.addZeroAttn,
        dropoutP: this.dropout,
        outProjWeight: this.out_proj.weight,
        outProjBias: this.out_proj.bias,
        training: this.training,
      });
      return [swapped ? transpose(attnOutput, 0, 1) : attnOutput, attnOutputWeights];
    });
  }

  protected override extra(): string {
    return `embedDim=${this.embedDim}, numHeads=${this.numHeads}`;
  }
}
