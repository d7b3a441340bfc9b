import { abs, add, div, maximum, mul } from '../ops/elementwise.ts';
import { averaged, moved } from './formulas.ts';
import { checkMoments, type MomentOptions } from './moments.ts';
import { Optimizer, type Params, penalized, type Settings, type Update, type Updated } from './optimizer.ts';
import { complement, over } from './scalars.ts';

/** Options of `Adamax`. */
export type AdamaxOptions = MomentOptions;

/** @inline */
type Slot = 'expAvg' | 'expInf';

/**
 * Adamax, Adam with the infinity norm (`torch.optim.Adamax`; Kingma and Ba, arXiv 1412.6980, algorithm 2):
 * m = beta1 * m + (1 - beta1) * g, u = max(beta2 * u, |g| + eps), p -= lr / (1 - beta1^t) * m / u. The rate is 0.002 unless given.
 *
 * @example
 * ```ts
 * const w = tl.zeros([3], { requiresGrad: true });
 * new tl.optim.Adamax([w], { lr: 0.01 }).minimize(() => w.sub(1).square().sum());
 * ```
 */
export class Adamax extends Optimizer<AdamaxOptions, Slot> {
  constructor(params: Params<AdamaxOptions>, options: AdamaxOptions = {}) {
    super('Adamax', params, options, {
      lr: 2e-3,
      betas: [0.9, 0.999],
      eps: 1e-8,
      weightDecay: 0,
      maximize: false,
    });
  }

  protected override check(options: Settings<AdamaxOptions>): void {
    checkMoments('Adamax', options);
  }

  protected override slots(): readonly Slot[] {
    return ['expAvg', 'expInf'];
  }

  protected override update(step: Update<AdamaxOptions, Slot>): Updated<Slot> {
    const { p, t, state, options } = step;
    const { lr, betas, eps } = options;
    const [beta1, beta2] = betas;
    const d = penalized(step);
    const expAvg = averaged(state.expAvg, beta1, d);
    const expInf = maximum(mul(state.expInf, beta2), add(abs(d), eps));
    return { p: moved(p, div(expAvg, expInf), over(lr, complement(beta1, t))), state: { expAvg, expInf } };
  }
}
