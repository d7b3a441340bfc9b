import { type DType, isByte } from '../../../core/dtype.ts';
import type { Input, Kernel } from '../../../ir/kernel.ts';

/** The types of a word in memory, and their names in WGSL. */
export type Word = 'f32' | 'i32' | 'u32';

/** What is needed to know of an input or output to read or write its words. */
type Bound = Pick<Input, 'dtype' | 'binding'>;

/** The types of an element in memory; bytes, four of which share a u32 there, as they are in registers. */
export const WORD: Record<DType, Word | 'f16'> = {
  float32: 'f32',
  float16: 'f16',
  int32: 'i32',
  uint32: 'u32',
  int8: 'i32',
  uint8: 'i32',
  bool: 'u32',
};
/** The type of a value in an expression. */
export const VALUE: Record<DType, string> = { ...WORD, bool: 'bool' };

/** A member of the uniform `params`: taken from the kernel when a program is made, or from the launch's scalars. */
export type Param = {
  readonly name: string;
  readonly type: Word;
} & ({ readonly value: (kernel: Kernel) => number } | { readonly slot: number });

/** What one pipeline is made of. */
export interface Shader {
  readonly source: string;
  readonly params: readonly Param[];
  /** Access of each storage binding; the status word, where there is one, is the last. */
  readonly bindings: readonly ('read' | 'read_write')[];
  readonly checked: boolean;
}

/** The generated part of a shader: bindings, params, and the functions that its skeleton calls. */
export class Module {
  private readonly params = new Map<string, Param>();
  private readonly functions = new Map<string, string>();
  private readonly bindings: { type: Word | 'f16' | 'atomic<u32>'; access: 'read' | 'read_write' }[];
  private checked = false;

  constructor(
    readonly kernel: Kernel,
    /** Bindings that are arrays of vectors of four. */
    readonly vectors: ReadonlySet<number> = new Set(),
    /** Bindings that are memory of the program's own, which is no input or output. */
    work: readonly number[] = [],
  ) {
    this.bindings = Array.from({ length: kernel.bindings }, () => ({ type: 'u32', access: 'read' }));
    for (const { binding, dtype } of kernel.inputs) this.bindings[binding]!.type = isByte(dtype) ? 'u32' : WORD[dtype];
    // Several threads write a word of bytes, each its own bits.
    for (const { binding, dtype } of kernel.outputs)
      this.bindings[binding] = { type: isByte(dtype) ? 'atomic<u32>' : WORD[dtype], access: 'read_write' };
    for (const binding of work) this.bindings[binding]!.access = 'read_write';
  }

  /** The WGSL name of a number that the kernel's sizes decide; `value` may depend on nothing else. */
  param(name: string, value: (kernel: Kernel) => number, type: Word = 'u32'): string {
    if (!this.params.has(name)) this.params.set(name, { name, type, value });
    return `params.${name}`;
  }

  /** The same for a scalar that comes with each launch, as a value of its dtype. */
  scalar(slot: number): string {
    const dtype = this.kernel.scalars[slot]!;
    const name = `scalar${slot}`;
    const type = WORD[dtype];
    this.params.set(name, { name, type: type === 'f16' ? 'f32' : type, slot });
    if (type === 'f16') return `f16(params.${name})`;
    return dtype === 'bool' ? `(params.${name} != 0u)` : `params.${name}`;
  }

  /** Adds a function once. */
  define(name: string, text: () => string): void {
    if (this.functions.has(name)) return;
    this.functions.set(name, '');
    this.functions.set(name, text());
  }

  load(input: Bound, address: string): string {
    if (isByte(input.dtype)) return this.loadByte(input, address);
    return this.read(input, `buffer${input.binding}[${address}]`);
  }

  store(output: Bound, address: string, value: string): string {
    if (isByte(output.dtype)) return this.storeByte(output, address, value);
    return `buffer${output.binding}[${address}] = ${this.written(output, value)};`;
  }

  private loadByte({ binding, dtype }: Bound, address: string): string {
    const name = `load_${dtype}_${binding}`;
    const word = `buffer${binding}[at >> 2u]`;
    this.define(name, () => {
      const loaded = this.wordOf({ dtype, binding }) === 'u32' ? word : `atomicLoad(&${word})`;
      const bits = `${loaded} << (24u - 8u * (at & 3u))`;
      return `fn ${name}(at: u32) -> i32 { return ${dtype === 'int8' ? `bitcast<i32>(${bits}) >> 24u` : `i32((${bits}) >> 24u)`}; }`;
    });
    return `${name}(${address})`;
  }

  private storeByte({ binding }: Bound, address: string, value: string): string {
    const name = `store_byte_${binding}`;
    const word = `&buffer${binding}[at >> 2u]`;
    this.define(
      name,
      () => `fn ${name}(at: u32, value: i32) {
  let bits = 8u * (at & 3u);
  atomicAnd(${word}, ~(255u << bits));
  atomicOr(${word}, (bitcast<u32>(value) & 255u) << bits);
}`,
    );
    return `${name}(${address}, ${value});`;
  }

  /** The value of a word of the input's buffer. */
  read(input: Bound, word: string): string {
    const type = this.wordOf(input);
    if (input.dtype === 'bool') return type === 'u32' ? `(${word} != 0u)` : `(bitcast<u32>(${word}) != 0u)`;
    return type === WORD[input.dtype] ? word : `bitcast<${WORD[input.dtype]}>(${word})`;
  }

  /** The word of the output's buffer that holds a value. */
  written(output: Bound, value: string): string {
    const type = this.wordOf(output);
    const word = output.dtype === 'bool' ? `u32(${value})` : value;
    return type === WORD[output.dtype] ? word : `bitcast<${type}>(${word})`;
  }

  wordOf({ binding }: Bound): Word | 'f16' | 'atomic<u32>' {
    return this.bindings[binding]!.type;
  }

  /** The statement that reports a failed index check. */
  report(slot: number): string {
    this.checked = true;
    const value = this.scalar(slot);
    return `status = u32(${value});`;
  }

  finish(skeleton: string): Shader {
    const storage: string[] = this.bindings.map(
      (b, i) =>
        `@group(0) @binding(${i}) var<storage, ${b.access}> buffer${i}: ` +
        `array<${this.vectors.has(i) ? `vec4<${b.type}>` : b.type}>;`,
    );
    const access = this.bindings.map((b) => b.access);
    if (this.checked) {
      storage.push(`@group(0) @binding(${storage.length}) var<storage, read_write> status: u32;`);
      access.push('read_write');
    }
    const params = [...this.params.values()];
    const members = params.map((p) => `  ${p.name}: ${p.type},`);
    const uniform = `@group(0) @binding(${storage.length}) var<uniform> params: Params;`;
    const prelude = ['struct Params {', ...members, '}', ...storage, uniform, ...this.functions.values()];
    const source = `${skeleton.trimEnd()}\n\n${prelude.join('\n')}\n`;
    const extensions = [/\bf16\b/.test(source) && 'f16', /\bsubgroup[A-Z]/.test(source) && 'subgroups'].filter(Boolean);
    return {
      source: extensions.length > 0 ? `enable ${extensions.join(', ')};\n${source}` : source,
      params,
      bindings: access,
      checked: this.checked,
    };
  }
}
