import { sizeOf } from '../../core/shape.ts';
import { type MatmulKernel, matmulDims, outerSpace } from '../../ir/kernel.ts';
import type { OperandLayout, ProductKind, TileVariant, Variant } from '../tuning.ts';
import { asReduction, clamp, powerOfTwo, splitDepth } from './lower.ts';
import { firstPart, type Kind, matmulSizes, usualTile, usualVariant } from './products.ts';

// All ways to compute a product, for those who measure them.

/** What variants depend on besides the kernel. */
export interface Bounds extends Kind {
  readonly limits: GPUSupportedLimits;
}

/** Scratch memory that a product in parts may take. */
const MOST_SCRATCH = 2 ** 26;

/** Can a product be computed like that on the device? */
export function fits(kernel: MatmulKernel, variant: Variant, { lanes, limits }: Bounds): boolean {
  if (variant.form === 'reduction') return asReduction(kernel) !== undefined;
  const { form, rows, columns, threads, depth, parts } = variant;
  const first = parts ? firstPart(kernel, parts) : kernel;
  if (!first) return false;
  const [x, y] = threads;
  if (x > limits.maxComputeWorkgroupSizeX || y > limits.maxComputeWorkgroupSizeY) return false;
  if (x * y > limits.maxComputeInvocationsPerWorkgroup) return false;
  switch (form) {
    case 'registers':
      return depth === 1;
    case 'subgroups': {
      const { m, n } = matmulSizes(first);
      return lanes > 0 && x % lanes === 0 && y === 1 && m >= 4 && n >= 4 && first.space.at(-1)! % depth === 0;
    }
    case 'tiled':
      return x === y && rows % 4 === 0 && 4 * x * (rows + columns) * depth <= limits.maxComputeWorkgroupStorageSize;
  }
}

const tiled = (rows: number, columns: number, side: number, depth: number): TileVariant => ({
  form: 'tiled',
  rows,
  columns,
  threads: [side, side],
  depth,
});

/** Workgroup tiles of 32x32x32 and 64x64x16, and larger ones. */
const SMALL_TILES = [tiled(4, 4, 8, 32), tiled(4, 4, 16, 16)];
const LARGE_TILES = [
  ...[tiled(8, 8, 16, 8), tiled(8, 8, 16, 16), tiled(8, 4, 16, 16), tiled(4, 8, 16, 16)],
  ...[tiled(4, 4, 16, 32), tiled(8, 8, 8, 16)],
];

/** Tiles of a product that is made in one. Software adapters take long to compile each, and gain nothing from workgroup memory. */
function tiles(kernel: MatmulKernel, { software, lanes }: Kind): TileVariant[] {
  const { m, n } = matmulSizes(kernel);
  const found = software ? [SMALL_TILES[0]!] : [...SMALL_TILES, ...LARGE_TILES];
  const heights = [1, 4, 8, 16].filter((rows) => rows < 2 * m);
  const widths = [4, 8].filter((columns) => columns < 2 * n);
  const threads = software ? 8 : 64;
  for (const rows of software ? heights.slice(-2) : heights)
    for (const columns of widths) {
      const widest = clamp(powerOfTwo(n / columns), 1, threads);
      for (const x of new Set(software ? [widest] : [widest, Math.max(1, widest / 4)]))
        found.push({ form: 'registers', rows, columns, threads: [x, threads / x], depth: 1 });
    }
  const last = kernel.space.at(-1)!;
  const depths = [1, [4, 5, 7, 3, 2].find((steps) => last % steps === 0) ?? 1];
  for (const rows of [4, 8, 16, 32].filter((rows) => lanes > 0 && rows < 2 * m))
    for (const columns of widths.filter((columns) => software || rows * columns <= 128))
      for (const depth of new Set(depths))
        found.push({ form: 'subgroups', rows, columns, threads: [Math.max(8, lanes), 1], depth });
  return found;
}

/** Products over parts of the depth, where there are few tiles and the parts are deep. */
function inParts(kernel: MatmulKernel, kind: Kind): TileVariant[] {
  const { batch, m, n, k } = matmulSizes(kernel);
  if (batch * Math.ceil(m / 64) * Math.ceil(n / 64) >= 256) return [];
  return (kind.software ? [2, 8] : [4, 16, 64]).flatMap((parts) => {
    const split = k / parts < 64 ? undefined : splitDepth(kernel, parts);
    if (!split || split.scratch[0]! > MOST_SCRATCH) return [];
    const first = split.parts[0]!.kernel as MatmulKernel;
    const others = kind.software ? [] : [...SMALL_TILES, LARGE_TILES[0]!];
    return [usualTile(first, kind), ...others].map((tile) => ({ ...tile, parts }));
  });
}

/** Every variant of a product that the device can run and that may be the fastest, each once, the usual one first. */
export function variants(kernel: MatmulKernel, bounds: Bounds): Variant[] {
  const { m, n } = matmulSizes(kernel);
  const narrow = Math.min(m, n) <= 8 || sizeOf(outerSpace(kernel)) <= 4096;
  const found: Variant[] = [
    usualVariant(kernel, bounds),
    ...tiles(kernel, bounds),
    ...inParts(kernel, bounds),
    ...(narrow ? [{ form: 'reduction' } as const] : []),
  ];
  const known = new Set<string>();
  return found.filter((variant) => {
    const key = variantKey(variant);
    if (known.has(key) || !fits(kernel, variant, bounds)) return false;
    known.add(key);
    return true;
  });
}

/** A variant as text, whatever the order of its properties. */
export const variantKey = (v: Variant): string =>
  v.form === 'reduction' ? v.form : [v.form, v.rows, v.columns, ...v.threads, v.depth, v.parts ?? 1].join(' ');

/** The kind of a product. */
export function kindOf(kernel: MatmulKernel): ProductKind {
  const dims = matmulDims(kernel);
  const operand = (i: 0 | 1): ProductKind['a'] => {
    const { dtype, access } = kernel.inputs[i]!;
    const strides = access.mode === 'direct' ? access.strides : [];
    const side = i === 0 ? dims.m : dims.n;
    const [along, across] = i === 0 ? [dims.k, side] : [side, dims.k];
    const layout = (): OperandLayout => {
      if (side.length > 1 || dims.k.length > 1) return 'windowed';
      if (strides[along[0]!] === 1) return 'plain';
      return strides[across[0]!] === 1 ? 'transposed' : 'strided';
    };
    return `${dtype as 'float32' | 'float16'} ${layout()}`;
  };
  const { batch, m, n, k } = matmulSizes(kernel);
  return {
    a: operand(0),
    b: operand(1),
    batch: powerOfTwo(batch),
    m: powerOfTwo(m),
    n: powerOfTwo(n),
    k: powerOfTwo(k),
  };
}
