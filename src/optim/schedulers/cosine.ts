import { checkOptions } from '../../ops/record.ts';
import { atLeastZero, rule } from '../optimizer.ts';
import { checkCount, LRScheduler, type Scheduled } from './scheduler.ts';

/** @internal From one value to another along half a cosine. */
export const along = (from: number, to: number, share: number): number =>
  to + ((from - to) * (1 + Math.cos(Math.PI * share))) / 2;

/** Options of `CosineAnnealingLR`. */
export interface CosineAnnealingLROptions {
  /** Steps from the rate to the least one. */
  readonly tMax: number;
  /** The least rate; 0 unless given. */
  readonly etaMin?: number | undefined;
}

/**
 * The rate along a cosine, down to the least one and up again (`torch.optim.lr_scheduler.CosineAnnealingLR`; Loshchilov and Hutter, arXiv
 * 1608.03983).
 *
 * @example
 * ```ts
 * const adam = new tl.optim.Adam([tl.zeros([2], { requiresGrad: true })], { lr: 0.01 });
 * const schedule = new tl.optim.CosineAnnealingLR(adam, { tMax: 1000 });
 * ```
 */
export class CosineAnnealingLR extends LRScheduler {
  private readonly tMax: number;
  private readonly etaMin: number;

  constructor(optimizer: Scheduled, options: CosineAnnealingLROptions) {
    super('CosineAnnealingLR', optimizer);
    checkOptions('CosineAnnealingLR', options, ['tMax', 'etaMin']);
    const { tMax, etaMin = 0 } = options;
    checkCount('CosineAnnealingLR', 'tMax', tMax, 1);
    atLeastZero('CosineAnnealingLR', 'etaMin', etaMin);
    this.tMax = tMax;
    this.etaMin = etaMin;
    this.moveTo(0);
  }

  protected override rate(base: number, epoch: number): number {
    return along(base, this.etaMin, epoch / this.tMax);
  }
}

/** Options of `CosineAnnealingWarmRestarts`. */
export interface CosineAnnealingWarmRestartsOptions {
  /** Steps until the first restart. */
  readonly t0: number;
  /** How many times longer each run is than the one before, a whole number; 1 unless given. */
  readonly tMult?: number | undefined;
  /** The least rate; 0 unless given. */
  readonly etaMin?: number | undefined;
}

/**
 * The rate along half a cosine again and again (`torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`; Loshchilov and Hutter, arXiv
 * 1608.03983).
 */
export class CosineAnnealingWarmRestarts extends LRScheduler {
  private readonly t0: number;
  private readonly tMult: number;
  private readonly etaMin: number;

  constructor(optimizer: Scheduled, options: CosineAnnealingWarmRestartsOptions) {
    const name = 'CosineAnnealingWarmRestarts';
    super(name, optimizer);
    checkOptions(name, options, ['t0', 'tMult', 'etaMin']);
    const { t0, tMult = 1, etaMin = 0 } = options;
    checkCount(name, 't0', t0, 1);
    checkCount(name, 'tMult', tMult, 1);
    atLeastZero(name, 'etaMin', etaMin);
    this.t0 = t0;
    this.tMult = tMult;
    this.etaMin = etaMin;
    this.moveTo(0);
  }

  /** Goes on by a step, or to a number of epochs, which may have a fraction: `step(epoch + batch / batches)`. */
  override step(epoch: number = Math.floor(this.lastEpoch) + 1): void {
    rule(this.name, 'the epoch', epoch, (v) => v >= 0 && Number.isFinite(v), 'a finite number of at least 0');
    this.moveTo(epoch);
  }

  protected override rate(base: number, epoch: number): number {
    let [since, length] = [this.tMult === 1 ? epoch % this.t0 : epoch, this.t0];
    while (since >= length) {
      since -= length;
      length *= this.tMult;
    }
    return along(base, this.etaMin, since / length);
  }
}
