// The trace automerge-paper as Yjs updates, one an edit, made once and cached.

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import * as Y from 'yjs'

const TRACE = new URL('../../data/traces/automerge-paper.json.gz', import.meta.url)
const results = new URL('../results/', import.meta.url)

/** Changes whenever the cache's form or content does. */
const FORM = 1

/**
 * @typedef {object} Trace
 * @property {Uint8Array[]} updates one Yjs update (v1) an edit, by clientID 1, into the text `t`.
 * @property {string} textHash sha256 of the text after them.
 */

/** @param {number} edits how many of the trace's edits, from its start. @returns {string} the path of the cache, made if need be. */
export function prepareTrace(edits) {
  const cache = fileURLToPath(new URL(`automerge-paper-${edits}.v${FORM}.bin`, results))
  if (existsSync(cache)) return cache
  const trace = JSON.parse(gunzipSync(readFileSync(TRACE)).toString())
  const document = new Y.Doc()
  document.clientID = 1
  const text = document.getText('t')
  text.insert(0, trace.startContent)
  /** @type {Buffer[]} */
  const parts = []
  document.on('update', (update) => {
    const head = Buffer.alloc(4)
    head.writeUInt32LE(update.length)
    parts.push(head, Buffer.from(update))
  })
  for (const { patches } of trace.txns.slice(0, edits)) {
    document.transact(() => {
      for (const [position, deleted, inserted] of patches) {
        if (deleted > 0) text.delete(position, deleted)
        if (inserted !== '') text.insert(position, inserted)
      }
    })
  }
  const content = text.toString()
  if (edits >= trace.txns.length && content !== trace.endContent) throw new Error('the trace does not end in its own content')
  mkdirSync(results, { recursive: true })
  writeFileSync(`${cache}.part`, Buffer.concat([createHash('sha256').update(content).digest(), ...parts]))
  renameSync(`${cache}.part`, cache)
  return cache
}

/** @param {string} cache @returns {Trace} */
export function readTrace(cache) {
  const bytes = readFileSync(cache)
  /** @type {Uint8Array[]} */
  const updates = []
  for (let at = 32; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at)
    updates.push(bytes.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return { updates, textHash: bytes.toString('hex', 0, 32) }
}

/** @param {Y.Doc} document @returns {string} the hash that `Trace.textHash` is compared with. */
export const textHash = (document) => createHash('sha256').update(document.getText('t').toString()).digest('hex')

/** All edits of the trace. */
export const TRACE_EDITS = 259_778
