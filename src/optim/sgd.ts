import { UnsupportedError } from '../core/errors.ts';
import { add, mul } from '../ops/elementwise.ts';
import { moved } from './formulas.ts';
import {
  atLeastZero,
  Optimizer,
  type OptimizerOptions,
  type Params,
  penalized,
  rule,
  type Settings,
  type Update,
  type Updated,
} from './optimizer.ts';
import { ifAbove } from './scalars.ts';

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

  protected override update(step: Update<SGDOptions, 'momentumBuffer'>): Updated<'momentumBuffer'> {
    const { p, t, state, options } = step;
    const { lr, momentum, dampening, nesterov } = options;
    const d = penalized(step);
    if (momentum === 0) return { p: moved(p, d, lr), state: {} };
    // The first velocity is the gradient itself.
    const share = dampening === 0 ? 1 : ifAbove(t, 1, 1 - dampening, 1);
    const v = add(mul(state.momentumBuffer, momentum), mul(d, share));
    const direction = nesterov ? add(d, mul(v, momentum)) : v;
    return { p: moved(p, direction, lr), state: { momentumBuffer: v } };
  }
}
