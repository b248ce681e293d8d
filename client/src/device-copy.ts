/** What this device holds of documents, read for whoever opens one, for the outbox, for a region that lacks something, for other tabs. */

import type { DocumentName } from '@meridian/core/ids'
import { toMeridianError } from '@meridian/core/errors'
import type { ClientState } from './client-state.js'
import type { StoredDocument } from './records.js'
import * as records from './records.js'
import type { Live } from './live.js'
import type { Slot } from './slot.js'
import { apply, judgeReady, judgeWaiters, ready } from './slot.js'
import type { StoreOperation } from './store.js'
import { stateOf } from './updates.js'

export const putMeta: StoreOperation = { kind: 'put', key: records.metaKey, value: records.encodeMeta() }

/** Milliseconds between tries to read a local copy that the region needs. */
const storeRetryMs = 5_000
/** Reads of one document in a row, at most, while other tabs write to it. */
const readsMax = 3

/** @throws MeridianError STORE_FAILED */
export async function readStored({ writer }: ClientState, document: DocumentName): Promise<StoredDocument> {
  for (let time = 1; ; time++) {
    // The log first: what stands there and has no mark is saved. The other way round an edit that another tab wrote in between would be taken for that.
    const found = await writer.read(records.documentPrefix(document))
    const marks = await writer.read(records.outboxDocumentPrefix(document))
    const stored = records.readDocument(found, marks)
    const held = new Set(stored.log.map(({ name }) => records.recordText(name)))
    if (time === readsMax || stored.marks.every(({ name }) => held.has(records.recordText(name)))) return stored
    // Another tab has written in between: its mark is here, and the edit is not.
  }
}

/**
 * Everything that is to be known of the device whether or not somebody opens its documents, and what stands there by now of those that are open. What
 * cannot be read is read later, so that its edits are pushed then.
 */
export async function readDevice(client: ClientState): Promise<void> {
  const { writer, slots, sync } = client
  try {
    const [meta] = await writer.read(records.metaKey)
    if (meta === undefined || records.checkMeta(meta.value)) writer.write([putMeta])
    await readTokens(client)
    await readPlaces(client)
    for (const slot of [...slots.values()]) if (slot.live?.isLoaded === true) await readAgain(client, slot.name)
    await readOutbox(client)
    for (const name of sync.documents.keys()) client.tabs?.found(name)
  } catch (thrown) {
    if (client.isClosed) return
    client.storeFailed(thrown)
    // A newer client has written it.
    if (toMeridianError(thrown).retry !== 'never') readLater(client, () => void readDevice(client))
  }
}

/** @throws MeridianError STORE_FAILED */
async function readTokens({ writer, sync }: ClientState): Promise<void> {
  sync.tokensFound(records.readTokens(await writer.read(records.tokenPrefix)))
}

/** @throws MeridianError STORE_FAILED */
async function readPlaces({ writer, sync }: ClientState): Promise<void> {
  const [found] = await writer.read(records.regionsKey)
  if (found !== undefined) sync.placesFound(records.decodeRegions(found.value))
}

/** Into the live copy of a document that somebody opened. */
export async function loadSlot(client: ClientState, slot: Slot, live: Live): Promise<void> {
  const { sync, tabs } = client
  // What stands in the outbox from earlier openings gets its place in the order first.
  await client.opened
  await tabs?.opened(slot.name, live.engine)
  const { anewCount } = sync
  // Edits of other tabs that were heard of before somebody opened it here may not be on the device yet, and be forgotten when it has been read.
  const known = sync.payloads(slot.name)
  let stored = records.noDocument
  try {
    stored = await readStored(client, slot.name)
  } catch (thrown) {
    if (slot.live !== live || client.isClosed) return
    client.storeFailed(thrown)
    // The live copy is without it, and no snapshot of that may stand for what is there.
    sync.notRead(slot.name)
    readLater(client, () => void showAgain(client, slot.name))
  }
  if (slot.live !== live || client.isClosed) return
  live.apply([...records.updatesOf(stored), ...known, ...slot.early])
  slot.early = []
  live.isLoaded = true
  if (sync.isFound(slot.name, stored)) ready(slot, 'device')
  sync.loaded(slot.name, stored, anewCount)
  if (anewCount !== sync.anewCount) tabs?.writtenAnew()
  for (const message of slot.edits.splice(0)) tabs?.heard(message)
  // Read before the leader wrote what became of them, and loaded after it had said so.
  tabs?.found(slot.name)
  judgeReady(slot, sync)
  const { age } = sync
  for (const waiter of slot.waiters) waiter.age ??= age
  judgeWaiters(slot, sync)
  for (const handle of slot.handles) handle.changed()
}

/** Edits of earlier openings are pushed, whether or not somebody opens their documents. @throws MeridianError STORE_FAILED */
async function readOutbox(client: ClientState): Promise<void> {
  const { writer, sync, slots } = client
  const marks = await writer.read(records.outboxPrefix)
  for (const { document, record } of records.inOrder(marks)) sync.outboxFound(document, record)
  for (const document of records.markedDocuments(marks)) {
    if (client.isClosed) return
    if (slots.has(document) || sync.isKnown(document)) continue
    sync.open(document, 'push only')
    const { anewCount } = sync
    const stored = await readStored(client, document)
    sync.loaded(document, stored, anewCount)
  }
}

/** For another tab, or to be pushed. False: the device could not be read. */
export async function loadUnseen(client: ClientState, document: DocumentName): Promise<boolean> {
  const { sync } = client
  const { anewCount } = sync
  let stored: StoredDocument | undefined
  try {
    stored = await readStored(client, document)
  } catch (thrown) {
    if (client.isClosed) return false
    client.storeFailed(thrown)
    readLater(client, () => void showAgain(client, document))
  }
  sync.loaded(document, stored ?? records.noDocument, anewCount)
  return stored !== undefined
}

/** @throws MeridianError STORE_FAILED */
async function readAgain(client: ClientState, document: DocumentName): Promise<void> {
  const { sync, slots } = client
  const { anewCount } = sync
  const stored = await readStored(client, document)
  apply(slots.get(document), records.updatesOf(stored))
  sync.loaded(document, stored, anewCount)
}

/** What was not on the device yet, or could not be read, when the document was loaded. */
export async function showAgain(client: ClientState, document: DocumentName): Promise<void> {
  try {
    await readAgain(client, document)
    client.tabs?.found(document)
  } catch (thrown) {
    if (client.isClosed) return
    client.storeFailed(thrown)
    readLater(client, () => void showAgain(client, document))
  }
}

/** Everything that this device holds of a document, for a region that lacks some of it; read again until it can be. */
export function readState(client: ClientState, document: DocumentName): void {
  client.world.defer(() => {
    const live = client.slots.get(document)?.live
    if (live?.isLoaded === true) client.sync.stateRead(document, live.shown())
    else void readStoredState(client, document)
  })
}

async function readStoredState(client: ClientState, document: DocumentName): Promise<void> {
  try {
    client.sync.stateRead(document, stateOf(records.updatesOf(await readStored(client, document))))
  } catch (thrown) {
    // A store that was closed meanwhile has nothing more to read, and its process may end.
    if (client.isClosed) return
    client.storeFailed(thrown)
    readLater(client, () => readState(client, document))
  }
}

/** The device could not be read: again in a while. */
export function readLater({ world, retries }: ClientState, read: () => void): void {
  const cancel = world.after(storeRetryMs, () => {
    retries.delete(cancel)
    read()
  })
  retries.add(cancel)
}
