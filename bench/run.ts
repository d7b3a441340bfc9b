// npm run bench -- [options]: see USAGE.
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { hasWebGPU } from '../tests/setup/devices.ts';
import { firstStepInBrowser, openBrowserSession } from './browser.ts';
import { figuresChart } from './chart.ts';
import { countPeerInChild, firstStepInChild } from './child.ts';
import { type CountReport, countModels, showCounts } from './counts.ts';
import { firstSteps } from './first.ts';
import { type DeviceKind, type Figure, showFigures } from './harness.ts';
import { HOW_TO_INSTALL, nodeLibraries, peersInstalled, peerVersions } from './libraries.ts';
import { describeMachine, type MachineReport, terminalProgress } from './machine.ts';
import { MODEL_NAMES } from './models.ts';
import { PEER_NAMES } from './peers.ts';
import { openSession } from './session.ts';
import { type TunedWorkload, tuneJobs } from './tuning.ts';
import { jobs } from './workloads.ts';

const USAGE = `npm run bench -- [options]
  --backend NAME   cpu, webgpu or reference; may be repeated (all that are here unless given)
  --only NAME      workloads whose names begin so, such as matmul, gelu-4M or lenet; may be repeated
  --peers          other libraries too, those of bench/peers
  --large          matmul 2048 too
  --copy           what WebGPU copies from buffer to buffer, in the rounds of workloads that are bound by memory
  --rounds N       samples of each contestant, 15 unless given
  --first-step     no workloads: the first train step of each model in a new process (a new browser with --browser), 3 rounds unless given
  --tune           no devices but webgpu: what autotune finds for the workloads, and their times with it and without
  --browser        in headless Chromium, not in Node
  --counts         no times: what a training step asks of WebGPU, on Dawn's null backend
  --json FILE      write the figures to a file, too
  --svg FILE       and a chart of the ratios of each device: to FILE with the device before its ending`;

const KINDS: readonly DeviceKind[] = ['reference', 'cpu', 'webgpu'];

interface Report {
  readonly date: string;
  readonly machine: MachineReport;
  readonly rounds?: number;
  readonly figures?: readonly Figure[];
  readonly tuned?: readonly TunedWorkload[];
  readonly counts?: readonly CountReport[];
}

async function save(path: string | undefined, report: Report): Promise<void> {
  if (!path) return;
  await writeFile(path, `${JSON.stringify(report, null, 2)}\n`);
  console.log(`\nwritten to ${path}`);
}

const today = (): string => new Date().toISOString();

async function counts(peers: boolean): Promise<CountReport[]> {
  const reports = [
    ...(await countModels('hardware', { memory: true })),
    ...(await countModels('software', { memory: true })),
  ];
  for (const model of peers ? MODEL_NAMES : [])
    for (const name of PEER_NAMES) reports.push(await countPeerInChild(name, model));
  return reports;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      backend: { type: 'string', multiple: true },
      only: { type: 'string', multiple: true },
      peers: { type: 'boolean', default: false },
      large: { type: 'boolean', default: false },
      copy: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      'first-step': { type: 'boolean', default: false },
      tune: { type: 'boolean', default: false },
      browser: { type: 'boolean', default: false },
      counts: { type: 'boolean', default: false },
      json: { type: 'string' },
      svg: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(USAGE);
  if (values.tune && values.browser) throw new Error('--tune is for Node: it takes no --browser');
  const { only, browser, copy, large, 'first-step': first } = values;
  const rounds = Number(values.rounds ?? (first ? 3 : 15));
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`--rounds is ${values.rounds}; it must be a whole number`);
  // A page has no reference device to compare with: it is there for tests.
  const all = browser ? KINDS.filter((kind) => kind !== 'reference') : KINDS;
  const kinds = (values.tune ? ['webgpu'] : (values.backend ?? all)) as readonly DeviceKind[];
  for (const kind of kinds)
    if (!all.includes(kind)) throw new Error(`--backend is ${kind}; it may be ${all.join(', ')}`);
  const peers = values.peers && peersInstalled;
  if (values.peers && !peersInstalled) console.log(HOW_TO_INSTALL);
  const versions = peers ? await peerVersions() : {};

  if (values.counts) {
    const found = await counts(peers);
    showCounts(found);
    const machine = await describeMachine("Dawn's null backend", versions);
    return save(values.json, { date: today(), machine, counts: found });
  }

  const here = kinds.filter((kind) => kind !== 'webgpu' || hasWebGPU);
  if (here.length < kinds.length) console.log('WebGPU is left out: there is no adapter here.');
  const progress = terminalProgress();
  const options = { kinds: here, copy };
  const opened = browser
    ? await openBrowserSession(options, peers && !first, console.log, progress)
    : {
        session: await openSession(options, peers && !first ? nodeLibraries() : null, console.log, progress),
        version: undefined,
      };
  const { session, version } = opened;
  const adapter = session.devices.find(({ kind }) => kind === 'webgpu')?.description ?? null;
  const machine = await describeMachine(adapter, versions, version);
  console.log(`${machine.cpu}, ${machine.cores} cores, ${version ?? `Node ${machine.node}`}`);
  for (const { kind, description } of session.devices) console.log(`${kind}: ${description}`);

  const figures: Figure[] = [];
  // As the adapter's description ends.
  const chosen = jobs({ software: !adapter || /\(software\)$/.test(adapter), large }).filter(
    ({ name }) => !only || only.some((start) => name.startsWith(start)),
  );
  if (values.tune) {
    await session.close();
    let tuned: readonly TunedWorkload[] = [];
    await tuneJobs(chosen, {
      rounds,
      progress,
      save: async (found) => {
        tuned = found;
      },
    });
    return save(values.json, { date: today(), machine, rounds, tuned });
  }
  if (first) {
    await session.close();
    const models = MODEL_NAMES.filter((name) => !only || only.some((start) => name.toLowerCase().startsWith(start)));
    const run = browser ? firstStepInBrowser : firstStepInChild;
    figures.push(...(await firstSteps(here, { peers, models, rounds, progress, show: showFigures }, run)));
  } else {
    if (here.includes('reference')) console.log('The reference device is left out but for the smallest sizes.');
    for (const job of chosen) {
      const found = await session.time(job, rounds);
      progress('');
      if (found.length > 0) showFigures(job.title, found);
      figures.push(...found);
    }
    await session.close();
  }
  for (const kind of values.svg ? here : []) {
    if (!figures.some((f) => f.device === kind && f.ratio !== null)) continue;
    const path = values.svg!.replace(/(\.svg)?$/, `-${kind}.svg`);
    await writeFile(path, figuresChart(figures, kind, `${machine.cpu}, ${version ?? `Node ${machine.node}`}`));
    console.log(`a chart is in ${path}`);
  }
  await save(values.json, { date: today(), machine, rounds, figures });
}

main().then(
  () => process.exit(),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
