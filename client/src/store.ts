/**
 * The contract of a device's store: records under array keys, read by prefix, written in atomic batches. It knows nothing of documents.
 * Every client store (memory, SQLite, IndexedDB) passes test/conformance/client-store.ts.
 *
 * - CLI1 What `write` was answered for is there at the next opening, after a `kill -9` too.
 * - A batch is all or nothing, and batches take effect in the order of their calls.
 */

import type { MeridianError } from '@meridian/core/errors'

/** Compared part by part: numbers before strings, numbers by value, strings by UTF-16 units, a prefix before what it begins (as IndexedDB does). */
export type StoreKey = readonly (string | number)[]

export interface StoreRecord {
  readonly key: StoreKey
  readonly value: Uint8Array
}

export type StoreOperation =
  | { readonly kind: 'put'; readonly key: StoreKey; readonly value: Uint8Array }
  | { readonly kind: 'delete'; readonly key: StoreKey }
  /** Deletes every record whose key begins with `prefix`, part by part. */
  | { readonly kind: 'clear'; readonly prefix: StoreKey }

/** What happens to a store without being asked for. */
export type StoreEvent =
  /** There was a store here and it is gone; this opening began with an empty one, and writes to it. */
  | { readonly kind: 'evicted' }
  /** It is gone while it was open: every call fails until `renew`. */
  | { readonly kind: 'lost' }
  /** Its user has signed out in another tab: it is closed. */
  | { readonly kind: 'wiped' }
  /** The connection to it was lost and is there again; nothing was. */
  | { readonly kind: 'reconnected'; readonly error: MeridianError }
  /** It works, but an eviction of it could not be told from a first visit. */
  | { readonly kind: 'unmarked'; readonly error: MeridianError }
  /** It cannot be reached; the next call tries again. */
  | { readonly kind: 'failed'; readonly error: MeridianError }

export interface ClientStore {
  /** Milliseconds from the beginning of one write to that of the next, so that a burst of edits shares a commit. 0: as they come. */
  readonly lingerMs: number
  /** Every record whose key begins with `prefix`, in the order of keys. @throws MeridianError STORE_FAILED */
  read(prefix: StoreKey): Promise<readonly StoreRecord[]>
  /** Later operations of a batch win over earlier ones. @throws MeridianError STORE_FULL, STORE_FAILED; then nothing of it was written. */
  write(batch: readonly StoreOperation[]): Promise<void>
  /** Closing twice is one closing. What was answered stays. */
  close(): Promise<void>
  /** Says who is told of events; those of before are told at once. Absent: nothing can happen to it. */
  watch?(listener: (event: StoreEvent) => void): void
  /** After `lost`: goes on with an empty store, or with the one that another tab has made meanwhile. @throws MeridianError STORE_FAILED */
  renew?(): Promise<void>
  /** The device has something now that is nowhere else: asks whoever clears devices to spare it. Never throws, and nothing waits for it. */
  keep?(): void
  /** Removes everything, the place where it stood too, and closes. @throws MeridianError STORE_FAILED */
  wipe?(): Promise<void>
}

/** Parts of numbers are safe integers from 0; a sign or a fraction would have no order that all stores share. */
export function compareKeys(a: StoreKey, b: StoreKey): number {
  for (let index = 0; index < a.length && index < b.length; index++) {
    const left = a[index] ?? 0
    const right = b[index] ?? 0
    if (left === right) continue
    if (typeof left !== typeof right) return typeof left === 'number' ? -1 : 1
    return left < right ? -1 : 1
  }
  return a.length - b.length
}

export function beginsWith(key: StoreKey, prefix: StoreKey): boolean {
  if (key.length < prefix.length) return false
  for (let index = 0; index < prefix.length; index++) if (key[index] !== prefix[index]) return false
  return true
}

/** A key as one string, for maps in memory; equal for equal keys only. */
export const keyText = (key: StoreKey): string => JSON.stringify(key)
