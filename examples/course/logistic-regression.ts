/*
 * Logistic regression: is a breast tumour malignant? From 30 measurements of the nuclei of its cells (Street, Wolberg and
 * Mangasarian, "Nuclear feature extraction for breast tumor diagnosis", 1993).
 *
 * p = sigmoid(w . x + b), trained by the cross-entropy -[y log p + (1 - y) log(1 - p)]. The answer is yes where p is above a threshold;
 * every threshold gives a point of the ROC curve. The same in one call is estimators.LogisticRegression; with two of the columns it
 * has a decision boundary to be seen, the line where p = 0.5.
 *
 * | figure                                    | full  | short |
 * |-------------------------------------------|-------|-------|
 * | accuracy on the test set                  | 0.972 | 0.972 |
 * | precision                                 | 1.00  | 1.00  |
 * | recall                                    | 0.925 | 0.925 |
 * | F1                                        | 0.961 | 0.961 |
 * | area under the ROC curve                  | 0.987 | 0.987 |
 * | recall at threshold 0.1                   | 0.981 | 0.981 |
 * | accuracy of estimators.LogisticRegression | 0.965 | 0.965 |
 * | the same, with two columns                | 0.895 | 0.895 |
 */
import * as Plot from '@observablehq/plot';
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../../src/node.ts';
import { type Course, chart, dataset, type Figures, toTensor } from '../course.ts';

export async function run({ short, save, log, verbose }: Course): Promise<Figures> {
  const { x, y, names } = await dataset('breast_cancer');
  // In the data 0 is malignant.
  const malignant = tl.tensor(y.map((benign) => 1 - benign));
  const [xTrain, xTest, yTrain, yTest] = tl.data.trainTestSplit(toTensor(x), malignant);
  const scaler = new tl.data.StandardScaler().fit(xTrain);
  const [inputs, testInputs] = [scaler.transform(xTrain), scaler.transform(xTest)];

  const { nn } = tl;
  const { Accuracy, Precision, Recall, F1Score, AUC, ConfusionMatrix } = nn.metrics;
  const yes = { threshold: 0 };
  const confusion = new ConfusionMatrix(yes);
  const model = new nn.Sequential(new nn.Linear(names.length, 1), new nn.Flatten(0));
  model.compile({
    optimizer: new tl.optim.SGD(model.parameters(), { lr: 0.05, momentum: 0.9, weightDecay: 0.01 }),
    loss: nn.functional.binaryCrossEntropyWithLogits,
    metrics: [new Accuracy(yes), new Precision(yes), new Recall(yes), new F1Score(yes), new AUC(), confusion],
  });
  await model.fit(inputs, yTrain, { epochs: short ? 10 : 40, verbose });
  const { accuracy, precision, recall, f1, auc } = await model.evaluate(testInputs, yTest);
  await save('confusion', tl.plotConfusionMatrix(await confusion.compute(), { labels: ['benign', 'malignant'] }));

  // The rates of true and false positives, for thresholds from the highest probability down to the lowest.
  const { values, indices } = (await model.predict(testInputs)).sigmoid().sort({ descending: true });
  const hits = yTest.indexSelect(0, indices);
  const rate = (found: tl.Tensor) => found.cumsum(0).div(found.sum()).data();
  const [truePositives, falsePositives] = [await rate(hits), await rate(tl.sub(1, hits))];
  const roc = Array.from(await values.data(), (p, i) => ({ p, alarms: falsePositives[i]!, found: truePositives[i]! }));
  const named = [0.9, 0.5, 0.1].map((p) => ({ ...roc.findLast((at) => at.p > p)!, title: `p > ${p}` }));
  for (const { title, found } of named) log(`${title}: finds ${found.toFixed(3)} of the malignant ones`);
  await save(
    'roc',
    chart('The ROC curve on the test set, with three thresholds', {
      x: { label: 'false positive rate' },
      y: { label: 'true positive rate' },
      marks: [
        Plot.line([0, 1], { x: Plot.identity, y: Plot.identity, strokeDasharray: '4 3' }),
        Plot.line(roc, { x: 'alarms', y: 'found', stroke: '#2a6fdb', strokeWidth: 2 }),
        Plot.dot(named, { x: 'alarms', y: 'found', fill: '#d9702a', r: 5 }),
        Plot.text(named, { x: 'alarms', y: 'found', text: 'title', textAnchor: 'start', dx: 10, dy: 10 }),
      ],
    }),
  );

  const all = await new tl.estimators.LogisticRegression().fit(inputs, yTrain);
  // The first two columns: mean radius and mean texture.
  const [twoTrain, twoTest] = [xTrain.slice(1, 0, 2), xTest.slice(1, 0, 2)];
  const small = await new tl.estimators.LogisticRegression().fit(twoTrain, yTrain);
  const [byRadius, byTexture] = (await small.coef.data()) as unknown as [number, number];
  const intercept = await small.intercept.item();
  const lines = [0.1, 0.5, 0.9].flatMap((p) =>
    [8, 40].map((texture) => {
      const radius = (Math.log(p / (1 - p)) - intercept - byTexture * texture) / byRadius;
      return { p: String(p), radius, texture };
    }),
  );
  const labels = await yTrain.data();
  const tumours = ((await twoTrain.toArray()) as number[][]).map(([radius, texture], i) => {
    return { radius, texture, kind: labels[i] === 1 ? 'malignant' : 'benign' };
  });
  await save(
    'boundary',
    chart('Tumours by two of the columns, and where the probability of malignancy is 0.1, 0.5 and 0.9', {
      x: { label: 'mean radius (pixels)' },
      y: { label: 'mean texture (deviation of grey values); circles: benign, crosses: malignant, lines: p' },
      symbol: { domain: ['benign', 'malignant'], range: ['circle', 'times'] },
      marks: [
        Plot.dot(tumours, { x: 'radius', y: 'texture', stroke: 'kind', symbol: 'kind' }),
        Plot.line(lines, { x: 'radius', y: 'texture', z: 'p', strokeDasharray: '4 3' }),
        Plot.text(
          lines,
          Plot.selectLast({ x: 'radius', y: 'texture', z: 'p', text: 'p', textAnchor: 'start', dx: 10, dy: 8 }),
        ),
      ],
    }),
  );
  return {
    'accuracy on the test set': accuracy!,
    precision: precision!,
    recall: recall!,
    F1: f1!,
    'area under the ROC curve': auc!,
    'recall at threshold 0.1': named[2]!.found,
    'accuracy of estimators.LogisticRegression': await all.score(testInputs, yTest),
    'the same, with two columns': await small.score(twoTest, yTest),
  };
}
