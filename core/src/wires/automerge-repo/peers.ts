/** Who speaks on the wire of automerge-repo in one node: peers by id, documents by handle, and who hears ephemeral messages. */

import type { WireSession } from '../../wire.js'

/** Senders of ephemeral messages that are known of a document, to tell a message that comes twice. */
const sendersMax = 1_024

interface OpenDocument {
  readonly documentId: string
  readonly sessions: Set<WireSession>
  /** The last count of each session of a sender. */
  readonly counts: Map<string, number>
}

export class Peers {
  readonly #sessions = new Map<string, WireSession>()
  readonly #documents = new Map<number, OpenDocument>()

  /** @returns the session that had the id until now */
  take(peer: string, session: WireSession): WireSession | undefined {
    const before = this.#sessions.get(peer)
    this.#sessions.set(peer, session)
    return before === session ? undefined : before
  }

  release(peer: string, session: WireSession): void {
    if (this.#sessions.get(peer) === session) this.#sessions.delete(peer)
  }

  /** What shared frames call the document. */
  documentId(handle: number): string | undefined {
    return this.#documents.get(handle)?.documentId
  }

  join(handle: number, documentId: string, session: WireSession): void {
    let open = this.#documents.get(handle)
    if (open === undefined) this.#documents.set(handle, (open = { documentId, sessions: new Set(), counts: new Map() }))
    open.sessions.add(session)
  }

  leave(handle: number, session: WireSession): void {
    const open = this.#documents.get(handle)
    open?.sessions.delete(session)
    if (open?.sessions.size === 0) this.#documents.delete(handle)
  }

  /** To all others that have the document open, once; who does not take what it is sent goes without. */
  forward(
    handle: number,
    { sender, count }: { readonly sender: string; readonly count: number },
    from: WireSession,
    frame: Uint8Array,
  ): void {
    const open = this.#documents.get(handle)
    if (open === undefined || count <= (open.counts.get(sender) ?? -1)) return
    open.counts.delete(sender)
    open.counts.set(sender, count)
    for (const oldest of open.counts.keys()) {
      if (open.counts.size <= sendersMax) break
      open.counts.delete(oldest)
    }
    for (const session of open.sessions) {
      if (session === from || session.stalled) continue
      session.send(frame)
      session.flush()
    }
  }
}
