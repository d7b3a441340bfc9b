import type { Buffer, Readback } from '../backends/backend.ts';
import { type DType, isFloating } from '../core/dtype.ts';
import { NumericsError } from '../core/errors.ts';
import { type Shape, showShape } from '../core/shape.ts';
import { and, bitcast, constant, type Expr, eq, isnan, load, min, select, uniform, wide } from '../ir/expr.ts';
import type { Engine } from './engine.ts';
import { Node, type NodeInput, template } from './node.ts';
import { type CheckNumerics, checking, currentChecks, showOrigin } from './origin.ts';

/*
 * Checked mode (`debug`): a flush computes, after each result, whether it is the first with NaN or infinity in it, and the next
 * await reads that one number.
 */

const NONE = 2 ** 31 - 1;

/** The least code of an element that is not finite, or what was found before: 2i for NaN in the i-th result, 2i + 1 for infinity. */
const firstOf = (infinities: boolean, dtype: DType): Expr => {
  const x = wide(load(0, dtype));
  const bits = and(bitcast(x, 'uint32'), constant(0x7fffffff, 'uint32'));
  const infinite = select(eq(bits, constant(0x7f800000, 'uint32')), uniform(1, 'int32'), constant(NONE, 'int32'));
  const code = select(isnan(x), uniform(0, 'int32'), infinities ? infinite : constant(NONE, 'int32'));
  return min(code, load(1, 'int32'));
};

/** A result under watch, and what its op read. */
interface Watched {
  readonly node: Node;
  readonly shape: Shape;
  /** Whether the numbers that its op was given are finite. */
  readonly numbers: boolean;
  /** The values from outside the flush among its inputs; those from inside were watched before it. */
  readonly inputs: readonly Node[];
}

/** An input that nobody had looked at, and the code of its check. */
interface Looked {
  readonly of: Node;
  readonly code: Node;
}

/** What a device says at an await. */
export interface Report {
  /** The status word, which every read resets. */
  readonly status: number;
  readonly error: NumericsError | null;
}

/** What checked mode knows of the values of one device. */
export class Numerics {
  private watched: Watched[] = [];
  private first: Node | null = null;
  private inputs: Looked[] = [];
  /** Values that are finite, or are not; those under watch count as finite, because their error would come first. */
  private known = new WeakMap<Node, boolean>();
  private knownFor: CheckNumerics = false;

  constructor(private readonly engine: Engine) {}

  private bad(x: number): boolean {
    return currentChecks() === 'nan' ? Number.isNaN(x) : !Number.isFinite(x);
  }

  /** In checked mode, the nodes of a flush with a check behind each that is watched; new nodes are added to the queue as well. */
  guarded(nodes: readonly Node[], queue: Node[]): readonly Node[] {
    if (!checking()) return nodes;
    if (this.knownFor !== currentChecks()) this.known = new WeakMap();
    this.knownFor = currentChecks();
    if (this.first?.error) this.forget();
    const out: Node[] = [];
    const add = (node: Node): Node => {
      node.hold();
      queue.push(node);
      out.push(node);
      return node;
    };
    for (const node of nodes) {
      out.push(node);
      const { space, inner, inputs, scalars } = node.operation!;
      if (inputs.length === 0) this.known.set(node, !scalars.some((x) => this.bad(x)));
      else if (node.watched && node.size > 0 && isFloating(node.dtype)) {
        const item = { node, shape: space.slice(0, space.length - inner), ...this.sources(node) };
        for (const x of item.inputs) {
          if (this.finite(x) !== undefined) continue;
          this.inputs.push({ of: x, code: add(this.check(x, 0, null)) });
          // Until the report.
          this.known.set(x, true);
        }
        const before = this.first;
        this.first = add(this.check(node, this.watched.push(item) - 1, before));
        before?.release();
        this.known.set(node, true);
      }
    }
    return out;
  }

  /** Reads of a node whether it is finite, after what was found before. */
  private check(node: Node, i: number, before: Node | null): Node {
    const start = before ?? this.engine.source('int32', Int32Array.of(NONE));
    const direct = (of: Node, stride: number): NodeInput => ({
      node: of,
      access: { mode: 'direct', strides: [stride], offset: 0 },
    });
    return new Node(this.engine, 'int32', 1, 'debug', {
      template: template('reduce', firstOf(currentChecks() !== 'nan', node.dtype), ['int32', 'int32'], {
        reduce: 'min',
      }),
      space: [node.size],
      inner: 1,
      k: 0,
      size: 1,
      inputs: [direct(node, 1), direct(start, 0)],
      scalars: [2 * i, 2 * i + 1],
    });
  }

  private finite(node: Node): boolean | undefined {
    if (this.known.has(node) || !node.host) return this.known.get(node);
    const finite = !node.host.some((x) => this.bad(x));
    this.known.set(node, finite);
    return finite;
  }

  /** What an op read: through its temporaries to values of other ops. */
  private sources(node: Node): { numbers: boolean; inputs: Node[] } {
    const seen = new Set<Node>();
    let numbers = true;
    const visit = (n: Node): void => {
      const op = n.operation!;
      if (op.scalars.some((x) => this.bad(x))) numbers = false;
      for (const { node: input } of op.inputs) {
        if (seen.has(input) || !isFloating(input.dtype)) continue;
        seen.add(input);
        if (input.pending && !input.watched && input.operation!.inputs.length > 0) visit(input);
      }
    };
    visit(node);
    return { numbers, inputs: [...seen].filter((n) => !n.pending || n.operation!.inputs.length === 0) };
  }

  private forget(): void {
    for (const node of [this.first, ...this.inputs.map((x) => x.code)]) node?.release();
    this.first = null;
    this.watched = [];
    this.inputs = [];
  }

  /** What was found since the last await, in reads that have begun; null where nothing was watched. */
  private found<T>(read: (buffer: Buffer) => T): { reads: T[]; report: (codes: readonly Readback[]) => Report } | null {
    const { first, watched, inputs } = this;
    const known = [first, ...inputs.map((x) => x.code)].flatMap((node) => (node?.error ? [] : (node?.buffer ?? [])));
    const whole = first !== null && known.length === inputs.length + 1;
    const found = whole && {
      reads: known.map(read),
      report: (codes: readonly Readback[]) => this.report(watched, inputs, codes),
    };
    this.forget();
    return found || null;
  }

  /** Starts to read what was found since the last await. Never rejects: where the device fails, other reads say so. */
  take(): Promise<Report> | null {
    const found = this.found((buffer) => this.engine.backend.read(buffer, 'int32', 0, 1));
    return found && Promise.all(found.reads).then(found.report, () => ({ status: 0, error: null }));
  }

  /** The same at once, where the backend can. */
  takeSync(): Report | null {
    const found = this.found((buffer) => this.engine.backend.readSync!(buffer, 'int32', 0, 1));
    return found?.report(found.reads) ?? null;
  }

  private report(watched: readonly Watched[], inputs: readonly Looked[], codes: readonly Readback[]): Report {
    const status = codes.find((c) => c.status !== 0)?.status ?? 0;
    const [code = NONE, ...others] = codes.map((c) => Number(c.data[0]));
    inputs.forEach(({ of }, i) => {
      this.known.set(of, others[i] === NONE);
    });
    const culprit = watched[code >> 1];
    if (!culprit) return { status, error: null };
    for (const { node } of watched.slice(code >> 1)) this.known.delete(node);
    this.known.set(culprit.node, false);
    const from = (node: Node): string => showOrigin(node.origin ?? { op: node.label, site: null });
    const earlier = culprit.inputs.find((x) => this.known.get(x) === false);
    const [finite, not] = this.knownFor === 'nan' ? ['free of NaN', 'NaN'] : ['finite', 'not finite'];
    const cause = earlier
      ? `an input was ${not} already, the value of ${from(earlier)}`
      : culprit.numbers
        ? `its inputs were all ${finite}`
        : `a number that it was given is ${not}`;
    const error = new NumericsError(
      `${from(culprit.node)}: the result of shape ${showShape(culprit.shape)} has ${code % 2 === 0 ? 'NaN' : 'infinity'} in it, the first since the ` +
        `last await; ${cause}. Change what it is given; debug({ checkNumerics: 'nan' }) allows infinities`,
    );
    return { status, error };
  }
}
