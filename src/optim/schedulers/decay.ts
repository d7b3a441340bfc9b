import { UnsupportedError } from '../../core/errors.ts';
import { checkOptions, describe } from '../../ops/record.ts';
import { atLeastZero, rule } from '../optimizer.ts';
import { checkCount, LRScheduler, type Scheduled } from './scheduler.ts';

/** Options of `StepLR`. */
export interface StepLROptions {
  /** Steps between two decays. */
  readonly stepSize: number;
  /** Factor of a decay; 0.1 unless given. */
  readonly gamma?: number | undefined;
}

/** The rate times gamma every `stepSize` steps (`torch.optim.lr_scheduler.StepLR`). */
export class StepLR extends LRScheduler {
  private readonly stepSize: number;
  private readonly gamma: number;

  constructor(optimizer: Scheduled, options: StepLROptions) {
    super('StepLR', optimizer);
    checkOptions('StepLR', options, ['stepSize', 'gamma']);
    const { stepSize, gamma = 0.1 } = options;
    checkCount('StepLR', 'stepSize', stepSize, 1);
    atLeastZero('StepLR', 'gamma', gamma);
    this.stepSize = stepSize;
    this.gamma = gamma;
    this.moveTo(0);
  }

  protected override rate(base: number, epoch: number): number {
    return base * this.gamma ** Math.floor(epoch / this.stepSize);
  }
}

/** Options of `MultiStepLR`. */
export interface MultiStepLROptions {
  /** Numbers of steps after which the rate decays; one that is there twice counts twice. */
  readonly milestones: readonly number[];
  /** Factor of a decay; 0.1 unless given. */
  readonly gamma?: number | undefined;
}

/** The rate times gamma at every milestone (`torch.optim.lr_scheduler.MultiStepLR`). */
export class MultiStepLR extends LRScheduler {
  private readonly milestones: readonly number[];
  private readonly gamma: number;

  constructor(optimizer: Scheduled, options: MultiStepLROptions) {
    super('MultiStepLR', optimizer);
    checkOptions('MultiStepLR', options, ['milestones', 'gamma']);
    const { milestones, gamma = 0.1 } = options;
    if (!Array.isArray(milestones))
      throw new UnsupportedError(
        `MultiStepLR: milestones is ${describe(milestones)}, but it must be a list of numbers of steps`,
      );
    for (const at of milestones) checkCount('MultiStepLR', 'a milestone', at, 0);
    atLeastZero('MultiStepLR', 'gamma', gamma);
    this.milestones = [...milestones];
    this.gamma = gamma;
    this.moveTo(0);
  }

  protected override rate(base: number, epoch: number): number {
    return base * this.gamma ** this.milestones.filter((at) => at <= epoch).length;
  }
}

/** Options of `ExponentialLR`. */
export interface ExponentialLROptions {
  /** Factor of every step. */
  readonly gamma: number;
}

/** The rate times gamma every step (`torch.optim.lr_scheduler.ExponentialLR`). */
export class ExponentialLR extends LRScheduler {
  private readonly gamma: number;

  constructor(optimizer: Scheduled, options: ExponentialLROptions) {
    super('ExponentialLR', optimizer);
    checkOptions('ExponentialLR', options, ['gamma']);
    atLeastZero('ExponentialLR', 'gamma', options.gamma);
    this.gamma = options.gamma;
    this.moveTo(0);
  }

  protected override rate(base: number, epoch: number): number {
    return base * this.gamma ** epoch;
  }
}

/** Options of `ConstantLR`. */
export interface ConstantLROptions {
  /** Factor of the first steps, from 0 to 1; 1/3 unless given. */
  readonly factor?: number | undefined;
  /** For how many steps; 5 unless given. */
  readonly totalIters?: number | undefined;
}

const share = (v: number): boolean => v >= 0 && v <= 1;

/** The rate times a factor for some steps, and then the rate itself (`torch.optim.lr_scheduler.ConstantLR`). */
export class ConstantLR extends LRScheduler {
  private readonly factor: number;
  private readonly totalIters: number;

  constructor(optimizer: Scheduled, options: ConstantLROptions = {}) {
    super('ConstantLR', optimizer);
    checkOptions('ConstantLR', options, ['factor', 'totalIters']);
    const { factor = 1 / 3, totalIters = 5 } = options;
    rule('ConstantLR', 'factor', factor, share, 'a number from 0 to 1');
    checkCount('ConstantLR', 'totalIters', totalIters, 0);
    this.factor = factor;
    this.totalIters = totalIters;
    this.moveTo(0);
  }

  protected override rate(base: number, epoch: number): number {
    return epoch < this.totalIters ? base * this.factor : base;
  }
}

/** Options of `LinearLR`. */
export interface LinearLROptions {
  /** Factor at the start, above 0 and up to 1; 1/3 unless given. */
  readonly startFactor?: number | undefined;
  /** Factor at the end, from 0 to 1; 1 unless given. */
  readonly endFactor?: number | undefined;
  /** Steps from one to the other; 5 unless given. */
  readonly totalIters?: number | undefined;
}

/**
 * The rate times a factor that goes from one value to another in equal steps, such as a warm-up (`torch.optim.lr_scheduler.LinearLR`).
 *
 * @example
 * ```ts
 * const adam = new tl.optim.Adam([tl.zeros([2], { requiresGrad: true })], { lr: 0.01 });
 * const warmUp = new tl.optim.LinearLR(adam, { startFactor: 0.1, totalIters: 100 });
 * ```
 */
export class LinearLR extends LRScheduler {
  private readonly startFactor: number;
  private readonly endFactor: number;
  private readonly totalIters: number;

  constructor(optimizer: Scheduled, options: LinearLROptions = {}) {
    super('LinearLR', optimizer);
    checkOptions('LinearLR', options, ['startFactor', 'endFactor', 'totalIters']);
    const { startFactor = 1 / 3, endFactor = 1, totalIters = 5 } = options;
    rule('LinearLR', 'startFactor', startFactor, (v) => v > 0 && v <= 1, 'above 0 and at most 1');
    rule('LinearLR', 'endFactor', endFactor, share, 'a number from 0 to 1');
    checkCount('LinearLR', 'totalIters', totalIters, 1);
    this.startFactor = startFactor;
    this.endFactor = endFactor;
    this.totalIters = totalIters;
    this.moveTo(0);
  }

  protected override rate(base: number, epoch: number): number {
    const done = Math.min(1, epoch / this.totalIters);
    return base * (this.startFactor + (this.endFactor - this.startFactor) * done);
  }
}

/** Options of `PolynomialLR`. */
export interface PolynomialLROptions {
  /** Steps until the rate is 0; 5 unless given. */
  readonly totalIters?: number | undefined;
  /** The power of the share of steps that are left; 1 unless given. */
  readonly power?: number | undefined;
}

/** The rate times a power of the share of steps that are left (`torch.optim.lr_scheduler.PolynomialLR`). */
export class PolynomialLR extends LRScheduler {
  private readonly totalIters: number;
  private readonly power: number;

  constructor(optimizer: Scheduled, options: PolynomialLROptions = {}) {
    super('PolynomialLR', optimizer);
    checkOptions('PolynomialLR', options, ['totalIters', 'power']);
    const { totalIters = 5, power = 1 } = options;
    checkCount('PolynomialLR', 'totalIters', totalIters, 1);
    atLeastZero('PolynomialLR', 'power', power);
    this.totalIters = totalIters;
    this.power = power;
    this.moveTo(0);
  }

  protected override rate(base: number, epoch: number): number {
    return base * (1 - Math.min(1, epoch / this.totalIters)) ** this.power;
  }
}
