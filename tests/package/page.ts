// A page that trains on each device of its address, ?devices=cpu,webgpu, and shows what came of it.
import * as tl from '../../src/index.ts';

const out = document.querySelector('#out') as HTMLElement;
const names = (new URLSearchParams(location.search).get('devices') ?? 'cpu').split(',') as tl.DeviceName[];

try {
  for (const name of names) {
    const device = await tl.init({ device: name });
    tl.manualSeed(1);
    const x = tl.tensor([
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ]);
    const y = tl.tensor([[0], [1], [1], [0]]);
    const model = new tl.nn.Sequential(new tl.nn.Linear(2, 8), new tl.nn.Tanh(), new tl.nn.Linear(8, 1));
    const adam = new tl.optim.Adam(model.parameters(), { lr: 0.05 });
    const step = (): Promise<number> => adam.minimize(() => tl.nn.functional.mseLoss(model.forward(x), y)).item();
    const first = await step();
    for (let i = 0; i < 150; i++) await step();
    const last = await step();
    const answers = await model.forward(x).gt(0.5).toArray();
    out.textContent += `${device.name}: loss ${first.toFixed(3)} to ${last.toFixed(3)}, ${JSON.stringify(answers)}\n`;
  }
  out.textContent += 'done';
} catch (error) {
  out.textContent += `failed: ${error instanceof Error ? error.message : error}`;
}
