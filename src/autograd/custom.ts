import { isFloating } from '../core/dtype.ts';
import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { type Shape, showShape, sizeOf } from '../core/shape.ts';
import { zeros } from '../ops/creation.ts';
import { checkOptions, compose, describe, deviceOf, taped } from '../ops/record.ts';
import { expand, flatten, narrow, reshape } from '../ops/structure.ts';
import { pad } from '../ops/windows.ts';
import { type GradientRule, gradEnabled, withGrad } from '../tensor/tape.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { Arguments, Tensors } from './functional.ts';
import { detach } from './grad.ts';

/** What the two functions of a custom op share. */
export interface CustomContext<Args extends readonly unknown[] = readonly unknown[]> {
  /** Keeps tensors for `backward`: inputs, outputs, or others, which second derivatives take for constants. Called once, in `forward`. */
  saveForBackward(...tensors: readonly Tensor[]): void;
  /** In `backward`: what was kept. */
  readonly savedTensors: readonly Tensor[];
  /** The arguments that are no tensors, at their places. */
  readonly args: { readonly [K in keyof Args]: Args[K] extends Tensor ? undefined : Args[K] };
  /** Which arguments need a gradient; `backward` may give null for the others. */
  readonly needsInputGrad: readonly boolean[];
}

/** What `customOp` is made from. */
export interface CustomOp<Args extends readonly unknown[], Out extends Tensors> {
  /** What plans and errors call it. */
  readonly name: string;
  /** The value, from tensor ops, which are not recorded for `backward`. */
  readonly forward: (ctx: CustomContext<Args>, ...args: Args) => Out;
  /**
   * From the gradient of every output (zeros where there is none), those of the arguments, each in the shape of its argument; null
   * for those that have none. Of an op with one argument, the gradient alone will do.
   */
  readonly backward: (
    ctx: CustomContext<Args>,
    ...gradients: Arguments<Out>
  ) => Tensor | null | readonly (Tensor | null | undefined)[];
}

function checkGradient(op: string, g: unknown, i: number, shape: Shape): Tensor | null {
  if (g === null || g === undefined) return null;
  if (!(g instanceof Tensor))
    throw new UnsupportedError(`${op}: backward returned ${describe(g)} for argument ${i}; it gives tensors or null`);
  g.alive(op);
  // What broadcasting added is summed by the reverse pass.
  const fits = g.shape.length >= shape.length && shape.every((n, d) => n === 1 || n === g.shape.at(d - shape.length));
  if (!fits)
    throw new ShapeError(
      `${op}: backward returned a gradient of shape ${showShape(g.shape)} for argument ${i} of shape ${showShape(shape)}; they must be equal`,
    );
  return g;
}

/** @internal What a gradient rule from outside returned, one for each argument. */
export function checkGradients(op: string, found: unknown, shapes: readonly Shape[]): (Tensor | null)[] {
  const list: readonly unknown[] = Array.isArray(found) ? found : [found];
  if (list.length !== shapes.length)
    throw new UnsupportedError(
      `${op}: backward returned ${list.length} gradients for ${shapes.length} arguments; it gives one for each, null where there is none`,
    );
  return list.map((g, i) => checkGradient(op, g, i, shapes[i] ?? []));
}

/** Puts an output on the tape as a part of a vector that stands for all outputs, so that they have one gradient together. */
function part(op: string, whole: Tensor, output: Tensor, start: number): Tensor {
  const around = [start, whole.size - start - output.size];
  return taped(op, { gradient: (g) => [pad(flatten(g), around)], saves: 'nothing' }, [whole], output);
}

/**
 * An op of your own, made from tensor ops with a gradient of your own (`torch.autograd.Function`). `forward` runs without recording;
 * what `backward` needs is kept by `ctx.saveForBackward`. Where `backward` is made from tensor ops, it is differentiable in turn.
 * Tensors are arguments or closed over; the gradient goes to arguments only.
 *
 * @throws UnsupportedError in the backward pass, when `backward` does not give one gradient for each argument.
 * @throws ShapeError in the backward pass, when a gradient does not have the shape of its argument.
 * @example
 * ```ts
 * const cube = tl.customOp({
 *   name: 'cube',
 *   forward(ctx, a: tl.Tensor) {
 *     ctx.saveForBackward(a);
 *     return a.mul(a).mul(a);
 *   },
 *   backward({ savedTensors: [a] }, g) {
 *     return g.mul(a!.square()).mul(3);
 *   },
 * });
 * const d = tl.grad((a: tl.Tensor) => cube(a).sum())(x);
 * ```
 */
export function customOp<Args extends readonly unknown[], Out extends Tensors | []>(
  op: CustomOp<Args, Out>,
): (...args: Args) => Out {
  checkOptions('customOp', op, ['name', 'forward', 'backward']);
  const { name, forward, backward } = op;
  if (typeof name !== 'string' || typeof forward !== 'function' || typeof backward !== 'function')
    throw new UnsupportedError('customOp: give it a name, and the functions forward and backward');
  return (...args) => {
    const tensors = args.map((x) => (x instanceof Tensor ? x : 0));
    const device = deviceOf(name, tensors);
    return compose(name, () => {
      let saved: readonly Tensor[] = [];
      const context = (needsInputGrad: readonly boolean[], savedTensors: readonly Tensor[]): CustomContext<Args> => ({
        args: args.map((x) => (x instanceof Tensor ? undefined : x)) as unknown as CustomContext<Args>['args'],
        needsInputGrad,
        savedTensors,
        saveForBackward: (...kept) => {
          if (kept.length > 0) deviceOf(name, kept);
          saved = kept;
        },
      });
      const watched = tensors.map((x) => gradEnabled() && typeof x !== 'number' && x.requiresGrad);
      const out = withGrad(false, () => forward(context(watched, []), ...args));
      const raw = Array.isArray(out) ? (out as readonly Tensor[]) : [out as Tensor];
      const odd: unknown = raw.find((y) => !(y instanceof Tensor));
      if (odd !== undefined || raw.includes(undefined as never))
        throw new UnsupportedError(
          `${name}: forward returned ${describe(odd)}; it gives a tensor, or an array of tensors`,
        );
      deviceOf(name, [...tensors, ...raw]);
      // What is not new gets a handle of its own, which can stand elsewhere on the tape.
      const outputs = raw.map((y, i) => (y.tape || tensors.includes(y) || raw.indexOf(y) < i ? detach(y) : y));
      const result = (out instanceof Tensor ? outputs[0] : outputs) as unknown as Out;
      const starts: number[] = [];
      let total = 0;
      for (const y of outputs) {
        starts.push(total);
        if (isFloating(y.dtype)) total += y.size;
      }
      const shapes = outputs.map((y) => ({ shape: y.shape, floats: isFloating(y.dtype) }));
      // A vector that is never computed: only its gradient matters. An only output needs none.
      const vector = (): Tensor => expand(zeros([], { device }), [total]);
      const only = shapes.length === 1;
      const places = saved.map((x) => raw.indexOf(x));
      const rule: GradientRule = (g, { inputs, needs, shapes: wanted }) => {
        const whole = vector();
        whole.moveTo(hub);
        const kept = inputs.slice(args.length).map((x, i) => {
          const k = places[i] ?? -1;
          if (k < 0 || !isFloating(x.dtype) || !gradEnabled()) return x;
          if (!only) return part(name, whole, x, starts[k] ?? 0);
          x.moveTo(hub);
          return x;
        });
        const gradients = shapes.map(({ shape, floats }, k) => {
          if (only) return g;
          return floats ? reshape(narrow(g, 0, starts[k] ?? 0, sizeOf(shape)), shape) : zeros(shape, { device });
        });
        const found = backward(context(needs.slice(0, args.length), kept), ...(gradients as unknown as Arguments<Out>));
        return checkGradients(name, found, wanted.slice(0, args.length));
      };
      const whole = only && outputs[0] ? outputs[0] : vector();
      const constants = saved.map((x) => (tensors.includes(x) ? x : detach(x)));
      taped(
        name,
        { gradient: rule, saves: constants.map((_, i) => args.length + i) },
        [...tensors, ...constants],
        whole,
      );
      const hub = whole.tape;
      if (!only && hub)
        outputs.forEach((y, k) => {
          if (isFloating(y.dtype)) part(name, whole, y, starts[k] ?? 0);
        });
      return result;
    });
  };
}
