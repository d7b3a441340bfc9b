// Runs the tests: node tests/setup/test.mjs [node] [chromium] [vitest arguments]
// Each named environment is one vitest run; the last line counts the tests of all of them.
import { spawn } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepareAdapter } from './environment.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const cache = join(root, 'node_modules/.cache/tensorloom');
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');

const projects = ['node', 'chromium'].filter((name) => process.argv.slice(2).includes(name));
const rest = process.argv.slice(2).filter((argument) => !projects.includes(argument));
const totals = { passed: 0, failed: 0, skipped: 0 };

try {
  const webgpu = await prepareAdapter();
  if (webgpu !== 'none') console.log(`WebGPU adapter: ${webgpu}`);
  await mkdir(cache, { recursive: true });
  for (const project of projects) await runProject(project);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  totals.failed += 1;
}

const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : '';
const summary = `${totals.passed} passed, ${totals.failed} failed${skipped}`;
await writeFile(join(cache, 'summary.txt'), `${summary}\n`);
console.log(summary);
process.exitCode = totals.failed > 0 ? 1 : 0;

/** @param {string} project */
async function runProject(project) {
  const report = join(cache, `report-${project}-${process.pid}.json`);
  // A filter may name files of one environment only.
  const filtered = rest.length > 0 && projects.length > 1 ? ['--passWithNoTests'] : [];
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const code = await start([vitest, 'run', '--root', root, '--project', project, ...reporters, ...filtered, ...rest]);
  try {
    const result = JSON.parse(await readFile(report, 'utf8'));
    totals.passed += result.numPassedTests;
    totals.skipped += result.numPendingTests + result.numTodoTests;
    // A file that does not load, or an error outside of a test, has no failed test of its own.
    totals.failed += Math.max(result.numFailedTests, code === 0 ? 0 : 1);
  } catch {
    totals.failed += 1;
  }
  await rm(report, { force: true });
}

/**
 * @param {string[]} args
 * @returns {Promise<number>} the exit code
 */
function start(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' });
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}
