import { TensorloomError, UnsupportedError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import { checkOptions, tensor } from '../ops/creation.ts';
import { tensorsIn } from '../tensor/scope.ts';
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
  const made: Tensor[] = [];
  const track = <T extends Tensor>(x: T): T => {
    made.push(x);
    return x;
  };
  const leaf = (i: number, data: Float64Array): Tensor => {
    const x = inputs[i]!;
    return track(tensor(data, { shape: x.shape, dtype: x.dtype, device, requiresGrad: x.dtype === 'float32' }));
  };
  try {
    // A weight for each element of the output, none like another, so that errors do not cancel.
    let weights: Tensor | undefined;
    const weighted = (args: Tensor[]): Tensor => {
      const y = track(fn(...args));
      weights ??= track(
        tensor(
          Float64Array.from({ length: y.size }, (_, i) => 0.5 + ((i * 0.618034) % 1)),
          { shape: y.shape, device },
        ),
      );
      return track(track(y.mul(weights)).sum());
    };
    const leaves = values.map((v, i) => leaf(i, v));
    const floats = leaves.filter((x) => x.requiresGrad);
    const gradients = grad([weighted(leaves)], floats, { allowUnused: true }).map(track);
    const analytic = await Promise.all(gradients.map((g) => g.numbers('gradcheck')));
    for (let f = 0; f < floats.length; f++) {
      const i = leaves.indexOf(floats[f]!);
      for (let k = 0; k < values[i]!.length; k++) {
        const at = async (delta: number): Promise<number> => {
          const moved = values.map((v, j) => {
            const copy = v.slice();
            if (j === i) copy[k]! += delta;
            return leaf(j, copy);
          });
          return (await weighted(moved).numbers('gradcheck'))[0]!;
        };
        const numeric = ((await at(eps)) - (await at(-eps))) / (2 * eps);
        const got = analytic[f]![k]!;
        if (!(Math.abs(got - numeric) <= atol + rtol * Math.abs(numeric)))
          throw new TensorloomError(
            `gradcheck: input ${i} of shape ${showShape(inputs[i]!.shape)}, element ${k}: the gradient is ${got}, central differences give ${numeric} ` +
              `(eps ${eps}, allowed ${atol} + ${rtol} relative); check the gradient rule`,
          );
      }
    }
    return true;
  } finally {
    for (const x of tensorsIn(made)) x.dispose();
  }
}
