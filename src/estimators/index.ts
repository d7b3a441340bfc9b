export {
  LogisticRegression,
  type LogisticRegressionOptions,
  Perceptron,
  type PerceptronOptions,
} from './classifiers.ts';
export { KMeans, type KMeansOptions } from './kmeans.ts';
export { LinearRegression, type LinearRegressionOptions, Ridge, type RidgeOptions } from './linear.ts';
export { PCA, type PCAOptions } from './pca.ts';
