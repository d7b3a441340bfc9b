import { contiguousStrides, type Shape } from '../../core/shape.ts';
import { load, rewrite } from '../../ir/expr.ts';
import type { Input, LoopKernel, ScanKernel } from '../../ir/kernel.ts';
import { LoopProgram, type Modules } from './program.ts';

/**
 * A scan as a loop kernel with one row dim: its `reductions` are the combined parts, then the parts at the place, and
 * `result(i)` is part i of what is carried along the row. A scan from the end walks rows by negative strides.
 */
function asLoop({ space, inputs, combine, outputs: [output], scalars, bindings, reverse }: ScanKernel): LoopKernel {
  const right = inputs.map((input, i) => load(i, input.dtype));
  const exprs = rewrite([...combine, output.expr], (e) =>
    e.op === 'result' && e.value >= inputs.length ? right[e.value - inputs.length] : undefined,
  );
  return {
    kind: 'rowwise',
    space,
    inner: 1,
    inputs: inputs.map((input): Input => {
      const { access } = input;
      if (access.mode !== 'direct') throw new Error('scans read their inputs directly');
      return { ...input, access: { ...access, ...(reverse ? turned(space, access) : {}) } };
    }),
    reductions: [...exprs.slice(0, -1), ...right].map((expr) => ({ op: 'sum', expr })),
    outputs: [
      {
        ...output,
        expr: exprs.at(-1)!,
        ...(reverse
          ? turned(space, { strides: contiguousStrides(space), offset: 0 })
          : { strides: contiguousStrides(space) }),
      },
    ],
    scalars,
    bindings,
  };
}

interface Walk {
  readonly strides: readonly number[];
  readonly offset: number;
}

/** The same elements with the last dim backwards. */
function turned(space: Shape, { strides, offset }: Walk): Walk {
  const step = strides.at(-1)!;
  return { strides: [...strides.slice(0, -1), -step], offset: offset + Math.max(space.at(-1)! - 1, 0) * step };
}

export const scanProgram = (modules: Modules, kernel: ScanKernel): LoopProgram =>
  new LoopProgram(modules, asLoop(kernel), { scan: true });
