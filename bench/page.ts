// The page in which workloads are timed in a browser; browser.ts calls what it puts on `globalThis`.
import { provideGPU } from '../src/init.ts';
import { gpu } from '../tests/setup/devices.ts';
import { type Entrant, firstStep } from './first.ts';
import type { DeviceKind, Figure } from './harness.ts';
import type { Jax } from './jax.ts';
import type { ModelName } from './models.ts';
import type { Libraries } from './peers.ts';
import { openSession, type Session, type SessionOptions } from './session.ts';
import type { Tf } from './tfjs.ts';
import type { Job } from './workloads.ts';

const PEERS = '/bench/peers/node_modules';

function loadScript(path: string): Promise<void> {
  const script = document.createElement('script');
  script.src = `${PEERS}/${path}`;
  return new Promise((resolve, reject) => {
    script.onload = () => resolve();
    script.onerror = () => reject(new Error(`${path} does not load`));
    document.head.append(script);
  });
}

const libraries: Libraries = {
  jax: async () => (await import(/* @vite-ignore */ `${PEERS}/@jax-js/jax/dist/index.js`)) as Jax,
  // Scripts that share one core through a global, as the pages do for which they are made.
  tfjs: async () => {
    await loadScript('@tensorflow/tfjs/dist/tf.min.js');
    await loadScript('@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js');
    await loadScript('@tensorflow/tfjs-backend-webgpu/dist/tf-backend-webgpu.min.js');
    const { tf } = globalThis as unknown as {
      tf: Tf & { readonly wasm: { setWasmPaths(prefix: string): void } };
    };
    tf.wasm.setWasmPaths(`${PEERS}/@tensorflow/tfjs-backend-wasm/dist/`);
    return tf;
  },
};

let session: Session | undefined;

/** What browser.ts calls; all that is given and returned is plain data. */
export interface BenchPage {
  open(options: SessionOptions, peers: boolean): Promise<{ kind: DeviceKind; description: string }[]>;
  time(job: Job, rounds: number): Promise<Figure[]>;
  first(entrant: Entrant, model: ModelName): Promise<number>;
}

/** What browser.ts gives to the page. */
export interface PageReports {
  benchReport(line: string): Promise<void>;
  benchProgress(text: string): Promise<void>;
}

const { benchReport, benchProgress } = globalThis as unknown as PageReports;

const bench: BenchPage = {
  async open(options, peers) {
    session = await openSession(options, peers ? libraries : null, benchReport, benchProgress);
    return [...session.devices];
  },
  time: (job, rounds) => session!.time(job, rounds),
  first(entrant, model) {
    provideGPU(gpu);
    return firstStep(entrant, model, libraries);
  },
};
Object.assign(globalThis, { bench });
