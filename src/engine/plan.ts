import type { Backend, Program } from '../backends/backend.ts';
import { bytesOf, type DType, widthOf } from '../core/dtype.ts';
import { type Expr, walk } from '../ir/expr.ts';
import { isLoop, type Kernel, type Output, showKernel } from '../ir/kernel.ts';
import { inLanes } from '../ir/lanes.ts';
import { type External, type FusedKernel, fuse, type Pending, type ScalarSource } from './fusion.ts';

/** A place of a plan's values: a node of the flush (>= 0) or an external (~ordinal). */
export type Value = number;

/** One launch. */
export interface Step {
  readonly program: Program;
  /** Where each binding's buffer comes from: a slot of the plan (>= 0) or an external (~ordinal). */
  readonly places: readonly number[];
  readonly scalars: readonly ScalarSource[];
  readonly label: string;
  /** The nodes it computes and keeps in memory. */
  readonly writes: readonly number[];
}

/** How to run a flush of a given structure: data, without nodes or buffers. */
export interface Plan {
  readonly steps: readonly Step[];
  /** Bytes of the buffers that a run takes from the pool. Values that are not needed at the same time share one. */
  readonly slots: readonly number[];
  /** The bytes of values that have to exist at the same time, at most; slots can't be fewer. */
  readonly bytesNeeded: number;
  /** Live nodes, and the place whose buffer each has after the run: a slot, or the dying external it overwrote. */
  readonly results: readonly { readonly node: number; readonly place: number }[];
  /** Ids of the buffers that slots and uploads had in the last run, to ask for again. */
  readonly had: Map<number, number>;
}

/**
 * The bytes of a plan's slots while its kernels run one after the other: best fit, smallest waste. Where none fits, the largest of the
 * free ones grows: its memory is made after all that it is for is known.
 */
class Slots {
  readonly bytes: number[] = [];
  /** The most that was in use at one time, without what slots have to spare. */
  most = 0;
  private readonly free: number[] = [];
  private readonly used: number[] = [];
  private inUse = 0;

  /** `stays`: it lives on after the run, and is to hold no more than it needs. */
  take(bytes: number, stays: boolean): number {
    const slot = this.find(bytes, stays ? bytes : 2 * bytes + 256);
    this.used[slot] = bytes;
    this.inUse += bytes;
    this.most = Math.max(this.most, this.inUse);
    return slot;
  }

  private find(bytes: number, most: number): number {
    let best = -1;
    let largest = -1;
    for (const slot of this.free) {
      const size = this.bytes[slot]!;
      if (size >= bytes && size <= most && (best < 0 || size < this.bytes[best]!)) best = slot;
      if (size < bytes && (largest < 0 || size > this.bytes[largest]!)) largest = slot;
    }
    const slot = best >= 0 ? best : largest;
    if (slot < 0) return this.bytes.push(bytes) - 1;
    this.free.splice(this.free.indexOf(slot), 1);
    this.bytes[slot] = Math.max(this.bytes[slot]!, bytes);
    return slot;
  }

  give(slot: number): void {
    this.inUse -= this.used[slot]!;
    this.free.push(slot);
  }
}

/** The input whose buffer an output may take over: one that dies here and is read only where the output writes. */
function donor(kernel: Kernel, output: Output, candidates: readonly number[]): number | null {
  if (kernel.kind !== 'matmul' && !isLoop(kernel)) return null;
  const operands = kernel.kind === 'matmul' ? 2 : 0;
  const rows = isLoop(kernel) && kernel.inner > 0;
  if (rows && output.level === 'element') return null;
  // While a row is computed, some of its threads may have written already what others still read.
  const early = rows ? loadsOf([...kernel.reductions, ...kernel.outputs.filter((o) => o.level === 'element')]) : null;
  for (const binding of candidates) {
    const own = kernel.inputs.every(
      ({ binding: b, access }, i) =>
        b !== binding ||
        (i >= operands &&
          access.mode === 'direct' &&
          access.offset === output.offset &&
          access.strides.every((s, d) => s === (output.strides[d] ?? 0)) &&
          !early?.has(i)),
    );
    if (own) return binding;
  }
  return null;
}

/** The inputs that expressions load. */
function loadsOf(of: readonly { readonly expr: Expr }[]): Set<number> {
  const found = new Set<number>();
  walk(
    of.map(({ expr }) => expr),
    (e) => {
      if (e.op === 'load' || e.op === 'loadAt') found.add(e.value);
    },
  );
  return found;
}

/** Renumbers bindings after outputs took over their donors'. */
function rebind(
  kernel: Kernel,
  values: readonly Value[],
  taken: ReadonlyMap<number, number>,
): { kernel: Kernel; values: Value[] } {
  const kept = values.map((_, b) => b).filter((b) => !taken.has(b));
  const place = new Map(kept.map((b, i) => [b, i]));
  const inputs = kernel.inputs.map((i) => ({ ...i, binding: place.get(i.binding)! }));
  const outputs = kernel.outputs.map((o) => ({ ...o, binding: place.get(taken.get(o.binding) ?? o.binding)! }));
  return {
    kernel: { ...kernel, inputs, outputs, bindings: kept.length } as Kernel,
    values: kept.map((b) => values[b]!),
  };
}

/** Plans kernels and memory for a flush. */
export function makePlan(
  pending: readonly Pending[],
  sizes: readonly number[],
  externals: readonly External[],
  backend: Backend,
  fusion: boolean,
): Plan {
  const { bindings } = backend.limits;
  const kept = new Set<number>();
  const attempt = (): Draft =>
    draft(fuse(pending, externals, { bindings, kept }, fusion), pending, sizes, externals, fusion);
  let made = attempt();
  for (let again = fusion; again; ) {
    const before = kept.size;
    for (const { kernel, places } of made.steps) {
      if (kernel.bindings <= bindings) continue;
      const written = new Set(kernel.outputs.map((o) => o.binding));
      for (const [b, place] of places.entries()) if (place < 0 && !written.has(b)) kept.add(place);
    }
    again = kept.size > before;
    if (again) made = attempt();
  }
  const steps = made.steps.map(({ kernel, ...step }): Step => {
    const cut = fusion && kernel.kind === 'map' ? inLanes(kernel) : kernel;
    return { program: backend.prepare(cut), ...step };
  });
  return { ...made, steps, had: new Map() };
}

/** A plan whose kernels are not prepared yet. */
interface Draft extends Omit<Plan, 'steps' | 'had'> {
  readonly steps: readonly (Omit<Step, 'program'> & { readonly kernel: Kernel })[];
}

/** Gives every value a place, and orders what happens to memory. */
function draft(
  fused: readonly FusedKernel[],
  pending: readonly Pending[],
  sizes: readonly number[],
  externals: readonly External[],
  fusion: boolean,
): Draft {
  const lastUse = new Map<Value, number>();
  fused.forEach((f, i) => {
    for (const v of f.values) lastUse.set(v, i);
  });
  const dies = (v: Value, i: number): boolean =>
    lastUse.get(v) === i && (v < 0 ? externals[~v]!.dying : !pending[v]!.live);
  const sizeOfValue = (v: Value): number => (v < 0 ? externals[~v]!.size : sizes[v]!);
  const dtypeOf = (v: Value): DType => (v < 0 ? externals[~v]! : pending[v]!).dtype;
  const slots = new Slots();
  const place = new Map<Value, number>();
  const placeOf = (v: Value): number => place.get(v) ?? v;
  const steps = fused.map((f: FusedKernel, i) => {
    const taken = new Map<number, number>();
    const outputs = new Set(f.kernel.outputs.map((o) => o.binding));
    const writes = f.kernel.outputs.map((o) => f.values[o.binding]!);
    for (const o of f.kernel.outputs) {
      const to = f.values[o.binding]!;
      const free = (b: number): boolean =>
        !outputs.has(b) &&
        dies(f.values[b]!, i) &&
        sizeOfValue(to) > 0 &&
        sizeOfValue(f.values[b]!) === sizeOfValue(to) &&
        widthOf(dtypeOf(f.values[b]!)) === widthOf(dtypeOf(to)) &&
        ![...taken.values()].includes(b);
      // What comes from outside first: state that is updated keeps its buffer, and temporaries have slots anyway.
      const candidates = [...new Set(f.kernel.inputs.map((x) => x.binding))].filter(free);
      candidates.sort((x, y) => Number(f.values[x]! >= 0) - Number(f.values[y]! >= 0));
      const b = fusion ? donor(f.kernel, o, candidates) : null;
      if (b === null) place.set(to, slots.take(bytesOf(dtypeOf(to), sizeOfValue(to)), pending[to]!.live));
      else {
        taken.set(o.binding, b);
        place.set(to, placeOf(f.values[b]!));
      }
    }
    const { kernel, values } = rebind(f.kernel, f.values, taken);
    const given = new Set([...taken.values()].map((b) => f.values[b]!));
    for (const v of f.values) if (v >= 0 && dies(v, i) && !given.has(v) && placeOf(v) >= 0) slots.give(placeOf(v));
    return { kernel, places: values.map(placeOf), scalars: f.scalars, label: f.label, writes };
  });
  const results = pending.flatMap((p, node) => (p.live ? [{ node, place: placeOf(node) }] : []));
  return { steps, slots: slots.bytes, bytesNeeded: slots.most, results };
}

const megabytes = (bytes: number): string => {
  if (bytes < 1e3) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
};

/** The plan for people: a line a kernel, with what was fused into it and what it writes. */
export function showPlan(plan: Plan, sizes: readonly number[]): string {
  const lines = plan.steps.map((s, i) => {
    const { kernel } = s.program;
    const written = s.writes.reduce((sum, v, i) => sum + bytesOf(kernel.outputs[i]!.dtype, sizes[v]!), 0);
    const read = new Set(kernel.inputs.map((x) => x.binding));
    const inPlaces = kernel.outputs.filter((o) => read.has(o.binding)).length;
    const inPlace = inPlaces > 0 ? `, ${inPlaces} in place` : '';
    return `${String(i + 1).padStart(3)}. ${s.label}: writes ${megabytes(written)}${inPlace}\n     ${showKernel(s.program.kernel)}`;
  });
  const bytes = plan.slots.reduce((sum, b) => sum + b, 0);
  const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;
  return [
    `${count(plan.steps.length, 'kernel')}, ${count(plan.slots.length, 'buffer')} of ${megabytes(bytes)} in all, of which ` +
      `${megabytes(plan.bytesNeeded)} are needed at one time`,
    ...lines,
  ].join('\n');
}
