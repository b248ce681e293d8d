/** What is shown in a document by sessions of this node and of other regions (SES6). */

import { parseDocument, parseRegion } from '@meridian/core/ids'
import { type FarPresence, farPresencesMax, PresenceBoard, type PresenceLinks } from '@meridian/core/presence-board'
import { expect, it } from 'vitest'
import type { Attachment } from '@meridian/core/attachment'
import { LiveDocument } from '@meridian/core/live-document'
import { LiveGroup } from '@meridian/core/live-group'
import { toPosition } from '@meridian/core/ids'
import { Presence } from '@meridian/core/presence'
import { groupOf } from '../sim/node.js'

const name = parseDocument('acme/notes/1')
const east = parseRegion('us-east')
const south = parseRegion('ap-south')
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text))
const textOf = (payload: Uint8Array): string => Buffer.from(payload).toString()

const far = (session: number, text: string, isHandedOver = false): FarPresence => ({
  ...{ session, subject: `user ${session}`, isHandedOver },
  payload: bytes(text),
})

function rig() {
  const said: string[] = []
  const links: PresenceLinks = {
    watchPresence: (_group, _document, isWatched) => said.push(isWatched ? 'watch' : 'unwatch'),
    showPresence: (_group, _document, { session, payload, isHandedOver }) =>
      said.push(`${session} ${textOf(payload)}${isHandedOver ? ' handed over' : ''}`),
  }
  const document = new LiveDocument(name, new LiveGroup(groupOf(name), 1), { handle: 7, since: toPosition(0) })
  const board = new PresenceBoard(links, (asked) => (asked === name ? document : undefined))
  const heard: string[] = []
  const attach = (): Attachment => {
    const attachment = {
      document,
      state: 'live',
      presence: undefined,
      subscriber: {
        deliver: (presence: Presence) => {
          heard.push(`${presence.session} ${textOf(presence.before)} > ${textOf(presence.payload)}`)
          return 'taken'
        },
        flush: () => undefined,
      },
    } as unknown as Attachment
    document.subscriptions.push(attachment)
    return attachment
  }
  return { board, document, said, heard, attach }
}

it('[SES6] given a state of another region, when it changes and ends, then everybody here hears what it was and is', () => {
  const { board, heard, attach } = rig()
  const ann = attach()
  board.hear(east, name, far(5, 'a'))
  board.hear(east, name, far(5, 'b'))
  expect([...board.others(ann)].map(({ payload, subject }) => `${subject} ${textOf(payload)}`)).toEqual(['user 5 b'])
  board.hear(east, name, far(5, ''))
  expect(heard).toEqual(['5  > a', '5 a > b', '5 b > '])
  expect([...board.others(ann)]).toEqual([])
})

it('[SES6] given regions, when one is lost, then what its sessions showed is gone, and the rest stays', () => {
  const { board, heard, attach } = rig()
  const ann = attach()
  board.hear(east, name, far(5, 'a'))
  board.hear(south, name, far(6, 'b'))
  heard.length = 0
  board.suspect(east)
  expect(heard).toEqual([])
  board.lost(east)
  expect(heard).toEqual(['5 a > '])
  expect([...board.others(ann)].map(({ session }) => session)).toEqual([6])
})

it('[SES6] given a region whose link comes back soon, then what its sessions show again stays, and the rest is gone', () => {
  const { board, heard, attach } = rig()
  const ann = attach()
  for (const session of [5, 6]) board.hear(east, name, far(session, 'a'))
  board.suspect(east)
  board.hear(east, name, far(6, 'a'))
  heard.length = 0
  board.lost(east)
  expect(heard).toEqual(['5 a > '])
  expect([...board.others(ann)].map(({ session }) => session)).toEqual([6])
})

it('[SES6] given a session that hands over, then other regions are told, and nobody there is told that it is gone', () => {
  const { board, said, heard, attach } = rig()
  const ann = attach()
  board.announce(ann, new Presence({ handle: 7, session: 1, subject: 'ann', payload: bytes('x'), before: bytes('') }))
  board.handedOver(ann, new Presence({ handle: 7, session: 1, subject: 'ann', payload: bytes(''), before: bytes('') }))
  expect(said).toEqual(['1 x', '1  handed over'])
  board.hear(east, name, far(5, 'a'))
  heard.length = 0
  board.hear(east, name, far(5, '', true))
  expect(heard).toEqual([])
  expect([...board.others(ann)]).toEqual([])
})

it('[SES3] given n and n + 1 states of one document, then n are held', () => {
  const { board, document, attach } = rig()
  attach()
  for (let session = 0; session < farPresencesMax + 1; session++) board.hear(east, name, far(session, 'x'))
  expect(document.farPresences.size).toBe(farPresencesMax)
})

it('[SES6] given a document that nobody has open, then nothing is held of it', () => {
  const { board, document, said } = rig()
  board.hear(east, name, far(5, 'a'))
  expect(document.farPresences.size).toBe(0)
  board.opened(document)
  board.closed(document)
  expect(said).toEqual(['watch', 'unwatch'])
})
