import { add, div, sqrt, square } from '../ops/elementwise.ts';
import { moved } from './formulas.ts';
import {
  atLeastZero,
  Optimizer,
  type OptimizerOptions,
  type Params,
  penalized,
  type Settings,
  type Update,
  type Updated,
} from './optimizer.ts';
import { minus, over, plus, times } from './scalars.ts';

/** Options of `Adagrad`. */
export interface AdagradOptions extends OptimizerOptions {
  /** The rate falls as 1 / (1 + (t - 1) * lrDecay); 0 unless given. */
  readonly lrDecay?: number | undefined;
  /** What the sum of squares starts with; 0 unless given. */
  readonly initialAccumulatorValue?: number | undefined;
  /** Added to the root, against division by zero; 1e-10 unless given. */
  readonly eps?: number | undefined;
}

/**
 * Adagrad (`torch.optim.Adagrad`; Duchi, Hazan and Singer, JMLR 12, 2011): s += g^2,
 * p -= lr / (1 + (t - 1) * lrDecay) * g / (sqrt(s) + eps).
 *
 * @example
 * ```ts
 * const w = tl.zeros([3], { requiresGrad: true });
 * new tl.optim.Adagrad([w], { lr: 0.1 }).minimize(() => w.sub(1).square().sum());
 * ```
 */
export class Adagrad extends Optimizer<AdagradOptions, 'sum'> {
  constructor(params: Params<AdagradOptions>, options: AdagradOptions = {}) {
    super('Adagrad', params, options, {
      lr: 1e-2,
      lrDecay: 0,
      initialAccumulatorValue: 0,
      eps: 1e-10,
      weightDecay: 0,
      maximize: false,
    });
  }

  protected override check({ lrDecay, initialAccumulatorValue, eps }: Settings<AdagradOptions>): void {
    atLeastZero('Adagrad', 'lrDecay', lrDecay);
    atLeastZero('Adagrad', 'initialAccumulatorValue', initialAccumulatorValue);
    atLeastZero('Adagrad', 'eps', eps);
  }

  protected override slots(): readonly 'sum'[] {
    return ['sum'];
  }

  protected override start({ initialAccumulatorValue }: Settings<AdagradOptions>): number {
    return initialAccumulatorValue;
  }

  protected override update(step: Update<AdagradOptions, 'sum'>): Updated<'sum'> {
    const { lr, lrDecay, eps } = step.options;
    const d = penalized(step);
    const sum = add(step.state.sum, square(d));
    const rate = over(lr, plus(1, times(minus(step.t, 1), lrDecay)));
    return { p: moved(step.p, div(d, add(sqrt(sum), eps)), rate), state: { sum } };
  }
}
