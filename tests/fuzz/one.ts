import { generate } from './generate.ts';
import { check } from './check.ts';
import { openPlaces } from './library.ts';
import { shrink } from './shrink.ts';
import { print } from './print.ts';
const places = await openPlaces((process.argv[3] ?? 'reference,cpu').split(',') as never);
const p = generate(Number(process.argv[2]));
const f=(await check(p, places)).failure;
if(f){ 
const small = await shrink(p, async (q)=>{ const g=(await check(q,places)).failure; return g!==null && g.kind===f.kind && g.place===f.place; });
const g=(await check(small,places)).failure!;
console.log(print(small, g.place, g.place.includes(' fused'))); console.log(g.place, g.kind, g.message);
}
