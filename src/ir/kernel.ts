import type { DType } from '../core/dtype.ts';
import type { Shape } from '../core/shape.ts';
import { type Expr, exprKey, showExpr } from './expr.ts';

/**
 * How a kernel reads an input. `direct`: at the current point of the iteration space, by a stride for each of its dims
 * (for the operands of a matmul: [...batch, m, k] and [...batch, k, n]). `indirect`: at coordinates that the expression
 * computes (`loadAt`); a coordinate out of range reads 0, and where `check` names a uniform slot it also puts that
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
   * The buffer it writes. Where an input has the same one (map kernels only), it is updated in place: at each point all
   * outputs are computed before any is stored.
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
 * Products of float32 matrices: result[..., i, j] = sum over k of a[..., i, k] * b[..., k, j], where a and b are the first
 * two inputs. The outputs' expressions see the sum as `result(0)`, and the other inputs over `space` = [...batch, m, n].
 */
export interface MatmulKernel {
  readonly kind: 'matmul';
  readonly space: Shape;
  readonly k: number;
  readonly inputs: readonly Input[];
  readonly outputs: readonly Output[];
  readonly scalars: readonly DType[];
  readonly bindings: number;
}

export type Kernel = LoopKernel | MatmulKernel;

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
  ...(k.kind === 'matmul' ? [] : k.reductions.map((r) => r.expr)),
  ...k.outputs.map((o) => o.expr),
];

/** The structure of a kernel as text, compared in full: everything that may change source, and no size, stride or scalar. */
export function kernelKey(k: Kernel): string {
  const inputs = k.inputs.map((x, i) => {
    const a = x.access;
    if (a.mode === 'indirect') return `${x.dtype}@${x.binding}i${a.shape.length}${a.check ?? ''}`;
    const operand = k.kind === 'matmul' && i < 2;
    return `${x.dtype}@${x.binding}${operand ? 'o' : strideClass(k.space, a.strides)}`;
  });
  const row = k.kind === 'matmul' ? k.space : k.space.slice(0, k.space.length - k.inner);
  const outputs = k.outputs.map(
    (o) => `${o.dtype}@${o.binding}${o.level[0]}${strideClass(o.level === 'row' ? row : k.space, o.strides)}`,
  );
  const shape = k.kind === 'matmul' ? '' : `${k.inner} ${k.reductions.map((r) => r.op).join(',')}`;
  return `${k.kind} ${k.space.length} ${shape}|${inputs.join(' ')}|${outputs.join(' ')}|${k.scalars.join(' ')}|${exprKey(expressions(k))}`;
}

/** One line for `explain`. */
export function showKernel(k: Kernel): string {
  const space = k.kind === 'matmul' ? `${k.space.join('x')} k=${k.k}` : k.space.join('x');
  const row = k.kind !== 'matmul' && k.inner > 0 ? ` row=${k.space.slice(k.space.length - k.inner).join('x')}` : '';
  const reductions = k.kind === 'matmul' ? [] : k.reductions.map((r, i) => `r${i} = ${r.op} ${showExpr(r.expr)}`);
  const outputs = k.outputs.map((o) => `out${o.level === 'row' ? ' (row)' : ''} = ${showExpr(o.expr)}`);
  return `${k.kind} [${space}]${row}: ${[...reductions, ...outputs].join('; ')}`;
}
