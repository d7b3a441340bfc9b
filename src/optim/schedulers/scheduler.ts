import { UnsupportedError } from '../../core/errors.ts';
import { checkFunction, describe } from '../../ops/record.ts';
import { Optimizer, rule } from '../optimizer.ts';

/** What a scheduler needs of an optimizer: groups with a learning rate. */
export interface Scheduled {
  readonly paramGroups: readonly { lr: number }[];
}

/** What `LRScheduler.stateDict` gives. */
export interface SchedulerStateDict {
  readonly lastEpoch: number;
  readonly baseLrs: readonly number[];
  /** Those of the schedulers that a `SequentialLR` runs. */
  readonly schedulers?: readonly SchedulerStateDict[] | undefined;
}

/** @internal Throws unless it is an optimizer. */
export function checkOptimizer(name: string, optimizer: unknown): void {
  if (!(optimizer instanceof Optimizer))
    throw new UnsupportedError(`${name}: ${describe(optimizer)} is no optimizer; pass one, such as new Adam(…)`);
}

/** @internal A whole number of at least `least`. */
export const checkCount = (op: string, name: string, value: unknown, least: number): void =>
  rule(op, name, value, (v) => Number.isInteger(v) && v >= least, `a whole number of at least ${least}`);

/** The rates that groups had before a scheduler set them, and what it set: a rate that was set by hand since is a new start. */
const starts = new WeakMap<object, { readonly base: number; readonly set: number }>();

/**
 * Base class of the learning rate schedulers (`torch.optim.lr_scheduler.LRScheduler`): the rate of every group is a function of
 * the rate it had before schedulers set it and of the number of `step()`s since. Rates are data of a step: changing them changes no
 * plan.
 */
export abstract class LRScheduler {
  /** Number of `step()`s so far. */
  lastEpoch = 0;
  private baseLrs: readonly number[];

  protected constructor(
    protected readonly name: string,
    protected readonly optimizer: Scheduled,
  ) {
    checkOptimizer(name, optimizer);
    this.baseLrs = optimizer.paramGroups.map((group) => {
      const start = starts.get(group);
      return start?.set === group.lr ? start.base : group.lr;
    });
  }

  /** The rate of a group after a number of steps, from the rate it started with. */
  protected abstract rate(base: number, epoch: number, group: number): number;

  /** Goes on to the next rate; call it after the optimizer's step, once an epoch or as the schedule counts. */
  step(): void {
    this.moveTo(this.lastEpoch + 1);
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
    rule(this.name, 'lastEpoch', dict.lastEpoch, (v) => Number.isFinite(v) && v >= 0, 'a number of at least 0');
    if (dict.baseLrs.length !== this.baseLrs.length)
      throw new UnsupportedError(
        `${this.name}: the state is that of ${dict.baseLrs.length} parameter groups, the optimizer has ${this.baseLrs.length}`,
      );
    this.baseLrs = [...dict.baseLrs];
    this.moveTo(dict.lastEpoch);
  }

  /** @internal Whether it sets the rates of an optimizer. */
  schedules(optimizer: Scheduled): boolean {
    return this.optimizer === optimizer;
  }

  /** @internal Goes to a number of steps and sets what belongs to it, or on an error nothing; constructors end with it. */
  moveTo(epoch: number): void {
    const rates = this.baseLrs.map((base, i) => this.rate(base, epoch, i));
    for (const lr of rates)
      rule(this.name, 'the rate', lr, (v) => v >= 0 && Number.isFinite(v), 'a finite number of at least 0');
    this.lastEpoch = epoch;
    this.optimizer.paramGroups.forEach((group, i) => {
      const [base, set] = [this.baseLrs[i], rates[i]];
      if (base === undefined || set === undefined) return;
      group.lr = set;
      starts.set(group, { base, set });
    });
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
    this.moveTo(0);
  }

  protected override rate(base: number, epoch: number, group: number): number {
    return base * (this.factors[group]?.(epoch) ?? 1);
  }
}
