import { sizeOf } from '../../core/shape.ts';
import { coalesce, foldBatch, groups, regroup } from '../../ir/coalesce.ts';
import { load, rewrite } from '../../ir/expr.ts';
import {
  extent,
  type Input,
  type LoopKernel,
  type MatmulKernel,
  matmulAsReduction,
  matmulDims,
  outerSpace,
} from '../../ir/kernel.ts';
import { type Block, Cut } from './cut.ts';
import { emitEdge, emitMacro, emitMicro, emitPack, emitPackByTables, type Tile, UNROLL } from './gemm.ts';
import type { Heap } from './heap.ts';
import { LoopProgram, type Modules, type Run, type Runnable } from './program.ts';

/** Steps of k, rows of A and columns of B that are packed at a time: a panel of B for L1, A's block for L2. */
const KC = 320;
const MC = 96;
const NC = 512;
const COLUMNS = 8;
/** Products of fewer multiplications than this, or thin in one dim, run as loops over dot products. */
const SMALL = 2048;
const THIN = 4;
/** Rows of A that do not pay for packing rows of B that are contiguous already. */
const SKINNY = 16;
/** Rows and columns that are few enough for batch dims to become rows and columns, too. */
const FEW_ROWS = 24;
const FEW_COLUMNS = 128;
/** Batches of products whose elements are fewer than this get one epilogue, not one each. */
const TOGETHER = 1 << 16;

const ceil = (n: number, to: number): number => Math.ceil(n / to) * to;

interface Kernels {
  readonly packA: Run;
  readonly packB: Run;
  readonly macro: Run;
}

/** The modules that pack and multiply, one for each height of the tile, compiled when first needed. */
export class GemmKernels {
  private readonly made = new Map<number, Kernels>();

  constructor(readonly modules: Modules) {}

  /**
   * Rows of the tile for a product of m rows. Fused sums leave registers for six rows (60 against 53 GFLOP/s where mul and add
   * reach 45); without them six rows spill on older V8.
   */
  height(m: number): number {
    return this.modules.fused && ceil(m, 6) <= 1.12 * ceil(m, 4) ? 6 : 4;
  }

  /** The function that packs panels of so many lanes from tables of offsets. */
  packByTables(width: number): Run {
    return this.modules.shared(`pack ${width}`, () => [emitPackByTables(width)]).packByTables!;
  }

  kernels(rows: number): Kernels {
    let made = this.made.get(rows);
    if (!made) {
      const tile: Tile = { rows, columns: COLUMNS, fused: this.modules.fused };
      const functions = [
        emitMicro(tile),
        emitEdge(tile),
        emitMacro(tile, 0, 1),
        emitPack('packA', rows),
        emitPack('packB', COLUMNS),
      ];
      made = this.modules.compile(functions) as unknown as Kernels;
      this.made.set(rows, made);
    }
    return made;
  }
}

/** An operand: its strides over the batch dims, its rows or columns (`lanes`), and k. */
interface Operand {
  readonly binding: number;
  readonly offset: number;
  readonly batch: readonly number[];
  readonly lanes: readonly number[];
  readonly k: readonly number[];
}

/** A matmul kernel that is ready to run. */
export class MatmulProgram implements Runnable {
  readonly scratch: number;
  private readonly run: Runnable;

  constructor(gemm: GemmKernels, kernel: MatmulKernel) {
    const folded = foldBatch(coalesce(kernel), FEW_ROWS, FEW_COLUMNS);
    const { m, n, k } = matmulDims(folded);
    const sizes = [m, n, k].map((dims) => extent(folded.space, dims));
    const thin = sizes.some((size) => size < THIN) || sizeOf(sizes) < SMALL;
    this.run = thin
      ? new LoopProgram(gemm.modules, coalesce(matmulAsReduction(folded)), { rowPosition: true })
      : new Gemm(gemm, folded);
    this.scratch = this.run.scratch;
  }

  launch(heap: Heap, addresses: readonly number[], scalars: readonly number[], scratch: number): void {
    this.run.launch(heap, addresses, scalars, scratch);
  }
}

/** Packs blocks of an operand: by steps where they are the same throughout a block, otherwise by tables of offsets. */
class Packing {
  /** Elements from one lane to the next, and from one k to the next; null where they differ. */
  readonly laneStep: number | null;
  readonly kStep: number | null;
  /** Places of the tables of lanes and of k, by the points of a block. */
  private readonly laneTables = new Map<number, number>();
  private readonly kTables = new Map<number, number>();

  constructor(
    readonly of: Operand,
    lanes: Cut,
    k: Cut,
    private readonly width: number,
    private readonly gemm: GemmKernels,
    tables: number[],
  ) {
    this.laneStep = lanes.step(of.lanes);
    this.kStep = k.step(of.k);
    if (this.bySteps) return;
    const table = (cut: Cut, strides: readonly number[], width: number, places: Map<number, number>): void => {
      for (const { points } of [cut.block(0), cut.block(cut.count - 1)]) {
        if (places.has(points)) continue;
        places.set(points, 4 * tables.length);
        tables.push(...cut.offsets(strides, points, width).map((offset) => 4 * offset));
      }
    };
    table(lanes, of.lanes, width, this.laneTables);
    table(k, of.k, 1, this.kTables);
  }

  private get bySteps(): boolean {
    return this.laneStep !== null && this.kStep !== null;
  }

  /** The address of a block's first element. */
  from(start: number, lanes: Block, k: Block): number {
    return start + 4 * (dot(lanes.start, this.of.lanes) + dot(k.start, this.of.k));
  }

  pack(packBySteps: Run, to: number, from: number, lanes: Block, k: Block, tables: number): void {
    if (this.bySteps) packBySteps(to, from, 4 * this.laneStep!, 4 * this.kStep!, lanes.points, k.points);
    else {
      const laneTable = tables + this.laneTables.get(lanes.points)!;
      const kTable = tables + this.kTables.get(k.points)!;
      this.gemm.packByTables(this.width)(to, from, laneTable, kTable, Math.ceil(lanes.points / this.width), k.points);
    }
  }
}

const dot = (at: readonly number[], strides: readonly number[]): number =>
  at.reduce((sum, c, d) => sum + c * strides[d]!, 0);

class Gemm implements Runnable {
  readonly scratch: number;
  /** Dims of the space that are batch, rows of A and columns of B, and their blocks. */
  private readonly dims: {
    readonly batch: readonly number[];
    readonly m: readonly number[];
    readonly n: readonly number[];
  };
  private readonly batches: readonly number[];
  private readonly mCut: Cut;
  private readonly nCut: Cut;
  private readonly kCut: Cut;
  private readonly a: Packing;
  private readonly b: Packing;
  /** Rows of the tile. */
  private readonly rows: number;
  /** Where products go: straight into the only output, or into scratch for the epilogue. */
  private readonly output: {
    readonly binding: number;
    readonly offset: number;
    readonly strides: readonly number[];
    /** Elements from one row to the next. */
    readonly row: number;
  } | null;
  private readonly epilogue: Epilogue | null;
  /** All batches before one epilogue. */
  private readonly together: boolean;
  private readonly unpackedB: boolean;
  /** Offsets of rows, columns and k, in bytes. */
  private readonly tables: Int32Array;
  /** Byte offsets of the parts of the scratch memory. */
  private readonly tablesAt: number;
  private readonly packedA: number;
  private readonly packedB: number;
  private readonly products: number;

  constructor(
    private readonly gemm: GemmKernels,
    kernel: MatmulKernel,
  ) {
    const { space } = kernel;
    const { batch, m, n, k } = matmulDims(kernel);
    const [first] = kernel.outputs;
    const plain = kernel.outputs.length === 1 && first!.expr.op === 'result';
    // An output that is stored by columns: the transposed product is stored by rows.
    const swap = plain && first!.strides[m.at(-1)!] === 1 && first!.strides[n.at(-1)!] !== 1;
    this.dims = swap ? { batch, m: n, n: m } : { batch, m, n };
    const of = (dims: readonly number[], list: readonly number[]): number[] => dims.map((d) => list[d]!);
    const [mSizes, nSizes] = [of(this.dims.m, space), of(this.dims.n, space)];
    this.batches = of(batch, space);
    this.rows = gemm.height(sizeOf(mSizes));
    this.mCut = new Cut(mSizes, MC, this.rows);
    this.nCut = new Cut(nSizes, NC, COLUMNS);
    this.kCut = new Cut(of(k, space), KC, UNROLL);
    const operand = (input: Input, lanes: readonly number[]): Operand => {
      const { access } = input;
      if (access.mode !== 'direct') throw new Error('matmul operands are read directly');
      const { strides, offset } = access;
      return {
        binding: input.binding,
        offset,
        batch: of(batch, strides),
        lanes: of(lanes, strides),
        k: of(k, strides),
      };
    };
    const [left, right] = swap ? [1, 0] : [0, 1];
    const tables: number[] = [];
    const packing = (i: number, lanes: readonly number[], cut: Cut, width: number): Packing =>
      new Packing(operand(kernel.inputs[i]!, lanes), cut, this.kCut, width, gemm, tables);
    this.a = packing(left, this.dims.m, this.mCut, this.rows);
    this.b = packing(right, this.dims.n, this.nCut, COLUMNS);
    this.tables = Int32Array.from(tables);

    const row = plain ? this.mCut.step(of(this.dims.m, first!.strides)) : null;
    const column = plain ? this.nCut.step(of(this.dims.n, first!.strides)) : null;
    const { rows, mCut, nCut, kCut } = this;
    this.output = row !== null && column === 1 ? { ...first!, row } : null;
    this.unpackedB = sizeOf(mSizes) <= SKINNY && this.b.laneStep === 1 && this.b.kStep !== null;
    // Products of all rows of an item lie below one another.
    const affine = nCut.count === 1 && (mCut.count === 1 || mSizes.length === 1);
    this.together = !this.output && affine && sizeOf(this.batches) > 1 && sizeOf(outerSpace(kernel)) <= TOGETHER;
    const stripes = ceil(mCut.points, rows) * (kCut.count === 1 && !this.together ? 1 : mCut.count);
    const across = ceil(nCut.points, COLUMNS);
    this.epilogue = this.output
      ? null
      : new Epilogue(gemm.modules, kernel, this.dims, mCut, nCut, across, this.together ? stripes * across : 0);
    this.tablesAt = ceil(this.epilogue?.scratch ?? 0, 64);
    const depth = ceil(kCut.points, UNROLL);
    this.packedA = ceil(this.tablesAt + 4 * tables.length, 64);
    this.packedB = this.packedA + ceil(mCut.points, rows) * depth * 4;
    this.products = this.packedB + across * depth * 4;
    this.scratch =
      this.products +
      4 * (this.output ? rows * COLUMNS : stripes * across * (this.together ? sizeOf(this.batches) : 1));
  }

  launch(heap: Heap, addresses: readonly number[], scalars: readonly number[], scratch: number): void {
    const { batches, output, epilogue, rows: height, a, b, mCut, nCut, kCut, together } = this;
    const { packA, packB, macro } = this.gemm.kernels(height);
    const start = ({ of }: Packing): number => addresses[of.binding]! + 4 * of.offset;
    const [aBytes, bBytes] = [start(a), start(b)];
    const [tables, packedA, packedB, products] = [
      scratch + this.tablesAt,
      scratch + this.packedA,
      scratch + this.packedB,
      scratch + this.products,
    ];
    heap.i32.set(this.tables, tables / 4);
    const rowLength = ceil(nCut.points, COLUMNS);
    const stripe = ceil(mCut.points, height) * rowLength * 4;
    const apart = together || kCut.count > 1;
    const at = new Array<number>(batches.length).fill(0);
    // What lies in the packed memory already.
    let hasA = '';
    let hasB = '';
    for (let item = 0; item < sizeOf(batches); item++) {
      const [aItem, bItem] = [aBytes + 4 * dot(at, a.of.batch), bBytes + 4 * dot(at, b.of.batch)];
      for (let j = 0; j < nCut.count; j++) {
        const columns = nCut.block(j);
        for (let p = 0; p < kCut.count; p++) {
          const depth = kCut.block(p);
          const turns = ceil(depth.points, UNROLL);
          const fromB = b.from(bItem, columns, depth);
          // Zeros of A times what follows the last row of B would not be 0 where that is no number.
          const asItIs = this.unpackedB && depth.points === turns;
          if (!asItIs && hasB !== `${fromB} ${p} ${j}`) {
            b.pack(packB, packedB, fromB, columns, depth, tables);
            hasB = `${fromB} ${p} ${j}`;
          }
          const [rowsOfB, bStep, bPanel] = asItIs
            ? [fromB, 4 * b.kStep!, 4 * COLUMNS]
            : [packedB, 4 * COLUMNS, 4 * COLUMNS * turns];
          for (let i = 0; i < mCut.count; i++) {
            const rows = mCut.block(i);
            const fromA = a.from(aItem, rows, depth);
            if (hasA !== `${fromA} ${p} ${i}`) a.pack(packA, packedA, fromA, rows, depth, tables);
            hasA = `${fromA} ${p} ${i}`;
            const add = p > 0 ? 1 : 0;
            if (output) {
              const offset = output.offset + this.offset(output.strides, at, rows, columns);
              const to = addresses[output.binding]! + 4 * offset;
              macro(
                packedA,
                rowsOfB,
                to,
                4 * output.row,
                turns,
                rows.points,
                columns.points,
                add,
                products,
                bStep,
                bPanel,
              );
              continue;
            }
            const whole = [ceil(rows.points, height), ceil(columns.points, COLUMNS)] as const;
            const to = products + (apart ? i : 0) * stripe + (together ? item * mCut.count * stripe : 0);
            macro(packedA, rowsOfB, to, 4 * rowLength, turns, ...whole, add, 0, bStep, bPanel);
            if (p + 1 < kCut.count || together) continue;
            epilogue!.launch(heap, [...addresses, to], scalars, scratch, { at, rows, columns });
          }
        }
      }
      for (let d = batches.length - 1; d >= 0 && ++at[d]! === batches[d]; d--) at[d] = 0;
    }
    if (together) epilogue!.launch(heap, [...addresses, products], scalars, scratch);
  }

  /** Elements from the start of something that is walked over the space to a block. */
  private offset(strides: readonly number[], at: readonly number[], rows: Block, columns: Block): number {
    const { batch, m, n } = this.dims;
    let sum = 0;
    for (const [d, c] of at.entries()) sum += c * strides[batch[d]!]!;
    for (const [d, c] of rows.start.entries()) sum += c * strides[m[d]!]!;
    for (const [d, c] of columns.start.entries()) sum += c * strides[n[d]!]!;
    return sum;
  }
}

/** The outputs of a product as a map over blocks of the space, which reads the products from scratch by a binding of its own. */
class Epilogue {
  readonly scratch: number;
  private readonly program: LoopProgram;
  /** Elements from a product to the next one, over the space. */
  private readonly strides: readonly number[];
  /** Dims of the space that are one dim of the program. */
  private readonly groups: readonly (readonly number[])[];

  constructor(
    modules: Modules,
    { inputs, outputs, ...kernel }: MatmulKernel,
    private readonly dims: {
      readonly batch: readonly number[];
      readonly m: readonly number[];
      readonly n: readonly number[];
    },
    mCut: Cut,
    nCut: Cut,
    across: number,
    item: number,
  ) {
    const { batch, m, n } = dims;
    const space = outerSpace({ ...kernel, inputs, outputs });
    const strides = space.map(() => 0);
    batch.forEach((d, i) => {
      strides[d] = item * sizeOf(batch.slice(i + 1).map((x) => space[x]!));
    });
    mCut.packed().forEach((s, i) => {
      strides[m[i]!] = s * across;
    });
    nCut.packed().forEach((s, i) => {
      strides[n[i]!] = s;
    });
    const exprs = rewrite(
      outputs.map((o) => o.expr),
      (e) => (e.op === 'result' ? load(inputs.length, 'float32') : undefined),
    );
    const products: Input = {
      dtype: 'float32',
      binding: kernel.bindings,
      access: { mode: 'direct', strides, offset: 0 },
    };
    const map: LoopKernel = {
      kind: 'map',
      space,
      inner: 0,
      // The operands are not read.
      inputs: [...inputs.map((x, i) => (i < 2 ? products : x)), products],
      reductions: [],
      outputs: outputs.map((o, i) => ({ ...o, level: 'element' as const, expr: exprs[i]! })),
      scalars: kernel.scalars,
      bindings: kernel.bindings + 1,
    };
    // A block is a box over the groups, too, where they hold no dim that it takes a single place of.
    const breaks = [...batch, m[0]!, n[0]!, ...m.slice(0, mCut.dim + 1), ...n.slice(0, nCut.dim + 1)];
    this.groups = groups(map, breaks);
    this.strides = strides;
    this.program = new LoopProgram(modules, regroup(map, this.groups), { fixed: true });
    this.scratch = this.program.scratch;
  }

  /** Over the whole space, or a block of it, whose first product lies at the last address. */
  launch(
    heap: Heap,
    addresses: readonly number[],
    scalars: readonly number[],
    scratch: number,
    block?: { readonly at: readonly number[]; readonly rows: Block; readonly columns: Block },
  ): void {
    if (!block) {
      this.program.launch(heap, addresses, scalars, scratch);
      return;
    }
    const { batch, m, n } = this.dims;
    const { at, rows, columns } = block;
    const start: number[] = [];
    const size: number[] = [];
    batch.forEach((d, i) => {
      start[d] = at[i]!;
      size[d] = 1;
    });
    for (const [dims, { start: starts, sizes }] of [
      [m, rows],
      [n, columns],
    ] as const)
      dims.forEach((d, i) => {
        start[d] = starts[i]!;
        size[d] = sizes[i]!;
      });
    // Products are addressed over the whole space.
    const origin = addresses.at(-1)! - 4 * dot(start, this.strides);
    const box = {
      start: this.groups.map((g) => start[g[0]!]! * sizeOf(g.slice(1).map((d) => size[d]!))),
      size: this.groups.map((g) => sizeOf(g.map((d) => size[d]!))),
    };
    this.program.launch(heap, [...addresses.slice(0, -1), origin], scalars, scratch, box);
  }
}
