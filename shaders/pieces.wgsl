// A thread for each piece of each line: a place, a block or a chunk of it.
//
// Defined elsewhere:
//   params.lines                  how many lines
//   piecesOfLine() -> u32
//   makePiece(line, piece)        the work of a thread

override THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS + thread;
  let pieces = piecesOfLine();
  if (index / pieces >= params.lines) {
    return;
  }
  makePiece(index / pieces, index % pieces);
}
