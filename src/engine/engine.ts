import type { Backend, Buffer, Launch, MemoryUse, Numbers, Readback, Upload } from '../backends/backend.ts';
import { bytesOf, type DType, dtypeNumber } from '../core/dtype.ts';
import { DTypeError, IndexError, NumericsError, TensorloomError } from '../core/errors.ts';
import { Numerics, type Report } from './checks.ts';
import type { External, Pending } from './fusion.ts';
import { Node, type NodeSlot, type Operation } from './node.ts';
import { checking, showOrigin, userSite } from './origin.ts';
import { makePlan, type Plan, showPlan } from './plan.ts';
import { Words } from './words.ts';

const PLANS = 256;
const LONGEST_QUEUE = 4096;
const LARGEST_QUEUE_BYTES = 2 ** 30;
/** Nodes of at most so many elements remember them once the host has seen them. */
const SEEN = 1000;

/** An in-place update since the last flush, to take back if the flush fails. */
interface Assignment {
  readonly slot: NodeSlot;
  readonly before: Node;
  readonly after: Node;
}

/** What the device finds out of range or undefined while it computes, and what the next await throws. */
export type Failure = 'index' | 'singular' | 'indefinite' | 'probabilities' | 'infinite';

const FAILURES: Readonly<Record<Failure, (op: string) => TensorloomError>> = {
  index: (op) =>
    new IndexError(
      `${op}: an index or label is out of range; it was found on the device, where reads out of range give 0 and nothing is written. ` +
        'Indices must be at least 0 and less than the size of the dimension they select from',
    ),
  singular: (op) =>
    new NumericsError(
      `${op}: a matrix is singular, so that the result is infinite or NaN; use lstsq or pinv, or add a small multiple of eye() to it`,
    ),
  indefinite: (op) =>
    new NumericsError(
      `${op}: a matrix is not positive definite, so that the result has NaN in it; check that it is symmetric, or add a small multiple of eye() to it`,
    ),
  probabilities: (op) =>
    new NumericsError(
      `${op}: weights are negative or not finite, or fewer of them are above 0 than there are draws; each draw needs a category that it can take`,
    ),
  infinite: (op) =>
    new NumericsError(
      `${op}: the norm is NaN or infinite, because gradients are; lower the learning rate, or find the first such number with ` +
        'debug({ checkNumerics: true })',
    ),
};

/** Counts for benchmarks and tests. */
export interface EngineCounters {
  flushes: number;
  launches: number;
  plans: number;
  planHits: number;
}

/** What a flush did that has to be taken back when the device refuses it. */
interface Undo {
  readonly nodes: readonly Node[];
  readonly donated: { readonly from: Node; readonly to: Node }[];
  readonly assignments: readonly Assignment[];
  /** Externals nobody needs any more; their buffers go back once the flush is sure to have happened. */
  readonly spent: readonly Node[];
}

const appended = (error: unknown, op: string): Error =>
  error instanceof Error ? error : new TensorloomError(`${op}: ${String(error)}`);

const hostElements = (node: Node, offset: number, length: number): Numbers => node.host!.slice(offset, offset + length);

/** What was recorded on a failed value fails with it; the rest of the flush goes on. */
function sound(node: Node): boolean {
  for (const { node: input } of node.operation!.inputs) {
    if (!input.error) continue;
    node.error = input.error;
    node.mark = 0;
    return false;
  }
  return true;
}

/** The queue of a device: records operations, and runs them in flushes. */
export class Engine {
  /** Off: one kernel an operation and no buffer updated in place. */
  fusion = true;
  readonly counters: EngineCounters = { flushes: 0, launches: 0, plans: 0, planHits: 0 };
  private queue: Node[] = [];
  private queuedBytes = 0;
  private assignments: Assignment[] = [];
  private collected: (() => void)[] = [];
  /** The latest plans, by the hashes of their keys. */
  private readonly plans = new Map<number, { readonly key: Float64Array; readonly plan: Plan }>();
  private readonly words = new Words();
  private readonly checks: { readonly op: string; readonly failure: Failure }[] = [];
  /** Ids of the latest buffers that elements were uploaded to, by their bytes, to ask for again. */
  private readonly uploaded = new Map<number, number>();
  private peakBytes = 0;
  /** What the device said of a flush after it was submitted, until somebody awaits. */
  private refused: Error | null = null;
  /** Long queues wait, too. */
  private patient = false;
  /** A status word that was read for printing, for the next await. */
  private unreported = 0;
  private readonly numerics = new Numerics(this);

  constructor(readonly backend: Backend) {}

  /** Records an operation. Its inputs are counted as used until the next flush. */
  record(label: string, dtype: DType, operation: Operation): Node {
    this.checkDType(label, dtype);
    const node = new Node(this, dtype, operation.size, label, operation);
    this.queue.push(node);
    this.queuedBytes += bytesOf(dtype, node.size);
    return node;
  }

  /** A node for elements on the host, which it owns from now on. Uploaded when first needed. */
  source(dtype: DType, host: Numbers, label = 'tensor'): Node {
    this.checkDType(label, dtype);
    const node = new Node(this, dtype, host.length, label, null);
    node.host = host;
    return node;
  }

  /**
   * A node for elements of the caller's, who may change them afterwards: many go to a device that the host has to wait for at once, which
   * spares a copy. Null where they do not, or the device refuses, which whoever needs them will hear of.
   */
  upload(dtype: DType, data: Numbers, label: string): Node | null {
    if (data.length <= SEEN || this.backend.readSync || checking()) return null;
    const node = new Node(this, dtype, data.length, label, null);
    const bytes = bytesOf(dtype, node.size);
    try {
      node.buffer = this.backend.allocate(bytes, this.uploaded.get(bytes));
      this.backend.submit({ uploads: [{ buffer: node.buffer, data }], launches: [] });
    } catch {
      this.free(node);
      return null;
    }
    this.uploaded.set(bytes, node.buffer.id);
    this.peakBytes = Math.max(this.peakBytes, this.backend.memory().bytes);
    return node;
  }

  /** A node over memory of the user's. */
  adopt(dtype: DType, size: number, buffer: Buffer, label: string): Node {
    const node = new Node(this, dtype, size, label, null);
    node.buffer = buffer;
    node.owned = false;
    return node;
  }

  /** The memory of a node, computed or uploaded, which stays there as long as the node is held. */
  async lend(node: Node): Promise<GPUBuffer> {
    const { dtype, size, host } = node;
    if (host) {
      node.buffer = this.backend.allocate(bytesOf(dtype, size));
      this.backend.submit({
        uploads: [{ buffer: node.buffer, data: host, halves: dtype === 'float16' }],
        launches: [],
      });
      node.host = null;
      if (size <= SEEN) node.seen = host;
    }
    const gpu = await this.settled(node, (buffer) => this.backend.sharing!.lend(buffer));
    if (node.error) throw node.error;
    return gpu!;
  }

  /** Refuses a dtype that the device does not store. */
  checkDType(op: string, dtype: DType): void {
    if (dtype === 'float16' && !this.backend.halves)
      throw new DTypeError(
        `${op}: a ${this.backend.name} device without float16 (${this.backend.description}) cannot hold the result; convert with ` +
          ".to('float32') or ask for dtype 'float32', or use a WebGPU device that has the feature shader-f16",
      );
  }

  /** The code that a failed check of the op leaves in the status word. */
  checkCode(op: string, failure: Failure = 'index'): number {
    const caller = showOrigin({ op, site: userSite() });
    const known = this.checks.findIndex((c) => c.op === caller && c.failure === failure);
    return known >= 0 ? known + 1 : this.checks.push({ op: caller, failure });
  }

  /** Notes that a slot moved to a new node, so that a failed flush can put it back. */
  assigned(slot: NodeSlot, before: Node, after: Node): void {
    this.assignments.push({ slot, before, after });
  }

  /** Something the garbage collector found: let go of after the next flush, so that plans do not depend on it. */
  collect(release: () => void): void {
    this.collected.push(release);
  }

  /** Called by a node that nobody holds any more. */
  unheld(node: Node): void {
    if (!node.pending && node.uses === 0) this.free(node);
  }

  private free(node: Node): void {
    if (node.buffer) this.backend.release(node.buffer);
    node.buffer = null;
    node.host = null;
    node.seen = null;
  }

  /** Flushes when the queue has grown past its limits. Only between ops: what an op is recording is not held yet. */
  flushIfLong(): void {
    if (this.patient) return;
    if (this.queue.length >= LONGEST_QUEUE || this.queuedBytes >= LARGEST_QUEUE_BYTES) this.flush();
  }

  /** Runs a function that records to learn shapes: however much it records, nothing of it is computed meanwhile. */
  withoutFlush<T>(fn: () => T): T {
    const before = this.patient;
    this.patient = true;
    try {
      return fn();
    } finally {
      this.patient = before;
    }
  }

  /** Gives every held node its value. */
  flush(): void {
    const queue = this.queue;
    const assignments = this.assignments;
    this.queue = [];
    this.queuedBytes = 0;
    this.assignments = [];
    if (queue.length > 0) {
      this.counters.flushes++;
      const { fusion } = this;
      const nodes = this.numerics.guarded(this.wanted(queue), queue);
      const externals: Node[] = [];
      try {
        // Every result on its own, to look at it.
        this.fusion = fusion && !checking();
        this.run(nodes, externals, assignments);
      } finally {
        this.fusion = fusion;
        for (const node of nodes) node.mark = 0;
        for (const node of externals) node.mark = 0;
        this.revert(assignments);
        this.settle(queue);
      }
    }
    this.letGo();
  }

  /** The nodes of the queue that a held node needs, in program order. */
  private wanted(queue: readonly Node[]): Node[] {
    const nodes: Node[] = [];
    for (let i = queue.length - 1; i >= 0; i--) {
      const node = queue[i]!;
      if (node.holders === 0 && node.mark === 0) continue;
      nodes.push(node);
      for (const { node: input } of node.operation!.inputs) if (input.pending) input.mark = 1;
    }
    return nodes.reverse().filter(sound);
  }

  /** The nodes are computed, failed or forgotten: their inputs are used no more. */
  private settle(queue: readonly Node[]): void {
    for (const node of queue) {
      const { inputs } = node.operation!;
      node.operation = null;
      for (const { node: input } of inputs) {
        if (--input.uses === 0 && input.holders === 0 && !input.pending) this.free(input);
      }
    }
    // Those that lost their last holder while pending.
    for (const node of queue) if (node.holders === 0 && node.uses === 0) this.free(node);
  }

  private letGo(): void {
    const collected = this.collected;
    this.collected = [];
    for (const release of collected) release();
  }

  private run(nodes: readonly Node[], externals: Node[], assignments: readonly Assignment[]): void {
    if (nodes.length === 0) return;
    this.key(nodes, externals);
    const undo: Undo = { nodes, donated: [], assignments, spent: externals.filter((n) => n.holders === 0 && n.owned) };
    const taken: Buffer[] = [];
    try {
      const plan = this.planFor(nodes, externals);
      const take = (place: number, bytes: number): Buffer => {
        const buffer = this.backend.allocate(bytes, plan.had.get(place));
        plan.had.set(place, buffer.id);
        taken.push(buffer);
        return buffer;
      };
      const uploads: Upload[] = [];
      for (let i = 0; i < externals.length; i++) {
        const node = externals[i]!;
        if (node.buffer || !node.host) continue;
        node.buffer = take(~i, bytesOf(node.dtype, node.size));
        uploads.push({ buffer: node.buffer, data: node.host, halves: node.dtype === 'float16' });
      }
      const slots: Buffer[] = [];
      for (const bytes of plan.slots) slots.push(take(slots.length, bytes));
      const launches: Launch[] = [];
      for (const step of plan.steps) {
        const buffers: Buffer[] = [];
        for (const place of step.places) buffers.push(place < 0 ? externals[~place]!.buffer! : slots[place]!);
        const scalars: number[] = [];
        for (const { node, slot } of step.scalars) scalars.push(nodes[node]!.operation!.scalars[slot]!);
        launches.push({ program: step.program, buffers, scalars, label: step.label });
      }
      const later = this.backend.submit({ uploads, launches });
      this.counters.launches += launches.length;
      this.peakBytes = Math.max(this.peakBytes, this.backend.memory().bytes);
      this.give(plan, nodes, externals, slots, undo);
      for (const { buffer } of uploads) taken.splice(taken.indexOf(buffer), 1);
      if (later) this.confirm(later, undo);
    } catch (error) {
      for (const node of externals) if (node.buffer && taken.includes(node.buffer)) node.buffer = null;
      for (const buffer of taken) this.backend.release(buffer);
      this.undo(undo, error);
      throw error;
    }
  }

  /** After a run: live nodes get their buffers, the other slots go back. */
  private give(
    plan: Plan,
    nodes: readonly Node[],
    externals: readonly Node[],
    slots: readonly Buffer[],
    undo: Undo,
  ): void {
    const kept = new Set<number>();
    for (const { node, place } of plan.results) {
      if (place < 0) {
        const from = externals[~place]!;
        nodes[node]!.buffer = from.buffer;
        from.buffer = null;
        undo.donated.push({ from, to: nodes[node]! });
      } else {
        nodes[node]!.buffer = slots[place]!;
        kept.add(place);
      }
    }
    slots.forEach((buffer, i) => {
      if (!kept.has(i)) this.backend.release(buffer);
    });
    for (const node of externals) {
      if (!node.buffer) continue;
      if (node.host && !this.backend.readSync && node.size <= SEEN) node.seen = node.host;
      node.host = null;
    }
  }

  /** Holds what may have to be given back until the device has accepted the flush. */
  private confirm(later: Promise<void>, undo: Undo): void {
    for (const node of undo.spent) node.hold();
    const settled = (): void => {
      for (const node of undo.spent) node.release();
    };
    later.then(settled, (error: unknown) => {
      this.refused = appended(error, undo.nodes[0]?.label ?? 'flush');
      this.undo(undo, error);
      this.revert(undo.assignments);
      settled();
    });
  }

  /** In-place updates whose new value failed did not happen. */
  private revert(assignments: readonly Assignment[]): void {
    for (let i = assignments.length - 1; i >= 0; i--) {
      const { slot, before, after } = assignments[i]!;
      if (!after.error || slot.node !== after) continue;
      before.hold();
      slot.node = before;
      after.release();
    }
  }

  /** Takes a refused flush back: its nodes fail, buffers that passed on return. */
  private undo(undo: Undo, error: unknown): void {
    for (const node of undo.nodes) node.error = appended(error, node.label);
    for (const { from, to } of undo.donated) {
      from.buffer = to.buffer;
      to.buffer = null;
    }
  }

  /** Writes the structure of a flush down. Marks the nodes and collects what they read from outside. */
  private key(nodes: readonly Node[], externals: Node[]): void {
    const { words } = this;
    words.clear();
    words.add(this.fusion ? 1 : 0);
    for (let i = 0; i < nodes.length; i++) {
      const node = nodes[i]!;
      const { template, space, inner, k, inputs } = node.operation!;
      node.mark = i + 1;
      words.add(template.id);
      words.add(node.holders > 0 ? 1 : 0);
      words.addAll(space);
      words.add(inner);
      words.add(k);
      words.add(inputs.length);
      for (const { node: input, access } of inputs) {
        if (input.mark === 0) {
          externals.push(input);
          input.mark = -externals.length;
          words.add(dtypeNumber(input.dtype));
          words.add(input.size);
          words.add(input.holders === 0 && input.owned ? 1 : 0);
        }
        words.add(input.mark);
        words.addAll(access.strides);
        words.add(access.offset);
        if (access.mode === 'direct') words.add(-2);
        else {
          words.add(access.check ?? -1);
          words.addAll(access.shape);
        }
      }
    }
  }

  /** The plan of the structure that was written down. */
  private planFor(nodes: readonly Node[], externals: readonly Node[]): Plan {
    const hash = this.words.hash();
    const known = this.plans.get(hash);
    if (known) this.plans.delete(hash);
    if (known && this.words.equal(known.key)) {
      this.counters.planHits++;
      this.plans.set(hash, known);
      return known.plan;
    }
    this.counters.plans++;
    const plan = this.makePlan(nodes, externals);
    if (this.plans.size >= PLANS) this.plans.delete(this.plans.keys().next().value!);
    this.plans.set(hash, { key: this.words.copy(), plan });
    return plan;
  }

  /** Has every plan made anew, since the backend would make other programs now. */
  forgetPlans(): void {
    this.plans.clear();
  }

  private makePlan(nodes: readonly Node[], externals: readonly Node[]): Plan {
    const pending = nodes.map((node): Pending => {
      const { template, space, inner, k, inputs } = node.operation!;
      return {
        template,
        space,
        inner,
        k,
        inputs: inputs.map(({ node: n, access }) => ({ source: n.mark > 0 ? n.mark - 1 : n.mark, access })),
        dtype: node.dtype,
        live: node.holders > 0,
        label: node.label,
      };
    });
    const outside = externals.map(
      (n): External => ({ dtype: n.dtype, size: n.size, dying: n.holders === 0 && n.owned }),
    );
    return makePlan(
      pending,
      nodes.map((n) => n.size),
      outside,
      this.backend,
      this.fusion,
    );
  }

  /** The plan of what a flush would run now, as text. */
  explain(): string {
    const nodes = this.wanted(this.queue);
    const externals: Node[] = [];
    try {
      this.key(nodes, externals);
      return nodes.length === 0
        ? 'nothing pending: the value is known'
        : showPlan(
            this.makePlan(nodes, externals),
            nodes.map((n) => n.size),
          );
    } finally {
      for (const node of nodes) node.mark = 0;
      for (const node of externals) node.mark = 0;
    }
  }

  /** Elements of a node as of now; computes what is pending. */
  async read(node: Node, offset: number, length: number): Promise<Numbers> {
    // Started before anything is awaited: a read takes its value at the call.
    const found = this.settled(node, (buffer) => this.backend.read(buffer, node.dtype, offset, length));
    const numerics = this.numerics.take();
    const data = found === null ? hostElements(node, offset, length) : this.checked(await found);
    this.raise(await numerics);
    if (found !== null && node.owned && !this.backend.readSync && length === node.size && length <= SEEN)
      node.seen = data.slice();
    return data;
  }

  /**
   * Gives an element of a node by its place, where that takes no waiting and changes nothing: its elements are with the host, or
   * the device can be read at once. Null where they cannot be had like that.
   */
  peek(node: Node): ((place: number) => number) | null {
    const known = node.host ?? node.seen;
    if (known) return (place) => known[place]!;
    const { buffer } = node;
    if (node.pending || node.error || !buffer || !this.backend.readSync) return null;
    return (place) => {
      const { data, status } = this.backend.readSync!(buffer, node.dtype, place, 1);
      this.unreported ||= status;
      return data[0]!;
    };
  }

  /** The same at once, where the backend can. */
  readSync(node: Node, offset: number, length: number): Numbers {
    const found = this.settled(node, (buffer) => this.backend.readSync?.(buffer, node.dtype, offset, length) ?? null);
    const numerics = this.numerics.takeSync();
    const data = found === null ? hostElements(node, offset, length) : this.checked(found);
    this.raise(numerics);
    return data;
  }

  /** Computes a node, which may be nobody else's, and starts reading it; null where its elements are still on the host. */
  private settled<T>(node: Node, read: (buffer: Buffer) => T): T | null {
    node.hold();
    try {
      if (node.pending) this.flush();
      if (node.error) {
        this.refused = null;
        throw node.error;
      }
      return node.host ? null : read(node.buffer!);
    } finally {
      node.release();
    }
  }

  private checked({ data, status }: Readback): Numbers {
    this.check(status);
    return data;
  }

  /** Reports what went wrong since the last await. */
  private check(read: number): void {
    const { refused } = this;
    const status = this.unreported || read;
    this.refused = null;
    this.unreported = 0;
    if (refused) throw refused;
    if (status === 0) return;
    const { op, failure } = this.checks[status - 1] ?? { op: 'an op', failure: 'index' };
    throw FAILURES[failure](op);
  }

  private raise(report: Report | null): void {
    this.check(report?.status ?? 0);
    if (report?.error) throw report.error;
  }

  /** Runs what is pending and waits for the device. */
  async sync(): Promise<void> {
    this.flush();
    const numerics = this.numerics.take();
    this.check(await this.backend.sync());
    this.raise(await numerics);
  }

  memory(): MemoryUse & { readonly peakBytes: number } {
    this.letGo();
    const use = this.backend.memory();
    this.peakBytes = Math.max(this.peakBytes, use.bytes);
    return { ...use, peakBytes: this.peakBytes };
  }
}
