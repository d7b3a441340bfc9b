import { sizeOf } from '../../core/shape.ts';
import { type Expr, load, rewrite, walk } from '../../ir/expr.ts';
import { expressions, type Input, type LoopKernel, type MatmulKernel, type Output } from '../../ir/kernel.ts';
import { emitEdge, emitMacro, emitMicro, emitPack, type Tile, UNROLL } from './gemm.ts';
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

/** Strides of an operand: over the batch dims, its rows or columns (`lane`), and k. */
interface Operand {
  readonly binding: number;
  readonly offset: number;
  readonly batch: readonly number[];
  readonly lane: number;
  readonly k: number;
}

function operand(input: Input, rank: number, left: boolean): Operand {
  const { access } = input;
  if (access.mode !== 'direct') throw new Error('matmul operands are read directly');
  const batch = access.strides.slice(0, rank - 2);
  const [first, second] = [access.strides[rank - 2]!, access.strides[rank - 1]!];
  const [lane, k] = left ? [first, second] : [second, first];
  return { binding: input.binding, offset: access.offset, batch, lane, k };
}

/** A product as a reduction over k: for what is too small or too thin for packing. */
function asReduction(kernel: MatmulKernel): LoopKernel {
  const rank = kernel.space.length;
  const inputs = kernel.inputs.map((input, i): Input => {
    const { access } = input;
    if (access.mode !== 'direct') return input;
    const last = access.strides[rank - 1]!;
    const batch = access.strides.slice(0, rank - 2);
    const before = access.strides[rank - 2]!;
    const strides =
      i === 0 ? [...batch, before, 0, last] : i === 1 ? [...batch, 0, last, before] : [...access.strides, 0];
    return { ...input, access: { ...access, strides } };
  });
  const product: Expr = { op: 'mul', dtype: 'float32', args: [load(0, 'float32'), load(1, 'float32')], value: 0 };
  return {
    kind: 'reduce',
    space: [...kernel.space, kernel.k],
    inner: 1,
    inputs,
    reductions: [{ op: 'sum', expr: product }],
    outputs: kernel.outputs.map((o): Output => ({ ...o, level: 'row' })),
    scalars: kernel.scalars,
    bindings: kernel.bindings,
  };
}

/** Merges batch dims that every operand passes through as one, into each other and into the rows of A. */
function mergeBatch(kernel: MatmulKernel): MatmulKernel {
  let usesIndex = false;
  walk(expressions(kernel), (e) => {
    usesIndex ||= e.op === 'index';
  });
  if (usesIndex) return kernel;
  let merged = kernel;
  for (let d = kernel.space.length - 3; d >= 0; d--) {
    const { space } = merged;
    const intoRows = d === space.length - 3;
    const strides = [
      ...merged.inputs.map((x) => (x.access.mode === 'direct' ? x.access.strides : null)),
      ...merged.outputs.map((o) => o.strides),
    ];
    const fits = (s: readonly number[] | null, i: number): boolean => {
      if (s === null || space[d] === 1) return true;
      // B has no rows.
      if (intoRows && i === 1) return s[d] === 0;
      return space[d + 1] === 1 || s[d] === s[d + 1]! * space[d + 1]!;
    };
    if (!strides.every(fits)) continue;
    const drop = (s: readonly number[], n: number): number[] =>
      s.filter((_, i) => i !== (space[d + 1] === 1 && !(intoRows && n === 1) ? d + 1 : d));
    merged = {
      ...merged,
      space: [...space.slice(0, d), space[d]! * space[d + 1]!, ...space.slice(d + 2)],
      inputs: merged.inputs.map(
        (x, i): Input =>
          x.access.mode === 'direct' ? { ...x, access: { ...x.access, strides: drop(x.access.strides, i) } } : x,
      ),
      outputs: merged.outputs.map((o) => ({ ...o, strides: drop(o.strides, -1) })),
    };
  }
  return merged;
}

/** A matmul kernel that is ready to run. */
export class MatmulProgram implements Runnable {
  readonly scratch: number;
  private readonly run: Runnable;

  constructor(gemm: GemmKernels, kernel: MatmulKernel) {
    const merged = mergeBatch(kernel);
    const [m, n] = merged.space.slice(-2) as [number, number];
    const thin = m < THIN || n < THIN || merged.k < THIN || m * n * merged.k < SMALL;
    this.run = thin
      ? new LoopProgram(gemm.modules, asReduction(merged), { rowPosition: true })
      : new Gemm(gemm, merged);
    this.scratch = this.run.scratch;
  }

  launch(heap: Heap, addresses: readonly number[], scalars: readonly number[], scratch: number): void {
    this.run.launch(heap, addresses, scalars, scratch);
  }
}

class Gemm implements Runnable {
  readonly scratch: number;
  private readonly m: number;
  private readonly n: number;
  /** Steps of k that are packed at a time. */
  private readonly depth: number;
  /** Rows of the tile. */
  private readonly rows: number;
  private readonly batches: readonly number[];
  private readonly a: Operand;
  private readonly b: Operand;
  /** Where products go: straight into the only output, or into scratch for the epilogue. */
  private readonly output: {
    readonly binding: number;
    readonly offset: number;
    readonly batch: readonly number[];
    readonly row: number;
  } | null;
  private readonly epilogue: LoopProgram | null;
  /** All batches before one epilogue. */
  private readonly together: boolean;
  private readonly unpackedB: boolean;
  /** Byte offsets of the parts of the scratch memory. */
  private readonly packedA: number;
  private readonly packedB: number;
  private readonly products: number;

  constructor(
    private readonly gemm: GemmKernels,
    private readonly kernel: MatmulKernel,
  ) {
    const rank = kernel.space.length;
    this.batches = kernel.space.slice(0, rank - 2);
    [this.m, this.n] = kernel.space.slice(-2) as [number, number];
    this.a = operand(kernel.inputs[0]!, rank, true);
    this.b = operand(kernel.inputs[1]!, rank, false);
    const [first] = kernel.outputs;
    const plain = kernel.outputs.length === 1 && first!.expr.op === 'result';
    const [down, across] = plain ? [first!.strides[rank - 2]!, first!.strides[rank - 1]!] : [0, 0];
    if (plain && down === 1 && across !== 1) {
      // An output that is stored by columns: the transposed product is stored by rows.
      [this.m, this.n] = [this.n, this.m];
      [this.a, this.b] = [this.b, this.a];
    }
    const direct = plain && (down === 1 || across === 1);
    this.output = direct
      ? {
          binding: first!.binding,
          offset: first!.offset,
          batch: first!.strides.slice(0, rank - 2),
          row: across === 1 ? down : across,
        }
      : null;
    const { m, n } = this;
    this.rows = gemm.height(m);
    this.unpackedB = m <= SKINNY && this.b.lane === 1;
    const { rows } = this;
    this.together = !direct && sizeOf(this.batches) > 1 && sizeOf(kernel.space) <= TOGETHER;
    const stripes = kernel.k <= KC && !this.together ? Math.min(m, MC) : m;
    const across8 = ceil(Math.min(n, NC), COLUMNS);
    this.depth = ceil(Math.ceil(kernel.k / Math.ceil(kernel.k / KC)), UNROLL);
    const productBytes = direct
      ? rows * COLUMNS * 4
      : ceil(stripes, this.rows) * across8 * 4 * (this.together ? sizeOf(this.batches) : 1);
    this.epilogue = direct
      ? null
      : new LoopProgram(gemm.modules, this.epilogueKernel(stripes, across8), { fixed: true });
    this.packedA = ceil(this.epilogue?.scratch ?? 0, 64);
    this.packedB = this.packedA + ceil(Math.min(m, MC), this.rows) * this.depth * 4;
    this.products = this.packedB + across8 * this.depth * 4;
    this.scratch = this.products + productBytes;
  }

  /** The outputs as a map that reads the products from scratch, by a binding of its own. */
  private epilogueKernel(stripes: number, rowLength: number): LoopKernel {
    const { kernel } = this;
    const products = kernel.inputs.length;
    const exprs = rewrite(
      kernel.outputs.map((o) => o.expr),
      (e) => (e.op === 'result' ? load(products, 'float32') : undefined),
    );
    const batch = this.batches.map((_, d) =>
      this.together ? sizeOf(this.batches.slice(d + 1)) * ceil(stripes, this.rows) * rowLength : 0,
    );
    return {
      kind: 'map',
      space: kernel.space,
      inner: 0,
      inputs: [
        ...kernel.inputs,
        {
          dtype: 'float32',
          binding: kernel.bindings,
          access: { mode: 'direct', strides: [...batch, rowLength, 1], offset: 0 },
        },
      ],
      reductions: [],
      outputs: kernel.outputs.map((o, i) => ({ ...o, expr: exprs[i]! })),
      scalars: kernel.scalars,
      bindings: kernel.bindings + 1,
    };
  }

  launch(heap: Heap, addresses: readonly number[], scalars: readonly number[], scratch: number): void {
    const { m, n, batches, output, kernel, rows: height } = this;
    const { packA, packB, macro } = this.gemm.kernels(height);
    const { k } = kernel;
    const { depth: step } = this;
    const [a, b] = [this.a, this.b];
    const aBytes = addresses[a.binding]! + a.offset * 4;
    const bBytes = addresses[b.binding]! + b.offset * 4;
    const [packedA, packedB, products] = [scratch + this.packedA, scratch + this.packedB, scratch + this.products];
    const rowLength = ceil(Math.min(n, NC), COLUMNS);
    const wholeColumns = !output && k > KC;
    const batchBytes = ceil(m, this.rows) * rowLength * 4;
    const at = new Array<number>(batches.length).fill(0);
    // What lies in the packed memory already.
    let hasA = '';
    let hasB = '';
    for (let item = 0; item < sizeOf(batches); item++) {
      const offset = (strides: readonly number[]): number => 4 * at.reduce((sum, c, d) => sum + c * strides[d]!, 0);
      const [aItem, bItem] = [aBytes + offset(a.batch), bBytes + offset(b.batch)];
      for (let j = 0; j < n; j += NC) {
        const columns = Math.min(NC, n - j);
        for (let p = 0; p < k; p += step) {
          const depth = Math.min(step, k - p);
          const turns = ceil(depth, UNROLL);
          const fromB = bItem + 4 * (j * b.lane + p * b.k);
          // Zeros of A times what follows the last row of B would not be 0 where that is no number.
          const asItIs = this.unpackedB && depth === turns;
          if (!asItIs && hasB !== `${fromB} ${p} ${j}`) {
            packB(packedB, fromB, 4 * b.lane, 4 * b.k, columns, depth);
            hasB = `${fromB} ${p} ${j}`;
          }
          const [rowsOfB, bStep, bPanel] = asItIs
            ? [fromB, 4 * b.k, 4 * COLUMNS]
            : [packedB, 4 * COLUMNS, 4 * COLUMNS * turns];
          for (let i = 0; i < m; i += MC) {
            const rows = Math.min(MC, m - i);
            const fromA = aItem + 4 * (i * a.lane + p * a.k);
            if (hasA !== `${fromA} ${p} ${i}`) packA(packedA, fromA, 4 * a.lane, 4 * a.k, rows, depth);
            hasA = `${fromA} ${p} ${i}`;
            const add = p > 0 ? 1 : 0;
            if (output) {
              const to = addresses[output.binding]! + 4 * (output.offset + i * output.row + j) + offset(output.batch);
              macro(packedA, rowsOfB, to, 4 * output.row, turns, rows, columns, add, products, bStep, bPanel);
              continue;
            }
            const to =
              products +
              (this.together ? item * batchBytes : 0) +
              (wholeColumns || this.together ? i * rowLength * 4 : 0);
            macro(
              packedA,
              rowsOfB,
              to,
              4 * rowLength,
              turns,
              ceil(rows, height),
              ceil(columns, COLUMNS),
              add,
              0,
              bStep,
              bPanel,
            );
            if (p + step < k || this.together) continue;
            // The box starts at (i, j), and its first product lies at `to`.
            const origin = to - 4 * (i * rowLength + j);
            const box = { start: [...at, i, j], size: [...batches.map(() => 1), rows, columns] };
            this.epilogue!.launch(heap, [...addresses, origin], scalars, scratch, box);
          }
        }
      }
      for (let d = batches.length - 1; d >= 0 && ++at[d]! === batches[d]; d--) at[d] = 0;
    }
    if (this.together) this.epilogue!.launch(heap, [...addresses, products], scalars, scratch);
  }
}
