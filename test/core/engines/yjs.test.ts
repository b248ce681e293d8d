/** The Yjs engine against the conformance suite, and what is Yjs's own: merged updates, trimming, subdocuments, documents of many authors. */
import * as fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import * as Y from 'yjs'
import { inspectLimits } from '@meridian/core/engine'
import { authorsOf, yjsEngine } from '@meridian/core/engines/yjs'
import { codeOf, hex, registerEngineTests } from '../../conformance/engine.js'
import { makeHistory, randomOf, readerOf, shownBy } from './yjs-edits.js'

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const inspect = (update: Uint8Array) => yjsEngine.inspect(update, inspectLimits)

function typed(text: string, clientID = 1): Uint8Array[] {
  const doc = new Y.Doc()
  doc.clientID = clientID
  const updates: Uint8Array[] = []
  doc.on('update', (update: Uint8Array) => updates.push(update))
  for (const [index, character] of [...text].entries()) doc.getText('text').insert(index, character)
  return updates
}

function indexOf(updates: readonly Uint8Array[]) {
  const index = yjsEngine.emptyIndex()
  for (const update of updates) yjsEngine.include(index, inspect(update))
  return index
}

const someUpdate = typed('a')[0] ?? new Uint8Array()

registerEngineTests('yjs', yjsEngine, {
  typing: typed,
  history: (seed) => makeHistory(seed).updates,
  known: (updates) => Y.encodeStateVector(readerOf(updates)),
  sent: (updates) => Y.encodeStateAsUpdate(readerOf(updates)),
  shown: (updates) => shownBy(readerOf(updates)),
  garbage: [
    { name: 'no bytes', bytes: new Uint8Array() },
    { name: 'an update in V2', bytes: Y.convertUpdateFormatV1ToV2(someUpdate) },
    { name: 'an Automerge chunk', bytes: bytes('856f4a83 00000000 01 00') },
    { name: 'a state vector', bytes: bytes('01 01 05') },
  ],
})

describe('updates that Yjs puts together', () => {
  it('given any history, when any part is merged, cut by a state vector or a state is taken, then none is refused', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0 }), (seed) => {
        const random = randomOf(seed)
        const { updates, docs } = makeHistory(seed, { authorCount: 2 + (seed % 4) })
        const part = updates.filter(() => random(2) === 0)
        const merged = part.length === 0 ? Y.mergeUpdates([...updates]) : Y.mergeUpdates(part)
        inspect(merged)
        inspect(Y.diffUpdate(merged, Y.encodeStateVector(readerOf(updates.slice(0, random(updates.length))))))
        for (const doc of docs) inspect(Y.encodeStateAsUpdate(doc))
        // A document that waits for what is missing passes it on with Skip structs in between.
        inspect(Y.encodeStateAsUpdate(readerOf(part)))
        expect(yjsEngine.digest([Y.mergeUpdates([...updates])])).toBe(yjsEngine.digest(updates))
      }),
      { numRuns: 60 },
    )
  })

  it('[SES2] given any part of a history, when more is judged, then it is premature just if Yjs would keep some of it waiting', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0 }), (seed) => {
        const random = randomOf(seed)
        const { updates } = makeHistory(seed)
        const held = updates.slice(0, random(updates.length))
        const more = Y.mergeUpdates(updates.filter(() => random(8) === 0).concat(updates[random(updates.length)] ?? []))
        const doc = readerOf(held)
        const before = shownBy(doc)
        const judgement = yjsEngine.judge(indexOf(held), inspect(more))
        Y.applyUpdate(doc, more)
        expect(judgement === 'premature').toBe(doc.store.pendingStructs !== null || doc.store.pendingDs !== null)
        expect(judgement === 'nothing' ? shownBy(doc) : before).toBe(before)
      }),
      { numRuns: 100 },
    )
  })

  it('[SES7] given a step 2 of a peer with nothing new, when judged, then its whole delete set adds nothing', () => {
    const doc = new Y.Doc()
    doc.clientID = 7
    const updates: Uint8Array[] = []
    doc.on('update', (update: Uint8Array) => updates.push(update))
    const text = doc.getText('text')
    for (let index = 0; index < 200; index++) text.insert(index, 'x')
    for (let index = 199; index > 0; index -= 2) text.delete(index, 1)
    const index = indexOf(updates)
    const step2 = Y.encodeStateAsUpdate(doc, Y.encodeStateVector(doc))
    expect(step2.length).toBeGreaterThan(200)
    expect(yjsEngine.judge(index, inspect(step2))).toBe('nothing')
    text.delete(0, 1)
    expect(yjsEngine.judge(index, inspect(Y.encodeStateAsUpdate(doc, Y.encodeStateVector(doc))))).toBe('new')
  })

  it('given a struct that starts below and ends above what is held, when judged, then it is new and trims to the rest', () => {
    const updates = typed('abcdef')
    const whole = yjsEngine.snapshot(updates).bytes
    const index = indexOf(updates.slice(0, 3))
    const inspection = inspect(whole)
    expect(yjsEngine.judge(index, inspection)).toBe('new')
    const overlap = yjsEngine.overlap(index, inspection) ?? new Uint8Array()
    expect(hex(overlap)).toBe('01 01 03'.replaceAll(' ', ''))
    const rest = yjsEngine.cut(whole, overlap)
    expect(rest.length).toBeLessThan(whole.length)
    expect(yjsEngine.judge(index, inspect(rest))).toBe('new')
    expect(yjsEngine.digest([...updates.slice(0, 3), rest])).toBe(yjsEngine.digest(updates))
    const last = updates.at(-1) ?? new Uint8Array()
    expect(yjsEngine.overlap(indexOf(updates.slice(0, 5)), inspect(last))).toBeUndefined()
  })

  it('given two devices with one client id, when the longer struct of one meets what the other deleted, then the document still loads', () => {
    // Client 1: a map, an array under a key of it with one value, the array deleted: its value is garbage without a parent.
    const doc = new Y.Doc()
    doc.clientID = 1
    doc.getMap('map').set('list', Y.Array.from(['x']))
    doc.getText('text').insert(0, '')
    doc.getMap('map').delete('list')
    const base = [Y.encodeStateAsUpdate(doc), ...typed('abcd', 2)]
    // The other device of client 1 typed two characters under the id of that value and the next.
    const forged = bytes('01 01 01 01 c4 02 00 02 01 02 7879 00')
    expect(yjsEngine.judge(indexOf(base), inspect(forged))).toBe('new')
    expect(() => Y.applyUpdate(readerOf(base), forged)).toThrow(TypeError)
    const state = yjsEngine.snapshot([...base, forged])
    expect(yjsEngine.digest([state.bytes])).toBe(yjsEngine.digest([...base, forged]))
  })
})

describe('materialising', () => {
  it('given a text put between the entries of a map and cut in two, when garbage cannot be collected, then the document is saved with it', () => {
    // The map m.k holds a map, whose key a has a value and after it, as no app writes it, a text of 4; a further item cuts that in two.
    const entries = '01 04 01 00 27 01 01 6d 01 6b 01 28 00 01 00 01 61 01 7e 84 01 01 04 7778797a 84 01 03 01 7a 00'
    const deletion = '00 01 01 01 00 01'
    const updates = [bytes(entries), bytes(deletion)]
    const index = yjsEngine.emptyIndex()
    for (const update of updates) {
      expect(yjsEngine.judge(index, inspect(update))).toBe('new')
      yjsEngine.include(index, inspect(update))
    }
    const doc = readerOf(updates.slice(0, 1))
    expect(() => Y.applyUpdate(doc, bytes(deletion))).toThrow('Unexpected case')
    const state = yjsEngine.snapshot(updates)
    expect(yjsEngine.judge(yjsEngine.decodeIndex(state.index), inspect(state.bytes))).toBe('nothing')
    expect(codeOf(() => yjsEngine.snapshot([state.bytes]))).toBe('accepted')
  })

  it('given formats that Yjs would clean up on its own, when materialised, then nothing is deleted that no author deleted', () => {
    const doc = new Y.Doc()
    doc.clientID = 1
    const updates: Uint8Array[] = []
    doc.on('update', (update: Uint8Array) => updates.push(update))
    const text = new Y.Text('abcdef')
    doc.getMap('map').set('text', text)
    const other = readerOf(updates)
    other.clientID = 2
    const started = Y.encodeStateVector(other)
    text.format(0, 4, { bold: true })
    const otherText = other.getMap('map').get('text')
    if (!(otherText instanceof Y.Text)) throw new Error('no text')
    otherText.format(2, 4, { bold: true })
    updates.push(Y.encodeStateAsUpdate(other, started))
    const index = indexOf(updates)
    expect(hex(yjsEngine.snapshot(updates).index)).toBe(hex(yjsEngine.encodeIndex(index)))
    expect(hex(yjsEngine.snapshot([...updates].reverse()).index)).toBe(hex(yjsEngine.encodeIndex(index)))
  })

  it('given a document edited under the id of the reader, when materialised, then no message is printed and nothing is drawn by chance', () => {
    const print = vi.spyOn(console, 'log').mockImplementation(() => undefined)
    const updates = typed('abc', 0)
    const state = yjsEngine.snapshot(updates)
    expect(hex(yjsEngine.snapshot(updates).bytes)).toBe(hex(state.bytes))
    expect(print).not.toHaveBeenCalled()
    print.mockRestore()
  })

  it('given JSON numbers that JSON does not keep, when saved and loaded, then the digest is the same', () => {
    const number = (json: string): Uint8Array =>
      bytes(`01 01 01 00 05 01 01 74 ${varUint(json.length)} ${hex(Buffer.from(json))} 00`)
    for (const json of ['-0', '1e999', '[-0,{"a":-1e999}]']) {
      expect(yjsEngine.digest([yjsEngine.snapshot([number(json)]).bytes])).toBe(yjsEngine.digest([number(json)]))
    }
    expect(yjsEngine.digest([number('0')])).not.toBe(yjsEngine.digest([number('1')]))
  })

  it('given deleted and edited subdocuments, when materialised twice, then the bytes are the same', () => {
    const doc = new Y.Doc()
    doc.clientID = 1
    for (const guid of ['one', 'two']) {
      const subdocument = new Y.Doc({ guid, autoLoad: true, meta: { title: 'x' } })
      subdocument.clientID = 1
      doc.getMap('map').set(guid, subdocument)
    }
    doc.getMap('map').delete('one')
    const update = Y.encodeStateAsUpdate(doc)
    expect(hex(yjsEngine.snapshot([update]).bytes)).toBe(hex(yjsEngine.snapshot([update]).bytes))
    expect(yjsEngine.digest([yjsEngine.snapshot([update]).bytes])).toBe(yjsEngine.digest([update]))
  })

  it('given types nested 20,000 deep, when materialised, then they are digested without overflow', () => {
    // Each map is under the key k of the one before: the first in the root m, the others by the id of their parent.
    const parts = ['01 a09c01 01 00 27 01 01 6d 01 6b 01']
    for (let clock = 0; clock < 19_999; clock++) parts.push(`27 00 01 ${varUint(clock)} 01 6b 01`)
    const update = bytes(`${parts.join('')}00`)
    inspect(update)
    expect(yjsEngine.digest([yjsEngine.snapshot([update]).bytes])).toBe(yjsEngine.digest([update]))
    // Deleting recurses in Yjs itself: refused by type, not by crashing.
    expect(codeOf(() => yjsEngine.snapshot([update, bytes('00 01 01 01 00 01')]))).toBe('UPDATE_INVALID')
  })

  it('given a state vector that is none, when asked for the difference, then it is UPDATE_INVALID', () => {
    const updates = typed('abc')
    for (const known of ['01', '01 01', '00 00', '8000', 'ffffffffff7f 01 01', '01 ffffffff1f 01']) {
      expect(codeOf(() => yjsEngine.diff(updates, bytes(known)))).toBe('UPDATE_INVALID')
    }
    expect(hex(yjsEngine.diff(updates, new Uint8Array()))).toBe(hex(yjsEngine.snapshot(updates).bytes))
  })

  it('given updates of several authors, when asked for their authors, then each is named once', () => {
    const merged = Y.mergeUpdates([...typed('ab', 5), ...typed('cd', 9)])
    expect(authorsOf(inspect(merged))).toEqual([9, 5])
    expect(authorsOf(inspect(bytes('00 00')))).toEqual([])
  })
})

function varUint(value: number): string {
  const parts: number[] = []
  let rest = value
  for (; rest > 127; rest = Math.floor(rest / 128)) parts.push(128 | (rest % 128))
  return Buffer.from([...parts, rest]).toString('hex')
}
