// Singular values and vectors by one-sided Jacobi rotations (Hestenes), a workgroup a matrix: they turn the columns of u until
// these are orthogonal. A thread has a pair of columns in each round, so a round takes one barrier. Columns without a
// singular value are completed to orthonormal ones in the end, by one thread.
//
// Defined elsewhere:
//   params.m, .n, .columns, .size   sizes; .size is that of the output for each matrix
//   loadA(line, row, column), loadB(line, row, column)
//   load(at), store(at, x)                    the output
//   report()                                  says that the result is undefined
//   pairOf(n, round, i), tangent(a, b, c), rotate(…), exchange(…), anyMoved(thread)

fn factorise(line: Line, start: u32, thread: u32) {
  let m = params.m;
  let n = params.n;
  let s = start;
  let u = s + n;
  let v = u + m * n;
  // Squares of what is very small or large would leave the range.
  var largest = 0f;
  for (var at = 0u; at < m * n; at++) {
    largest = max(largest, abs(loadA(line, at / n, at % n)));
  }
  let unit = select(1f, largest, largest > 0f && largest < LARGEST);
  for (var at = thread; at < m * n; at += THREADS) {
    store(u + at, loadA(line, at / n, at % n) / unit);
  }
  for (var at = thread; at < n * n; at += THREADS) {
    store(v + at, select(0f, 1f, at / n == at % n));
  }
  storageBarrier();

  for (var sweep = 0u; sweep < SWEEPS; sweep++) {
    for (var round = 0u; round + 1u < players(n); round++) {
      for (var i = thread; i < players(n) / 2u; i += THREADS) {
        let pair = pairOf(n, round, i);
        if (pair.q < n) {
          let pp = dotColumns(u, pair.p, pair.p);
          let pq = dotColumns(u, pair.p, pair.q);
          let qq = dotColumns(u, pair.q, pair.q);
          if (abs(pq) > SMALL * sqrt(pp) * sqrt(qq)) {
            let t = tangent(pp, pq, qq);
            let cosine = 1f / sqrt(1f + t * t);
            rotate(u, m, n, pair, cosine, t * cosine);
            rotate(v, n, n, pair, cosine, t * cosine);
            atomicStore(&moves, 1u);
          }
        }
      }
      storageBarrier();
    }
    if (!anyMoved(thread)) {
      break;
    }
  }

  for (var j = thread; j < n; j += THREADS) {
    store(s + j, sqrt(dotColumns(u, j, j)));
  }
  storageBarrier();
  for (var i = 0u; i < n; i++) {
    var best = i;
    for (var j = i + 1u; j < n; j++) {
      best = select(best, j, load(s + j) > load(s + best));
    }
    storageBarrier();
    for (var row = thread; row < 1u + m + n; row += THREADS) {
      // Values, u and v lie one after the other, all with n columns.
      exchange(s, row, n, i, best);
    }
    storageBarrier();
  }

  let negligible = NEGLIGIBLE * load(s);
  for (var j = thread; j < n; j += THREADS) {
    let length = load(s + j);
    if (!(length <= negligible)) {
      for (var i = 0u; i < m; i++) {
        store(u + i * n + j, load(u + i * n + j) / length);
      }
    }
  }
  storageBarrier();
  if (thread == 0u) {
    for (var j = 0u; j < n; j++) {
      if (load(s + j) <= negligible) {
        complete(u, j);
      }
    }
  }
  storageBarrier();
  for (var j = thread; j < n; j += THREADS) {
    store(s + j, load(s + j) * unit);
  }
}

const SWEEPS = 16u;
const SMALL = 2e-7f;
const NEGLIGIBLE = 1e-7f;
const LARGEST = 3e38f;

fn dotColumns(u: u32, p: u32, q: u32) -> f32 {
  var sum = 0f;
  for (var i = 0u; i < params.m; i++) {
    sum += load(u + i * params.n + p) * load(u + i * params.n + q);
  }
  return sum;
}

// Column j of u from the unit vector that is farthest from the columns before, made orthogonal to them, twice.
fn complete(u: u32, j: u32) {
  let n = params.n;
  var unit = 0u;
  var most = -1f;
  for (var i = 0u; i < params.m; i++) {
    var left = 1f;
    for (var k = 0u; k < j; k++) {
      let x = load(u + i * n + k);
      left -= x * x;
    }
    if (left > most) {
      most = left;
      unit = i;
    }
  }
  for (var i = 0u; i < params.m; i++) {
    store(u + i * n + j, select(0f, 1f, i == unit));
  }
  for (var step = 0u; step < 2u; step++) {
    for (var k = 0u; k < j; k++) {
      let along = dotColumns(u, j, k);
      for (var i = 0u; i < params.m; i++) {
        store(u + i * n + j, load(u + i * n + j) - along * load(u + i * n + k));
      }
    }
  }
  let length = sqrt(dotColumns(u, j, j));
  for (var i = 0u; i < params.m; i++) {
    store(u + i * n + j, load(u + i * n + j) / length);
  }
}
