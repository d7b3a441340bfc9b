// Whole training runs from PyTorch's initial parameters: the loss of every step, what was learned, and what it predicts.
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import train from '../fixtures/conformance/train.json' with { type: 'json' };
import { devices } from '../setup/devices.ts';
import { tl } from './api.ts';
import { type Case, runBeside } from './runner.ts';

const readDataset = (name: string): Promise<string> =>
  readFile(new URL(`../../examples/data/${name}.csv`, import.meta.url), 'utf8');

// The reference takes half a minute, and `npm run conformance -- --device reference` does the same.
describe.each(devices.filter((name) => name !== 'reference'))('on %s', (name) => {
  describe.each([true, false])('with fusion: %s', (fusion) => {
    test('training follows the losses of PyTorch', async () => {
      const device = await tl.device(name, { fusion });
      const outcomes: unknown[] = [];
      for (const c of train as unknown as readonly Case[]) {
        const outcome = await runBeside(c, device, readDataset);
        if (outcome.status !== 'passed') outcomes.push({ name: c.name, ...outcome });
        await device.sync();
        expect(tl.memory(device).bytes, c.name).toBe(0);
      }
      expect(outcomes).toEqual([]);
      expect(train.length).toBe(21);
      device.destroy();
    }, 300_000);
  });
});
