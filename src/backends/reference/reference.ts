import { ARRAYS, type DType, isByte, isFloating } from '../../core/dtype.ts';
import { halfRound } from '../../core/float16.ts';
import { contiguousStrides, sizeOf } from '../../core/shape.ts';
import { factorisations } from '../../ir/dense.ts';
import { exactFunction } from '../../ir/exact.ts';
import { type Expr, walk } from '../../ir/expr.ts';
import {
  type CustomKernel,
  type DenseKernel,
  denseSize,
  type HostArray,
  type Input,
  type Kernel,
  type LoopKernel,
  type MatmulKernel,
  type Output,
  outerSpace,
  type ReduceOp,
  type ScanKernel,
  type ScatterKernel,
  type SortKernel,
} from '../../ir/kernel.ts';
import type {
  Backend,
  BackendLimits,
  Program as BackendProgram,
  Batch,
  Buffer,
  Launch,
  MemoryUse,
  Readback,
} from '../backend.ts';
import { HostClock } from '../clock.ts';

class ReferenceBuffer implements Buffer {
  constructor(
    readonly id: number,
    readonly bytes: number,
    readonly values: Float64Array,
  ) {}
}

const scratch = new DataView(new ArrayBuffer(4));
const toBits: Record<DType, (x: number) => void> = {
  float32: (x) => scratch.setFloat32(0, x),
  float16: noBits,
  int32: (x) => scratch.setInt32(0, x),
  uint32: (x) => scratch.setUint32(0, x),
  int8: noBits,
  uint8: noBits,
  bool: (x) => scratch.setUint32(0, x),
};
const fromBits: Record<DType, () => number> = {
  float32: () => scratch.getFloat32(0),
  float16: noBits,
  int32: () => scratch.getInt32(0),
  uint32: () => scratch.getUint32(0),
  int8: noBits,
  uint8: noBits,
  bool: () => scratch.getUint32(0),
};

function noBits(): never {
  throw new Error('only dtypes of 32 bits are reinterpreted');
}

const saturate = (x: number, low: number, high: number): number =>
  Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), low), high);

/** JavaScript's number for a value of the dtype: exact for integers, rounded to its floats unless computing in float64. */
export function rounding(dtype: DType, float64: boolean): (x: number) => number {
  if (isFloating(dtype)) return float64 ? (x) => x : dtype === 'float16' ? halfRound : Math.fround;
  if (dtype === 'int32' || isByte(dtype)) return (x) => x | 0;
  if (dtype === 'uint32') return (x) => x >>> 0;
  return (x) => (x !== 0 ? 1 : 0);
}

const maximum = (a: number, b: number): number => (a !== a || b !== b ? Number.NaN : a > b ? a : b);
const minimum = (a: number, b: number): number => (a !== a || b !== b ? Number.NaN : a < b ? a : b);

function roundHalfEven(x: number): number {
  const r = Math.round(x);
  return Math.abs(x % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r;
}

const IDENTITY: Record<ReduceOp, (dtype: DType) => number> = {
  sum: () => 0,
  prod: () => 1,
  max: (t) => (t === 'float32' ? -Infinity : t === 'int32' ? -(2 ** 31) : 0),
  min: (t) => (t === 'float32' ? Infinity : t === 'int32' ? 2 ** 31 - 1 : t === 'bool' ? 1 : 2 ** 32 - 1),
};

/** Where an evaluation stands: the coordinates in the iteration space, and the reductions of the row so far. */
interface Point {
  readonly at: number[];
  readonly results: number[];
}

type Evaluate = (p: Point) => number;

/** Computes expressions at a point; the values come in an array that the next call reuses. */
type Program = (p: Point) => ArrayLike<number>;

/** The state of one launch: its kernel, values and inputs. */
class Interpreter {
  readonly space: readonly number[];
  private readonly steps: readonly number[];

  constructor(
    readonly kernel: Kernel,
    readonly buffers: readonly ReferenceBuffer[],
    readonly scalars: readonly number[],
    readonly float64: boolean,
    readonly flag: (code: number) => void,
  ) {
    this.space = kernel.space;
    this.steps = contiguousStrides(kernel.kind === 'matmul' ? outerSpace(kernel) : kernel.space);
  }

  /** A step for each distinct node, arguments first: what expressions share is computed once. */
  program(roots: readonly Expr[]): Program {
    const order: Expr[] = [];
    walk(roots, (e) => order.push(e));
    const slots = new Map(order.map((e, i) => [e, i]));
    const values = new Float64Array(order.length);
    const steps = order.map((e) =>
      this.build(
        e,
        e.args.map((a): Evaluate => {
          const slot = slots.get(a)!;
          return () => values[slot]!;
        }),
      ),
    );
    const results = roots.map((r) => slots.get(r)!);
    const out = new Float64Array(roots.length);
    return (p) => {
      for (let i = 0; i < steps.length; i++) values[i] = steps[i]!(p);
      for (let i = 0; i < results.length; i++) out[i] = values[results[i]!]!;
      return out;
    };
  }

  private build(e: Expr, args: readonly Evaluate[]): Evaluate {
    const [x, y, z] = args;
    const round = rounding(e.dtype, this.float64);
    const from = e.args[0]?.dtype;
    switch (e.op) {
      case 'const': {
        const value = round(e.value);
        return () => value;
      }
      case 'uniform': {
        const value = round(this.scalars[e.value]!);
        return () => value;
      }
      case 'load': {
        const input = this.kernel.inputs[e.value]!;
        const access = input.access;
        if (access.mode !== 'direct') throw new Error('load of an indirect input');
        const { values } = this.buffers[input.binding]!;
        return ({ at }) => {
          let i = access.offset;
          for (let d = 0; d < at.length; d++) i += at[d]! * access.strides[d]!;
          return values[i]!;
        };
      }
      case 'loadAt':
        return this.indirect(this.kernel.inputs[e.value]!, args);
      case 'index':
        return ({ at }) => at[e.value]!;
      case 'position':
        return ({ at }) => at.reduce((sum, c, d) => sum + c * this.steps[d]!, 0);
      case 'result':
        return ({ results }) => results[e.value]!;
      case 'neg':
        return (p) => round(-x!(p));
      case 'abs':
        return (p) => round(Math.abs(x!(p)));
      case 'floor':
        return (p) => Math.floor(x!(p));
      case 'ceil':
        return (p) => Math.ceil(x!(p));
      case 'trunc':
        return (p) => Math.trunc(x!(p));
      case 'round':
        return (p) => roundHalfEven(x!(p));
      case 'sqrt':
        return (p) => round(Math.sqrt(x!(p)));
      case 'not':
        return e.dtype === 'bool' ? (p) => (x!(p) === 0 ? 1 : 0) : (p) => round(~x!(p));
      case 'cast':
        if (from === 'float32' && e.dtype === 'int32') return (p) => saturate(x!(p), -(2 ** 31), 2 ** 31 - 1);
        if (from === 'float32' && e.dtype === 'uint32') return (p) => saturate(x!(p), 0, 2 ** 32 - 1);
        if (e.dtype === 'bool') return (p) => (x!(p) !== 0 ? 1 : 0);
        return (p) => round(x!(p));
      case 'bitcast':
        return (p) => {
          toBits[from!](x!(p));
          return fromBits[e.dtype]();
        };
      case 'add':
        return (p) => round(x!(p) + y!(p));
      case 'sub':
        return (p) => round(x!(p) - y!(p));
      case 'mul':
        return e.dtype === 'float32' ? (p) => round(x!(p) * y!(p)) : (p) => round(Math.imul(x!(p), y!(p)));
      case 'div':
        if (e.dtype === 'float32') return (p) => round(x!(p) / y!(p));
        return (p) => {
          const divisor = y!(p);
          return divisor === 0 ? 0 : round(Math.trunc(x!(p) / divisor));
        };
      case 'max':
        return (p) => maximum(x!(p), y!(p));
      case 'min':
        return (p) => minimum(x!(p), y!(p));
      case 'eq':
        return (p) => (x!(p) === y!(p) ? 1 : 0);
      case 'ne':
        return (p) => (x!(p) !== y!(p) ? 1 : 0);
      case 'lt':
        return (p) => (x!(p) < y!(p) ? 1 : 0);
      case 'le':
        return (p) => (x!(p) <= y!(p) ? 1 : 0);
      case 'and':
        return (p) => round(x!(p) & y!(p));
      case 'or':
        return (p) => round(x!(p) | y!(p));
      case 'xor':
        return (p) => round(x!(p) ^ y!(p));
      case 'shl':
        return (p) => round(x!(p) << y!(p));
      case 'shr':
        return e.dtype === 'uint32' ? (p) => x!(p) >>> y!(p) : (p) => x!(p) >> y!(p);
      case 'select':
        return (p) => (x!(p) !== 0 ? y!(p) : z!(p));
      default: {
        const exact = exactFunction(e.op);
        if (e.args.length === 1) return (p) => round(exact(x!(p), 0));
        return (p) => round(exact(x!(p), y!(p)));
      }
    }
  }

  private indirect(input: Input, coordinates: readonly Evaluate[]): Evaluate {
    const access = input.access;
    if (access.mode !== 'indirect') throw new Error('loadAt of a direct input');
    const { values } = this.buffers[input.binding]!;
    return (p) => {
      let i = access.offset;
      for (let d = 0; d < coordinates.length; d++) {
        const c = coordinates[d]!(p);
        if (!(c >= 0 && c < access.shape[d]!)) {
          if (access.check !== null) this.flag(this.scalars[access.check]!);
          return 0;
        }
        i += c * access.strides[d]!;
      }
      return values[i]!;
    };
  }

  /** Something that computes outputs and only then stores them: one may overwrite what another reads at the point. */
  writer(outputs: readonly Output[]): (p: Point) => void {
    const compute = this.program(outputs.map((o) => o.expr));
    return (p) => {
      const values = compute(p);
      outputs.forEach(({ strides, offset, binding }, n) => {
        let i = offset;
        for (let d = 0; d < strides.length; d++) i += p.at[d]! * strides[d]!;
        this.buffers[binding]!.values[i] = values[n]!;
      });
    };
  }
}

/** Calls `visit` for every point of a space, in row-major order, with `at` updated in place from dim `from` on. */
function forEachPoint(space: readonly number[], at: number[], from: number, visit: () => void): void {
  if (from === space.length) {
    visit();
    return;
  }
  for (let i = 0; i < space[from]!; i++) {
    at[from] = i;
    forEachPoint(space, at, from + 1, visit);
  }
}

function combine(op: ReduceOp, dtype: DType, float64: boolean): (a: number, b: number) => number {
  const round = rounding(dtype, float64);
  if (op === 'sum') return (a, b) => round(a + b);
  if (op === 'prod') return dtype === 'float32' ? (a, b) => round(a * b) : (a, b) => round(Math.imul(a, b));
  return op === 'max' ? maximum : minimum;
}

function runLoop(run: Interpreter, kernel: LoopKernel): void {
  const outer = kernel.space.slice(0, kernel.space.length - kernel.inner);
  const reductions = kernel.reductions.map((r) => ({
    value: run.program([r.expr]),
    start: IDENTITY[r.op](r.expr.dtype),
    // Sums are kept in double and rounded once: the oracle should not add an error of its own.
    join: combine(r.op, r.expr.dtype, run.float64 || r.op === 'sum'),
    round: rounding(r.expr.dtype, run.float64),
  }));
  const elements = run.writer(kernel.outputs.filter((o) => o.level === 'element'));
  const rows = run.writer(kernel.outputs.filter((o) => o.level === 'row'));
  const p: Point = { at: new Array<number>(kernel.space.length).fill(0), results: [] };
  forEachPoint(outer, p.at, 0, () => {
    const row = (visit: () => void): void => forEachPoint(kernel.space, p.at, outer.length, visit);
    p.results.length = 0;
    for (const r of reductions) {
      let sum = r.start;
      row(() => {
        sum = r.join(sum, r.value(p)[0]!);
      });
      p.results.push(r.round(sum));
    }
    row(() => elements(p));
    for (let d = outer.length; d < p.at.length; d++) p.at[d] = 0;
    rows(p);
  });
}

function runMatmul(run: Interpreter, kernel: MatmulKernel): void {
  const [a, b] = [kernel.inputs[0]!, kernel.inputs[1]!].map((input) => {
    if (input.access.mode !== 'direct') throw new Error('matmul operands are read directly');
    return { ...input.access, values: run.buffers[input.binding]!.values };
  });
  const { space } = kernel;
  const outer = outerSpace(kernel);
  const round = rounding('float32', run.float64);
  const write = run.writer(kernel.outputs);
  const p: Point = { at: new Array<number>(outer.length).fill(0), results: [0] };
  let sum = 0;
  const addProducts = (i: number, j: number, d: number): void => {
    const [da, db] = [a!.strides[d]!, b!.strides[d]!];
    for (let k = 0; k < space[d]!; k++) {
      if (d === space.length - 1) sum += a!.values[i + k * da]! * b!.values[j + k * db]!;
      else addProducts(i + k * da, j + k * db, d + 1);
    }
  };
  const start = ({ offset, strides }: typeof a & {}): number => p.at.reduce((at, c, d) => at + c * strides[d]!, offset);
  forEachPoint(outer, p.at, 0, () => {
    sum = 0;
    addProducts(start(a!), start(b!), outer.length);
    p.results[0] = round(sum);
    write(p);
  });
}

/** The element of a direct input at the coordinates. */
function reader(run: Interpreter, input: Input): (at: readonly number[]) => number {
  const { access, binding } = input;
  if (access.mode !== 'direct') throw new Error('boundary kernels read their inputs directly');
  const { values } = run.buffers[binding]!;
  return (at) => {
    let i = access.offset;
    for (let d = 0; d < access.strides.length; d++) i += at[d]! * access.strides[d]!;
    return values[i]!;
  };
}

/** Calls `visit` for each line along the last dim, with its number and the coordinates of its start. */
function forEachLine(space: readonly number[], visit: (line: number, at: number[]) => void): void {
  const at = new Array<number>(space.length).fill(0);
  let line = 0;
  forEachPoint(space.slice(0, -1), at, 0, () => visit(line++, at));
}

function runScan(run: Interpreter, kernel: ScanKernel): void {
  const last = kernel.space.length - 1;
  const length = kernel.space[last]!;
  const parts = kernel.inputs.map((input) => reader(run, input));
  // As in sums of rows, the oracle rounds once.
  const combine = new Interpreter(kernel, run.buffers, run.scalars, true, run.flag).program(kernel.combine);
  const rounds = kernel.inputs.map((input) => rounding(input.dtype, run.float64));
  const finish = run.program([kernel.outputs[0].expr]);
  const { values } = run.buffers[kernel.outputs[0].binding]!;
  forEachLine(kernel.space, (line, at) => {
    let before: number[] | null = null;
    for (let k = 0; k < length; k++) {
      at[last] = kernel.reverse ? length - 1 - k : k;
      const here = parts.map((part) => part(at));
      before = before ? Array.from(combine({ at, results: [...before, ...here] })) : here;
      values[line * length + at[last]!] = finish({ at, results: before.map((x, i) => rounds[i]!(x)) })[0]!;
    }
  });
}

function runSort(run: Interpreter, kernel: SortKernel): void {
  const last = kernel.space.length - 1;
  const length = kernel.space[last]!;
  const key = run.program([kernel.key]);
  const { values } = run.buffers[kernel.outputs[0].binding]!;
  forEachLine(kernel.space, (line, at) => {
    const keys = Array.from({ length }, (_, k) => {
      at[last] = k;
      return key({ at, results: [] })[0]!;
    });
    const order = keys.map((_, k) => k).sort((a, b) => keys[a]! - keys[b]!);
    values.set(order, line * length);
  });
}

function runScatter(run: Interpreter, kernel: ScatterKernel): void {
  const last = kernel.space.length - 1;
  const length = kernel.space[last]!;
  const [place, element] = kernel.inputs.slice(0, 2).map((input) => reader(run, input));
  const { dtype } = kernel.inputs[1]!;
  const { reduce, targets, check } = kernel;
  const start = reduce === 'last' ? 0 : IDENTITY[reduce](dtype);
  // As in sums of rows, the oracle rounds once.
  const join =
    reduce === 'last' ? (_: number, x: number) => x : combine(reduce, dtype, run.float64 || reduce === 'sum');
  const round = rounding(dtype, run.float64);
  const finish = run.program([kernel.outputs[0].expr]);
  const { values } = run.buffers[kernel.outputs[0].binding]!;
  forEachLine(kernel.space, (line, at) => {
    const sums = new Float64Array(targets).fill(start);
    const hit = new Uint8Array(targets);
    for (let k = 0; k < length; k++) {
      at[last] = k;
      const to = place!(at);
      if (to >= 0 && to < targets) {
        sums[to] = join(sums[to]!, element!(at));
        hit[to] = 1;
      } else if (check !== null) run.flag(run.scalars[check]!);
    }
    for (let t = 0; t < targets; t++) {
      at[last] = t;
      values[line * targets + t] = finish({ at, results: [round(sums[t]!), hit[t]!] })[0]!;
    }
  });
}

function runDense(run: Interpreter, kernel: DenseKernel): void {
  const { algorithm, columns, check } = kernel;
  const [m, n] = kernel.space.slice(-2) as [number, number];
  const size = denseSize(algorithm, m, n, columns);
  const readers = kernel.inputs.map((input) => reader(run, input));
  const { values } = run.buffers[kernel.outputs[0].binding]!;
  const round = rounding('float32', run.float64);
  const at = kernel.space.map(() => 0);
  let matrix = 0;
  forEachPoint(kernel.space.slice(0, -2), at, 0, () => {
    const elements = (i: number, width: number): Float64Array => {
      const out = new Float64Array(readers[i] ? m * width : 0);
      for (let k = 0; k < out.length; k++) out[k] = readers[i]!([...at.slice(0, -2), Math.floor(k / width), k % width]);
      return out;
    };
    const out = new Float64Array(size);
    const defined = factorisations[algorithm](m, n, columns, elements(0, n), elements(1, columns), out);
    if (!defined && check !== null) run.flag(run.scalars[check]!);
    values.set(out.map(round), size * matrix++);
  });
}

function runCustom(run: Interpreter, kernel: CustomKernel): void {
  const { inputs, outputs, space, source } = kernel;
  const typed = (dtype: DType, values: Float64Array): HostArray['data'] => {
    return isFloating(dtype) && run.float64 ? values.slice() : ARRAYS[dtype].from(values);
  };
  const [{ dtype, binding }] = outputs;
  const out = { data: typed(dtype, new Float64Array(sizeOf(space))), shape: space };
  source.cpu(
    inputs.map(({ dtype: t, binding: b, access }) => {
      const shape = access.mode === 'indirect' ? access.shape : space;
      const values = run.buffers[b]!.values.subarray(access.offset, access.offset + sizeOf(shape));
      return { data: typed(t, values), shape };
    }),
    out,
  );
  run.buffers[binding]!.values.set(out.data);
}

/**
 * The oracle: interprets kernel descriptions point by point, in float64 or in float32 (each operation rounded, sums rounded
 * once). Written for reading; nothing here is fast.
 */
export class ReferenceBackend implements Backend {
  readonly name = 'reference';
  readonly description: string;
  readonly halves = true;
  readonly clock: HostClock = new HostClock();
  readonly limits: BackendLimits = { bindings: 64, bufferBytes: 2 ** 31 };
  private nextId = 1;
  private bytes = 0;
  private buffers = 0;
  private status = 0;

  constructor(readonly precision: 'float32' | 'float64' = 'float32') {
    this.description = `plain interpreter in ${precision}`;
  }

  allocate(bytes: number): Buffer {
    this.bytes += bytes;
    this.buffers++;
    // Enough for elements of one byte. NaN shows a read of what nobody wrote.
    return new ReferenceBuffer(this.nextId++, bytes, new Float64Array(bytes).fill(Number.NaN));
  }

  release(buffer: Buffer): void {
    this.bytes -= buffer.bytes;
    this.buffers--;
  }

  prepare(kernel: Kernel): BackendProgram {
    return { kernel };
  }

  submit(batch: Batch): undefined {
    for (const { buffer, data } of batch.uploads) (buffer as ReferenceBuffer).values.set(data);
    for (const launch of batch.launches) this.clock.run(launch.label, () => this.launch(launch));
  }

  private launch({ program: { kernel }, buffers, scalars }: Launch): void {
    const flag = (code: number): void => {
      this.status = code;
    };
    const run = new Interpreter(kernel, buffers as ReferenceBuffer[], scalars, this.precision === 'float64', flag);
    if (kernel.kind === 'scan') runScan(run, kernel);
    else if (kernel.kind === 'sort') runSort(run, kernel);
    else if (kernel.kind === 'scatter') runScatter(run, kernel);
    else if (kernel.kind === 'dense') runDense(run, kernel);
    else if (kernel.kind === 'custom') runCustom(run, kernel);
    else if (sizeOf(outerSpace(kernel)) === 0) return;
    else if (kernel.kind === 'matmul') runMatmul(run, kernel);
    else runLoop(run, kernel);
  }

  private takeStatus(): number {
    const status = this.status;
    this.status = 0;
    return status;
  }

  readSync(buffer: Buffer, dtype: DType, offset: number, length: number): Readback {
    const values = (buffer as ReferenceBuffer).values.subarray(offset, offset + length);
    const Type = isFloating(dtype) && this.precision === 'float64' ? Float64Array : ARRAYS[dtype];
    return { data: Type.from(values), status: this.takeStatus() };
  }

  async read(buffer: Buffer, dtype: DType, offset: number, length: number): Promise<Readback> {
    return this.readSync(buffer, dtype, offset, length);
  }

  async sync(): Promise<number> {
    return this.takeStatus();
  }

  memory(): MemoryUse {
    return { bytes: this.bytes, buffers: this.buffers, pooledBytes: 0 };
  }

  destroy(): void {}
}
