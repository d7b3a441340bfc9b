// A program as TypeScript that can be run.
import { Model } from './model.ts';
import { type Arg, type Instr, isRef, numbered, type Program, runNow } from './program.ts';
import * as unique from './unique.ts';

function argument(a: Arg): string {
  if (isRef(a)) return a.endsWith('.grad') ? `${a}!` : a;
  if (Array.isArray(a)) return `[${a.map((x: Arg) => argument(x)).join(', ')}]`;
  if (typeof a === 'object' && a !== null) {
    const entries = Object.entries(a).map(([k, v]) => `${k}: ${argument(v as Arg)}`);
    return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
  }
  return typeof a === 'string' ? `'${a}'` : String(a);
}

/** Functions that give their tensors by name, or in an array. */
const NAMED: Record<string, readonly [string, string]> = {
  slogdet: ['sign', 'logabsdet'],
};
for (const fn of ['max', 'min', 'cummax', 'cummin', 'sort', 'topk']) NAMED[fn] = ['values', 'indices'];
const LISTED = new Set(['grad', 'unbind', 'chunk', 'meshgrid']);
/** Functions in folders of their own. */
const LINALG = new Set(['eigvalsh', 'svdvals', 'matrixNorm']);
const UNIQUE = new Set(Object.keys(unique));

const named = (fn: string): string =>
  UNIQUE.has(fn) ? `unique.${fn}` : LINALG.has(fn) ? `tl.linalg.${fn}` : `tl.${fn}`;

function call(fn: string, args: readonly Arg[], out: readonly string[]): string {
  const text = `${named(fn)}(${args.map(argument).join(', ')})`;
  if (out.length === 0) return `${text};`;
  if (LISTED.has(fn)) return `[${out.join(', ')}] = ${text};`;
  const keys = NAMED[fn];
  if (keys && out.length === 2) return `({ ${keys[0]}: ${out[0]}, ${keys[1]}: ${out[1]} } = ${text});`;
  return `${out[0]} = ${text};`;
}

function lines(i: Instr, top: boolean): string[] {
  switch (i.do) {
    case 'call':
      return [call(i.fn, i.args, i.out)];
    case 'start':
      return [`started.push(${named(i.fn)}(${i.args.map(argument).join(', ')}).then((x) => { ${i.out[0]} = x; }));`];
    case 'read':
      return [
        top
          ? `console.log('${i.of}', await ${argument(i.of)}.toArray());`
          : `void ${argument(i.of)}.toArray().then((x) => console.log('${i.of}', x));`,
      ];
    case 'scope': {
      const open = i.kind === 'run' ? `${i.scope}.run(() => {` : `tl.${i.kind}(() => {`;
      const inner = i.body.flatMap((b) => lines(b, false));
      if (i.kind !== 'noGrad') inner.push(`return [${i.results.join(', ')}];`);
      return [open, ...inner.map((l) => `  ${l}`), '});'];
    }
    case 'open':
      return [`${i.scope} = tl.scope();`];
    case 'close':
      return [`${i.scope}.dispose();`];
    case 'track':
      return [`${i.scope}.track(${i.of});`];
    case 'dispose':
      return [`${i.of}.dispose();`];
    case 'keep':
      return [`tl.keep(${i.of});`];
    case 'clearGrad':
      return [`${i.of}.grad = null;`];
    case 'requiresGrad':
      return [`${i.of}.requiresGrad = ${i.on};`];
    case 'throw':
      return [`throw new Error('thrown by the program');`];
    case 'sync':
      return ['await Promise.all(started.splice(0));', 'await device.sync();'];
  }
}

function names(body: readonly Instr[], which: 'call' | 'open'): string[] {
  return body.flatMap((i) => {
    if (i.do === 'scope') return names(i.body, which);
    if ((i.do === 'call' || i.do === 'start') && which === 'call') return [...i.out];
    return i.do === 'open' && which === 'open' ? [i.scope] : [];
  });
}

/** TypeScript that does what the program does, for a file in tests/fuzz. */
export function print(program: Program, place: string): string {
  const tensors = [...new Set(names(program.body, 'call'))];
  const scopes = [...new Set(names(program.body, 'open'))];
  const places = numbered(program.body);
  const throwing = new Set<string>();
  for (const [label, entry] of runNow(program, new Model())) if ('error' in entry) throwing.add(label.split(' ')[0]!);
  const device = [
    `device: '${place.split(' ')[0]}'`,
    ...(place.includes('float64') ? ["precision: 'float64'"] : []),
    ...(place.includes('unfused') ? ['fusion: false'] : []),
  ];
  return [
    "import * as tl from '../../src/node.ts';",
    "import * as unique from './unique.ts';",
    '',
    `const device = await tl.init({ ${device.join(', ')} });`,
    ...(tensors.length > 0 ? [`let ${tensors.map((n) => `${n}!: tl.Tensor`).join(', ')};`] : []),
    'const started: Promise<void>[] = [];',
    ...(scopes.length > 0 ? [`let ${scopes.map((n) => `${n}!: tl.Scope`).join(', ')};`] : []),
    ...program.body.flatMap((i) => {
      const text = lines(i, true);
      if (!throwing.has(`#${places.get(i)}`)) return text;
      return ['try {', ...text.map((l) => `  ${l}`), '} catch (error) {', '  console.log(String(error));', '}'];
    }),
    'await Promise.all(started);',
    ...tensors.map(
      (n) => `if (${n} && !${n}.disposed) console.log('${n}', await ${n}.toArray(), await ${n}.grad?.toArray());`,
    ),
    'console.log(tl.memory(device), device.name);',
  ].join('\n');
}
