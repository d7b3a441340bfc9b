import matmulRegisters from '../../../shaders/matmul_registers.wgsl';
import matmulSubgroups from '../../../shaders/matmul_subgroups.wgsl';
import matmulTiled from '../../../shaders/matmul_tiled.wgsl';
import { sizeOf } from '../../core/shape.ts';
import { extent, kernelKey, type MatmulKernel, matmulDims, outerSpace } from '../../ir/kernel.ts';
import type { TileVariant, Variant } from '../tuning.ts';
import { asReduction, clamp, type Plan, powerOfTwo, splitDepth } from './lower.ts';
import { columnCount, matmulShader, readings, type ThreadTile } from './wgsl/matmul.ts';

// How products run: the variant that is taken unless another was measured to be faster, and the plan of a variant.

const SKELETONS = { tiled: matmulTiled, registers: matmulRegisters, subgroups: matmulSubgroups };

/** What an adapter is, as far as variants depend on it. */
export interface Kind {
  readonly software: boolean;
  /** Threads of a subgroup, where the device has them and always as many; else 0. */
  readonly lanes: number;
}

/** Products in a batch, and the sizes of one. */
export function matmulSizes(kernel: MatmulKernel): { batch: number; m: number; n: number; k: number } {
  const dims = matmulDims(kernel);
  const [batch, m, n, k] = [dims.batch, dims.m, dims.n, dims.k].map((of) => extent(kernel.space, of));
  return { batch: batch!, m: m!, n: n!, k: k! };
}

/** The usual variant of a product: as a reduction where it is too narrow for tiles, in parts where it is few tiles of great depth. */
export function usualVariant(kernel: MatmulKernel, kind: Kind): Variant {
  const { software } = kind;
  const { batch, m, n, k } = matmulSizes(kernel);
  const few = sizeOf(outerSpace(kernel)) <= (software ? 32 : 1024) && k >= 1024;
  if ((few || (!software && Math.min(m, n) <= 2)) && asReduction(kernel)) return { form: 'reduction' };
  const tiles = batch * Math.ceil(m / 64) * Math.ceil(n / 64);
  // A software adapter has few cores, but more than one tile keeps busy.
  if (software ? tiles > 1 || k < 8192 : tiles >= 64 || k < 2048) return usualTile(kernel, kind);
  const parts = software ? 4 : Math.min(256 / tiles, k / 512);
  const first = firstPart(kernel, parts);
  return first ? { ...usualTile(first, kind), parts } : usualTile(kernel, kind);
}

/** The products over parts of the depth, undefined where it does not divide. */
export const firstPart = (kernel: MatmulKernel, parts: number): MatmulKernel | undefined =>
  splitDepth(kernel, parts)?.parts[0]?.kernel as MatmulKernel | undefined;

/** So many multiplications of a product are worth the longest code, and fewer than so many only the shortest. */
const LONG_PRODUCT = 2 ** 27;
const SHORT_PRODUCT = 2 ** 19;

/** Workgroup tiles by the least number of workgroups that each is for: larger ones re-use more, smaller ones fill the device sooner. */
const TILES = [
  { least: 128, form: 'tiled', rows: 8, columns: 8, threads: [16, 16], depth: 8 },
  { least: 128, form: 'tiled', rows: 4, columns: 4, threads: [16, 16], depth: 16 },
  { least: 0, form: 'tiled', rows: 4, columns: 4, threads: [8, 8], depth: 32 },
] as const;

export function usualTile(kernel: MatmulKernel, { software, lanes }: Kind): TileVariant {
  const { batch, m, n, k } = matmulSizes(kernel);
  if (software && lanes > 0 && m >= 4 && n >= 16) {
    const threads = Math.max(8, lanes);
    // Long code runs faster and takes long to compile: it is for products that take as long themselves.
    const work = batch * m * n * k;
    const long = work >= LONG_PRODUCT;
    const short = work < SHORT_PRODUCT;
    // lavapipe, of eight lanes and more, compiles a tile of 16 x 8 for two seconds, which runs a third faster.
    const small = short || (lanes >= 8 && !long);
    const columns = n > 4 * threads && !small ? 8 : 4;
    const most = long ? 32 : small ? 8 : 16;
    const even = Math.ceil(m / Math.ceil(m / most));
    const rows = even > 8 ? 4 * Math.ceil(even / 4) : even;
    // Several steps at a time spare odometers of several dims, and vectors of four steps pay where there are many of them. Elsewhere one step
    // is as fast as five or seven, or up to a third faster, and takes a quarter of the time to compile.
    const last = kernel.space.at(-1)!;
    const depth = (long ? [4, 5, 7, 3, 2] : kernel.inner > 1 ? [5, 7, 3] : []).find((s) => last % s === 0) ?? 1;
    return { form: 'subgroups', rows, columns, threads: [threads, 1], depth };
  }
  if (software || Math.min(m, n) <= 16) {
    const large = m * n >= 128 * 128 && m >= 16;
    const rows = large ? 16 : clamp(powerOfTwo(m), 1, 8);
    const columns = large ? 8 : 4;
    // Neighbouring threads take neighbouring columns: four of them fill a vector of the adapters we know.
    const threads = software ? 8 : 64;
    const x = clamp(powerOfTwo(n / columns), 1, threads);
    return { form: 'registers', rows, columns, threads: [x, threads / x], depth: 1 };
  }
  const side = ({ rows, threads }: TileVariant): number => rows * threads[0];
  const groups = (tile: TileVariant): number => batch * Math.ceil(m / side(tile)) * Math.ceil(n / side(tile));
  const { least, ...tile } = TILES.find((tile) => groups(tile) >= tile.least)!;
  return tile;
}

/** The plan of a product in tiles. */
export function tilePlan(
  kernel: MatmulKernel,
  { form, rows, columns, threads: [x, y], depth }: TileVariant,
  lanes: number,
): Plan {
  const { batch, m } = matmulSizes(kernel);
  const dims = matmulDims(kernel);
  const byDepth = (input: number, side: readonly number[]): number => {
    const { access } = kernel.inputs[input]!;
    if (access.mode !== 'direct') return 0;
    return Number(access.strides[dims.k.at(-1)!] === 1 && access.strides[side.at(-1)!] !== 1);
  };
  const tile: ThreadTile = {
    rows: form === 'tiled' ? rows / 4 : rows,
    fours: columns / 4,
    ...(form === 'subgroups' ? { shared: { lanes, steps: depth, ...readings(kernel, depth, rows) } } : {}),
  };
  const constants = {
    tiled: { SIDE: x, DEPTH: depth, A_BY_DEPTH: byDepth(0, dims.m), B_BY_DEPTH: byDepth(1, dims.n) },
    registers: { THREADS_X: x, THREADS_Y: y },
    subgroups: { THREADS: x },
  };
  return {
    key: `${form} ${JSON.stringify(tile)} ${kernelKey(kernel)}`,
    shader: () => matmulShader(kernel, SKELETONS[form], tile),
    constants: constants[form],
    groups: batch * Math.ceil(m / (rows * y)) * Math.ceil(columnCount(kernel, tile.shared) / (columns * x)),
  };
}
