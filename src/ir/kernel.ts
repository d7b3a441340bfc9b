import type { DType } from '../core/dtype.ts';
import type { Shape } from '../core/shape.ts';
import { type Expr, exprKey, load, mul, showExpr, wide } from './expr.ts';

/**
 * How a kernel reads an input. `direct`: at the current point of the iteration space, by a stride for each of its dims.
 * `indirect`: at coordinates that the expression computes (`loadAt`); a coordinate out of range reads 0, and where `check` names a uniform slot it also puts that
 * slot's value into the status word.
 */
export type Access =
  | { readonly mode: 'direct'; readonly strides: readonly number[]; readonly offset: number }
  | {
      readonly mode: 'indirect';
      readonly shape: Shape;
      readonly strides: readonly number[];
      readonly offset: number;
      readonly check: number | null;
    };

export interface Input {
  readonly dtype: DType;
  readonly access: Access;
  /** Which of the launch's buffers it reads; inputs may share one. */
  readonly binding: number;
}

export interface Output {
  readonly dtype: DType;
  readonly expr: Expr;
  /** `element`: written at every point. `row`: once a row, over the dims before the inner ones. */
  readonly level: 'element' | 'row';
  readonly strides: readonly number[];
  readonly offset: number;
  /**
   * The buffer it writes. Where an input has the same one, it is updated in place, by a map, the epilogue of a matmul, or at level `row`:
   * it is read where it is written and nowhere else, and all outputs of a point or row are computed before any is stored.
   */
  readonly binding: number;
}

export type ReduceOp = 'sum' | 'prod' | 'max' | 'min';

export interface Reduction {
  readonly op: ReduceOp;
  readonly expr: Expr;
}

/**
 * A loop nest over `space`, whose last `inner` dims form a row. Reductions run over the row, in order, and may use the
 * results of earlier ones; then the outputs are written. Kinds by what is there: `map` has no row (inner 0), `reduce` one
 * reduction and row outputs only, `rowwise` anything else. Over an empty row sum is 0, prod 1, max and min their identities.
 * Row expressions use uniforms, results, indices of outer dims, and direct loads whose strides over the row are 0.
 */
export interface LoopKernel {
  readonly kind: 'map' | 'reduce' | 'rowwise';
  readonly space: Shape;
  readonly inner: number;
  readonly inputs: readonly Input[];
  readonly reductions: readonly Reduction[];
  readonly outputs: readonly Output[];
  /** Dtypes of the uniforms, whose values come with each launch. */
  readonly scalars: readonly DType[];
  /** Number of buffers a launch brings. */
  readonly bindings: number;
}

/**
 * Sums of products of floats, result[..., i, j] = sum over k of a[..., i, k] * b[..., k, j], where a and b are the first two
 * inputs, and each of i, j and k may stand for several dims: the loop nest of a `reduce` of a * b over a space of
 * [...batch, ...m, ...n, ...k], in which a has stride 0 along n, and b along m. Strides add up, so an element of a lies where its
 * row and its k say, each by itself. m, n and k have at least one dim each. Outputs are written by row, over [...batch, ...m,
 * ...n], and see the sum as `result(0)`.
 */
export interface MatmulKernel {
  readonly kind: 'matmul';
  readonly space: Shape;
  /** Number of dims of m, of n and of k. */
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  readonly inputs: readonly Input[];
  readonly outputs: readonly Output[];
  readonly scalars: readonly DType[];
  readonly bindings: number;
}

/**
 * An inclusive scan along the last dim of `space`. The inputs, read directly, are tuples; at each place the tuple of all before it
 * is combined with that of the place, by expressions in which `result(i)` is part i of the left one and `result(m + i)` part i
 * of the right one (m inputs). The output's expression sees the parts of the combined tuple. Combining is associative.
 */
export interface ScanKernel extends Boundary {
  readonly kind: 'scan';
  readonly combine: readonly Expr[];
  /** From the last place to the first. */
  readonly reverse: boolean;
}

/** The places of the last dim of `space` in the ascending order of a uint32 key, as int32; equal keys stay in order. */
export interface SortKernel extends Boundary {
  readonly kind: 'sort';
  readonly key: Expr;
}

/**
 * Combines what goes to the same place. Input 0, int32, and input 1 run over `space` = [...lines, length], and say where in the
 * line's `targets` places an element goes, and what it is; elements are combined in their order, whatever the device. The
 * output, over [...lines, targets], sees as `result(0)` what has arrived there (the reduction's identity or 0 where nothing has), as
 * `result(1)`, a bool, whether anything has, and the other inputs at its place. Places out of range are dropped, and put the
 * value of uniform slot `check` into the status word.
 */
export interface ScatterKernel extends Boundary {
  readonly kind: 'scatter';
  readonly targets: number;
  readonly reduce: ScatterOp;
  readonly check: number | null;
}

/** `last`: the last of the elements that go to a place. */
export type ScatterOp = ReduceOp | 'last';

/**
 * A factorisation of each float32 matrix [...batch, m, n] of input 0, `space`. The output is flat for each matrix, as
 * `DENSE` lays it out. Where it is undefined (a singular matrix), the value of uniform slot `check` goes into the status word.
 */
export interface DenseKernel extends Boundary {
  readonly kind: 'dense';
  readonly algorithm: DenseAlgorithm;
  /** Columns of input 1, [...batch, m, columns], where the algorithm has right-hand sides. */
  readonly columns: number;
  readonly check: number | null;
}

export type DenseAlgorithm = 'solve' | 'lower' | 'upper' | 'cholesky' | 'qr' | 'eigh' | 'svd';

/** A part of a dense kernel's output: a matrix of the given sizes, row by row. */
export type DenseParts = Readonly<Record<string, readonly [rows: number, columns: number]>>;

/** What the output of each dense algorithm holds, one part after the other; what is marked as work has no meaning. */
export const DENSE: Readonly<Record<DenseAlgorithm, (m: number, n: number, columns: number) => DenseParts>> = {
  /** Elimination with row pivoting, exchanged rows negated, so that the product of u's diagonal is the determinant; a x = b. */
  solve: (m, n, columns) => ({ u: [m, n], x: [n, columns] }),
  /** Of a triangular matrix, of which the other half is not read. */
  lower: (_, n, columns) => ({ x: [n, columns] }),
  upper: (_, n, columns) => ({ x: [n, columns] }),
  /** l with zeros above its diagonal. */
  cholesky: (_, n) => ({ l: [n, n] }),
  /** By Householder reflections with LAPACK's signs; the first min(m, n) rows of `r`, zeros below its diagonal, and columns of `q`. */
  qr: (m, n) => ({ r: [m, n], q: [m, Math.min(m, n)], work: [1, Math.min(m, n)] }),
  /** Eigenvalues, ascending, and vectors in the columns of v; reads the lower half. */
  eigh: (_, n) => ({ values: [1, n], v: [n, n], work: [n, n] }),
  /** For m >= n: singular values, descending, and vectors in the columns of u and v. */
  svd: (m, n) => ({ s: [1, n], u: [m, n], v: [n, n] }),
};

/** Elements of a dense kernel's output for each matrix. */
export const denseSize = (algorithm: DenseAlgorithm, m: number, n: number, columns: number): number =>
  Object.values(DENSE[algorithm](m, n, columns)).reduce((sum, [rows, cols]) => sum + rows * cols, 0);

/** A kernel of a user's own: each element of the output from all inputs, which are contiguous and read at any place. */
export interface CustomKernel extends Boundary {
  readonly kind: 'custom';
  readonly source: CustomSource;
}

/** An array that a custom kernel reads or writes on the host: elements row by row, bools as 0 and 1. */
export interface HostArray {
  readonly data: Float32Array | Int32Array | Uint32Array | Int8Array | Uint8Array | Float64Array;
  readonly shape: Shape;
}

/** What a custom kernel runs. */
export interface CustomSource {
  /** Tells one from another. */
  readonly id: number;
  readonly name: string;
  /** Defines `fn element(i: u32)`. */
  readonly wgsl: string;
  /** Fills the output. */
  readonly cpu: (inputs: readonly HostArray[], output: HostArray) => void;
}

/** What kernels have in common that nothing but sort's keys joins: inputs read directly, one output without gaps. */
interface Boundary {
  readonly space: Shape;
  readonly inputs: readonly Input[];
  readonly outputs: readonly [Output];
  readonly scalars: readonly DType[];
  readonly bindings: number;
}

export type BoundaryKernel = ScanKernel | SortKernel | ScatterKernel | DenseKernel | CustomKernel;
export type Kernel = LoopKernel | MatmulKernel | BoundaryKernel;

export const isLoop = (k: Kernel): k is LoopKernel => k.kind === 'map' || k.kind === 'reduce' || k.kind === 'rowwise';

/** The space without the dims that are summed over: that of outputs written by row. */
export const outerSpace = (k: Kernel): Shape => ('inner' in k ? k.space.slice(0, k.space.length - k.inner) : k.space);

/** The dims of a matmul's space by their part in it. */
export function matmulDims(
  k: Pick<MatmulKernel, 'space' | 'rows' | 'columns' | 'inner'>,
): Record<'batch' | 'm' | 'n' | 'k', number[]> {
  const dims = k.space.map((_, d) => d);
  const outer = dims.length - k.inner;
  const [m, n] = [outer - k.columns - k.rows, outer - k.columns];
  return { batch: dims.slice(0, m), m: dims.slice(m, n), n: dims.slice(n, outer), k: dims.slice(outer) };
}

/** Elements of the dims of a space. */
export const extent = (space: Shape, dims: readonly number[]): number => dims.reduce((n, d) => n * space[d]!, 1);

/** A matmul as the reduction that it is. */
export function matmulAsReduction(kernel: MatmulKernel): LoopKernel {
  const [a, b] = [0, 1].map((i) => wide(load(i, kernel.inputs[i]!.dtype)));
  return { ...kernel, kind: 'reduce', reductions: [{ op: 'sum', expr: mul(a!, b!) }] };
}

/** The loads that a list of per-space strides makes: one scalar, contiguous from its offset, or strided. */
export function strideClass(space: Shape, strides: readonly number[]): 'scalar' | 'contiguous' | 'strided' {
  let step = 1;
  let contiguous = true;
  let scalar = true;
  for (let i = space.length - 1; i >= 0; i--) {
    if (space[i] === 1) continue;
    if (strides[i] !== 0) scalar = false;
    if (strides[i] !== step) contiguous = false;
    step *= space[i]!;
  }
  return scalar ? 'scalar' : contiguous ? 'contiguous' : 'strided';
}

export const expressions = (k: Kernel): Expr[] => [
  ...(isLoop(k) ? k.reductions.map((r) => r.expr) : k.kind === 'scan' ? k.combine : k.kind === 'sort' ? [k.key] : []),
  ...k.outputs.map((o) => o.expr),
];

/** What source depends on besides inputs, outputs and expressions. */
function structure(k: Kernel): string {
  switch (k.kind) {
    case 'matmul':
      return `${k.rows} ${k.columns} ${k.inner}`;
    case 'sort':
      return '';
    case 'scan':
      return String(k.reverse);
    case 'scatter':
      return `${k.reduce} ${k.check}`;
    case 'dense':
      return `${k.algorithm} ${k.check}`;
    case 'custom':
      return String(k.source.id);
    default:
      return `${k.inner} ${k.reductions.map((r) => r.op).join(',')}`;
  }
}

/** The structure of a kernel as text, compared in full: everything that may change source, and no size, stride or scalar. */
export function kernelKey(k: Kernel): string {
  const outer = outerSpace(k);
  const inputs = k.inputs.map((x, i) => {
    const a = x.access;
    if (a.mode === 'indirect') return `${x.dtype}@${x.binding}i${a.shape.length}${a.check ?? ''}`;
    // Over a space that is not the kernel's, or with strides that are parameters in any case.
    const operand = k.kind === 'matmul' ? i < 2 : !isLoop(k) && k.kind !== 'sort';
    const space = k.kind === 'matmul' ? outer : k.space;
    return `${x.dtype}@${x.binding}${operand ? 'o' : strideClass(space, a.strides)}`;
  });
  const outputs = k.outputs.map((o) => {
    const pattern = isLoop(k) || k.kind === 'matmul' ? strideClass(o.level === 'row' ? outer : k.space, o.strides) : '';
    return `${o.dtype}@${o.binding}${o.level[0]}${pattern}`;
  });
  return `${k.kind} ${k.space.length} ${structure(k)}|${inputs.join(' ')}|${outputs.join(' ')}|${k.scalars.join(' ')}|${exprKey(expressions(k))}`;
}

/** Batch and sizes of m, n and k, such as 8x[64 56x56 k=16x3x3]; those of one dim each as 8x64x56 k=16. */
function showMatmul(kernel: MatmulKernel): string {
  const { batch, m, n, k } = matmulDims(kernel);
  const show = (dims: readonly number[]): string => dims.map((d) => kernel.space[d]!).join('x');
  const plain = m.length === 1 && n.length === 1;
  return plain
    ? `[${show([...batch, ...m, ...n])} k=${show(k)}]`
    : `${batch.length > 0 ? `${show(batch)}x` : ''}[${show(m)} ${show(n)} k=${show(k)}]`;
}

/** One line for `explain`. */
export function showKernel(k: Kernel): string {
  const byRow = (o: Output): string => (o.level === 'row' && k.kind !== 'matmul' ? ' (row)' : '');
  const outputs = k.outputs.map((o) => `out${byRow(o)} = ${showExpr(o.expr)}`);
  const space = k.space.join('x');
  switch (k.kind) {
    case 'matmul':
      return `matmul ${showMatmul(k)}: ${outputs.join('; ')}`;
    case 'scan':
      return `scan [${space}]${k.reverse ? ' from the end' : ''}: ${k.combine.map((e) => showExpr(e)).join('; ')}; ${outputs[0]}`;
    case 'sort':
      return `sort [${space}]: by ${showExpr(k.key)}`;
    case 'scatter':
      return `scatter [${space}] to ${k.targets}: ${k.reduce}; ${outputs[0]}`;
    case 'dense':
      return `dense [${space}]${k.columns > 0 ? ` columns=${k.columns}` : ''}: ${k.algorithm}`;
    case 'custom':
      return `custom [${space}]: ${k.source.name}`;
    default: {
      const row = k.inner > 0 ? ` row=${k.space.slice(k.space.length - k.inner).join('x')}` : '';
      const reductions = k.reductions.map((r, i) => `r${i} = ${r.op} ${showExpr(r.expr)}`);
      return `${k.kind} [${space}]${row}: ${[...reductions, ...outputs].join('; ')}`;
    }
  }
}
