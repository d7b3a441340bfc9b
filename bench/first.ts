// The first step of a model in a library that has computed nothing yet: what is compiled for it is part of it.
import * as tl from '../src/index.ts';
import { type Contestant, type Figure, failure, summarise } from './harness.ts';
import { BATCH, MODEL_NAMES, type ModelName } from './models.ts';
import { type Libraries, openPeer, PEER_NAMES, type PeerName } from './peers.ts';
import { train } from './workloads.ts';

/** A library on a device. */
export interface Entrant {
  readonly library: 'tensorloom' | PeerName;
  readonly device: 'cpu' | 'webgpu';
}

async function contestantOf({ library, device }: Entrant, model: ModelName, peers: Libraries): Promise<Contestant> {
  const task = { kind: 'train', model, batch: BATCH[model] } as const;
  if (library === 'tensorloom') return train(await tl.device(device), device, task, true);
  const [peer] = await openPeer(library, peers, { cpu: device === 'cpu', webgpu: device === 'webgpu' });
  if (!peer) throw new Error(`${library} finds no ${device}`);
  return peer.make(task);
}

/** Milliseconds of the first step that this process or page takes: until its loss is read, from when device, weights and batch are there. */
export async function firstStep(entrant: Entrant, model: ModelName, peers: Libraries): Promise<number> {
  const contestant = await contestantOf(entrant, model, peers);
  await contestant.enter?.();
  await contestant.ready?.();
  const from = performance.now();
  await contestant.once();
  await contestant.settle();
  return performance.now() - from;
}

/** First steps of all models, in interleaved rounds; `run` has a new process or page take one. */
export async function firstSteps(
  kinds: readonly string[],
  options: {
    readonly peers: boolean;
    readonly models?: readonly ModelName[] | undefined;
    readonly rounds: number;
    readonly progress: (text: string) => void;
    readonly show: (title: string, figures: readonly Figure[]) => void;
  },
  run: (entrant: Entrant, model: ModelName) => Promise<number>,
): Promise<Figure[]> {
  const devices = (['cpu', 'webgpu'] as const).filter((device) => kinds.includes(device));
  const libraries = ['tensorloom', ...(options.peers ? PEER_NAMES : [])] as const;
  const all: Figure[] = [];
  for (const model of options.models ?? MODEL_NAMES) {
    const workload = { name: `first-${model.toLowerCase()}` };
    const failed: Figure[] = [];
    const runners = devices.flatMap((device) =>
      libraries.map((library) => ({
        entrant: { library, device },
        // As the peers call their devices.
        contestant: {
          name: `${library} ${library !== 'tensorloom' && device === 'cpu' ? 'wasm' : device}`,
          device,
          baseline: library === 'tensorloom',
        },
        times: [] as number[],
        repeats: 1,
        failed: false,
      })),
    );
    for (let round = 0; round < options.rounds; round++) {
      for (const runner of runners) {
        if (runner.failed) continue;
        options.progress(`first step of ${model}: ${runner.contestant.name}, ${round + 1} of ${options.rounds}`);
        try {
          runner.times.push(await run(runner.entrant, model));
        } catch (error) {
          runner.failed = true;
          failed.push(failure(workload.name, runner.contestant, error));
        }
      }
    }
    options.progress('');
    const figures = [
      ...summarise(
        workload,
        runners.filter((runner) => !runner.failed),
      ),
      ...failed,
    ];
    options.show(`first train step of the ${model} with Adam, batch of ${BATCH[model]}`, figures);
    all.push(...figures);
  }
  return all;
}
