import { isFloating } from '../../core/dtype.ts';
import { COPY_DST, type Counters, UNIFORM } from './constants.ts';
import type { Memory } from './pool.ts';
import type { Step } from './programs.ts';

/** A step with what a launch brings to it. */
export interface Job {
  readonly step: Step;
  readonly memories: readonly Memory[];
  readonly scalars: readonly number[];
  readonly label: string;
}

/** Begins passes that are timed. */
export interface TimedPasses {
  readonly running: boolean;
  /** Every job is a pass of its own. */
  readonly apart: boolean;
  pass(encoder: GPUCommandEncoder, label: string): GPUComputePassEncoder;
  /** Called at the end of the passes. */
  take(encoder: GPUCommandEncoder): void;
}

const GROUPS_KEPT = 8192;

function sameMemories(a: readonly Memory[], b: readonly Memory[]): boolean {
  for (let i = 0; i < b.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Encodes jobs into one pass, or into one each while they are timed, with cached bind groups and all params in one uniform arena. */
export class Encoder {
  private readonly bindGroups = new Map<string, GPUBindGroup>();
  private readonly groupsOf = new Map<Memory, string[]>();
  private arena: GPUBuffer | undefined;
  private words = new Uint32Array(64 * 256);
  private floats = new Float32Array(this.words.buffer);
  private signed = new Int32Array(this.words.buffer);

  constructor(
    private readonly device: GPUDevice,
    private readonly status: Memory,
    private readonly counters: Counters,
  ) {}

  /** True when encoding makes nothing that the device could refuse: known bind groups, or known pipelines with no memory bound twice. */
  isWarm(jobs: readonly Job[]): boolean {
    if (!this.arena || this.bytes(jobs) > this.arena.size) return false;
    for (const job of jobs)
      if (!this.find(job) && !(job.step.pipeline.proven && new Set(job.memories).size === job.memories.length))
        return false;
    return true;
  }

  encode(encoder: GPUCommandEncoder, jobs: readonly Job[], clock: TimedPasses | undefined): void {
    const arena = this.fillArena(jobs);
    const timed = clock?.running ? clock : undefined;
    let pass: GPUComputePassEncoder | undefined;
    let current: GPUComputePipeline | undefined;
    // An array: bindings convert one faster than a Uint32Array.
    const offsets = [0];
    let offset = 0;
    for (const job of jobs) {
      const { pipeline, groups } = job.step;
      if (!pass || timed?.apart) {
        pass?.end();
        pass = timed ? timed.pass(encoder, job.label) : encoder.beginComputePass();
        current = undefined;
        this.counters.passes++;
      }
      if (pipeline.gpu !== current) {
        current = pipeline.gpu!;
        pass.setPipeline(current);
      }
      offsets[0] = offset;
      pass.setBindGroup(0, this.find(job) ?? this.make(job, arena), offsets);
      pass.dispatchWorkgroups(groups[0], groups[1], groups[2]);
      pipeline.proven = true;
      offset += pipeline.uniformBytes;
    }
    pass?.end();
    timed?.take(encoder);
    this.counters.dispatches += jobs.length;
  }

  /** Drops the bind groups of memory that goes away. */
  forget(memory: Memory): void {
    for (const key of this.groupsOf.get(memory) ?? []) this.bindGroups.delete(key);
    this.groupsOf.delete(memory);
  }

  destroy(): void {
    this.clear();
    this.arena?.destroy();
  }

  private clear(): void {
    this.bindGroups.clear();
    this.groupsOf.clear();
  }

  private key({ step, memories }: Pick<Job, 'step' | 'memories'>): string {
    let key = `${step.pipeline.layout.id}`;
    for (const memory of memories) key += `,${memory.id}`;
    return key;
  }

  private find({ step, memories }: Job): GPUBindGroup | undefined {
    const { recent } = step;
    if (recent && recent.arena === this.arena && sameMemories(recent.memories, memories)) return recent.group;
    const group = this.bindGroups.get(this.key({ step, memories }));
    if (group) step.recent = { arena: this.arena!, memories, group };
    return group;
  }

  private make(job: Job, arena: GPUBuffer): GPUBindGroup {
    if (this.bindGroups.size >= GROUPS_KEPT) this.clear();
    const { pipeline } = job.step;
    const storage = pipeline.checked ? [...job.memories, this.status] : job.memories;
    const entries: GPUBindGroupEntry[] = storage.map((memory, binding) => ({
      binding,
      resource: { buffer: memory.gpu, size: memory.size },
    }));
    entries.push({ binding: storage.length, resource: { buffer: arena, size: pipeline.uniformBytes } });
    const group = this.device.createBindGroup({ layout: pipeline.layout.bindGroup, entries });
    this.counters.bindGroups++;
    const key = this.key(job);
    this.bindGroups.set(key, group);
    for (const memory of new Set(job.memories)) {
      const keys = this.groupsOf.get(memory);
      if (keys) keys.push(key);
      else this.groupsOf.set(memory, [key]);
    }
    return group;
  }

  private bytes(jobs: readonly Job[]): number {
    let bytes = 0;
    for (const { step } of jobs) bytes += step.pipeline.uniformBytes;
    return bytes;
  }

  /** Writes the params of all jobs, one after the other, and returns the buffer that holds them. */
  private fillArena(jobs: readonly Job[]): GPUBuffer {
    const bytes = this.bytes(jobs);
    if (bytes > this.words.byteLength) {
      this.words = new Uint32Array(2 ** Math.ceil(Math.log2(bytes)) / 4);
      this.floats = new Float32Array(this.words.buffer);
      this.signed = new Int32Array(this.words.buffer);
    }
    const { words, floats, signed } = this;
    let at = 0;
    for (const { step, scalars } of jobs) {
      words.set(step.words, at);
      for (const { word, slot, dtype } of step.scalars) {
        const value = scalars[slot]!;
        if (isFloating(dtype)) floats[at + word] = value;
        else if (dtype === 'int32') signed[at + word] = value;
        else words[at + word] = dtype === 'bool' ? Number(value !== 0) : value;
      }
      at += step.pipeline.uniformBytes / 4;
    }
    if (!this.arena || this.arena.size < bytes) {
      // Commands that are submitted already keep the old one alive.
      this.arena?.destroy();
      this.clear();
      this.arena = this.device.createBuffer({ size: words.byteLength, usage: UNIFORM | COPY_DST });
      this.counters.buffers++;
    }
    this.device.queue.writeBuffer(this.arena, 0, words, 0, bytes / 4);
    return this.arena;
  }
}
