/**
 * `handle.presence` as the object that editor bindings of Yjs (y-codemirror.next, y-prosemirror, y-quill …) take for y-protocols'
 * `Awareness`. A view: clock, renewal and expiry are those of the presence.
 */

import type { AwarenessState } from '@meridian/core/awareness'
import type * as Y from 'yjs'
import type { Handle } from './handle.js'

export interface AwarenessChanges {
  readonly added: number[]
  readonly updated: number[]
  readonly removed: number[]
}

/** `origin` is `'local'` for what this client changed of itself, as in y-protocols. */
export type AwarenessListener = (changes: AwarenessChanges, origin: unknown) => void

export interface AwarenessView {
  readonly clientID: number
  readonly doc: Y.Doc
  /** Of everybody who is there, this client included. */
  readonly states: Map<number, AwarenessState>
  getStates(): Map<number, AwarenessState>
  getLocalState(): AwarenessState | null
  setLocalState(state: AwarenessState | null): void
  setLocalStateField(field: string, value: unknown): void
  on(event: 'change' | 'update', listener: AwarenessListener): void
  off(event: 'change' | 'update', listener: AwarenessListener): void
}

const views = new WeakMap<Handle, AwarenessView>()

/** The same object for the same handle. Shows an empty state from the first call on, as y-protocols does: bindings set fields of it. */
export function awarenessOf(handle: Handle): AwarenessView {
  let view = views.get(handle)
  if (view === undefined) {
    view = new View(handle)
    views.set(handle, view)
  }
  return view
}

class View implements AwarenessView {
  readonly clientID: number
  readonly doc: Y.Doc
  readonly #handle: Handle
  readonly #listeners = { change: new Set<AwarenessListener>(), update: new Set<AwarenessListener>() }
  #states: Map<number, AwarenessState>

  constructor(handle: Handle) {
    this.#handle = handle
    this.doc = handle.ydoc
    this.clientID = handle.presence.clientId
    if (handle.presence.local === null) handle.presence.set({})
    this.#states = this.#read()
    handle.presence.subscribe(() => this.#changed())
  }

  get states(): Map<number, AwarenessState> {
    return this.#states
  }

  getStates(): Map<number, AwarenessState> {
    return this.#states
  }

  getLocalState(): AwarenessState | null {
    return this.#handle.presence.local
  }

  setLocalState(state: AwarenessState | null): void {
    this.#handle.presence.set(state)
  }

  setLocalStateField(field: string, value: unknown): void {
    this.#handle.presence.setField(field, value)
  }

  on(event: 'change' | 'update', listener: AwarenessListener): void {
    this.#listeners[event].add(listener)
  }

  off(event: 'change' | 'update', listener: AwarenessListener): void {
    this.#listeners[event].delete(listener)
  }

  #read(): Map<number, AwarenessState> {
    const { local, peers } = this.#handle.presence
    const states = new Map<number, AwarenessState>()
    if (local !== null) states.set(this.clientID, local)
    for (const { clientId, state } of peers.values()) states.set(clientId, state)
    return states
  }

  #changed(): void {
    const before = this.#states
    this.#states = this.#read()
    const changes: AwarenessChanges = { added: [], updated: [], removed: [] }
    for (const [clientId, state] of this.#states) {
      if (!before.has(clientId)) changes.added.push(clientId)
      else if (before.get(clientId) !== state) changes.updated.push(clientId)
    }
    for (const clientId of before.keys()) if (!this.#states.has(clientId)) changes.removed.push(clientId)
    const all = [...changes.added, ...changes.updated, ...changes.removed]
    if (all.length === 0) return
    const origin = all.includes(this.clientID) ? 'local' : this.#handle.presence
    for (const listener of [...this.#listeners.change, ...this.#listeners.update]) listener(changes, origin)
  }
}
