/** Bounds and times of a link. Each is an option with a default and a unit (SES3). */

export interface LinkOptions {
  /** An entry waits so long for others to go with it. Default 0: it goes when the log can be read. */
  readonly batchMs: number
  /** Cost of a group's entries that may be on their way or waiting at the receiver. One entry larger than this travels alone. Default 256 KiB. */
  readonly windowBytes: number
  /** Cost of the entries of one batch, which is also how much of a log is read at once. Default 64 KiB. */
  readonly batchBytes: number
  /** Entries that one read of the log returns, and one batch holds at most. Default 512; at most 4,096, as a mark may stand before each. */
  readonly batchEntries: number
  /** Bytes in the socket beyond which no batch is sent. Default 1 MiB. */
  readonly socketBytes: number
  /** Bytes in the socket beyond which control frames wait too: their reserved share is what lies between. Default 1.25 MiB. */
  readonly socketControlBytes: number
  /** Bytes of one message, and of one frame put together from fragments. Defaults 512 KiB and 16 MiB. */
  readonly messageBytes: number
  readonly frameBytes: number
  /** A receiver held up at a mark pulls after this, or after twice the usual lag of that region if that is longer (LINK3). Default 50 ms. */
  readonly pullAfterMs: number
  /** However long a region's entries usually take, a pull waits no longer than this. Default 2,000 ms. */
  readonly pullAtMostMs: number
  /** Acks and credit that nothing else hurries. Default 100 ms, or five times `batchMs` if that is longer. */
  readonly ackMs: number
  /** Claims for groups that changed and whose receiver has not acked that (LINK5). Default 100 ms, or ten times `batchMs` if that is longer. */
  readonly claimMs: number
  /** A heartbeat is sent at least so often, an empty one if need be. Default 1,000 ms. */
  readonly heartbeatMs: number
  /** A peer that is not heard for so long is gone. Default 3,000 ms. */
  readonly silenceMs: number
  /** Nothing changed for so long: digests are compared (LINK5). Default 1,000 ms. */
  readonly quietMs: number
  /** After a failed read or commit a stream begins again so much later. Default 200 ms. */
  readonly retryMs: number
  /** Forwarded entries of a region in a row that were here already, after which its direct link is ahead again (LINK3). Default 16. */
  readonly aheadCount: number
  /** A stream whose peer does not have what is lacking as entries is tried again so much later. Default 500 ms. */
  readonly behindMs: number
  /** A region that is behind every peer for so long joins (LINK6). Default 1,000 ms. */
  readonly joinAfterMs: number
  /** Bytes of states that may be on their way to a region that joins a group. Default 1 MiB. */
  readonly joinWindowBytes: number
}

export const defaultLinkOptions: LinkOptions = {
  batchMs: 0,
  windowBytes: 256 * 1024,
  batchBytes: 64 * 1024,
  batchEntries: 512,
  socketBytes: 1024 * 1024,
  socketControlBytes: 1280 * 1024,
  messageBytes: 512 * 1024,
  frameBytes: 16 * 1024 * 1024,
  pullAfterMs: 50,
  pullAtMostMs: 2000,
  ackMs: 100,
  claimMs: 100,
  heartbeatMs: 1000,
  silenceMs: 3000,
  quietMs: 1000,
  retryMs: 200,
  aheadCount: 16,
  behindMs: 500,
  joinAfterMs: 1000,
  joinWindowBytes: 1024 * 1024,
}

/** Batches that one ack answers, about: who waits to save bytes wants none for each. */
const batchesAnAck = 5

/** The options with their defaults. */
export function linkOptions(given: Partial<LinkOptions> = {}): LinkOptions {
  const batchMs = given.batchMs ?? defaultLinkOptions.batchMs
  const ackMs = Math.max(defaultLinkOptions.ackMs, batchesAnAck * batchMs)
  const claimMs = Math.max(defaultLinkOptions.claimMs, 2 * batchesAnAck * batchMs)
  return { ...defaultLinkOptions, ackMs, claimMs, ...given }
}
