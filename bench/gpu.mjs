// npm run bench:gpu -- [--software] [--quick]: gpu.ts on a GPU, with other libraries beside it. --software takes the software adapter,
// to try the command out, --quick tiny sizes.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { findAdapter } from '../tests/setup/environment.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const args = process.argv.slice(2);
process.env.TENSORLOOM_ADAPTER = args.includes('--software') ? 'software' : 'hardware';

/** @param {string} command @param {string[]} rest */
function run(command, rest) {
  const { status, error } = spawnSync(command, rest, { cwd: root, stdio: 'inherit' });
  if (error) console.error(error.message);
  return status ?? 1;
}

const { kind, env, reason } = await findAdapter();
if (kind === 'none') {
  console.error(`There is no GPU to measure: ${reason}`);
  process.exit(1);
}
Object.assign(process.env, env, { TENSORLOOM_WEBGPU: kind });
if (!existsSync(`${root}/bench/peers/node_modules`)) {
  console.log('installing the libraries to compare with');
  if (run('npm', ['--prefix', 'bench/peers', 'ci']) !== 0)
    console.log('they do not install: tensorloom is timed alone');
}
process.exitCode = run(process.execPath, [
  'tests/setup/run.mjs',
  'bench/gpu.ts',
  ...args.filter((name) => name !== '--software'),
]);
