import { UnsupportedError } from '../core/errors.ts';
import { add, mul, sub } from '../ops/elementwise.ts';
import {
  atLeastZero,
  Optimizer,
  type OptimizerOptions,
  type Params,
  rule,
  type Settings,
  type Update,
  type Updated,
} from './optimizer.ts';

/** Options of `SGD`. */
export interface SGDOptions extends OptimizerOptions {
  /** Share of the last velocity that is kept; 0 unless given. */
  readonly momentum?: number | undefined;
  /** What the gradient loses on its way into the velocity; 0 unless given. */
  readonly dampening?: number | undefined;
  /** Look ahead along the velocity (Nesterov); needs momentum and no dampening. */
  readonly nesterov?: boolean | undefined;
}

/**
 * Stochastic gradient descent (`torch.optim.SGD`): p -= lr * g, and with momentum v = momentum * v + (1 - dampening) * g,
 * p -= lr * v, where v starts as the first gradient.
 *
 * @example
 * ```ts
 * const w = tl.zeros([3], { requiresGrad: true });
 * const sgd = new tl.optim.SGD([w], { lr: 0.1, momentum: 0.9, nesterov: true });
 * sgd.minimize(() => w.sub(1).square().sum());
 * ```
 */
export class SGD extends Optimizer<SGDOptions, 'momentumBuffer'> {
  constructor(params: Params<SGDOptions>, options: SGDOptions = {}) {
    super('SGD', params, options, {
      lr: 1e-3,
      momentum: 0,
      dampening: 0,
      nesterov: false,
      weightDecay: 0,
      maximize: false,
    });
  }

  protected override check({ momentum, dampening, nesterov }: Settings<SGDOptions>): void {
    atLeastZero('SGD', 'momentum', momentum);
    rule('SGD', 'dampening', dampening, Number.isFinite, 'a finite number');
    if (nesterov && (momentum === 0 || dampening !== 0))
      throw new UnsupportedError(
        `SGD: nesterov needs a momentum above 0 and a dampening of 0, got ${momentum} and ${dampening}`,
      );
  }

  protected override slots({ momentum }: Settings<SGDOptions>): readonly 'momentumBuffer'[] {
    return momentum === 0 ? [] : ['momentumBuffer'];
  }

  protected override update({
    p,
    g,
    t,
    state,
    options,
  }: Update<SGDOptions, 'momentumBuffer'>): Updated<'momentumBuffer'> {
    const { lr, momentum, dampening, nesterov, weightDecay } = options;
    const d = weightDecay === 0 ? g : add(g, mul(p, weightDecay));
    if (momentum === 0) return { p: sub(p, mul(d, lr)), state: {} };
    const v = t === 1 ? d : add(mul(state.momentumBuffer, momentum), mul(d, 1 - dampening));
    const direction = nesterov ? add(d, mul(v, momentum)) : v;
    return { p: sub(p, mul(direction, lr)), state: { momentumBuffer: v } };
  }
}
