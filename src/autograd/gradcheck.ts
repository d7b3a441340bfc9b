import { isFloating } from '../core/dtype.ts';
import { TensorloomError, UnsupportedError } from '../core/errors.ts';
import { replaying } from '../core/random.ts';
import { contiguousView, showShape, sizeOf, type View } from '../core/shape.ts';
import { tensor } from '../ops/creation.ts';
import { checkOptions, deviceOf } from '../ops/record.ts';
import { tidy } from '../tensor/scope.ts';
import { withGrad } from '../tensor/tape.ts';
import { Tensor } from '../tensor/tensor.ts';
import { gradientsOrNull } from './grad.ts';

/** Options of `gradcheck` and `gradgradcheck`. */
export interface GradcheckOptions {
  /** Step of the central differences: 1e-6 where the device computes in float64, 1e-2 otherwise. */
  readonly eps?: number | undefined;
  /** Allowed absolute and relative difference: 1e-6 and 1e-5 in float64, 1e-2 and 1e-2 otherwise. */
  readonly atol?: number | undefined;
  readonly rtol?: number | undefined;
}

/** What the checks differentiate. */
export type CheckedFunction = (...inputs: Tensor[]) => Tensor | readonly Tensor[];

const listed = (x: Tensor | readonly Tensor[]): readonly Tensor[] => (x instanceof Tensor ? [x] : x);
const floats = (outputs: Tensor | readonly Tensor[]): readonly Tensor[] =>
  listed(outputs).filter((y) => isFloating(y.dtype));

/** A weight for each element of an output, none like another, so that errors do not cancel. */
const weights = (output: number, size: number): Float64Array =>
  Float64Array.from({ length: size }, (_, i) => 0.5 + (((i + 1) * 0.618034 + output * 0.414214) % 1));

/** An input on the host: what its storage holds, and the view of it, so that layouts are checked as they are given. */
interface Given {
  readonly like: Tensor;
  readonly storage: Float64Array;
  readonly view: View;
  readonly checked: boolean;
}

async function givenOf(op: string, inputs: readonly Tensor[]): Promise<Given[]> {
  if (inputs.length === 0) throw new UnsupportedError(`${op}: give at least one input`);
  deviceOf(op, inputs);
  const chosen = inputs.some((x) => x.requiresGrad);
  const given = inputs.map(async (like): Promise<Given> => {
    const checked = isFloating(like.dtype) && (!chosen || like.requiresGrad);
    // A view that shows an element twice has no derivative by one of the two.
    const repeats = like.shape.some((n, d) => n > 1 && like.view.strides[d] === 0);
    if (repeats)
      return { like, storage: Float64Array.from(await like.numbers(op)), view: contiguousView(like.shape), checked };
    const { node, device, view } = like;
    return { like, storage: Float64Array.from(await device.engine.read(node, 0, node.size)), view, checked };
  });
  const all = await Promise.all(given);
  if (!all.some((x) => x.checked))
    throw new UnsupportedError(
      `${op}: no input can have a gradient: they are ${inputs.map((x) => x.dtype).join(', ')}; give at least one float32 tensor`,
    );
  return all;
}

/** Tensors of those values in the layout of the inputs. */
function leavesOf(given: readonly Given[]): Tensor[] {
  return given.map(({ like, storage, view, checked }) => {
    const base = tensor(storage, { dtype: like.dtype, device: like.device });
    const leaf = new Tensor(like.device, base.cell, view, null);
    leaf.requiresGrad = checked;
    return leaf;
  });
}

/** Where in the storage an element of a view is. */
function placeOf(view: View, element: number): number {
  let rest = element;
  let place = view.offset;
  for (let d = view.shape.length - 1; d >= 0; d--) {
    const n = view.shape[d] ?? 1;
    place += (rest % n) * (view.strides[d] ?? 0);
    rest = Math.floor(rest / n);
  }
  return place;
}

async function check(
  op: string,
  fn: CheckedFunction,
  inputs: readonly Tensor[],
  options: GradcheckOptions,
): Promise<true> {
  checkOptions(op, options, ['eps', 'atol', 'rtol']);
  const given = await givenOf(op, inputs);
  const exact = given[0]?.like.device.backend.precision === 'float64';
  const { eps = exact ? 1e-6 : 1e-2, atol = exact ? 1e-6 : 1e-2, rtol = exact ? 1e-5 : 1e-2 } = options;
  const round = exact ? (v: number): number => v : Math.fround;
  // Every run draws the same random numbers.
  const replay = replaying();
  const run = (moved: readonly Given[]): { leaves: Tensor[]; outputs: readonly Tensor[] } =>
    replay(() =>
      withGrad(true, () => {
        const leaves = leavesOf(moved);
        return { leaves, outputs: floats(fn(...leaves)) };
      }),
    );
  const values = async (moved: readonly Given[]): Promise<Float64Array[]> => {
    const outputs = tidy(() => run(moved).outputs.map((y) => y.detach()));
    try {
      return await Promise.all(outputs.map(async (y) => Float64Array.from(await y.numbers(op))));
    } finally {
      for (const y of outputs) y.dispose();
    }
  };
  /** The sum of differences of the outputs, weighted; on the host, so that sums are exact. */
  const difference = (after: readonly Float64Array[], before: readonly Float64Array[]): number =>
    after.reduce((sum, y, o) => {
      const w = weights(o, y.length);
      return sum + y.reduce((part, v, i) => part + (w[i] ?? 0) * (v - (before[o]?.[i] ?? Number.NaN)), 0);
    }, 0);
  const gradients = tidy(() => {
    const { leaves, outputs } = run(given);
    if (outputs.length === 0)
      throw new UnsupportedError(`${op}: the function gives no floating output, so there is nothing to differentiate`);
    const watched = outputs.map((y, o) => ({ y, o })).filter(({ y }) => y.tape);
    if (watched.length === 0) return leaves.map(() => null);
    const floating = leaves.filter((x) => x.tape);
    const found = gradientsOrNull(
      op,
      watched.map(({ y }) => y),
      floating,
      {
        gradOutputs: watched.map(({ y, o }) => tensor(weights(o, y.size), { shape: y.shape, device: y.device })),
      },
    );
    return leaves.map((x) => found[floating.indexOf(x)] ?? null);
  });
  try {
    for (const [i, { like, storage, view, checked }] of given.entries()) {
      if (!checked) continue;
      const gradient = gradients[i];
      const analytic = await gradient?.numbers(op);
      for (let k = 0; k < sizeOf(like.shape); k++) {
        const place = placeOf(view, k);
        const at = storage[place] ?? Number.NaN;
        const [high, low] = [round(at + eps), round(at - eps)];
        const moved = (to: number): Given[] =>
          given.map((x, j) => (j === i ? { ...x, storage: storage.map((e, s) => (s === place ? to : e)) } : x));
        const [after, before] = await Promise.all([values(moved(high)), values(moved(low))]);
        const numeric = difference(after, before) / (high - low);
        const got = analytic ? Number(analytic[k]) : 0;
        if (Math.abs(got - numeric) <= atol + rtol * Math.abs(numeric)) continue;
        const where = `${op}: input ${i} of shape ${showShape(like.shape)}, element ${k}: `;
        throw new TensorloomError(
          analytic
            ? `${where}the gradient is ${got}, central differences give ${numeric} (eps ${eps}, allowed ${atol} + ${rtol} relative); check the gradient rule`
            : `${where}by its history the output does not depend on it (gradient 0), but central differences give ${numeric}; is it detached, or computed outside the tape?`,
        );
      }
    }
    return true;
  } finally {
    for (const g of gradients) g?.dispose();
  }
}

/**
 * Compares the gradients of a function with central differences, element by element (`torch.autograd.gradcheck`): for the inputs
 * that require a gradient, or for all float32 inputs where none does. The function may give several tensors; integers and bools among
 * them are ignored, and of the others a sum with fixed weights is checked. It sees the inputs in the layout they are given in. Use a
 * float64 reference device (`device('reference', { precision: 'float64' })`) for sharp checks: float32 differences hide small errors.
 *
 * @throws TensorloomError naming the input, the element, its gradient and the difference, at the first disagreement.
 * @throws UnsupportedError when no input or no output is floating.
 * @example
 * ```ts
 * await tl.gradcheck((x) => x.sigmoid(), [tl.tensor([0.5, -1])]);
 * ```
 */
export function gradcheck(
  fn: CheckedFunction,
  inputs: readonly Tensor[],
  options: GradcheckOptions = {},
): Promise<true> {
  return check('gradcheck', fn, inputs, options);
}

/**
 * As `gradcheck`, of the gradients of a function: checks its second derivatives, by its inputs and by the gradients of its outputs
 * (`torch.autograd.gradgradcheck`).
 *
 * @throws TensorloomError naming the input (those after the function's own are the gradients of its outputs), the element and both values.
 * @throws UnsupportedError when no input or no output is floating, or when the outputs depend on no input.
 * @example
 * ```ts
 * await tl.gradgradcheck((x) => x.sigmoid(), [tl.tensor([0.5, -1])]);
 * ```
 */
export async function gradgradcheck(
  fn: CheckedFunction,
  inputs: readonly Tensor[],
  options: GradcheckOptions = {},
): Promise<true> {
  const op = 'gradgradcheck';
  const given = await givenOf(op, inputs);
  // The gradients of the outputs are inputs too, and linear: any numbers will do.
  const cotangents = tidy(() =>
    replaying()(() => {
      const outputs = withGrad(true, () => floats(fn(...leavesOf(given)))).filter((y) => y.tape);
      if (outputs.length === 0)
        throw new UnsupportedError(`${op}: the outputs depend on no input that can have a gradient`);
      return outputs.map((y, o) =>
        tensor(weights(o + 7, y.size), {
          shape: y.shape,
          device: y.device,
          requiresGrad: inputs.some((x) => x.requiresGrad),
        }),
      );
    }),
  );
  try {
    return await check(
      op,
      (...all) => {
        const x = all.slice(0, inputs.length);
        const found = gradientsOrNull(
          op,
          floats(fn(...x)).filter((y) => y.tape),
          x.filter((_, i) => given[i]?.checked),
          { gradOutputs: all.slice(inputs.length), createGraph: true },
        );
        return found.filter((g) => g !== null);
      },
      [...inputs, ...cotangents],
      options,
    );
  } finally {
    for (const v of cotangents) v.dispose();
  }
}
