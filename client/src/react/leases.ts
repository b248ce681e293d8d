/**
 * Handles that components share: one for each store and name, opened with the first component that asks and closed after the last.
 *
 * ```
 *   (nothing) ──first──▶ held ──last leaves──▶ let go of ──end of the task──▶ closed, forgotten
 *                          ▲                      │
 *                          └────── asked again ───┘
 * ```
 *
 * Why not at once: StrictMode, a changed key and a moved component unmount and mount within one task. A handle that was closed in between
 * would destroy the `Y.Doc` that an editor is bound to, together with its undo history.
 */

import type { Store } from '../client.js'
import type { Handle } from '../handle.js'

interface Lease {
  readonly handle: Handle
  holders: number
  /** Undefined while it is held. */
  timer: ReturnType<typeof setTimeout> | undefined
}

/** By store, so that a store that nobody has any more takes its leases with it. */
const leases = new WeakMap<Store, Map<string, Lease>>()

/** The handle that components hold now, if any. */
export const leased = (store: Store, name: string): Handle | undefined => leases.get(store)?.get(name)?.handle

/**
 * Holds the document open until the answer is called.
 *
 * @param changed called if the handle was opened by this call, which the caller could not see before.
 */
export function lease(store: Store, name: string, changed: () => void): () => void {
  const byName = leases.get(store) ?? new Map<string, Lease>()
  leases.set(store, byName)
  let held = byName.get(name)
  if (held === undefined) {
    held = { handle: store.open(name), holders: 0, timer: undefined }
    byName.set(name, held)
    changed()
  }
  clearTimeout(held.timer)
  held.timer = undefined
  held.holders++
  return once(() => release(byName, name, held))
}

function release(byName: Map<string, Lease>, name: string, held: Lease): void {
  held.holders--
  if (held.holders > 0) return
  held.timer = setTimeout(() => {
    byName.delete(name)
    // What is not saved is pushed on; a store that fails to write says so in its status.
    void held.handle.close()
  })
}

function once(run: () => void): () => void {
  let isDone = false
  return () => {
    if (isDone) return
    isDone = true
    run()
  }
}
