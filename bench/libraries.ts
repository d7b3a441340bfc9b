// The libraries of bench/peers, in Node.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { gpu, hasWebGPU } from '../tests/setup/devices.ts';
import type { Jax } from './jax.ts';
import { packageVersion } from './machine.ts';
import type { Libraries } from './peers.ts';
import type { Tf } from './tfjs.ts';

const manifest = new URL('./peers/package.json', import.meta.url);
const fromPeers = createRequire(manifest);
const NAMES = ['@jax-js/jax', '@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm', '@tensorflow/tfjs-backend-webgpu'];

export const peersInstalled: boolean = existsSync(new URL('./peers/node_modules', import.meta.url));
export const HOW_TO_INSTALL =
  'Other libraries are not installed: run `npm --prefix bench/peers ci` to compare with them.';

/** The versions of the peers that are installed. */
export async function peerVersions(): Promise<Record<string, string>> {
  const found = await Promise.all(NAMES.map(async (name) => [name, await packageVersion(name, manifest)] as const));
  return Object.fromEntries(found.filter((entry): entry is [string, string] => entry[1] !== null));
}

/** Libraries for pages look for WebGPU on `navigator`. */
function provideNavigator(gpu: GPU | null): void {
  const { navigator } = globalThis;
  const value = {
    userAgent: navigator?.userAgent ?? 'Node.js',
    hardwareConcurrency: navigator?.hardwareConcurrency ?? 1,
    ...(gpu && { gpu }),
  };
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true, writable: true });
}

/** The libraries, which find a GPU on `navigator`: Dawn's, where there is one, unless another is given. */
export function nodeLibraries(given?: GPU): Libraries {
  const provided = (async () => provideNavigator(given ?? (hasWebGPU ? await gpu() : null)))();
  return {
    jax: async () => {
      await provided;
      // Its ES module: what Node would take by `require` is another copy.
      const path = fromPeers.resolve('@jax-js/jax').replace(/index\.cjs$/, 'index.js');
      return (await import(pathToFileURL(path).href)) as Jax;
    },
    tfjs: async () => {
      await provided;
      // By `require`: all of its packages then share one core.
      const tf = fromPeers('@tensorflow/tfjs') as Tf;
      fromPeers('@tensorflow/tfjs-backend-wasm');
      fromPeers('@tensorflow/tfjs-backend-webgpu');
      return tf;
    },
  };
}
