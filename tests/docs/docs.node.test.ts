import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { pageBlocks, pages, sourceBlocks } from './blocks.ts';
import { check } from './compile.ts';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

describe('the documentation', () => {
  const inPages = pageBlocks(root);
  const inSources = sourceBlocks(root);

  it('has examples that compile', () => {
    expect(inPages.length).toBeGreaterThan(5);
    expect(inSources.length).toBeGreaterThan(20);
    expect(check(root, [...inPages, ...inSources])).toEqual([]);
  });

  it('names only scripts that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const wrong = pages(root).flatMap((file) =>
      [...read(file).matchAll(/npm run ([\w:]+)/g)]
        .filter(([, name]) => !(name! in scripts))
        .map(([text]) => `${file}: ${text}`),
    );
    expect(wrong).toEqual([]);
  });

  it('links only to files and headings that exist', () => {
    const wrong: string[] = [];
    for (const file of pages(root))
      for (const [, target] of read(file).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
        const [path = '', heading] = target!.split('#');
        const to = path ? join(dirname(file), path) : file;
        if (!existsSync(join(root, to))) wrong.push(`${file}: ${target}`);
        else if (heading && !headings(read(to)).includes(heading)) wrong.push(`${file}: ${target}`);
      }
    expect(wrong).toEqual([]);
  });

  const programs = inPages.filter(({ info }) => info === 'run');

  it('has a program in the README', () => {
    expect(programs.map(({ file }) => file)).toEqual(['README.md']);
  });

  it.each(programs)('has a program at $file:$line that learns', async ({ code }) => {
    const output = await run({ 'program.mts': code.replace('init()', "init({ device: 'cpu' })") });
    expect(output).toMatch(/^step 0: loss \d\.\d+$/m);
    const last = Number(/^step 200: loss (\d\.\d+)$/m.exec(output)?.[1]);
    expect(last).toBeLessThan(0.01);
    expect(output.trimEnd().split('\n').at(-1)).toBe('[[false],[true],[true],[false]]');
  });

  it('adds ops with correct values and gradients', async () => {
    const added = inPages.filter(({ info }) => info === 'addTo=src/ops/elementwise.ts');
    const original = read('src/ops/elementwise.ts').replaceAll(
      /from '(\.\.?\/[^']+)'/g,
      (_, path: string) => `from '${pathToFileURL(join(root, 'src/ops', path)).href}'`,
    );
    const output = await run({
      'program.mts': `
        import * as tl from 'tensorloom';
        import { hardshrink, hypot, tanhshrink } from './elementwise.mts';
        await tl.init({ device: 'reference', precision: 'float64' });
        const x = tl.tensor([-2, -0.25, 0.125, 3]);
        const y = tl.tensor([1.5, 2, -0.5, 4]);
        for (const op of [tanhshrink, hardshrink]) await tl.gradcheck((a) => op(a), [x]);
        await tl.gradcheck((a, b) => hypot(a, b), [x, y]);
        const results = [tanhshrink(x), hardshrink(x), hardshrink(x, { lambda: 0.1 }), hypot(x, y)];
        console.log(JSON.stringify(await Promise.all(results.map((t) => t.toArray()))));`,
      'elementwise.mts': [original, ...added.map(({ code }) => code)].join('\n'),
    });
    const values = JSON.parse(output) as number[][];
    const xs = [-2, -0.25, 0.125, 3];
    xs.forEach((x, i) => {
      expect(values[0]![i]).toBeCloseTo(x - Math.tanh(x), 6);
      expect(values[3]![i]).toBeCloseTo(Math.hypot(x, [1.5, 2, -0.5, 4][i]!), 6);
    });
    expect(values[1]).toEqual([-2, 0, 0, 3]);
    expect(values[2]).toEqual(xs);
  });
});

/** Names of a page's headings in links. */
const headings = (text: string): string[] =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s-]/gu, '')
      .trim()
      .replaceAll(' ', '-'),
  );

/** Runs a program in Node, against the sources, and gives what it prints. */
async function run(files: Readonly<Record<'program.mts' | string, string>>): Promise<string> {
  const cache = join(root, 'node_modules/.cache/tensorloom');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'docs-'));
  try {
    const entry = pathToFileURL(join(root, 'src/node.ts')).href;
    for (const [name, code] of Object.entries(files))
      writeFileSync(join(folder, name), code.replace("'tensorloom'", `'${entry}'`));
    const loaders = ['--import', 'tsx', '--import', pathToFileURL(join(root, 'tests/setup/wgsl.mjs')).href];
    const args = [...loaders, join(folder, 'program.mts')];
    return (await promisify(execFile)(process.execPath, args, { cwd: root, timeout: 60_000 })).stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
