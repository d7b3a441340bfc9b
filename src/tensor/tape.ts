import type { DType } from '../core/dtype.ts';
import { type Shape, sameShape, type View } from '../core/shape.ts';
import type { Node } from '../engine/node.ts';
import { userSite } from '../engine/origin.ts';
import type { Tensor } from './tensor.ts';

/** A value the reverse pass will need: a node through a view, and where it stands on the tape. */
export interface Saved {
  readonly node: Node;
  readonly view: View;
  readonly tape: TapeNode | null;
}

/** What a gradient rule sees. */
export interface GradientContext {
  /** The inputs that the op's record says it saves. An input given as a number is that number: pass it to ops that take numbers. */
  readonly inputs: readonly Tensor[];
  /** The output, where the record says that it saves it. */
  readonly output: Tensor;
  /** Shapes and dtypes of the inputs, saved or not. */
  readonly shapes: readonly Shape[];
  readonly dtypes: readonly DType[];
  /** Which inputs need a gradient; the rule may leave out the others. */
  readonly needs: readonly boolean[];
}

/** The vector-Jacobian product of an op: from the gradient of its output, those of its inputs (null where there is none). */
export type GradientRule = (gradient: Tensor, context: GradientContext) => readonly (Tensor | null)[];

/** What a leaf accumulates into. */
export interface Leaf {
  grad: Tensor | null;
}

/**
 * Called with the gradient of a tensor; may return another one to go on with.
 *
 * @inline
 */
// biome-ignore lint/suspicious/noConfusingVoidType: a hook that only looks returns nothing
export type Hook = (gradient: Tensor) => Tensor | undefined | void;

export interface InputInfo {
  readonly shape: Shape;
  readonly dtype: DType;
  /** A number given in place of a tensor. */
  readonly scalar: number | null;
}

/** Computes again what tape nodes let go of. */
export interface Recomputation {
  /** Counts the tape nodes that rely on it. */
  hold(): void;
  release(): void;
  /** Gives every one of them back what it saved, or another source of it. */
  restore(): void;
  /** From now on it gives to another tape node what it would have given to this one. */
  redirect(from: TapeNode, to: TapeNode): void;
}

let nextId = 1;
let recorders: TapeNode[][] = [];

/** @internal Runs a function and lists the tape nodes that it makes; `apart`, no list from outside gets them. */
export function recordTape<T>(apart: boolean, fn: () => T): { result: T; nodes: TapeNode[] } {
  const before = recorders;
  const nodes: TapeNode[] = [];
  recorders = apart ? [nodes] : [...before, nodes];
  try {
    return { result: fn(), nodes };
  } finally {
    recorders = before;
  }
}

/**
 * An op on the tape, or a leaf. Belongs to the tensors that can be reached from it: when the last one lets go, what it saved
 * goes with it. Refers to nodes and other tape nodes, never to a handle.
 */
export class TapeNode {
  /** Grows with recording: every parent has a smaller one. */
  readonly id: number = nextId++;
  holders = 0;
  hooks: Hook[] | null = null;
  /** For a tensor that is no leaf and yet keeps its gradient. */
  leaf: Leaf | null = null;
  /** In checked mode, the line that called the op. */
  readonly site: string | null = userSite();
  private released = false;
  private source: Recomputation | null = null;

  constructor(
    readonly label: string,
    readonly rule: GradientRule | null,
    readonly parents: readonly (TapeNode | null)[],
    readonly inputs: readonly InputInfo[],
    private saved: readonly (Saved | null)[],
    private output: Saved | null,
    private readonly narrow: boolean = false,
  ) {
    for (let i = 0; i < parents.length; i++) parents[i]?.hold();
    for (const s of saved) s?.node.hold();
    output?.node.hold();
    for (const nodes of recorders) nodes.push(this);
  }

  static leaf(): TapeNode {
    const tape = new TapeNode('leaf', null, [], [], [], null);
    tape.leaf = { grad: null };
    return tape;
  }

  get isLeaf(): boolean {
    return this.rule === null;
  }

  /** False once `backward` has used it up. */
  get usable(): boolean {
    return !this.released;
  }

  savedInput(i: number): Saved | null {
    this.regain();
    return this.saved[i] ?? null;
  }

  savedOutput(): Saved | null {
    this.regain();
    return this.output;
  }

  /** Lets go of what it saved until somebody asks for it; what it read of leaves outside stays, for they hold it anyway. */
  lend(source: Recomputation, inside: ReadonlySet<TapeNode>): void {
    if (this.released || (!this.source && !this.output && this.saved.every((s) => s === null))) return;
    source.hold();
    const outside = (s: Saved | null): boolean => s?.tape?.isLeaf === true && !inside.has(s.tape);
    const kept = this.saved.map((s) => (outside(s) ? s : null));
    for (const s of kept) s?.node.hold();
    this.drop();
    this.saved = kept;
    this.source = source;
  }

  /** Could the other be the same op, run again? */
  resembles(other: TapeNode): boolean {
    return (
      this.label === other.label &&
      this.inputs.length === other.inputs.length &&
      this.inputs.every(({ shape, dtype }, i) => {
        const x = other.inputs[i];
        return x !== undefined && x.dtype === dtype && sameShape(x.shape, shape);
      })
    );
  }

  /** Takes over what the same op saved when it ran again; false where it read a leaf that has changed. */
  adopt(again: TapeNode): boolean {
    if (this.released) return true;
    if (this.saved.some((s, i) => s && s.node !== again.saved[i]?.node)) return false;
    const saved = again.saved.map((s, i) => s && { ...s, tape: this.parents[i] ?? null });
    const { output, source } = again;
    for (const s of saved) s?.node.hold();
    output?.node.hold();
    source?.hold();
    source?.redirect(again, this);
    this.drop();
    this.saved = saved;
    this.output = output;
    this.source = source;
    return true;
  }

  private regain(): void {
    while (this.source) this.source.restore();
  }

  private drop(): void {
    for (const s of this.saved) s?.node.release();
    this.output?.node.release();
    this.source?.release();
    this.saved = [];
    this.output = null;
    this.source = null;
  }

  /** The rule looks at float16 values and computes with them: it is to be given float32 in their place. */
  get widens(): boolean {
    const half = (s: Saved | null): boolean => s?.node.dtype === 'float16';
    return !this.narrow && (half(this.output) || this.saved.some(half));
  }

  hold(): void {
    this.holders++;
  }

  release(): void {
    // A loop, not recursion: tapes are deep.
    const stack: TapeNode[] = [this];
    while (stack.length > 0) {
      const tape = stack.pop()!;
      if (--tape.holders > 0) continue;
      tape.forget();
      tape.leaf?.grad?.dispose();
      for (const p of tape.parents) if (p) stack.push(p);
    }
  }

  /** Lets go of what was saved; the tape itself stays. */
  forget(): void {
    if (this.released || this.rule === null) return;
    this.released = true;
    this.drop();
  }
}

let enabled = true;

/** True where ops are recorded for `backward`. */
export const gradEnabled = (): boolean => enabled;

/** Runs a function with recording switched on or off. */
export function withGrad<T>(on: boolean, fn: () => T): T {
  const before = enabled;
  enabled = on;
  try {
    return fn();
  } finally {
    enabled = before;
  }
}
