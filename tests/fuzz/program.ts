// Programs as plain data, and the one interpreter that runs them: on the model, on the library, and on paper.
import type { Fault } from './values.ts';

/** A tensor by name: 'v3', or its gradient 'v3.grad'. */
export type Ref = string;
export type Arg = number | boolean | string | null | readonly Arg[] | { readonly [key: string]: Arg };

export type Instr =
  | {
      /** `const [...out] = tl[fn](...args)`; strings that are references stand for tensors. */
      readonly do: 'call';
      readonly fn: string;
      readonly args: readonly Arg[];
      readonly out: readonly string[];
      /** For the generator: bounds of whole numbers among the data, when a loop draws new ones. */
      readonly range?: readonly [number, number];
    }
  | {
      /** The same for a function that gives a promise; the results are there after the next sync. */
      readonly do: 'start';
      readonly fn: string;
      readonly args: readonly Arg[];
      readonly out: readonly string[];
    }
  | { readonly do: 'read'; readonly of: Ref }
  | { readonly do: 'dispose' | 'keep' | 'clearGrad'; readonly of: string }
  | { readonly do: 'requiresGrad'; readonly of: string; readonly on: boolean }
  | {
      /** `tidy` and `run` dispose what is not among the results. */
      readonly do: 'scope';
      readonly kind: 'tidy' | 'run' | 'noGrad';
      readonly scope?: string;
      readonly body: readonly Instr[];
      readonly results: readonly string[];
    }
  | { readonly do: 'open' | 'close'; readonly scope: string }
  | { readonly do: 'track'; readonly scope: string; readonly of: string }
  | { readonly do: 'throw' }
  /** Waits for what was read so far. */
  | { readonly do: 'sync' };

export interface Program {
  readonly seed: number;
  readonly body: readonly Instr[];
}

export const isRef = (x: unknown): x is Ref => typeof x === 'string' && /^v\d+(\.grad)?$/.test(x);
export const baseOf = (ref: Ref): string => ref.replace('.grad', '');

/** What a program throws on purpose. */
export class Thrown extends Error {
  override name = 'Thrown';
}

/** What a program is run on. */
export interface Machine<H, S> {
  /** Calls an op; references in the arguments are handles already. */
  call(fn: string, args: readonly unknown[]): readonly H[];
  /** The same for a function that gives a promise. */
  start(fn: string, args: readonly unknown[]): Promise<readonly H[]> | readonly H[];
  gradOf(h: H): H | null;
  clearGrad(h: H): void;
  requiresGrad(h: H, on: boolean): void;
  dispose(h: H): void;
  disposed(h: H): boolean;
  keep(h: H): void;
  tidy(fn: () => readonly H[]): void;
  noGrad(fn: () => void): void;
  open(): S;
  run(scope: S, fn: () => readonly H[]): void;
  track(scope: S, h: H): void;
  close(scope: S): void;
  /** Takes the value as of now; may go on in the background. */
  read(h: H): Promise<Reading> | Reading;
  /** Runs what is pending, and waits. */
  sync(): Promise<Reading> | Reading;
}

/** An error that the device found: whether this await has to throw it, unless an earlier one did. */
export interface Doubt {
  readonly fault: Fault;
  readonly due: boolean;
}

export interface Reading {
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly data: ArrayLike<number>;
  /** Of the model: how far float32 may be off, in units of 2^-24; 0 where the value is exact. */
  readonly err?: number;
  /** Of the model: nothing can be said about the elements. */
  readonly wild?: boolean;
  /** Of the model: errors that the await may throw. */
  readonly doubts?: readonly Doubt[];
}

/** What is read of a device that was waited for. */
export const SYNCED: Reading = { shape: [0], dtype: 'none', data: [] };

/** What a run shows: values and errors by the number of the instruction. */
export type Trace = Map<string, Reading | { readonly error: string; readonly message: string }>;

const errorEntry = (error: unknown): { error: string; message: string } =>
  error instanceof Error
    ? { error: error.name, message: error.message }
    : { error: typeof error, message: String(error) };

/** Numbers the instructions, those in scopes too. */
export function numbered(body: readonly Instr[], places: Map<Instr, number> = new Map()): Map<Instr, number> {
  for (const i of body) {
    places.set(i, places.size);
    if (i.do === 'scope') numbered(i.body, places);
  }
  return places;
}

/** A run in progress. */
export class Run<H, S> {
  readonly env = new Map<string, H>();
  readonly scopes = new Map<string, S>();
  readonly trace: Trace = new Map();
  private waiting: Promise<void>[] = [];
  private started: { readonly out: readonly string[]; readonly handles: readonly H[] }[] = [];

  constructor(
    readonly machine: Machine<H, S>,
    readonly places: ReadonlyMap<Instr, number> = new Map(),
  ) {}

  private find(ref: Ref): H | null {
    const h = this.env.get(baseOf(ref));
    if (h === undefined) return null;
    if (!ref.endsWith('.grad')) return h;
    // A disposed tensor has its gradient for as long as others need its place on the tape: nothing to rely on.
    return this.machine.disposed(h) ? null : this.machine.gradOf(h);
  }

  /** Arguments with tensors in place of references; null where one is missing. */
  private resolve(args: readonly Arg[]): unknown[] | null {
    let complete = true;
    const go = (x: Arg): unknown => {
      if (isRef(x)) {
        const h = this.find(x);
        if (h === null) complete = false;
        return h;
      }
      if (Array.isArray(x)) return x.map(go);
      if (typeof x === 'object' && x !== null)
        return Object.fromEntries(Object.entries(x).map(([k, v]) => [k, go(v as Arg)]));
      return x;
    };
    const out = args.map(go);
    return complete ? out : null;
  }

  private read(label: string, h: H): void {
    this.await(label, () => this.machine.read(h));
  }

  private await(label: string, wait: () => Promise<Reading> | Reading): void {
    try {
      const out = wait();
      if (out instanceof Promise)
        this.waiting.push(
          out.then(
            (r) => void this.trace.set(label, r),
            (e: unknown) => void this.trace.set(label, errorEntry(e)),
          ),
        );
      else this.trace.set(label, out);
    } catch (error) {
      this.trace.set(label, errorEntry(error));
    }
  }

  /** Waits for the reads so far, and for what was started. */
  async settle(): Promise<void> {
    const waiting = this.waiting;
    this.waiting = [];
    await Promise.all(waiting);
  }

  /** Runs what is pending, and notes what that shows. */
  sync(label: string): void {
    this.await(label, () => this.machine.sync());
  }

  /** Results of what was started become known. */
  arrive(): void {
    for (const { out, handles } of this.started)
      out.forEach((name, k) => {
        this.env.set(name, handles[k]!);
      });
    this.started = [];
  }

  /** Runs an instruction without waiting; throws what it throws. An instruction that lacks a tensor does nothing. */
  step(i: Instr): void {
    const { machine, env } = this;
    switch (i.do) {
      case 'call': {
        const args = this.resolve(i.args);
        if (!args) return;
        const results = machine.call(i.fn, args);
        i.out.forEach((name, k) => {
          env.set(name, results[k]!);
        });
        return;
      }
      case 'start': {
        const args = this.resolve(i.args);
        if (!args) return;
        const results = machine.start(i.fn, args);
        if (results instanceof Promise)
          this.waiting.push(
            results.then(
              (handles) => void this.started.push({ out: i.out, handles }),
              (e: unknown) => void this.trace.set(`#${this.places.get(i)} ${i.fn}`, errorEntry(e)),
            ),
          );
        else this.started.push({ out: i.out, handles: results });
        return;
      }
      case 'read': {
        const h = this.find(i.of);
        if (h !== null) this.read(`#${this.places.get(i)} ${i.of}`, h);
        return;
      }
      case 'scope': {
        const body = (): readonly H[] => {
          for (const inner of i.body) this.step(inner);
          return i.results.flatMap((name) => env.get(name) ?? []);
        };
        if (i.kind === 'tidy') machine.tidy(body);
        else if (i.kind === 'noGrad') machine.noGrad(() => void body());
        else {
          const scope = this.scopes.get(i.scope!);
          if (scope !== undefined) machine.run(scope, body);
        }
        return;
      }
      case 'open':
        this.scopes.set(i.scope, machine.open());
        return;
      case 'close': {
        const scope = this.scopes.get(i.scope);
        if (scope !== undefined) machine.close(scope);
        return;
      }
      case 'throw':
        throw new Thrown('thrown by the program');
      case 'sync':
        this.arrive();
        return;
      case 'track': {
        const h = env.get(i.of);
        const scope = this.scopes.get(i.scope);
        if (h !== undefined && scope !== undefined) machine.track(scope, h);
        return;
      }
      default: {
        const h = env.get(i.of);
        if (h === undefined) return;
        if (i.do === 'requiresGrad') machine.requiresGrad(h, i.on);
        else if (i.do === 'dispose') machine.dispose(h);
        else if (i.do === 'keep') machine.keep(h);
        else machine.clearGrad(h);
      }
    }
  }

  /** The same, where an error is part of what the run shows. */
  outer(i: Instr): void {
    try {
      this.step(i);
    } catch (error) {
      this.trace.set(`#${this.places.get(i)} ${i.do === 'call' ? i.fn : i.do}`, errorEntry(error));
    }
  }

  /** The values of everything that is alive. */
  readAll(): void {
    for (const [name, h] of this.env) {
      // The shrinker may have taken away what made it.
      if (h === undefined || this.machine.disposed(h)) continue;
      this.read(`end ${name}`, h);
      const g = this.machine.gradOf(h);
      if (g !== null) this.read(`end ${name}.grad`, g);
    }
  }

  disposeAll(): void {
    for (const h of this.env.values()) if (h !== undefined && !this.machine.disposed(h)) this.machine.dispose(h);
  }
}

/** Runs a program from start to end, and gives what it shows; everything is disposed then. */
export async function runProgram<H, S>(program: Program, machine: Machine<H, S>): Promise<Trace> {
  const run = new Run(machine, numbered(program.body));
  for (const i of program.body) {
    if (i.do === 'sync') {
      await run.settle();
      run.sync(`#${run.places.get(i)} sync`);
      await run.settle();
    }
    run.outer(i);
  }
  await run.settle();
  run.arrive();
  run.readAll();
  await run.settle();
  run.disposeAll();
  run.sync('end sync');
  await run.settle();
  return run.trace;
}

/** The same at once, on a machine that never waits. */
export function runNow<H, S>(program: Program, machine: Machine<H, S>): Trace {
  const run = new Run(machine, numbered(program.body));
  for (const i of program.body) {
    if (i.do === 'sync') run.sync(`#${run.places.get(i)} sync`);
    run.outer(i);
  }
  run.arrive();
  run.readAll();
  run.disposeAll();
  run.sync('end sync');
  return run.trace;
}

/** Names that an instruction defines, those in scopes too. */
export function defined(body: readonly Instr[], names: Set<string> = new Set()): Set<string> {
  for (const i of body) {
    if (i.do === 'call' || i.do === 'start') for (const o of i.out) names.add(o);
    if (i.do === 'scope') defined(i.body, names);
    if (i.do === 'open') names.add(i.scope);
  }
  return names;
}

/** Calls `visit` with every name that an argument mentions, and builds the argument anew from what it gives. */
export function mapRefs(x: Arg, visit: (ref: Ref) => Ref): Arg {
  if (isRef(x)) return visit(x);
  if (Array.isArray(x)) return x.map((y: Arg) => mapRefs(y, visit));
  if (typeof x === 'object' && x !== null)
    return Object.fromEntries(Object.entries(x).map(([k, v]) => [k, mapRefs(v as Arg, visit)]));
  return x;
}

/** An instruction under other names: a new one, because places in a program are known by their instruction. */
export function renamed(i: Instr, name: (n: string) => string): Instr {
  const ref = (r: Ref): Ref => (r.endsWith('.grad') ? `${name(baseOf(r))}.grad` : name(r));
  switch (i.do) {
    case 'call':
    case 'start':
      return { ...i, args: i.args.map((a) => mapRefs(a, ref)), out: i.out.map(name) };
    case 'scope':
      return {
        ...i,
        ...(i.scope ? { scope: name(i.scope) } : {}),
        body: i.body.map((b) => renamed(b, name)),
        results: i.results.map(name),
      };
    case 'open':
    case 'close':
      return { ...i, scope: name(i.scope) };
    case 'track':
      return { ...i, scope: name(i.scope), of: name(i.of) };
    case 'throw':
    case 'sync':
      return { ...i };
    case 'read':
      return { ...i, of: ref(i.of) };
    default:
      return { ...i, of: name(i.of) };
  }
}

/** Instructions in all, those in scopes too. */
export const length = (body: readonly Instr[]): number =>
  body.reduce((n, i) => n + 1 + (i.do === 'scope' ? length(i.body) : 0), 0);
