// A program as TypeScript that can be run.
import { type Arg, type Instr, isRef, type Program } from './program.ts';

function argument(a: Arg): string {
  if (isRef(a)) return a.endsWith('.grad') ? `${a}!` : a;
  if (Array.isArray(a)) return `[${a.map((x: Arg) => argument(x)).join(', ')}]`;
  if (typeof a === 'object' && a !== null) {
    const entries = Object.entries(a).map(([k, v]) => `${k}: ${argument(v as Arg)}`);
    return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
  }
  return typeof a === 'string' ? `'${a}'` : String(a);
}

/** Functions that give their tensors by name. */
const NAMED: Record<string, readonly string[]> = { max: ['values', 'indices'], min: ['values', 'indices'] };

function statements(body: readonly Instr[], indent: string, top: boolean): string[] {
  return body.flatMap((i): string[] => {
    switch (i.do) {
      case 'call': {
        const call = `tl.${i.fn}(${i.args.map(argument).join(', ')});`;
        if (i.out.length === 0) return [i.fn === 'backward' || i.fn === 'retainGrad' ? call : call];
        const named = NAMED[i.fn];
        if (i.out.length > 1 && named) return [`({ ${named.map((n, k) => `${n}: ${i.out[k]}`).join(', ')} } = ${call.slice(0, -1)});`];
        if (i.fn === 'grad' || i.fn === 'unbind' || i.fn === 'chunk') return [`[${i.out.join(', ')}] = ${call}`];
        return [`${i.out[0]} = ${call}`];
      }
      case 'read':
        return top
          ? [`console.log('${i.of}', await ${argument(i.of)}.toArray());`]
          : [`void ${argument(i.of)}.toArray().then((x) => console.log('${i.of}', x));`];
      case 'scope': {
        const open = i.kind === 'tidy' ? 'tl.tidy(() => {' : i.kind === 'noGrad' ? 'tl.noGrad(() => {' : `${i.scope}.run(() => {`;
        const inner = statements(i.body, '  ', false);
        const results = i.kind === 'noGrad' ? [] : [`  return [${i.results.join(', ')}];`];
        return [open, ...inner, ...results, '});'];
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
        return ['await device.sync();'];
    }
  }).map((line) => indent + line);
}

function names(body: readonly Instr[], which: 'call' | 'open'): string[] {
  return body.flatMap((i) => {
    if (i.do === 'scope') return names(i.body, which);
    if (i.do === 'call' && which === 'call') return [...i.out];
    return i.do === 'open' && which === 'open' ? [i.scope] : [];
  });
}

/** TypeScript that does what the program does, for a file in tests/fuzz. */
export function print(program: Program, device: string, fusion: boolean): string {
  const tensors = [...new Set(names(program.body, 'call'))];
  const scopes = [...new Set(names(program.body, 'open'))];
  const lines = [
    "import * as tl from '../../src/node.ts';",
    '',
    `const device = await tl.init({ device: '${device.split(' ')[0]}', ${device.includes('float64') ? "precision: 'float64', " : ''}fusion: ${fusion} });`,
    ...(tensors.length > 0 ? [`let ${tensors.map((n) => `${n}: tl.Tensor`).join(', ')};`] : []),
    ...(scopes.length > 0 ? [`let ${scopes.map((n) => `${n}: tl.Scope`).join(', ')};`] : []),
    ...statements(program.body, '', true),
    ...tensors.flatMap((n) => [
      `if (!${n}!.disposed) console.log('${n}', await ${n}!.toArray(), await ${n}!.grad?.toArray());`,
    ]),
  ];
  return lines.join('\n');
}
