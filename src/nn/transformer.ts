import { DTypeError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { add, gelu, relu } from '../ops/elementwise.ts';
import { checkWhole } from '../ops/movement.ts';
import { checkFlag, checkOptions, compose, describe } from '../ops/record.ts';
import type { Device } from '../tensor/device.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { MultiheadAttention } from './attention.ts';
import { ModuleList } from './containers.ts';
import { Dropout } from './dropout.ts';
import { checkProbability } from './functional.ts';
import { Linear } from './layers.ts';
import { type AnyModule, Module } from './module.ts';
import { LayerNorm } from './normalization.ts';

/** Options of transformer layers. */
export interface TransformerLayerOptions {
  /** Width between the two linear layers; 2048 unless given. */
  readonly dimFeedforward?: number | undefined;
  /** The probability with which an element is dropped in training mode; 0.1 unless given. */
  readonly dropout?: number | undefined;
  /** What comes between the two linear layers: 'relu' (the default), 'gelu', or a function. */
  readonly activation?: 'relu' | 'gelu' | ((x: Tensor) => Tensor) | undefined;
  /** Added to the variance in the layer norms; 1e-5 unless given. */
  readonly layerNormEps?: number | undefined;
  /** Inputs and outputs are [batch, length, width] in place of [length, batch, width]; false unless given. */
  readonly batchFirst?: boolean | undefined;
  /** Normalise before attention and linear layers in place of after; false unless given. */
  readonly normFirst?: boolean | undefined;
  /** Learn offsets in linear layers, attention and layer norms; true unless given. */
  readonly bias?: boolean | undefined;
  /** The default device unless given. */
  readonly device?: Device | undefined;
}

/** Options of a call of `TransformerEncoderLayer`. */
export interface EncoderLayerCallOptions {
  /** As `attnMask` of `MultiheadAttention`. */
  readonly srcMask?: Tensor | null | undefined;
  /** As `keyPaddingMask` of `MultiheadAttention`. */
  readonly srcKeyPaddingMask?: Tensor | null | undefined;
  /** Element i attends to elements 0 to i only; false unless given. */
  readonly isCausal?: boolean | undefined;
}

/** Options of a call of `TransformerEncoder`. */
export interface EncoderCallOptions extends Omit<EncoderLayerCallOptions, 'srcMask'> {
  /** As `attnMask` of `MultiheadAttention`. */
  readonly mask?: Tensor | null | undefined;
}

/** Options of a call of `TransformerDecoderLayer` and `TransformerDecoder`. */
export interface DecoderCallOptions {
  /** As `attnMask` of `MultiheadAttention`: of the target for itself, and for the memory. */
  readonly tgtMask?: Tensor | null | undefined;
  readonly memoryMask?: Tensor | null | undefined;
  /** As `keyPaddingMask` of `MultiheadAttention`. */
  readonly tgtKeyPaddingMask?: Tensor | null | undefined;
  readonly memoryKeyPaddingMask?: Tensor | null | undefined;
  /** Element i of the target attends to elements 0 to i only; false unless given. */
  readonly tgtIsCausal?: boolean | undefined;
  /** The same for the memory. */
  readonly memoryIsCausal?: boolean | undefined;
}

const NAMES = ['dimFeedforward', 'dropout', 'activation', 'layerNormEps', 'batchFirst', 'normFirst', 'bias', 'device'];
const DECODER_CALL = [
  'tgtMask',
  'memoryMask',
  'tgtKeyPaddingMask',
  'memoryKeyPaddingMask',
  'tgtIsCausal',
  'memoryIsCausal',
];

/** What encoder and decoder layers have in common. */
interface Setting {
  readonly activation: (x: Tensor) => Tensor;
  readonly dropout: number;
  readonly attention: {
    readonly dropout: number;
    readonly bias: boolean;
    readonly batchFirst: boolean;
    readonly device: Device | undefined;
  };
  readonly norm: { readonly eps: number; readonly bias: boolean; readonly device: Device | undefined };
  readonly linear: { readonly bias: boolean; readonly device: Device | undefined };
  readonly dimFeedforward: number;
  readonly normFirst: boolean;
}

function settingOf(op: string, options: TransformerLayerOptions): Setting {
  checkOptions(op, options, NAMES);
  const { dimFeedforward = 2048, dropout = 0.1, activation = 'relu', layerNormEps: eps = 1e-5, device } = options;
  const { batchFirst = false, normFirst = false, bias = true } = options;
  // All is checked before the first parameter is made.
  for (const [name, flag] of Object.entries({ batchFirst, normFirst, bias })) checkFlag(op, name, flag);
  checkWhole(op, 'dimFeedforward', dimFeedforward, 1);
  checkProbability(op, dropout);
  if (typeof eps !== 'number') throw new DTypeError(`${op}: layerNormEps is ${describe(eps)}, but it must be a number`);
  if (activation !== 'relu' && activation !== 'gelu' && typeof activation !== 'function')
    throw new UnsupportedError(`${op}: activation is ${describe(activation)}; use 'relu', 'gelu' or a function`);
  return {
    activation: activation === 'relu' ? relu : activation === 'gelu' ? gelu : activation,
    dropout,
    attention: { dropout, bias, batchFirst, device },
    norm: { eps, bias, device },
    linear: { bias, device },
    dimFeedforward,
    normFirst,
  };
}

/** x + f(x), normalised before `f` or after the sum. */
function residual(x: Tensor, norm: LayerNorm, normFirst: boolean, f: (x: Tensor) => Tensor): Tensor {
  return normFirst ? add(x, f(norm.forward(x))) : norm.forward(add(x, f(x)));
}

/**
 * Self-attention and two linear layers, each with a residual connection, dropout and layer normalisation
 * (`torch.nn.TransformerEncoderLayer`; Vaswani et al., "Attention is all you need", 2017), from inputs [L, N, dModel] to outputs of the
 * same shape.
 *
 * @throws ShapeError for a number of heads that does not divide the width, and for inputs and masks that do not fit.
 * @example
 * ```ts
 * const layer = new tl.nn.TransformerEncoderLayer(16, 4, { dimFeedforward: 32, batchFirst: true, normFirst: true });
 * const y = layer.forward(tl.rand([2, 10, 16]), { isCausal: true }); // shape [2, 10, 16]
 * ```
 */
export class TransformerEncoderLayer extends Module<
  readonly [src: Tensor, options?: EncoderLayerCallOptions | undefined],
  Tensor
> {
  readonly self_attn: MultiheadAttention;
  readonly linear1: Linear;
  readonly dropout: Dropout;
  readonly linear2: Linear;
  readonly norm1: LayerNorm;
  readonly norm2: LayerNorm;
  readonly dropout1: Dropout;
  readonly dropout2: Dropout;
  readonly #setting: Setting;
  readonly #options: TransformerLayerOptions;

  constructor(
    readonly dModel: number,
    readonly nhead: number,
    options: TransformerLayerOptions = {},
  ) {
    super();
    const setting = settingOf('TransformerEncoderLayer', options);
    this.#options = options;
    this.#setting = setting;
    this.self_attn = new MultiheadAttention(dModel, nhead, setting.attention);
    this.linear1 = new Linear(dModel, setting.dimFeedforward, setting.linear);
    this.dropout = new Dropout(setting.dropout);
    this.linear2 = new Linear(setting.dimFeedforward, dModel, setting.linear);
    this.norm1 = new LayerNorm(dModel, setting.norm);
    this.norm2 = new LayerNorm(dModel, setting.norm);
    this.dropout1 = new Dropout(setting.dropout);
    this.dropout2 = new Dropout(setting.dropout);
  }

  /** @internal A layer of the same kind and the same elements. */
  copy(): TransformerEncoderLayer {
    return copied(this, new TransformerEncoderLayer(this.dModel, this.nhead, this.#options));
  }

  override forward(src: Tensor, options: EncoderLayerCallOptions = {}): Tensor {
    checkOptions('TransformerEncoderLayer', options, ['srcMask', 'srcKeyPaddingMask', 'isCausal']);
    const { srcMask: attnMask, srcKeyPaddingMask: keyPaddingMask, isCausal } = options;
    const { normFirst, activation } = this.#setting;
    return compose('TransformerEncoderLayer', () => {
      const attended = residual(src, this.norm1, normFirst, (x) => {
        const [y] = this.self_attn.forward(x, x, x, { attnMask, keyPaddingMask, isCausal, needWeights: false });
        return this.dropout1.forward(y);
      });
      return residual(attended, this.norm2, normFirst, (x) =>
        this.dropout2.forward(this.linear2.forward(this.dropout.forward(activation(this.linear1.forward(x))))),
      );
    });
  }
}

/**
 * Self-attention, attention to a memory, and two linear layers, each with a residual connection, dropout and layer normalisation
 * (`torch.nn.TransformerDecoderLayer`; Vaswani et al., "Attention is all you need", 2017). From a target [T, N, dModel] and a memory
 * [S, N, dModel], what an encoder gave, to an output of the target's shape.
 *
 * @throws ShapeError for a number of heads that does not divide the width, and for inputs and masks that do not fit.
 * @example
 * ```ts
 * const layer = new tl.nn.TransformerDecoderLayer(16, 4, { dimFeedforward: 32, batchFirst: true });
 * const y = layer.forward(tl.rand([2, 5, 16]), tl.rand([2, 10, 16]), { tgtIsCausal: true }); // shape [2, 5, 16]
 * ```
 */
export class TransformerDecoderLayer extends Module<
  readonly [tgt: Tensor, memory: Tensor, options?: DecoderCallOptions | undefined],
  Tensor
> {
  readonly self_attn: MultiheadAttention;
  readonly multihead_attn: MultiheadAttention;
  readonly linear1: Linear;
  readonly dropout: Dropout;
  readonly linear2: Linear;
  readonly norm1: LayerNorm;
  readonly norm2: LayerNorm;
  readonly norm3: LayerNorm;
  readonly dropout1: Dropout;
  readonly dropout2: Dropout;
  readonly dropout3: Dropout;
  readonly #setting: Setting;
  readonly #options: TransformerLayerOptions;

  constructor(
    readonly dModel: number,
    readonly nhead: number,
    options: TransformerLayerOptions = {},
  ) {
    super();
    const setting = settingOf('TransformerDecoderLayer', options);
    this.#options = options;
    this.#setting = setting;
    this.self_attn = new MultiheadAttention(dModel, nhead, setting.attention);
    this.multihead_attn = new MultiheadAttention(dModel, nhead, setting.attention);
    this.linear1 = new Linear(dModel, setting.dimFeedforward, setting.linear);
    this.dropout = new Dropout(setting.dropout);
    this.linear2 = new Linear(setting.dimFeedforward, dModel, setting.linear);
    this.norm1 = new LayerNorm(dModel, setting.norm);
    this.norm2 = new LayerNorm(dModel, setting.norm);
    this.norm3 = new LayerNorm(dModel, setting.norm);
    this.dropout1 = new Dropout(setting.dropout);
    this.dropout2 = new Dropout(setting.dropout);
    this.dropout3 = new Dropout(setting.dropout);
  }

  /** @internal A layer of the same kind and the same elements. */
  copy(): TransformerDecoderLayer {
    return copied(this, new TransformerDecoderLayer(this.dModel, this.nhead, this.#options));
  }

  override forward(tgt: Tensor, memory: Tensor, options: DecoderCallOptions = {}): Tensor {
    checkOptions('TransformerDecoderLayer', options, DECODER_CALL);
    const { tgtMask, memoryMask, tgtKeyPaddingMask, memoryKeyPaddingMask, tgtIsCausal, memoryIsCausal } = options;
    const { normFirst, activation } = this.#setting;
    return compose('TransformerDecoderLayer', () => {
      const own = residual(tgt, this.norm1, normFirst, (x) => {
        const masks = { attnMask: tgtMask, keyPaddingMask: tgtKeyPaddingMask, isCausal: tgtIsCausal };
        return this.dropout1.forward(this.self_attn.forward(x, x, x, { ...masks, needWeights: false })[0]);
      });
      const attended = residual(own, this.norm2, normFirst, (x) => {
        const masks = { attnMask: memoryMask, keyPaddingMask: memoryKeyPaddingMask, isCausal: memoryIsCausal };
        return this.dropout2.forward(
          this.multihead_attn.forward(x, memory, memory, { ...masks, needWeights: false })[0],
        );
      });
      return residual(attended, this.norm3, normFirst, (x) =>
        this.dropout3.forward(this.linear2.forward(this.dropout.forward(activation(this.linear1.forward(x))))),
      );
    });
  }
}

/** The second module with the elements of the first. */
function copied<M extends AnyModule>(from: M, to: M): M {
  to.loadStateDict(from.stateDict());
  to.train(from.training);
  return to;
}

/** Layers of a stack: the given one, and copies of it. */
function layersOf<M extends AnyModule & { copy(): M }>(
  op: string,
  kind: new (...args: never[]) => M,
  layer: M,
  numLayers: number,
  norm: unknown,
): ModuleList<M> {
  if (norm !== undefined && norm !== null && !(norm instanceof Module))
    throw new UnsupportedError(`${op}: norm is ${describe(norm)}, but it must be a module, such as a LayerNorm`);
  if (!(layer instanceof kind))
    throw new UnsupportedError(`${op}: the layer is ${describe(layer)}, but it must be made by ${op}Layer`);
  if (!Number.isInteger(numLayers) || numLayers < 1)
    throw new ShapeError(`${op}: ${describe(numLayers)} layers; there is a whole number of them, at least 1`);
  return new ModuleList<M>([layer, ...Array.from({ length: numLayers - 1 }, () => layer.copy())]);
}

/** Options of `TransformerEncoder` and `TransformerDecoder`. */
export interface TransformerOptions {
  /** What normalises the output of the last layer; nothing unless given. */
  readonly norm?: Module | null | undefined;
}

/**
 * Encoder layers one after the other (`torch.nn.TransformerEncoder`). The given layer becomes the first one; the others start as copies
 * of it.
 *
 * @throws ShapeError for a number of layers that is no whole number of at least 1.
 * @example
 * ```ts
 * const layer = new tl.nn.TransformerEncoderLayer(16, 4, { dimFeedforward: 32 });
 * const encoder = new tl.nn.TransformerEncoder(layer, 3, { norm: new tl.nn.LayerNorm(16) });
 * const memory = encoder.forward(tl.rand([10, 2, 16])); // shape [10, 2, 16]
 * ```
 */
export class TransformerEncoder extends Module<
  readonly [src: Tensor, options?: EncoderCallOptions | undefined],
  Tensor
> {
  readonly layers: ModuleList<TransformerEncoderLayer>;
  readonly norm: Module | null;

  constructor(encoderLayer: TransformerEncoderLayer, numLayers: number, options: TransformerOptions = {}) {
    super();
    checkOptions('TransformerEncoder', options, ['norm']);
    this.layers = layersOf('TransformerEncoder', TransformerEncoderLayer, encoderLayer, numLayers, options.norm);
    this.norm = options.norm ?? null;
  }

  override forward(src: Tensor, options: EncoderCallOptions = {}): Tensor {
    checkOptions('TransformerEncoder', options, ['mask', 'srcKeyPaddingMask', 'isCausal']);
    const { mask: srcMask, ...others } = options;
    return compose('TransformerEncoder', () => {
      let x = src;
      for (const layer of this.layers) x = layer.forward(x, { srcMask, ...others });
      return this.norm ? this.norm.forward(x) : x;
    });
  }
}

/**
 * Decoder layers one after the other (`torch.nn.TransformerDecoder`), all with the same memory. The given layer becomes the first one;
 * the others start as copies of it.
 *
 * @throws ShapeError for a number of layers that is no whole number of at least 1.
 */
export class TransformerDecoder extends Module<
  readonly [tgt: Tensor, memory: Tensor, options?: DecoderCallOptions | undefined],
  Tensor
> {
  readonly layers: ModuleList<TransformerDecoderLayer>;
  readonly norm: Module | null;

  constructor(decoderLayer: TransformerDecoderLayer, numLayers: number, options: TransformerOptions = {}) {
    super();
    checkOptions('TransformerDecoder', options, ['norm']);
    this.layers = layersOf('TransformerDecoder', TransformerDecoderLayer, decoderLayer, numLayers, options.norm);
    this.norm = options.norm ?? null;
  }

  override forward(tgt: Tensor, memory: Tensor, options: DecoderCallOptions = {}): Tensor {
    checkOptions('TransformerDecoder', options, DECODER_CALL);
    return compose('TransformerDecoder', () => {
      let x = tgt;
      for (const layer of this.layers) x = layer.forward(x, memory, options);
      return this.norm ? this.norm.forward(x) : x;
    });
  }
}
