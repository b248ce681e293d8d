/**
 * One random schedule of a whole region, by its seed: who edits what and what fails when, then a world that heals, and what is wrong in
 * the end. Each seed draws which faults it has at all (swarm testing: Groce et al., "Swarm testing", 2012), so that rare ones are
 * not always drowned by common ones.
 *
 * The simulator of several regions is to be built over this (`Region`, `Network`, `Device` stand on their own); this is one region only.
 */

import type { DocumentStatus } from '@meridian/client/status'
import { hubLimits, sessionLimits } from '@meridian/core/limits'
import * as Y from 'yjs'
import type { Device } from './device.js'
import type { Edit, Watched } from './ledger.js'
import { allNames, documentNames, doomed, Ledger, listOf, nameOf } from './ledger.js'
import { SeededRandom } from './random.js'
import { Region } from './region.js'
import { foldedBy } from './rig.js'

/** What may happen, and how often against the others where it does. */
const faultWeights = {
  cut: 4,
  die: 2,
  unreachable: 2,
  slow: 4,
  killDevice: 3,
  fullDevice: 1,
  closeHandle: 3,
  crash: 2,
  drain: 1,
  failCommit: 3,
  failReads: 1,
  restore: 1,
  erase: 1,
  tokensDown: 1,
} as const
export type Fault = keyof typeof faultWeights
const faults = Object.keys(faultWeights) as Fault[]

export interface ScheduleReport {
  readonly seed: number
  /** Empty if all is well. */
  readonly wrong: readonly string[]
  readonly faults: Readonly<Partial<Record<Fault, number>>>
  readonly edits: number
  readonly saved: number
  readonly restarts: number
  readonly steps: number
}

/** Small bounds, so that a short run meets them. */
const tightLimits = {
  bufferedBytesMax: 2_048,
  readBytes: 1_024,
  unackedBytesMax: 4_096,
  waitingPushesMax: 16,
  // No less than a greeting may have.
  messageBytesMax: 64 * 1024,
  readsMax: 1,
}
const tightHub = { batchEntriesMax: 4, batchBytesMax: 4_096, pendingBytesMax: 8_192, tailBytesMax: 2_048 }
/** Milliseconds: so that dead sockets are found within a run. */
const times = { silenceMs: 8_000, greetingMs: 4_000, waitMs: 2_000 }
/** Simulated milliseconds of trouble, and at most so many until all is well again. */
const troubleMs = { least: 5_000, most: 60_000 }
const healMs = 400_000

export class Schedule {
  readonly seed: number
  readonly #random: SeededRandom
  readonly region: Region
  readonly ledger = new Ledger()
  readonly #watched = new Map<string, Watched>()
  readonly #faults: readonly Fault[]
  readonly #counts: Partial<Record<Fault, number>> = {}
  readonly #limits = { ...sessionLimits, ...times }
  readonly #hubLimits = { ...hubLimits }
  readonly #isTight: boolean
  #saved = 0
  #steps = 0

  constructor(seed: number) {
    this.seed = seed
    const random = new SeededRandom(seed)
    this.#random = random
    this.#isTight = random.chance(0.6)
    if (this.#isTight) Object.assign(this.#limits, tightLimits)
    if (this.#isTight) Object.assign(this.#hubLimits, tightHub)
    const often = random.pick([0.2, 0.5, 0.9])
    this.#faults = faults.filter(() => random.chance(often))
    this.region = new Region({
      random: random.fork(),
      deviceCount: random.between(2, 4),
      limits: this.#limits,
      hubLimits: this.#hubLimits,
      compaction: {
        openEntries: random.pick([6, 30, 20_000]),
        openBytes: random.pick([2_000, 1024 * 1024]),
        idleEntries: random.pick([4, 500]),
        restMs: 0,
        ageMs: 600_000,
      },
      compactCount: random.pick([6, 500]),
      tokenMs: random.pick([45_000, 3_600_000]),
      onTrim: () => {
        this.ledger.trimmed = true
      },
      onDurable: (entries, drafts) => {
        this.ledger.durable(entries)
        for (const { group, push } of drafts) if (push !== undefined) this.ledger.pushed(group, push.device, push.counter)
      },
    })
  }

  async run(): Promise<ScheduleReport> {
    try {
      const until = this.region.scheduler.nowMs + this.#random.between(troubleMs.least, troubleMs.most)
      for (const device of this.region.devices) this.#openAll(device)
      this.#plan(until, [2, 400], () => this.#edit())
      if (this.#faults.length > 0) this.#plan(until, [50, 4_000], () => this.#strike())
      await this.#pass(until)
      await this.#heal()
      if (this.ledger.wrong.length === 0) this.#judge()
      if (this.ledger.wrong.length === 0) await this.#leave()
    } catch (thrown) {
      this.ledger.fail(thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown))
    }
    return {
      seed: this.seed,
      wrong: this.ledger.wrong,
      faults: this.#counts,
      edits: this.ledger.edits.size,
      saved: this.#saved,
      restarts: this.region.restarts,
      steps: this.#steps,
    }
  }

  // Time.

  /** Happens again and again, after so many milliseconds each. */
  #plan(until: number, [least, most]: readonly [number, number], run: () => void): void {
    const { scheduler } = this.region
    const again = (): void => {
      if (scheduler.nowMs >= until) return
      run()
      scheduler.after(this.#random.between(least, most), again)
    }
    scheduler.after(this.#random.between(least, most), again)
  }

  /** One thing after the other, each with all the promises that hang on it. */
  async #pass(until: number): Promise<void> {
    const { scheduler } = this.region
    while (this.ledger.wrong.length === 0 && scheduler.step(until)) {
      this.#steps++
      if (this.#steps > 400_000) throw new Error('the world does not come to rest')
      await new Promise((resolve) => setImmediate(resolve))
      this.#look()
    }
    scheduler.advance(Math.max(0, until - scheduler.nowMs))
  }

  /** What the last turn changed on screens. */
  #look(): void {
    const touched = new Set<number>()
    for (const watched of this.#watched.values()) {
      if (!watched.changed) continue
      watched.changed = false
      touched.add(watched.device)
      this.ledger.shows(watched)
    }
    for (const device of touched) {
      const mine = [...this.#watched.values()].filter((one) => one.device === device)
      for (const one of mine) this.ledger.ordered(one, mine)
    }
  }

  // What people do.

  #openAll(device: Device): void {
    for (let document = 0; document < allNames.length; document++) this.#open(device, document)
  }

  #open(device: Device, document: number): Watched {
    const key = `${device.number} ${document}`
    const held = this.#watched.get(key)
    if (held !== undefined) return held
    const handle = device.open(allNames[document] ?? '')
    const watched: Watched = { handle, device: device.number, document, shown: new Set(), changed: true }
    this.#watched.set(key, watched)
    handle.ydoc.on('update', () => {
      watched.changed = true
    })
    handle.subscribe(() => {
      watched.changed = true
    })
    const { client } = device
    handle.ready.then(
      () => {
        if (device.client !== client || this.#watched.get(key) !== watched) return
        const list = listOf(handle.ydoc)
        for (const edit of this.ledger.edits.values()) {
          if (edit.device !== device.number || edit.document !== document || !edit.stored || edit.removed) continue
          if (document === doomed && this.ledger.erased) continue
          if (!list.includes(edit.text))
            this.ledger.fail(`[CLI1] ${edit.text} was stored on device ${device.number} and is not there at its next opening`)
        }
      },
      () => undefined,
    )
    return watched
  }

  #edit(): void {
    const device = this.#random.pick(this.region.devices)
    const document = this.#random.below(allNames.length)
    const watched = this.#open(device, document)
    const { ydoc } = watched.handle
    if (watched.handle.status.kind === 'erased') return
    const list = ydoc.getArray<string>('list')
    if (list.length > 0 && this.#random.chance(0.12)) {
      const index = this.#random.below(list.length)
      const edit = this.ledger.edits.get(list.get(index))
      if (edit !== undefined) edit.removed = true
      list.delete(index, 1)
      return
    }
    const size = this.#random.chance(0.05) ? this.#random.between(500, this.#random.chance(0.05) ? 150_000 : 9_000) : 0
    const edit: Edit = {
      text: `e${this.ledger.edits.size}${size > 0 ? '.'.repeat(size) : ''}`,
      document,
      device: device.number,
      era: this.ledger.era,
      causes: this.#causes(device, document),
      stored: false,
      savedIn: undefined,
      free: false,
      removed: false,
    }
    this.ledger.edits.set(edit.text, edit)
    list.insert(this.#random.below(list.length + 1), [edit.text])
    this.#ask(device, watched, edit)
  }

  #ask(device: Device, watched: Watched, edit: Edit): void {
    const { client } = device
    // The edit is in the outbox when this turn is over.
    const { era } = this.ledger
    watched.handle.stored().then(
      () => {
        if (device.client === client) edit.stored = true
      },
      () => undefined,
    )
    if (this.#random.chance(0.5)) return
    watched.handle.saved().then(
      () => {
        // A region that was restored meanwhile may have said it before.
        if (device.client !== client || era !== this.ledger.era) return
        this.#saved++
        this.ledger.saved(edit)
      },
      () => undefined,
    )
  }

  #causes(device: Device, document: number): Edit['causes'] {
    const causes: [number, string][] = []
    for (let other = 0; other < documentNames.length; other++) {
      const watched = this.#watched.get(`${device.number} ${other}`)
      if (watched === undefined || other === document) continue
      // What the region has. An own edit that waits for its document may be passed by edits of others (outbox.ts).
      const durable = new Set(listOf(this.ledger.doc(nameOf(other))))
      const text = [...watched.shown].findLast((shown) => durable.has(shown))
      if (text !== undefined) causes.push([other, text])
    }
    return causes
  }

  // What fails.

  #strike(): void {
    const region = this.region
    const random = this.#random
    const fault = this.#pickFault()
    const device = random.pick(region.devices)
    const later = (ms: number, run: () => void): void => region.scheduler.after(random.between(1, ms), run)
    this.#counts[fault] = (this.#counts[fault] ?? 0) + 1
    switch (fault) {
      case 'cut':
        return device.link?.cut()
      case 'die':
        return device.link?.die()
      case 'unreachable':
        device.reachable = false
        device.link?.cut()
        return later(10_000, () => {
          device.reachable = true
        })
      case 'slow': {
        const { link } = device
        link?.slow()
        for (let time = 0; time < 5; time++) later(3_000, () => link?.drain(random.between(1, 4_000)))
        return later(6_000, () => link?.hurry())
      }
      case 'killDevice':
        this.#forget(device)
        this.ledger.killed(device.number)
        device.restart()
        return random.chance(0.7) ? this.#openAll(device) : undefined
      case 'fullDevice':
        device.storeFault = random.pick(['STORE_FULL', 'STORE_FAILED'])
        return later(4_000, () => {
          device.storeFault = undefined
        })
      case 'closeHandle': {
        const watched = this.#watched.get(`${device.number} ${random.below(allNames.length)}`)
        if (watched === undefined) return
        this.#watched.delete(`${watched.device} ${watched.document}`)
        return void watched.handle.close()
      }
      case 'crash':
        region.crash()
        return later(3_000, () => region.start())
      case 'drain':
        region.drain()
        return later(3_000, () => region.start())
      case 'failCommit':
        return region.log.failAppend(random.pick(['LOG_FULL', 'LOG_UNAVAILABLE']), random.pick(['lost', 'kept']))
      case 'failReads': {
        const { log } = region
        const operation = random.pick([
          'openDocument',
          'openGroup',
          'readDocument',
          'readGroup',
          'readSnapshot',
          'lastPush',
        ] as const)
        log.failReads((asked) => (asked === operation ? 'LOG_UNAVAILABLE' : undefined))
        return later(1_500, () => log.failReads(undefined))
      }
      case 'restore':
        return this.#restore()
      case 'erase':
        return region.erase(nameOf(doomed))
      case 'tokensDown':
        region.tokensDown = true
        return later(8_000, () => {
          region.tokensDown = false
        })
    }
  }

  #pickFault(): Fault {
    const total = this.#faults.reduce((sum, fault) => sum + faultWeights[fault], 0)
    let left = this.#random.below(total)
    for (const fault of this.#faults) {
      left -= faultWeights[fault]
      if (left < 0) return fault
    }
    return this.#random.pick(this.#faults)
  }

  #restore(): void {
    const region = this.region
    if (region.backups.length === 0 || this.#random.chance(0.5)) {
      region.backups.push(region.store.copy())
      return
    }
    const copy = this.#random.pick(region.backups).copy()
    region.crash()
    this.ledger.restored(copy)
    region.start(copy)
  }

  /** Nothing of a process that ends is looked at any more. */
  #forget(device: Device): void {
    for (const [key, watched] of this.#watched) if (watched.device === device.number) this.#watched.delete(key)
  }

  // The end.

  async #heal(): Promise<void> {
    const region = this.region
    region.tokensDown = false
    region.log.failReads(undefined)
    for (const device of region.devices) {
      device.reachable = true
      device.storeFault = undefined
    }
    region.start()
    region.network.heal()
    for (const device of region.devices) this.#openAll(device)
    const { scheduler } = region
    const until = scheduler.nowMs + healMs
    // Someone who waits does nothing but wait: no reconnect(), no new token by hand.
    while (scheduler.nowMs < until && this.ledger.wrong.length === 0) {
      await this.#pass(scheduler.nowMs + 2_000)
      if (this.#isCalm()) break
    }
    await this.#pass(scheduler.nowMs + 2_000)
  }

  #isCalm(): boolean {
    if (this.region.devices.some((device) => device.client.pending > 0)) return false
    return [...this.#watched.values()].every((one) => isAtRest(one.handle.status) && this.#isEqual(one))
  }

  #isEqual({ handle, document }: Watched): boolean {
    if (handle.status.kind === 'erased') return true
    return listOf(handle.ydoc).join() === listOf(this.ledger.doc(nameOf(document))).join()
  }

  #judge(): void {
    const ledger = this.ledger
    for (const watched of this.#watched.values()) {
      const { device, document, handle } = watched
      const where = `${allNames[document]} of device ${device}`
      const { status } = handle
      if (!isAtRest(status)) ledger.fail(`${where} is still ${JSON.stringify(status)}`)
      if (!this.#isEqual(watched)) ledger.fail(`${where} differs from the log`)
    }
    for (const device of this.region.devices) {
      if (device.client.pending > 0) ledger.fail(`device ${device.number} has ${device.client.pending} edits pending`)
      for (const thrown of device.reported) ledger.fail(`device ${device.number} threw ${String(thrown)}`)
      const own = device.errors.find((error) => error.code === 'INTERNAL')
      if (own !== undefined) ledger.fail(`device ${device.number}: ${own.stack ?? own.message}`)
    }
    for (const [document] of allNames.entries()) {
      const name = nameOf(document)
      const list = listOf(ledger.doc(name))
      if (document === doomed && ledger.erased) continue
      if (new Set(list).size !== list.length) ledger.fail(`${allNames[document]} has something twice`)
      for (const edit of ledger.edits.values()) {
        if (edit.document === document && ledger.isPromised(edit) && !list.includes(edit.text))
          ledger.fail(`[SES2] ${edit.text.slice(0, 10)} of device ${edit.device} is lost from ${allNames[document]}`)
      }
      this.#judgeStore(document, list)
    }
    for (const socket of this.region.node?.sessions ?? []) {
      // The mark, and what goes in one message when it is reached.
      const most = this.#limits.bufferedBytesMax + this.#limits.messageBytesMax
      if (socket.bufferedBytesPeak > most) ledger.fail(`[SES4] a socket held ${socket.bufferedBytesPeak} bytes`)
    }
  }

  /** What a reader of the store gets, by snapshot and entries, is what the entries said when they were written. */
  #judgeStore(document: number, list: readonly string[]): void {
    const name = nameOf(document)
    const held = this.region.store.documents.get(name)
    if (held === undefined || held.ended) return
    const doc = new Y.Doc({ guid: 'judge' })
    doc.clientID = 0
    Y.applyUpdate(doc, foldedBy(this.region.store, name).snapshot.state.bytes)
    if (listOf(doc).join() !== list.join())
      this.ledger.fail(`[LOG4] snapshot and entries of ${allNames[document]} say something else`)
  }

  /** Everybody closes, some of them with work left: nothing is left behind, on the node or in their processes. */
  async #leave(): Promise<void> {
    const { scheduler, devices, node } = this.region
    for (const device of devices) {
      if (this.#random.chance(0.3)) device.restart()
      await this.#pass(scheduler.nowMs + this.#random.between(0, 100))
      void device.client.close()
    }
    this.#watched.clear()
    await this.#pass(scheduler.nowMs + times.silenceMs * 3)
    if (node === undefined) return this.ledger.fail('the node is down in the end')
    const { hub } = node
    const left = {
      timers: devices.reduce((sum, device) => sum + device.timers.size, 0),
      sessions: node.sessions.size,
      counted: hub.sessionCount,
      documents: hub.documentCount,
      pending: hub.pendingBytes,
    }
    for (const [what, count] of Object.entries(left))
      if (count > 0) this.ledger.fail(`[SES3] ${count} ${what} are left after everybody has gone`)
  }
}

const isAtRest = (status: DocumentStatus): boolean =>
  status.kind === 'erased' || (status.kind === 'current' && status.pending === 0)

export const runSchedule = (seed: number): Promise<ScheduleReport> => new Schedule(seed).run()
