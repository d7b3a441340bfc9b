import type { Buffer, Numbers } from '../backends/backend.ts';
import type { DType } from '../core/dtype.ts';
import type { Shape } from '../core/shape.ts';
import { type Expr, exprKey, load, uniform, walk } from '../ir/expr.ts';
import type { Access, BoundaryKernel, CustomSource, DenseAlgorithm, ScatterOp } from '../ir/kernel.ts';
import type { Engine } from './engine.ts';
import { type Origin, originOf } from './origin.ts';

/**
 * The structure of a recorded operation, shared by all nodes that have it. Loads in `expr` count the node's inputs, uniforms
 * its scalars; indices count the dims of the node's space.
 */
export interface Template extends TemplateParts {
  readonly id: number;
  readonly kind: 'map' | 'reduce' | 'matmul' | BoundaryKernel['kind'];
  /** The value of a map, the summand of a reduction, the key of a sort; otherwise what becomes of the kernel's results. */
  readonly expr: Expr;
  readonly scalars: readonly DType[];
  /** Depends on where it is evaluated, not only on the values it loads. */
  readonly placed: boolean;
  readonly usesPosition: boolean;
  /** A rough price of evaluating the expression once more. */
  readonly cost: number;
}

/** What templates of some kinds have besides their expression. */
export interface TemplateParts {
  /** How a reduction or a scatter combines elements. */
  readonly reduce: ScatterOp | null;
  /** How a scan combines tuples. */
  readonly combine: readonly Expr[];
  /** A scan from the end. */
  readonly reverse: boolean;
  readonly algorithm: DenseAlgorithm | null;
  /** The kernel of a user's own. */
  readonly source: CustomSource | null;
  /** How many dims of a matmul's space are m, and how many n. */
  readonly rows: number;
  readonly columns: number;
  /** The scalar that a scatter or a factorisation puts into the status word where it fails. */
  readonly check: number | null;
}

const PLAIN: TemplateParts = {
  reduce: null,
  combine: [],
  reverse: false,
  algorithm: null,
  source: null,
  rows: 0,
  columns: 0,
  check: null,
};

const PRICE: Partial<Record<Expr['op'], number>> = {
  const: 0,
  uniform: 0,
  load: 1,
  index: 0,
  position: 0,
  result: 0,
  cast: 1,
};
const CHEAP = new Set('neg abs add sub mul max min eq ne lt le and or xor shl shr not select bitcast'.split(' '));

const shared = new Map<string, Template>();

/** The shared template for a structure; equal structures give the same object. */
export function template(
  kind: Template['kind'],
  expr: Expr,
  scalars: readonly DType[] = [],
  given: Partial<TemplateParts> = {},
): Template {
  const parts: TemplateParts = { ...PLAIN, ...given };
  const { reduce, combine, reverse, algorithm, source, rows, columns, check } = parts;
  const key = `${kind} ${reduce} ${reverse} ${algorithm} ${source?.id} ${rows} ${columns} ${check} ${scalars.join(',')} ${exprKey([expr, ...combine])}`;
  const known = shared.get(key);
  if (known) return known;
  let placed = false;
  let usesPosition = false;
  let cost = 0;
  walk([expr], (e) => {
    if (e.op === 'index' || e.op === 'position' || e.op === 'loadAt') placed = true;
    if (e.op === 'position') usesPosition = true;
    cost += PRICE[e.op] ?? (CHEAP.has(e.op) ? 1 : 8);
  });
  const made: Template = { ...parts, id: shared.size, kind, expr, scalars, placed, usesPosition, cost };
  shared.set(key, made);
  return made;
}

/** Templates that depend on a few things only: made once for each, however often they are asked for. */
/* @__NO_SIDE_EFFECTS__ */
export function templates<By extends readonly (string | number | boolean)[]>(
  make: (...by: By) => Template,
): (...by: By) => Template {
  const made = new Map<string, Template>();
  return (...by) => {
    const key = by.join();
    let known = made.get(key);
    if (!known) {
      known = make(...by);
      made.set(key, known);
    }
    return known;
  };
}

/** @internal The value of the only input. */
export const copying: (dtype: DType) => Template = /* @__PURE__ */ templates((dtype: DType) =>
  template('map', load(0, dtype)),
);

/** @internal The only scalar, everywhere. */
export const filling: (dtype: DType) => Template = /* @__PURE__ */ templates((dtype: DType) =>
  template('map', uniform(0, dtype), [dtype]),
);

/** What an operation reads: a node through an access over its own space. */
export interface NodeInput {
  readonly node: Node;
  readonly access: Access;
}

/** The recorded operation of a node that has no value yet. */
export interface Operation {
  readonly template: Template;
  /** Iteration space; the dims that a reduction or a matmul sums over, `inner` of them, come last. */
  readonly space: Shape;
  readonly inner: number;
  /** Places of a scatter, columns of a factorisation. */
  readonly k: number;
  readonly inputs: readonly NodeInput[];
  readonly scalars: readonly number[];
  /** Elements of the result. */
  readonly size: number;
}

/**
 * A value: pending (recorded, not computed), ready (in a buffer, or still with the host), or failed. Its elements are
 * contiguous, in row-major order of its space without the reduced dims. Immutable: an in-place update makes a new node.
 */
export class Node {
  operation: Operation | null;
  /** Elements that were not uploaded yet. */
  host: Numbers | null = null;
  buffer: Buffer | null = null;
  /** Elements that the host has seen, where they are few: for printing where the device cannot be read at once. */
  seen: Numbers | null = null;
  error: Error | null = null;
  /** Storage cells, saved values and reads in progress that need the value. */
  holders = 0;
  /** Pending operations that read it. */
  uses = 0;
  /** False for memory of the user's, which no op writes to. */
  owned = true;
  /** The result of an op, and no temporary of one: what checked mode looks at. */
  watched = false;
  /** In checked mode, where it comes from. */
  readonly origin: Origin | null;
  /** During a flush: 1 + place for a pending node, ~ordinal for an external; else 0. */
  mark = 0;

  constructor(
    readonly engine: Engine,
    readonly dtype: DType,
    readonly size: number,
    readonly label: string,
    operation: Operation | null,
  ) {
    this.operation = operation;
    this.origin = originOf(label);
    if (operation) for (const input of operation.inputs) input.node.uses++;
  }

  get pending(): boolean {
    return this.operation !== null;
  }

  hold(): void {
    this.holders++;
  }

  release(): void {
    if (--this.holders === 0) this.engine.unheld(this);
  }
}

/** What points to a node and may be pointed to another one by an in-place update: a tensor's storage. */
export interface NodeSlot {
  node: Node;
}
