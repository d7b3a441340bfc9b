import matmulRegisters from '../../../shaders/matmul_registers.wgsl';
import matmulTiled from '../../../shaders/matmul_tiled.wgsl';
import type { DType } from '../../core/dtype.ts';
import { sizeOf } from '../../core/shape.ts';
import { type Kernel, kernelKey, type LoopKernel, type MatmulKernel } from '../../ir/kernel.ts';
import type { Program } from '../backend.ts';
import type { Constants, Pipeline, Pipelines } from './pipelines.ts';
import { mapShader } from './wgsl/map.ts';
import { batchCount, matmulShader } from './wgsl/matmul.ts';
import type { Shader } from './wgsl/module.ts';
import { passes, rowCount, rowLength, rowsShader } from './wgsl/rows.ts';

/** A dispatch of a program. */
export interface Step {
  readonly pipeline: Pipeline;
  /** The params, with zeros where a launch's scalars go. */
  readonly words: Uint32Array;
  readonly scalars: readonly { readonly word: number; readonly slot: number; readonly dtype: DType }[];
  readonly groups: readonly [number, number, number];
}

export class WebGPUProgram implements Program {
  constructor(
    readonly kernel: Kernel,
    readonly steps: readonly Step[],
  ) {}
}

/** How a kernel runs: its shader's key and source, the values of the overrides, and how many workgroups. */
interface Plan {
  readonly key: string;
  readonly shader: () => Shader;
  readonly constants: Constants;
  readonly groups: number;
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
  constructor(
    private readonly pipelines: Pipelines,
    private readonly software: boolean,
  ) {}

  make(kernel: Kernel): WebGPUProgram {
    const plan = this.plan(kernel);
    return new WebGPUProgram(kernel, plan.groups === 0 ? [] : [this.step(kernel, plan)]);
  }

  private step(kernel: Kernel, { key, shader, constants, groups }: Plan): Step {
    const pipeline = this.pipelines.get(key, constants, shader);
    const words = new Uint32Array(pipeline.params.length);
    const scalars: { word: number; slot: number; dtype: DType }[] = [];
    for (const [word, param] of pipeline.params.entries()) {
      if ('slot' in param) scalars.push({ word, slot: param.slot, dtype: kernel.scalars[param.slot]! });
      else words[word] = param.value(kernel);
    }
    return { pipeline, words, scalars, groups: grid(groups) };
  }

  private plan(kernel: Kernel): Plan {
    if (kernel.kind === 'matmul') return this.planMatmul(kernel);
    return kernel.inner === 0 ? this.planMap(kernel) : this.planRows(kernel);
  }

  private planMap(kernel: LoopKernel): Plan {
    const threads = 64;
    return {
      key: kernelKey(kernel),
      shader: () => mapShader(kernel),
      constants: { THREADS: threads },
      groups: Math.ceil(sizeOf(kernel.space) / threads),
    };
  }

  private planRows(kernel: LoopKernel): Plan {
    const rows = rowCount(kernel);
    const length = rowLength(kernel);
    const { threads, lanes, interleaved } = this.rowLanes(kernel, rows, length);
    return {
      key: kernelKey(kernel),
      shader: () => rowsShader(kernel),
      constants: { THREADS: threads, LANES: lanes, INTERLEAVED: interleaved ? 1 : 0 },
      groups: Math.ceil(rows / (threads / lanes)),
    };
  }

  private rowLanes(kernel: LoopKernel, rows: number, length: number): { threads: number; lanes: number; interleaved: boolean } {
    const widest = Math.max(1, ...passes(kernel).map((p) => p.length));
    const threads = widest > 8 ? 64 : 256;
    if (this.software) return rows >= 64 || length < 64 ? { threads: 16, lanes: 1, interleaved: false } : { threads: 64, lanes: 64, interleaved: false };
    let lanes = 1;
    while (lanes < threads && lanes * 4 < length) lanes *= 2;
    return { threads, lanes, interleaved: false };
  }

  private planMatmul(kernel: MatmulKernel): Plan {
    const [m, n] = [kernel.space.at(-2)!, kernel.space.at(-1)!];
    const batches = batchCount(kernel);
    if (this.software || Math.max(m, n) <= 16) {
      const tile = m * n >= 128 * 128 ? { rows: 16, fours: 2 } : { rows: 8, fours: 1 };
      const [x, y] = [8, 1];
      return {
        key: `registers ${tile.rows} ${tile.fours} ${kernelKey(kernel)}`,
        shader: () => matmulShader(kernel, matmulRegisters, tile),
        constants: { THREADS_X: x, THREADS_Y: y },
        groups: batches * Math.ceil(m / (tile.rows * y)) * Math.ceil(n / (4 * tile.fours * x)),
      };
    }
    const side = Math.ceil(m / 64) * Math.ceil(n / 64) * batches < 128 ? 8 : 16;
    const tile = { rows: 1, fours: 1 };
    const byDepth = (input: number, dim: number): number => {
      const { access } = kernel.inputs[input]!;
      return access.mode === 'direct' && access.strides.at(dim) === 1 ? 1 : 0;
    };
    return {
      key: `tiled ${tile.rows} ${tile.fours} ${kernelKey(kernel)}`,
      shader: () => matmulShader(kernel, matmulTiled, tile),
      constants: { SIDE: side, DEPTH: side === 8 ? 32 : 16, A_BY_DEPTH: byDepth(0, -1), B_BY_DEPTH: byDepth(1, -2) },
      groups: batches * Math.ceil(m / (4 * tile.rows * side)) * Math.ceil(n / (4 * tile.fours * side)),
    };
  }
}
