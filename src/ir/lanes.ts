import { coalesce } from './coalesce.ts';
import { constant, type Expr, index, load, rewrite, walk } from './expr.ts';
import type { Input, LoopKernel } from './kernel.ts';

/** So many places along a dim become outputs of their own at most. */
const MOST = 16;

/** The alternatives of `select(index(dim) < 1, e0, select(index(dim) < 2, e1, …))` along a dim of `n` places, or null. */
function alternatives(expr: Expr, dim: number, n: number): Expr[] | null {
  const found: Expr[] = [];
  let rest = expr;
  while (rest.op === 'select') {
    const [condition, yes, no] = rest.args as [Expr, Expr, Expr];
    const [at, bound] = condition.args;
    if (condition.op !== 'lt' || at?.op !== 'index' || at.value !== dim || bound?.op !== 'const') break;
    while (found.length < bound.value) found.push(yes);
    rest = no;
  }
  if (found.length === 0 || found.length >= n) return null;
  while (found.length < n) found.push(rest);
  return found;
}

/** The dim along which a map chooses among expressions by its place, other than the last. */
function chosenDim(kernel: LoopKernel): number | null {
  const [first] = kernel.outputs;
  if (kernel.kind !== 'map' || kernel.outputs.length !== 1 || first!.expr.op !== 'select') return null;
  const at = first!.expr.args[0]!.args[0];
  if (at?.op !== 'index' || at.value === kernel.space.length - 1 || kernel.space[at.value]! > MOST) return null;
  return at.value;
}

/**
 * A map that chooses among expressions by its place along a dim, such as a stack, as a map over the other dims with an output for each
 * place: no point computes what it does not choose. Other kernels stay as they are.
 */
export function inLanes(kernel: LoopKernel): LoopKernel {
  const dim = chosenDim(kernel);
  const [output] = kernel.outputs;
  const exprs = dim === null ? null : alternatives(output!.expr, dim, kernel.space[dim]!);
  if (dim === null || !exprs) return kernel;
  let position = false;
  walk(exprs, (e) => {
    position ||= e.op === 'position';
  });
  if (position) return kernel;
  const without = (list: readonly number[]): number[] => list.filter((_, d) => d !== dim);
  const inputs: Input[] = [];
  const places = new Map<string, number>();
  const read = (i: number, lane: number): number => {
    const input = kernel.inputs[i]!;
    const { access } = input;
    const step = access.mode === 'direct' ? access.strides[dim]! : 0;
    const key = `${i} ${step === 0 ? 0 : lane}`;
    const known = places.get(key);
    if (known !== undefined) return known;
    const moved =
      access.mode === 'direct'
        ? { ...access, strides: without(access.strides), offset: access.offset + lane * step }
        : access;
    places.set(key, inputs.length);
    return inputs.push({ ...input, access: moved }) - 1;
  };
  const outputs = exprs.map((expr, lane) => {
    const [own] = rewrite([expr], (e, args) => {
      if (e.op === 'index')
        return e.value === dim ? constant(lane, 'int32') : index(e.value > dim ? e.value - 1 : e.value);
      if (e.op === 'load') return load(read(e.value, lane), e.dtype);
      if (e.op === 'loadAt') return { ...e, args, value: read(e.value, lane) };
      return undefined;
    });
    return {
      ...output!,
      expr: own!,
      strides: without(output!.strides),
      offset: output!.offset + lane * output!.strides[dim]!,
    };
  });
  return coalesce({ ...kernel, space: without(kernel.space), inputs, outputs });
}
