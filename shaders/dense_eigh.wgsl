// Eigenvalues and eigenvectors of symmetric matrices by Jacobi rotations, a workgroup a matrix. The rotations of a round are
// made first, and kept where the eigenvalues will be: cosine and sine of each pair. Then they turn the matrix from both
// sides, in blocks of the two rows of a pair and the two columns of another, which depend on nothing else.
//
// Defined elsewhere:
//   params.m, .n, .columns, .size   sizes; .size is that of the output for each matrix
//   loadA(line, row, column), loadB(line, row, column)
//   load(at), store(at, x)                    the output
//   report()                                  says that the result is undefined
//   pairOf(n, round, i), tangent(a, b, c), rotate(…), exchange(…), anyMoved(thread), is_nan(x)

fn factorise(line: Line, start: u32, thread: u32) {
  let n = params.n;
  let values = start;
  let v = values + n;
  let work = v + n * n;
  var largest = 0f;
  var strange = 0f;
  for (var i = 0u; i < n; i++) {
    for (var j = 0u; j <= i; j++) {
      let x = loadA(line, i, j);
      largest = max(largest, abs(x));
      if (is_nan(x)) {
        strange = x;
      }
    }
  }
  for (var at = thread; at < n * n; at += THREADS) {
    let i = at / n;
    let j = at % n;
    store(work + at, loadA(line, max(i, j), min(i, j)));
    store(v + at, select(0f, 1f, i == j));
  }
  storageBarrier();

  let pairs = players(n) / 2u;
  for (var sweep = 0u; sweep < SWEEPS; sweep++) {
    for (var round = 0u; round + 1u < players(n); round++) {
      for (var i = thread; i < pairs; i += THREADS) {
        let pair = pairOf(n, round, i);
        if (pair.q < n) {
          let off = load(work + pair.p * n + pair.q);
          var t = 0f;
          if (abs(off) > SMALL * largest) {
            t = tangent(load(work + pair.p * n + pair.p), off, load(work + pair.q * n + pair.q));
            atomicStore(&moves, 1u);
          }
          let cosine = 1f / sqrt(1f + t * t);
          store(rotationOf(values, i), cosine);
          store(rotationOf(values, i) + 1u, t * cosine);
        }
      }
      storageBarrier();
      for (var at = thread; at < pairs * pairs; at += THREADS) {
        turn(values, work, round, at / pairs, at % pairs);
      }
      for (var at = thread; at < pairs * n; at += THREADS) {
        let i = at % pairs;
        let pair = pairOf(n, round, i);
        if (pair.q < n) {
          rotate(v + at / pairs * n, 1u, n, pair, load(rotationOf(values, i)), load(rotationOf(values, i) + 1u));
        }
      }
      storageBarrier();
    }
    if (!anyMoved(thread)) {
      break;
    }
  }

  for (var i = thread; i < n; i += THREADS) {
    store(values + i, select(load(work + i * n + i), strange, is_nan(strange)));
  }
  storageBarrier();
  for (var i = 0u; i < n; i++) {
    var best = i;
    for (var j = i + 1u; j < n; j++) {
      best = select(best, j, load(values + j) < load(values + best));
    }
    storageBarrier();
    for (var row = thread; row <= n; row += THREADS) {
      // The values are the row before the vectors.
      exchange(values, row, n, i, best);
    }
    storageBarrier();
  }
}

const SWEEPS = 16u;
const SMALL = 1e-8f;

// Where the cosine and sine of a pair are kept. Of an odd number of columns, the first pair is no one's.
fn rotationOf(values: u32, i: u32) -> u32 {
  return values + 2u * i - params.n % 2u * 2u;
}

fn cell(matrix: u32, i: u32, j: u32) -> f32 {
  return select(0f, load(matrix + i * params.n + j), i < params.n && j < params.n);
}

fn put(matrix: u32, i: u32, j: u32, x: f32) {
  if (i < params.n && j < params.n) {
    store(matrix + i * params.n + j, x);
  }
}

// The block of the rows of pair i and the columns of pair j.
fn turn(values: u32, work: u32, round: u32, i: u32, j: u32) {
  let n = params.n;
  let rows = pairOf(n, round, i);
  let columns = pairOf(n, round, j);
  var c = vec2f(1f, 1f);
  var s = vec2f(0f, 0f);
  if (rows.q < n) {
    c.x = load(rotationOf(values, i));
    s.x = load(rotationOf(values, i) + 1u);
  }
  if (columns.q < n) {
    c.y = load(rotationOf(values, j));
    s.y = load(rotationOf(values, j) + 1u);
  }
  let pp = cell(work, rows.p, columns.p);
  let pq = cell(work, rows.p, columns.q);
  let qp = cell(work, rows.q, columns.p);
  let qq = cell(work, rows.q, columns.q);
  if (i == j) {
    // Exactly what the rotation was made for.
    let shift = select(0f, s.x / c.x * pq, s.x != 0f);
    put(work, rows.p, rows.p, pp - shift);
    put(work, rows.q, rows.q, qq + shift);
    if (s.x != 0f) {
      put(work, rows.p, rows.q, 0f);
      put(work, rows.q, rows.p, 0f);
    }
    return;
  }
  let left = vec2f(c.x * pp - s.x * qp, s.x * pp + c.x * qp);
  let right = vec2f(c.x * pq - s.x * qq, s.x * pq + c.x * qq);
  put(work, rows.p, columns.p, c.y * left.x - s.y * right.x);
  put(work, rows.p, columns.q, s.y * left.x + c.y * right.x);
  put(work, rows.q, columns.p, c.y * left.y - s.y * right.y);
  put(work, rows.q, columns.q, s.y * left.y + c.y * right.y);
}
