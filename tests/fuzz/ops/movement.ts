// Ops that put elements into another order, repeat them, blank some out or choose them by truth; norms, and Einstein's sums.
import {
  cast,
  dim,
  dims,
  type Entry,
  fail,
  floatsOnly,
  type Handle,
  keptShape,
  type Options,
  optionsOf,
  read,
} from '../handles.ts';
import {
  div,
  extreme,
  map,
  mapOf,
  mul,
  number,
  type Shape,
  shaped,
  sign,
  sizeOf,
  smooth,
  sqrt,
  step,
  sum,
  take,
  type Val,
  value,
} from '../values.ts';

type At = (at: number[]) => number[] | null;

/** A copy in which each element comes from the coordinates that its own lead to. */
const copied = (x: Val, shape: Shape, at: At): Val => take(x, mapOf(shape, x.shape, at), shape);

const list = (x: unknown): number[] => (Array.isArray(x) ? (x as number[]) : [x as number]);
const modulo = (a: number, n: number): number => ((a % n) + n) % n;

function flip(h: Handle, over: readonly number[]): Val {
  const x = read(h);
  const turned = over.length === 0 ? [] : dims(over, x.shape.length);
  return copied(x, x.shape, (at) => at.map((c, d) => (turned.includes(d) ? x.shape[d]! - 1 - c : c)));
}

function tiled(x: Val, repeats: readonly number[]): Val {
  const pad = repeats.length - x.shape.length;
  if (pad < 0) fail('ShapeError', 'repeat');
  const shape = repeats.map((r, d) => r * (d < pad ? 1 : x.shape[d - pad]!));
  return copied(x, shape, (at) => at.slice(pad).map((c, d) => c % x.shape[d]!));
}

const triangle =
  (kept: (row: number, column: number, k: number) => boolean): Entry =>
  (_, [h, k = 0]) => {
    const x = read(h as Handle);
    const r = x.shape.length;
    if (r < 2) fail('ShapeError', 'no matrix');
    return copied(x, x.shape, (at) => (kept(at[r - 2]!, at[r - 1]!, k as number) ? at : null));
  };

function diagonal(shape: Shape, offset: number, d1: number, d2: number): { shape: Shape; places: Int32Array } {
  const [a, b] = [dim(d1, shape.length), dim(d2, shape.length)];
  if (a === b || shape.length < 2) fail('ShapeError', 'diagonal');
  const rest = shape.map((_, d) => d).filter((d) => d !== a && d !== b);
  let n = 0;
  while (n + Math.max(-offset, 0) < shape[a]! && n + Math.max(offset, 0) < shape[b]!) n++;
  const out = [...rest.map((d) => shape[d]!), n];
  const places = mapOf(out, shape, (at) => {
    const i = at[rest.length]!;
    return shape.map((_, d) =>
      d === a ? i + Math.max(-offset, 0) : d === b ? i + Math.max(offset, 0) : at[rest.indexOf(d)]!,
    );
  });
  return { shape: out, places };
}

/** Padding of one dim by a mode, from where each place of the result reads. */
const SOURCES: Record<string, (i: number, n: number) => number> = {
  reflect: (i, n) => (i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i),
  replicate: (i, n) => Math.min(Math.max(i, 0), n - 1),
  circular: (i, n) => modulo(i, n),
};
const MOST: Record<string, (n: number) => number> = {
  constant: () => Infinity,
  reflect: (n) => Math.max(0, n - 1),
  replicate: (n) => (n === 0 ? 0 : Infinity),
  circular: (n) => n,
};

function pad(h: Handle, sides: readonly number[], o: Options): Val {
  const mode = (o.mode as string | undefined) ?? 'constant';
  const fill = (o.value as number | undefined) ?? 0;
  let out = read(h);
  if (sides.length > 2 * out.shape.length) fail('ShapeError', 'pad');
  sides.forEach((size, i) => {
    if (size > MOST[mode]!(out.shape[out.shape.length - 1 - (i >> 1)]!)) fail('ShapeError', 'pad');
  });
  for (let i = 0; i < sides.length; i += 2) {
    const d = out.shape.length - 1 - i / 2;
    const [before, after] = [sides[i]!, sides[i + 1]!];
    const n = out.shape[d]!;
    if (n + before + after < 0) fail('ShapeError', 'pad');
    const shape = out.shape.map((m, k) => (k === d ? n + before + after : m));
    const inside = (c: number): boolean => c >= before && c < before + n;
    const from = (c: number): number => (mode === 'constant' ? c - before : SOURCES[mode]!(c - before, n));
    const moved = copied(out, shape, (at) =>
      mode !== 'constant' || inside(at[d]!) ? at.map((c, k) => (k === d ? from(c) : c)) : null,
    );
    const border = Float64Array.from(
      mapOf(shape, [2], (at) => [mode === 'constant' && !inside(at[d]!) ? 1 : 0]),
      (on) => on * fill,
    );
    out = map([moved, value(border, shape, out.dtype, 0, false)], (a, b) => a! + b!, {
      dtype: out.dtype,
      gradient: (g) => [g, null],
    });
  }
  return sides.length > 0 ? out : copied(out, out.shape, (at) => at);
}

/** Whether something holds of the elements that some dims join. */
const truth =
  (fn: (some: readonly boolean[]) => number, dtype: 'bool' | 'int32'): Entry =>
  (_, [h, given]) => {
    const o = optionsOf(given);
    const x = read(h as Handle);
    const over = dims(o.dim, x.shape.length);
    const kept = x.shape.filter((_n, d) => !over.includes(d));
    const groups = Array.from({ length: sizeOf(kept) }, (): boolean[] => []);
    mapOf(x.shape, kept, (at) => at.filter((_c, d) => !over.includes(d))).forEach((group, i) => {
      groups[group]!.push(x.data[i] !== 0);
    });
    const wild = x.wild || x.err > 0;
    const out: Val = { shape: kept, dtype, data: Float64Array.from(groups, fn), err: 0, wild, tape: null };
    const told = x.faults ? { ...out, faults: x.faults } : out;
    return o.keepDim ? shaped(told, keptShape(x.shape, over)) : told;
  };

const magnitude = (x: Val): Val => map([x], (v) => Math.abs(v!), { gradient: (g) => [mul(g, sign(x))] });
const power = (x: Val, p: number): Val => Array.from({ length: p - 1 }).reduce((y: Val) => mul(y, x), x);

function vectorNorm(x: Val, p: number, over: readonly number[]): Val {
  const size = magnitude(x);
  const empty = over.some((d) => x.shape[d] === 0);
  if (Math.abs(p) === Infinity && empty) fail('ShapeError', 'empty');
  switch (p) {
    case 1:
      return sum(size, over);
    case Infinity:
      return extreme(size, over, (a, b) => a > b);
    case -Infinity:
      return extreme(size, over, (a, b) => a < b);
    case 0:
      return sum(
        step(x, (v) => (v !== 0 ? 1 : 0)),
        over,
      );
    case 2: {
      const squares = sum(mul(x, x), over);
      // Near 0 the slope is what an implementation makes it.
      if (x.tape && squares.data.some((v) => v < 0.01)) return { ...sqrt(squares), wild: true };
      return sqrt(squares);
    }
    default: {
      const powers = sum(power(size, p), over);
      const exactly = smooth(
        powers,
        (v) => v ** (1 / p),
        (v) => v ** (1 / p - 1) / p,
        (g, y) => mul(g, div(number(1 / p), power(y, p - 1))),
      );
      // Powers with fractions are not exact, whatever their value.
      const root = { ...exactly, err: exactly.err + 8 * Math.max(0, ...exactly.data) };
      return x.tape && powers.data.some((v) => v < 0.01) ? { ...root, wild: true } : root;
    }
  }
}

const kept = (out: Val, shape: Shape, over: readonly number[], o: Options): Val =>
  o.keepDim ? shaped(out, keptShape(shape, over)) : out;

function matrixNorm(x: Val, ord: string | number, [row, column]: readonly [number, number]): Val {
  if (ord === 'fro') return vectorNorm(x, 2, [row, column]);
  const p = ord as number;
  const [added, compared] = Math.abs(p) === 1 ? [row, column] : [column, row];
  if (x.shape[compared] === 0) fail('ShapeError', 'empty');
  const sums = sum(magnitude(x), [added]);
  return extreme(sums, [compared > added ? compared - 1 : compared], p > 0 ? (a, b) => a > b : (a, b) => a < b);
}

/** Labels of the dims of each operand and of the result; dims under an ellipsis are numbered from the right. */
function equation(text: string, shapes: readonly Shape[]): { inputs: string[][]; output: string[] } {
  const [left, right] = text.replaceAll(' ', '').split('->') as [string, string | undefined];
  const terms = left.split(',');
  if (terms.length !== shapes.length) fail('UnsupportedError', 'operands');
  let widest = 0;
  const expanded = (term: string, count: number): string[] =>
    term
      .split('...')
      .flatMap((part, i) => [...(i > 0 ? Array.from({ length: count }, (_, k) => `#${count - k}`) : []), ...part]);
  const inputs = terms.map((term, i) => {
    const letters = term.replace('...', '').length;
    const count = shapes[i]!.length - letters;
    if (count < 0 || (count > 0 && !term.includes('...'))) fail('ShapeError', 'dims');
    if (term.includes('...')) widest = Math.max(widest, count);
    return expanded(term, count);
  });
  if (right !== undefined) return { inputs, output: expanded(right, widest) };
  const all = inputs.flat().filter((l) => !l.startsWith('#'));
  const once = [...new Set(all)].filter((l) => all.filter((k) => k === l).length === 1).sort();
  return { inputs, output: [...Array.from({ length: widest }, (_, k) => `#${widest - k}`), ...once] };
}

const einsum: Entry = (m, [text, ...given]) => {
  const operands = given as Handle[];
  const { inputs, output } = equation(
    text as string,
    operands.map((t) => t.shape),
  );
  const sizes = new Map<string, number>();
  inputs.forEach((labels, i) => {
    labels.forEach((l, d) => {
      const n = operands[i]!.shape[d]!;
      const known = sizes.get(l) ?? 1;
      if ((n !== known && n !== 1 && known !== 1) || n !== operands[i]!.shape[labels.indexOf(l)])
        fail('ShapeError', 'sizes');
      sizes.set(l, known === 1 ? n : known);
    });
  });
  const summed = [...sizes.keys()].filter((l) => !output.includes(l));
  const labels = [...output, ...summed];
  const space = labels.map((l) => sizes.get(l)!);
  const places = operands.map((t, i) =>
    mapOf(space, t.shape, (at) => inputs[i]!.map((l, d) => (t.shape[d] === 1 ? 0 : at[labels.indexOf(l)]!))),
  );
  // Of one operand whose elements only move, a view.
  if (operands.length === 1 && summed.length === 0) return m.view(operands[0]!, places[0]!, space);
  const { dtype } = operands[0]!;
  const parts = operands.map((t, i) => take(read(t), places[i]!, space));
  const product = parts.reduce((a, b) =>
    dtype === 'float32' ? mul(a, b) : map([a, b], (u, v) => Math.imul(u!, v!), { dtype }),
  );
  return sum(
    product,
    summed.map((_, i) => output.length + i),
  );
};

export const MOVEMENT: Record<string, Entry> = {
  flip: (_, [h, over]) => flip(h as Handle, list(over)),
  fliplr: (_, [h]) => ((h as Handle).shape.length < 2 ? fail('ShapeError') : flip(h as Handle, [1])),
  flipud: (_, [h]) => ((h as Handle).shape.length < 1 ? fail('ShapeError') : flip(h as Handle, [0])),
  rot90: (_, [h, k = 1, plane = [0, 1]]) => {
    const x = read(h as Handle);
    const [a, b] = (plane as number[]).map((d) => dim(d, x.shape.length)) as [number, number];
    if (a === b) fail('ShapeError', 'rot90');
    let out = copied(x, x.shape, (at) => at);
    for (let turn = 0; turn < modulo(k as number, 4); turn++) {
      // One turn moves what is at (i, j) to (n - 1 - j, i).
      const from = out.shape;
      const shape = from.map((n, d) => (d === a ? from[b]! : d === b ? from[a]! : n));
      out = copied(out, shape, (at) => at.map((c, d) => (d === a ? at[b]! : d === b ? from[b]! - 1 - at[a]! : c)));
    }
    return out;
  },
  roll: (_, [h, shifts, over]) => {
    const x = read(h as Handle);
    const by = list(shifts);
    if (over === undefined) {
      const n = x.data.length;
      return take(
        x,
        Int32Array.from({ length: n }, (_e, i) => modulo(i - by[0]!, n)),
        x.shape,
      );
    }
    const along = list(over).map((d) => dim(d, x.shape.length));
    if (along.length !== by.length) fail('ShapeError', 'roll');
    return copied(x, x.shape, (at) =>
      at.map((c, d) => along.reduce((p, other, i) => (other === d ? modulo(p - by[i]!, x.shape[d]!) : p), c)),
    );
  },
  repeat: (_, [h, repeats]) => tiled(read(h as Handle), repeats as number[]),
  tile: (_, [h, given]) => {
    const repeats = given as number[];
    const x = read(h as Handle);
    return tiled(x, [...new Array<number>(Math.max(0, x.shape.length - repeats.length)).fill(1), ...repeats]);
  },
  repeatInterleave: (_, [h, n, o]) => {
    const x = read(h as Handle);
    const along = optionsOf(o).dim as number | undefined;
    const flat = along === undefined || x.shape.length === 0 ? shaped(x, [x.data.length]) : x;
    const d = along === undefined ? 0 : dim(along, x.shape.length);
    const shape = flat.shape.map((k, i) => (i === d ? k * (n as number) : k));
    return copied(flat, shape, (at) => at.map((c, i) => (i === d ? Math.floor(c / (n as number)) : c)));
  },
  tril: triangle((row, column, k) => column <= row + k),
  triu: triangle((row, column, k) => column >= row + k),
  diag: (_, [h, given = 0]) => {
    const x = read(h as Handle);
    const k = given as number;
    if (x.shape.length === 1) {
      const n = x.data.length + Math.abs(k);
      return copied(x, [n, n], (at) => (at[1]! - at[0]! === k ? [Math.min(at[0]!, at[1]!)] : null));
    }
    if (x.shape.length !== 2) fail('ShapeError', 'diag');
    const { shape, places } = diagonal(x.shape, k, 0, 1);
    return take(x, places, shape);
  },
  diagonal: (m, [h, k = 0, a = 0, b = 1]) => {
    const x = h as Handle;
    const { shape, places } = diagonal(x.shape, k as number, a as number, b as number);
    return m.view(x, places, shape);
  },
  trace: (_, [h]) => {
    const x = read(h as Handle);
    if (x.shape.length !== 2) fail('ShapeError', 'trace');
    const { shape, places } = diagonal(x.shape, 0, 0, 1);
    const line = take(x, places, shape);
    return sum(line.dtype === 'bool' ? cast(line, 'int32') : line, [0]);
  },
  unflatten: (m, [h, d, given]) => {
    const x = h as Handle;
    const axis = dim(d as number, x.shape.length);
    const sizes = given as number[];
    const rest = sizeOf(sizes.filter((n) => n !== -1));
    const split = sizes.map((n) => (n === -1 ? x.shape[axis]! / rest : n));
    if (sizeOf(split) !== x.shape[axis]) fail('ShapeError', 'unflatten');
    return m.reshape(x, [...x.shape.slice(0, axis), ...split, ...x.shape.slice(axis + 1)]);
  },
  movedim: (m, [h, from, to]) => {
    const x = h as Handle;
    const [a, b] = [dim(from as number, x.shape.length), dim(to as number, x.shape.length)];
    const order = x.shape.map((_, d) => d).filter((d) => d !== a);
    order.splice(b, 0, a);
    const shape = order.map((d) => x.shape[d]!);
    const places = mapOf(shape, x.shape, (at) => x.shape.map((_, d) => at[order.indexOf(d)]!));
    return m.view(x, places, shape);
  },
  unfold: (m, [h, d, size, by]) => {
    const x = h as Handle;
    const axis = dim(d as number, x.shape.length);
    const n = x.shape[axis]!;
    if ((size as number) > n) fail('ShapeError', 'unfold');
    let count = 0;
    while (count * (by as number) + (size as number) <= n) count++;
    const shape = [...x.shape.map((k, i) => (i === axis ? count : k)), size as number];
    const places = mapOf(shape, x.shape, (at) =>
      x.shape.map((_, i) => (i === axis ? at[i]! * (by as number) + at[x.shape.length]! : at[i]!)),
    );
    return m.view(x, places, shape);
  },
  meshgrid: (m, [tensors, o]) => {
    const given = tensors as Handle[];
    if (given.some((t) => t.shape.length > 1)) fail('ShapeError', 'meshgrid');
    if (given.some((t) => t.dtype !== given[0]!.dtype)) fail('DTypeError', 'meshgrid');
    const order = given.map((_, i) => i);
    if (optionsOf(o).indexing === 'xy' && given.length > 1) [order[0], order[1]] = [1, 0];
    const shape = order.map((i) => given[i]!.places.length);
    return given.map((t, i) =>
      m.view(
        t,
        mapOf(shape, [t.places.length], (at) => [at[order.indexOf(i)]!]),
        shape,
      ),
    );
  },
  pad: (_, [h, sides, o]) => pad(h as Handle, sides as number[], optionsOf(o)),
  any: truth((some) => (some.includes(true) ? 1 : 0), 'bool'),
  all: truth((some) => (some.includes(false) ? 0 : 1), 'bool'),
  countNonzero: truth((some) => some.filter((v) => v).length, 'int32'),
  norm: (_, [h, given]) => {
    floatsOnly(h as Handle);
    const x = read(h as Handle);
    const o = optionsOf(given);
    const over = dims(o.dim, x.shape.length);
    return kept(vectorNorm(x, (o.p as number | undefined) ?? 2, over), x.shape, over, o);
  },
  matrixNorm: (_, [h, given]) => {
    floatsOnly(h as Handle);
    const x = read(h as Handle);
    const o = optionsOf(given);
    const [a, b] = ((o.dim as number[] | undefined) ?? [-2, -1]).map((d) => dim(d, x.shape.length)) as [number, number];
    if (a === b || x.shape.length < 2) fail('ShapeError', 'matrixNorm');
    const ord = (o.ord as string | number | undefined) ?? 'fro';
    return kept(matrixNorm(x, ord, [a, b]), x.shape, [a, b], o);
  },
  einsum,
};
