import { isFloating } from '../core/dtype.ts';
import { DisposedError, DTypeError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { sameShape, showShape } from '../core/shape.ts';
import { eye, zeros, zerosLike } from '../ops/creation.ts';
import { stack } from '../ops/joins.ts';
import { checkFunction, checkOptions, describe, deviceOf, viewed } from '../ops/record.ts';
import { reshape, select } from '../ops/structure.ts';
import { internal } from '../tensor/scope.ts';
import { gradEnabled, withGrad } from '../tensor/tape.ts';
import { Tensor } from '../tensor/tensor.ts';
import { detach, type GradOptions, gradientsOrNull, gradOf } from './grad.ts';

/** One tensor, or several. */
export type Tensors = Tensor | readonly Tensor[];
/** The arguments of a function of one tensor, or of several. */
export type Arguments<In extends Tensors> = In extends readonly Tensor[] ? In : [In];
/** `R` for one tensor, a list of it for several. */
export type Like<T extends Tensors, R> = T extends Tensor ? R : { [K in keyof T]: R };
/** A function of tensors with a scalar result. */
export type ScalarFunction<Args extends readonly Tensor[]> = (...args: Args) => Tensor;
/** A gradient for each argument. */
export type Gradients<Args extends readonly Tensor[]> = { [K in keyof Args]: Tensor };

/** Options of the transforms of functions: `grad`, `valueAndGrad`, `vjp`, `jvp`, `jacobian`, `hessian`, `hvp`. */
export interface TransformOptions {
  /**
   * Record the computation of the results, so that they can be differentiated, also by the tensors that the function closes over.
   * True inside the function of another transform, so that transforms nest; false otherwise.
   */
  readonly createGraph?: boolean | undefined;
}

/** Transforms whose function is running. */
let depth = 0;

/** A function that has run on inputs under watch. */
interface Trace<Out> {
  readonly value: Out;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Whether what comes out is to have a history. */
  readonly createGraph: boolean;
}

const listed = (x: Tensors): readonly Tensor[] => (x instanceof Tensor ? [x] : x);
/** Results in the form of what they belong to. */
const formed = <T extends Tensors, R>(like: T, results: readonly R[]): Like<T, R> =>
  (like instanceof Tensor ? results[0] : results) as Like<T, R>;

/** Under a handle of its own, so that the caller's tensor stays as it is. */
function watch(op: string, x: unknown, i: number, createGraph: boolean): Tensor {
  if (!(x instanceof Tensor))
    throw new UnsupportedError(`${op}: input ${i} is ${describe(x)}; inputs are tensors, make one with tensor()`);
  x.alive(op);
  if (!isFloating(x.dtype))
    throw new DTypeError(
      `${op}: input ${i} is ${x.dtype}, but only floating tensors have gradients; convert it with .to('float32') or close over it`,
    );
  if (createGraph && x.tape) return viewed('watch', x, x.view, (g) => [g]);
  const leaf = detach(x);
  leaf.requiresGrad = true;
  return leaf;
}

/** Runs a function on watched inputs, and what a transform makes of it; only the results of that stay. */
function transform<In extends Tensors, Out extends Tensors, R>(
  op: string,
  fn: (...args: Arguments<In>) => Out,
  inputs: In,
  options: TransformOptions,
  body: (trace: Trace<Out>) => R,
): R {
  checkOptions(op, options, [], ['createGraph']);
  checkFunction(op, fn);
  if (!(inputs instanceof Tensor) && !Array.isArray(inputs))
    throw new UnsupportedError(`${op}: inputs are a tensor or an array of tensors, got ${describe(inputs)}`);
  const { createGraph = depth > 0 && gradEnabled() } = options;
  return internal(op, () =>
    withGrad(true, () => {
      const watched = listed(inputs).map((x, i) => watch(op, x, i, createGraph));
      depth++;
      let out: Out;
      try {
        out = fn(...(watched as unknown as Arguments<In>));
      } finally {
        depth--;
      }
      const outputs = Array.isArray(out) ? (out as readonly Tensor[]) : [out as Tensor];
      for (const y of outputs) {
        if (!(y instanceof Tensor))
          throw new UnsupportedError(
            `${op}: the function returned ${describe(y)}; it must return a tensor, or an array of tensors`,
          );
        y.alive(op);
      }
      const value = formed(
        out,
        outputs.map((y) => (createGraph ? y : detach(y))),
      ) as unknown as Out;
      return body({ value, inputs: watched, outputs, createGraph });
    }),
  );
}

/** Gradients of those outputs that depend on anything; the graph stays. */
function pull(
  op: string,
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  cotangents: readonly (Tensor | undefined)[],
  createGraph: boolean,
): (Tensor | null)[] {
  const places = outputs.flatMap((y, i) => (y.tape ? [i] : []));
  if (places.length === 0) return inputs.map(() => null);
  return gradientsOrNull(
    op,
    places.map((i) => outputs[i] as Tensor),
    inputs,
    { gradOutputs: places.map((i) => cotangents[i]), retainGraph: true, createGraph },
  );
}

const orZeros = (found: readonly (Tensor | null)[], like: readonly Tensor[]): Tensor[] =>
  like.map((x, i) => found[i] ?? zerosLike(x));

/** Checks what goes along with inputs or outputs: one each, of the same shape. */
function checkAlong(op: string, what: string, given: Tensors, of: readonly Tensor[]): readonly Tensor[] {
  const list = listed(given);
  if (!Array.isArray(list) || list.length !== of.length)
    throw new UnsupportedError(
      `${op}: expected ${of.length} ${what}s, got ${Array.isArray(list) ? list.length : describe(list)}; give one for each`,
    );
  list.forEach((v, i) => {
    if (!(v instanceof Tensor)) throw new UnsupportedError(`${op}: ${what} ${i} is ${describe(v)}, not a tensor`);
    const { shape, dtype } = of[i] as Tensor;
    deviceOf(op, [v, of[i] as Tensor]);
    if (isFloating(dtype) && !isFloating(v.dtype))
      throw new DTypeError(
        `${op}: ${what} ${i} is ${v.dtype} where ${dtype} is needed; convert it with .to('${dtype}')`,
      );
    if (!sameShape(v.shape, shape))
      throw new ShapeError(
        `${op}: ${what} ${i} has shape ${showShape(v.shape)} where ${showShape(shape)} is needed; they must be equal`,
      );
  });
  return list;
}

function checkScalar(op: string, outputs: readonly Tensor[]): void {
  if (outputs.length !== 1 || outputs[0]?.size !== 1)
    throw new UnsupportedError(
      `${op}: the function must return one scalar, got ${outputs.map((y) => `a tensor of shape ${showShape(y.shape)}`).join(' and ') || 'nothing'}; reduce it with sum(), or use vjp or jacobian`,
    );
}

function gradientsOf<In extends Tensors>(
  op: string,
  fn: (...args: Arguments<In>) => Tensor,
  inputs: In,
  options: TransformOptions,
): { value: Tensor; grads: readonly Tensor[] } {
  return transform(op, fn, inputs, options, ({ value, outputs, inputs: x, createGraph }) => {
    checkScalar(op, outputs);
    return { value, grads: orZeros(pull(op, outputs, x, [], createGraph), x) };
  });
}

/**
 * Gradients of outputs with respect to inputs, without touching `.grad` (`torch.autograd.grad`); or, of a function, the function
 * that computes its gradients (`jax.grad`, of every argument; zeros for those that it does not depend on). Functions nest: inside
 * the function of another transform the gradients can be differentiated, elsewhere with `{ createGraph: true }`.
 *
 * @throws UnsupportedError for inputs that the outputs do not depend on, and for functions whose result is no scalar.
 * @example
 * ```ts
 * const x = tl.tensor(3, { requiresGrad: true });
 * const [dx] = tl.grad([x.square()], [x]); // 6
 * const slope = tl.grad((a: tl.Tensor) => a.square().sum());
 * const [d] = slope(tl.tensor([1, 2])); // [2, 4]
 * const [d2] = tl.grad((a: tl.Tensor) => slope(a)[0].sum())(tl.tensor([1, 2])); // [2, 2]
 * ```
 */
export function grad(outputs: readonly Tensor[], inputs: readonly Tensor[], options?: GradOptions): Tensor[];
export function grad<Args extends readonly Tensor[]>(
  fn: ScalarFunction<Args>,
  options?: TransformOptions,
): (...args: Args) => Gradients<Args>;
export function grad<Args extends readonly Tensor[]>(
  first: readonly Tensor[] | ScalarFunction<Args>,
  second?: readonly Tensor[] | TransformOptions,
  options: GradOptions = {},
): Tensor[] | ((...args: Args) => Gradients<Args>) {
  if (typeof first !== 'function') return gradOf(first, second as readonly Tensor[], options);
  const fn = first as (...args: Arguments<Args>) => Tensor;
  return (...args) =>
    gradientsOf<Args>('grad', fn, args, (second ?? {}) as TransformOptions).grads as unknown as Gradients<Args>;
}

/** A function that gives the value of `fn` and its gradients with respect to every argument (`jax.value_and_grad`). See `grad`. */
export function valueAndGrad<Args extends readonly Tensor[]>(
  fn: ScalarFunction<Args>,
  options: TransformOptions = {},
): (...args: Args) => { value: Tensor; grads: Gradients<Args> } {
  return (...args) => {
    const { value, grads } = gradientsOf<Args>(
      'valueAndGrad',
      fn as (...args: Arguments<Args>) => Tensor,
      args,
      options,
    );
    return { value, grads: grads as unknown as Gradients<Args> };
  };
}

/** From gradients of the outputs of a function to gradients of its inputs. Holds what the tape saved until it is disposed. */
export interface Pullback<In extends Tensors, Out extends Tensors> extends Disposable {
  (cotangents: Out): Like<In, Tensor>;
  /** Lets go of the tape. */
  dispose(): void;
}

/**
 * The value of a function and its pullback, which maps a cotangent (as many as there are outputs, of their shapes) to the
 * vector-Jacobian products, zeros for inputs that do not matter (`jax.vjp`, `torch.func.vjp`). The pullback can be called again and
 * again. It holds the tape until `dispose()`, the end of `using`, or the end of the scope in which `vjp` was called.
 *
 * @throws DisposedError when the pullback is called after that.
 * @throws ShapeError when a cotangent has another shape than its output.
 * @example
 * ```ts
 * const { value, pullback } = tl.vjp((a, b) => a.mul(b), [tl.tensor([1, 2]), tl.tensor([3, 4])]);
 * const [da, db] = pullback(tl.tensor([1, 10])); // [3, 40], [1, 20]
 * pullback.dispose();
 * ```
 */
export function vjp<In extends Tensors | [], Out extends Tensors>(
  fn: (...args: Arguments<In>) => Out,
  inputs: In,
  options: TransformOptions = {},
): { value: Out; pullback: Pullback<In, Out> } {
  const again = (x: Tensor): Tensor => new Tensor(x.device, x.cell, x.view, x.tape);
  const { value, held } = transform('vjp', fn, inputs, options, (trace) => ({
    value: trace.value,
    held: { inputs: trace.inputs.map(again), outputs: trace.outputs.map(again) },
  }));
  const handles = [...held.inputs, ...held.outputs];
  const call = (cotangents: Out): Like<In, Tensor> => {
    if (handles.some((t) => t.disposed))
      throw new DisposedError(
        'vjp: the pullback was disposed, or the scope in which it was made has ended; call it before, or vjp again',
      );
    const { createGraph = depth > 0 && gradEnabled() } = options;
    return internal('vjp', () => {
      const given = checkAlong('vjp', 'cotangent', cotangents, held.outputs);
      const grads = orZeros(pull('vjp', held.outputs, held.inputs, given, createGraph), held.inputs);
      return formed(inputs as In & Tensors, grads);
    });
  };
  const dispose = (): void => {
    for (const t of handles) t.dispose();
  };
  return { value, pullback: Object.assign(call, { dispose, [Symbol.dispose]: dispose }) };
}

/**
 * The value of a function and its derivative along tangents of its inputs, zeros for outputs that do not depend on them
 * (`jax.jvp`, `torch.autograd.functional.jvp`). Computed by two reverse passes, so it is exact for every op that has a gradient.
 *
 * @throws ShapeError when a tangent has another shape than its input.
 * @example
 * ```ts
 * const { value, tangent } = tl.jvp((a) => a.square(), tl.tensor([1, 2]), tl.tensor([1, 0.5])); // [1, 4], [2, 2]
 * ```
 */
export function jvp<In extends Tensors | [], Out extends Tensors>(
  fn: (...args: Arguments<In>) => Out,
  inputs: In,
  tangents: In,
  options: TransformOptions = {},
): { value: Out; tangent: Out } {
  return transform('jvp', fn, inputs, options, ({ value, inputs: x, outputs, createGraph }) => {
    const given = checkAlong('jvp', 'tangent', tangents, x);
    // The vector-Jacobian product is linear in its cotangent u; its own product with the tangents is the directional derivative.
    const u = outputs.map(({ shape, device }) => zeros(shape, { device, requiresGrad: true }));
    const products = pull('jvp', outputs, x, u, true);
    const places = products.flatMap((g, i) => (g ? [i] : []));
    const found = pull(
      'jvp',
      places.map((i) => products[i] as Tensor),
      u,
      places.map((i) => given[i]),
      createGraph,
    );
    return { value, tangent: formed(value, orZeros(found, outputs)) as unknown as Out };
  });
}

/**
 * The derivative of every element of the outputs by every element of the inputs: of shape [...output, ...input]; for several
 * inputs an array with one for each, for several outputs an array of those (`torch.autograd.functional.jacobian`). One reverse pass
 * for each element of the outputs.
 *
 * @example
 * ```ts
 * const j = tl.jacobian((a) => a.square(), tl.tensor([1, 2])); // [[2, 0], [0, 4]]
 * const [byA, byB] = tl.jacobian((a, b) => a.mul(b), [tl.tensor([1, 2]), tl.tensor(3)]); // shapes [2, 2] and [2]
 * ```
 */
export function jacobian<In extends Tensors | [], Out extends Tensors>(
  fn: (...args: Arguments<In>) => Out,
  inputs: In,
  options: TransformOptions = {},
): Like<Out, Like<In, Tensor>> {
  return jacobianOf('jacobian', fn, inputs, options);
}

function jacobianOf<In extends Tensors | [], Out extends Tensors>(
  op: string,
  fn: (...args: Arguments<In>) => Out,
  inputs: In,
  options: TransformOptions,
): Like<Out, Like<In, Tensor>> {
  return transform(op, fn, inputs, options, ({ value, inputs: x, outputs, createGraph }) =>
    formed(
      value,
      outputs.map((y) => {
        const units = eye(y.size, { device: y.device });
        const rows = Array.from({ length: y.size }, (_, k) =>
          orZeros(pull(op, [y], x, [reshape(select(units, 0, k), y.shape)], createGraph), x),
        );
        const blocks = x.map((xi, i) => {
          const shape = [...y.shape, ...xi.shape];
          if (rows.length === 0) return zeros(shape, { device: xi.device });
          return reshape(stack(rows.map((row) => row[i] as Tensor)), shape);
        });
        return formed(inputs as In & Tensors, blocks) as Like<In, Tensor>;
      }),
    ),
  );
}

/**
 * The second derivatives of a function with a scalar result: of shape [...input, ...input]; for several inputs an array of arrays,
 * one for each pair (`torch.autograd.functional.hessian`).
 *
 * @throws UnsupportedError when the result of the function is no scalar.
 * @example
 * ```ts
 * const h = tl.hessian((a) => a.pow(3).sum(), tl.tensor([1, 2])); // [[6, 0], [0, 12]]
 * ```
 */
export function hessian<In extends Tensors | []>(
  fn: (...args: Arguments<In>) => Tensor,
  inputs: In,
  options: TransformOptions = {},
): Like<In, Like<In, Tensor>> {
  checkFunction('hessian', fn);
  const gradient = (...args: Arguments<In>): Tensors => {
    const { grads } = gradientsOf('hessian', fn as (...args: Arguments<readonly Tensor[]>) => Tensor, args, {});
    return formed(inputs as Tensors, grads) as Tensors;
  };
  return jacobianOf('hessian', gradient, inputs, options) as unknown as Like<In, Like<In, Tensor>>;
}

/**
 * The value of a function with a scalar result, and the product of its Hessian with a vector, without the Hessian
 * (`torch.autograd.functional.hvp`, and `vhp`, for a Hessian is symmetric).
 *
 * @throws UnsupportedError when the result of the function is no scalar.
 * @throws ShapeError when a vector has another shape than its input.
 * @example
 * ```ts
 * const { value, hvp } = tl.hvp((a) => a.pow(3).sum(), tl.tensor([1, 2]), tl.tensor([1, 1])); // 9, [6, 12]
 * ```
 */
export function hvp<In extends Tensors | []>(
  fn: (...args: Arguments<In>) => Tensor,
  inputs: In,
  v: In,
  options: TransformOptions = {},
): { value: Tensor; hvp: Like<In, Tensor> } {
  return transform('hvp', fn, inputs, options, ({ value, inputs: x, outputs, createGraph }) => {
    checkScalar('hvp', outputs);
    const given = checkAlong('hvp', 'vector', v, x);
    const gradients = orZeros(pull('hvp', outputs, x, [], true), x);
    const products = orZeros(pull('hvp', gradients, x, given, createGraph), x);
    return { value, hvp: formed(inputs as In & Tensors, products) };
  });
}
