import type { Numbers } from '../backends/backend.ts';
import { describe } from '../core/check.ts';
import { type DType, isFloating, type TypedArrays } from '../core/dtype.ts';
import { DeviceError, DisposedError, DTypeError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { contiguousView, isContiguous, type Shape, sameShape, showShape, sizeOf, type View } from '../core/shape.ts';
import { copying, type Node, type NodeSlot } from '../engine/node.ts';
import type { TensorMethods } from '../methods/types.ts';
import type { Device } from './device.ts';
import { adopt, Handle } from './scope.ts';
import { TapeNode } from './tape.ts';

/** Storage: what all views of a tensor share. Holds the current node; an in-place update gives it a new one. */
export class Cell implements NodeSlot {
  handles = 0;
  /** Handles that the collector found: in the count of those that in-place ops look at, so that no rule depends on it. */
  collected = 0;
  /** The node whose memory was handed out. */
  private lent: Node | null = null;
  constructor(public node: Node) {
    node.hold();
  }

  /** Keeps the memory of the present node, also when an in-place update replaces it. */
  lend(): void {
    this.node.hold();
    this.lent?.release();
    this.lent = this.node;
  }

  release(): void {
    if (--this.handles > 0) return;
    this.node.release();
    this.lent?.release();
  }
}

/** What the collector leaves behind of a handle that nobody disposed. */
interface Remains {
  readonly cell: Cell;
  readonly tape: TapeNode | null;
  readonly device: Device;
}

const collector = new FinalizationRegistry<Remains>(({ cell, tape, device }) => {
  live--;
  device.engine.collect(() => {
    cell.collected++;
    cell.release();
    tape?.release();
  });
});

let live = 0;
/** Tensors that exist and are not disposed. */
export const liveTensors = (): number => live;

/** The nested arrays that `toArray` gives. */
export type NestedArray = number | boolean | NestedArray[];

const PILE = 10_000;
let loose = 0;
let warned = false;

function warnOfPile(): void {
  if (warned || loose < PILE) return;
  warned = true;
  const site = new Error().stack?.split('\n').slice(4, 8).join('\n') ?? '';
  console.warn(
    `tensorloom: ${PILE} tensors were made outside a scope; without one, ops do not fuse and memory waits for the garbage ` +
      `collector. Wrap the loop body in tidy() or use minimize(). The last one was made here:\n${site}`,
  );
}

/** How many levels and which shape nested arrays have is known from the tensor's shape. */
function nest(flat: ArrayLike<number>, shape: Shape, bool: boolean): NestedArray {
  let at = 0;
  const go = (dim: number): NestedArray => {
    if (dim === shape.length) {
      const v = flat[at++]!;
      return bool ? v !== 0 : v;
    }
    return Array.from({ length: shape[dim]! }, () => go(dim + 1));
  };
  return go(0);
}

/**
 * An array of numbers on a device, as in PyTorch. Ops are recorded and run together when a value is read or the outermost
 * scope ends; the meaning is as if each ran at once.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: methods/ installs the ops of the merged interface
export class Tensor extends Handle {
  /** Sizes of the dimensions. */
  readonly shape: Shape;
  readonly dtype: DType;
  readonly device: Device;
  /** @internal */
  readonly view: View;
  /** @internal */
  readonly cell: Cell;
  private position: TapeNode | null;
  private ended: string | null = null;
  /** The collector watches it: it belongs to no scope, or is only lent. */
  private netted = false;

  /** @internal Takes a place on the storage; use `tensor`, `zeros` and the like instead. */
  constructor(device: Device, cell: Cell, view: View, tape: TapeNode | null) {
    super();
    this.device = device;
    this.cell = cell;
    this.view = view;
    this.shape = view.shape;
    this.dtype = cell.node.dtype;
    this.position = tape;
    cell.handles++;
    tape?.hold();
    live++;
    if (!adopt(this)) {
      this.escape();
      warnOfPile();
    }
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** Number of dimensions. */
  get ndim(): number {
    return this.shape.length;
  }

  /** True once it was disposed. */
  get disposed(): boolean {
    return this.ended !== null;
  }

  /** @internal Where it stands on the tape. */
  get tape(): TapeNode | null {
    return this.position;
  }

  /** @internal Moves it to another place on the tape, after an in-place op. */
  moveTo(tape: TapeNode | null): void {
    tape?.hold();
    this.position?.release();
    this.position = tape;
    if (this.netted) this.net();
  }

  /** @internal The node its storage holds now. */
  get node(): Node {
    return this.cell.node;
  }

  /** True where ops on it are recorded for `backward`. Set it on leaves only. */
  get requiresGrad(): boolean {
    return this.position !== null;
  }

  set requiresGrad(on: boolean) {
    this.alive('requiresGrad');
    if (this.position && !this.position.isLeaf)
      throw new UnsupportedError(
        'requiresGrad: the tensor is the result of an op; set it on a leaf, or take detach() first',
      );
    if (on && !isFloating(this.dtype))
      throw new DTypeError(
        `requiresGrad: only floating tensors have gradients, this one is ${this.dtype}; convert it with .to('float32')`,
      );
    if (on === this.requiresGrad) return;
    this.moveTo(on ? TapeNode.leaf() : null);
  }

  /** True unless it is the result of a recorded op. */
  get isLeaf(): boolean {
    return this.position === null || this.position.isLeaf;
  }

  /** The gradient that `backward` has accumulated, or null. Owned by the tensor. */
  get grad(): Tensor | null {
    return this.position?.leaf?.grad ?? null;
  }

  set grad(value: Tensor | null) {
    const leaf = this.position?.leaf;
    if (!leaf) throw new UnsupportedError('grad: the tensor keeps no gradient; set requiresGrad on a leaf first');
    if (value !== null) {
      if (!(value instanceof Tensor))
        throw new UnsupportedError(`grad: expected a tensor or null, got ${describe(value)}`);
      value.alive('grad');
      if (!sameShape(value.shape, this.shape))
        throw new ShapeError(
          `grad: a gradient of shape ${showShape(value.shape)} does not fit a tensor of shape ${showShape(this.shape)}; they must be equal`,
        );
    }
    if (leaf.grad !== value) leaf.grad?.dispose();
    leaf.grad = value;
  }

  /** @internal Throws DisposedError where the tensor is gone. */
  alive(op: string): void {
    if (this.ended !== null)
      throw new DisposedError(`${op}: a tensor of shape ${showShape(this.shape)} was disposed ${this.ended}`);
    if (this.device.destroyed)
      throw new DeviceError(`${op}: the ${this.device.name} device of this tensor was destroyed`);
  }

  /** Frees the tensor. Using it afterwards is a DisposedError; results computed from it stay. Disposing twice is fine. */
  dispose(): void {
    if (this.ended === null) this.end('by dispose()');
  }

  /** The same as `dispose()`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @internal */
  end(reason: string): void {
    if (this.ended !== null) return;
    this.ended = reason;
    live--;
    this.owner?.delete(this);
    if (this.netted) {
      loose--;
      collector.unregister(this);
    }
    this.cell.release();
    this.position?.release();
  }

  /** @internal It belongs to no scope any more: the collector is the net. */
  escape(): void {
    this.net();
  }

  private net(): void {
    if (this.netted) collector.unregister(this);
    else loose++;
    this.netted = true;
    collector.register(this, { cell: this.cell, tape: this.position, device: this.device }, this);
  }

  /** @internal The elements one after the other: a node and where they start in it. */
  dense(): { node: Node; offset: number } {
    if (isContiguous(this.view)) return { node: this.node, offset: this.view.offset };
    return { node: copyNode(this), offset: 0 };
  }

  /** @internal Elements as the device has them (float64 on a float64 reference device). */
  numbers(op: string): Promise<Numbers> {
    try {
      this.alive(op);
      const { node, offset } = this.dense();
      return this.device.engine.read(node, offset, this.size);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * The elements, row by row, in the typed array of the dtype (int8 and uint8 in an Int8Array and a Uint8Array, bools as 0 and 1 in a Uint8Array,
   * float16 as a Float32Array). Name the dtype where it is not
   * float32: `await labels.data<'int32'>()`.
   */
  async data<D extends DType = 'float32'>(): Promise<TypedArrays[D]> {
    return this.typed(await this.numbers('data')) as TypedArrays[D];
  }

  /** The elements at once. CPU and reference devices only; on WebGPU it throws a DeviceError: use `data()`. */
  dataSync<D extends DType = 'float32'>(): TypedArrays[D] {
    this.alive('dataSync');
    if (!this.device.backend.readSync)
      throw new DeviceError(
        `dataSync: a ${this.device.name} device cannot be read synchronously; use \`await tensor.data()\``,
      );
    const { node, offset } = this.dense();
    return this.typed(this.device.engine.readSync(node, offset, this.size)) as TypedArrays[D];
  }

  private typed(numbers: Numbers): TypedArrays[DType] {
    switch (this.dtype) {
      case 'bool':
        return Uint8Array.from(numbers);
      case 'float32':
      case 'float16':
        return numbers instanceof Float32Array ? numbers : Float32Array.from(numbers);
      default:
        return numbers as Int32Array | Uint32Array | Int8Array | Uint8Array;
    }
  }

  /** The only element, as a number (0 or 1 for bools). */
  async item(): Promise<number> {
    this.alive('item');
    if (this.size !== 1)
      throw new ShapeError(
        `item: the tensor of shape ${showShape(this.shape)} has ${this.size} elements, not one; use data() or toArray()`,
      );
    return Number((await this.numbers('item'))[0]);
  }

  /**
   * The tensor as PyTorch prints it where its elements are known without waiting; else its shape, dtype and device. What is
   * pending is not computed for it. What is computed is known on devices that can be read at once (CPU and reference), and on
   * WebGPU if there are at most 1000 elements that you gave or read before. `format` prints everywhere.
   */
  override toString(): string {
    const state = this.disposed ? ', disposed' : this.requiresGrad ? ', requiresGrad' : '';
    return `Tensor(shape ${showShape(this.shape)}, ${this.dtype}, ${this.device.name}${state})`;
  }

  /** The elements in nested arrays; bools as booleans. A scalar gives its value. */
  async toArray(): Promise<NestedArray> {
    return nest(await this.numbers('toArray'), this.shape, this.dtype === 'bool');
  }
}

// The ops, installed by src/methods; see src/methods/types.ts.
export interface Tensor extends TensorMethods {}

/** A contiguous copy of a tensor's elements. */
function copyNode(t: Tensor): Node {
  return t.device.engine.record('contiguous', t.dtype, {
    template: copying(t.dtype),
    space: t.shape,
    inner: 0,
    k: 0,
    inputs: [{ node: t.node, access: { mode: 'direct', strides: t.view.strides, offset: t.view.offset } }],
    scalars: [],
    size: t.size,
  });
}

/** @internal A tensor over a node of its own. */
export function fromNode(device: Device, node: Node, shape: Shape, tape: TapeNode | null = null): Tensor {
  return new Tensor(device, new Cell(node), contiguousView(shape), tape);
}
