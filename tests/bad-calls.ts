// Calls that must fail, as JavaScript could make them: TypeScript would refuse most of them.
import { tl } from './setup/open.ts';

type Names =
  | keyof typeof tl
  | keyof typeof tl.nn
  | keyof typeof tl.nn.functional
  | keyof typeof tl.nn.init
  | keyof typeof tl.optim
  | keyof typeof tl.data
  | keyof typeof tl.linalg
  | keyof tl.Tensor
  | keyof tl.nn.Sequential
  | keyof tl.optim.SGD
  | keyof tl.data.StandardScaler
  | keyof tl.CustomContext
  | 'pullback';

/** The library without its types. */
export type Loose = ((...args: unknown[]) => Loose) &
  (new (
    ...args: unknown[]
  ) => Loose) & { [K in Exclude<Names, 'grad' | 'requiresGrad'>]: Loose } & { grad: Loose; requiresGrad: unknown };

export const js = tl as unknown as Loose;
export const x = (): Loose => js.ones([2, 3]);
export const i32 = { dtype: 'int32' };

export function gone(): Loose {
  const t = x();
  t.dispose();
  return t;
}

/** A call, the class of its error, and the beginning of its message, which names the op and what it was given. */
export interface BadCall {
  readonly run: () => unknown;
  readonly error: new (...args: never[]) => Error;
  readonly says: RegExp | string;
}

export const BAD_CALLS: readonly BadCall[] = [
  // Creation
  {
    run: () => js.zeros(3),
    error: tl.ShapeError,
    says: /^zeros: expected an array of numbers, such as \[2, 3\], got number 3/,
  },
  {
    run: () => js.zeros('3'),
    error: tl.ShapeError,
    says: /^zeros: expected an array of numbers, such as \[2, 3\], got string 3/,
  },
  {
    run: () => js.zeros(),
    error: tl.ShapeError,
    says: /^zeros: expected an array of numbers, such as \[2, 3\], got undefined/,
  },
  {
    run: () => js.zeros([NaN]),
    error: tl.ShapeError,
    says: /^zeros: \[NaN\] is no shape: sizes are whole numbers of at least 0/,
  },
  {
    run: () => js.zeros([1.5]),
    error: tl.ShapeError,
    says: /^zeros: \[1\.5\] is no shape: sizes are whole numbers of at least 0/,
  },
  {
    run: () => js.zeros([Infinity]),
    error: tl.ShapeError,
    says: /^zeros: \[Infinity\] is no shape: sizes are whole numbers of at least 0/,
  },
  {
    run: () => js.zeros([2 ** 30, 2 ** 30]),
    error: tl.ShapeError,
    says: /^zeros: \[1073741824, 1073741824\] has more elements than can be counted/,
  },
  {
    run: () => js.zeros(['2']),
    error: tl.ShapeError,
    says: /^zeros: \[2\] is no shape: sizes are whole numbers of at least 0/,
  },
  {
    run: () => js.zeros([1], null),
    error: tl.UnsupportedError,
    says: /^zeros: options are an object such as \{ dtype: … \}, got null/,
  },
  {
    run: () => js.zeros([1], 3),
    error: tl.UnsupportedError,
    says: /^zeros: options are an object such as \{ dtype: … \}, got number 3/,
  },
  {
    run: () => js.zeros([1], { requiresGrad: 'yes' }),
    error: tl.UnsupportedError,
    says: /^zeros: requiresGrad is string yes, but it must be true or false/,
  },
  {
    run: () => js.zeros([1], { device: 'cpu' }),
    error: tl.UnsupportedError,
    says: /^zeros: device must be a Device, as init\(\) and device\(\) give it/,
  },
  {
    run: () => js.zeros([1], { dtype: 'toString' }),
    error: tl.DTypeError,
    says: /^zeros: string toString is no dtype/,
  },
  { run: () => js.zeros([1], { dtype: 32 }), error: tl.DTypeError, says: /^zeros: number 32 is no dtype/ },
  {
    run: () => js.full([2]),
    error: tl.DTypeError,
    says: /^full: the value is undefined, but it must be a number or a boolean/,
  },
  {
    run: () => js.full([2], '1'),
    error: tl.DTypeError,
    says: /^full: the value is string 1, but it must be a number or a boolean/,
  },
  {
    run: () => js.full([2], NaN, i32),
    error: tl.DTypeError,
    says: /^full: element 0 is NaN, which int32 cannot hold \(-2147483648 to 2147483647\)/,
  },
  {
    run: () => js.full([2], x()),
    error: tl.DTypeError,
    says: /^full: the value is a Tensor, but it must be a number or a boolean/,
  },
  {
    run: () => js.eye(-1),
    error: tl.ShapeError,
    says: /^eye: \[-1, -1\] is no shape: sizes are whole numbers of at least 0/,
  },
  {
    run: () => js.eye(1.5),
    error: tl.ShapeError,
    says: /^eye: \[1\.5, 1\.5\] is no shape: sizes are whole numbers of at least 0/,
  },
  {
    run: () => js.eye('2'),
    error: tl.UnsupportedError,
    says: /^eye: options are an object such as \{ dtype: … \}, got string 2/,
  },
  { run: () => js.arange(0, 3, 0), error: tl.ShapeError, says: /^arange: steps of 0 do not lead from 0 to 3/ },
  { run: () => js.arange(3, 0), error: tl.ShapeError, says: /^arange: steps of 1 do not lead from 3 to 0/ },
  { run: () => js.arange(NaN), error: tl.DTypeError, says: /^arange: a bound is number NaN, but it must be a number/ },
  { run: () => js.arange(), error: tl.DTypeError, says: /^arange: the end is undefined, but it must be a number/ },
  { run: () => js.arange('3'), error: tl.DTypeError, says: /^arange: a bound is string 3, but it must be a number/ },
  {
    run: () => js.arange(0, Infinity),
    error: tl.ShapeError,
    says: /^arange: steps of 1 do not lead from 0 to Infinity/,
  },
  {
    run: () => js.linspace(0, 1, -1),
    error: tl.ShapeError,
    says: /^linspace: \[-1\] is no shape: sizes are whole numbers of at least 0/,
  },
  {
    run: () => js.linspace(0, 1),
    error: tl.ShapeError,
    says: /^linspace: \[\] is no shape: sizes are whole numbers of at least 0/,
  },
  {
    run: () => js.linspace(NaN, 1, 3, i32),
    error: tl.DTypeError,
    says: /^linspace: start is number NaN, but it must be a number/,
  },
  {
    run: () => js.linspace('a', 1, 3),
    error: tl.DTypeError,
    says: /^linspace: start is string a, but it must be a number/,
  },
  { run: () => js.rand([2], i32), error: tl.DTypeError, says: /^rand: gives float32 or float16, not int32/ },
  {
    run: () => js.randn(3),
    error: tl.ShapeError,
    says: /^randn: expected an array of numbers, such as \[2, 3\], got number 3/,
  },
  {
    run: () => js.randint(3, 1, [2]),
    error: tl.UnsupportedError,
    says: /^randint: bounds 3 and 1 must be whole, the second larger, and at most 2\^24 apart/,
  },
  {
    run: () => js.randint(0, 1.5, [2]),
    error: tl.UnsupportedError,
    says: /^randint: bounds 0 and 1\.5 must be whole, the second larger, and at most 2\^24 apart/,
  },
  {
    run: () => js.randint(0, 3),
    error: tl.ShapeError,
    says: /^rand: expected an array of numbers, such as \[2, 3\], got undefined/,
  },
  {
    run: () => js.randint(0, 2 ** 30, [2]),
    error: tl.UnsupportedError,
    says: /^randint: bounds 0 and 1073741824 must be whole, the second larger, and at most 2\^24 apart/,
  },
  { run: () => js.tensor(), error: tl.FormatError, says: /^tensor: element \(all\) is undefined/ },
  { run: () => js.tensor(null), error: tl.FormatError, says: /^tensor: null is no data/ },
  { run: () => js.tensor({}), error: tl.FormatError, says: /^tensor: an object is no data/ },
  { run: () => js.tensor('abc'), error: tl.FormatError, says: /^tensor: element \(all\) is string abc/ },
  { run: () => js.tensor(x()), error: tl.FormatError, says: /^tensor: a Tensor is no data/ },
  { run: () => js.tensor([1n]), error: tl.FormatError, says: /^tensor: element \[0\] is bigint 1/ },
  { run: () => js.tensor(new BigInt64Array(2)), error: tl.FormatError, says: /^tensor: a BigInt64Array is no data/ },
  {
    run: () => js.tensor(Object.assign([1], { length: 3 })),
    error: tl.FormatError,
    says: /^tensor: element \[1\] is undefined/,
  },
  { run: () => js.tensor(() => 1), error: tl.FormatError, says: /^tensor: element \(all\) is a function/ },
  { run: () => js.tensor(new Map()), error: tl.FormatError, says: /^tensor: a Map is no data/ },
  {
    run: () => js.tensor(new DataView(new ArrayBuffer(4))),
    error: tl.FormatError,
    says: /^tensor: a DataView is no data/,
  },
  { run: () => js.tensor(Promise.resolve(1)), error: tl.FormatError, says: /^tensor: a Promise is no data/ },
  { run: () => js.tensor([[1], [void 0]]), error: tl.FormatError, says: /^tensor: element \[1\]\[0\] is undefined/ },
  {
    run: () => js.tensor([1], { shape: 1 }),
    error: tl.ShapeError,
    says: /^tensor: expected an array of numbers, such as \[2, 3\], got number 1/,
  },
  {
    run: () => js.tensor([1], { shape: [-1] }),
    error: tl.ShapeError,
    says: /^tensor: \[-1\] is no shape: sizes are whole numbers of at least 0/,
  },
  {
    run: () => js.tensor([-1], { dtype: 'uint32' }),
    error: tl.DTypeError,
    says: /^tensor: element 0 is -1, which uint32 cannot hold \(0 to 4294967295\)/,
  },
  { run: () => js.tensor([x(), x()]), error: tl.FormatError, says: /^tensor: element \[0\] is a Tensor/ },
  { run: () => js.tensor([Symbol('a')]), error: tl.FormatError, says: /^tensor: element \[0\] is symbol Symbol\(a\)/ },
  {
    run: () => js.fromBuffer(new ArrayBuffer(3)),
    error: tl.FormatError,
    says: /^fromBuffer: 3 bytes are no whole number of float32 elements of 4 bytes/,
  },
  { run: () => js.fromBuffer([1, 2]), error: tl.FormatError, says: /^fromBuffer: an array is no ArrayBuffer/ },
  {
    run: () => js.fromBuffer(new ArrayBuffer(4), { dtype: 'f32' }),
    error: tl.DTypeError,
    says: /^fromBuffer: string f32 is no dtype/,
  },
  { run: () => js.fromBuffer(), error: tl.FormatError, says: /^fromBuffer: undefined is no ArrayBuffer/ },
  { run: () => js.zerosLike(3), error: tl.UnsupportedError, says: /^zerosLike: expected a tensor, got number 3/ },
  {
    run: () => js.zerosLike(x(), { dtypo: 1 }),
    error: tl.UnsupportedError,
    says: /^zerosLike: there is no option dtypo/,
  },
  {
    run: () => js.fullLike(x()),
    error: tl.DTypeError,
    says: /^fullLike: the value is undefined, but it must be a number or a boolean/,
  },
  { run: () => js.bernoulli(0.5), error: tl.UnsupportedError, says: /^bernoulli: expected a tensor, got number 0\.5/ },
  { run: () => js.manualSeed('a'), error: tl.DTypeError, says: /^manualSeed: a is no seed/ },
  { run: () => js.manualSeed(1.5), error: tl.DTypeError, says: /^manualSeed: 1\.5 is no seed/ },
  // Elementwise
  { run: () => x().add(), error: tl.UnsupportedError, says: /^add: expected a tensor or a number, got undefined/ },
  {
    run: () => js.add(void 0, x()),
    error: tl.UnsupportedError,
    says: /^add: expected a tensor or a number, got undefined/,
  },
  { run: () => x().add(null), error: tl.UnsupportedError, says: /^add: expected a tensor or a number, got null/ },
  {
    run: () => x().add(true),
    error: tl.UnsupportedError,
    says: /^add: expected a tensor or a number, got boolean true/,
  },
  {
    run: () => x().add([1, 2, 3]),
    error: tl.UnsupportedError,
    says: /^add: expected a tensor or a number, got an array/,
  },
  {
    run: () => x().add(Promise.resolve(x())),
    error: tl.UnsupportedError,
    says: /^add: expected a tensor or a number, got a Promise/,
  },
  { run: () => x().add(1, { alfa: 1 }), error: tl.UnsupportedError, says: /^add: there is no option alfa/ },
  { run: () => x().add(1, { alpha: '2' }), error: tl.DTypeError, says: /^add: option alpha is a number, got string 2/ },
  {
    run: () => x().add(1, 2),
    error: tl.UnsupportedError,
    says: /^add: options are an object such as \{ alpha: … \}, got number 2/,
  },
  { run: () => x().add(1n), error: tl.UnsupportedError, says: /^add: expected a tensor or a number, got bigint 1/ },
  { run: () => js.exp(1), error: tl.UnsupportedError, says: /^exp: at least one input must be a tensor/ },
  { run: () => js.exp(), error: tl.UnsupportedError, says: /^exp: expected a tensor or a number, got undefined/ },
  {
    run: () => js.where(1, x(), x()),
    error: tl.UnsupportedError,
    says: /^where: the condition must be a bool tensor, got a number/,
  },
  { run: () => js.where(x(), x(), x()), error: tl.DTypeError, says: /^where: the condition must be bool, got float32/ },
  {
    run: () => js.where(x().gt(0), x()),
    error: tl.UnsupportedError,
    says: /^where: expected a tensor or a number, got undefined/,
  },
  {
    run: () => js.where(x().gt(0), 'a', 1),
    error: tl.UnsupportedError,
    says: /^where: expected a tensor or a number, got string a/,
  },
  {
    run: () => js.where(true, x(), x()),
    error: tl.UnsupportedError,
    says: /^where: expected a tensor or a number, got boolean true/,
  },
  {
    run: () => x().clamp(),
    error: tl.UnsupportedError,
    says: /^clamp: options are an object such as \{ min: … \}, got undefined/,
  },
  { run: () => x().clamp({}), error: tl.UnsupportedError, says: /^clamp: neither min nor max is given/ },
  {
    run: () => x().clamp(0, 1),
    error: tl.UnsupportedError,
    says: /^clamp: options are an object such as \{ min: … \}, got number 0/,
  },
  {
    run: () => x().clamp({ min: 'a' }),
    error: tl.UnsupportedError,
    says: /^clamp: expected a tensor or a number, got string a/,
  },
  {
    run: () => x().clamp({ min: js.ones([4]) }),
    error: tl.ShapeError,
    says: /^clamp: shapes \[2, 3\] and \[4\] do not broadcast: dimension 1 is 3 in one and 4 in the/,
  },
  { run: () => x().pow(), error: tl.UnsupportedError, says: /^pow: expected a tensor or a number, got undefined/ },
  { run: () => x().pow('2'), error: tl.UnsupportedError, says: /^pow: expected a tensor or a number, got string 2/ },
  {
    run: () => x().div(2, { roundingMode: 'up' }),
    error: tl.UnsupportedError,
    says: /^div: no rounding mode string up/,
  },
  { run: () => x().bitwiseAnd(1), error: tl.DTypeError, says: /^bitwiseAnd: float32 tensors have no bitwise ops/ },
  { run: () => x().lerp(x()), error: tl.UnsupportedError, says: /^lerp: expected a tensor or a number, got undefined/ },
  { run: () => x().to('float64'), error: tl.DTypeError, says: /^to: string float64 is neither a dtype nor a/ },
  { run: () => x().to(), error: tl.DTypeError, says: /^to: undefined is neither a dtype nor a device/ },
  { run: () => x().to({}), error: tl.DTypeError, says: /^to: an object is neither a dtype nor a device/ },
  { run: () => js.cast(x(), 'f'), error: tl.DTypeError, says: /^to: string f is no dtype/ },
  {
    run: () => x().gelu({ approximate: 'erf' }),
    error: tl.UnsupportedError,
    says: /^gelu: no approximation string erf/,
  },
  {
    run: () => x().leakyRelu('a'),
    error: tl.UnsupportedError,
    says: /^leakyRelu: options are an object such as \{ negativeSlope: … \}, got string a/,
  },
  {
    run: () => x().leakyRelu(0.1),
    error: tl.UnsupportedError,
    says: /^leakyRelu: options are an object such as \{ negativeSlope: … \}, got number 0\.1/,
  },
  { run: () => x().gt(0).neg(), error: tl.DTypeError, says: /^neg: bool tensors have no neg/ },
  { run: () => x().gt(0).sub(x().gt(0)), error: tl.DTypeError, says: /^sub: bool tensors have no sub/ },
  { run: () => js.bitwiseNot(x()), error: tl.DTypeError, says: /^bitwiseNot: float32 tensors have no bitwise ops/ },
  {
    run: () => js.ones([1], i32).lt(js.ones([1], { dtype: 'uint32' })),
    error: tl.DTypeError,
    says: /^lt: int32 and uint32 have no common dtype/,
  },
  // Reductions
  { run: () => x().sum({ dim: '0' }), error: tl.IndexError, says: /^sum: string 0 names no dims/ },
  {
    run: () => x().sum(0),
    error: tl.UnsupportedError,
    says: /^sum: options are an object such as \{ dim: … \}, got number 0/,
  },
  {
    run: () => x().sum({ dim: NaN }),
    error: tl.IndexError,
    says: /^sum: dim NaN is out of range for a tensor of 2 dimensions/,
  },
  {
    run: () => x().sum({ dim: 1.5 }),
    error: tl.IndexError,
    says: /^sum: dim 1\.5 is out of range for a tensor of 2 dimensions/,
  },
  {
    run: () => x().sum(null),
    error: tl.UnsupportedError,
    says: /^sum: options are an object such as \{ dim: … \}, got null/,
  },
  { run: () => x().sum({ keepdim: true }), error: tl.UnsupportedError, says: /^sum: there is no option keepdim/ },
  { run: () => x().sum({ dim: {} }), error: tl.IndexError, says: /^sum: an object names no dims/ },
  {
    run: () => x().sum({ dim: ['0'] }),
    error: tl.IndexError,
    says: /^sum: dim string 0 is out of range for a tensor of 2 dimensions/,
  },
  { run: () => js.sum(3), error: tl.UnsupportedError, says: /^sum: expected a tensor, got number 3/ },
  { run: () => js.mean(), error: tl.UnsupportedError, says: /^mean: expected a tensor, got undefined/ },
  {
    run: () => x().argmax({ dim: [0] }),
    error: tl.IndexError,
    says: /^argmax: dim an array is out of range for a tensor of 2 dimensions/,
  },
  {
    run: () => x().argmax(1),
    error: tl.UnsupportedError,
    says: /^argmax: options are an object such as \{ dim: … \}, got number 1/,
  },
  {
    run: () => js.zeros([0]).argmax(),
    error: tl.ShapeError,
    says: /^argmax: \[0\] has no elements along the reduced dims, and argmax of nothing is undefined/,
  },
  {
    run: () => x().max(1),
    error: tl.UnsupportedError,
    says: /^max: options are an object such as \{ dim: … \}, got number 1/,
  },
  {
    run: () => x().max(x()),
    error: tl.UnsupportedError,
    says: /^max: options are an object such as \{ dim: … \}, got a Tensor/,
  },
  {
    run: () => x().max({ keepDim: true }),
    error: tl.IndexError,
    says: /^max: dim undefined is out of range for a tensor of 2 dimensions/,
  },
  { run: () => x().max({ dim: 0, keep: true }), error: tl.UnsupportedError, says: /^max: there is no option keep/ },
  {
    run: () => x().max({ dim: [0] }),
    error: tl.IndexError,
    says: /^max: dim an array is out of range for a tensor of 2 dimensions/,
  },
  {
    run: () => x().max({ dim: 5 }),
    error: tl.IndexError,
    says: /^max: dim 5 is out of range for a tensor of 2 dimensions/,
  },
  {
    run: () => x().softmax(),
    error: tl.IndexError,
    says: /^softmax: dim undefined is out of range for a tensor of 2 dimensions/,
  },
  {
    run: () => x().softmax({ dim: 1 }),
    error: tl.IndexError,
    says: /^softmax: dim an object is out of range for a tensor of 2 dimensions/,
  },
  {
    run: () => js.ones([2], i32).softmax(0),
    error: tl.DTypeError,
    says: /^softmax: needs a floating tensor, got int32/,
  },
  {
    run: () => x().softmax(2),
    error: tl.IndexError,
    says: /^softmax: dim 2 is out of range for a tensor of 2 dimensions/,
  },
  {
    run: () => x().logSoftmax(),
    error: tl.IndexError,
    says: /^logSoftmax: dim undefined is out of range for a tensor of 2 dimensions/,
  },
  {
    run: () => x().var({ correction: 'a' }),
    error: tl.DTypeError,
    says: /^var: correction is string a, but it must be a number/,
  },
  { run: () => x().var({ unbiased: true }), error: tl.UnsupportedError, says: /^var: there is no option unbiased/ },
  { run: () => js.ones([2], i32).std(), error: tl.DTypeError, says: /^std: needs a floating tensor, got int32/ },
  {
    run: () => x().logsumexp(1),
    error: tl.UnsupportedError,
    says: /^logsumexp: options are an object such as \{ dim: … \}, got number 1/,
  },
  {
    run: () => x().amax(0),
    error: tl.UnsupportedError,
    says: /^amax: options are an object such as \{ dim: … \}, got number 0/,
  },
  // Movement
  {
    run: () => x().reshape(6),
    error: tl.ShapeError,
    says: /^reshape: expected an array of numbers, such as \[2, 3\], got number 6/,
  },
  {
    run: () => x().reshape(),
    error: tl.ShapeError,
    says: /^reshape: expected an array of numbers, such as \[2, 3\], got undefined/,
  },
  {
    run: () => x().reshape([-1, -1]),
    error: tl.UnsupportedError,
    says: /^reshape: 6 elements do not fit into \[-1, -1\]/,
  },
  {
    run: () => x().reshape([-2, -3]),
    error: tl.ShapeError,
    says: /^reshape: \[-2, -3\] is no shape: sizes are whole numbers of at least 0/,
  },
  {
    run: () => x().reshape([1.5, 4]),
    error: tl.ShapeError,
    says: /^reshape: \[1\.5, 4\] is no shape: sizes are whole numbers of at least 0/,
  },
  {
    run: () => x().reshape(['6']),
    error: tl.ShapeError,
    says: /^reshape: \[6\] is no shape: sizes are whole numbers of at least 0/,
  },
  {
    run: () => x().reshape([-1, 4]),
    error: tl.UnsupportedError,
    says: /^reshape: 6 elements do not fit into \[-1, 4\]/,
  },
  {
    run: () => x().reshape([NaN]),
    error: tl.ShapeError,
    says: /^reshape: \[NaN\] is no shape: sizes are whole numbers of at least 0/,
  },
  {
    run: () => x().permute(),
    error: tl.ShapeError,
    says: /^permute: expected an array of numbers, such as \[2, 3\], got undefined/,
  },
  {
    run: () => x().permute(1, 0),
    error: tl.ShapeError,
    says: /^permute: expected an array of numbers, such as \[2, 3\], got number 1/,
  },
  {
    run: () => x().permute([0, 0]),
    error: tl.ShapeError,
    says: /^permute: \[0, 0\] is no order of the 2 dims of \[2, 3\]/,
  },
  { run: () => x().permute([0]), error: tl.ShapeError, says: /^permute: \[0\] is no order of the 2 dims of \[2, 3\]/ },
  {
    run: () => x().permute([0, 2]),
    error: tl.IndexError,
    says: /^permute: dim 2 is out of range for a tensor of 2 dimensions/,
  },
  {
    run: () => x().transpose(),
    error: tl.IndexError,
    says: /^transpose: dim undefined is out of range for a tensor of 2 dimensions/,
  },
  {
    run: () => x().transpose(0, 2),
    error: tl.IndexError,
    says: /^transpose: dim 2 is out of range for a tensor of 2 dimensions/,
  },
  { run: () => js.ones([1, 1, 1]).t(), error: tl.ShapeError, says: /^t: expects at most 2 dims, got \[1, 1, 1\]/ },
  {
    run: () => x().expand(2),
    error: tl.ShapeError,
    says: /^expand: expected an array of numbers, such as \[2, 3\], got number 2/,
  },
  { run: () => x().expand([3]), error: tl.ShapeError, says: /^expand: \[2, 3\] does not expand to \[3\]/ },
  {
    run: () => x().expand([-1, 2, 3]),
    error: tl.ShapeError,
    says: /^expand: \[-1, 2, 3\] is no shape: sizes are whole numbers of at least 0/,
  },
  {
    run: () => x().unsqueeze(),
    error: tl.IndexError,
    says: /^unsqueeze: dim undefined is out of range for a tensor of 3 dimensions/,
  },
  {
    run: () => x().unsqueeze(3),
    error: tl.IndexError,
    says: /^unsqueeze: dim 3 is out of range for a tensor of 3 dimensions/,
  },
  {
    run: () => x().squeeze(2),
    error: tl.IndexError,
    says: /^squeeze: dim 2 is out of range for a tensor of 2 dimensions/,
  },
  { run: () => x().squeeze('0'), error: tl.IndexError, says: /^squeeze: string 0 names no dims/ },
  { run: () => x().flatten(1, 0), error: tl.ShapeError, says: /^flatten: startDim 1 comes after endDim 0 in \[2, 3\]/ },
  {
    run: () => x().flatten(0, 2),
    error: tl.IndexError,
    says: /^flatten: dim 2 is out of range for a tensor of 2 dimensions/,
  },
  {
    run: () => x().flatten({ startDim: 1 }),
    error: tl.IndexError,
    says: /^flatten: dim an object is out of range for a tensor of 2 dimensions/,
  },
  {
    run: () => x().movedim([0, 1], [0]),
    error: tl.ShapeError,
    says: /^movedim: \[0, 1\] and \[0\] must name as many dims, each once/,
  },
  {
    run: () => x().movedim(0),
    error: tl.ShapeError,
    says: /^movedim: expected an array of numbers, such as \[2, 3\], got undefined/,
  },
  {
    run: () => x().slice(0, 0, 2, 0),
    error: tl.IndexError,
    says: /^slice: step 0 must be a whole number of at least 1/,
  },
  {
    run: () => x().slice(0, 0, 2, -1),
    error: tl.IndexError,
    says: /^slice: step -1 must be a whole number of at least 1/,
  },
  {
    run: () => x().slice(0, NaN),
    error: tl.IndexError,
    says: /^slice: bounds number NaN and number Infinity must be whole numbers/,
  },
  {
    run: () => x().slice(),
    error: tl.IndexError,
    says: /^slice: dim undefined is out of range for a tensor of 2 dimensions/,
  },
  {
    run: () => x().slice(0, '1'),
    error: tl.IndexError,
    says: /^slice: bounds string 1 and number Infinity must be whole numbers/,
  },
  { run: () => x().slice(2), error: tl.IndexError, says: /^slice: dim 2 is out of range for a tensor of 2 dimensions/ },
  {
    run: () => x().narrow(0, 1, 2),
    error: tl.IndexError,
    says: /^narrow: 2 elements from 1 on do not fit into dim 0 of \[2, 3\]/,
  },
  {
    run: () => x().narrow(0, 0.5, 1),
    error: tl.IndexError,
    says: /^narrow: 1 elements from 0\.5 on do not fit into dim 0 of \[2, 3\]/,
  },
  {
    run: () => x().narrow(0),
    error: tl.IndexError,
    says: /^narrow: undefined elements from undefined on do not fit into dim 0 of \[2, 3\]/,
  },
  {
    run: () => x().narrow(0, 0, -1),
    error: tl.IndexError,
    says: /^narrow: -1 elements from 0 on do not fit into dim 0 of \[2, 3\]/,
  },
  {
    run: () => x().select(0, 0.5),
    error: tl.IndexError,
    says: /^select: index 0\.5 is out of range for dim 0 of \[2, 3\]/,
  },
  {
    run: () => x().select(1, -4),
    error: tl.IndexError,
    says: /^select: index -4 is out of range for dim 1 of \[2, 3\]/,
  },
  {
    run: () => x().select(0),
    error: tl.IndexError,
    says: /^select: index undefined is out of range for dim 0 of \[2, 3\]/,
  },
  {
    run: () => js.tensor(1).select(0, 0),
    error: tl.IndexError,
    says: /^select: index 0 is out of range for dim 0 of \[\]/,
  },
  {
    run: () => x().diagonal(0, 1, 1),
    error: tl.ShapeError,
    says: /^diagonal: dims 1 and 1 of \[2, 3\] must be two different ones/,
  },
  {
    run: () => js.ones([3]).diagonal(),
    error: tl.IndexError,
    says: /^diagonal: dim 1 is out of range for a tensor of 1 dimensions/,
  },
  { run: () => x().diagonal(0.5), error: tl.IndexError, says: /^diagonal: offset number 0\.5 must be a whole number/ },
  {
    run: () => x().unbind(2),
    error: tl.IndexError,
    says: /^unbind: dim 2 is out of range for a tensor of 2 dimensions/,
  },
  { run: () => js.tensor(1).unbind(), error: tl.IndexError, says: /^unbind: a scalar has no dims/ },
  { run: () => x().split(0), error: tl.ShapeError, says: /^split: size 0 must be a whole number of at least 1/ },
  {
    run: () => x().split([1, 2], 0),
    error: tl.ShapeError,
    says: /^split: sizes \[1, 2\] must be whole numbers that add up to 2, the size of dim 0 of \[2, 3\]/,
  },
  {
    run: () => x().split([-1, 3], 0),
    error: tl.ShapeError,
    says: /^split: sizes \[-1, 3\] must be whole numbers that add up to 2, the size of dim 0 of \[2, 3\]/,
  },
  {
    run: () => x().split(),
    error: tl.ShapeError,
    says: /^split: expected an array of numbers, such as \[2, 3\], got undefined/,
  },
  {
    run: () => x().split('1'),
    error: tl.ShapeError,
    says: /^split: expected an array of numbers, such as \[2, 3\], got string 1/,
  },
  { run: () => x().chunk(0), error: tl.ShapeError, says: /^chunk: 0 chunks asked for/ },
  { run: () => x().chunk(1.5), error: tl.ShapeError, says: /^chunk: 1\.5 chunks asked for/ },
  {
    run: () => x().broadcastTo([2, 4]),
    error: tl.ShapeError,
    says: /^expand: shapes \[2, 3\] and \[2, 4\] do not broadcast: dimension 1 is 3 in one and 4 in the/,
  },
  { run: () => x().expandAs([2, 3]), error: tl.UnsupportedError, says: /^expandAs: expected a tensor, got an array/ },
  { run: () => js.contiguous(1), error: tl.UnsupportedError, says: /^contiguous: expected a tensor, got number 1/ },
  // Joins and indexing
  { run: () => js.cat(x()), error: tl.UnsupportedError, says: /^cat: expected an array of tensors, got a Tensor/ },
  { run: () => js.cat([1, 2]), error: tl.UnsupportedError, says: /^cat: expected a tensor, got number 1/ },
  {
    run: () => js.cat([x(), x()], 2),
    error: tl.IndexError,
    says: /^cat: dim 2 is out of range for a tensor of 2 dimensions/,
  },
  {
    run: () => js.cat([x(), js.ones([3])]),
    error: tl.ShapeError,
    says: /^cat: shapes \[2, 3\] and \[3\] differ in a dim other than 0, along which they are joined/,
  },
  {
    run: () => js.cat([js.tensor(1), js.tensor(2)]),
    error: tl.ShapeError,
    says: /^cat: scalars have no dim to join along/,
  },
  {
    run: () => js.cat([x()], { dim: 1 }),
    error: tl.IndexError,
    says: /^cat: dim an object is out of range for a tensor of 2 dimensions/,
  },
  { run: () => js.cat(), error: tl.UnsupportedError, says: /^cat: expected an array of tensors, got undefined/ },
  { run: () => js.cat(x(), x()), error: tl.UnsupportedError, says: /^cat: expected an array of tensors, got a Tensor/ },
  {
    run: () => js.stack([x(), js.ones([2, 2])]),
    error: tl.ShapeError,
    says: /^cat: shapes \[1, 2, 3\] and \[1, 2, 2\] differ in a dim other than 0, along which they are joined/,
  },
  { run: () => js.stack([]), error: tl.UnsupportedError, says: /^stack: the list is empty/ },
  {
    run: () => js.stack([x()], 3),
    error: tl.IndexError,
    says: /^stack: dim 3 is out of range for a tensor of 3 dimensions/,
  },
  { run: () => js.stack([1]), error: tl.UnsupportedError, says: /^stack: expected a tensor, got number 1/ },
  { run: () => js.stack(), error: tl.UnsupportedError, says: /^stack: expected an array of tensors, got undefined/ },
  {
    run: () => x().gather(0, js.zeros([2], i32)),
    error: tl.ShapeError,
    says: /^gather: indices \[2\] must have the 2 dims of the input \[2, 3\], none larger but dim 0/,
  },
  {
    run: () => x().gather(2, js.zeros([1, 1], i32)),
    error: tl.IndexError,
    says: /^gather: dim 2 is out of range for a tensor of 2 dimensions/,
  },
  { run: () => x().gather(0, 1), error: tl.UnsupportedError, says: /^gather: expected a tensor, got number 1/ },
  {
    run: () => x().gather(0, [[0]]),
    error: tl.UnsupportedError,
    says: /^gather: expected a tensor, got an array/,
  },
  {
    run: () => x().gather(0, js.zeros([1, 4], i32)),
    error: tl.ShapeError,
    says: /^gather: indices \[1, 4\] must have the 2 dims of the input \[2, 3\], none larger but dim 0/,
  },
  { run: () => x().gather(0, x().gt(0)), error: tl.DTypeError, says: /^gather: indices must be int32, got bool/ },
  {
    run: () => x().indexSelect(0, js.zeros([1, 1], i32)),
    error: tl.ShapeError,
    says: /^indexSelect: indices must have one dim, got \[1, 1\]/,
  },
  {
    run: () => x().indexSelect(0, [0]),
    error: tl.UnsupportedError,
    says: /^indexSelect: expected a tensor, got an array/,
  },
  {
    run: () => x().indexSelect(0, js.zeros([1])),
    error: tl.DTypeError,
    says: /^indexSelect: indices must be int32, got float32/,
  },
  {
    run: () => x().indexSelect(2, js.zeros([1], i32)),
    error: tl.IndexError,
    says: /^indexSelect: dim 2 is out of range for a tensor of 2 dimensions/,
  },
  {
    run: () => js.tensor(1).indexSelect(0, js.zeros([1], i32)),
    error: tl.IndexError,
    says: /^indexSelect: a scalar has no dims to select from/,
  },
  { run: () => x().indexSelect(0), error: tl.UnsupportedError, says: /^indexSelect: expected a tensor, got undefined/ },
  // Matrices
  { run: () => x().matmul(2), error: tl.UnsupportedError, says: /^matmul: expected a tensor, got number 2/ },
  { run: () => x().matmul(), error: tl.UnsupportedError, says: /^matmul: expected a tensor, got undefined/ },
  {
    run: () => js.ones([2, 2, 3]).matmul(js.ones([3, 3, 2])),
    error: tl.ShapeError,
    says: /^matmul: shapes \[2\] and \[3\] do not broadcast: dimension 0 is 2 in one and 3 in the/,
  },
  {
    run: () => js.ones([3]).matmul(js.ones([2])),
    error: tl.ShapeError,
    says: /^matmul: shapes \[3\] and \[2\] do not multiply: the last dim of the first \(3\) must equal the only dim of the/,
  },
  {
    run: () => x().bmm(x()),
    error: tl.ShapeError,
    says: /^bmm: shapes \[2, 3\] and \[2, 3\] do not multiply: both must have three dims and the same batch size/,
  },
  {
    run: () => js.ones([2, 1, 1]).bmm(js.ones([3, 1, 1])),
    error: tl.ShapeError,
    says: /^bmm: shapes \[2, 1, 1\] and \[3, 1, 1\] do not multiply: both must have three dims and the same batch size/,
  },
  { run: () => x().bmm(1), error: tl.UnsupportedError, says: /^bmm: expected a tensor, got number 1/ },
  {
    run: () => x().dot(x()),
    error: tl.ShapeError,
    says: /^dot: shapes \[2, 3\] and \[2, 3\] do not multiply: both must be vectors/,
  },
  {
    run: () => js.ones([2]).dot(js.ones([3])),
    error: tl.ShapeError,
    says: /^matmul: shapes \[2\] and \[3\] do not multiply: the last dim of the first \(2\) must equal the only dim of the/,
  },
  { run: () => x().dot(1), error: tl.UnsupportedError, says: /^dot: expected a tensor, got number 1/ },
  {
    run: () => x().outer(x()),
    error: tl.ShapeError,
    says: /^outer: shapes \[2, 3\] and \[2, 3\] do not multiply: both must be vectors/,
  },
  {
    run: () => x().addmm(x(), x()),
    error: tl.ShapeError,
    says: /^matmul: shapes \[2, 3\] and \[2, 3\] do not multiply: the last dim of the first \(3\) must equal the second-last/,
  },
  {
    run: () => js.addmm(x(), js.ones([2, 2]), x(), { gamma: 1 }),
    error: tl.UnsupportedError,
    says: /^addmm: there is no option gamma/,
  },
  {
    run: () => js.addmm(x(), js.ones([2, 2]), x(), { alpha: 'x' }),
    error: tl.DTypeError,
    says: /^addmm: option alpha is a number, got string x/,
  },
  {
    run: () => js.linear(x(), js.ones([4, 2])),
    error: tl.ShapeError,
    says: /^matmul: shapes \[2, 3\] and \[2, 4\] do not multiply: the last dim of the first \(3\) must equal the second-last/,
  },
  {
    run: () => js.linear(x(), js.ones([4, 3]), js.ones([3])),
    error: tl.ShapeError,
    says: /^add: shapes \[2, 4\] and \[3\] do not broadcast: dimension 1 is 4 in one and 3 in the/,
  },
  { run: () => js.linear(x(), 2), error: tl.UnsupportedError, says: /^linear: expected a tensor, got number 2/ },
  {
    run: () => js.linear(x(), js.ones([1, 4, 3])),
    error: tl.ShapeError,
    says: /^matmul: shapes \[2, 3\] and \[4, 1, 3\] do not multiply: the last dim of the first \(3\) must equal the second-last/,
  },
  {
    run: () => js.ones([1, 1], i32).matmul(js.ones([1, 1], { dtype: 'uint32' })),
    error: tl.DTypeError,
    says: /^matmul: int32 and uint32 have no common dtype/,
  },
  // In place
  {
    run: () => x().assign_('a'),
    error: tl.UnsupportedError,
    says: /^assign_: expected a tensor or a number, got string a/,
  },
  {
    run: () => x().assign_(),
    error: tl.UnsupportedError,
    says: /^assign_: expected a tensor or a number, got undefined/,
  },
  {
    run: () => js.ones([2], i32).assign_(NaN),
    error: tl.DTypeError,
    says: /^assign_: NaN does not fit into int32 \(-2147483648 to 2147483647\)/,
  },
  {
    run: () => js.ones([2], i32).assign_(2 ** 31),
    error: tl.DTypeError,
    says: /^assign_: 2147483648 does not fit into int32 \(-2147483648 to/,
  },
  {
    run: () => js.ones([2], { requiresGrad: true }).assign_(1),
    error: tl.UnsupportedError,
    says: /^assign_: the tensor is a leaf that requires a gradient/,
  },
  {
    run: () => js.ones([3]).add_(x()),
    error: tl.ShapeError,
    says: /^assign_: a value of shape \[2, 3\] does not broadcast to \[3\]/,
  },
  {
    run: () => js.ones([2], i32).add_(1.5),
    error: tl.DTypeError,
    says: /^assign_: a float32 value does not fit into int32 without loss/,
  },
  {
    run: () => js.ones([2], i32).div_(2),
    error: tl.DTypeError,
    says: /^assign_: a float32 value does not fit into int32 without loss/,
  },
  {
    run: () => x().fill_('a'),
    error: tl.UnsupportedError,
    says: /^assign_: expected a tensor or a number, got string a/,
  },
  {
    run: () => x().fill_(),
    error: tl.UnsupportedError,
    says: /^assign_: expected a tensor or a number, got undefined/,
  },
  { run: () => x().mul_(), error: tl.UnsupportedError, says: /^mul: expected a tensor or a number, got undefined/ },
  // Autograd
  {
    run: () => x().backward(),
    error: tl.UnsupportedError,
    says: /^backward: the tensor of shape \[2, 3\] depends on nothing that requires a/,
  },
  {
    run: () => js.backward(js.ones([], { requiresGrad: true }).mul(1), { retain: true }),
    error: tl.UnsupportedError,
    says: /^backward: there is no option retain/,
  },
  {
    run: () =>
      js
        .ones([2], { requiresGrad: true })
        .mul(1)
        .backward({ gradient: js.ones([3]) }),
    error: tl.UnsupportedError,
    says: /^backward: the gradient has shape \[3\], the output \[2\]/,
  },
  {
    run: () => js.ones([2], { requiresGrad: true }).mul(1).backward({ gradient: 1 }),
    error: tl.UnsupportedError,
    says: /^backward: expected a tensor, got number 1/,
  },
  {
    run: () =>
      js
        .ones([2], { requiresGrad: true })
        .mul(1)
        .backward({ gradient: [1, 1] }),
    error: tl.UnsupportedError,
    says: /^backward: expected a tensor, got an array/,
  },
  {
    run: () => {
      const y = js.ones([], { requiresGrad: true }).exp();
      y.backward();
      y.backward();
    },
    error: tl.UnsupportedError,
    says: /^backward: the graph through exp was used before and has let go of what it/,
  },
  {
    run: () =>
      js
        .ones([2], { requiresGrad: true })
        .mul(1)
        .backward(js.ones([2])),
    error: tl.UnsupportedError,
    says: /^backward: options are an object such as \{ gradient: … \}, got a Tensor/,
  },
  { run: () => js.backward(1), error: tl.UnsupportedError, says: /^backward: expected a tensor, got number 1/ },
  {
    run: () => js.grad([js.ones([], { requiresGrad: true }).mul(1)], [js.ones([], { requiresGrad: true })]),
    error: tl.UnsupportedError,
    says: /^grad: the outputs do not depend on an input of shape \[\]/,
  },
  {
    run: () => js.grad(x(), x()),
    error: tl.UnsupportedError,
    says: /^grad: expected arrays of outputs and of inputs, got a Tensor/,
  },
  {
    run: () => js.grad([js.ones([], { requiresGrad: true }).mul(1)]),
    error: tl.UnsupportedError,
    says: /^grad: expected arrays of outputs and of inputs, got undefined/,
  },
  {
    run: () => js.grad([js.ones([], { requiresGrad: true }).mul(1)], [x()]),
    error: tl.UnsupportedError,
    says: /^grad: an input of shape \[2, 3\] does not require a gradient/,
  },
  {
    run: () => js.grad([js.ones([], { requiresGrad: true }).mul(1)], [], { create: 1 }),
    error: tl.UnsupportedError,
    says: /^grad: there is no option create/,
  },
  {
    run: () => js.grad([1], [x()]),
    error: tl.UnsupportedError,
    says: /^grad: an input of shape \[2, 3\] does not require a gradient/,
  },
  {
    run: () => js.grad(() => 3)(x()),
    error: tl.UnsupportedError,
    says: /^grad: the function returned number 3; it must return a tensor/,
  },
  {
    run: () => js.grad((a: Loose) => a.sum())(3),
    error: tl.UnsupportedError,
    says: /^grad: input 0 is number 3; inputs are tensors/,
  },
  {
    run: () => js.grad((a: Loose) => a.mul(2))(x()),
    error: tl.UnsupportedError,
    says: /^grad: the function must return one scalar, got a tensor of shape \[2, 3\]; reduce it with sum\(\)/,
  },
  {
    run: () => js.grad((a: Loose) => a.sum())(js.ones([2], i32)),
    error: tl.DTypeError,
    says: /^grad: input 0 is int32, but only floating tensors have gradients; convert it/,
  },
  {
    run: () => js.valueAndGrad(3)(x()),
    error: tl.UnsupportedError,
    says: /^valueAndGrad: expected a function, got number 3/,
  },
  {
    run: () => {
      js.ones([1], i32).requiresGrad = true;
    },
    error: tl.DTypeError,
    says: /^requiresGrad: only floating tensors have gradients, this one is int32/,
  },
  {
    run: () => {
      js.ones([1], { requiresGrad: true }).mul(2).requiresGrad = false;
    },
    error: tl.UnsupportedError,
    says: /^requiresGrad: the tensor is the result of an op/,
  },
  {
    run: () => {
      js.ones([1]).grad = js.ones([1]);
    },
    error: tl.UnsupportedError,
    says: /^grad: the tensor keeps no gradient/,
  },
  {
    run: () => {
      const a = js.ones([1], { requiresGrad: true });
      a.grad = js.ones([3]);
    },
    error: tl.ShapeError,
    says: /^grad: a gradient of shape \[3\] does not fit a tensor of shape \[1\]/,
  },
  {
    run: () => {
      const a = js.ones([1], { requiresGrad: true });
      Object.assign(a, { grad: 3 });
    },
    error: tl.UnsupportedError,
    says: /^grad: expected a tensor or null, got number 3/,
  },
  { run: () => x().retainGrad(), error: tl.UnsupportedError, says: /^retainGrad: the tensor requires no gradient/ },
  {
    run: () => x().registerHook(() => void 0),
    error: tl.UnsupportedError,
    says: /^registerHook: the tensor requires no gradient/,
  },
  {
    run: () => js.ones([1], { requiresGrad: true }).registerHook(3),
    error: tl.UnsupportedError,
    says: /^registerHook: expected a function, got number 3/,
  },
  {
    run: () => {
      const a = js.ones([], { requiresGrad: true }).mul(1);
      a.registerHook(() => 3);
      a.backward();
    },
    error: tl.UnsupportedError,
    says: /^registerHook: the hook returned number 3; it returns a tensor to go on with/,
  },
  {
    run: () => {
      const a = js.ones([], { requiresGrad: true }).mul(1);
      a.registerHook(() => js.ones([3]));
      a.backward();
    },
    error: tl.ShapeError,
    says: /^registerHook: the hook returned Tensor\(shape \[3\].* for a gradient of shape \[\] and dtype float32/,
  },
  { run: () => js.noGrad(3), error: tl.UnsupportedError, says: /^noGrad: expected a function, got number 3/ },
  {
    run: () => js.noGrad(async () => 1),
    error: tl.UnsupportedError,
    says: /^noGrad: the function returned a promise, but recording goes on when the function/,
  },
  { run: () => js.detach(3), error: tl.UnsupportedError, says: /^detach: expected a tensor, got number 3/ },
  // Scopes and devices
  {
    run: () => js.tidy(async () => 1),
    error: tl.UnsupportedError,
    says: /^tidy: the function returned a promise, but a scope ends when the function/,
  },
  { run: () => js.tidy(3), error: tl.UnsupportedError, says: /^tidy: expected a function, got number 3/ },
  { run: () => js.tidy(), error: tl.UnsupportedError, says: /^tidy: expected a function, got undefined/ },
  { run: () => js.keep(3), error: tl.UnsupportedError, says: /^keep: expected a tensor, got number 3/ },
  { run: () => js.keep(gone()), error: tl.DisposedError, says: /^keep: the tensor is disposed already/ },
  { run: () => js.explain(3), error: tl.UnsupportedError, says: /^explain: expected a tensor, got number 3/ },
  {
    run: () => js.explain(gone()),
    error: tl.DisposedError,
    says: /^explain: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
  // Losses and modules
  {
    run: () => js.mseLoss(x(), js.ones([3, 2])),
    error: tl.ShapeError,
    says: /^mseLoss: input \[2, 3\] and target \[3, 2\] must have the same shape/,
  },
  { run: () => js.mseLoss(x(), 1), error: tl.UnsupportedError, says: /^mseLoss: expected a tensor, got number 1/ },
  { run: () => js.mseLoss(x()), error: tl.UnsupportedError, says: /^mseLoss: expected a tensor, got undefined/ },
  {
    run: () => js.binaryCrossEntropyWithLogits(x(), js.ones([2])),
    error: tl.ShapeError,
    says: /^binaryCrossEntropyWithLogits: input \[2, 3\] and target \[2\] must have the same shape/,
  },
  {
    run: () => js.binaryCrossEntropyWithLogits(x(), x(), { posweight: 1 }),
    error: tl.UnsupportedError,
    says: /^binaryCrossEntropyWithLogits: there is no option posweight/,
  },
  {
    run: () => js.binaryCrossEntropyWithLogits(x(), x(), { posWeight: js.ones([4]) }),
    error: tl.ShapeError,
    says: /^mul: shapes \[4\] and \[2, 3\] do not broadcast: dimension 1 is 4 in one and 3 in the/,
  },
  {
    run: () => js.crossEntropy(js.tensor(1), js.tensor(0, i32)),
    error: tl.ShapeError,
    says: /^crossEntropy: the logits are a scalar/,
  },
  {
    run: () => js.crossEntropy(x(), js.zeros([2], i32), { weight: js.ones([2]) }),
    error: tl.ShapeError,
    says: /^crossEntropy: a weight of shape \[2\] does not fit 3 classes/,
  },
  {
    run: () => js.crossEntropy(x(), js.zeros([2], i32), { weight: 2 }),
    error: tl.UnsupportedError,
    says: /^crossEntropy: expected a tensor, got number 2/,
  },
  {
    run: () => js.crossEntropy(js.ones([2, 3], i32), js.zeros([2], i32)),
    error: tl.DTypeError,
    says: /^crossEntropy: needs a floating tensor, got int32/,
  },
  {
    run: () => js.crossEntropy(x(), js.zeros([2], i32), { labelSmoothing: 2 }),
    error: tl.UnsupportedError,
    says: /^crossEntropy: labelSmoothing 2 must lie in \[0, 1\]/,
  },
  {
    run: () => js.crossEntropy(x(), 1),
    error: tl.UnsupportedError,
    says: /^crossEntropy: expected a tensor, got number 1/,
  },
  {
    run: () => js.crossEntropy(x(), [0, 1]),
    error: tl.UnsupportedError,
    says: /^crossEntropy: expected a tensor, got an array/,
  },
  { run: () => js.crossEntropy(), error: tl.UnsupportedError, says: /^crossEntropy: expected a tensor, got undefined/ },
  {
    run: () => js.crossEntropy(x(), js.zeros([2], i32), { reduction: 'toString' }),
    error: tl.UnsupportedError,
    says: /^crossEntropy: reduction toString is unknown/,
  },
  { run: () => new js.nn.Linear(0, 1), error: tl.ShapeError, says: /^Linear: number 0 features/ },
  { run: () => new js.nn.Linear('2', 1), error: tl.ShapeError, says: /^Linear: string 2 features/ },
  {
    run: () => new js.nn.Linear(2, 1, { bais: false }),
    error: tl.UnsupportedError,
    says: /^Linear: there is no option bais/,
  },
  {
    run: () => new js.nn.Linear(2, 1, false),
    error: tl.UnsupportedError,
    says: /^Linear: options are an object such as \{ device: … \}, got boolean false/,
  },
  { run: () => new js.nn.Linear(), error: tl.ShapeError, says: /^Linear: undefined features/ },
  {
    run: () => new js.nn.Dropout(2),
    error: tl.UnsupportedError,
    says: /^Dropout: p is number 2, but it must be a probability, from 0 to 1/,
  },
  {
    run: () => new js.nn.Dropout('a'),
    error: tl.UnsupportedError,
    says: /^Dropout: p is string a, but it must be a probability, from 0 to 1/,
  },
  {
    run: () => js.nn.functional.dropout(x(), 0.5),
    error: tl.UnsupportedError,
    says: /^dropout: options are an object such as \{ p: … \}, got number 0\.5/,
  },
  {
    run: () => new js.nn.Sequential(3),
    error: tl.UnsupportedError,
    says: /^Sequential: argument 0 is number 3, but it must be a module/,
  },
  {
    run: () => new js.nn.Sequential(js.nn.ReLU),
    error: tl.UnsupportedError,
    says: /^Sequential: argument 0 is a function, but it must be a module/,
  },
  {
    run: () => new js.nn.Sequential([new js.nn.ReLU()]),
    error: tl.UnsupportedError,
    says: /^Sequential: argument 0 is an array, but it must be a module/,
  },
  {
    run: () => new js.nn.Sequential(new js.nn.ReLU()).at(3),
    error: tl.IndexError,
    says: /^Sequential: there is no module 3/,
  },
  {
    run: () => new js.nn.Softmax(5).forward(x()),
    error: tl.IndexError,
    says: /^softmax: dim 5 is out of range for a tensor of 2 dimensions/,
  },
  {
    run: () => new js.nn.Flatten(3).forward(x()),
    error: tl.IndexError,
    says: /^flatten: dim 3 is out of range for a tensor of 2 dimensions/,
  },
  {
    run: () => js.nn.init.xavierUniform_(js.ones([2])),
    error: tl.ShapeError,
    says: /^xavierUniform_: the tensor of shape \[2\] has no inputs and outputs to count/,
  },
  {
    run: () => js.nn.init.kaimingUniform_(x(), { mode: 'in' }),
    error: tl.UnsupportedError,
    says: /^kaimingUniform_: mode in is unknown/,
  },
  { run: () => js.nn.init.calculateGain('gelu'), error: tl.UnsupportedError, says: /^calculateGain: gelu is unknown/ },
  { run: () => js.nn.init.uniform_(3), error: tl.UnsupportedError, says: /^uniform_: expected a tensor, got number 3/ },
  {
    run: () => js.nn.init.uniform_(js.ones([2], i32)),
    error: tl.DTypeError,
    says: /^assign_: a float32 value does not fit into int32 without loss/,
  },
  { run: () => new js.optim.SGD(), error: tl.UnsupportedError, says: /^SGD: the parameters are undefined/ },
  // Optimizers and schedules
  {
    run: () => new js.optim.SGD([], { lr: 1 }),
    error: tl.UnsupportedError,
    says: /^SGD: the list of parameters is empty/,
  },
  {
    run: () => new js.optim.SGD([x()], { lr: -1 }),
    error: tl.UnsupportedError,
    says: /^SGD: lr is number -1, but it must be a finite number of at least 0/,
  },
  {
    run: () => new js.optim.SGD([x()], { lr: NaN }),
    error: tl.UnsupportedError,
    says: /^SGD: lr is number NaN, but it must be a finite number of at least 0/,
  },
  {
    run: () => new js.optim.SGD([x()], { lr: '1' }),
    error: tl.UnsupportedError,
    says: /^SGD: lr is string 1, but it must be a finite number of at least 0/,
  },
  {
    run: () => new js.optim.SGD([x()], { lr: 1, learningRate: 2 }),
    error: tl.UnsupportedError,
    says: /^SGD: there is no option learningRate/,
  },
  {
    run: () => {
      const a = x();
      new js.optim.SGD([a, a], { lr: 1 });
    },
    error: tl.UnsupportedError,
    says: /^SGD: a parameter of shape \[2, 3\] is given twice/,
  },
  {
    run: () => new js.optim.SGD(x(), { lr: 1 }),
    error: tl.UnsupportedError,
    says: /^SGD: the parameters are a Tensor/,
  },
  {
    run: () => new js.optim.SGD(new js.nn.ReLU(), { lr: 1 }),
    error: tl.UnsupportedError,
    says: /^SGD: the parameters are a ReLU/,
  },
  {
    run: () => new js.optim.SGD([1], { lr: 1 }),
    error: tl.UnsupportedError,
    says: /^SGD: number 1 is neither a tensor nor a group/,
  },
  {
    run: () => new js.optim.SGD([js.ones([1], { requiresGrad: true }).mul(2)], { lr: 1 }),
    error: tl.UnsupportedError,
    says: /^SGD: a parameter of shape \[1\] is the result of an op/,
  },
  {
    run: () => new js.optim.SGD([x()], { lr: 1, nesterov: true }),
    error: tl.UnsupportedError,
    says: /^SGD: nesterov needs a momentum above 0 and a dampening of 0, got 0 and 0/,
  },
  {
    run: () => new js.optim.Adam([x()], { betas: [0.9] }),
    error: tl.UnsupportedError,
    says: /^Adam: betas is an array, but it must be a pair such as \[0\.9, 0\.999\]/,
  },
  {
    run: () => new js.optim.Adam([x()], { betas: [0.9, 1] }),
    error: tl.UnsupportedError,
    says: /^Adam: betas\[1\] is number 1, but it must be at least 0 and less than 1/,
  },
  {
    run: () => new js.optim.Adam([x()], { betas: 0.9 }),
    error: tl.UnsupportedError,
    says: /^Adam: betas is number 0\.9, but it must be a pair such as \[0\.9, 0\.999\]/,
  },
  {
    run: () => new js.optim.Adam([x()], { eps: -1 }),
    error: tl.UnsupportedError,
    says: /^Adam: eps is number -1, but it must be a finite number of at least 0/,
  },
  {
    run: () => new js.optim.RMSprop([x()], { alpha: 2 }),
    error: tl.UnsupportedError,
    says: /^RMSprop: alpha is number 2, but it must be at least 0 and less than 1/,
  },
  {
    run: () => new js.optim.SGD([gone()], { lr: 1 }),
    error: tl.DisposedError,
    says: /^SGD: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
  {
    run: () => new js.optim.SGD([{ param: [x()] }], { lr: 1 }),
    error: tl.UnsupportedError,
    says: /^SGD: an object is neither a tensor nor a group/,
  },
  {
    run: () => new js.optim.SGD([x(), { params: [x()] }], { lr: 1 }),
    error: tl.UnsupportedError,
    says: /^SGD: a Tensor is neither a tensor nor a group/,
  },
  {
    run: () => new js.optim.SGD([js.ones([1], { requiresGrad: true })], { lr: 1 }).minimize(() => 3),
    error: tl.UnsupportedError,
    says: /^minimize: the function gave number 3/,
  },
  {
    run: () => new js.optim.SGD([js.ones([1], { requiresGrad: true })], { lr: 1 }).minimize(async () => x()),
    error: tl.UnsupportedError,
    says: /^minimize: the function returned a/,
  },
  {
    run: () => {
      const w = js.ones([2], { requiresGrad: true });
      new js.optim.SGD([w], { lr: 1 }).minimize(() => w.mul(2));
    },
    error: tl.UnsupportedError,
    says: /^minimize: the output of shape \[2\] is no scalar/,
  },
  {
    run: () => new js.optim.SGD([js.ones([1], { requiresGrad: true })], { lr: 1 }).minimize(() => js.ones([])),
    error: tl.UnsupportedError,
    says: /^minimize: the tensor of shape \[\] depends on nothing that requires a/,
  },
  {
    run: () => new js.optim.SGD([js.ones([1], { requiresGrad: true })], { lr: 1 }).minimize(x()),
    error: tl.UnsupportedError,
    says: /^minimize: expected a function, got a Tensor/,
  },
  {
    run: () => new js.optim.SGD([js.ones([1], { requiresGrad: true })], { lr: 1 }).minimize(),
    error: tl.UnsupportedError,
    says: /^minimize: expected a function, got undefined/,
  },
  {
    run: () => new js.optim.StepLR(new js.optim.SGD([x()], { lr: 1 })),
    error: tl.UnsupportedError,
    says: /^StepLR: options are an object such as \{ stepSize: … \}, got undefined/,
  },
  {
    run: () => new js.optim.StepLR(new js.optim.SGD([x()], { lr: 1 }), { stepSize: 0 }),
    error: tl.UnsupportedError,
    says: /^StepLR: stepSize is number 0, but it must be a whole number of at least 1/,
  },
  {
    run: () => new js.optim.StepLR(3, { stepSize: 1 }),
    error: tl.UnsupportedError,
    says: /^StepLR: number 3 is no optimizer/,
  },
  {
    run: () => new js.optim.ExponentialLR(new js.optim.SGD([x()], { lr: 1 }), { gamma: -1 }),
    error: tl.UnsupportedError,
    says: /^ExponentialLR: gamma is number -1, but it must be a finite number of at least 0/,
  },
  {
    run: () => new js.optim.LambdaLR(new js.optim.SGD([x()], { lr: 1 }), 3),
    error: tl.UnsupportedError,
    says: /^LambdaLR: expected a function, got number 3/,
  },
  {
    run: () => new js.optim.LambdaLR(new js.optim.SGD([x()], { lr: 1 }), () => NaN),
    error: tl.UnsupportedError,
    says: /^LambdaLR: the rate is number NaN, but it must be a finite number of at least 0/,
  },
  {
    run: () => {
      const w = js.ones([2], { requiresGrad: true });
      const s = new js.optim.SGD([w], { lr: 1 });
      w.grad = js.ones([3]);
      s.step();
    },
    error: tl.ShapeError,
    says: /^grad: a gradient of shape \[3\] does not fit a tensor of shape \[2\]/,
  },
  // Data
  {
    run: () => new js.data.TensorDataset(x(), js.ones([3])),
    error: tl.ShapeError,
    says: /^TensorDataset: x has 2 rows and y has 3/,
  },
  { run: () => new js.data.TensorDataset(), error: tl.FormatError, says: /^TensorDataset: undefined are no samples/ },
  { run: () => new js.data.TensorDataset('a'), error: tl.FormatError, says: /^TensorDataset: string a are no samples/ },
  {
    run: () => new js.data.TensorDataset(js.tensor(1), js.tensor(1)),
    error: tl.ShapeError,
    says: /^TensorDataset: a scalar has no rows/,
  },
  { run: () => new js.data.DataLoader(3), error: tl.UnsupportedError, says: /^DataLoader: number 3 is no dataset/ },
  {
    run: () => new js.data.DataLoader(new js.data.TensorDataset(x(), x()), { batch: 1 }),
    error: tl.UnsupportedError,
    says: /^DataLoader: there is no option batch/,
  },
  {
    run: () => new js.data.DataLoader(new js.data.TensorDataset(x(), x()), { batchSize: 0 }),
    error: tl.UnsupportedError,
    says: /^DataLoader: batchSize is number 0, but it must be a whole number of at least 1/,
  },
  {
    run: () => new js.data.DataLoader(new js.data.TensorDataset(x(), x()), { collate: 3 }),
    error: tl.UnsupportedError,
    says: /^DataLoader: expected a function, got number 3/,
  },
  {
    run: () => new js.data.DataLoader(new js.data.TensorDataset(x(), x()), { shuffle: 'yes' }),
    error: tl.UnsupportedError,
    says: /^DataLoader: shuffle is string yes, but it must be true or false/,
  },
  { run: () => js.data.readCsv(3), error: tl.FormatError, says: /^readCsv: expected the text of a file, got number 3/ },
  {
    run: () => js.data.readCsv('a,b\n1'),
    error: tl.FormatError,
    says: /^readCsv: line 2 has 1 fields where line 1 has 2/,
  },
  {
    run: () => js.data.readCsv('a', { sep: ';' }),
    error: tl.UnsupportedError,
    says: /^readCsv: there is no option sep/,
  },
  { run: () => js.data.oneHot([0.5]), error: tl.IndexError, says: /^oneHot: label 0 is 0\.5/ },
  { run: () => js.data.oneHot([-1]), error: tl.IndexError, says: /^oneHot: label 0 is -1/ },
  { run: () => js.data.oneHot([3], 2), error: tl.IndexError, says: /^oneHot: label 0 is 3/ },
  { run: () => js.data.oneHot('abc'), error: tl.IndexError, says: /^oneHot: label 0 is a/ },
  {
    run: () => js.data.trainTestSplit(x(), x(), { testSize: 2 }),
    error: tl.UnsupportedError,
    says: /^trainTestSplit: testSize number 2 of 2 samples leaves a part/,
  },
  {
    run: () => js.data.trainTestSplit(x(), js.ones([3])),
    error: tl.ShapeError,
    says: /^trainTestSplit: x has 2 rows and y has 3/,
  },
  {
    run: () => js.data.trainTestSplit(x(), x(), { ratio: 0.5 }),
    error: tl.UnsupportedError,
    says: /^trainTestSplit: there is no option ratio/,
  },
  {
    run: () => new js.data.StandardScaler().transform(x()),
    error: tl.UnsupportedError,
    says: /^StandardScaler\.transform: it was not fitted yet/,
  },
  {
    run: () => new js.data.Subset(new js.data.TensorDataset(x(), x()), [5]),
    error: tl.IndexError,
    says: /^Subset: there is no sample 5/,
  },
  // Disposed tensors
  {
    run: () => gone().sum(),
    error: tl.DisposedError,
    says: /^sum: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
  {
    run: () => gone().assign_(1),
    error: tl.DisposedError,
    says: /^assign_: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
  {
    run: () => x().assign_(gone()),
    error: tl.DisposedError,
    says: /^assign_: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
  {
    run: () => gone().backward(),
    error: tl.DisposedError,
    says: /^backward: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
  {
    run: () => gone().detach(),
    error: tl.DisposedError,
    says: /^detach: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
  {
    run: () => x().matmul(gone()),
    error: tl.DisposedError,
    says: /^matmul: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
  {
    run: () => js.cat([gone()]),
    error: tl.DisposedError,
    says: /^cat: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
  {
    run: () => js.stack([gone()]),
    error: tl.DisposedError,
    says: /^stack: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
  {
    run: () => {
      gone().requiresGrad = true;
    },
    error: tl.DisposedError,
    says: /^requiresGrad: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
  {
    run: () => x().expandAs(gone()),
    error: tl.DisposedError,
    says: /^expandAs: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
  {
    run: () => x().gather(0, gone()),
    error: tl.DisposedError,
    says: /^gather: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
  {
    run: () => gone().softmax(0),
    error: tl.DisposedError,
    says: /^softmax: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
  {
    run: () => js.where(gone(), 1, 0),
    error: tl.DisposedError,
    says: /^where: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
  {
    run: () => gone().retainGrad(),
    error: tl.DisposedError,
    says: /^retainGrad: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
  {
    run: () => gone().mean(),
    error: tl.DisposedError,
    says: /^mean: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
  {
    run: () => js.mseLoss(gone(), x()),
    error: tl.DisposedError,
    says: /^mseLoss: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
  {
    run: () => x().indexSelect(0, gone()),
    error: tl.DisposedError,
    says: /^indexSelect: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
  {
    run: () => {
      const w = js.ones([2, 3], { requiresGrad: true });
      w.grad = gone();
    },
    error: tl.DisposedError,
    says: /^grad: a tensor of shape \[2, 3\] was disposed by dispose\(\)/,
  },
];
