/** Waiting for events with a time limit that only says that a test failed. Nothing here polls; `on` says when to look again. */

import type { Handle, Store } from '@meridian/client'
import type * as Y from 'yjs'

/** Calls `check` whenever the condition may have come true; the answer ends it. */
export type On = (check: () => void) => () => void

export interface UntilOptions {
  /** What is waited for, or how far it is: for the message of the failure. */
  readonly what: string | (() => string)
  /** Milliseconds; default 60,000. */
  readonly limitMs?: number
}

export async function until(condition: () => boolean, on: On, options: UntilOptions): Promise<void> {
  if (condition()) return
  await new Promise<void>((resolve, reject) => {
    let off: (() => void) | undefined
    const end = (finish: () => void): void => {
      clearTimeout(timer)
      off?.()
      finish()
    }
    const timer = setTimeout(() => {
      const { what } = options
      end(() => reject(new Error(`waited in vain for ${typeof what === 'string' ? what : what()}`)))
    }, options.limitMs ?? 60_000)
    off = on(() => {
      if (condition()) end(resolve)
    })
  })
}

/** The promise, or a failure that says what did not come. */
export async function within<T>(promise: Promise<T>, what: string | (() => string), limitMs = 60_000): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${typeof what === 'string' ? what : what()}`)), limitMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

export const onDocument =
  (ydoc: Y.Doc): On =>
  (check) => {
    ydoc.on('afterTransaction', check)
    return () => ydoc.off('afterTransaction', check)
  }

export const onHandle =
  (handle: Handle): On =>
  (check) =>
    handle.subscribe(check)

export const onStore =
  (store: Store): On =>
  (check) =>
    store.subscribe(check)

/** For what makes no event on this side, such as a counter of the node's metrics. */
export const every =
  (ms: number): On =>
  (check) => {
    const timer = setInterval(check, ms)
    return () => clearInterval(timer)
  }

/** What was edited so far is a push of its own: the client gathers edits until the running synchronous work is over. */
export const nextPush = (): Promise<void> => new Promise((resolve) => queueMicrotask(resolve))

/** The rest of this turn of the event loop first: sockets are read and written, then it goes on. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
