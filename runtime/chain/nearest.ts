// Which known word did somebody mean?

/**
 * The candidate with the smallest edit distance, the first of them if several are equally near; undefined only if there
 * is no candidate.
 */
export function findNearest(word: string, candidates: readonly string[]): string | undefined {
  let nearest: string | undefined;
  let smallest = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const distance = editDistance(word, candidate);
    if (distance < smallest) [nearest, smallest] = [candidate, distance];
  }
  return nearest;
}

/** Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment), ignoring case. */
export function editDistance(first: string, second: string): number {
  const a = first.slice(0, 64).toLowerCase();
  const b = second.slice(0, 64).toLowerCase();
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let distance = Math.min(at(previous, j) + 1, at(row, j - 1) + 1, at(previous, j - 1) + cost);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) distance = Math.min(distance, at(beforePrevious, j - 2) + 1);
      row.push(distance);
    }
    [beforePrevious, previous] = [previous, row];
  }
  return at(previous, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] as number;
}

/** The help line for a word that is not among the known ones. */
export function suggest(word: string, known: readonly string[], kind: string): string {
  if (known.length === 0) return `there are no ${kind} here`;
  return `did you mean "${findNearest(word, known)}"? known ${kind}: ${known.join(", ")}`;
}
