import type { DType } from '../core/dtype.ts';
import { contiguousStrides, type Shape, sizeOf } from '../core/shape.ts';
import { coalesce, mergeable } from '../ir/coalesce.ts';
import { constant, type Expr, index, load, loadAt, position, result, rewrite, uniform } from '../ir/expr.ts';
import {
  type Access,
  type Input,
  type Kernel,
  type MatmulKernel,
  matmulDims,
  type Output,
  type ReduceOp,
  type Reduction,
} from '../ir/kernel.ts';
import type { Template } from './node.ts';

/*
 * Fusion: turns the pending nodes of a flush into kernels. The rules:
 *   1. a map that nobody else needs is written into its readers, through any view that composes (`inline`);
 *   2. a map that reads a reduction, a matmul or a map at its own index joins that kernel (epilogue, multi-output map);
 *   3. reductions and maps along one row join into a row program.
 * A join must not close a cycle of kernels nor pass the device's limit of bindings.
 */

/** A node as planning sees it; a plan holds no nodes. Sources are places in the flush (>= 0) or externals (~ordinal). */
export interface Pending {
  readonly template: Template;
  readonly space: Shape;
  readonly inner: number;
  readonly k: number;
  readonly inputs: readonly { readonly source: number; readonly access: Access }[];
  readonly dtype: DType;
  /** Somebody holds it: it needs a buffer of its own. */
  readonly live: boolean;
  readonly label: string;
}

export interface External {
  readonly dtype: DType;
  readonly size: number;
  /** Nobody needs it after this flush: its buffer may be reused. */
  readonly dying: boolean;
}

/** A value that a kernel takes from a node's scalars. */
export interface ScalarSource {
  readonly node: number;
  readonly slot: number;
}

/** A kernel with the nodes it reads and writes in place of buffers: inputs and outputs bind `values[binding]`. */
export interface FusedKernel {
  readonly kernel: Kernel;
  readonly values: readonly number[];
  readonly scalars: readonly ScalarSource[];
  readonly label: string;
}

interface Read {
  readonly source: number;
  readonly access: Access;
}

/** A pending node after inlining, in canonical form: without dims of size 1. */
interface Item {
  readonly id: number;
  readonly kind: Template['kind'];
  readonly template: Template;
  readonly dtype: DType;
  readonly space: Shape;
  readonly inner: number;
  readonly rows: number;
  readonly columns: number;
  readonly k: number;
  readonly expr: Expr;
  readonly reads: readonly Read[];
  readonly scalars: readonly { readonly source: ScalarSource; readonly dtype: DType }[];
  readonly placed: boolean;
  readonly usesPosition: boolean;
  readonly cost: number;
  readonly labels: readonly string[];
  readonly live: boolean;
}

interface Member {
  readonly item: Item;
  /** `row`: a reduction or a map over the outer dims; `element`: a map over the whole domain. */
  readonly level: 'row' | 'element';
  /** For each dim of the item, the dim of the cluster. */
  readonly dims: readonly number[];
}

/** Nodes that become one kernel. The last `inner` dims of the domain are the row. */
interface Cluster {
  readonly order: number;
  /** `fixed`: one item of a kind that nothing joins. */
  readonly kind: 'loop' | 'matmul' | 'fixed';
  readonly domain: Shape;
  readonly inner: number;
  readonly members: readonly Member[];
}

const kindOf = ({ kind }: Item): Cluster['kind'] =>
  kind === 'map' || kind === 'reduce' ? 'loop' : kind === 'matmul' ? 'matmul' : 'fixed';

/** Is input `i` read over a space that is not the item's, or by another rule than an expression's? */
const isOperand = (kind: Template['kind'], i: number): boolean =>
  kind === 'matmul' ? i < 2 : kind === 'scan' || kind === 'scatter' || kind === 'dense' || kind === 'custom';

const productDims = ({ rows, columns, inner }: Item): Pick<MatmulKernel, 'rows' | 'columns' | 'inner'> => ({
  rows,
  columns,
  inner,
});

const outerSize = (c: { domain: Shape; inner: number }): number => c.domain.length - c.inner;
const outputShape = (item: Item): Shape => item.space.slice(0, item.space.length - item.inner);

/** Drops dims of size 1, so that shapes that differ only there can meet; of a matmul's m, n and k one is left. */
function canonical(id: number, p: Pending): Item {
  const { kind } = p.template;
  const { batch, m, n, k } = matmulDims({ ...p, ...p.template });
  const only = (dims: readonly number[]): number[] => (dims.every((d) => p.space[d] === 1) ? dims.slice(-1) : []);
  const needed = new Set(
    kind === 'map' || kind === 'reduce' ? [] : kind === 'matmul' ? [m, n, k].flatMap(only) : batch,
  );
  const keep = p.space.map((d, i) => ({ d, i })).filter((x) => x.d !== 1 || needed.has(x.i));
  const place = new Map(keep.map((x, k) => [x.i, k]));
  const among = (dims: readonly number[]): number => keep.filter((x) => dims.includes(x.i)).length;
  const inner = among(k);
  const [expr] = rewrite([p.template.expr], (e) => {
    if (e.op !== 'index') return undefined;
    const k = place.get(e.value);
    return k === undefined ? constant(0, 'int32') : index(k);
  });
  const reads = p.inputs.map(({ source, access }, i) => {
    if (access.mode === 'indirect' || (kind !== 'matmul' && isOperand(kind, i))) return { source, access };
    return { source, access: { ...access, strides: keep.map((x) => access.strides[x.i]!) } };
  });
  return {
    id,
    // Over a single element every reduction is that element.
    kind: kind === 'reduce' && inner === 0 ? 'map' : kind,
    template: p.template,
    dtype: p.dtype,
    space: keep.map((x) => x.d),
    inner,
    rows: among(m),
    columns: among(n),
    k: p.k,
    expr: expr!,
    reads,
    scalars: p.template.scalars.map((dtype, slot) => ({ source: { node: id, slot }, dtype })),
    placed: p.template.placed,
    usesPosition: p.template.usesPosition,
    cost: p.template.cost,
    labels: [p.label],
    live: p.live,
  };
}

/**
 * Which dim of a contiguous `shape` each dim of the reader walks, where the reader sees every element at its own index;
 * null where it does not. Dims of stride 0 give -1 when `broadcast` allows them.
 */
function matchDims(shape: Shape, access: Access, space: Shape, broadcast: boolean): number[] | null {
  if (access.mode !== 'direct' || access.offset !== 0) return null;
  const steps = contiguousStrides(shape);
  const used = new Set<number>();
  const dims: number[] = [];
  for (let d = 0; d < space.length; d++) {
    const stride = access.strides[d]!;
    let found = -1;
    if (stride !== 0 || !broadcast) {
      found = shape.findIndex((n, k) => n === space[d] && n !== 1 && steps[k] === stride && !used.has(k));
      if (found < 0) {
        if (space[d] !== 1) return null;
        found = shape.findIndex((n, k) => n === 1 && !used.has(k));
        if (found < 0) return null;
      }
      used.add(found);
    }
    dims.push(found);
  }
  return shape.every((n, k) => n === 1 || used.has(k)) ? dims : null;
}

const isIdentity = (dims: readonly number[]): boolean => dims.every((d, i) => d === i);

/** The reads of a map as seen by a reader of its result: strides over the reader's space, or null where they do not compose. */
function composeReads(producer: Item, access: Access, space: Shape): Access[] | null {
  if (access.mode !== 'direct') return null;
  if (sizeOf(producer.space) === 0 || sizeOf(space) === 0) return null;
  const direct = producer.reads.map((r) => (r.access.mode === 'direct' ? r.access : null));
  if (direct.includes(null)) return null;
  const groups = mergeable(
    producer.space,
    direct.map((a) => a!.strides),
    new Set(),
  );
  const sizes = groups.map((g) => g.reduce((n, d) => n * producer.space[d]!, 1));
  const steps = contiguousStrides(sizes);
  let rest = access.offset;
  const start = sizes.map((_, k) => {
    const c = Math.floor(rest / steps[k]!);
    rest -= c * steps[k]!;
    return c;
  });
  const reach = [...start];
  const walked = space.map((n, d) => {
    const stride = access.strides[d]!;
    if (stride === 0 || n === 1) return { k: -1, by: 0 };
    const k = steps.findIndex((s) => s <= stride);
    if (k < 0 || stride % steps[k]! !== 0) return null;
    const by = stride / steps[k]!;
    reach[k] = reach[k]! + by * (n - 1);
    return { k, by };
  });
  if (walked.includes(null) || rest !== 0 || reach.some((c, k) => c >= sizes[k]!)) return null;
  return direct.map((a) => {
    const inner = groups.map((g) => a!.strides[g[g.length - 1]!]!);
    return {
      mode: 'direct',
      strides: walked.map((w) => (w!.k < 0 ? 0 : w!.by * inner[w!.k]!)),
      offset: a!.offset + start.reduce((sum, c, k) => sum + c * inner[k]!, 0),
    };
  });
}

const sameAccess = (a: Access, b: Access): boolean =>
  a.mode === b.mode &&
  a.offset === b.offset &&
  a.strides.length === b.strides.length &&
  a.strides.every((s, i) => s === b.strides[i]) &&
  (a.mode === 'direct' || (b.mode === 'indirect' && a.check === b.check && a.shape.every((d, i) => d === b.shape[i])));

/** Collects the reads and scalars of a kernel or of an inlined item, each once. */
class Gather {
  readonly scalars: { source: ScalarSource; dtype: DType }[] = [];

  /** Starts with the operands of a matmul, if any, which are read over another space than the rest. */
  constructor(readonly reads: Read[] = []) {
    this.operands = reads.length;
  }
  private readonly operands: number;

  read(read: Read): number {
    const known = this.reads.findIndex(
      (r, i) => i >= this.operands && r.source === read.source && sameAccess(r.access, read.access),
    );
    return known >= 0 ? known : this.reads.push(read) - 1;
  }

  scalar(scalar: { source: ScalarSource; dtype: DType }): number {
    const known = this.scalars.findIndex(
      (s) => s.source.node === scalar.source.node && s.source.slot === scalar.source.slot,
    );
    return known >= 0 ? known : this.scalars.push(scalar) - 1;
  }

  /** An item's access, with its check slot renumbered. */
  access(access: Access, item: Item): Access {
    return access.mode === 'indirect' && access.check !== null
      ? { ...access, check: this.scalar(item.scalars[access.check]!) }
      : access;
  }
}

/** Writes the virtual producers of an item into its expression. */
function inlineProducers(item: Item, virtual: ReadonlyMap<number, Item>): Item {
  if (!item.reads.some((r) => virtual.has(r.source))) return item;
  const gather = new Gather();
  let { placed, usesPosition, cost } = item;
  const labels = [...item.labels];
  const merged = new Map<number, Expr>();
  const inlined = (i: number): Expr => {
    const known = merged.get(i);
    if (known) return known;
    const read = item.reads[i]!;
    const producer = virtual.get(read.source)!;
    const dims = producer.placed ? identityDims(producer, read.access, item.space)! : null;
    const accesses = dims
      ? producer.reads.map((r) =>
          r.access.mode === 'direct'
            ? { ...r.access, strides: spread(r.access.strides, dims, item.space.length) }
            : r.access,
        )
      : composeReads(producer, read.access, item.space)!;
    placed ||= producer.placed;
    usesPosition ||= producer.usesPosition;
    cost += producer.cost;
    labels.unshift(...producer.labels);
    const at = (j: number): number =>
      gather.read({ source: producer.reads[j]!.source, access: gather.access(accesses[j]!, producer) });
    const [out] = rewrite([producer.expr], (e, args) => {
      if (e.op === 'load') return load(at(e.value), e.dtype);
      if (e.op === 'loadAt') return loadAt(at(e.value), e.dtype, args);
      if (e.op === 'uniform') return uniform(gather.scalar(producer.scalars[e.value]!), e.dtype);
      // The reader's dim that walks this dim of the producer.
      if (e.op === 'index') return dims ? index(dims.indexOf(e.value)) : undefined;
      return undefined;
    });
    merged.set(i, out!);
    return out!;
  };
  const [expr] = rewrite([item.expr], (e, args) => {
    if (e.op === 'uniform') return uniform(gather.scalar(item.scalars[e.value]!), e.dtype);
    if (e.op !== 'load' && e.op !== 'loadAt') return undefined;
    const read = item.reads[e.value]!;
    if (e.op === 'load' && virtual.has(read.source)) return inlined(e.value);
    const i = gather.read({ source: read.source, access: gather.access(read.access, item) });
    return e.op === 'load' ? load(i, e.dtype) : loadAt(i, e.dtype, args);
  });
  return { ...item, expr: expr!, reads: gather.reads, scalars: gather.scalars, placed, usesPosition, cost, labels };
}

/** Strides over an item's dims, laid out over the dims they map to. */
function spread(strides: readonly number[], dims: readonly number[], rank: number): number[] {
  const out = new Array<number>(rank).fill(0);
  // `dims[d]` is the producer's dim that dim d of the reader walks.
  for (let d = 0; d < dims.length; d++) if (dims[d]! >= 0) out[d] = strides[dims[d]!]!;
  return out;
}

/** The dims of a placed producer that a reader walks, if it reads each element at its own index (in order, for positions). */
function identityDims(producer: Item, access: Access, space: Shape): number[] | null {
  const dims = matchDims(producer.space, access, space, false);
  if (!dims || dims.length !== producer.space.length) return null;
  return producer.usesPosition && !isIdentity(dims) ? null : dims;
}

/** A map of at most this price is computed again in each of its readers rather than stored. */
const RECOMPUTE = 6;

/** The price at which an expression is long enough: compilers slow down, and recursion runs deep. */
const LONGEST = 1000;

/** How many steps a search for cycles takes at most in each direction. */
const SEARCH = 1024;

interface Limits {
  readonly bindings: number;
  /**
   * Inputs that will not be overwritten, though they die. It is taken that all others are, which saves bindings; whether they can be is only
   * known afterwards.
   */
  readonly kept: ReadonlySet<number>;
}

/** Decides which maps are written into their readers (rule 1), and writes them there. */
function inline(items: Item[], limits: Limits): Item[] {
  const readers = new Map<number, { reader: Item; read: Read; operand: boolean }[]>();
  for (const item of items)
    item.reads.forEach((read, i) => {
      if (read.source < 0) return;
      const list = readers.get(read.source);
      const entry = { reader: item, read, operand: isOperand(item.kind, i) };
      if (list) list.push(entry);
      else readers.set(read.source, [entry]);
    });
  const virtual = new Map<number, Item>();
  const out: Item[] = [];
  const isProduct = (source: number): boolean => source >= 0 && items[source]!.kind === 'matmul';
  /**
   * What is the epilogue of a product is not carried on into that of a later one: all that it reads would have to stay until then. So a
   * sum of products has each added up as it comes.
   */
  const settled = (item: Item, { reader }: { reader: Item }): boolean =>
    reader.reads.some((r) => r.source > item.id && isProduct(r.source)) &&
    item.reads.some(
      ({ source, access }) =>
        isProduct(source) && matchDims(outputShape(items[source]!), access, item.space, false) !== null,
    );
  /** What each reader reads once its producers so far are written into it. */
  const reached = new Map<Item, Set<number>>();
  for (const original of items) {
    const item = inlineProducers(original, virtual);
    const uses = readers.get(item.id) ?? [];
    const reads = ({ reader }: { reader: Item }): Set<number> => {
      const sources = new Set(reached.get(reader) ?? reader.reads.map((r) => r.source));
      sources.delete(item.id);
      for (const r of item.reads) sources.add(r.source);
      return sources;
    };
    const inlines =
      item.kind === 'map' &&
      !item.live &&
      item.cost < LONGEST / 2 &&
      uses.length > 0 &&
      (uses.every((u) => u.reader === uses[0]!.reader) || item.cost <= RECOMPUTE) &&
      uses.every((u) => {
        if (u.operand || u.read.access.mode !== 'direct' || settled(item, u)) return false;
        // With the buffer that the reader writes.
        if (reads(u).size + 1 > limits.bindings) return false;
        if (item.placed) return identityDims(item, u.read.access, u.reader.space) !== null;
        return composeReads(item, u.read.access, u.reader.space) !== null;
      });
    if (inlines) {
      virtual.set(item.id, item);
      for (const u of uses) reached.set(u.reader, reads(u));
    } else out.push(item);
  }
  return out;
}

/** Groups items into clusters (rules 2 and 3). */
class Clusters {
  private readonly of = new Map<number, Cluster>();
  private readonly consumers = new Map<number, number[]>();
  readonly all = new Set<Cluster>();

  constructor(
    private readonly items: readonly Item[],
    private readonly externals: readonly External[],
    private readonly limits: Limits,
  ) {
    for (const item of items)
      for (const r of item.reads) {
        const list = this.consumers.get(r.source);
        if (list) list.push(item.id);
        else this.consumers.set(r.source, [item.id]);
      }
  }

  build(fuse: boolean): void {
    for (const item of this.items) {
      this.add(this.alone(item));
      if (fuse && kindOf(item) === 'loop') this.join(item);
    }
  }

  private alone(item: Item): Cluster {
    const level = item.kind === 'reduce' ? 'row' : 'element';
    const domain = item.kind === 'matmul' ? outputShape(item) : item.space;
    const member: Member = { item, level, dims: domain.map((_, d) => d) };
    return {
      order: item.id,
      kind: kindOf(item),
      domain,
      inner: item.kind === 'reduce' ? item.inner : 0,
      members: [member],
    };
  }

  private add(cluster: Cluster): void {
    this.all.add(cluster);
    for (const m of cluster.members) this.of.set(m.item.id, cluster);
  }

  private join(item: Item): void {
    const sources = [...new Set(item.reads.filter((r) => r.source >= 0).map((r) => r.source))].sort((a, b) => b - a);
    // A kernel with a row or a product first: what it leaves behind would cost a pass over memory.
    const rank = (s: number): number => (this.of.get(s)!.kind === 'matmul' || this.of.get(s)!.inner > 0 ? 0 : 1);
    sources.sort((a, b) => rank(a) - rank(b));
    for (const source of sources) {
      const producer = this.of.get(source)!;
      const reader = this.of.get(item.id)!;
      if (producer === reader) continue;
      const merged = this.merge(producer, reader, item, source);
      if (!merged || !this.fits(merged) || this.cycle(producer, reader)) continue;
      this.all.delete(producer);
      this.all.delete(reader);
      this.add(merged);
    }
  }

  /** The union of a producer's cluster and a reader's, laid out over one domain; null where they do not line up. */
  private merge(producer: Cluster, reader: Cluster, item: Item, source: number): Cluster | null {
    if (reader.kind !== 'loop' || producer.kind === 'fixed') return null;
    if (producer.kind === 'matmul' && reader.inner > 0) return null;
    const from = producer.members.find((m) => m.item.id === source)!;
    const to = reader.members.find((m) => m.item.id === item.id)!;
    const layout = this.layout(producer, from, reader, to);
    if (!layout) return null;
    const { domain, inner, producerDims, readerDims } = layout;
    const rows = domain.length - inner;
    const move = (c: Cluster, places: readonly number[]): Member[] =>
      c.members.map(({ item, dims: old }) => {
        const dims = old.map((d) => places[d]!);
        const row = item.kind === 'reduce' || (inner > 0 && dims.every((d) => d < rows));
        return { item, level: row ? 'row' : 'element', dims };
      });
    const merged: Cluster = {
      order: Math.min(producer.order, reader.order),
      kind: producer.kind,
      domain,
      inner,
      members: [...move(producer, producerDims), ...move(reader, readerDims)].sort((a, b) => a.item.id - b.item.id),
    };
    return this.consistent(merged) ? merged : null;
  }

  /** A domain for both clusters, and where each one's dims go in it, derived from how `to` reads `from`. */
  private layout(
    producer: Cluster,
    from: Member,
    reader: Cluster,
    to: Member,
  ): { domain: Shape; inner: number; producerDims: number[]; readerDims: number[] } | null {
    const read = to.item.reads.find((r) => r.source === from.item.id)!;
    const match = matchDims(outputShape(from.item), read.access, to.item.space, true);
    if (!match) return null;
    // Reader dims that walk the producer's domain: readerToProducer[dim of reader's cluster] = dim of the producer's.
    const readerToProducer = new Array<number>(reader.domain.length).fill(-1);
    match.forEach((k, d) => {
      if (k >= 0) readerToProducer[to.dims[d]!] = from.dims[k]!;
    });
    const free = readerToProducer
      .map((p, d) => ({ p, d }))
      .filter((x) => x.p < 0)
      .map((x) => x.d);
    const covered = new Set(readerToProducer.filter((p) => p >= 0));
    const missing = producer.domain.map((_, d) => d).filter((d) => !covered.has(d) && producer.domain[d] !== 1);
    const identity = producer.domain.map((_, d) => d);
    if (free.length === 0 && missing.length === 0) {
      // The same space, read at its own index.
      if (reader.inner === 0 || producer.inner === 0) {
        if (producer.kind === 'matmul' && reader.inner > 0) return null;
        if (reader.inner === 0)
          return {
            domain: producer.domain,
            inner: producer.inner,
            producerDims: identity,
            readerDims: readerToProducer,
          };
        // The reader's row decides; the producer's maps follow.
        const producerDims = identity.map((d) => readerToProducer.indexOf(d));
        return { domain: reader.domain, inner: reader.inner, producerDims, readerDims: reader.domain.map((_, d) => d) };
      }
      return this.sameRow(producer, reader, readerToProducer)
        ? { domain: producer.domain, inner: producer.inner, producerDims: identity, readerDims: readerToProducer }
        : null;
    }
    if (producer.kind === 'matmul' || producer.inner === 0) return null;
    const rows = outerSize(producer);
    if (missing.length > 0 && missing.some((d) => d < rows)) return null;
    if (free.length === 0) {
      // A map over the rows.
      return reader.inner === 0 && missing.length === producer.inner
        ? { domain: producer.domain, inner: producer.inner, producerDims: identity, readerDims: readerToProducer }
        : null;
    }
    // The reader repeats a row's result along the row.
    if (missing.length !== producer.inner || free.length !== producer.inner) return null;
    const row = producer.domain.slice(rows);
    if (!free.every((d, i) => reader.domain[d] === row[i])) return null;
    free.forEach((d, i) => {
      readerToProducer[d] = rows + i;
    });
    if (reader.inner > 0 && !this.sameRow(producer, reader, readerToProducer)) return null;
    return { domain: producer.domain, inner: producer.inner, producerDims: identity, readerDims: readerToProducer };
  }

  private sameRow(producer: Cluster, reader: Cluster, readerToProducer: readonly number[]): boolean {
    return (
      reader.inner === producer.inner &&
      readerToProducer.every((p, d) => d >= outerSize(reader) === p >= outerSize(producer))
    );
  }

  /** Every read inside the cluster must be at the reader's own place in the domain. */
  private consistent(c: Cluster): boolean {
    const members = new Map(c.members.map((m) => [m.item.id, m]));
    const rows = outerSize(c);
    const wide = c.domain.map((_, d) => d).filter((d) => c.domain[d] !== 1);
    const tall = wide.filter((d) => d < rows);
    for (const m of c.members) {
      const { kind } = m.item;
      if (m.item.usesPosition && !(m.dims.length === wide.length && m.dims.every((d, i) => d === wide[i])))
        return false;
      if (
        kind === 'reduce' &&
        (m.item.inner !== c.inner || !m.dims.every((d, i) => d >= rows === i >= m.item.space.length - c.inner))
      )
        return false;
      if (kind === 'map' && m.dims.length !== (m.level === 'row' ? tall : wide).length) return false;
      if (kind === 'map' && m.level === 'row' && m.item.reads.some((r) => members.get(r.source)?.level === 'element'))
        return false;
      for (let i = 0; i < m.item.reads.length; i++) {
        const r = m.item.reads[i]!;
        const source = members.get(r.source);
        if (!source) continue;
        if (kind !== 'map' && kind !== 'reduce') return false;
        const match = matchDims(outputShape(source.item), r.access, m.item.space, source.level === 'row');
        if (!match) return false;
        const lined = match.every((k, d) => (k < 0 ? m.dims[d]! >= outerSize(c) : source.dims[k] === m.dims[d]));
        if (!lined) return false;
      }
    }
    return true;
  }

  /** Values that a kernel for the cluster would bind. */
  private fits(c: Cluster): boolean {
    if (c.members.reduce((sum, m) => sum + m.item.cost, 0) > LONGEST) return false;
    const outputs = this.outputsOf(c);
    const taking = outputs.filter((m) => c.inner === 0 || m.level === 'row').length;
    return this.inputsOf(c).size + outputs.length - Math.min(taking, this.donors(c)) <= this.limits.bindings;
  }

  /** Dying externals that a map or an epilogue reads at its own index only: outputs that take them over share their binding. */
  private donors(c: Cluster): number {
    if (c.kind === 'fixed') return 0;
    const size = sizeOf(c.domain.slice(0, outerSize(c)));
    const shared = new Map<number, boolean>();
    for (const { item, level } of c.members)
      for (const [i, { source, access }] of item.reads.entries()) {
        if (source >= 0 || this.limits.kept.has(source)) continue;
        if (!this.externals[~source]!.dying || this.externals[~source]!.size !== size) continue;
        const late = c.inner === 0 || (level === 'row' && item.kind === 'map');
        const own =
          late && !isOperand(item.kind, i) && matchDims(outputShape(item), access, item.space, false) !== null;
        shared.set(source, own && shared.get(source) !== false);
      }
    return [...shared.values()].filter(Boolean).length;
  }

  private inputsOf(c: Cluster): Set<number> {
    const own = new Set(c.members.map((m) => m.item.id));
    return new Set(c.members.flatMap((m) => m.item.reads.map((r) => r.source)).filter((s) => !own.has(s)));
  }

  outputsOf(c: Cluster): Member[] {
    const own = new Set(c.members.map((m) => m.item.id));
    return c.members.filter((m) => m.item.live || (this.consumers.get(m.item.id) ?? []).some((id) => !own.has(id)));
  }

  /** Where a cluster stands in the program: where it may overwrite something, after all others that read it. */
  private place(c: Cluster): number {
    if (c.kind === 'fixed') return c.order;
    const overwritten = c.members
      .filter((m) => m.item.live && (c.inner === 0 || (m.level === 'row' && m.item.kind === 'map')))
      .flatMap((m) => m.item.reads.map((r) => r.source).filter((s) => s < 0 && this.externals[~s]!.dying));
    const readers = new Set(overwritten.flatMap((s) => this.consumers.get(s) ?? []).map((id) => this.of.get(id)!));
    readers.delete(c);
    return Math.max(c.order, ...[...readers].map((r) => r.order + 0.5));
  }

  private dependencies(c: Cluster): Cluster[] {
    return [...new Set([...this.inputsOf(c)].filter((s) => s >= 0).map((s) => this.of.get(s)!))];
  }

  /** The clusters so far that read from a cluster. */
  private *dependents(c: Cluster): Generator<Cluster> {
    for (const m of c.members)
      for (const id of this.consumers.get(m.item.id) ?? []) {
        const reader = this.of.get(id);
        if (reader && reader !== c) yield reader;
      }
  }

  /**
   * Would joining the two close a cycle: does one reach the other through a third? Looks forward first: in program order, little follows
   * a kernel that is still being joined, while all of a long chain may lie before it. True where both searches take too long.
   */
  private cycle(producer: Cluster, reader: Cluster): boolean {
    const reach = (next: (c: Cluster) => Iterable<Cluster>): boolean | null => this.connected(producer, reader, next);
    return reach((c) => this.dependents(c)) ?? reach((c) => this.dependencies(c)) ?? true;
  }

  /** Do steps from one of two clusters lead to the other through a third? Null where it would take too many to know. */
  private connected(a: Cluster, b: Cluster, next: (c: Cluster) => Iterable<Cluster>): boolean | null {
    const seen = new Set<Cluster>();
    const stack: Cluster[] = [];
    let steps = 0;
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const)
      for (const c of next(from)) {
        if (++steps > SEARCH) return null;
        if (c !== to) stack.push(c);
      }
    while (stack.length > 0) {
      const c = stack.pop()!;
      if (c === a || c === b) return true;
      if (seen.has(c)) continue;
      seen.add(c);
      for (const other of next(c)) {
        if (++steps > SEARCH) return null;
        stack.push(other);
      }
    }
    return false;
  }

  /** Clusters after everything they read, otherwise in program order. */
  sorted(): Cluster[] {
    const out: Cluster[] = [];
    const state = new Map<Cluster, 'open' | 'done'>();
    const visit = (root: Cluster): void => {
      const stack = [root];
      while (stack.length > 0) {
        const c = stack[stack.length - 1]!;
        if (state.get(c) === 'done') {
          stack.pop();
          continue;
        }
        const next = this.dependencies(c).filter((d) => state.get(d) !== 'done');
        if (next.length === 0) {
          state.set(c, 'done');
          out.push(c);
          stack.pop();
        } else {
          if (state.get(c) === 'open' && next.some((d) => state.get(d) === 'open'))
            throw new Error('fusion made a cycle of kernels');
          state.set(c, 'open');
          stack.push(...next);
        }
      }
    };
    const places = new Map([...this.all].map((c) => [c, this.place(c)]));
    for (const c of [...this.all].sort((a, b) => places.get(a)! - places.get(b)!)) visit(c);
    return out;
  }
}

/** The kernel of a cluster. */
function lower(c: Cluster, outputs: readonly Member[], dtypeOf: (source: number) => DType): FusedKernel {
  if (c.kind === 'fixed') return lowerFixed(c.members[0]!.item, dtypeOf);
  const product = c.members.find((m) => m.item.kind === 'matmul');
  const gather = new Gather(product ? [product.item.reads[0]!, product.item.reads[1]!] : []);
  const values = new Map<number, Expr>();
  const reductions: Reduction[] = [];
  const space = product ? [...c.domain, ...product.item.space.slice(c.domain.length)] : c.domain;
  const rank = space.length;
  for (const m of c.members) {
    const { item } = m;
    const over = (strides: readonly number[]): number[] => {
      const out = new Array<number>(rank).fill(0);
      m.dims.forEach((d, i) => {
        out[d] = strides[i]!;
      });
      return out;
    };
    const at = (i: number): number => {
      const { source, access } = item.reads[i]!;
      return gather.read({
        source,
        access: access.mode === 'direct' ? { ...access, strides: over(access.strides) } : gather.access(access, item),
      });
    };
    if (m === product) {
      values.set(item.id, result(0, 'float32'));
      continue;
    }
    const [expr] = rewrite([item.expr], (e, args) => {
      if (e.op === 'uniform') return uniform(gather.scalar(item.scalars[e.value]!), e.dtype);
      if (e.op === 'index') return index(m.dims[e.value]!);
      if (e.op === 'loadAt') return loadAt(at(e.value), e.dtype, args);
      if (e.op !== 'load') return undefined;
      return values.get(item.reads[e.value]!.source) ?? load(at(e.value), e.dtype);
    });
    if (item.kind === 'reduce') {
      reductions.push({ op: item.template.reduce as ReduceOp, expr: expr! });
      values.set(item.id, result(reductions.length - 1, item.dtype));
    } else values.set(item.id, expr!);
  }
  const sources = [...new Set(gather.reads.map((r) => r.source))];
  const results = outputs.map((m, i): Output => {
    const steps = contiguousStrides(outputShape(m.item));
    const strides = new Array<number>(m.level === 'row' ? outerSize(c) : c.domain.length).fill(0);
    outputShape(m.item).forEach((_, d) => {
      strides[m.dims[d]!] = steps[d]!;
    });
    return {
      dtype: m.item.dtype,
      expr: values.get(m.item.id)!,
      level: product ? 'row' : m.level,
      strides,
      offset: 0,
      binding: sources.length + i,
    };
  });
  const inputs = gather.reads.map(
    (r): Input => ({ dtype: dtypeOf(r.source), access: r.access, binding: sources.indexOf(r.source) }),
  );
  const scalars = gather.scalars.map((s) => s.dtype);
  const bindings = sources.length + results.length;
  const labels = [...new Set(c.members.flatMap((m) => m.item.labels))];
  const common = { space, inputs, outputs: results, scalars, bindings };
  const byRow = reductions.length === 1 && results.every((o) => o.level === 'row');
  const kernel: Kernel = product
    ? coalesce({ kind: 'matmul', ...common, ...productDims(product.item) })
    : coalesce({ kind: c.inner === 0 ? 'map' : byRow ? 'reduce' : 'rowwise', ...common, inner: c.inner, reductions });
  return {
    kernel,
    values: [...sources, ...outputs.map((m) => m.item.id)],
    scalars: gather.scalars.map((s) => s.source),
    label: labels.join('+'),
  };
}

/** The kernel of an item that nothing joined. */
function lowerFixed(item: Item, dtypeOf: (source: number) => DType): FusedKernel {
  const { template, space, k, expr, dtype } = item;
  const sources = [...new Set(item.reads.map((r) => r.source))];
  const common = {
    space,
    inputs: item.reads.map(
      (r): Input => ({ dtype: dtypeOf(r.source), access: r.access, binding: sources.indexOf(r.source) }),
    ),
    outputs: [{ dtype, expr, level: 'element', strides: [], offset: 0, binding: sources.length }] as const,
    scalars: item.scalars.map((s) => s.dtype),
    bindings: sources.length + 1,
  };
  const { combine, reverse, reduce, algorithm, source, check } = template;
  const make = (): Kernel => {
    switch (item.kind) {
      case 'scan':
        return { kind: 'scan', ...common, combine, reverse };
      case 'sort':
        // What is written is not an expression.
        return { kind: 'sort', ...common, key: expr, outputs: [{ ...common.outputs[0], expr: position }] };
      case 'scatter':
        return { kind: 'scatter', ...common, targets: k, reduce: reduce!, check };
      case 'dense':
        return { kind: 'dense', ...common, algorithm: algorithm!, columns: k, check };
      case 'custom':
        return { kind: 'custom', ...common, source: source! };
      default:
        throw new Error(`a ${item.kind} has no kernel of its own`);
    }
  };
  return {
    kernel: make(),
    values: [...sources, item.id],
    scalars: item.scalars.map((s) => s.source),
    label: item.labels.join('+'),
  };
}

/** Plans the kernels of a flush; without fusion, one a node. */
export function fuse(
  pending: readonly Pending[],
  externals: readonly External[],
  limits: Limits,
  fusion: boolean,
): FusedKernel[] {
  const items = pending.map((p, id) => canonical(id, p));
  const clusters = new Clusters(fusion ? inline(items, limits) : items, externals, limits);
  clusters.build(fusion);
  const dtypeOf = (source: number): DType => (source < 0 ? externals[~source]! : pending[source]!).dtype;
  return clusters.sorted().map((c) => lower(c, clusters.outputsOf(c), dtypeOf));
}
