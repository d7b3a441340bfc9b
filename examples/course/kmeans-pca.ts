/*
 * Learning without labels: k-means finds groups (Lloyd, 1982, started by k-means++; Arthur and Vassilvitskii, 2007), principal components
 * find the directions in which the data vary most (Pearson, 1901).
 *
 * On the measurements of 150 irises of three species the first two components hold nearly all of the variance, and three groups are nearly
 * the species, which the method never saw; of five starts the best one counts, since some end in worse groups. On digits, few components draw most of an image.
 *
 * | figure                               | full   | short  |
 * |-------------------------------------|--------|--------|
 * | variance in the first component     | 0.9246 | 0.9246 |
 * | variance in the first two           | 0.9777 | 0.9777 |
 * | inertia of three groups             | 78.85  | 78.85  |
 * | irises in the group of their species | 134    | 134    |
 * | components for 90 % of the digits   | 21     | 21     |
 */
import * as Plot from '@observablehq/plot';
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../../src/node.ts';
import { type Course, chart, dataset, type Figures, toTensor } from '../course.ts';

const { KMeans, PCA } = tl.estimators;
const SPECIES = ['setosa', 'versicolor', 'virginica'];

/** For each group the label that most of it has, and how many rows have the label of their group. */
function agreement(groups: ArrayLike<number>, labels: ArrayLike<number>, count: number) {
  const counts = Array.from({ length: count }, () => new Array<number>(SPECIES.length).fill(0));
  for (let i = 0; i < labels.length; i++) counts[groups[i]!]![labels[i]!]!++;
  const most = counts.map((row) => row.indexOf(Math.max(...row)));
  return { most, right: counts.reduce((sum, row) => sum + Math.max(...row), 0) };
}

export async function run({ save, log }: Course): Promise<Figures> {
  const iris = await dataset('iris');
  const x = toTensor(iris.x);
  const pca = await new PCA({ nComponents: 2 }).fit(x);
  const ratio = await pca.explainedVarianceRatio.data();
  const plane = await pca.transform(x).data();

  const inertias: { k: number; inertia: number }[] = [];
  for (let k = 1; k <= 8; k++)
    inertias.push({ k, inertia: (await new KMeans({ nClusters: k, nInit: 5 }).fit(x)).inertia });
  const groups = await new KMeans({ nClusters: 3, nInit: 5 }).fit(x);
  const { most, right } = agreement(await groups.labels.data(), iris.y, 3);
  log(
    `three groups, inertia ${groups.inertia.toFixed(2)} after ${groups.nIter} rounds; ${right} of 150 with their species`,
  );

  const labels = await groups.labels.data();
  const points = Array.from(iris.y, (y, i) => {
    const [species, group] = [SPECIES[y]!, SPECIES[most[labels[i]!]!]!];
    return { first: plane[2 * i]!, second: plane[2 * i + 1]!, species, group };
  });
  const centers = await pca.transform(groups.clusterCenters).data();
  const spots = most.map((label, g) => ({
    first: centers[2 * g]!,
    second: centers[2 * g + 1]!,
    group: SPECIES[label]!,
  }));
  const colour = { domain: SPECIES, range: ['#2a6fdb', '#d9702a', '#2e8b57'] };
  await save(
    'iris',
    chart(
      'Irises in the plane of two components: colours are groups, crosses their centres, circles rows of another species',
      {
        x: { label: 'first component (cm)' },
        y: { label: 'second component (cm)' },
        color: colour,
        marks: [
          Plot.dot(points, { x: 'first', y: 'second', fill: 'group', r: 3.5 }),
          Plot.dot(
            points.filter((p) => p.species !== p.group),
            { x: 'first', y: 'second', stroke: 'black', r: 6 },
          ),
          Plot.dot(spots, { x: 'first', y: 'second', symbol: 'times', stroke: 'black', r: 7, strokeWidth: 2.5 }),
          Plot.text(spots, { x: 'first', y: 'second', text: 'group', dy: -70, fontWeight: 'bold' }),
        ],
      },
    ),
  );
  await save(
    'elbow',
    chart('The inertia over the number of groups', {
      x: { label: 'groups', ticks: 8 },
      y: { label: 'inertia (cm²)', zero: true },
      marks: [Plot.line(inertias, { x: 'k', y: 'inertia', stroke: '#2a6fdb', marker: 'dot' })],
    }),
  );

  // Digits from few components: their means, and the images that 2, 8 and 21 of them draw.
  const digits = await dataset('digits');
  const images = toTensor(digits.x).div(16);
  const whole = await new PCA().fit(images);
  const shares = await whole.explainedVarianceRatio.cumsum(0).data();
  const enough = shares.findIndex((share) => share >= 0.9) + 1;
  const rows = [images.narrow(0, 0, 10)];
  for (const nComponents of [enough, 8, 2]) {
    const few = await new PCA({ nComponents }).fit(images);
    rows.push(few.inverseTransform(few.transform(images.narrow(0, 0, 10))));
  }
  await save(
    'digits',
    await tl.plotImages(tl.cat(rows).reshape([40, 8, 8]), {
      columns: 10,
      size: 48,
      range: [0, 1],
      title: `Digits, and what ${enough}, 8 and 2 components draw of them`,
    }),
  );
  return {
    'variance in the first component': ratio[0]!,
    'variance in the first two': ratio[0]! + ratio[1]!,
    'inertia of three groups': groups.inertia,
    'irises in the group of their species': right,
    'components for 90 % of the digits': enough,
  };
}
