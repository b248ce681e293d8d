/** When a note was written last, as short as it can be said: a time today, a day this week, else a date. */

const dayMs = 86_400_000

export function whenText(thenMs: number, nowMs: number): string {
  const then = new Date(thenMs)
  const now = new Date(nowMs)
  // A clock that is ahead elsewhere is no reason to speak of the future.
  if (nowMs - thenMs < 60_000) return 'Just now'
  if (then.toDateString() === now.toDateString())
    return then.toLocaleTimeString(undefined, { hour: 'numeric', minute: '2-digit' })
  if (nowMs - thenMs < 6 * dayMs) return then.toLocaleDateString(undefined, { weekday: 'short' })
  const sameYear = then.getFullYear() === now.getFullYear()
  return then.toLocaleDateString(undefined, { day: 'numeric', month: 'short', ...(sameYear ? {} : { year: 'numeric' }) })
}
