import { openNull, countSteps, watchMemory } from './counts.ts';
const n = await openNull();
const c = await countSteps(n.calls);
console.table(c.steps); console.table(c.reads); console.log(c.total, c.lastMade, c.ms);
console.table(await watchMemory(n.device, 'loop'));
console.table(await watchMemory(n.device, 'loader'));
n.device.destroy();
