/*
 * What is done to the parameters of a model and to their gradients (`torch.nn.utils`).
 */
import { noGrad } from '../autograd/grad.ts';
import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import { assign_ } from '../ops/assign.ts';
import { zeros } from '../ops/creation.ts';
import { cat } from '../ops/joins.ts';
import { checkTensor, compose, describe, deviceOfAll } from '../ops/record.ts';
import { narrow, reshape } from '../ops/structure.ts';
import {
  type ClipGradNormOptions,
  checkClipNorm,
  checkClipValue,
  clippedByNorm,
  clippedByValue,
} from '../optim/clipping.ts';
import { defaultDevice } from '../tensor/device.ts';
import { internal } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';

export type { ClipGradNormOptions };

/** The parameters, of one tensor or any number, on one device. */
function listOf(op: string, parameters: Tensor | Iterable<Tensor>): Tensor[] {
  if (parameters instanceof Tensor) return listOf(op, [parameters]);
  if (typeof (parameters as Iterable<Tensor> | undefined)?.[Symbol.iterator] !== 'function')
    throw new UnsupportedError(`${op}: the parameters are ${describe(parameters)}; pass model.parameters(), or a list`);
  const list = [...parameters];
  if (list.length > 0) deviceOfAll(op, list);
  return list;
}

/** The gradients that parameters have. */
function gradientsOf(op: string, parameters: readonly Tensor[]): Tensor[] {
  const gradients = parameters.flatMap((p) => p.grad ?? []);
  for (const g of gradients) g.alive(op);
  return gradients;
}

/** Gives the gradients new elements, in place. */
function replace(gradients: readonly Tensor[], values: readonly Tensor[]): void {
  gradients.forEach((g, i) => {
    assign_(g, values[i] as Tensor);
  });
}

/**
 * Scales the gradients of parameters in place so that their norm, as of one vector, is at most `maxNorm`; gives that norm before
 * (`torch.nn.utils.clip_grad_norm_`). Parameters without a gradient are left out. Everything stays on the device; with `minimize`, give it
 * the option `clipGradNorm` instead.
 *
 * @throws NumericsError at the next await where the norm is not finite, with `errorIfNonfinite`.
 * @throws UnsupportedError for options that break their rule.
 * @example
 * ```ts
 * const model = new tl.nn.Linear(4, 2);
 * model.forward(tl.rand([8, 4])).square().mean().backward();
 * const total = tl.nn.utils.clipGradNorm(model.parameters(), 1);
 * ```
 */
export function clipGradNorm(
  parameters: Tensor | Iterable<Tensor>,
  maxNorm: number,
  options: ClipGradNormOptions = {},
): Tensor {
  const op = 'clipGradNorm';
  checkClipNorm(op, maxNorm, options);
  const list = listOf(op, parameters);
  const gradients = gradientsOf(op, list);
  return internal(op, () =>
    noGrad(() => {
      if (!gradients.some((g) => g.size > 0)) return zeros([], { device: list[0]?.device ?? defaultDevice(op) });
      const { total, gradients: clipped } = clippedByNorm(op, gradients, maxNorm, options);
      replace(gradients, clipped);
      return total;
    }),
  );
}

/**
 * Limits the elements of the gradients of parameters to ±`clipValue`, in place (`torch.nn.utils.clip_grad_value_`). With `minimize`, give
 * it the option `clipGradValue` instead.
 *
 * @throws UnsupportedError unless `clipValue` is a number of at least 0.
 */
export function clipGradValue(parameters: Tensor | Iterable<Tensor>, clipValue: number): void {
  const op = 'clipGradValue';
  checkClipValue(op, clipValue);
  const gradients = gradientsOf(op, listOf(op, parameters));
  internal(op, () => noGrad(() => replace(gradients, clippedByValue(op, gradients, clipValue))));
}

/**
 * The elements of parameters one after the other, as one vector (`torch.nn.utils.parameters_to_vector`). Gradients pass through it.
 *
 * @throws UnsupportedError for no parameters.
 * @example
 * ```ts
 * const model = new tl.nn.Linear(4, 2);
 * const vector = tl.nn.utils.parametersToVector(model.parameters()); // shape [10]
 * tl.nn.utils.vectorToParameters(vector.mul(0.5), model.parameters());
 * ```
 */
export function parametersToVector(parameters: Iterable<Tensor>): Tensor {
  const op = 'parametersToVector';
  const list = listOf(op, parameters);
  if (list.length === 0) throw new UnsupportedError(`${op}: there are no parameters; pass model.parameters()`);
  return compose(op, () => cat(list.map((p) => reshape(p, [-1]))));
}

/**
 * Gives parameters the elements of a vector, in place: the inverse of `parametersToVector` (`torch.nn.utils.vector_to_parameters`).
 *
 * @throws ShapeError unless the vector has as many elements as the parameters together.
 */
export function vectorToParameters(vector: Tensor, parameters: Iterable<Tensor>): void {
  const op = 'vectorToParameters';
  checkTensor(op, vector);
  const list = listOf(op, parameters);
  const size = list.reduce((n, p) => n + p.size, 0);
  if (vector.ndim !== 1 || vector.size !== size)
    throw new ShapeError(
      `${op}: the vector is of shape ${showShape(vector.shape)}, but the parameters have ${size} elements; it must be of shape [${size}]`,
    );
  deviceOfAll(op, [vector, ...list]);
  internal(op, () =>
    noGrad(() => {
      let start = 0;
      for (const p of list) {
        assign_(p, reshape(narrow(vector, 0, start, p.size), p.shape));
        start += p.size;
      }
    }),
  );
}
