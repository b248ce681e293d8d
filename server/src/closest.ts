/** The word that somebody probably meant. For messages to people only. */

/** The nearest of `words` if it is near enough to be a slip of the fingers: a third of its letters at most. */
export function closest(word: string, words: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Number.POSITIVE_INFINITY
  const wanted = word.toLowerCase()
  for (const candidate of words) {
    const other = candidate.toLowerCase()
    const distance = editDistance(wanted, other)
    if (distance < bestDistance && distance <= Math.max(1, Math.floor(other.length / 3))) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** Levenshtein distance, in one row. Words are short: longer ones are cut. */
function editDistance(a: string, b: string): number {
  const x = a.slice(0, 64)
  const y = b.slice(0, 64)
  const row = Array.from({ length: y.length + 1 }, (_, index) => index)
  for (let i = 1; i <= x.length; i++) {
    let diagonal = row[0] ?? 0
    row[0] = i
    for (let j = 1; j <= y.length; j++) {
      const above = row[j] ?? 0
      row[j] = Math.min(above + 1, (row[j - 1] ?? 0) + 1, diagonal + (x[i - 1] === y[j - 1] ? 0 : 1))
      diagonal = above
    }
  }
  return row[y.length] ?? 0
}
