// Steps of programs: scans, sorts, scatters, indexing, movement, masks and linear algebra, and indices that are out of range.
import type { Generator } from './generate.ts';
import { type Handle, read } from './handles.ts';
import type { Arg } from './program.ts';
import { type Shape, sameShape, sizeOf } from './values.ts';

type G = Generator;

/** A dim of a tensor, now and then counted from the end. */
const aDim = (g: G, h: Handle): number => {
  const n = Math.max(1, h.shape.length);
  return g.rng.int(n) - (g.rng.chance(0.3) ? n : 0);
};
const sizeAt = (h: Handle, d: number): number => h.shape[d < 0 ? d + h.shape.length : d] ?? 1;

/** Now and then a new tensor with lines so long that kernels take another way, else one that is there. */
function source(g: G, where: (h: Handle) => boolean): string | null {
  const { rng } = g;
  if (!rng.chance(0.1)) return g.choose(where);
  const n = rng.between(33, 66);
  const dtype = rng.chance(0.7) ? 'float32' : 'int32';
  return g.tensor(rng.chance(0.3) && n < 37 ? [2, n] : [n], dtype, { leaf: dtype === 'float32' && rng.chance(0.3) });
}

/** Gradients right behind an op, while its result is the latest tensor. */
function differentiated(g: G, out: string | null, often = 0.4): string | null {
  if (out && g.at(out).tape && g.rng.chance(often)) g.rng.pick([g.backward, g.grad, g.second]).call(g);
  return out;
}

function scan(g: G): void {
  const { rng } = g;
  const op = rng.weighted({ cumsum: 3, cumprod: 2, cummax: 1, cummin: 1, prod: 1.5 });
  const extremum = op === 'cummax' || op === 'cummin';
  const x = source(g, (h) => (extremum ? g.exact(h) && h.dtype !== 'bool' : g.known(h)));
  if (!x) return;
  const h = g.at(x);
  differentiated(g, op === 'prod' ? g.call('prod', [x, g.over(h)]) : g.call(op, [x, aDim(g, h)], extremum ? 2 : 1));
}

function order(g: G): void {
  const { rng } = g;
  const x = source(g, g.exact);
  if (!x) return;
  const h = g.at(x);
  const o: Record<string, Arg> = rng.chance(0.7) ? { dim: aDim(g, h) } : {};
  switch (rng.weighted({ sort: 3, argsort: 1, topk: 2 })) {
    case 'topk': {
      if (rng.chance(0.5)) o.largest = rng.chance(0.5);
      differentiated(g, g.call('topk', [x, rng.int(sizeAt(h, (o.dim as number | undefined) ?? -1) + 1), o], 2));
      return;
    }
    case 'argsort':
      g.call('argsort', [x, { ...o, descending: rng.chance(0.5) }]);
      return;
    default:
      if (rng.chance(0.6)) o.descending = rng.chance(0.7);
      if (rng.chance(0.2)) o.stable = true;
      differentiated(g, g.call('sort', [x, o], 2));
  }
}

/** An int32 tensor of places of a dim of n, drawn, or one that is there. */
function places(g: G, n: number, shape: Shape, negative = false): string | null {
  const { rng } = g;
  const low = negative && rng.chance(0.4) ? -n : 0;
  if (rng.chance(0.25)) {
    const known = g.choose(
      (h) =>
        h.dtype === 'int32' &&
        g.known(h) &&
        sameShape(h.shape, shape) &&
        read(h).data.every((i) => i >= (negative ? -n : 0) && i < n),
    );
    if (known) return known;
  }
  const data = Array.from({ length: sizeOf(shape) }, () => rng.between(low, n - 1));
  return g.call('tensor', [data, { shape, dtype: 'int32' }], 1, [low, n - 1]);
}

const indexable = (g: G) => (h: Handle) => g.known(h) && h.shape.length > 0 && h.places.length > 0;

/** A tensor of a shape and dtype, one that is there or a new one. */
function like(g: G, shape: Shape, dtype: Handle['dtype']): string | null {
  const found = g.rng.chance(0.6)
    ? g.choose((h) => g.known(h) && h.dtype === dtype && sameShape(h.shape, shape))
    : null;
  if (found || dtype === 'uint32') return found;
  return g.tensor(shape, dtype, { leaf: dtype === 'float32' && g.rng.chance(0.3) });
}

function look(g: G): void {
  const { rng } = g;
  const x = g.choose(indexable(g));
  if (!x) return;
  const h = g.at(x);
  const rank = h.shape.length;
  const d = rng.int(rank);
  const n = h.shape[d]!;
  switch (rng.weighted({ gather: 1, indexSelect: 1, take: 1, takeAlongDim: 1, index: 4 })) {
    case 'gather': {
      const i = places(
        g,
        n,
        h.shape.map((k, e) => (e === d ? rng.between(1, 6) : rng.chance(0.7) ? k : rng.between(1, k))),
      );
      if (i) differentiated(g, g.call('gather', [x, d, i]));
      return;
    }
    case 'indexSelect': {
      const i = places(g, n, rng.chance(0.1) ? [] : [rng.between(1, 6)]);
      if (i) differentiated(g, g.call('indexSelect', [x, d, i]));
      return;
    }
    case 'take': {
      const i = places(g, h.places.length, rng.pick([[3], [2, 2], [], [7]]), true);
      if (i) differentiated(g, g.call('take', [x, i]));
      return;
    }
    case 'takeAlongDim': {
      if (rng.chance(0.2)) {
        const i = places(g, h.places.length, [rng.between(1, 5)]);
        if (i) g.call('takeAlongDim', [x, i]);
        return;
      }
      const i = places(
        g,
        n,
        h.shape.map((k, e) => (e === d ? rng.between(1, 5) : rng.chance(0.6) ? k : 1)),
      );
      if (i) differentiated(g, g.call('takeAlongDim', [x, i, d - (rng.chance(0.3) ? rank : 0)]));
      return;
    }
    default: {
      const items = indexItems(g, h.shape, 0.35);
      if (items) differentiated(g, g.call('index', [x, ...items]));
    }
  }
}

/** Items of an index: ranges, numbers, new axes, an ellipsis, and tensors or arrays as often as asked for. */
function indexItems(g: G, shape: Shape, tensors: number): Arg[] | null {
  const { rng } = g;
  const items: Arg[] = [];
  let batch: Shape | null = null;
  const named = rng.between(1, shape.length);
  const dots = named < shape.length && rng.chance(0.3) ? rng.int(named + 1) : -1;
  let d = 0;
  for (let k = 0; k < named; k++) {
    if (k === dots) {
      items.push('...');
      d += shape.length - named;
    }
    if (rng.chance(0.12)) items.push(null);
    const n = shape[d]!;
    d++;
    if (n > 0 && rng.chance(tensors)) {
      if (rng.chance(0.3)) {
        const count: number = batch ? (batch[batch.length - 1] ?? 1) : rng.between(1, 4);
        items.push(Array.from({ length: count }, () => rng.int(n) - (rng.chance(0.3) ? n : 0)));
        batch ??= [count];
        continue;
      }
      const whole: Shape = batch ?? rng.pick<Shape>([[], [2], [3], [2, 2], [5]]);
      batch ??= whole;
      const t = places(g, n, rng.chance(0.2) ? whole.map(() => 1) : whole, true);
      if (!t) return null;
      items.push(t);
      continue;
    }
    switch (rng.weighted({ number: n > 0 ? 1.5 : 0, whole: 1, range: 2.5 })) {
      case 'number':
        items.push(rng.int(n) - (rng.chance(0.4) ? n : 0));
        break;
      case 'whole':
        items.push(':');
        break;
      default: {
        const range: Record<string, Arg> = {};
        if (rng.chance(0.7)) range.start = rng.between(-n, n);
        if (rng.chance(0.5)) range.end = rng.between(-n, n + 1);
        if (rng.chance(0.4)) range.step = rng.between(1, 3);
        items.push(range);
      }
    }
  }
  if (rng.chance(0.1)) items.push(null);
  return items;
}

/** A shape that broadcasts to another. */
const narrower = (g: G, shape: Shape): Shape => {
  const out = shape.map((n) => (g.rng.chance(0.2) ? 1 : n));
  return g.rng.chance(0.2) ? out.slice(g.rng.int(out.length + 1)) : out;
};

/** What a put is given: its name without `_`, and the arguments after the tensor. */
function puts(g: G, x: string): { fn: string; args: Arg[] } | null {
  const { rng } = g;
  const h = g.at(x);
  const d = rng.int(h.shape.length);
  const n = h.shape[d]!;
  const op = rng.weighted({ indexPut: 4, indexFill: 1, indexCopy: 1, indexAdd: 1.5, maskedFill: 1.5 });
  if (op === 'maskedFill') {
    const mask = g.choose((k) => {
      const pad = h.shape.length - k.shape.length;
      return k.dtype === 'bool' && g.known(k) && pad >= 0 && k.shape.every((m, i) => m === 1 || m === h.shape[i + pad]);
    });
    const m = mask ?? g.tensor(narrower(g, h.shape), 'bool');
    const v = rng.chance(0.3) ? like(g, [], h.dtype) : g.number(h);
    return m && v !== null ? { fn: op, args: [m, v] } : null;
  }
  if (op === 'indexPut') {
    const items = indexItems(g, h.shape, 0.5);
    if (!items) return null;
    const found = g.tried('index', [x, ...items]);
    if (!found) return null;
    const v = rng.chance(0.25) ? g.number(h) : like(g, narrower(g, found.shape), h.dtype);
    if (v === null) return null;
    const accumulate: Arg[] = h.dtype !== 'bool' && rng.chance(0.5) ? [{ accumulate: true }] : [];
    return { fn: op, args: [items, v, ...accumulate] };
  }
  const count = rng.between(1, 6);
  const where: Arg | null = rng.chance(0.3)
    ? Array.from({ length: count }, () => rng.int(n) - (rng.chance(0.3) ? n : 0))
    : places(g, n, [count], true);
  if (where === null) return null;
  if (op === 'indexFill') return { fn: op, args: [d, where, rng.chance(0.3) ? 2 : g.number(h)] };
  const v = like(
    g,
    h.shape.map((k, e) => (e === d ? count : k)),
    h.dtype,
  );
  if (!v) return null;
  const alpha: Arg[] = op === 'indexAdd' && rng.chance(0.3) ? [{ alpha: rng.pick([2, -1]) }] : [];
  return { fn: op, args: [d, where, v, ...alpha] };
}

function scatter(g: G): void {
  const { rng } = g;
  const x = source(g, indexable(g));
  if (!x) return;
  const h = g.at(x);
  if (rng.chance(0.6)) {
    const d = rng.int(h.shape.length);
    const shape = h.shape.map((k, e) =>
      e === d ? rng.pick([1, 2, 3, 4, 5, 6, 7, 7, 20]) : rng.chance(0.7) ? k : rng.between(1, k),
    );
    const i = places(g, h.shape[d]!, shape);
    if (!i) return;
    if (rng.chance(0.15)) {
      g.call('scatter', [x, d, i, g.number(h)]);
      return;
    }
    const s = like(
      g,
      shape.map((k) => k + Number(rng.chance(0.1))),
      h.dtype,
    );
    if (s && (h.dtype !== 'bool' || rng.chance(0.5)))
      differentiated(g, g.call(h.dtype === 'bool' ? 'scatter' : rng.pick(['scatter', 'scatterAdd']), [x, d, i, s]));
    return;
  }
  if (h.dtype === 'bool') return;
  const put = puts(g, x);
  if (!put) return;
  if (rng.chance(0.5)) {
    differentiated(g, g.call(put.fn, [x, ...put.args]));
    return;
  }
  // In place, where the result stays small.
  const trial = g.tried(put.fn, [x, ...put.args]);
  if (!trial || !(trial.data.reduce((m, v) => Math.max(m, Math.abs(v)), 0) <= 128)) return;
  const i = { do: 'call', fn: `${put.fn}_`, args: [x, ...put.args], out: [] } as const;
  if (h.tape !== null && h.isLeaf)
    g.block({ do: 'scope', kind: 'noGrad', body: [], results: [] }, () => void g.emit(i));
  else g.emit(i);
}

/** Views beyond those of the plain step. */
export function moreView(g: G, x: string): string | null {
  const { rng } = g;
  const h = g.at(x);
  const rank = h.shape.length;
  if (rank === 0) return g.call('index', [x, null, '...']);
  const d = aDim(g, h);
  const n = sizeAt(h, d);
  switch (rng.weighted({ index: 3, diagonal: rank >= 2 ? 1.5 : 0, unfold: 1.5, unflatten: 0.7, movedim: 0.7 })) {
    case 'diagonal': {
      const [a, b] = rng.shuffled(h.shape.map((_, i) => i)) as [number, number];
      return differentiated(g, g.call('diagonal', [x, rng.between(-2, 2), a, b - (rng.chance(0.3) ? rank : 0)]));
    }
    case 'unfold':
      return n > 0 ? differentiated(g, g.call('unfold', [x, d, rng.between(1, n), rng.between(1, 3)])) : null;
    case 'unflatten': {
      const k = rng.pick([1, 2, 3].filter((m) => n % m === 0));
      return n > 0
        ? g.call('unflatten', [
            x,
            d,
            rng.pick([
              [k, -1],
              [k, n / k],
              [-1, k],
            ]),
          ])
        : null;
    }
    case 'movedim':
      return g.call('movedim', [x, d, aDim(g, h)]);
    default: {
      const items = indexItems(g, h.shape, 0);
      return items && g.call('index', [x, ...items]);
    }
  }
}

function moved(g: G): void {
  const { rng } = g;
  const x = g.choose(g.known);
  if (!x) return;
  const h = g.at(x);
  const rank = h.shape.length;
  const dims = rng.shuffled(h.shape.map((_, d) => d)).slice(0, rng.between(0, rank));
  const op = rng.weighted({
    flip: 1.5,
    roll: 1.5,
    repeat: 1,
    tile: 0.7,
    repeatInterleave: 0.8,
    rot90: rank >= 2 ? 0.7 : 0,
    tril: rank >= 2 ? 1 : 0,
    triu: rank >= 2 ? 1 : 0,
    diag: rank === 1 || rank === 2 ? 1.2 : 0,
    trace: rank === 2 ? 0.6 : 0,
    pad: rank >= 1 ? 2.5 : 0,
    meshgrid: rank <= 1 ? 2 : 0,
    oneHot: h.dtype === 'int32' ? 3 : 0,
  });
  const made = ((): string | null => {
    switch (op) {
      case 'flip':
        return g.call('flip', [x, dims]);
      case 'roll':
        if (rng.chance(0.25) || dims.length === 0) return g.call('roll', [x, rng.between(-4, 4)]);
        // A dim that is named twice is rolled twice.
        if (rng.chance(0.3)) dims.push(dims[0]!);
        return g.call('roll', [x, dims.map(() => rng.between(-5, 5)), dims]);
      case 'repeat':
        return g.call('repeat', [x, [...(rng.chance(0.3) ? [2] : []), ...h.shape.map(() => rng.pick([1, 1, 2, 3]))]]);
      case 'tile':
        return g.call('tile', [x, Array.from({ length: rng.between(1, rank + 1) }, () => rng.pick([1, 2]))]);
      case 'repeatInterleave':
        return g.call('repeatInterleave', [
          x,
          rng.between(1, 3),
          rank > 0 && rng.chance(0.7) ? { dim: aDim(g, h) } : {},
        ]);
      case 'rot90': {
        const [a, b] = rng.shuffled(h.shape.map((_, d) => d)) as [number, number];
        return g.call('rot90', [x, rng.between(-2, 3), [a, b]]);
      }
      case 'tril':
      case 'triu':
      case 'diag':
        return g.call(op, [x, rng.between(-2, 2)]);
      case 'trace':
        return g.call('trace', [x]);
      case 'pad': {
        const mode = rng.pick(['constant', 'reflect', 'replicate', 'circular']);
        const sides = Array.from({ length: 2 * rng.between(1, Math.min(rank, 2)) }, () => rng.between(-1, 2));
        if (h.dtype === 'bool' && mode === 'constant') return null;
        return g.call('pad', [
          x,
          sides,
          mode === 'constant' ? (rng.chance(0.5) ? {} : { value: h.dtype === 'float32' ? 0.5 : 1 }) : { mode },
        ]);
      }
      case 'meshgrid': {
        const others = g.pool((k) => k.shape.length <= 1 && k.dtype === h.dtype && g.known(k));
        const parts = [x, ...rng.shuffled(others).slice(0, rng.between(1, 2))];
        return g.call('meshgrid', [parts, rng.chance(0.4) ? { indexing: 'xy' } : {}], parts.length);
      }
      default: {
        const data = read(h).data;
        const classes = Math.max(1, ...data) + rng.between(1, 2);
        return data.every((c) => c >= 0) && classes < 12 ? g.call('oneHot', [x, classes]) : null;
      }
    }
  })();
  differentiated(g, made);
}

function truth(g: G): void {
  const { rng } = g;
  const x = g.choose((h) => g.exact(h));
  if (!x) return;
  const h = g.at(x);
  if (rng.chance(0.5) || h.places.length === 0) {
    g.call(rng.pick(['any', 'all', 'countNonzero']), [x, g.over(h)]);
    return;
  }
  const mask = g.compare();
  if (mask && !g.at(mask).disposed && g.at(mask).dtype === 'bool')
    differentiated(g, g.call('maskedFill', [x, mask, h.dtype === 'bool' ? 1 : g.number(h)]));
}

function norms(g: G): void {
  const { rng } = g;
  const p = rng.pick([1, 2, 2, 3, 0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
  const x = g.choose((h) => g.float(h) && (p === 2 ? g.known(h) : g.exact(h)));
  if (!x) return;
  const h = g.at(x);
  const rank = h.shape.length;
  if (rank >= 2 && rng.chance(0.3)) {
    const ord = rng.pick<string | number>(['fro', 1, -1, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
    if (ord !== 'fro' && !g.exact(h)) return;
    const [a, b] = rng.shuffled(h.shape.map((_, d) => d)) as [number, number];
    differentiated(g, g.call('matrixNorm', [x, { ord, dim: [a, b], keepDim: rng.chance(0.4) }]));
    return;
  }
  differentiated(g, g.call('norm', [x, { ...g.over(h), p }]));
}

function einsum(g: G): void {
  const { rng } = g;
  const x = g.choose((h) => g.known(h) && h.dtype !== 'bool');
  if (!x) return;
  const h = g.at(x);
  const letters = 'ijklm';
  const names = new Map<number, string[]>();
  // Dims of equal size may share a letter, within an operand (a diagonal) and between operands.
  const labels = (shape: Shape, own: number): string => {
    let out = '';
    for (const n of shape) {
      const known = (names.get(n) ?? []).filter((l) => !out.includes(l) || rng.chance(own));
      const count = [...names.values()].flat().length;
      if (known.length > 0 && (rng.chance(0.6) || count >= letters.length)) out += rng.pick(known);
      else {
        const l = letters[count];
        if (!l) return '?';
        names.set(n, [...(names.get(n) ?? []), l]);
        out += l;
      }
    }
    return out;
  };
  const operands = [x];
  const first = labels(h.shape, 0.5);
  const terms = [first];
  const dots = h.shape.length > 1 && rng.chance(0.2) ? 1 : 0;
  if (dots) terms[0] = `...${first.slice(1)}`;
  for (let k = rng.pick([0, 1, 1, 1, 2]); k > 0; k--) {
    const y = g.choose((o) => g.known(o) && o.dtype === h.dtype && o.shape.length <= 3);
    if (!y) break;
    const term = labels(g.at(y).shape, 0.2);
    terms.push(term);
    operands.push(y);
  }
  if (terms.join().includes('?')) return;
  const all = [...new Set(terms.join('').replaceAll('.', ''))];
  const kept = rng.shuffled(all).filter(() => rng.chance(0.55));
  const equation =
    rng.chance(0.15) && !dots ? terms.join() : `${terms.join()}->${dots ? '...' : ''}${kept.slice(0, 3).join('')}`;
  differentiated(g, g.call('einsum', [equation, ...operands]));
}

/** Emits a chain of calls and disposes all but the last, mostly. */
function chain(g: G, parts: readonly (string | null)[]): string | null {
  const out = parts[parts.length - 1] ?? null;
  if (out && g.rng.chance(0.8))
    for (const t of new Set(parts)) if (t && t !== out && !g.at(t).disposed) g.emit({ do: 'dispose', of: t });
  return out;
}

/** A matrix in good condition, whatever the numbers that it is made of: their 16th, or both halves of it, and a diagonal. */
function matrix(g: G, n: number, symmetric: boolean): string | null {
  const { rng } = g;
  const batch = rng.chance(0.25) ? [rng.between(1, 2)] : [];
  const old = g.choose(
    (h) =>
      g.float(h) &&
      g.known(h) &&
      h.shape.length >= 2 &&
      h.shape.length <= 3 &&
      h.shape.slice(-2).every((k) => k === n) &&
      g.most(h) <= 4,
  );
  const x = old && rng.chance(0.7) ? old : g.tensor([...batch, n, n], 'float32', { leaf: rng.chance(0.6) });
  if (!x) return null;
  const small = g.call('div', [x, 16]);
  const turned = small && symmetric ? g.call('transpose', [small, -1, -2]) : null;
  const both = turned ? g.call('add', [small!, turned]) : small;
  const steps = g.call('arange', [2, 2 + 3 * n, 3, {}]);
  const diagonal = steps && g.call('diag', [steps]);
  const sum = both && diagonal && g.call('add', [both, diagonal]);
  const a = chain(g, [small, turned, both, steps, diagonal, sum]);
  if (!a || !symmetric || rng.chance(0.5)) return a;
  // As a leaf, so that nothing makes its gradient symmetric.
  const apart = g.call('detach', [a]);
  const leaf = apart && g.call('contiguous', [apart]);
  if (leaf) g.emit({ do: 'requiresGrad', of: leaf, on: true });
  return chain(g, [a, apart, leaf]);
}

function dense(g: G): void {
  const { rng } = g;
  const n = rng.pick([1, 2, 2, 3, 3, 4]);
  const op = rng.weighted({
    solve: 3,
    inverse: 1.5,
    det: 1.5,
    slogdet: 0.7,
    solveTriangular: 1,
    cholesky: 1.5,
    eigvalsh: 1,
    eighSin: 1,
    qrProduct: 1,
    qrGram: 1,
    svdvals: 1,
    svdProduct: 0.7,
    svdSin: 1,
    lstsq: 1,
    ridge: 0.5,
    pinv: 0.7,
    matrixRank: 0.3,
  });
  const symmetric = op === 'cholesky' || op.startsWith('eig');
  const size = op === 'det' || symmetric || op.startsWith('svd') ? Math.min(n, 3) : n;
  let a = matrix(g, size, symmetric);
  if (!a) return;
  // Rows in another order, so that pivots have to be looked for.
  if (!symmetric && op !== 'solveTriangular' && rng.chance(0.5))
    a = chain(g, [a, rng.chance(0.5) ? g.call('flip', [a, [-2]]) : g.call('roll', [a, [1], [-1]])]);
  if (a && rng.chance(0.2)) a = chain(g, [a, g.call('transpose', [a, -2, -1])]);
  const wide = ['qrProduct', 'qrGram', 'svdvals', 'svdProduct', 'svdSin', 'lstsq', 'pinv', 'matrixRank', 'ridge'];
  if (a && wide.includes(op) && size > 1 && rng.chance(0.6))
    a = chain(g, [a, g.call('narrow', [a, rng.pick([-1, -2]), rng.int(2), size - 1])]);
  if (!a) return;
  const m = g.at(a).shape.at(-2)!;
  const more: Arg[] = [];
  if (op === 'solve' || op === 'solveTriangular' || op === 'lstsq' || op === 'ridge') {
    const batch = g.at(a).shape.slice(0, -2);
    const shape = rng.pick<Shape>([[m], [m, 1], [m, 2], [...batch, m, 3]]);
    const b = like(g, shape, 'float32');
    if (!b) return;
    more.push(b);
    if (op === 'solveTriangular') more.push({ upper: rng.chance(0.5) });
    if (op === 'ridge') more.push(0.5);
  }
  differentiated(g, g.call(op, [a, ...more], op === 'slogdet' ? 2 : 1), 0.8);
}

/** Functions that give promises, with something in between that their inputs may change by. */
function start(g: G): void {
  const { rng } = g;
  if (g.nested) return;
  // The read behind it must not come upon an error of something else.
  if (g.model.faulty) g.emit({ do: 'sync' });
  if (g.model.faulty) return;
  const op = rng.weighted({ maskedSelect: 3, nonzero: 1, unique: 0.7, oneHot: 0.7 });
  const x = g.choose(
    (h) => (op === 'maskedSelect' ? g.known(h) : g.exact(h)) && (op !== 'oneHot' || h.dtype === 'int32'),
  );
  if (!x) return;
  const args: Arg[] = [x];
  if (op === 'maskedSelect') {
    const mask = g.partner(x, (h) => h.dtype === 'bool' && g.known(h)) ?? g.tensor(g.at(x).shape, 'bool');
    if (!mask) return;
    args.push(mask);
  }
  if (op === 'oneHot' && Math.max(...read(g.at(x)).data) > 12) return;
  const out = g.name();
  if (!g.emit({ do: 'start', fn: op, args, out: [out] })) return;
  for (let k = rng.int(3); k > 0; k--) rng.pick([g.inPlace, g.dispose, g.scalar]).call(g);
  g.emit({ do: 'sync' });
  const h = g.run.env.get(out);
  if (h && h.places.length > 60) g.emit({ do: 'dispose', of: out });
}

/** An index tensor with a place that is out of range, as data or as something that the device computes. */
function outside(g: G, n: number, shape: Shape, negative: boolean): string | null {
  const { rng } = g;
  const count = sizeOf(shape);
  if (count === 0) return null;
  const data = Array.from({ length: count }, () => rng.int(n));
  const far = rng.pick([n, n + 1, 2 * n + 3, 1e6, negative ? -n - 1 : -1, negative ? -2 * n - 1 : -2, -1e6]);
  data[rng.int(count)] = far;
  const options = { shape, dtype: 'int32' };
  const kind = rng.weighted({ data: 2, sum: 1.5, cast: 1, permuted: 0.7 });
  if (kind === 'data') return g.call('tensor', [data, options], 1, [0, n]);
  if (kind === 'sum') {
    const a = g.call('tensor', [data.map((v) => v - 1), options], 1, [-1, n - 1]);
    const one = a && g.call('ones', [shape, { dtype: 'int32' }]);
    return chain(g, [a, one, one && g.call('add', [a, one])]);
  }
  if (kind === 'cast') {
    const a = g.call('tensor', [data.map((v) => Math.min(Math.max(v, -200), 200)), { shape }]);
    return chain(g, [a, a && g.call('cast', [a, 'int32'])]);
  }
  const a = g.call('tensor', [data, { shape: [...shape].reverse(), dtype: 'int32' }], 1, [0, n]);
  return chain(g, [a, a && g.call('permute', [a, shape.map((_, d) => shape.length - 1 - d)])]);
}

/** A matrix that has no solution, or no root. */
function degenerate(g: G, definite: boolean): string | null {
  const { rng } = g;
  const n = rng.between(1, 3);
  const eye = g.call('eye', [n, n, {}]);
  if (!eye) return null;
  if (definite) return chain(g, [eye, g.call('neg', [eye])]);
  return chain(g, [eye, rng.chance(0.5) ? g.call('sub', [eye, eye]) : g.call('tril', [eye, -1])]);
}

/** Something that only the device finds wrong, followed by ops on it and by an await, which has to say so. */
function fault(g: G): void {
  const { rng } = g;
  const x = g.choose((k) => g.known(k) && k.shape.length > 0);
  if (!x) return;
  const h = g.at(x);
  const rank = h.shape.length;
  const d = rng.int(rank);
  const n = h.shape[d]!;
  const along = h.shape.map((k, e) => (e === d ? rng.between(1, 6) : k));
  const count = rng.between(1, 5);
  const slices = h.shape.map((k, e) => (e === d ? count : k));
  const before: Arg[] = new Array<Arg>(d).fill(':');
  let out: string | null = null;
  let changed: string | null = null;
  const op = rng.weighted({
    gather: 2,
    indexSelect: 1.5,
    takeAlongDim: 1,
    take: 1,
    index: 2,
    scatter: 1.5,
    scatterAdd: 1.5,
    indexPut: 2,
    indexAdd: 1,
    indexFill: 0.7,
    indexPut_: 1,
    oneHot: 1,
    singular: 1,
  });
  const i =
    op === 'singular'
      ? null
      : op === 'take'
        ? outside(g, h.places.length, [count], true)
        : op === 'oneHot'
          ? outside(g, 4, [count], false)
          : op === 'gather' || op === 'takeAlongDim' || op.startsWith('scatter')
            ? outside(g, n, along, false)
            : outside(g, n, [count], op !== 'indexSelect');
  if (op !== 'singular' && !i) return;
  switch (op) {
    case 'gather':
    case 'indexSelect':
      out = g.call(op, [x, d, i!]);
      break;
    case 'takeAlongDim':
      out = g.call(op, [x, i!, d]);
      break;
    case 'take':
      out = g.call(op, [x, i!]);
      break;
    case 'index':
      out = g.call(op, [x, ...before, i!]);
      break;
    case 'scatter':
    case 'scatterAdd': {
      const s = h.dtype === 'bool' ? null : like(g, along, h.dtype);
      out = s && g.call(op, [x, d, i!, s]);
      break;
    }
    case 'indexPut':
    case 'indexPut_': {
      if (h.dtype === 'bool') return;
      const more: Arg[] = rng.chance(0.5) ? [{ accumulate: true }] : [];
      if (op === 'indexPut') out = g.call(op, [x, [...before, i!], g.number(h), ...more]);
      else if (h.tape === null && g.emit({ do: 'call', fn: op, args: [x, [...before, i!], 1, ...more], out: [] }))
        changed = x;
      break;
    }
    case 'indexAdd': {
      const s = h.dtype === 'bool' ? null : like(g, slices, h.dtype);
      out = s && g.call(op, [x, d, i!, s]);
      break;
    }
    case 'indexFill':
      out = h.dtype === 'bool' ? null : g.call(op, [x, d, i!, g.number(h)]);
      break;
    case 'oneHot':
      out = g.call(op, [i!, 4]);
      break;
    default: {
      const kind = rng.pick(['inverse', 'solve', 'cholesky', 'solveTriangular']);
      const a = degenerate(g, kind === 'cholesky');
      if (!a) return;
      const b = kind.startsWith('solve') ? g.tensor([g.at(a).shape[0]!], 'float32') : null;
      out = g.call(kind, [a, ...(b ? [b] : []), ...(kind === 'solveTriangular' ? [{ upper: true }] : [])]);
    }
  }
  if (i && rng.chance(0.6)) g.emit({ do: 'dispose', of: i });
  let last = out ?? changed;
  if (!last) return;
  // What depends on all of it.
  for (let k = rng.int(4); k > 0; k--) {
    const v = g.at(last);
    if (v.dtype === 'bool') break;
    const next: string | null = rng.chance(0.4)
      ? g.call(rng.pick(['add', 'mul']), [last, g.number(v)])
      : rng.chance(0.5)
        ? g.call('sum', [last, rng.chance(0.5) || v.shape.length === 0 ? {} : { dim: rng.int(v.shape.length) }])
        : g.call('reshape', [last, [v.places.length]]);
    if (!next) break;
    if (last !== x && rng.chance(0.6)) g.emit({ do: 'dispose', of: last });
    last = next;
  }
  if (rng.chance(0.3)) g.scalar();
  if (g.nested || rng.chance(0.7)) g.emit({ do: 'read', of: last });
  else g.emit({ do: 'sync' });
  for (const t of [out, last])
    if (t && t !== x && !g.at(t).disposed && rng.chance(0.7)) g.emit({ do: 'dispose', of: t });
}

/** Calls that are wrong for all to see. */
export function wrongCalls(g: G, x: string): { fn: string; args: Arg[] }[] {
  const h = g.at(x);
  const rank = h.shape.length;
  const n = h.shape[0] ?? 1;
  const out: { fn: string; args: Arg[] }[] = [
    { fn: 'index', args: [x, ...h.shape.map(() => ':'), 0] },
    { fn: 'cumsum', args: [x, rank + 1] },
    { fn: 'flip', args: [x, [0, 0]] },
    { fn: 'diagonal', args: [x, 0, 0, 0] },
    { fn: 'sort', args: [x, { dim: -rank - 2 }] },
    { fn: 'einsum', args: ['ij,jk', x] },
    { fn: 'gather', args: [x, 0, x] },
    { fn: 'pad', args: [x, h.shape.flatMap(() => [99, 99]), { mode: 'circular' }] },
  ];
  if (rank > 0)
    out.push(
      { fn: 'index', args: [x, n] },
      { fn: 'index', args: [x, [0, -n - 1]] },
      { fn: 'index', args: [x, { step: 0 }] },
      { fn: 'select', args: [x, 0, n] },
      { fn: 'unfold', args: [x, 0, n + 1, 1] },
      { fn: 'topk', args: [x, n + 100, { dim: 0 }] },
      { fn: 'roll', args: [x, [1, 2], [0]] },
      { fn: 'indexPut', args: [x, [n + 1], 0] },
      { fn: 'indexFill_', args: [x, 0, [n], 0] },
      { fn: 'maskedFill', args: [x, x, 0] },
    );
  if (rank > 2) out.push({ fn: 'diag', args: [x] });
  if (rank < 2) out.push({ fn: 'tril', args: [x] }, { fn: 'inverse', args: [x] });
  if (rank >= 2 && h.shape[rank - 1] !== h.shape[rank - 2]) out.push({ fn: 'det', args: [x] });
  return out;
}

export const STEPS = { scan, order, look, scatter, moved, truth, norms, einsum, dense, start, fault };
