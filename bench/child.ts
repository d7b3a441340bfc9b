// A process of its own for what must find nothing kept from before. Its last line is its result, as JSON.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { provideGPU } from '../src/init.ts';
import { gpu } from '../tests/setup/devices.ts';
import { type CountReport, countPeer } from './counts.ts';
import { type Entrant, firstStep } from './first.ts';
import { nodeLibraries } from './libraries.ts';
import type { ModelName } from './models.ts';
import type { PeerName } from './peers.ts';

type Errand =
  | { readonly what: 'first'; readonly entrant: Entrant; readonly model: ModelName }
  | { readonly what: 'counts'; readonly library: PeerName; readonly model: ModelName };

/** Drivers keep compiled shaders on disk: not for these processes. */
const NO_SHADER_CACHE = { __GL_SHADER_DISK_CACHE: '0', MESA_SHADER_CACHE_DISABLE: 'true' };

function inChild(errand: Errand): Promise<unknown> {
  const args = [...process.execArgv, fileURLToPath(import.meta.url), JSON.stringify(errand)];
  const env = { ...process.env, ...NO_SHADER_CACHE };
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.on('data', (text) => {
      out += text;
    });
    child.stderr.on('data', (text) => {
      err += text;
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (code === 0) resolve(JSON.parse(out.trim().split('\n').at(-1)!));
      else reject(new Error(err.trim().split('\n').at(-1) || `its process ended with ${signal ?? code}`));
    });
  });
}

/** The first step of a library in a new process, in milliseconds. */
export const firstStepInChild = (entrant: Entrant, model: ModelName): Promise<number> =>
  inChild({ what: 'first', entrant, model }) as Promise<number>;

/** The counts of a peer in a new process. */
export const countPeerInChild = (library: PeerName, model: ModelName): Promise<CountReport> =>
  inChild({ what: 'counts', library, model }) as Promise<CountReport>;

async function main(errand: Errand): Promise<unknown> {
  if (errand.what === 'counts') return countPeer(errand.library, errand.model);
  provideGPU(gpu);
  return firstStep(errand.entrant, errand.model, nodeLibraries());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main(JSON.parse(process.argv[2]!)).then(
    (result) => process.stdout.write(`\n${JSON.stringify(result)}\n`, () => process.exit()),
    (error: unknown) => {
      console.error(error instanceof Error ? error.message : error);
      process.exit(1);
    },
  );
}
