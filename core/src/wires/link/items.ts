/** The items of a batch: entries, and marks in front of them (LINK1). A batch stands alone: what it names, it spells. */

import type { Decoder } from 'lib0/decoding'
import * as decoding from 'lib0/decoding'
import type { Encoder } from 'lib0/encoding'
import * as encoding from 'lib0/encoding'
import { readBytes, readCount, readString, readVarUint } from '../../bytes.js'
import { engineNameOf, engineNumber } from '../../engine.js'
import { kindNumber, kindOf } from '../../entry.js'
import { MeridianError } from '../../errors.js'
import { toHybridTime } from '../../hybrid-time.js'
import type { DocumentName, GroupId, ReplicaId } from '../../ids.js'
import { parseDocument, parseReplica } from '../../ids.js'
import type { Foreign } from '../../log.js'
import { toChain } from '../../version.js'

/** The receiver goes on only when its version covers these dots (LINK2). */
export interface Mark {
  readonly kind: 'mark'
  readonly sequences: ReadonlyMap<ReplicaId, number>
}

export type Item = Mark | { readonly kind: 'entry'; readonly entry: Foreign }

/** Items of one batch, at most; a decoder refuses more. */
export const batchItemsMax = 8192

/**
 * Names and replica ids are spelled at their first use in a batch and numbered after that, so that a batch stands alone and nobody keeps a table.
 * `name := varUint(0) • varString | varUint(number from 1)`.
 */
class Spelling<T extends string> {
  readonly #numbers = new Map<T, number>()
  readonly #names: T[] = []

  write(body: Encoder, name: T): void {
    const number = this.#numbers.get(name)
    encoding.writeVarUint(body, number ?? 0)
    if (number !== undefined) return
    encoding.writeVarString(body, name)
    this.#numbers.set(name, this.#numbers.size + 1)
  }

  read(body: Decoder, bytesMax: number, parse: (text: string) => T): T {
    const number = readVarUint(body)
    if (number === 0) {
      const name = parse(readString(body, bytesMax))
      this.#names.push(name)
      return name
    }
    const name = this.#names[number - 1]
    if (name === undefined)
      throw new MeridianError('FRAME_INVALID', { message: `Number ${number} stands for no name of this batch.` })
    return name
  }
}

const markTag = 0
/** Ticks of a quarter of an hour or so: the upper part of a time seldom changes. */
const timeHigh = 2 ** 30

/**
 * `item := varUint(0) • n × (replica • sequence) | varUint(kind) • replica • document • … • sequence • time • chain • payload`. What is the same in
 * every entry of a document stands together and in front, so that compression with a shared window makes one short reference of it.
 */
export function writeItems(body: Encoder, items: readonly Item[]): void {
  const replicas = new Spelling<ReplicaId>()
  const documents = new Spelling<DocumentName>()
  encoding.writeVarUint(body, items.length)
  for (const item of items) {
    if (item.kind === 'mark') {
      encoding.writeVarUint(body, markTag)
      encoding.writeVarUint(body, item.sequences.size)
      for (const [replica, sequence] of item.sequences) {
        replicas.write(body, replica)
        encoding.writeVarUint(body, sequence)
      }
      continue
    }
    const { entry } = item
    encoding.writeVarUint(body, kindNumber[entry.kind])
    replicas.write(body, entry.replica)
    encoding.writeVarUint(body, entry.document === undefined || entry.engine === undefined ? 0 : engineNumber[entry.engine])
    if (entry.document !== undefined && entry.engine !== undefined) {
      documents.write(body, entry.document)
      encoding.writeVarUint(body, entry.life)
    }
    encoding.writeVarUint(body, entry.epoch)
    encoding.writeVarUint(body, Math.floor(entry.time / timeHigh))
    encoding.writeVarUint(body, entry.time % timeHigh)
    encoding.writeVarUint(body, entry.sequence)
    encoding.writeVarUint(body, entry.sequence - (entry.first ?? entry.sequence))
    encoding.writeBigUint64(body, entry.chain)
    encoding.writeVarUint8Array(body, entry.payload)
  }
}

export function readItems(body: Decoder, group: GroupId, countMax = batchItemsMax): Item[] {
  const replicas = new Spelling<ReplicaId>()
  const documents = new Spelling<DocumentName>()
  const count = readCount(body, countMax, 'The number of items')
  const items: Item[] = []
  for (let index = 0; index < count; index++) {
    const tag = readVarUint(body)
    items.push(
      tag === markTag ? readMark(body, replicas) : { kind: 'entry', entry: readEntry(body, tag, { group, replicas, documents }) },
    )
  }
  return items
}

function readMark(body: Decoder, replicas: Spelling<ReplicaId>): Mark {
  const count = readCount(body, batchItemsMax, 'The number of replicas of a mark')
  const sequences = new Map<ReplicaId, number>()
  for (let index = 0; index < count; index++) {
    const replica = replicas.read(body, 128, parseReplica)
    sequences.set(replica, readVarUint(body))
  }
  return { kind: 'mark', sequences }
}

interface BatchNames {
  readonly group: GroupId
  readonly replicas: Spelling<ReplicaId>
  readonly documents: Spelling<DocumentName>
}

function readEntry(body: Decoder, tag: number, { group, replicas, documents }: BatchNames): Foreign {
  const kind = kindOf(tag)
  if (kind === undefined) throw new MeridianError('FRAME_INVALID', { message: `A batch holds an item of kind ${tag}.` })
  const replica = replicas.read(body, 128, parseReplica)
  const engineTag = readVarUint(body)
  const engine = engineNameOf(engineTag)
  if (engineTag !== 0 && engine === undefined)
    throw new MeridianError('FRAME_INVALID', { message: 'An entry is of an engine that is not known here.' })
  const document = engine === undefined ? undefined : documents.read(body, 1024, parseDocument)
  const life = document === undefined ? 0 : readVarUint(body)
  const epoch = readVarUint(body)
  const time = toHybridTime(readVarUint(body) * timeHigh + readVarUint(body))
  const sequence = readVarUint(body)
  const before = readVarUint(body)
  if (sequence <= before) throw new MeridianError('FRAME_INVALID', { message: 'An entry has the sequence 0.' })
  return {
    ...(before === 0 ? {} : { first: sequence - before }),
    ...{ group, kind, replica, sequence, engine, document, life, epoch, time },
    chain: toChain(decoding.readBigUint64(body)),
    payload: readBytes(body),
  }
}
