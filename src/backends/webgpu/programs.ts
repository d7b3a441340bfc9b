import matmulRegisters from '../../../shaders/matmul_registers.wgsl';
import matmulSubgroups from '../../../shaders/matmul_subgroups.wgsl';
import matmulTiled from '../../../shaders/matmul_tiled.wgsl';
import type { DType } from '../../core/dtype.ts';
import { sizeOf } from '../../core/shape.ts';
import { foldBatch } from '../../ir/coalesce.ts';
import {
  extent,
  isLoop,
  type Kernel,
  kernelKey,
  type LoopKernel,
  type MatmulKernel,
  matmulDims,
  outerSpace,
} from '../../ir/kernel.ts';
import type { Program } from '../backend.ts';
import { boundaryParts } from './boundaries.ts';
import {
  asReduction,
  clamp,
  type Part,
  type Plan,
  powerOfTwo,
  rowsAreAdjacent,
  type Source,
  type Split,
  splitDepth,
  splitElements,
  splitRows,
  whole,
} from './lower.ts';
import type { Constants, Pipeline, Pipelines } from './pipelines.ts';
import type { Memory } from './pool.ts';
import { mapShader, mapSteps, vectorBindings } from './wgsl/map.ts';
import { matmulShader, readings, type ThreadTile } from './wgsl/matmul.ts';
import { passes, rowCount, rowLength, rowsShader } from './wgsl/rows.ts';

/** A dispatch of a program. */
export interface Step {
  readonly pipeline: Pipeline;
  /** The params, with zeros where a launch's scalars go. */
  readonly words: Uint32Array;
  readonly scalars: readonly { readonly word: number; readonly slot: number; readonly dtype: DType }[];
  readonly groups: readonly [number, number, number];
  readonly buffers: readonly Source[];
  /** The bind group that served it last. */
  recent?: { readonly arena: GPUBuffer; readonly memories: readonly Memory[]; readonly group: GPUBindGroup };
}

export class WebGPUProgram implements Program {
  constructor(
    readonly kernel: Kernel,
    readonly steps: readonly Step[],
    /** Bytes of each scratch memory. */
    readonly scratch: readonly number[],
  ) {}
}

const SKELETONS = new Map([
  [matmulRegisters, 'registers'],
  [matmulSubgroups, 'subgroups'],
  [matmulTiled, 'tiled'],
]);

/** So many multiplications of a product are worth the longest code, and fewer than so many only the shortest. */
const LONG_PRODUCT = 2 ** 27;
const SHORT_PRODUCT = 2 ** 19;

const GROUPS_PER_DIMENSION = 65535;

/** A grid of at least `n` workgroups, with few to spare. */
export function grid(n: number): [number, number, number] {
  const z = Math.ceil(n / GROUPS_PER_DIMENSION ** 2);
  const y = Math.ceil(n / z / GROUPS_PER_DIMENSION);
  return [Math.ceil(n / z / y), y, z];
}

/** Products in a batch, and the sizes of one. */
function matmulSizes(kernel: MatmulKernel): { batch: number; m: number; n: number; k: number } {
  const dims = matmulDims(kernel);
  const [batch, m, n, k] = [dims.batch, dims.m, dims.n, dims.k].map((of) => extent(kernel.space, of));
  return { batch: batch!, m: m!, n: n!, k: k! };
}

/** Chooses variants of kernels by shape and adapter, and makes their programs. */
export class Programs {
  constructor(
    private readonly pipelines: Pipelines,
    private readonly software: boolean,
    /** Threads of a subgroup, where the device has them and always as many; else 0. */
    private readonly lanes: number,
  ) {}

  make(kernel: Kernel): WebGPUProgram {
    const { parts, scratch } = this.parts(kernel);
    const steps = parts.map((part) => this.step(part));
    return new WebGPUProgram(kernel, steps, scratch);
  }

  private parts(kernel: Kernel): Split {
    if (!isLoop(kernel) && kernel.kind !== 'matmul') return boundaryParts(kernel, this.software);
    if (sizeOf(outerSpace(kernel)) === 0) return { parts: [], scratch: [] };
    const nest = kernel.kind === 'matmul' ? this.suitable(kernel) : kernel;
    const split = nest.kind === 'matmul' ? this.splitMatmul(nest) : this.split(nest);
    return split ?? { parts: [whole(nest)], scratch: [] };
  }

  private step({ kernel, buffers, extra, plan }: Part): Step {
    const { key, shader, constants, groups } = plan ?? this.plan(kernel);
    const pipeline = this.pipelines.get(key, constants, shader);
    const launchScalars = kernel.scalars.length - extra.length;
    const words = new Uint32Array(pipeline.params.length);
    const scalars: { word: number; slot: number; dtype: DType }[] = [];
    for (const [word, param] of pipeline.params.entries()) {
      if ('value' in param) words[word] = param.value(kernel);
      else if (param.slot >= launchScalars) words[word] = extra[param.slot - launchScalars]!;
      else scalars.push({ word, slot: param.slot, dtype: kernel.scalars[param.slot]! });
    }
    return { pipeline, words, scalars, groups: grid(groups), buffers };
  }

  private plan(kernel: Kernel): Plan {
    if (!isLoop(kernel)) return this.planMatmul(kernel as MatmulKernel);
    return kernel.inner === 0 ? this.planMap(kernel) : this.planRows(kernel);
  }

  private planMap(kernel: LoopKernel): Plan {
    // Vectors quadruple the code, which a software adapter takes long to compile; it spends microseconds on a workgroup, too.
    const small = this.software && sizeOf(kernel.space) < 2 ** 19;
    const vectors = small ? new Set<number>() : vectorBindings(kernel);
    const steps = mapSteps(kernel, vectors);
    const threads = this.software ? 64 : 256;
    const each = this.software && sizeOf(kernel.space) >= 2 ** 17 ? 16 : 1;
    return {
      key: `${[...vectors]} ${kernelKey(kernel)}`,
      shader: () => mapShader(kernel, vectors),
      constants: { THREADS: threads, EACH: each },
      groups: Math.ceil(steps / (threads * each)),
    };
  }

  private split(kernel: LoopKernel): Split | undefined {
    if (kernel.inner === 0) return undefined;
    const rows = rowCount(kernel);
    const length = rowLength(kernel);
    if (rows < (this.software ? 64 : 256) && length >= 1024) {
      const apart = splitElements(kernel, (rest) => this.split(rest));
      if (apart) return apart;
    }
    if (this.software)
      return rows < 16 && length >= 8192 ? splitRows(kernel, clamp(length / 2048, 64, 1024)) : undefined;
    if (rows >= 256 || length < 16384) return undefined;
    return splitRows(kernel, clamp(1024 / rows, 8, length / 1024));
  }

  private planRows(kernel: LoopKernel): Plan {
    const rows = rowCount(kernel);
    const [threads, lanes, interleaved] = this.rowLanes(kernel, rows, rowLength(kernel));
    return {
      key: kernelKey(kernel),
      shader: () => rowsShader(kernel, this.software),
      constants: { THREADS: threads, LANES: lanes, INTERLEAVED: Number(interleaved) },
      groups: Math.ceil(rows / (threads / lanes)),
    };
  }

  /** Threads a workgroup, lanes a row, and whether neighbouring threads take neighbouring rows. */
  private rowLanes(kernel: LoopKernel, rows: number, length: number): [number, number, boolean] {
    // Barriers cost a software adapter more than anything else.
    if (this.software) return rows < 4 && length >= 1024 ? [4, 4, false] : [rows < 256 ? 16 : 64, 1, false];
    // Each reduction of a pass takes four bytes a thread of workgroup memory.
    const widest = Math.max(1, ...passes(kernel).map((p) => p.length));
    const threads = widest > 8 ? 64 : 256;
    if (rowsAreAdjacent(kernel)) {
      const lanes = powerOfTwo(Math.min(65536 / rows, length / 8));
      return [threads, clamp(lanes, 1, threads / 16), true];
    }
    return [threads, clamp(powerOfTwo(length / 4), 1, threads), false];
  }

  /** The product over dims that fill its tiles, or as a reduction where it is too narrow for tiles. */
  private suitable(kernel: MatmulKernel): MatmulKernel | LoopKernel {
    const tile = this.software ? 1024 : 128;
    const folded = foldBatch(kernel, tile, tile);
    const { m, n, k } = matmulSizes(folded);
    const few = sizeOf(outerSpace(folded)) <= (this.software ? 32 : 1024) && k >= 1024;
    return (few || (!this.software && Math.min(m, n) <= 2) ? asReduction(folded) : undefined) ?? folded;
  }

  /** Few products of great depth: sums over parts of it first, which keep more of the device busy. */
  private splitMatmul(kernel: MatmulKernel): Split | undefined {
    const { batch, m, n, k } = matmulSizes(kernel);
    const tiles = batch * Math.ceil(m / 64) * Math.ceil(n / 64);
    if (this.software || tiles >= 64 || k < 2048) return undefined;
    return splitDepth(kernel, Math.min(256 / tiles, k / 512));
  }

  private planMatmul(kernel: MatmulKernel): Plan {
    const { batch, m, n } = matmulSizes(kernel);
    const dims = matmulDims(kernel);
    const plan = (skeleton: string, tile: ThreadTile, across: number, down: number, constants: Constants): Plan => ({
      key: `${SKELETONS.get(skeleton)} ${JSON.stringify(tile)} ${kernelKey(kernel)}`,
      shader: () => matmulShader(kernel, skeleton, tile),
      constants,
      groups: batch * Math.ceil(m / down) * Math.ceil(n / across),
    });
    if (this.software && this.lanes > 0 && m >= 4 && n >= 16) {
      const threads = Math.max(8, this.lanes);
      // Long code runs faster and takes long to compile: it is for products that take as long themselves.
      const work = batch * m * n * extent(kernel.space, dims.k);
      const long = work >= LONG_PRODUCT;
      const short = work < SHORT_PRODUCT;
      const fours = n > 4 * threads && !short ? 2 : 1;
      const most = long ? 32 : short ? 8 : 16;
      const even = Math.ceil(m / Math.ceil(m / most));
      const rows = even > 8 ? 4 * Math.ceil(even / 4) : even;
      const steps = (long ? [4, 5, 7, 3, 2] : [5, 7, 3]).find((s) => kernel.space[dims.k.at(-1)!]! % s === 0) ?? 1;
      const shared = { lanes: this.lanes, steps, ...readings(kernel, steps, rows) };
      return plan(matmulSubgroups, { rows, fours, shared }, 4 * fours * threads, rows, { THREADS: threads });
    }
    if (this.software || Math.min(m, n) <= 16) {
      const large = m * n >= 128 * 128 && m >= 16;
      const rows = large ? 16 : clamp(powerOfTwo(m), 1, 8);
      const fours = large ? 2 : 1;
      // Neighbouring threads take neighbouring columns: four of them fill a vector of the adapters we know.
      const threads = this.software ? 8 : 64;
      const x = clamp(powerOfTwo(n / (4 * fours)), 1, threads);
      const y = threads / x;
      return plan(matmulRegisters, { rows, fours }, 4 * fours * x, rows * y, { THREADS_X: x, THREADS_Y: y });
    }
    // The larger tile re-uses more, the smaller one fills the device sooner.
    const tiles = (side: number): number => batch * Math.ceil(m / side) * Math.ceil(n / side);
    const [side, blocks, depth] = tiles(128) >= 128 ? [16, 2, 8] : tiles(64) >= 128 ? [16, 1, 16] : [8, 1, 32];
    const byDepth = (input: number, lanes: readonly number[]): number => {
      const { access } = kernel.inputs[input]!;
      if (access.mode !== 'direct') return 0;
      return Number(access.strides[dims.k.at(-1)!] === 1 && access.strides[lanes.at(-1)!] !== 1);
    };
    const tile = 4 * blocks! * side!;
    return plan(matmulTiled, { rows: blocks!, fours: blocks! }, tile, tile, {
      SIDE: side!,
      DEPTH: depth!,
      A_BY_DEPTH: byDepth(0, dims.m),
      B_BY_DEPTH: byDepth(1, dims.n),
    });
  }
}
