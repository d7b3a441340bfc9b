// What is to be known of a GPU, in one run; gpu.mjs begins it. Figures are saved after each part, so that a run that is cut short
// leaves what it has measured.
import { mkdir, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as tl from '../src/index.ts';
import { figuresChart } from './chart.ts';
import { countPeerInChild, firstStepInChild } from './child.ts';
import { type CountReport, countModels, showCounts } from './counts.ts';
import { firstSteps } from './first.ts';
import { type Figure, quantile, showFigures } from './harness.ts';
import { nodeLibraries, peersInstalled, peerVersions } from './libraries.ts';
import { describeMachine, type MachineReport, terminalProgress } from './machine.ts';
import { BATCH, MODEL_NAMES } from './models.ts';
import { PEER_NAMES } from './peers.ts';
import { openSession } from './session.ts';
import { MODELS } from './training.ts';
import { type TunedWorkload, tuneJobs } from './tuning.ts';
import { gpuJobs } from './workloads.ts';

/** Steps of the MLP that follow each other without a read. */
interface Stream {
  readonly model: 'MLP';
  readonly steps: number;
  readonly msPerStep: number;
  readonly dispatches: number;
  readonly usPerDispatch: number;
}

interface GpuReport {
  readonly date: string;
  readonly machine: MachineReport;
  readonly rounds: number;
  readonly figures: Figure[];
  /** What autotune found; the table itself is in a file of its own. */
  tuned?: readonly TunedWorkload[];
  stream?: Stream;
  counts?: readonly CountReport[];
}

const STEPS = 100;

/** Milliseconds of a step among many that are not waited for, the median of five series. */
async function streamMs(): Promise<number> {
  const device = await tl.device('webgpu');
  tl.setDefaultDevice(device);
  const training = MODELS.MLP();
  const { x, y } = training.upload(training.batches(1, BATCH.MLP)[0]!);
  const series: number[] = [];
  for (let i = 0; i < 6; i++) {
    const from = performance.now();
    let loss: tl.Tensor | undefined;
    for (let step = 0; step < STEPS; step++) loss = training.step(x, y);
    await loss!.item();
    // The first series compiles.
    if (i > 0) series.push((performance.now() - from) / STEPS);
  }
  device.destroy();
  return quantile(series, 0.5);
}

/** What figures are filed under: the adapter's description in short words. */
const slug = (text: string): string =>
  text
    .toLowerCase()
    .replace(/^webgpu on /, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 40);

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
  const { quick } = values;
  const progress = terminalProgress();
  const rounds = quick ? 2 : 7;
  const session = await openSession(
    { kinds: ['webgpu'], copy: true },
    peersInstalled ? nodeLibraries() : null,
    console.log,
    progress,
  );
  const adapter = session.devices[0]!.description;
  const machine = await describeMachine(adapter, peersInstalled ? await peerVersions() : {});
  console.log(`${adapter}; ${machine.cpu}, ${machine.cores} cores, Node ${machine.node}`);
  const report: GpuReport = { date: new Date().toISOString(), machine, rounds, figures: [] };
  const { figures } = report;
  const folder = fileURLToPath(new URL('./results', import.meta.url));
  await mkdir(folder, { recursive: true });
  const kind = quick ? 'gpu-quick' : 'gpu';
  const name = `${report.date.slice(0, 10)}-${kind}-${slug(adapter)}`;
  const path = `${folder}/${name}-node${machine.node.split('.')[0]}`;
  const save = async (): Promise<void> => {
    await writeFile(`${path}.json`, `${JSON.stringify(report, null, 2)}\n`);
    await writeFile(`${path}.svg`, figuresChart(figures, 'webgpu', `${adapter}, Node ${machine.node}`));
  };

  for (const job of gpuJobs(quick)) {
    const found = await session.time(job, rounds);
    progress('');
    showFigures(job.title, found);
    figures.push(...found);
    await save();
  }
  await session.close();

  await tuneJobs(gpuJobs(quick), {
    rounds,
    progress,
    save: async (found, table) => {
      report.tuned = found;
      await writeFile(`${folder}/${name}-tuning.json`, `${JSON.stringify(table, null, 2)}\n`);
      await save();
    },
  });

  const msPerStep = await streamMs();
  const counts = await countModels('hardware', { steps: 50 });
  const { dispatches } = counts.find(({ model }) => model === 'MLP')!.counts.steps;
  const usPerDispatch = (1000 * msPerStep) / dispatches.median;
  report.stream = { model: 'MLP', steps: STEPS, msPerStep, dispatches: dispatches.median, usPerDispatch };
  console.log(
    `\n${STEPS} steps of the MLP without a read: ${msPerStep.toPrecision(3)} ms each, of ${dispatches.median} dispatches: ${usPerDispatch.toPrecision(3)} us a dispatch`,
  );
  await save();

  const models = quick ? (['MLP'] as const) : MODEL_NAMES;
  const options = { peers: peersInstalled, models, rounds: quick ? 1 : 3, progress, show: showFigures };
  figures.push(...(await firstSteps(['webgpu'], options, firstStepInChild)));
  await save();

  for (const model of peersInstalled ? models : [])
    for (const name of PEER_NAMES) counts.push(await countPeerInChild(name, model));
  report.counts = counts;
  showCounts(counts);
  await save();
  console.log(`\nwritten to bench/results/${basename(path)}.json and .svg, and ${name}-tuning.json`);
}

main().then(
  () => process.exit(),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
