/** One edit of this device that the outbox has not forgotten. `outbox.ts` says in which order they are sent. */

import type { ErrorCode } from '@meridian/core/errors'
import type { DocumentName } from '@meridian/core/ids'
import type { Dot } from '@meridian/core/version'
import type { RecordName } from './records.js'

export type OutboxState = 'waiting' | 'sent' | 'kept' | 'refused'

export interface OutboxItem {
  readonly document: DocumentName
  /** Grows with each edit of this opening, over all documents. */
  readonly age: number
  readonly record: RecordName
  payload: Uint8Array
  state: OutboxState
  /** Another tab made it, and the device does not have it yet: not to be sent. */
  isHeld: boolean
  /** That tab will not write it any more: whoever leads does, before it is sent. */
  isUnwritten: boolean
  /** This tab has written it with an edit of its own that may build on it. */
  isCopied: boolean
  /** 0 while it has none. */
  counter: number
  /** For `kept`: where the region has it; undefined if it was found to add nothing. */
  dot: Dot | undefined
  /** For `refused`. */
  code: ErrorCode | undefined
}

export const newItem = (document: DocumentName, age: number, record: RecordName, payload: Uint8Array): OutboxItem => ({
  document,
  age,
  record,
  payload,
  state: 'waiting',
  isHeld: false,
  isUnwritten: false,
  isCopied: false,
  counter: 0,
  dot: undefined,
  code: undefined,
})
