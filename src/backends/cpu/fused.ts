import { type Expr, load, rewrite, type ScalarOp, walk } from '../../ir/expr.ts';
import { expandFunctions } from '../../ir/functions.ts';
import { assemble, FunctionBuilder, op } from './assembler.ts';

/** Ops of this backend alone: a * b + c, and c - a * b, rounded once where the machine can. */
export const MADD = 'madd' as ScalarOp;
export const NMADD = 'nmadd' as ScalarOp;

/** Functions that have an instruction here. */
const INTRINSICS: ReadonlySet<ScalarOp> = new Set<ScalarOp>(['isnan']);

/** Whether the engine has the instructions of relaxed SIMD. */
export function hasFusedOps(): boolean {
  const probe = new FunctionBuilder('probe', 0);
  for (let n = 0; n < 3; n++) probe.splat(0);
  probe.op(op.f32x4RelaxedMadd, op.drop);
  return WebAssembly.validate(assemble([probe], 1));
}

/** Joins products that only a sum or difference uses with it. */
function contract(root: Expr): Expr {
  const uses = new Map<Expr, number>();
  walk([root], (e) => {
    for (const a of e.args) uses.set(a, (uses.get(a) ?? 0) + 1);
  });
  const [contracted] = rewrite([root], (e, args) => {
    if (e.dtype !== 'float32' || (e.op !== 'add' && e.op !== 'sub')) return undefined;
    const single = (n: number): boolean => e.args[n]!.op === 'mul' && uses.get(e.args[n]!) === 1;
    const [x, y] = args as [Expr, Expr];
    if (single(1)) return { ...e, op: e.op === 'add' ? MADD : NMADD, args: [...y.args, x] };
    return e.op === 'add' && single(0) ? { ...e, op: MADD, args: [...x.args, y] } : undefined;
  });
  return contracted!;
}

interface Template {
  readonly parameters: readonly Expr[];
  readonly body: Expr;
}

const templates = new Map<ScalarOp, Template | null>();

/** The formula of a function on stand-ins for its arguments; null for what is no function. */
function templateOf(e: Expr): Template | null {
  let made = templates.get(e.op);
  if (made === undefined) {
    const parameters = e.args.map((a, i) => load(-1 - i, a.dtype));
    const call: Expr = { ...e, args: parameters };
    const [body] = expandFunctions([call], INTRINSICS);
    made = body === call ? null : { parameters, body: contract(body!) };
    templates.set(e.op, made);
  }
  return made;
}

/**
 * Replaces functions by their formulas, with products and sums fused within the formulas where the engine can. What the user
 * wrote stays as it is: x * x - y * y must be 0 where x is y, in whatever kernel it ends up.
 */
export function expand(roots: readonly Expr[], fused: boolean): Expr[] {
  if (!fused) return expandFunctions(roots, INTRINSICS);
  return rewrite(roots, (e, args) => {
    const template = e.args.length > 0 ? templateOf(e) : null;
    if (!template) return undefined;
    return rewrite([template.body], (x) => {
      const parameter = template.parameters.indexOf(x);
      return parameter >= 0 ? args[parameter] : undefined;
    })[0];
  });
}
