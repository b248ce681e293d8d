/**
 * When a document's tail is worth folding into its snapshot. Folding costs about 4 µs an entry plus the load of the old snapshot, so
 * a busy document waits until the tail outweighs both; one that nobody holds open any more is folded much earlier, since its next
 * reader pays for every entry.
 */

export interface CompactionPolicy {
  /** Entries in the tail of an open document. */
  readonly openEntries: number
  /** Payload bytes in the tail of an open document, on top of the size of its snapshot. */
  readonly openBytes: number
  /** Entries in the tail of a document whose last session has left. */
  readonly idleEntries: number
  /** Milliseconds after which an open document with as many entries as an idle one may have is folded though it is open. */
  readonly ageMs: number
}

export const compactionPolicy: CompactionPolicy = {
  openEntries: 20_000,
  openBytes: 1024 * 1024,
  idleEntries: 500,
  ageMs: 600_000,
}

export interface Tail {
  readonly tailCount: number
  readonly tailBytes: number
  readonly snapshotBytes: number
  /** When the oldest of its entries came, or was first known of. */
  readonly tailSinceMs: number
}

export const dueWhileOpen = (policy: CompactionPolicy, tail: Tail, nowMs: number): boolean =>
  tail.tailCount >= policy.openEntries ||
  tail.tailBytes >= policy.openBytes + tail.snapshotBytes ||
  (tail.tailCount >= policy.idleEntries && nowMs - tail.tailSinceMs >= policy.ageMs)

export const dueWhenIdle = (policy: CompactionPolicy, tail: Tail, nowMs: number): boolean =>
  tail.tailCount >= policy.idleEntries || dueWhileOpen(policy, tail, nowMs)
