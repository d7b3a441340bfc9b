/** Base class of every error that tensorloom throws on purpose. */
export class TensorloomError extends Error {
  override name = 'TensorloomError';
}

/** Shapes that do not fit together or do not exist. */
export class ShapeError extends TensorloomError {
  override name = 'ShapeError';
}

/** A dtype that the op does not take, or a value that the dtype cannot hold. */
export class DTypeError extends TensorloomError {
  override name = 'DTypeError';
}

/** An index, label or dimension outside its range. */
export class IndexError extends TensorloomError {
  override name = 'IndexError';
}

/** A device that is missing, mixed with another one, or asked for something it cannot do. */
export class DeviceError extends TensorloomError {
  override name = 'DeviceError';
}

/** The device was lost: pending reads reject with this. */
export class DeviceLostError extends DeviceError {
  override name = 'DeviceLostError';
}

/** An allocation that the device or the memory limit refused. */
export class OutOfMemoryError extends TensorloomError {
  override name = 'OutOfMemoryError';
}

/** A tensor that was used after it was disposed, by `dispose()` or by the end of its scope. */
export class DisposedError extends TensorloomError {
  override name = 'DisposedError';
}

/** An option, argument or combination that tensorloom does not support. */
export class UnsupportedError extends TensorloomError {
  override name = 'UnsupportedError';
}

/** NaN or infinity in the result of an op, found in checked mode (`debug`). */
export class NumericsError extends TensorloomError {
  override name = 'NumericsError';
}

/** Data in a file or a nested array that is malformed. */
export class FormatError extends TensorloomError {
  override name = 'FormatError';
}
