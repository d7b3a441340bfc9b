import { UnsupportedError } from '../../core/errors.ts';
import { checkOptions, describe } from '../../ops/record.ts';
import { checkCount, LRScheduler, type Scheduled, type SchedulerStateDict } from './scheduler.ts';

/** Options of `SequentialLR`. */
export interface SequentialLROptions {
  /** The schedulers, of the same optimizer. */
  readonly schedulers: readonly LRScheduler[];
  /** Numbers of steps at which the next one takes over, in order: one less than there are schedulers. */
  readonly milestones: readonly number[];
}

/**
 * Schedulers one after the other, each from its own start (`torch.optim.lr_scheduler.SequentialLR`).
 *
 * @example
 * ```ts
 * const adam = new tl.optim.Adam([tl.zeros([2], { requiresGrad: true })], { lr: 0.01 });
 * const warmUp = new tl.optim.LinearLR(adam, { startFactor: 0.1, totalIters: 100 });
 * const cosine = new tl.optim.CosineAnnealingLR(adam, { tMax: 900 });
 * const schedule = new tl.optim.SequentialLR(adam, { schedulers: [warmUp, cosine], milestones: [100] });
 * ```
 */
export class SequentialLR extends LRScheduler {
  private readonly schedulers: readonly LRScheduler[];
  private readonly milestones: readonly number[];

  constructor(optimizer: Scheduled, options: SequentialLROptions) {
    const name = 'SequentialLR';
    super(name, optimizer);
    checkOptions(name, options, ['schedulers', 'milestones']);
    const { schedulers, milestones } = options;
    if (!Array.isArray(schedulers) || schedulers.length === 0)
      throw new UnsupportedError(`${name}: schedulers is ${describe(schedulers)}, but it must be a list of schedulers`);
    for (const s of schedulers)
      if (!(s instanceof LRScheduler) || !s.schedules(optimizer))
        throw new UnsupportedError(
          `${name}: ${describe(s)} among the schedulers is none of this optimizer; make all with the same one`,
        );
    if (!Array.isArray(milestones) || milestones.length !== schedulers.length - 1)
      throw new UnsupportedError(
        `${name}: milestones is ${describe(milestones)}, but it must be a list of ${schedulers.length - 1}, one less than there are schedulers`,
      );
    for (const [i, at] of milestones.entries()) checkCount(name, 'a milestone', at, (milestones[i - 1] ?? -1) + 1);
    this.schedulers = [...schedulers];
    this.milestones = [...milestones];
    this.moveTo(0);
  }

  override moveTo(epoch: number): void {
    const i = this.milestones.filter((at) => at <= epoch).length;
    this.schedulers[i]?.moveTo(epoch - (this.milestones[i - 1] ?? 0));
    this.lastEpoch = epoch;
  }

  override stateDict(): SchedulerStateDict {
    return { ...super.stateDict(), schedulers: this.schedulers.map((s) => s.stateDict()) };
  }

  override loadStateDict(dict: SchedulerStateDict): void {
    const states = dict.schedulers ?? [];
    if (states.length !== this.schedulers.length)
      throw new UnsupportedError(
        `SequentialLR: the state is that of ${states.length} schedulers, there are ${this.schedulers.length}`,
      );
    this.schedulers.forEach((s, i) => {
      s.loadStateDict(states[i] as SchedulerStateDict);
    });
    super.loadStateDict(dict);
  }

  protected override rate(base: number): number {
    return base;
  }
}
