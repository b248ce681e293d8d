/**
 * Gives a region that joins a group what it lacks, on one link (LINK6). It answers and never begins: what it reads of the log is bounded by what the
 * joiner grants and by the room in the socket.
 *
 * ```
 *   join ──▶ held (kept for the joiner from here on) ──▶ scan ──▶ offer ──▶ expand, sums … ──▶ want, scan ──▶ pour … ──▶ poured
 * ```
 */

import type { DocumentName, GroupId } from '@meridian/core/ids'
import type { LinkedLog } from '@meridian/core/log'
import type { Version } from '@meridian/core/version'
import type { Expand, Want, Join, JoinFrame } from '@meridian/core/wires/link/join-frames'
import { encodeState } from '@meridian/core/wires/link/states'
import { type Digest, GroupSums, KeyedDigest, scan } from './group-sums.js'
import type { HeldGroup } from './held-group.js'

export interface GiverPort {
  readonly log: Pick<LinkedLog, 'openGroup' | 'seekGroup' | 'listGroup' | 'readState'>
  readonly digest: Digest
  /** The joiner will hold what is offered; what comes after it is kept for it. */
  readonly offered: (group: GroupId, version: Version) => void
  readonly send: (frame: JoinFrame) => void
  /** Room for states in the socket, beside what streams need. */
  readonly mayPour: () => boolean
  /** RES1: the rule by which a document may not go to the joiner; undefined if it may. */
  readonly refusalOf: (document: DocumentName) => string | undefined
  /** LINK8: a document was refused. */
  readonly refused: (rule: string) => void
  /** It cannot go on; the joiner asks again, here or elsewhere. */
  readonly refuse: () => void
}

/** Bytes of one `pour`, and of states that were read and wait for it. */
const pourBytes = 32 * 1024
const readAheadBytes = 256 * 1024
/** States that are read at once. */
const readAhead = 16

export class Giver {
  readonly #held: HeldGroup
  readonly #port: GiverPort
  readonly #handle: number
  readonly #keyed: KeyedDigest
  readonly #sums = new GroupSums()
  #isOver = false
  /** Of the want that is answered. */
  #want = 0
  #names: DocumentName[] = []
  #reading = 0
  #ready: Uint8Array[] = []
  #readyBytes = 0
  #isScanned = true
  #nextPage: (() => void) | undefined
  #pouredBytes = 0
  #creditBytes = 0
  #isDone = true

  constructor(join: Join, held: HeldGroup, port: GiverPort) {
    this.#held = held
    this.#port = port
    this.#handle = join.handle
    this.#keyed = new KeyedDigest(port.digest, join.key)
    this.#offer(join.sum)
  }

  get group(): GroupId {
    return this.#held.group
  }

  stop(): void {
    this.#isOver = true
    this.#names = []
    this.#ready = []
  }

  expand({ level, nodes }: Expand): void {
    const sums = nodes.flatMap((node) => this.#sums.below(level, node))
    this.#port.send({ type: 'sums', handle: this.#handle, sums })
  }

  want(frame: Want): void {
    const want = ++this.#want
    this.#names = []
    this.#ready = []
    this.#readyBytes = this.#reading = this.#pouredBytes = 0
    this.#creditBytes = frame.windowBytes
    this.#isScanned = this.#isDone = false
    const wanted = frame.leaves === 'all' ? undefined : new Map(frame.leaves.map(({ leaf, digests }) => [leaf, new Set(digests)]))
    scan(
      { log: this.#port.log, group: this.group, isOver: () => this.#isOver || want !== this.#want },
      (page, next) => {
        for (const document of page) {
          const rule = this.#port.refusalOf(document.document)
          if (rule !== undefined) {
            this.stop()
            this.#port.refused(rule)
            return
          }
          const held = wanted?.get(this.#keyed.leafOf(document.document))
          if (wanted === undefined || (held !== undefined && !held.has(this.#keyed.of(document))))
            this.#names.push(document.document)
        }
        this.#nextPage = next
        this.pump()
      },
      (outcome) => {
        if (outcome.kind === 'failed') return this.#failed()
        this.#isScanned = true
        this.pump()
      },
    )
  }

  credit(bytes: number): void {
    this.#creditBytes = Math.max(this.#creditBytes, bytes)
    this.pump()
  }

  /** Goes on with what there is room and credit for. */
  pump(): void {
    if (this.#isOver || this.#isDone) return
    this.#pour()
    while (this.#names.length > 0 && this.#reading < readAhead && this.#readyBytes < readAheadBytes) this.#read()
    const nextPage = this.#nextPage
    if (nextPage !== undefined && this.#names.length === 0) {
      this.#nextPage = undefined
      nextPage()
    }
    if (!this.#isScanned || this.#nextPage !== undefined) return
    if (this.#names.length > 0 || this.#reading > 0 || this.#readyBytes > 0) return
    this.#isDone = true
    this.#port.send({ type: 'poured', handle: this.#handle, version: this.#held.version })
  }

  /** What is held is read before the documents are: whatever a document has beyond it comes again as an entry, and does no harm. */
  #offer(theirs: bigint): void {
    const { log } = this.#port
    log.openGroup(this.group, (opened) => {
      if (this.#isOver) return
      if (opened.kind === 'failed') return this.#failed()
      const { version, sealed, seals } = opened.value
      this.#port.offered(this.group, version)
      log.seekGroup(this.group, version, (sought) => {
        if (this.#isOver) return
        if (sought.kind === 'failed') return this.#failed()
        const { chains } = sought.value
        scan(
          { log, group: this.group, isOver: () => this.#isOver },
          (page, next) => {
            for (const document of page) this.#sums.add(this.#keyed.leafOf(document.document), this.#keyed.of(document))
            next()
          },
          (outcome) => {
            if (outcome.kind === 'failed') return this.#failed()
            const sums = this.#sums.total === theirs ? [] : this.#sums.below(0, 0)
            this.#port.send({ type: 'offer', handle: this.#handle, held: { version, chains }, sealed, seals, sums })
          },
        )
      })
    })
  }

  #read(): void {
    const document = this.#names.pop()
    if (document === undefined) return
    const want = this.#want
    this.#reading++
    this.#port.log.readState(document, (outcome) => {
      if (this.#isOver || want !== this.#want) return
      if (outcome.kind === 'failed') return this.#failed()
      this.#reading--
      if (outcome.value !== undefined) {
        const bytes = encodeState(outcome.value)
        this.#ready.push(bytes)
        this.#readyBytes += bytes.length
      }
      this.pump()
    })
  }

  #pour(): void {
    while (this.#readyBytes > 0 && this.#port.mayPour()) {
      const room = Math.min(pourBytes, this.#creditBytes - this.#pouredBytes)
      if (room <= 0) return
      const bytes = this.#take(room)
      this.#pouredBytes += bytes.length
      this.#port.send({ type: 'pour', handle: this.#handle, bytes })
    }
  }

  #take(bytesMax: number): Uint8Array {
    const bytes = new Uint8Array(Math.min(bytesMax, this.#readyBytes))
    let at = 0
    while (at < bytes.length) {
      const [first] = this.#ready
      if (first === undefined) break
      const piece = first.subarray(0, bytes.length - at)
      bytes.set(piece, at)
      at += piece.length
      if (piece.length === first.length) this.#ready.shift()
      else this.#ready[0] = first.subarray(piece.length)
    }
    this.#readyBytes -= bytes.length
    return bytes
  }

  #failed(): void {
    this.stop()
    this.#port.refuse()
  }
}
