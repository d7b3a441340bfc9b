// Workgroup tiles: SIDE x SIDE threads make a tile of 4 ROWS SIDE x 4 FOURS SIDE elements, DEPTH products at a time, from
// slices of a (transposed) and b in workgroup memory; each thread holds ROWS x FOURS blocks of 4x4 sums. Slices are vectors
// of four rows or columns, written whole: some compilers turn the write of one component into a racy read-modify-write.
//
// A line with _R stands for ROWS lines, with 0, 1, ... for R; one with _C for FOURS lines.
//
// Defined elsewhere:
//   ROWS, FOURS
//   params.m, .n, .k                  sizes of one product; params.batches of them
//   enterBatch(index) -> Batch        with .a and .b, where the operands start
//   rowsOf(i), columnsOf(j)           from there to rows i of a and to columns j of b, four at a time
//   depthOfA(k), depthOfB(k)          and on to a step of k
//   loadA(address), loadB(address)
//   storeProduct(batch, i, j, sum)    the epilogue at one element

override SIDE: u32 = 16;
override DEPTH: u32 = 16;
// Neighbouring threads read along the dim in which an operand is contiguous.
override A_BY_DEPTH: bool = true;
override B_BY_DEPTH: bool = false;

var<workgroup> slice_a: array<vec4f, DEPTH * SIDE * ROWS>;
var<workgroup> slice_b: array<vec4f, DEPTH * SIDE * FOURS>;

const NEXT = vec4u(0u, 1u, 2u, 3u);

@compute @workgroup_size(SIDE, SIDE)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tall = SIDE * ROWS;
  let wide = SIDE * FOURS;
  let across = (params.n + 4u * wide - 1u) / (4u * wide);
  let down = (params.m + 4u * tall - 1u) / (4u * tall);
  let tile = (group.z * groups.y + group.y) * groups.x + group.x;
  let top = (tile / across) % down * tall * 4u;
  let left = tile % across * wide * 4u;
  let index = tile / (across * down);
  if (index >= params.batches) {
    return;
  }
  let batch = enterBatch(index);
  let y = thread / SIDE;
  let x = thread % SIDE;

  var sum0_R_C = vec4f();
  var sum1_R_C = vec4f();
  var sum2_R_C = vec4f();
  var sum3_R_C = vec4f();
  for (var start = 0u; start < params.k; start += DEPTH) {
    for (var item = thread; item < DEPTH * tall; item += SIDE * SIDE) {
      let depth = select(item / tall, item % DEPTH, A_BY_DEPTH);
      let four = select(item % tall, item / DEPTH, A_BY_DEPTH);
      let at = batch.a + rowsOf(min(top + 4u * four + NEXT, vec4u(params.m - 1u))) + depthOfA(start + depth);
      var values = vec4f();
      if (start + depth < params.k) {
        values = vec4f(loadA(at.x), loadA(at.y), loadA(at.z), loadA(at.w));
      }
      slice_a[depth * tall + four] = values;
    }
    for (var item = thread; item < DEPTH * wide; item += SIDE * SIDE) {
      let depth = select(item / wide, item % DEPTH, B_BY_DEPTH);
      let four = select(item % wide, item / DEPTH, B_BY_DEPTH);
      let at = batch.b + columnsOf(min(left + 4u * four + NEXT, vec4u(params.n - 1u))) + depthOfB(start + depth);
      var values = vec4f();
      if (start + depth < params.k) {
        values = vec4f(loadB(at.x), loadB(at.y), loadB(at.z), loadB(at.w));
      }
      slice_b[depth * wide + four] = values;
    }
    workgroupBarrier();
    for (var depth = 0u; depth < DEPTH; depth++) {
      let a_R = slice_a[depth * tall + _R * SIDE + y];
      let b_C = slice_b[depth * wide + _C * SIDE + x];
      sum0_R_C += a_R.x * b_C;
      sum1_R_C += a_R.y * b_C;
      sum2_R_C += a_R.z * b_C;
      sum3_R_C += a_R.w * b_C;
    }
    workgroupBarrier();
  }

  var sums: array<vec4f, 4u * ROWS * FOURS>;
  sums[(4u * _R + 0u) * FOURS + _C] = sum0_R_C;
  sums[(4u * _R + 1u) * FOURS + _C] = sum1_R_C;
  sums[(4u * _R + 2u) * FOURS + _C] = sum2_R_C;
  sums[(4u * _R + 3u) * FOURS + _C] = sum3_R_C;
  for (var r = 0u; r < 4u * ROWS; r++) {
    let i = top + (r / 4u * SIDE + y) * 4u + r % 4u;
    for (var c = 0u; c < 4u * FOURS; c++) {
      let j = left + (c / 4u * SIDE + x) * 4u + c % 4u;
      if (i < params.m && j < params.n) {
        storeProduct(batch, i, j, sums[r * FOURS + c / 4u][c % 4u]);
      }
    }
  }
}
