import { checkFlag, checkFunction, checkOptions, describe } from '../core/check.ts';
import { computed, type DType, isFloating, promote, promoteScalar } from '../core/dtype.ts';
import { DeviceError, DTypeError, UnsupportedError } from '../core/errors.ts';
import {
  broadcastShapes,
  broadcastView,
  checkSizes,
  contiguousStrides,
  contiguousView,
  type Shape,
  showShape,
  sizeOf,
  type View,
} from '../core/shape.ts';
import { type Node, type NodeInput, type Template, template, templates } from '../engine/node.ts';
import { checking } from '../engine/origin.ts';
import { cast, type Expr, load, uniform, wide } from '../ir/expr.ts';
import type { Access, ReduceOp } from '../ir/kernel.ts';
import type { Device } from '../tensor/device.ts';
import { internal, tensorsIn } from '../tensor/scope.ts';
import {
  type GradientContext,
  type GradientRule,
  gradEnabled,
  type InputInfo,
  type Saved,
  TapeNode,
} from '../tensor/tape.ts';
import { fromNode, Tensor } from '../tensor/tensor.ts';
import { autocasting } from './autocast.ts';

/** What an op takes where PyTorch takes a tensor or a number. */
export type Operand = Tensor | number;

/** What the reverse pass needs to keep: nothing, the inputs (or some of them), the output, or both. */
export type Saves = 'nothing' | 'inputs' | 'output' | 'both' | readonly number[];

/** The differentiable part of a record. */
export interface Gradient {
  readonly gradient: GradientRule | null;
  readonly saves: Saves;
  /** The rule computes in float32 by itself what comes as float16; others are given float32 in its place. */
  readonly narrow?: boolean;
}

const savesInput = (saves: Saves, i: number): boolean =>
  typeof saves === 'string' ? saves === 'inputs' || saves === 'both' : saves.includes(i);

/** The device of tensors that were checked; they share one. Its queue is flushed where it is long. */
function commonDevice(op: string, inputs: readonly Operand[]): Device {
  let device: Device | null = null;
  for (const x of inputs) {
    if (typeof x === 'number') continue;
    if (device && x.device !== device)
      throw new DeviceError(
        `${op}: the tensors are on two devices, ${device.name} and ${x.device.name}; move one with .to(device)`,
      );
    device = x.device;
  }
  if (!device) throw new UnsupportedError(`${op}: at least one input must be a tensor; make one with tensor()`);
  device.engine.flushIfLong();
  return device;
}

/** Checks the tensors that an op was given, at least one, and finds their device. */
export function deviceOf(op: string, inputs: readonly Tensor[]): Device {
  for (const x of inputs) checkTensor(op, x);
  return commonDevice(op, inputs);
}

/** As `deviceOf`, where numbers may stand for tensors. */
export function deviceOfOperands(op: string, inputs: readonly Operand[]): Device {
  for (const x of inputs) {
    if (typeof x === 'number') continue;
    if (!(x instanceof Tensor))
      throw new UnsupportedError(`${op}: expected a tensor or a number, got ${describe(x)}; make one with tensor()`);
    x.alive(op);
  }
  return commonDevice(op, inputs);
}

/** @internal Throws unless it is a tensor that can be used. */
export function checkTensor(op: string, x: unknown): asserts x is Tensor {
  if (!(x instanceof Tensor))
    throw new UnsupportedError(`${op}: expected a tensor, got ${describe(x)}; make one with tensor()`);
  x.alive(op);
}

/** @internal As `deviceOf`, for what takes an array of tensors. */
export function deviceOfAll(op: string, tensors: readonly Tensor[]): Device {
  if (!Array.isArray(tensors))
    throw new UnsupportedError(`${op}: expected an array of tensors, got ${describe(tensors)}; put them in [ ]`);
  return deviceOf(op, tensors);
}

const saved = (t: Tensor): Saved => ({ node: t.node, view: t.view, tape: t.tape });

/** Puts an op on the tape, if something it read needs a gradient. `output` must be a new handle that nobody has seen. */
export function taped(op: string, record: Gradient, inputs: readonly Operand[], output: Tensor): Tensor {
  if (!gradEnabled() || !record.gradient || !isFloating(output.dtype)) return output;
  if (!inputs.some((x) => typeof x !== 'number' && x.tape !== null)) return output;
  const parents: (TapeNode | null)[] = [];
  const infos: InputInfo[] = [];
  const kept: (Saved | null)[] = [];
  for (let i = 0; i < inputs.length; i++) {
    const x = inputs[i]!;
    const number = typeof x === 'number';
    parents.push(number ? null : x.tape);
    infos.push(number ? { shape: [], dtype: 'float32', scalar: x } : { shape: x.shape, dtype: x.dtype, scalar: null });
    kept.push(!number && savesInput(record.saves, i) ? saved(x) : null);
  }
  const keepsOutput = record.saves === 'output' || record.saves === 'both';
  const node = new TapeNode(
    op,
    record.gradient,
    parents,
    infos,
    kept,
    keepsOutput ? { node: output.node, view: output.view, tape: null } : null,
    record.narrow ?? false,
  );
  output.moveTo(node);
  return output;
}

/** Records an op whose value is a new node. */
export function produce(device: Device, op: string, dtype: DType, shape: Shape, operation: RecordedOperation): Tensor {
  return fromNode(device, recordNode(device, op, dtype, operation), shape);
}

/** An operation as ops give it: what they leave out is empty. */
export interface RecordedOperation {
  readonly template: Template;
  readonly space: Shape;
  readonly inner?: number;
  /** Places of a scatter, columns of a factorisation. */
  readonly k?: number;
  readonly inputs: readonly NodeInput[];
  readonly scalars?: readonly number[];
  /** Elements of the result, where it is not the space without its inner dims. */
  readonly size?: number;
}

const converting = /* @__PURE__ */ templates((from: DType, to: DType) => template('map', cast(load(0, from), to)));

/** As `produce`, without a tensor. What is computed in a wider dtype than that of the result is converted to it. */
export function recordNode(device: Device, op: string, dtype: DType, o: RecordedOperation): Node {
  const inner = o.inner ?? 0;
  const raw = computed(dtype);
  if (raw !== dtype && o.template.expr.dtype === raw) {
    const shape = o.size === undefined ? o.space.slice(0, o.space.length - inner) : [o.size];
    device.engine.checkDType(label(op), dtype);
    const access: Access = { mode: 'direct', strides: contiguousStrides(shape), offset: 0 };
    const inputs = [{ node: recordNode(device, op, raw, o), access }];
    return recordNode(device, op, dtype, {
      template: converting(raw, dtype),
      space: shape,
      inputs,
    });
  }
  const node = device.engine.record(label(op), dtype, {
    template: o.template,
    space: o.space,
    inner,
    size: o.size ?? sizeOf(o.space, o.space.length - inner),
    k: o.k ?? 0,
    inputs: o.inputs,
    scalars: o.scalars ?? [],
  });
  node.watched = composing === null;
  return node;
}

/** An input read at the current point of a space that its shape broadcasts to. */
export function reading(t: Tensor, space: Shape): NodeInput {
  const view = broadcastView(t.view, space);
  return { node: t.node, access: { mode: 'direct', strides: view.strides, offset: view.offset } };
}

/** An input read by strides of its own over a space. */
export function readingBy(t: Tensor, strides: readonly number[], offset: number = t.view.offset): NodeInput {
  return { node: t.node, access: { mode: 'direct', strides, offset } };
}

/** An input read at computed coordinates; `check` is the slot of the op's code, or null to read 0 out of range. */
export function readingAt(t: Tensor, check: number | null): NodeInput {
  const access: Access = { mode: 'indirect', shape: t.shape, strides: t.view.strides, offset: t.view.offset, check };
  return { node: t.node, access };
}

/** A view of a tensor's storage, recorded as an op. */
export function viewed(op: string, x: Tensor, view: View, gradient: GradientRule): Tensor {
  return taped(op, { gradient, saves: 'nothing' }, [x], new Tensor(x.device, x.cell, view, null));
}

let composing: string | null = null;
const label = (op: string): string => composing ?? op;

/**
 * A composed op: its temporaries are never live, and its parts carry its name in plans and errors.
 * The function records on the tape as usual.
 */
export function compose<T>(op: string, fn: () => T): T {
  const before = composing;
  composing ??= op;
  try {
    const out = internal(op, fn);
    if (before === null && checking()) for (const x of tensorsIn(out)) x.node.watched = true;
    return out;
  } finally {
    composing = before;
  }
}

/** @internal Runs a function whose ops are recorded under a name, within another one, too. */
export function recordedAs<T>(name: string, fn: () => T): T {
  const before = composing;
  composing = name;
  try {
    return fn();
  } finally {
    composing = before;
  }
}

/** @internal The op that is being recorded, for the code of an index check. */
export const currentOp = (op: string): string => label(op);

/** Dtype rules: from the operands to the dtype the op computes in. */
export type TypeRule = (op: string, operands: readonly Operand[]) => DType;

/** PyTorch's promotion over tensors, then numbers. */
export const meeting: TypeRule = (op, operands) => {
  let dtype: DType | null = null;
  for (const x of operands) if (typeof x !== 'number') dtype = dtype === null ? x.dtype : promote(op, dtype, x.dtype);
  for (const x of operands) if (typeof x === 'number') dtype = promoteScalar(dtype!, x);
  return dtype!;
};

/** As `meeting`, but int8 and uint8, which are storage, become int32. */
export const promoting: TypeRule = (op, operands) => {
  const dtype = meeting(op, operands);
  return isFloating(dtype) ? dtype : computed(dtype);
};

/** As `promoting`, but integers and bools become float32. */
export const floating: TypeRule = (op, operands) => {
  const dtype = promoting(op, operands);
  return isFloating(dtype) ? dtype : 'float32';
};

/** As `promoting`, but bools are refused. */
export const numeric: TypeRule = (op, operands) => {
  const dtype = promoting(op, operands);
  if (dtype === 'bool')
    throw new DTypeError(`${op}: bool tensors have no ${op}; convert with .to('int32') or use a logical op`);
  return dtype;
};

/** A record of an elementwise op: one scalar expression for every backend, and its gradient in sibling ops. */
export interface Elementwise extends Partial<Gradient> {
  readonly type: TypeRule;
  /** The value, from the operands in the dtype of the type rule; those of float16, int8 and uint8 in a wider one, and converted at the end. */
  readonly lower: (...operands: Expr[]) => Expr;
  readonly gradient: GradientRule | null;
  readonly saves?: Saves;
  /** Under autocast the result is float32 where it would be float16, which holds too little of it. */
  readonly precise?: boolean;
  /** Where the generated tests draw from: one range for all operands, or one for each. */
  readonly sample: readonly [number, number] | readonly (readonly [number, number])[];
  /** Values at which the gradient is a convention, kept out of the generated gradient tests. */
  readonly kinks?: readonly number[];
  /** Operands in the generated tests that are numbers, where the op takes only numbers there. */
  readonly numbers?: readonly (number | null)[];
}

/** An op that carries its record, from which its tests are generated. */
export interface Recorded {
  readonly op: string;
  readonly record: Elementwise;
}
/** An elementwise op of one tensor. */
export type Unary = ((x: Tensor) => Tensor) & Recorded;
/** An elementwise op of two operands that broadcast; at least one of them a tensor. */
export type Binary = ((a: Operand, b: Operand) => Tensor) & Recorded;

/** What the dtypes of operands make of an elementwise op. */
interface Structure {
  readonly type: DType;
  /** Null for a number. */
  readonly operands: readonly (DType | null)[];
  readonly template: Template;
  readonly dtype: DType;
}

function fits({ operands: dtypes }: Structure, operands: readonly Operand[]): boolean {
  for (let i = 0; i < operands.length; i++) {
    const x = operands[i]!;
    if (dtypes[i] !== (typeof x === 'number' ? null : x.dtype)) return false;
  }
  return dtypes.length === operands.length;
}

/** Makes an elementwise op from its record; its type is that of the constant it is assigned to. */
/* @__NO_SIDE_EFFECTS__ */
export function elementwise<F extends Recorded>(op: string, record: Elementwise): F {
  const made: Structure[] = [];
  const structure = (type: DType, operands: readonly Operand[]): Structure => {
    for (const known of made) if (known.type === type && fits(known, operands)) return known;
    const compute = computed(type);
    let loads = 0;
    const scalars: DType[] = [];
    const exprs = operands.map((x) =>
      typeof x === 'number' ? uniform(scalars.push(compute) - 1, compute) : cast(load(loads++, x.dtype), compute),
    );
    const value = record.lower(...exprs);
    const expr = value.dtype === compute ? cast(value, type) : value;
    const operandTypes = operands.map((x) => (typeof x === 'number' ? null : x.dtype));
    const known = { type, operands: operandTypes, template: template('map', expr, scalars), dtype: expr.dtype };
    made.push(known);
    return known;
  };
  const gradient: Gradient = { gradient: record.gradient, saves: record.saves ?? 'nothing' };
  const call = (...operands: Operand[]): Tensor => {
    // A missing operand is as good as undefined, and refused as such.
    while (operands.length < record.lower.length) operands.push(undefined as unknown as Operand);
    const device = deviceOfOperands(op, operands);
    const type = record.type(op, operands);
    const wider = type === 'float16' && record.precise && autocasting();
    const { template: t, dtype } = structure(wider ? 'float32' : type, operands);
    let shape: Shape | null = null;
    for (const x of operands)
      if (typeof x !== 'number') shape = shape === null ? x.shape : broadcastShapes(op, shape, x.shape);
    const inputs: NodeInput[] = [];
    const scalars: number[] = [];
    for (const x of operands) {
      if (typeof x === 'number') scalars.push(x);
      else inputs.push(reading(x, shape!));
    }
    return taped(
      op,
      gradient,
      operands,
      produce(device, op, dtype, shape!, { template: t, space: shape!, inputs, scalars }),
    );
  };
  return Object.assign(call, { op, record }) as unknown as F;
}

/** Records a reduction of an expression over the last `inner` dims of a space; float16 is combined in float32. */
export function reduceNode(
  device: Device,
  op: string,
  reduce: ReduceOp,
  expr: Expr,
  space: Shape,
  inner: number,
  inputs: readonly NodeInput[],
  dtype: DType = expr.dtype,
): Tensor {
  const shape = space.slice(0, space.length - inner);
  return produce(device, op, dtype, shape, {
    template: template('reduce', wide(expr), [], { reduce }),
    space,
    inner,
    inputs,
  });
}

/** A shape that a reshape or creation asks for, with one -1 worked out. */
export function resolveShape(op: string, size: number, wanted: Shape): Shape {
  checkSizes(op, wanted);
  const free = wanted.indexOf(-1);
  if (free < 0) return wanted;
  const rest = sizeOf(wanted.filter((_, i) => i !== free));
  if (rest === 0 || size % rest !== 0 || wanted.lastIndexOf(-1) !== free)
    throw new UnsupportedError(
      `${op}: ${size} elements do not fit into ${showShape(wanted)}; one -1 at most, and the rest must divide them`,
    );
  return wanted.map((d, i) => (i === free ? size / rest : d));
}

export type { GradientContext };
export { checkFlag, checkFunction, checkOptions, contiguousView, describe };
