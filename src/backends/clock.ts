/** How long a launch took, in milliseconds of the device's clock since timing began. */
export interface Timing {
  readonly label: string;
  readonly start: number;
  readonly ms: number;
}

/** Times launches. */
export interface Clock {
  /** From now on; what was timed before is forgotten. */
  start(): void;
  /** What was timed since the start, in order, when all of it has run; times no more. */
  stop(): Promise<readonly Timing[]>;
}

/** The clock of devices whose launches run in the call. */
export class HostClock implements Clock {
  private timings: Timing[] | null = null;
  private origin = 0;

  start(): void {
    this.timings = [];
    this.origin = performance.now();
  }

  async stop(): Promise<readonly Timing[]> {
    const timings = this.timings ?? [];
    this.timings = null;
    return timings;
  }

  /** Runs a launch. */
  run(label: string, launch: () => void): void {
    const from = this.timings ? performance.now() : 0;
    launch();
    this.timings?.push({ label, start: from - this.origin, ms: performance.now() - from });
  }
}
