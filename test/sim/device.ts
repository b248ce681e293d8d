/**
 * A device in a simulated region: the real `Client` over a disk that is slow, fills up and outlives the process. A killed process does
 * nothing more; what its disk had not performed is lost, and what it had is there, answered or not.
 */

import { Client } from '@meridian/client/client'
import type { Handle } from '@meridian/client/handle'
import type { MemoryDisk } from '@meridian/client/io/store-memory'
import { MemoryStore } from '@meridian/client/io/store-memory'
import type { ClientOptions } from '@meridian/client/options'
import type { ClientStore, StoreKey, StoreOperation, StoreRecord } from '@meridian/client/store'
import { network } from '@meridian/client/network'
import type { ClientWorld } from '@meridian/client/world'
import type { ErrorCode } from '@meridian/core/errors'
import { MeridianError } from '@meridian/core/errors'
import type { Link, Network } from './network.js'
import type { SeededRandom } from './random.js'
import { epochMs } from './scheduler.js'
import type { Scheduler } from './scheduler.js'

export interface DeviceWorld {
  readonly scheduler: Scheduler
  readonly network: Network
  /** Told whenever something of a device runs: promises may hang on it. */
  touched?(): void
  token(device: number): string | Promise<string>
}

/** Milliseconds of one write of a device's disk; one now and then takes much longer. */
const writeMs = { most: 15, hiccup: 1_500 }

class DeviceStore implements ClientStore {
  readonly lingerMs: number
  readonly #disk: MemoryStore
  readonly #device: Device
  readonly #isAlive: () => boolean

  constructor(device: Device, disk: MemoryDisk, isAlive: () => boolean) {
    this.#device = device
    this.#disk = new MemoryStore(disk)
    this.#isAlive = isAlive
    this.lingerMs = device.random.pick([0, 0, 100])
  }

  async read(prefix: StoreKey): Promise<readonly StoreRecord[]> {
    await this.#wait()
    if (this.#device.storeFault === 'STORE_FAILED') {
      this.#device.hasFailedRead = true
      throw new MeridianError('STORE_FAILED')
    }
    return this.#disk.read(prefix)
  }

  async write(batch: readonly StoreOperation[]): Promise<void> {
    // What is handed over belongs to the store from now on; the records are copied when they are written.
    await this.#wait()
    if (this.#device.storeFault !== undefined) throw new MeridianError(this.#device.storeFault)
    await this.#disk.write(batch)
    // Durable, and not answered yet.
    await this.#wait()
  }

  async close(): Promise<void> {
    await this.#disk.close()
  }

  /** Never ends for a process that was killed meanwhile. */
  #wait(): Promise<void> {
    const { random, world } = this.#device
    const ms = random.chance(0.03) ? random.between(0, writeMs.hiccup) : random.between(0, writeMs.most)
    return new Promise((resolve) => {
      world.scheduler.after(ms, () => {
        this.#device.enter(() => {
          if (this.#isAlive()) resolve()
        })
      })
    })
  }
}

export class Device {
  readonly number: number
  readonly world: DeviceWorld
  readonly random: SeededRandom
  readonly disk: MemoryDisk
  readonly errors: MeridianError[] = []
  readonly reported: unknown[] = []
  /** False: dialling fails. */
  reachable = true
  storeFault: ErrorCode | undefined
  /** Its process could not read the device once, and shows later what is there. */
  hasFailedRead = false
  /** The nodes that its next process is configured with, the nearest first. */
  url: string | readonly string[] = 'http://region.test'
  /** Milliseconds by which its wall clock is wrong. */
  skewMs = 0
  client: Client
  link: Link | undefined
  /** What would keep the process of the newest opening alive. */
  readonly timers = new Set<object>()
  /** Openings so far. */
  openings = 0
  #alive = { yes: true }
  /** What waits while the device sleeps. */
  #asleep: (() => void)[] | undefined
  readonly #options: Partial<ClientOptions>

  constructor(world: DeviceWorld, number: number, random: SeededRandom, disk: MemoryDisk, options: Partial<ClientOptions> = {}) {
    if (options.url !== undefined) this.url = options.url
    this.world = world
    this.number = number
    this.random = random
    this.disk = disk
    this.#options = options
    this.client = this.#start()
  }

  open(name: string): Handle {
    return this.client.open(name)
  }

  /** `kill -9`, and a new process on the same disk. The system of the device closes its socket. */
  restart(): void {
    this.#alive.yes = false
    this.timers.clear()
    this.link?.close()
    this.link = undefined
    this.client = this.#start()
  }

  get isAsleep(): boolean {
    return this.#asleep !== undefined
  }

  /** The lid is closed: nothing of it runs, and nobody hears of that. */
  sleep(): void {
    this.#asleep ??= []
  }

  /** What was due meanwhile happens at once, in its order. */
  wake(): void {
    const waiting = this.#asleep ?? []
    this.#asleep = undefined
    for (const run of waiting) run()
  }

  /** Now, or when the device is awake. */
  enter(run: () => void): void {
    if (this.#asleep !== undefined) this.#asleep.push(run)
    else {
      this.world.touched?.()
      run()
    }
  }

  #start(): Client {
    this.openings++
    this.hasFailedRead = false
    const alive = { yes: true }
    this.#alive = alive
    this.#asleep = undefined
    const { scheduler } = this.world
    const guard = (run: () => void) => (): void =>
      this.enter(() => {
        if (alive.yes) run()
      })
    const world: ClientWorld = {
      clock: { now: () => scheduler.nowMs + this.skewMs },
      random: this.random.fork(),
      monotonicMs: () => scheduler.nowMs - epochMs,
      defer: (run) =>
        void Promise.resolve().then(() => {
          if (alive.yes) run()
        }),
      after: (ms, run) => {
        const timer = {}
        this.timers.add(timer)
        // Whole milliseconds, as timers have: simulated time is too large a number for fractions.
        scheduler.after(
          Math.ceil(ms),
          guard(() => {
            if (this.timers.delete(timer)) run()
          }),
        )
        return () => this.timers.delete(timer)
      },
      dial: (url, events) => {
        const link = this.world.network.dial(
          { url, device: this.number },
          {
            opened: guard(() => events.opened()),
            message: (bytes) => guard(() => events.message(bytes))(),
            lost: guard(() => events.lost()),
          },
          () => this.reachable,
        )
        this.link = link
        return link
      },
      get: () => Promise.reject(new Error('nobody is asked here')),
      report: (thrown) => this.reported.push(thrown),
    }
    return new Client(world, network, {
      tenant: 'acme',
      token: () => this.world.token(this.number),
      storage: new DeviceStore(this, this.disk, () => alive.yes),
      onError: (error) => {
        if (alive.yes) this.errors.push(error)
      },
      ...this.#options,
      url: this.url,
    })
  }
}
