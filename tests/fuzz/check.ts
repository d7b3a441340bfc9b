// Runs a program on the model and everywhere else, and compares what they show.
import { Library, type Place } from './library.ts';
import { Model } from './model.ts';
import { type Program, type Reading, runNow, runProgram, type Trace } from './program.ts';
import type { Fault } from './values.ts';

export interface Failure {
  readonly place: string;
  /** For the shrinker: a smaller program must fail in the same way. */
  readonly kind: 'value' | 'error' | 'memory' | 'missing' | 'crash';
  readonly message: string;
}

/** Errors that are part of the library's contract; anything else is a crash. */
const CONTRACT = new Set([
  'ShapeError',
  'DTypeError',
  'IndexError',
  'NumericsError',
  'DeviceError',
  'DisposedError',
  'UnsupportedError',
  'Thrown',
]);

const show = (r: ArrayLike<number>): string => {
  const list = Array.from({ length: Math.min(r.length, 12) }, (_, i) => Number(r[i]!.toPrecision(8)));
  return `[${list.join(', ')}${r.length > 12 ? ', …' : ''}]`;
};

/** The largest distance of float32 on the reference from the model, by instruction. */
type Gaps = Map<string, number>;

const EPSILON = { float32: 2 ** -24, float64: 2 ** -53 };
/** Allowed times the error that the model expects. */
const SLACK = 8;
/** Below this, float32 may have lost everything. */
const TINY = 2 ** -100;

function distance(label: string, want: Reading, got: Reading, float64: boolean, gaps: Gaps | null): string {
  if (want.dtype !== got.dtype) return `${label}: dtype ${got.dtype}, expected ${want.dtype}`;
  if (want.shape.join() !== got.shape.join())
    return `${label}: shape [${got.shape.join(', ')}], expected [${want.shape.join(', ')}]`;
  if (want.data.length !== got.data.length)
    return `${label}: ${got.data.length} elements, expected ${want.data.length}`;
  if (want.wild) return '';
  const err = want.err ?? 0;
  const floor = err * SLACK * (float64 ? EPSILON.float64 : EPSILON.float32) + TINY;
  const allowed = err === 0 ? 0 : floor + 8 * (gaps?.get(label) ?? 0);
  // Errors beyond the range of float32 may have overflowed: nothing is promised.
  if (allowed > 2 ** 127) return '';
  let gap = 0;
  for (let i = 0; i < want.data.length; i++) {
    const [a, b] = [want.data[i]!, got.data[i]!];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    const d = Math.abs(a - b);
    gap = Math.max(gap, d);
    if (!(d <= allowed))
      return (
        `${label}: element ${i} is ${b}, expected ${a} (${err === 0 ? 'exactly' : `within ${allowed.toPrecision(3)}`})\n` +
        `  got      ${show(got.data)}\n  expected ${show(want.data)}`
      );
  }
  if (gaps && !gaps.has(label)) gaps.set(label, gap);
  return '';
}

function compare(
  place: Place,
  want: Trace,
  got: Trace,
  gaps: Gaps | null,
  errors: Map<string, string>,
): Failure | null {
  const fail = (kind: Failure['kind'], message: string): Failure => ({ place: place.name, kind, message });
  const reported = new Set<Fault>();
  for (const [label, g] of got)
    if ('error' in g && !CONTRACT.has(g.error)) return fail('crash', `${label}: ${g.error}: ${g.message}`);
    else if ('error' in g && !want.has(label)) return fail('error', `${label}: ${g.error}: ${g.message}`);
  for (const [label, w] of want) {
    const g = got.get(label);
    const doubts = ('doubts' in w && w.doubts) || [];
    if (g && 'error' in g && doubts.some((d) => d.fault.error === g.error)) {
      for (const d of doubts) reported.add(d.fault);
      continue;
    }
    const silent = doubts.find((d) => d.due && !reported.has(d.fault));
    if (silent) return fail('error', `${label}: no error, expected ${silent.fault.error} from the device`);
    if (!g) {
      // A gradient that is zero everywhere may be left out.
      if (label.endsWith('.grad') && !('error' in w) && (w.wild || Array.from(w.data).every((v) => v === 0))) continue;
      return fail(
        'missing',
        'error' in w ? `${label}: no error, expected ${w.error} (${w.message})` : `${label}: not there`,
      );
    }
    if ('error' in g) {
      const elsewhere = errors.get(label);
      if (elsewhere !== undefined && elsewhere !== g.error)
        return fail('error', `${label}: ${g.error}, but ${elsewhere} elsewhere`);
      errors.set(label, g.error);
      // A call may be wrong in several ways: which one is named is only the same everywhere.
      if ('error' in w && (w.error === g.error || w.error === 'DisposedError')) continue;
      return fail(
        'error',
        `${label}: ${g.error}: ${g.message}${'error' in w ? `; expected ${w.error} (${w.message})` : ''}`,
      );
    }
    if ('error' in w) return fail('error', `${label}: no error, expected ${w.error} (${w.message})`);
    const message = distance(label, w, g, place.backend.precision === 'float64', gaps);
    if (message) return fail('value', message);
  }
  for (const [label, g] of got)
    if (!want.has(label)) {
      if (label.endsWith('.grad') && !('error' in g) && Array.from(g.data).every((v) => v === 0)) continue;
      return fail(
        'error' in g ? 'error' : 'missing',
        'error' in g ? `${label}: ${g.error}: ${g.message}` : `${label}: not expected`,
      );
    }
  return null;
}

/** What a program did, for statistics. */
export interface Outcome {
  readonly failure: Failure | null;
  readonly compared: number;
  readonly exact: number;
  readonly errors: number;
  readonly planHits: number;
}

/** Runs a program everywhere; stops at the first disagreement. */
export async function check(program: Program, places: readonly Place[]): Promise<Outcome> {
  const want = runNow(program, new Model());
  const gaps: Gaps = new Map();
  const classes = new Map<string, string>();
  let compared = 0;
  let exact = 0;
  let errors = 0;
  let planHits = 0;
  for (const w of want.values()) {
    if ('error' in w) errors++;
    else if (!w.wild) {
      compared++;
      if (!w.err) exact++;
    }
  }
  // What the model cannot tell is no program.
  for (const w of want.values())
    if ('error' in w && w.error === 'GeneratorError')
      return { failure: null, compared: 0, exact: 0, errors: 0, planHits: 0 };
  const outcome = (failure: Failure | null): Outcome => ({ failure, compared, exact, errors, planHits });
  for (const place of places) {
    // Where all is exact, float64 has nothing to add.
    if (place.backend.precision === 'float64' && compared === exact) continue;
    const library = new Library(place);
    try {
      const got = await runProgram(program, library);
      // The first place is the reference in float32: its gap is what others are given eightfold.
      const failure = compare(place, want, got, place.backend.precision === 'float64' ? null : gaps, classes);
      planHits += library.device.engine.counters.planHits;
      if (failure) return outcome(failure);
      const leaks = library.leaks();
      if (leaks) return outcome({ place: place.name, kind: 'memory', message: `left over: ${leaks}` });
    } catch (error) {
      const e = error instanceof Error ? error : new Error(String(error));
      return outcome({ place: place.name, kind: 'crash', message: `${e.name}: ${e.message}\n${e.stack ?? ''}` });
    } finally {
      library.end();
    }
  }
  return outcome(null);
}
