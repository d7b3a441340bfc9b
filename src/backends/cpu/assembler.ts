/** Value types of WebAssembly. */
export const I32 = 0x7f;
export const V128 = 0x7b;
export type ValueType = typeof I32 | typeof V128;

/** Opcodes; those of SIMD are 0xfd00 and their number after the prefix. */
export const op = {
  end: 0x0b,
  return: 0x0f,
  drop: 0x1a,
  select: 0x1b,
  i32Load: 0x28,
  f32Load: 0x2a,
  i32Store: 0x36,
  f32Store: 0x38,
  i32Eqz: 0x45,
  i32Eq: 0x46,
  i32LtS: 0x48,
  i32LtU: 0x49,
  i32GtS: 0x4a,
  i32GtU: 0x4b,
  i32GeS: 0x4e,
  i32GeU: 0x4f,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32Mul: 0x6c,
  i32And: 0x71,
  i32Or: 0x72,
  i32Shl: 0x74,
  i32ShrS: 0x75,
  i32ShrU: 0x76,
  f32Add: 0x92,
  f64Add: 0xa0,
  f32DemoteF64: 0xb6,
  f32Reinterpret: 0xbe,
  load: 0xfd00,
  load8Splat: 0xfd07,
  load32Splat: 0xfd09,
  store: 0xfd0b,
  i32x4Splat: 0xfd11,
  f32x4Splat: 0xfd13,
  i32x4Extract: 0xfd1b,
  i32x4Replace: 0xfd1c,
  f64x2Extract: 0xfd21,
  i32x4Eq: 0xfd37,
  i32x4Ne: 0xfd38,
  i32x4LtS: 0xfd39,
  i32x4LtU: 0xfd3a,
  i32x4GtS: 0xfd3b,
  i32x4LeS: 0xfd3d,
  i32x4LeU: 0xfd3e,
  f32x4Eq: 0xfd41,
  f32x4Ne: 0xfd42,
  f32x4Lt: 0xfd43,
  f32x4Le: 0xfd45,
  not: 0xfd4d,
  and: 0xfd4e,
  andNot: 0xfd4f,
  or: 0xfd50,
  xor: 0xfd51,
  bitselect: 0xfd52,
  anyTrue: 0xfd53,
  load8Lane: 0xfd54,
  load32Lane: 0xfd56,
  store8Lane: 0xfd58,
  store32Lane: 0xfd5a,
  store64Lane: 0xfd5b,
  load32Zero: 0xfd5c,
  load64Zero: 0xfd5d,
  f32x4DemoteF64x2: 0xfd5e,
  f64x2PromoteLow: 0xfd5f,
  i8x16NarrowS: 0xfd65,
  i8x16NarrowU: 0xfd66,
  f32x4Ceil: 0xfd67,
  f32x4Floor: 0xfd68,
  f32x4Trunc: 0xfd69,
  f32x4Nearest: 0xfd6a,
  i16x8NarrowS: 0xfd85,
  i16x8ExtendLowS: 0xfd87,
  i16x8ExtendLowU: 0xfd89,
  i32x4Abs: 0xfda0,
  i32x4Neg: 0xfda1,
  i32x4AllTrue: 0xfda3,
  i32x4ExtendLowS: 0xfda7,
  i32x4ExtendLowU: 0xfda9,
  i32x4Shl: 0xfdab,
  i32x4ShrS: 0xfdac,
  i32x4ShrU: 0xfdad,
  i32x4Add: 0xfdae,
  i32x4Sub: 0xfdb1,
  i32x4Mul: 0xfdb5,
  i32x4MinS: 0xfdb6,
  i32x4MinU: 0xfdb7,
  i32x4MaxS: 0xfdb8,
  i32x4MaxU: 0xfdb9,
  f32x4Abs: 0xfde0,
  f32x4Neg: 0xfde1,
  f32x4Sqrt: 0xfde3,
  f32x4Add: 0xfde4,
  f32x4Sub: 0xfde5,
  f32x4Mul: 0xfde6,
  f32x4Div: 0xfde7,
  f32x4Min: 0xfde8,
  f32x4Max: 0xfde9,
  f32x4Pmin: 0xfdea,
  f32x4Pmax: 0xfdeb,
  f64x2Add: 0xfdf0,
  f64x2Mul: 0xfdf2,
  f64x2Div: 0xfdf3,
  f64x2Min: 0xfdf4,
  f64x2Max: 0xfdf5,
  i32x4TruncF32x4S: 0xfdf8,
  i32x4TruncF32x4U: 0xfdf9,
  f32x4ConvertS: 0xfdfa,
  f32x4ConvertU: 0xfdfb,
  i32x4TruncF64x2S: 0xfdfc,
  i32x4TruncF64x2U: 0xfdfd,
  f64x2ConvertLowS: 0xfdfe,
  f64x2ConvertLowU: 0xfdff,
  f32x4RelaxedMadd: 0xfe05,
  f32x4RelaxedNmadd: 0xfe06,
} as const;

const NO_TYPE = 0x40;
/** Loads and stores of one byte. */
const BYTES: ReadonlySet<number> = new Set([op.load8Splat, op.load8Lane, op.store8Lane]);

function unsigned(bytes: number[], value: number): void {
  let v = value;
  while (v > 0x7f) {
    bytes.push((v & 0x7f) | 0x80);
    v >>>= 7;
  }
  bytes.push(v);
}

function signed(bytes: number[], value: number): void {
  let v = value | 0;
  while (v < -64 || v > 63) {
    bytes.push((v & 0x7f) | 0x80);
    v >>= 7;
  }
  bytes.push(v & 0x7f);
}

const bits = new DataView(new ArrayBuffer(4));

/** The bits of a float32 as an int32. */
export function floatBits(x: number): number {
  bits.setFloat32(0, x);
  return bits.getInt32(0);
}

/** One function under construction. Methods append instructions; locals that were freed are handed out again. */
export class FunctionBuilder {
  readonly body: number[] = [];
  private readonly locals: ValueType[] = [];
  private readonly free: Record<ValueType, number[]> = { [I32]: [], [V128]: [] };

  /** Parameters are locals 0, 1, …, all i32; there is no result. */
  constructor(
    readonly name: string,
    readonly parameters: number,
  ) {}

  local(type: ValueType): number {
    return this.free[type].pop() ?? this.parameters + this.locals.push(type) - 1;
  }

  release(local: number): void {
    this.free[this.locals[local - this.parameters]!].push(local);
  }

  op(...codes: number[]): void {
    for (const code of codes) {
      if (code <= 0xff) this.body.push(code);
      else {
        this.body.push(0xfd);
        unsigned(this.body, code - 0xfd00);
      }
    }
  }

  get(...locals: readonly number[]): void {
    for (const local of locals) {
      this.body.push(0x20);
      unsigned(this.body, local);
    }
  }

  set(local: number): void {
    this.body.push(0x21);
    unsigned(this.body, local);
  }

  tee(local: number): void {
    this.body.push(0x22);
    unsigned(this.body, local);
  }

  i32(value: number): void {
    this.body.push(0x41);
    signed(this.body, value);
  }

  /** Combines an i32 local and a constant, on the stack. */
  with(local: number, value: number, code: number): void {
    this.get(local);
    this.i32(value);
    this.op(code);
  }

  /** Adds to an i32 local. */
  bump(local: number, by: number): void {
    this.with(local, by, op.i32Add);
    this.set(local);
  }

  /** A vector constant of four 32-bit lanes. */
  v128(a: number, b: number, c: number, d: number): void {
    this.op(0xfd0c);
    for (const lane of [a, b, c, d])
      this.body.push(lane & 0xff, (lane >> 8) & 0xff, (lane >> 16) & 0xff, (lane >> 24) & 0xff);
  }

  splat(value: number): void {
    this.v128(value, value, value, value);
  }

  /** Lanes 0 to 3 of the first vector, 4 to 7 of the second. */
  shuffle(...lanes: readonly [number, number, number, number]): void {
    this.op(0xfd0d);
    for (const lane of lanes) for (let byte = 0; byte < 4; byte++) this.body.push(lane * 4 + byte);
  }

  /** A load or store, of an element that is aligned to four bytes where it has as many. */
  memory(code: number, offset = 0): void {
    this.op(code);
    this.body.push(BYTES.has(code) ? 0 : 2);
    unsigned(this.body, offset);
  }

  memoryLane(code: number, lane: number, offset = 0): void {
    this.memory(code, offset);
    this.body.push(lane);
  }

  lane(code: number, lane: number): void {
    this.op(code);
    this.body.push(lane);
  }

  call(index: number): void {
    this.body.push(0x10);
    unsigned(this.body, index);
  }

  branch(depth: number): void {
    this.body.push(0x0c, depth);
  }

  branchIf(depth: number): void {
    this.body.push(0x0d, depth);
  }

  private structure(code: number, body: () => void): void {
    this.body.push(code, NO_TYPE);
    body();
    this.op(op.end);
  }

  block(body: () => void): void {
    this.structure(0x02, body);
  }

  loop(body: () => void): void {
    this.structure(0x03, body);
  }

  /** The body as many times as an i32 local says, which is used up; at least once. */
  repeat(count: number, body: () => void): void {
    this.loop(() => {
      body();
      this.with(count, 1, op.i32Sub);
      this.tee(count);
      this.branchIf(0);
    });
  }

  /** Takes the condition from the stack. */
  when(yes: () => void, no?: () => void): void {
    this.structure(0x04, () => {
      yes();
      if (!no) return;
      this.body.push(0x05);
      no();
    });
  }

  encode(): number[] {
    const out: number[] = [];
    unsigned(out, this.locals.length);
    for (const type of this.locals) out.push(1, type);
    for (const byte of this.body) out.push(byte);
    out.push(op.end);
    return out;
  }
}

/** A module that imports its memory as `env.memory`, and exports every function under its name. */
export function assemble(functions: readonly FunctionBuilder[], maximumPages: number): Uint8Array<ArrayBuffer> {
  const bytes = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  const section = (id: number, content: number[]): void => {
    bytes.push(id);
    unsigned(bytes, content.length);
    for (const byte of content) bytes.push(byte);
  };
  const vector = (items: readonly number[][]): number[] => {
    const out: number[] = [];
    unsigned(out, items.length);
    for (const item of items) for (const byte of item) out.push(byte);
    return out;
  };
  const text = (s: string): number[] => [s.length, ...Array.from(s, (c) => c.charCodeAt(0))];
  const limits = [1, 1];
  unsigned(limits, maximumPages);
  const sized = (content: number[]): number[] => {
    const out: number[] = [];
    unsigned(out, content.length);
    for (const byte of content) out.push(byte);
    return out;
  };
  section(1, vector(functions.map((f) => [0x60, f.parameters, ...new Array<number>(f.parameters).fill(I32), 0])));
  section(2, vector([[...text('env'), ...text('memory'), 2, ...limits]]));
  section(3, vector(functions.map((_, i) => [i])));
  section(7, vector(functions.map((f, i) => [...text(f.name), 0, i])));
  section(10, vector(functions.map((f) => sized(f.encode()))));
  return Uint8Array.from(bytes);
}
