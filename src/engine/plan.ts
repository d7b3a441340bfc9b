import type { Backend, Program } from '../backends/backend.ts';
import { ELEMENT_BYTES } from '../core/dtype.ts';
import { type Kernel, type Output, showKernel } from '../ir/kernel.ts';
import { type External, type FusedKernel, fuse, type Pending, type ScalarSource } from './fusion.ts';

/** A place of a plan's values: a node of the flush (>= 0) or an external (~ordinal). */
export type Value = number;

/** One launch and what happens to memory around it. */
export interface Step {
  readonly program: Program;
  /** The value that each binding holds. */
  readonly values: readonly Value[];
  readonly scalars: readonly ScalarSource[];
  readonly label: string;
  /** Nodes that get a buffer before the launch. */
  readonly allocate: readonly number[];
  /** Buffers that pass from a dying value to the node that overwrites it. */
  readonly donate: readonly { readonly from: Value; readonly to: number }[];
  /** Nodes whose buffer goes back after the launch. */
  readonly release: readonly number[];
}

/** How to run a flush of a given structure: data, without nodes or buffers. */
export interface Plan {
  readonly steps: readonly Step[];
  /** Ids of the buffers that nodes and uploads had in the last run, to ask for again. */
  readonly had: Map<Value, number>;
}

/** The input whose buffer an output may take over: one that dies here and is read only where the output writes. */
function donor(kernel: Kernel, output: Output, size: number, fits: (binding: number) => boolean): number | null {
  if (kernel.kind !== 'map' || output.level !== 'element') return null;
  const candidates = new Set(kernel.inputs.map((i) => i.binding));
  for (const binding of candidates) {
    if (!fits(binding)) continue;
    const own = kernel.inputs.every(
      ({ binding: b, access }) =>
        b !== binding ||
        (access.mode === 'direct' &&
          access.offset === output.offset &&
          access.strides.every((s, d) => s === output.strides[d])),
    );
    if (own && size > 0) return binding;
  }
  return null;
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
  return { kernel: { ...kernel, inputs, outputs, bindings: kept.length }, values: kept.map((b) => values[b]!) };
}

/** Plans kernels and memory for a flush. */
export function makePlan(
  pending: readonly Pending[],
  sizes: readonly number[],
  externals: readonly External[],
  backend: Backend,
  fusion: boolean,
): Plan {
  const fused = fuse(pending, externals, backend.limits, fusion);
  const lastUse = new Map<Value, number>();
  const produced = new Set<Value>();
  fused.forEach((f, i) => {
    for (const v of f.values) lastUse.set(v, i);
    for (const o of f.kernel.outputs) produced.add(f.values[o.binding]!);
  });
  const dies = (v: Value, i: number): boolean =>
    lastUse.get(v) === i && (v < 0 ? externals[~v]!.dying : !pending[v]!.live);
  const sizeOfValue = (v: Value): number => (v < 0 ? externals[~v]!.size : sizes[v]!);
  const steps = fused.map((f: FusedKernel, i): Step => {
    const taken = new Map<number, number>();
    const donate: { from: Value; to: number }[] = [];
    const allocate: number[] = [];
    const outputs = new Set(f.kernel.outputs.map((o) => o.binding));
    for (const o of f.kernel.outputs) {
      const to = f.values[o.binding]!;
      const free = (b: number): boolean =>
        !outputs.has(b) &&
        dies(f.values[b]!, i) &&
        sizeOfValue(f.values[b]!) === sizeOfValue(to) &&
        ![...taken.values()].includes(b);
      const b = fusion ? donor(f.kernel, o, sizeOfValue(to), free) : null;
      if (b === null) allocate.push(to);
      else {
        taken.set(o.binding, b);
        donate.push({ from: f.values[b]!, to });
      }
    }
    const { kernel, values } = rebind(f.kernel, f.values, taken);
    // A binding that was taken over belongs to its new node from here on.
    const given = new Set(donate.map((d) => d.from));
    const release = f.values.filter((v) => v >= 0 && dies(v, i) && !given.has(v));
    return { program: backend.prepare(kernel), values, scalars: f.scalars, label: f.label, allocate, donate, release };
  });
  return { steps, had: new Map() };
}

const megabytes = (bytes: number): string =>
  bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

/** The plan for people: a line a kernel, with what was fused into it and what it writes. */
export function showPlan(plan: Plan, sizes: readonly number[]): string {
  const lines = plan.steps.map((s, i) => {
    const written = [...s.allocate, ...s.donate.map((d) => d.to)].reduce(
      (sum, v) => sum + sizes[v]! * ELEMENT_BYTES,
      0,
    );
    const inPlace = s.donate.length > 0 ? `, ${s.donate.length} in place` : '';
    return `${String(i + 1).padStart(3)}. ${s.label}: writes ${megabytes(written)}${inPlace}\n     ${showKernel(s.program.kernel)}`;
  });
  const temporary = plan.steps.reduce((sum, s) => sum + s.allocate.length, 0);
  return [`${plan.steps.length} kernels, ${temporary} buffers allocated`, ...lines].join('\n');
}
