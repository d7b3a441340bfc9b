// node tests/setup/run.mjs tests/fuzz/plant.ts [--count N] [--seed S] [--only TEXT] [--from N] [--jobs J]
// Plants bugs in copies of the library, one each, and counts how many programs the fuzzer needs to find them.
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

interface Bug {
  readonly name: string;
  /** Replacements in source files; each text must be there exactly once. */
  readonly edits: readonly (readonly [file: string, from: string, to: string])[];
}

const PLAN = 'engine/plan.ts';
const ENGINE = 'engine/engine.ts';
const FUSION = 'engine/fusion.ts';
const REFERENCE = 'backends/reference/reference.ts';

const BUGS: readonly Bug[] = [
  {
    name: 'a buffer is donated or reused while it is still read later',
    edits: [[PLAN, 'lastUse.get(v) === i &&', 'lastUse.get(v)! >= i &&']],
  },
  {
    name: 'a buffer is donated although the kernel reads it at other places too',
    edits: [[PLAN, 'const own = kernel.inputs.every(', 'const own = kernel.inputs.some(']],
  },
  {
    name: 'a slot goes back before its first reader',
    edits: [
      [
        PLAN,
        'for (const v of f.values) lastUse.set(v, i);',
        'for (const v of f.values) if (!lastUse.has(v)) lastUse.set(v, i);',
      ],
    ],
  },
  {
    name: 'a slot is given out twice',
    edits: [[PLAN, 'this.free.splice(this.free.indexOf(best), 1);', '']],
  },
  {
    name: 'an external that is still held is overwritten',
    edits: [
      [
        ENGINE,
        '(n): External => ({ dtype: n.dtype, size: n.size, dying: n.holders === 0 && n.owned }),',
        '(n): External => ({ dtype: n.dtype, size: n.size, dying: n.owned }),',
      ],
    ],
  },
  {
    name: 'a cached plan runs with the scalars of its first run',
    edits: [
      [ENGINE, 'buffers, scalars, label', 'buffers, scalars: ((step as { old?: number[] }).old ??= scalars), label'],
    ],
  },
  {
    name: 'the key of a plan lacks what is live',
    edits: [[ENGINE, 'words.add(node.holders > 0 ? 1 : 0);', '']],
  },
  {
    name: 'the key of a plan lacks what dies',
    edits: [[ENGINE, 'words.add(input.holders === 0 && input.owned ? 1 : 0);', '']],
  },
  {
    name: 'the key of a plan mixes up externals',
    edits: [[ENGINE, 'words.add(input.mark);', 'words.add(Math.max(input.mark, 0));']],
  },
  {
    name: 'the key of a plan lacks the offsets of views',
    edits: [[ENGINE, 'words.add(access.offset);', '']],
  },
  {
    name: 'a value that only another kernel reads is not written',
    edits: [[FUSION, 'm.item.live || (this.consumers.get(m.item.id) ?? []).some((id) => !own.has(id))', 'm.item.live']],
  },
  {
    name: 'the bound on bindings forgets what was inlined before',
    edits: [
      [
        FUSION,
        'new Set(reached.get(reader) ?? reader.reads.map((r) => r.source))',
        'new Set(reader.reads.map((r) => r.source))',
      ],
    ],
  },
  {
    name: 'kernels that need each other are joined (no check for cycles)',
    edits: [[FUSION, ' || this.cycle(producer, reader)', '']],
  },
  {
    name: 'a map is inlined through a view without its offset',
    edits: [[FUSION, 'offset: a!.offset + start.reduce((sum, c, k) => sum + c * inner[k]!, 0),', 'offset: a!.offset,']],
  },
  {
    name: 'a map is inlined through a view that crosses its rows',
    edits: [[FUSION, ' || reach.some((c, k) => c >= sizes[k]!)', '']],
  },
  {
    name: 'reads of one buffer at two offsets are taken for one',
    edits: [[FUSION, '  a.offset === b.offset &&\n', '']],
  },
  {
    name: 'an epilogue sees the summand in place of the sum',
    edits: [[FUSION, 'values.set(item.id, result(reductions.length - 1, item.dtype));', 'values.set(item.id, expr!);']],
  },
  {
    name: 'positions are inlined through a transpose',
    edits: [[FUSION, 'return producer.usesPosition && !isIdentity(dims) ? null : dims;', 'return dims;']],
  },
  {
    name: 'dims are merged that the output does not walk alike',
    edits: [
      [
        FUSION,
        "    lists.push(o.level === 'element' ? o.strides : [...o.strides, ...new Array<number>(kernel.inner).fill(0)]);",
        '    void o;',
      ],
    ],
  },
  {
    name: 'an update through a view is dropped',
    edits: [['ops/assign.ts', ': through(x, expand(filled, x.shape)));', ': x.node);']],
  },
  {
    name: 'an update through a view forgets its offset',
    edits: [['ops/assign.ts', 'const scalars = [x.view.offset];', 'const scalars = [0];']],
  },
  {
    name: 'an update takes over storage that shows the value in another order',
    edits: [
      [
        'ops/assign.ts',
        'whole(x) && whole(value) && sameShape',
        'whole(x) && value.size === value.node.size && sameShape',
      ],
    ],
  },
  {
    name: 'views do not see updates',
    edits: [
      [
        'ops/record.ts',
        "import { fromNode, Tensor } from '../tensor/tensor.ts';",
        "import { Cell, fromNode, Tensor } from '../tensor/tensor.ts';",
      ],
      [
        'ops/record.ts',
        'new Tensor(x.device, x.cell, view, null)',
        'new Tensor(x.device, new Cell(x.node), view, null)',
      ],
    ],
  },
  {
    name: 'permute keeps the strides where they were',
    edits: [
      [
        'ops/structure.ts',
        'strides: order.map((d) => x.view.strides[d]!),\n    offset',
        'strides: x.view.strides,\n    offset',
      ],
    ],
  },
  {
    name: 'broadcasting is undone over the wrong dims',
    edits: [['ops/structure.ts', 'filter((d) => d < lead ||', 'filter((d) => d >= x.ndim - lead ||']],
  },
  {
    name: 'the tape does not hold what it saved',
    edits: [
      [
        'tensor/tape.ts',
        '    for (const s of saved) s?.node.hold();\n    output?.node.hold();\n    for (const nodes of recorders)',
        '    for (const nodes of recorders)',
      ],
      ['tensor/tape.ts', '    for (const s of this.saved) s?.node.release();\n    this.output?.node.release();\n', ''],
    ],
  },
  {
    name: 'a saved value follows in-place updates',
    edits: [
      [
        'ops/record.ts',
        'const saved = (t: Tensor): Saved => ({ node: t.node, view: t.view, tape: t.tape });',
        'const saved = ({ cell, view, tape }: Tensor): Saved => ({ get node() { return cell.node; }, view, tape });',
      ],
    ],
  },
  {
    name: 'a second backward does not add to the gradient',
    edits: [['autograd/grad.ts', 'before ? add(before, g) : g', 'g']],
  },
  {
    name: 'gradients of a tensor used twice are not added up',
    edits: [['autograd/reverse.ts', 'const sum = known ? add(known, g) : g;', 'const sum = known ?? g;']],
  },
  {
    name: 'retainGraph is ignored',
    edits: [['autograd/reverse.ts', 'if (!options.retainGraph) for', 'for']],
  },
  {
    name: 'the end of a scope disposes what was kept',
    edits: [['tensor/scope.ts', '    tensor.owner.delete(tensor);\n', '']],
  },
  {
    name: 'the end of a scope disposes the last of several results',
    edits: [['tensor/scope.ts', 'close(frame, out);', 'close(frame, [...tensorsIn(out)].slice(0, 2));']],
  },
  {
    name: 'an inner scope hands its result to nobody',
    edits: [['tensor/scope.ts', '    if (parent) parent.add(t);\n', '    if (parent) void t;\n']],
  },
  {
    name: 'a running sum starts behind the element',
    edits: [
      [
        REFERENCE,
        'values[line * length + at[last]!] = finish({ at, results: before.map((x, i) => rounds[i]!(x)) })[0]!;',
        'const shown = k === 0 ? before : (kernel as { old?: number[] }).old!; (kernel as { old?: number[] }).old = before; values[line * length + at[last]!] = finish({ at, results: shown.map((x, i) => rounds[i]!(x)) })[0]!;',
      ],
    ],
  },
  {
    name: 'a scan from the end starts one place too early (cpu)',
    edits: [['backends/cpu/scan.ts', 'Math.max(space.at(-1)! - 1, 0) * step', 'Math.max(space.at(-1)! - 2, 0) * step']],
  },
  {
    name: 'the gradient of a running sum runs forwards',
    edits: [['ops/scans.ts', 'runningSum(g, dim, !reverse)', 'runningSum(g, dim, reverse)']],
  },
  {
    name: 'the gradient of a running product includes its own factor',
    edits: [['ops/scans.ts', 'mul(shifted(output, dim, reverse, 1), recurrence', 'mul(output, recurrence']],
  },
  {
    name: 'the gradient of a product forgets the factors behind',
    edits: [
      [
        'ops/scans.ts',
        '      shifted(runningProduct(rows, last, true), last, true, 1),\n',
        '      shifted(runningProduct(rows, last, true), last, false, 1),\n',
      ],
    ],
  },
  {
    name: 'a running maximum is the first of equals',
    edits: [
      [
        'ops/scans.ts',
        "op === 'cummax' ? le(left, right) : le(right, left)",
        "op === 'cummax' ? not(le(right, left)) : not(le(left, right))",
      ],
    ],
  },
  {
    name: 'a scan ignores the offset of a view',
    edits: [
      [
        'ops/scans.ts',
        "access: { mode: 'direct', strides: order.map((d) => t.view.strides[d]!), offset: t.view.offset },",
        "access: { mode: 'direct', strides: order.map((d) => t.view.strides[d]!), offset: 0 },",
      ],
    ],
  },
  {
    name: 'a sort of short lines is not stable (cpu)',
    edits: [['backends/cpu/sort.ts', 'keys[j - 1]! > key;', 'keys[j - 1]! >= key;']],
  },
  {
    name: 'a sort of long lines skips a digit (cpu)',
    edits: [
      [
        'backends/cpu/sort.ts',
        'for (let digit = 0; digit < 4; digit++) {\n      const counts = scratch',
        'for (let digit = 0; digit < 3; digit++) {\n      const counts = scratch',
      ],
    ],
  },
  {
    name: 'equal elements of a descending sort come in reverse',
    edits: [[REFERENCE, '.sort((a, b) => keys[a]! - keys[b]!)', '.sort((a, b) => keys[a]! - keys[b]! || b - a)']],
  },
  {
    name: 'negative numbers are sorted by their magnitude',
    edits: [['ops/sorting.ts', 'or(bits, word(HIGH_BIT)), not(bits));', 'or(bits, word(HIGH_BIT)), bits);']],
  },
  {
    name: 'a sort ignores the offset of a view',
    edits: [
      [
        'ops/sorting.ts',
        'strides: order.map((i) => x.view.strides[i]!), offset: x.view.offset }',
        'strides: order.map((i) => x.view.strides[i]!), offset: 0 }',
      ],
    ],
  },
  {
    name: 'a scatter drops what comes twice (reference)',
    edits: [
      [
        REFERENCE,
        'sums[to] = join(sums[to]!, element!(at));',
        'if (!hit[to]) sums[to] = join(sums[to]!, element!(at));',
      ],
    ],
  },
  {
    name: 'a scatter ignores the offset of a view',
    edits: [
      [
        'ops/gather.ts',
        "access: { mode: 'direct', strides: order.map((d) => t.view.strides[d]!), offset: t.view.offset },",
        "access: { mode: 'direct', strides: order.map((d) => t.view.strides[d]!), offset: 0 },",
      ],
    ],
  },
  {
    name: 'the gradient of a scatter reaches all that went to a place',
    edits: [['ops/gather.ts', 'where(equal(gather(last, d, at), line), gather(g, d, at), 0)', 'gather(g, d, at)']],
  },
  {
    name: 'the gradient of a scatter reaches what was replaced',
    edits: [
      [
        'ops/gather.ts',
        'needs[0] ? replaced(g, d, at, zeros(at.shape, { dtype: g.dtype, device: g.device })) : null',
        'needs[0] ? g : null',
      ],
    ],
  },
  {
    name: 'the index of a scatter is not checked',
    edits: [
      [REFERENCE, '} else if (check !== null) run.flag(run.scalars[check]!);', '}'],
      [
        'backends/cpu/scatter.ts',
        'if (heap.i32[scratch / 4] !== 0 && check !== null)',
        'if (heap.i32[scratch / 4] === -1 && check !== null)',
      ],
    ],
  },
  {
    name: 'the index of a look-up is not checked (cpu)',
    edits: [
      [
        'backends/cpu/values.ts',
        "if (input.access.mode === 'indirect' && input.access.check !== null) this",
        "if (input.access.mode === 'indirect' && input.access.check === -1) this",
      ],
    ],
  },
  {
    name: 'indexPut does not check its places',
    edits: [
      ['ops/puts.ts', 'rowOf(op, view.shape, at, checked)', 'rowOf(op, view.shape, at)'],
      ['ops/gather.ts', 'check: 0 }),', 'check: null }),'],
    ],
  },
  {
    name: 'an index out of range is reported again at every await (cpu)',
    edits: [['backends/cpu/cpu.ts', '    i32[STATUS / 4] = 0;\n', '']],
  },
  {
    name: 'negative places do not count from the end',
    edits: [
      [
        'ops/indexing.ts',
        'choose(less(place, 0), plus(place, uniform(j + 1',
        'choose(less(place, -9), plus(place, uniform(j + 1',
      ],
    ],
  },
  {
    name: 'index tensors apart stand where the first one was',
    edits: [['ops/indexing.ts', '(places.at(-1) ?? 0) - first < places.length ? first : 0', 'first']],
  },
  {
    name: 'a put with accumulate takes the last one',
    edits: [
      [
        'ops/indexing.ts',
        'back(scatterSum(given, 0, expand(unsqueeze(row, 1), given.shape), rows))',
        "back(scattered(op, 'last', null, 0, expand(unsqueeze(row, 1), given.shape), given, rows))",
      ],
    ],
  },
  {
    name: 'maskedSelect sees updates that come after the call',
    edits: [
      [
        'ops/masks.ts',
        'keep(new Tensor(x.device, new Cell(x.node), x.view, x.tape))',
        'keep(new Tensor(x.device, x.cell, x.view, x.tape))',
      ],
    ],
  },
  {
    name: 'the gradient of unfold misses the last window',
    edits: [['ops/windows.ts', 'Math.ceil(size / step)', 'Math.floor(size / step)']],
  },
  {
    name: 'a mirrored border repeats the outermost element',
    edits: [['ops/windows.ts', 'flip(piece(1, first), dim)', 'flip(piece(0, first), dim)']],
  },
  {
    name: 'roll forgets its second shift of a dim',
    edits: [['ops/movement.ts', '(total + (by[i]! % n)) % n : total', '(by[i]! % n) % n : total']],
  },
  {
    name: 'a diagonal below the main one starts at the wrong row',
    edits: [['ops/structure.ts', 'first * rows + second * columns', 'first * columns + second * columns']],
  },
  {
    name: 'elimination looks for no pivot',
    edits: [
      [
        'ir/dense.ts',
        'if (Math.abs(u[r * n + c]!) > Math.abs(u[pivot * n + c]!)) pivot = r;',
        'if (u[pivot * n + c] === 0 && u[r * n + c] !== 0) pivot = c;',
      ],
    ],
  },
  {
    name: 'swapped rows keep their sign, so that the determinant does not',
    edits: [['ir/dense.ts', 'matrix[pivot * width + j] = -upper;', 'matrix[pivot * width + j] = upper;']],
  },
  {
    name: 'a factorisation ignores the offset of a view',
    edits: [
      ['ops/linalg.ts', 'strides: t.view.strides, offset: t.view.offset }', 'strides: t.view.strides, offset: 0 }'],
    ],
  },
  {
    name: 'the gradient of a solution has the matrix as it is',
    edits: [
      [
        'ops/linalg.ts',
        'const back = solved(op, T(inputs[0]!), g, checked);',
        'const back = solved(op, inputs[0]!, g, checked);',
      ],
    ],
  },
  {
    name: 'the gradient of cholesky is not symmetric',
    edits: [['ops/linalg.ts', 'return [mul(0.5, add(s, T(s)))];', 'return [s];']],
  },
  {
    name: 'the gradient of eigenvectors has the gaps the wrong way round',
    edits: [
      [
        'ops/linalg.ts',
        'const gaps = sub(unsqueeze(x, -2), unsqueeze(x, -1));',
        'const gaps = sub(unsqueeze(x, -1), unsqueeze(x, -2));',
      ],
    ],
  },
  {
    name: 'a singular matrix is not reported',
    edits: [['ir/dense.ts', '      regular = false;\n', '']],
  },
  {
    name: 'a handle of the right-hand side is left over',
    edits: [
      [
        'ops/linalg.ts',
        "    const right = rightHandSide('solve', a, b);\n    const x = solved",
        "    const right = keep(rightHandSide('solve', a, b));\n    const x = solved",
      ],
      [
        'ops/linalg.ts',
        "import { withGrad } from '../tensor/tape.ts';",
        "import { keep } from '../tensor/scope.ts';\nimport { withGrad } from '../tensor/tape.ts';",
      ],
    ],
  },
  {
    name: 'einsum sums what two operands do not share too late',
    edits: [['ops/einsum.ts', 'later.has(l));\n  const over', '!later.has(l));\n  const over']],
  },
  {
    name: 'the gradient of a 2-norm is not divided by it',
    edits: [
      ['ops/norms.ts', 'if (p === 2) return [mul(x, div(weight, safe))];', 'if (p === 2) return [mul(x, weight)];'],
    ],
  },
];

const root = resolve(fileURLToPath(new URL('../..', import.meta.url)));
const { values: args } = parseArgs({
  options: {
    count: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    from: { type: 'string', default: '0' },
    jobs: { type: 'string', default: '2' },
  },
});

/** A copy of the library and the fuzzer with a bug in it. */
function plant(bug: Bug | null): string {
  const folder = mkdtempSync(join(tmpdir(), 'tensorloom-fuzz-'));
  for (const part of ['src', 'shaders', 'tests/fuzz', 'tests/setup'])
    cpSync(join(root, part), join(folder, part), { recursive: true });
  for (const file of ['package.json', 'tsconfig.json']) cpSync(join(root, file), join(folder, file));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  for (const [file, from, to] of bug?.edits ?? []) {
    const path = join(folder, 'src', file);
    const text = readFileSync(path, 'utf8');
    const places = text.split(from).length - 1;
    if (places !== 1) {
      rmSync(folder, { recursive: true });
      throw new Error(`plant: "${bug!.name}" looks for a text that is ${places} times in src/${file}:\n${from}`);
    }
    writeFileSync(
      path,
      text.replace(from, () => to),
    );
  }
  return folder;
}

interface Found {
  readonly programs: number | null;
  readonly seconds: number;
  readonly how: string;
}

/** Runs the fuzzer in a copy until it finds something. */
function hunt(folder: string): Promise<Found> {
  const start = performance.now();
  const child = spawn(
    process.execPath,
    [
      '--import',
      'tsx',
      '--import',
      join(folder, 'tests/setup/wgsl.mjs'),
      join(folder, 'tests/fuzz/run.ts'),
      ...['--devices', 'reference,cpu', '--seed', args.seed, '--count', args.count, '--brief'],
    ],
    { cwd: folder, env: { ...process.env, TENSORLOOM_WEBGPU: 'none' } },
  );
  let text = '';
  let late = false;
  child.stdout.on('data', (d) => {
    text += d;
  });
  child.stderr.on('data', (d) => {
    text += d;
  });
  const clock = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
  }, 1_200_000);
  return new Promise((done) => {
    child.on('exit', (code) => {
      clearTimeout(clock);
      const seconds = (performance.now() - start) / 1000;
      const last = /(\d+) passed, (\d+) failed/.exec(text);
      const failure = /^FAILED seed \d+ on ([^(]+) \((\w+)\)/m.exec(text);
      if (code === 0) done({ programs: null, seconds, how: 'not found' });
      else if (failure && last) done({ programs: Number(last[1]) + 1, seconds, how: `${failure[2]} on ${failure[1]}` });
      else
        done({
          programs: null,
          seconds,
          how: late ? 'hangs' : `crash: ${text.trim().split('\n').slice(-3).join(' ')}`,
        });
    });
  });
}

const chosen = BUGS.slice(Number(args.from)).filter((b) => b.name.includes(args.only));
// All texts are looked for before anything runs.
for (const bug of BUGS) rmSync(plant(bug), { recursive: true });
const results = new Map<Bug, Found>();
const queue = [...chosen];
async function worker(): Promise<void> {
  for (let bug = queue.shift(); bug; bug = queue.shift()) {
    const folder = plant(bug);
    try {
      const found = await hunt(folder);
      results.set(bug, found);
      console.error(`${found.programs ?? '-'} programs, ${found.seconds.toFixed(0)} s: ${bug.name} (${found.how})`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}
await Promise.all(Array.from({ length: Math.max(1, Number(args.jobs)) }, worker));

console.log('\n| planted bug | programs until found | seconds | how |\n|---|---|---|---|');
for (const bug of chosen) {
  const r = results.get(bug)!;
  console.log(`| ${bug.name} | ${r.programs ?? 'not found'} | ${r.seconds.toFixed(1)} | ${r.how} |`);
}
const missed = chosen.filter((b) => results.get(b)!.programs === null);
console.log(`${chosen.length - missed.length} found, ${missed.length} not found`);
process.exitCode = missed.length > 0 ? 1 : 0;
