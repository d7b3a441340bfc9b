import type { Kernel } from '../../../ir/kernel.ts';
import { block, coordinates, inputOperand, type Operand, strided } from './axes.ts';
import { Emitter } from './expressions.ts';
import type { Module } from './module.ts';

/**
 * The dims before `outer` as a struct `Line`, which `enterLine(index)` makes: where each operand starts in the line, and
 * what else its functions ask for.
 */
export class Lines {
  private readonly members = new Map<string, string>([['index', 'index']]);
  private readonly entry: Emitter;
  private readonly at: (dim: number) => string;

  constructor(
    readonly module: Module,
    private readonly outer: number,
  ) {
    this.entry = new Emitter(module);
    this.at = coordinates(this.entry, 'index', 0, outer);
  }

  private member(name: string, value: () => string): string {
    if (!this.members.has(name)) this.members.set(name, value());
    return `line.${name}`;
  }

  /** The address at the given coordinates of the dims from `outer` on. */
  address(of: Operand, ...inner: readonly string[]): string {
    const start = this.member(of.name, () => strided(of, of.offset(), this.at, 0, this.outer));
    return strided(of, start, (dim) => inner[dim - this.outer]!, this.outer, this.outer + inner.length);
  }

  load(i: number, ...inner: readonly string[]): string {
    return this.module.load(this.module.kernel.inputs[i]!, this.address(inputOperand(this.module, i), ...inner));
  }

  /** An emitter for expressions at a place of the last dim. */
  emitter(column: string, result: (i: number) => string): Emitter {
    const { outer } = this;
    return new Emitter(this.module, {
      load: (i) => this.load(i, column),
      index: (dim) => `i32(${dim < outer ? this.member(`at${dim}`, () => this.at(dim)) : column})`,
      position: () => `i32(line.index * ${this.module.param('length', lineLength)} + ${column})`,
      result,
    });
  }

  /** The struct and its function, once everything was asked for. */
  declared(): string[] {
    const fields = [...this.members.keys()].map((name) => `  ${name}: u32,`);
    const values = [...this.members.values()].join(', ');
    return [
      `struct Line {\n${fields.join('\n')}\n}`,
      block('fn enterLine(index: u32) -> Line', [...this.entry.lines, `return Line(${values});`]),
    ];
  }
}

export const lineLength = (k: Kernel): number => k.space.at(-1)!;
export const lineCount = (k: Kernel): number => k.space.slice(0, -1).reduce((n, d) => n * d, 1);
