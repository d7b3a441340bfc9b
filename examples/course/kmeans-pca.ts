/*
 * Without labels: k-means finds groups of irises and digits, principal components the directions in which they differ most.
 *
 * k-means (Lloyd, 1982) moves k centres to the means of the samples that are nearest to them, which lowers the inertia: the sum of
 * squared distances from the centres. PCA (Pearson, 1901) turns the axes so that the first ones hold as much of the variance as
 * possible. The labels only judge: purity is the share of samples that are of the commonest label of their cluster; the adjusted Rand
 * index (Hubert and Arabie, 1985) is 1 for clusters that are the classes, 0 for chance.
 *
 * | figure                                      | full    | short   |
 * |---------------------------------------------|---------|---------|
 * | irises, variance in two components          | 0.978   | 0.978   |
 * | irises, inertia of three clusters           | 78.9    | 78.9    |
 * | irises, purity                              | 0.893   | 0.893   |
 * | irises, adjusted Rand index                 | 0.730   | 0.730   |
 * | digits, components for 95 % of the variance | 29      | 29      |
 * | digits, purity                              | >= 0.77 | >= 0.77 |
 * | digits, adjusted Rand index                 | >= 0.64 | >= 0.64 |
 */
import * as Plot from '@observablehq/plot';
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../../src/node.ts';
import { type Course, chart, dataset, type Figures, toTensor } from '../course.ts';

const { KMeans, PCA } = tl.estimators;
const SPECIES = ['setosa', 'versicolor', 'virginica'];

/** How often each label is in each cluster: [clusters, labels]. */
function contingency(clusters: tl.Tensor, labels: tl.Tensor, k: number): tl.Tensor {
  const hot = (classes: tl.Tensor) => tl.data.oneHot(classes, k);
  return hot(clusters).t().matmul(hot(labels));
}

const purity = (table: tl.Tensor) => table.amax({ dim: 1 }).sum().div(table.sum()).item();

/** The adjusted Rand index: of pairs of samples that are together in both, less than or more than by chance. */
async function randIndex(table: tl.Tensor): Promise<number> {
  const pairs = (counts: tl.Tensor) => counts.mul(counts.sub(1)).sum().div(2);
  const [both, clusters, labels] = [pairs(table), pairs(table.sum({ dim: 1 })), pairs(table.sum({ dim: 0 }))];
  const chance = clusters.mul(labels).div(pairs(table.sum()));
  return both.sub(chance).div(clusters.add(labels).div(2).sub(chance)).item();
}

export async function run({ short, save, log }: Course): Promise<Figures> {
  const iris = await dataset('iris');
  const x = toTensor(iris.x);
  const species = tl.tensor(Int32Array.from(iris.y));
  const inertia = [];
  for (let k = 1; k <= 8; k++) {
    using model = await new KMeans({ nClusters: k, nInit: 10 }).fit(x);
    inertia.push({ k, inertia: model.inertia });
    log(`${k} clusters: inertia ${model.inertia.toFixed(1)}`);
  }
  const clusters = await new KMeans({ nClusters: 3, nInit: 10 }).fit(x);
  const pca = await new PCA({ nComponents: 2 }).fit(x);
  const table = contingency(clusters.labels, species, 3);
  await save(
    'elbow',
    chart('The inertia of k-means on the irises over the number of clusters', {
      x: { label: 'clusters' },
      y: { label: 'inertia (square centimetres)' },
      marks: [Plot.line(inertia, { x: 'k', y: 'inertia', stroke: '#2a6fdb', strokeWidth: 2, marker: 'dot' })],
    }),
  );
  const found = await clusters.labels.data();
  const points = ((await pca.transform(x).toArray()) as number[][]).map(([first, second], i) => {
    return { first, second, cluster: `cluster ${found[i]}`, species: SPECIES[iris.y[i]!] };
  });
  const centres = (await pca.transform(clusters.clusterCenters).toArray()) as number[][];
  await save(
    'irises',
    chart('Irises in the plane of two components; colours are clusters, shapes are species, crosses the centres', {
      x: { label: 'first component (cm)' },
      y: { label: 'second component (cm); colours: clusters; circle: setosa, triangle: versicolor, square: virginica' },
      symbol: { domain: SPECIES, range: ['circle', 'triangle', 'square'] },
      marks: [
        Plot.dot(points, { x: 'first', y: 'second', stroke: 'cluster', symbol: 'species', strokeWidth: 2 }),
        Plot.dot(centres, { x: '0', y: '1', symbol: 'times', stroke: 'black', r: 8, strokeWidth: 3 }),
      ],
    }),
  );

  const digits = await dataset('digits');
  const images = toTensor(digits.x);
  const all = await new PCA().fit(images);
  const held = await all.explainedVarianceRatio.cumsum(0).data();
  await save(
    'variance',
    chart('The variance of the digits that the first components hold', {
      x: { label: 'components' },
      y: { label: 'share of the variance', domain: [0, 1] },
      marks: [
        Plot.ruleY([0.95], { strokeDasharray: '4 3' }),
        Plot.lineY(held, { x: (_, i) => i + 1, stroke: '#2a6fdb', strokeWidth: 2 }),
      ],
    }),
  );
  const groups = await new KMeans({ nClusters: 10, nInit: short ? 2 : 10 }).fit(images);
  const digitTable = contingency(groups.labels, tl.tensor(Int32Array.from(digits.y)), 10);
  const shown = images.slice(0, 0, 8);
  const rebuilt = [];
  for (const nComponents of [2, 8, 32]) {
    using some = await new PCA({ nComponents }).fit(images);
    rebuilt.push(some.inverseTransform(some.transform(shown)));
  }
  const caption = 'digits, and what 2, 8 and 32 components hold of them';
  const rows = tl.cat([shown, ...rebuilt]).reshape([-1, 8, 8]);
  await save('components', await tl.plotImages(rows, { columns: 8, range: [0, 16], size: 48, title: caption }));
  const centreImages = groups.clusterCenters.reshape([-1, 8, 8]);
  await save(
    'centres',
    await tl.plotImages(centreImages, { columns: 5, range: [0, 16], title: 'centres of ten clusters' }),
  );
  return {
    'irises, variance in two components': await pca.explainedVarianceRatio.sum().item(),
    'irises, inertia of three clusters': clusters.inertia,
    'irises, purity': await purity(table),
    'irises, adjusted Rand index': await randIndex(table),
    'digits, components for 95 % of the variance': held.findIndex((share) => share >= 0.95) + 1,
    'digits, purity': await purity(digitTable),
    'digits, adjusted Rand index': await randIndex(digitTable),
  };
}
