import skeleton from '../../../../shaders/dense.wgsl';
import cholesky from '../../../../shaders/dense_cholesky.wgsl';
import eigh from '../../../../shaders/dense_eigh.wgsl';
import jacobi from '../../../../shaders/dense_jacobi.wgsl';
import qr from '../../../../shaders/dense_qr.wgsl';
import solve from '../../../../shaders/dense_solve.wgsl';
import svd from '../../../../shaders/dense_svd.wgsl';
import triangular from '../../../../shaders/dense_triangular.wgsl';
import { sizeOf } from '../../../core/shape.ts';
import { type DenseAlgorithm, type DenseKernel, denseSize, type Kernel } from '../../../ir/kernel.ts';
import { block } from './axes.ts';
import { nanTest } from './expressions.ts';
import { Lines } from './lines.ts';
import { Module, type Shader } from './module.ts';

/** Matrices in a batch. */
export const batchCount = (k: Kernel): number => sizeOf(k.space.slice(0, -2));

const ALGORITHMS: Readonly<Record<DenseAlgorithm, string>> = {
  solve,
  lower: `${triangular}\nconst UPPER = false;\n`,
  upper: `${triangular}\nconst UPPER = true;\n`,
  cholesky,
  qr,
  eigh: `${eigh}\n${jacobi}`,
  svd: `${svd}\n${jacobi}`,
};

const sizes = (k: Kernel): readonly [m: number, n: number, columns: number, size: number] => {
  const [m, n, columns] = [k.space.at(-2)!, k.space.at(-1)!, k.kind === 'dense' ? k.columns : 0];
  return [m, n, columns, k.kind === 'dense' ? denseSize(k.algorithm, m, n, columns) : 0];
};

export function denseShader(kernel: DenseKernel): Shader {
  const module = new Module(kernel);
  const lines = new Lines(module, kernel.space.length - 2);
  const [output] = kernel.outputs;
  module.param('batches', batchCount);
  for (const [i, name] of ['m', 'n', 'columns', 'size'].entries()) module.param(name, (k) => sizes(k)[i]!);
  const load = (name: string, i: number): string =>
    block(`fn ${name}(line: Line, row: u32, column: u32) -> f32`, [
      `return ${i < kernel.inputs.length ? lines.load(i, 'row', 'column') : '0f'};`,
    ]);
  nanTest(module, '0f');
  const generated = [
    load('loadA', 0),
    load('loadB', 1),
    block('fn load(at: u32) -> f32', [`return ${module.load(output, 'at')};`]),
    block('fn store(at: u32, x: f32)', [module.store(output, 'at', 'x')]),
    block('fn report()', kernel.check === null ? [] : [module.report(kernel.check)]),
  ];
  return module.finish(
    `${skeleton}\n${ALGORITHMS[kernel.algorithm]}\n${[...lines.declared(), ...generated].join('\n\n')}`,
  );
}
