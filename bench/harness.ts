// Runs contestants in interleaved rounds, so that whatever else the machine does meets all of them, and compares them round by round.

export type DeviceKind = 'cpu' | 'webgpu' | 'reference';

/** One library on one device, doing the work of a workload. */
export interface Contestant {
  readonly name: string;
  readonly device: DeviceKind;
  /** The one that others on the same device are compared with. */
  readonly baseline?: boolean;
  /** No library, but what the machine does at best: times are given as a share of it, and its result is not compared. */
  readonly yardstick?: boolean;
  /** Makes this library and device the current ones; not timed. */
  enter?(): void | Promise<void>;
  /** Ends when what it begins with is on the device. */
  ready?(): Promise<void>;
  /** Does the work once; may leave it with the device's queue, but not undone. */
  once(): void | Promise<void>;
  /** Reads one element of the last result. */
  settle(): Promise<number>;
  dispose?(): void;
}

export interface Workload {
  readonly name: string;
  readonly title: string;
  /** Floating-point operations, or bytes that must at least be moved: what the rate is computed from. */
  readonly flops?: number;
  readonly bytes?: number;
  /** They begin alike, and must read the same element after each of the first times; one that does not is an error. */
  readonly contestants: readonly (() => Contestant | Promise<Contestant>)[];
}

export interface Figure {
  readonly workload: string;
  readonly contestant: string;
  readonly device: DeviceKind;
  /** Milliseconds for the work once: the median over the rounds, its quartiles and the best. */
  readonly ms: number;
  readonly quartiles: readonly [number, number];
  readonly best: number;
  readonly rounds: number;
  /** Times the work was done in a sample, before one element was read. */
  readonly repeats: number;
  readonly rate: number | null;
  readonly unit: 'GFLOP/s' | 'GB/s' | null;
  /** Its time over the baseline's of the same device, round by round: the median and its quartiles. Above 1 it is slower. */
  readonly ratio: number | null;
  readonly ratioQuartiles: readonly [number, number] | null;
  /** The time of the yardstick of the same device over its own, round by round, where there is one. */
  readonly share?: number;
  readonly error?: string;
}

export interface RaceOptions {
  readonly rounds: number;
  /** A sample repeats short work until it takes about this long. */
  readonly sampleMs?: number;
  /** No new round is begun after this time; three rounds are always run. */
  readonly budgetMs?: number;
  readonly progress?: (text: string) => void;
}

/** The value below which a share of the values lies, between neighbours by interpolation. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const [a = Number.NaN, b = a] = [sorted[low], sorted[low + 1]];
  return a + (b - a) * (at - low);
}

const quartilesOf = (values: readonly number[]): [number, number] => [quantile(values, 0.25), quantile(values, 0.75)];

/**
 * Ends what a contestant has left behind, so that the next one need not: hundreds of milliseconds of work after a step of thousands of
 * objects. Node ends those of native libraries in later turns.
 */
async function collect(): Promise<void> {
  const { gc } = globalThis as { gc?: () => void };
  gc?.();
  if (gc) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Milliseconds for the work once, and the element that was read. */
async function sample(contestant: Contestant, repeats: number): Promise<{ ms: number; value: number }> {
  await collect();
  await contestant.enter?.();
  const from = performance.now();
  for (let i = 0; i < repeats; i++) {
    const done = contestant.once();
    if (done) await done;
  }
  const value = await contestant.settle();
  return { ms: (performance.now() - from) / repeats, value };
}

interface Runner {
  readonly contestant: Contestant;
  readonly times: number[];
  repeats: number;
  error?: string;
}

const MAX_REPEATS = 200;
/** Times at the start whose results are compared: training steps that begin alike and learn alike agree on all of them. */
const COMPARED = 3;

/** The first results, for as long as contestants agree on them. */
class Agreement {
  readonly #expected: number[] = [];

  check(time: number, value: number): void {
    if (time >= COMPARED) return;
    this.#expected[time] ??= value;
    const expected = this.#expected[time];
    if (Math.abs(value - expected) <= 1e-2 * Math.abs(expected) + 1e-5) return;
    throw new Error(`result ${time + 1} begins with ${value}, that of the first contestant with ${expected}`);
  }
}

/** Warm-up until the times stop falling; then as many repeats as fill a sample. */
async function warmUp(runner: Runner, sampleMs: number, agreement: Agreement): Promise<void> {
  let best = Number.POSITIVE_INFINITY;
  const until = performance.now() + 30 * sampleMs;
  for (let i = 0; i < 12; i++) {
    const { ms, value } = await sample(runner.contestant, 1);
    if (!runner.contestant.yardstick) agreement.check(i, value);
    const settled = i >= COMPARED && ms > 0.95 * best;
    best = Math.min(best, ms);
    if (settled || (i >= COMPARED - 1 && performance.now() > until)) break;
  }
  runner.repeats = Math.max(1, Math.min(MAX_REPEATS, Math.round(sampleMs / best)));
  if (runner.repeats > 1) await sample(runner.contestant, runner.repeats);
}

type Entrant = Pick<Contestant, 'name' | 'device' | 'baseline' | 'yardstick'>;

/** The figures of contestants that took as many samples each, in rounds. */
export function summarise(
  workload: Pick<Workload, 'name' | 'flops' | 'bytes'>,
  runners: readonly { readonly contestant: Entrant; readonly times: readonly number[]; readonly repeats: number }[],
): Figure[] {
  return runners.map(({ contestant, times, repeats }): Figure => {
    const rivals = contestant.yardstick ? [] : runners;
    const base = rivals.find((r) => r.contestant.baseline && r.contestant.device === contestant.device);
    const ratios = base ? times.map((ms, i) => ms / base.times[i]!) : [];
    const yardstick = runners.find((r) => r.contestant.yardstick && r.contestant.device === contestant.device);
    const ms = quantile(times, 0.5);
    const work = workload.flops ?? workload.bytes;
    return {
      workload: workload.name,
      contestant: contestant.name,
      device: contestant.device,
      ms,
      quartiles: quartilesOf(times),
      best: Math.min(...times),
      rounds: times.length,
      repeats,
      rate: work === undefined ? null : work / ms / 1e6,
      unit: workload.flops !== undefined ? 'GFLOP/s' : workload.bytes !== undefined ? 'GB/s' : null,
      ratio: base ? quantile(ratios, 0.5) : null,
      ratioQuartiles: base ? quartilesOf(ratios) : null,
      ...(yardstick && {
        share: quantile(
          times.map((own, i) => yardstick.times[i]! / own),
          0.5,
        ),
      }),
    };
  });
}

/** What is reported of a contestant that failed. */
export function failure(workload: string, { name, device }: Entrant, error: unknown): Figure {
  const nothing = { ms: Number.NaN, quartiles: [Number.NaN, Number.NaN] as const, best: Number.NaN };
  return {
    ...{ workload, contestant: name, device },
    ...nothing,
    ...{ rounds: 0, repeats: 0, rate: null, unit: null, ratio: null, ratioQuartiles: null },
    error: error instanceof Error ? error.message : String(error),
  };
}

/** Runs the contestants of a workload against each other. One that fails is reported with its error. */
export async function race(workload: Workload, options: RaceOptions): Promise<Figure[]> {
  const { rounds, sampleMs = 40, budgetMs = 60_000, progress = () => {} } = options;
  const runners: Runner[] = [];
  const failed: Figure[] = [];
  const agreement = new Agreement();
  for (const make of workload.contestants) {
    let contestant: Contestant | undefined;
    try {
      contestant = await make();
      progress(`${workload.name}: warm-up of ${contestant.name}`);
      const runner: Runner = { contestant, times: [], repeats: 1 };
      await warmUp(runner, sampleMs, agreement);
      runners.push(runner);
    } catch (error) {
      contestant?.dispose?.();
      failed.push(failure(workload.name, contestant ?? { name: 'a contestant', device: 'cpu' }, error));
    }
  }
  const end = performance.now() + budgetMs;
  for (let round = 0; round < rounds && (round < 3 || performance.now() < end); round++) {
    progress(`${workload.name}: round ${round + 1} of ${rounds}`);
    // Another one begins each round, and every other goes backwards: none is always behind the same neighbour.
    const turn = runners.map((_, i) => runners[(i + round) % runners.length]!);
    if (round % 2 === 1) turn.reverse();
    for (const { contestant, times, repeats } of turn) {
      // Caches, and what the host does for the one before, are its own again after this.
      if (runners.length > 1) await sample(contestant, 1);
      times.push((await sample(contestant, repeats)).ms);
    }
  }
  const figures = summarise(workload, runners);
  for (const { contestant } of runners) contestant.dispose?.();
  return [...figures, ...failed];
}

const digits = (x: number | null): number | string => (x === null || Number.isNaN(x) ? '' : Number(x.toPrecision(3)));

/** Prints the figures of a workload, a row for each contestant. */
export function showFigures(title: string, figures: readonly Figure[]): void {
  console.log(`\n${title}`);
  const rows = figures.map((f): [string, Record<string, number | string>] => [
    f.contestant,
    {
      ms: digits(f.ms),
      'from (25%)': digits(f.quartiles[0]),
      'to (75%)': digits(f.quartiles[1]),
      [f.unit ?? 'rate']: digits(f.rate),
      'time / tensorloom': digits(f.ratio),
      ...(f.share !== undefined && { 'share of copying': digits(f.share) }),
      rounds: f.rounds,
    },
  ]);
  console.table(Object.fromEntries(rows));
  for (const f of figures) if (f.error) console.log(`${f.contestant}: ${f.error}`);
}
