// The solution of triangular systems by substitution, a workgroup a matrix. A thread has columns of its own of the
// right-hand sides, so there is no barrier.
//
// Defined elsewhere:
//   params.m, .n, .columns, .size   sizes; .size is that of the output for each matrix
//   loadA(line, row, column), loadB(line, row, column)
//   load(at), store(at, x)                    the output
//   report()                                  says that the result is undefined
//   UPPER

fn factorise(line: Line, start: u32, thread: u32) {
  let n = params.n;
  let x = start;
  for (var i = thread; i < n; i += THREADS) {
    if (loadA(line, i, i) == 0f) {
      report();
    }
  }
  for (var j = thread; j < params.columns; j += THREADS) {
    for (var i = 0u; i < n; i++) {
      let r = select(i, n - 1u - i, UPPER);
      var sum = loadB(line, r, j);
      let end = select(r, n, UPPER);
      for (var k = select(0u, r + 1u, UPPER); k < end; k++) {
        sum -= loadA(line, r, k) * load(x + k * params.columns + j);
      }
      store(x + r * params.columns + j, sum / loadA(line, r, r));
    }
  }
}
