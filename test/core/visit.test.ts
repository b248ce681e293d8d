/** Visits, and the lives that they begin and end, over the simulated node. */

import { yjsEngine } from '@meridian/core/engines/yjs'
import { sessionLimits } from '@meridian/core/limits'
import type { DocumentName } from '@meridian/core/ids'
import { emptyVersion } from '@meridian/core/version'
import { Visit, type Visited, type VisitTask } from '@meridian/core/visit'
import { describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { groupOf } from '../sim/node.js'
import { device, notes } from '../sim/peer.js'
import { Rig } from '../sim/rig.js'

const document = notes('1')

function text(value: string, client: number): Uint8Array {
  const doc = new Y.Doc()
  doc.clientID = client
  doc.getText('t').insert(0, value)
  return Y.encodeStateAsUpdate(doc)
}

/** The second letter of a text whose first never comes. */
const premature = Y.diffUpdate(text('ab', 99), new Uint8Array([1, 99, 1]))

const push = (payload: Uint8Array, rest: Partial<Extract<VisitTask, { kind: 'push' }>> = {}): VisitTask => ({
  kind: 'push',
  mode: 'open',
  engine: 'yjs',
  payload,
  name: undefined,
  seen: emptyVersion,
  ...rest,
})
const create = (payload: Uint8Array): VisitTask => push(payload, { mode: 'create' })
const erase: VisitTask = { kind: 'erase', epoch: 0 }

/** Begins visits; their answers as they come. */
function visits(
  rig: Rig,
  name: DocumentName,
  ...tasks: VisitTask[]
): { readonly answers: (Visited | undefined)[]; readonly all: Visit[] } {
  const answers: (Visited | undefined)[] = tasks.map(() => undefined)
  const all = tasks.map(
    (task, index) =>
      new Visit(rig.hub, {
        document: name,
        group: groupOf(name),
        limits: sessionLimits,
        task,
        done: (visited) => {
          expect(answers[index], 'answered once').toBeUndefined()
          answers[index] = visited
        },
      }),
  )
  return { answers, all }
}

const kinds = (answers: readonly (Visited | undefined)[]): (string | undefined)[] =>
  answers.map((answer) => (answer?.kind === 'refused' ? answer.code : answer?.kind))

const shown = (rig: Rig, name = document): string => {
  const held = rig.store.documents.get(name)
  const updates = rig.entriesOf(name).filter((entry) => entry.kind === 'update' && entry.life === held?.life)
  return updates.length === 0
    ? ''
    : yjsEngine.read(
        updates.map((entry) => entry.payload),
        { kind: 'text' },
      )
}

describe('a visit', () => {
  it('pushes one update, which is durable and fanned out when it is answered, and leaves nothing behind', () => {
    const rig = new Rig()
    const peer = rig.peer()
    peer.attach(1, document)
    rig.settle()
    rig.hold('append')
    const { answers } = visits(rig, document, push(text('hello', 5)))
    rig.settle()
    expect(answers).toEqual([undefined])
    rig.releaseAll()
    expect(answers[0]).toMatchObject({ kind: 'saved', life: 1, dot: { sequence: 1 } })
    expect(peer.frames.filter((frame) => frame.type === 'update')).toHaveLength(1)
    peer.socket.cut()
    rig.settle()
    expect(rig.hub.documentCount).toBe(0)
  })

  it('[SES2] without a name it is not remembered, with one a resend is stored once', () => {
    const rig = new Rig()
    const name = { device: device(9), counter: 4 }
    visits(rig, document, push(text('a', 1)))
    rig.settle()
    expect(rig.store.pushes.size).toBe(0)
    for (let sent = 0; sent < 2; sent++) {
      const { answers } = visits(rig, document, push(text('b', 2), { name }))
      rig.settle()
      expect(kinds(answers)).toEqual(['saved'])
    }
    expect([rig.store.pushes.size, rig.entriesOf(document).length]).toEqual([1, 2])
  })

  it.each([
    ['an update that is none', push(new Uint8Array([9])), 'UPDATE_INVALID'],
    ['one that builds on what is not there', push(premature), 'PREMATURE'],
    ['a document that was never written', erase, 'absent'],
  ])('given %s, then it is answered so, once, and nothing is kept', (_name, task, kind) => {
    const rig = new Rig()
    const { answers, all } = visits(rig, document, task)
    rig.settle()
    for (let second = 0; second < 4; second++) {
      rig.advance(1_000)
      for (const visit of all) visit.tick()
    }
    expect(kinds(answers)).toEqual([kind])
    expect([rig.entriesOf(document).length, rig.hub.documentCount]).toEqual([0, 0])
  })

  it('given one that is cancelled while it waits, then it is not answered, and nothing is kept', () => {
    const rig = new Rig().hold('openDocument')
    const { answers, all } = visits(rig, document, push(text('a', 1)))
    all[0]?.cancel()
    rig.releaseAll()
    expect([answers, rig.hub.documentCount]).toEqual([[undefined], 0])
  })
})

describe('lives', () => {
  it('[RES7] given seeds of several at once, then one is stored, and the others are told when it is durable', () => {
    const rig = new Rig().hold('append')
    const { answers } = visits(rig, document, create(text('one', 1)), create(text('two, longer', 1)), create(text('three', 7)))
    rig.settle()
    expect(answers).toEqual([undefined, undefined, undefined])
    rig.releaseAll()
    expect(kinds(answers)).toEqual(['saved', 'found', 'found'])
    expect(shown(rig)).toBe('one')
  })

  it('[RES7] given an end, then pushes are refused, and the first of several seeds begins the next life, without the one before', () => {
    const rig = new Rig()
    visits(rig, document, push(text('before', 1)))
    rig.settle()
    const peer = rig.peer()
    peer.attach(1, document)
    rig.settle()
    const ended = visits(rig, document, erase)
    rig.settle()
    expect(kinds(ended.answers)).toEqual(['saved'])
    expect(peer.frames.at(-1)).toMatchObject({ type: 'erased', life: 1 })
    const late = visits(rig, document, push(text('late', 3)))
    rig.settle()
    expect(kinds(late.answers)).toEqual(['ERASED'])
    rig.hold('append')
    const seeds = visits(rig, document, create(text('after', 1)), create(text('after, longer', 1)))
    rig.settle()
    const between = visits(rig, document, push(text('between', 4)))
    rig.releaseAll()
    expect(kinds(seeds.answers)).toEqual(['saved', 'found'])
    expect(kinds(between.answers)).toEqual(['ERASED'])
    expect([shown(rig), rig.store.documents.get(document)]).toMatchObject(['after', { life: 2, ended: false }])
    const newcomer = rig.peer()
    newcomer.attach(1, document)
    rig.settle()
    expect(newcomer.frames.find((frame) => frame.type === 'attached')).toMatchObject({ life: 2 })
    const updates = newcomer.frames.flatMap((frame) => (frame.type === 'update' ? [frame.payload] : []))
    expect(yjsEngine.read(updates, { kind: 'text' })).toBe('after')
  })

  it('[RES7] given a document that stays open through its end and its next life, then who comes gets nothing of the one before from memory', () => {
    const rig = new Rig()
    const newcomer = rig.peer()
    // A push that builds on what never comes keeps the document open until its end, the second seed keeps it open from there on.
    const waits = visits(rig, document, push(premature), push(text('before', 1)))
    rig.settle()
    visits(rig, document, erase)
    const options = { document, group: groupOf(document), limits: sessionLimits, task: create(text('after', 2)) }
    const answers: Visited[] = []
    const first = new Visit(rig.hub, {
      ...options,
      done: (visited) => {
        answers.push(visited)
        newcomer.attach(1, document)
      },
    })
    const second = new Visit(rig.hub, { ...options, done: (visited) => answers.push(visited) })
    rig.settle()
    for (const visit of [first, second]) visit.tick()
    expect([kinds(waits.answers), kinds(answers)]).toEqual([
      ['ERASED', 'saved'],
      ['saved', 'found'],
    ])
    const updates = newcomer.frames.flatMap((frame) => (frame.type === 'update' ? [frame.payload] : []))
    expect(yjsEngine.read(updates, { kind: 'text' })).toBe('after')
  })

  it.each(['lost', 'kept'] as const)(
    '[RES7] given a seed whose commit fails and is %s, then nobody is told that it is there, and the next seed is right',
    (batch) => {
      const rig = new Rig()
      visits(rig, document, push(text('before', 1)))
      rig.settle()
      visits(rig, document, erase)
      rig.settle()
      rig.log.failAppend('LOG_UNAVAILABLE', batch)
      const failed = visits(rig, document, create(text('first', 1)), create(text('second', 1)))
      rig.settle()
      expect(kinds(failed.answers)).toEqual(['LOG_UNAVAILABLE', 'LOG_UNAVAILABLE'])
      const next = visits(rig, document, create(text('third', 1)))
      rig.settle()
      expect(kinds(next.answers)).toEqual([batch === 'lost' ? 'saved' : 'found'])
      expect([shown(rig), rig.store.documents.get(document)?.life]).toEqual([batch === 'lost' ? 'third' : 'first', 2])
    },
  )

  it('[RES7] given an erase behind a seed of the next life, both on their way, then that life ends', () => {
    const rig = new Rig()
    visits(rig, document, push(text('before', 1)))
    rig.settle()
    visits(rig, document, erase)
    rig.settle()
    rig.hold('append')
    const { answers } = visits(rig, document, create(text('after', 1)), erase)
    rig.releaseAll()
    expect(kinds(answers)).toEqual(['saved', 'saved'])
    expect(rig.store.documents.get(document)).toMatchObject({ life: 2, ended: true })
    const again = visits(rig, document, create(text('third', 1)))
    rig.settle()
    expect(kinds(again.answers)).toEqual(['saved'])
    expect([shown(rig), rig.store.documents.get(document)?.life]).toEqual(['third', 3])
  })
})
