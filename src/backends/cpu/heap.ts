import type { DType } from '../../core/dtype.ts';
import { OutOfMemoryError } from '../../core/errors.ts';
import type { Numbers } from '../backend.ts';

const PAGE = 65536;
/** Pages of the largest memory: 4 GiB. */
export const MAXIMUM_PAGES = 65536;
const ALIGNMENT = 64;
/** Kernels read up to a vector past the last element of a buffer, so the end of the memory is never handed out. */
const SLACK = 64;

/** A stretch of the memory, free or in use, linked to its neighbours in address order. */
export class Block {
  free = false;
  before: Block | null = null;
  after: Block | null = null;
  /** Neighbours in its free list. */
  previous: Block | null = null;
  next: Block | null = null;

  constructor(
    readonly address: number,
    public size: number,
  ) {}
}

/** float16 is not stored here. */
const VIEWS = {
  float32: 'f32',
  float16: 'f32',
  int32: 'i32',
  uint32: 'u32',
  bool: 'u32',
  int8: 'i8',
  uint8: 'u8',
} as const;

const STEPS = 8;

/** Free lists hold the sizes of one eighth of a power of two: the list of a size… */
function bin(size: number): number {
  const log = 31 - Math.clz32(size / ALIGNMENT);
  return log * STEPS + (Math.floor((size / ALIGNMENT / 2 ** log) * STEPS) - STEPS);
}

/** …and the first list whose blocks are all at least as large. */
function binAbove(size: number): number {
  const step = Math.max(1, 2 ** (31 - Math.clz32(size / ALIGNMENT)) / STEPS) * ALIGNMENT;
  return bin(Math.ceil(size / step) * step);
}

/** How many blocks of the list of its own size an allocation looks at. */
const TRIES = 8;

/**
 * One growing WebAssembly memory with a two-level segregated fit allocator (Masmano et al. 2004): blocks are split when
 * taken and merged with free neighbours when given back.
 */
export class Heap {
  readonly memory: WebAssembly.Memory;
  maximumPages: number;
  f32!: Float32Array;
  i32!: Int32Array;
  u32!: Uint32Array;
  i8!: Int8Array;
  u8!: Uint8Array;
  private readonly lists: (Block | null)[] = new Array(27 * STEPS).fill(null);
  private last: Block | null = null;
  /** First address that no block covers. */
  private top: number;
  private pages: number;
  /** Bytes of the blocks in use. */
  used = 0;

  /** The first `reserved` bytes belong to the caller. */
  constructor(reserved: number, maximumPages: number = MAXIMUM_PAGES) {
    this.pages = Math.min(16, maximumPages);
    this.maximumPages = maximumPages;
    this.memory = this.open();
    this.top = Math.ceil(reserved / ALIGNMENT) * ALIGNMENT;
    this.refresh();
  }

  /** Bytes of the whole memory. */
  get bytes(): number {
    return this.pages * PAGE;
  }

  private open(): WebAssembly.Memory {
    for (;;)
      try {
        return new WebAssembly.Memory({ initial: this.pages, maximum: this.maximumPages });
      } catch (error) {
        // Small devices cannot reserve the addresses of the largest memory.
        if (this.maximumPages < 1024) throw error;
        this.maximumPages /= 2;
      }
  }

  private refresh(): void {
    this.f32 = new Float32Array(this.memory.buffer);
    this.i32 = new Int32Array(this.memory.buffer);
    this.u32 = new Uint32Array(this.memory.buffer);
    this.i8 = new Int8Array(this.memory.buffer);
    this.u8 = new Uint8Array(this.memory.buffer);
  }

  /** The elements of a buffer, in place. */
  view(dtype: DType, address: number, offset: number, length: number): Numbers {
    const memory = this[VIEWS[dtype]];
    const start = address / memory.BYTES_PER_ELEMENT + offset;
    return memory.subarray(start, start + length);
  }

  take(bytes: number): Block {
    const size = Math.ceil(Math.max(bytes, 1) / ALIGNMENT) * ALIGNMENT;
    const block = this.find(size) ?? this.extend(size, bytes);
    if (block.free) this.unlink(block);
    this.split(block, size);
    this.used += block.size;
    return block;
  }

  private find(size: number): Block | null {
    let block = this.lists[bin(size)] ?? null;
    for (let n = 0; block && n < TRIES; n++, block = block.next) if (block.size >= size) return block;
    for (let i = binAbove(size); i < this.lists.length; i++) {
      const first = this.lists[i];
      if (first) return first;
    }
    return null;
  }

  give(block: Block): void {
    this.used -= block.size;
    let merged = block;
    const { before, after } = block;
    if (before?.free) {
      this.unlink(before);
      this.absorb(before, merged);
      merged = before;
    }
    if (after?.free) {
      this.unlink(after);
      this.absorb(merged, after);
    }
    this.link(merged);
  }

  /** A block of the size at the end of the memory, which grows where it must. */
  private extend(size: number, asked: number): Block {
    const tail = this.last?.free ? this.last : null;
    const start = tail ? tail.address : this.top;
    const need = Math.ceil((start + size + SLACK) / PAGE);
    if (
      need > this.pages &&
      !this.grow(Math.max(need, Math.min(Math.ceil(this.pages * 1.25), this.maximumPages))) &&
      !this.grow(need)
    )
      throw new OutOfMemoryError(
        `The CPU backend cannot allocate ${asked} bytes: ${this.used} bytes are in use, and its memory of ${this.bytes} bytes cannot ` +
          `grow to ${need * PAGE} (at most ${this.maximumPages * PAGE}). Dispose tensors that are not needed, or use smaller batches.`,
      );
    const end = this.pages * PAGE - SLACK;
    if (tail) {
      this.unlink(tail);
      tail.size = end - tail.address;
      this.top = end;
      return tail;
    }
    const block = new Block(this.top, end - this.top);
    block.before = this.last;
    if (this.last) this.last.after = block;
    this.last = block;
    this.top = end;
    return block;
  }

  private grow(pages: number): boolean {
    if (pages > this.maximumPages) return false;
    try {
      this.memory.grow(pages - this.pages);
    } catch {
      return false;
    }
    this.pages = pages;
    this.refresh();
    return true;
  }

  /** Cuts the block to the size and gives the rest back. */
  private split(block: Block, size: number): void {
    if (block.size - size < ALIGNMENT) return;
    const rest = new Block(block.address + size, block.size - size);
    rest.before = block;
    rest.after = block.after;
    if (rest.after) rest.after.before = rest;
    else this.last = rest;
    block.after = rest;
    block.size = size;
    this.link(rest);
  }

  private absorb(block: Block, next: Block): void {
    block.size += next.size;
    block.after = next.after;
    if (next.after) next.after.before = block;
    else this.last = block;
  }

  private link(block: Block): void {
    const i = bin(block.size);
    const head = this.lists[i] ?? null;
    block.free = true;
    block.previous = null;
    block.next = head;
    if (head) head.previous = block;
    this.lists[i] = block;
  }

  private unlink(block: Block): void {
    if (block.previous) block.previous.next = block.next;
    else this.lists[bin(block.size)] = block.next;
    if (block.next) block.next.previous = block.previous;
    block.previous = null;
    block.next = null;
    block.free = false;
  }
}
