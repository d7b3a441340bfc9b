import { UnsupportedError } from '../../core/errors.ts';
import { checkFlag, checkOptions, describe } from '../../ops/record.ts';
import { atLeastZero, belowOne, rule } from '../optimizer.ts';
import { along } from './cosine.ts';
import { checkCount, LRScheduler, type Scheduled } from './scheduler.ts';

/** Options of `OneCycleLR`. */
export interface OneCycleLROptions {
  /** The largest rate, of all groups or one for each. */
  readonly maxLr: number | readonly number[];
  /** Steps of the cycle; or give `epochs` and `stepsPerEpoch`. */
  readonly totalSteps?: number | undefined;
  readonly epochs?: number | undefined;
  readonly stepsPerEpoch?: number | undefined;
  /** The share of the cycle in which the rate grows; 0.3 unless given. */
  readonly pctStart?: number | undefined;
  /** Along a cosine, unless given, or a line. */
  readonly annealStrategy?: 'cos' | 'linear' | undefined;
  /** Let the momentum (the first of `betas`) fall while the rate grows, and grow again; true unless given. */
  readonly cycleMomentum?: boolean | undefined;
  /** The least momentum; 0.85 unless given. */
  readonly baseMomentum?: number | undefined;
  /** The largest momentum; 0.95 unless given. */
  readonly maxMomentum?: number | undefined;
  /** The first rate is the largest over this; 25 unless given. */
  readonly divFactor?: number | undefined;
  /** The last rate is the first over this; 10,000 unless given. */
  readonly finalDivFactor?: number | undefined;
  /** Go back to the first rate before going on to the last one; false unless given. */
  readonly threePhase?: boolean | undefined;
}

/** A part of the cycle: until which step, and from where to where. */
interface Phase {
  readonly end: number;
  readonly lr: readonly [from: number, to: number];
  readonly momentum: readonly [from: number, to: number];
}

const OPTIONS = [
  'maxLr',
  'totalSteps',
  'epochs',
  'stepsPerEpoch',
  'pctStart',
  'annealStrategy',
  'cycleMomentum',
  'baseMomentum',
  'maxMomentum',
  'divFactor',
  'finalDivFactor',
  'threePhase',
] as const;

const above = (v: number): boolean => v > 0 && Number.isFinite(v);

function stepsOf({ totalSteps, epochs, stepsPerEpoch }: OneCycleLROptions): number {
  if (totalSteps === undefined && (epochs === undefined || stepsPerEpoch === undefined))
    throw new UnsupportedError('OneCycleLR: the length is not known; give totalSteps, or epochs and stepsPerEpoch');
  if (totalSteps === undefined) {
    checkCount('OneCycleLR', 'epochs', epochs, 1);
    checkCount('OneCycleLR', 'stepsPerEpoch', stepsPerEpoch, 1);
  }
  const steps = totalSteps ?? (epochs as number) * (stepsPerEpoch as number);
  checkCount('OneCycleLR', 'totalSteps', steps, 1);
  return steps;
}

/**
 * The rate up to the largest one and down to almost nothing, with the momentum the other way round; step it after every batch
 * (`torch.optim.lr_scheduler.OneCycleLR`; Smith and Topin, arXiv 1708.07120). The optimizer's own rate plays no part.
 *
 * @throws UnsupportedError past the last step, and for an optimizer without momentum, unless `cycleMomentum` is false.
 * @example
 * ```ts
 * const adam = new tl.optim.Adam([tl.zeros([2], { requiresGrad: true })]);
 * const schedule = new tl.optim.OneCycleLR(adam, { maxLr: 0.01, epochs: 10, stepsPerEpoch: 100 });
 * ```
 */
export class OneCycleLR extends LRScheduler {
  private readonly totalSteps: number;
  /** By group. */
  private readonly phases: readonly (readonly Phase[])[];
  private readonly anneal: (from: number, to: number, share: number) => number;
  private readonly cycleMomentum: boolean;

  constructor(optimizer: Scheduled, options: OneCycleLROptions) {
    const name = 'OneCycleLR';
    super(name, optimizer);
    checkOptions(name, options, OPTIONS);
    const { maxLr, pctStart = 0.3, annealStrategy = 'cos', cycleMomentum = true, threePhase = false } = options;
    const { baseMomentum = 0.85, maxMomentum = 0.95, divFactor = 25, finalDivFactor = 1e4 } = options;
    const groups = optimizer.paramGroups;
    const rates = typeof maxLr === 'number' ? groups.map(() => maxLr) : maxLr;
    if (!Array.isArray(rates) || rates.length !== groups.length)
      throw new UnsupportedError(
        `${name}: maxLr is ${describe(maxLr)}, but it must be a number, or one for each of the ${groups.length} parameter groups`,
      );
    for (const lr of rates) atLeastZero(name, 'maxLr', lr);
    rule(name, 'pctStart', pctStart, (v) => v >= 0 && v <= 1, 'a number from 0 to 1');
    if (annealStrategy !== 'cos' && annealStrategy !== 'linear')
      throw new UnsupportedError(`${name}: annealStrategy ${String(annealStrategy)} is unknown; use 'cos' or 'linear'`);
    checkFlag(name, 'cycleMomentum', cycleMomentum);
    checkFlag(name, 'threePhase', threePhase);
    belowOne(name, 'baseMomentum', baseMomentum);
    belowOne(name, 'maxMomentum', maxMomentum);
    rule(name, 'divFactor', divFactor, above, 'a finite number above 0');
    rule(name, 'finalDivFactor', finalDivFactor, above, 'a finite number above 0');
    if (cycleMomentum && !groups.every((g) => 'momentum' in g || 'betas' in g))
      throw new UnsupportedError(
        `${name}: the optimizer has neither momentum nor betas to cycle; pass { cycleMomentum: false }`,
      );
    this.totalSteps = stepsOf(options);
    this.cycleMomentum = cycleMomentum;
    this.anneal = annealStrategy === 'cos' ? along : (from, to, share) => from + (to - from) * share;
    const last = this.totalSteps - 1;
    const peak = pctStart * this.totalSteps - 1;
    const [slow, fast] = [maxMomentum, baseMomentum];
    this.phases = rates.map((max: number) => {
      const first = max / divFactor;
      const least = first / finalDivFactor;
      const up: Phase = { end: peak, lr: [first, max], momentum: [slow, fast] };
      if (!threePhase) return [up, { end: last, lr: [max, least], momentum: [fast, slow] }];
      return [
        up,
        { end: 2 * peak, lr: [max, first], momentum: [fast, slow] },
        { end: last, lr: [first, least], momentum: [slow, slow] },
      ];
    });
    this.moveTo(0);
  }

  protected override rate(_base: number, epoch: number, group: number): number {
    return this.at(epoch, group, 'lr');
  }

  override moveTo(epoch: number): void {
    if (epoch > this.totalSteps)
      throw new UnsupportedError(
        `OneCycleLR: step ${epoch} is past the last of ${this.totalSteps}; make it with as many steps as there are, or stop stepping`,
      );
    super.moveTo(epoch);
    if (!this.cycleMomentum) return;
    this.optimizer.paramGroups.forEach((group, i) => {
      const momentum = this.at(epoch, i, 'momentum');
      const settings = group as { betas?: readonly [number, number]; momentum?: number };
      if (settings.betas) settings.betas = [momentum, settings.betas[1]];
      else settings.momentum = momentum;
    });
  }

  private at(epoch: number, group: number, what: 'lr' | 'momentum'): number {
    const phases = this.phases[group] ?? [];
    const found = phases.findIndex(({ end }) => epoch <= end);
    const i = found < 0 ? phases.length - 1 : found;
    const { end, [what]: way } = phases[i] as Phase;
    const start = phases[i - 1]?.end ?? 0;
    return this.anneal(way[0], way[1], end > start ? Math.min(1, (epoch - start) / (end - start)) : 1);
  }
}
