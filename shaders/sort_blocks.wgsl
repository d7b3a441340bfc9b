// Sorts blocks of each line: blockLength() elements, a power of two from EACH to EACH * THREADS. A thread sorts EACH of them
// by insertion; then runs are merged in pairs, in workgroup memory: an element's place is its own in its run and that in the
// sibling run, found by binary search. Equal keys stay in order.
//
// Defined elsewhere:
//   params.lines, .length           how many lines, and elements in each
//   blockLength()                   elements of a block
//   keyAt(position) -> u32          the key of an element, by its place among all
//   store(position, key, index)     stores what comes to a place: the key, and where in its line it was

override THREADS: u32 = 64;
override EACH: u32 = 4;

const BUFFERS = 2u;
var<workgroup> keys: array<u32, BUFFERS * THREADS * EACH>;
var<workgroup> indices: array<u32, BUFFERS * THREADS * EACH>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  // Where the thread's elements lie in workgroup memory, and the first one of its block.
  let first = thread * EACH;
  let size = blockLength();
  let base = first / size * size;
  let blocks = (params.length + size - 1u) / size;
  let chunk = (group.z * groups.y + group.y) * groups.x + group.x;
  let index = chunk * (THREADS * EACH / size) + base / size;
  let line = index / blocks;
  let start = index % blocks * size;
  let count = select(0u, min(size, params.length - start), line < params.lines);

  for (var slot = first; slot < min(first + EACH, base + count); slot++) {
    let element = start + slot - base;
    let key = keyAt(line * params.length + element);
    var hole = slot;
    while (hole > first && keys[hole - 1u] > key) {
      keys[hole] = keys[hole - 1u];
      indices[hole] = indices[hole - 1u];
      hole--;
    }
    keys[hole] = key;
    indices[hole] = element;
  }

  var source = 0u;
  for (var width = EACH; width < size; width *= 2u) {
    let sink = THREADS * EACH - source;
    workgroupBarrier();
    for (var slot = first; slot < min(first + EACH, base + count); slot++) {
      let own = (slot - base) / width * width;
      let right = own / width % 2u == 1u;
      let sibling = select(own + width, own - width, right);
      let key = keys[source + slot];
      var low = source + base + min(sibling, count);
      var high = source + base + min(sibling + width, count);
      let least = low;
      while (low < high) {
        let middle = (low + high) / 2u;
        let before = keys[middle] < key || (right && keys[middle] == key);
        low = select(low, middle + 1u, before);
        high = select(middle, high, before);
      }
      let place = sink + slot - select(0u, width, right) + low - least;
      keys[place] = key;
      indices[place] = indices[source + slot];
    }
    source = sink;
  }

  workgroupBarrier();
  for (var slot = first; slot < min(first + EACH, base + count); slot++) {
    store(line * params.length + start + slot - base, keys[source + slot], indices[source + slot]);
  }
}
