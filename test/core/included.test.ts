/** Entries that links bring, as a hub takes them: delivered, judged by and remembered as what its own clients write. */

import type { Entry } from '@meridian/core/entry'
import { parseRegion, toPosition } from '@meridian/core/ids'
import { includeForeign } from '@meridian/core/include-foreign'
import type { Done, Included } from '@meridian/core/log'
import { stubOf } from '@meridian/core/stub'
import { describe, expect, test } from 'vitest'
import { MemoryStore } from '../sim/memory-log.js'
import { Author, notes, payloadsOf, textOf } from '../sim/peer.js'
import { Rig } from '../sim/rig.js'

const one = notes('one')
const two = notes('two')

/** A region whose clients wrote this; its entries are what a link carries. */
function elsewhere(write: (rig: Rig) => void): Entry[] {
  const rig = new Rig({ seed: 7, store: new MemoryStore(parseRegion('us-east')) })
  write(rig)
  rig.settle()
  return rig.durable
}

function typed(author: Author, ...texts: readonly string[]): Entry[] {
  return elsewhere((rig) => {
    const writer = rig.peer().attach(1, one)
    rig.settle()
    texts.forEach((text, index) => {
      writer.push(1, index + 1, author.type(text))
      rig.settle()
    })
  })
}

/** What a link does with a batch. */
function bring(rig: Rig, entries: readonly Entry[], done: Done<Included> = () => undefined): void {
  includeForeign({ log: rig.log, hub: rig.hub, epochOf: () => 5 }, entries, done)
}

describe('what links bring', () => {
  test('[LOG1] given a client that has the document open, when entries of another region are durable, then it gets them and nobody before', () => {
    const rig = new Rig()
    const reader = rig.peer().attach(1, one)
    rig.settle().hold('include')
    reader.take()
    bring(rig, typed(new Author(9), 'far ', 'away'))
    rig.settle()
    rig.release('include', 'perform')
    expect(reader.take()).toEqual([])
    rig.release('include', 'answer')
    expect(textOf(payloadsOf(reader.frames))).toBe('far away')
    reader.take()
    // Once more: nothing is new.
    rig.releaseAll()
    bring(rig, [])
    expect(reader.take()).toEqual([])
  })

  test('given a document that is open, when somebody opens it later, then memory tells all of it, with what came before and after in one order', () => {
    const rig = new Rig()
    const near = new Author(1)
    const far = new Author(9)
    const writer = rig.peer().attach(1, one)
    rig.settle()
    writer.push(1, 1, near.type('near '))
    rig.settle()
    bring(rig, typed(far, 'far '))
    rig.settle()
    writer.push(1, 2, near.type('end'))
    rig.settle()
    const late = rig.peer().attach(1, one)
    rig.settle()
    const reader = new Author(0)
    for (const update of payloadsOf(late.frames)) reader.apply(update)
    expect([...reader.text.matchAll(/near |far |end/g)].map(([part]) => part).sort()).toEqual(['end', 'far ', 'near '])
    expect(late.of('current').at(-1)?.version.sequences.size).toBe(2)
  })

  test('[SES2] given a client that builds on what another region wrote, when it pushes, then that is not premature', () => {
    const rig = new Rig()
    const far = new Author(9)
    const writer = rig.peer().attach(1, one)
    rig.settle()
    const near = new Author(1)
    // The index of the document is loaded, and has to grow with what comes.
    writer.push(1, 1, near.type('x'))
    rig.settle()
    bring(rig, typed(far, 'far'))
    rig.settle()
    for (const update of payloadsOf(writer.frames)) near.apply(update)
    writer.push(1, 2, near.type('!'))
    rig.settle()
    expect(writer.of('refused')).toEqual([])
    expect(writer.of('ack').at(-1)?.counter).toBe(2)
  })

  test('[SES7] given a client that pushes what came by a link already, then it is acked and nothing is logged', () => {
    const rig = new Rig()
    const far = new Author(9)
    const entries = typed(far, 'far')
    const writer = rig.peer().attach(1, one)
    rig.settle()
    bring(rig, entries)
    rig.settle()
    const before = rig.durable.length
    writer.push(1, 1, entries[0]?.payload ?? new Uint8Array())
    rig.settle()
    expect(writer.of('ack').at(-1)?.counter).toBe(1)
    expect(rig.durable.length).toBe(before)
  })

  test('[SES1] given a document that was loaded with an entry before its commit was told, when somebody reads on in memory, then it is there', () => {
    const rig = new Rig()
    rig.hold('include')
    bring(rig, typed(new Author(9), 'far'))
    rig.settle().release('include', 'perform')
    const first = rig.peer().attach(1, one)
    rig.settle().release('include', 'answer')
    const second = rig.peer().attach(1, one)
    rig.settle()
    expect([first, second].map((reader) => textOf(payloadsOf(reader.frames)))).toEqual(['far', 'far'])
    // What a compaction folds without reading it from the log.
    expect(rig.hub.recent(one, toPosition(0))?.map((entry) => entry.payload.length > 0)).toEqual([true])
  })

  test('given a document that is being loaded, when entries come meanwhile, then whoever opened it gets each once', () => {
    for (const order of ['answer first', 'load first'] as const) {
      const rig = new Rig()
      rig.hold('openDocument', 'include')
      const reader = rig.peer().attach(1, one)
      rig.settle()
      bring(rig, typed(new Author(9), 'a', 'b'))
      rig.settle()
      if (order === 'answer first') {
        rig
          .release('openDocument', 'perform')
          .release('include', 'perform')
          .release('include', 'answer')
          .release('openDocument', 'answer')
      } else {
        rig
          .release('include', 'perform')
          .release('openDocument', 'perform')
          .release('openDocument', 'answer')
          .release('include', 'answer')
      }
      rig.releaseAll()
      expect([order, reader.of('update').length]).toEqual([order, 2])
      expect(textOf(payloadsOf(reader.frames))).toBe('ab')
      expect(reader.of('attached').length).toBe(1)
    }
  })

  test('[RES7] given a document that another region erased, when that comes, then its clients are told, and what comes late of that life is told to nobody', () => {
    const far = new Author(9)
    const entries = elsewhere((rig) => {
      const writer = rig.peer().attach(1, one)
      rig.settle()
      writer.push(1, 1, far.type('secret'))
      rig.settle()
      rig.hub.erase(rig.hub.open(one, rig.durable[0]?.group ?? raise()), 0)
      rig.settle()
    })
    const rig = new Rig()
    const reader = rig.peer().attach(1, one)
    rig.settle()
    bring(rig, entries)
    rig.settle()
    expect(reader.of('erased').length).toBe(1)
    reader.take()
    const late = rig.peer().attach(1, one)
    rig.settle()
    expect(textOf(payloadsOf(late.frames))).toBe('')
    expect(late.of('erased').length).toBe(1)
  })

  test('[RES7] given the stub of an entry that another region erased, when it comes before the erase, then this region ends that life by itself, and holds nothing that builds on the entry', () => {
    const [first, second] = typed(new Author(9), 'secret', ' more')
    if (first === undefined || second === undefined) return raise()
    for (const isOpen of [true, false]) {
      const rig = new Rig()
      const reader = isOpen ? rig.peer().attach(1, one) : undefined
      rig.settle()
      const answers: string[] = []
      const done: Done<Included> = (outcome) => answers.push(outcome.kind === 'done' ? outcome.value.kind : outcome.code)
      bring(rig, [stubOf(first)], done)
      rig.settle()
      bring(rig, [second], done)
      rig.settle()
      expect(answers).toEqual(['included', 'included'])
      expect(rig.durable.map(({ kind, life, epoch, replica }) => [kind, life, epoch, replica === rig.log.replica])).toEqual([
        ['erase', 1, 5, true],
        ['stub', 0, 0, false],
        ['stub', 0, 0, false],
      ])
      expect(rig.durable[0]).toMatchObject({ document: one, engine: 'yjs' })
      expect(reader?.of('erased').length).toBe(isOpen ? 1 : undefined)
    }
  })

  test('[RES7] given a stub that came before its erase and a log that fails, when it comes again, then the life ends once', () => {
    const [first] = typed(new Author(9), 'secret')
    if (first === undefined) return raise()
    for (const batch of ['lost', 'kept'] as const) {
      const rig = new Rig()
      const answers: string[] = []
      const done: Done<Included> = (outcome) => answers.push(outcome.kind === 'done' ? outcome.value.kind : outcome.code)
      rig.hold('append')
      bring(rig, [stubOf(first)], done)
      rig.settle()
      rig.log.failAppend('LOG_UNAVAILABLE', batch)
      rig.releaseAll().advance(2_000)
      expect(answers).toEqual(['LOG_UNAVAILABLE'])
      bring(rig, [stubOf(first)], done)
      rig.settle()
      expect(answers).toEqual(['LOG_UNAVAILABLE', 'included'])
      expect(rig.durable.map(({ kind }) => kind)).toEqual(['erase', 'stub'])
    }
  })

  test('[LOG3] given a commit of a link that failed and is durable all the same, when something else is, then those who have the document open get it', () => {
    const rig = new Rig()
    const reader = rig.peer().attach(1, one)
    const writer = rig.peer().attach(1, two)
    rig.settle()
    reader.take()
    rig.log.failAppend('LOG_UNAVAILABLE', 'kept')
    bring(rig, typed(new Author(9), 'kept'))
    rig.settle().advance(2_000)
    expect(payloadsOf(reader.frames)).toEqual([])
    writer.push(1, 1, new Author(1).type('other'))
    rig.settle().advance(2_000)
    expect(textOf(payloadsOf(reader.frames))).toBe('kept')
  })

  test('given a document that nobody has open, when links bring very many updates of it, then it is compacted', () => {
    const rig = new Rig({ compaction: { openEntries: 100, openBytes: 1_000_000, idleEntries: 3, ageMs: 1_000, restMs: 0 } })
    bring(rig, typed(new Author(9), 'a', 'b', 'c', 'd', 'e'))
    rig.settle()
    expect(rig.compactions).toEqual([])
    bring(rig, typed(new Author(9), 'a', 'b', 'c', 'd', 'e', 'f'))
    rig.settle()
    expect(rig.compactions).toEqual([one])
  })
})

function raise(): never {
  throw new Error('nothing was durable')
}
