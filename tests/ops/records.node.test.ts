import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import * as methods from '../../src/ops/methods.ts';
import { ops } from './harness.ts';
import { matrix } from './matrix.ts';
import { files, records } from './records.ts';

const folder = fileURLToPath(new URL('../../src/ops/', import.meta.url));

describe('records', () => {
  test('all files with samples are known to the tests', () => {
    const found = readdirSync(folder).filter((f) => /^export const samples\b/m.test(readFileSync(folder + f, 'utf8')));
    expect(Object.keys(files).sort()).toEqual(found.map((f) => f.replace('.ts', '')).sort());
  });

  test('docs/ops.md says what they say: `npm run ops` writes it anew', async () => {
    expect(readFileSync(fileURLToPath(new URL('../../docs/ops.md', import.meta.url)), 'utf8')).toBe(await matrix());
  });

  test('every method of tensors has a record', () => {
    const recorded = new Set([...[...ops.keys()].map((title) => title.split(/[: ]/)[0]), ...records.keys()]);
    expect(Object.keys(methods).filter((name) => !recorded.has(name))).toEqual([]);
  });
});
