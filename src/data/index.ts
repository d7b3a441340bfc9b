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
export { DataLoader, type DataLoaderOptions } from './loader.ts';
export { oneHot, type Part, type SplitOptions, StandardScaler, trainTestSplit } from './transforms.ts';
