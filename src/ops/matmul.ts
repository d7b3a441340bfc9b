import { type DType, isFloating, promote } from '../core/dtype.ts';
import { ShapeError } from '../core/errors.ts';
import { broadcastShapes, sameShape, showShape, sizeOf } from '../core/shape.ts';
import { type Template, template, templates } from '../engine/node.ts';
import { result } from '../ir/expr.ts';
import type { GradientRule } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { autocasting } from './autocast.ts';
import { add, cast, mul } from './elementwise.ts';
import { numberOptions } from './options.ts';
import { compose, deviceOf, produce, readingBy, taped } from './record.ts';
import { type Drawn, type Samples, sample } from './samples.ts';
import { expand, inFloat32, reshape, squeeze, sum, transpose, unsqueeze } from './structure.ts';

/** Sums of products over a space of [...batch, ...rows, column, ...summed], with so many dims of rows. */
const sumsOf: (rows: number) => Template = /* @__PURE__ */ templates((rows: number) =>
  template('matmul', result(0, 'float32'), [], { rows, columns: 1 }),
);

/**
 * The product of float matrices, in the given dtype: the one kernel behind every product. Batches are equal, or there is one right
 * matrix, and then the dims of the left one but the last are rows.
 */
function product(a: Tensor, b: Tensor, dtype: DType = promote('matmul', a.dtype, b.dtype)): Tensor {
  const device = deviceOf('matmul', [a, b]);
  const rank = a.ndim;
  const rows = b.ndim === 2 ? rank - 1 : 1;
  const shape = [...a.shape.slice(0, -1), b.shape.at(-1)!];
  const space = [...shape, a.shape[rank - 1]!];
  const [of, by] = [a.view.strides, b.view.strides];
  const batch = b.ndim === 2 ? new Array<number>(rank - 2).fill(0) : by.slice(0, -2);
  const inputs = [
    readingBy(a, [...of.slice(0, -1), 0, of[rank - 1]!]),
    readingBy(b, [...batch, 0, by.at(-1)!, by.at(-2)!]),
  ];
  const out = produce(device, 'matmul', dtype, shape, { template: sumsOf(rows), space, inner: 1, inputs });
  const gradient: GradientRule = (g, { inputs: saved, needs }) => {
    const [x, y] = saved as readonly [Tensor, Tensor];
    if (rows > 1) return [needs[0] ? product(g, flipped(y)) : null, needs[1] ? overRows(y, x, g) : null];
    return [needs[0] ? productLike(x, g, flipped(y)) : null, needs[1] ? productLike(y, flipped(x), g) : null];
  };
  return taped('matmul', { gradient, saves: 'inputs', narrow: true }, [a, b], out);
}

/** The products of all pairs of columns, summed over the rows of several dims: the gradient of the one right matrix of a product. */
function overRows(like: Tensor, a: Tensor, b: Tensor): Tensor {
  if (byColumns(like)) return flipped(overRows(flipped(like), b, a));
  const device = deviceOf('matmul', [a, b]);
  const shape = [a.shape.at(-1)!, b.shape.at(-1)!];
  const lead = a.ndim - 1;
  const [of, by] = [a.view.strides, b.view.strides];
  const out = produce(device, 'matmul', promote('matmul', a.dtype, b.dtype), shape, {
    template: sumsOf(1),
    space: [...shape, ...a.shape.slice(0, lead)],
    inner: lead,
    inputs: [readingBy(a, [of[lead]!, 0, ...of.slice(0, lead)]), readingBy(b, [0, by[lead]!, ...by.slice(0, lead)])],
  });
  const gradient: GradientRule = (g, { inputs, needs }) => {
    const [x, y] = inputs as readonly [Tensor, Tensor];
    return [needs[0] ? product(y, flipped(g)) : null, needs[1] ? product(x, g) : null];
  };
  return taped('matmul', { gradient, saves: 'inputs', narrow: true }, [a, b], out);
}

const flipped = (x: Tensor): Tensor => transpose(x, -1, -2);
const byColumns = ({ view: { strides } }: Tensor): boolean => strides.at(-2) === 1 && strides.at(-1) !== 1;

/** A product that lies in memory as another matrix does: row by row or column by column, so that an update of that one meets it. */
function productLike(like: Tensor, a: Tensor, b: Tensor): Tensor {
  return byColumns(like) ? flipped(product(flipped(b), flipped(a))) : product(a, b);
}

const mismatch = (op: string, a: Tensor, b: Tensor, rule: string): ShapeError =>
  new ShapeError(`${op}: shapes ${showShape(a.shape)} and ${showShape(b.shape)} do not multiply: ${rule}`);

/**
 * The matrix product of `torch.matmul`: dot product of vectors, matrix times vector, and batches of matrices whose leading dims
 * broadcast. Integers are multiplied exactly as int32.
 *
 * @throws ShapeError when the inner sizes differ or an operand is a scalar.
 * @example
 * ```ts
 * const y = tl.matmul(tl.ones([2, 3]), tl.ones([3, 4])); // shape [2, 4]
 * ```
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  if (!autocasting()) return multiply(a, b);
  deviceOf('matmul', [a, b]);
  return compose('matmul', () => multiply(narrowed(a), narrowed(b)));
}

/** @internal float16 in place of float32, where autocast is on and the device has it. */
export const narrowed = (x: Tensor): Tensor =>
  x.dtype === 'float32' && autocasting() && x.device.backend.halves ? cast(x, 'float16') : x;

/** @internal `matmul` without autocast; a product of float16 is not rounded where float32 is asked for. */
export function multiply(a: Tensor, b: Tensor, asked?: 'float32'): Tensor {
  deviceOf('matmul', [a, b]);
  if (a.ndim === 0 || b.ndim === 0) throw mismatch('matmul', a, b, 'both need at least one dim; use mul for scalars');
  const k = a.shape[a.ndim - 1]!;
  if (k !== b.shape[Math.max(0, b.ndim - 2)])
    throw mismatch(
      'matmul',
      a,
      b,
      `the last dim of the first (${k}) must equal the ${b.ndim === 1 ? 'only' : 'second-last'} dim of the second`,
    );
  return compose('matmul', () => {
    if (a.ndim === 1) return squeeze(multiply(unsqueeze(a, 0), b, asked), b.ndim === 1 ? 0 : -2);
    if (b.ndim === 1) return squeeze(multiply(a, unsqueeze(b, 1), asked), -1);
    const dtype = promote('matmul', a.dtype, b.dtype);
    if (!isFloating(dtype))
      return sum(mul(unsqueeze(cast(a, 'int32'), -1), unsqueeze(cast(b, 'int32'), -3)), { dim: -2 });
    if (!isFloating(a.dtype) || !isFloating(b.dtype)) return multiply(cast(a, dtype), cast(b, dtype), asked);
    const as = asked ?? dtype;
    // One right matrix for all: its batch is more rows, and its gradient a single product.
    if (b.ndim === 2) return product(a, b, as);
    const batch = broadcastShapes('matmul', a.shape.slice(0, -2), b.shape.slice(0, -2));
    const wide = (x: Tensor): Tensor => expand(x, [...batch, ...x.shape.slice(-2)]);
    return product(wide(a), wide(b), as);
  });
}

/** Batches of matrices, 3-d and of equal batch size (`torch.bmm`). */
export function bmm(a: Tensor, b: Tensor): Tensor {
  deviceOf('bmm', [a, b]);
  if (a.ndim !== 3 || b.ndim !== 3 || a.shape[0] !== b.shape[0])
    throw mismatch('bmm', a, b, 'both must have three dims and the same batch size');
  return matmul(a, b);
}

/** The dot product of two vectors (`torch.dot`). */
export function dot(a: Tensor, b: Tensor): Tensor {
  deviceOf('dot', [a, b]);
  if (a.ndim !== 1 || b.ndim !== 1) throw mismatch('dot', a, b, 'both must be vectors; use matmul');
  return matmul(a, b);
}

/** The products of all pairs of two vectors' elements (`torch.outer`). */
export function outer(a: Tensor, b: Tensor): Tensor {
  deviceOf('outer', [a, b]);
  if (a.ndim !== 1 || b.ndim !== 1) throw mismatch('outer', a, b, 'both must be vectors');
  return compose('outer', () => mul(unsqueeze(a, 1), b));
}

/** beta * input + alpha * a @ b (`torch.addmm`). */
export function addmm(
  input: Tensor,
  a: Tensor,
  b: Tensor,
  options: { readonly beta?: number | undefined; readonly alpha?: number | undefined } = {},
): Tensor {
  deviceOf('addmm', [input, a, b]);
  const { beta, alpha } = numberOptions('addmm', options, { beta: 1, alpha: 1 });
  return compose('addmm', () => {
    const bias = narrowed(input);
    return plus(beta === 1 ? bias : mul(bias, beta), narrowed(a), narrowed(b), alpha);
  });
}

/** A bias and a product, times a factor: together rounded once. */
function plus(bias: Tensor, a: Tensor, b: Tensor, alpha = 1): Tensor {
  const half = [bias, a, b].every((x) => x.dtype === 'float16');
  const y = multiply(a, b, half ? 'float32' : undefined);
  const sum = add(alpha === 1 ? y : mul(y, alpha), bias);
  return half ? cast(sum, 'float16') : sum;
}

/** x @ weight^T + bias, with weight as [out, in] (`F.linear`). */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor | null): Tensor {
  const given = [x, weight, ...(bias === null || bias === undefined ? [] : [bias])];
  deviceOf('linear', given);
  return compose('linear', () => {
    const matrix = weight.ndim === 1 ? weight : transpose(weight, 0, 1);
    return bias ? plus(narrowed(bias), narrowed(x), narrowed(matrix)) : matmul(x, matrix);
  });
}

/**
 * x1^T W x2 + bias over the last dims, for each output the weighted sum of all products of an element of x1 and one of x2, with weight as
 * [out, in1, in2] (`F.bilinear`).
 *
 * @throws ShapeError when the sizes do not fit, or the inputs differ in another dim than the last.
 * @example
 * ```ts
 * const y = tl.nn.functional.bilinear(tl.rand([8, 3]), tl.rand([8, 4]), tl.rand([5, 3, 4])); // shape [8, 5]
 * ```
 */
export function bilinear(x1: Tensor, x2: Tensor, weight: Tensor, bias?: Tensor | null): Tensor {
  const given = bias ? [x1, x2, weight, bias] : [x1, x2, weight];
  deviceOf('bilinear', given);
  const shapes = `inputs ${showShape(x1.shape)} and ${showShape(x2.shape)} and weight ${showShape(weight.shape)}`;
  const [outputs = 0, first = 0, second = 0] = weight.shape;
  if (weight.ndim !== 3 || x1.shape.at(-1) !== first || x2.shape.at(-1) !== second)
    throw new ShapeError(`bilinear: ${shapes} must be of shape [..., in1], [..., in2] and [out, in1, in2]`);
  const lead = x1.shape.slice(0, -1);
  if (!sameShape(lead, x2.shape.slice(0, -1)))
    throw new ShapeError(`bilinear: ${shapes} differ in another dim than the last; expand one of the inputs`);
  if (bias && !sameShape(bias.shape, [outputs]))
    throw new ShapeError(`bilinear: bias ${showShape(bias.shape)} must be of shape [${outputs}], one for each output`);
  const rows = sizeOf(lead);
  return compose('bilinear', () =>
    inFloat32('bilinear', given, (a, b, w, offset) => {
      const inner = linear(reshape(b!, [rows, second]), reshape(w!, [outputs * first, second]));
      const products = matmul(reshape(inner, [rows, outputs, first]), reshape(a!, [rows, first, 1]));
      const sums = reshape(products, [...lead, outputs]);
      return offset ? add(sums, offset) : sums;
    }),
  );
}

const whole = (...shape: number[]): Drawn => ({ shape, dtype: 'int32', range: [-9, 9] });

/** Calls for the generated tests. */
export const samples = (): Samples => ({
  matmul: {
    calls: [
      sample(
        [
          [3, 5],
          [5, 4],
        ],
        matmul,
      ),
      sample([[5], [5]], matmul),
      sample([[3, 5], [5]], matmul),
      sample([[5], [2, 5, 4]], matmul),
      sample(
        [
          [2, 1, 3, 5],
          [4, 5, 2],
        ],
        matmul,
      ),
      sample(
        [
          [17, 33],
          [33, 9],
        ],
        matmul,
      ),
      sample(
        [
          [0, 5],
          [5, 4],
        ],
        matmul,
      ),
      sample(
        [
          [3, 0],
          [0, 4],
        ],
        matmul,
      ),
      sample([whole(3, 5), whole(5, 2)], matmul),
    ],
  },
  bmm: {
    calls: [
      sample(
        [
          [2, 3, 5],
          [2, 5, 4],
        ],
        bmm,
      ),
    ],
  },
  dot: { calls: [sample([[7], [7]], dot), sample([whole(7), whole(7)], dot)] },
  outer: { calls: [sample([[3], [5]], outer)] },
  addmm: {
    calls: [
      sample([[4], [3, 5], [5, 4]], (x, a, b) => addmm(x, a, b)),
      sample(
        [
          [3, 4],
          [3, 5],
          [5, 4],
        ],
        (x, a, b) => addmm(x, a, b, { beta: 0.5, alpha: -2 }),
      ),
    ],
  },
  linear: {
    calls: [
      sample([[2, 3, 5], [4, 5], [4]], (x, w, b) => linear(x, w, b)),
      sample([[5], [4, 5]], (x, w) => linear(x, w)),
      sample([[3, 5], [5]], (x, w) => linear(x, w)),
    ],
  },
  bilinear: {
    calls: [
      sample([[4, 3], [4, 5], [2, 3, 5], [2]], (a, b, w, bias) => bilinear(a, b, w, bias)),
      sample(
        [
          [2, 3, 2],
          [2, 3, 1],
          [4, 2, 1],
        ],
        (a, b, w) => bilinear(a, b, w),
      ),
      sample([[3], [2], [2, 3, 2]], (a, b, w) => bilinear(a, b, w)),
    ],
  },
});
