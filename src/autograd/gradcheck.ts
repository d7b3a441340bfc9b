import { isFloating } from '../core/dtype.ts';
import { TensorloomError, UnsupportedError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import { tensor } from '../ops/creation.ts';
import { mul } from '../ops/elementwise.ts';
import { checkOptions } from '../ops/record.ts';
import { sum } from '../ops/structure.ts';
import { tidy } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { grad } from './grad.ts';

/** Options of `gradcheck`. */
export interface GradcheckOptions {
  /** Step of the central differences: 1e-6 where the device computes in float64, 1e-2 otherwise. */
  readonly eps?: number | undefined;
  /** Allowed absolute and relative difference: 1e-6 and 1e-5 in float64, 1e-2 and 1e-2 otherwise. */
  readonly atol?: number | undefined;
  readonly rtol?: number | undefined;
}

/**
 * Compares the gradients of a function with central differences, element by element (`torch.autograd.gradcheck`). Of an output that
 * is no scalar, the sum weighted with fixed numbers is checked. Use a float64 reference device (`device('reference', { precision:
 * 'float64' })`) for sharp checks: float32 differences hide small errors.
 *
 * @throws TensorloomError naming the input and element with the largest disagreement.
 * @example
 * ```ts
 * await tl.gradcheck((x) => x.sigmoid(), [tl.tensor([0.5, -1])]);
 * ```
 */
export async function gradcheck(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  options: GradcheckOptions = {},
): Promise<true> {
  checkOptions('gradcheck', options, ['eps', 'atol', 'rtol']);
  const first = inputs[0];
  if (!first) throw new UnsupportedError('gradcheck: give at least one input');
  const { device } = first;
  const exact = device.backend.precision === 'float64';
  const { eps = exact ? 1e-6 : 1e-2, atol = exact ? 1e-6 : 1e-2, rtol = exact ? 1e-5 : 1e-2 } = options;
  const values = await Promise.all(inputs.map(async (x) => Float64Array.from(await x.numbers('gradcheck'))));
  const leaves = (moved: readonly Float64Array[]): Tensor[] =>
    inputs.map((x, i) =>
      tensor(moved[i] ?? [], { shape: x.shape, dtype: x.dtype, device, requiresGrad: isFloating(x.dtype) }),
    );
  // A weight for each element of the output, none like another, so that errors do not cancel.
  const weighted = (args: readonly Tensor[]): Tensor => {
    const y = fn(...args);
    const weights = Float64Array.from({ length: y.size }, (_, i) => 0.5 + ((i * 0.618034) % 1));
    return sum(mul(y, tensor(weights, { shape: y.shape, device })));
  };
  const evaluate = async (moved: readonly Float64Array[]): Promise<number> => {
    const out = tidy(() => weighted(leaves(moved)).detach());
    try {
      return Number((await out.numbers('gradcheck'))[0]);
    } finally {
      out.dispose();
    }
  };
  const gradients = tidy(() => {
    const watched = leaves(values);
    const floats = watched.filter((x) => x.requiresGrad);
    const found = grad([weighted(watched)], floats, { allowUnused: true });
    return floats.map((x, f) => ({ input: watched.indexOf(x), gradient: found[f]?.detach() }));
  });
  try {
    for (const { input, gradient } of gradients) {
      const analytic = await gradient?.numbers('gradcheck');
      const value = values[input];
      if (!analytic || !value) continue;
      for (let k = 0; k < value.length; k++) {
        const at = (delta: number): Promise<number> =>
          evaluate(values.map((v, j) => (j === input ? v.map((e, i) => (i === k ? e + delta : e)) : v)));
        const numeric = ((await at(eps)) - (await at(-eps))) / (2 * eps);
        const got = analytic[k] ?? Number.NaN;
        if (!(Math.abs(got - numeric) <= atol + rtol * Math.abs(numeric)))
          throw new TensorloomError(
            `gradcheck: input ${input} of shape ${showShape(inputs[input]?.shape ?? [])}, element ${k}: the gradient is ${got}, central differences give ${numeric} ` +
              `(eps ${eps}, allowed ${atol} + ${rtol} relative); check the gradient rule`,
          );
      }
    }
    return true;
  } finally {
    for (const { gradient } of gradients) gradient?.dispose();
  }
}
