// Looking elements up by places, and putting them there, from the rules of Python's indexing.
import {
  cast,
  dim,
  type Entry,
  fail,
  gatherVal,
  type Handle,
  Handle as HandleClass,
  lookedUp,
  named,
  type Operand,
  optionsOf,
  promote,
  read,
} from '../handles.ts';
import type { Model } from '../model.ts';
import {
  add,
  broadcast,
  broadcastMap,
  broadcastShape,
  choose,
  map,
  mapOf,
  mul,
  number,
  put,
  type Shape,
  sameShape,
  shaped,
  sizeOf,
  take,
  type Val,
  value,
} from '../values.ts';

const isHandle = (x: unknown): x is Handle => x instanceof HandleClass;
const integers = (x: unknown): Val => {
  const h = x as Handle;
  if (h.dtype !== 'int32' && h.dtype !== 'uint32') fail('DTypeError', 'indices');
  return read(h);
};

/** What an index names: for each element of the result its place in the tensor, -1 where that is out of range. */
interface Named {
  readonly shape: Shape;
  readonly places: Int32Array;
  /** The tensors among the items. */
  readonly tensors: readonly Val[];
  readonly view: boolean;
}

interface Axis {
  /** The dim that it walks, or null for a new one. */
  readonly of: number | null;
  readonly at: readonly number[];
  readonly tensor: Val | null;
}

const inRange = (place: unknown, n: number): number => {
  if (typeof place !== 'number' || !Number.isInteger(place) || place < -n || place >= n)
    return fail('IndexError', 'place');
  return place < 0 ? place + n : place;
};

function located(shape: Shape, items: readonly unknown[]): Named {
  const dots = items.filter((i) => i === '...').length;
  const naming = items.filter((i) => i !== null && i !== '...').length;
  if (dots > 1 || naming > shape.length) fail('IndexError', 'items');
  const open = new Array<unknown>(shape.length - naming).fill(':');
  const all = (dots === 1 ? items : [...items, '...']).flatMap((i) => (i === '...' ? open : [i]));
  const fixed = new Map<number, number>();
  const axes: Axis[] = [];
  let d = 0;
  for (const item of all) {
    if (item === null) {
      axes.push({ of: null, at: [0], tensor: null });
      continue;
    }
    const n = shape[d]!;
    const every = Array.from({ length: n }, (_, i) => i);
    if (item === ':') axes.push({ of: d, at: every, tensor: null });
    else if (typeof item === 'number') fixed.set(d, inRange(item, n));
    else if (isHandle(item)) {
      if (item.dtype === 'bool') fail('DTypeError', 'mask');
      axes.push({ of: d, at: [], tensor: integers(item) });
    } else if (Array.isArray(item)) {
      const data = Float64Array.from(item, (i) => inRange(i, n));
      const tensor: Val = { shape: [data.length], dtype: 'int32', data, err: 0, wild: false, tape: null };
      axes.push({ of: d, at: [], tensor });
    } else {
      const { start = 0, end = n, step = 1 } = item as { start?: number; end?: number; step?: number };
      if (!Number.isInteger(step) || step < 1) fail('IndexError', 'step');
      // Python's rule: from the end where negative, and cut to the dim.
      const cut = (i: number): number => (i < 0 ? Math.max(0, i + n) : Math.min(i, n));
      const at: number[] = [];
      for (let i = cut(start); i < cut(end); i += step) at.push(i);
      axes.push({ of: d, at, tensor: null });
    }
    d++;
  }
  const tensors = axes.flatMap((a) => a.tensor ?? []);
  let batch: Shape = [];
  for (const t of tensors) batch = broadcastShape(batch, t.shape);
  // No place of an empty dim is in range: that needs no device.
  if (sizeOf(batch) > 0 && axes.some((a) => a.tensor && shape[a.of!] === 0)) fail('IndexError', 'empty');
  // Scalar tensors drop their dim, as numbers do; the others put the dims of the batch where they are, if side by side.
  const kept = axes.filter((a) => a.tensor?.shape.length !== 0);
  const indexed = kept.flatMap((a, i) => (a.tensor ? [i] : []));
  const adjacent = indexed.every((at, i) => i === 0 || at === indexed[i - 1]! + 1);
  const lead = indexed.length > 0 && adjacent ? indexed[0]! : 0;
  const walked = axes.filter((a) => !a.tensor);
  const sizes = walked.map((a) => a.at.length);
  const out = tensors.length > 0 ? [...sizes.slice(0, lead), ...batch, ...sizes.slice(lead)] : sizes;
  const wide = new Map(tensors.map((t) => [t, broadcast(t, batch).data]));
  const places = mapOf(out, shape, (at) => {
    const own = tensors.length > 0 ? [...at.slice(0, lead), ...at.slice(lead + batch.length)] : at;
    const b = tensors.length > 0 ? at.slice(lead, lead + batch.length) : [];
    const row = b.reduce((sum, c, k) => sum * batch[k]! + c, 0);
    const source = shape.map((_, k) => fixed.get(k) ?? 0);
    for (const a of axes)
      if (a.tensor) {
        const n = shape[a.of!]!;
        const i = wide.get(a.tensor)![row]!;
        if (i < -n || i >= n) return null;
        source[a.of!] = i < 0 ? i + n : i;
      }
    walked.forEach((a, k) => {
      if (a.of !== null) source[a.of] = a.at[own[k]!]!;
    });
    return source;
  });
  return { shape: out, places, tensors, view: tensors.length === 0 };
}

/** A value in a tensor's dtype, refused where it would lose something. */
function fitting(x: Val, given: Operand): Val {
  if (typeof given !== 'number') {
    if (given.dtype === 'float32' && x.dtype !== 'float32') fail('DTypeError', 'fraction');
    return cast(read(given), x.dtype);
  }
  if (x.dtype === 'bool') return number(given !== 0 ? 1 : 0, 'bool');
  if (x.dtype !== 'float32' && !Number.isInteger(given)) fail('DTypeError', 'fraction');
  return number(given, x.dtype);
}

/** Elements replaced: the last one where several name a place, and a gradient for all of them where `every` is set. */
function replaced(x: Val, places: Int32Array, v: Val, every: boolean): Val {
  const last = new Int32Array(x.data.length).fill(-1);
  places.forEach((p, i) => {
    if (p >= 0) last[p] = i;
  });
  const keep = last.map((from, p) => (from < 0 ? p : -1));
  const winning = places.map((p, i) => (p >= 0 && last[p] === i ? p : -1));
  const data = Float64Array.from(x.data, (old, p) => (last[p]! < 0 ? old : v.data[last[p]!]!));
  const out: Val = { ...value(data, x.shape, x.dtype, 0, x.wild || v.wild), err: Math.max(x.err, v.err) };
  const { tape } = map([take(x, keep, x.shape), put(v, every ? places : winning, x.shape)], (p, q) => p! + q!, {
    dtype: x.dtype,
    gradient: (g) => [g, g],
  });
  return { ...out, tape };
}

const plus = (x: Val, y: Val): Val =>
  x.dtype === 'float32' ? add(x, y) : map([x, y], (a, b) => a! + b!, { dtype: x.dtype });

function indexPut(h: Handle, items: readonly unknown[], given: Operand, accumulate: boolean): Val {
  const x = read(h);
  const { shape, places, tensors } = located(x.shape, items);
  if (accumulate && x.dtype === 'bool') fail('DTypeError', 'bools do not add up');
  const v = fitting(x, given);
  if (!sameShape(broadcastShape(shape, v.shape), shape)) fail('ShapeError', 'value');
  const wide = broadcast(v, shape);
  const out = accumulate ? plus(x, put(wide, places, x.shape)) : replaced(x, places, wide, true);
  return named(out, places, tensors);
}

const along = (h: Handle, d: unknown, places: unknown): unknown[] => {
  const axis = dim(d as number, h.shape.length);
  if (h.shape.length === 0) fail('IndexError', 'scalar');
  if (isHandle(places) && places.shape.length > 1) fail('ShapeError', 'indices');
  return [...new Array<unknown>(axis).fill(':'), places];
};

function source(h: Handle, d: unknown, places: unknown, values: Handle): void {
  const axis = dim(d as number, h.shape.length);
  const n = isHandle(places) ? places.places.length : (places as number[]).length;
  if (
    !sameShape(
      values.shape,
      h.shape.map((m, i) => (i === axis ? n : m)),
    )
  )
    fail('ShapeError', 'source');
}

type Put = (args: readonly unknown[]) => Val;
const PUTS: Record<string, Put> = {
  indexPut: ([x, items, v, o]) =>
    indexPut(x as Handle, items as unknown[], v as Operand, optionsOf(o).accumulate === true),
  indexFill: ([x, d, places, v]) => {
    const items = along(x as Handle, d, places);
    if (isHandle(v) && v.shape.length > 0) fail('ShapeError', 'scalar');
    return indexPut(x as Handle, items, v as Operand, false);
  },
  indexCopy: ([x, d, places, v]) => {
    const items = along(x as Handle, d, places);
    source(x as Handle, d, places, v as Handle);
    return indexPut(x as Handle, items, v as Handle, false);
  },
  indexAdd: ([h, d, given, values, o]) => {
    const x = read(h as Handle);
    const items = along(h as Handle, d, given);
    source(h as Handle, d, given, values as Handle);
    const { shape, places, tensors } = located(x.shape, items);
    if (x.dtype === 'bool') fail('DTypeError', 'bools do not add up');
    const factor = (optionsOf(o).alpha as number | undefined) ?? 1;
    const v = read(values as Handle);
    if (promote([values as Handle, factor]) === 'float32' && x.dtype !== 'float32') fail('DTypeError', 'fraction');
    const wide = cast(v, x.dtype);
    const scaled =
      factor === 1
        ? wide
        : x.dtype === 'float32'
          ? mul(wide, number(factor))
          : map([wide], (a) => Math.imul(a!, factor), { dtype: x.dtype });
    return named(plus(x, put(broadcast(scaled, shape), places, x.shape)), places, tensors);
  },
  maskedFill: ([h, mask, given]) => {
    const x = read(h as Handle);
    if ((mask as Handle).dtype !== 'bool') fail('DTypeError', 'mask');
    if (isHandle(given) && given.shape.length > 0) fail('ShapeError', 'scalar');
    const v = fitting(x, given as Operand);
    const k = read(mask as Handle);
    if (x.dtype === 'float32') return choose(k, v, x);
    return map([k, v, x], (t, a, b) => (t ? a! : b!), { dtype: x.dtype });
  },
};

/** The target of each element of a scatter. */
function targets(h: Handle, d: unknown, i: unknown, src: Handle): { at: Int32Array; part: Val; indices: Val } {
  const indices = integers(i);
  const axis = dim(d as number, h.shape.length);
  if (src.dtype !== h.dtype) fail('DTypeError', 'source');
  const fits = (to: Shape, except: number): boolean =>
    to.length === indices.shape.length && indices.shape.every((n, k) => k === except || n <= to[k]!);
  if (!fits(h.shape, h.shape.length === 0 ? -1 : axis) || !fits(src.shape, -1)) fail('ShapeError', 'scatter');
  const at = mapOf(indices.shape, indices.shape, (c) => c);
  const places = at.map((p, k) => {
    const j = indices.data[k]!;
    const n = h.shape[axis] ?? 1;
    if (j < 0 || j >= n) return -1;
    let rest = p;
    const c: number[] = [];
    for (let k2 = indices.shape.length - 1; k2 >= 0; k2--) {
      c[k2] = rest % indices.shape[k2]!;
      rest = Math.floor(rest / indices.shape[k2]!);
    }
    if (h.shape.length > 0) c[axis] = j;
    return c.reduce((s, v, k2) => s * h.shape[k2]! + v, 0);
  });
  const part = take(
    read(src),
    mapOf(indices.shape, src.shape, (c) => c),
    indices.shape,
  );
  return { at: places, part, indices };
}

function oneHot(h: Handle, n: number): Val {
  const x = integers(h);
  const shape = [...x.shape, n];
  const wide = take(
    { ...x, tape: null },
    mapOf(shape, x.shape, (at) => at.slice(0, -1)),
    shape,
  );
  const out = map([wide], (c) => c!, { dtype: 'int32' });
  const data = out.data.map((c, i) => (c === i % n ? 1 : 0));
  const bad = Int32Array.from(x.data, (c) => (c < 0 || c >= n ? -1 : 0));
  return named({ ...out, data }, bad, [x]);
}

/** In place, under the rules of `assign_`. */
const inPlace =
  (op: Put): Entry =>
  (m: Model, args) => {
    m.assign(args[0] as Handle, op(args));
    return null;
  };

const ints = (rows: readonly number[], shape: Shape): Val => ({
  shape,
  dtype: 'int32',
  data: Float64Array.from(rows),
  err: 0,
  wild: false,
  tape: null,
});

export const INDEXING: Record<string, Entry> = {
  index: (m, [h, ...items]) => {
    const x = h as Handle;
    const { shape, places, tensors, view } = located(x.shape, items);
    return view ? m.view(x, places, shape) : lookedUp(read(x), places, shape, tensors);
  },
  take: (_, [x, i]) => {
    const v = read(x as Handle);
    const indices = integers(i);
    const n = v.data.length;
    if (n === 0 && indices.data.length > 0) fail('IndexError', 'empty');
    const places = Int32Array.from(indices.data, (j) => (j < -n || j >= n ? -1 : j < 0 ? j + n : j));
    return lookedUp(v, places, indices.shape, [indices]);
  },
  takeAlongDim: (_, [h, i, d]) => {
    const x = read(h as Handle);
    const indices = integers(i);
    if (d === undefined)
      return gatherVal(shaped(x, [x.data.length]), 0, {
        ...indices,
        shape: [indices.data.length],
      });
    const axis = dim(d as number, x.shape.length);
    if (x.shape.length !== indices.shape.length) fail('ShapeError', 'takeAlongDim');
    const withDim = (shape: Shape, n: number): number[] => shape.map((m, k) => (k === axis ? n : m));
    const shape = broadcastShape(withDim(x.shape, 1), withDim(indices.shape, 1));
    const from = withDim(shape, x.shape[axis]!);
    const to = withDim(shape, indices.shape[axis]!);
    return gatherVal(take(x, broadcastMap(x.shape, from), from), axis, broadcast(indices, to));
  },
  gather: (_, [h, d, i]) => {
    const x = read(h as Handle);
    const indices = integers(i);
    const axis = dim(d as number, x.shape.length);
    if (indices.shape.length !== x.shape.length || indices.shape.some((n, k) => k !== axis && n > x.shape[k]!))
      fail('ShapeError', 'gather');
    return gatherVal(x, axis, indices);
  },
  indexSelect: (_, [h, d, i]) => {
    const x = read(h as Handle);
    const axis = dim(d as number, x.shape.length);
    const indices = integers(i);
    if (indices.shape.length > 1) fail('ShapeError', 'indices');
    const shape = x.shape.map((n, k) => (k === axis ? indices.data.length : n));
    const flat = { ...indices, shape: [indices.data.length], tape: null };
    const wide = take(
      flat,
      mapOf(shape, flat.shape, (at) => [at[axis]!]),
      shape,
    );
    return gatherVal(x, axis, wide);
  },
  scatter: (m, [h, d, i, src]) => {
    const x = h as Handle;
    if (typeof src === 'number') {
      const n = integers(i).data.length;
      const frame = m.openFrame();
      const fill = x.dtype === 'bool' ? Number(src !== 0) : src;
      const full = m.fresh({ ...ints(new Array<number>(n).fill(fill), (i as Handle).shape), dtype: x.dtype });
      m.closeFrame(frame, []);
      const { at, part, indices } = targets(x, d, i, full);
      return named(replaced(read(x), at, part, false), at, [indices]);
    }
    const { at, part, indices } = targets(x, d, i, src as Handle);
    return named(replaced(read(x), at, part, false), at, [indices]);
  },
  scatterAdd: (_, [h, d, i, src]) => {
    const x = h as Handle;
    const { at, part, indices } = targets(x, d, i, src as Handle);
    return named(plus(read(x), put(part, at, x.shape)), at, [indices]);
  },
  maskedSelect: (_, [h, mask]) => {
    const [x, k] = [read(h as Handle), read(mask as Handle)];
    if (k.dtype !== 'bool') fail('DTypeError', 'mask');
    if (k.wild) fail('GeneratorError', 'a mask that nobody knows');
    const shape = broadcastShape(x.shape, k.shape);
    const wide = broadcastMap(x.shape, shape);
    const holds = broadcast(k, shape).data;
    const places = wide.filter((_, i) => holds[i] !== 0);
    return take(x, places, [places.length]);
  },
  nonzero: (_, [h]) => {
    const x = read(h as Handle);
    if (x.wild || x.err > 0) fail('GeneratorError', 'elements that nobody knows');
    const rows: number[][] = [];
    mapOf(x.shape, x.shape, (at) => {
      if (x.data[at.reduce((s, c, k) => s * x.shape[k]! + c, 0)] !== 0) rows.push(at);
      return at;
    });
    return ints(rows.flat(), [rows.length, x.shape.length]);
  },
  unique: (_, [h]) => {
    const x = read(h as Handle);
    if (x.wild || x.err > 0) fail('GeneratorError', 'elements that nobody knows');
    const found = [...new Set(Array.from(x.data, (v) => v + 0))].sort((a, b) => a - b);
    return { ...x, data: Float64Array.from(found), shape: [found.length], tape: null };
  },
  oneHot: (_, [h, n]) => {
    const x = h as Handle;
    if (n !== undefined) return oneHot(x, n as number);
    const v = integers(x);
    if (v.wild) fail('GeneratorError', 'classes that nobody knows');
    if (v.data.length === 0) fail('ShapeError', 'no classes');
    if (v.data.some((c) => c < 0)) fail('IndexError', 'negative class');
    return oneHot(x, Math.max(...v.data) + 1);
  },
};
for (const [name, op] of Object.entries(PUTS)) {
  INDEXING[name] = (_, args) => op(args);
  INDEXING[`${name}_`] = inPlace(op);
}
