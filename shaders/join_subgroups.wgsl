// The lanes of a row are joined without memory in spans of SPAN neighbours, which are of one subgroup; the spans by one exchange in
// workgroup memory, where a row has several. Every lane gets the same sum, since both partners add the same two numbers.
//
// Defined elsewhere:
//   shuffle_N(partial, mask) -> Partial_N    the partial of the lane whose number differs by the mask

var<workgroup> partials_N: array<Partial_N, THREADS / SPAN>;

fn joinSpan_N(partial: Partial_N) -> Partial_N {
  var total = partial;
  for (var mask = SPAN / 2u; mask > 0u; mask /= 2u) {
    total = combine_N(total, shuffle_N(total, mask));
  }
  return total;
}

fn join_N(partial: Partial_N, place: Place) -> Partial_N {
  var total = joinSpan_N(partial);
  if (LANES > SPAN) {
    if (place.lane % SPAN == 0u) {
      partials_N[place.slot / SPAN] = total;
    }
    workgroupBarrier();
    let first = (place.slot - place.lane) / SPAN;
    total = identity_N();
    for (var i = place.lane % SPAN; i < LANES / SPAN; i += SPAN) {
      total = combine_N(total, partials_N[first + i]);
    }
    total = joinSpan_N(total);
  }
  return total;
}
