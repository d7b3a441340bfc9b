/**
 * The entry for Node: the same as the browser's, with WebGPU from the optional `webgpu` package, and with files.
 *
 * @packageDocumentation
 */
import { appendFile, writeFile } from 'node:fs/promises';
import { provideWaiting } from './backends/waiting.ts';
import { provideGPU } from './init.ts';
import { provideFiles } from './nn/files.ts';
import { pace } from './pacing.ts';

export * from './index.ts';
export { type TensorBoardOptions, tensorBoard } from './tensorboard.ts';

provideWaiting(pace);
provideFiles({ write: writeFile, append: appendFile });

let found: GPU | null = null;

provideGPU(async () => {
  if (found) return found;
  try {
    const { create, globals } = await import('webgpu');
    Object.assign(globalThis, globals);
    // Dawn's instance must stay referenced as long as anything of it is used. It hides float16 on NVIDIA unless asked,
    // and rounds times to 0.1 ms, which `profile` would show.
    found = create([
      'enable-dawn-features=vulkan_enable_f16_on_nvidia',
      'disable-dawn-features=timestamp_quantization',
    ]);
  } catch {
    return null;
  }
  return found;
});
