// npm run fuzz -- --seed S --count N [--devices reference,cpu,webgpu] [--minutes M]
// Draws programs and compares what they show on every device with the model; prints the first failures, made small.
import { parseArgs } from 'node:util';
import { devices, type TestedDevice } from '../setup/devices.ts';
import { check, type Failure } from './check.ts';
import { generate } from './generate.ts';
import { openPlaces, type Place } from './library.ts';
import { print } from './print.ts';
import { length, type Program } from './program.ts';
import { shrink } from './shrink.ts';

const USAGE = `npm run fuzz -- --seed S --count N [--devices reference,cpu,webgpu] [--minutes M]
  --seed S       the first program's seed; the next ones count up (default: 1)
  --count N      how many programs (default: 1000)
  --devices D    reference, cpu and webgpu, separated by commas (default: all that are here)
  --minutes M    stop after so long
  --every K      run each K-th program on webgpu too (default: 10 on a software adapter, else 1)
  --failures F   stop after so many failures (default: 1)
  --brief        do not make failures smaller

Every program runs on the model and on the reference (float32 unfused and fused, float64) and the cpu (unfused and fused); each
K-th one on webgpu too (unfused and fused), where a kernel of a new structure costs a pipeline.`;

function options() {
  try {
    const { values } = parseArgs({
      options: {
        seed: { type: 'string', default: '1' },
        count: { type: 'string', default: '1000' },
        devices: { type: 'string', default: devices.join(',') },
        minutes: { type: 'string', default: '0' },
        every: { type: 'string', default: process.env.TENSORLOOM_WEBGPU === 'hardware' ? '1' : '10' },
        failures: { type: 'string', default: '1' },
        brief: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`);
    process.exit(2);
  }
}

const args = options();
if (args.help) {
  console.log(USAGE);
  process.exit(0);
}

function whole(name: string, text: string): number {
  const n = Number(text);
  if (Number.isInteger(n) && n >= 0) return n;
  console.error(`fuzz: --${name} is a whole number, not ${text}`);
  process.exit(2);
}
const seed = whole('seed', args.seed);
const count = whole('count', args.count);
const every = Math.max(1, whole('every', args.every));
const mostFailures = whole('failures', args.failures);
const minutes = Number(args.minutes);
const names = args.devices.split(',').map((n) => n.trim());
for (const n of names)
  if (!(devices as readonly string[]).includes(n)) {
    console.error(`fuzz: there is no device ${n} here; there are ${devices.join(', ')}`);
    process.exit(2);
  }

const progress = process.stdout.isTTY
  ? (text: string): void => void process.stdout.write(`\r\x1b[K${text}`)
  : (): void => {};

const all = await openPlaces(names as TestedDevice[]);
const cheap = all.filter((p) => p.backend.name !== 'webgpu');

async function report(program: Program, failure: Failure): Promise<void> {
  const places = all.filter(
    (p) => p.name === failure.place || p.name === 'reference unfused' || p.backend.name !== 'webgpu',
  );
  const failing = async (p: Program): Promise<Failure | null> => (await check(p, places)).failure;
  let small = program;
  let last = failure;
  if (!args.brief) {
    const same = (f: Failure | null): f is Failure => f?.kind === failure.kind && f.place === failure.place;
    small = await shrink(program, async (p) => same(await failing(p)));
    last = (await failing(small)) ?? failure;
  }
  progress('');
  console.log(
    `FAILED seed ${program.seed} on ${last.place} (${last.kind}): ${last.message}\n` +
      `again: npm run fuzz -- --seed ${program.seed} --count 1${failure.place.startsWith('webgpu') ? ' --every 1' : ''}\n` +
      `from ${length(program.body)} instructions to ${length(small.body)}:\n\n` +
      `${print(small, last.place)}\n`,
  );
}

const start = performance.now();
let passed = 0;
let failed = 0;
let compared = 0;
let exact = 0;
let hits = 0;
let shown = 0;
for (let i = 0; i < count; i++) {
  if (minutes > 0 && performance.now() - start > minutes * 60_000) break;
  const program = generate(seed + i);
  const places: readonly Place[] = i % every === 0 ? all : cheap.length > 0 ? cheap : all;
  const outcome = await check(program, places);
  compared += outcome.compared;
  exact += outcome.exact;
  hits += outcome.planHits;
  if (outcome.failure) {
    failed++;
    await report(program, outcome.failure);
    if (failed >= mostFailures) break;
  } else passed++;
  if (performance.now() - shown > 200) {
    shown = performance.now();
    const rate = (passed + failed) / ((shown - start) / 1000);
    progress(`${passed} passed, ${failed} failed, ${rate.toFixed(0)} programs a second`);
  }
}
progress('');
const seconds = (performance.now() - start) / 1000;
const { user, system } = process.cpuUsage();
const n = Math.max(1, passed + failed);
console.log(
  `${(n / seconds).toFixed(0)} programs a second (${((user + system) / 1000 / n).toFixed(1)} ms of processor time each); ` +
    `${(compared / n).toFixed(1)} values compared in each, ${((100 * exact) / Math.max(1, compared)).toFixed(0)}% of them to the bit; ` +
    `${(hits / n).toFixed(1)} plans from the cache`,
);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
