// What the eigenvalues and singular values by Jacobi rotations share.
//
// A sweep rotates all pairs of columns in rounds of disjoint ones, as in a tournament: one player stays, the others move on
// in a circle. An odd number of columns is played with one more, which is nobody.

struct Pair {
  p: u32,
  q: u32,
}

fn players(n: u32) -> u32 {
  return n + n % 2u;
}

fn pairOf(n: u32, round: u32, i: u32) -> Pair {
  let circle = players(n) - 1u;
  let a = (round + i) % circle;
  let b = select((round + circle - i) % circle, circle, i == 0u);
  return Pair(min(a, b), max(a, b));
}

// The tangent of the rotation that makes the off-diagonal element of [[a, b], [b, c]] zero.
fn tangent(a: f32, b: f32, c: f32) -> f32 {
  let zeta = (c - a) / (2f * b);
  return select(1f, -1f, zeta < 0f) / (abs(zeta) + sqrt(1f + zeta * zeta));
}

// Rotates columns p and q of a matrix with n columns.
fn rotate(matrix: u32, rows: u32, n: u32, pair: Pair, cosine: f32, sine: f32) {
  for (var i = 0u; i < rows; i++) {
    let p = matrix + i * n + pair.p;
    let q = matrix + i * n + pair.q;
    let x = load(p);
    let y = load(q);
    store(p, cosine * x - sine * y);
    store(q, sine * x + cosine * y);
  }
}

fn exchange(matrix: u32, at: u32, n: u32, a: u32, b: u32) {
  let x = load(matrix + at * n + a);
  store(matrix + at * n + a, load(matrix + at * n + b));
  store(matrix + at * n + b, x);
}

// Whether any thread has moved something in this sweep.
var<workgroup> moves: atomic<u32>;
var<workgroup> moved: u32;

fn anyMoved(thread: u32) -> bool {
  storageBarrier();
  workgroupBarrier();
  if (thread == 0u) {
    moved = atomicExchange(&moves, 0u);
  }
  return workgroupUniformLoad(&moved) != 0u;
}
