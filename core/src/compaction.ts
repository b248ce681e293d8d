/**
 * When a document's tail is worth folding into its snapshot. Folding costs about 4 µs an entry plus the load of the old snapshot, so
 * a busy document waits until the tail outweighs both; one that nobody holds open any more is folded much earlier, since its next
 * reader pays for every entry. Trimming what was folded costs the log about as much again, and both are paid while the document is being
 * written to: one that fills its tail within seconds is given a rest between two foldings, up to `restFactor` tails (ADR 0016).
 */

export interface CompactionPolicy {
  /** Entries in the tail of an open document. */
  readonly openEntries: number
  /** Payload bytes in the tail of an open document, on top of the size of its snapshot. */
  readonly openBytes: number
  /** Entries in the tail of a document whose last session has left. */
  readonly idleEntries: number
  /** Milliseconds from one folding of an open document to the next, as long as its tail is no more than `restFactor` times what is allowed. */
  readonly restMs: number
  /** Milliseconds after which an open document with as many entries as an idle one may have is folded though it is open. */
  readonly ageMs: number
}

export const compactionPolicy: CompactionPolicy = {
  openEntries: 20_000,
  openBytes: 1024 * 1024,
  idleEntries: 500,
  restMs: 15_000,
  ageMs: 600_000,
}

export interface Tail {
  readonly tailCount: number
  readonly tailBytes: number
  readonly snapshotBytes: number
  /** When the oldest of its entries came, or was first known of. */
  readonly tailSinceMs: number
}

/** About what memory still holds of one document (`tailBytesMax`), so that folding need not read the log. */
const restFactor = 4

export function dueWhileOpen(policy: CompactionPolicy, tail: Tail, nowMs: number): boolean {
  const tails = Math.max(tail.tailCount / policy.openEntries, tail.tailBytes / (policy.openBytes + tail.snapshotBytes))
  const ageMs = nowMs - tail.tailSinceMs
  if (tails >= restFactor || (tails >= 1 && ageMs >= policy.restMs)) return true
  return tail.tailCount >= policy.idleEntries && ageMs >= policy.ageMs
}

export const dueWhenIdle = (policy: CompactionPolicy, tail: Tail, nowMs: number): boolean =>
  tail.tailCount >= policy.idleEntries || dueWhileOpen(policy, tail, nowMs)
