// Merges sorted runs of each line in pairs. A piece is EACH elements of the result, which its run width is a multiple of:
// a binary search says how many of those before come from the left run. Equal keys stay in order.
//
// Defined elsewhere:
//   params.length                   how many elements in each line
//   runWidth()                      elements of a run
//   keyAt(position) -> u32          the key of an element, by its place among all
//   relocate(position, place)       moves an element: its key, and where in its line it was at first

override EACH: u32 = 16;

fn piecesOfLine() -> u32 {
  return (params.length + EACH - 1u) / EACH;
}

fn makePiece(index: u32, chunk: u32) {
  let line = index * params.length;
  let end = line + params.length;
  let first = line + chunk * EACH;
  let width = runWidth();
  let leftStart = first - (first - line) % (2u * width);
  let leftEnd = min(leftStart + width, end);
  let rightEnd = min(leftEnd + width, end);

  let before = first - leftStart;
  var low = before - min(before, rightEnd - leftEnd);
  var high = min(before, leftEnd - leftStart);
  while (low < high) {
    let middle = (low + high) / 2u;
    let more = keyAt(leftStart + middle) <= keyAt(leftEnd + before - 1u - middle);
    low = select(low, middle + 1u, more);
    high = select(middle, high, more);
  }

  var left = leftStart + low;
  var right = leftEnd + before - low;
  for (var place = first; place < min(first + EACH, rightEnd); place++) {
    if (left < leftEnd && (right >= rightEnd || keyAt(left) <= keyAt(right))) {
      relocate(left, place);
      left++;
    } else {
      relocate(right, place);
      right++;
    }
  }
}
