/**
 * The part of an update that can be taken before the rest of it: what builds on nothing but itself and what is held (SES2).
 *
 * A Yjs client that waits for something itself (`store.pendingStructs`, `store.pendingDs`) sends all of that along with its own edits, in
 * one update, whenever it is asked for what it has. The former nobody can take; the latter must not wait for it.
 *
 * Two passes over the bytes. The first finds for each client the clock of its first struct that cannot be integrated, the second where
 * the structs before it end. Deletions go as far as what is held then.
 */

import * as encoding from 'lib0/encoding'
import { inspectAgain, type Numbers } from './yjs-inspect.js'
import { YjsOrder } from './yjs-order.js'
import { YjsParts } from './yjs-parts.js'

export interface Basis {
  /** The next clock of each client of which something is held. */
  readonly held: ReadonlyMap<number, number>
  /** Clients of which nothing more is taken. */
  readonly foreign: ReadonlySet<number>
}

/**
 * @returns an update, which may overlap what is held; empty if nothing of `update` is admissible.
 */
export function admissibleOf(update: Uint8Array, { held, foreign }: Basis): Uint8Array {
  const next = (client: number): number => held.get(client) ?? 0
  const order = new YjsOrder()
  const { structs, deletes } = inspectAgain(update, { order })
  const { clients } = order
  const stops = joinedEnds(structs, clients, next)
  for (const [block, client] of clients.entries()) if (foreign.has(client)) stops[block] = 0
  order.stopAtMissing(stops, next)
  const pass = new YjsParts(stops)
  inspectAgain(update, { parts: pass })
  const reached = new Map(held)
  for (const [block, client] of clients.entries()) reached.set(client, Math.max(next(client), stops[block] ?? 0))
  const kept = deletesBefore(deletes, reached)
  if (pass.parts.length === 0 && kept.length === 0) return new Uint8Array(0)
  const encoder = encoding.createEncoder()
  encoding.writeVarUint(encoder, pass.parts.length)
  for (const { client, clock, count, from, to } of pass.parts) {
    encoding.writeVarUint(encoder, count)
    encoding.writeVarUint(encoder, client)
    encoding.writeVarUint(encoder, clock)
    encoding.writeUint8Array(encoder, update.subarray(from, to))
  }
  writeDeletes(encoder, kept)
  return encoding.toUint8Array(encoder)
}

/** For each block the clock up to which its structs follow what is held without a gap; 0 if its first one does not. */
function joinedEnds(structs: Numbers, clients: readonly number[], next: (client: number) => number): Float64Array {
  const ends = new Float64Array(clients.length)
  let at = 0
  for (const [block, client] of clients.entries()) {
    let end = next(client)
    let joins = true
    for (; at < structs.length && structs[at] === client; at += 3) {
      joins &&= (structs[at + 1] ?? 0) <= end
      if (!joins) continue
      end = Math.max(end, structs[at + 2] ?? 0)
      ends[block] = structs[at + 2] ?? 0
    }
  }
  return ends
}

/** client, from, to, … up to what is reached of each client. */
function deletesBefore(deletes: Numbers, reached: ReadonlyMap<number, number>): readonly number[] {
  const kept: number[] = []
  for (let at = 0; at < deletes.length; at += 3) {
    const client = deletes[at] ?? 0
    const from = deletes[at + 1] ?? 0
    const to = Math.min(deletes[at + 2] ?? 0, reached.get(client) ?? 0)
    if (from < to) kept.push(client, from, to)
  }
  return kept
}

function writeDeletes(encoder: encoding.Encoder, deletes: readonly number[]): void {
  let clientCount = 0
  for (let at = 0; at < deletes.length; at += 3) if (deletes[at] !== deletes[at - 3]) clientCount++
  encoding.writeVarUint(encoder, clientCount)
  for (let at = 0; at < deletes.length; ) {
    const client = deletes[at] ?? 0
    let count = 1
    while (deletes[at + count * 3] === client) count++
    encoding.writeVarUint(encoder, client)
    encoding.writeVarUint(encoder, count)
    for (const end = at + count * 3; at < end; at += 3) {
      const from = deletes[at + 1] ?? 0
      encoding.writeVarUint(encoder, from)
      encoding.writeVarUint(encoder, (deletes[at + 2] ?? 0) - from)
    }
  }
}
