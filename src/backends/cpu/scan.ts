import { contiguousStrides } from '../../core/shape.ts';
import { load, rewrite } from '../../ir/expr.ts';
import type { Input, LoopKernel, ScanKernel } from '../../ir/kernel.ts';
import { LoopProgram, type Modules } from './program.ts';
import { directAccess } from './walk.ts';

/**
 * A scan as a loop kernel with one row dim: its `reductions` are the combined parts, then the parts at the place, and
 * `result(i)` is part i of what is carried along the row. A scan from the end walks rows by negative strides.
 */
function asLoop({ space, inputs, combine, outputs: [output], scalars, bindings, reverse }: ScanKernel): LoopKernel {
  const right = inputs.map((input, i) => load(i, input.dtype));
  const exprs = rewrite([...combine, output.expr], (e) =>
    e.op === 'result' && e.value >= inputs.length ? right[e.value - inputs.length] : undefined,
  );
  const walk = (strides: readonly number[], offset: number): Walk => {
    const step = strides.at(-1)!;
    if (!reverse) return { strides, offset };
    return { strides: [...strides.slice(0, -1), -step], offset: offset + Math.max(space.at(-1)! - 1, 0) * step };
  };
  return {
    kind: 'rowwise',
    space,
    inner: 1,
    inputs: inputs.map((input): Input => {
      const { strides, offset } = directAccess(input);
      return { ...input, access: { mode: 'direct', ...walk(strides, offset) } };
    }),
    reductions: [...exprs.slice(0, -1), ...right].map((expr) => ({ op: 'sum', expr })),
    outputs: [{ ...output, expr: exprs.at(-1)!, ...walk(contiguousStrides(space), 0) }],
    scalars,
    bindings,
  };
}

interface Walk {
  readonly strides: readonly number[];
  readonly offset: number;
}

export const scanProgram = (modules: Modules, kernel: ScanKernel): LoopProgram =>
  new LoopProgram(modules, asLoop(kernel), { scan: true });
