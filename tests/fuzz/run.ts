import { generate } from './generate.ts';
import { check } from './check.ts';
import { openPlaces } from './library.ts';
const seed = Number(process.argv[2] ?? 1), n = Number(process.argv[3] ?? 100);
const devs = (process.argv[4] ?? 'reference,cpu').split(',') as never;
const places = await openPlaces(devs);
let c=0,e=0,er=0,ph=0; const t=performance.now(); let tg=0;
const kinds = new Map<string, string[]>();
for (let i=0;i<n;i++){ const a=performance.now(); const p=generate(seed+i); tg+=performance.now()-a; const o=await check(p,places); c+=o.compared;e+=o.exact;er+=o.errors;ph+=o.planHits;
 if(o.failure){ const k=`${o.failure.kind} ${o.failure.place} ${o.failure.message.split('\n')[0]!.replace(/#?\d+/g,'N').slice(0,90)}`; if(!kinds.has(k)) kinds.set(k,[]); kinds.get(k)!.push(`${seed+i}`); } }
for (const [k,v] of [...kinds].sort((a,b)=>b[1].length-a[1].length).slice(0,25)) console.log(v.length, k, v.slice(0,4).join(' '));
console.log({compared:c/n,exact:e/n,errors:er/n,planHits:ph/n, failed:[...kinds.values()].flat().length, ms:(performance.now()-t)/n, gen: tg/n});
