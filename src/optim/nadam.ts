import { add, div, mul, sqrt, square, sub } from '../ops/elementwise.ts';
import {
  atLeastZero,
  averaged,
  checkBetas,
  decayed,
  Optimizer,
  type OptimizerOptions,
  type Params,
  penalized,
  type Settings,
  type Update,
  type Updated,
} from './optimizer.ts';
import { complement, minus, over, plus, power, root, type Scalar, times } from './scalars.ts';

/** Options of `NAdam`. */
export interface NAdamOptions extends OptimizerOptions {
  /** Shares of the old averages of the gradient and of its square that are kept; [0.9, 0.999] unless given. */
  readonly betas?: readonly [number, number] | undefined;
  /** Added to the root, against division by zero; 1e-8 unless given. */
  readonly eps?: number | undefined;
  /** How fast the momentum grows to its limit; 0.004 unless given. */
  readonly momentumDecay?: number | undefined;
  /** Decay weights apart from the gradient, as `AdamW` does; false unless given. */
  readonly decoupledWeightDecay?: boolean | undefined;
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

  protected override check({ betas, eps, momentumDecay }: Settings<NAdamOptions>): void {
    checkBetas('NAdam', betas);
    atLeastZero('NAdam', 'eps', eps);
    atLeastZero('NAdam', 'momentumDecay', momentumDecay);
  }

  protected override slots(): readonly Slot[] {
    return ['expAvg', 'expAvgSq'];
  }

  protected override numbers(): { readonly muProduct: number } {
    return { muProduct: 1 };
  }

  protected override update(step: Update<NAdamOptions, Slot>): Updated<Slot> {
    const { t, state, numbers, options } = step;
    const { lr, betas, eps, momentumDecay, decoupledWeightDecay } = options;
    const [beta1, beta2] = betas;
    const p = decoupledWeightDecay ? decayed(step) : step.p;
    const d = decoupledWeightDecay ? step.g : penalized(step);
    const mu = (at: Scalar): Scalar => times(beta1, minus(1, times(0.5, power(0.96, times(at, momentumDecay)))));
    const next = mu(plus(t, 1));
    const muProduct = times(numbers.muProduct ?? 1, mu(t));
    const expAvg = averaged(state.expAvg, beta1, d);
    const expAvgSq = averaged(state.expAvgSq, beta2, square(d));
    const scale = add(div(sqrt(expAvgSq), root(complement(beta2, t))), eps);
    const ahead = add(
      mul(d, over(times(lr, minus(1, mu(t))), minus(1, muProduct))),
      mul(expAvg, over(times(lr, next), minus(1, times(muProduct, next)))),
    );
    return { p: sub(p, div(ahead, scale)), state: { expAvg, expAvgSq }, numbers: { muProduct } };
  }
}
