// How products run fastest on a device: what was measured, as plain data.

/** A way to compute a product in tiles. */
export interface TileVariant {
  /** With workgroup memory, with registers alone, or with registers whose rows a subgroup shares. */
  readonly form: 'tiled' | 'registers' | 'subgroups';
  /** Elements of the product that a thread holds, down and across. */
  readonly rows: number;
  readonly columns: number;
  /** Threads of a workgroup, across and down. */
  readonly threads: readonly [across: number, down: number];
  /** Steps of the inner dimension at a time. */
  readonly depth: number;
  /** In about how many parts of the inner dimension it is made, which are added up; in one unless given. */
  readonly parts?: number | undefined;
}

/** A way to compute a product: in tiles, or element by element. */
export type Variant = TileVariant | { readonly form: 'reduction' };

/** The adapter that a table was measured on, as WebGPU names it. */
export interface TunedAdapter {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
}

/** How an operand lies in memory: as its shape says, the other way round, with gaps, or as windows or several dims. */
export type OperandLayout = 'plain' | 'transposed' | 'strided' | 'windowed';

/** Products that are alike: by how their operands lie, and by sizes up to the next power of two. */
export interface ProductKind {
  /** The dtypes and layouts of both operands. */
  readonly a: `${'float32' | 'float16'} ${OperandLayout}`;
  readonly b: `${'float32' | 'float16'} ${OperandLayout}`;
  /** Number of products, rows and columns of one, and its inner dimension. */
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** What is fastest for products of a kind, where it is not what is taken without a table. */
export interface TuningEntry extends ProductKind {
  readonly variant: Variant;
  /** How many times as fast it was. */
  readonly speedup: number;
}

/** How products run fastest on an adapter: plain data, which goes through JSON unchanged. */
export interface TuningTable {
  readonly version: 1;
  readonly adapter: TunedAdapter;
  readonly entries: readonly TuningEntry[];
}

/** What `autotune` has measured last, and how far it is. */
export interface TuningProgress extends ProductKind {
  /** Kinds of products measured so far, and all of them. */
  readonly done: number;
  readonly total: number;
  /** How many variants ran, and how many the device refused. */
  readonly variants: number;
  readonly failed: number;
  /** What is taken without a table, and what is fastest. */
  readonly usual: Variant;
  readonly best: Variant;
  /** How many times as fast the best one is; 1 where the usual one stays. */
  readonly speedup: number;
}

/** Measures how products run fastest. */
export interface Tuner {
  readonly adapter: TunedAdapter;
  /** From now on, notes the products that are submitted. */
  watch(): void;
  /** Notes no more. */
  unwatch(): void;
  /** Times the variants of the products that were noted. Resolves to the kinds of all of them, with an entry where one is faster. */
  measure(report: (progress: TuningProgress) => void): Promise<ReadonlyMap<string, TuningEntry | undefined>>;
  /** Takes variants from these entries from now on, for the kernels that are prepared. */
  use(entries: readonly TuningEntry[]): void;
}

/** A kind of products as text. */
export const kindKey = ({ a, b, batch, m, n, k }: ProductKind): string => `${a}, ${b}, ${batch}x${m}x${n} k=${k}`;
