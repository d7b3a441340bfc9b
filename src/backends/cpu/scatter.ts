import type { DType } from '../../core/dtype.ts';
import { contiguousStrides, type Shape, sizeOf } from '../../core/shape.ts';
import { load, rewrite } from '../../ir/expr.ts';
import type { LoopKernel, ScatterKernel, ScatterOp } from '../../ir/kernel.ts';
import { FunctionBuilder, I32, op } from './assembler.ts';
import type { Heap } from './heap.ts';
import { LoopProgram, type Modules, type Run, type Runnable, scalarBits } from './program.ts';
import { COMBINE, IDENTITY } from './reductions.ts';
import { instructions } from './simd.ts';
import { STATUS } from './values.ts';
import { directAccess, forEachOffset } from './walk.ts';

/** Bytes of the sums of lines that are walked together. */
const TOGETHER = 1 << 17;
const MOST_LINES = 16;
const FEWEST_LINES = 8;
/** At the start of the scratch, a word that says whether a place was out of range. */
const MISS_BYTES = 64;

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
  private readonly combine: Run;
  private readonly write: Run;
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
    const { dtype } = inputs[1]!;
    const { expr } = kernel.outputs[0];
    if (expr.op !== 'result' || expr.value !== 0) {
      const made = epilogueOf(kernel, shape);
      this.epilogue = new LoopProgram(modules, made.kernel);
      if (made.hits) this.hitBytes = Math.ceil(sizeOf(shape) / 16) * 64;
    }
    const run = modules.shared(`scatter ${kernel.reduce} ${dtype} ${this.hitBytes > 0}`, () => [
      emitCombine(kernel.reduce, dtype, this.hitBytes > 0),
      emitWrite(dtype),
    ]);
    this.combine = run.combine!;
    this.write = run.write!;
    this.scratch = MISS_BYTES + this.hitBytes + Math.max(8 * targets * this.width, this.epilogue?.scratch ?? 0);
  }

  launch(heap: Heap, addresses: readonly number[], scalars: readonly number[], scratch: number): void {
    const { kernel, places, elements, output, across, width } = this;
    const { targets, reduce, check, inputs, outputs } = kernel;
    const { dtype } = inputs[1]!;
    const length = kernel.space.at(-1)!;
    const hits = scratch + MISS_BYTES;
    const work = hits + this.hitBytes;
    const Sums = dtype === 'float32' ? Float64Array : dtype === 'int32' ? Int32Array : Uint32Array;
    const sums = new Sums(heap.memory.buffer, work, targets * width);
    const start = reduce === 'last' ? 0 : IDENTITY[reduce](dtype);
    const base = (walk: Walk, binding: number): number => addresses[binding]! + 4 * walk.offset;
    const placeBase = base(places, inputs[0]!.binding);
    const elementBase = base(elements, inputs[1]!.binding);
    const outBase = base(output, outputs[0].binding);
    const rowBytes = sums.BYTES_PER_ELEMENT * width;
    heap.u32.fill(0, scratch / 4, work / 4);
    forEachOffset(this.outer, [places.outer, elements.outer, output.outer], ([p, e, o]) => {
      for (let from = 0; from < across; from += width) {
        const lines = Math.min(width, across - from);
        const place = placeBase + 4 * (p! + from * places.across);
        const element = elementBase + 4 * (e! + from * elements.across);
        const out = 4 * (o! + from * output.across);
        sums.fill(start);
        if (length > 0)
          this.combine(
            place,
            element,
            work,
            targets,
            lines,
            length,
            4 * places.across,
            4 * places.along,
            4 * elements.across,
            4 * elements.along,
            rowBytes,
            hits + out,
            4 * output.across,
            scratch,
          );
        if (targets > 0) this.write(outBase + out, work, targets, lines, 4 * output.across, rowBytes);
      }
    });
    if (heap.i32[scratch / 4] !== 0 && check !== null)
      heap.i32[STATUS / 4] = scalarBits(scalars[check]!, kernel.scalars[check]!);
    this.epilogue?.launch(heap, [...addresses, hits], scalars, work);
  }
}

function copyOf(f: FunctionBuilder, from: number, to: number): void {
  f.get(from);
  f.set(to);
}

function step(f: FunctionBuilder, pointer: number, by: number): void {
  f.get(pointer, by);
  f.op(op.i32Add);
  f.set(pointer);
}

const WIDE = { sum: op.f64x2Add, prod: op.f64x2Mul, max: op.f64x2Max, min: op.f64x2Min };

/** Combines the elements of some lines into `sums`, [targets, lines] with a stride; puts 1 where `miss` says if a place is out of range. */
function emitCombine(reduce: ScatterOp, dtype: DType, hits: boolean): FunctionBuilder {
  const f = new FunctionBuilder('combine', 14);
  const [places, elements, sums, targets, lines, length] = [0, 1, 2, 3, 4, 5];
  const [placeAcross, placeAlong, elementAcross, elementAlong, sumAlong, hit, hitAcross, miss] = [
    6, 7, 8, 9, 10, 11, 12, 13,
  ];
  const [place, element, sum, mark, left, target, at] = Array.from({ length: 7 }, () => f.local(I32)) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const float = dtype === 'float32';
  f.repeat(length, () => {
    copyOf(f, places, place);
    copyOf(f, elements, element);
    copyOf(f, sums, sum);
    copyOf(f, hit, mark);
    copyOf(f, lines, left);
    f.repeat(left, () => {
      f.get(place);
      f.memory(op.i32Load);
      f.tee(target);
      f.get(targets);
      f.op(op.i32LtU);
      f.when(
        () => {
          if (hits) {
            f.get(mark);
            f.with(target, 2, op.i32Shl);
            f.op(op.i32Add);
            f.i32(1);
            f.memory(op.i32Store);
          }
          f.get(sum, target, sumAlong);
          f.op(op.i32Mul, op.i32Add);
          f.tee(at);
          if (reduce !== 'last') {
            f.get(at);
            f.memory(float ? op.load64Zero : op.load32Zero);
          }
          f.get(element);
          f.memory(op.load32Zero);
          if (float) f.op(op.f64x2PromoteLow);
          if (reduce !== 'last') f.op(...(float ? [WIDE[reduce]] : instructions(COMBINE[reduce], dtype)));
          f.memoryLane(float ? op.store64Lane : op.store32Lane, 0);
        },
        () => {
          f.get(miss);
          f.i32(1);
          f.memory(op.i32Store);
        },
      );
      step(f, place, placeAcross);
      step(f, element, elementAcross);
      f.bump(sum, float ? 8 : 4);
      step(f, mark, hitAcross);
    });
    step(f, places, placeAlong);
    step(f, elements, elementAlong);
  });
  return f;
}

/** Writes `sums`, [targets, lines] with a stride, to lines that lie a stride apart. */
function emitWrite(dtype: DType): FunctionBuilder {
  const f = new FunctionBuilder('write', 6);
  const [out, sums, targets, lines, outAcross, sumAlong] = [0, 1, 2, 3, 4, 5];
  const [to, sum, left] = [f.local(I32), f.local(I32), f.local(I32)];
  const float = dtype === 'float32';
  f.repeat(targets, () => {
    copyOf(f, out, to);
    copyOf(f, sums, sum);
    copyOf(f, lines, left);
    f.repeat(left, () => {
      f.get(to, sum);
      f.memory(float ? op.load64Zero : op.load32Zero);
      if (float) f.op(op.f32x4DemoteF64x2);
      f.memoryLane(op.store32Lane, 0);
      step(f, to, outAcross);
      f.bump(sum, float ? 8 : 4);
    });
    f.bump(out, 4);
    step(f, sums, sumAlong);
  });
  return f;
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
