/*
 * The losses as modules (`torch.nn`). Their weights are buffers, under PyTorch's names.
 */
import { UnsupportedError } from '../core/errors.ts';
import {
  type BinaryCrossEntropyOptions,
  type BinaryCrossEntropyWithLogitsOptions,
  binaryCrossEntropy,
  binaryCrossEntropyWithLogits,
  type CrossEntropyOptions,
  crossEntropy,
  type KlDivOptions,
  klDiv,
  type LabelOptions,
  type MultiMarginLossOptions,
  multiMarginLoss,
  nllLoss,
} from '../ops/classification.ts';
import {
  type GaussianNllLossOptions,
  gaussianNllLoss,
  type HuberLossOptions,
  huberLoss,
  type LossOptions,
  l1Loss,
  mseLoss,
  type PoissonNllLossOptions,
  poissonNllLoss,
  type SmoothL1LossOptions,
  smoothL1Loss,
} from '../ops/losses.ts';
import {
  cosineEmbeddingLoss,
  hingeEmbeddingLoss,
  type MarginOptions,
  marginRankingLoss,
  type TripletMarginLossOptions,
  tripletMarginLoss,
} from '../ops/ranking.ts';
import { checkOptions, describe } from '../ops/record.ts';
import { Tensor } from '../tensor/tensor.ts';
import { Module } from './module.ts';

type Two = readonly [input: Tensor, target: Tensor];
type Three = readonly [Tensor, Tensor, Tensor];

/** Options that are tensors, and the names of their buffers. */
const BUFFERS = { weight: 'weight', posWeight: 'pos_weight' } as const;

/**
 * Base class of the losses: a function with its options, of which the tensors are buffers.
 *
 * @throws UnsupportedError for options that the loss does not have.
 */
export abstract class LossModule<Inputs extends readonly Tensor[], Options extends object> extends Module<Inputs> {
  /** @internal The function it stands for, by which metrics know it. */
  abstract readonly functional: (...args: [...Inputs, Options?]) => Tensor;
  private readonly options: Options;

  protected constructor(name: string, options: Options, names: readonly (keyof Options & string)[]) {
    super();
    checkOptions(name, options, names);
    const rest = { ...options } as Record<string, unknown>;
    for (const [key, buffer] of Object.entries(BUFFERS)) {
      const value = rest[key];
      delete rest[key];
      if (value === undefined || value === null) continue;
      if (!(value instanceof Tensor))
        throw new UnsupportedError(
          `${name}: ${key} is ${describe(value)}, but it must be a tensor; make one with tensor()`,
        );
      this.registerBuffer(buffer, value);
    }
    this.options = rest as Options;
  }

  override forward(...inputs: Inputs): Tensor {
    const state = this as unknown as Readonly<Record<string, Tensor | undefined>>;
    const weights = Object.entries(BUFFERS).flatMap(([key, buffer]) => (state[buffer] ? [[key, state[buffer]]] : []));
    return this.functional(...inputs, { ...this.options, ...Object.fromEntries(weights) } as Options);
  }

  protected override extra(): string {
    return Object.entries(this.options)
      .map(([name, value]) => `${name}=${value}`)
      .join(', ');
  }
}

/** Squared differences (`torch.nn.MSELoss`); see `functional.mseLoss`. */
export class MSELoss extends LossModule<Two, LossOptions> {
  /** @internal */
  readonly functional: typeof mseLoss = mseLoss;

  constructor(options: LossOptions = {}) {
    super('MSELoss', options, ['reduction']);
  }
}

/** Magnitudes of differences (`torch.nn.L1Loss`); see `functional.l1Loss`. */
export class L1Loss extends LossModule<Two, LossOptions> {
  /** @internal */
  readonly functional: typeof l1Loss = l1Loss;

  constructor(options: LossOptions = {}) {
    super('L1Loss', options, ['reduction']);
  }
}

/** Squares of small differences, magnitudes of large ones (`torch.nn.SmoothL1Loss`); see `functional.smoothL1Loss`. */
export class SmoothL1Loss extends LossModule<Two, SmoothL1LossOptions> {
  /** @internal */
  readonly functional: typeof smoothL1Loss = smoothL1Loss;

  constructor(options: SmoothL1LossOptions = {}) {
    super('SmoothL1Loss', options, ['reduction', 'beta']);
  }
}

/** Squares of small differences, magnitudes of large ones (`torch.nn.HuberLoss`); see `functional.huberLoss`. */
export class HuberLoss extends LossModule<Two, HuberLossOptions> {
  /** @internal */
  readonly functional: typeof huberLoss = huberLoss;

  constructor(options: HuberLossOptions = {}) {
    super('HuberLoss', options, ['reduction', 'delta']);
  }
}

/** Negative log-likelihood of counts (`torch.nn.PoissonNLLLoss`); see `functional.poissonNllLoss`. */
export class PoissonNLLLoss extends LossModule<Two, PoissonNllLossOptions> {
  /** @internal */
  readonly functional: typeof poissonNllLoss = poissonNllLoss;

  constructor(options: PoissonNllLossOptions = {}) {
    super('PoissonNLLLoss', options, ['reduction', 'logInput', 'full', 'eps']);
  }
}

/** Negative log-likelihood under normal distributions, of inputs, targets and variances (`torch.nn.GaussianNLLLoss`); see `functional.gaussianNllLoss`. */
export class GaussianNLLLoss extends LossModule<Three, GaussianNllLossOptions> {
  /** @internal */
  readonly functional: typeof gaussianNllLoss = gaussianNllLoss;

  constructor(options: GaussianNllLossOptions = {}) {
    super('GaussianNLLLoss', options, ['reduction', 'full', 'eps']);
  }
}

/** Binary cross-entropy of probabilities (`torch.nn.BCELoss`); see `functional.binaryCrossEntropy`. */
export class BCELoss extends LossModule<Two, BinaryCrossEntropyOptions> {
  /** @internal */
  readonly functional: typeof binaryCrossEntropy = binaryCrossEntropy;

  constructor(options: BinaryCrossEntropyOptions = {}) {
    super('BCELoss', options, ['reduction', 'weight']);
  }
}

/** Binary cross-entropy of logits (`torch.nn.BCEWithLogitsLoss`); see `functional.binaryCrossEntropyWithLogits`. */
export class BCEWithLogitsLoss extends LossModule<Two, BinaryCrossEntropyWithLogitsOptions> {
  /** @internal */
  readonly functional: typeof binaryCrossEntropyWithLogits = binaryCrossEntropyWithLogits;

  constructor(options: BinaryCrossEntropyWithLogitsOptions = {}) {
    super('BCEWithLogitsLoss', options, ['reduction', 'weight', 'posWeight']);
  }
}

/** Negative log-likelihood of labels, from log-probabilities (`torch.nn.NLLLoss`); see `functional.nllLoss`. */
export class NLLLoss extends LossModule<Two, LabelOptions> {
  /** @internal */
  readonly functional: typeof nllLoss = nllLoss;

  constructor(options: LabelOptions = {}) {
    super('NLLLoss', options, ['reduction', 'weight', 'ignoreIndex']);
  }
}

/** Cross-entropy of logits against class indices or probabilities (`torch.nn.CrossEntropyLoss`); see `functional.crossEntropy`. */
export class CrossEntropyLoss extends LossModule<Two, CrossEntropyOptions> {
  /** @internal */
  readonly functional: typeof crossEntropy = crossEntropy;

  constructor(options: CrossEntropyOptions = {}) {
    super('CrossEntropyLoss', options, ['reduction', 'weight', 'ignoreIndex', 'labelSmoothing']);
  }
}

/** Kullback-Leibler divergence of targets from log-probabilities (`torch.nn.KLDivLoss`); see `functional.klDiv`. */
export class KLDivLoss extends LossModule<Two, KlDivOptions> {
  /** @internal */
  readonly functional: typeof klDiv = klDiv;

  constructor(options: KlDivOptions = {}) {
    super('KLDivLoss', options, ['reduction', 'logTarget']);
  }
}

/** Hinge loss of several classes (`torch.nn.MultiMarginLoss`); see `functional.multiMarginLoss`. */
export class MultiMarginLoss extends LossModule<Two, MultiMarginLossOptions> {
  /** @internal */
  readonly functional: typeof multiMarginLoss = multiMarginLoss;

  constructor(options: MultiMarginLossOptions = {}) {
    super('MultiMarginLoss', options, ['reduction', 'p', 'margin', 'weight']);
  }
}

/** Distances of similar pairs, and of dissimilar ones what they lack (`torch.nn.HingeEmbeddingLoss`); see `functional.hingeEmbeddingLoss`. */
export class HingeEmbeddingLoss extends LossModule<Two, MarginOptions> {
  /** @internal */
  readonly functional: typeof hingeEmbeddingLoss = hingeEmbeddingLoss;

  constructor(options: MarginOptions = {}) {
    super('HingeEmbeddingLoss', options, ['reduction', 'margin']);
  }
}

/** Order of two scores, of first inputs, second inputs and targets (`torch.nn.MarginRankingLoss`); see `functional.marginRankingLoss`. */
export class MarginRankingLoss extends LossModule<Three, MarginOptions> {
  /** @internal */
  readonly functional: typeof marginRankingLoss = marginRankingLoss;

  constructor(options: MarginOptions = {}) {
    super('MarginRankingLoss', options, ['reduction', 'margin']);
  }
}

/** Angles of pairs of vectors, of first inputs, second inputs and targets (`torch.nn.CosineEmbeddingLoss`); see `functional.cosineEmbeddingLoss`. */
export class CosineEmbeddingLoss extends LossModule<Three, MarginOptions> {
  /** @internal */
  readonly functional: typeof cosineEmbeddingLoss = cosineEmbeddingLoss;

  constructor(options: MarginOptions = {}) {
    super('CosineEmbeddingLoss', options, ['reduction', 'margin']);
  }
}

/** Distances from anchors to positives and to negatives (`torch.nn.TripletMarginLoss`); see `functional.tripletMarginLoss`. */
export class TripletMarginLoss extends LossModule<Three, TripletMarginLossOptions> {
  /** @internal */
  readonly functional: typeof tripletMarginLoss = tripletMarginLoss;

  constructor(options: TripletMarginLossOptions = {}) {
    super('TripletMarginLoss', options, ['reduction', 'margin', 'p', 'eps', 'swap']);
  }
}
