// Draws programs. The model runs along, so that the generator knows shapes, dtypes, aliases and magnitudes, keeps values exact
// where it can, and gives jumps (comparisons, floor, argmax, relu's kink) exact inputs only.
import * as draw from './draw.ts';
import { type Handle, read } from './handles.ts';
import { Model } from './model.ts';
import { type Arg, baseOf, defined, type Instr, isRef, type Program, Run, renamed, Thrown } from './program.ts';
import { Random } from './random.ts';
import { Expected, type Shape, sameShape, sizeOf, type Val, withRecording } from './values.ts';

type Call = Extract<Instr, { do: 'call' }>;
type Block = Extract<Instr, { do: 'scope' }>;

/** What a step of a program may be, with how often. */
const STEPS = {
  create: 1.2,
  unary: 3,
  smooth: 1.2,
  binary: 4,
  scalar: 4,
  tree: 2,
  compare: 1,
  where: 1,
  cast: 0.8,
  reduce: 3,
  rowwise: 1.2,
  arg: 0.8,
  view: 4,
  join: 1,
  index: 1,
  matmul: 1.2,
  inPlace: 3.5,
  inPlaceView: 1.5,
  dispose: 3,
  read: 0.8,
  keep: 0.5,
  leaf: 0.8,
  backward: 1,
  grad: 0.7,
  second: 0.4,
  gradUse: 0.5,
  update: 0.8,
  tidy: 1,
  run: 0.4,
  noGrad: 0.4,
  random: 0.4,
  sync: 0.2,
  scan: 1.2,
  order: 1,
  look: 1.5,
  scatter: 1.7,
  moved: 2,
  truth: 0.6,
  norms: 0.5,
  einsum: 0.7,
  dense: 1.6,
  start: 0.5,
  fault: 0.4,
} as const;
type Step = keyof typeof STEPS;

const LARGEST_SIZE = 72;
const MOST_LIVE = 16;

/** Scalars by class: a loop replaces a number by another one of its class. */
const FRACTIONS = [0.5, -0.5, 1.5, 0.25, -0.25, -1.5, 0.75, 2.5] as const;
const WHOLES = [2, -1, 3, 1, -2, 0] as const;
const POWERS = [2, 4, 0.5, -2, 0.25] as const;

/** Where in the arguments numbers stand that a loop may change: they are data to the library. */
const VARYING: Record<string, readonly number[]> = {
  add: [0, 1],
  sub: [0, 1],
  mul: [0, 1],
  maximum: [1],
  minimum: [1],
  lt: [1],
  gt: [1],
  eq: [1],
  where: [1, 2],
  full: [1],
  lerp: [2],
  add_: [1],
  sub_: [1],
  mul_: [1],
  fill_: [1],
  assign_: [1],
};

const steps = (): Record<Step, number> => ({ ...STEPS });

export class Generator {
  readonly rng: Random;
  readonly model = new Model();
  readonly run: Run<Handle, Set<Handle>>;
  private readonly body: Instr[] = [];
  /** Where instructions go. */
  private list: Instr[] = this.body;
  private count = 0;
  private depth = 0;
  /** An error was made on purpose: the scopes around it end here. */
  private aborted = false;
  private inLoop = false;
  /** Tensors from outside the loop, which its body must not dispose. */
  private outer: ReadonlySet<string> = new Set();
  private readonly weights = steps();
  private readonly family: Shape;
  /** Most tensors have the family's shape, so that they can stand for one another. */
  private readonly uniform: boolean;
  /** The program keeps to ops that are exact. */
  private readonly exactOnly: boolean;

  constructor(readonly seed: number) {
    this.rng = new Random(seed);
    this.run = new Run(this.model);
    const { rng } = this;
    this.exactOnly = rng.chance(0.6);
    this.uniform = rng.chance(0.35);
    for (const k of Object.keys(this.weights) as Step[]) this.weights[k] *= rng.pick([0, 0.3, 1, 1, 3]);
    if (this.exactOnly) this.weights.smooth = 0;
    if (this.exactOnly) for (const k of ['rowwise', 'dense', 'norms'] as const) this.weights[k] *= 0.4;
    const rank = rng.pick([1, 2, 2, 2, 3, 3]);
    this.family = Array.from({ length: rank }, () => rng.pick([1, 2, 2, 3, 3, 4, 5]));
  }

  /** Not at the top of the program, where it can wait. */
  get nested(): boolean {
    return this.depth > 0 || this.inLoop;
  }

  // Names and the pool

  name(): string {
    return `v${++this.count}`;
  }

  /** Live tensors, latest first. */
  pool(where: (h: Handle, name: string) => boolean = () => true): string[] {
    const out: string[] = [];
    for (const [name, h] of this.run.env) if (name.startsWith('v') && !h.disposed && where(h, name)) out.push(name);
    return out.reverse();
  }

  at(name: string): Handle {
    return this.run.env.get(name)!;
  }

  /** A live tensor, more often a late one. */
  choose(where: (h: Handle, name: string) => boolean = () => true): string | null {
    const list = this.pool(where);
    if (list.length === 0) return null;
    return list[Math.floor(this.rng.next() ** 1.6 * list.length)]!;
  }

  readonly float = (h: Handle): boolean => h.dtype === 'float32';
  readonly exact = (h: Handle): boolean => h.storage.value.err === 0 && !h.storage.value.wild;
  readonly known = (h: Handle): boolean => !h.storage.value.wild;

  most(h: Handle): number {
    return read(h).data.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  }
  private least(h: Handle): number {
    return read(h).data.reduce((m, v) => Math.min(m, v), Infinity);
  }

  // Emitting

  /** Runs an instruction on the model and keeps it, unless the model refuses it. */
  emit(i: Instr): boolean {
    try {
      this.run.step(i);
    } catch (error) {
      if (error instanceof Expected) return false;
      throw error;
    }
    this.list.push(i);
    return true;
  }

  /** Keeps an instruction that the model refuses: the error is part of the program. */
  private emitError(i: Instr): void {
    try {
      this.run.step(i);
    } catch (error) {
      if (!(error instanceof Expected) || error.name === 'GeneratorError') return;
      this.list.push(i);
      if (this.depth > 0) this.aborted = true;
      return;
    }
    this.list.push(i);
  }

  /** A call with new results, dropped where they are too large to stay exact. */
  call(fn: string, args: readonly Arg[], outs = 1, range?: readonly [number, number]): string | null {
    const out = Array.from({ length: outs }, () => this.name());
    const i: Call = { do: 'call', fn, args, out, ...(range ? { range } : {}) };
    try {
      this.run.step(i);
    } catch (error) {
      if (error instanceof Expected) return null;
      throw error;
    }
    const bad = out.some((name) => {
      const h = this.at(name);
      if (h.places.length > LARGEST_SIZE) return true;
      const v = read(h);
      const most = v.data.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
      return v.dtype === 'float32' && (!(most <= 256) || (v.err === 0 ? false : most > 64));
    });
    if (bad) {
      for (const name of out) {
        this.model.dispose(this.at(name));
        this.run.env.delete(name);
      }
      return null;
    }
    this.list.push(i);
    return out[0] ?? '';
  }

  // Data

  private floats(n: number): number[] {
    const style = this.rng.int(4);
    return Array.from({ length: n }, () =>
      style === 0 ? this.rng.between(-3, 3) : style === 1 ? this.rng.between(-8, 8) / 2 : this.rng.between(-16, 16) / 4,
    );
  }

  /** A shape that goes with the others: of the program's family, with some dims 1 or left out. */
  private shape(): Shape {
    const { rng, family } = this;
    if (this.uniform && rng.chance(0.8)) return family;
    if (rng.chance(0.04)) return [];
    if (rng.chance(0.02)) return family.map((d, i) => (i === 0 ? 0 : d));
    if (rng.chance(0.1)) return Array.from({ length: rng.between(1, 3) }, () => rng.between(1, 4));
    let out = family.map((d) => (rng.chance(0.15) ? 1 : d));
    if (rng.chance(0.2) && out.length > 1) out = out.slice(rng.between(1, out.length - 1));
    if (rng.chance(0.1) && out.length < 3) out = [rng.between(1, 3), ...out];
    if (rng.chance(0.1)) out = rng.shuffled(out);
    return out;
  }

  tensor(shape: Shape, dtype: 'float32' | 'int32' | 'bool', options: { leaf?: boolean } = {}): string | null {
    const n = sizeOf(shape);
    const data: Arg[] =
      dtype === 'float32'
        ? this.floats(n)
        : dtype === 'int32'
          ? Array.from({ length: n }, () => this.rng.between(-4, 4))
          : Array.from({ length: n }, () => this.rng.int(2));
    const args: Arg[] = [
      data,
      { shape, ...(dtype === 'float32' ? {} : { dtype }), ...(options.leaf ? { requiresGrad: true } : {}) },
    ];
    return this.call('tensor', args, 1, dtype === 'int32' ? [-4, 4] : dtype === 'bool' ? [0, 1] : undefined);
  }

  private create(): void {
    const { rng } = this;
    const shape = this.shape();
    const dtype = rng.chance(0.8) ? 'float32' : rng.chance(0.6) ? 'int32' : 'bool';
    switch (rng.weighted({ tensor: 6, full: 1.5, zeros: 0.7, arange: 1, eye: 0.5, like: 0.5 })) {
      case 'tensor':
        this.tensor(shape, dtype, { leaf: dtype === 'float32' && rng.chance(0.3) });
        return;
      case 'full':
        if (dtype === 'float32') this.call('full', [shape, rng.pick(FRACTIONS)]);
        else this.call('full', [shape, rng.pick([1, 2, 0]), { dtype: 'int32' }]);
        return;
      case 'zeros':
        this.call('zeros', [shape]);
        return;
      case 'arange': {
        const n = rng.between(1, 6);
        const by = rng.pick([1, 0.5, 2]);
        const start = rng.between(-2, 2);
        this.call('arange', [
          start,
          start + n * by,
          by,
          Number.isInteger(by) && rng.chance(0.3) ? { dtype: 'int32' } : {},
        ]);
        return;
      }
      case 'eye':
        this.call('eye', [rng.between(1, 4), rng.between(1, 4), {}]);
        return;
      default: {
        const x = this.choose();
        if (x) this.call('zerosLike', [x]);
      }
    }
  }

  // Ops

  private unary(): void {
    const { rng } = this;
    const op = rng.weighted({
      neg: 2,
      abs: 1,
      square: 2,
      relu: 2,
      relu6: 0.5,
      floor: 0.7,
      ceil: 0.5,
      trunc: 0.4,
      round: 0.5,
      sign: 0.6,
      clamp: 1.2,
      leakyRelu: 0.6,
      pow: 0.8,
      contiguous: 0.6,
      quantize: 1,
    });
    const linear = op === 'neg' || op === 'square' || op === 'pow' || op === 'contiguous';
    const x = this.choose((h) => h.dtype !== 'bool' && (linear ? this.known(h) : this.exact(h)));
    if (!x) return;
    if (op === 'clamp') {
      const [low, high] = [rng.pick([-2, -1, -0.5, 0]), rng.pick([0.5, 1, 2, 3])];
      const bounds: Arg = rng.chance(0.6) ? { min: low, max: high } : rng.chance(0.5) ? { min: low } : { max: high };
      this.call('clamp', [x, bounds]);
    } else if (op === 'quantize') {
      if (this.float(this.at(x))) this.quantize(x);
    } else if (op === 'leakyRelu') this.call('leakyRelu', [x, { negativeSlope: rng.pick([0.25, 0.5]) }]);
    else if (op === 'pow') {
      if (this.float(this.at(x))) this.call('pow', [x, rng.pick([1, 2, 3])]);
    } else if (op === 'sign' && !this.float(this.at(x))) return;
    else this.call(op, [x]);
  }

  /** Back to few bits: floor(4 x) / 4, limited. */
  private quantize(x: string): string | null {
    const a = this.call('mul', [x, 4]);
    const b = a && this.call('floor', [a]);
    const c = b && this.call('mul', [b, 0.25]);
    const out = c && this.call('clamp', [c, { min: -4, max: 4 }]);
    if (a && this.rng.chance(0.7)) for (const t of [a, b, c]) if (t) this.emit({ do: 'dispose', of: t });
    return out;
  }

  private smooth(): void {
    const { rng } = this;
    const x = this.choose((h) => this.float(h) && this.known(h));
    if (!x) return;
    const h = this.at(x);
    const [low, high] = [this.least(h), this.most(h)];
    const ops = ['tanh', 'sigmoid', 'sin', 'cos', 'softplus', 'silu'];
    if (high <= 4) ops.push('exp', 'exp', 'expm1');
    if (low >= 0.25) ops.push('log', 'sqrt', 'reciprocal', 'rsqrt', 'log1p');
    if (low >= -0.5) ops.push('log1p');
    const op = rng.pick(ops);
    if (low < 0.25 && rng.chance(0.3)) {
      // From the safe side: 1 / (x² + 1), log(x² + 1) and the like.
      const a = this.call('square', [x]);
      const b = a && this.call('add', [a, 1]);
      if (b) this.call(rng.pick(['log', 'sqrt', 'reciprocal', 'rsqrt']), [b]);
      return;
    }
    this.call(op, [x]);
  }

  partner(x: string, where: (h: Handle, name: string) => boolean = () => true): string | null {
    const shape = this.at(x).shape;
    return this.choose((h, name) => {
      if (!where(h, name)) return false;
      const rank = Math.max(shape.length, h.shape.length);
      for (let i = 1; i <= rank; i++) {
        const a = shape[shape.length - i] ?? 1;
        const b = h.shape[h.shape.length - i] ?? 1;
        if (a !== b && a !== 1 && b !== 1) return false;
      }
      return true;
    });
  }

  private binary(): void {
    const { rng } = this;
    const op = rng.weighted({
      add: 3,
      sub: 2,
      mul: 3,
      maximum: 1,
      minimum: 1,
      lerp: 0.5,
      div: this.exactOnly ? 0 : 0.7,
      alpha: 0.4,
    });
    const kinked = op === 'maximum' || op === 'minimum';
    const ok = (h: Handle): boolean => (kinked ? this.exact(h) : this.known(h)) && (op !== 'lerp' || this.float(h));
    const x = this.choose(ok);
    const y = x && this.partner(x, ok);
    if (!x || !y) return;
    const float = this.float(this.at(x)) || this.float(this.at(y));
    if (!float && (this.at(x).dtype === 'bool' || this.at(y).dtype === 'bool') && op !== 'lerp') {
      if (this.at(x).dtype === this.at(y).dtype) return;
    }
    if (op === 'lerp') this.call('lerp', [x, y, rng.pick(FRACTIONS)]);
    else if (op === 'alpha') {
      if (this.float(this.at(x)) && this.float(this.at(y))) this.call('add', [x, y, { alpha: rng.pick(FRACTIONS) }]);
    } else if (op === 'div') {
      if (this.float(this.at(y)) && read(this.at(y)).data.every((v) => Math.abs(v) >= 0.25)) this.call('div', [x, y]);
    } else this.call(op, [x, y]);
  }

  /** An expression of several ops, of which only the result stays. */
  private tree(): string | null {
    const made: string[] = [];
    const used = new Set<string>();
    const keep = (t: string | null): string | null => {
      if (t) made.push(t);
      return t;
    };
    const { rng } = this;
    const ok = (h: Handle): boolean => this.float(h) && this.known(h);
    const grow = (depth: number, like: string | null): string | null => {
      if (this.aborted) return null;
      if (depth === 0 || (depth < 3 && rng.chance(0.15))) {
        const first = (h: Handle, n: string): boolean => ok(h) && !used.has(n) && !made.includes(n);
        const x = like
          ? (this.partner(like, first) ?? this.partner(like, ok))
          : (this.choose(first) ?? this.choose(ok));
        if (x) used.add(x);
        return x;
      }
      const x = grow(depth - 1, like);
      if (!x) return null;
      switch (rng.weighted({ binary: 5, scalar: 1.5, unary: 1, view: 1.5, reduce: 0.6 })) {
        case 'binary': {
          const y = grow(depth - 1, x);
          if (!y) return x;
          const kinked = this.exact(this.at(x)) && this.exact(this.at(y)) && rng.chance(0.25);
          return (
            keep(
              this.call(kinked ? rng.pick(['maximum', 'minimum']) : rng.pick(['add', 'add', 'sub', 'mul']), [x, y]),
            ) ?? x
          );
        }
        case 'scalar':
          return keep(this.call(rng.pick(['add', 'mul']), [x, this.number(this.at(x))])) ?? x;
        case 'unary':
          return keep(this.call(this.exact(this.at(x)) ? rng.pick(['relu', 'abs', 'neg']) : 'neg', [x])) ?? x;
        case 'view':
          return keep(this.view((h) => h === this.at(x))) ?? x;
        default: {
          const options = this.over(this.at(x));
          return keep(this.call('sum', [x, { ...options, ...(rng.chance(0.6) ? { keepDim: true } : {}) }])) ?? x;
        }
      }
    };
    const out = grow(rng.between(2, 5), null);
    for (const t of made) if (t !== out && rng.chance(0.93)) this.emit({ do: 'dispose', of: t });
    return out;
  }

  scalar(): void {
    const { rng } = this;
    const op = rng.weighted({ add: 3, sub: 1, mul: 3, maximum: 0.7, minimum: 0.7, div: 0.6 });
    const kinked = op === 'maximum' || op === 'minimum';
    const x = this.choose((h) => h.dtype !== 'bool' && (kinked ? this.exact(h) : this.known(h)));
    if (!x) return;
    const s = op === 'div' ? rng.pick(POWERS) : this.number(this.at(x));
    if ((op === 'add' || op === 'sub' || op === 'mul') && rng.chance(0.2)) this.call(op, [s, x]);
    else this.call(op, [x, s]);
  }

  number(h: Handle): number {
    return this.float(h) ? this.rng.pick(this.rng.chance(0.7) ? FRACTIONS : WHOLES) : this.rng.pick(WHOLES);
  }

  compare(): string | null {
    const { rng } = this;
    const x = this.choose(this.exact);
    if (!x) return null;
    if (rng.chance(0.15)) {
      const a = this.choose((h) => h.dtype === 'bool');
      const b = a && this.partner(a, (h) => h.dtype === 'bool');
      if (a && b) return this.call(rng.pick(['logicalAnd', 'logicalOr', 'logicalXor']), [a, b]);
      if (a) return this.call('logicalNot', [a]);
    }
    const op = rng.pick(['lt', 'le', 'gt', 'ge', 'eq', 'ne']);
    if (rng.chance(0.5) && this.at(x).dtype !== 'bool') return this.call(op, [x, this.number(this.at(x))]);
    const y = this.partner(x, this.exact);
    return y ? this.call(op, [x, y]) : null;
  }

  private where(): void {
    const c = this.choose((h) => h.dtype === 'bool') ?? this.compare();
    if (!c || this.at(c).disposed || this.at(c).dtype !== 'bool') return;
    const x = this.partner(c, this.known);
    const y = this.partner(c, this.known);
    const side = (t: string | null): Arg | null => (t === null || this.rng.chance(0.3) ? this.rng.pick(FRACTIONS) : t);
    this.call('where', [c, side(x), side(y)]);
  }

  private cast(): void {
    const x = this.choose(this.exact);
    if (!x) return;
    this.call('cast', [x, this.rng.pick(['float32', 'float32', 'int32', 'bool'])]);
  }

  /** Some dims of a tensor, as options of a reduction. */
  over(h: Handle): Record<string, Arg> {
    const { rng } = this;
    const rank = h.shape.length;
    const out: Record<string, Arg> = {};
    if (rank > 0 && rng.chance(0.75)) {
      if (rng.chance(0.7)) out.dim = rng.chance(0.3) ? rng.int(rank) - rank : rng.int(rank);
      else out.dim = rng.shuffled(h.shape.map((_, d) => d)).slice(0, rng.between(1, rank));
    }
    if (rng.chance(0.4)) out.keepDim = true;
    return out;
  }

  private reduce(): string | null {
    const { rng } = this;
    const op = rng.weighted({ sum: 4, mean: 1.5, amax: 1, amin: 1 });
    const extreme = op === 'amax' || op === 'amin';
    const x = this.choose((h) => (op === 'sum' || this.float(h)) && (extreme ? this.exact(h) : this.known(h)));
    if (!x) return null;
    if (extreme && this.at(x).dtype === 'bool') return null;
    return this.call(op, [x, this.over(this.at(x))]);
  }

  private rowwise(): void {
    const { rng } = this;
    const x = this.choose((h) => this.float(h) && this.known(h) && h.shape.length > 0 && h.places.length > 0);
    if (!x) return;
    const h = this.at(x);
    const d = rng.int(h.shape.length);
    switch (rng.weighted({ softmax: 2, logSoftmax: 1, logsumexp: 1, variance: 1, norm: 1.5, mse: 0.5, ce: 0.7 })) {
      case 'softmax':
        this.call('softmax', [x, d]);
        return;
      case 'logSoftmax':
        this.call('logSoftmax', [x, d]);
        return;
      case 'logsumexp':
        this.call('logsumexp', [x, this.over(h)]);
        return;
      case 'variance':
        this.call('variance', [x, { ...this.over(h), correction: 0 }]);
        return;
      case 'norm': {
        // A layer norm by hand.
        const o: Arg = { dim: d, keepDim: true };
        const mean = this.call('mean', [x, o]);
        const off = mean && this.call('sub', [x, mean]);
        const spread = off && this.call('variance', [x, { dim: d, keepDim: true, correction: 0 }]);
        const safe = spread && this.call('add', [spread, 1]);
        const scale = safe && this.call('rsqrt', [safe]);
        if (off && scale) this.call('mul', [off, scale]);
        return;
      }
      case 'mse': {
        const y = this.choose((k) => this.float(k) && this.known(k) && sameShape(k.shape, h.shape));
        if (y) this.call('mseLoss', [x, y, { reduction: rng.pick(['mean', 'sum', 'none']) }]);
        return;
      }
      default: {
        if (h.shape.length !== 2) return;
        const n = h.shape[1]!;
        const labels = this.call(
          'tensor',
          [Array.from({ length: h.shape[0]! }, () => rng.int(n)), { dtype: 'int32' }],
          1,
          [0, n - 1],
        );
        if (labels) this.call('crossEntropy', [x, labels, { reduction: rng.pick(['mean', 'sum', 'none']) }]);
      }
    }
  }

  private arg(): void {
    const { rng } = this;
    const x = this.choose((h) => h.dtype !== 'bool' && this.exact(h) && h.places.length > 0);
    if (!x) return;
    const rank = this.at(x).shape.length;
    const o: Record<string, Arg> = rank > 0 && rng.chance(0.8) ? { dim: rng.int(rank) } : {};
    if (rng.chance(0.3)) o.keepDim = true;
    if (rank > 0 && 'dim' in o && rng.chance(0.3)) this.call(rng.pick(['max', 'min']), [x, o], 2);
    else this.call(rng.pick(['argmax', 'argmin']), [x, o]);
  }

  private view(where: (h: Handle) => boolean = () => true): string | null {
    const { rng } = this;
    const x = this.choose(where);
    if (!x) return null;
    const h = this.at(x);
    const { shape } = h;
    const rank = shape.length;
    const op = rng.weighted({
      reshape: 2,
      transpose: rank >= 2 ? 2.5 : 0,
      permute: rank >= 2 ? 1 : 0,
      expand: 1.2,
      slice: rank >= 1 ? 2 : 0,
      narrow: rank >= 1 ? 1.5 : 0,
      select: rank >= 1 ? 1.5 : 0,
      squeeze: 0.7,
      unsqueeze: 1,
      flatten: 0.7,
      unbind: rank >= 1 && shape[0]! <= 4 && shape[0]! > 0 ? 0.5 : 0,
      chunk: rank >= 1 && shape[0]! >= 2 ? 0.5 : 0,
      detach: 0.7,
      more: 2.5,
    });
    switch (op) {
      case 'more':
        return draw.moreView(this, x);
      case 'reshape': {
        const n = sizeOf(shape);
        const options: number[][] = [[n], [1, n], [n, 1], [...shape].reverse()];
        for (const k of [2, 3, 4]) if (n % k === 0 && n > 0) options.push([k, n / k], [n / k, k], [k, -1]);
        if (n % 4 === 0 && n > 0) options.push([2, 2, n / 4]);
        if (rank >= 2) options.push([shape[0]! * shape[1]!, ...shape.slice(2)]);
        return this.call('reshape', [x, rng.pick(options)]);
      }
      case 'transpose':
        return this.call('transpose', [x, rng.int(rank), rng.int(rank) - rank]);
      case 'permute':
        return this.call('permute', [x, rng.shuffled(shape.map((_, d) => d))]);
      case 'expand': {
        const to = shape.map((n) => (n === 1 ? rng.between(1, 3) : rng.chance(0.3) ? -1 : n));
        return this.call('expand', [x, rng.chance(0.4) || !to.some((n, i) => n !== shape[i]) ? [2, ...to] : to]);
      }
      case 'slice': {
        const d = rng.int(rank);
        const n = shape[d]!;
        const start = rng.int(Math.max(1, n));
        return this.call('slice', [
          x,
          d,
          start,
          rng.chance(0.5) ? n : rng.between(start, n),
          rng.pick([1, 1, 2, 2, 3]),
        ]);
      }
      case 'narrow': {
        const d = rng.int(rank);
        const n = shape[d]!;
        const start = rng.int(Math.max(1, n));
        return this.call('narrow', [x, d, start, rng.between(0, 1) + Math.max(0, Math.floor((n - start) / 2))]);
      }
      case 'select': {
        const d = rng.int(rank);
        return shape[d]! > 0
          ? this.call('select', [x, d, rng.int(shape[d]!) - (rng.chance(0.3) ? shape[d]! : 0)])
          : null;
      }
      case 'squeeze':
        return rng.chance(0.5) || rank === 0 ? this.call('squeeze', [x]) : this.call('squeeze', [x, rng.int(rank)]);
      case 'unsqueeze':
        return this.call('unsqueeze', [x, rng.int(rank + 1)]);
      case 'flatten':
        return this.call('flatten', rng.chance(0.5) || rank < 2 ? [x] : [x, rng.int(rank - 1), rank - 1]);
      case 'unbind':
        return this.call('unbind', [x, 0], shape[0]!);
      case 'chunk':
        return this.call('chunk', [x, 2, 0], 2);
      default:
        return this.call('detach', [x]);
    }
  }

  private join(): void {
    const { rng } = this;
    const x = this.choose((h) => this.known(h));
    if (!x) return;
    const h = this.at(x);
    const rank = h.shape.length;
    switch (rng.weighted({ cat: rank > 0 ? 2 : 0, stack: rank < 3 ? 1.5 : 0, pad: rank > 0 ? 1 : 0 })) {
      case 'cat': {
        const d = rng.int(rank);
        const fits = this.pool(
          (k) =>
            this.known(k) &&
            k.dtype === h.dtype &&
            k.shape.length === rank &&
            k.shape.every((n, i) => i === d || n === h.shape[i]),
        );
        const parts = [x, ...rng.shuffled(fits).slice(0, rng.int(3))];
        this.call('cat', [rng.shuffled(parts), d]);
        return;
      }
      case 'stack': {
        const fits = this.pool((k) => this.known(k) && k.dtype === h.dtype && sameShape(k.shape, h.shape));
        const parts = [x, ...rng.shuffled(fits).slice(0, rng.int(3))];
        this.call('stack', [rng.shuffled(parts), rng.int(rank + 1)]);
        return;
      }
      case 'pad': {
        const sides = Array.from({ length: 2 * rng.between(1, Math.min(rank, 2)) }, () => rng.int(2));
        if (h.dtype === 'bool') return;
        this.call('pad', [x, sides, rng.chance(0.5) ? {} : { value: h.dtype === 'float32' ? 0.5 : 1 }]);
      }
    }
  }

  private index(): void {
    const { rng } = this;
    const x = this.choose((h) => this.known(h) && h.shape.length > 0 && h.places.length > 0);
    if (!x) return;
    const h = this.at(x);
    const d = rng.int(h.shape.length);
    const n = h.shape[d]!;
    const count = rng.between(1, 4);
    const draw = (k: number): number[] => Array.from({ length: k }, () => rng.int(n));
    if (rng.chance(0.5)) {
      const i = this.call('tensor', [draw(count), { dtype: 'int32' }], 1, [0, n - 1]);
      if (i) this.call('indexSelect', [x, d, i]);
      return;
    }
    const shape = h.shape.map((k, i) => (i === d ? count : rng.chance(0.8) ? k : rng.between(1, k)));
    const i = this.call('tensor', [draw(sizeOf(shape)), { shape, dtype: 'int32' }], 1, [0, n - 1]);
    if (i) this.call('gather', [x, d, i]);
  }

  private matmul(): void {
    const { rng } = this;
    const x = this.choose((h) => this.float(h) && this.known(h) && h.shape.length > 0);
    if (!x) return;
    const h = this.at(x);
    const k = h.shape[h.shape.length - 1]!;
    let y = this.choose((o) => {
      const r = o.shape.length;
      return this.float(o) && this.known(o) && r > 0 && o.shape[Math.max(0, r - 2)] === k;
    });
    if (!y || rng.chance(0.3)) {
      const shape = rng.pick([[k], [k, rng.between(1, 4)], [k, rng.between(1, 4)], [...h.shape.slice(0, -2), k, 2]]);
      y = this.tensor(shape, 'float32', { leaf: rng.chance(0.4) });
    }
    if (!y) return;
    const out = this.call('matmul', [x, y]);
    if (out && rng.chance(0.3)) this.call('add', [out, rng.pick(FRACTIONS)]);
  }

  // In place

  /** A tensor that an in-place op may take: the model knows the rules. */
  inPlace(target: string | null = this.choose((h) => h.dtype !== 'bool' && h.places.length > 0)): void {
    const { rng } = this;
    if (!target) return;
    const h = this.at(target);
    const leaf = h.tape !== null && h.isLeaf;
    const op = rng.weighted({ assign_: 3, add_: 3, sub_: 1, mul_: 2, fill_: 0.7, zero_: 0.5, div_: 0.3 });
    let args: Arg[];
    if (op === 'zero_') args = [target];
    else if (op === 'fill_' || op === 'div_') args = [target, op === 'div_' ? rng.pick(POWERS) : this.number(h)];
    else {
      const y = this.choose((k) => {
        const pad = h.shape.length - k.shape.length;
        return (
          pad >= 0 &&
          this.known(k) &&
          (k.dtype === h.dtype || this.float(h)) &&
          k.shape.every((n, i) => n === 1 || n === h.shape[i + pad])
        );
      });
      const other = op === 'assign_' && rng.chance(0.3) ? this.rearranged(target) : y;
      args = [target, other === null || rng.chance(0.25) ? this.number(h) : other];
    }
    // What it would be must stay small.
    if (op !== 'assign_' && op !== 'fill_' && op !== 'zero_') {
      const trial = this.tried(op.slice(0, -1), args);
      if (!trial || !(trial.data.reduce((m, v) => Math.max(m, Math.abs(v)), 0) <= 128) || trial.dtype !== h.dtype)
        return;
      if (!this.exact(h) && trial.err > 1e5) return;
    }
    const i: Instr = { do: 'call', fn: op, args, out: [] };
    if (leaf || rng.chance(0.1)) this.block({ do: 'scope', kind: 'noGrad', body: [], results: [] }, () => this.emit(i));
    else this.emit(i);
  }

  /** A view of another tensor, permuted or cut so that it has the shape of this one. */
  private rearranged(target: string): string | null {
    const { rng } = this;
    const h = this.at(target);
    const sorted = [...h.shape].sort().join();
    const x = this.choose(
      (k) => k.storage !== h.storage && k.dtype === h.dtype && this.known(k) && [...k.shape].sort().join() === sorted,
    );
    if (!x) return null;
    const left = rng.shuffled(this.at(x).shape.map((_, d) => d));
    const order = h.shape.map((n) => {
      const at = left.findIndex((d) => this.at(x).shape[d] === n);
      return left.splice(at, 1)[0]!;
    });
    return this.call('permute', [x, order]);
  }

  /** The value that a call would have. */
  tried(fn: string, args: readonly Arg[]): Val | null {
    try {
      return withRecording(false, () => {
        const frame = this.model.openFrame();
        try {
          const found = args.map((a) => (isRef(a) ? this.run.env.get(baseOf(a))! : a));
          const [out] = this.model.call(fn, found);
          return read(out!);
        } finally {
          this.model.closeFrame(frame, []);
        }
      });
    } catch (error) {
      if (error instanceof Expected) return null;
      throw error;
    }
  }

  /** A view of something, updated, with what it was made from read afterwards. */
  private inPlaceView(): void {
    const x = this.choose((h) => h.dtype !== 'bool' && h.tape === null && h.places.length > 1);
    if (!x) return;
    const v = this.view((h) => h === this.at(x));
    if (!v) return;
    if (this.rng.chance(0.3)) {
      const w = this.view((h) => h === this.at(v));
      this.inPlace(w ?? v);
    } else this.inPlace(v);
    if (this.rng.chance(0.5)) this.emit({ do: 'dispose', of: v });
  }

  // Life

  dispose(): void {
    const x = this.choose((_, name) => !this.outer.has(name));
    if (x) this.emit({ do: 'dispose', of: x });
  }

  private read(): void {
    const x = this.choose(this.known);
    if (x) this.emit({ do: 'read', of: this.at(x).tape?.leaf?.grad && this.rng.chance(0.5) ? `${x}.grad` : x });
  }

  // Gradients

  private leaf(): void {
    const { rng } = this;
    if (rng.chance(0.4)) {
      const x = this.choose((h, name) => this.float(h) && h.tape === null && !this.outer.has(name));
      if (x) this.emit({ do: 'requiresGrad', of: x, on: true });
    } else this.tensor(this.shape(), 'float32', { leaf: true });
  }

  /** A scalar that depends on leaves. */
  private loss(): string | null {
    const { rng } = this;
    const x = this.choose((h) => h.tape !== null && this.float(h) && this.known(h) && h.places.length > 0);
    if (!x) return null;
    if (this.at(x).places.length === 1) return x;
    const kind = rng.weighted({ sum: 2, mean: 1, squares: 1.5, weighted: 1.5 });
    if (kind === 'weighted') {
      const y = this.choose((h) => this.float(h) && this.known(h) && sameShape(h.shape, this.at(x).shape));
      const p = y && this.call('mul', [x, y]);
      if (p) return this.call('sum', [p]);
    }
    if (kind === 'squares') {
      const p = this.call('square', [x]);
      if (p) return this.call('sum', [p]);
    }
    return this.call(kind === 'mean' ? 'mean' : 'sum', [x]);
  }

  backward(): void {
    const { rng } = this;
    const options: Record<string, Arg> = {};
    if (rng.chance(0.25)) options.retainGraph = true;
    if (rng.chance(0.2)) {
      const x = this.choose((h) => h.tape !== null && !h.isLeaf && this.known(h));
      const g = x && this.choose((h) => this.float(h) && this.known(h) && sameShape(h.shape, this.at(x).shape));
      if (x && g) {
        this.emit({ do: 'call', fn: 'backward', args: [x, { ...options, gradient: g }], out: [] });
        return;
      }
    }
    if (rng.chance(0.1)) {
      const x = this.choose((h) => h.tape !== null && !h.isLeaf);
      if (x) this.emit({ do: 'call', fn: 'retainGrad', args: [x], out: [] });
    }
    const y = this.loss();
    if (!y || this.at(y).places.length !== 1) return;
    if (rng.chance(0.3)) this.dispose();
    this.emit({ do: 'call', fn: 'backward', args: [y, options], out: [] });
  }

  grad(): void {
    const { rng } = this;
    const y = this.loss();
    if (!y || this.at(y).places.length !== 1) return;
    const inputs = rng.shuffled(this.pool((h) => h.tape !== null)).slice(0, rng.between(1, 2));
    const options: Record<string, Arg> = { allowUnused: true };
    if (rng.chance(0.3)) options.retainGraph = true;
    this.call('grad', [[y], inputs, options], inputs.length);
  }

  /** Gradients of a function of gradients. */
  second(): void {
    const { rng } = this;
    const y = this.loss();
    if (!y || this.at(y).places.length !== 1) return;
    const inputs = rng.shuffled(this.pool((h) => h.tape !== null && h.isLeaf)).slice(0, rng.between(1, 2));
    if (inputs.length === 0) return;
    const first = this.call('grad', [[y], inputs, { createGraph: true, allowUnused: true }], inputs.length);
    if (!first) return;
    // Through something that surely depends on the input.
    const x = inputs[0]!;
    const a = this.call('square', [first]);
    const b = a && this.call('add', [a, x]);
    const s = b && this.call('sum', [b]);
    if (!s) return;
    if (rng.chance(0.5))
      this.call('grad', [[s], inputs, { allowUnused: true, retainGraph: rng.chance(0.3) }], inputs.length);
    else this.emit({ do: 'call', fn: 'backward', args: [s], out: [] });
  }

  private withGrad(): string | null {
    return this.choose((h) => (h.tape?.leaf?.grad ?? null) !== null);
  }

  private gradUse(): void {
    const { rng } = this;
    const x = this.withGrad();
    if (!x) return;
    const g = `${x}.grad`;
    switch (rng.weighted({ clear: 1.5, use: 2, detach: 0.7, inPlace: 1 })) {
      case 'clear':
        this.emit({ do: 'clearGrad', of: x });
        return;
      case 'use':
        this.call('mul', [g, rng.pick(FRACTIONS)]);
        return;
      case 'detach':
        this.call('contiguous', [g]);
        return;
      default:
        this.emit({ do: 'call', fn: rng.pick(['mul_', 'add_']), args: [g, rng.pick([0.5, 2, -1])], out: [] });
    }
  }

  /** An optimizer's step by hand: w -= rate * w.grad. */
  private update(): void {
    const { rng } = this;
    const x = this.withGrad();
    if (!x || this.at(x).tape?.rule) return;
    this.block({ do: 'scope', kind: rng.chance(0.6) ? 'noGrad' : 'noGrad', body: [], results: [] }, () => {
      const rate = rng.pick(FRACTIONS);
      const d = this.call('mul', [`${x}.grad`, rate]);
      if (!d) return;
      this.emit({ do: 'call', fn: 'sub_', args: [x, d], out: [] });
      if (rng.chance(0.6)) {
        const q = this.quantized(x);
        if (q) this.emit({ do: 'call', fn: 'assign_', args: [x, q], out: [] });
        if (q && rng.chance(0.8)) this.emit({ do: 'dispose', of: q });
      }
      if (rng.chance(0.8)) this.emit({ do: 'dispose', of: d });
    });
    if (rng.chance(0.6)) this.emit({ do: 'clearGrad', of: x });
  }

  private quantized(x: string): string | null {
    return this.exact(this.at(x)) ? this.quantize(x) : null;
  }

  // Scopes

  /** Runs `fill` with instructions going into a block, which is added if something did. */
  block(b: Block, fill: () => void, results: () => readonly string[] = () => []): string[] {
    const before = this.list;
    const inner: Instr[] = [];
    this.list = inner;
    this.depth++;
    const known = new Set(this.run.env.keys());
    const frame = b.kind === 'noGrad' ? null : this.model.openFrame();
    let out: string[] = [];
    try {
      if (frame) fill();
      else withRecording(false, fill);
      if (!this.aborted) out = results().filter((n) => !this.at(n).disposed);
    } finally {
      const survivors = out.map((n) => this.at(n));
      if (frame) this.model.closeFrame(frame, survivors);
      if (b.kind === 'run' && !this.aborted) {
        const scope = this.run.scopes.get(b.scope!)!;
        for (const h of survivors) this.model.track(scope, h);
      }
      this.depth--;
      this.list = before;
    }
    if (inner.length > 0) this.list.push({ ...b, body: inner, results: out });
    if (this.depth === 0) this.aborted = false;
    void known;
    return out;
  }

  private readonly scopes: string[] = [];

  private scoped(kind: 'tidy' | 'run' | 'noGrad'): void {
    if (this.depth >= 2) return;
    const { rng } = this;
    let scope: string | undefined;
    if (kind === 'run') {
      if (this.scopes.length === 0 || rng.chance(0.2)) {
        scope = `s${++this.count}`;
        this.emit({ do: 'open', scope });
        this.scopes.push(scope);
      } else scope = rng.pick(this.scopes);
    }
    const before = new Set(this.run.env.keys());
    this.block(
      { do: 'scope', kind, ...(scope ? { scope } : {}), body: [], results: [] },
      () => this.some(rng.between(2, 8)),
      () => {
        const made = this.pool((_, n) => !before.has(n));
        const out = rng.shuffled(made).slice(0, rng.pick([0, 1, 1, 2, 3]));
        if (rng.chance(0.1)) {
          const old = this.choose((_, n) => before.has(n));
          if (old && kind === 'tidy') out.push(old);
        }
        return out;
      },
    );
    if (kind === 'run' && this.depth === 0 && rng.chance(0.25) && !this.inLoop) {
      this.emit({ do: 'close', scope: scope! });
      this.scopes.splice(this.scopes.indexOf(scope!), 1);
    }
  }

  // Errors

  private error(): void {
    const { rng } = this;
    const x = this.choose();
    if (!x) return;
    const h = this.at(x);
    const wrong: Instr[] = [
      { do: 'call', fn: 'sum', args: [x, { dim: h.shape.length + 1 }], out: [this.name()] },
      { do: 'call', fn: 'reshape', args: [x, [sizeOf(h.shape) + 1]], out: [this.name()] },
      { do: 'call', fn: 'narrow', args: [x, 0, 0, (h.shape[0] ?? 1) + 3], out: [this.name()] },
      { do: 'call', fn: 'permute', args: [x, [0, 0]], out: [this.name()] },
      { do: 'throw' },
      ...draw.wrongCalls(this, x).map(({ fn, args }): Instr => ({ do: 'call', fn, args, out: [this.name()] })),
    ];
    if (h.shape.length > 0) {
      const odd = this.tensor([...h.shape.slice(0, -1), h.shape[h.shape.length - 1]! + 3], 'float32');
      if (odd && h.shape[h.shape.length - 1] !== 1)
        wrong.push(
          { do: 'call', fn: 'add', args: [x, odd], out: [this.name()] },
          { do: 'call', fn: 'add_', args: [odd, x], out: [] },
        );
    }
    if (h.dtype === 'int32' || h.dtype === 'bool')
      wrong.push(
        { do: 'call', fn: 'mean', args: [x], out: [this.name()] },
        { do: 'call', fn: 'add_', args: [x, 0.5], out: [] },
      );
    if (h.tape === null) wrong.push({ do: 'call', fn: 'backward', args: [x], out: [] });
    else if (h.isLeaf) wrong.push({ do: 'call', fn: 'mul_', args: [x, 2], out: [] });
    else wrong.push({ do: 'requiresGrad', of: x, on: false });
    const gone = [...this.run.env].filter(([n, k]) => n.startsWith('v') && k.disposed).map(([n]) => n);
    if (gone.length > 0) {
      const g = rng.pick(gone);
      wrong.push(
        { do: 'call', fn: 'add', args: [x, g], out: [this.name()] },
        { do: 'keep', of: g },
        { do: 'read', of: g },
      );
    }
    const i = rng.pick(wrong);
    if (i.do === 'throw') {
      if (this.depth === 0) return;
      this.list.push(i);
      this.aborted = true;
    } else this.emitError(i);
  }

  // Programs

  private one(): void {
    const { rng } = this;
    if (rng.chance(0.012)) {
      this.error();
      return;
    }
    if (this.pool().length > MOST_LIVE && rng.chance(0.6)) {
      this.dispose();
      return;
    }
    const step = rng.weighted(this.weights);
    switch (step) {
      case 'inPlace':
        this.inPlace();
        return;
      case 'tidy':
      case 'run':
      case 'noGrad':
        this.scoped(step);
        return;
      case 'keep': {
        const x = this.choose();
        if (x) this.emit({ do: 'keep', of: x });
        return;
      }
      case 'random': {
        const x = this.call('rand', [this.shape()]);
        const y = x && rng.chance(0.5) ? this.view((h) => h === this.at(x)) : x;
        if (!x || !y || rng.chance(0.3)) return;
        this.call('mul', [y, rng.pick(FRACTIONS)]);
        for (const t of new Set([x, y])) if (rng.chance(0.8)) this.emit({ do: 'dispose', of: t });
        return;
      }
      case 'sync':
        if (this.depth === 0) this.emit({ do: 'sync' });
        return;
      case 'view':
        this.view();
        return;
      case 'scan':
      case 'order':
      case 'look':
      case 'scatter':
      case 'moved':
      case 'truth':
      case 'norms':
      case 'einsum':
      case 'dense':
      case 'start':
      case 'fault':
        draw.STEPS[step](this);
        return;
      default:
        this[step]();
    }
  }

  private some(n: number): void {
    for (let i = 0; i < n && !this.aborted; i++) this.one();
  }

  /** The same steps again and again, with other numbers and data, and now and then a change of structure. */
  private loop(): void {
    const { rng } = this;
    const before = new Set(this.run.env.keys());
    this.outer = new Set(this.pool());
    this.inLoop = true;
    const outside = this.list;
    const body: Instr[] = [];
    this.list = body;
    const wrap = rng.weighted({ tidy: 3, none: 2, run: 0.5 });
    const scope = `s${++this.count}`;
    if (wrap === 'run') {
      outside.push({ do: 'open', scope });
      this.run.step({ do: 'open', scope });
    }
    const fresh = (): void => {
      for (let k = rng.int(3); k > 0; k--) this.tensor(this.shape(), 'float32');
    };
    const fill = (): void => {
      fresh();
      if (rng.chance(0.4)) this.mixture();
      this.some(rng.between(3, 12));
      if (this.aborted) return;
      // What lasts from one iteration to the next.
      const lasting = this.pool((h, n) => this.outer.has(n) && this.float(h) && h.places.length > 0);
      for (const x of rng.shuffled(lasting).slice(0, rng.between(1, 3))) {
        const leaf = this.at(x).tape !== null;
        if (leaf && this.at(x).isLeaf && rng.chance(0.8)) {
          if (rng.chance(0.6)) this.backward();
          if (this.at(x).tape?.leaf?.grad) {
            this.updateOf(x);
            continue;
          }
        }
        this.inPlace(x);
        if (!leaf && this.exact(this.at(x)) && rng.chance(0.5)) {
          const q = this.quantize(x);
          if (q) this.emit({ do: 'call', fn: 'assign_', args: [x, q], out: [] });
        }
      }
    };
    const results = (): string[] => rng.shuffled(this.pool((_, n) => !before.has(n))).slice(0, rng.int(3));
    if (rng.chance(0.3)) fresh();
    if (wrap === 'none') fill();
    else
      this.block(
        { do: 'scope', kind: wrap, ...(wrap === 'run' ? { scope } : {}), body: [], results: [] },
        fill,
        results,
      );
    if (rng.chance(0.5)) this.read();
    // Locals that are left go, but for a few.
    for (const x of this.pool((_, n) => !before.has(n))) if (rng.chance(0.9)) this.emit({ do: 'dispose', of: x });
    this.list = outside;
    this.list.push(...body);
    this.inLoop = false;
    this.outer = new Set();
    this.aborted = false;
    const variants = Array.from({ length: rng.between(1, 3) }, () => this.changed(body));
    const rounds = rng.between(3, 7);
    for (let r = 0; r < rounds; r++) {
      const from = rng.chance(0.55) ? body : rng.pick(variants);
      for (const i of this.again(from)) {
        try {
          this.run.step(i);
        } catch (error) {
          if (!(error instanceof Expected || error instanceof Thrown)) throw error;
          // What the model cannot tell is left out; what is wrong everywhere stays.
          if (error.name === 'GeneratorError') continue;
        }
        this.list.push(i);
      }
    }
    if (wrap === 'run' && rng.chance(0.7)) this.emit({ do: 'close', scope });
  }

  /** Several ops on the same few tensors from outside: which is which is all that tells one round's plan from another's. */
  private mixture(): void {
    const { rng } = this;
    const x = this.choose((h, n) => this.outer.has(n) && this.float(h) && this.known(h) && h.places.length > 0);
    if (!x) return;
    const same = this.pool(
      (h, n) => this.outer.has(n) && this.float(h) && this.known(h) && sameShape(h.shape, this.at(x).shape),
    );
    const few = rng.shuffled(same).slice(0, 3);
    let last: string = x;
    for (let k = rng.between(2, 4); k > 0; k--) {
      const next = this.call(rng.pick(['add', 'sub', 'mul']), [last, rng.pick(few)]);
      if (!next) return;
      if (last !== x && rng.chance(0.8)) this.emit({ do: 'dispose', of: last });
      last = next;
    }
    if (rng.chance(0.5)) this.emit({ do: 'read', of: last });
  }

  private updateOf(x: string): void {
    const { rng } = this;
    this.block({ do: 'scope', kind: 'noGrad', body: [], results: [] }, () => {
      const d = this.call('mul', [`${x}.grad`, rng.pick(FRACTIONS)]);
      if (!d) return;
      this.emit({ do: 'call', fn: 'sub_', args: [x, d], out: [] });
      const q = rng.chance(0.7) ? this.quantized(x) : null;
      if (q) this.emit({ do: 'call', fn: 'assign_', args: [x, q], out: [] });
      if (q) this.emit({ do: 'dispose', of: q });
      this.emit({ do: 'dispose', of: d });
    });
    this.emit({ do: 'clearGrad', of: x });
  }

  /** The body of a loop with new names, numbers and data. */
  private again(body: readonly Instr[]): Instr[] {
    const { rng } = this;
    const names = new Map<string, string>();
    for (const n of defined(body)) names.set(n, `${n[0]}${++this.count}`);
    const number = (v: number): number => {
      if (POWERS.includes(v as never) && !FRACTIONS.includes(v as never) && !Number.isInteger(v))
        return rng.pick(POWERS);
      return rng.pick(Number.isInteger(v) ? WHOLES : FRACTIONS);
    };
    const go = (i: Instr): Instr => {
      if (i.do === 'scope') return { ...i, body: i.body.map(go) };
      if (i.do !== 'call') return i;
      if (i.fn === 'tensor') {
        const n = (i.args[0] as number[]).length;
        const [low, high] = i.range ?? [0, 0];
        const data = i.range ? Array.from({ length: n }, () => rng.between(low, high)) : this.floats(n);
        return { ...i, args: [data, ...i.args.slice(1)] };
      }
      if (i.fn === 'narrow' && rng.chance(0.5)) {
        const h = this.run.env.get(baseOf(i.args[0] as string));
        const d = i.args[1] as number;
        const n = h?.shape[d] ?? 0;
        const count = i.args[3] as number;
        return n > count ? { ...i, args: [i.args[0]!, d, rng.int(n - count + 1), count] } : i;
      }
      const places = VARYING[i.fn];
      // Half of the numbers change, so that the rest shows what must not.
      if (!places || rng.chance(0.3)) return i;
      return { ...i, args: i.args.map((a, k) => (typeof a === 'number' && places.includes(k) ? number(a) : a)) };
    };
    return body.map((i) => renamed(go(i), (n) => names.get(n) ?? n));
  }

  /** The body with a small change of structure: another liveness, another alias, one thing more or less. */
  private changed(body: readonly Instr[]): Instr[] {
    const { rng } = this;
    const out = [...body];
    const made = [...defined(body)].filter((n) => n.startsWith('v'));
    if (made.length === 0) return out;
    const blocks = out.flatMap((i, k) => (i.do === 'scope' && i.kind !== 'noGrad' ? [k] : []));
    const inBlock = blocks.length > 0 ? rng.pick(blocks) : -1;
    const target = inBlock >= 0 ? [...(out[inBlock] as Block).body] : out;
    const local = [...defined(target)].filter((n) => n.startsWith('v'));
    for (let tries = 0; tries < 2; tries++) {
      switch (rng.weighted({ keep: 3, stay: 1.5, alias: 2, read: 1, drop: 0.7, gone: 1.2, twice: 0.7 })) {
        case 'keep':
          if (inBlock >= 0 && local.length > 0) {
            const b = out[inBlock] as Block;
            out[inBlock] = { ...b, results: [...new Set([...b.results, rng.pick(local)])] };
          } else this.without(out, (i) => i.do === 'dispose');
          break;
        case 'stay':
          this.without(target, (i) => i.do === 'dispose');
          break;
        case 'alias': {
          // An operand replaced by the other one, or by another tensor of the same shape, rather one that is read anyway.
          const steady = rng.chance(0.7);
          const replaceable = (a: Arg): a is string =>
            isRef(a) && !a.endsWith('.grad') && !(steady && made.includes(a));
          const calls = target.flatMap((i, k) => (i.do === 'call' && i.args.some(replaceable) ? [k] : []));
          if (calls.length === 0) break;
          const k = rng.pick(calls);
          const i = target[k] as Call;
          const operands = i.args.flatMap((a, j) => (replaceable(a) ? [j] : []));
          if (operands.length === 0) break;
          const j = rng.pick(operands);
          const old = this.run.env.get(i.args[j] as string);
          const fits = (n: string): boolean => {
            const h = this.run.env.get(n);
            return (
              n !== i.args[j] &&
              h !== undefined &&
              old !== undefined &&
              sameShape(h.shape, old.shape) &&
              h.dtype === old.dtype
            );
          };
          const read = new Set(
            target.flatMap((x) => (x.do === 'call' ? x.args.filter((a): a is string => isRef(a)).map(baseOf) : [])),
          );
          const lasting = this.pool((_, n) => !made.includes(n) && fits(n));
          const others = rng.chance(0.7) ? lasting.filter((n) => read.has(n)) : lasting;
          const own = operands.map((o) => i.args[o] as string).filter(fits);
          const choice = [...(others.length > 0 ? others : lasting), ...own];
          if (choice.length > 0) {
            const by = rng.pick(choice);
            target[k] = { ...i, args: i.args.map((a, o) => (o === j ? by : a)) };
          }
          break;
        }
        case 'read':
          if (local.length > 0) {
            const of = rng.pick(local);
            const at = target.findIndex((i) => defined([i]).has(of));
            target.splice(rng.between(at + 1, target.length), 0, { do: 'read', of });
          }
          break;
        case 'drop':
          this.without(target, (i) => i.do === 'call' && i.out.length > 0);
          break;
        case 'gone':
          if (local.length > 0) {
            const of = rng.pick(local);
            const at = target.findIndex((i) => defined([i]).has(of));
            target.splice(rng.between(at + 1, target.length), 0, { do: 'dispose', of });
          }
          break;
        case 'twice': {
          const calls = target.flatMap((i, k) => (i.do === 'call' && i.out.length === 0 ? [k] : []));
          if (calls.length > 0) {
            const k = rng.pick(calls);
            if ((target[k] as Call).fn !== 'backward') target.splice(k, 0, target[k]!);
          }
        }
      }
    }
    if (inBlock >= 0) {
      const b = out[inBlock] as Block;
      out[inBlock] = { ...b, body: target };
    }
    return out;
  }

  private without(list: Instr[], which: (i: Instr) => boolean): void {
    const places = list.flatMap((i, k) => (which(i) ? [k] : []));
    if (places.length > 0) list.splice(this.rng.pick(places), 1);
  }

  program(): Program {
    const { rng } = this;
    for (let k = rng.between(1, 4); k > 0; k--) this.create();
    if (rng.chance(0.5)) this.tensor(this.shape(), 'float32', { leaf: true });
    const style = rng.weighted({ flat: 4, loop: 4, both: 2 });
    if (style !== 'loop') this.some(rng.between(4, 22));
    if (style !== 'flat') {
      if (rng.chance(0.5)) this.tensor(this.shape(), 'float32', { leaf: rng.chance(0.6) });
      this.loop();
      if (style === 'both') this.some(rng.between(1, 6));
    }
    return { seed: this.seed, body: this.body };
  }
}

/** The program of a seed: always the same. */
export const generate = (seed: number): Program => new Generator(seed).program();
