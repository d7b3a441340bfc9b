import { IndexError, UnsupportedError } from '../core/errors.ts';
import { eye, type TensorOptions, tensor } from '../ops/creation.ts';
import { indexSelect } from '../ops/gather.ts';
import { compose, describe } from '../ops/record.ts';
import { reshape } from '../ops/structure.ts';
import { Tensor } from '../tensor/tensor.ts';

/**
 * A row for each label, 1 at the label's place and 0 elsewhere (`F.one_hot`), as float32. For numbers on the host the number of
 * classes is one more than the largest label unless given.
 *
 * @throws IndexError for a label that is no class; where only the device knows, at the next await.
 * @example
 * ```ts
 * const y = tl.data.oneHot([2, 0, 1]); // shape [3, 3]
 * ```
 */
export function oneHot(labels: Tensor | ArrayLike<number>, classes?: number, options: TensorOptions = {}): Tensor {
  if (classes !== undefined && (!Number.isInteger(classes) || classes < 1))
    throw new UnsupportedError(`oneHot: ${describe(classes)} classes; it must be a whole number of at least 1`);
  if (labels instanceof Tensor) {
    if (classes === undefined)
      throw new UnsupportedError(
        'oneHot: give the number of classes; what labels a tensor holds is known on its device only',
      );
    return compose('oneHot', () =>
      reshape(indexSelect(eye(classes, { device: labels.device, ...options }), 0, reshape(labels, [-1])), [
        ...labels.shape,
        classes,
      ]),
    );
  }
  const list = Array.from(labels);
  const n = classes ?? list.reduce((most, label) => Math.max(most, label + 1), 0);
  const wrong = list.findIndex((label) => !Number.isInteger(label) || label < 0 || label >= n);
  if (wrong >= 0)
    throw new IndexError(`oneHot: label ${wrong} is ${list[wrong]}; labels are whole numbers from 0 to ${n - 1}`);
  const data = new Float32Array(list.length * n);
  list.forEach((label, i) => {
    data[i * n + label] = 1;
  });
  return tensor(data, { ...options, shape: [list.length, n] });
}
