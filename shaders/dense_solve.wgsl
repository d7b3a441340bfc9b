// Gaussian elimination with row pivoting, a workgroup a matrix; then back substitution. A thread has columns of its own, of
// the matrix and of the right-hand sides. In step c each of them reads column c, which is not changed until the next step:
// so a step takes one barrier. Every thread looks for the pivot by itself.
//
// Defined elsewhere:
//   params.m, .n, .columns, .size   sizes; .size is that of the output for each matrix
//   loadA(line, row, column), loadB(line, row, column)
//   load(at), store(at, x)                    the output
//   report()                                  says that the result is undefined

fn factorise(line: Line, start: u32, thread: u32) {
  let n = params.n;
  let u = start;
  let x = u + n * n;
  for (var at = thread; at < n * n; at += THREADS) {
    store(u + at, loadA(line, at / n, at % n));
  }
  for (var at = thread; at < n * params.columns; at += THREADS) {
    store(x + at, loadB(line, at / params.columns, at % params.columns));
  }
  storageBarrier();

  for (var c = 0u; c < n; c++) {
    var pivot = c;
    var head = load(u + c * n + c);
    let first = head;
    for (var r = c + 1u; r < n; r++) {
      let other = load(u + r * n + c);
      if (abs(other) > abs(head)) {
        pivot = r;
        head = other;
      }
    }
    let singular = head == 0f;
    if (singular && thread == 0u) {
      report();
    }
    for (var j = thread; j < n + params.columns; j += THREADS) {
      let width = select(params.columns, n, j < n);
      let at = select(x + j - n, u + j, j < n);
      if (j <= c) {
        continue;
      }
      let top = load(at + pivot * width);
      if (pivot != c) {
        store(at + pivot * width, -load(at + c * width));
        store(at + c * width, top);
      }
      if (!singular) {
        for (var r = c + 1u; r < n; r++) {
          let below = select(load(u + r * n + c), -first, r == pivot);
          store(at + r * width, load(at + r * width) - below / head * top);
        }
      }
    }
    storageBarrier();
    // Nothing reads this column before the next barrier.
    if (thread == 0u) {
      store(u + c * n + c, head);
    }
    for (var r = c + 1u + thread; r < n; r += THREADS) {
      store(u + r * n + c, 0f);
    }
  }
  storageBarrier();

  for (var j = thread; j < params.columns; j += THREADS) {
    for (var i = n; i > 0u; i--) {
      let r = i - 1u;
      var sum = load(x + r * params.columns + j);
      for (var k = i; k < n; k++) {
        sum -= load(u + r * n + k) * load(x + k * params.columns + j);
      }
      store(x + r * params.columns + j, sum / load(u + r * n + r));
    }
  }
}
