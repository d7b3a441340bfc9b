import { isFloating } from '../core/dtype.ts';
import { DTypeError, ShapeError } from '../core/errors.ts';
import { normalizeDim, normalizeDims, showShape } from '../core/shape.ts';
import * as e from '../ir/expr.ts';
import { withGrad } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { cast, div, eq as equal, exp, isfinite, log, mul, sqrt, square, sub } from './elementwise.ts';
import { where } from './functions.ts';
import { gather } from './gather.ts';
import {
  type Binary,
  checkOptions,
  checkTensor,
  compose,
  describe,
  deviceOf,
  elementwise,
  floating,
  reduceNode,
  taped,
  type Unary,
} from './record.ts';
import { type Drawn, type Samples, sample } from './samples.ts';
import { inFloat32, keptShape, type ReduceOptions, reduceDims, reshape, squeeze, sum, withDims } from './structure.ts';

/** @internal Refuses a reduction of nothing, for ops without an identity. */
export const notEmpty = (op: string, x: Tensor, dims: readonly number[]): void => {
  if (dims.some((d) => x.shape[d] === 0))
    throw new ShapeError(
      `${op}: ${showShape(x.shape)} has no elements along the reduced dims, and ${op} of nothing is undefined`,
    );
};

/** @internal Floats only: what an op without a meaning for integers says. */
export function floats(op: string, x: Tensor): void {
  checkTensor(op, x);
  if (!isFloating(x.dtype))
    throw new DTypeError(`${op}: needs a floating tensor, got ${x.dtype}; convert it with .to('float32')`);
}

const countOf = (x: Tensor, dims: readonly number[]): number => dims.reduce((n, d) => n * x.shape[d]!, 1);

/** The mean over some dims, or over all (`torch.mean`). NaN over no elements. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkOptions('mean', options, ['dim'], ['keepDim']);
  floats('mean', x);
  const dims = normalizeDims('mean', options.dim, x.ndim);
  return compose('mean', () => inFloat32('mean', [x], (y) => div(sum(y, { ...options, dim: dims }), countOf(x, dims))));
}

function extremum(op: 'amax' | 'amin', x: Tensor, options: ReduceOptions): Tensor {
  checkOptions(op, options, ['dim'], ['keepDim']);
  checkTensor(op, x);
  const dims = normalizeDims(op, options.dim, x.ndim);
  notEmpty(op, x, dims);
  const from = x.shape;
  const out = reduceDims(op, op === 'amax' ? 'max' : 'min', x, dims);
  // Ties share the gradient equally.
  const gradient = (g: Tensor, { inputs, output }: { inputs: readonly Tensor[]; output: Tensor }): Tensor[] => {
    const kept = keptShape(from, dims);
    const ties = cast(equal(inputs[0]!, reshape(output, kept)), 'float32');
    return [mul(ties, div(reshape(g, kept), sum(ties, { dim: dims, keepDim: true })))];
  };
  const reduced = taped(op, { gradient, saves: 'both' }, [x], out);
  return options.keepDim ? withDims(reduced, x.shape, dims) : reduced;
}

/** The largest element over some dims, or over all; ties share the gradient (`torch.amax`). NaN wins. */
export function amax(x: Tensor, options: ReduceOptions = {}): Tensor {
  return extremum('amax', x, options);
}

/** The smallest element over some dims, or over all; ties share the gradient (`torch.amin`). NaN wins. */
export function amin(x: Tensor, options: ReduceOptions = {}): Tensor {
  return extremum('amin', x, options);
}

/** The smallest and the largest element. */
export interface Extrema {
  readonly min: Tensor;
  readonly max: Tensor;
}

/**
 * The smallest and the largest element over some dims, or over all; ties share the gradient (`torch.aminmax`). NaN wins.
 *
 * @throws ShapeError when there is nothing along the reduced dims.
 */
export function aminmax(x: Tensor, options: ReduceOptions = {}): Extrema {
  checkOptions('aminmax', options, ['dim'], ['keepDim']);
  checkTensor('aminmax', x);
  notEmpty('aminmax', x, normalizeDims('aminmax', options.dim, x.ndim));
  return compose('aminmax', () => ({ min: amin(x, options), max: amax(x, options) }));
}

/** Options of `argmax` and `argmin`. */
export interface ArgOptions {
  /** Dim to search; the flattened tensor by default. */
  readonly dim?: number | undefined;
  readonly keepDim?: boolean | undefined;
}

/** The first place of the extremum, as two reductions: the value, and the least index that has it (NaN counts as extreme). */
function argExtremum(op: 'argmax' | 'argmin', x: Tensor, options: ArgOptions): Tensor {
  checkOptions(op, options, ['dim'], ['keepDim']);
  const device = deviceOf(op, [x]);
  if (options.dim === undefined && x.ndim !== 1) {
    const flat = compose(op, () => argExtremum(op, reshape(x, [-1]), {}));
    return options.keepDim ? withDims(flat, x.shape, normalizeDims(op, undefined, x.ndim)) : flat;
  }
  const d = normalizeDim(op, options.dim ?? 0, x.ndim);
  if (x.ndim === 0) return compose(op, () => argExtremum(op, reshape(x, [1]), { dim: 0 }));
  notEmpty(op, x, [d]);
  return compose(op, () => {
    const best = reduceDims(op, op === 'argmax' ? 'max' : 'min', x, [d]);
    const order = [...x.shape.map((_, i) => i).filter((i) => i !== d), d];
    const space = order.map((i) => x.shape[i]!);
    const here = e.wide(e.load(0, x.dtype));
    const found = e.eq(here, e.wide(e.load(1, x.dtype)));
    const hit = isFloating(x.dtype) ? e.or(found, e.isnan(here)) : found;
    const out = reduceNode(
      device,
      op,
      'min',
      e.select(hit, e.index(space.length - 1), e.constant(2 ** 31 - 1, 'int32')),
      space,
      1,
      [
        {
          node: x.node,
          access: { mode: 'direct', strides: order.map((i) => x.view.strides[i]!), offset: x.view.offset },
        },
        { node: best.node, access: { mode: 'direct', strides: [...best.view.strides, 0], offset: 0 } },
      ],
    );
    return options.keepDim ? withDims(out, x.shape, [d]) : out;
  });
}

/** The index of the largest element, the first of equals, as int32 (`torch.argmax`). */
export function argmax(x: Tensor, options: ArgOptions = {}): Tensor {
  return argExtremum('argmax', x, options);
}

/** The index of the smallest element, the first of equals, as int32 (`torch.argmin`). */
export function argmin(x: Tensor, options: ArgOptions = {}): Tensor {
  return argExtremum('argmin', x, options);
}

/** Values and where they were found. */
export interface ValuesIndices {
  readonly values: Tensor;
  readonly indices: Tensor;
}

/** Options of reductions over one dim that has to be named. */
export interface DimOptions {
  readonly dim: number;
  readonly keepDim?: boolean | undefined;
}

function pick(op: 'max' | 'min', x: Tensor, options: DimOptions): ValuesIndices {
  checkOptions(op, options, ['dim'], ['keepDim']);
  const { dim, keepDim = false } = options;
  const d = normalizeDim(op, dim, x.ndim);
  return compose(op, () => {
    if (x.ndim === 0)
      return { values: reshape(x, []), indices: argExtremum(op === 'max' ? 'argmax' : 'argmin', x, {}) };
    const kept = withGrad(false, () => argExtremum(op === 'max' ? 'argmax' : 'argmin', x, { dim: d, keepDim: true }));
    const values = gather(x, d, kept);
    return keepDim ? { values, indices: kept } : { values: squeeze(values, d), indices: squeeze(kept, d) };
  });
}

/** The largest element of all (`torch.max`); ties share the gradient. */
export function max(x: Tensor): Tensor;
/** The largest elements along a dim and their indices; the gradient goes to the returned index. */
export function max(x: Tensor, options: DimOptions): ValuesIndices;
export function max(x: Tensor, options?: DimOptions): Tensor | ValuesIndices {
  checkTensor('max', x);
  return options !== undefined ? pick('max', x, options) : compose('max', () => amax(x));
}

/** The smallest element of all (`torch.min`); ties share the gradient. */
export function min(x: Tensor): Tensor;
/** The smallest elements along a dim and their indices; the gradient goes to the returned index. */
export function min(x: Tensor, options: DimOptions): ValuesIndices;
export function min(x: Tensor, options?: DimOptions): Tensor | ValuesIndices {
  checkTensor('min', x);
  return options !== undefined ? pick('min', x, options) : compose('min', () => amin(x));
}

/** Options of `variance` and `std`. */
export interface VarianceOptions extends ReduceOptions {
  /** Subtracted from the count in the divisor: 1 for the sample's variance (the default), 0 for the population's. */
  readonly correction?: number | undefined;
}

/** The variance over some dims, or over all, from the squared deviations (`torch.var`). */
export function variance(x: Tensor, options: VarianceOptions = {}): Tensor {
  checkOptions('var', options, ['dim', 'correction'], ['keepDim']);
  floats('var', x);
  const dims = normalizeDims('var', options.dim, x.ndim);
  const { correction = 1 } = options;
  if (typeof correction !== 'number')
    throw new DTypeError(`var: correction is ${describe(correction)}, but it must be a number`);
  const n = countOf(x, dims) - correction;
  return compose('var', () =>
    inFloat32('var', [x], (y) => {
      const deviation = sub(y, mean(y, { dim: dims, keepDim: true }));
      return div(sum(square(deviation), { dim: dims, keepDim: options.keepDim }), Math.max(0, n));
    }),
  );
}

/** The standard deviation: the root of `variance` (`torch.std`). */
export function std(x: Tensor, options: VarianceOptions = {}): Tensor {
  checkOptions('std', options, ['dim', 'correction'], ['keepDim']);
  floats('std', x);
  return compose('std', () => inFloat32('std', [x], (y) => sqrt(variance(y, options))));
}

// The parts of logsumexp, which every classifier's training step records.
const unlessInfinite: Unary = elementwise('logsumexp', {
  type: floating,
  lower: (x) => e.select(isfinite.record.lower(x), x, 0),
  gradient: null,
  sample: [-3, 3],
});
const raisedFrom: Binary = elementwise('logsumexp', {
  type: floating,
  lower: (x, shift) => e.exp(e.sub(x, shift)),
  gradient: null,
  sample: [-3, 3],
});
const logPlus: Binary = elementwise('logsumexp', {
  type: floating,
  lower: (x, shift) => e.add(e.log(x), shift),
  gradient: null,
  sample: [1, 3],
});

/** log(sum(exp(x))) over some dims without overflow (`torch.logsumexp`); -Infinity over rows of -Infinity. */
export function logsumexp(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkOptions('logsumexp', options, ['dim'], ['keepDim']);
  floats('logsumexp', x);
  const dims = normalizeDims('logsumexp', options.dim, x.ndim);
  // The gradient is an exponential of the result, which has to be exact for that.
  if (x.dtype === 'float16') return inFloat32('logsumexp', [x], (y) => logsumexp(y, options));
  const from = x.shape;
  const empty = dims.some((d) => from[d] === 0);
  const out = compose('logsumexp', () =>
    withGrad(false, () => {
      if (empty) return log(sum(x, { dim: dims }));
      const top = reduceDims('logsumexp', 'max', x, dims);
      // An infinite maximum would give inf - inf.
      const shift = unlessInfinite(top);
      const kept = reshape(shift, keptShape(from, dims));
      return logPlus(sum(raisedFrom(x, kept), { dim: dims }), shift);
    }),
  );
  const gradient = (g: Tensor, { inputs, output }: { inputs: readonly Tensor[]; output: Tensor }): Tensor[] => {
    const kept = keptShape(from, dims);
    const total = reshape(output, kept);
    // Rows of -Infinity have no direction to move in.
    return [mul(reshape(g, kept), exp(sub(inputs[0]!, where(isfinite(total), total, 0))))];
  };
  const reduced = taped('logsumexp', { gradient, saves: 'both' }, [x], out);
  return options.keepDim ? withDims(reduced, x.shape, dims) : reduced;
}

/** exp(x) normalised to add up to 1 along a dim (`torch.softmax`). */
export function softmax(x: Tensor, dim: number): Tensor {
  floats('softmax', x);
  const d = normalizeDim('softmax', dim, x.ndim);
  if (x.ndim === 0) return compose('softmax', () => reshape(softmax(reshape(x, [1]), 0), []));
  const out = compose('softmax', () =>
    withGrad(false, () =>
      inFloat32('softmax', [x], (z) => {
        if (z.size === 0) return exp(z);
        const raised = exp(sub(z, amax(z, { dim: d, keepDim: true })));
        return div(raised, sum(raised, { dim: d, keepDim: true }));
      }),
    ),
  );
  const gradient = (g: Tensor, { output: y }: { output: Tensor }): Tensor[] => [
    mul(y, sub(g, sum(mul(g, y), { dim: d, keepDim: true }))),
  ];
  return taped('softmax', { gradient, saves: 'output' }, [x], out);
}

/** log(softmax(x)) along a dim, computed without overflow (`torch.log_softmax`). */
export function logSoftmax(x: Tensor, dim: number): Tensor {
  floats('logSoftmax', x);
  const d = normalizeDim('logSoftmax', dim, x.ndim);
  if (x.ndim === 0) return compose('logSoftmax', () => reshape(logSoftmax(reshape(x, [1]), 0), []));
  const out = compose('logSoftmax', () =>
    withGrad(false, () =>
      inFloat32('logSoftmax', [x], (z) => {
        if (z.size === 0) return exp(z);
        const shifted = sub(z, amax(z, { dim: d, keepDim: true }));
        return sub(shifted, log(sum(exp(shifted), { dim: d, keepDim: true })));
      }),
    ),
  );
  const gradient = (g: Tensor, { output: y }: { output: Tensor }): Tensor[] => [
    sub(g, mul(exp(y), sum(g, { dim: d, keepDim: true }))),
  ];
  return taped('logSoftmax', { gradient, saves: 'output' }, [x], out);
}

const whole: Drawn = { shape: [3, 7], dtype: 'int32', range: [-3, 3] };
const apart = (shape: readonly number[]): Drawn => ({ shape, distinct: true });
const both = (found: ValuesIndices): readonly Tensor[] => [found.values, found.indices];
const places = 'places are integers, which do not change with the elements';
const reduced = (op: (x: Tensor, options?: ReduceOptions) => Tensor): Samples[string]['calls'] => [
  sample([apart([3, 7])], (x) => op(x)),
  sample([apart([2, 3, 4])], (x) => op(x, { dim: [0, -1], keepDim: true })),
  sample([apart([33, 5])], (x) => op(x, { dim: 0 })),
  sample([apart([2, 67])], (x) => op(x, { dim: 1 })),
  sample([apart([])], (x) => op(x)),
];
const searched = (op: (x: Tensor, options?: ArgOptions) => Tensor): Samples[string] => ({
  noGradient: places,
  calls: [
    sample([[3, 7]], (x) => op(x)),
    sample([[3, 7]], (x) => op(x, { dim: 0, keepDim: true })),
    sample([whole], (x) => op(x, { dim: 1 })),
  ],
});
const picked = (op: (x: Tensor, options: DimOptions) => ValuesIndices): Samples[string]['calls'] => [
  sample([apart([3, 7])], (x) => both(op(x, { dim: 0 }))),
  sample([apart([3, 7])], (x) => both(op(x, { dim: -1, keepDim: true }))),
  sample([apart([])], (x) => both(op(x, { dim: 0 }))),
  sample([whole], (x) => both(op(x, { dim: 1 }))),
];
const normalised = (op: (x: Tensor, dim: number) => Tensor): Samples[string] => ({
  calls: [
    sample([[3, 7]], (x) => op(x, 1)),
    sample([[3, 2, 4]], (x) => op(x, 0)),
    sample([[]], (x) => op(x, -1)),
    sample([[2, 0]], (x) => op(x, 1)),
  ],
});
const spread = (op: (x: Tensor, options?: VarianceOptions) => Tensor): Samples[string] => ({
  calls: [
    sample([[3, 7]], (x) => op(x)),
    sample([[3, 7]], (x) => op(x, { dim: 1, correction: 0 })),
    sample([[2, 3, 4]], (x) => op(x, { dim: [0, 2], keepDim: true })),
  ],
});

/** Calls for the generated tests. */
export const samples = (): Samples => ({
  mean: { calls: reduced(mean) },
  amax: { calls: [...reduced(amax), sample([whole], (x) => amax(x, { dim: 1 }))] },
  amin: { calls: [...reduced(amin), sample([whole], (x) => amin(x, { dim: 1 }))] },
  aminmax: {
    calls: [
      sample([apart([3, 7])], (x) => Object.values(aminmax(x))),
      sample([apart([3, 7])], (x) => Object.values(aminmax(x, { dim: 1, keepDim: true }))),
    ],
  },
  argmax: searched(argmax),
  argmin: searched(argmin),
  max: { calls: [...picked(max), sample([apart([3, 7])], (x) => max(x))] },
  min: { calls: [...picked(min), sample([apart([3, 7])], (x) => min(x))] },
  var: spread(variance),
  std: spread(std),
  logsumexp: { calls: [...reduced(logsumexp), sample([[2, 0]], (x) => logsumexp(x, { dim: 1 }))] },
  softmax: normalised(softmax),
  logSoftmax: normalised(logSoftmax),
});
