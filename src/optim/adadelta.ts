import { add, div, mul, sqrt } from '../ops/elementwise.ts';
import { averagedSquare, moved } from './formulas.ts';
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

/** Options of `Adadelta`. */
export interface AdadeltaOptions extends OptimizerOptions {
  /** Share of the old averages of squares that is kept; 0.9 unless given. */
  readonly rho?: number | undefined;
  /** Added under the roots, against division by zero; 1e-6 unless given. */
  readonly eps?: number | undefined;
}

/** @inline */
type Slot = 'squareAvg' | 'accDelta';

/**
 * Adadelta (`torch.optim.Adadelta`; Zeiler, arXiv 1212.5701): s = rho * s + (1 - rho) * g^2, d = sqrt(a + eps) / sqrt(s + eps) * g,
 * a = rho * a + (1 - rho) * d^2, p -= lr * d. The rate is 1 unless given.
 *
 * @example
 * ```ts
 * const w = tl.zeros([3], { requiresGrad: true });
 * new tl.optim.Adadelta([w]).minimize(() => w.sub(1).square().sum());
 * ```
 */
export class Adadelta extends Optimizer<AdadeltaOptions, Slot> {
  constructor(params: Params<AdadeltaOptions>, options: AdadeltaOptions = {}) {
    super('Adadelta', params, options, { lr: 1, rho: 0.9, eps: 1e-6, weightDecay: 0, maximize: false });
  }

  protected override check({ rho, eps }: Settings<AdadeltaOptions>): void {
    rule('Adadelta', 'rho', rho, (v) => v >= 0 && v <= 1, 'a number from 0 to 1');
    atLeastZero('Adadelta', 'eps', eps);
  }

  protected override slots(): readonly Slot[] {
    return ['squareAvg', 'accDelta'];
  }

  protected override update(step: Update<AdadeltaOptions, Slot>): Updated<Slot> {
    const { p, state, options } = step;
    const { lr, rho, eps } = options;
    const d = penalized(step);
    const squareAvg = averagedSquare(state.squareAvg, rho, d);
    const delta = mul(div(sqrt(add(state.accDelta, eps)), sqrt(add(squareAvg, eps))), d);
    return { p: moved(p, delta, lr), state: { squareAvg, accDelta: averagedSquare(state.accDelta, rho, delta) } };
  }
}
