// LANES threads a row, THREADS / LANES rows a workgroup. Each lane folds every LANES-th element of the row; the
// lanes are joined then. A row is read again by each pass over it, so it may have any length.
//
// Floats are folded in chunks: the error of a sum then grows with the square root of its length at most.
//
// Defined elsewhere:
//   params.rows, params.length   how many rows, and elements in each
//   enterRow(index) -> Row       addresses and coordinates that are the same for the whole row
//   reduceRow(row, place) -> Row the row with the results of its reductions, by reduce_N for each pass N
//   storeElement(row, column)    computes and stores what is written at every element
//   storeRow(row)                computes and stores what is written once a row

override THREADS: u32 = 64;
override LANES: u32 = 64;
// Neighbouring threads on neighbouring rows, for rows that lie side by side in memory.
override INTERLEAVED: bool = false;
// So many neighbouring lanes are of one subgroup.
override SPAN: u32 = 1;

struct Place {
  lane: u32,
  // The elements the lane may touch: none in a row beyond the last.
  length: u32,
  // Where the lane's partial result lies in workgroup memory.
  slot: u32,
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let rows = THREADS / LANES;
  let first = ((group.z * groups.y + group.y) * groups.x + group.x) * rows;
  let inside = select(thread / LANES, thread % rows, INTERLEAVED);
  let lane = select(thread % LANES, thread / rows, INTERLEAVED);
  let index = first + inside;
  let exists = index < params.rows;
  let length = select(0u, params.length, exists);

  let row = reduceRow(enterRow(index), Place(lane, length, inside * LANES + lane));
  for (var column = lane; column < length; column += LANES) {
    storeElement(row, column);
  }
  if (exists & (lane == 0u)) {
    storeRow(row);
  }
}
