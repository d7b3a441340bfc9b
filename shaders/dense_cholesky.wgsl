// Cholesky's factorisation, column by column, a workgroup a matrix. Threads share the rows of a column; each computes the
// element on the diagonal by itself, so that a column takes one barrier.
//
// Defined elsewhere:
//   params.m, .n, .columns, .size   sizes; .size is that of the output for each matrix
//   loadA(line, row, column), loadB(line, row, column)
//   load(at), store(at, x)                    the output
//   report()                                  says that the result is undefined

fn factorise(line: Line, start: u32, thread: u32) {
  let n = params.n;
  let l = start;
  for (var c = 0u; c < n; c++) {
    var square = loadA(line, c, c);
    for (var k = 0u; k < c; k++) {
      let x = load(l + c * n + k);
      square -= x * x;
    }
    if (thread == 0u && !(square > 0f)) {
      report();
    }
    let diagonal = sqrt(square);
    for (var r = thread; r < n; r += THREADS) {
      var x = 0f;
      if (r == c) {
        x = diagonal;
      } else if (r > c) {
        var sum = loadA(line, r, c);
        for (var k = 0u; k < c; k++) {
          sum -= load(l + r * n + k) * load(l + c * n + k);
        }
        x = sum / diagonal;
      }
      store(l + r * n + c, x);
    }
    storageBarrier();
  }
}
