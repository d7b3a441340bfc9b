import { UnsupportedError } from '../core/errors.ts';
import { checkFunction, checkOptions, describe } from '../ops/record.ts';
import { Optimizer, rule } from './optimizer.ts';

/** What a scheduler needs of an optimizer: groups with a learning rate. */
export interface Scheduled {
  readonly paramGroups: readonly { lr: number }[];
}

/** What `LRScheduler.stateDict` gives. */
export interface SchedulerStateDict {
  readonly lastEpoch: number;
  readonly baseLrs: readonly number[];
}

/**
 * Base class of the learning rate schedulers (`torch.optim.lr_scheduler.LRScheduler`): the rate of every group is a function of
 * the rate it had when the scheduler was made and of the number of `step()`s since. Rates are data of a step: changing them
 * changes no plan.
 */
export abstract class LRScheduler {
  /** Number of `step()`s so far. */
  lastEpoch = 0;
  private baseLrs: readonly number[];

  protected constructor(
    protected readonly name: string,
    protected readonly optimizer: Scheduled,
  ) {
    if (!(optimizer instanceof Optimizer))
      throw new UnsupportedError(`${name}: ${describe(optimizer)} is no optimizer; pass one, such as new Adam(…)`);
    this.baseLrs = optimizer.paramGroups.map((g) => g.lr);
  }

  /** The rate of a group after a number of steps, from the rate it started with. */
  protected abstract rate(base: number, epoch: number, group: number): number;

  /** Goes on to the next rate; call it after the optimizer's step, once an epoch or as the schedule counts. */
  step(): void {
    this.lastEpoch++;
    this.set();
  }

  /** The rates of the groups now. */
  getLastLr(): number[] {
    return this.optimizer.paramGroups.map((g) => g.lr);
  }

  /** Where the schedule stands. */
  stateDict(): SchedulerStateDict {
    return { lastEpoch: this.lastEpoch, baseLrs: [...this.baseLrs] };
  }

  /** Goes on from there, and sets the rates. */
  loadStateDict(dict: SchedulerStateDict): void {
    rule(this.name, 'lastEpoch', dict.lastEpoch, (v) => Number.isInteger(v) && v >= 0, 'a whole number of at least 0');
    if (dict.baseLrs.length !== this.baseLrs.length)
      throw new UnsupportedError(
        `${this.name}: the state is that of ${dict.baseLrs.length} parameter groups, the optimizer has ${this.baseLrs.length}`,
      );
    this.lastEpoch = dict.lastEpoch;
    this.baseLrs = [...dict.baseLrs];
    this.set();
  }

  /** Sets the rates that belong to `lastEpoch`; constructors end with it. */
  protected set(): void {
    const rates = this.baseLrs.map((base, i) => this.rate(base, this.lastEpoch, i));
    for (const lr of rates)
      rule(this.name, 'the rate', lr, (v) => v >= 0 && Number.isFinite(v), 'a finite number of at least 0');
    this.optimizer.paramGroups.forEach((group, i) => {
      group.lr = rates[i] ?? group.lr;
    });
  }
}

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
    rule('StepLR', 'stepSize', stepSize, (v) => Number.isInteger(v) && v > 0, 'a whole number of at least 1');
    rule('StepLR', 'gamma', gamma, (v) => v >= 0 && Number.isFinite(v), 'a finite number of at least 0');
    this.stepSize = stepSize;
    this.gamma = gamma;
    this.set();
  }

  protected override rate(base: number, epoch: number): number {
    return base * this.gamma ** Math.floor(epoch / this.stepSize);
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
    rule('ExponentialLR', 'gamma', options.gamma, (v) => v >= 0 && Number.isFinite(v), 'a finite number of at least 0');
    this.gamma = options.gamma;
    this.set();
  }

  protected override rate(base: number, epoch: number): number {
    return base * this.gamma ** epoch;
  }
}

/**
 * The rate times a function of the number of steps (`torch.optim.lr_scheduler.LambdaLR`): one function for all groups, or one for
 * each.
 *
 * @example
 * ```ts
 * const adam = new tl.optim.Adam([tl.zeros([2], { requiresGrad: true })], { lr: 0.01 });
 * const warmUp = new tl.optim.LambdaLR(adam, (step) => Math.min(1, (step + 1) / 100));
 * ```
 */
export class LambdaLR extends LRScheduler {
  private readonly factors: readonly ((epoch: number) => number)[];

  constructor(optimizer: Scheduled, factor: ((epoch: number) => number) | readonly ((epoch: number) => number)[]) {
    super('LambdaLR', optimizer);
    for (const f of Array.isArray(factor) ? factor : [factor]) checkFunction('LambdaLR', f);
    this.factors = typeof factor === 'function' ? optimizer.paramGroups.map(() => factor) : [...factor];
    if (this.factors.length !== optimizer.paramGroups.length)
      throw new UnsupportedError(
        `LambdaLR: ${this.factors.length} functions for ${optimizer.paramGroups.length} parameter groups; give one, or one for each`,
      );
    this.set();
  }

  protected override rate(base: number, epoch: number, group: number): number {
    return base * (this.factors[group]?.(epoch) ?? 1);
  }
}
