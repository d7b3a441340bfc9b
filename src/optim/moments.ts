import type { Tensor } from '../tensor/tensor.ts';
import {
  atLeastZero,
  checkBetas,
  decayed,
  type OptimizerOptions,
  penalized,
  type Settings,
  type Update,
} from './optimizer.ts';

/** Options of the optimizers that keep moments of the gradient: `Adam` and its kin. */
export interface MomentOptions extends OptimizerOptions {
  /** Shares of the old moments that are kept, of the gradient and of its square or magnitude; [0.9, 0.999] unless given. */
  readonly betas?: readonly [number, number] | undefined;
  /** Added to what is divided by, against division by zero; 1e-8 unless given. */
  readonly eps?: number | undefined;
}

/** Options of those among them that decay weights in either way. */
export interface DecouplingOptions extends MomentOptions {
  /** Decay weights apart from the gradient, as `AdamW` does; false unless given. */
  readonly decoupledWeightDecay?: boolean | undefined;
}

/** @internal Throws UnsupportedError where an option of the moments breaks its rule. */
export function checkMoments(op: string, { betas, eps }: Settings<MomentOptions>): void {
  checkBetas(op, betas);
  atLeastZero(op, 'eps', eps);
}

/** @internal The parameter and the gradient, one of them with the decay of weights in it. */
export const decaying = (step: Update<DecouplingOptions, never>): readonly [p: Tensor, g: Tensor] =>
  step.options.decoupledWeightDecay ? [decayed(step), step.g] : [step.p, penalized(step)];
