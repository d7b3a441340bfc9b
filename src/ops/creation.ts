import type { Numbers } from '../backends/backend.ts';
import { ARRAYS, canHold, DTYPES, type DType, integerRange, isDType, isFloating, widthOf } from '../core/dtype.ts';
import { DTypeError, FormatError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { halfRound, halfValue } from '../core/float16.ts';
import { checkShape, type Shape, showShape, sizeOf } from '../core/shape.ts';
import { filling, template } from '../engine/node.ts';
import { add, cast as castExpr, type Expr, eq, index, mul, position, uniform } from '../ir/expr.ts';
import { Device, defaultDevice } from '../tensor/device.ts';
import { fromNode, type Tensor } from '../tensor/tensor.ts';
import { cast, floor, add as plus, mul as times } from './elementwise.ts';
import { randomNormal, randomUniform } from './random.ts';
import { checkOptions, checkTensor, compose, describe, produce } from './record.ts';

/** Options of everything that makes a tensor. */
export interface TensorOptions {
  /** float32 unless given, or what the data suggests. */
  readonly dtype?: DType | undefined;
  /** The default device unless given. */
  readonly device?: Device | undefined;
  /** Record ops on it for `backward`. */
  readonly requiresGrad?: boolean | undefined;
}

/** Numbers or booleans, nested to any depth, of equal lengths at each level. */
export type NestedNumbers = number | boolean | readonly NestedNumbers[];
/** A Float16Array, which not every engine has. */
export interface HalfArray {
  readonly [Symbol.toStringTag]: 'Float16Array';
  readonly length: number;
  readonly [index: number]: number;
}
/** What `tensor` takes. */
export type TensorData =
  | NestedNumbers
  | HalfArray
  | Float32Array
  | Float64Array
  | Int32Array
  | Uint32Array
  | Uint8Array
  | Int8Array
  | Int16Array
  | Uint16Array
  | Uint8ClampedArray;

/** @internal Checks the options of what makes a tensor; the device and dtype they name. */
export function setup(op: string, options: TensorOptions): { device: Device; dtype: DType } {
  checkOptions(op, options, ['dtype', 'device'], ['requiresGrad']);
  const dtype = options.dtype ?? 'float32';
  if (!isDType(dtype)) throw new DTypeError(`${op}: ${describe(dtype)} is no dtype; use ${DTYPES}`);
  if (options.device !== undefined && !(options.device instanceof Device))
    throw new UnsupportedError(`${op}: device must be a Device, as init() and device() give it`);
  return { device: options.device ?? defaultDevice(op), dtype };
}

/** A DTypeError for what is no number where one is needed. */
function checkNumber(op: string, name: string, value: unknown): void {
  if (typeof value !== 'number' || Number.isNaN(value))
    throw new DTypeError(`${op}: ${name} is ${describe(value)}, but it must be a number`);
}

function finish(out: Tensor, options: TensorOptions): Tensor {
  if (options.requiresGrad) out.requiresGrad = true;
  return out;
}

/** The shape of nested arrays, and their elements in order; says where they are ragged. */
function flattenData(data: NestedNumbers): { shape: number[]; flat: number[]; bool: boolean; whole: boolean } {
  const shape: number[] = [];
  for (
    let level: NestedNumbers | undefined = data;
    Array.isArray(level);
    level = (level as readonly NestedNumbers[])[0]
  )
    shape.push(level.length);
  const flat: number[] = [];
  let bools = 0;
  let whole = true;
  const go = (x: NestedNumbers, depth: number, path: string): void => {
    if (Array.isArray(x)) {
      if (depth === shape.length || x.length !== shape[depth])
        throw new FormatError(
          `tensor: ragged data: element ${path || '(all)'} ${depth === shape.length ? 'is an array' : `has length ${x.length}`} where the first ` +
            `has ${depth === shape.length ? 'a number' : `length ${shape[depth]}`}; make all rows equally long`,
        );
      // Holes are visited, too.
      for (let i = 0; i < x.length; i++) go(x[i]!, depth + 1, `${path}[${i}]`);
      return;
    }
    if (depth < shape.length)
      throw new FormatError(
        `tensor: ragged data: element ${path} is a number where the first is an array; make all rows equally deep`,
      );
    if (typeof x === 'boolean') bools++;
    else if (typeof x !== 'number')
      throw new FormatError(`tensor: element ${path || '(all)'} is ${describe(x)}; only numbers and booleans are data`);
    else if (!Number.isInteger(x)) whole = false;
    flat.push(Number(x));
  };
  go(data, 0, '');
  if (bools > 0 && bools < flat.length)
    throw new FormatError('tensor: the data mixes booleans and numbers; use one kind');
  return { shape, flat, bool: bools > 0, whole };
}

/** Elements as the device takes them, checked to fit the dtype. */
function encode(op: string, values: ArrayLike<number>, dtype: DType, float64: boolean): Numbers {
  if (isFloating(dtype) && float64) return Float64Array.from(values);
  if (dtype === 'float16') return Float32Array.from(values, halfRound);
  if (dtype === 'float32') return new Float32Array(values);
  if (dtype === 'bool') return Uint32Array.from(values, (v) => (v !== 0 ? 1 : 0));
  const Type = ARRAYS[dtype];
  for (let i = 0; i < values.length && !(values instanceof Type); i++) {
    const v = values[i]!;
    if (!canHold(dtype, v))
      throw new DTypeError(
        `${op}: element ${i} is ${v}, which ${dtype} cannot hold (${integerRange(dtype)?.join(' to ')}); clean the data or use float32`,
      );
  }
  return Type.from(values);
}

/** Whether a device takes the data as it is. */
const isEncoded = (data: TensorData, dtype: DType): data is Numbers & TensorData =>
  dtype !== 'float16' && dtype !== 'bool' && data?.constructor === ARRAYS[dtype];

const TYPED: readonly [new (n: number) => ArrayLike<number>, DType][] = [
  [Float32Array, 'float32'],
  [Float64Array, 'float32'],
  [Int32Array, 'int32'],
  [Uint32Array, 'uint32'],
  [Uint8Array, 'uint8'],
  [Int8Array, 'int8'],
  [Int16Array, 'int32'],
  [Uint16Array, 'int32'],
  [Uint8ClampedArray, 'uint8'],
];

/** The dtype that a typed array suggests. */
const dtypeOf = (data: TensorData): DType | undefined =>
  (data as HalfArray | null | undefined)?.[Symbol.toStringTag] === 'Float16Array'
    ? 'float16'
    : TYPED.find(([Type]) => data instanceof Type)?.[1];

/**
 * A tensor of the given data, which is copied: a number, nested arrays, or a typed array with an optional shape
 * (`torch.tensor`). The dtype is float32 unless the data is boolean, an integer typed array or a Float16Array, or an option says
 * otherwise; bytes stay bytes, and those of 16 bits become int32.
 *
 * @throws FormatError for ragged arrays, saying where.
 * @throws DTypeError for values that the dtype cannot hold, and for float16 where the device does not have it.
 * @example
 * ```ts
 * const x = tl.tensor([[1, 2], [3, 4]]);
 * const y = tl.tensor(new Int32Array([1, 2, 3, 4]), { shape: [2, 2] });
 * ```
 */
export function tensor(data: TensorData, options: TensorOptions & { readonly shape?: Shape | undefined } = {}): Tensor {
  const { shape: given, ...rest } = options;
  const { device } = setup('tensor', rest);
  const typed = dtypeOf(data);
  if (!typed && typeof data === 'object' && !Array.isArray(data))
    throw new FormatError(`tensor: ${describe(data)} is no data; give numbers, nested arrays or a typed array`);
  const { shape, flat, bool } = typed
    ? { shape: [(data as Float32Array).length], flat: data as ArrayLike<number>, bool: false }
    : flattenData(data as NestedNumbers);
  const dtype = options.dtype ?? typed ?? (bool ? 'bool' : 'float32');
  const to = given ?? shape;
  checkShape('tensor', to);
  if (sizeOf(to) !== flat.length)
    throw new ShapeError(
      `tensor: ${flat.length} elements do not fill the shape ${showShape(to)}, which holds ${sizeOf(to)}`,
    );
  const { engine } = device;
  const float64 = device.backend.precision === 'float64';
  const node =
    (isEncoded(data, dtype) && engine.upload(dtype, data, 'tensor')) ||
    engine.source(dtype, encode('tensor', flat, dtype, float64));
  return finish(fromNode(device, node, to), options);
}

/** A tensor filled by an expression of its coordinates. */
function filled(
  op: string,
  shape: Shape,
  dtype: DType,
  device: Device,
  expr: Expr,
  scalars: readonly (readonly [number, DType])[],
): Tensor {
  checkShape(op, shape);
  const t = template(
    'map',
    expr,
    scalars.map((s) => s[1]),
  );
  return produce(device, op, dtype, shape, {
    template: t,
    space: shape,
    inputs: [],
    scalars: scalars.map((s) => s[0]),
  });
}

function constant(op: string, shape: Shape, value: number | boolean, options: TensorOptions): Tensor {
  const { device } = setup(op, options);
  if (typeof value !== 'number' && typeof value !== 'boolean')
    throw new DTypeError(`${op}: the value is ${describe(value)}, but it must be a number or a boolean`);
  const dtype = options.dtype ?? (typeof value === 'boolean' ? 'bool' : 'float32');
  const [encoded] = encode(op, [Number(value)], dtype, true);
  checkShape(op, shape);
  const operation = { template: filling(dtype), space: shape, inputs: [], scalars: [encoded!] };
  return finish(produce(device, op, dtype, shape, operation), options);
}

/**
 * A tensor of one value (`torch.full`).
 *
 * @throws DTypeError for a value that the dtype cannot hold.
 */
export function full(shape: Shape, value: number | boolean, options: TensorOptions = {}): Tensor {
  return constant('full', shape, value, options);
}

/** Zeros (`torch.zeros`). */
export function zeros(shape: Shape, options: TensorOptions = {}): Tensor {
  return constant('zeros', shape, 0, options);
}

/** Ones (`torch.ones`). */
export function ones(shape: Shape, options: TensorOptions = {}): Tensor {
  return constant('ones', shape, 1, options);
}

/** A tensor whose content is not promised; zeros here (`torch.empty`). */
export function empty(shape: Shape, options: TensorOptions = {}): Tensor {
  return zeros(shape, options);
}

/** Ones on the diagonal of an n x m matrix, zeros elsewhere (`torch.eye`). */
export function eye(n: number, m: number | TensorOptions = n, options: TensorOptions = {}): Tensor {
  const given = typeof m === 'number' ? options : m;
  const { device, dtype } = setup('eye', given);
  return finish(
    filled('eye', [n, typeof m === 'number' ? m : n], dtype, device, castExpr(eq(index(0), index(1)), dtype), []),
    given,
  );
}

/** start, start + step, … up to, not including, end; one number gives 0 to it (`torch.arange`, but float32 by default). */
export function arange(
  start: number,
  end?: number | TensorOptions,
  step: number | TensorOptions = 1,
  options: TensorOptions = {},
): Tensor {
  const given =
    [end, step, options].find(
      (o): o is TensorOptions => typeof o === 'object' && (o === null || Object.keys(o).length > 0),
    ) ?? {};
  const from = typeof end === 'number' ? start : 0;
  const to = typeof end === 'number' ? end : start;
  const by = typeof step === 'number' ? step : 1;
  const { device, dtype } = setup('arange', given);
  for (const x of [start, end, step]) if (typeof x !== 'object' && x !== undefined) checkNumber('arange', 'a bound', x);
  checkNumber('arange', 'the end', to);
  const n = Math.ceil((to - from) / by);
  if (by === 0 || !Number.isFinite(n) || n < 0)
    throw new ShapeError(
      `arange: steps of ${by} do not lead from ${from} to ${to}; the step must point there and not be 0`,
    );
  const base = isFloating(dtype) ? 'float32' : 'int32';
  const expr = castExpr(add(uniform(0, base), mul(castExpr(position, base), uniform(1, base))), dtype);
  return finish(
    filled('arange', [n], dtype, device, expr, [
      [from, base],
      [by, base],
    ]),
    given,
  );
}

/** `steps` numbers from start to end, both included (`torch.linspace`). */
export function linspace(start: number, end: number, steps: number, options: TensorOptions = {}): Tensor {
  const { device, dtype } = setup('linspace', options);
  checkNumber('linspace', 'start', start);
  checkNumber('linspace', 'end', end);
  checkShape('linspace', [steps]);
  // From the host, in double: both ends are exact.
  const gap = steps > 1 ? (end - start) / (steps - 1) : 0;
  const values = Float64Array.from({ length: steps }, (_, i) =>
    i < steps / 2 ? start + i * gap : end - (steps - 1 - i) * gap,
  );
  return finish(
    fromNode(
      device,
      device.engine.source(
        dtype,
        encode('linspace', values, dtype, device.backend.precision === 'float64'),
        'linspace',
      ),
      [steps],
    ),
    options,
  );
}

/** What draws real numbers draws no others. */
function floats(op: string, options: TensorOptions): { device: Device; dtype: DType } {
  const found = setup(op, options);
  if (!isFloating(found.dtype))
    throw new DTypeError(
      `${op}: gives float32 or float16, not ${found.dtype}; convert it with .to('${found.dtype}'), or use randint`,
    );
  return found;
}

/** Uniform in [0, 1) (`torch.rand`): the same bits on every device for the same seed. float32 or float16. */
export function rand(shape: Shape, options: TensorOptions = {}): Tensor {
  const { device, dtype } = floats('rand', options);
  return finish(randomUniform(device, shape, dtype), options);
}

/** Normal with mean 0 and variance 1 (`torch.randn`): equal on all devices to a few units in the last place. float32 or float16. */
export function randn(shape: Shape, options: TensorOptions = {}): Tensor {
  const { device, dtype } = floats('randn', options);
  return finish(randomNormal(device, shape, dtype), options);
}

/** Whole numbers from low up to, not including, high, as int32 (`torch.randint`). */
export function randint(low: number, high: number, shape: Shape, options: TensorOptions = {}): Tensor {
  const { device } = setup('randint', options);
  if (!Number.isInteger(low) || !Number.isInteger(high) || high <= low || high - low > 2 ** 24)
    throw new UnsupportedError(
      `randint: bounds ${low} and ${high} must be whole, the second larger, and at most 2^24 apart`,
    );
  return finish(
    compose('randint', () =>
      cast(plus(floor(times(randomUniform(device, shape), high - low)), low), options.dtype ?? 'int32'),
    ),
    options,
  );
}

/** Options that follow a tensor, which must be alive. */
function like(op: string, x: Tensor, options: TensorOptions, dtype: DType = x.dtype): TensorOptions {
  checkTensor(op, x);
  checkOptions(op, options, ['dtype', 'device'], ['requiresGrad']);
  return { dtype, device: x.device, ...options };
}

/** Zeros of a tensor's shape, dtype and device. */
export const zerosLike = (x: Tensor, options: TensorOptions = {}): Tensor =>
  constant('zerosLike', x?.shape, 0, like('zerosLike', x, options));
/** A tensor of another's shape, dtype and device whose content is not promised; zeros here (`torch.empty_like`). */
export const emptyLike = (x: Tensor, options: TensorOptions = {}): Tensor =>
  constant('emptyLike', x?.shape, 0, like('emptyLike', x, options));
/** Ones of a tensor's shape, dtype and device. */
export const onesLike = (x: Tensor, options: TensorOptions = {}): Tensor =>
  constant('onesLike', x?.shape, 1, like('onesLike', x, options));
/** One value in a tensor's shape, dtype and device. */
export const fullLike = (x: Tensor, value: number, options: TensorOptions = {}): Tensor =>
  constant('fullLike', x?.shape, value, like('fullLike', x, options));
/** The dtype of random floats beside a tensor. */
const floatLike = (x: Tensor): DType => (x?.dtype === 'float16' ? x.dtype : 'float32');
/** Uniform numbers in a tensor's shape, float dtype and device. */
export const randLike = (x: Tensor, options: TensorOptions = {}): Tensor =>
  rand(x?.shape, like('randLike', x, options, floatLike(x)));
/** Normal numbers in a tensor's shape, float dtype and device. */
export const randnLike = (x: Tensor, options: TensorOptions = {}): Tensor =>
  randn(x?.shape, like('randnLike', x, options, floatLike(x)));

/** A tensor over the elements of a typed array of its dtype, with a shape; the bytes are copied. */
export function fromBuffer(
  buffer: ArrayBuffer,
  options: TensorOptions & { readonly shape?: Shape | undefined } = {},
): Tensor {
  if (!(buffer instanceof ArrayBuffer))
    throw new FormatError(
      `fromBuffer: ${describe(buffer)} is no ArrayBuffer; for typed arrays and numbers use tensor()`,
    );
  const { shape: _, ...rest } = options;
  const { dtype } = setup('fromBuffer', rest);
  const size = dtype === 'bool' ? 1 : widthOf(dtype);
  if (buffer.byteLength % size !== 0)
    throw new FormatError(
      `fromBuffer: ${buffer.byteLength} bytes are no whole number of ${dtype} elements of ${size} bytes`,
    );
  const typed =
    dtype === 'float32'
      ? new Float32Array(buffer)
      : dtype === 'float16'
        ? Float32Array.from(new Uint16Array(buffer), halfValue)
        : new (dtype === 'bool' ? Uint8Array : ARRAYS[dtype])(buffer);
  return tensor(typed, { ...options, dtype });
}
