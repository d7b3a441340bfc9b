// One pass of a row kernel: the reductions that can be made together. It is repeated for each pass, with the pass's
// number for N in all names.
//
// Defined elsewhere:
//   Partial_N                    one value for each reduction of the pass
//   identity_N() -> Partial_N
//   value_N(row, column) -> Partial_N
//   combine_N(a, b) -> Partial_N
//   join_N(partial, place) -> Partial_N, of all lanes of the row, for each of them

const CHUNK_N = 128u;

fn reduce_N(row: Row, place: Place) -> Partial_N {
  var total = identity_N();
  for (var start = place.lane; start < place.length; start += CHUNK_N * LANES) {
    let end = min(start + CHUNK_N * LANES, place.length);
    var part = identity_N();
    for (var column = start; column < end; column += LANES) {
      part = combine_N(part, value_N(row, column));
    }
    total = combine_N(total, part);
  }
  if (LANES > 1u) {
    total = join_N(total, place);
  }
  return total;
}
