/**
 * The presence half of a connection of providers of y-protocols: what its client shows of itself, and what it is told of others.
 *
 * - SES6 A client takes a socket for dead on which nothing comes for 30 s: its own presence is echoed to it, and who shows none gets an empty one.
 * - Providers pass on what they hear, so that a message says little about who its entries are: a client belongs to one connection.
 */

import type { Attachment } from '../../attachment.js'
import type { AwarenessEntry } from '../../awareness.js'
import { decodeAwareness, encodeAwareness, lastWords } from '../../awareness.js'
import { advice } from '../../advice.js'
import { MeridianError } from '../../errors.js'
import type { LiveDocument } from '../../live-document.js'
import type { PresenceToEncode } from '../../shared-encoder.js'
import type { WireSession } from '../../wire.js'
import { encodeAwarenessMessage } from './messages.js'

/** Ticks without an echo after which an empty one is sent. */
const aliveTicks = 20

/** Says nothing, and that the node is there. */
export const emptyAwareness = encodeAwarenessMessage(encodeAwareness([]))

/** Undefined for what a client of another wire shows that is no awareness update. */
export function encodePresence({ payload, before }: PresenceToEncode): Uint8Array | undefined {
  const now = entriesOf(payload)
  const there = new Set(now.map((entry) => entry.clientId))
  const gone = lastWords(entriesOf(before).filter((entry) => !there.has(entry.clientId)))
  return now.length + gone.length === 0 ? undefined : encodeAwarenessMessage(encodeAwareness([...now, ...gone]))
}

/** Which connection speaks for a client, by document: what others relay is not theirs. */
const speakers = new WeakMap<LiveDocument, Map<number, ProvidersPresence>>()

export class ProvidersPresence {
  readonly #session: WireSession
  /** Where something was shown. */
  #attachment: Attachment | undefined
  #own = new Map<number, AwarenessEntry>()
  #heard = false
  #toldTooLarge = false
  #quietTicks = 0

  readonly #onRefused: (reason: string) => void

  /** @param onRefused told once why others do not see it */
  constructor(session: WireSession, onRefused: (reason: string) => void) {
    this.#onRefused = onRefused
    this.#session = session
  }

  /** An awareness update of the client. @throws MeridianError FRAME_INVALID */
  hear(attachment: Attachment, update: Uint8Array): void {
    this.#attachment = attachment
    let entries: readonly AwarenessEntry[]
    try {
      entries = decodeAwareness(update)
    } catch (thrown) {
      if (thrown instanceof MeridianError && thrown.code === 'LIMIT_PRESENCE') return this.#tellTooLarge()
      throw thrown
    }
    const first = !this.#heard
    this.#heard = true
    // The first message of a provider is of its own client alone.
    const [own] = entries
    if (first && own !== undefined && entries.length === 1 && own.state !== null) this.#session.claim(attachment, own.clientId)
    const mine = entries.filter((entry) => this.#takes(attachment, entry, first))
    if (mine.length === 0) return
    const payload = this.#shown()
    if (payload.length > this.#session.limits.presenceBytesMax) return this.#tellTooLarge()
    this.#session.show(attachment, payload)
    this.#quietTicks = 0
    this.#session.send(encodeAwarenessMessage(encodeAwareness(mine)))
    // Others may have been told that the client of an earlier connection is gone, or hold what it says now for old: said to be gone, it answers
    // with a clock that everybody takes. Without that it would be hidden until its second renewal, 30 s later.
    if (first && entries.length === 1) this.#session.send(encodeAwarenessMessage(encodeAwareness(lastWords(mine))))
  }

  /** What is shown in the document, by anybody. */
  tellAll(attachment: Attachment): void {
    const own = attachment.presence
    for (const presence of [...(own === undefined ? [] : [own]), ...this.#session.hub.presence.others(attachment)]) {
      const frame = encodePresence(presence)
      if (frame !== undefined) this.#session.send(frame)
    }
  }

  /** About once a second. */
  tick(): void {
    if (++this.#quietTicks < aliveTicks) return
    this.#quietTicks = 0
    this.#session.send(emptyAwareness)
  }

  /** The connection speaks for nobody any more. */
  leave(attachment: Attachment): void {
    const table = speakers.get(attachment.document)
    for (const clientId of this.#own.keys()) if (table?.get(clientId) === this) table.delete(clientId)
    this.#own.clear()
  }

  /** Empty if there is nothing. */
  #shown(): Uint8Array {
    return this.#own.size === 0 ? new Uint8Array(0) : encodeAwareness([...this.#own.values()])
  }

  /** Others go without it; a close would make the client come again and say the same. */
  #tellTooLarge(): void {
    if (this.#toldTooLarge) return
    this.#toldTooLarge = true
    this.#onRefused(`Others do not see this presence. ${advice.LIMIT_PRESENCE}`)
  }

  /**
   * A client belongs to the connection that says the newest of it, first to the one that said so first; the first message of a connection is
   * of its own client, which may be known from a connection that is dead and not yet found so.
   */
  #takes(attachment: Attachment, entry: AwarenessEntry, first: boolean): boolean {
    let table = speakers.get(attachment.document)
    if (table === undefined) speakers.set(attachment.document, (table = new Map()))
    const own = this.#own.get(entry.clientId)
    if (own === undefined) {
      if (entry.state === null) return false
      const speaker = table.get(entry.clientId)
      if (speaker === undefined ? !first && this.#isShownByOthers(attachment, entry.clientId) : !speaker.#yields(entry, first))
        return false
    } else if (entry.clock < own.clock || (entry.clock === own.clock && entry.state !== null)) return false
    if (entry.state === null) {
      this.#own.delete(entry.clientId)
      table.delete(entry.clientId)
    } else {
      this.#own.set(entry.clientId, entry)
      table.set(entry.clientId, this)
    }
    return true
  }

  #isShownByOthers(attachment: Attachment, clientId: number): boolean {
    for (const { payload } of this.#session.hub.presence.others(attachment))
      if (entriesOf(payload).some((entry) => entry.clientId === clientId)) return true
    return false
  }

  /** From here on another connection speaks for the client, so that the end of this one is not taken for the end of the client. */
  #yields({ clientId, clock }: AwarenessEntry, first: boolean): boolean {
    const own = this.#own.get(clientId)
    const attachment = this.#attachment
    if (own === undefined || attachment === undefined) return true
    if (!first && clock <= own.clock) return false
    this.#own.delete(clientId)
    this.#session.handOver(attachment, this.#shown())
    return true
  }
}

function entriesOf(payload: Uint8Array): readonly AwarenessEntry[] {
  if (payload.length === 0) return []
  try {
    return decodeAwareness(payload)
  } catch (thrown) {
    if (thrown instanceof MeridianError) return []
    throw thrown
  }
}
