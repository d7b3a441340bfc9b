// The lanes of a row are joined by a tree in workgroup memory.

var<workgroup> partials_N: array<Partial_N, THREADS>;

fn join_N(partial: Partial_N, place: Place) -> Partial_N {
  partials_N[place.slot] = partial;
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (place.lane < half) {
      partials_N[place.slot] = combine_N(partials_N[place.slot], partials_N[place.slot + half]);
    }
  }
  workgroupBarrier();
  return partials_N[place.slot - place.lane];
}
