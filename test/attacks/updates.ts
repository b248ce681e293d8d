/** Updates of Yjs to push: sound ones by Yjs, and made up ones by hand. */

import { encodePush } from '@meridian/core/wires/native/client-frames'
import * as Y from 'yjs'
import { MiB } from './wire.js'

/** Bytes from hex, with spaces between. */
export const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))

/** One author, one text. */
export function textUpdate(text: string, clientID = 7): Uint8Array {
  const doc = new Y.Doc()
  doc.clientID = clientID
  doc.getText('t').insert(0, text)
  return Y.encodeStateAsUpdate(doc)
}

/** `count` updates of one author, one letter each, of which each builds on the one before. */
export function typing(count: number, clientID: number): readonly Uint8Array[] {
  const doc = new Y.Doc()
  doc.clientID = clientID
  const updates: Uint8Array[] = []
  doc.on('update', (update: Uint8Array) => updates.push(update))
  const text = doc.getText('t')
  for (let index = 0; index < count; index++) text.insert(index, 'x')
  return updates
}

/** Text 'a' at a clock of a client, into a type of its own: sound, and premature unless the clock is the next one. */
export const atClock = (clientID: number, clock: number): Uint8Array =>
  Uint8Array.from([1, 1, ...varUint(clientID), ...varUint(clock), 4, 1, 1, 0x74, 1, 0x61, 0])

/** Pushes of one payload, with counters from `first`, in messages of almost 1 MiB. */
export function pushMessages(payload: Uint8Array, first: number, messageCount: number): readonly Buffer[] {
  let counter = first
  return Array.from({ length: messageCount }, () => {
    const message = Buffer.alloc(MiB)
    let offset = 0
    for (;;) {
      const frame = encodePush(1, counter, payload)
      if (offset + frame.length > MiB) return message.subarray(0, offset)
      message.set(frame, offset)
      offset += frame.length
      counter++
    }
  })
}

function varUint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push(128 | (rest % 128))
  return [...bytes, rest]
}
