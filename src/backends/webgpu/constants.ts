// As numbers, because the globals GPUBufferUsage, GPUMapMode and GPUShaderStage do not exist in Node.
export const MAP_READ = 0x1;
export const COPY_SRC = 0x4;
export const COPY_DST = 0x8;
export const UNIFORM = 0x40;
export const STORAGE = 0x80;
export const QUERY_RESOLVE = 0x200;
export const MAP_MODE_READ = 1;
export const COMPUTE = 4;

/** Counts of what was made since the start. */
export interface Counters {
  dispatches: number;
  passes: number;
  submits: number;
  bindGroups: number;
  buffers: number;
  pipelines: number;
}
