/** Rows of text under their heads, in columns that are as wide as their longest cell; those named in `right` end in line. */
export function textTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly string[] = [],
): { readonly lines: string[]; readonly rule: string } {
  const table = [head, ...rows];
  const widths = head.map((_, c) => Math.max(...table.map((row) => row[c]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, c) => (right.includes(head[c] ?? '') ? cell.padStart(widths[c] ?? 0) : cell.padEnd(widths[c] ?? 0)))
      .join('  ')
      .trimEnd();
  return { lines: table.map(line), rule: widths.map((w) => '-'.repeat(w)).join('  ') };
}
