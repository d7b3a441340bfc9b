import { type DType, promote } from '../core/dtype.ts';
import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { normalizeDim, showShape } from '../core/shape.ts';
import { template } from '../engine/node.ts';
import { select as choose, constant, type Expr, index, load, loadAt, lt, sub, uniform } from '../ir/expr.ts';
import type { Device } from '../tensor/device.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { cast } from './elementwise.ts';
import { compose, deviceOf, deviceOfAll, produce, reading, readingAt, taped } from './record.ts';
import { type Drawn, type Samples, sample } from './samples.ts';
import { contiguous, reshape, slice, unsqueeze } from './structure.ts';

/** Each element of a join looks into all its tensors: many are joined in groups, so that the time does not grow with their square. */
const MOST = 7;

/** How many tensors one kernel joins. */
export const mostJoined = ({ backend }: Device): number => Math.min(MOST, Math.max(2, backend.limits.bindings - 1));

/** Joins what one kernel can bind: each point reads from the tensor it falls into. */
function join(parts: readonly Tensor[], dim: number, dtype: DType): Tensor {
  const device = deviceOf('cat', parts);
  const rank = parts[0]!.ndim;
  const starts = parts.map((_, i) => parts.slice(0, i).reduce((n, p) => n + p.shape[dim]!, 0));
  const read = (i: number): Expr => {
    const at = sub(index(dim), uniform(i, 'int32'));
    return loadAt(
      i,
      dtype,
      Array.from({ length: rank }, (_, d) => (d === dim ? at : index(d))),
    );
  };
  const total = parts.reduce((n, p) => n + p.shape[dim]!, 0);
  const shape = parts[0]!.shape.map((n, d) => (d === dim ? total : n));
  const chain = (part: (i: number) => Expr, bound: (i: number) => Expr): Expr => {
    let expr = part(parts.length - 1);
    for (let i = parts.length - 2; i >= 0; i--) expr = choose(lt(index(dim), bound(i + 1)), part(i), expr);
    return expr;
  };
  // A stack: each part is one place, which a kernel can tell from the others beforehand.
  const operation = parts.every((p) => p.shape[dim] === 1)
    ? {
        template: template(
          'map',
          chain(
            (i) => load(i, dtype),
            (i) => constant(i, 'int32'),
          ),
        ),
        space: shape,
        inputs: parts.map((p) => reading(p, shape)),
      }
    : {
        template: template(
          'map',
          chain(read, (i) => uniform(i, 'int32')),
          starts.map(() => 'int32' as DType),
        ),
        space: shape,
        inputs: parts.map((p) => readingAt(p, null)),
        scalars: starts,
      };
  const ends = parts.map((p, i) => starts[i]! + p.shape[dim]!);
  const gradient = (g: Tensor): Tensor[] => starts.map((start, i) => slice(g, dim, start, ends[i]!));
  return taped('cat', { gradient, saves: 'nothing' }, parts, produce(device, 'cat', dtype, shape, operation));
}

/**
 * Tensors one after the other along a dim that exists (`torch.cat`). All other dims must be equal; dtypes are promoted.
 *
 * @throws ShapeError when the other dims differ.
 * @example
 * ```ts
 * const x = tl.cat([tl.zeros([2, 3]), tl.ones([1, 3])]); // shape [3, 3]
 * ```
 */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  if (tensors?.length === 0) throw new UnsupportedError('cat: the list is empty; give at least one tensor');
  const device = deviceOfAll('cat', tensors);
  // PyTorch lets empty 1-d tensors join anything.
  const parts = tensors.filter((t) => !(t.ndim === 1 && t.size === 0));
  const first = parts[0] ?? tensors[0]!;
  const d = normalizeDim('cat', dim, first.ndim);
  if (first.ndim === 0) throw new ShapeError('cat: scalars have no dim to join along; use stack');
  for (const t of parts)
    if (t.ndim !== first.ndim || t.shape.some((n, i) => i !== d && n !== first.shape[i]))
      throw new ShapeError(
        `cat: shapes ${showShape(first.shape)} and ${showShape(t.shape)} differ in a dim other than ${d}, along which they are joined`,
      );
  const dtype = tensors.map((t) => t.dtype).reduce((a, b) => promote('cat', a, b));
  return compose('cat', () => {
    let list = (parts.length === 0 ? [first] : parts).map((t) => cast(t, dtype));
    const most = mostJoined(device);
    // A copy also of a single tensor, as of several.
    if (list.length === 1) return contiguous(list[0]!);
    while (list.length > 1) {
      const next: Tensor[] = [];
      for (let i = 0; i < list.length; i += most)
        next.push(i + 1 === list.length ? list[i]! : join(list.slice(i, i + most), d, dtype));
      list = next;
    }
    return reshape(list[0]!, list[0]!.shape);
  });
}

/** Tensors of one shape along a new dim (`torch.stack`). */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  if (tensors?.length !== 0) deviceOfAll('stack', tensors);
  const first = tensors[0];
  if (!first) throw new UnsupportedError('stack: the list is empty; give at least one tensor');
  const d = normalizeDim('stack', dim, first.ndim + 1);
  return compose('stack', () =>
    cat(
      tensors.map((t) => unsqueeze(t, d)),
      d,
    ),
  );
}

const whole: Drawn = { shape: [2, 3], dtype: 'int32', range: [-9, 9] };

/** Calls for the generated tests. */
export const samples = (): Samples => ({
  cat: {
    calls: [
      sample(
        [
          [2, 3],
          [1, 3],
          [4, 3],
        ],
        (...parts) => cat(parts),
      ),
      sample(
        [
          [2, 3],
          [2, 0],
          [2, 4],
        ],
        (...parts) => cat(parts, -1),
      ),
      sample([[0], [2, 3]], (...parts) => cat(parts)),
      sample([[2, 3]], (x) => cat([x])),
      sample([[2, 3], whole], (...parts) => cat(parts)),
      sample([whole, { shape: [2, 3], dtype: 'bool', range: [0, 1] }], (...parts) => cat(parts)),
    ],
  },
  stack: {
    calls: [
      sample(
        [
          [2, 3],
          [2, 3],
        ],
        (...parts) => stack(parts),
      ),
      sample(
        [
          [2, 3],
          [2, 3],
        ],
        (...parts) => stack(parts, -1),
      ),
      sample([[], []], (...parts) => stack(parts)),
    ],
  },
});
