import { maximum } from '../ops/elementwise.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { averaged, averagedSquare, movedByMoments } from './formulas.ts';
import { checkMoments, type MomentOptions } from './moments.ts';
import { decayed, Optimizer, type Params, penalized, type Settings, type Update, type Updated } from './optimizer.ts';
import { complement, over, root } from './scalars.ts';

/** Options of `Adam` and `AdamW`. */
export interface AdamOptions extends MomentOptions {
  /** Divide by the largest average of squares so far (AMSGrad). */
  readonly amsgrad?: boolean | undefined;
}

/** @inline */
type Slot = 'expAvg' | 'expAvgSq' | 'maxExpAvgSq';

/** What Adam and AdamW share: all but the place of the weight decay. */
abstract class AdamFamily extends Optimizer<AdamOptions, Slot> {
  protected constructor(name: string, params: Params<AdamOptions>, options: AdamOptions, weightDecay: number) {
    super(name, params, options, {
      lr: 1e-3,
      betas: [0.9, 0.999],
      eps: 1e-8,
      amsgrad: false,
      weightDecay,
      maximize: false,
    });
  }

  protected override check(options: Settings<AdamOptions>): void {
    checkMoments(this.name, options);
  }

  protected override slots({ amsgrad }: Settings<AdamOptions>): readonly Slot[] {
    return amsgrad ? ['expAvg', 'expAvgSq', 'maxExpAvgSq'] : ['expAvg', 'expAvgSq'];
  }

  /** The parameter after a step of the moments, and the moments. */
  protected moved({ t, state, options }: Update<AdamOptions, Slot>, p: Tensor, g: Tensor): Updated<Slot> {
    const { lr, betas, eps, amsgrad } = options;
    const [beta1, beta2] = betas;
    const m = averaged(state.expAvg, beta1, g);
    const v = averagedSquare(state.expAvgSq, beta2, g);
    const top = amsgrad ? maximum(state.maxExpAvgSq, v) : v;
    return {
      p: movedByMoments(p, m, top, root(complement(beta2, t)), eps, over(lr, complement(beta1, t))),
      state: { expAvg: m, expAvgSq: v, ...(amsgrad && { maxExpAvgSq: top }) },
    };
  }
}

/**
 * Adam (`torch.optim.Adam`; Kingma and Ba, arXiv 1412.6980, algorithm 1; AMSGrad of Reddi et al., arXiv 1904.09237):
 * m = beta1 * m + (1 - beta1) * g, v = beta2 * v + (1 - beta2) * g^2,
 * p -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps).
 *
 * @example
 * ```ts
 * const model = new tl.nn.Linear(4, 2);
 * const adam = new tl.optim.Adam(model.parameters(), { lr: 1e-3 });
 * ```
 */
export class Adam extends AdamFamily {
  constructor(params: Params<AdamOptions>, options: AdamOptions = {}) {
    super('Adam', params, options, 0);
  }

  protected override update(step: Update<AdamOptions, Slot>): Updated<Slot> {
    return this.moved(step, step.p, penalized(step));
  }
}

/**
 * Adam with weight decay on its own, apart from the gradient (`torch.optim.AdamW`; Loshchilov and Hutter, arXiv 1711.05101):
 * p *= 1 - lr * weightDecay, then as `Adam`. The decay is 0.01 unless given.
 *
 * @example
 * ```ts
 * const model = new tl.nn.Linear(4, 2);
 * const adam = new tl.optim.AdamW(model.parameters(), { lr: 1e-3, weightDecay: 0.05 });
 * ```
 */
export class AdamW extends AdamFamily {
  constructor(params: Params<AdamOptions>, options: AdamOptions = {}) {
    super('AdamW', params, options, 0.01);
  }

  protected override update(step: Update<AdamOptions, Slot>): Updated<Slot> {
    return this.moved(step, decayed(step), step.g);
  }
}
