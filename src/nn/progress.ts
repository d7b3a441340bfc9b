/** How much `fit` says: nothing, a progress bar in a terminal and otherwise a line an epoch, or a line an epoch. */
export type Verbosity = 0 | 1 | 2;

/** Values of losses and metrics, by name. */
export type Logs = Readonly<Record<string, number>>;

const BAR = 24;
const REDRAW = 100;

/** @internal A figure with four digits after the point, or in powers of ten where that would be 0. */
export const showFigure = (value: number): string =>
  value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(2) : value.toFixed(4);

const show = (logs: Logs): string =>
  Object.entries(logs)
    .map(([name, value]) => `${name} ${showFigure(value)}`)
    .join('  ');

/** Where a bar can be drawn: a terminal of Node; null in a browser and where output goes to a file. */
function terminal(): { write(text: string): unknown; columns?: number } | null {
  const out = typeof process === 'undefined' ? undefined : process.stdout;
  return out?.isTTY ? out : null;
}

/** The bar and the lines of a training run. */
export class Progress {
  private readonly out: ReturnType<typeof terminal>;
  private readonly width: number;
  private started = 0;
  private drawn = 0;

  constructor(
    private readonly verbosity: Verbosity,
    private readonly epochs: number,
  ) {
    this.out = verbosity === 1 ? terminal() : null;
    this.width = String(epochs).length;
  }

  begin(): void {
    this.started = performance.now();
    this.drawn = 0;
  }

  /** Draws the bar, a few times a second at most; `batches` is null where nobody knows how many there are. */
  batch(epoch: number, done: number, batches: number | null, logs: Logs): void {
    if (!this.out || performance.now() - this.drawn < REDRAW) return;
    this.drawn = performance.now();
    const full = batches ? Math.round((BAR * done) / batches) : 0;
    const bar = batches ? ` [${'='.repeat(full)}${'.'.repeat(BAR - full)}] ${done}/${batches}` : ` ${done}`;
    this.out.write(`\r${`${this.head(epoch)}${bar}  ${show(logs)}`.slice(0, (this.out.columns ?? 80) - 1)}\x1b[K`);
  }

  end(epoch: number, logs: Logs): void {
    if (this.verbosity === 0) return;
    const line = `${this.head(epoch)}  ${((performance.now() - this.started) / 1000).toFixed(1)} s  ${show(logs)}`;
    if (this.out) this.out.write(`\r${line}\x1b[K\n`);
    else console.log(line);
  }

  /** Leaves a line that an error interrupted. */
  broken(): void {
    if (this.out && this.drawn > 0) this.out.write('\n');
  }

  private head(epoch: number): string {
    return `epoch ${String(epoch + 1).padStart(this.width)}/${this.epochs}`;
  }
}
