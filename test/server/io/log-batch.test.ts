/** How drafts go to the writer's thread: what is put in comes out, also where names are left to be those of the record before. */

import type { Draft } from '@meridian/core/entry'
import { zeroTime } from '@meridian/core/hybrid-time'
import type { DeviceId, DocumentName, GroupId } from '@meridian/core/ids'
import { expect, test } from 'vitest'
import { decodeBatch, encodeBatch } from '@meridian/server/io/log-sqlite/batch'

const device = 'ab'.repeat(16) as DeviceId

function draft(group: string, document: string | undefined, text: string): Draft {
  return {
    group: group as GroupId,
    document: document as DocumentName | undefined,
    engine: document === undefined ? undefined : 'yjs',
    life: document === undefined ? 0 : 1,
    kind: document === undefined ? 'control' : 'update',
    epoch: 0,
    time: zeroTime,
    payload: Buffer.from(text),
    push: { device, counter: text.length },
  }
}

test('[LOG3] given drafts with the names of the one before and with others, when a batch is read, then each has its own, and the record it would have alone', () => {
  const drafts = [
    draft('acme#default', 'acme/notes/ä', 'one'),
    draft('acme#default', 'acme/notes/ä', 'two'),
    draft('acme#default', 'acme/notes/äb', 'three'),
    draft('acme#default', undefined, 'four'),
    draft('acme#default', undefined, ''),
    draft('other#default', undefined, 'six'),
    draft('other#default', 'acme/notes/ä', 'seven'),
    draft('other#default', 'acme/notes/ä', 'eight, and longer than those before'),
  ]
  const read: unknown[] = []
  decodeBatch(encodeBatch(drafts), ({ group, document, payload, record, device: pushed, counter }) => {
    read.push([group, document, payload.toString(), record.toString('hex'), pushed?.toString('hex'), counter])
  })
  const alone: string[] = []
  for (const one of drafts) decodeBatch(encodeBatch([one]), ({ record }) => alone.push(record.toString('hex')))
  expect(read).toEqual(
    drafts.map(({ group, document, payload }, index) => [
      group,
      document ?? '',
      Buffer.from(payload).toString(),
      alone[index],
      device,
      payload.length,
    ]),
  )
})
