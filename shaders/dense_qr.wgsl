// Householder reflections with LAPACK's signs, a workgroup a matrix. A thread has columns of its own. In step k each of them
// reads column k, which is not changed until the next step: so a step takes one barrier. Every thread makes the reflection
// by itself.
//
// Defined elsewhere:
//   params.m, .n, .columns, .size   sizes; .size is that of the output for each matrix
//   loadA(line, row, column), loadB(line, row, column)
//   load(at), store(at, x)                    the output
//   report()                                  says that the result is undefined

fn factorise(line: Line, start: u32, thread: u32) {
  let m = params.m;
  let n = params.n;
  let rank = min(m, n);
  let r = start;
  let q = r + m * n;
  let scales = q + m * rank;
  for (var at = thread; at < m * n; at += THREADS) {
    store(r + at, loadA(line, at / n, at % n));
  }
  storageBarrier();

  for (var k = 0u; k < rank; k++) {
    let head = load(r + k * n + k);
    var largest = abs(head);
    for (var i = k + 1u; i < m; i++) {
      largest = max(largest, abs(load(r + i * n + k)));
    }
    // Squares of what is very small or large would leave the range.
    let unit = select(1f, largest, largest > 0f);
    var tail = 0f;
    for (var i = k + 1u; i < m; i++) {
      let x = load(r + i * n + k) / unit;
      tail += x * x;
    }
    let length = unit * sqrt(head / unit * (head / unit) + tail);
    let norm = select(-length, length, bitcast<i32>(head) < 0);
    let reflects = tail != 0f;
    let scale = (norm - head) / norm;
    if (reflects) {
      for (var c = k + 1u + thread; c < n; c += THREADS) {
        var sum = load(r + k * n + c);
        for (var i = k + 1u; i < m; i++) {
          sum += load(r + i * n + k) / (head - norm) * load(r + i * n + c);
        }
        sum *= scale;
        store(r + k * n + c, load(r + k * n + c) - sum);
        for (var i = k + 1u; i < m; i++) {
          store(r + i * n + c, load(r + i * n + c) - sum * (load(r + i * n + k) / (head - norm)));
        }
      }
    }
    storageBarrier();
    // Nothing reads this column before the next barrier.
    if (thread == 0u) {
      store(scales + k, select(0f, scale, reflects));
      store(r + k * n + k, select(head, norm, reflects));
    }
    if (reflects) {
      for (var i = k + 1u + thread; i < m; i += THREADS) {
        store(r + i * n + k, load(r + i * n + k) / (head - norm));
      }
    }
  }
  storageBarrier();

  for (var c = thread; c < rank; c += THREADS) {
    for (var i = 0u; i < m; i++) {
      store(q + i * rank + c, select(0f, 1f, i == c));
    }
    for (var left = c + 1u; left > 0u; left--) {
      let k = left - 1u;
      var sum = load(q + k * rank + c);
      for (var i = k + 1u; i < m; i++) {
        sum += load(r + i * n + k) * load(q + i * rank + c);
      }
      sum *= load(scales + k);
      store(q + k * rank + c, load(q + k * rank + c) - sum);
      for (var i = k + 1u; i < m; i++) {
        store(q + i * rank + c, load(q + i * rank + c) - sum * load(r + i * n + k));
      }
    }
  }
  storageBarrier();
  for (var at = thread; at < m * n; at += THREADS) {
    if (at / n > at % n) {
      store(r + at, 0f);
    }
  }
}
