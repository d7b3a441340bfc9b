// Every layer is among the cases of its theme, where its state and its gradients of both orders are tested: see layer.ts.
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { tl } from '../setup/open.ts';

const { nn } = tl;
const folder = new URL('.', import.meta.url);

const layers = Object.entries(nn as Readonly<Record<string, unknown>>)
  .filter(([, value]) => typeof value === 'function' && value.prototype instanceof nn.Module)
  .map(([name]) => name);

const cases = readdirSync(folder)
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => readFileSync(new URL(name, folder), 'utf8'))
  .filter((text) => /\btestLayers\(/.test(text))
  .join('\n');

/** What has no inputs of its own, and what is a function of `functional` with options: their tests are in losses.test.ts. */
const others = (name: string): boolean => /^Module(List|Dict)$|Loss(Module)?$/.test(name);

it('there are layers', () => {
  expect(layers).toEqual(expect.arrayContaining(['Linear', 'Conv2d', 'LSTM', 'TransformerEncoderLayer']));
});

it.each(layers.filter((name) => !others(name)))('%s is tested as a layer', (name) => {
  expect(cases).toMatch(new RegExp(`new nn\\.${name}\\(`));
});
