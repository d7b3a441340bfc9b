// Register tiles without workgroup memory: each thread makes a tile of ROWS x 4 FOURS elements of the product, so that at
// each step ROWS + 4 FOURS reads serve ROWS * 4 FOURS products. For software adapters, where workgroup memory is only more
// traffic, and for small products.
//
// A line with _R stands for ROWS lines, with 0, 1, ... for R; one with _C for FOURS lines.
//
// Defined elsewhere:
//   ROWS, FOURS
//   params.m, .n, .k                  sizes of one product; params.batches of them
//   enterBatch(index) -> Batch        with .a and .b, where the operands start
//   rowOf(i), columnsOf(j)            from there to row i of a and to four columns j of b
//   Depth, next(depth) -> Depth       a step of k, the first one of zeros
//   depthOfA(depth), depthOfB(depth)  how far on it is
//   loadA(address), loadB(address)
//   storeProduct(batch, i, j, sum)    the epilogue at one element

override THREADS_X: u32 = 8;
override THREADS_Y: u32 = 1;

@compute @workgroup_size(THREADS_X, THREADS_Y)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) thread: vec3u,
) {
  let across = (params.n + 4u * FOURS * THREADS_X - 1u) / (4u * FOURS * THREADS_X);
  let down = (params.m + ROWS * THREADS_Y - 1u) / (ROWS * THREADS_Y);
  let tile = (group.z * groups.y + group.y) * groups.x + group.x;
  let row = ((tile / across) % down * THREADS_Y + thread.y) * ROWS;
  let column = (tile % across * THREADS_X + thread.x) * 4u * FOURS;
  let index = tile / (across * down);
  if (index >= params.batches || row >= params.m || column >= params.n) {
    return;
  }
  let batch = enterBatch(index);

  // Rows and columns beyond the last are computed like the last one and not stored.
  let a_R = batch.a + rowOf(min(row + _R, params.m - 1u));
  let b_C = batch.b + columnsOf(min(column + 4u * _C + vec4u(0u, 1u, 2u, 3u), vec4u(params.n - 1u)));
  var sum_R_C = vec4f();
  var depth = Depth();
  for (var step = 0u; step < params.k; step++) {
    let at_C = b_C + depthOfB(depth);
    let right_C = vec4f(loadB(at_C.x), loadB(at_C.y), loadB(at_C.z), loadB(at_C.w));
    let left_R = loadA(a_R + depthOfA(depth));
    sum_R_C += left_R * right_C;
    depth = next(depth);
  }

  var sums: array<vec4f, ROWS * FOURS>;
  sums[_R * FOURS + _C] = sum_R_C;
  for (var i = 0u; i < min(ROWS, params.m - row); i++) {
    for (var j = 0u; j < min(4u * FOURS, params.n - column); j++) {
      storeProduct(batch, row + i, column + j, sums[i * FOURS + j / 4u][j % 4u]);
    }
  }
}
