// A workgroup for each matrix. What its threads do together is in the file of the algorithm.
//
// Defined elsewhere:
//   params.batches, .size               how many matrices, and the size of the output for each
//   enterLine(index) -> Line            what loads of the inputs need
//   factorise(line, start, thread)      the algorithm, on the output from `start` on

override THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = (group.z * groups.y + group.y) * groups.x + group.x;
  if (index >= params.batches) {
    return;
  }
  factorise(enterLine(index), index * params.size, thread);
}
