/**
 * What a client keeps on its device, as records of its store.
 *
 * ```
 *   meta                              format of the store
 *   regions                           which regions there are, and which served last
 *   token • group                     session token of a group (SES5)
 *   doc • name • head                 life, group and cursor of the document (SES1)
 *   doc • name • snap • opening       one update that stands for log records that its opening folded and deleted
 *   doc • name • log • opening • n    one update, received or made here
 *   out • name • opening • n          the log record of that name is not forgotten by the outbox yet (SES2)
 * ```
 *
 * A name under `snap`, `log` and `out` holds the opening that wrote it, so that two tabs, or a store that failed to read and began anew,
 * never write over each other's edits or snapshots: an opening deletes only what its own snapshot holds, so that what several openings
 * leave behind holds together everything that any of them held. A head may be written by all of them: each claims only what its writer
 * had read here or written before. Payloads stand once: an edit is one log record and a mark of a few bytes that goes when it is saved.
 */

import type { Redirect } from '@meridian/core/effects'
import type { ErrorCode } from '@meridian/core/errors'
import { errorCodeOf, errorTable, MeridianError } from '@meridian/core/errors'
import type { DocumentName, GroupId } from '@meridian/core/ids'
import { parseDocument, parseGroup, parseRegion, parseReplica } from '@meridian/core/ids'
import type { Dot, MutableVersion, Version } from '@meridian/core/version'
import { mutableVersion, readVersion, writeVersion } from '@meridian/core/version'
import type { Decoder } from 'lib0/decoding'
import * as decoding from 'lib0/decoding'
import type { Encoder } from 'lib0/encoding'
import * as encoding from 'lib0/encoding'
import type { StoreKey, StoreRecord } from './store.js'

/** 1: first. 2: a snapshot has the opening that wrote it in its key; one without is read, too. */
export const storeFormat = 2

export const metaKey: StoreKey = ['meta']
export const regionsKey: StoreKey = ['regions']
export const outboxPrefix: StoreKey = ['out']
export const tokenPrefix: StoreKey = ['token']
export const tokenKey = (group: GroupId): StoreKey => ['token', group]
export const documentPrefix = (document: DocumentName): StoreKey => ['doc', document]
export const documentLogPrefix = (document: DocumentName): StoreKey => ['doc', document, 'log']
export const outboxDocumentPrefix = (document: DocumentName): StoreKey => ['out', document]
export const headKey = (document: DocumentName): StoreKey => ['doc', document, 'head']
/** `''`: of format 1. */
export const snapshotKey = (document: DocumentName, opening: string): StoreKey =>
  opening === '' ? ['doc', document, 'snap'] : ['doc', document, 'snap', opening]
export const logKey = (document: DocumentName, name: RecordName): StoreKey => ['doc', document, 'log', name.opening, name.number]
export const markKey = (document: DocumentName, name: RecordName): StoreKey => ['out', document, name.opening, name.number]

/** Names one log record of a document: the opening of the store that wrote it, and 1, 2, 3 … in that opening. */
export interface RecordName {
  readonly opening: string
  readonly number: number
}

/** One name as a string; equal for equal names only. */
export const recordText = (name: RecordName): string => `${name.opening} ${name.number}`

export interface Head {
  /** 0 if the document was never attached. */
  readonly life: number
  /** Undefined if the document was never attached. */
  readonly group: GroupId | undefined
  readonly cursor: Version
  /** The regions that may have it, if one that may not has said so (RES5). */
  readonly redirects: readonly Redirect[]
}

/** What the outbox knows of an edit. `kept`: saved, and held until enough regions have it. `refused`: set aside, tried again at the next opening. */
export type Mark =
  | { readonly kind: 'unsaved' }
  | { readonly kind: 'kept'; readonly dot: Dot | undefined }
  | { readonly kind: 'refused'; readonly code: ErrorCode }

/** One document as it was found on the device. */
export interface StoredDocument {
  readonly head: Head | undefined
  readonly snapshots: readonly { readonly opening: string; readonly payload: Uint8Array }[]
  readonly log: readonly { readonly name: RecordName; readonly payload: Uint8Array }[]
  readonly marks: readonly { readonly name: RecordName; readonly mark: Mark }[]
}

export const noDocument: StoredDocument = { head: undefined, snapshots: [], log: [], marks: [] }

/** @throws MeridianError STORE_FAILED for a record that is not of this format. */
export function readDocument(records: readonly StoreRecord[], marks: readonly StoreRecord[]): StoredDocument {
  let head: Head | undefined
  const snapshots: { opening: string; payload: Uint8Array }[] = []
  const log: { name: RecordName; payload: Uint8Array }[] = []
  for (const { key, value } of records) {
    if (key[2] === 'head') head = decodeHead(value)
    else if (key[2] === 'snap') snapshots.push({ opening: String(key[3] ?? ''), payload: value })
    else if (key[2] === 'log') log.push({ name: recordName(key[3], key[4]), payload: value })
  }
  return {
    head,
    snapshots,
    log,
    marks: marks.map(({ key, value }) => ({ name: recordName(key[2], key[3]), mark: decodeMark(value) })),
  }
}

/** Everything that the device holds of a document, as updates to apply. */
export const updatesOf = ({ snapshots, log }: StoredDocument): Uint8Array[] => [...snapshots, ...log].map((one) => one.payload)

/** What marks stand for, as it was made: by opening, and by number in each. */
export function inOrder(marks: readonly StoreRecord[]): { document: DocumentName; record: RecordName }[] {
  const found = marks.map(({ key }) => ({ document: parseDocument(String(key[1])), record: recordName(key[2], key[3]) }))
  return found.sort((a, b) =>
    a.record.opening === b.record.opening ? a.record.number - b.record.number : a.record.opening < b.record.opening ? -1 : 1,
  )
}

/** The documents that marks stand for. */
export function markedDocuments(marks: readonly StoreRecord[]): DocumentName[] {
  const names = new Set<DocumentName>()
  for (const { key } of marks) names.add(parseDocument(String(key[1])))
  return [...names]
}

export function readTokens(records: readonly StoreRecord[]): Map<GroupId, MutableVersion> {
  const tokens = new Map<GroupId, MutableVersion>()
  for (const { key, value } of records) tokens.set(parseGroup(String(key[1])), decode(value, readVersion))
  return tokens
}

export const encodeMeta = (): Uint8Array => encode((body) => encoding.writeVarUint(body, storeFormat))

export const encodeRegions = (text: string): Uint8Array => encode((body) => encoding.writeVarString(body, text))

export const decodeRegions = (value: Uint8Array): string => decode(value, decoding.readVarString)

/** True if an older client wrote the store. @throws MeridianError STORE_FAILED if a newer one did. */
export function checkMeta(value: Uint8Array): boolean {
  const format = decode(value, decoding.readVarUint)
  if (format > storeFormat) {
    throw new MeridianError('STORE_FAILED', {
      message: `The store is of format ${format}; this client reads up to ${storeFormat}.`,
      retry: 'never',
    })
  }
  return format < storeFormat
}

export function encodeHead(head: Head): Uint8Array {
  return encode((body) => {
    encoding.writeVarUint(body, head.life)
    encoding.writeVarString(body, head.group ?? '')
    writeVersion(body, head.cursor)
    if (head.redirects.length === 0) return
    encoding.writeVarUint(body, head.redirects.length)
    for (const { region, url } of head.redirects) {
      encoding.writeVarString(body, region)
      encoding.writeVarString(body, url)
    }
  })
}

function decodeHead(value: Uint8Array): Head {
  return decode(value, (body) => {
    const life = decoding.readVarUint(body)
    const group = decoding.readVarString(body)
    const cursor = readVersion(body)
    const redirects: Redirect[] = []
    // Not in what older clients wrote.
    if (decoding.hasContent(body)) {
      const count = decoding.readVarUint(body)
      while (redirects.length < count)
        redirects.push({ region: parseRegion(decoding.readVarString(body)), url: decoding.readVarString(body) })
    }
    return { life, group: group === '' ? undefined : parseGroup(group), cursor, redirects }
  })
}

export const encodeToken = (version: Version): Uint8Array => encode((body) => writeVersion(body, mutableVersion(version)))

const unsavedNumber = 0
const keptNumber = 1
const refusedNumber = 2

export function encodeMark(mark: Mark): Uint8Array {
  return encode((body) => {
    switch (mark.kind) {
      case 'unsaved':
        encoding.writeVarUint(body, unsavedNumber)
        return
      case 'kept':
        encoding.writeVarUint(body, keptNumber)
        encoding.writeVarString(body, mark.dot?.replica ?? '')
        encoding.writeVarUint(body, mark.dot?.sequence ?? 0)
        return
      case 'refused':
        encoding.writeVarUint(body, refusedNumber)
        encoding.writeVarUint(body, errorTable[mark.code].number)
        return
    }
  })
}

function decodeMark(value: Uint8Array): Mark {
  return decode(value, (body) => {
    switch (decoding.readVarUint(body)) {
      case keptNumber: {
        const replica = decoding.readVarString(body)
        const sequence = decoding.readVarUint(body)
        return { kind: 'kept', dot: replica === '' ? undefined : { replica: parseReplica(replica), sequence } }
      }
      case refusedNumber:
        return { kind: 'refused', code: errorCodeOf(decoding.readVarUint(body)) }
      default:
        return { kind: 'unsaved' }
    }
  })
}

function recordName(opening: string | number | undefined, number: string | number | undefined): RecordName {
  return { opening: String(opening), number: Number(number) }
}

function encode(write: (body: Encoder) => void): Uint8Array {
  const body = encoding.createEncoder()
  write(body)
  return encoding.toUint8Array(body)
}

function decode<T>(value: Uint8Array, read: (body: Decoder) => T): T {
  try {
    return read(decoding.createDecoder(value))
  } catch (cause) {
    throw new MeridianError('STORE_FAILED', { message: 'A record of the local store cannot be read.', cause })
  }
}
