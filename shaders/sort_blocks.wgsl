// Sorts blocks of EACH elements of each line in place, by insertion, a block a piece. Equal keys stay in order.
//
// Defined elsewhere:
//   params.length                   how many elements in each line
//   keyAt(position) -> u32          the key of an element, by its place among all
//   indexAt(position) -> u32        where in its line it was
//   store(position, key, index)

override EACH: u32 = 16;

fn piecesOfLine() -> u32 {
  return (params.length + EACH - 1u) / EACH;
}

fn makePiece(index: u32, block: u32) {
  let line = index * params.length;
  let first = block * EACH;
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
