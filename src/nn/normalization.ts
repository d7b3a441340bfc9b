import { noGrad } from '../autograd/grad.ts';
import { DTypeError, ShapeError } from '../core/errors.ts';
import { checkShape, type Shape, showShape } from '../core/shape.ts';
import { assign_ } from '../ops/assign.ts';
import { ones, zeros } from '../ops/creation.ts';
import { add, div } from '../ops/elementwise.ts';
import { checkWhole } from '../ops/movement.ts';
import { groupNorm, instanceNorm, layerNorm, normalizeBatch, rmsNorm } from '../ops/normalization.ts';
import { checkFlag, checkOptions, checkTensor, describe, type Operand } from '../ops/record.ts';
import { reshape } from '../ops/structure.ts';
import type { Device } from '../tensor/device.ts';
import { internal } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Module, Parameter } from './module.ts';

/** Options of `LayerNorm`. */
export interface LayerNormLayerOptions {
  /** Added to the variance; 1e-5 unless given. */
  readonly eps?: number | undefined;
  /** Learn a weight and a bias; true unless given. */
  readonly elementwiseAffine?: boolean | undefined;
  /** With a weight, learn a bias as well; true unless given. */
  readonly bias?: boolean | undefined;
  /** The default device unless given. */
  readonly device?: Device | undefined;
}

/** Options of `RMSNorm`. */
export interface RMSNormLayerOptions {
  /** Added to the mean square; 2^-23 unless given. */
  readonly eps?: number | null | undefined;
  /** Learn a weight; true unless given. */
  readonly elementwiseAffine?: boolean | undefined;
  /** The default device unless given. */
  readonly device?: Device | undefined;
}

/** Options of `GroupNorm`, `InstanceNorm1d` and `InstanceNorm2d`. */
export interface GroupNormLayerOptions {
  /** Added to the variance; 1e-5 unless given. */
  readonly eps?: number | undefined;
  /** Learn a weight and a bias for each channel; true unless given, for instance normalisation false. */
  readonly affine?: boolean | undefined;
  /** The default device unless given. */
  readonly device?: Device | undefined;
}

/** Options of `BatchNorm1d`, `BatchNorm2d` and `BatchNorm3d`. */
export interface BatchNormLayerOptions extends GroupNormLayerOptions {
  /** The share of a batch in the running statistics, 0.1 unless given; null for the mean over all batches. */
  readonly momentum?: number | null | undefined;
  /** Keep running statistics, for evaluation mode; true unless given. Without them each batch is normalised by its own. */
  readonly trackRunningStats?: boolean | undefined;
}

function checkNumber(layer: string, name: string, value: unknown): void {
  if (typeof value !== 'number' || Number.isNaN(value))
    throw new DTypeError(
      `${layer}: ${name} is ${describe(value)}, but it must be a number; leave it out for the default`,
    );
}

/** A parameter of ones or zeros, or none. */
function learned(make: typeof ones, shape: Shape, device: Device | undefined, wanted: boolean): Tensor | null {
  return wanted ? internal('Parameter', () => new Parameter(make(shape, device ? { device } : {}))) : null;
}

/** The shape that is normalised, checked. */
function normalized(layer: string, shape: number | Shape): Shape {
  const list = typeof shape === 'number' ? [shape] : shape;
  checkShape(layer, list);
  if (list.length === 0) throw new ShapeError(`${layer}: the normalized shape is []; it needs at least one dim`);
  return list;
}

/**
 * The elements of the last dims, whose shape is given, less their mean and over their standard deviation, times a learned weight
 * and plus a learned bias (`torch.nn.LayerNorm`); see `functional.layerNorm`. The weight starts at 1, the bias at 0.
 *
 * @throws ShapeError for a shape that is none.
 * @example
 * ```ts
 * const norm = new tl.nn.LayerNorm(64);
 * norm.forward(tl.rand([8, 16, 64])); // shape [8, 16, 64]
 * ```
 */
export class LayerNorm extends Module {
  readonly normalizedShape: Shape;
  readonly eps: number;
  readonly weight: Tensor | null;
  readonly bias: Tensor | null;

  constructor(normalizedShape: number | Shape, options: LayerNormLayerOptions = {}) {
    super();
    checkOptions('LayerNorm', options, ['eps', 'elementwiseAffine', 'bias', 'device']);
    const { eps = 1e-5, elementwiseAffine = true, bias = true, device } = options;
    checkFlag('LayerNorm', 'elementwiseAffine', elementwiseAffine);
    checkFlag('LayerNorm', 'bias', bias);
    checkNumber('LayerNorm', 'eps', eps);
    this.eps = eps;
    this.normalizedShape = normalized('LayerNorm', normalizedShape);
    this.weight = learned(ones, this.normalizedShape, device, elementwiseAffine);
    this.bias = learned(zeros, this.normalizedShape, device, elementwiseAffine && bias);
  }

  override forward(x: Tensor): Tensor {
    return layerNorm(x, this.normalizedShape, { weight: this.weight, bias: this.bias, eps: this.eps });
  }

  protected override extra(): string {
    return `${showShape(this.normalizedShape)}, eps=${this.eps}, elementwiseAffine=${this.weight !== null}`;
  }
}

/**
 * The elements of the last dims, whose shape is given, over the root of their mean square, times a learned weight that starts at 1
 * (`torch.nn.RMSNorm`); see `functional.rmsNorm`.
 *
 * @throws ShapeError for a shape that is none.
 */
export class RMSNorm extends Module {
  readonly normalizedShape: Shape;
  readonly eps: number | null;
  readonly weight: Tensor | null;

  constructor(normalizedShape: number | Shape, options: RMSNormLayerOptions = {}) {
    super();
    checkOptions('RMSNorm', options, ['eps', 'elementwiseAffine', 'device']);
    const { eps = null, elementwiseAffine = true, device } = options;
    checkFlag('RMSNorm', 'elementwiseAffine', elementwiseAffine);
    if (eps !== null) checkNumber('RMSNorm', 'eps', eps);
    this.eps = eps;
    this.normalizedShape = normalized('RMSNorm', normalizedShape);
    this.weight = learned(ones, this.normalizedShape, device, elementwiseAffine);
  }

  override forward(x: Tensor): Tensor {
    return rmsNorm(x, this.normalizedShape, { weight: this.weight, eps: this.eps });
  }

  protected override extra(): string {
    return `${showShape(this.normalizedShape)}, eps=${this.eps}, elementwiseAffine=${this.weight !== null}`;
  }
}

/**
 * The elements of each sample [N, C, …] in groups of neighbouring channels, less their mean and over their standard deviation,
 * times a learned weight and plus a learned bias for each channel (`torch.nn.GroupNorm`); see `functional.groupNorm`.
 *
 * @throws ShapeError when the channels do not divide by the number of groups.
 */
export class GroupNorm extends Module {
  readonly eps: number;
  readonly weight: Tensor | null;
  readonly bias: Tensor | null;

  constructor(
    readonly numGroups: number,
    readonly numChannels: number,
    options: GroupNormLayerOptions = {},
  ) {
    super();
    checkOptions('GroupNorm', options, ['eps', 'affine', 'device']);
    checkWhole('GroupNorm', 'numGroups', numGroups, 1);
    checkWhole('GroupNorm', 'numChannels', numChannels, 1);
    if (numChannels % numGroups !== 0)
      throw new ShapeError(`GroupNorm: ${numChannels} channels do not divide into ${numGroups} groups`);
    const { eps = 1e-5, affine = true, device } = options;
    checkFlag('GroupNorm', 'affine', affine);
    checkNumber('GroupNorm', 'eps', eps);
    this.eps = eps;
    this.weight = learned(ones, [numChannels], device, affine);
    this.bias = learned(zeros, [numChannels], device, affine);
  }

  override forward(x: Tensor): Tensor {
    return groupNorm(x, this.numGroups, { weight: this.weight, bias: this.bias, eps: this.eps });
  }

  protected override extra(): string {
    return `${this.numGroups}, ${this.numChannels}, eps=${this.eps}, affine=${this.weight !== null}`;
  }
}

/** What layers that normalise images by channels have in common. */
abstract class PerChannel extends Module {
  readonly eps: number;
  readonly weight: Tensor | null;
  readonly bias: Tensor | null;

  protected constructor(
    /** Its name in messages. */
    protected readonly layer: string,
    /** How many dims its input may have. */
    private readonly ranks: readonly number[],
    readonly numFeatures: number,
    { eps = 1e-5, affine, device }: GroupNormLayerOptions,
  ) {
    super();
    checkWhole(layer, 'numFeatures', numFeatures, 1);
    checkFlag(layer, 'affine', affine);
    checkNumber(layer, 'eps', eps);
    this.eps = eps;
    this.weight = learned(ones, [numFeatures], device, affine ?? false);
    this.bias = learned(zeros, [numFeatures], device, affine ?? false);
  }

  /** Throws unless the input has the channels in the given dim. */
  protected checkInput(x: Tensor, place: number): void {
    checkTensor(this.layer, x);
    if (!this.ranks.includes(x.ndim) || x.shape[place] !== this.numFeatures)
      throw new ShapeError(
        `${this.layer}: the input ${showShape(x.shape)} must have ${this.ranks.join(' or ')} dims, with ${this.numFeatures} channels in dim ${place}`,
      );
  }

  protected override extra(): string {
    return `${this.numFeatures}, eps=${this.eps}, affine=${this.weight !== null}`;
  }
}

abstract class InstanceNorm extends PerChannel {
  protected constructor(
    layer: string,
    private readonly dims: number,
    numFeatures: number,
    options: GroupNormLayerOptions,
  ) {
    checkOptions(layer, options, ['eps', 'affine', 'device']);
    super(layer, [dims + 2, dims + 1], numFeatures, options);
  }

  override forward(x: Tensor): Tensor {
    checkTensor(this.layer, x);
    const single = x.ndim === this.dims + 1;
    this.checkInput(x, single ? 0 : 1);
    const options = { weight: this.weight, bias: this.bias, eps: this.eps };
    if (!single) return instanceNorm(x, options);
    return internal(this.layer, () => reshape(instanceNorm(reshape(x, [1, ...x.shape]), options), x.shape));
  }
}

/**
 * The elements of each channel of each sample of [N, C, L] or [C, L], less their mean and over their standard deviation
 * (`torch.nn.InstanceNorm1d`, without running statistics); see `functional.instanceNorm`.
 */
export class InstanceNorm1d extends InstanceNorm {
  constructor(numFeatures: number, options: GroupNormLayerOptions = {}) {
    super('InstanceNorm1d', 1, numFeatures, options);
  }
}

/**
 * The elements of each channel of each image of [N, C, H, W] or [C, H, W], less their mean and over their standard deviation
 * (`torch.nn.InstanceNorm2d`, without running statistics); see `functional.instanceNorm`.
 */
export class InstanceNorm2d extends InstanceNorm {
  constructor(numFeatures: number, options: GroupNormLayerOptions = {}) {
    super('InstanceNorm2d', 2, numFeatures, options);
  }
}

abstract class BatchNorm extends PerChannel {
  readonly momentum: number | null;
  // Under PyTorch's names, which are those of the state dict.
  declare protected readonly running_mean: Tensor | null;
  declare protected readonly running_var: Tensor | null;
  declare protected readonly num_batches_tracked: Tensor | null;

  protected constructor(layer: string, ranks: readonly number[], numFeatures: number, options: BatchNormLayerOptions) {
    checkOptions(layer, options, ['eps', 'momentum', 'affine', 'trackRunningStats', 'device']);
    const { momentum = 0.1, trackRunningStats = true, device } = options;
    checkFlag(layer, 'trackRunningStats', trackRunningStats);
    if (momentum !== null) checkNumber(layer, 'momentum', momentum);
    super(layer, ranks, numFeatures, { affine: true, ...options });
    this.momentum = momentum;
    if (!trackRunningStats) return;
    const on = device ? { device } : {};
    this.registerBuffer('running_mean', zeros([numFeatures], on));
    this.registerBuffer('running_var', ones([numFeatures], on));
    this.registerBuffer('num_batches_tracked', zeros([], { ...on, dtype: 'int32' }));
  }

  /** The running mean of each channel, `running_mean` in the state dict; null where there is none. */
  get runningMean(): Tensor | null {
    return this.running_mean ?? null;
  }

  /** The running variance of each channel, `running_var` in the state dict; null where there is none. */
  get runningVar(): Tensor | null {
    return this.running_var ?? null;
  }

  /** The number of batches in the running statistics, `num_batches_tracked` in the state dict; null where there are none. */
  get numBatchesTracked(): Tensor | null {
    return this.num_batches_tracked ?? null;
  }

  override forward(x: Tensor): Tensor {
    this.checkInput(x, 1);
    const { runningMean, runningVar, numBatchesTracked, training } = this;
    return internal(this.layer, () => {
      const count = training && numBatchesTracked ? noGrad(() => add(numBatchesTracked, 1)) : null;
      const share: Operand = this.momentum ?? (count ? noGrad(() => div(1, count)) : 0);
      const own = training || runningMean === null;
      const y = normalizeBatch(
        x,
        runningMean,
        runningVar,
        { weight: this.weight, bias: this.bias },
        own,
        share,
        this.eps,
      );
      if (count && numBatchesTracked) noGrad(() => assign_(numBatchesTracked, count));
      return y;
    });
  }

  /** What `toString` shows in brackets. */
  protected override extra(): string {
    return `${this.numFeatures}, eps=${this.eps}, momentum=${this.momentum}, affine=${this.weight !== null}, trackRunningStats=${this.runningMean !== null}`;
  }
}

/**
 * The elements of each feature of [N, C] or [N, C, L], less their mean and over their standard deviation, times a learned weight and
 * plus a learned bias (`torch.nn.BatchNorm1d`). In training mode mean and deviation are those of the batch, and running ones are
 * kept, which evaluation mode uses; see `functional.batchNorm`.
 *
 * @throws ShapeError in training mode for one element a feature.
 */
export class BatchNorm1d extends BatchNorm {
  constructor(numFeatures: number, options: BatchNormLayerOptions = {}) {
    super('BatchNorm1d', [3, 2], numFeatures, options);
  }
}

/**
 * The elements of each channel of images [N, C, H, W], as in `BatchNorm1d` (`torch.nn.BatchNorm2d`).
 *
 * @throws ShapeError in training mode for one element a channel.
 * @example
 * ```ts
 * const norm = new tl.nn.BatchNorm2d(16);
 * norm.forward(tl.rand([8, 16, 4, 4]));
 * norm.eval(); // from now on by the running statistics
 * ```
 */
export class BatchNorm2d extends BatchNorm {
  constructor(numFeatures: number, options: BatchNormLayerOptions = {}) {
    super('BatchNorm2d', [4], numFeatures, options);
  }
}

/**
 * The elements of each channel of volumes [N, C, D, H, W], as in `BatchNorm1d` (`torch.nn.BatchNorm3d`).
 *
 * @throws ShapeError in training mode for one element a channel.
 */
export class BatchNorm3d extends BatchNorm {
  constructor(numFeatures: number, options: BatchNormLayerOptions = {}) {
    super('BatchNorm3d', [5], numFeatures, options);
  }
}
