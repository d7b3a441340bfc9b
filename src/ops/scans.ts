import { computed, isFloating } from '../core/dtype.ts';
import { UnsupportedError } from '../core/errors.ts';
import { normalizeDim, normalizeDims, sizeOf } from '../core/shape.ts';
import { template } from '../engine/node.ts';
import { add, and, select as choose, type Expr, isnan, le, not, or, result, mul as times } from '../ir/expr.ts';
import { withGrad } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { arange } from './creation.ts';
import { cast, mul } from './elementwise.ts';
import { gather } from './gather.ts';
import { checkOptions, compose, deviceOf, produce, taped } from './record.ts';
import type { ValuesIndices } from './reductions.ts';
import { type Drawn, type Samples, sample } from './samples.ts';
import {
  counted,
  expand,
  inFloat32,
  keptShape,
  movedim,
  permute,
  type ReduceOptions,
  reduceDims,
  reshape,
  slice,
  sumsWide,
  withDims,
} from './structure.ts';
import { pad } from './windows.ts';

/*
 * Running sums and products, and what their gradients need: the linear recurrence, whose gradient is a recurrence again. So
 * every order is exact, also where factors are 0.
 */

/** A scan along a dim of tensors of one shape, as tuples; without a gradient. */
function scanned(
  op: string,
  inputs: readonly Tensor[],
  dim: number,
  reverse: boolean,
  combine: readonly Expr[],
  expr: Expr,
): Tensor {
  const device = deviceOf(op, inputs);
  return compose(op, () =>
    withGrad(false, () => {
      const { shape } = inputs[0]!;
      const order = [...shape.map((_, d) => d).filter((d) => d !== dim), dim];
      const space = order.map((d) => shape[d]!);
      const out = produce(device, op, expr.dtype, space, {
        template: template('scan', expr, [], { combine, reverse }),
        space,
        inputs: inputs.map((t) => ({
          node: t.node,
          access: { mode: 'direct', strides: order.map((d) => t.view.strides[d]!), offset: t.view.offset },
        })),
      });
      return movedim(out, -1, dim);
    }),
  );
}

/** A scan of one tensor by an operation. */
const running = (op: string, x: Tensor, dim: number, reverse: boolean, combine: (a: Expr, b: Expr) => Expr): Tensor =>
  scanned(op, [x], dim, reverse, [combine(result(0, x.dtype), result(1, x.dtype))], result(0, x.dtype));

/** Moved by one place along a dim, away from the start of the scan; `value` comes in. */
function shifted(x: Tensor, dim: number, reverse: boolean, value: number): Tensor {
  const n = x.shape[dim]!;
  if (n === 0) return x;
  const sides = new Array<number>(2 * (x.ndim - dim)).fill(0);
  sides[sides.length - (reverse ? 1 : 2)] = 1;
  return pad(slice(x, dim, reverse ? 1 : 0, reverse ? n : n - 1), sides, { value });
}

/** y[i] = a[i] y[i - 1] + b[i] along a dim, from 0; or from the end. */
function recurrence(a: Tensor, b: Tensor, dim: number, reverse: boolean): Tensor {
  const part = (i: number): Expr => result(i, 'float32');
  const combine = [times(part(0), part(2)), add(times(part(1), part(2)), part(3))];
  const out = scanned('recurrence', [a, b], dim, reverse, combine, part(1));
  const gradient = (
    g: Tensor,
    { inputs, output, needs }: { inputs: readonly Tensor[]; output: Tensor; needs: readonly boolean[] },
  ): (Tensor | null)[] => {
    const back = recurrence(shifted(inputs[0]!, dim, !reverse, 0), g, dim, !reverse);
    return [needs[0] ? mul(back, shifted(output, dim, reverse, 0)) : null, back];
  };
  return taped('recurrence', { gradient, saves: 'both' }, [a, b], out);
}

/** A scalar is scanned as a vector of one, bools and bytes are counted, and float16 is computed in float32. */
const whole = (op: string, x: Tensor, fn: (x: Tensor) => Tensor): Tensor =>
  compose(op, () => inFloat32(op, [counted(op, x)], (v) => (v.ndim === 0 ? reshape(fn(reshape(v, [1])), []) : fn(v))));

function runningSum(x: Tensor, dim: number, reverse: boolean): Tensor {
  const gradient = (g: Tensor): Tensor[] => [runningSum(g, dim, !reverse)];
  return taped('cumsum', { gradient, saves: 'nothing' }, [x], running('cumsum', x, dim, reverse, add));
}

function runningProduct(x: Tensor, dim: number, reverse: boolean): Tensor {
  // The product of all before, times what follows: no division, so that zeros do no harm.
  const gradient = (g: Tensor, { inputs, output }: { inputs: readonly Tensor[]; output: Tensor }): Tensor[] => [
    mul(shifted(output, dim, reverse, 1), recurrence(shifted(inputs[0]!, dim, !reverse, 0), g, dim, !reverse)),
  ];
  return taped('cumprod', { gradient, saves: 'both' }, [x], running('cumprod', x, dim, reverse, times));
}

/**
 * The sums of all elements up to each one along a dim (`torch.cumsum`). Bools and bytes are counted as int32.
 *
 * @throws IndexError for a dim that is not there.
 * @example
 * ```ts
 * const totals = tl.tensor([1, 2, 3]).cumsum(0); // [1, 3, 6]
 * ```
 */
export function cumsum(x: Tensor, dim: number): Tensor {
  deviceOf('cumsum', [x]);
  const d = normalizeDim('cumsum', dim, x.ndim);
  return whole('cumsum', x, (v) => runningSum(v, d, false));
}

/** The products of all elements up to each one along a dim (`torch.cumprod`). Its gradients are exact where elements are 0. */
export function cumprod(x: Tensor, dim: number): Tensor {
  deviceOf('cumprod', [x]);
  const d = normalizeDim('cumprod', dim, x.ndim);
  return whole('cumprod', x, (v) => runningProduct(v, d, false));
}

function runningExtremum(op: 'cummax' | 'cummin', x: Tensor, dim: number): ValuesIndices {
  deviceOf(op, [x]);
  if (x.dtype === 'bool') throw new UnsupportedError(`${op}: bool tensors have no order; convert with .to('int32')`);
  const d = normalizeDim(op, dim, x.ndim);
  return compose(op, () => {
    if (x.ndim === 0) {
      const { values, indices } = runningExtremum(op, reshape(x, [1]), 0);
      return { values: reshape(values, []), indices: reshape(indices, []) };
    }
    const n = x.shape[d]!;
    const place = reshape(
      arange(n, { dtype: 'int32', device: x.device }),
      x.shape.map((_, i) => (i === d ? n : 1)),
    );
    const wide = cast(x, computed(x.dtype));
    const [left, right] = [result(0, wide.dtype), result(2, wide.dtype)];
    // As in PyTorch the last of equals, and NaN wins.
    const ordered = op === 'cummax' ? le(left, right) : le(right, left);
    const later = isFloating(x.dtype) ? or(isnan(right), and(ordered, not(isnan(left)))) : ordered;
    const combine = [choose(later, right, left), choose(later, result(3, 'int32'), result(1, 'int32'))];
    const indices = scanned(op, [wide, expand(place, x.shape)], d, false, combine, result(1, 'int32'));
    return { values: gather(x, d, indices), indices };
  });
}

/** The largest element up to each one along a dim, and where it is, the last of equals (`torch.cummax`). NaN wins. */
export function cummax(x: Tensor, dim: number): ValuesIndices {
  return runningExtremum('cummax', x, dim);
}

/** The smallest element up to each one along a dim, and where it is, the last of equals (`torch.cummin`). NaN wins. */
export function cummin(x: Tensor, dim: number): ValuesIndices {
  return runningExtremum('cummin', x, dim);
}

/**
 * The product over some dims, or over all (`torch.prod`). Bools and bytes are multiplied as int32; over nothing it is 1. Its gradients are
 * exact where elements are 0.
 */
export function prod(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkOptions('prod', options, ['dim'], ['keepDim']);
  deviceOf('prod', [x]);
  if (sumsWide(x)) return compose('prod', () => prod(cast(x, 'float32'), options));
  const dims = normalizeDims('prod', options.dim, x.ndim);
  const from = x.shape;
  const source = counted('prod', x);
  const out = reduceDims('prod', 'prod', source, dims);
  if (source !== x) source.dispose();
  const gradient = (g: Tensor, { inputs }: { inputs: readonly Tensor[] }): Tensor[] => {
    const order = [...from.map((_, d) => d).filter((d) => !dims.includes(d)), ...dims];
    const moved = permute(inputs[0]!, order);
    const kept = moved.shape.slice(0, moved.ndim - dims.length);
    const rows = reshape(moved, [...kept, sizeOf(dims.map((d) => from[d]!))]);
    const last = rows.ndim - 1;
    // Of all others: those before and those after.
    const others = mul(
      shifted(runningProduct(rows, last, false), last, false, 1),
      shifted(runningProduct(rows, last, true), last, true, 1),
    );
    const back = permute(
      reshape(others, moved.shape),
      from.map((_, d) => order.indexOf(d)),
    );
    return [mul(back, reshape(g, keptShape(from, dims)))];
  };
  const reduced = taped('prod', { gradient, saves: 'inputs' }, [x], out);
  return options.keepDim ? withDims(reduced, from, dims) : reduced;
}

const integers: Drawn = { shape: [3, 5], dtype: 'int32', range: [-3, 3] };
const bools: Drawn = { shape: [2, 7], dtype: 'bool', range: [0, 1] };
const zeros: Drawn = { shape: [2, 4], values: [1.5, 0, -2, 0.5, 0, 3, 0, 2] };
const calls = (
  op: (x: Tensor, dim: number) => Tensor | readonly Tensor[],
  distinct = false,
): Samples[string]['calls'] => [
  sample([{ shape: [3, 5], distinct }], (x) => op(x, 1)),
  sample([{ shape: [3, 5], distinct }], (x) => op(x, 0)),
  sample([{ shape: [2, 4, 3], distinct }], (x) => op(x, -2)),
  sample([{ shape: [], distinct }], (x) => op(x, 0)),
  sample([{ shape: [0, 3], distinct }], (x) => op(x, 0)),
  sample([{ shape: [2, 67], distinct }], (x) => op(x, 1)),
  sample([integers], (x) => op(x, 1)),
];
const both =
  (op: (x: Tensor, dim: number) => ValuesIndices) =>
  (x: Tensor, dim: number): readonly Tensor[] => {
    const { values, indices } = op(x, dim);
    return [values, indices];
  };

/** Calls for the generated tests. */
export const samples = (): Samples => ({
  cumsum: { calls: [...calls(cumsum), sample([bools], (x) => cumsum(x, 1))] },
  cumprod: { calls: [...calls(cumprod), sample([bools], (x) => cumprod(x, 1)), sample([zeros], (x) => cumprod(x, 1))] },
  cummax: { calls: calls(both(cummax), true) },
  cummin: { calls: calls(both(cummin), true) },
  prod: {
    calls: [
      sample([[3, 5]], (x) => prod(x)),
      sample([[3, 5]], (x) => prod(x, { dim: 0 })),
      sample([[2, 3, 4]], (x) => prod(x, { dim: [0, -1], keepDim: true })),
      sample([[]], (x) => prod(x)),
      sample([[0, 3]], (x) => prod(x, { dim: 0 })),
      sample([integers], (x) => prod(x, { dim: 1 })),
      sample([bools], (x) => prod(x, { dim: 1 })),
      sample([zeros], (x) => prod(x, { dim: 1 })),
    ],
  },
});
