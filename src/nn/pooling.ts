import { perDim } from '../ops/movement.ts';
import {
  type AdaptiveSize,
  type AvgPool2dOptions,
  type AvgPoolOptions,
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  adaptiveMaxPool1d,
  adaptiveMaxPool2d,
  avgPool1d,
  avgPool2d,
  type MaxPoolOptions,
  maxPool1d,
  maxPool2d,
} from '../ops/pooling.ts';
import { checkOptions } from '../ops/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Module } from './module.ts';

/** Options of `MaxPool1d` and `MaxPool2d`; for the places of the maxima see `functional.maxPool2d`. */
export type MaxPoolLayerOptions = Omit<MaxPoolOptions, 'returnIndices'>;

type Sizes = number | readonly number[];

const MAX_OPTIONS = ['stride', 'padding', 'dilation', 'ceilMode'];
const AVG_OPTIONS = ['stride', 'padding', 'ceilMode', 'countIncludePad'];

/** Checks what does not depend on the input. */
function checkWindows(
  layer: string,
  dims: number,
  kernelSize: Sizes,
  options: MaxPoolLayerOptions,
  names: readonly string[],
): void {
  checkOptions(layer, options, names);
  perDim(layer, 'kernelSize', kernelSize, dims, 1);
  for (const name of ['stride', 'padding', 'dilation'] as const) {
    const value = options[name];
    if (value !== undefined) perDim(layer, name, value, dims, name === 'padding' ? 0 : 1);
  }
}

const shown = (value: unknown): string => (Array.isArray(value) ? `[${value.map(String).join(', ')}]` : String(value));
const describeWindows = (kernelSize: Sizes, options: object): string =>
  [['kernelSize', kernelSize], ...Object.entries(options)].map(([name, value]) => `${name}=${shown(value)}`).join(', ');

/**
 * The largest element of each window of [N, C, L] or [C, L] (`torch.nn.MaxPool1d`); see `functional.maxPool1d`.
 *
 * @throws ShapeError for sizes that are none.
 */
export class MaxPool1d extends Module {
  constructor(
    readonly kernelSize: Sizes,
    readonly options: MaxPoolLayerOptions = {},
  ) {
    super();
    checkWindows('MaxPool1d', 1, kernelSize, options, MAX_OPTIONS);
  }

  override forward(x: Tensor): Tensor {
    return maxPool1d(x, this.kernelSize, this.options);
  }

  protected override extra(): string {
    return describeWindows(this.kernelSize, this.options);
  }
}

/**
 * The largest element of each window of images [N, C, H, W] or [C, H, W] (`torch.nn.MaxPool2d`); see `functional.maxPool2d`.
 *
 * @throws ShapeError for sizes that are none.
 * @example
 * ```ts
 * const half = new tl.nn.MaxPool2d(2);
 * half.forward(tl.rand([1, 3, 8, 8])); // shape [1, 3, 4, 4]
 * ```
 */
export class MaxPool2d extends Module {
  constructor(
    readonly kernelSize: Sizes,
    readonly options: MaxPoolLayerOptions = {},
  ) {
    super();
    checkWindows('MaxPool2d', 2, kernelSize, options, MAX_OPTIONS);
  }

  override forward(x: Tensor): Tensor {
    return maxPool2d(x, this.kernelSize, this.options);
  }

  protected override extra(): string {
    return describeWindows(this.kernelSize, this.options);
  }
}

/**
 * The mean of each window of [N, C, L] or [C, L] (`torch.nn.AvgPool1d`); see `functional.avgPool1d`.
 *
 * @throws ShapeError for sizes that are none.
 */
export class AvgPool1d extends Module {
  constructor(
    readonly kernelSize: Sizes,
    readonly options: AvgPoolOptions = {},
  ) {
    super();
    checkWindows('AvgPool1d', 1, kernelSize, options, AVG_OPTIONS);
  }

  override forward(x: Tensor): Tensor {
    return avgPool1d(x, this.kernelSize, this.options);
  }

  protected override extra(): string {
    return describeWindows(this.kernelSize, this.options);
  }
}

/**
 * The mean of each window of images [N, C, H, W] or [C, H, W] (`torch.nn.AvgPool2d`); see `functional.avgPool2d`.
 *
 * @throws ShapeError for sizes that are none.
 */
export class AvgPool2d extends Module {
  constructor(
    readonly kernelSize: Sizes,
    readonly options: AvgPool2dOptions = {},
  ) {
    super();
    checkWindows('AvgPool2d', 2, kernelSize, options, [...AVG_OPTIONS, 'divisorOverride']);
  }

  override forward(x: Tensor): Tensor {
    return avgPool2d(x, this.kernelSize, this.options);
  }

  protected override extra(): string {
    return describeWindows(this.kernelSize, this.options);
  }
}

/** Means over as many windows as are asked for, of [N, C, L] or [C, L] (`torch.nn.AdaptiveAvgPool1d`). */
export class AdaptiveAvgPool1d extends Module {
  constructor(readonly outputSize: AdaptiveSize) {
    super();
  }

  override forward(x: Tensor): Tensor {
    return adaptiveAvgPool1d(x, this.outputSize);
  }

  protected override extra(): string {
    return `outputSize=${shown(this.outputSize)}`;
  }
}

/**
 * Means over as many windows as are asked for, of images [N, C, H, W] or [C, H, W] (`torch.nn.AdaptiveAvgPool2d`).
 *
 * @example
 * ```ts
 * const head = new tl.nn.Sequential(new tl.nn.AdaptiveAvgPool2d(1), new tl.nn.Flatten(), new tl.nn.Linear(16, 10));
 * ```
 */
export class AdaptiveAvgPool2d extends Module {
  constructor(readonly outputSize: AdaptiveSize) {
    super();
  }

  override forward(x: Tensor): Tensor {
    return adaptiveAvgPool2d(x, this.outputSize);
  }

  protected override extra(): string {
    return `outputSize=${shown(this.outputSize)}`;
  }
}

/** Maxima over as many windows as are asked for, of [N, C, L] or [C, L] (`torch.nn.AdaptiveMaxPool1d`). */
export class AdaptiveMaxPool1d extends Module {
  constructor(readonly outputSize: AdaptiveSize) {
    super();
  }

  override forward(x: Tensor): Tensor {
    return adaptiveMaxPool1d(x, this.outputSize);
  }

  protected override extra(): string {
    return `outputSize=${shown(this.outputSize)}`;
  }
}

/** Maxima over as many windows as are asked for, of images [N, C, H, W] or [C, H, W] (`torch.nn.AdaptiveMaxPool2d`). */
export class AdaptiveMaxPool2d extends Module {
  constructor(readonly outputSize: AdaptiveSize) {
    super();
  }

  override forward(x: Tensor): Tensor {
    return adaptiveMaxPool2d(x, this.outputSize);
  }

  protected override extra(): string {
    return `outputSize=${shown(this.outputSize)}`;
  }
}
