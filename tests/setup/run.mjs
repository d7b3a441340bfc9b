// Runs a TypeScript entry from the sources, on the adapter that environment.mjs finds:
//   node tests/setup/run.mjs [node options] ENTRY.ts [arguments]
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { prepareAdapter } from './environment.mjs';

const webgpu = await prepareAdapter().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
if (process.env.TENSORLOOM_VERBOSE) console.error(`WebGPU adapter: ${webgpu}`);

const loaders = ['--import', 'tsx', '--import', new URL('./wgsl.mjs', import.meta.url).href];
const child = spawn(process.execPath, ['--expose-gc', ...loaders, ...process.argv.slice(2)], { stdio: 'inherit' });
// Ctrl-C reaches the child by itself: wait for it to finish.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => child.kill('SIGTERM'));
child.on('error', (error) => {
  console.error(error.message);
  process.exitCode = 1;
});
child.on('exit', (code, signal) => {
  process.exitCode = signal ? 128 + constants.signals[signal] : (code ?? 1);
});
