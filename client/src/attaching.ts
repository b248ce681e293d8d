/** Documents go onto the running connection and off it: attached at once when they are loaded and wanted, detached, erased. */

import { MeridianError } from '@meridian/core/errors'
import { emptyVersion, isEmpty, mutableVersion } from '@meridian/core/version'
import { encodeClientFrame } from '@meridian/core/wires/native/client-frames'
import type { Attached } from '@meridian/core/wires/native/server-frames'
import { acked } from './acks.js'
import { release } from './arrivals.js'
import type { Batch, ClientDocument } from './document.js'
import { askForKept } from './durable.js'
import { refuseAll, requeue } from './edits.js'
import type { SyncState } from './sync-state.js'
import { onLine } from './sync-state.js'

/** Attaches at once what is loaded, wanted, and not attached. */
export function attachLoaded(sync: SyncState, candidates: Iterable<ClientDocument>): void {
  const { phase } = sync.connection
  if (phase !== 'online' && phase !== 'greeting') return
  const batch: Batch = { pending: new Set(), held: [] }
  for (const document of candidates) {
    if (document.line !== sync.number || document.link.kind !== 'detached' || !(document.open || document.isBusy)) continue
    const channel = sync.session.nextChannel()
    const token = sync.journal.tokenOf(document.group)
    document.link = { kind: 'attaching', channel }
    document.seenGroup = token === undefined ? undefined : document.group
    document.batch = batch
    batch.pending.add(document)
    sync.session.byChannel.set(channel, document)
    sync.changed.add(document)
    const { engine, life, cursor } = document
    const seen = token ?? emptyVersion
    sync.out.push(encodeClientFrame({ type: 'attach', channel, engine, document: document.name, life, cursor, seen }))
    if (document.presence.length > 0) showPresence(sync, document)
  }
}

/** By us. */
export function detach(sync: SyncState, document: ClientDocument): void {
  const { channel } = document
  if (channel === undefined) return
  detachNow(sync, document, () => {
    sync.out.push(encodeClientFrame({ type: 'detach', channel }))
  })
}

export function showPresence(sync: SyncState, { channel, presence }: ClientDocument): void {
  if (channel !== undefined) sync.out.push(encodeClientFrame({ type: 'presence', channel, payload: presence }))
}

export function attached(sync: SyncState, frame: Attached): void {
  const document = sync.session.byChannel.get(frame.channel)
  const group = sync.session.groups.get(frame.group)
  if (document === undefined || document.link.kind !== 'attaching') return
  if (group === undefined)
    throw new MeridianError('FRAME_INVALID', { message: 'A document is attached in a group that was not named.' })
  document.link = { kind: 'receiving', channel: frame.channel, handle: frame.handle, group, access: frame.access }
  document.life = frame.life
  document.group = group.id
  document.attempt = 0
  document.hops = 0
  if (frame.behind) document.rescue = { received: [], version: mutableVersion() }
  sync.session.byHandle.set(frame.handle, document)
  sync.session.channelGroups.set(frame.channel, group)
  sync.changed.add(document)
  const token = sync.journal.tokenOf(group.id)
  // The attach could not know whose token to show.
  if (document.seenGroup !== group.id && token !== undefined && !isEmpty(token)) {
    sync.out.push(encodeClientFrame({ type: 'seen', channel: frame.channel, seen: token }))
  }
  if (frame.access === 'read') refuseAll(sync, document, 'WRITE_DENIED')
  else
    for (const item of document.items.values())
      if (item.state === 'refused' && item.code === 'WRITE_DENIED') requeue(sync, document, item)
  if (group.acked !== undefined) acked(sync, group.acked)
  askForKept(sync, document.name)
  release(sync, document)
}

/** By the node. */
export function detachChannel(sync: SyncState, channel: number, then: (document: ClientDocument) => void): void {
  const document = sync.session.byChannel.get(channel)
  if (document !== undefined) detachNow(sync, document, then)
}

/** Off the connection; the rest of its batch goes on without it. */
export function detachNow(sync: SyncState, document: ClientDocument, then: (document: ClientDocument) => void): void {
  const { batch, channel, attachment } = document
  if (channel !== undefined) sync.session.byChannel.delete(channel)
  if (attachment !== undefined) sync.session.byHandle.delete(attachment.handle)
  sync.outbox.withdraw(document.name)
  document.rescue = undefined
  if (document.needs === 'rescue') document.needs = 'nothing'
  document.link = { kind: 'detached' }
  document.batch = undefined
  if (batch !== undefined) {
    batch.pending.delete(document)
    batch.held = batch.held.filter((arrival) => arrival.document !== document)
    const [other] = [...sync.documents.values()].filter((one) => one.batch === batch)
    if (other !== undefined) release(sync, other)
  }
  then(document)
  sync.changed.add(document)
}

/** The connection is gone. */
export function left(sync: SyncState): void {
  sync.session.clear()
  sync.out.clear()
  sync.waiters.clear()
  sync.outbox.disconnected()
  for (const document of onLine(sync)) {
    document.batch = undefined
    document.rescue = undefined
    if (document.needs === 'rescue') document.needs = 'nothing'
    document.blockedUntilMs = undefined
    document.blockedBy = undefined
    if (document.channel !== undefined || document.link.kind === 'waiting') document.link = { kind: 'detached' }
    sync.changed.add(document)
  }
}

export function lacksRights(sync: SyncState): boolean {
  for (const document of onLine(sync)) {
    if (document.link.kind === 'refused' || document.attachment?.access === 'read') return true
  }
  return false
}

export function tryRefusedAgain(sync: SyncState): void {
  for (const document of onLine(sync)) {
    if (document.link.kind === 'refused' || document.link.kind === 'waiting' || document.link.kind === 'redirected') {
      document.link = { kind: 'detached' }
      sync.changed.add(document)
    }
  }
  attachLoaded(sync, onLine(sync))
}
