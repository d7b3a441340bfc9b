import type { AnyModule } from './module.ts';

/** @internal Switches a module's mode; gives a function that puts back the mode of every module below it. */
export function inMode(model: AnyModule, training: boolean): () => void {
  const before = model.modules().map((module) => [module, module.training] as const);
  model.train(training);
  return () => {
    for (const [module, was] of before) module.training = was;
  };
}
