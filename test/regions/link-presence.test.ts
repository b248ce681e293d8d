/** Presence on one link (SES6): two ends over a channel that is a list, each with a placement of its own. */

import { parseDocument, parseGroup, parseRegion } from '@meridian/core/ids'
import type { FarPresence } from '@meridian/core/presence-board'
import type { PresenceFrame, Watch } from '@meridian/core/wires/link/frames'
import { LinkPresence } from '@meridian/regions/link/link-presence'
import { expect, it } from 'vitest'

const group = parseGroup('acme/default')
const note = parseDocument('acme/notes/1')
const west = parseRegion('eu-west')
const east = parseRegion('us-east')

const state = (session: number, text: string): FarPresence => ({
  session,
  subject: `user ${session}`,
  payload: Uint8Array.from(Buffer.from(text)),
  isHandedOver: false,
})

class End {
  readonly machine: LinkPresence
  readonly heard: string[] = []
  readonly sent: (Watch | PresenceFrame)[] = []
  readonly lost: string[] = []
  shown: FarPresence[] = []
  watched = [note]
  isShared = true
  hasRoom = true
  may = true

  constructor(here: typeof west, peer: typeof west) {
    const document = (text: FarPresence): string => `${text.session} ${Buffer.from(text.payload).toString()}`
    this.machine = new LinkPresence({
      here,
      peer,
      isShared: () => this.isShared,
      hasRoom: () => this.hasRoom,
      send: (frame) => this.sent.push(frame),
      effects: {
        may: () => ({ kind: this.may ? 'yes' : 'no', rule: 'a rule' }),
        presence: {
          shown: () => this.shown,
          hear: (region, _document, heard) => this.heard.push(`${region} ${document(heard)}`),
          suspect: (region) => this.lost.push(region),
          watched: () => this.watched,
        },
      },
    })
  }
}

class Pair {
  readonly west = new End(west, east)
  readonly east = new End(east, west)

  pass(): void {
    while (this.west.sent.length + this.east.sent.length > 0) {
      for (const frame of this.west.sent.splice(0)) this.east.machine.receive(frame)
      for (const frame of this.east.sent.splice(0)) this.west.machine.receive(frame)
    }
  }

  share(): void {
    for (const end of [this.west, this.east]) end.machine.shared(group)
    this.pass()
  }
}

it('[SES6] given a document that is open in both regions, when somebody shows something, then the other one hears it, and what was shown before', () => {
  const pair = new Pair()
  pair.west.shown = [state(1, 'here already')]
  pair.share()
  pair.east.machine.show(group, note, state(2, 'new'))
  pair.pass()
  expect(pair.east.heard).toEqual(['eu-west 1 here already'])
  expect(pair.west.heard).toEqual(['us-east 2 new'])
})

it('[SES6] given a document that nobody has open there, then nothing of it is said', () => {
  const pair = new Pair()
  pair.east.watched = []
  pair.share()
  pair.west.machine.show(group, note, state(1, 'alone'))
  expect(pair.west.sent).toEqual([])
  pair.east.machine.watch(group, note, true)
  pair.pass()
  pair.west.machine.show(group, note, state(1, 'together'))
  pair.pass()
  pair.east.machine.watch(group, note, false)
  pair.pass()
  pair.west.machine.show(group, note, state(1, 'alone again'))
  expect(pair.west.sent).toEqual([])
  expect(pair.east.heard).toEqual(['eu-west 1 together'])
})

it.each(['west', 'east'] as const)(
  '[RES1] [LINK8] given a placement that says no in the %s only, then nothing crosses',
  (where) => {
    const pair = new Pair()
    pair.west.shown = [state(1, 'canary')]
    pair.share()
    pair.east.heard.length = 0
    pair[where].may = false
    pair.west.machine.show(group, note, state(1, 'canary'))
    pair.pass()
    expect(pair.east.heard).toEqual([])
  },
)

it('[RES6] given a group that is not shared on the link yet, then its documents are not named, and are when it is', () => {
  const pair = new Pair()
  for (const end of [pair.west, pair.east]) end.isShared = false
  pair.west.machine.watch(group, note, true)
  expect(pair.west.sent).toEqual([])
  // The other one shares it a moment later.
  pair.east.shown = [state(2, 'early')]
  pair.west.isShared = true
  pair.west.machine.shared(group)
  pair.pass()
  expect(pair.west.heard).toEqual([])
  pair.east.isShared = true
  pair.east.machine.shared(group)
  pair.pass()
  expect(pair.west.heard).toEqual(['us-east 2 early'])
})

it('[SES3] given a socket that is full, then the newest state of each session waits, and of so many sessions only', () => {
  const pair = new Pair()
  pair.share()
  pair.west.hasRoom = false
  for (const text of ['one', 'two', 'three']) pair.west.machine.show(group, note, state(1, text))
  for (let session = 2; session < 6_000; session++) pair.west.machine.show(group, note, state(session, 'many'))
  expect(pair.west.sent).toEqual([])
  pair.west.hasRoom = true
  pair.west.machine.flush()
  expect(pair.west.sent.length).toBe(4_096)
  pair.west.sent.length = 0
  pair.west.hasRoom = false
  for (const text of ['one', 'two', 'three']) pair.west.machine.show(group, note, state(1, text))
  pair.west.hasRoom = true
  pair.west.machine.flush()
  pair.east.heard.length = 0
  pair.pass()
  expect(pair.east.heard).toEqual(['eu-west 1 three'])
})

it('[SES6] given a link that ends, then what was heard on it is in doubt', () => {
  const pair = new Pair()
  pair.share()
  pair.west.machine.close()
  expect(pair.west.lost).toEqual(['us-east'])
})
