import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { sameShape, showShape } from '../core/shape.ts';
import { during } from '../engine/origin.ts';
import { add, cast } from '../ops/elementwise.ts';
import { checkTensor, compose, describe, recordedAs } from '../ops/record.ts';
import { sumTo } from '../ops/structure.ts';
import type { Device } from '../tensor/device.ts';
import { type GradientContext, type Saved, type TapeNode, withGrad } from '../tensor/tape.ts';
import { Cell, Tensor } from '../tensor/tensor.ts';

/** Where a reverse pass starts: a place on the tape and the gradient there. */
export interface Seed {
  readonly tape: TapeNode;
  readonly gradient: Tensor;
}

export interface ReverseOptions {
  /** Keep what the tape saved, for another pass. */
  readonly retainGraph: boolean;
  /** Record the pass itself, for gradients of gradients. */
  readonly createGraph: boolean;
  /** Go only where these can be reached; all leaves otherwise. */
  readonly targets?: ReadonlySet<TapeNode>;
}

const restore = (device: Device, saved: Saved, tape: TapeNode | null): Tensor =>
  new Tensor(device, new Cell(saved.node), saved.view, tape);

/** float16 as float32: what a rule computes from is rounded once, when it is done. */
const widened = (x: Tensor): Tensor => (x.dtype === 'float16' ? cast(x, 'float32') : x);

function contextOf(tape: TapeNode, device: Device, needs: readonly boolean[]): GradientContext {
  const kept = tape.inputs.map((_, i) => tape.savedInput(i));
  const result = tape.savedOutput();
  const { widens } = tape;
  const value = (saved: Saved, at: TapeNode | null): Tensor => {
    const x = restore(device, saved, at);
    return widens ? widened(x) : x;
  };
  const inputs = tape.inputs.map((info, i) => {
    const saved = kept[i];
    return saved ? value(saved, saved.tape) : (info.scalar as unknown as Tensor);
  });
  const output = result ? value(result, tape) : (undefined as unknown as Tensor);
  return { inputs, output, needs, shapes: tape.inputs.map((x) => x.shape), dtypes: tape.inputs.map((x) => x.dtype) };
}

/** The places that a pass visits, latest first. */
function order(
  seeds: readonly Seed[],
  targets: ReadonlySet<TapeNode> | undefined,
): { visit: TapeNode[]; leads: (t: TapeNode) => boolean } {
  const reached = new Set<TapeNode>();
  const stack = seeds.map((s) => s.tape);
  while (stack.length > 0) {
    const tape = stack.pop()!;
    if (reached.has(tape)) continue;
    reached.add(tape);
    for (const p of tape.parents) if (p) stack.push(p);
  }
  // Parents have smaller ids, so this is a topological order.
  const sorted = [...reached].sort((a, b) => b.id - a.id);
  if (!targets) return { visit: sorted, leads: () => true };
  const leading = new Set<TapeNode>();
  for (const tape of [...sorted].reverse())
    if (targets.has(tape) || tape.parents.some((p) => p && leading.has(p))) leading.add(tape);
  return { visit: sorted.filter((t) => leading.has(t)), leads: (t) => leading.has(t) };
}

/** The gradient after the hooks of its place. */
function hooked(tape: TapeNode, gradient: Tensor): Tensor {
  let g = gradient;
  // A hook may remove itself.
  for (const hook of tape.hooks ? [...tape.hooks] : []) {
    const next = hook(g) ?? g;
    if (!(next instanceof Tensor))
      throw new UnsupportedError(
        `registerHook: the hook returned ${describe(next)}; it returns a tensor to go on with, or nothing`,
      );
    next.alive('registerHook');
    if (!sameShape(next.shape, g.shape) || next.dtype !== g.dtype || next.device !== g.device)
      throw new ShapeError(
        `registerHook: the hook returned ${next} for a gradient of shape ${showShape(g.shape)} and dtype ${g.dtype} on ${g.device}; they must be alike`,
      );
    g = next;
  }
  return g;
}

/**
 * The reverse pass: takes places off the tape, latest first, applies each one's rule to its gradient and adds the results to its
 * parents'. Gives the gradient of every leaf, target or retaining place. Broadcasting is undone here, once.
 */
export function reverse(seeds: readonly Seed[], options: ReverseOptions): Map<TapeNode, Tensor> {
  const { visit, leads } = order(seeds, options.targets);
  const used = visit.find((t) => !t.isLeaf && !t.usable && t.parents.some((p) => p !== null && leads(p)));
  if (used)
    throw new UnsupportedError(
      `backward: the graph through ${used.label} was used before and has let go of what it saved; pass { retainGraph: true } to the first pass`,
    );
  const gradients = new Map<TapeNode, Tensor>();
  const accumulate = (tape: TapeNode, g: Tensor): void => {
    const known = gradients.get(tape);
    const sum = known ? add(known, g) : g;
    sum.node.watched = true;
    gradients.set(tape, sum);
  };
  const arrived = withGrad(options.createGraph, () =>
    compose('backward', () => {
      const found = new Map<TapeNode, Tensor>();
      for (const { tape, gradient } of seeds) if (leads(tape)) accumulate(tape, gradient);
      for (const tape of visit) {
        const sum = gradients.get(tape);
        if (!sum) continue;
        gradients.delete(tape);
        const g = hooked(tape, sum);
        if (tape.leaf || options.targets?.has(tape)) found.set(tape, g);
        if (!tape.rule) continue;
        const needs = tape.parents.map((p) => p !== null && leads(p));
        if (!needs.includes(true)) continue;
        const incoming = tape.widens ? widened(g) : g;
        const { rule, label, site } = tape;
        const propagate = (): void => {
          const out = rule(incoming, contextOf(tape, incoming.device, needs));
          tape.parents.forEach((parent, i) => {
            const gi = out[i];
            if (!parent || !gi || !needs[i]) return;
            const { shape, dtype } = tape.inputs[i]!;
            const back = sumTo(gi, shape);
            accumulate(parent, back.dtype === dtype ? back : cast(back, dtype));
          });
        };
        during(label, site, () => recordedAs(`${label} backward`, propagate));
      }
      return found;
    }),
  );
  if (!options.retainGraph) for (const tape of visit) tape.forget();
  return arrived;
}

/** Checks the gradient a user starts from, or makes the 1 of a scalar. */
export function seedOf(op: string, output: Tensor, gradient: Tensor | undefined, one: (like: Tensor) => Tensor): Seed {
  checkTensor(op, output);
  if (!output.tape)
    throw new UnsupportedError(
      `${op}: the tensor of shape ${showShape(output.shape)} depends on nothing that requires a gradient; set requiresGrad on a leaf before computing it`,
    );
  if (gradient !== undefined) {
    checkTensor(op, gradient);
    if (!sameShape(gradient.shape, output.shape))
      throw new UnsupportedError(
        `${op}: the gradient has shape ${showShape(gradient.shape)}, the output ${showShape(output.shape)}; they must be equal`,
      );
    return { tape: output.tape, gradient };
  }
  if (output.size !== 1)
    throw new UnsupportedError(
      `${op}: the output of shape ${showShape(output.shape)} is no scalar; reduce it with sum() or pass { gradient }`,
    );
  return { tape: output.tape, gradient: one(output) };
}
