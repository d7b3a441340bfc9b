// Figures as a picture.
import * as Plot from '@observablehq/plot';
import { chart } from '../examples/chart.ts';
import type { DeviceKind, Figure } from './harness.ts';

const ROW = 14;
/** Beyond it bars are cut, and say so by their number. */
const LONGEST = 100;

/** How many times as long as tensorloom each contestant takes, for the workloads on a kind of device; an SVG, as text. */
export function figuresChart(figures: readonly Figure[], device: DeviceKind, machine: string): string {
  const shown = figures.filter((f) => f.device === device && f.ratio !== null && !f.error);
  const rows = shown.map((f) => ({
    workload: f.workload,
    contestant: f.contestant,
    ratio: Math.min(f.ratio!, LONGEST),
    label: `${f.contestant} ${f.ratio!.toFixed(2)}`,
  }));
  const workloads = [...new Set(rows.map((row) => row.workload))];
  const most = Math.max(...workloads.map((name) => rows.filter((row) => row.workload === name).length));
  const ratios = rows.map((row) => row.ratio);
  return chart(`Time over tensorloom's on ${device}, in the same rounds, on ${machine}: to the right is slower`, {
    width: 760,
    height: workloads.length * (most * ROW + 12) + 60,
    marginLeft: 96,
    marginRight: 150,
    fy: { label: null, domain: workloads },
    y: { axis: null },
    x: {
      type: 'log',
      label: 'times as long',
      tickFormat: String,
      domain: [Math.min(0.8, ...ratios), Math.max(1.25, ...ratios)],
    },
    marks: [
      Plot.barX(rows, {
        fy: 'workload',
        y: 'contestant',
        x1: 1,
        x2: 'ratio',
        fill: (row) => (row.contestant.startsWith('tensorloom') ? '#2a6fdb' : '#d9702a'),
      }),
      Plot.text(rows, {
        fy: 'workload',
        y: 'contestant',
        x: (row) => Math.max(1, row.ratio),
        text: 'label',
        textAnchor: 'start',
        dx: 4,
      }),
      Plot.ruleX([1], { strokeDasharray: '3 3' }),
    ],
  });
}
