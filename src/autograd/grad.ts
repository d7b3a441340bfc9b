import { isThenable, type Synchronous } from '../core/check.ts';
import { UnsupportedError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import { onesLike } from '../ops/creation.ts';
import { add, cast } from '../ops/elementwise.ts';
import { checkFunction, checkOptions, checkTensor, compose, describe } from '../ops/record.ts';
import { contiguous } from '../ops/structure.ts';
import { internal, keep } from '../tensor/scope.ts';
import { type Hook, type Leaf, type TapeNode, withGrad } from '../tensor/tape.ts';
import { Cell, Tensor } from '../tensor/tensor.ts';
import { reverse, type Seed, seedOf } from './reverse.ts';

/** Options of `backward`. */
export interface BackwardOptions {
  /** The gradient of the output; 1 for a scalar. */
  readonly gradient?: Tensor | undefined;
  /** Keep what the tape saved, so that `backward` can run again. False, or what `createGraph` is. */
  readonly retainGraph?: boolean | undefined;
  /** Record the pass, so that the gradients can be differentiated. */
  readonly createGraph?: boolean | undefined;
}

/**
 * A gradient for a user to keep: in storage of its own, where each element is there once, so that it can be updated in place.
 * With its history only where the pass was recorded.
 */
function own(g: Tensor, recorded: boolean): Tensor {
  const repeats = g.shape.some((n, d) => n > 1 && g.view.strides[d] === 0);
  const source = repeats ? contiguous(g) : g;
  return keep(new Tensor(g.device, new Cell(source.node), source.view, recorded ? source.tape : null));
}

/** Adds a gradient to what a leaf has. */
function deposit(leaf: Leaf, g: Tensor, recorded: boolean): void {
  const before = leaf.grad;
  leaf.grad = own(before ? add(before, g) : g, recorded);
  before?.dispose();
}

/**
 * Adds the gradient of this tensor with respect to every leaf that requires one to the leaf's `.grad` (`torch.Tensor.backward`).
 *
 * @throws UnsupportedError when the tensor is no scalar and no gradient is given, or when the graph was used before.
 * @example
 * ```ts
 * const w = tl.tensor([1, 2], { requiresGrad: true });
 * w.square().sum().backward();
 * await w.grad!.toArray(); // [2, 4]
 * ```
 */
export function backward(output: Tensor, options: BackwardOptions = {}): void {
  checkOptions('backward', options, ['gradient', 'retainGraph', 'createGraph']);
  const { createGraph = false, retainGraph = createGraph } = options;
  internal('backward', () => {
    const seed = seedOf('backward', output, options.gradient, onesLike);
    reverse([seed], { retainGraph, createGraph }, (tape, g) => {
      if (tape.leaf) deposit(tape.leaf, g, createGraph);
    });
  });
}

/** Options of `grad` on tensors. */
export interface GradOptions {
  /** Gradients of the outputs; 1 for scalars. */
  readonly gradOutputs?: readonly (Tensor | undefined)[] | undefined;
  readonly retainGraph?: boolean | undefined;
  readonly createGraph?: boolean | undefined;
  /** Zeros rather than an error for an input that the outputs do not depend on. */
  readonly allowUnused?: boolean | undefined;
}

/** @internal As `grad`, but null for an input that the outputs do not depend on. */
export function gradientsOrNull(
  op: string,
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  options: GradOptions = {},
): (Tensor | null)[] {
  const { createGraph = false, retainGraph = createGraph } = options;
  for (const x of inputs) {
    checkTensor(op, x);
    if (!x.tape)
      throw new UnsupportedError(
        `${op}: an input of shape ${showShape(x.shape)} does not require a gradient; set requiresGrad on it before the ops`,
      );
  }
  return internal(op, () => {
    const found = new Map<TapeNode, Tensor>();
    const seeds = outputs.map((y, i): Seed => seedOf(op, y, options.gradOutputs?.[i], onesLike));
    const targets = new Set(inputs.flatMap((x) => x.tape ?? []));
    reverse(seeds, { retainGraph, createGraph, targets }, (tape, g) => {
      if (targets.has(tape)) found.set(tape, own(g, createGraph));
    });
    // Each input gets a handle of its own, also where two are the same tensor.
    const results = inputs.map((x) => {
      const g = x.tape && found.get(x.tape);
      return g ? new Tensor(g.device, g.cell, g.view, g.tape) : null;
    });
    for (const g of found.values()) g.dispose();
    return results;
  });
}

function gradOf(outputs: readonly Tensor[], inputs: readonly Tensor[], options: GradOptions): Tensor[] {
  checkOptions('grad', options, ['gradOutputs', 'retainGraph', 'createGraph', 'allowUnused']);
  for (const list of [outputs, inputs])
    if (!Array.isArray(list))
      throw new UnsupportedError(
        `grad: expected arrays of outputs and of inputs, got ${describe(list)}; call grad([y], [x]), or grad(fn)`,
      );
  return internal('grad', () => {
    const found = gradientsOrNull('grad', outputs, inputs, options);
    return inputs.map((x, i) => {
      const g = found[i];
      if (!g && !options.allowUnused)
        throw new UnsupportedError(
          `grad: the outputs do not depend on an input of shape ${showShape(x.shape)}; pass { allowUnused: true } for zeros`,
        );
      return g ?? compose('grad', () => cast(onesLike(x), x.dtype).mul(0));
    });
  });
}

/** A function of tensors with a scalar result. */
export type ScalarFunction<Args extends readonly Tensor[]> = (...args: Args) => Tensor;
type Gradients<Args extends readonly Tensor[]> = { [K in keyof Args]: Tensor };

/**
 * Gradients of outputs with respect to inputs, without touching `.grad` (`torch.autograd.grad`); or, of a function, the function
 * that computes its gradients (`jax.grad`, of every argument).
 *
 * @throws UnsupportedError for inputs that the outputs do not depend on.
 * @example
 * ```ts
 * const x = tl.tensor(3, { requiresGrad: true });
 * const [dx] = tl.grad([x.square()], [x]); // 6
 * const [d] = tl.grad((a: tl.Tensor) => a.square().sum())(tl.tensor([1, 2])); // [2, 4]
 * ```
 */
export function grad(outputs: readonly Tensor[], inputs: readonly Tensor[], options?: GradOptions): Tensor[];
export function grad<Args extends readonly Tensor[]>(fn: ScalarFunction<Args>): (...args: Args) => Gradients<Args>;
export function grad<Args extends readonly Tensor[]>(
  first: readonly Tensor[] | ScalarFunction<Args>,
  inputs?: readonly Tensor[],
  options: GradOptions = {},
): Tensor[] | ((...args: Args) => Gradients<Args>) {
  if (typeof first !== 'function') return gradOf(first, inputs as readonly Tensor[], options);
  return (...args) => valueAndGrad(first)(...args).grads;
}

/** A function that gives the value of `fn` and its gradients with respect to every argument (`jax.value_and_grad`). */
export function valueAndGrad<Args extends readonly Tensor[]>(
  fn: ScalarFunction<Args>,
): (...args: Args) => { value: Tensor; grads: Gradients<Args> } {
  checkFunction('valueAndGrad', fn);
  return (...args) =>
    internal('valueAndGrad', () =>
      withGrad(true, () => {
        // Watched under handles of their own, so that the caller's tensors stay as they are.
        const watched = args.map((x) => {
          checkTensor('valueAndGrad', x);
          const w = new Tensor(x.device, x.cell, x.view, null);
          w.requiresGrad = true;
          return w;
        });
        const value = fn(...(watched as unknown as Args));
        const grads = gradOf([value], watched, { allowUnused: true });
        return { value: detach(value), grads: grads as unknown as Gradients<Args> };
      }),
    );
}

/** The same value without its history (`torch.Tensor.detach`): shares the storage. */
export function detach(x: Tensor): Tensor {
  checkTensor('detach', x);
  return new Tensor(x.device, x.cell, x.view, null);
}

/** Runs a function without recording its ops for `backward` (`torch.no_grad`). */
export function noGrad<T>(fn: (() => T) & Synchronous<T>): T {
  checkFunction('noGrad', fn);
  const out = withGrad(false, fn);
  if (isThenable(out)) {
    out.then(undefined, () => undefined);
    throw new UnsupportedError(
      'noGrad: the function returned a promise, but recording goes on when the function returns; await outside it, and wrap the synchronous parts',
    );
  }
  return out;
}

/** Makes a tensor that is no leaf keep its gradient in `.grad` (`torch.Tensor.retain_grad`). */
export function retainGrad(x: Tensor): void {
  checkTensor('retainGrad', x);
  if (!x.tape) throw new UnsupportedError('retainGrad: the tensor requires no gradient; nothing will flow to it');
  x.tape.leaf ??= { grad: null };
}

/** Calls a function with the gradient of a tensor whenever a pass reaches it; what it returns replaces the gradient. Gives a function that removes it. */
export function registerHook(x: Tensor, hook: Hook): () => void {
  checkTensor('registerHook', x);
  checkFunction('registerHook', hook);
  const tape = x.tape;
  if (!tape) throw new UnsupportedError('registerHook: the tensor requires no gradient; nothing will flow to it');
  tape.hooks ??= [];
  const { hooks } = tape;
  hooks.push(hook);
  return () => {
    hooks.splice(hooks.indexOf(hook), 1);
  };
}
