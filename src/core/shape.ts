import { describe } from './check.ts';
import { IndexError, ShapeError } from './errors.ts';

/** Sizes of the dimensions, the outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

/** A strided window on a buffer: element (i, j, …) lies at `offset + i * strides[0] + j * strides[1] + …`. */
export interface View {
  readonly shape: Shape;
  readonly strides: readonly number[];
  readonly offset: number;
}

/** The number of elements, or of what the first dims count. */
export function sizeOf(shape: Shape, dims: number = shape.length): number {
  let n = 1;
  for (let i = 0; i < dims; i++) n *= shape[i]!;
  return n;
}

export function sameShape(a: Shape, b: Shape): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export const showShape = (shape: Shape): string => `[${shape.join(', ')}]`;

/** Row-major strides. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step;
    step *= shape[i]!;
  }
  return strides;
}

export const contiguousView = (shape: Shape): View => ({ shape, strides: contiguousStrides(shape), offset: 0 });

/** True when the elements follow each other in row-major order from the offset (the offset itself is free). */
export function isContiguous(view: View): boolean {
  let step = 1;
  for (let i = view.shape.length - 1; i >= 0; i--) {
    const d = view.shape[i]!;
    if (d === 0) return true;
    if (d !== 1 && view.strides[i] !== step) return false;
    step *= d;
  }
  return true;
}

/** The shape that two shapes broadcast to, or a ShapeError that names the op and both. */
export function broadcastShapes(op: string, a: Shape, b: Shape): Shape {
  if (sameShape(a, b)) return a;
  const rank = Math.max(a.length, b.length);
  const out = new Array<number>(rank);
  for (let i = 1; i <= rank; i++) {
    const x = i <= a.length ? a[a.length - i]! : 1;
    const y = i <= b.length ? b[b.length - i]! : 1;
    if (x !== y && x !== 1 && y !== 1)
      throw new ShapeError(
        `${op}: shapes ${showShape(a)} and ${showShape(b)} do not broadcast: dimension ${rank - i} is ${x} in one and ${y} ` +
          'in the other; they must be equal or one of them 1 (use reshape or unsqueeze to line them up)',
      );
    out[rank - i] = x === 1 ? y : x;
  }
  return out;
}

/** The view read as if it had the larger shape: stride 0 where it is repeated. */
export function broadcastView(view: View, shape: Shape): View {
  if (sameShape(view.shape, shape)) return view;
  const pad = shape.length - view.shape.length;
  const strides = new Array<number>(shape.length);
  for (let i = 0; i < shape.length; i++)
    strides[i] = i < pad || (view.shape[i - pad] === 1 && shape[i] !== 1) ? 0 : view.strides[i - pad]!;
  return { shape, strides, offset: view.offset };
}

/** The dim as 0 … rank-1, or an IndexError. A scalar takes 0 and -1, as in PyTorch. */
export function normalizeDim(op: string, dim: number, rank: number): number {
  const n = Math.max(rank, 1);
  if (!Number.isInteger(dim) || dim < -n || dim >= n)
    throw new IndexError(
      `${op}: dim ${typeof dim === 'number' ? dim : describe(dim)} is out of range for a tensor of ${rank} dimensions; use ${-n} to ${n - 1}`,
    );
  return dim < 0 ? dim + n : dim;
}

/** Several dims, normalized, without repeats, ascending; all of them when none are given. */
export function normalizeDims(op: string, dims: number | readonly number[] | undefined | null, rank: number): number[] {
  if (dims !== undefined && dims !== null && typeof dims !== 'number' && !Array.isArray(dims))
    throw new IndexError(`${op}: ${describe(dims)} names no dims; give a number or an array of numbers`);
  if (dims === undefined || dims === null || (typeof dims !== 'number' && dims.length === 0))
    return Array.from({ length: rank }, (_, i) => i);
  const list = (typeof dims === 'number' ? [dims] : dims).map((d) => normalizeDim(op, d, rank));
  if (list.length > 1 && new Set(list).size !== list.length)
    throw new ShapeError(`${op}: dims ${showShape(list)} name a dimension twice`);
  return rank === 0 ? [] : list.sort((a, b) => a - b);
}

/** The same elements under another shape without moving them, or null where strides do not allow it. */
export function reshapeView(view: View, shape: Shape): View | null {
  if (isContiguous(view)) return { shape, strides: contiguousStrides(shape), offset: view.offset };
  const strides = new Array<number>(shape.length).fill(0);
  // Walk groups of old dims whose product equals a group of new dims; each group must be mergeable.
  let i = 0;
  let j = 0;
  const old = view.shape.map((d, k) => ({ d, s: view.strides[k]! })).filter((x) => x.d !== 1);
  while (i < old.length) {
    let oldSize = old[i]!.d;
    const start = i++;
    while (j < shape.length && shape[j] === 1) j++;
    const first = j;
    let newSize = shape[j++] ?? 1;
    while (oldSize !== newSize) {
      if (oldSize < newSize) {
        if (i >= old.length) return null;
        oldSize *= old[i++]!.d;
      } else {
        if (j >= shape.length) return null;
        newSize *= shape[j++]!;
      }
    }
    for (let k = start; k + 1 < i; k++) if (old[k]!.s !== old[k + 1]!.s * old[k + 1]!.d) return null;
    let step = old[i - 1]!.s;
    for (let k = j - 1; k >= first; k--) {
      strides[k] = step;
      step *= shape[k]!;
    }
  }
  return { shape, strides, offset: view.offset };
}

/** A ShapeError for what is no list of sizes or dims at all. */
export function checkSizes(op: string, sizes: Shape): void {
  if (!Array.isArray(sizes))
    throw new ShapeError(`${op}: expected an array of numbers, such as [2, 3], got ${describe(sizes)}`);
}

/** Checks a shape given by a user. */
export function checkShape(op: string, shape: Shape): void {
  checkSizes(op, shape);
  for (const d of shape)
    if (!Number.isInteger(d) || d < 0)
      throw new ShapeError(`${op}: ${showShape(shape)} is no shape: sizes are whole numbers of at least 0`);
  if (!Number.isSafeInteger(sizeOf(shape)))
    throw new ShapeError(`${op}: ${showShape(shape)} has more elements than can be counted`);
}
