import {
  type BinaryCrossEntropyOptions,
  binaryCrossEntropyWithLogits,
  type CrossEntropyOptions,
  crossEntropy,
  type LossOptions,
  mseLoss,
} from '../ops/losses.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { LossFunction } from './metrics/named.ts';
import { Module } from './module.ts';

/** Cross-entropy of logits against class indices or probabilities (`torch.nn.CrossEntropyLoss`); see `functional.crossEntropy`. */
export class CrossEntropyLoss extends Module<readonly [Tensor, Tensor]> {
  /** @internal The function it stands for, by which metrics know it. */
  readonly functional: LossFunction = crossEntropy;

  constructor(private readonly options: CrossEntropyOptions = {}) {
    super();
  }

  override forward(input: Tensor, target: Tensor): Tensor {
    return crossEntropy(input, target, this.options);
  }
}

/** Squared differences (`torch.nn.MSELoss`); see `functional.mseLoss`. */
export class MSELoss extends Module<readonly [Tensor, Tensor]> {
  /** @internal The function it stands for, by which metrics know it. */
  readonly functional: LossFunction = mseLoss;

  constructor(private readonly options: LossOptions = {}) {
    super();
  }

  override forward(input: Tensor, target: Tensor): Tensor {
    return mseLoss(input, target, this.options);
  }
}

/** Binary cross-entropy of logits (`torch.nn.BCEWithLogitsLoss`); see `functional.binaryCrossEntropyWithLogits`. */
export class BCEWithLogitsLoss extends Module<readonly [Tensor, Tensor]> {
  /** @internal The function it stands for, by which metrics know it. */
  readonly functional: LossFunction = binaryCrossEntropyWithLogits;

  constructor(private readonly options: BinaryCrossEntropyOptions = {}) {
    super();
  }

  override forward(input: Tensor, target: Tensor): Tensor {
    return binaryCrossEntropyWithLogits(input, target, this.options);
  }
}
