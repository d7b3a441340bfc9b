import { isThenable, type Synchronous } from '../core/check.ts';
import { UnsupportedError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import { onesLike, zerosLike } from '../ops/creation.ts';
import { add } from '../ops/elementwise.ts';
import { checkFunction, checkOptions, checkTensor, describe } from '../ops/record.ts';
import { contiguous } from '../ops/structure.ts';
import { internal, keep } from '../tensor/scope.ts';
import { type Hook, type Leaf, withGrad } from '../tensor/tape.ts';
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
  return new Tensor(g.device, new Cell(source.node), source.view, recorded ? source.tape : null);
}

/** Adds a gradient to what a leaf has. */
function deposit(leaf: Leaf, g: Tensor, recorded: boolean): void {
  const before = leaf.grad;
  leaf.grad = keep(own(before ? add(before, g) : g, recorded));
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
  checkOptions('backward', options, ['gradient'], ['retainGraph', 'createGraph']);
  const { createGraph = false, retainGraph = createGraph } = options;
  internal('backward', () => {
    const seed = seedOf('backward', output, options.gradient, onesLike);
    // After the whole pass, so that one that fails deposits nothing.
    const gradients = reverse([seed], { retainGraph, createGraph });
    withGrad(createGraph, () => {
      for (const [tape, g] of gradients) if (tape.leaf) deposit(tape.leaf, g, createGraph);
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
    const seeds = outputs.map((y, i): Seed => seedOf(op, y, options.gradOutputs?.[i], onesLike));
    const targets = new Set(inputs.flatMap((x) => x.tape ?? []));
    const found = reverse(seeds, { retainGraph, createGraph, targets });
    // Each input gets a handle of its own, also where two are the same tensor.
    return withGrad(createGraph, () =>
      inputs.map((x) => {
        const g = x.tape && found.get(x.tape);
        return g ? own(g, createGraph) : null;
      }),
    );
  });
}

/** @internal `grad` of tensors. */
export function gradOf(outputs: readonly Tensor[], inputs: readonly Tensor[], options: GradOptions): Tensor[] {
  checkOptions('grad', options, ['gradOutputs'], ['retainGraph', 'createGraph', 'allowUnused']);
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
      return g ?? zerosLike(x);
    });
  });
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

/**
 * Makes a tensor that is no leaf keep its gradient in `.grad`, as it is after all hooks (`torch.Tensor.retain_grad`).
 *
 * @throws UnsupportedError when the tensor requires no gradient.
 */
export function retainGrad(x: Tensor): void {
  checkTensor('retainGrad', x);
  if (!x.tape) throw new UnsupportedError('retainGrad: the tensor requires no gradient; nothing will flow to it');
  x.tape.leaf ??= { grad: null };
}

/**
 * Calls a function with the gradient of a tensor whenever a pass reaches it, once, with the sum over all paths; what it returns
 * replaces the gradient (`torch.Tensor.register_hook`). Hooks run in the order in which they were registered, before the gradient
 * gets to `.grad`. The gradient it is given lives until the end of the pass, unless the hook calls `keep` on it. Gives a function
 * that removes the hook.
 *
 * @throws UnsupportedError when the tensor requires no gradient, or, in the pass, when the hook returns something else than a tensor.
 * @throws ShapeError in the pass, when the hook returns a tensor of another shape, dtype or device.
 * @example
 * ```ts
 * const w = tl.tensor([1, 2], { requiresGrad: true });
 * const remove = w.registerHook((g) => g.clamp({ min: -1, max: 1 }));
 * w.square().sum().backward(); // w.grad is [1, 1]
 * remove();
 * ```
 */
export function registerHook(x: Tensor, hook: Hook): () => void {
  checkTensor('registerHook', x);
  checkFunction('registerHook', hook);
  const tape = x.tape;
  if (!tape) throw new UnsupportedError('registerHook: the tensor requires no gradient; nothing will flow to it');
  tape.hooks ??= [];
  const { hooks } = tape;
  // A function of its own, for the same hook may be registered twice.
  const own: Hook = (g) => hook(g);
  hooks.push(own);
  return () => {
    const at = hooks.indexOf(own);
    if (at >= 0) hooks.splice(at, 1);
  };
}
