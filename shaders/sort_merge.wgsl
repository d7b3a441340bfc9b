// Merges sorted runs of each line in pairs, without barriers: an element's place is its own in its run and that in the
// sibling run, found by binary search. Equal keys stay in order. Each thread takes EACH elements, THREADS apart.
//
// Defined elsewhere:
//   params.steps, .length           elements of all lines, and of one
//   runWidth()                      elements of a run
//   keyAt(position) -> u32          the key of an element, by its place among all
//   relocate(position, place)       moves an element: its key, and where in its line it was at first

override THREADS: u32 = 64;
override EACH: u32 = 1;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let width = runWidth();
  let first = ((group.z * groups.y + group.y) * groups.x + group.x) * THREADS * EACH + thread;
  let end = min(params.steps, first + THREADS * EACH);
  for (var position = first; position < end; position += THREADS) {
    let element = position % params.length;
    let line = position - element;
    let own = element / width * width;
    let right = own / width % 2u == 1u;
    let key = keyAt(position);
    var low = line + min(select(own + width, own - width, right), params.length);
    var high = min(low + width, line + params.length);
    let base = low;
    while (low < high) {
      let middle = (low + high) / 2u;
      let other = keyAt(middle);
      let before = other < key || (right && other == key);
      low = select(low, middle + 1u, before);
      high = select(middle, high, before);
    }
    relocate(position, position - select(0u, width, right) + low - base);
  }
}
