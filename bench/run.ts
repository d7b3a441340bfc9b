// npm run bench -- [--backend cpu|webgpu|reference]... [--only NAME]... [--peers] [--large] [--rounds N] [--json FILE] [--counts]
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import * as tl from '../src/index.ts';
import { provideGPU } from '../src/init.ts';
import { gpu, hasWebGPU } from '../tests/setup/devices.ts';
import { figuresChart } from './chart.ts';
import { type CountReport, countAll, showCounts } from './counts.ts';
import { type DeviceKind, type Figure, race, showFigures } from './harness.ts';
import { HOW_TO_INSTALL, nodeLibraries, peersInstalled, peerVersions } from './libraries.ts';
import { describeMachine, type MachineReport, terminalProgress } from './machine.ts';
import { openPeers, type Peer } from './peers.ts';
import { contestants, jobs, type OpenDevice } from './workloads.ts';

const USAGE = `npm run bench -- [options]
  --backend NAME   cpu, webgpu or reference; may be repeated (all that are here unless given)
  --only NAME      workloads whose names begin so, such as matmul, gelu-4M or lenet; may be repeated
  --peers          other libraries too, those of bench/peers
  --large          matmul 2048 too
  --rounds N       samples of each contestant, 15 unless given
  --counts         no times: what a training step asks of WebGPU, on Dawn's null backend
  --json FILE      write the figures to a file, too
  --svg FILE       and a chart of the ratios of each device: to FILE with the device before its ending`;

const KINDS: readonly DeviceKind[] = ['reference', 'cpu', 'webgpu'];

interface Report {
  readonly date: string;
  readonly machine: MachineReport;
  readonly rounds?: number;
  readonly figures?: readonly Figure[];
  readonly counts?: readonly CountReport[];
}

async function save(path: string | undefined, report: Report): Promise<void> {
  if (!path) return;
  await writeFile(path, `${JSON.stringify(report, null, 2)}\n`);
  console.log(`\nwritten to ${path}`);
}

const today = (): string => new Date().toISOString();

async function openDevice(kind: DeviceKind): Promise<OpenDevice> {
  return { kind, fused: await tl.device(kind), unfused: await tl.device(kind, { fusion: false }) };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      backend: { type: 'string', multiple: true },
      only: { type: 'string', multiple: true },
      peers: { type: 'boolean', default: false },
      large: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '15' },
      counts: { type: 'boolean', default: false },
      json: { type: 'string' },
      svg: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(USAGE);
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`--rounds is ${values.rounds}; it must be a whole number`);
  const kinds = (values.backend ?? KINDS) as readonly DeviceKind[];
  for (const kind of kinds)
    if (!KINDS.includes(kind)) throw new Error(`--backend is ${kind}; it may be ${KINDS.join(', ')}`);
  const withPeers = values.peers && peersInstalled;
  if (values.peers && !peersInstalled) console.log(HOW_TO_INSTALL);
  const versions = withPeers ? await peerVersions() : {};

  if (values.counts) {
    const counts = await countAll({ peers: withPeers });
    showCounts(counts);
    const machine = await describeMachine("Dawn's null backend", versions);
    return save(values.json, { date: today(), machine, counts });
  }

  provideGPU(async () => (hasWebGPU ? gpu() : null));
  const here = kinds.filter((kind) => kind !== 'webgpu' || hasWebGPU);
  if (here.length < kinds.length) console.log('WebGPU is left out: there is no adapter here.');
  const devices: OpenDevice[] = [];
  for (const kind of here) devices.push(await openDevice(kind));
  const adapter = devices.find((d) => d.kind === 'webgpu')?.fused.description ?? null;
  const machine = await describeMachine(adapter, versions);
  const software = process.env.TENSORLOOM_WEBGPU !== 'hardware';
  console.log(`${machine.cpu}, ${machine.cores} cores, Node ${machine.node}`);
  for (const { kind, fused } of devices) console.log(`${kind}: ${fused.description}`);
  if (here.includes('reference')) console.log('The reference device is left out but for the smallest sizes.');

  const [cpu, webgpu] = [here.includes('cpu'), here.includes('webgpu')];
  const peers: Peer[] = withPeers
    ? await openPeers(nodeLibraries(webgpu ? await gpu() : null), { cpu, webgpu }, console.log)
    : [];
  const progress = terminalProgress();
  const figures: Figure[] = [];
  const { only } = values;
  for (const job of jobs({ software, large: values.large })) {
    if (only && !only.some((name) => job.name.startsWith(name))) continue;
    const rivals = peers.filter((p) => !job.without.includes(p.device));
    const ours = contestants(job, devices);
    if (ours.length + rivals.length === 0) continue;
    const found = await race(
      {
        name: job.name,
        title: job.title,
        ...(job.flops !== undefined && { flops: job.flops }),
        ...(job.bytes !== undefined && { bytes: job.bytes }),
        contestants: [
          ...ours,
          ...rivals.map((p) => async () => {
            const contestant = p.make(job.task);
            await contestant.enter?.();
            return contestant;
          }),
        ],
      },
      { rounds, progress },
    );
    progress('');
    showFigures(job.title, found);
    figures.push(...found);
  }
  for (const { fused, unfused } of devices) {
    fused.destroy();
    unfused.destroy();
  }
  for (const kind of values.svg ? here : []) {
    if (!figures.some((f) => f.device === kind && f.ratio !== null)) continue;
    const path = values.svg!.replace(/(\.svg)?$/, `-${kind}.svg`);
    await writeFile(path, figuresChart(figures, kind, `${machine.cpu}, Node ${machine.node}`));
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
