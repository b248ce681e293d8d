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

/** Letters changed, added, left out or swapped with their neighbour (optimal string alignment). Words are short: longer ones are cut. */
function editDistance(a: string, b: string): number {
  const x = a.slice(0, 64)
  const y = b.slice(0, 64)
  let before: number[] = []
  let row = Array.from({ length: y.length + 1 }, (_, index) => index)
  for (let i = 1; i <= x.length; i++) {
    const next = [i]
    for (let j = 1; j <= y.length; j++) {
      const changed = (row[j - 1] ?? 0) + (x[i - 1] === y[j - 1] ? 0 : 1)
      let best = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, changed)
      if (i > 1 && j > 1 && x[i - 1] === y[j - 2] && x[i - 2] === y[j - 1]) best = Math.min(best, (before[j - 2] ?? 0) + 1)
      next.push(best)
    }
    before = row
    row = next
  }
  return row[y.length] ?? 0
}
