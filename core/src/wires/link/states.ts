/**
 * States of documents on their way to a region that joins (LINK6): one byte stream, cut anywhere, so that a document of any size passes through a
 * window of any size.
 *
 * `stream := (varUint(length) • state)*`, `state := name • engine • life • ended • version • snapshot • entries`.
 */

import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import { concat, decoded, readBytes, readCount, readString, readVarUint } from '../../bytes.js'
import { engineNameOf, engineNumber } from '../../engine.js'
import { MeridianError } from '../../errors.js'
import { type GroupId, parseDocument } from '../../ids.js'
import type { DocumentState } from '../../log.js'
import { readVersion, writeVersion } from '../../version.js'
import { readItems, writeItems } from './items.js'

/** One state with its length in front. */
export function encodeState(state: DocumentState): Uint8Array {
  const body = encoding.createEncoder()
  const { document, engine, life, ended, version, snapshot, entries } = state
  encoding.writeVarString(body, document)
  encoding.writeVarUint(body, engineNumber[engine])
  encoding.writeVarUint(body, life)
  encoding.writeVarUint(body, ended ? 1 : 0)
  writeVersion(body, version)
  encoding.writeVarUint(body, snapshot === undefined ? 0 : 1)
  if (snapshot !== undefined) {
    writeVersion(body, snapshot.version)
    encoding.writeVarUint8Array(body, snapshot.state.bytes)
    encoding.writeVarUint8Array(body, snapshot.state.index)
  }
  writeItems(
    body,
    entries.map((entry) => ({ kind: 'entry', entry })),
  )
  const bytes = encoding.toUint8Array(body)
  const head = encoding.createEncoder()
  encoding.writeVarUint(head, bytes.length)
  return concat([encoding.toUint8Array(head), bytes])
}

/** @throws MeridianError FRAME_INVALID */
function decodeState(bytes: Uint8Array, group: GroupId): DocumentState {
  const body = decoding.createDecoder(bytes)
  const state = decoded((): DocumentState => {
    const document = parseDocument(readString(body, 1024))
    const engine = engineNameOf(readVarUint(body))
    if (engine === undefined)
      throw new MeridianError('FRAME_INVALID', { message: 'A state is of an engine that is not known here.' })
    const life = readVarUint(body)
    const ended = readCount(body, 1, 'Whether a life has ended') === 1
    const version = readVersion(body)
    const hasSnapshot = readCount(body, 1, 'The number of snapshots') === 1
    const snapshot = hasSnapshot
      ? { version: readVersion(body), state: { bytes: readBytes(body), index: readBytes(body) } }
      : undefined
    const entries = readItems(body, group, entriesMax).flatMap((item) => (item.kind === 'entry' ? [item.entry] : []))
    return { document, engine, life, ended, version, snapshot, entries }
  })
  if (decoding.hasContent(body)) throw new MeridianError('FRAME_INVALID', { message: 'Bytes follow a state.' })
  return state
}

/** Puts the stream together. It holds what has come of one state, and no more than `stateBytesMax` of it. */
export class StateReader {
  readonly #group: GroupId
  #parts: Uint8Array[] = []
  #bytes = 0

  constructor(group: GroupId) {
    this.#group = group
  }

  /** Bytes of a state whose rest has not come yet. */
  get heldBytes(): number {
    return this.#bytes
  }

  /** The states that end in these bytes, each with what it took of the stream. @throws MeridianError FRAME_INVALID */
  receive(bytes: Uint8Array): { readonly state: DocumentState; readonly bytes: number }[] {
    this.#parts.push(bytes)
    this.#bytes += bytes.length
    const states: { readonly state: DocumentState; readonly bytes: number }[] = []
    for (let whole = this.#next(); whole !== undefined; whole = this.#next()) {
      const { start, end, buffer } = whole
      states.push({ state: decodeState(buffer.subarray(start, end), this.#group), bytes: end })
      this.#bytes -= end
      this.#parts = this.#bytes === 0 ? [] : [buffer.subarray(end)]
    }
    return states
  }

  #next(): { readonly start: number; readonly end: number; readonly buffer: Uint8Array } | undefined {
    const first = this.#parts[0]
    if (first === undefined) return undefined
    let head = first
    if (first.length < 8 && this.#parts.length > 1) head = this.#join()
    const length = lengthAt(head)
    if (length === undefined) return undefined
    if (length.value > stateBytesMax)
      throw new MeridianError('FRAME_INVALID', { message: 'A state is larger than any document.' })
    const end = length.end + length.value
    if (this.#bytes < end) return undefined
    return { start: length.end, end, buffer: this.#join() }
  }

  #join(): Uint8Array {
    const joined = this.#parts.length === 1 ? (this.#parts[0] ?? new Uint8Array(0)) : concat(this.#parts)
    this.#parts = [joined]
    return joined
  }
}

/** Entries of one state, at most. */
const entriesMax = 1024 * 1024
/** Bytes of one state, at most. */
export const stateBytesMax = 1024 * 1024 * 1024

/** The number in front, if all of it has come. */
function lengthAt(bytes: Uint8Array): { readonly value: number; readonly end: number } | undefined {
  for (let at = 0; at < Math.min(bytes.length, 8); at++) {
    if ((bytes[at] ?? 0) >= 128) continue
    const body = decoding.createDecoder(bytes)
    return { value: readVarUint(body), end: body.pos }
  }
  if (bytes.length >= 8) throw new MeridianError('FRAME_INVALID', { message: 'The length of a state does not end.' })
  return undefined
}
