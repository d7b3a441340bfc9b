// Sorts blocks of EACH elements of each line in place, by insertion, a thread a block. Equal keys stay in order.
//
// Defined elsewhere:
//   params.lines, .length           how many lines, and elements in each
//   keyAt(position) -> u32          the key of an element, by its place among all
//   indexAt(position) -> u32        where in its line it was
//   store(position, key, index)

override THREADS: u32 = 64;
override EACH: u32 = 16;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
  let blocks = (params.length + EACH - 1u) / EACH;
  if (index / blocks >= params.lines) {
    return;
  }
  let line = index / blocks * params.length;
  let first = index % blocks * EACH;
  for (var i = first; i < min(first + EACH, params.length); i++) {
    let key = keyAt(line + i);
    var hole = line + i;
    while (hole > line + first && keyAt(hole - 1u) > key) {
      store(hole, keyAt(hole - 1u), indexAt(hole - 1u));
      hole--;
    }
    store(hole, key, i);
  }
}
