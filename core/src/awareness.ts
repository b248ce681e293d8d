/**
 * Presence of Yjs documents: *awareness updates* in the encoding of y-protocols 1.0 (`varUint n • n × (varUint clientID • varUint clock •
 * varString JSON)`, JSON `null` for gone), and the table that merges them by clock. Pure: time is handed in.
 *
 * It is not y-protocols' own class, which has a timer and a clock of its own, believes any JSON, and remembers every client for ever.
 * What it does differently is said at each place; with what both accept, both hold the same states and clocks
 * (test/core/awareness.test.ts compares them).
 *
 * - SES3 Clients, bytes and nesting are bounded; what is over a bound is a typed error.
 * - SES6 A state that is not renewed within `expiryMs` is gone, and a session that dies says so for each of its clients (`lastWords`).
 */

import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import { decoded, readCount, readString, readVarUint } from './bytes.js'
import { MeridianError } from './errors.js'

/** What a client shows of itself. JSON: whatever else is put in is lost on the way. */
export type AwarenessState = { readonly [field: string]: unknown }

/** One client, which is one tab or process with the document open, as an update names it. */
export interface AwarenessEntry {
  /** The `clientID` of its `Y.Doc`. */
  readonly clientId: number
  /** Grows with each state that the client gives itself; 1 is the first that others take. */
  readonly clock: number
  /** Null: gone. */
  readonly state: AwarenessState | null
}

export interface AwarenessLimits {
  /** Clients in one update. Default 1,000: a node of y-websocket sends those of a whole document at once. */
  readonly clientsMax: number
  /** Bytes of the JSON of one client. Default 4 KiB, as a presence state of the native wire. */
  readonly stateBytesMax: number
  /** Objects and arrays inside each other. Default 32. */
  readonly depthMax: number
}

export const awarenessLimits: AwarenessLimits = { clientsMax: 1_000, stateBytesMax: 4 * 1024, depthMax: 32 }

/** Milliseconds without renewal after which a state is gone; y-protocols has the same number, and clients renew at half of it. */
export const expiryMs = 30_000

/** A client at 30 states a second gets here in two years; without a bound one message could put a clock where no renewal reaches it. */
const clockMax = 2 ** 31

export function encodeAwareness(entries: readonly AwarenessEntry[]): Uint8Array {
  const body = encoding.createEncoder()
  encoding.writeVarUint(body, entries.length)
  for (const { clientId, clock, state } of entries) {
    encoding.writeVarUint(body, clientId)
    encoding.writeVarUint(body, clock)
    encoding.writeVarString(body, JSON.stringify(state))
  }
  return encoding.toUint8Array(body)
}

/**
 * The clients of one update, in its order. States are plain objects without a key `__proto__` at any depth, so that whoever copies one
 * gets what it shows.
 *
 * @throws MeridianError FRAME_INVALID for what is no such update, LIMIT_PRESENCE for what is over a bound. Nothing of it is to be used then.
 */
export function decodeAwareness(update: Uint8Array, limits: AwarenessLimits = awarenessLimits): AwarenessEntry[] {
  return decoded(() => {
    const body = decoding.createDecoder(update)
    const count = readVarUint(body)
    if (count > limits.clientsMax) tooMuch(`${count} clients in one update; at most ${limits.clientsMax}`)
    const entries: AwarenessEntry[] = []
    for (let index = 0; index < count; index++) {
      const clientId = readVarUint(body)
      const clock = readCount(body, clockMax, 'The clock of a presence state')
      const start = body.pos
      const bytes = readVarUint(body)
      if (bytes > limits.stateBytesMax) tooMuch(`A presence state of ${bytes} bytes; at most ${limits.stateBytesMax}`)
      body.pos = start
      entries.push({ clientId, clock, state: parseState(readString(body, limits.stateBytesMax), limits.depthMax) })
    }
    if (body.pos !== update.length) invalid('Bytes follow the last client of an awareness update.')
    return entries
  })
}

/** A state as it would come back from JSON; for what an app hands in. @throws MeridianError FRAME_INVALID, LIMIT_PRESENCE */
export function parseState(json: string, depthMax = awarenessLimits.depthMax): AwarenessState | null {
  const state: unknown = JSON.parse(json)
  if (state === null) return null
  if (typeof state !== 'object' || Array.isArray(state)) return invalid('A presence state is an object or null.')
  check(state, depthMax)
  return state as AwarenessState
}

function check(value: unknown, depthLeft: number): void {
  if (typeof value !== 'object' || value === null) return
  if (depthLeft === 0) tooMuch('A presence state is nested too deeply')
  if (Object.hasOwn(value, '__proto__')) invalid('A presence state has a key __proto__.')
  for (const part of Object.values(value)) check(part, depthLeft - 1)
}

function invalid(message: string): never {
  throw new MeridianError('FRAME_INVALID', { message })
}

function tooMuch(message: string): never {
  throw new MeridianError('LIMIT_PRESENCE', { message: `${message}.` })
}

/** What is to be said for clients that cannot say it any more: gone, with a clock that y-protocols' clients take, too. */
export const lastWords = (entries: readonly AwarenessEntry[]): AwarenessEntry[] =>
  entries.flatMap(({ clientId, clock, state }) => (state === null ? [] : [{ clientId, clock: clock + 1, state: null }]))

/** Client ids by what became of them. Nobody is in two of the lists. */
export interface AwarenessChange {
  /** Was not there, or was gone. */
  readonly added: number[]
  /** Shows something else than before. */
  readonly updated: number[]
  /** Shows the same under a newer clock. */
  readonly renewed: number[]
  readonly removed: number[]
}

interface Row {
  readonly clock: number
  readonly state: AwarenessState | null
  readonly heardMs: number
}

/**
 * The states of many clients by the newest clock. The clock of one that is gone is remembered for `expiryMs`, so that what was on its
 * way does not bring it back, and no longer.
 */
export class Awareness {
  readonly #rows = new Map<number, Row>()

  /** Clients that are there; never one that is gone. */
  entries(): AwarenessEntry[] {
    const entries: AwarenessEntry[] = []
    for (const [clientId, { clock, state }] of this.#rows) if (state !== null) entries.push({ clientId, clock, state })
    return entries
  }

  get(clientId: number): AwarenessEntry | undefined {
    const row = this.#rows.get(clientId)
    return row === undefined ? undefined : { clientId, clock: row.clock, state: row.state }
  }

  /** Gives a client of one's own a state, or takes it away. The answer is what others are to be told. */
  set(clientId: number, state: AwarenessState | null, nowMs: number): AwarenessEntry {
    const clock = (this.#rows.get(clientId)?.clock ?? 0) + 1
    this.#rows.set(clientId, { clock, state, heardMs: nowMs })
    return { clientId, clock, state }
  }

  /**
   * Takes what is newer. Of two equal clocks `null` wins: that is how others say that a client did not renew itself. A client that is not
   * known is taken from clock 1 on, as y-protocols does, whose clients have an empty state of clock 0 before they have set one.
   *
   * @param own clients that nobody else may end: they get a greater clock instead and are in `renewed`, to be told again.
   */
  merge(entries: Iterable<AwarenessEntry>, nowMs: number, own?: ReadonlySet<number>): AwarenessChange {
    const change = noChange()
    for (const { clientId, clock, state } of entries) {
      const row = this.#rows.get(clientId)
      const known = row?.clock ?? 0
      const before = row?.state ?? null
      if (clock < known || (clock === known && (state !== null || before === null))) continue
      if (state === null && before !== null && own?.has(clientId) === true) {
        this.#rows.set(clientId, { clock: clock + 1, state: before, heardMs: nowMs })
        change.renewed.push(clientId)
        continue
      }
      const isSame = before !== null && state !== null && JSON.stringify(before) === JSON.stringify(state)
      // The same object while it shows the same, so that views can compare by identity.
      this.#rows.set(clientId, { clock, state: isSame ? before : state, heardMs: nowMs })
      if (isSame) change.renewed.push(clientId)
      else if (state !== null) (before === null ? change.added : change.updated).push(clientId)
      else if (before !== null) change.removed.push(clientId)
    }
    return change
  }

  /** Their session is gone. Their clocks stay, so that they come back with a newer one only. */
  remove(clientIds: Iterable<number>, nowMs: number): AwarenessChange {
    const change = noChange()
    for (const clientId of clientIds) {
      const row = this.#rows.get(clientId)
      if (row === undefined || row.state === null) continue
      this.#rows.set(clientId, { clock: row.clock, state: null, heardMs: nowMs })
      change.removed.push(clientId)
    }
    return change
  }

  /** Ends what was not renewed for `expiryMs`, and forgets what ended that long ago. `own` does not end by itself. */
  expire(nowMs: number, own?: ReadonlySet<number>): AwarenessChange {
    const outdated: number[] = []
    for (const [clientId, row] of this.#rows) {
      if (nowMs - row.heardMs < expiryMs || own?.has(clientId) === true) continue
      if (row.state === null) this.#rows.delete(clientId)
      else outdated.push(clientId)
    }
    return this.remove(outdated, nowMs)
  }

  /** When `expire` has something to do again, in the same milliseconds. */
  dueMs(own?: ReadonlySet<number>): number | undefined {
    let dueMs: number | undefined
    for (const [clientId, { heardMs }] of this.#rows) {
      if (own?.has(clientId) !== true) dueMs = Math.min(dueMs ?? Number.POSITIVE_INFINITY, heardMs + expiryMs)
    }
    return dueMs
  }
}

const noChange = (): AwarenessChange => ({ added: [], updated: [], renewed: [], removed: [] })
