// Calls of ops that must fail, as JavaScript could make them: shapes, dtypes, dims, indices, options, devices.
import { type BadCall, gone, i32, js, type Loose, x } from './bad-calls.ts';
import { tl } from './setup/open.ts';

const bad = (run: () => unknown, error: BadCall['error'], says: string): BadCall => ({ run, error, says });
let other: tl.Device;
/** Opens the device that tensors are on which must not meet those of the default device. */
export async function openOther(): Promise<tl.Device> {
  other = await tl.device('cpu');
  return other;
}
/** Ones on that device. */
const far = (shape: readonly number[], options: object = {}): Loose => js.ones(shape, { ...options, device: other });
const at = (...places: number[]): Loose => js.tensor(places, i32);
const image = (): Loose => js.ones([1, 1, 3, 3]);
const { conv2d, layerNorm } = js.nn.functional;

export const BAD_OP_CALLS: readonly BadCall[] = [
  // Gather and scatter
  bad(
    () => x().gather(NaN, js.zeros([1, 1], i32)),
    tl.IndexError,
    'gather: dim NaN is out of range for a tensor of 2 dimensions',
  ),
  bad(() => x().gather(0, far([1, 1], i32)), tl.DeviceError, 'gather: the tensors are on two devices'),
  bad(() => x().gather(0), tl.UnsupportedError, 'gather: expected a tensor, got undefined'),
  bad(
    () => x().indexSelect(0.5, js.zeros([1], i32)),
    tl.IndexError,
    'indexSelect: dim 0.5 is out of range for a tensor of 2 dimensions',
  ),
  bad(() => x().indexSelect(0, far([1], i32)), tl.DeviceError, 'indexSelect: the tensors are on two devices'),
  bad(() => x().scatter(0, js.zeros([1, 1]), 1), tl.DTypeError, 'scatter: indices must be int32, got float32'),
  bad(
    () => x().scatter(0, js.zeros([1], i32), 1),
    tl.ShapeError,
    'scatter: indices [1] must have as many dims as the tensor [2, 3] and the source [1], and be no larger than the source, nor than the tensor but in dim 0',
  ),
  bad(
    () => x().scatter(2, js.zeros([1, 1], i32), 1),
    tl.IndexError,
    'scatter: dim 2 is out of range for a tensor of 2 dimensions',
  ),
  bad(
    () => x().scatter(0, js.zeros([1, 1], i32), 'a'),
    tl.UnsupportedError,
    'scatter: expected a tensor or a number, got string a',
  ),
  bad(
    () => x().scatter(0, js.zeros([1, 1], i32)),
    tl.UnsupportedError,
    'scatter: expected a tensor or a number, got undefined',
  ),
  bad(() => x().scatter(0, [[0]], 1), tl.UnsupportedError, 'scatter: expected a tensor, got an array'),
  bad(
    () => x().scatter(0, js.zeros([1, 1], i32), js.ones([1, 1], i32)),
    tl.DTypeError,
    'scatter: the source is int32 and the tensor float32',
  ),
  bad(
    () => js.ones([2, 3], i32).scatter(0, js.zeros([1, 1], i32), 0.5),
    tl.DTypeError,
    'scatter: int32 cannot hold the value 0.5',
  ),
  bad(
    () => js.ones([2, 3], i32).scatter(0, js.zeros([1, 1], i32), NaN),
    tl.DTypeError,
    'scatter: int32 cannot hold the value NaN',
  ),
  bad(() => x().scatter(0, far([1, 1], i32), 1), tl.DeviceError, 'scatter: the tensors are on two devices'),
  bad(() => x().scatter(0, gone(), 1), tl.DisposedError, 'scatter: a tensor of shape [2, 3] was disposed by dispose()'),
  bad(
    () => x().scatterAdd(0, js.zeros([1, 1], i32), 1),
    tl.UnsupportedError,
    'scatterAdd: expected a tensor, got number 1',
  ),
  bad(
    () => x().scatterAdd(0, js.zeros([1, 1], i32)),
    tl.UnsupportedError,
    'scatterAdd: expected a tensor, got undefined',
  ),
  bad(() => x().scatterAdd(0, js.zeros([1, 1]), x()), tl.DTypeError, 'scatterAdd: indices must be int32, got float32'),
  bad(
    () => x().scatterAdd(0, js.zeros([3, 3], i32), x()),
    tl.ShapeError,
    'scatterAdd: indices [3, 3] must have as many dims as the tensor [2, 3] and the source [2, 3], and be no larger than the source, nor than the tensor but in dim 0',
  ),
  bad(
    () => x().scatterAdd('0', js.zeros([1, 1], i32), x()),
    tl.IndexError,
    'scatterAdd: dim string 0 is out of range for a tensor of 2 dimensions',
  ),
  bad(
    () => x().scatterAdd(0, js.zeros([1, 1], i32), x().to('int32')),
    tl.DTypeError,
    'scatterAdd: the source is int32 and the tensor float32',
  ),
  bad(
    () => x().scatterAdd(0, js.zeros([1, 1], i32), far([1, 1])),
    tl.DeviceError,
    'scatterAdd: the tensors are on two devices',
  ),
  bad(
    () => x().takeAlongDim(js.zeros([2], i32), 0),
    tl.ShapeError,
    'takeAlongDim: [2, 3] and indices [2] must have as many dims',
  ),
  bad(() => x().takeAlongDim(js.zeros([2, 1]), 1), tl.DTypeError, 'takeAlongDim: indices must be int32, got float32'),
  bad(
    () => x().takeAlongDim(js.zeros([4, 1], i32), 1),
    tl.ShapeError,
    'takeAlongDim: shapes [2, 1] and [4, 1] do not broadcast: dimension 0 is 2 in one and 4 in the other',
  ),
  bad(
    () => x().takeAlongDim(js.zeros([2, 1], i32), 2),
    tl.IndexError,
    'takeAlongDim: dim 2 is out of range for a tensor of 2 dimensions',
  ),
  bad(() => x().takeAlongDim([0], 0), tl.UnsupportedError, 'takeAlongDim: expected a tensor, got an array'),
  bad(() => x().takeAlongDim(far([2, 1], i32), 1), tl.DeviceError, 'takeAlongDim: the tensors are on two devices'),
  bad(() => x().take(0), tl.UnsupportedError, 'take: expected a tensor, got number 0'),
  bad(() => x().take(js.zeros([2])), tl.DTypeError, 'take: indices must be int32, got float32'),
  // Scans and sorting
  bad(() => x().cumsum(), tl.IndexError, 'cumsum: dim undefined is out of range for a tensor of 2 dimensions'),
  bad(() => x().cumprod(-3), tl.IndexError, 'cumprod: dim -3 is out of range for a tensor of 2 dimensions'),
  bad(() => x().cummax(2), tl.IndexError, 'cummax: dim 2 is out of range for a tensor of 2 dimensions'),
  bad(() => x().gt(0).cummax(0), tl.UnsupportedError, 'cummax: bool tensors have no order'),
  bad(() => x().cummin(NaN), tl.IndexError, 'cummin: dim NaN is out of range for a tensor of 2 dimensions'),
  bad(() => x().gt(0).cummin(0), tl.UnsupportedError, 'cummin: bool tensors have no order'),
  bad(() => x().prod(0), tl.UnsupportedError, 'prod: options are an object such as { dim: … }, got number 0'),
  bad(() => x().prod({ dim: 2 }), tl.IndexError, 'prod: dim 2 is out of range for a tensor of 2 dimensions'),
  bad(() => x().prod({ dim: [0, 0] }), tl.ShapeError, 'prod: dims [0, 0] name a dimension twice'),
  bad(() => x().prod({ dim: '0' }), tl.IndexError, 'prod: string 0 names no dims'),
  bad(() => x().prod({ dims: 0 }), tl.UnsupportedError, 'prod: there is no option dims'),
  bad(() => x().prod({ keepDim: 1 }), tl.UnsupportedError, 'prod: keepDim is number 1, but it must be true or false'),
  bad(() => x().amax({ keepDim: 0 }), tl.UnsupportedError, 'amax: keepDim is number 0, but it must be true or false'),
  bad(
    () => x().argmax({ keepDim: 1 }),
    tl.UnsupportedError,
    'argmax: keepDim is number 1, but it must be true or false',
  ),
  bad(
    () => x().max({ dim: 0, keepDim: 1 }),
    tl.UnsupportedError,
    'max: keepDim is number 1, but it must be true or false',
  ),
  bad(() => x().any({ keepDim: 1 }), tl.UnsupportedError, 'any: keepDim is number 1, but it must be true or false'),
  bad(() => x().var({ keepDim: 1 }), tl.UnsupportedError, 'var: keepDim is number 1, but it must be true or false'),
  bad(
    () => x().logsumexp({ keepDim: 1 }),
    tl.UnsupportedError,
    'logsumexp: keepDim is number 1, but it must be true or false',
  ),
  bad(() => x().norm({ keepDim: 1 }), tl.UnsupportedError, 'norm: keepDim is number 1, but it must be true or false'),
  bad(
    () => x().countNonzero({ keepDim: 1 }),
    tl.UnsupportedError,
    'countNonzero: keepDim is number 1, but it must be true or false',
  ),
  bad(
    () => x().nansum({ keepDim: 1 }),
    tl.UnsupportedError,
    'nansum: keepDim is number 1, but it must be true or false',
  ),
  bad(
    () => x().nanmean({ keepDim: 1 }),
    tl.UnsupportedError,
    'nanmean: keepDim is number 1, but it must be true or false',
  ),
  bad(() => x().sort(1), tl.UnsupportedError, 'sort: options are an object such as { dim: … }, got number 1'),
  bad(() => x().sort({ dim: 2 }), tl.IndexError, 'sort: dim 2 is out of range for a tensor of 2 dimensions'),
  bad(() => x().sort({ dim: null }), tl.IndexError, 'sort: dim null is out of range for a tensor of 2 dimensions'),
  bad(() => x().sort({ ascending: true }), tl.UnsupportedError, 'sort: there is no option ascending'),
  bad(
    () => x().sort({ descending: 'yes' }),
    tl.UnsupportedError,
    'sort: descending is string yes, but it must be true or false',
  ),
  bad(() => x().sort({ stable: 'no' }), tl.UnsupportedError, 'sort: stable is string no, but it must be true or false'),
  bad(() => x().argsort(0), tl.UnsupportedError, 'argsort: options are an object such as { dim: … }, got number 0'),
  bad(() => x().argsort({ dim: NaN }), tl.IndexError, 'argsort: dim NaN is out of range for a tensor of 2 dimensions'),
  bad(
    () => x().argsort({ descending: null }),
    tl.UnsupportedError,
    'argsort: descending is null, but it must be true or false',
  ),
  bad(() => x().argsort({ order: 1 }), tl.UnsupportedError, 'argsort: there is no option order'),
  bad(() => x().topk(), tl.ShapeError, 'topk: k is undefined of dim 1 of [2, 3], which has 3 elements'),
  bad(() => x().topk(4), tl.ShapeError, 'topk: k is number 4 of dim 1 of [2, 3], which has 3 elements'),
  bad(() => x().topk(1.5), tl.ShapeError, 'topk: k is number 1.5 of dim 1 of [2, 3], which has 3 elements'),
  bad(() => x().topk('2'), tl.ShapeError, 'topk: k is string 2 of dim 1 of [2, 3], which has 3 elements'),
  bad(() => x().topk(2, 0), tl.UnsupportedError, 'topk: options are an object such as { dim: … }, got number 0'),
  bad(() => x().topk(3, { dim: 0 }), tl.ShapeError, 'topk: k is number 3 of dim 0 of [2, 3], which has 2 elements'),
  bad(() => x().topk(1, { dim: 2 }), tl.IndexError, 'topk: dim 2 is out of range for a tensor of 2 dimensions'),
  bad(
    () => x().topk(1, { largest: 'no' }),
    tl.UnsupportedError,
    'topk: largest is string no, but it must be true or false',
  ),
  bad(() => x().topk(1, { sorted: 0 }), tl.UnsupportedError, 'topk: sorted is number 0, but it must be true or false'),
  bad(() => x().topk(1, { smallest: true }), tl.UnsupportedError, 'topk: there is no option smallest'),
  // Linear algebra
  bad(() => js.solve(x(), x()), tl.ShapeError, 'solve: [2, 3] is not square in its last two dims'),
  bad(
    () => js.solve(js.eye(2), js.ones([3])),
    tl.ShapeError,
    'solve: a right-hand side [3] does not fit matrices [2, 2]',
  ),
  bad(() => js.solve(js.eye(2), 1), tl.UnsupportedError, 'solve: expected a tensor, got number 1'),
  bad(() => js.solve(js.eye(2)), tl.UnsupportedError, 'solve: expected a tensor, got undefined'),
  bad(() => js.solve(js.eye(2, i32), js.ones([2])), tl.DTypeError, 'solve: needs float32 matrices, got int32'),
  bad(() => js.solve(js.eye(2), js.ones([2], i32)), tl.DTypeError, 'solve: needs a float32 right-hand side, got int32'),
  bad(
    () => js.solve(js.ones([2, 2, 2]), js.ones([3, 2, 1])),
    tl.ShapeError,
    'solve: shapes [2] and [3] do not broadcast: dimension 0 is 2 in one and 3 in the other',
  ),
  bad(() => js.solve(js.eye(2), far([2])), tl.DeviceError, 'solve: the tensors are on two devices'),
  bad(() => js.solve(js.eye(2), gone()), tl.DisposedError, 'solve: a tensor of shape [2, 3] was disposed by dispose()'),
  bad(
    () => js.solveTriangular(js.eye(2), js.ones([2])),
    tl.UnsupportedError,
    'solveTriangular: options are an object such as { upper: … }, got undefined',
  ),
  bad(
    () => js.solveTriangular(js.eye(2), js.ones([2]), {}),
    tl.UnsupportedError,
    'solveTriangular: upper is not given',
  ),
  bad(
    () => js.solveTriangular(js.eye(2), js.ones([2]), { upper: 1 }),
    tl.UnsupportedError,
    'solveTriangular: upper is number 1, but it must be true or false',
  ),
  bad(
    () => js.solveTriangular(js.eye(2), js.ones([2]), { lower: true }),
    tl.UnsupportedError,
    'solveTriangular: there is no option lower',
  ),
  bad(
    () => js.solveTriangular(js.eye(2), js.ones([2]), true),
    tl.UnsupportedError,
    'solveTriangular: options are an object such as { upper: … }, got boolean true',
  ),
  bad(
    () => js.solveTriangular(x(), js.ones([2]), { upper: true }),
    tl.ShapeError,
    'solveTriangular: [2, 3] is not square in its last two dims',
  ),
  bad(
    () => js.solveTriangular(js.eye(2), js.ones([3, 1]), { upper: true }),
    tl.ShapeError,
    'solveTriangular: a right-hand side [3, 1] does not fit matrices [2, 2]',
  ),
  bad(
    () => js.solveTriangular(js.eye(2), js.ones([2], i32), { upper: true }),
    tl.DTypeError,
    'solveTriangular: needs a float32 right-hand side, got int32',
  ),
  bad(
    () => js.solveTriangular(js.eye(2), far([2]), { upper: true }),
    tl.DeviceError,
    'solveTriangular: the tensors are on two devices',
  ),
  bad(() => js.inverse(x()), tl.ShapeError, 'inverse: [2, 3] is not square in its last two dims'),
  bad(() => js.inverse(js.ones([3])), tl.ShapeError, 'inverse: [3] is no matrix'),
  bad(() => js.inverse(js.eye(2, i32)), tl.DTypeError, 'inverse: needs float32 matrices, got int32'),
  bad(() => js.det(x()), tl.ShapeError, 'det: [2, 3] is not square in its last two dims'),
  bad(() => js.det(x().gt(0)), tl.DTypeError, 'det: needs float32 matrices, got bool'),
  bad(() => js.slogdet(x()), tl.ShapeError, 'slogdet: [2, 3] is not square in its last two dims'),
  bad(() => js.cholesky(x()), tl.ShapeError, 'cholesky: [2, 3] is not square in its last two dims'),
  bad(() => js.cholesky(js.eye(2, i32)), tl.DTypeError, 'cholesky: needs float32 matrices, got int32'),
  bad(() => js.qr(js.ones([3])), tl.ShapeError, 'qr: [3] is no matrix'),
  bad(() => js.eigh(x()), tl.ShapeError, 'eigh: [2, 3] is not square in its last two dims'),
  bad(() => js.eigh(js.eye(2, i32)), tl.DTypeError, 'eigh: needs float32 matrices, got int32'),
  bad(() => js.svd(js.ones([3])), tl.ShapeError, 'svd: [3] is no matrix'),
  bad(() => js.svd(js.eye(2, i32)), tl.DTypeError, 'svd: needs float32 matrices, got int32'),
  bad(() => js.lstsq(js.ones([3]), js.ones([3])), tl.ShapeError, 'lstsq: [3] is no matrix'),
  bad(() => js.lstsq(x(), js.ones([3])), tl.ShapeError, 'lstsq: a right-hand side [3] does not fit matrices [2, 3]'),
  bad(() => js.lstsq(x(), js.ones([2], i32)), tl.DTypeError, 'lstsq: needs a float32 right-hand side, got int32'),
  bad(() => js.lstsq(x()), tl.UnsupportedError, 'lstsq: expected a tensor, got undefined'),
  bad(() => js.lstsq(x(), far([2])), tl.DeviceError, 'lstsq: the tensors are on two devices'),
  bad(
    () => js.ridge(x(), js.ones([2]), -1),
    tl.UnsupportedError,
    'ridge: alpha is number -1, but it must be a number of at least 0',
  ),
  bad(
    () => js.ridge(x(), js.ones([2])),
    tl.UnsupportedError,
    'ridge: alpha is undefined, but it must be a number of at least 0',
  ),
  bad(
    () => js.ridge(x(), js.ones([2]), '1'),
    tl.UnsupportedError,
    'ridge: alpha is string 1, but it must be a number of at least 0',
  ),
  bad(
    () => js.ridge(x(), js.ones([2]), NaN),
    tl.UnsupportedError,
    'ridge: alpha is number NaN, but it must be a number of at least 0',
  ),
  bad(() => js.pinv(js.ones([3])), tl.ShapeError, 'pinv: [3] is no matrix'),
  bad(() => js.pinv(js.eye(2, i32)), tl.DTypeError, 'pinv: needs float32 matrices, got int32'),
  bad(() => js.pinv(x(), 0.1), tl.UnsupportedError, 'pinv: options are an object such as { rtol: … }, got number 0.1'),
  bad(
    () => js.pinv(x(), { rtol: '1' }),
    tl.UnsupportedError,
    'pinv: rtol is string 1, but it must be a number of at least 0',
  ),
  bad(
    () => js.pinv(x(), { rtol: NaN }),
    tl.UnsupportedError,
    'pinv: rtol is number NaN, but it must be a number of at least 0',
  ),
  bad(
    () => js.pinv(x(), { rtol: -1 }),
    tl.UnsupportedError,
    'pinv: rtol is number -1, but it must be a number of at least 0',
  ),
  bad(() => js.pinv(x(), { rcond: 1 }), tl.UnsupportedError, 'pinv: there is no option rcond'),
  bad(
    () => js.pinv(x(), { rtol: x() }),
    tl.UnsupportedError,
    'pinv: rtol is a Tensor, but it must be a number of at least 0',
  ),
  bad(() => js.matrixRank(js.ones([3])), tl.ShapeError, 'matrixRank: [3] is no matrix'),
  bad(() => js.matrixRank(x(), { tol: 1 }), tl.UnsupportedError, 'matrixRank: there is no option tol'),
  bad(
    () => js.matrixRank(x(), { rtol: NaN }),
    tl.UnsupportedError,
    'matrixRank: rtol is number NaN, but it must be a number of at least 0',
  ),
  bad(
    () => js.matrixRank(x(), { rtol: 'a' }),
    tl.UnsupportedError,
    'matrixRank: rtol is string a, but it must be a number of at least 0',
  ),
  bad(() => js.matrixRank(js.eye(2, i32)), tl.DTypeError, 'matrixRank: needs float32 matrices, got int32'),
  bad(() => x().norm(1), tl.UnsupportedError, 'norm: options are an object such as { p: … }, got number 1'),
  bad(() => x().norm({ p: '2' }), tl.DTypeError, 'norm: the order of a norm is a number or Infinity, got string 2'),
  bad(() => x().norm({ ord: 1 }), tl.UnsupportedError, 'norm: there is no option ord'),
  bad(() => x().norm({ dim: 2 }), tl.IndexError, 'norm: dim 2 is out of range for a tensor of 2 dimensions'),
  bad(() => x().norm({ dim: 'a' }), tl.IndexError, 'norm: string a names no dims'),
  bad(() => js.ones([2], i32).norm(), tl.DTypeError, 'norm: needs a floating tensor, got int32'),
  bad(
    () => js.zeros([0]).norm({ p: Infinity }),
    tl.ShapeError,
    'norm: [0] has no elements along the reduced dims, and norm of nothing is undefined',
  ),
  bad(
    () => js.linalg.vectorNorm(x(), { ord: 'fro' }),
    tl.DTypeError,
    'linalg.vectorNorm: the order of a norm is a number or Infinity, got string fro',
  ),
  bad(() => js.linalg.vectorNorm(x(), { p: 2 }), tl.UnsupportedError, 'linalg.vectorNorm: there is no option p'),
  bad(
    () => js.linalg.vectorNorm(x(), { ord: NaN }),
    tl.DTypeError,
    'linalg.vectorNorm: the order of a norm is a number or Infinity, got number NaN',
  ),
  bad(
    () => js.linalg.vectorNorm(js.zeros([2, 0]), { ord: -1, dim: 1 }),
    tl.ShapeError,
    'linalg.vectorNorm: [2, 0] has no elements along the reduced dims, and linalg.vectorNorm of nothing is undefined',
  ),
  bad(
    () => js.linalg.matrixNorm(js.ones([3])),
    tl.IndexError,
    'linalg.matrixNorm: dim -2 is out of range for a tensor of 1 dimensions',
  ),
  bad(
    () => js.linalg.matrixNorm(x(), { ord: 3 }),
    tl.UnsupportedError,
    'linalg.matrixNorm: no norm number 3 of matrices',
  ),
  bad(
    () => js.linalg.matrixNorm(x(), { ord: null }),
    tl.UnsupportedError,
    'linalg.matrixNorm: no norm null of matrices',
  ),
  bad(
    () => js.linalg.matrixNorm(x(), { ord: '1' }),
    tl.UnsupportedError,
    'linalg.matrixNorm: no norm string 1 of matrices',
  ),
  bad(
    () => js.linalg.matrixNorm(x(), { dim: 1 }),
    tl.ShapeError,
    'linalg.matrixNorm: expected an array of numbers, such as [2, 3], got number 1',
  ),
  bad(
    () => js.linalg.matrixNorm(x(), { dim: [0] }),
    tl.ShapeError,
    'linalg.matrixNorm: dims [0] of [2, 3] must be two different ones, of rows and of columns',
  ),
  bad(
    () => js.linalg.matrixNorm(x(), { dim: [0, 1, 1] }),
    tl.ShapeError,
    'linalg.matrixNorm: dims [0, 1, 1] of [2, 3] must be two different ones, of rows and of columns',
  ),
  bad(
    () => js.linalg.matrixNorm(x(), { dim: [1, -1] }),
    tl.ShapeError,
    'linalg.matrixNorm: dims [1, -1] of [2, 3] must be two different ones, of rows and of columns',
  ),
  bad(
    () => js.linalg.matrixNorm(x(), { dim: null }),
    tl.ShapeError,
    'linalg.matrixNorm: expected an array of numbers, such as [2, 3], got null',
  ),
  bad(
    () => js.linalg.matrixNorm(js.ones([2, 2], i32)),
    tl.DTypeError,
    'linalg.matrixNorm: needs a floating tensor, got int32',
  ),
  bad(
    () => js.linalg.matrixNorm(js.zeros([0, 2]), { ord: Infinity }),
    tl.ShapeError,
    'linalg.matrixNorm: [0, 2] has no elements along the reduced dims, and linalg.matrixNorm of nothing is undefined',
  ),
  bad(
    () => js.linalg.norm(x(), { ord: 'fro', dim: 0 }),
    tl.ShapeError,
    'linalg.norm: the norm fro of 1 dims of [2, 3]',
  ),
  bad(
    () => js.linalg.norm(js.ones([1, 1, 1]), { ord: 1 }),
    tl.ShapeError,
    'linalg.norm: the norm 1 of 3 dims of [1, 1, 1]',
  ),
  bad(
    () => js.linalg.norm(x(), { ord: 'nuc', dim: [0, 0] }),
    tl.ShapeError,
    'linalg.norm: dims [0, 0] of [2, 3] must be two different ones, of rows and of columns',
  ),
  bad(() => js.linalg.norm(x(), { ord: 0.5 }), tl.UnsupportedError, 'linalg.norm: no norm number 0.5 of matrices'),
  bad(
    () => js.linalg.norm(x(), { ord: 1, dim: 'a' }),
    tl.ShapeError,
    'linalg.norm: expected an array of numbers, such as [2, 3], got string a',
  ),
  bad(
    () => js.linalg.norm(x(), { dim: 5 }),
    tl.IndexError,
    'linalg.norm: dim 5 is out of range for a tensor of 2 dimensions',
  ),
  bad(
    () => js.linalg.norm(x(), { ord: 1, dim: {} }),
    tl.ShapeError,
    'linalg.norm: expected an array of numbers, such as [2, 3], got an object',
  ),
  // Movement
  bad(() => x().flip(), tl.ShapeError, 'flip: expected an array of numbers, such as [2, 3], got undefined'),
  bad(() => x().flip(2), tl.IndexError, 'flip: dim 2 is out of range for a tensor of 2 dimensions'),
  bad(() => x().flip('0'), tl.ShapeError, 'flip: expected an array of numbers, such as [2, 3], got string 0'),
  bad(() => x().flip([0, -2]), tl.ShapeError, 'flip: dims [0, 0] name a dimension twice'),
  bad(() => x().flip(null), tl.ShapeError, 'flip: expected an array of numbers, such as [2, 3], got null'),
  bad(() => js.fliplr(js.ones([3])), tl.ShapeError, 'fliplr: [3] has no dim 1'),
  bad(() => js.flipud(js.tensor(1)), tl.ShapeError, 'flipud: a scalar has no dims to flip'),
  bad(() => x().rot90(0.5), tl.ShapeError, 'rot90: k is number 0.5, but it must be a whole number'),
  bad(() => x().rot90(1, [0, 0]), tl.ShapeError, 'rot90: dims [0, 0] of [2, 3] must be two different ones'),
  bad(() => x().rot90(1, 0), tl.ShapeError, 'rot90: expected an array of numbers, such as [2, 3], got number 0'),
  bad(() => x().rot90(1, null), tl.ShapeError, 'rot90: expected an array of numbers, such as [2, 3], got null'),
  bad(() => js.ones([3]).rot90(), tl.IndexError, 'rot90: dim 1 is out of range for a tensor of 1 dimensions'),
  bad(() => x().roll(1.5), tl.ShapeError, 'roll: a shift is number 1.5, but it must be a whole number'),
  bad(() => x().roll('1'), tl.ShapeError, 'roll: expected an array of numbers, such as [2, 3], got string 1'),
  bad(() => x().roll([1, 1]), tl.ShapeError, 'roll: shifts [1, 1] without dims'),
  bad(() => x().roll(1, [0, 1]), tl.ShapeError, 'roll: 1 shifts [1] for 2 dims [0, 1]'),
  bad(() => x().roll(1, 2), tl.IndexError, 'roll: dim 2 is out of range for a tensor of 2 dimensions'),
  bad(() => x().roll(1, 'a'), tl.ShapeError, 'roll: expected an array of numbers, such as [2, 3], got string a'),
  bad(() => x().roll(1, null), tl.ShapeError, 'roll: expected an array of numbers, such as [2, 3], got null'),
  bad(() => x().repeat(), tl.ShapeError, 'repeat: expected an array of numbers, such as [2, 3], got undefined'),
  bad(() => x().repeat([2]), tl.ShapeError, 'repeat: [2] must hold a number for each of the 2 dims of [2, 3]'),
  bad(() => x().repeat([-1, 1]), tl.ShapeError, 'repeat: [-1, 1] is no shape: sizes are whole numbers of at least 0'),
  bad(
    () => x().repeat([2 ** 30, 2 ** 30]),
    tl.ShapeError,
    'repeat: [1073741824, 1073741824] has more elements than can be counted',
  ),
  bad(() => x().tile(), tl.ShapeError, 'tile: expected an array of numbers, such as [2, 3], got undefined'),
  bad(() => x().tile([-1]), tl.ShapeError, 'tile: [-1] is no shape: sizes are whole numbers of at least 0'),
  bad(
    () => x().repeatInterleave(-1),
    tl.ShapeError,
    'repeatInterleave: repeats is number -1, but it must be a whole number of at least 0',
  ),
  bad(
    () => x().repeatInterleave(2, 0),
    tl.UnsupportedError,
    'repeatInterleave: options are an object such as { dim: … }, got number 0',
  ),
  bad(
    () => x().repeatInterleave(2, { dim: 2 }),
    tl.IndexError,
    'repeatInterleave: dim 2 is out of range for a tensor of 2 dimensions',
  ),
  bad(() => x().repeatInterleave(2, { axis: 0 }), tl.UnsupportedError, 'repeatInterleave: there is no option axis'),
  bad(() => x().tril('1'), tl.ShapeError, 'tril: diagonal is string 1, but it must be a whole number'),
  bad(() => js.ones([3]).tril(), tl.ShapeError, 'tril: needs at least two dims, got [3]'),
  bad(() => x().triu(NaN), tl.ShapeError, 'triu: diagonal is number NaN, but it must be a whole number'),
  bad(() => js.tensor(1).triu(), tl.ShapeError, 'triu: needs at least two dims, got []'),
  bad(() => js.ones([1, 1, 1]).diag(), tl.ShapeError, 'diag: needs a vector or a matrix, got [1, 1, 1]'),
  bad(() => js.ones([3]).diag(0.5), tl.ShapeError, 'diag: diagonal is number 0.5, but it must be a whole number'),
  bad(
    () => js.ones([3]).diag(2 ** 40),
    tl.ShapeError,
    'diag: [1099511627779, 1099511627779] has more elements than can be counted',
  ),
  bad(() => x().diagonal('1'), tl.IndexError, 'diagonal: offset string 1 must be a whole number'),
  bad(() => x().diagonal(0, 0, 2), tl.IndexError, 'diagonal: dim 2 is out of range for a tensor of 2 dimensions'),
  bad(() => js.trace(js.ones([3])), tl.ShapeError, 'trace: needs a matrix, got [3]'),
  bad(
    () => x().unflatten(1, [2, 2]),
    tl.ShapeError,
    'unflatten: sizes [2, 2] must multiply to 3, the size of dim 1 of [2, 3]',
  ),
  bad(
    () => x().unflatten(1, 3),
    tl.ShapeError,
    'unflatten: expected an array of numbers, such as [2, 3], got number 3',
  ),
  bad(() => x().unflatten(1, []), tl.ShapeError, 'unflatten: dim 1 of [2, 3] does not split into []'),
  bad(() => x().unflatten(1, [-1, -1]), tl.UnsupportedError, 'unflatten: 3 elements do not fit into [-1, -1]'),
  bad(() => x().unflatten(2, [1]), tl.IndexError, 'unflatten: dim 2 is out of range for a tensor of 2 dimensions'),
  bad(
    () => x().unfold(0, 3, 1),
    tl.ShapeError,
    'unfold: windows of 3 elements do not fit into the 2 of dim 0 of [2, 3]',
  ),
  bad(() => x().unfold(2, 1, 1), tl.IndexError, 'unfold: dim 2 is out of range for a tensor of 2 dimensions'),
  bad(
    () => x().unfold(0, -1, 1),
    tl.ShapeError,
    'unfold: size is number -1, but it must be a whole number of at least 0',
  ),
  bad(
    () => x().unfold(0, 1, 0),
    tl.ShapeError,
    'unfold: step is number 0, but it must be a whole number of at least 1',
  ),
  bad(() => js.meshgrid(), tl.UnsupportedError, 'meshgrid: expected an array of tensors, got undefined'),
  bad(() => js.meshgrid(x()), tl.UnsupportedError, 'meshgrid: expected an array of tensors, got a Tensor'),
  bad(() => js.meshgrid([]), tl.UnsupportedError, 'meshgrid: the list is empty'),
  bad(() => js.meshgrid([x()]), tl.ShapeError, 'meshgrid: takes vectors, got [2, 3]'),
  bad(() => js.meshgrid([1, 2]), tl.UnsupportedError, 'meshgrid: expected a tensor, got number 1'),
  bad(
    () => js.meshgrid(js.ones([2]), js.ones([3])),
    tl.UnsupportedError,
    'meshgrid: options are an object such as { indexing: … }, got a Tensor',
  ),
  bad(
    () => js.meshgrid([js.ones([2]), js.ones([3], i32)]),
    tl.DTypeError,
    'meshgrid: the tensors are float32 and int32',
  ),
  bad(() => js.meshgrid([js.ones([2])], { indexing: 'yx' }), tl.UnsupportedError, 'meshgrid: indexing is string yx'),
  bad(() => js.meshgrid([js.ones([2])], { index: 'ij' }), tl.UnsupportedError, 'meshgrid: there is no option index'),
  bad(
    () => js.meshgrid([js.ones([2])], 'ij'),
    tl.UnsupportedError,
    'meshgrid: options are an object such as { indexing: … }, got string ij',
  ),
  bad(() => js.meshgrid([js.ones([2]), far([2])]), tl.DeviceError, 'meshgrid: the tensors are on two devices'),
  bad(() => js.meshgrid([gone()]), tl.DisposedError, 'meshgrid: a tensor of shape [2, 3] was disposed by dispose()'),
  bad(() => js.meshgrid([js.ones([2]), null]), tl.UnsupportedError, 'meshgrid: expected a tensor, got null'),
  bad(() => x().pad(), tl.ShapeError, 'pad: expected an array of numbers, such as [2, 3], got undefined'),
  bad(() => x().pad(1), tl.ShapeError, 'pad: expected an array of numbers, such as [2, 3], got number 1'),
  bad(() => x().pad([1]), tl.ShapeError, 'pad: [1] must hold two sizes a dim, for at most the 2 dims of [2, 3]'),
  bad(() => x().pad(['1', 1]), tl.ShapeError, 'pad: a size is string 1, but it must be a whole number'),
  bad(() => x().pad([-2, -2]), tl.ShapeError, 'pad: sizes -2 and -2 cut more than the 3 elements of dim 1 of [2, 3]'),
  bad(
    () => x().pad([1, 1], 'reflect'),
    tl.UnsupportedError,
    'pad: options are an object such as { mode: … }, got string reflect',
  ),
  bad(() => x().pad([1, 1], { mode: 'mirror' }), tl.UnsupportedError, 'pad: mode is string mirror'),
  bad(() => x().pad([1, 1], { mode: null }), tl.UnsupportedError, 'pad: mode is null'),
  bad(
    () => x().pad([3, 0], { mode: 'reflect' }),
    tl.ShapeError,
    'pad: mode reflect cannot add 3 elements to the 3 of dim 1 of [2, 3]',
  ),
  bad(
    () => x().pad([4, 0], { mode: 'circular' }),
    tl.ShapeError,
    'pad: mode circular cannot add 4 elements to the 3 of dim 1 of [2, 3]',
  ),
  bad(
    () => js.zeros([0]).pad([1, 0], { mode: 'replicate' }),
    tl.ShapeError,
    'pad: mode replicate cannot add 1 elements to the 0 of dim 0 of [0]',
  ),
  bad(
    () => x().pad([1, 1], { mode: 'reflect', value: 1 }),
    tl.UnsupportedError,
    'pad: mode reflect takes no value, got 1',
  ),
  bad(() => x().pad([1, 1], { value: 'a' }), tl.DTypeError, 'pad: option value is a number, got string a'),
  bad(() => x().pad([1, 1], { value: null }), tl.DTypeError, 'pad: option value is a number, got null'),
  bad(() => x().pad([1, 1], { value: x() }), tl.DTypeError, 'pad: option value is a number, got a Tensor'),
  bad(() => js.ones([2], i32).pad([1, 1], { value: 0.5 }), tl.DTypeError, 'pad: int32 cannot hold the value 0.5'),
  bad(() => js.ones([2], i32).pad([1, 1], { value: NaN }), tl.DTypeError, 'pad: int32 cannot hold the value NaN'),
  bad(
    () => js.ones([2], { dtype: 'uint32' }).pad([1, 1], { value: -1 }),
    tl.DTypeError,
    'pad: uint32 cannot hold the value -1',
  ),
  bad(() => x().pad([1, 1], { fill: 1 }), tl.UnsupportedError, 'pad: there is no option fill'),
  // Masks, windows and products
  bad(() => js.zeros([2], i32).oneHot(0), tl.ShapeError, 'oneHot: number 0 classes'),
  bad(() => x().oneHot(3), tl.DTypeError, 'oneHot: indices must be int32, got float32'),
  bad(() => x().maskedFill(x(), 1), tl.DTypeError, 'maskedFill: the mask must be a bool tensor, got float32'),
  bad(() => x().maskedFill(true, 1), tl.UnsupportedError, 'maskedFill: expected a tensor, got boolean true'),
  bad(() => x().maskedFill(x().gt(0)), tl.UnsupportedError, 'maskedFill: expected a tensor or a number, got undefined'),
  bad(
    () => x().maskedFill(x().gt(0), 'a'),
    tl.UnsupportedError,
    'maskedFill: expected a tensor or a number, got string a',
  ),
  bad(
    () => x().maskedFill(x().gt(0), true),
    tl.UnsupportedError,
    'maskedFill: expected a tensor or a number, got boolean true',
  ),
  bad(() => x().maskedFill(x().gt(0), js.ones([3])), tl.ShapeError, 'maskedFill: the value has shape [3]'),
  bad(
    () => x().maskedFill(js.ones([4]).gt(0), 1),
    tl.ShapeError,
    'maskedFill: shapes [2, 3] and [4] do not broadcast: dimension 1 is 3 in one and 4 in the other',
  ),
  bad(
    () => js.ones([2], i32).maskedFill(js.ones([2]).gt(0), 0.5),
    tl.DTypeError,
    'maskedFill: int32 cannot hold the value 0.5',
  ),
  bad(
    () => js.ones([2], i32).maskedFill(js.ones([2]).gt(0), NaN),
    tl.DTypeError,
    'maskedFill: int32 cannot hold the value NaN',
  ),
  bad(
    () => js.ones([2], i32).maskedFill(js.ones([2]).gt(0), js.tensor(0.5)),
    tl.DTypeError,
    'maskedFill: a float32 value does not fit into int32 without loss',
  ),
  bad(
    () => js.ones([2], { dtype: 'uint32' }).maskedFill(js.ones([2]).gt(0), -1),
    tl.DTypeError,
    'maskedFill: uint32 cannot hold the value -1',
  ),
  bad(() => x().maskedFill(far([2, 3]).gt(0), 1), tl.DeviceError, 'maskedFill: the tensors are on two devices'),
  bad(
    () => x().maskedFill(gone(), 1),
    tl.DisposedError,
    'maskedFill: a tensor of shape [2, 3] was disposed by dispose()',
  ),
  bad(
    () => js.ones([3]).maskedFill_(js.ones([2, 3]).gt(0), 1),
    tl.ShapeError,
    'assign_: a value of shape [2, 3] does not broadcast to [3]',
  ),
  bad(() => js.einsum(), tl.UnsupportedError, 'einsum: the equation is undefined'),
  bad(
    () => js.einsum('ij,jk->ik', x(), x()),
    tl.ShapeError,
    "einsum: in 'ij,jk->ik', j is 2 in operand 1 of shape [2, 3] and 3 elsewhere",
  ),
  bad(() => js.einsum('ij,jk->ik', x()), tl.UnsupportedError, "einsum: 'ij,jk->ik' names 2 operands and was given 1"),
  bad(() => js.einsum('ijk', x()), tl.ShapeError, "einsum: 'ijk' names 3 dims of operand 0, whose shape is [2, 3]"),
  bad(
    () => js.einsum('ij->ijk', x()),
    tl.UnsupportedError,
    "einsum: 'ij->ijk' has k in the output, where it must occur once, and in an operand as well",
  ),
  bad(
    () => js.einsum('ij->ii', x()),
    tl.UnsupportedError,
    "einsum: 'ij->ii' has i in the output, where it must occur once, and in an operand as well",
  ),
  bad(() => js.einsum('i1', x()), tl.UnsupportedError, "einsum: 'i1' has 1 in it"),
  bad(() => js.einsum('ij->->i', x()), tl.UnsupportedError, "einsum: 'ij->->i' has more than one '->'"),
  bad(
    () => js.einsum('......', x()),
    tl.UnsupportedError,
    "einsum: '......' has '...' twice in one operand or in the output",
  ),
  bad(
    () => js.einsum('ii', x()),
    tl.ShapeError,
    "einsum: in 'ii', i is 3 in operand 0 of shape [2, 3] and 2 elsewhere",
  ),
  bad(() => js.einsum('ij'), tl.UnsupportedError, 'einsum: at least one input must be a tensor'),
  bad(() => js.einsum('ij', 3), tl.UnsupportedError, 'einsum: expected a tensor, got number 3'),
  bad(() => js.einsum('ij', [x()]), tl.UnsupportedError, 'einsum: expected a tensor, got an array'),
  bad(() => js.einsum('ij,ij', x(), far([2, 3])), tl.DeviceError, 'einsum: the tensors are on two devices'),
  bad(() => js.einsum('ij', gone()), tl.DisposedError, 'einsum: a tensor of shape [2, 3] was disposed by dispose()'),
  bad(
    () =>
      js.einsum(
        'ij,ij',
        x(),
        x()
          .to('int32')
          .to('uint32')
          .add(js.ones([1], i32)),
      ),
    tl.DTypeError,
    'add: uint32 and int32 have no common dtype',
  ),
  bad(
    () => js.einsum('i,i', js.ones([2], i32), js.ones([2], { dtype: 'uint32' })),
    tl.DTypeError,
    'einsum: int32 and uint32 have no common dtype',
  ),
  bad(
    () => js.einsum('i...,...j->ij', x(), x()),
    tl.ShapeError,
    "einsum: in 'i...,...j->ij', ... is 2 in operand 1 of shape [2, 3] and 3 elsewhere",
  ),
  bad(
    () => conv2d(x(), x()),
    tl.ShapeError,
    'conv2d: images [2, 3] and kernels [2, 3] must be of shape [N, C, H, W] or [C, H, W] and [O, C / groups, kH, kW]',
  ),
  bad(() => conv2d(image()), tl.UnsupportedError, 'conv2d: expected a tensor, got undefined'),
  bad(
    () => conv2d(image(), js.ones([1, 2, 3, 3])),
    tl.ShapeError,
    'conv2d: images [1, 1, 3, 3] and kernels [1, 2, 3, 3] do not fit with 1 groups: there must be 2 channels, and outputs that divide by 1',
  ),
  bad(
    () => conv2d(image(), js.ones([1, 1, 4, 4])),
    tl.ShapeError,
    'conv2d: images [1, 1, 3, 3] and kernels [1, 1, 4, 4] do not fit: a kernel takes [4, 4] of [3, 3] places',
  ),
  bad(
    () => conv2d(image(), image(), js.ones([2])),
    tl.ShapeError,
    'conv2d: bias [2] must be of shape [1], one for each output',
  ),
  bad(() => conv2d(image(), image(), 0), tl.UnsupportedError, 'conv2d: expected a tensor, got number 0'),
  bad(
    () => conv2d(image(), image(), null, { stride: 0 }),
    tl.ShapeError,
    'conv2d: stride is number 0, but it must be a whole number of at least 1',
  ),
  bad(
    () => conv2d(image(), image(), null, { stride: '1' }),
    tl.ShapeError,
    'conv2d: stride is string 1, but it must be a number or one for each of the 2 dims',
  ),
  bad(
    () => conv2d(image(), image(), null, { stride: null }),
    tl.ShapeError,
    'conv2d: stride is null, but it must be a number or one for each of the 2 dims',
  ),
  bad(
    () => conv2d(image(), image(), null, { padding: -1 }),
    tl.ShapeError,
    'conv2d: padding is number -1, but it must be a whole number of at least 0',
  ),
  bad(
    () => conv2d(image(), image(), null, { padding: 'full' }),
    tl.ShapeError,
    'conv2d: padding is string full, but it must be a number or one for each of the 2 dims',
  ),
  bad(
    () => conv2d(image(), image(), null, { padding: 'same', stride: 2 }),
    tl.UnsupportedError,
    "conv2d: padding 'same' goes with stride 1 only, got [2, 2]",
  ),
  bad(
    () => conv2d(image(), image(), null, { dilation: NaN }),
    tl.ShapeError,
    'conv2d: dilation is number NaN, but it must be a whole number of at least 1',
  ),
  bad(
    () => conv2d(image(), image(), null, { groups: 0 }),
    tl.ShapeError,
    'conv2d: groups is number 0, but it must be a whole number of at least 1',
  ),
  bad(() => conv2d(image(), image(), null, { strides: 1 }), tl.UnsupportedError, 'conv2d: there is no option strides'),
  bad(
    () => conv2d(js.ones([1, 1, 3, 3], i32), js.ones([1, 1, 3, 3], i32)),
    tl.DTypeError,
    'conv2d: needs a floating tensor, got int32',
  ),
  bad(() => conv2d(image(), far([1, 1, 3, 3])), tl.DeviceError, 'conv2d: the tensors are on two devices'),
  bad(() => conv2d(gone(), image()), tl.DisposedError, 'conv2d: a tensor of shape [2, 3] was disposed by dispose()'),
  bad(
    () => conv2d(image(), image(), null, 1),
    tl.UnsupportedError,
    'conv2d: options are an object such as { stride: … }, got number 1',
  ),
  bad(() => layerNorm(x()), tl.ShapeError, 'layerNorm: expected an array of numbers, such as [2, 3], got undefined'),
  bad(
    () => layerNorm(x(), 2),
    tl.ShapeError,
    'layerNorm: the normalized shape [2] must be that of the last dims of [2, 3]',
  ),
  bad(
    () => layerNorm(x(), '3'),
    tl.ShapeError,
    'layerNorm: expected an array of numbers, such as [2, 3], got string 3',
  ),
  bad(
    () => layerNorm(x(), 3, { weight: js.ones([2]) }),
    tl.ShapeError,
    'layerNorm: weight of shape [2] must have the normalized shape [3]',
  ),
  bad(
    () => layerNorm(x(), 3, { bias: js.ones([2]) }),
    tl.ShapeError,
    'layerNorm: bias of shape [2] must have the normalized shape [3]',
  ),
  bad(() => layerNorm(x(), 3, { weight: 2 }), tl.UnsupportedError, 'layerNorm: expected a tensor, got number 2'),
  bad(
    () => layerNorm(x(), 3, { weight: [1, 1, 1] }),
    tl.UnsupportedError,
    'layerNorm: expected a tensor, got an array',
  ),
  bad(
    () => layerNorm(x(), 3, { eps: 'a' }),
    tl.UnsupportedError,
    'layerNorm: eps is string a, but it must be a number of at least 0',
  ),
  bad(
    () => layerNorm(x(), 3, { eps: NaN }),
    tl.UnsupportedError,
    'layerNorm: eps is number NaN, but it must be a number of at least 0',
  ),
  bad(
    () => layerNorm(x(), 3, { eps: -1 }),
    tl.UnsupportedError,
    'layerNorm: eps is number -1, but it must be a number of at least 0',
  ),
  bad(() => layerNorm(x(), 3, { epsilon: 1 }), tl.UnsupportedError, 'layerNorm: there is no option epsilon'),
  bad(
    () => layerNorm(x(), 3, 1e-5),
    tl.UnsupportedError,
    'layerNorm: options are an object such as { weight: … }, got number 0.00001',
  ),
  bad(() => layerNorm(js.ones([3], i32), 3), tl.DTypeError, 'layerNorm: needs a floating tensor, got int32'),
  bad(() => layerNorm(x(), 3, { weight: far([3]) }), tl.DeviceError, 'layerNorm: the tensors are on two devices'),
  bad(
    () => layerNorm(x(), 3, { weight: js.ones([3], i32) }),
    tl.DTypeError,
    'layerNorm: needs a floating tensor, got int32',
  ),
  bad(() => layerNorm(gone(), 3), tl.DisposedError, 'layerNorm: a tensor of shape [2, 3] was disposed by dispose()'),
  // Indexing
  bad(() => x().index(2), tl.IndexError, 'index: index 2 is out of range for dim 0 of [2, 3]'),
  bad(() => x().index(true), tl.UnsupportedError, 'index: bools are no places of a dim'),
  bad(() => x().index({ start: 0.5 }), tl.IndexError, 'index: the bound number 0.5 of a range is no whole number'),
  bad(
    () => x().index({ step: 0 }),
    tl.IndexError,
    'index: the step number 0 of a range must be a whole number of at least 1',
  ),
  bad(() => x().index({ stop: 1 }), tl.UnsupportedError, 'index: there is no option stop'),
  bad(() => x().index('...', '...'), tl.IndexError, "index: there is more than one '...'"),
  bad(() => x().index(0, 0, 0), tl.IndexError, 'index: 3 items are too many for the 2 dims of [2, 3]'),
  bad(
    () => x().index(x().gt(0)),
    tl.DTypeError,
    'index: a bool tensor selects as many elements as only the device knows',
  ),
  bad(() => x().index(x()), tl.DTypeError, 'index: indices must be int32, got float32'),
  bad(() => x().index(gone()), tl.DisposedError, 'index: a tensor of shape [2, 3] was disposed by dispose()'),
  bad(() => x().index(far([1], i32)), tl.DeviceError, 'index: the tensors are on two devices'),
  bad(
    () => x().index(js.zeros([2], i32), js.zeros([3], i32)),
    tl.ShapeError,
    'index: shapes [2] and [3] do not broadcast: dimension 0 is 2 in one and 3 in the other',
  ),
  bad(() => js.zeros([0]).take(at(0)), tl.IndexError, 'take: dim 0 of [0] has no places to index'),
  bad(() => js.zeros([0, 3]).index(at(0)), tl.IndexError, 'index: dim 0 of [0, 3] has no places to index'),
  bad(() => js.zeros([0, 3]).indexPut([at(0)], 1), tl.IndexError, 'indexPut: dim 0 of [0, 3] has no places to index'),
  bad(() => x().index(new Map()), tl.UnsupportedError, 'index: options are an object such as { start: … }, got a Map'),
  bad(() => x().index('a'), tl.UnsupportedError, "index: there is no item 'a'"),
  bad(() => x().indexPut(), tl.UnsupportedError, 'indexPut: the items are undefined'),
  bad(() => x().indexPut([0]), tl.UnsupportedError, 'indexPut: expected a tensor or a number, got undefined'),
  bad(() => x().indexPut(0, 1), tl.UnsupportedError, 'indexPut: the items are number 0'),
  bad(() => x().indexPut([5], 1), tl.IndexError, 'indexPut: index 5 is out of range for dim 0 of [2, 3]'),
  bad(
    () => x().indexPut([0], js.ones([2])),
    tl.ShapeError,
    'indexPut: shapes [3] and [2] do not broadcast: dimension 0 is 3 in one and 2 in the other',
  ),
  bad(() => x().indexPut([0], 'a'), tl.UnsupportedError, 'indexPut: expected a tensor or a number, got string a'),
  bad(() => x().indexPut(['a'], 1), tl.UnsupportedError, "indexPut: there is no item 'a'"),
  bad(
    () => x().indexPut([0], 1, true),
    tl.UnsupportedError,
    'indexPut: options are an object such as { accumulate: … }, got boolean true',
  ),
  bad(
    () => x().indexPut([0], 1, { accumulate: 1 }),
    tl.UnsupportedError,
    'indexPut: accumulate is number 1, but it must be true or false',
  ),
  bad(() => x().indexPut([0], 1, { add: true }), tl.UnsupportedError, 'indexPut: there is no option add'),
  bad(() => js.ones([2], i32).indexPut([0], 0.5), tl.DTypeError, 'indexPut: int32 cannot hold the value 0.5'),
  bad(() => js.ones([2], i32).indexPut([0], NaN), tl.DTypeError, 'indexPut: int32 cannot hold the value NaN'),
  bad(
    () => js.ones([2], i32).indexPut([0], js.tensor(0.5)),
    tl.DTypeError,
    'indexPut: a float32 value does not fit into int32 without loss',
  ),
  bad(
    () => js.ones([2], { dtype: 'uint32' }).indexPut([0], -1),
    tl.DTypeError,
    'indexPut: uint32 cannot hold the value -1',
  ),
  bad(() => x().gt(0).indexPut([0], 1, { accumulate: true }), tl.DTypeError, 'indexPut: bools do not add up'),
  bad(
    () => x().indexPut([x().gt(0)], 1),
    tl.DTypeError,
    'indexPut: a bool tensor selects as many elements as only the device knows',
  ),
  bad(() => x().indexPut([js.zeros([1])], 1), tl.DTypeError, 'indexPut: indices must be int32, got float32'),
  bad(() => x().indexPut([far([1], i32)], 1), tl.DeviceError, 'indexPut: the tensors are on two devices'),
  bad(
    () => x().indexPut([gone()], 1),
    tl.DisposedError,
    'indexPut: a tensor of shape [2, 3] was disposed by dispose()',
  ),
  bad(() => x().indexPut(js.zeros([1], i32), 1), tl.UnsupportedError, 'indexPut: the items are a Tensor'),
  bad(
    () => js.ones([2], { requiresGrad: true }).indexPut_([0], 1),
    tl.UnsupportedError,
    'assign_: the tensor is a leaf that requires a gradient',
  ),
  bad(
    () => x().expand([2, 2, 3]).indexPut_([0], 1),
    tl.UnsupportedError,
    'assign_: the view shows an element of its storage more than once (expand)',
  ),
  bad(() => x().indexFill(0, [2], 1), tl.IndexError, 'indexFill: index 2 is out of range for dim 0 of [2, 3]'),
  bad(() => x().indexFill(2, [0], 1), tl.IndexError, 'indexFill: dim 2 is out of range for a tensor of 2 dimensions'),
  bad(() => x().indexFill(0, 0, 1), tl.UnsupportedError, 'indexFill: the indices are number 0'),
  bad(() => x().indexFill(0, [0], js.ones([3])), tl.ShapeError, 'indexFill: the value has shape [3]'),
  bad(() => x().indexFill(0, [0]), tl.UnsupportedError, 'indexFill: expected a tensor or a number, got undefined'),
  bad(() => x().indexFill(0, [0], 'a'), tl.UnsupportedError, 'indexFill: expected a tensor or a number, got string a'),
  bad(() => x().indexFill(0, [0], null), tl.UnsupportedError, 'indexFill: expected a tensor or a number, got null'),
  bad(() => x().indexFill(0, void 0, 1), tl.UnsupportedError, 'indexFill: the indices are undefined'),
  bad(
    () => x().indexFill(0, js.zeros([1, 1], i32), 1),
    tl.ShapeError,
    'indexFill: indices must have one dim, got [1, 1]',
  ),
  bad(() => js.tensor(1).indexFill(0, [0], 1), tl.IndexError, 'indexFill: a scalar has no dims to index'),
  bad(() => js.ones([2], i32).indexFill(0, [0], 0.5), tl.DTypeError, 'indexFill: int32 cannot hold the value 0.5'),
  bad(() => x().indexCopy(0, [0], js.ones([3])), tl.ShapeError, 'indexCopy: the source has shape [3]'),
  bad(() => x().indexCopy(0, [0], 1), tl.UnsupportedError, 'indexCopy: expected a tensor, got number 1'),
  bad(() => x().indexCopy(0, [0]), tl.UnsupportedError, 'indexCopy: expected a tensor, got undefined'),
  bad(() => x().indexCopy(0, 0, js.ones([1, 3])), tl.UnsupportedError, 'indexCopy: the indices are number 0'),
  bad(
    () =>
      x()
        .to('int32')
        .indexCopy(0, [0], js.ones([1, 3])),
    tl.DTypeError,
    'indexCopy: a float32 value does not fit into int32 without loss',
  ),
  bad(() => x().indexAdd(0, [0], js.ones([2, 3])), tl.ShapeError, 'indexAdd: the source has shape [2, 3]'),
  bad(
    () => x().indexAdd(0, [0], js.ones([1, 3]), { alpha: '1' }),
    tl.DTypeError,
    'indexAdd: option alpha is a number, got string 1',
  ),
  bad(
    () => x().indexAdd(0, [0], js.ones([1, 3]), { beta: 1 }),
    tl.UnsupportedError,
    'indexAdd: there is no option beta',
  ),
  bad(
    () => x().indexAdd(0, [0], js.ones([1, 3]), 2),
    tl.UnsupportedError,
    'indexAdd: options are an object such as { alpha: … }, got number 2',
  ),
  bad(
    () => x().indexAdd(0, js.zeros([1]), js.ones([1, 3])),
    tl.DTypeError,
    'indexAdd: indices must be int32, got float32',
  ),
  bad(
    () => x().indexAdd(0, [-3], js.ones([1, 3])),
    tl.IndexError,
    'indexAdd: index -3 is out of range for dim 0 of [2, 3]',
  ),
  bad(() => x().indexAdd(0, [0], far([1, 3])), tl.DeviceError, 'indexAdd: the tensors are on two devices'),
  bad(() => x().indexAdd(0, [0], 1), tl.UnsupportedError, 'indexAdd: expected a tensor, got number 1'),
  bad(() => x().indexAdd(0, null, js.ones([1, 3])), tl.UnsupportedError, 'indexAdd: the indices are null'),
  // Transforms of functions
  bad(() => js.vjp(3, x()), tl.UnsupportedError, 'vjp: expected a function, got number 3'),
  bad(
    () => js.vjp((a: Loose) => a, 3),
    tl.UnsupportedError,
    'vjp: inputs are a tensor or an array of tensors, got number 3',
  ),
  bad(() => js.vjp((a: Loose) => a, [1]), tl.UnsupportedError, 'vjp: input 0 is number 1'),
  bad(
    () => js.vjp((a: Loose) => a, js.ones([2], i32)),
    tl.DTypeError,
    'vjp: input 0 is int32, but only floating tensors have gradients',
  ),
  bad(() => js.vjp(() => 3, x()), tl.UnsupportedError, 'vjp: the function returned number 3'),
  bad(() => js.vjp((a: Loose) => a, x(), { create: true }), tl.UnsupportedError, 'vjp: there is no option create'),
  bad(
    () => js.vjp((a: Loose) => a, x(), { createGraph: 1 }),
    tl.UnsupportedError,
    'vjp: createGraph is number 1, but it must be true or false',
  ),
  bad(
    () => js.vjp((a: Loose) => a, gone()),
    tl.DisposedError,
    'vjp: a tensor of shape [2, 3] was disposed by dispose()',
  ),
  bad(
    () => js.vjp((a: Loose) => a.mul(2), x()).pullback(),
    tl.UnsupportedError,
    'vjp: expected 1 cotangents, got undefined',
  ),
  bad(
    () => js.vjp((a: Loose) => a.mul(2), x()).pullback(js.ones([3])),
    tl.ShapeError,
    'vjp: cotangent 0 has shape [3] where [2, 3] is needed',
  ),
  bad(
    () => js.vjp((a: Loose) => a.mul(2), x()).pullback(1),
    tl.UnsupportedError,
    'vjp: expected 1 cotangents, got number 1',
  ),
  bad(
    () => js.vjp((a: Loose) => a.mul(2), x()).pullback([x(), x()]),
    tl.UnsupportedError,
    'vjp: expected 1 cotangents, got 2',
  ),
  bad(
    () => js.vjp((a: Loose) => a.mul(2), x()).pullback(far([2, 3])),
    tl.DeviceError,
    'vjp: the tensors are on two devices',
  ),
  bad(
    () => js.vjp((a: Loose) => a.mul(2), x()).pullback(js.ones([2, 3], i32)),
    tl.DTypeError,
    'vjp: cotangent 0 is int32 where float32 is needed',
  ),
  bad(
    () => {
      const { pullback } = js.vjp((a: Loose) => a.mul(2), x());
      pullback.dispose();
      pullback(x());
    },
    tl.DisposedError,
    'vjp: the pullback was disposed, or the scope in which it was made has ended',
  ),
  bad(() => js.jvp((a: Loose) => a, x()), tl.UnsupportedError, 'jvp: expected 1 tangents, got undefined'),
  bad(
    () => js.jvp((a: Loose) => a, x(), js.ones([3])),
    tl.ShapeError,
    'jvp: tangent 0 has shape [3] where [2, 3] is needed',
  ),
  bad(() => js.jvp((a: Loose) => a, x(), 1), tl.UnsupportedError, 'jvp: expected 1 tangents, got number 1'),
  bad(() => js.jvp((a: Loose) => a, [x()], []), tl.UnsupportedError, 'jvp: expected 1 tangents, got 0'),
  bad(
    () => js.jvp((a: Loose) => a, x(), gone()),
    tl.DisposedError,
    'jvp: a tensor of shape [2, 3] was disposed by dispose()',
  ),
  bad(() => js.jvp((a: Loose) => a.mul(2), x(), far([2, 3])), tl.DeviceError, 'jvp: the tensors are on two devices'),
  bad(
    () => js.jvp((a: Loose) => a.mul(2), x(), js.ones([2, 3], i32)),
    tl.DTypeError,
    'jvp: tangent 0 is int32 where float32 is needed',
  ),
  bad(
    () => js.jvp((a: Loose) => a, js.ones([2], i32), js.ones([2])),
    tl.DTypeError,
    'jvp: input 0 is int32, but only floating tensors have gradients',
  ),
  bad(
    () => js.jvp((a: Loose) => a, x(), x(), { createGraf: true }),
    tl.UnsupportedError,
    'jvp: there is no option createGraf',
  ),
  bad(() => js.jacobian(x(), x()), tl.UnsupportedError, 'jacobian: expected a function, got a Tensor'),
  bad(
    () => js.jacobian((a: Loose) => a),
    tl.UnsupportedError,
    'jacobian: inputs are a tensor or an array of tensors, got undefined',
  ),
  bad(() => js.jacobian(() => 'a', x()), tl.UnsupportedError, 'jacobian: the function returned string a'),
  bad(
    () => js.jacobian((a: Loose) => a, js.ones([2], i32)),
    tl.DTypeError,
    'jacobian: input 0 is int32, but only floating tensors have gradients',
  ),
  bad(() => js.jacobian((a: Loose) => a, [x(), 3]), tl.UnsupportedError, 'jacobian: input 1 is number 3'),
  bad(
    () => js.jacobian((a: Loose) => a, x(), 1),
    tl.UnsupportedError,
    'jacobian: options are an object such as { createGraph: … }, got number 1',
  ),
  bad(
    () => js.jacobian((a: Loose) => a, gone()),
    tl.DisposedError,
    'jacobian: a tensor of shape [2, 3] was disposed by dispose()',
  ),
  bad(() => js.hessian(3, x()), tl.UnsupportedError, 'hessian: expected a function, got number 3'),
  bad(
    () => js.hessian((a: Loose) => a, x()),
    tl.UnsupportedError,
    'hessian: the function must return one scalar, got a tensor of shape [2, 3]',
  ),
  bad(
    () => js.hessian((a: Loose) => a.sum(), 3),
    tl.UnsupportedError,
    'hessian: inputs are a tensor or an array of tensors, got number 3',
  ),
  bad(
    () => js.hessian((a: Loose) => a.sum(), js.ones([2], i32)),
    tl.DTypeError,
    'hessian: input 0 is int32, but only floating tensors have gradients',
  ),
  bad(() => js.hessian(() => 3, x()), tl.UnsupportedError, 'hessian: the function returned number 3'),
  bad(
    () => js.hessian((a: Loose) => a.sum(), x(), { strict: true }),
    tl.UnsupportedError,
    'hessian: there is no option strict',
  ),
  bad(
    () => js.hessian((a: Loose) => a.sum(), gone()),
    tl.DisposedError,
    'hessian: a tensor of shape [2, 3] was disposed by dispose()',
  ),
  bad(
    () => js.hessian((a: Loose) => [a.sum(), a.sum()], x()),
    tl.UnsupportedError,
    'hessian: the function must return one scalar, got a tensor of shape [] and a tensor of shape []',
  ),
  bad(() => js.hvp((a: Loose) => a.sum(), x()), tl.UnsupportedError, 'hvp: expected 1 vectors, got undefined'),
  bad(
    () => js.hvp((a: Loose) => a.sum(), x(), js.ones([3])),
    tl.ShapeError,
    'hvp: vector 0 has shape [3] where [2, 3] is needed',
  ),
  bad(
    () => js.hvp((a: Loose) => a, x(), x()),
    tl.UnsupportedError,
    'hvp: the function must return one scalar, got a tensor of shape [2, 3]',
  ),
  bad(() => js.hvp((a: Loose) => a.sum(), x(), [x(), x()]), tl.UnsupportedError, 'hvp: expected 1 vectors, got 2'),
  bad(() => js.hvp((a: Loose) => a.sum(), x(), 'a'), tl.UnsupportedError, 'hvp: expected 1 vectors, got string a'),
  bad(
    () => js.hvp((a: Loose) => a.sum(), js.ones([2], i32), js.ones([2])),
    tl.DTypeError,
    'hvp: input 0 is int32, but only floating tensors have gradients',
  ),
  bad(
    () => js.hvp((a: Loose) => a.square().sum(), x(), far([2, 3])),
    tl.DeviceError,
    'hvp: the tensors are on two devices',
  ),
  bad(
    () => js.hvp((a: Loose) => a.square().sum(), x(), js.ones([2, 3], i32)),
    tl.DTypeError,
    'hvp: vector 0 is int32 where float32 is needed',
  ),
  bad(
    () => js.hvp((a: Loose) => a.sum(), x(), gone()),
    tl.DisposedError,
    'hvp: a tensor of shape [2, 3] was disposed by dispose()',
  ),
  bad(
    () => js.hvp((a: Loose) => a.sum(), x(), x(), { createGraph: 'yes' }),
    tl.UnsupportedError,
    'hvp: createGraph is string yes, but it must be true or false',
  ),
  bad(
    () => js.grad((a: Loose) => a.sum(), { createGraph: 1 })(x()),
    tl.UnsupportedError,
    'grad: createGraph is number 1, but it must be true or false',
  ),
  bad(
    () => js.valueAndGrad((a: Loose) => a.sum(), 3)(x()),
    tl.UnsupportedError,
    'valueAndGrad: options are an object such as { createGraph: … }, got number 3',
  ),
  bad(
    () => js.ones([], { requiresGrad: true }).mul(1).backward({ retainGraph: 1 }),
    tl.UnsupportedError,
    'backward: retainGraph is number 1, but it must be true or false',
  ),
  bad(() => js.checkpoint(x()), tl.UnsupportedError, 'checkpoint: expected a function, got a Tensor'),
  bad(() => js.checkpoint(3, x()), tl.UnsupportedError, 'checkpoint: expected a function, got number 3'),
  bad(
    () => js.checkpoint((a: Loose) => a, gone()),
    tl.DisposedError,
    'checkpoint: a tensor of shape [2, 3] was disposed by dispose()',
  ),
  bad(
    () => js.checkpoint(async (a: Loose) => a, x()),
    tl.UnsupportedError,
    'checkpoint: the function returned a promise, but a scope ends when the function returns',
  ),
  bad(
    () => {
      let n = 0;
      js.checkpoint((a: Loose) => (n++ ? a.exp() : a.sin()), js.ones([], { requiresGrad: true })).backward();
    },
    tl.UnsupportedError,
    'checkpoint: the function did something else when it ran again for the gradient: op 0 was sin and is now exp',
  ),
  bad(
    () => {
      const c = js.ones([]).mul(2);
      const y = js.checkpoint((a: Loose) => a.mul(c), js.ones([], { requiresGrad: true }));
      c.dispose();
      y.backward();
    },
    tl.DisposedError,
    'checkpoint: the function closes over a tensor that was disposed before it ran again for the gradient',
  ),
  bad(
    () =>
      js.checkpoint(
        () => {
          throw new tl.ShapeError('mine: as it is');
        },
        js.ones([], { requiresGrad: true }),
      ),
    tl.ShapeError,
    'mine: as it is',
  ),
  // Ops of your own
  bad(() => js.customOp({}), tl.UnsupportedError, 'customOp: give it a name, and the functions forward and backward'),
  bad(
    () => js.customOp({ name: 'f', forward: (_: Loose, a: Loose) => a, backward: () => null, setup: 1 }),
    tl.UnsupportedError,
    'customOp: there is no option setup',
  ),
  bad(
    () => js.customOp({ name: '', forward: (_: Loose, a: Loose) => a, backward: () => null })(x()),
    tl.UnsupportedError,
    'customOp: give it a name, and the functions forward and backward',
  ),
  bad(
    () => js.customOp({ name: 'f', forward: () => 3, backward: () => null })(x()),
    tl.UnsupportedError,
    'f: forward returned number 3',
  ),
  bad(
    () => js.customOp({ name: 'f', forward: (_: Loose, a: Loose) => a, backward: () => null })(3),
    tl.UnsupportedError,
    'f: at least one input must be a tensor',
  ),
  bad(
    () => js.customOp({ name: 'f', forward: (_: Loose, a: Loose) => a, backward: () => null })(gone()),
    tl.DisposedError,
    'f: a tensor of shape [2, 3] was disposed by dispose()',
  ),
  bad(
    () =>
      js
        .customOp({ name: 'f', forward: (_: Loose, a: Loose) => a.mul(1), backward: () => 3 })(
          js.ones([], { requiresGrad: true }),
        )
        .backward(),
    tl.UnsupportedError,
    'f: backward returned number 3 for argument 0',
  ),
  bad(
    () =>
      js
        .customOp({ name: 'f', forward: (_: Loose, a: Loose) => a.mul(1), backward: () => [null, null] })(
          js.ones([], { requiresGrad: true }),
        )
        .backward(),
    tl.UnsupportedError,
    'f: backward returned 2 gradients for 1 arguments',
  ),
  bad(
    () =>
      js
        .customOp({ name: 'f', forward: (_: Loose, a: Loose) => a.mul(1), backward: () => js.ones([2]) })(
          js.ones([3], { requiresGrad: true }),
        )
        .sum()
        .backward(),
    tl.ShapeError,
    'f: backward returned a gradient of shape [2] for argument 0 of shape [3]',
  ),
  bad(
    () =>
      js
        .customOp({ name: 'f', forward: (_: Loose, a: Loose) => a.mul(1), backward: () => far([]) })(
          js.ones([], { requiresGrad: true }),
        )
        .backward(),
    tl.DeviceError,
    'f: backward returned a gradient',
  ),
  bad(
    () =>
      js
        .customOp({ name: 'f', forward: (_: Loose, a: Loose) => a.mul(1), backward: () => js.ones([], i32) })(
          js.ones([], { requiresGrad: true }),
        )
        .backward(),
    tl.DTypeError,
    'f: backward returned a gradient of int32 for argument 0',
  ),
  bad(
    () =>
      js.customOp({
        name: 'f',
        forward: (c: Loose, a: Loose) => {
          c.saveForBackward(3);
          return a;
        },
        backward: () => null,
      })(x()),
    tl.UnsupportedError,
    'f: expected a tensor, got number 3',
  ),
  bad(
    () =>
      js.customOp({
        name: 'f',
        forward: (c: Loose, a: Loose) => {
          c.saveForBackward([a]);
          return a;
        },
        backward: () => null,
      })(x()),
    tl.UnsupportedError,
    'f: expected a tensor, got an array',
  ),
  bad(
    () =>
      js
        .customOp({
          name: 'f',
          forward: (_: Loose, a: Loose) => a.mul(1),
          backward: (c: Loose, g: Loose) => {
            c.saveForBackward(g);
            return g;
          },
        })(js.ones([], { requiresGrad: true }))
        .backward(),
    tl.UnsupportedError,
    'f: saveForBackward belongs into forward',
  ),
  bad(
    () => js.customOp({ name: 'f', forward: () => far([]), backward: () => null })(x()),
    tl.DeviceError,
    'f: the tensors are on two devices',
  ),
  bad(
    () => js.customKernel({}),
    tl.UnsupportedError,
    'customKernel: give it a name, the functions output and cpu, and wgsl as text',
  ),
  bad(
    () => js.customKernel({ name: 'k', output: () => ({ shape: [1] }), wgsl: '', cpu: () => void 0, gradient: 3 })(x()),
    tl.UnsupportedError,
    'customKernel: expected a function, got number 3',
  ),
  bad(
    () => js.customKernel({ name: 'k', output: () => ({ shape: [1] }), wgsl: '', cpu: () => void 0, grad: () => null }),
    tl.UnsupportedError,
    'customKernel: there is no option grad',
  ),
  bad(
    () => js.customKernel({ name: 'k', output: () => [1], wgsl: '', cpu: () => void 0 })(x()),
    tl.ShapeError,
    'k: expected an array of numbers, such as [2, 3], got undefined',
  ),
  bad(
    () => js.customKernel({ name: 'k', output: () => void 0, wgsl: '', cpu: () => void 0 })(x()),
    tl.UnsupportedError,
    'k: output returned undefined',
  ),
  bad(
    () => js.customKernel({ name: 'k', output: () => ({ shape: [-1] }), wgsl: '', cpu: () => void 0 })(x()),
    tl.ShapeError,
    'k: [-1] is no shape: sizes are whole numbers of at least 0',
  ),
  bad(
    () =>
      js.customKernel({ name: 'k', output: () => ({ shape: [1], dtype: 'float64' }), wgsl: '', cpu: () => void 0 })(
        x(),
      ),
    tl.DTypeError,
    'k: output gives the dtype string float64',
  ),
  bad(
    () => js.customKernel({ name: 'k', output: () => ({ shape: [1], dtype: 3 }), wgsl: '', cpu: () => void 0 })(x()),
    tl.DTypeError,
    'k: output gives the dtype number 3',
  ),
  bad(
    () => js.customKernel({ name: 'k', output: () => ({ shape: [1] }), wgsl: '', cpu: () => void 0 })(),
    tl.UnsupportedError,
    'k: at least one input must be a tensor',
  ),
  bad(
    () => js.customKernel({ name: 'k', output: () => ({ shape: [1] }), wgsl: '', cpu: () => void 0 })(3),
    tl.UnsupportedError,
    'k: expected a tensor, got number 3',
  ),
  bad(
    () => js.customKernel({ name: 'k', output: () => ({ shape: [1] }), wgsl: '', cpu: () => void 0 })(x(), 3),
    tl.UnsupportedError,
    'k: expected a tensor, got number 3',
  ),
  bad(
    () => js.customKernel({ name: 'k', output: () => ({ shape: [1] }), wgsl: '', cpu: () => void 0 })([x()]),
    tl.UnsupportedError,
    'k: expected a tensor, got an array',
  ),
  bad(
    () => js.customKernel({ name: 'k', output: () => ({ shape: [1] }), wgsl: '', cpu: () => void 0 })(gone()),
    tl.DisposedError,
    'k: a tensor of shape [2, 3] was disposed by dispose()',
  ),
  bad(
    () => js.customKernel({ name: 'k', output: () => ({ shape: [1] }), wgsl: '', cpu: () => void 0 })(x(), far([1])),
    tl.DeviceError,
    'k: the tensors are on two devices',
  ),
];

/** Calls whose tensors, or promises, must fail when they are awaited. */
export const LATE_OP_CALLS: readonly BadCall[] = [
  bad(() => x().gather(0, at(0, 2).reshape([2, 1])), tl.IndexError, 'gather: an index or label is out of range'),
  bad(() => x().gather(0, at(-1).reshape([1, 1])), tl.IndexError, 'gather: an index or label is out of range'),
  bad(
    () => x().gather(1, js.tensor([4000000000], { dtype: 'uint32' }).reshape([1, 1])),
    tl.IndexError,
    'gather: an index or label is out of range',
  ),
  bad(
    () => js.zeros([0, 3]).gather(0, at(0).reshape([1, 1])),
    tl.IndexError,
    'gather: an index or label is out of range',
  ),
  bad(() => x().indexSelect(1, at(0, 3)), tl.IndexError, 'indexSelect: an index or label is out of range'),
  bad(() => x().indexSelect(0, at(-1)), tl.IndexError, 'indexSelect: an index or label is out of range'),
  bad(() => x().scatter(0, at(2).reshape([1, 1]), 5), tl.IndexError, 'scatter: an index or label is out of range'),
  bad(() => x().scatter(1, at(-1).reshape([1, 1]), 5), tl.IndexError, 'scatter: an index or label is out of range'),
  bad(
    () => js.zeros([0, 3]).scatter(0, at(0).reshape([1, 1]), 5),
    tl.IndexError,
    'scatter: an index or label is out of range',
  ),
  bad(
    () => x().scatterAdd(0, at(2, 0).reshape([2, 1]), x()),
    tl.IndexError,
    'scatterAdd: an index or label is out of range',
  ),
  bad(
    () => js.zeros([0]).scatterAdd(0, at(0), js.ones([1])),
    tl.IndexError,
    'scatterAdd: an index or label is out of range',
  ),
  bad(
    () => x().takeAlongDim(at(3).reshape([1, 1]), 1),
    tl.IndexError,
    'takeAlongDim: an index or label is out of range',
  ),
  bad(() => x().takeAlongDim(at(6)), tl.IndexError, 'takeAlongDim: an index or label is out of range'),
  bad(() => x().take(at(-7)), tl.IndexError, 'take: an index or label is out of range'),
  bad(() => x().index(':', at(0, 3)), tl.IndexError, 'index: an index or label is out of range'),
  bad(() => x().index(at(0), at(3)), tl.IndexError, 'index: an index or label is out of range'),
  bad(() => at(0, -1).oneHot(), tl.IndexError, 'oneHot: class -1 is negative'),
  bad(() => js.zeros([0], i32).oneHot(), tl.ShapeError, 'oneHot: there are no classes in [0] to count'),
  bad(() => x().oneHot(), tl.DTypeError, 'oneHot: indices must be int32, got float32'),
  bad(() => x().maskedSelect(x()), tl.DTypeError, 'maskedSelect: the mask must be a bool tensor, got float32'),
  bad(
    () => x().maskedSelect(js.ones([4]).gt(0)),
    tl.ShapeError,
    'maskedSelect: shapes [2, 3] and [4] do not broadcast: dimension 1 is 3 in one and 4 in the other',
  ),
  bad(() => x().maskedSelect(), tl.UnsupportedError, 'maskedSelect: expected a tensor, got undefined'),
  bad(
    () => x().maskedSelect(gone()),
    tl.DisposedError,
    'maskedSelect: a tensor of shape [2, 3] was disposed by dispose()',
  ),
  bad(() => x().maskedSelect(far([2, 3]).gt(0)), tl.DeviceError, 'maskedSelect: the tensors are on two devices'),
  bad(() => x().unique({ sort: true }), tl.UnsupportedError, 'unique: there is no option sort'),
  bad(
    () => x().unique({ returnCounts: 1 }),
    tl.UnsupportedError,
    'unique: returnCounts is number 1, but it must be true or false',
  ),
  bad(() => x().unique(null), tl.UnsupportedError, 'unique: options are an object such as { sorted: … }, got null'),
  bad(
    () => js.solve(js.zeros([2, 2]), js.ones([2])),
    tl.NumericsError,
    'solve: a matrix is singular, so that the result is infinite or NaN',
  ),
  bad(
    () => js.solveTriangular(js.zeros([2, 2]), js.ones([2]), { upper: true }),
    tl.NumericsError,
    'solveTriangular: a matrix is singular, so that the result is infinite or NaN',
  ),
  bad(
    () => js.inverse(js.ones([2, 2])),
    tl.NumericsError,
    'inverse: a matrix is singular, so that the result is infinite or NaN',
  ),
  bad(
    () => js.cholesky(js.zeros([2, 2])),
    tl.NumericsError,
    'cholesky: a matrix is not positive definite, so that the result has NaN in it',
  ),
  bad(
    () => js.lstsq(js.zeros([3, 2]), js.ones([3])),
    tl.NumericsError,
    'lstsq: a matrix is singular, so that the result is infinite or NaN',
  ),
  bad(
    () => js.ridge(js.zeros([2, 2]), js.ones([2]), 0),
    tl.NumericsError,
    'ridge: a matrix is singular, so that the result is infinite or NaN',
  ),
];
