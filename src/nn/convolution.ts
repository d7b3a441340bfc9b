import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { showShape, sizeOf } from '../core/shape.ts';
import {
  borders,
  type ConvOptions,
  type ConvTransposeOptions,
  conv1d,
  conv2d,
  conv3d,
  convTranspose1d,
  convTranspose2d,
  convTranspose3d,
} from '../ops/conv.ts';
import { zeros } from '../ops/creation.ts';
import { perDim } from '../ops/movement.ts';
import { checkOptions, checkTensor, compose, describe } from '../ops/record.ts';
import { type PadMode, pad } from '../ops/windows.ts';
import type { Device } from '../tensor/device.ts';
import { internal } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { kaimingUniform_, uniform_ } from './init.ts';
import { Module, Parameter } from './module.ts';

/** One number for all dims of the image, or one for each. */
export type PerDim = number | readonly number[];

/** What fills the border that `padding` makes: zeros, or what the mode of `pad` says. */
export type PaddingMode = 'zeros' | Exclude<PadMode, 'constant'>;

/** Options of `Conv1d`, `Conv2d` and `Conv3d`. */
export interface ConvModuleOptions extends ConvOptions {
  /** Add a learned offset to each output channel; true unless given. */
  readonly bias?: boolean | undefined;
  /** What fills the border; 'zeros' unless given. */
  readonly paddingMode?: PaddingMode | undefined;
  /** The default device unless given. */
  readonly device?: Device | undefined;
}

/** Options of `ConvTranspose1d`, `ConvTranspose2d` and `ConvTranspose3d`. */
export interface ConvTransposeModuleOptions extends ConvTransposeOptions {
  /** Add a learned offset to each output channel; true unless given. */
  readonly bias?: boolean | undefined;
  /** The default device unless given. */
  readonly device?: Device | undefined;
}

const MODES: readonly string[] = ['zeros', 'reflect', 'replicate', 'circular'];

/** What layers of convolutions have in common: their sizes, and parameters as PyTorch starts them. */
abstract class Convolution extends Module {
  readonly kernelSize: readonly number[];
  readonly stride: readonly number[];
  readonly dilation: readonly number[];
  readonly groups: number;
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  constructor(
    protected readonly op: string,
    protected readonly dims: number,
    readonly inChannels: number,
    readonly outChannels: number,
    kernelSize: PerDim,
    options: ConvModuleOptions | ConvTransposeModuleOptions,
    transposed: boolean,
  ) {
    super();
    const { stride = 1, dilation = 1, groups = 1, bias = true, device } = options;
    this.kernelSize = perDim(op, 'kernelSize', kernelSize, dims, 1);
    this.stride = perDim(op, 'stride', stride, dims, 1);
    this.dilation = perDim(op, 'dilation', dilation, dims, 1);
    this.groups = groups;
    for (const n of [inChannels, outChannels, groups])
      if (!Number.isSafeInteger(n) || n < 1)
        throw new ShapeError(`${op}: ${describe(n)} channels or groups; they are whole numbers of at least 1`);
    if (inChannels % groups !== 0 || outChannels % groups !== 0)
      throw new ShapeError(
        `${op}: ${inChannels} and ${outChannels} channels do not divide into ${groups} groups; both must be multiples of it`,
      );
    const [first, second] = transposed ? [inChannels, outChannels] : [outChannels, inChannels];
    const shape = [first, second / groups, ...this.kernelSize];
    const make = (of: readonly number[]): Tensor => new Parameter(zeros(of, device ? { device } : {}));
    const bound = 1 / Math.sqrt(sizeOf(shape.slice(1)));
    [this.weight, this.bias] = internal(op, () => [
      kaimingUniform_(make(shape), { a: Math.sqrt(5) }),
      bias ? uniform_(make([outChannels]), -bound, bound) : null,
    ]);
  }

  /** Refuses inputs of other channels, by the name of the layer. */
  protected check(x: Tensor): void {
    checkTensor(this.op, x);
    const { dims, inChannels } = this;
    if ((x.ndim !== dims + 1 && x.ndim !== dims + 2) || x.shape.at(-dims - 1) !== inChannels)
      throw new ShapeError(
        `${this.op}: the input ${showShape(x.shape)} must have ${dims + 2} dims, or ${dims + 1} without a batch, with the layer's ${inChannels} channels before the last ${dims === 1 ? 'one' : dims}; its weight is ${showShape(this.weight.shape)}`,
      );
  }

  /** @internal */
  protected shown(padding: string | readonly number[]): string {
    const list = (value: readonly number[]): string => `[${value.join(', ')}]`;
    const { inChannels, outChannels, kernelSize, stride, dilation, groups, bias } = this;
    return [
      `${inChannels}, ${outChannels}`,
      `kernelSize=${list(kernelSize)}`,
      `stride=${list(stride)}`,
      `padding=${typeof padding === 'string' ? padding : list(padding)}`,
      `dilation=${list(dilation)}`,
      `groups=${groups}`,
      `bias=${bias !== null}`,
    ].join(', ');
  }
}

type Forward<O> = (input: Tensor, weight: Tensor, bias: Tensor | null, options: O) => Tensor;

abstract class Correlation extends Convolution {
  readonly padding: 'same' | 'valid' | readonly number[];
  readonly paddingMode: PaddingMode;

  constructor(
    op: string,
    dims: number,
    private readonly call: Forward<ConvOptions>,
    inChannels: number,
    outChannels: number,
    kernelSize: PerDim,
    options: ConvModuleOptions,
  ) {
    checkOptions(op, options, ['stride', 'padding', 'dilation', 'groups', 'bias', 'paddingMode', 'device']);
    super(op, dims, inChannels, outChannels, kernelSize, options, false);
    const { padding = 0, paddingMode = 'zeros' } = options;
    if (!MODES.includes(paddingMode))
      throw new UnsupportedError(
        `${op}: paddingMode is ${describe(paddingMode)}; use 'zeros', 'reflect', 'replicate' or 'circular'`,
      );
    if (padding === 'same' && this.stride.some((s) => s !== 1))
      throw new UnsupportedError(`${op}: padding 'same' goes with stride 1 only, got ${showShape(this.stride)}`);
    this.padding =
      padding === 'same' || padding === 'valid' ? padding : perDim(op, 'padding', padding as PerDim, dims, 0);
    this.paddingMode = paddingMode;
  }

  override forward(x: Tensor): Tensor {
    this.check(x);
    const { weight, bias, stride, dilation, groups, padding, paddingMode } = this;
    if (paddingMode === 'zeros') return this.call(x, weight, bias, { stride, padding, dilation, groups });
    const sides = borders(this.op, padding, this.kernelSize, dilation);
    return compose(this.op, () =>
      this.call(pad(x, [...sides].reverse().flat(), { mode: paddingMode }), weight, bias, { stride, dilation, groups }),
    );
  }

  protected override extra(): string {
    const mode = this.paddingMode === 'zeros' ? '' : `, paddingMode=${this.paddingMode}`;
    return `${this.shown(this.padding)}${mode}`;
  }
}

abstract class Transposed extends Convolution {
  readonly padding: readonly number[];
  readonly outputPadding: readonly number[];

  constructor(
    op: string,
    dims: number,
    private readonly call: Forward<ConvTransposeOptions>,
    inChannels: number,
    outChannels: number,
    kernelSize: PerDim,
    options: ConvTransposeModuleOptions,
  ) {
    checkOptions(op, options, ['stride', 'padding', 'outputPadding', 'dilation', 'groups', 'bias', 'device']);
    super(op, dims, inChannels, outChannels, kernelSize, options, true);
    this.padding = perDim(op, 'padding', options.padding ?? 0, dims, 0);
    this.outputPadding = perDim(op, 'outputPadding', options.outputPadding ?? 0, dims, 0);
  }

  override forward(x: Tensor): Tensor {
    this.check(x);
    const { weight, bias, stride, padding, outputPadding, dilation, groups } = this;
    return this.call(x, weight, bias, { stride, padding, outputPadding, dilation, groups });
  }

  protected override extra(): string {
    return `${this.shown(this.padding)}, outputPadding=[${this.outputPadding.join(', ')}]`;
  }
}

/**
 * `conv1d` of sequences [N, C, L] (or [C, L]) with a learned weight [O, C / groups, kL] and bias [O]
 * (`torch.nn.Conv1d`). Both start uniform in ±1 / sqrt of the elements of a window.
 *
 * @throws ShapeError when channels, groups or sizes do not fit together.
 * @throws UnsupportedError for an unknown padding or padding mode.
 * @example
 * ```ts
 * const layer = new tl.nn.Conv1d(3, 8, 5, { padding: 2 });
 * layer.forward(tl.zeros([2, 3, 16])); // shape [2, 8, 16]
 * ```
 */
export class Conv1d extends Correlation {
  constructor(inChannels: number, outChannels: number, kernelSize: PerDim, options: ConvModuleOptions = {}) {
    super('Conv1d', 1, conv1d, inChannels, outChannels, kernelSize, options);
  }
}

/**
 * `conv2d` of images [N, C, H, W] (or [C, H, W]) with a learned weight [O, C / groups, kH, kW] and bias [O]
 * (`torch.nn.Conv2d`). Both start uniform in ±1 / sqrt of the elements of a window.
 *
 * @throws ShapeError when channels, groups or sizes do not fit together.
 * @throws UnsupportedError for an unknown padding or padding mode.
 * @example
 * ```ts
 * const layer = new tl.nn.Conv2d(3, 8, 3, { padding: 'same' });
 * layer.forward(tl.zeros([2, 3, 16, 16])); // shape [2, 8, 16, 16]
 * ```
 */
export class Conv2d extends Correlation {
  constructor(inChannels: number, outChannels: number, kernelSize: PerDim, options: ConvModuleOptions = {}) {
    super('Conv2d', 2, conv2d, inChannels, outChannels, kernelSize, options);
  }
}

/**
 * `conv3d` of volumes [N, C, D, H, W] (or [C, D, H, W]) with a learned weight [O, C / groups, kD, kH, kW] and bias [O]
 * (`torch.nn.Conv3d`). Both start uniform in ±1 / sqrt of the elements of a window.
 *
 * @throws ShapeError when channels, groups or sizes do not fit together.
 * @throws UnsupportedError for an unknown padding or padding mode.
 * @example
 * ```ts
 * const layer = new tl.nn.Conv3d(1, 4, 3, { stride: 2, padding: 1 });
 * layer.forward(tl.zeros([2, 1, 8, 8, 8])); // shape [2, 4, 4, 4, 4]
 * ```
 */
export class Conv3d extends Correlation {
  constructor(inChannels: number, outChannels: number, kernelSize: PerDim, options: ConvModuleOptions = {}) {
    super('Conv3d', 3, conv3d, inChannels, outChannels, kernelSize, options);
  }
}

/**
 * `convTranspose1d` of sequences [N, C, L] (or [C, L]) with a learned weight [C, O / groups, kL] and bias [O]
 * (`torch.nn.ConvTranspose1d`). Both start uniform in ±1 / sqrt of the elements of a kernel of O / groups channels.
 *
 * @throws ShapeError when channels, groups or sizes do not fit together.
 * @example
 * ```ts
 * const layer = new tl.nn.ConvTranspose1d(8, 3, 4, { stride: 2, padding: 1 });
 * layer.forward(tl.zeros([2, 8, 8])); // shape [2, 3, 16]
 * ```
 */
export class ConvTranspose1d extends Transposed {
  constructor(inChannels: number, outChannels: number, kernelSize: PerDim, options: ConvTransposeModuleOptions = {}) {
    super('ConvTranspose1d', 1, convTranspose1d, inChannels, outChannels, kernelSize, options);
  }
}

/**
 * `convTranspose2d` of images [N, C, H, W] (or [C, H, W]) with a learned weight [C, O / groups, kH, kW] and bias [O]
 * (`torch.nn.ConvTranspose2d`). Both start uniform in ±1 / sqrt of the elements of a kernel of O / groups channels.
 *
 * @throws ShapeError when channels, groups or sizes do not fit together.
 * @example
 * ```ts
 * const layer = new tl.nn.ConvTranspose2d(8, 3, 4, { stride: 2, padding: 1 });
 * layer.forward(tl.zeros([2, 8, 8, 8])); // shape [2, 3, 16, 16]
 * ```
 */
export class ConvTranspose2d extends Transposed {
  constructor(inChannels: number, outChannels: number, kernelSize: PerDim, options: ConvTransposeModuleOptions = {}) {
    super('ConvTranspose2d', 2, convTranspose2d, inChannels, outChannels, kernelSize, options);
  }
}

/**
 * `convTranspose3d` of volumes [N, C, D, H, W] (or [C, D, H, W]) with a learned weight [C, O / groups, kD, kH, kW] and bias [O]
 * (`torch.nn.ConvTranspose3d`). Both start uniform in ±1 / sqrt of the elements of a kernel of O / groups channels.
 *
 * @throws ShapeError when channels, groups or sizes do not fit together.
 * @example
 * ```ts
 * const layer = new tl.nn.ConvTranspose3d(4, 1, 2, { stride: 2 });
 * layer.forward(tl.zeros([2, 4, 4, 4, 4])); // shape [2, 1, 8, 8, 8]
 * ```
 */
export class ConvTranspose3d extends Transposed {
  constructor(inChannels: number, outChannels: number, kernelSize: PerDim, options: ConvTransposeModuleOptions = {}) {
    super('ConvTranspose3d', 3, convTranspose3d, inChannels, outChannels, kernelSize, options);
  }
}
