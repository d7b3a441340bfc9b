import type { Tensor } from '../tensor/tensor.ts';
import { alphaDropout, checkProbability, dropout, dropout1d, dropout2d } from './functional.ts';
import { Module } from './module.ts';

/**
 * Sets elements to 0 with probability p in training mode, and scales the others by 1 / (1 - p); nothing in evaluation mode
 * (`torch.nn.Dropout`).
 *
 * @throws UnsupportedError unless p is a probability.
 */
export class Dropout extends Module {
  constructor(readonly p: number = 0.5) {
    super();
    checkProbability('Dropout', p);
  }

  override forward(x: Tensor): Tensor {
    return dropout(x, { p: this.p, training: this.training });
  }

  protected override extra(): string {
    return `p=${this.p}`;
  }
}

/**
 * As `Dropout`, for whole channels of [N, C, L] or [C, L] (`torch.nn.Dropout1d`).
 *
 * @throws UnsupportedError unless p is a probability.
 */
export class Dropout1d extends Module {
  constructor(readonly p: number = 0.5) {
    super();
    checkProbability('Dropout1d', p);
  }

  override forward(x: Tensor): Tensor {
    return dropout1d(x, { p: this.p, training: this.training });
  }

  protected override extra(): string {
    return `p=${this.p}`;
  }
}

/**
 * As `Dropout`, for whole channels of images [N, C, H, W] or [C, H, W] (`torch.nn.Dropout2d`).
 *
 * @throws UnsupportedError unless p is a probability.
 */
export class Dropout2d extends Module {
  constructor(readonly p: number = 0.5) {
    super();
    checkProbability('Dropout2d', p);
  }

  override forward(x: Tensor): Tensor {
    return dropout2d(x, { p: this.p, training: this.training });
  }

  protected override extra(): string {
    return `p=${this.p}`;
  }
}

/**
 * Dropout that keeps mean and variance, for networks with `SELU` (`torch.nn.AlphaDropout`); see `functional.alphaDropout`.
 *
 * @throws UnsupportedError unless p is a probability.
 */
export class AlphaDropout extends Module {
  constructor(readonly p: number = 0.5) {
    super();
    checkProbability('AlphaDropout', p);
  }

  override forward(x: Tensor): Tensor {
    return alphaDropout(x, { p: this.p, training: this.training });
  }

  protected override extra(): string {
    return `p=${this.p}`;
  }
}
