import { ShapeError } from '../core/errors.ts';
import { checkSizes, type Shape, showShape } from '../core/shape.ts';
import { checkWhole, unflatten } from '../ops/movement.ts';
import { checkOptions, describe } from '../ops/record.ts';
import { type InterpolateOptions, interpolate, pixelShuffle, pixelUnshuffle } from '../ops/resampling.ts';
import { flatten } from '../ops/structure.ts';
import { pad } from '../ops/windows.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Module } from './module.ts';

/** Dims `startDim` to `endDim` merged into one: all but the first unless given (`torch.nn.Flatten`). */
export class Flatten extends Module {
  constructor(
    readonly startDim: number = 1,
    readonly endDim: number = -1,
  ) {
    super();
  }

  override forward(x: Tensor): Tensor {
    return flatten(x, this.startDim, this.endDim);
  }

  protected override extra(): string {
    return `startDim=${this.startDim}, endDim=${this.endDim}`;
  }
}

/** A dim split into several, one of whose sizes may be -1 (`torch.nn.Unflatten`). */
export class Unflatten extends Module {
  constructor(
    readonly dim: number,
    readonly sizes: Shape,
  ) {
    super();
    checkSizes('Unflatten', sizes);
  }

  override forward(x: Tensor): Tensor {
    return unflatten(x, this.dim, this.sizes);
  }

  protected override extra(): string {
    return `dim=${this.dim}, sizes=${showShape(this.sizes)}`;
  }
}

/**
 * Images in another size (`torch.nn.Upsample`); see `functional.interpolate`.
 *
 * @example
 * ```ts
 * const twice = new tl.nn.Upsample({ scaleFactor: 2, mode: 'bilinear' });
 * ```
 */
export class Upsample extends Module {
  constructor(readonly options: InterpolateOptions) {
    super();
    checkOptions('Upsample', options, ['size', 'scaleFactor', 'mode', 'alignCorners']);
  }

  override forward(x: Tensor): Tensor {
    return interpolate(x, this.options);
  }

  protected override extra(): string {
    return Object.entries(this.options)
      .map(([name, value]) => `${name}=${Array.isArray(value) ? showShape(value) : value}`)
      .join(', ');
  }
}

/** Channels moved into the image: [..., C * r * r, H, W] as [..., C, H * r, W * r] (`torch.nn.PixelShuffle`). */
export class PixelShuffle extends Module {
  constructor(readonly upscaleFactor: number) {
    super();
    checkWhole('PixelShuffle', 'upscaleFactor', upscaleFactor, 1);
  }

  override forward(x: Tensor): Tensor {
    return pixelShuffle(x, this.upscaleFactor);
  }

  protected override extra(): string {
    return `upscaleFactor=${this.upscaleFactor}`;
  }
}

/** The inverse: [..., C, H * r, W * r] as [..., C * r * r, H, W] (`torch.nn.PixelUnshuffle`). */
export class PixelUnshuffle extends Module {
  constructor(readonly downscaleFactor: number) {
    super();
    checkWhole('PixelUnshuffle', 'downscaleFactor', downscaleFactor, 1);
  }

  override forward(x: Tensor): Tensor {
    return pixelUnshuffle(x, this.downscaleFactor);
  }

  protected override extra(): string {
    return `downscaleFactor=${this.downscaleFactor}`;
  }
}

/**
 * A border of zeros around images: one size for all sides, or [left, right, top, bottom] (`torch.nn.ZeroPad2d`). Negative sizes
 * cut off.
 */
export class ZeroPad2d extends Module {
  readonly padding: readonly number[];

  constructor(padding: number | readonly number[]) {
    super();
    this.padding = typeof padding === 'number' ? [padding, padding, padding, padding] : padding;
    if (!Array.isArray(this.padding) || this.padding.length !== 4)
      throw new ShapeError(
        `ZeroPad2d: padding is ${describe(padding)}, but it must be a number or one for each of left, right, top and bottom`,
      );
    for (const size of this.padding) checkWhole('ZeroPad2d', 'padding', size);
  }

  override forward(x: Tensor): Tensor {
    return pad(x, this.padding);
  }

  protected override extra(): string {
    return `padding=${showShape(this.padding)}`;
  }
}
