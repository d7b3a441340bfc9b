import { contiguousStrides, type Shape, sizeOf } from '../../core/shape.ts';
import { load, rewrite } from '../../ir/expr.ts';
import type { LoopKernel, ScatterKernel, ScatterOp } from '../../ir/kernel.ts';
import type { Heap } from './heap.ts';
import { LoopProgram, type Modules, type Runnable, scalarBits } from './program.ts';
import { IDENTITY } from './reductions.ts';
import { STATUS } from './values.ts';
import { directAccess, forEachOffset } from './walk.ts';

type Elements = Float64Array | Float32Array | Int32Array | Uint32Array;

/** Bytes of the sums of lines that are walked together. */
const TOGETHER = 1 << 17;
const MOST_LINES = 16;
const FEWEST_LINES = 8;

/** A direct input or the output over lines of which `across` many, a step apart, are walked together. */
interface Walk {
  readonly offset: number;
  /** Over the other dims of lines. */
  readonly outer: readonly number[];
  readonly across: number;
  /** Along the line. */
  readonly along: number;
}

/**
 * Elements are combined in scratch, for as many lines at a time as lie side by side, floats in float64; then they go to the
 * output, where a map over it applies the output's expression in place.
 */
export class ScatterProgram implements Runnable {
  readonly scratch: number;
  private readonly places: Walk;
  private readonly elements: Walk;
  private readonly output: Walk;
  private readonly outer: Shape;
  private readonly across: number;
  /** Lines that are walked together at most. */
  private readonly width: number;
  private readonly epilogue: LoopProgram | null = null;
  /** Bytes of scratch that say what was hit, where the expression asks. */
  private readonly hitBytes: number = 0;

  constructor(
    modules: Modules,
    private readonly kernel: ScatterKernel,
  ) {
    const { space, inputs, targets } = kernel;
    const last = space.length - 1;
    const [places, elements] = [directAccess(inputs[0]!), directAccess(inputs[1]!)];
    const far = (d: number): number =>
      Math.min(Math.abs(places.strides[d]!), 16) + Math.min(Math.abs(elements.strides[d]!), 16);
    let nearest = last;
    for (let d = 0; d < last; d++) if (space[d]! > 1 && far(d) < far(nearest)) nearest = d;
    const walk = (strides: readonly number[], offset: number): Walk => ({
      offset,
      outer: strides.filter((_, d) => d !== nearest && d !== last),
      across: nearest === last ? 0 : strides[nearest]!,
      along: strides[last]!,
    });
    this.places = walk(places.strides, places.offset);
    this.elements = walk(elements.strides, elements.offset);
    const shape = [...space.slice(0, -1), targets];
    this.output = walk(contiguousStrides(shape), 0);
    this.outer = space.filter((_, d) => d !== nearest && d !== last);
    this.across = nearest === last ? 1 : space[nearest]!;
    this.width = Math.min(
      this.across,
      Math.max(FEWEST_LINES, Math.min(MOST_LINES, Math.floor(TOGETHER / 8 / targets))),
    );
    const { expr } = kernel.outputs[0];
    if (expr.op !== 'result' || expr.value !== 0) {
      const made = epilogueOf(kernel, shape);
      this.epilogue = new LoopProgram(modules, made.kernel);
      if (made.hits) this.hitBytes = Math.ceil(sizeOf(shape) / 16) * 64;
    }
    this.scratch = this.hitBytes + Math.max(8 * targets * this.width, this.epilogue?.scratch ?? 0);
  }

  launch(heap: Heap, addresses: readonly number[], scalars: readonly number[], scratch: number): void {
    const { kernel, places, elements, output, across, width, hitBytes } = this;
    const { targets, reduce, check, inputs, outputs } = kernel;
    const { dtype } = inputs[1]!;
    const length = kernel.space.at(-1)!;
    const work = scratch + hitBytes;
    const view = dtype === 'float32' ? heap.f32 : dtype === 'int32' ? heap.i32 : heap.u32;
    const Sums = dtype === 'float32' ? Float64Array : dtype === 'int32' ? Int32Array : Uint32Array;
    const sums = new Sums(heap.memory.buffer, work, targets * width);
    // Bools follow the numbers 0 and 1.
    const join = dtype !== 'bool' ? reduce : reduce === 'sum' ? 'max' : reduce === 'prod' ? 'min' : reduce;
    const start = reduce === 'last' ? 0 : IDENTITY[reduce](dtype);
    const base = (walk: Walk, binding: number): number => addresses[binding]! / 4 + walk.offset;
    const placeBase = base(places, inputs[0]!.binding);
    const elementBase = base(elements, inputs[1]!.binding);
    const outBase = base(output, outputs[0].binding);
    const hits = hitBytes > 0 ? heap.u32 : null;
    hits?.fill(0, scratch / 4, work / 4);
    let inside = true;
    forEachOffset(this.outer, [places.outer, elements.outer, output.outer], ([p, e, o]) => {
      for (let from = 0; from < across; from += width) {
        const lines = Math.min(width, across - from);
        const to = o! + from * output.across;
        sums.fill(start);
        const all = combine(join, sums, width, view, heap.i32, hits, {
          targets,
          lines,
          length,
          place: placeBase + p! + from * places.across,
          places,
          element: elementBase + e! + from * elements.across,
          elements,
          hit: scratch / 4 + to,
          step: output.across,
        });
        inside &&= all;
        copy(view, outBase + to, output.across, sums, width, targets, lines);
      }
    });
    if (!inside && check !== null) heap.i32[STATUS / 4] = scalarBits(scalars[check]!, kernel.scalars[check]!);
    this.epilogue?.launch(heap, [...addresses, scratch], scalars, work);
  }
}

interface Lines {
  readonly targets: number;
  readonly lines: number;
  readonly length: number;
  /** Element of the first place, of the first element, and of the first hit, with its step from line to line. */
  readonly place: number;
  readonly places: Walk;
  readonly element: number;
  readonly elements: Walk;
  readonly hit: number;
  readonly step: number;
}

/** Combines the elements of some lines into `sums`, [targets, width]; says whether all places were in range. */
function combine(
  join: ScatterOp,
  sums: Elements,
  width: number,
  values: Elements,
  index: Int32Array,
  hits: Uint32Array | null,
  { targets, lines, length, place, places, element, elements, hit, step }: Lines,
): boolean {
  const [placeAcross, placeAlong, elementAcross, elementAlong] = [
    places.across,
    places.along,
    elements.across,
    elements.along,
  ];
  let inside = true;
  for (let k = 0; k < length; k++) {
    for (let line = 0; line < lines; line++) {
      const target = index[place + k * placeAlong + line * placeAcross]!;
      if (target < 0 || target >= targets) {
        inside = false;
        continue;
      }
      const x = values[element + k * elementAlong + line * elementAcross]!;
      const to = target * width + line;
      const sum = sums[to]!;
      if (hits) hits[hit + line * step + target] = 1;
      switch (join) {
        case 'sum':
          sums[to] = sum + x;
          break;
        case 'last':
          sums[to] = x;
          break;
        case 'max':
          if (x > sum || x !== x) sums[to] = x;
          break;
        case 'min':
          if (x < sum || x !== x) sums[to] = x;
          break;
        default:
          sums[to] = sums instanceof Float64Array ? sum * x : Math.imul(sum, x);
      }
    }
  }
  return inside;
}

/** Writes `sums`, [targets, width], to lines that lie `step` apart. */
function copy(
  out: Elements,
  to: number,
  step: number,
  sums: Elements,
  width: number,
  targets: number,
  lines: number,
): void {
  for (let target = 0; target < targets; target++)
    for (let line = 0; line < lines; line++) out[to + line * step + target] = sums[target * width + line]!;
}

/** The output's expression as a map over the output itself, with what was hit as one more binding. */
function epilogueOf(kernel: ScatterKernel, space: Shape): { readonly kernel: LoopKernel; readonly hits: boolean } {
  const { inputs, outputs, bindings, scalars } = kernel;
  const [output] = outputs;
  const strides = contiguousStrides(space);
  const access = { mode: 'direct', strides, offset: 0 } as const;
  let hits = false;
  const [expr] = rewrite([output.expr], (e) => {
    if (e.op !== 'result') return undefined;
    hits ||= e.value === 1;
    return load(inputs.length + e.value, e.dtype);
  });
  return {
    kernel: {
      kind: 'map',
      space,
      inner: 0,
      inputs: [
        ...inputs,
        { dtype: inputs[1]!.dtype, access, binding: output.binding },
        { dtype: 'bool', access, binding: bindings },
      ],
      reductions: [],
      outputs: [{ ...output, expr: expr!, strides }],
      scalars,
      bindings: bindings + 1,
    },
    hits,
  };
}
