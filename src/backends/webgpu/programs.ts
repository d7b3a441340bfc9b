import type { DType } from '../../core/dtype.ts';
import { sizeOf } from '../../core/shape.ts';
import { foldBatch } from '../../ir/coalesce.ts';
import { isLoop, type Kernel, kernelKey, type LoopKernel, type MatmulKernel, outerSpace } from '../../ir/kernel.ts';
import type { Program } from '../backend.ts';
import type { Variant } from '../tuning.ts';
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
import type { Pipeline, Pipelines } from './pipelines.ts';
import type { Memory } from './pool.ts';
import { type Kind, tilePlan, usualVariant } from './products.ts';
import { fills, mapShader, mapSteps, vectorBindings } from './wgsl/map.ts';
import { passes, rowCount, rowInputs, rowLength, rowsShader } from './wgsl/rows.ts';

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

const GROUPS_PER_DIMENSION = 65535;

/** A grid of at least `n` workgroups, with few to spare. */
export function grid(n: number): [number, number, number] {
  const z = Math.ceil(n / GROUPS_PER_DIMENSION ** 2);
  const y = Math.ceil(n / z / GROUPS_PER_DIMENSION);
  return [Math.ceil(n / z / y), y, z];
}

/** Chooses variants of kernels by shape and adapter, and makes their programs. */
export class Programs {
  /** The variant of a product that was measured to be faster than the usual one, where there is one. */
  measured: ((folded: MatmulKernel) => Variant | undefined) | undefined;
  /** Told of every kernel that is submitted. */
  watcher: ((kernel: Kernel) => void) | undefined;

  constructor(
    private readonly pipelines: Pipelines,
    readonly kind: Kind,
  ) {}

  /** A program of the kernel, and of the variant if it is a product and one is given. */
  make(kernel: Kernel, variant?: Variant): WebGPUProgram {
    const { parts, scratch } = this.parts(kernel, variant);
    const steps = parts.map((part) => this.step(part));
    return new WebGPUProgram(kernel, steps, scratch);
  }

  private parts(kernel: Kernel, variant: Variant | undefined): Split {
    if (!isLoop(kernel) && kernel.kind !== 'matmul') return boundaryParts(kernel, this.kind.software);
    if (sizeOf(outerSpace(kernel)) === 0) return { parts: [], scratch: [] };
    if (isLoop(kernel)) return this.split(kernel) ?? { parts: [whole(kernel)], scratch: [] };
    const folded = this.fold(kernel);
    return this.product(folded, variant ?? this.measured?.(folded) ?? usualVariant(folded, this.kind));
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
    const loop = kernel as LoopKernel;
    return loop.inner === 0 ? this.planMap(loop) : this.planRows(loop);
  }

  private planMap(kernel: LoopKernel): Plan {
    // Vectors quadruple the code, which a software adapter takes long to compile; it spends microseconds on a workgroup, too.
    const small = this.kind.software && sizeOf(kernel.space) < 2 ** 19;
    const vectors = small ? new Set<number>() : vectorBindings(kernel);
    const steps = mapSteps(kernel, vectors);
    const threads = this.kind.software ? 64 : 256;
    const each = !this.kind.software || sizeOf(kernel.space) < 2 ** 17 ? 1 : vectors.size > 0 ? 64 : 16;
    return {
      key: `${[...vectors]} ${vectors.size > 0 && fills(kernel)} ${kernelKey(kernel)}`,
      shader: () => mapShader(kernel, vectors),
      constants: { THREADS: threads, EACH: each },
      groups: Math.ceil(steps / (threads * each)),
    };
  }

  private split(kernel: LoopKernel): Split | undefined {
    if (kernel.inner === 0) return undefined;
    const rows = rowCount(kernel);
    const length = rowLength(kernel);
    if (rows < (this.kind.software ? 64 : 256) && length >= 1024) {
      const apart = splitElements(kernel, (rest) => this.split(rest));
      if (apart) return apart;
    }
    if (this.kind.software)
      return rows < 16 && length >= 8192 ? splitRows(kernel, clamp(length / 2048, 64, 1024)) : undefined;
    if (rows >= 256 || length < 16384) return undefined;
    return splitRows(kernel, clamp(1024 / rows, 8, length / 1024));
  }

  private planRows(kernel: LoopKernel): Plan {
    const rows = rowCount(kernel);
    const [threads, lanes, interleaved] = this.rowLanes(kernel, rows, rowLength(kernel));
    const span = interleaved ? 1 : Math.min(lanes, this.kind.lanes);
    const subgroups = span > 1;
    return {
      key: `${subgroups} ${[...rowInputs(kernel)]} ${kernelKey(kernel)}`,
      shader: () => rowsShader(kernel, { keeps: this.kind.software, subgroups }),
      constants: { THREADS: threads, LANES: lanes, INTERLEAVED: Number(interleaved), SPAN: span },
      groups: Math.ceil(rows / (threads / lanes)),
    };
  }

  /** Threads a workgroup, lanes a row, and whether neighbouring threads take neighbouring rows. */
  private rowLanes(kernel: LoopKernel, rows: number, length: number): [number, number, boolean] {
    // Barriers cost a software adapter more than anything else.
    if (this.kind.software) return rows < 4 && length >= 1024 ? [4, 4, false] : [rows < 256 ? 16 : 64, 1, false];
    // Each reduction of a pass takes four bytes a thread of workgroup memory.
    const widest = Math.max(1, ...passes(kernel).map((p) => p.length));
    const threads = widest > 8 ? 64 : 256;
    if (rowsAreAdjacent(kernel)) {
      const lanes = powerOfTwo(Math.min(65536 / rows, length / 8));
      return [threads, clamp(lanes, 1, threads / 16), true];
    }
    return [threads, clamp(powerOfTwo(length / 4), 1, threads), false];
  }

  /** The product over dims that fill its tiles. */
  fold(kernel: MatmulKernel): MatmulKernel {
    const tile = this.kind.software ? 1024 : 128;
    return foldBatch(kernel, tile, tile);
  }

  private product(kernel: MatmulKernel, variant: Variant): Split {
    if (variant.form === 'reduction') {
      const sums = asReduction(kernel)!;
      return this.split(sums) ?? { parts: [whole(sums)], scratch: [] };
    }
    const { parts, scratch } = (variant.parts && splitDepth(kernel, variant.parts)) || {
      parts: [whole(kernel)],
      scratch: [],
    };
    const [first, ...rest] = parts;
    const plan = tilePlan(first!.kernel as MatmulKernel, variant, this.kind.lanes);
    return { parts: [{ ...first!, plan }, ...rest], scratch };
  }
}
