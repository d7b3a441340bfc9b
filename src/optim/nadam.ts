import { add, div, mul, sqrt, sub } from '../ops/elementwise.ts';
import { averaged, averagedSquare } from './formulas.ts';
import { checkMoments, type DecouplingOptions, decaying } from './moments.ts';
import { atLeastZero, Optimizer, type Params, type Settings, type Update, type Updated } from './optimizer.ts';
import { complement, minus, over, plus, power, root, type Scalar, times } from './scalars.ts';

/** Options of `NAdam`. */
export interface NAdamOptions extends DecouplingOptions {
  /** How fast the momentum grows to its limit; 0.004 unless given. */
  readonly momentumDecay?: number | undefined;
}

/** @inline */
type Slot = 'expAvg' | 'expAvgSq';

/**
 * Adam with Nesterov momentum (`torch.optim.NAdam`; Dozat, ICLR 2016 workshop). With mu(t) = beta1 * (1 - 0.96^(t * momentumDecay) / 2)
 * and M the product of all mu so far, r = sqrt(v / (1 - beta2^t)) + eps:
 * p -= lr * ((1 - mu(t)) / (1 - M) * g + mu(t + 1) / (1 - M * mu(t + 1)) * m) / r. The rate is 0.002 unless given.
 *
 * @example
 * ```ts
 * const w = tl.zeros([3], { requiresGrad: true });
 * new tl.optim.NAdam([w], { lr: 0.01 }).minimize(() => w.sub(1).square().sum());
 * ```
 */
export class NAdam extends Optimizer<NAdamOptions, Slot> {
  constructor(params: Params<NAdamOptions>, options: NAdamOptions = {}) {
    super('NAdam', params, options, {
      lr: 2e-3,
      betas: [0.9, 0.999],
      eps: 1e-8,
      momentumDecay: 4e-3,
      decoupledWeightDecay: false,
      weightDecay: 0,
      maximize: false,
    });
  }

  protected override check(options: Settings<NAdamOptions>): void {
    checkMoments('NAdam', options);
    atLeastZero('NAdam', 'momentumDecay', options.momentumDecay);
  }

  protected override slots(): readonly Slot[] {
    return ['expAvg', 'expAvgSq'];
  }

  protected override numbers(): { readonly muProduct: number } {
    return { muProduct: 1 };
  }

  protected override update(step: Update<NAdamOptions, Slot>): Updated<Slot> {
    const { t, state, numbers, options } = step;
    const { lr, betas, eps, momentumDecay } = options;
    const [beta1, beta2] = betas;
    const [p, d] = decaying(step);
    const mu = (at: Scalar): Scalar => times(beta1, minus(1, times(0.5, power(0.96, times(at, momentumDecay)))));
    const next = mu(plus(t, 1));
    const muProduct = times(numbers.muProduct ?? 1, mu(t));
    const expAvg = averaged(state.expAvg, beta1, d);
    const expAvgSq = averagedSquare(state.expAvgSq, beta2, d);
    const scale = add(div(sqrt(expAvgSq), root(complement(beta2, t))), eps);
    const ahead = add(
      mul(d, over(times(lr, minus(1, mu(t))), minus(1, muProduct))),
      mul(expAvg, over(times(lr, next), minus(1, times(muProduct, next)))),
    );
    return { p: sub(p, div(ahead, scale)), state: { expAvg, expAvgSq }, numbers: { muProduct } };
  }
}
