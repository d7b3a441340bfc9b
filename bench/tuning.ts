// What autotune finds for the products of workloads, and how much faster they run with it.
import * as tl from '../src/index.ts';
import { type Contestant, type Figure, race, showFigures } from './harness.ts';
import { type Job, type OpenDevice, openDevice, ours } from './workloads.ts';

/** What was found for the products of a workload, and its times with what was found and without. */
export interface TunedWorkload {
  readonly workload: string;
  readonly kinds: readonly tl.TuningProgress[];
  readonly figures: readonly Figure[];
}

interface Options {
  readonly rounds: number;
  readonly progress: (text: string) => void;
  /** Called after each workload. */
  readonly save: (found: readonly TunedWorkload[], table: tl.TuningTable) => Promise<void>;
}

const PRODUCTS: readonly Job['task']['kind'][] = ['matmul', 'conv2d', 'train'];

const show = (v: tl.Variant): string =>
  v.form === 'reduction'
    ? v.form
    : `${v.form}, ${v.rows}x${v.columns} by ${v.threads.join('x')} threads, ${v.depth} of k${v.parts ? `, in ${v.parts} parts` : ''}`;

function showKind({ a, b, batch, m, n, k, variants, failed, usual, best, speedup }: tl.TuningProgress): void {
  const tried = `${variants} variants${failed > 0 ? `, ${failed} refused` : ''}`;
  const found = speedup > 1 ? `${show(best)}: ${speedup.toFixed(2)} times as fast as ${show(usual)}` : show(usual);
  console.log(`  ${batch} of ${m}x${n} k=${k}, ${a} by ${b} (${tried}): ${found}`);
}

const tunedContestant = (job: Job, device: OpenDevice): Contestant => ({
  ...ours(job.task, device)(),
  name: 'tensorloom webgpu, tuned',
  baseline: false,
});

/** Tunes a WebGPU device for one workload after the other, and times each on it and on one that is not tuned. */
export async function tuneJobs(jobs: readonly Job[], { rounds, progress, save }: Options): Promise<void> {
  const [usual, tuned] = [await openDevice('webgpu'), await openDevice('webgpu')];
  const found: TunedWorkload[] = [];
  for (const job of jobs) {
    if (job.without.includes('webgpu') || !PRODUCTS.includes(job.task.kind)) continue;
    const kinds: tl.TuningProgress[] = [];
    const contestant = tunedContestant(job, tuned);
    const work = async (): Promise<void> => {
      await contestant.once();
      await contestant.settle();
    };
    const onProgress = (kind: tl.TuningProgress): void => {
      progress(`${job.name}: ${kind.done} of ${kind.total} kinds of products tuned`);
      kinds.push(kind);
    };
    const table = await tl.autotune(work, { device: tuned.fused, onProgress });
    contestant.dispose?.();
    progress('');
    console.log(`\n${job.title}: ${kinds.length} kinds of products`);
    for (const kind of kinds) showKind(kind);
    const contestants = [ours(job.task, usual), () => tunedContestant(job, tuned)];
    const figures = await race({ ...job, contestants }, { rounds, progress });
    progress('');
    showFigures(`${job.title}, with what was found`, figures);
    found.push({ workload: job.name, kinds, figures });
    await save(found, table);
  }
  for (const { fused, unfused } of [usual, tuned]) {
    fused.destroy();
    unfused.destroy();
  }
}
