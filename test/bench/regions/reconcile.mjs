// The two machines of LINK6 over logs that hold names and versions only, so that a million documents fit; frames are encoded as links do.

import { createHash, randomBytes } from 'node:crypto'
import { createEncoder, length } from 'lib0/encoding'
import { parseDocument, parseGroup, parseRegion, parseReplica } from '@meridian/core/ids'
import { emptyVersion, mutableVersion } from '@meridian/core/version'
import { writeJoinBody } from '@meridian/core/wires/link/join-frames'
import { Giver } from '@meridian/regions/link/giver'
import { Joiner } from '@meridian/regions/link/joiner'

const group = parseGroup('dev/default')
const replica = parseReplica('eu-west#1.0123456789abcdef')
/** As nodes do. */
const digest = (/** @type {Uint8Array} */ bytes) => createHash('sha256').update(bytes).digest().readBigUInt64LE()
const pad = (/** @type {number} */ index) => String(index).padStart(7, '0')

/** Of the documents those below `changed` have one entry more. @param {number} count @param {number} changed */
const logOf = (count, changed) => ({
  openGroup: (/** @type {any} */ _group, /** @type {any} */ done) =>
    done({ kind: 'done', value: { version: emptyVersion, sealed: new Map(), seals: new Map(), closed: new Map() } }),
  seekGroup: (/** @type {any} */ _group, /** @type {any} */ _version, /** @type {any} */ done) =>
    done({ kind: 'done', value: { chains: new Map() } }),
  listGroup: (/** @type {any} */ _group, /** @type {string} */ after, /** @type {number} */ limit, /** @type {any} */ done) => {
    const from = after === '' ? 0 : Number(after.slice(-7)) + 1
    const page = Array.from({ length: Math.max(0, Math.min(limit, count - from)) }, (_, offset) => {
      const index = from + offset
      const version = mutableVersion()
      // Spread over all of them, as edits are.
      const isChanged = changed > 0 && index % Math.floor(count / changed) === 0 && index / Math.floor(count / changed) < changed
      version.sequences.set(replica, index + 1 + (isChanged ? count : 0))
      return { document: parseDocument(`dev/notes/${pad(index)}`), engine: 'yjs', life: 1, ended: false, version }
    })
    queueMicrotask(() => done({ kind: 'done', value: page }))
  },
  retain: () => undefined,
  adopt: (/** @type {any} */ _group, /** @type {any} */ _rows, /** @type {any} */ done) =>
    done({ kind: 'done', value: undefined }),
})

/** @param {number} documents @param {number} differing @returns {Promise<Record<string, number>>} */
export async function reconcile(documents, differing) {
  const begin = performance.now()
  let bytes = 0
  let roundTrips = 0
  let found = 0
  const counted = (/** @type {import('@meridian/core/wires/link/join-frames').JoinFrame} */ frame) => {
    const body = createEncoder()
    writeJoinBody(body, frame)
    // Type and length in front of it.
    bytes += length(body) + (length(body) < 128 ? 2 : 3)
  }
  await new Promise((resolve, reject) => {
    const failed = (/** @type {string} */ reason, /** @type {string} */ detail) => reject(new Error(`${reason}: ${detail}`))
    /** @type {Giver | undefined} */
    let giver
    const giverLog = /** @type {any} */ ({
      ...logOf(documents, differing),
      readState: (/** @type {any} */ _document, /** @type {any} */ done) => {
        found++
        done({ kind: 'done', value: undefined })
      },
    })
    const joiner = new Joiner(group, {
      isFork: () => false,
      log: /** @type {any} */ (logOf(documents, 0)),
      digest,
      random: (count) => new Uint8Array(randomBytes(count)),
      mergeStates: () => undefined,
      refusalOf: () => undefined,
      failed,
      adopted: () => resolve(undefined),
    })
    const held = /** @type {any} */ ({ group, version: emptyVersion })
    joiner.begin({
      peer: parseRegion('eu-west'),
      handle: 1,
      windowBytes: 1 << 20,
      leave: () => undefined,
      send: (frame) => {
        if (frame.type !== 'credit') roundTrips++
        counted(frame)
        queueMicrotask(() => {
          if (frame.type === 'join')
            giver = new Giver(frame, held, {
              log: giverLog,
              digest,
              offered: () => undefined,
              send: (answer) => {
                // States are no part of finding out.
                if (answer.type !== 'pour') counted(answer)
                queueMicrotask(() => joiner.receive(answer))
              },
              mayPour: () => true,
              refusalOf: () => undefined,
              refused: (rule) => failed('residency', rule),
              refuse: () => failed('invalid', 'refused'),
            })
          else if (frame.type === 'expand') giver?.expand(frame)
          else if (frame.type === 'want') giver?.want(frame)
          else if (frame.type === 'credit') giver?.credit(frame.bytes)
        })
      },
    })
  })
  return { bytes, roundTrips, found, ms: performance.now() - begin }
}
