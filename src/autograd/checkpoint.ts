import { checkFunction } from '../core/check.ts';
import { recomputed } from '../ops/recomputation.ts';
import { Tensor } from '../tensor/tensor.ts';

/** A function that `checkpoint` may run twice. */
export type CheckpointFunction<Args extends readonly unknown[], Out> = (...args: Args) => Out;

/**
 * Runs a function without keeping what its gradient needs: that is computed again in the backward pass, for less memory and more
 * time (`torch.utils.checkpoint.checkpoint` with `use_reentrant=False`). Gradients are the same, of every order, also for parameters
 * that the function closes over; random ops draw the same numbers again. The function must do the same both times. Its inputs are
 * kept as they are; what else it closes over must still be there in the backward pass. What it changes in place outside is changed
 * twice.
 *
 * @throws UnsupportedError in the backward pass, when the function does other ops, or finds a parameter changed.
 * @throws DisposedError in the backward pass, when the function closes over a tensor that is gone.
 * @example
 * ```ts
 * const h = tl.checkpoint((a: tl.Tensor) => model.forward(a), x);
 * h.sum().backward();
 * ```
 */
export function checkpoint<Args extends readonly unknown[], Out>(
  fn: CheckpointFunction<Args, Out>,
  ...inputs: Args
): Out {
  checkFunction('checkpoint', fn);
  for (const x of inputs) if (x instanceof Tensor) x.alive('checkpoint');
  return recomputed(fn, ...inputs);
}
