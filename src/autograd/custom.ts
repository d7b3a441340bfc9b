import { isFloating } from '../core/dtype.ts';
import { DeviceError, DTypeError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { type Shape, showShape, sizeOf } from '../core/shape.ts';
import { zeros } from '../ops/creation.ts';
import { checkOptions, compose, describe, deviceOf, deviceOfOperands, taped } from '../ops/record.ts';
import { expand, flatten, narrow, reshape } from '../ops/structure.ts';
import { pad } from '../ops/windows.ts';
import type { Device } from '../tensor/device.ts';
import { type GradientRule, gradEnabled, type TapeNode, withGrad } from '../tensor/tape.ts';
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

function checkGradient(op: string, g: unknown, i: number, shape: Shape, device: Device): Tensor | null {
  if (g === null || g === undefined) return null;
  if (!(g instanceof Tensor))
    throw new UnsupportedError(`${op}: backward returned ${describe(g)} for argument ${i}; it gives tensors or null`);
  g.alive(op);
  if (g.device !== device)
    throw new DeviceError(
      `${op}: backward returned a gradient on ${g.device.name} for argument ${i}, which is on ${device.name}; make it there`,
    );
  if (!isFloating(g.dtype))
    throw new DTypeError(
      `${op}: backward returned a gradient of ${g.dtype} for argument ${i}; convert it with .to('float32')`,
    );
  // What broadcasting added is summed by the reverse pass.
  const fits = g.shape.length >= shape.length && shape.every((n, d) => n === 1 || n === g.shape.at(d - shape.length));
  if (!fits)
    throw new ShapeError(
      `${op}: backward returned a gradient of shape ${showShape(g.shape)} for argument ${i} of shape ${showShape(shape)}; they must be equal`,
    );
  return g;
}

/** @internal What a gradient rule from outside returned, one for each argument. */
export function checkGradients(
  op: string,
  found: unknown,
  shapes: readonly Shape[],
  device: Device,
): (Tensor | null)[] {
  const list: readonly unknown[] = Array.isArray(found) ? found : [found];
  if (list.length !== shapes.length)
    throw new UnsupportedError(
      `${op}: backward returned ${list.length} gradients for ${shapes.length} arguments; it gives one for each, null where there is none`,
    );
  return list.map((g, i) => checkGradient(op, g, i, shapes[i] ?? [], device));
}

/** Puts an output on the tape as a part of a vector that stands for all outputs, so that they have one gradient together. */
function part(op: string, whole: Tensor, output: Tensor, start: number): Tensor {
  const around = [start, whole.size - start - output.size];
  return taped(op, { gradient: (g) => [pad(flatten(g), around)], saves: 'nothing' }, [whole], output);
}

/** What a call leaves for its backward pass. Like everything on the tape, it refers to no handle. */
interface Call<Args extends readonly unknown[]> {
  readonly device: Device;
  readonly plain: CustomContext<Args>['args'];
  readonly outputs: readonly { readonly shape: Shape; readonly floats: boolean; readonly start: number }[];
  /** Elements of all floating outputs. */
  readonly total: number;
  /** Which output each saved tensor is, or -1. */
  readonly places: readonly number[];
  /** Where the op stands on the tape. */
  hub: TapeNode | null;
}

/** Stands for several outputs on the tape: a vector of their elements, never computed, for only its gradient matters. */
const vector = (device: Device, size: number): Tensor => expand(zeros([], { device }), [size]);

function ruleOf<Args extends readonly unknown[], Out extends Tensors>(
  { name, backward }: CustomOp<Args, Out>,
  call: Call<Args>,
): GradientRule {
  const { device, plain, outputs, total, places } = call;
  const only = outputs.length === 1;
  /** A saved output stands where the output stood, for second derivatives. */
  const placed = (x: Tensor, k: number): Tensor => {
    const output = outputs[k];
    if (!output?.floats || !gradEnabled()) return x;
    const whole = only ? x : vector(device, total);
    whole.moveTo(call.hub);
    return only ? x : part(name, whole, x, output.start);
  };
  return (g, { inputs, needs, shapes }) => {
    const gradients = outputs.map(({ shape, floats, start }) => {
      if (only) return g;
      return floats ? reshape(narrow(g, 0, start, sizeOf(shape)), shape) : zeros(shape, { device });
    });
    const n = plain.length;
    const context: CustomContext<Args> = {
      args: plain,
      needsInputGrad: needs.slice(0, n),
      savedTensors: inputs.slice(n).map((x, i) => placed(x, places[i] ?? -1)),
      saveForBackward: () => {
        throw new UnsupportedError(`${name}: saveForBackward belongs into forward`);
      },
    };
    return checkGradients(
      name,
      backward(context, ...(gradients as unknown as Arguments<Out>)),
      shapes.slice(0, n),
      device,
    );
  };
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
 * const [d] = tl.grad((a: tl.Tensor) => cube(a).sum())(x);
 * ```
 */
export function customOp<Args extends readonly unknown[], Out extends Tensors | []>(
  op: CustomOp<Args, Out>,
): (...args: Args) => Out {
  checkOptions('customOp', op, ['name', 'forward', 'backward']);
  const { name, forward, backward } = op;
  if (typeof name !== 'string' || name === '' || typeof forward !== 'function' || typeof backward !== 'function')
    throw new UnsupportedError('customOp: give it a name, and the functions forward and backward');
  return (...args) => {
    const tensors = args.map((x) => (x instanceof Tensor ? x : 0));
    const device = deviceOfOperands(name, tensors);
    return compose(name, () => {
      const plain = args.map((x) => (x instanceof Tensor ? undefined : x)) as unknown as CustomContext<Args>['args'];
      let saved: readonly Tensor[] = [];
      const context: CustomContext<Args> = {
        args: plain,
        needsInputGrad: tensors.map((x) => gradEnabled() && typeof x !== 'number' && x.requiresGrad),
        savedTensors: [],
        saveForBackward: (...kept) => {
          if (kept.length > 0) deviceOf(name, kept);
          saved = kept;
        },
      };
      const out = withGrad(false, () => forward(context, ...args));
      const raw: readonly unknown[] = Array.isArray(out) ? out : [out];
      for (const y of raw)
        if (!(y instanceof Tensor))
          throw new UnsupportedError(
            `${name}: forward returned ${describe(y)}; it gives a tensor, or an array of tensors`,
          );
      const given = raw as readonly Tensor[];
      deviceOfOperands(name, [...tensors, ...given]);
      // What is not new gets a handle of its own, which can stand elsewhere on the tape.
      const outputs = given.map((y, i) => (y.tape || tensors.includes(y) || given.indexOf(y) < i ? detach(y) : y));
      let total = 0;
      const parts = outputs.map(({ shape, dtype, size }) => {
        const floats = isFloating(dtype);
        const start = total;
        if (floats) total += size;
        return { shape, floats, start };
      });
      const call: Call<Args> = {
        device,
        plain,
        outputs: parts,
        total,
        places: saved.map((x) => given.indexOf(x)),
        hub: null,
      };
      const constants = saved.map((x) => (tensors.includes(x) ? x : detach(x)));
      const saves = constants.map((_, i) => args.length + i);
      const only = outputs.length === 1 ? outputs[0] : undefined;
      const whole = taped(
        name,
        { gradient: ruleOf(op as CustomOp<Args, Out & Tensors>, call), saves },
        [...tensors, ...constants],
        only ?? vector(device, total),
      );
      call.hub = whole.tape;
      if (!only && whole.tape)
        outputs.forEach((y, k) => {
          const { floats, start } = parts[k] as (typeof parts)[number];
          if (floats) part(name, whole, y, start);
        });
      return (out instanceof Tensor ? outputs[0] : outputs) as unknown as Out;
    });
  };
}
