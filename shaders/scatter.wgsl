// A piece is a place: it folds, in their order, the elements of its line that go there. It looks at all of them, or,
// where they are SORTED by place, at those from the first that a binary search finds.
//
// Sums are folded in chunks: their error then grows with the square root of the number of elements at most.
//
// Defined elsewhere:
//   params.length, .targets           how many elements of each line, and places that they go to
//   SORTED
//   Element                           the type of elements
//   enterLine(index) -> Line          addresses and coordinates that are the same for the whole line
//   keyAt(line, at) -> u32            where an element goes
//   elementAt(line, at) -> Element
//   identity() -> Element
//   fold(a, b) -> Element
//   storeTarget(line, place, total, hit)
//   report()                          says that a place is out of range

const CHUNK = 128u;

fn piecesOfLine() -> u32 {
  // Without places there is a thread still, to report.
  return max(params.targets, 1u);
}

fn makePiece(index: u32, place: u32) {
  let line = enterLine(index);

  var at = 0u;
  if (SORTED) {
    var end = params.length;
    while (at < end) {
      let middle = (at + end) / 2u;
      let before = keyAt(line, middle) < place;
      at = select(at, middle + 1u, before);
      end = select(middle, end, before);
    }
    // What is out of range comes last.
    if (place == 0u && params.length > 0u && keyAt(line, max(params.length, 1u) - 1u) >= params.targets) {
      report();
    }
  }

  var total = identity();
  var part = identity();
  var count = 0u;
  for (; at < params.length; at++) {
    let key = keyAt(line, at);
    if (key == place && place < params.targets) {
      part = fold(part, elementAt(line, at));
      count++;
      if (count % CHUNK == 0u) {
        total = fold(total, part);
        part = identity();
      }
    } else if (SORTED) {
      break;
    } else if (key >= params.targets && place == 0u) {
      report();
    }
  }
  if (count % CHUNK > 0u) {
    total = fold(total, part);
  }
  if (place < params.targets) {
    storeTarget(line, place, total, count > 0u);
  }
}
