/** Bytes on their way to sockets. One `Outgoing` may go to thousands of sessions. */
export interface Outgoing {
  readonly bytes: Uint8Array
  /** Where a gateway keeps the bytes with its transport's header in front, made once for all receivers. */
  framed: Uint8Array | undefined
}

export const outgoing = (bytes: Uint8Array): Outgoing => ({ bytes, framed: undefined })
