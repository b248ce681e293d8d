/** What makes the frames that many subscribers get: the half of a wire that knows no connection. [hot] */

/** An update to be encoded: of memory, or read from the log. */
export interface UpdateToEncode {
  /** What shared frames call its document. */
  readonly handle: number
  /** Index into the replica ids of the hub. */
  readonly replicaIndex: number
  readonly sequence: number
  readonly payload: Uint8Array
}

export interface PresenceToEncode {
  readonly handle: number
  /** What the node calls the session. */
  readonly session: number
  /** As the node knows it, whatever the payload says. */
  readonly subject: string
  /** Empty: gone. */
  readonly payload: Uint8Array
  /** What was announced before it, so that a wire can say which clients are gone; empty if nothing was. */
  readonly before: Uint8Array
}

export interface SharedEncoder {
  /** `together`: one message holds many frames. `apart`: each frame is a message of its own. */
  readonly packing: 'together' | 'apart'
  /** One update as one frame. [hot] */
  encodeUpdate(update: UpdateToEncode): Uint8Array
  /** True if the payload is the end of each frame, so that memory holds it once. */
  readonly framesEndInPayload: boolean
  /** The newest presence of one session; undefined if this wire cannot say it. */
  encodePresence(presence: PresenceToEncode): Uint8Array | undefined
}
