import { canHold, type DType, integerRange, isFloating } from '../core/dtype.ts';
import { DTypeError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { broadcastShapes, isContiguous, sameShape, showShape } from '../core/shape.ts';
import { copying, filling, type Node, template } from '../engine/node.ts';
import {
  and,
  select as choose,
  constant,
  div,
  type Expr,
  eq,
  index,
  le,
  load,
  loadAt,
  lt,
  sub as minus,
  mul as times,
  uniform,
} from '../ir/expr.ts';
import { gradEnabled } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { add, cast, div as divide, mul, sub } from './elementwise.ts';
import {
  checkTensor,
  compose,
  deviceOfOperands,
  type Operand,
  produce,
  reading,
  readingAt,
  recordNode,
} from './record.ts';
import { type Samples, sample } from './samples.ts';
import { expand, slice } from './structure.ts';

/** Does the tensor show its whole storage, in order? */
const whole = (x: Tensor): boolean => x.view.offset === 0 && x.size === x.node.size && isContiguous(x.view);

/** Does the value's own node hold it in the tensor's layout? */
const becomes = (x: Tensor, value: Tensor): boolean =>
  whole(x) && whole(value) && sameShape(value.shape, x.shape) && value.node !== x.node;

/** Points the tensor's storage to another node. */
function point(x: Tensor, after: Node): void {
  const before = x.node;
  after.hold();
  x.cell.node = after;
  x.device.engine.assigned(x.cell, before, after);
  before.release();
}

/** A node that holds the value in the layout of a tensor that shows its whole storage. */
function wholeValue(x: Tensor, value: Tensor): Node {
  if (becomes(x, value)) return value.node;
  return recordNode(x.device, 'assign', x.dtype, {
    template: copying(x.dtype),
    space: x.shape,
    inputs: [reading(value, x.shape)],
  });
}

/** The storage with the value put in the places that the view shows: a map over the storage that inverts the view's strides. */
function through(x: Tensor, value: Tensor): Node {
  const dims = x.shape
    .map((n, d) => ({ n, stride: x.view.strides[d]!, d }))
    .filter(({ n }) => n !== 1)
    .sort((a, b) => b.stride - a.stride);
  if (
    dims.some(
      ({ n, stride }, i) =>
        stride < (i + 1 < dims.length ? dims[i + 1]!.stride * (dims[i + 1]!.n - 1) + 1 : 1) && n > 1,
    )
  )
    throw new UnsupportedError(
      'assign_: the view shows an element of its storage more than once (expand), or windows that interleave; assign to the tensor it was made from',
    );
  const scalars = [x.view.offset];
  let rest: Expr = minus(index(0), uniform(0, 'int32'));
  let inside = le(constant(0, 'int32'), rest);
  const at: Expr[] = x.shape.map(() => constant(0, 'int32'));
  for (const { n, stride, d } of dims) {
    const step = uniform(scalars.push(stride) - 1, 'int32');
    const size = uniform(scalars.push(n) - 1, 'int32');
    const place = div(rest, step);
    rest = minus(rest, times(place, step));
    inside = and(inside, lt(place, size));
    at[d] = place;
  }
  inside = and(inside, eq(rest, constant(0, 'int32')));
  const expr = choose(inside, loadAt(0, x.dtype, at), load(1, x.dtype));
  return recordNode(x.device, 'assign', x.dtype, {
    template: template(
      'map',
      expr,
      scalars.map(() => 'int32' as DType),
    ),
    space: [x.node.size],
    inputs: [readingAt(value, null), { node: x.node, access: { mode: 'direct', strides: [1], offset: 0 } }],
    scalars,
  });
}

/**
 * Gives a tensor new elements in place: all views of its storage see them, results computed before do not. The value broadcasts
 * and is converted to the tensor's dtype.
 *
 * @throws UnsupportedError for a leaf that requires a gradient outside `noGrad`, and for views that autograd watches.
 * @throws ShapeError when the value does not broadcast to the tensor.
 */
export function assign_(x: Tensor, value: Operand): Tensor {
  checkTensor('assign_', x);
  deviceOfOperands('assign_', [x, value]);
  const watched = gradEnabled() && (x.requiresGrad || (typeof value !== 'number' && value.requiresGrad));
  if (watched) {
    if (x.isLeaf && x.requiresGrad)
      throw new UnsupportedError(
        'assign_: the tensor is a leaf that requires a gradient; update it inside noGrad(() => …)',
      );
    if (x.cell.handles + x.cell.collected > 1)
      throw new UnsupportedError(
        'assign_: the tensor is or has a view that autograd would have to follow; dispose of the views first, or use an op that makes a new tensor',
      );
  }
  if (typeof value === 'number') {
    if (!canHold(x.dtype, value))
      throw new DTypeError(
        `assign_: ${value} does not fit into ${x.dtype} (${integerRange(x.dtype)?.join(' to ')}); convert the tensor with .to('float32')`,
      );
  } else {
    if (!sameShape(broadcastShapes('assign_', x.shape, value.shape), x.shape))
      throw new ShapeError(
        `assign_: a value of shape ${showShape(value.shape)} does not broadcast to ${showShape(x.shape)}`,
      );
    if (isFloating(value.dtype) && !isFloating(x.dtype))
      throw new DTypeError(
        `assign_: a ${value.dtype} value does not fit into ${x.dtype} without loss; convert it with .to('${x.dtype}')`,
      );
  }
  if (!watched && typeof value !== 'number' && value.dtype === x.dtype && x.size > 0 && becomes(x, value)) {
    point(x, value.node);
    return x;
  }
  compose('assign', () => {
    const filled =
      typeof value === 'number'
        ? produce(x.device, 'assign', x.dtype, x.shape, {
            template: filling(x.dtype),
            space: x.shape,
            inputs: [],
            scalars: [x.dtype === 'bool' ? Number(value !== 0) : value],
          })
        : cast(value, x.dtype);
    const tape = watched ? (sameShape(filled.shape, x.shape) ? filled : expand(filled, x.shape)).tape : null;
    // An empty view changes nothing, whatever its strides.
    if (x.size > 0) point(x, whole(x) ? wholeValue(x, filled) : through(x, expand(filled, x.shape)));
    if (watched) x.moveTo(tape);
  });
  return x;
}

const inPlace =
  (op: (a: Tensor, b: Operand) => Tensor) =>
  (x: Tensor, y: Operand): Tensor =>
    compose('assign', () => {
      assign_(x, op(x, y));
      return x;
    });

/** x += y in place. */
export const add_: (x: Tensor, y: Operand) => Tensor = /* @__PURE__ */ inPlace((a, b) => add(a, b));
/** x -= y in place. */
export const sub_: (x: Tensor, y: Operand) => Tensor = /* @__PURE__ */ inPlace((a, b) => sub(a, b));
/** x *= y in place. */
export const mul_: (x: Tensor, y: Operand) => Tensor = /* @__PURE__ */ inPlace((a, b) => mul(a, b));
/** x /= y in place. */
export const div_: (x: Tensor, y: Operand) => Tensor = /* @__PURE__ */ inPlace((a, b) => divide(a, b));

/** Every element set to a number, in place. */
export function fill_(x: Tensor, value: number): Tensor {
  return assign_(x, value);
}

/** Every element set to 0, in place. */
export function zero_(x: Tensor): Tensor {
  return assign_(x, 0);
}

// Of results of ops: leaves change inside noGrad only.
const updated = (op: (x: Tensor, y: Tensor) => Tensor): Samples[string] => ({
  calls: [
    sample([[3, 4], { shape: [4], range: [0.5, 2] }], (x, y) => op(mul(x, x), y)),
    sample(
      [
        { shape: [5], dtype: 'float32' },
        { shape: [], range: [0.5, 2] },
      ],
      (x, y) => op(mul(x, 2), y),
    ),
  ],
});

/** Calls for the generated tests. */
export const samples = (): Samples => ({
  assign_: {
    calls: [
      ...updated(assign_).calls,
      sample(
        [
          { shape: [5, 4], dtype: 'int32', range: [-9, 9] },
          { shape: [2, 1], dtype: 'int32', range: [-9, 9] },
        ],
        (x, y) => {
          const out = add(x, 0);
          assign_(slice(out, 0, 1, 5, 2), y);
          return out;
        },
      ),
    ],
  },
  add_: updated(add_),
  sub_: updated(sub_),
  mul_: updated(mul_),
  div_: updated(div_),
  fill_: { calls: [sample([[3, 4]], (x) => [fill_(mul(x, 2), 1.5), mul(x, 1)])] },
  zero_: { calls: [sample([[3, 4]], (x) => [zero_(mul(x, 2)), mul(x, 1)])] },
});
