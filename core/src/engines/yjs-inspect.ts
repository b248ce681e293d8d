/**
 * [hot] The strict, streaming parser of Yjs updates (V1): one pass, each byte looked at once, nothing allocated by what is declared but
 * only by what is there. It says what an update holds and what it builds on; it does not build structs and does not know the document.
 *
 * What Yjs itself does not check, and what breaks without it (yjs 13.6.33):
 * - structs and delete ranges of length zero are accepted, and then the document saves and never loads again;
 * - an item that refers to itself or to a later item of its own client throws in the middle of a transaction, half applied;
 *   references in a circle between clients stay pending for ever (yjs-order.ts);
 * - counts allocate before they are read; delete ranges that descend or overlap and client ids that repeat cost quadratic time;
 * - GC and Skip structs with flag bits are read one way by `applyUpdate` and another by `mergeUpdates`;
 * - unknown kinds throw, trailing bytes pass, `__proto__` reaches `toJSON`, deep values overflow the stack when saved.
 *
 * Subdocuments (ContentDoc) are accepted: honest apps use them and an update holds only a guid and options. The options are checked,
 * because Yjs spreads them over those of `new Doc`, where a `guid` of another kind breaks saving; and their number is bounded,
 * because each one of ten bytes becomes a Doc of kilobytes.
 */

import { MeridianError } from '../errors.js'
import type { InspectLimits, Inspection } from '../engine.js'
import { beyond, Cursor, invalid } from './cursor.js'
import { YjsOrder } from './yjs-order.js'
import type { YjsParts } from './yjs-parts.js'

/** Yjs draws client ids from 32 bits, unsigned. */
export const clientMax = 0xffff_ffff
/** The end of a client's structs: 4 billion keystrokes by one client in one document. It lets ranges live in 32-bit arrays. */
export const clockMax = 0xffff_ffff
/**
 * Top-level types that one update names, and subdocuments in it. Yjs searches the former one by one for each item that it saves, and a
 * subdocument of ten bytes becomes about 2 KB when the document is materialised.
 */
export const rareMax = 16_384

/** A plain list, or one of 32-bit numbers if it came from another thread. */
export type Numbers = readonly number[] | Uint32Array

/** Made by `inspectYjs` only. Flat lists of numbers, because most updates hold one struct and a need or two, and there are many updates. */
export class YjsInspection implements Inspection {
  readonly engine = 'yjs'
  readonly bytes: number
  /** Structs without the gaps that Skip structs mark: client, from, to, …; a client's ranges stand together and ascend. */
  readonly structs: Numbers
  /** What the update does not bring itself and has to be held before: client, clock, …; one pair a client. */
  readonly needs: Numbers
  /** Delete set: client, from, to, …; a client's ranges stand together, ascend and do not overlap. */
  readonly deletes: Numbers

  constructor(bytes: number, structs: Numbers, needs: Numbers, deletes: Numbers) {
    this.bytes = bytes
    this.structs = structs
    this.needs = needs
    this.deletes = deletes
  }
}

/**
 * @param rareMaxHere `rareMax` for what a stranger sent; no limit for what was put together from that.
 * @throws MeridianError UPDATE_INVALID, UPDATE_TOO_LARGE
 */
export function inspectYjs(update: Uint8Array, limits: InspectLimits, rareMaxHere: number = rareMax): YjsInspection {
  if (update.length > limits.updateBytesMax) {
    throw new MeridianError('UPDATE_TOO_LARGE', {
      message: `The update has ${update.length} bytes; the limit is ${limits.updateBytesMax}.`,
    })
  }
  return new Inspector(update, limits, rareMaxHere).run()
}

/** The same of an update that was inspected before, without bounds but those of the format; and what else is wanted of the pass. */
export function inspectAgain(update: Uint8Array, wanted: Wanted = {}): YjsInspection {
  return new Inspector(update, unlimited, Number.POSITIVE_INFINITY, wanted).run()
}

export interface Wanted {
  /** Gets all that structs refer to. */
  readonly order?: YjsOrder
  /** Gets where structs lie. */
  readonly parts?: YjsParts
}

/** What updates were held to when they came in; what was made of many may be beyond what one of them may be. */
const unlimited: InspectLimits = {
  updateBytesMax: Number.POSITIVE_INFINITY,
  depthMax: Number.POSITIVE_INFINITY,
  clientsMax: clientMax,
  rangesMax: Number.POSITIVE_INFINITY,
}

/** Flag bits of an item's first byte; the lower five are the kind of its content. */
const hasOrigin = 0x80
const hasRightOrigin = 0x40
const hasParentSub = 0x20
const kindMask = 0x1f

/** Pairs of `needs` that are searched one by one; with more a map takes over. */
const needsScanned = 8

const none: readonly number[] = []

class Inspector {
  private readonly cursor: Cursor
  private readonly limits: InspectLimits
  private readonly rareMax: number
  private structs: number[] = []
  private needs: number[] = []
  private deletes: readonly number[] = none
  /** Client → its place in `needs`, once there are many. */
  private needPlaces: Map<number, number> | undefined
  private order: YjsOrder | undefined
  private readonly parts: YjsParts | undefined
  private block = 0
  private client = 0
  private clock = 0
  private subdocuments = 0
  private roots: Set<string> | undefined
  private rootFrom = 0
  private rootTo = 0

  constructor(update: Uint8Array, limits: InspectLimits, rareMaxHere: number, wanted?: Wanted) {
    this.cursor = new Cursor(update)
    this.limits = limits
    this.rareMax = rareMaxHere
    this.order = wanted?.order
    this.parts = wanted?.parts
  }

  run(): YjsInspection {
    const cursor = this.cursor
    const blockCount = cursor.varUint('count of clients', this.limits.clientsMax)
    if (blockCount > 1) {
      this.order ??= new YjsOrder()
      this.readBlocks(blockCount)
    } else if (blockCount === 1) {
      this.readBlock()
      this.order?.clients.push(this.client)
    }
    this.readDeletes()
    if (cursor.left !== 0)
      throw invalid('end of the update', cursor.offset, `followed by ${cursor.left} bytes that belong to nothing`)
    return new YjsInspection(cursor.bytes.length, this.structs, this.unmetNeeds(), this.deletes)
  }

  private readBlocks(blockCount: number): void {
    const seen = new Clients()
    for (this.block = 0; this.block < blockCount; this.block++) {
      const offset = this.cursor.offset
      this.readBlock()
      if (!seen.add(this.client)) throw invalid('client of structs', offset, 'there twice')
      this.order?.clients.push(this.client)
    }
    if (this.order !== undefined && !this.order.isPossible()) {
      throw new MeridianError('UPDATE_INVALID', { message: 'The structs of the update refer to each other in a circle.' })
    }
  }

  /** The structs of one client. */
  private readBlock(): void {
    const cursor = this.cursor
    const offset = cursor.offset
    // A struct takes two bytes or more.
    const count = cursor.varUint('count of structs', cursor.left >>> 1)
    if (count === 0) throw invalid('count of structs', offset, 'zero')
    this.client = cursor.varUint('client of structs', clientMax)
    this.clock = cursor.varUint('clock of structs', clockMax)
    let from = this.clock
    this.parts?.begin(this.block, { client: this.client, clock: from, offset: cursor.offset })
    for (let index = 0; index < count; index++) {
      const at = cursor.offset
      const info = cursor.byte('kind of a struct')
      const before = this.clock
      const length = info === 10 || info === 0 ? cursor.varUint('length of a struct', clockMax) : this.readItem(info, at)
      if (length === 0) throw invalid('struct', at, 'of length zero')
      if (before + length > clockMax) throw beyond('end of a struct', at, clockMax)
      this.clock = before + length
      if (info === 10) {
        if (before > from) this.structs.push(this.client, from, before)
        if (this.structs.length > this.limits.rangesMax * 3) throw beyond('count of gaps', at, this.limits.rangesMax)
        from = this.clock
      } else this.parts?.take(before, index + 1, cursor.offset)
    }
    if (this.clock > from) this.structs.push(this.client, from, this.clock)
  }

  /** @returns the length of the item in clocks. */
  private readItem(info: number, at: number): number {
    const cursor = this.cursor
    const kind = info & kindMask
    if (kind === 0 || kind > 9) throw invalid('kind of a struct', at, 'unknown')
    if ((info & hasOrigin) !== 0) this.readReference('origin of an item')
    if ((info & hasRightOrigin) !== 0) this.readReference('right origin of an item')
    if ((info & (hasOrigin | hasRightOrigin)) === 0) {
      // Only then are the parent and the key in it written; else both are those of the neighbour.
      if (cursor.varUint('kind of a parent', 1) === 1) this.readRoot()
      else this.readReference('parent of an item')
      if ((info & hasParentSub) !== 0) cursor.key('key of an item')
    }
    switch (kind) {
      case 1: // ContentDeleted
        return cursor.varUint('length of a deleted item', clockMax)
      case 2: {
        const count = cursor.varUint('count of JSON values', cursor.left)
        for (let index = 0; index < count; index++) cursor.json('JSON value', this.limits.depthMax, 'undefined')
        return count
      }
      case 3:
        cursor.blob('binary value')
        return 1
      case 4:
        return cursor.text('text')
      case 5:
        cursor.json('embed', this.limits.depthMax, 'refused')
        return 1
      case 6:
        cursor.key('name of a format')
        cursor.json('value of a format', this.limits.depthMax, 'refused')
        return 1
      case 7: {
        const type = cursor.varUint('kind of a type', 6)
        // XML elements and hooks are the kinds that have a name.
        if (type === 3 || type === 5) cursor.text('name of a type')
        return 1
      }
      case 8: {
        const count = cursor.varUint('count of values', cursor.left)
        for (let index = 0; index < count; index++) cursor.any('value', this.limits.depthMax)
        return count
      }
      default:
        this.readSubdocument(at)
        return 1
    }
  }

  private readReference(field: string): void {
    const cursor = this.cursor
    const at = cursor.offset
    const client = cursor.varUint(field, clientMax)
    // A reference points at an item, which ends at most at the limit.
    const clock = cursor.varUint(field, clockMax - 1)
    if (client === this.client) {
      if (clock >= this.clock) throw invalid(field, at, 'not before the item itself')
      return
    }
    this.need(client, clock + 1)
    if (this.order !== undefined) this.order.refer(this.block, this.clock, client, clock)
  }

  private readRoot(): void {
    const cursor = this.cursor
    const at = cursor.offset
    cursor.key('name of a top-level type')
    const { textFrom, textTo } = cursor
    // Most items without neighbours are the keys of one map: its name again.
    if (this.rootTo > 0 && equal(cursor.bytes, this.rootFrom, this.rootTo, textFrom, textTo)) return
    if (this.rootTo > 0) {
      this.roots ??= new Set([textOf(cursor, this.rootFrom, this.rootTo)])
      this.roots.add(textOf(cursor, textFrom, textTo))
      if (this.roots.size > this.rareMax) throw beyond('count of top-level types', at, this.rareMax)
    }
    this.rootFrom = textFrom
    this.rootTo = textTo
  }

  /**
   * A guid and the options of a document. Yjs writes `gc`, `autoLoad` and `meta`; other implementations of the format write more
   * of them (`shouldLoad`, `collectionid`, `encoding`), which are harmless as long as they are plain values.
   */
  private readSubdocument(at: number): void {
    const cursor = this.cursor
    if (++this.subdocuments > this.rareMax) throw beyond('count of subdocuments', at, this.rareMax)
    cursor.text('guid of a subdocument')
    const field = 'options of a subdocument'
    const start = cursor.offset
    if (cursor.byte(field) !== 118) throw invalid(field, start, 'no object')
    const count = cursor.varUint(field, cursor.left >>> 1)
    for (let index = 0; index < count; index++) {
      cursor.text(field)
      const name = cursor.textTo - cursor.textFrom > 16 ? '' : cursor.textValue()
      const kind = cursor.bytes[cursor.offset]
      const isFlag = kind === 120 || kind === 121
      if (name === 'gc' || name === 'autoLoad' || name === 'shouldLoad') {
        if (!isFlag) throw invalid(field, cursor.offset, 'a flag that is neither true nor false')
      } else if (name === 'collectionid' || name === 'encoding') {
        if (kind === 116 || kind === 117 || kind === 118) throw invalid(field, cursor.offset, 'no plain value')
      } else if (name !== 'meta') throw invalid(field, cursor.offset, 'of no known name')
      cursor.any(field, this.limits.depthMax)
    }
  }

  private readDeletes(): void {
    const cursor = this.cursor
    const clientCount = cursor.varUint('count of clients with deletions', this.limits.clientsMax)
    if (clientCount === 0) return
    const deletes: number[] = []
    this.deletes = deletes
    const seen = clientCount > 1 ? new Clients() : undefined
    for (let index = 0; index < clientCount; index++) {
      const at = cursor.offset
      const client = cursor.varUint('client of deletions', clientMax)
      if (seen !== undefined && !seen.add(client)) throw invalid('client of deletions', at, 'there twice')
      // A range takes two bytes or more. A client without ranges means nothing and costs nothing: Yjs reads it, some implementations write it.
      const count = cursor.varUint('count of deletions', cursor.left >>> 1)
      let end = 0
      for (let range = 0; range < count; range++) {
        const start = cursor.offset
        const from = cursor.varUint('start of a deletion', clockMax)
        const length = cursor.varUint('length of a deletion', clockMax)
        if (from < end) throw invalid('start of a deletion', start, 'before the end of the one before')
        if (length === 0) throw invalid('length of a deletion', start, 'zero')
        if (from + length > clockMax) throw beyond('end of a deletion', start, clockMax)
        end = from + length
        deletes.push(client, from, end)
        if (deletes.length > this.limits.rangesMax * 3) throw beyond('count of all deletions', start, this.limits.rangesMax)
      }
      if (count > 0) this.need(client, end)
    }
  }

  private need(client: number, clock: number): void {
    const needs = this.needs
    let place = -1
    if (this.needPlaces !== undefined) place = this.needPlaces.get(client) ?? -1
    else {
      for (let index = 0; index < needs.length; index += 2) {
        if (needs[index] === client) {
          place = index
          break
        }
      }
    }
    if (place >= 0) {
      if ((needs[place + 1] ?? 0) < clock) needs[place + 1] = clock
      return
    }
    if (needs.length >= this.limits.clientsMax * 2)
      throw beyond('count of clients that are referred to', this.cursor.offset, this.limits.clientsMax)
    needs.push(client, clock)
    if (this.needPlaces !== undefined) this.needPlaces.set(client, needs.length - 2)
    else if (needs.length > needsScanned * 2) {
      this.needPlaces = new Map()
      for (let index = 0; index < needs.length; index += 2) this.needPlaces.set(needs[index] ?? 0, index)
    }
  }

  /** `needs` without what the structs of this update bring; a block in itself has to join what is held, so its end stands for all of it. */
  private unmetNeeds(): readonly number[] {
    const { needs, structs } = this
    if (needs.length === 0) return none
    if (structs.length === 0) return needs
    const ends = structs.length > 3 ? new Map<number, number>() : undefined
    if (ends !== undefined)
      for (let index = 0; index < structs.length; index += 3) ends.set(structs[index] ?? 0, structs[index + 2] ?? 0)
    let kept = 0
    for (let index = 0; index < needs.length; index += 2) {
      const client = needs[index] ?? 0
      const clock = needs[index + 1] ?? 0
      const end = ends !== undefined ? (ends.get(client) ?? 0) : client === structs[0] ? (structs[2] ?? 0) : 0
      if (end >= clock) continue
      needs[kept++] = client
      needs[kept++] = clock
    }
    if (kept === 0) return none
    needs.length = kept
    return needs
  }
}

/** Client ids met so far. Yjs writes them descending, so the set is made only when one does not descend. */
class Clients {
  private readonly met: number[] = []
  private set: Set<number> | undefined

  /** @returns false if it was met before. */
  add(client: number): boolean {
    const last = this.met.at(-1)
    if (this.set === undefined) {
      if (last === undefined || client < last) {
        this.met.push(client)
        return true
      }
      this.set = new Set(this.met)
    }
    if (this.set.has(client)) return false
    this.set.add(client)
    return true
  }
}

function equal(bytes: Uint8Array, from: number, to: number, otherFrom: number, otherTo: number): boolean {
  if (to - from !== otherTo - otherFrom) return false
  for (let index = 0; index < to - from; index++) if (bytes[from + index] !== bytes[otherFrom + index]) return false
  return true
}

function textOf(cursor: Cursor, from: number, to: number): string {
  cursor.textFrom = from
  cursor.textTo = to
  return cursor.textValue()
}
