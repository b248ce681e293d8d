/** Exit codes: 0 well, 1 the node failed (operating), 2 it was told something wrong (usage). */

export const exitOk = 0
export const exitOperating = 1
export const exitUsage = 2

/** What somebody typed or configured wrongly; printed without a stack. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
