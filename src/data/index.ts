export { type ReadOptions, readText, type Source } from './bytes.ts';
export { type LabelledImages, readCifar10 } from './cifar.ts';
export { type CsvOptions, readCsv, type Table } from './csv.ts';
export {
  type Batch,
  Dataset,
  type HostRows,
  type Rows,
  type Sample,
  Subset,
  TensorDataset,
  type TypedRows,
  type XY,
} from './dataset.ts';
export { readIdx } from './idx.ts';
export { type FromPixelsOptions, fromPixels, type Pixels, toPixels } from './images.ts';
export { oneHot } from './labels.ts';
export { DataLoader, type DataLoaderOptions } from './loader.ts';
export {
  MeanNormalizer,
  MinMaxScaler,
  type MinMaxScalerOptions,
  PolynomialFeatures,
  type PolynomialFeaturesOptions,
  StandardScaler,
} from './scalers.ts';
export {
  type Fold,
  KFold,
  type KFoldOptions,
  type Part,
  randomSplit,
  type SplitOptions,
  trainTestSplit,
} from './split.ts';
