/**
 * SES3: everything is bounded, and each bound is an option with a default and a unit. A client that reaches one is told by a typed
 * error, and nobody else notices.
 */

export interface SessionLimits {
  /** Bytes of one WebSocket message once the client is known. Larger frames travel as fragments. */
  readonly messageBytesMax: number
  /** Bytes that a client may send before it is known, hello and everything behind it included. */
  readonly greetingBytesMax: number
  /** Milliseconds from the opening of the socket to a valid hello. */
  readonly greetingMs: number
  /** Documents attached at once by one session. */
  readonly documentsMax: number
  /** Bytes of one update. */
  readonly updateBytesMax: number
  /** Bytes of a document: its snapshot and the updates behind it, as they are stored. Beyond it updates are refused, and reads go on. */
  readonly documentBytesMax: number
  /** Authors of a document (Yjs client ids). The index of an open document has some 70 bytes for each (heap, 262,144 of them); beyond it updates are refused, and reads go on. */
  readonly documentAuthorsMax: number
  /** Payload bytes of one session that were pushed and not yet acked; one push is always allowed. */
  readonly unackedBytesMax: number
  /** Pushes of one session and group that wait to be judged. However small they are, each is held with what it takes to go on with it. */
  readonly waitingPushesMax: number
  /** Bytes of one presence state. */
  readonly presenceBytesMax: number
  /** Presence states a second and session; more are merged into the newest, a second later. */
  readonly presencePerSecond: number
  /** Bytes in a socket's buffer above which the session stops, to read on from the log later (SES4). */
  readonly bufferedBytesMax: number
  /** Bytes of one read from the log for one session. */
  readonly readBytes: number
  /** Documents that one session reads from the log at once. */
  readonly readsMax: number
  /** Milliseconds without a sign of life after which a socket is taken for dead; the client pings twice as often. */
  readonly silenceMs: number
  /** Milliseconds that a push waits for what it builds on (SES2, SES5) before it is refused. */
  readonly waitMs: number
}

export const sessionLimits: SessionLimits = {
  messageBytesMax: 1024 * 1024,
  greetingBytesMax: 64 * 1024,
  greetingMs: 10_000,
  documentsMax: 1_000,
  updateBytesMax: 64 * 1024 * 1024,
  documentBytesMax: 256 * 1024 * 1024,
  documentAuthorsMax: 262_144,
  unackedBytesMax: 4 * 1024 * 1024,
  waitingPushesMax: 65_536,
  presenceBytesMax: 4 * 1024,
  presencePerSecond: 30,
  bufferedBytesMax: 512 * 1024,
  readBytes: 256 * 1024,
  readsMax: 4,
  silenceMs: 60_000,
  waitMs: 2_000,
}

export interface HubLimits {
  /** Sessions at once. */
  readonly sessionsMax: number
  /** Entries and payload bytes of one commit; what is more goes into the next one. */
  readonly batchEntriesMax: number
  readonly batchBytesMax: number
  /** Payload bytes that wait for their commit, over all sessions; above it no session is read from. */
  readonly pendingBytesMax: number
  /**
   * Bytes of updates that are looked into in one go: a larger one is looked into elsewhere, and after so many of one session and group
   * others have their turn. The worst shapes take a third of a millisecond for a kibibyte.
   */
  readonly inlineBytesMax: number
  /** Bytes of the newest entries that are kept in memory for those who lag a little. */
  readonly tailBytesMax: number
}

export const hubLimits: HubLimits = {
  sessionsMax: 20_000,
  batchEntriesMax: 8_192,
  batchBytesMax: 16 * 1024 * 1024,
  pendingBytesMax: 64 * 1024 * 1024,
  inlineBytesMax: 32 * 1024,
  tailBytesMax: 8 * 1024 * 1024,
}
