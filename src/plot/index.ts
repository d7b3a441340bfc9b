export { type ConfusionMatrixOptions, plotConfusionMatrix } from './confusion.ts';
export { type PlotHistoryOptions, type PlottedHistory, plot } from './history.ts';
export { type PlotImagesOptions, plotImages } from './images.ts';
export type { PlotOptions, PlotTheme } from './svg.ts';
