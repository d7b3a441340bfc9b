import { add, div, mul, sqrt } from '../ops/elementwise.ts';
import { averaged, averagedSquare, moved } from './formulas.ts';
import { checkMoments, type DecouplingOptions, decaying } from './moments.ts';
import { Optimizer, type Params, type Settings, type Update, type Updated } from './optimizer.ts';
import { complement, ifAbove, minus, over, power, root, type Scalar, times } from './scalars.ts';

/** Options of `RAdam`. */
export type RAdamOptions = DecouplingOptions;

/** @inline */
type Slot = 'expAvg' | 'expAvgSq';

/** The factor of 1 / sqrt(v) that makes up for its variance, or 0 while there is too little of it to know. */
function rectification(beta2: number, t: Scalar): Scalar {
  const limit = 2 / (1 - beta2) - 1;
  const rho = minus(limit, over(times(2, times(t, power(beta2, t))), complement(beta2, t)));
  const grown = over(times(minus(rho, 4), minus(rho, 2)), rho);
  const full = ((limit - 4) * (limit - 2)) / limit;
  return ifAbove(rho, 5, root(times(over(grown, full), complement(beta2, t))), 0);
}

/**
 * Adam without adaptive rates until their variance is known (`torch.optim.RAdam`; Liu et al., arXiv 1908.03265, algorithm 2):
 * p -= lr / (1 - beta1^t) * m * r / (sqrt(v) + eps), with the rectification r, or without the last factor in the first steps.
 *
 * @example
 * ```ts
 * const w = tl.zeros([3], { requiresGrad: true });
 * new tl.optim.RAdam([w], { lr: 0.01 }).minimize(() => w.sub(1).square().sum());
 * ```
 */
export class RAdam extends Optimizer<RAdamOptions, Slot> {
  constructor(params: Params<RAdamOptions>, options: RAdamOptions = {}) {
    super('RAdam', params, options, {
      lr: 1e-3,
      betas: [0.9, 0.999],
      eps: 1e-8,
      decoupledWeightDecay: false,
      weightDecay: 0,
      maximize: false,
    });
  }

  protected override check(options: Settings<RAdamOptions>): void {
    checkMoments('RAdam', options);
  }

  protected override slots(): readonly Slot[] {
    return ['expAvg', 'expAvgSq'];
  }

  protected override update(step: Update<RAdamOptions, Slot>): Updated<Slot> {
    const { t, state, options } = step;
    const { lr, betas, eps } = options;
    const [beta1, beta2] = betas;
    const [p, d] = decaying(step);
    const expAvg = averaged(state.expAvg, beta1, d);
    const expAvgSq = averagedSquare(state.expAvgSq, beta2, d);
    // One of the two is 0: so the plan is the same before and after.
    const adaptive = rectification(beta2, t);
    const factor = add(div(adaptive, add(sqrt(expAvgSq), eps)), ifAbove(adaptive, 0, 0, 1));
    return {
      p: moved(p, mul(expAvg, factor), over(lr, complement(beta1, t))),
      state: { expAvg, expAvgSq },
    };
  }
}
