// Each thread visits EACH points, THREADS apart, so that neighbouring threads are always at neighbouring points. Groups
// count up along x, then y, then z, since one dimension holds only 65,535 of them.
//
// Defined elsewhere:
//   params.points                the number of points
//   compute(position)            loads, computes and stores everything at a point

override THREADS: u32 = 64;
override EACH: u32 = 1;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let first = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS * EACH + thread;
  let end = min(params.points, first + THREADS * EACH);
  for (var position = first; position < end; position += THREADS) {
    compute(position);
  }
}
