// Makes a failing program smaller for as long as it keeps failing.
import { type Arg, defined, type Instr, isRef, mapRefs, type Program, renamed } from './program.ts';

/** Lists with one instruction fewer in a block, at any depth: `at` counts instructions in reading order. */
function removed(body: readonly Instr[], from: number, count: number): Instr[] {
  let n = 0;
  const go = (list: readonly Instr[]): Instr[] =>
    list.flatMap((i): Instr[] => {
      const at = n++;
      const inner = i.do === 'scope' ? { ...i, body: go(i.body) } : i;
      return at >= from && at < from + count ? [] : [inner];
    });
  return go(body);
}

const total = (body: readonly Instr[]): number =>
  body.reduce((n, i) => n + 1 + (i.do === 'scope' ? total(i.body) : 0), 0);

/** Applies a change to the instruction at a place in reading order. */
function changed(body: readonly Instr[], place: number, change: (i: Instr) => Instr[]): Instr[] {
  let n = 0;
  const go = (list: readonly Instr[]): Instr[] =>
    list.flatMap((i): Instr[] => {
      const at = n++;
      const inner = i.do === 'scope' ? { ...i, body: go(i.body) } : i;
      return at === place ? change(inner) : [inner];
    });
  return go(body);
}

function instruction(body: readonly Instr[], place: number): Instr | null {
  let found: Instr | null = null;
  changed(body, place, (i) => {
    found = i;
    return [i];
  });
  return found;
}

/** Simpler forms of one instruction. */
function simpler(i: Instr): Instr[][] {
  const out: Instr[][] = [];
  if (i.do === 'scope') {
    out.push([...i.body]);
    i.results.forEach((_, k) => {
      out.push([{ ...i, results: i.results.filter((__, j) => j !== k) }]);
    });
  }
  if (i.do !== 'call') return out;
  if (i.fn === 'tensor') {
    const data = i.args[0] as readonly number[];
    for (const d of [data.map(() => 0), data.map(() => 1), data.map((_, k) => k + 1), data.map((_, k) => k % 2)])
      if (d.join() !== data.join()) out.push([{ ...i, args: [d, ...i.args.slice(1)] }]);
    const options = i.args[1] as { readonly [key: string]: Arg };
    if (options.requiresGrad) {
      const { requiresGrad: _, ...rest } = options;
      out.push([{ ...i, args: [data, rest] }]);
    }
    const shape = options.shape as readonly number[] | undefined;
    shape?.forEach((n, d) => {
      if (n <= 1) return;
      const to = shape.map((m, k) => (k === d ? m - 1 : m));
      out.push([
        {
          ...i,
          args: [
            data.slice(
              0,
              to.reduce((a, b) => a * b, 1),
            ),
            { ...options, shape: to },
          ],
        },
      ]);
    });
  } else {
    i.args.forEach((a, k) => {
      if (typeof a === 'number' && a !== 1) out.push([{ ...i, args: i.args.map((b, j) => (j === k ? 1 : b)) }]);
      if (typeof a === 'object' && a !== null && !Array.isArray(a))
        for (const key of Object.keys(a)) {
          const rest = Object.fromEntries(Object.entries(a).filter(([name]) => name !== key));
          out.push([{ ...i, args: i.args.map((b, j) => (j === k ? rest : b)) }]);
        }
    });
    // The result is one of the arguments, under another name.
    const [first] = i.out;
    if (i.out.length === 1 && i.fn !== 'square')
      for (const a of i.args)
        if (isRef(a)) {
          if (i.fn !== 'detach') out.push([{ ...i, fn: 'neg', args: [a], out: [first!] }]);
          break;
        }
  }
  return out;
}

/** Uses of a result replaced by one of the tensors it was made from. */
function bypassed(body: readonly Instr[], place: number): Instr[][] {
  const i = instruction(body, place);
  if (i?.do !== 'call' || i.out.length !== 1) return [];
  const refs = new Set<string>();
  for (const a of i.args)
    mapRefs(a, (r) => {
      if (!r.endsWith('.grad')) refs.add(r);
      return r;
    });
  const out = i.out[0]!;
  return [...refs].map((r) => removed(body, place, 1).map((x) => renamed(x, (n) => (n === out ? r : n))));
}

/** Instructions whose tensors are missing are left out, results of scopes too. */
export function tidied(body: readonly Instr[]): Instr[] {
  const known = new Set<string>();
  const go = (list: readonly Instr[]): Instr[] =>
    list.flatMap((i): Instr[] => {
      if (i.do === 'scope') {
        if (i.scope && !known.has(i.scope)) return [];
        const inner = go(i.body);
        return inner.length === 0 ? [] : [{ ...i, body: inner, results: i.results.filter((r) => known.has(r)) }];
      }
      let complete = true;
      if (i.do !== 'open')
        renamed(i, (n) => {
          if (!known.has(n) && !((i.do === 'call' || i.do === 'start') && i.out.includes(n))) complete = false;
          return n;
        });
      if (!complete) return [];
      for (const n of defined([i])) known.add(n);
      return [i];
    });
  return go(body);
}

/**
 * A smaller program that still fails. Candidates are tried from large cuts to small ones, again and again until nothing helps or
 * the budget of trials is used up.
 */
export async function shrink(
  program: Program,
  fails: (p: Program) => Promise<boolean>,
  budget = 4000,
): Promise<Program> {
  let best: Instr[] = tidied(program.body);
  let trials = 0;
  const attempt = async (body: Instr[]): Promise<boolean> => {
    if (trials >= budget) return false;
    trials++;
    const candidate = tidied(body);
    if (candidate.length === 0) return false;
    if (JSON.stringify(candidate) === JSON.stringify(best)) return false;
    if (!(await fails({ ...program, body: candidate }))) return false;
    best = candidate;
    return true;
  };
  if (!(await fails({ ...program, body: best }))) best = [...program.body];
  let progress = true;
  while (progress && trials < budget) {
    progress = false;
    for (let size = Math.max(1, total(best) >> 1); size >= 1; size = size === 1 ? 0 : size >> 1)
      for (let at = total(best) - size; at >= 0; at -= size) {
        if (at > total(best) - 1) continue;
        if (await attempt(removed(best, Math.max(0, at), size))) progress = true;
      }
    for (let at = total(best) - 1; at >= 0; at--) {
      for (const body of bypassed(best, at))
        if (await attempt(body)) {
          progress = true;
          break;
        }
      const i = instruction(best, at);
      if (!i) continue;
      for (const form of simpler(i))
        if (await attempt(changed(best, at, () => form))) {
          progress = true;
          break;
        }
    }
  }
  return { ...program, body: best };
}
