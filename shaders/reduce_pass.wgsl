// One pass of a row kernel: the reductions that can be made together. It is repeated for each pass, with the pass's
// number for N in all names.
//
// Defined elsewhere:
//   Partial_N                    one value for each reduction of the pass
//   identity_N() -> Partial_N
//   value_N(row, column) -> Partial_N
//   combine_N(a, b) -> Partial_N

const CHUNK_N = 128u;
var<workgroup> partials_N: array<Partial_N, THREADS>;

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
    partials_N[place.slot] = total;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
      workgroupBarrier();
      if (place.lane < half) {
        partials_N[place.slot] = combine_N(partials_N[place.slot], partials_N[place.slot + half]);
      }
    }
    workgroupBarrier();
    total = partials_N[place.slot - place.lane];
  }
  return total;
}
