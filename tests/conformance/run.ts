// npm run conformance -- --dir DIR --device D [--group G]... [--json FILE]
// Runs a directory of case files on one device, and says what passed, what failed, and which ops are missing.
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { tl } from './api.ts';
import { HALF } from './cases.ts';
import { type Case, runCase } from './runner.ts';

const USAGE = `npm run conformance -- --dir DIR --device D [--group G]... [--case TEXT] [--datasets DIR] [--json FILE] [--no-fusion] [--float64] [--dtype float16]
  --dir DIR      the case files: <group>.json (default: tests/fixtures/conformance)
  --device D     cpu, webgpu or reference (default: cpu)
  --group G      only this group; may be repeated
  --case TEXT    only cases whose name contains TEXT
  --datasets DIR CSV files for the training runs (default: ../../datasets beside the case files)
  --json FILE    write the results there
  --no-fusion    one kernel an op
  --float64      compute in float64 (reference only)
  --dtype D      float16: float inputs and cotangents are rounded to float16, and what is wanted is not PyTorch's stored value but
                 what the reference gives in float64 for the rounded inputs (it is itself compared with PyTorch by --float64). So
                 inputs and results beyond float16 are infinite on both sides, and jumps are where they are. Tolerance: ${HALF} of
                 the element and of the largest of its tensor. Skipped are cases that refuse float16 by name, as PyTorch does
                 for factorisations, and runs of optimizers, schedules and whole trainings, which are in float32`;

interface Failure {
  readonly group: string;
  readonly name: string;
  readonly reason: string;
}

interface Count {
  passed: number;
  failed: number;
  skipped: number;
  seconds: number;
}

function options() {
  try {
    const { values } = parseArgs({
      options: {
        dir: { type: 'string', default: 'tests/fixtures/conformance' },
        device: { type: 'string', default: 'cpu' },
        group: { type: 'string', multiple: true, default: [] },
        case: { type: 'string', default: '' },
        datasets: { type: 'string' },
        json: { type: 'string' },
        'no-fusion': { type: 'boolean', default: false },
        float64: { type: 'boolean', default: false },
        dtype: { type: 'string', default: 'float32' },
        help: { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`);
    process.exit(2);
  }
}

/** The groups of a directory, in the manifest's order where there is one. */
async function groupsOf(dir: string): Promise<string[]> {
  const files = (await readdir(dir)).filter((f) => f.endsWith('.json') && f !== 'manifest.json').sort();
  const names = files.map((f) => basename(f, '.json'));
  const manifest = join(dir, 'manifest.json');
  if (!existsSync(manifest)) return names;
  const order = Object.keys((JSON.parse(await readFile(manifest, 'utf8')) as { groups: object }).groups);
  return [...order.filter((g) => names.includes(g)), ...names.filter((g) => !order.includes(g))];
}

const args = options();
if (args.help) {
  console.log(USAGE);
  process.exit(0);
}
if (!existsSync(args.dir)) {
  console.error(`conformance: there is no directory ${args.dir}`);
  process.exit(2);
}
if (args.dtype !== 'float32' && args.dtype !== 'float16') {
  console.error(`conformance: --dtype is float16 or float32, not ${args.dtype}`);
  process.exit(2);
}
const known = await groupsOf(args.dir);
const wrong = args.group.filter((g) => !known.includes(g));
if (wrong.length > 0) {
  console.error(`conformance: no group ${wrong.join(', ')} in ${args.dir}; there are ${known.join(', ')}`);
  process.exit(2);
}
const groups = args.group.length > 0 ? known.filter((g) => args.group.includes(g)) : known;

const datasets = args.datasets ?? join(args.dir, '../../datasets');
const readDataset = (name: string): Promise<string> => readFile(join(datasets, `${name}.csv`), 'utf8');

const device = await tl.init({
  device: args.device as tl.DeviceName,
  ...(args.float64 ? { precision: 'float64' as const } : {}),
  fusion: !args['no-fusion'],
});
const oracle = args.dtype === 'float16' ? await tl.device('reference', { precision: 'float64' }) : undefined;
console.log(`${device.name}: ${device.description}${oracle ? ', float16' : ''}`);

const counts = new Map<string, Count>();
const failures: Failure[] = [];
const missing = new Map<string, number>();
const progress = process.stdout.isTTY
  ? (text: string): void => {
      process.stdout.write(`\r\x1b[K${text}`);
    }
  : (): void => {};

for (const group of groups) {
  const cases = JSON.parse(await readFile(join(args.dir, `${group}.json`), 'utf8')) as Case[];
  const count: Count = { passed: 0, failed: 0, skipped: 0, seconds: 0 };
  counts.set(group, count);
  const start = performance.now();
  for (const [i, c] of cases.entries()) {
    if (!c.name.includes(args.case)) continue;
    progress(`${group} ${i + 1}/${cases.length} ${c.name}`);
    const { status, reason } = await runCase(c, device, readDataset, oracle);
    count[status]++;
    if (status === 'failed') {
      failures.push({ group, name: c.name, reason });
      progress('');
      console.log(`FAILED ${group} ${c.name}\n       ${reason}`);
    }
    if (status === 'skipped') {
      const what = `${c.op} (${reason})`;
      missing.set(what, (missing.get(what) ?? 0) + 1);
    }
  }
  count.seconds = (performance.now() - start) / 1000;
  progress('');
}

if (missing.size > 0) {
  console.log(`unsupported: ${[...missing].map(([what, n]) => `${what} x${n}`).join(', ')}`);
}
const width = Math.max(5, ...groups.map((g) => g.length));
const row = (name: string, cells: readonly (string | number)[]): string =>
  `${name.padEnd(width)}  ${cells.map((c) => String(c).padStart(7)).join('  ')}`;
console.log(row('group', ['passed', 'failed', 'skipped', 'seconds']));
const total: Count = { passed: 0, failed: 0, skipped: 0, seconds: 0 };
for (const [group, c] of counts) {
  console.log(row(group, [c.passed, c.failed, c.skipped, c.seconds.toFixed(1)]));
  for (const key of ['passed', 'failed', 'skipped', 'seconds'] as const) total[key] += c[key];
}
if (args.json) {
  const report = {
    device: device.name,
    description: device.description,
    dir: args.dir,
    passed: total.passed,
    failed: total.failed,
    skipped: total.skipped,
    groups: Object.fromEntries(counts),
    failures,
    unsupported: Object.fromEntries(missing),
  };
  await writeFile(args.json, `${JSON.stringify(report, null, 2)}\n`);
}
device.destroy();
oracle?.destroy();
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed > 0 ? 1 : 0;
