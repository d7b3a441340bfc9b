import { add, clamp, div, mul, sqrt, square, sub } from '../ops/elementwise.ts';
import { averaged, averagedSquare, moved } from './formulas.ts';
import {
  atLeastZero,
  belowOne,
  Optimizer,
  type OptimizerOptions,
  type Params,
  penalized,
  type Settings,
  type Update,
  type Updated,
} from './optimizer.ts';

/** Options of `RMSprop`. */
export interface RMSpropOptions extends OptimizerOptions {
  /** Share of the old average of squares that is kept; 0.99 unless given. */
  readonly alpha?: number | undefined;
  /** Added to the root, against division by zero; 1e-8 unless given. */
  readonly eps?: number | undefined;
  /** Share of the last velocity that is kept; 0 unless given. */
  readonly momentum?: number | undefined;
  /** Divide by an estimate of the standard deviation in place of the root mean square. */
  readonly centered?: boolean | undefined;
}

/** @inline */
type Slot = 'squareAvg' | 'gradAvg' | 'momentumBuffer';

/**
 * RMSprop (`torch.optim.RMSprop`; Hinton's lecture 6e): s = alpha * s + (1 - alpha) * g^2, p -= lr * g / (sqrt(s) + eps). The
 * centered version subtracts the square of the averaged gradient from s (Graves, arXiv 1308.0850).
 *
 * @example
 * ```ts
 * const w = tl.zeros([3], { requiresGrad: true });
 * new tl.optim.RMSprop([w], { lr: 0.01 }).minimize(() => w.sub(1).square().sum());
 * ```
 */
export class RMSprop extends Optimizer<RMSpropOptions, Slot> {
  constructor(params: Params<RMSpropOptions>, options: RMSpropOptions = {}) {
    super('RMSprop', params, options, {
      lr: 1e-2,
      alpha: 0.99,
      eps: 1e-8,
      momentum: 0,
      centered: false,
      weightDecay: 0,
      maximize: false,
    });
  }

  protected override check({ alpha, eps, momentum }: Settings<RMSpropOptions>): void {
    belowOne('RMSprop', 'alpha', alpha);
    atLeastZero('RMSprop', 'eps', eps);
    atLeastZero('RMSprop', 'momentum', momentum);
  }

  protected override slots({ momentum, centered }: Settings<RMSpropOptions>): readonly Slot[] {
    return [
      'squareAvg',
      ...(centered ? (['gradAvg'] as const) : []),
      ...(momentum > 0 ? (['momentumBuffer'] as const) : []),
    ];
  }

  protected override update(step: Update<RMSpropOptions, Slot>): Updated<Slot> {
    const { p, state, options } = step;
    const { lr, alpha, eps, momentum, centered } = options;
    const d = penalized(step);
    const squareAvg = averagedSquare(state.squareAvg, alpha, d);
    const gradAvg = centered ? averaged(state.gradAvg, alpha, d) : undefined;
    // Of equal gradients the difference is 0, or by rounding less.
    const scale = add(sqrt(gradAvg ? clamp(sub(squareAvg, square(gradAvg)), { min: 0 }) : squareAvg), eps);
    const momentumBuffer = momentum > 0 ? add(mul(state.momentumBuffer, momentum), div(d, scale)) : undefined;
    return {
      p: moved(p, momentumBuffer ?? div(d, scale), lr),
      state: { squareAvg, ...(gradAvg && { gradAvg }), ...(momentumBuffer && { momentumBuffer }) },
    };
  }
}
