import { UnsupportedError } from '../../core/errors.ts';
import { checkOptions, describe } from '../../ops/record.ts';
import { atLeastZero, belowOne, rule } from '../optimizer.ts';
import { checkCount, checkOptimizer, type Scheduled } from './scheduler.ts';

/** Options of `ReduceLROnPlateau`. */
export interface ReduceLROnPlateauOptions {
  /** Whether the metric should fall ('min', the default) or grow ('max'). */
  readonly mode?: 'min' | 'max' | undefined;
  /** Factor of a reduction, below 1; 0.1 unless given. */
  readonly factor?: number | undefined;
  /** Steps without improvement that are borne; 10 unless given. */
  readonly patience?: number | undefined;
  /** What is less counts as no improvement; 1e-4 unless given. */
  readonly threshold?: number | undefined;
  /** The threshold is a share of the best value ('rel', the default) or a difference from it ('abs'). */
  readonly thresholdMode?: 'rel' | 'abs' | undefined;
  /** Steps after a reduction that do not count; 0 unless given. */
  readonly cooldown?: number | undefined;
  /** The least rate, of all groups or one for each; 0 unless given. */
  readonly minLr?: number | readonly number[] | undefined;
  /** Smaller reductions are left out; 1e-8 unless given. */
  readonly eps?: number | undefined;
}

/** What `ReduceLROnPlateau.stateDict` gives. */
export interface PlateauStateDict {
  readonly lastEpoch: number;
  readonly best: number;
  readonly numBadEpochs: number;
  readonly cooldownCounter: number;
  readonly lrs: readonly number[];
}

/**
 * Reduces the rates when a metric has not improved for some steps (`torch.optim.lr_scheduler.ReduceLROnPlateau`).
 *
 * @example
 * ```ts
 * const adam = new tl.optim.Adam([tl.zeros([2], { requiresGrad: true })], { lr: 0.01 });
 * const schedule = new tl.optim.ReduceLROnPlateau(adam, { factor: 0.5, patience: 2 });
 * schedule.step(0.7); // the validation loss of an epoch
 * ```
 */
export class ReduceLROnPlateau {
  /** Number of `step()`s so far. */
  lastEpoch = 0;
  private best: number;
  private numBadEpochs = 0;
  private cooldownCounter = 0;
  private readonly options: {
    [K in keyof ReduceLROnPlateauOptions]-?: Exclude<ReduceLROnPlateauOptions[K], undefined>;
  };
  private readonly minLrs: readonly number[];

  constructor(
    private readonly optimizer: Scheduled,
    options: ReduceLROnPlateauOptions = {},
  ) {
    const name = 'ReduceLROnPlateau';
    checkOptimizer(name, optimizer);
    const defaults = {
      mode: 'min',
      factor: 0.1,
      patience: 10,
      threshold: 1e-4,
      thresholdMode: 'rel',
      cooldown: 0,
      minLr: 0,
      eps: 1e-8,
    } as const;
    checkOptions(name, options, Object.keys(defaults));
    const given = Object.fromEntries(Object.entries(options).filter(([, v]) => v !== undefined));
    this.options = { ...defaults, ...given };
    const { mode, factor, patience, threshold, thresholdMode, cooldown, minLr, eps } = this.options;
    if (mode !== 'min' && mode !== 'max')
      throw new UnsupportedError(`${name}: mode ${String(mode)} is unknown; use 'min' or 'max'`);
    if (thresholdMode !== 'rel' && thresholdMode !== 'abs')
      throw new UnsupportedError(`${name}: thresholdMode ${String(thresholdMode)} is unknown; use 'rel' or 'abs'`);
    belowOne(name, 'factor', factor);
    checkCount(name, 'patience', patience, 0);
    atLeastZero(name, 'threshold', threshold);
    checkCount(name, 'cooldown', cooldown, 0);
    atLeastZero(name, 'eps', eps);
    const groups = optimizer.paramGroups;
    const least = typeof minLr === 'number' ? groups.map(() => minLr) : minLr;
    if (!Array.isArray(least) || least.length !== groups.length)
      throw new UnsupportedError(
        `${name}: minLr is ${describe(minLr)}, but it must be a number, or one for each of the ${groups.length} parameter groups`,
      );
    for (const lr of least) atLeastZero(name, 'minLr', lr);
    this.minLrs = [...least];
    this.best = mode === 'min' ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  }

  /** Takes the metric of another epoch, and reduces the rates if it is time; NaN is no improvement. */
  step(metric: number): void {
    rule('ReduceLROnPlateau', 'the metric', metric, () => true, 'a number; read a tensor with await loss.item()');
    const { patience, cooldown } = this.options;
    this.lastEpoch++;
    if (this.improves(metric)) {
      this.best = metric;
      this.numBadEpochs = 0;
    } else this.numBadEpochs++;
    if (this.cooldownCounter > 0) {
      this.cooldownCounter--;
      this.numBadEpochs = 0;
    }
    if (this.numBadEpochs <= patience) return;
    this.reduce();
    this.cooldownCounter = cooldown;
    this.numBadEpochs = 0;
  }

  /** The rates of the groups now. */
  getLastLr(): number[] {
    return this.optimizer.paramGroups.map((g) => g.lr);
  }

  /** Where the schedule stands. */
  stateDict(): PlateauStateDict {
    const { lastEpoch, best, numBadEpochs, cooldownCounter } = this;
    return { lastEpoch, best, numBadEpochs, cooldownCounter, lrs: this.getLastLr() };
  }

  /** Goes on from there, and sets the rates. */
  loadStateDict(dict: PlateauStateDict): void {
    const name = 'ReduceLROnPlateau';
    const { lastEpoch, best, numBadEpochs, cooldownCounter, lrs } = dict;
    for (const [key, value] of Object.entries({ lastEpoch, numBadEpochs, cooldownCounter }))
      checkCount(name, key, value, 0);
    rule(name, 'best', best, (v) => !Number.isNaN(v), 'a number');
    const groups = this.optimizer.paramGroups;
    if (lrs.length !== groups.length)
      throw new UnsupportedError(
        `${name}: the state is that of ${lrs.length} parameter groups, the optimizer has ${groups.length}`,
      );
    for (const lr of lrs) atLeastZero(name, 'a rate', lr);
    Object.assign(this, { lastEpoch, best, numBadEpochs, cooldownCounter });
    groups.forEach((group, i) => {
      group.lr = lrs[i] ?? group.lr;
    });
  }

  private improves(metric: number): boolean {
    const { mode, threshold, thresholdMode } = this.options;
    const sign = mode === 'min' ? -1 : 1;
    const margin = thresholdMode === 'abs' ? threshold : this.best * threshold;
    const goal = Number.isFinite(this.best) ? this.best + sign * margin : this.best;
    return mode === 'min' ? metric < goal : metric > goal;
  }

  private reduce(): void {
    const { factor, eps } = this.options;
    this.optimizer.paramGroups.forEach((group, i) => {
      const lr = Math.max(group.lr * factor, this.minLrs[i] ?? 0);
      if (group.lr - lr > eps) group.lr = lr;
    });
  }
}
