/** One document of which there are handles, or that is being loaded to be pushed: its live copy, and who waits for what becomes of it. */

import { MeridianError } from '@meridian/core/errors'
import type { DocumentName } from '@meridian/core/ids'
import type { DocumentHandle, Origin } from './handle.js'
import type { Live } from './live.js'
import type { DocumentPresence } from './presence.js'
import type { DocumentStatus } from './status.js'
import type { Outcome, Wanted } from './wanted.js'
import type { Sync } from './sync.js'
import type { TabMessage } from './tabs.js'

export interface Waiter {
  /** Undefined until the local records are read: they may hold edits that were never saved. */
  age: number | undefined
  readonly handle: DocumentHandle
  /** For more regions than one. */
  readonly wait: Wanted | undefined
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export interface Slot {
  readonly name: DocumentName
  live: Live | undefined
  presence: DocumentPresence | undefined
  /** Updates for a live copy whose local records are not in it yet. */
  early: Uint8Array[]
  /** Edits of other tabs, and what became of them, that came before that. */
  edits: Extract<TabMessage, { type: 'edit' | 'marked' }>[]
  readonly handles: Set<DocumentHandle>
  waiters: Waiter[]
  origin: Origin | undefined
  ready: Later
  /** The status until the local records are in the live copy; the same object until something changes. */
  loading: DocumentStatus | undefined
}

export interface Later {
  readonly promise: Promise<Origin>
  resolve(origin: Origin): void
  reject(error: MeridianError): void
}

export function newSlot(name: DocumentName): Slot {
  return {
    name,
    live: undefined,
    presence: undefined,
    early: [],
    edits: [],
    handles: new Set(),
    waiters: [],
    origin: undefined,
    ready: later(),
    loading: undefined,
  }
}

/** What others wrote goes to the live copy, or waits until the local records are in it. */
export function apply(slot: Slot | undefined, updates: readonly Uint8Array[]): void {
  if (slot?.live === undefined) return
  if (slot.live.isLoaded) slot.live.apply(updates)
  else slot.early.push(...updates)
}

export function judgeWaiters(slot: Slot, sync: Sync): void {
  const { waiters } = slot
  const left: Waiter[] = []
  slot.waiters = left
  for (const waiter of waiters) {
    const outcome = waiter.age === undefined ? 'pending' : sync.outcome(slot.name, waiter.age, waiter.wait)
    if (outcome === 'saved') waiter.resolve()
    else if (outcome === 'pending') left.push(waiter)
    else waiter.reject(new MeridianError(outcome))
  }
}

/** What the tab with the connection says of a wait for more regions. */
export function told(slot: Slot | undefined, sync: Sync, id: number, outcome: Outcome): void {
  if (slot === undefined) return
  for (const { wait } of slot.waiters) if (wait?.id === id) wait.told = outcome
  judgeWaiters(slot, sync)
}

/** Another tab has the connection now. */
export function askAgain(slot: Slot, sync: Sync): void {
  for (const { wait } of slot.waiters) if (wait !== undefined) wait.id = 0
  judgeWaiters(slot, sync)
}

export function judgeReady(slot: Slot, sync: Sync): void {
  if (slot.origin !== undefined || slot.live?.isLoaded !== true) return
  const status = sync.status(slot.name)
  if (status === undefined) return
  if (status.kind === 'current') ready(slot, 'region')
  else if (status.kind === 'refused') slot.ready.reject(new MeridianError(status.code))
  else if (status.kind === 'erased') slot.ready.reject(new MeridianError('ERASED'))
  else {
    const { kind } = sync.reach(slot.name)
    if (
      status.kind === 'waiting' ||
      (status.kind === 'redirected' && kind !== 'connecting') ||
      kind === 'idle' ||
      kind === 'waiting' ||
      kind === 'refused'
    )
      ready(slot, 'nowhere')
  }
}

export function ready(slot: Slot, origin: Origin): void {
  slot.origin = origin
  slot.ready.resolve(origin)
}

export function later(): Later {
  let resolve: (origin: Origin) => void = () => undefined
  let reject: (error: MeridianError) => void = () => undefined
  const promise = new Promise<Origin>((yes, no) => {
    resolve = yes
    reject = no
  })
  // Who does not wait for it has the status; an unhandled rejection would end a process for nothing.
  promise.catch(() => undefined)
  return { promise, resolve: (origin) => resolve(origin), reject: (error) => reject(error) }
}
