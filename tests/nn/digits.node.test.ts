import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

const { nn, optim, data } = tl;

/** The network of examples/digits.ts, for fewer epochs. */
async function train(name: (typeof devices)[number], csv: string): Promise<{ loss: number[]; accuracy: number }> {
  const device = await open(name);
  try {
    const result = { loss: [] as number[], accuracy: 0 };
    await clean(device, async () => {
      tl.manualSeed(42);
      const table = data.readCsv(csv);
      const images = table.rows(table.names.slice(0, 64));
      const x = { ...images, data: images.data.map((v) => v / 16) };
      const y = Int32Array.from(table.column('target'));
      const [xTrain, xTest, yTrain, yTest] = data.trainTestSplit(x, y, { testSize: 0.2 });
      const model = new nn.Sequential(new nn.Linear(64, 32), new nn.ReLU(), new nn.Linear(32, 10));
      const optimizer = new optim.Adam(model.parameters(), { lr: 3e-3 });
      model.compile({ optimizer, loss: nn.functional.crossEntropy, metrics: ['accuracy'] });
      const { history } = await model.fit(xTrain, yTrain, { epochs: 8, batchSize: 32, verbose: 0 });
      result.loss = history.loss!;
      result.accuracy = (await model.evaluate(xTest, yTest, { batchSize: 256 })).accuracy!;
      optimizer.dispose();
      model.dispose();
    });
    return result;
  } finally {
    device.destroy();
  }
}

describe('handwritten digits', () => {
  it('are learned alike on every device: loss curves within 1e-3', async () => {
    const csv = await readFile(new URL('../../examples/data/digits.csv', import.meta.url), 'utf8');
    const runs: Awaited<ReturnType<typeof train>>[] = [];
    for (const name of devices) runs.push(await train(name, csv));
    for (const { loss, accuracy } of runs) {
      expect(accuracy).toBeGreaterThan(0.9);
      expect(loss).toHaveLength(8);
      loss.forEach((v, epoch) => {
        expect(Math.abs(v / runs[0]!.loss[epoch]! - 1), `epoch ${epoch}`).toBeLessThan(1e-3);
      });
    }
  });
});
