import { UnsupportedError } from '../core/errors.ts';
import { add, div, maximum, mul, sqrt, square, sub } from '../ops/elementwise.ts';
import { describe } from '../ops/record.ts';
import {
  atLeastZero,
  belowOne,
  Optimizer,
  type OptimizerOptions,
  type Params,
  type Settings,
  type Update,
  type Updated,
} from './optimizer.ts';

/** Options of `Adam`. */
export interface AdamOptions extends OptimizerOptions {
  /** Shares of the old averages of the gradient and of its square that are kept; [0.9, 0.999] unless given. */
  readonly betas?: readonly [number, number] | undefined;
  /** Added to the root, against division by zero; 1e-8 unless given. */
  readonly eps?: number | undefined;
  /** Divide by the largest average of squares so far (AMSGrad). */
  readonly amsgrad?: boolean | undefined;
}

/** @inline */
type Slot = 'expAvg' | 'expAvgSq' | 'maxExpAvgSq';

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
export class Adam extends Optimizer<AdamOptions, Slot> {
  constructor(params: Params<AdamOptions>, options: AdamOptions = {}) {
    super('Adam', params, options, {
      lr: 1e-3,
      betas: [0.9, 0.999],
      eps: 1e-8,
      amsgrad: false,
      weightDecay: 0,
      maximize: false,
    });
  }

  protected override check({ betas, eps }: Settings<AdamOptions>): void {
    if (!Array.isArray(betas) || betas.length !== 2)
      throw new UnsupportedError(`Adam: betas is ${describe(betas)}, but it must be a pair such as [0.9, 0.999]`);
    belowOne('Adam', 'betas[0]', betas[0]);
    belowOne('Adam', 'betas[1]', betas[1]);
    atLeastZero('Adam', 'eps', eps);
  }

  protected override slots({ amsgrad }: Settings<AdamOptions>): readonly Slot[] {
    return amsgrad ? ['expAvg', 'expAvgSq', 'maxExpAvgSq'] : ['expAvg', 'expAvgSq'];
  }

  protected override update({ p, g, t, state, options }: Update<AdamOptions, Slot>): Updated<Slot> {
    const { lr, betas, eps, amsgrad, weightDecay } = options;
    const [beta1, beta2] = betas;
    const d = weightDecay === 0 ? g : add(g, mul(p, weightDecay));
    const m = add(mul(state.expAvg, beta1), mul(d, 1 - beta1));
    const v = add(mul(state.expAvgSq, beta2), mul(square(d), 1 - beta2));
    const top = amsgrad ? maximum(state.maxExpAvgSq, v) : v;
    const root = add(div(sqrt(top), Math.sqrt(1 - beta2 ** t)), eps);
    return {
      p: sub(p, mul(div(m, root), lr / (1 - beta1 ** t))),
      state: { expAvg: m, expAvgSq: v, ...(amsgrad && { maxExpAvgSq: top }) },
    };
  }
}
