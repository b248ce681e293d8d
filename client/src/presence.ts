/**
 * Who else has a document open, and what this tab shows of itself there. One for each open document of a tab; pure: time is handed in.
 *
 * - SES6 Nothing is stored. A state is renewed every `renewMs`, so that others can tell a dead client from a quiet one; a peer that is
 *   not renewed, because a cut was silent, is gone after `expiryMs` of core's awareness.
 * - The node says who somebody is: `subject` never comes from the state, which its client writes itself.
 *
 * A session shows the states of all tabs of its browser in one awareness update, and each such update replaces the one before it.
 */

import type { AwarenessEntry, AwarenessState } from '@meridian/core/awareness'
import { Awareness, decodeAwareness, encodeAwareness, expiryMs, parseState } from '@meridian/core/awareness'
import { MeridianError } from '@meridian/core/errors'

export interface Peer {
  /** The `clientID` of its `Y.Doc`; another tab of this browser is a peer, too. */
  readonly clientId: number
  /** Who it is, as the node says; empty in development mode and for another tab while there is no connection. */
  readonly subject: string
  readonly state: AwarenessState
}

export interface Presence {
  readonly clientId: number
  readonly local: AwarenessState | null
  /** Others; the same object until something changes. */
  readonly peers: ReadonlyMap<number, Peer>
  /** Shows this state to others, or nothing. JSON, of about 4,000 bytes. @throws MeridianError LIMIT_PRESENCE, FRAME_INVALID */
  set(state: AwarenessState | null): void
  /** One field of it; nothing while the state is null. */
  setField(name: string, value: unknown): void
  /** Called after each change of `local` or `peers`; the answer ends it. */
  subscribe(listener: () => void): () => void
}

export interface PresenceEffects {
  monotonicMs(): number
  after(ms: number, run: () => void): () => void
  /** To the other tabs of this browser, as soon as it changes. */
  share(entries: readonly AwarenessEntry[]): void
  /** To the node, in place of what was said before; empty for nothing. */
  send(update: Uint8Array): void
  /** Who the node takes this browser for. */
  subject(): string
  tell(listeners: ReadonlySet<() => void>): void
}

/** Half of what others wait for, so that one lost renewal ends nothing. */
const renewMs = expiryMs / 2
/** Milliseconds between two states: 20 a second look smooth and are less than the 30 of a session that a node takes without delay. */
const spacingMs = 50
/** Bytes that a node takes as one presence state (SES3). */
const updateBytesMax = 4 * 1024

const never = Number.POSITIVE_INFINITY

/** Who brought a state: a session of the node, or another tab of this browser. */
interface Owner {
  readonly session: number | string
  readonly subject: string
}

export class DocumentPresence implements Presence {
  readonly clientId: number
  readonly #effects: PresenceEffects
  readonly #table = new Awareness()
  readonly #own: ReadonlySet<number>
  readonly #owners = new Map<number, Owner>()
  readonly #listeners = new Set<() => void>()
  #peers: ReadonlyMap<number, Peer> = new Map()
  #cancel: (() => void) | undefined
  #cancelSend: (() => void) | undefined
  #sentMs = Number.NEGATIVE_INFINITY
  #saidMs = 0
  #isShown = false

  constructor(clientId: number, effects: PresenceEffects) {
    this.clientId = clientId
    this.#own = new Set([clientId])
    this.#effects = effects
  }

  get local(): AwarenessState | null {
    return this.#table.get(this.clientId)?.state ?? null
  }

  get peers(): ReadonlyMap<number, Peer> {
    return this.#peers
  }

  set(state: AwarenessState | null): void {
    // Copied, so that what the app changes later in its object is no state that only this tab sees.
    const copy = parseState(JSON.stringify(state))
    if (encodeAwareness([{ clientId: this.clientId, clock: 2 ** 31, state: copy }]).length > updateBytesMax)
      throw new MeridianError('LIMIT_PRESENCE')
    this.#say(copy)
    this.#changed()
  }

  setField(name: string, value: unknown): void {
    const { local } = this
    if (local !== null) this.set({ ...local, [name]: value })
  }

  subscribe(listener: () => void): () => void {
    const own = (): void => listener()
    this.#listeners.add(own)
    return () => {
      this.#listeners.delete(own)
    }
  }

  /** The newest state of a session of the node, all its clients in one update; empty when it is gone. */
  received(session: number, subject: string, update: Uint8Array): void {
    let entries: AwarenessEntry[]
    try {
      entries = update.length === 0 ? [] : decodeAwareness(update)
    } catch {
      // Another client's mistake; what it showed before ends by itself.
      return
    }
    const named = new Set(entries.map((entry) => entry.clientId))
    const left = [...this.#owners].filter(([clientId, owner]) => owner.session === session && !named.has(clientId))
    this.#take(entries, { session, subject }, left)
  }

  /** What another tab of this browser shows. */
  shared(tab: string, entries: readonly AwarenessEntry[]): void {
    this.#take(entries, { session: tab, subject: '' }, [])
    this.#sendSoon()
  }

  /** Another tab is gone. */
  left(tab: string): void {
    const left = [...this.#owners].filter(([, owner]) => owner.session === tab)
    this.#take([], { session: tab, subject: '' }, left)
    if (left.length > 0) this.#sendSoon()
  }

  /** There is another connection, or another tab came: it is said again, with a newer clock for whoever thought it gone. */
  again(): void {
    this.#say(this.local)
  }

  /** Nobody has the document open here any more. */
  end(): void {
    this.#say(null)
    this.#cancel?.()
    this.#cancel = undefined
    this.#listeners.clear()
  }

  #mine(): AwarenessEntry[] {
    const entry = this.#table.get(this.clientId)
    return entry === undefined ? [] : [entry]
  }

  #say(state: AwarenessState | null): void {
    if (state === null && this.local === null) return
    this.#saidMs = this.#effects.monotonicMs()
    this.#effects.share([this.#table.set(this.clientId, state, this.#saidMs)])
    this.#sendSoon()
  }

  #take(entries: readonly AwarenessEntry[], owner: Owner, left: readonly [number, Owner][]): void {
    const nowMs = this.#effects.monotonicMs()
    const gone = this.#table.remove(
      left.map(([clientId]) => clientId),
      nowMs,
    )
    const change = this.#table.merge(entries, nowMs, this.#own)
    for (const clientId of [...gone.removed, ...change.removed]) this.#owners.delete(clientId)
    if (change.renewed.includes(this.clientId)) this.again()
    for (const { clientId, clock, state } of entries) {
      // A client that came back by another session may have said the same there.
      if (clientId !== this.clientId && state !== null && this.#table.get(clientId)?.clock === clock)
        this.#owners.set(clientId, owner)
    }
    if (gone.removed.length + change.added.length + change.updated.length + change.removed.length > 0) this.#changed()
    this.#schedule()
  }

  #changed(): void {
    const peers = new Map<number, Peer>()
    for (const { clientId, state } of this.#table.entries()) {
      const owner = this.#owners.get(clientId)
      if (owner === undefined || state === null) continue
      const subject = typeof owner.session === 'string' ? this.#effects.subject() : owner.subject
      const before = this.#peers.get(clientId)
      peers.set(clientId, before?.state === state && before.subject === subject ? before : { clientId, subject, state })
    }
    this.#peers = peers
    this.#schedule()
    this.#effects.tell(this.#listeners)
  }

  /** Spaced out: the last state of a burst is what others see in the end. */
  #sendSoon(): void {
    if (this.#cancelSend !== undefined) return
    const waitMs = Math.max(0, this.#sentMs + spacingMs - this.#effects.monotonicMs())
    this.#cancelSend = this.#effects.after(waitMs, () => {
      this.#cancelSend = undefined
      this.#send()
    })
  }

  #send(): void {
    this.#sentMs = this.#effects.monotonicMs()
    const entries = this.#mine()
    for (const [clientId, owner] of this.#owners) {
      const entry = this.#table.get(clientId)
      if (typeof owner.session === 'number' || entry === undefined) continue
      if (encodeAwareness([...entries, entry]).length <= updateBytesMax) entries.push(entry)
    }
    const isShown = entries.some((entry) => entry.state !== null)
    // Gone, and never was there.
    if (!isShown && !this.#isShown) return
    this.#isShown = isShown
    this.#effects.send(isShown ? encodeAwareness(entries) : new Uint8Array(0))
  }

  #schedule(): void {
    this.#cancel?.()
    this.#cancel = undefined
    const dueMs = Math.min(this.#table.dueMs(this.#own) ?? never, this.local === null ? never : this.#saidMs + renewMs)
    if (dueMs === never) return
    this.#cancel = this.#effects.after(Math.max(0, dueMs - this.#effects.monotonicMs()), () => this.#tick())
  }

  #tick(): void {
    const { local } = this
    const nowMs = this.#effects.monotonicMs()
    if (local !== null && nowMs - this.#saidMs >= renewMs) this.#say(local)
    const { removed } = this.#table.expire(nowMs, this.#own)
    for (const clientId of removed) this.#owners.delete(clientId)
    if (removed.length > 0) this.#changed()
    else this.#schedule()
  }
}
