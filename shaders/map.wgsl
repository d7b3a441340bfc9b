// Each thread takes EACH steps, THREADS apart, so that neighbouring threads are always at neighbouring steps. A step is a
// point, or four of them where everything lies contiguous. Groups count up along x, then y, then z, since one dimension
// holds only 65,535 of them.
//
// Defined elsewhere:
//   params.steps         the number of steps
//   compute(first, end)  loads, computes and stores everything at every THREADS-th step from the first on

override THREADS: u32 = 64;
override EACH: u32 = 1;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let first = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS * EACH + thread;
  compute(first, min(params.steps, first + THREADS * EACH));
}
