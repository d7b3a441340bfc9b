// The course in examples/: every example runs in its short form, and gives the figures that its header states.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { holds, names, runExample, stated } from '../examples/course.ts';
import { provideGPU } from '../src/init.ts';
import { gpu } from './setup/devices.ts';

provideGPU(gpu);

const all = await names();

describe('what holds of a figure', () => {
  it.each([
    [0.981, '0.975', true],
    [0.95, '0.975', false],
    [0.012, '0.013', true],
    [0.01, '0.013', false],
    [0.98, '>= 0.98', true],
    [0.979, '>= 0.98', false],
    [3, '<= 3', true],
    [3.1, '<= 3', false],
    [-1.99, '-2.00', true],
    [Number.NaN, '0.975', false],
    [Number.NaN, '>= 0.5', false],
  ])('%f for %s: %s', (value, said, fits) => {
    expect(holds(value, said)).toBe(fits);
  });

  it('is nothing that could not be checked', () => {
    expect(() => holds(1, 'about 1')).toThrow(/no figure/);
  });
});

describe('examples', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tensorloom-examples-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('are in the table of examples/README.md', async () => {
    const readme = await readFile(new URL('../examples/README.md', import.meta.url), 'utf8');
    const rows = [...readme.matchAll(/^\| \[(.+?)\]\(course\/(.+?)\.ts\)/gm)];
    expect(rows.map(([, , name]) => name).sort()).toEqual([...all].sort());
  });

  it.each(all)('%s', { timeout: 120_000 }, async (name) => {
    const { source, figures: said } = await stated(name);
    expect(source.trimEnd().split('\n').length, 'lines').toBeLessThanOrEqual(125);
    const { figures, pictures } = await runExample(name, { short: true, device: 'cpu', folder, quiet: true });
    expect(Object.keys(figures).sort(), 'the figures of its header').toEqual([...said.keys()].sort());
    for (const [figure, value] of Object.entries(figures)) {
      const { short } = said.get(figure)!;
      expect(holds(value, short), `${figure} is ${value}, stated as ${short}`).toBe(true);
    }
    expect(pictures.length).toBeGreaterThan(0);
    for (const path of pictures) {
      const svg = await readFile(path, 'utf8');
      expect(svg, path).toMatch(/^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"[\s\S]*<\/svg>\s*$/);
      expect(svg, path).not.toMatch(/="[^"]*\bNaN\b/);
    }
  });
});
