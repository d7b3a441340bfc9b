// The model: what programs mean, eagerly and without an engine. Tensors are lists of places in a storage, so that views and
// in-place updates need no strides; ops are composed of the few in values.ts, so that gradients of every order follow.
import {
  type Args,
  arg,
  better,
  cast,
  dim,
  dims,
  type Entry,
  fail,
  floatsOnly,
  gatherVal,
  Handle,
  keptShape,
  kinked,
  mean,
  numeric,
  type Operand,
  type Options,
  operand,
  optionsOf,
  promote,
  read,
  square,
  strided,
} from './handles.ts';
import { INDEXING } from './ops/indexing.ts';
import { LINALG } from './ops/linalg.ts';
import { MOVEMENT } from './ops/movement.ts';
import { ORDER } from './ops/order.ts';
import { type Doubt, type Machine, type Reading, SYNCED } from './program.ts';
import {
  add,
  broadcast,
  broadcastMap,
  broadcastShape,
  choose,
  constant,
  type DType,
  div,
  Expected,
  exp,
  extreme,
  type Fault,
  filled,
  type Group,
  isRecording,
  log,
  type MapOptions,
  map,
  mapOf,
  matmul,
  mul,
  neg,
  number,
  put,
  repeat,
  reverse,
  type Seed,
  type Shape,
  sameShape,
  shaped,
  sign,
  sizeOf,
  smooth,
  sqrt,
  step,
  sub,
  sum,
  Tape,
  take,
  takeRaised,
  test,
  type Val,
  withGroup,
  withRecording,
} from './values.ts';

type Unary = (x: Val) => Val;
const logistic: Unary = (x) =>
  smooth(
    x,
    (v) => 1 / (1 + Math.exp(-v)),
    () => 0.25,
    (g, y) => mul(g, mul(y, sub(number(1), y))),
  );
/** Ops of one tensor that compute in float32. */
const FLOATING: Record<string, Unary> = {
  exp,
  log,
  sqrt,
  sigmoid: logistic,
  tanh: (x) =>
    smooth(
      x,
      Math.tanh,
      () => 1,
      (g, y) => mul(g, sub(number(1), square(y))),
    ),
  sin: (x) =>
    smooth(
      x,
      Math.sin,
      () => 1,
      (g) => mul(g, FLOATING.cos!(x)),
      8,
    ),
  cos: (x) =>
    smooth(
      x,
      Math.cos,
      () => 1,
      (g) => neg(mul(g, FLOATING.sin!(x))),
      8,
    ),
  log1p: (x) =>
    smooth(
      x,
      Math.log1p,
      (v) => 1 / (1 + v),
      (g) => div(g, add(x, number(1))),
    ),
  expm1: (x) => smooth(x, Math.expm1, Math.exp, (g, y) => mul(g, add(y, number(1)))),
  reciprocal: (x) => div(number(1), x),
  rsqrt: (x) => div(number(1), sqrt(x)),
  silu: (x) => mul(x, logistic(x)),
  softplus: (x) =>
    smooth(
      x,
      (v) => (v > 20 ? v : Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)))),
      () => 1,
      // Above the threshold it is a line.
      (g) =>
        mul(
          g,
          choose(
            map([x], (v) => (v! > 20 ? 1 : 0), { dtype: 'bool' }),
            number(1),
            logistic(x),
          ),
        ),
    ),
};

const roundEven = (v: number): number => {
  const r = Math.round(v);
  return Math.abs(v % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r;
};

/** A gradient where a result is above 0. It depends on the result, too, if only by 0, as PyTorch's `threshold_backward` does. */
const passed = (g: Val, y: Val): Val =>
  map([g, y], (slope, v) => (v! > 0 ? slope! : 0), {
    dtype: g.dtype,
    grows: (_, v) => [v! > 0 ? 1 : 0, 0],
    jumps: y.err > 0,
    gradient: (h) => [passed(h, y), null],
  });

/** Ops of one tensor that keep its dtype. */
const KEEPING: Record<string, Unary> = {
  neg: (x) => map([x], (v) => -v!, { dtype: x.dtype, gradient: (g) => [neg(g)] }),
  abs: (x) => map([x], (v) => Math.abs(v!), { dtype: x.dtype, gradient: (g) => [mul(g, sign(x))] }),
  relu: (x) => map([x], (v) => Math.max(v!, 0), { dtype: x.dtype, gradient: (g, out) => [passed(g, out)] }),
  relu6: (x) =>
    kinked(
      [x],
      (v) => Math.min(Math.max(v!, 0), 6),
      x.dtype,
      (v) => [v! > 0 && v! < 6 ? 1 : 0],
    ),
  floor: (x) => step(x, Math.floor),
  ceil: (x) => step(x, Math.ceil),
  trunc: (x) => step(x, Math.trunc),
  round: (x) => step(x, roundEven),
};

type Op = readonly [fn: (a: number, b: number) => number, grows?: (a: number, b: number) => number[]];
const COMPARISONS: Record<string, (a: number, b: number) => boolean> = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt: (a, b) => a < b,
  le: (a, b) => a <= b,
  gt: (a, b) => a > b,
  ge: (a, b) => a >= b,
};
const LOGICAL: Record<string, (a: number, b: number) => boolean> = {
  logicalAnd: (a, b) => a !== 0 && b !== 0,
  logicalOr: (a, b) => a !== 0 || b !== 0,
  logicalXor: (a, b) => (a !== 0) !== (b !== 0),
};
const EXTREMA: Record<string, Op> = {
  maximum: [(a, b) => Math.max(a, b), (a, b) => [a > b ? 1 : a === b ? 0.5 : 0, b > a ? 1 : a === b ? 0.5 : 0]],
  minimum: [(a, b) => Math.min(a, b), (a, b) => [a < b ? 1 : a === b ? 0.5 : 0, b < a ? 1 : a === b ? 0.5 : 0]],
};

function arithmetic(op: string, a: Operand, b: Operand): Val {
  const dtype = op === 'add' || op === 'mul' ? promote([a, b]) : op === 'sub' ? numeric([a, b]) : 'float32';
  const [x, y] = [operand(a, dtype), operand(b, dtype)];
  if (dtype === 'float32') return (op === 'add' ? add : op === 'sub' ? sub : op === 'mul' ? mul : div)(x, y);
  const fn = (u: number, v: number): number => (op === 'add' ? u + v : op === 'sub' ? u - v : Math.imul(u, v));
  return map([x, y], fn as (...v: number[]) => number, { dtype });
}

function logsumexp(x: Val, over: readonly number[]): Val {
  const top = constant(extreme(constant(x), over, (a, b) => a > b));
  const shifted = sub(x, repeat(top, x.shape, over));
  return add(log(sum(exp(shifted), over)), top);
}

function softmax(x: Val, d: number): Val {
  const top = constant(extreme(constant(x), [d], (a, b) => a > b));
  const raised = exp(sub(x, repeat(top, x.shape, [d])));
  return div(raised, repeat(sum(raised, [d]), x.shape, [d]));
}

const logSoftmax = (x: Val, d: number): Val => sub(x, repeat(logsumexp(x, [d]), x.shape, [d]));

function resolve(size: number, wanted: Shape): Shape {
  const free = wanted.indexOf(-1);
  if (free < 0) return wanted;
  const rest = sizeOf(wanted.filter((_, i) => i !== free));
  if (rest === 0 || size % rest !== 0 || wanted.lastIndexOf(-1) !== free) fail('UnsupportedError', 'reshape');
  return wanted.map((d, i) => (i === free ? size / rest : d));
}

/** The model as a machine for programs. */
export class Model implements Machine<Handle, Set<Handle>> {
  private readonly frames: Set<Handle>[] = [];
  private readonly ended = new WeakSet<Set<Handle>>();
  private calls = 0;
  private readonly live = new Set<Handle>();
  /** What the device may still complain about. */
  private pending: Fault[] = [];
  private readonly derived = new Set<Group>();

  // Handles

  private adopt(h: Handle): Handle {
    this.live.add(h);
    const frame = this.frames[this.frames.length - 1];
    if (frame) {
      frame.add(h);
      h.frame = frame;
    }
    return h;
  }

  /** A tensor with storage of its own. */
  fresh(v: Val): Handle {
    const places = Int32Array.from({ length: v.data.length }, (_, i) => i);
    return this.adopt(new Handle({ value: { ...v, tape: null }, handles: 0 }, places, v.shape, v.tape));
  }

  /** A view: element i shows element map[i] of x. */
  view(x: Handle, places: Int32Array, shape: Shape): Handle {
    const tape = x.tape && isRecording() ? new Tape((g) => [put(g, places, x.shape)], [x.tape]) : null;
    return this.adopt(
      new Handle(
        x.storage,
        places.map((p) => x.places[p]!),
        shape,
        tape,
      ),
    );
  }

  private end(h: Handle): void {
    if (h.disposed) return;
    h.disposed = true;
    this.live.delete(h);
    h.frame?.delete(h);
    h.frame = null;
    h.storage.handles--;
  }

  private alive(list: readonly unknown[]): void {
    for (const x of list) {
      if (x instanceof Handle && x.disposed) fail('DisposedError');
      if (Array.isArray(x)) this.alive(x);
      else if (typeof x === 'object' && x !== null && !(x instanceof Handle)) this.alive(Object.values(x));
    }
  }

  // Machine

  call(fn: string, args: Args): readonly Handle[] {
    const op = TABLE[fn];
    if (!op) throw new Error(`the model has no ${fn}`);
    this.alive(args);
    takeRaised();
    const out = withGroup(COMPOSED.has(fn) ? { curved: CURVED.has(fn), spent: false } : null, () => op(this, args));
    this.pending.push(...takeRaised());
    const handles = Array.isArray(out) ? out : out instanceof Handle ? [out] : out ? [this.fresh(out as Val)] : [];
    if (LOOSE.has(fn)) for (const h of handles) if (h.storage.handles === 1) h.storage.loose = true;
    return handles;
  }

  gradOf(h: Handle): Handle | null {
    const leaf = h.tape?.leaf as { grad: Val | null; handle?: Handle } | null | undefined;
    if (!leaf?.grad) return null;
    // The gradient is a tensor of its own, made once.
    if (!leaf.handle) {
      const { frames } = this;
      const saved = frames.splice(0);
      leaf.handle = this.fresh(leaf.grad);
      leaf.handle.storage.loose = true;
      frames.push(...saved);
    }
    return leaf.handle;
  }

  clearGrad(h: Handle): void {
    const leaf = h.tape?.leaf as { grad: Val | null; handle?: Handle } | null | undefined;
    if (!leaf) throw new Expected('UnsupportedError', 'grad');
    leaf.grad = null;
    delete leaf.handle;
  }

  requiresGrad(h: Handle, on: boolean): void {
    this.alive([h]);
    if (h.tape?.rule) fail('UnsupportedError', 'requiresGrad of a result');
    if (on && h.dtype !== 'float32') fail('DTypeError', 'requiresGrad');
    if (on === (h.tape !== null)) return;
    h.tape = on ? leafTape() : null;
  }

  dispose(h: Handle): void {
    this.end(h);
  }

  disposed(h: Handle): boolean {
    return h.disposed;
  }

  keep(h: Handle): void {
    if (h.disposed) fail('DisposedError');
    h.frame?.delete(h);
    h.frame = null;
  }

  openFrame(): Set<Handle> {
    const frame = new Set<Handle>();
    this.frames.push(frame);
    return frame;
  }

  closeFrame(frame: Set<Handle>, survivors: readonly Handle[]): void {
    const index = this.frames.lastIndexOf(frame);
    this.frames.splice(index, 1);
    const parent = this.frames[index - 1];
    for (const h of [...frame]) {
      if (!survivors.includes(h)) this.end(h);
      else if (parent) {
        parent.add(h);
        h.frame = parent;
      } else h.frame = null;
    }
    frame.clear();
  }

  tidy(fn: () => readonly Handle[]): void {
    this.scoped(fn);
  }

  private scoped(fn: () => readonly Handle[]): readonly Handle[] {
    const frame = this.openFrame();
    let out: readonly Handle[] = [];
    try {
      out = fn();
    } finally {
      this.closeFrame(frame, out);
    }
    return out;
  }

  noGrad(fn: () => void): void {
    withRecording(false, fn);
  }

  open(): Set<Handle> {
    return new Set();
  }

  run(scope: Set<Handle>, fn: () => readonly Handle[]): void {
    if (this.ended.has(scope)) fail('DisposedError');
    for (const h of this.scoped(fn)) this.track(scope, h);
  }

  track(scope: Set<Handle>, h: Handle): void {
    if (this.ended.has(scope)) fail('DisposedError');
    this.keep(h);
    scope.add(h);
  }

  close(scope: Set<Handle>): void {
    this.ended.add(scope);
    for (const h of scope) this.end(h);
  }

  read(h: Handle): Reading {
    this.alive([h]);
    const v = read(h);
    return { ...v, ...this.told(v.faults ?? []) };
  }

  sync(): Reading {
    return { ...SYNCED, ...this.told([...this.live].flatMap((h) => read(h).faults ?? [])) };
  }

  /** Whether an await may still have to throw what an earlier call did. */
  get faulty(): boolean {
    return this.pending.length > 0;
  }

  /** What an await may throw, and what it has to, if nobody did before: an error is reported once. */
  private told(due: readonly Fault[]): { doubts?: readonly Doubt[] } {
    if (this.pending.length === 0) return {};
    const doubts = this.pending.map((fault) => ({ fault, due: due.includes(fault) }));
    this.pending = this.pending.filter((f) => f.again || !due.includes(f));
    return { doubts };
  }

  start(fn: string, args: Args): readonly Handle[] {
    return this.call(fn, args);
  }

  // Ops that need the machine

  /** The elements of a view as they would be in storage of their own, or seen through other places. */
  reshape(x: Handle, wanted: Shape): Handle {
    const shape = resolve(x.places.length, wanted);
    if (sizeOf(shape) !== x.places.length) fail('ShapeError', 'reshape');
    const same = Int32Array.from({ length: x.places.length }, (_, i) => i);
    const sizes = (of: Shape): Shape => of.filter((n) => n !== 1);
    // A view or a copy, which only an update would tell.
    const unsure = x.storage.loose === true && !sameShape(sizes(x.shape), sizes(shape));
    const out = strided(x.places, shape) ? this.view(x, same, shape) : this.fresh(take(read(x), same, shape));
    if (unsure) for (const h of [x, out]) h.storage.fixed = true;
    return out;
  }

  slice(x: Handle, d: number, from: number, length: number, by: number): Handle {
    const shape = x.shape.map((n, i) => (i === d ? length : n));
    return this.view(
      x,
      mapOf(shape, x.shape, (at) => at.map((c, i) => (i === d ? from + c * by : c))),
      shape,
    );
  }

  assign(x: Handle, given: Operand | Val): void {
    const isVal = typeof given !== 'number' && !(given instanceof Handle);
    const v: Val = isVal
      ? (given as Val)
      : operand(given as Operand, typeof given === 'number' ? x.dtype : (given as Handle).dtype);
    const wants = v.tape !== null && v.tape !== undefined;
    if (x.storage.fixed) fail('GeneratorError', 'in place on a gradient with a history');
    const watched = isRecording() && (x.tape !== null || wants);
    if (watched) {
      if (x.isLeaf && x.tape) fail('UnsupportedError', 'leaf in place');
      if (x.storage.handles > 1) fail('UnsupportedError', 'view in place');
    }
    if (typeof given !== 'number') {
      if (!sameShape(broadcastShape(x.shape, v.shape), x.shape)) fail('ShapeError', 'assign');
      if (v.dtype === 'float32' && x.dtype !== 'float32') fail('DTypeError', 'assign');
    }
    if (new Set(x.places).size !== x.places.length) fail('UnsupportedError', 'assign to an expanded view');
    if (interleaved(x)) fail('UnsupportedError', 'assign to windows that interleave');
    const wide = broadcast(cast(v, x.dtype), x.shape);
    const old = x.storage.value;
    const data = Float64Array.from(old.data);
    for (let i = 0; i < x.places.length; i++) data[x.places[i]!] = wide.data[i]!;
    const all = x.places.length === data.length;
    x.storage.value = {
      ...old,
      data,
      err: all ? wide.err : Math.max(old.err, wide.err),
      wild: all ? wide.wild : old.wild || wide.wild,
      faults: wide.faults,
    };
    // Not the value itself: a leaf's gradient stays with the leaf.
    if (watched) x.tape = wide.tape && new Tape((g) => [g], [wide.tape]);
  }

  random(shape: Shape): Val {
    // Only the place in the stream matters to the model: see TABLE.rand.
    return threefry(this.calls++, shape);
  }

  backward(y: Handle, options: Options): void {
    const createGraph = options.createGraph === true;
    const retainGraph = (options.retainGraph as boolean | undefined) ?? createGraph;
    const given = this.seed(y, options.gradient as Handle | undefined);
    // What is accumulated has no history, be there one of the gradient that was given.
    const seed = createGraph ? given : { ...given, gradient: { ...given.gradient, tape: null } };
    this.pass([seed], { retainGraph, createGraph }, (tape, g) => {
      const leaf = tape.leaf as { grad: Val | null; handle?: Handle } | null;
      if (!leaf) return;
      const before = leaf.handle ? read(leaf.handle) : leaf.grad;
      leaf.grad = before ? withRecording(createGraph, () => add(before, g)) : g;
      delete leaf.handle;
    });
  }

  /** A pass that does not retain what it goes through, be it in vain. */
  spending<T>(options: Options, fn: () => T): T {
    try {
      return fn();
    } finally {
      if (!options.retainGraph && !options.createGraph) for (const g of this.derived) g.spent = true;
    }
  }

  private pass(
    seeds: readonly Seed[],
    options: { readonly retainGraph: boolean; readonly createGraph: boolean; readonly targets?: ReadonlySet<Tape> },
    arrive: (tape: Tape, g: Val) => void,
  ): void {
    reverse(seeds, { ...options, derived: this.derived }, arrive);
  }

  private seed(y: Handle, gradient: Handle | undefined): Seed {
    if (!y.tape) return fail('UnsupportedError', 'no graph');
    if (gradient) {
      if (!sameShape(gradient.shape, y.shape)) fail('UnsupportedError', 'gradient shape');
      return { tape: y.tape, gradient: read(gradient) };
    }
    if (y.places.length !== 1) fail('UnsupportedError', 'no scalar');
    return { tape: y.tape, gradient: filled(1, y.shape) };
  }

  grad(outputs: readonly Handle[], inputs: readonly Handle[], options: Options): Handle[] {
    const createGraph = options.createGraph === true;
    const retainGraph = (options.retainGraph as boolean | undefined) ?? createGraph;
    for (const x of inputs) if (!x.tape) fail('UnsupportedError', 'no gradient wanted');
    const found = new Map<Tape, Val>();
    const seeds = outputs.map((y) => this.seed(y, undefined));
    const targets = new Set(inputs.map((x) => x.tape!));
    // What a gradient was computed from, the result or the inputs, is the op's own affair.
    if ([...targets].some((t) => t.group && this.derived.has(t.group)))
      fail('GeneratorError', 'a gradient by a result whose gradient has a gradient');
    this.pass(seeds, { retainGraph, createGraph, targets }, (tape, g) => {
      if (targets.has(tape)) found.set(tape, g);
    });
    if (createGraph && [...found.values()].some((g) => !g.tape) && [...this.derived].some((g) => g.curved))
      fail('GeneratorError', 'a gradient that may have a history');
    return inputs.map((x) => {
      const g = found.get(x.tape!);
      if (!g && !options.allowUnused) fail('UnsupportedError', 'unused');
      const h = this.fresh(g ?? filled(0, x.shape));
      // With a history it may be a view, which autograd does not follow through updates.
      if (createGraph) h.storage.fixed = true;
      return h;
    });
  }
}

/** Whether dims of a view go into the gaps of one another, as windows of windows do. */
function interleaved({ places, shape }: Handle): boolean {
  if (places.length === 0) return false;
  let count = places.length;
  const dims = shape.flatMap((n) => {
    count /= n;
    return n > 1 ? [{ n, stride: places[count]! - places[0]! }] : [];
  });
  dims.sort((a, b) => a.stride - b.stride);
  let reach = 0;
  for (const { n, stride } of dims) {
    if (stride <= reach) return true;
    reach += stride * (n - 1);
  }
  return false;
}

const leafTape = (): Tape => {
  const tape = new Tape(null, []);
  tape.leaf = { grad: null };
  return tape;
};

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24];

/** Uniform numbers as Threefry-2x32 gives them for seed 0, from the paper. */
function threefry(call: number, shape: Shape): Val {
  const data = Float64Array.from({ length: sizeOf(shape) }, (_, i) => {
    const keys = [0, 0, 0x1bd11bda];
    let x0 = i >>> 0;
    let x1 = call >>> 0;
    for (let round = 0; round < 20; round++) {
      const r = ROTATIONS[round % 8]!;
      x0 = (x0 + x1) >>> 0;
      x1 = (((x1 << r) | (x1 >>> (32 - r))) ^ x0) >>> 0;
      if (round % 4 === 3) {
        const n = (round + 1) / 4;
        x0 = (x0 + keys[n % 3]!) >>> 0;
        x1 = (x1 + keys[(n + 1) % 3]! + n) >>> 0;
      }
    }
    return (x0 >>> 8) * 2 ** -24;
  });
  return { shape, dtype: 'float32', data, err: 0, wild: false, tape: null };
}

function createOptions(o: Options): { dtype: DType; leaf: boolean } {
  return { dtype: (o.dtype as DType | undefined) ?? 'float32', leaf: o.requiresGrad === true };
}

function created(m: Model, data: Float64Array, shape: Shape, o: Options): Handle {
  const { dtype, leaf } = createOptions(o);
  const h = m.fresh({ shape, dtype, data, err: 0, wild: false, tape: null });
  if (leaf) m.requiresGrad(h, true);
  return h;
}

function reduction(op: string): Entry {
  return (m, [h, given]) => {
    const x = h as Handle;
    const o = optionsOf(given);
    if (op !== 'sum' && op !== 'amax' && op !== 'amin') floatsOnly(x);
    const over = dims(o.dim, x.shape.length);
    const v = read(x);
    if ((op === 'amax' || op === 'amin') && over.some((d) => x.shape[d] === 0)) fail('ShapeError', 'empty');
    let out: Val;
    switch (op) {
      case 'sum':
        out = sum(x.dtype === 'bool' ? cast(v, 'int32') : v, over);
        break;
      case 'mean':
        out = mean(v, over);
        break;
      case 'variance':
      case 'std': {
        const n = over.reduce((k, d) => k * x.shape[d]!, 1) - ((o.correction as number | undefined) ?? 1);
        const off = sub(v, repeat(mean(v, over), v.shape, over));
        out = div(sum(square(off), over), number(Math.max(0, n)));
        if (op === 'std') out = sqrt(out);
        break;
      }
      case 'logsumexp':
        out = logsumexp(v, over);
        break;
      default:
        out = extreme(v, over, better(op));
    }
    return o.keepDim ? m.fresh(shaped(out, keptShape(x.shape, over))) : m.fresh(out);
  };
}

const inPlace =
  (op: string): Entry =>
  (m, [x, y]) => {
    m.assign(x as Handle, op === 'assign' ? (y as Operand) : arithmetic(op, x as Operand, y as Operand));
    return null;
  };

function elementwise(
  fn: (a: number, b: number) => number,
  dtype: (o: Operand[]) => DType,
  options: (d: DType) => MapOptions,
): Entry {
  return (_, args) => {
    const operands = args as Operand[];
    const compute = dtype(operands);
    return map(
      operands.map((x) => operand(x, compute)),
      fn as (...v: number[]) => number,
      options(compute),
    );
  };
}

function cat(m: Model, tensors: Handle[], given: number): Handle {
  // Empty vectors join anything, and leave no trace.
  const parts = tensors.filter((t) => !(t.shape.length === 1 && t.shape[0] === 0));
  const first = parts[0] ?? tensors[0]!;
  const d = dim(given, first.shape.length);
  if (first.shape.length === 0) fail('ShapeError', 'cat of scalars');
  for (const t of parts)
    if (t.shape.length !== first.shape.length || t.shape.some((n, i) => i !== d && n !== first.shape[i]))
      fail('ShapeError', 'cat');
  const dtype = promote(tensors);
  const joined = parts.length > 0 ? parts : [first];
  const total = joined.reduce((n, t) => n + t.shape[d]!, 0);
  const shape = first.shape.map((n, i) => (i === d ? total : n));
  let start = 0;
  let out: Val | null = null;
  for (const t of joined) {
    const begin = start;
    const v = read(t);
    const w: Val = v.dtype === dtype ? v : cast(v, dtype);
    const places = mapOf(t.shape, shape, (at) => at.map((c, i) => (i === d ? c + begin : c)));
    const part = put(w, places, shape);
    out = out ? map([out, part], (a, b) => a! + b!, { dtype, gradient: (g) => [g, g] }) : part;
    start += t.shape[d]!;
  }
  return m.fresh(out!);
}

function matmulEntry(a: Handle, b: Handle): Val {
  const [ra, rb] = [a.shape.length, b.shape.length];
  if (ra === 0 || rb === 0) fail('ShapeError', 'matmul of scalars');
  if (a.shape[ra - 1] !== b.shape[Math.max(0, rb - 2)]) fail('ShapeError', 'matmul');
  const dtype = promote([a, b]);
  let [x, y] = [cast(read(a), dtype), cast(read(b), dtype)];
  if (dtype !== 'float32') [x, y] = [cast(x, 'int32'), cast(y, 'int32')];
  if (ra === 1) x = shaped(x, [1, ...x.shape]);
  if (rb === 1) y = shaped(y, [...y.shape, 1]);
  const out = matmul(x, y);
  const shape = out.shape.filter(
    (_, i) => !(ra === 1 && i === out.shape.length - 2) && !(rb === 1 && i === out.shape.length - 1),
  );
  const result = shaped(out, shape);
  if (dtype === 'float32') return result;
  // Beyond 32 bits products wrap around on the way.
  const wild = result.wild && result.data.some((v) => !(Math.abs(v) < 2 ** 31));
  return { ...result, dtype: 'int32', err: 0, wild: wild || x.wild || y.wild, tape: null };
}

const flattened = (m: Model, x: Handle, from: number, to: number): Handle =>
  m.reshape(x, [...x.shape.slice(0, from), sizeOf(x.shape.slice(from, to + 1)), ...x.shape.slice(to + 1)]);

function permuted(m: Model, x: Handle, order: readonly number[]): Handle {
  const shape = order.map((d) => x.shape[d]!);
  const places = mapOf(shape, x.shape, (at) => {
    const out = new Array<number>(order.length);
    order.forEach((d, i) => {
      out[d] = at[i]!;
    });
    return out;
  });
  return m.view(x, places, shape);
}

function unsqueezed(m: Model, x: Handle, d: number): Handle {
  return m.reshape(x, [...x.shape.slice(0, d), 1, ...x.shape.slice(d)]);
}

function losses(m: Model, loss: Val, o: Options): Handle {
  const all = loss.shape.map((_, d) => d);
  const kind = o.reduction ?? 'mean';
  return m.fresh(kind === 'mean' ? mean(loss, all) : kind === 'sum' ? sum(loss, all) : loss);
}

const CURVED = new Set([...Object.keys(LINALG), 'cumprod', 'prod', 'norm', 'matrixNorm']);
const COMPOSED = new Set([
  ...[ORDER, INDEXING, MOVEMENT, LINALG].flatMap((ops) => Object.keys(ops)),
  ...['silu', 'rsqrt', 'std', 'logsumexp', 'softmax', 'logSoftmax', 'linear', 'mseLoss', 'crossEntropy'],
]);

/** Functions along a dim, and others whose result may lie in memory in another order, or with gaps. */
const LOOSE = new Set([
  ...['cumsum', 'cumprod', 'cummax', 'cummin', 'sort', 'argsort', 'topk'],
  ...['scatter', 'scatterAdd', 'pad', 'rot90', 'einsum', 'grad'],
]);

/** Every function that programs call. */
const TABLE: Record<string, Entry> = {
  ...ORDER,
  ...INDEXING,
  ...MOVEMENT,
  ...LINALG,
  tensor: (m, [data, o]) => {
    const list = data as number[];
    return created(m, Float64Array.from(list, Number), (optionsOf(o).shape as Shape) ?? [list.length], optionsOf(o));
  },
  full: (m, [shape, v, o]) =>
    created(m, new Float64Array(sizeOf(shape as Shape)).fill(Number(v)), shape as Shape, optionsOf(o)),
  zeros: (m, [shape, o]) => created(m, new Float64Array(sizeOf(shape as Shape)), shape as Shape, optionsOf(o)),
  ones: (m, [shape, o]) => created(m, new Float64Array(sizeOf(shape as Shape)).fill(1), shape as Shape, optionsOf(o)),
  arange: (m, [start, end, by, o]) => {
    const n = Math.ceil(((end as number) - (start as number)) / (by as number));
    return created(
      m,
      Float64Array.from({ length: n }, (_, i) => (start as number) + i * (by as number)),
      [n],
      optionsOf(o),
    );
  },
  eye: (m, [n, k, o]) =>
    created(
      m,
      Float64Array.from({ length: (n as number) * (k as number) }, (_, i) =>
        Math.floor(i / (k as number)) === i % (k as number) ? 1 : 0,
      ),
      [n as number, k as number],
      optionsOf(o),
    ),
  zerosLike: (m, [x]) =>
    created(m, new Float64Array((x as Handle).places.length), (x as Handle).shape, { dtype: (x as Handle).dtype }),
  rand: (m, [shape]) => m.random(shape as Shape),

  add: (_, [x, y, o]) => {
    const alpha = optionsOf(o).alpha as number | undefined;
    if (alpha === undefined) return arithmetic('add', x as Operand, y as Operand);
    const scaled = mul(read(y as Handle), number(alpha));
    return add(read(x as Handle), scaled);
  },
  sub: (_, [x, y]) => arithmetic('sub', x as Operand, y as Operand),
  mul: (_, [x, y]) => arithmetic('mul', x as Operand, y as Operand),
  div: (_, [x, y]) => arithmetic('div', x as Operand, y as Operand),
  lerp: (_, [x, y, w]) => {
    const [a, b] = [read(x as Handle), read(y as Handle)];
    return add(mul(a, number(1 - (w as number))), mul(b, number(w as number)));
  },
  pow: (_, [x, n]) => {
    const v = read(x as Handle);
    let out = v;
    for (let i = 1; i < (n as number); i++) out = mul(out, v);
    return out === v ? { ...map([v], (u) => u!, { gradient: (g) => [g] }) } : out;
  },
  square: (_, [x]) => square(cast(read(x as Handle), promote([x as Handle, 2]))),
  sign: (_, [x]) => sign(read(x as Handle)),
  clamp: (_, [x, o]) => {
    const { min, max } = optionsOf(o) as { min?: Operand; max?: Operand };
    const operands = [x as Handle, ...(min === undefined ? [] : [min]), ...(max === undefined ? [] : [max])];
    const dtype = numeric(operands);
    const low = operand(min ?? -1e9, dtype);
    const high = operand(max ?? 1e9, dtype);
    const v = operand(x as Handle, dtype);
    return kinked(
      [v, constant(low), constant(high)],
      (u, l, h) => Math.min(Math.max(u!, l!), h!),
      dtype,
      (u, l, h) => [u! >= l! && u! <= h! ? 1 : 0, 0, 0],
    );
  },
  leakyRelu: (_, [x, o]) => {
    const slope = optionsOf(o).negativeSlope as number;
    return kinked(
      [cast(read(x as Handle), 'float32')],
      (v) => (v! > 0 ? v! : v! * slope),
      'float32',
      (v) => [v! > 0 ? 1 : slope],
    );
  },
  logicalNot: (_, [x]) => test([read(x as Handle)], (v) => v === 0),
  where: (_, [c, x, y]) => {
    if ((c as Handle).dtype !== 'bool') fail('DTypeError', 'where');
    const values = [x, y] as Operand[];
    const dtype = values.every((v) => typeof v === 'number') ? 'float32' : promote(values);
    const [k, a, b] = [read(c as Handle), operand(values[0]!, dtype), operand(values[1]!, dtype)];
    if (dtype === 'float32') return choose(k, a, b);
    return map([k, a, b], (t, u, v) => (t ? u! : v!), { dtype });
  },
  cast: (m, [h, dtype]) => {
    const x = h as Handle;
    const same = Int32Array.from({ length: x.places.length }, (_, i) => i);
    if (x.dtype === dtype) return m.view(x, same, x.shape);
    return cast(read(x), dtype as DType);
  },
  contiguous: (_, [x]) => {
    const v = read(x as Handle);
    return take(
      v,
      Int32Array.from({ length: v.data.length }, (_, i) => i),
      v.shape,
    );
  },
  detach: (m, [h]) => {
    const x = h as Handle;
    return withRecording(false, () =>
      m.view(
        x,
        Int32Array.from({ length: x.places.length }, (_, i) => i),
        x.shape,
      ),
    );
  },

  sum: reduction('sum'),
  mean: reduction('mean'),
  amax: reduction('amax'),
  amin: reduction('amin'),
  variance: reduction('variance'),
  std: reduction('std'),
  logsumexp: reduction('logsumexp'),
  softmax: (_, [x, d]) => {
    floatsOnly(x as Handle);
    return softmax(read(x as Handle), dim(d as number, (x as Handle).shape.length));
  },
  logSoftmax: (_, [x, d]) => {
    floatsOnly(x as Handle);
    return logSoftmax(read(x as Handle), dim(d as number, (x as Handle).shape.length));
  },
  max: (m, [x, o]) => pick(m, 'max', x as Handle, optionsOf(o)),
  min: (m, [x, o]) => pick(m, 'min', x as Handle, optionsOf(o)),

  reshape: (m, [x, shape]) => m.reshape(x as Handle, shape as Shape),
  flatten: (m, [h, from = 0, to = -1]) => {
    const x = h as Handle;
    if (x.shape.length === 0) return m.reshape(x, [1]);
    const [a, b] = [dim(from as number, x.shape.length), dim(to as number, x.shape.length)];
    if (a > b) fail('ShapeError', 'flatten');
    return flattened(m, x, a, b);
  },
  squeeze: (m, [h, d]) => {
    const x = h as Handle;
    const over = dims(d, x.shape.length);
    return m.reshape(
      x,
      x.shape.filter((n, i) => n !== 1 || !over.includes(i)),
    );
  },
  unsqueeze: (m, [h, d]) => unsqueezed(m, h as Handle, dim(d as number, (h as Handle).shape.length + 1)),
  permute: (m, [h, given]) => {
    const x = h as Handle;
    const order = (given as number[]).map((d) => dim(d, x.shape.length));
    if (order.length !== x.shape.length || new Set(order).size !== order.length) fail('ShapeError', 'permute');
    return permuted(m, x, order);
  },
  transpose: (m, [h, a, b]) => {
    const x = h as Handle;
    const [i, j] = [dim(a as number, x.shape.length), dim(b as number, x.shape.length)];
    if (x.shape.length === 0) return m.reshape(x, []);
    return permuted(
      m,
      x,
      x.shape.map((_, d) => (d === i ? j : d === j ? i : d)),
    );
  },
  expand: (m, [h, given]) => {
    const x = h as Handle;
    const pad = (given as number[]).length - x.shape.length;
    const to = (given as number[]).map((d, i) => (d === -1 && i >= pad ? x.shape[i - pad]! : d));
    if (pad < 0 || !sameShape(broadcastShape(x.shape, to), to)) fail('ShapeError', 'expand');
    return m.view(x, broadcastMap(x.shape, to), to);
  },
  slice: (m, [h, d, start, end, by = 1]) => {
    const x = h as Handle;
    const axis = dim(d as number, x.shape.length);
    if (x.shape.length === 0) fail('IndexError', 'slice of a scalar');
    const n = x.shape[axis]!;
    const bound = (i: number): number => Math.min(Math.max(i < 0 ? i + n : i, 0), n);
    const from = bound(start as number);
    const count = Math.max(0, Math.ceil((bound(end as number) - from) / (by as number)));
    return m.slice(x, axis, from, count, by as number);
  },
  narrow: (m, [h, d, start, count]) => {
    const x = h as Handle;
    const axis = dim(d as number, x.shape.length);
    if (x.shape.length === 0) fail('IndexError', 'narrow of a scalar');
    const from = (start as number) < 0 ? (start as number) + x.shape[axis]! : (start as number);
    if (from < 0 || from + (count as number) > x.shape[axis]!) fail('IndexError', 'narrow');
    return m.slice(x, axis, from, count as number, 1);
  },
  select: (m, [h, d, place]) => selected(m, h as Handle, d as number, place as number),
  unbind: (m, [h, d]) => {
    const x = h as Handle;
    const axis = dim(d as number, x.shape.length);
    return Array.from({ length: x.shape[axis]! }, (_, i) => selected(m, x, axis, i));
  },
  chunk: (m, [h, n, d]) => {
    const x = h as Handle;
    const axis = dim(d as number, x.shape.length);
    const size = Math.max(1, Math.ceil(x.shape[axis]! / (n as number)));
    const out: Handle[] = [];
    for (let at = 0; at < x.shape[axis]!; at += size)
      out.push(m.slice(x, axis, at, Math.min(size, x.shape[axis]! - at), 1));
    return out;
  },
  cat: (m, [list, d = 0]) => cat(m, list as Handle[], d as number),
  stack: (m, [list, d = 0]) => {
    const tensors = list as Handle[];
    const axis = dim(d as number, tensors[0]!.shape.length + 1);
    const frame = m.openFrame();
    const out = cat(
      m,
      tensors.map((t) => unsqueezed(m, t, axis)),
      axis,
    );
    m.closeFrame(frame, [out]);
    return out;
  },
  matmul: (_, [a, b]) => matmulEntry(a as Handle, b as Handle),
  linear: (m, [x, w, b]) => {
    const frame = m.openFrame();
    const wt = permuted(m, w as Handle, [1, 0]);
    const y = matmulEntry(x as Handle, wt);
    m.closeFrame(frame, []);
    return b ? add(y, read(b as Handle)) : y;
  },
  mseLoss: (m, [a, b, o]) => losses(m, square(sub(read(a as Handle), read(b as Handle))), optionsOf(o)),
  crossEntropy: (m, [a, b, o]) => {
    const x = read(a as Handle);
    const labels = read(b as Handle);
    const [n, c] = x.shape as [number, number];
    const logp = logSoftmax(x, 1);
    const own = gatherVal(logp, 1, { ...labels, shape: [n, 1] });
    void c;
    return losses(m, neg(shaped(own, [n])), optionsOf(o));
  },

  assign_: inPlace('assign'),
  add_: inPlace('add'),
  sub_: inPlace('sub'),
  mul_: inPlace('mul'),
  div_: inPlace('div'),
  fill_: inPlace('assign'),
  zero_: (m, [x]) => {
    m.assign(x as Handle, 0);
    return null;
  },

  backward: (m, [y, o]) => {
    m.spending(optionsOf(o), () => m.backward(y as Handle, optionsOf(o)));
    return null;
  },
  grad: (m, [ys, xs, o]) => m.spending(optionsOf(o), () => m.grad(ys as Handle[], xs as Handle[], optionsOf(o))),
  retainGrad: (_, [h]) => {
    const { tape } = h as Handle;
    if (!tape) return fail('UnsupportedError', 'retainGrad');
    tape.leaf ??= { grad: null };
    return null;
  },
};

for (const [name, fn] of Object.entries(FLOATING)) TABLE[name] = (_, [x]) => fn(cast(read(x as Handle), 'float32'));
for (const [name, fn] of Object.entries(KEEPING))
  TABLE[name] = (_, [x]) => {
    numeric([x as Handle]);
    return fn(read(x as Handle));
  };
for (const [name, fn] of Object.entries(COMPARISONS))
  TABLE[name] = elementwise(fn as never, promote, () => ({ dtype: 'bool', jumps: true }));
for (const [name, fn] of Object.entries(LOGICAL))
  TABLE[name] = elementwise(
    fn as never,
    () => 'bool',
    () => ({ dtype: 'bool', jumps: true }),
  );
for (const [name, [fn, slopes]] of Object.entries(EXTREMA))
  TABLE[name] = (_, [x, y]) => {
    const dtype = promote([x as Operand, y as Operand]);
    const ins = [operand(x as Operand, dtype), operand(y as Operand, dtype)];
    return kinked(ins, fn as never, dtype, slopes as never);
  };
for (const name of ['argmax', 'argmin'])
  TABLE[name] = (m, [h, given]) => {
    const x = h as Handle;
    const o = optionsOf(given);
    const v = read(x);
    if (o.dim === undefined) {
      const flat = arg({ ...v, shape: [v.data.length], tape: null }, 0, better(name));
      return o.keepDim
        ? m.fresh(
            shaped(
              flat,
              x.shape.map(() => 1),
            ),
          )
        : m.fresh(flat);
    }
    const d = dim(o.dim as number, x.shape.length);
    const flat = arg(v, d, better(name));
    return o.keepDim ? m.fresh(shaped(flat, keptShape(x.shape, [d]))) : m.fresh(flat);
  };

function pick(m: Model, op: string, x: Handle, o: Options): Handle[] {
  const d = dim(o.dim as number, x.shape.length);
  const v = read(x);
  const indices = arg(v, d, better(op));
  const kept = shaped(indices, keptShape(x.shape, [d]));
  const values = gatherVal(v, d, kept);
  if (o.keepDim) return [m.fresh(values), m.fresh(kept)];
  return [m.fresh(shaped(values, indices.shape)), m.fresh(indices)];
}

function selected(m: Model, x: Handle, d: number, at: number): Handle {
  const axis = dim(d, x.shape.length);
  const n = x.shape[axis] ?? 0;
  if (at < -n || at >= n) fail('IndexError', 'select');
  const frame = m.openFrame();
  const out = m.reshape(
    m.slice(x, axis, at < 0 ? at + n : at, 1, 1),
    x.shape.filter((_, i) => i !== axis),
  );
  m.closeFrame(frame, [out]);
  return out;
}

/** The functions that the model knows. */
export const known: readonly string[] = Object.keys(TABLE);
