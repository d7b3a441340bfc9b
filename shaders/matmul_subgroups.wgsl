// Register tiles whose rows of a are read once for a subgroup: each thread makes a tile of ROWS x 4 FOURS elements of the product, all
// threads of a workgroup for the same rows. A lane reads a part of the rows and hands it to the others, which costs less than reading
// everything in each of them. STEPS of k at a time, read as vectors of four where an operand lies so.
//
// A line with _R stands for ROWS lines, with 0, 1, ... for R; one with _C for FOURS lines.
//
// Defined elsewhere:
//   ROWS, FOURS, STEPS
//   params.m, .n, .k                  sizes of one product; params.batches of them; STEPS divides k
//   enterBatch(index) -> Batch        with .a and .b, where the operands start
//   Depth, next(depth) -> Depth       the next steps of k, the first ones of zeros
//   $starts                           where the rows and columns start that the thread reads
//   $loads                            left_R and right_C at the steps
//   $added_R_C                        sum_R_C and their products
//   storeProduct(batch, i, j, sum)    the epilogue at one element

override THREADS: u32 = 8;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let across = (params.n + 4u * FOURS * THREADS - 1u) / (4u * FOURS * THREADS);
  let down = (params.m + ROWS - 1u) / ROWS;
  let tile = (group.z * groups.y + group.y) * groups.x + group.x;
  let row = (tile / across) % down * ROWS;
  let column = (tile % across * THREADS + thread) * 4u * FOURS;
  let index = tile / (across * down);
  if (index >= params.batches) {
    return;
  }
  let batch = enterBatch(index);

  // Rows and columns beyond the last are computed like the last one and not stored.
  $starts;
  var sum_R_C = vec4f();
  var depth = Depth();
  for (var step = 0u; step < params.k; step += STEPS) {
    $loads;
    sum_R_C = $added_R_C;
    depth = next(depth);
  }

  if (column >= params.n) {
    return;
  }
  var sums: array<vec4f, ROWS * FOURS>;
  sums[_R * FOURS + _C] = sum_R_C;
  for (var i = 0u; i < min(ROWS, params.m - row); i++) {
    for (var j = 0u; j < min(4u * FOURS, params.n - column); j++) {
      storeProduct(batch, row + i, column + j, sums[i * FOURS + j / 4u][j % 4u]);
    }
  }
}
