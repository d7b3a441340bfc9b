import type { Shape } from '../core/shape.ts';
import { type NodeInput, type Template, template } from '../engine/node.ts';
import * as s from '../ir/expr.ts';
import { internal } from '../tensor/scope.ts';
import { type GradientRule, gradEnabled, withGrad } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { zeros } from './creation.ts';
import { add, cast, gt, mul, relu, sigmoid, sub, tanh } from './elementwise.ts';
import { where } from './functions.ts';
import { cat, mostJoined, stack } from './joins.ts';
import { matmul } from './matmul.ts';
import { compose, deviceOf, produce, reading, taped } from './record.ts';
import { type Sample, type Samples, sample } from './samples.ts';
import { expand, narrow, reshape, select, slice, split, sum, transpose } from './structure.ts';

/*
 * Recurrent layers as one op on the tape: a loop over time forward, and one back, whose steps are a matrix product and a map each.
 * What is linear in the steps (the gradient of the weight, and that of the projected input) is computed after the loop, over all
 * steps at once. Formulas are written once, for expressions, of which the kernels are made, and for tensors, which can be
 * differentiated again.
 */

/** The arithmetic of expressions or of tensors. */
interface Algebra<X> {
  add(a: X | number, b: X | number): X;
  sub(a: X | number, b: X | number): X;
  mul(a: X | number, b: X | number): X;
  sigmoid(x: X): X;
  tanh(x: X): X;
  relu(x: X): X;
  /** `y` where `x` is above 0, and 0 elsewhere. */
  whereAbove(x: X, y: X): X;
}

const expressions: Algebra<s.Expr> = {
  add: (a, b) => s.add(a, b),
  sub: (a, b) => s.sub(a, b),
  mul: (a, b) => s.mul(a, b),
  sigmoid: (x) => sigmoid.record.lower(x),
  tanh: (x) => s.tanh(x),
  relu: (x) => s.max(x, 0),
  whereAbove: (x, y) => s.select(s.lt(0, x), y, 0),
};

const tensors: Algebra<Tensor> = {
  add: (a, b) => add(a, b),
  sub: (a, b) => sub(a, b),
  mul: (a, b) => mul(a, b),
  sigmoid: (x) => sigmoid(x),
  tanh: (x) => tanh(x),
  relu: (x) => relu(x),
  whereAbove: (x, y) => where(gt(x, 0), y, 0),
};

/** What the formulas of a step see. A part of a gate is one of as many equal pieces of a row as there are gates. */
interface Step<X> {
  /** Gates, after their activation. */
  readonly gates: readonly X[];
  /** The parts of the projected input. */
  readonly input: readonly X[];
  /** The hidden state before the step, and the cell state. */
  readonly h: X;
  readonly c?: X | undefined;
  /** What the step's stages gave so far. */
  readonly made: readonly X[];
  /** Gradients of the hidden state after the step, and of the cell state. */
  readonly dh?: X | undefined;
  readonly dc?: X | undefined;
}

/** A kind of cell. */
interface Cell {
  readonly op: string;
  /** Parts of the rows of the weight. */
  readonly gates: number;
  /** It has a cell state besides the hidden one: what its first stage gives. */
  readonly stateful: boolean;
  /** For each gate, its activation from the projected input and the product with the hidden state. */
  activate<X>(m: Algebra<X>, input: X, product: X): X[];
  /** What follows from the gates, one after the other; the last one, or the only gate, is the hidden state. */
  readonly stages: readonly (<X>(m: Algebra<X>, step: Step<X>) => X)[];
  /** Gradients: of the product with the hidden state, part by part, and then others. */
  back<X>(m: Algebra<X>, step: Step<X>): X[];
  /** How many gradients `back` gives, and which of them belong to the projected input. */
  readonly lanes: number;
  readonly inputLanes: readonly number[];
}

/** The derivative of the logistic function from its value. */
const slope = <X>(m: Algebra<X>, y: X): X => m.mul(y, m.sub(1, y));
/** That of the hyperbolic tangent. */
const tanhSlope = <X>(m: Algebra<X>, y: X): X => m.sub(1, m.mul(y, y));

const simple = (op: string, activation: 'tanh' | 'relu'): Cell => ({
  op,
  gates: 1,
  stateful: false,
  activate: (m, input, product) => [m[activation](m.add(input, product))],
  stages: [],
  back: (m, { gates: [y], dh }) => [activation === 'tanh' ? m.mul(dh!, tanhSlope(m, y!)) : m.whereAbove(y!, dh!)],
  lanes: 1,
  inputLanes: [0],
});

/** Hochreiter and Schmidhuber, "Long short-term memory", 1997, with forget gates. Gates: input, forget, cell, output. */
const lstm: Cell = {
  op: 'lstm',
  gates: 4,
  stateful: true,
  activate: (m, input, product) => {
    const z = m.add(input, product);
    const gate = m.sigmoid(z);
    return [gate, gate, m.tanh(z), gate];
  },
  stages: [
    (m, { gates: [i, f, g], c }) => m.add(m.mul(f!, c!), m.mul(i!, g!)),
    (m, { made: [after] }) => m.tanh(after!),
    (m, { gates, made }) => m.mul(gates[3]!, made[1]!),
  ],
  back: (m, { gates: [i, f, g, o], c, made: [, t], dh, dc }) => {
    const d = m.add(dc!, m.mul(m.mul(dh!, o!), tanhSlope(m, t!)));
    return [
      m.mul(m.mul(d, g!), slope(m, i!)),
      m.mul(m.mul(d, c!), slope(m, f!)),
      m.mul(m.mul(d, i!), tanhSlope(m, g!)),
      m.mul(m.mul(dh!, t!), slope(m, o!)),
      m.mul(d, f!),
    ];
  },
  lanes: 5,
  inputLanes: [0, 1, 2, 3],
};

/** Cho et al., "Learning phrase representations", 2014, with the reset gate after the product. Gates: reset, update, new. */
const gru: Cell = {
  op: 'gru',
  gates: 3,
  stateful: false,
  activate: (m, input, product) => {
    const gate = m.sigmoid(m.add(input, product));
    return [gate, gate, product];
  },
  stages: [
    (m, { gates: [r, , n], input }) => m.tanh(m.add(input[2]!, m.mul(r!, n!))),
    (m, { gates: [, z], h, made: [n] }) => m.add(n!, m.mul(z!, m.sub(h, n!))),
  ],
  back: (m, { gates: [r, z, p], h, made: [n], dh }) => {
    const dn = m.mul(m.mul(dh!, m.sub(1, z!)), tanhSlope(m, n!));
    return [
      m.mul(m.mul(dn, p!), slope(m, r!)),
      m.mul(m.mul(dh!, m.sub(h, n!)), slope(m, z!)),
      m.mul(dn, r!),
      dn,
      m.mul(dh!, z!),
    ];
  },
  lanes: 5,
  inputLanes: [0, 1, 3],
};

const cells: Readonly<Record<CellKind, Cell>> = {
  tanh: simple('rnnTanh', 'tanh'),
  relu: simple('rnnRelu', 'relu'),
  lstm,
  gru,
};

/** @internal The kinds of recurrence. */
export type CellKind = 'tanh' | 'relu' | 'lstm' | 'gru';

/** @internal Parts of the rows of a weight: as many times the size of the hidden state. */
export const gatesOf = (kind: CellKind): number => cells[kind].gates;

const hiddenOf = ({ gates, made }: Kept): Tensor => made.at(-1) ?? gates;

/** What the backward pass needs of a step. */
interface Kept {
  /** [B, gates * H]. */
  readonly gates: Tensor;
  /** What each stage gave, [B, H]. */
  readonly made: readonly Tensor[];
}

/** The gates of a row, part by part. */
const partsOf = (cell: Cell, row: Tensor): Tensor[] => split(row, row.shape[1]! / cell.gates, 1);

/** How a step is computed: in kernels of its own, or from ops. */
interface Manner {
  /** [B, gates * H], from the projected input and the product with the hidden state. */
  activate(cell: Cell, input: Tensor, product: Tensor): Tensor;
  /** A stage, [B, H]. */
  stage(cell: Cell, stage: number, step: Step<Tensor>): Tensor;
  /** All gradients that `back` gives, [B, lanes, H]. */
  back(cell: Cell, step: Step<Tensor>): Tensor;
}

const composed: Manner = {
  activate: (cell, input, product) => {
    const found = cell.activate(tensors, input, product);
    return cat(
      found.map((gate, k) => partsOf(cell, gate)[k]!),
      1,
    );
  },
  stage: (cell, stage, step) => cell.stages[stage]!(tensors, step),
  back: (cell, step) => stack(cell.back(tensors, step), 1),
};

/** A formula over the values of a step, as a kernel: which of the values it loads. */
interface Formula {
  readonly template: Template;
  readonly used: readonly number[];
}

const formulas = new Map<string, Formula>();

/** The values of a step, each at a fixed place of the list. */
const listed = <X>({ gates, input, h, c, dh, dc, made }: Step<X>): (X | undefined)[] => [
  ...gates,
  ...input,
  h,
  c,
  dh,
  dc,
  ...made,
];

/** An expression of the values of a step, built once for all steps of its kind. */
function formula(key: string, like: Step<Tensor>, build: (step: Step<s.Expr>) => s.Expr): Formula {
  const known = formulas.get(key);
  if (known) return known;
  let places = 0;
  const next = (): s.Expr => s.load(places++, 'float32');
  const optional = (x: Tensor | undefined): s.Expr | undefined => {
    const e = next();
    return x && e;
  };
  const expr = build({
    gates: like.gates.map(next),
    input: like.input.map(next),
    h: next(),
    c: optional(like.c),
    dh: optional(like.dh),
    dc: optional(like.dc),
    made: like.made.map(next),
  });
  const used: number[] = [];
  s.walk([expr], (e) => {
    if (e.op === 'load' && !used.includes(e.value)) used.push(e.value);
  });
  const [renumbered] = s.rewrite([expr], (e) => (e.op === 'load' ? s.load(used.indexOf(e.value), e.dtype) : undefined));
  const made = { template: template('map', renumbered!), used };
  formulas.set(key, made);
  return made;
}

/** The first alternative whose bound is above the coordinate in dim 1, or the last one. */
function chosen(alternatives: readonly s.Expr[], bound: (k: number) => s.Expr): s.Expr {
  let head = alternatives.at(-1)!;
  let expr = head;
  for (let k = alternatives.length - 2; k >= 0; k--) {
    if (alternatives[k] === head) continue;
    head = alternatives[k]!;
    expr = s.select(s.lt(s.index(1), bound(k)), head, expr);
  }
  return expr;
}

const activations = new Map<string, Template>();

const fused: Manner = {
  activate: (cell, input, product) => {
    let known = activations.get(cell.op);
    if (!known) {
      const found = cell.activate(expressions, s.load(0, 'float32'), s.load(1, 'float32'));
      const expr = chosen(found, (k) => s.uniform(k, 'int32'));
      known = template(
        'map',
        expr,
        found.map(() => 'int32'),
      );
      activations.set(cell.op, known);
    }
    const space = product.shape;
    const size = space[1]! / cell.gates;
    return produce(deviceOf(cell.op, [product]), cell.op, 'float32', space, {
      template: known,
      space,
      inputs: [reading(input, space), reading(product, space)],
      scalars: Array.from({ length: cell.gates }, (_, k) => (k + 1) * size),
    });
  },
  stage: (cell, stage, step) => {
    const { template, used } = formula(`${cell.op} ${stage}`, step, (e) => cell.stages[stage]!(expressions, e));
    const values = listed(step);
    const space = step.h.shape;
    return produce(deviceOf(cell.op, [step.h]), cell.op, 'float32', space, {
      template,
      space,
      inputs: used.map((i) => reading(values[i]!, space)),
    });
  },
  back: (cell, step) => {
    const { template, used } = formula(`${cell.op} back`, step, (e) =>
      chosen(cell.back(expressions, e), (k) => s.constant(k + 1, 'int32')),
    );
    const values = listed(step);
    const [batch, size] = step.h.shape as [number, number];
    const space = [batch, cell.lanes, size];
    const over = ({ node, view }: Tensor): NodeInput => ({
      node,
      access: { mode: 'direct', strides: [view.strides[0]!, 0, view.strides[1]!], offset: view.offset },
    });
    return produce(deviceOf(cell.op, [step.h]), cell.op, 'float32', space, {
      template,
      space,
      inputs: used.map((i) => over(values[i]!)),
    });
  },
};

/** How many parts a tensor is cut into at a time: the gradients of the parts are put together by as many. */
const ROW = 7;

/** Tensors of one shape along a new first dim, in levels of a few at a time, so that the time stays linear in their number. */
function stacked(parts: readonly Tensor[]): Tensor {
  const most = mostJoined(deviceOf('stack', parts));
  const out = withGrad(false, () => level(parts, most));
  return taped('stack', { gradient: unstacked, saves: 'nothing' }, parts, out);
}

function level(parts: readonly Tensor[], most: number): Tensor {
  const { length: n } = parts;
  if (n <= most) return stack(parts);
  // Groups of one size: the last one is filled up with its last tensor, which is cut off again.
  const size = Math.ceil(n / Math.ceil(n / most));
  const groups = Array.from({ length: Math.ceil(n / size) }, (_, g) =>
    stack(Array.from({ length: size }, (_, i) => parts[Math.min(g * size + i, n - 1)]!)),
  );
  return slice(reshape(level(groups, most), [groups.length * size, ...parts[0]!.shape]), 0, 0, n);
}

/** The tensors along the first dim: views, cut in levels, so that their gradients are put together in levels, too. */
function unstacked(x: Tensor): Tensor[] {
  const n = x.shape[0]!;
  if (n === 1) return [reshape(x, x.shape.slice(1))];
  return split(x, Math.ceil(n / ROW)).flatMap(unstacked);
}

/** What the loop over time reads; the steps of `input` in the order in which they are taken. */
interface Given {
  readonly input: readonly Tensor[];
  readonly weight: Tensor;
  readonly h: Tensor;
  readonly c: Tensor | undefined;
  readonly bias: Tensor | undefined;
}

/** The loop forward. Without `keep` only states stay. */
function forward(
  cell: Cell,
  how: Manner,
  given: Given,
  keep: boolean,
): { kept: Kept[]; states: Tensor[]; c: Tensor | undefined } {
  const transposed = transpose(given.weight, 0, 1);
  let { h, c } = given;
  const kept: Kept[] = [];
  const states: Tensor[] = [];
  for (const input of given.input) {
    const step = internal(cell.op, () => {
      const product = matmul(h, transposed);
      const gates = how.activate(cell, input, given.bias ? add(product, given.bias) : product);
      const made: Tensor[] = [];
      const seen = { gates: partsOf(cell, gates), input: partsOf(cell, input), h, c };
      for (const stage of cell.stages.keys()) made.push(how.stage(cell, stage, { ...seen, made }));
      const after = { gates, made };
      return { kept: keep ? after : null, h: hiddenOf(after), c: cell.stateful ? made[0] : undefined };
    });
    if (!keep && c !== given.c) c?.dispose();
    h = step.h;
    c = step.c;
    states.push(h);
    if (step.kept) kept.push(step.kept);
  }
  return { kept, states, c };
}

/** The loop back. Gives the gradients of what is needed of input, weight, hidden state, cell state and bias. */
function backward(
  cell: Cell,
  how: Manner,
  g: Tensor,
  output: Tensor,
  given: Given,
  kept: readonly Kept[],
  reverse: boolean,
  needs: readonly boolean[],
): (Tensor | null)[] {
  const steps = kept.length;
  const [batch, size] = given.h.shape as [number, number];
  const width = cell.gates * size;
  const timeOf = (step: number): number => (reverse ? steps - 1 - step : step);
  const gradients = unstacked(g);
  /** What `back` gave, by time. */
  const lanes: Tensor[] = new Array(steps);
  const last = (x: Tensor): Tensor => select(x, 1, cell.lanes - 1);
  /** The gradient of the hidden state before a step: the last lane is that of the cell state, or a part of it. */
  const before = (x: Tensor): Tensor => {
    const product = matmul(reshape(narrow(x, 1, 0, cell.gates), [batch, width]), given.weight);
    return cell.stateful || cell.lanes === cell.gates ? product : add(product, last(x));
  };
  let dc = cell.stateful ? gradients[steps] : undefined;
  for (let k = steps - 1; k >= 0; k--) {
    const { gates, made } = kept[k]!;
    const earlier = kept[k - 1];
    const own = gradients[timeOf(k)]!;
    const found = internal(cell.op, () =>
      how.back(cell, {
        gates: partsOf(cell, gates),
        input: [],
        h: earlier ? hiddenOf(earlier) : given.h,
        c: cell.stateful ? (earlier?.made[0] ?? given.c) : undefined,
        made,
        dh: k < steps - 1 ? add(before(lanes[timeOf(k + 1)]!), own) : own,
        dc,
      }),
    );
    lanes[timeOf(k)] = found;
    if (cell.stateful) dc = last(found);
  }
  const all = stacked(lanes);
  const product = reshape(narrow(all, 2, 0, cell.gates), [steps, batch, width]);
  const inputGradient = (): Tensor => {
    if (cell.inputLanes.every((lane, k) => lane === k)) return product;
    const parts = cell.inputLanes.map((lane) => narrow(all, 2, lane, 1));
    return reshape(cat(parts, 2), [steps, batch, width]);
  };
  const weightGradient = (): Tensor => {
    const rows = (x: Tensor): Tensor => reshape(x, [-1, x.shape.at(-1)!]);
    const outer = (x: Tensor, h: Tensor): Tensor => matmul(transpose(rows(x), 0, 1), rows(h));
    const first = outer(select(product, 0, timeOf(0)), given.h);
    if (steps === 1) return first;
    const [later, earlier] = reverse ? [0, 1] : [1, 0];
    return add(outer(narrow(product, 0, later, steps - 1), narrow(output, 0, earlier, steps - 1)), first);
  };
  const first = lanes[timeOf(0)]!;
  const found = [inputGradient, weightGradient, () => before(first)];
  if (cell.stateful) found.push(() => last(first));
  if (given.bias) found.push(() => sum(product, { dim: [0, 1] }));
  return found.map((gradient, i) => (needs[i] ? gradient() : null));
}

/**
 * States in the order of time, and then the cell state after the last step, in one tensor: what stands on the tape. The operands are
 * the projected input, the weight, the hidden state at the start, the cell state, and the bias, as far as there are any.
 */
function sequence(cell: Cell, operands: readonly Tensor[], biased: boolean, reverse: boolean): Tensor {
  const n = operands.length;
  const steps = operands[0]!.shape[0]!;
  const inOrder = <T>(list: readonly T[]): readonly T[] => (reverse ? [...list].reverse() : list);
  const givenOf = (read: readonly Tensor[]): Given => ({
    input: inOrder(unstacked(read[0]!)),
    weight: read[1]!,
    h: read[2]!,
    c: cell.stateful ? read[3] : undefined,
    bias: biased ? read[n - 1] : undefined,
  });
  const keep = gradEnabled() && operands.some((x) => x.requiresGrad);
  const { kept, states } = withGrad(false, () => {
    const { c, ...made } = forward(cell, fused, givenOf(operands), keep);
    return { ...made, states: stacked([...inOrder(made.states), ...(c ? [c] : [])]) };
  });
  const gradient: GradientRule = (g, { inputs, output, needs }) => {
    const given = givenOf(inputs);
    // Of higher order, the steps are made of ops.
    if (gradEnabled()) {
      const again = forward(cell, composed, given, true).kept;
      return backward(cell, composed, g, output, given, again, reverse, needs);
    }
    const size = 1 + cell.stages.length;
    const saved = Array.from({ length: steps }, (_, k): Kept => {
      const [gates, ...made] = inputs.slice(n + k * size, n + (k + 1) * size);
      return { gates: gates!, made };
    });
    return backward(cell, fused, g, output, given, saved, reverse, needs);
  };
  const saved = kept.flatMap(({ gates, made }) => [gates, ...made]);
  const inputs = [...operands, ...saved];
  return taped(cell.op, { gradient, saves: 'both' }, inputs, states);
}

/** @internal Options of `recurrence`. */
export interface RecurrenceOptions {
  /** The hidden state at the start, [B, H]; zeros unless given. */
  readonly h?: Tensor | undefined;
  /** The cell state of an LSTM at the start, [B, H]; zeros unless given. */
  readonly c?: Tensor | undefined;
  /** Added to the product with the hidden state, [gates * H]. */
  readonly bias?: Tensor | null | undefined;
  /** From the last time to the first. */
  readonly reverse?: boolean | undefined;
}

/** @internal What `recurrence` gives. */
export interface Recurrence {
  /** The hidden states in the order of time, [T, B, H]. */
  readonly states: Tensor;
  /** The hidden state after the last step, and the cell state of an LSTM, [B, H]. */
  readonly h: Tensor;
  readonly c: Tensor | undefined;
}

/**
 * @internal The hidden states of a recurrent layer in one direction, from the projected input [T, B, gates * H] with its bias, and the
 * weight [gates * H, H] of the hidden state. Everything is checked before.
 */
export function recurrence(kind: CellKind, input: Tensor, weight: Tensor, options: RecurrenceOptions = {}): Recurrence {
  const cell = cells[kind];
  const { bias, reverse = false } = options;
  return compose(cell.op, () => {
    const raised = (x: Tensor): Tensor => (x.dtype === 'float16' ? cast(x, 'float32') : x);
    const [steps, batch] = input.shape as [number, number];
    const start = (x: Tensor | undefined): Tensor =>
      x ? raised(x) : expand(zeros([], { device: input.device }), [batch, weight.shape[1]!]);
    const operands = [raised(input), raised(weight), start(options.h)];
    if (cell.stateful) operands.push(start(options.c));
    if (bias) operands.push(raised(bias));
    const states = cast(sequence(cell, operands, bias != null, reverse), input.dtype);
    return {
      states: narrow(states, 0, 0, steps),
      h: select(states, 0, reverse ? 0 : steps - 1),
      c: cell.stateful ? select(states, 0, steps) : undefined,
    };
  });
}

const recurred =
  (
    kind: CellKind,
    options: Omit<RecurrenceOptions, 'h' | 'c' | 'bias'> = {},
  ): ((input: Tensor, weight: Tensor, h?: Tensor, c?: Tensor, bias?: Tensor) => Tensor[]) =>
  (input, weight, h, c, bias) => {
    const found = recurrence(kind, input, weight, { ...options, h, c, bias });
    return [found.states, found.h, ...(found.c ? [found.c] : [])];
  };

/** Calls for the generated tests. */
export const samples = (): Samples => {
  const shapes = (kind: CellKind, steps: number, batch: number, size: number): Shape[] => [
    [steps, batch, gatesOf(kind) * size],
    [gatesOf(kind) * size, size],
  ];
  const plain = (kind: CellKind, steps: number, batch: number, size: number, reverse: boolean): Sample =>
    sample(shapes(kind, steps, batch, size), recurred(kind, { reverse }));
  return {
    rnnTanh: { calls: [plain('tanh', 9, 1, 2, false), plain('tanh', 2, 2, 3, true)] },
    rnnRelu: { calls: [sample([...shapes('relu', 2, 2, 3), [2, 3]], recurred('relu'))] },
    lstm: {
      calls: [
        sample([...shapes('lstm', 3, 2, 3), [2, 3], [2, 3]], recurred('lstm')),
        plain('lstm', 2, 3, 2, true),
        plain('lstm', 1, 1, 1, false),
      ],
    },
    gru: {
      calls: [
        sample([...shapes('gru', 3, 2, 3), [2, 3], [9]], (input, weight, h, bias) =>
          recurred('gru')(input!, weight!, h, undefined, bias),
        ),
        plain('gru', 2, 3, 2, true),
      ],
    },
  };
};
