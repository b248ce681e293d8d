/**
 * Random schedules of edits, losses, crashes, restarts, refusals and restores over the model of a region. What must hold, whatever the
 * schedule: nothing that was stored or saved is lost, nothing is there twice, `saved` is never early, all replicas end equal, and the
 * outbox ends empty. A failing run prints its seed and its shortest schedule.
 */

import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Handle } from '@meridian/client/handle'
import type { Fault } from './fake-region.js'
import { noFaults } from './fake-region.js'
import type { Device } from './world.js'
import { add, documentOf, listOf, World } from './world.js'

const documents = ['notes/1', 'notes/2', 'tasks/1'] as const
const deviceCount = 3

type Step =
  | { readonly do: 'edit'; readonly device: number; readonly document: number }
  | { readonly do: 'remove'; readonly device: number; readonly document: number }
  | { readonly do: 'save'; readonly device: number; readonly document: number }
  | {
      readonly do: 'up' | 'down' | 'cut' | 'crash' | 'hold' | 'release' | 'close' | 'store' | 'lose'
      readonly device: number
    }
  | { readonly do: 'fail' | 'restart' | 'turn' | 'slow' | 'answer' }
  | { readonly do: 'commit'; readonly document: number | undefined }
  | { readonly do: 'restore'; readonly part: number }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'refuse'; readonly document: number; readonly count: number }
  | { readonly do: 'deny'; readonly document: number; readonly count: number }

const device = fc.nat(deviceCount - 1)
const document = fc.nat(documents.length - 1)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('edit' as const), device, document }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('remove' as const), device, document }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('save' as const), device, document }) },
  { weight: 14, arbitrary: fc.record({ do: fc.constantFrom('up' as const, 'down' as const), device }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('commit' as const), document: fc.option(document, { nil: undefined }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('turn' as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(10, 300, 3_000) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('cut' as const, 'close' as const, 'store' as const), device }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('crash' as const, 'hold' as const, 'release' as const), device }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('fail' as const, 'restart' as const, 'slow' as const, 'answer' as const) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restore' as const), part: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const), device }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('refuse' as const), document, count: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('deny' as const), document, count: fc.integer({ min: 1, max: 2 }) }) },
)

const nothingWrong = {
  early: [] as string[],
  reported: [] as unknown[],
  offline: [] as string[],
  pending: [] as string[],
  different: [] as string[],
  doubled: [] as string[],
  lost: [] as string[],
  namesUsedTwice: [] as string[],
}

/** What a run knows of one edit. */
interface Edit {
  readonly text: string
  readonly document: number
  readonly device: number
  /** Restores of the region before it. */
  readonly epoch: number
  /** The process that made it is still there, or its disk has it, or a region saved it. */
  kept: boolean
  removed: boolean
}

class Run {
  readonly world: World
  readonly devices: Device[]
  readonly edits: Edit[] = []
  readonly unstored = new Map<Device, Set<Edit>>()
  readonly #handles = new Map<string, Handle>()
  readonly #early: string[] = []
  #count = 0
  #restores = 0
  #losses = 0
  #refusals = new Map<number, number>()
  #denials = new Map<number, number>()

  constructor(seed: number, replicated: boolean) {
    this.world = new World(seed)
    this.world.region.placements.set('tasks', 'elsewhere')
    this.world.region.unackedBytesMax = 200
    const taken = (counts: Map<number, number>, name: string, fault: Fault): Fault | undefined => {
      const index = documents.findIndex((one) => documentOf(one) === name)
      const left = counts.get(index) ?? 0
      if (left > 0) counts.set(index, left - 1)
      return left > 0 ? fault : undefined
    }
    this.world.region.faults = {
      ...noFaults,
      replicated,
      push: (name) => taken(this.#refusals, name, { code: seed % 2 === 0 ? 'LOG_FULL' : 'DOCUMENT_DAMAGED', retryAfterMs: 100 }),
      attach: (name) => taken(this.#denials, name, { code: 'LOG_UNAVAILABLE', retryAfterMs: 100 }),
    }
    this.devices = Array.from({ length: deviceCount }, (_, index) => this.world.device(`device ${index}`, { compactCount: 6 }))
  }

  handle(device: number, document: number): Handle {
    const key = `${device} ${document}`
    let handle = this.#handles.get(key)
    if (handle === undefined) {
      handle = this.#device(device).open(documents[document] ?? documents[0])
      this.#handles.set(key, handle)
    }
    return handle
  }

  async do(one: Step): Promise<void> {
    const { world } = this
    switch (one.do) {
      case 'edit': {
        const edit: Edit = {
          text: `e${this.#count++}`,
          document: one.document,
          device: one.device,
          epoch: this.#restores,
          kept: true,
          removed: false,
        }
        this.edits.push(edit)
        this.#unstored(this.#device(one.device)).add(edit)
        return add(this.handle(one.device, one.document), edit.text)
      }
      case 'remove': {
        const list = this.handle(one.device, one.document).ydoc.getArray<string>('list')
        const [first] = list.toArray()
        if (first === undefined) return
        for (const edit of this.edits) if (edit.text === first) edit.removed = true
        return list.delete(0, 1)
      }
      case 'save':
        return this.#save(one.device, one.document)
      case 'up':
      case 'down':
        this.#device(one.device).wire?.step(one.do)
        return
      case 'cut':
        return this.#device(one.device).cut()
      case 'crash':
        return this.#crash(one.device)
      case 'hold':
        this.#device(one.device).store.held = true
        return
      case 'release':
        this.#device(one.device).store.release()
        return world.turn()
      case 'close':
        return this.#closeSome(one.device)
      case 'store':
        return this.#store(one.device)
      case 'commit':
        return world.region.commit(
          one.document === undefined ? undefined : world.region.groupOf(documentOf(documents[one.document] ?? '')),
        )
      case 'fail':
        return world.region.fail({ code: 'LOG_UNAVAILABLE', retryAfterMs: 100 })
      case 'slow':
        world.region.slow = true
        return
      case 'answer':
        return world.region.answer()
      case 'restart':
        return world.region.restart()
      case 'lose':
        return this.#lose(one.device)
      case 'restore':
        // What a region and a device have lost, nobody has.
        if (this.#losses > 0) return
        this.#restores++
        return world.region.restore(Math.floor((world.region.entries.length * (one.part + 1)) / 4))
      case 'turn':
        return world.turn()
      case 'pass':
        world.nowMs += one.ms
        for (const device of this.devices) device.runTimers(world.nowMs)
        return world.turn()
      case 'refuse':
        this.#refusals.set(one.document, one.count)
        return
      case 'deny':
        this.#denials.set(one.document, one.count)
        return
    }
  }

  /** Everything works again: what is wrong in the end, by kind. */
  async finish(): Promise<typeof nothingWrong> {
    const { world } = this
    this.#refusals.clear()
    this.#denials.clear()
    world.region.slow = false
    world.region.answer()
    for (const device of this.devices) device.store.release()
    for (let index = 0; index < deviceCount; index++) for (let each = 0; each < documents.length; each++) this.handle(index, each)
    await world.pass(120_000)
    for (const device of this.devices) device.store.release()
    await world.pass(120_000)
    const offline = this.devices
      .filter((device) => device.client.status.connection.kind !== 'online')
      .map((device) => device.name)
    const pending = this.devices.filter((device) => device.client.pending > 0).map((device) => device.name)
    const different: string[] = []
    const doubled: string[] = []
    const lost: string[] = []
    for (const [each, name] of documents.entries()) {
      const region = world.region.doc(documentOf(name)).getArray<string>('list').toArray()
      for (let index = 0; index < deviceCount; index++) {
        if (listOf(this.handle(index, each)).join() !== region.join()) different.push(`${name} on device ${index}`)
      }
      doubled.push(...region.filter((text, index) => region.indexOf(text) !== index))
      const expected = this.edits.filter((edit) => edit.document === each && edit.kept && !edit.removed)
      lost.push(...expected.map((edit) => edit.text).filter((text) => !region.includes(text)))
    }
    const names = world.region.entries.map((entry) => `${entry.group} ${entry.device} ${entry.counter}`)
    const namesUsedTwice = names.filter((name, index) => names.indexOf(name) !== index)
    return { early: this.#early, reported: world.reported, offline, pending, different, doubled, lost, namesUsedTwice }
  }

  #device(index: number): Device {
    const device = this.devices[index]
    if (device === undefined) throw new Error('no such device')
    return device
  }

  #unstored(device: Device): Set<Edit> {
    let set = this.unstored.get(device)
    if (set === undefined) {
      set = new Set()
      this.unstored.set(device, set)
    }
    return set
  }

  #save(device: number, document: number): void {
    const handle = this.handle(device, document)
    // What a restored region had acked before comes back by rescue, which the end judges.
    const epoch = this.#restores
    const mine = this.edits.filter((edit) => edit.device === device && edit.document === document && edit.epoch === epoch)
    handle.saved().then(
      () => {
        if (epoch !== this.#restores) return
        const durable = this.world.region
          .doc(documentOf(documents[document] ?? ''))
          .getArray('list')
          .toArray()
        // What a crash took from this device was not promised; whether it may be gone is judged at the end, too.
        for (const edit of mine) if (edit.kept && !edit.removed && !durable.includes(edit.text)) this.#early.push(edit.text)
      },
      () => undefined,
    )
  }

  async #store(device: number): Promise<void> {
    const one = this.#device(device)
    const edits = [...this.#unstored(one)]
    const handles = [...this.#handles].filter(([key]) => key.startsWith(`${device} `)).map(([, handle]) => handle)
    Promise.all(handles.map((handle) => handle.stored())).then(
      () => {
        for (const edit of edits) this.#unstored(one).delete(edit)
      },
      () => undefined,
    )
    await this.world.turn()
  }

  #crash(index: number): void {
    const device = this.#device(index)
    // What neither the disk nor the region has may be gone; what the region has not lost is judged at the end.
    for (const edit of this.#unstored(device)) edit.kept = false
    this.unstored.delete(device)
    for (const key of [...this.#handles.keys()]) if (key.startsWith(`${index} `)) this.#handles.delete(key)
    device.restart()
  }

  async #lose(index: number): Promise<void> {
    if (this.#restores > 0) return
    this.#losses++
    // A process that has just begun has read nothing yet, and can write nothing anew.
    await this.world.turn()
    const device = this.#device(index)
    // It lives in memory until somebody asks again whether it is stored.
    for (const edit of this.edits) if (edit.device === index) this.#unstored(device).add(edit)
    device.lose()
  }

  #closeSome(index: number): void {
    for (const [key, handle] of [...this.#handles]) {
      if (!key.startsWith(`${index} `)) continue
      this.#handles.delete(key)
      void handle.close()
      return
    }
  }
}

describe('the client under any schedule', () => {
  const runs = Number(process.env['MERIDIAN_CLIENT_RUNS'] ?? 150)
  const seed = process.env['MERIDIAN_CLIENT_SEED']

  it('[SES2] [SES5] [CLI2] [CLI3] loses nothing, doubles nothing, and is never early', { timeout: 1_000_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 10, maxLength: 120 }),
        fc.nat(1_000_000),
        fc.boolean(),
        async (steps, worldSeed, replicated) => {
          const run = new Run(worldSeed, replicated)
          for (const one of steps) await run.do(one)
          expect(await run.finish()).toEqual(nothingWrong)
        },
      ),
      {
        numRuns: runs,
        ...(seed === undefined ? {} : { seed: Number(seed) }),
        endOnFailure: process.env['MERIDIAN_CLIENT_SHRINK'] === undefined,
      },
    )
  })
})
