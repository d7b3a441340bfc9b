// Inclusive scans of lines. LANES threads take a span of a line, tile by tile: each lane folds EACH elements in a row, the
// lanes combine what they have in workgroup memory, and each lane walks its elements once more and stores. A long line is
// cut into spans, in two dispatches: the first stores the total of each span, the second starts from the totals before it.
// Combining is not commutative, and knows no identity: a Part may be of nothing.
//
// Values are combined within tiles first: the error of a sum then grows slowly.
//
// Defined elsewhere:
//   params.lines, .length             how many lines, and elements in each
//   spans(), spanLength()             spans of a line, and elements in each but the last
//   onlyTotals()                      whether this is the first dispatch of two
//   Tuple                             what is combined
//   combine(a, b) -> Tuple
//   enterLine(index) -> Line          addresses and coordinates that are the same for the whole line
//   elementAt(line, k) -> Tuple       counted in the order of the scan
//   storeElement(line, k, tuple)
//   totalAt(span) -> Tuple            by its place among all spans
//   storeTotal(span, tuple)

override THREADS: u32 = 64;
override LANES: u32 = 1;
override EACH: u32 = 32;

struct Part {
  some: bool,
  value: Tuple,
}

struct Across {
  before: Part,
  all: Part,
}

var<workgroup> parts: array<Part, THREADS>;

fn join(a: Part, b: Part) -> Part {
  if (!a.some) {
    return b;
  }
  if (!b.some) {
    return a;
  }
  return Part(true, combine(a.value, b.value));
}

// What the lanes before this one, and what all lanes of its span have.
fn across(own: Part, thread: u32) -> Across {
  let lane = thread % LANES;
  var sum = own;
  for (var step = 1u; step < LANES; step *= 2u) {
    parts[thread] = sum;
    workgroupBarrier();
    if (lane >= step) {
      sum = join(parts[thread - step], sum);
    }
    workgroupBarrier();
  }
  parts[thread] = sum;
  workgroupBarrier();
  var out = Across(Part(), parts[thread - lane + LANES - 1u]);
  if (lane > 0u) {
    out.before = parts[thread - 1u];
  }
  workgroupBarrier();
  return out;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let lane = thread % LANES;
  let index = ((group.z * groups.y + group.y) * groups.x + group.x) * (THREADS / LANES) + thread / LANES;
  let exists = index < params.lines * spans();
  let line = enterLine(index / spans());
  let span = index % spans();
  let first = span * spanLength();
  let end = select(first, min(first + spanLength(), params.length), exists);

  var carry = Part();
  if (!onlyTotals() && spans() > 1u) {
    let before = select(0u, span, exists);
    for (var start = 0u; start < spans(); start += LANES * EACH) {
      let begin = start + lane * EACH;
      var part = Part();
      for (var k = begin; k < min(begin + EACH, before); k++) {
        part = join(part, Part(true, totalAt(index - span + k)));
      }
      if (LANES > 1u) {
        part = across(part, thread).all;
      }
      carry = join(carry, part);
    }
  }

  for (var start = 0u; start < spanLength(); start += LANES * EACH) {
    let begin = min(first + start + lane * EACH, end);
    let stop = min(begin + EACH, end);
    var tile = Across();
    if (LANES > 1u) {
      var part = Part();
      for (var k = begin; k < stop; k++) {
        part = join(part, Part(true, elementAt(line, k)));
      }
      tile = across(part, thread);
    }
    if (LANES == 1u || !onlyTotals()) {
      let base = join(carry, tile.before);
      var part = Part();
      for (var k = begin; k < stop; k++) {
        part = join(part, Part(true, elementAt(line, k)));
        if (!onlyTotals()) {
          storeElement(line, k, join(base, part).value);
        }
      }
      if (LANES == 1u) {
        tile.all = part;
      }
    }
    carry = join(carry, tile.all);
  }
  if (onlyTotals() && exists && lane == 0u) {
    storeTotal(index, carry.value);
  }
}
