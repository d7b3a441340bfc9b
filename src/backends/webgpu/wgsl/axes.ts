import { type Kernel, outerSpace, strideClass } from '../../../ir/kernel.ts';
import type { Emitter } from './expressions.ts';
import type { Module } from './module.ts';

/** The coordinates of dims `first` to `last` (exclusive) of the space, from their row-major linear index; made when asked for. */
export function coordinates(
  emit: Emitter,
  linear: string,
  first: number,
  last: number,
  sized: typeof size = size,
): (dim: number) => string {
  const upTo = (dim: number): string =>
    dim === last - 1 ? linear : emit.let(`${upTo(dim + 1)} / ${sized(emit.module, dim + 1)}`);
  return (dim) => {
    if (dim === first) return upTo(dim);
    return emit.let(`${upTo(dim)} - ${upTo(dim - 1)} * ${sized(emit.module, dim)}`);
  };
}

export const size = (module: Module, dim: number): string => module.param(`size${dim}`, (k) => k.space[dim]!);

/** A direct input or an output: its class, and the names of its offset and strides. */
export interface Operand {
  readonly name: string;
  readonly pattern: 'scalar' | 'contiguous' | 'strided';
  offset(): string;
  stride(dim: number): string;
}

function operand(
  module: Module,
  name: string,
  pattern: Operand['pattern'],
  view: (k: Kernel) => { strides: readonly number[]; offset: number },
): Operand {
  return {
    name,
    pattern,
    offset: () => module.param(`${name}_offset`, (k) => view(k).offset),
    stride: (dim) => module.param(`${name}_stride${dim}`, (k) => view(k).strides[dim]!),
  };
}

export function inputOperand(module: Module, i: number): Operand {
  const view = (k: Kernel): { strides: readonly number[]; offset: number } => {
    const { access } = k.inputs[i]!;
    if (access.mode !== 'direct') throw new Error('load of an indirect input');
    return access;
  };
  const space = module.kernel.kind === 'matmul' ? outerSpace(module.kernel) : module.kernel.space;
  return operand(module, `in${i}`, strideClass(space, view(module.kernel).strides), view);
}

export function outputOperand(module: Module, i: number): Operand {
  const { level, strides } = module.kernel.outputs[i]!;
  const space = level === 'row' ? outerSpace(module.kernel) : module.kernel.space;
  return operand(module, `out${i}`, strideClass(space, strides), (k) => k.outputs[i]!);
}

/** The address at the given coordinates of dims `first` to `last`, from a base address. */
export function strided(of: Operand, base: string, at: (dim: number) => string, first: number, last: number): string {
  let text = base;
  for (let d = first; d < last; d++) text += ` + ${at(d)} * ${of.stride(d)}`;
  return text;
}

/** The address at the point with the given row-major position, whose coordinates `at` knows. */
export function pointAddress(of: Operand, position: string, at: (dim: number) => string, rank: number): string {
  if (of.pattern === 'scalar') return of.offset();
  if (of.pattern === 'contiguous') return `${of.offset()} + ${position}`;
  return strided(of, of.offset(), at, 0, rank);
}

export const block = (head: string, lines: readonly string[]): string =>
  `${head} {\n${lines.map((line) => `  ${line}`).join('\n')}\n}`;
