/** Bytes on their way to sockets. One `Outgoing` may go to thousands of sessions. */
export interface Outgoing {
  readonly bytes: Uint8Array
  /** Where a gateway keeps the bytes with its transport's header in front, made once for all receivers. */
  framed: Uint8Array | undefined
  /** The frames that `bytes` are, if they are several. */
  readonly frames: readonly Uint8Array[] | undefined
  /** The same in messages of a size for those who take it bit by bit, made once for all receivers. */
  pieces: readonly Outgoing[] | undefined
}

export const outgoing = (bytes: Uint8Array, frames?: readonly Uint8Array[]): Outgoing => ({
  bytes,
  framed: undefined,
  frames,
  pieces: undefined,
})
