import type { DType } from '../core/dtype.ts';
import type { Shape, View } from '../core/shape.ts';
import type { Node } from '../engine/node.ts';
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
export type Hook = (gradient: Tensor) => Tensor | undefined;

export interface InputInfo {
  readonly shape: Shape;
  readonly dtype: DType;
  /** A number given in place of a tensor. */
  readonly scalar: number | null;
}

let nextId = 1;

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
  private released = false;

  constructor(
    readonly label: string,
    readonly rule: GradientRule | null,
    readonly parents: readonly (TapeNode | null)[],
    readonly inputs: readonly InputInfo[],
    private saved: readonly (Saved | null)[],
    private output: Saved | null,
    private readonly narrow: boolean = false,
  ) {
    for (const p of parents) p?.hold();
    for (const s of saved) s?.node.hold();
    output?.node.hold();
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
    return this.saved[i] ?? null;
  }

  savedOutput(): Saved | null {
    return this.output;
  }

  /** The rule looks at float16 values and computes with them: it is to be given float32 in their place. */
  get widens(): boolean {
    return !this.narrow && [...this.saved, this.output].some((s) => s?.node.dtype === 'float16');
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
    for (const s of this.saved) s?.node.release();
    this.output?.node.release();
    this.saved = [];
    this.output = null;
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
