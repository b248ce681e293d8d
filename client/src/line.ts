/**
 * One connection of a client with what goes over it: which region it leads to, what that has named, and edits on their way there. A client
 * has one, and another one for documents that may not be where the others are (`redirects.ts`).
 */

import { toMeridianError } from '@meridian/core/errors'
import type { DeviceId, DocumentName, GroupId, RegionId } from '@meridian/core/ids'
import { encodeClientFrame } from '@meridian/core/wires/native/client-frames'
import type { FrameReader } from '@meridian/core/wires/native/frame'
import { protocolVersion } from '@meridian/core/wires/native/frame'
import { attachLoaded, left } from './attaching.js'
import { Connection, connectionTimes } from './connection.js'
import type { ClientDocument } from './document.js'
import { newReader } from './frames.js'
import type { Journal } from './journal.js'
import { Locator } from './locate.js'
import { Outbox } from './outbox.js'
import { Outgoing } from './outgoing.js'
import type { Place } from './places.js'
import { Session } from './session.js'
import type { ConnectionStatus } from './status.js'
import type { Shared, SyncEffects, SyncOptions, SyncState } from './sync-state.js'

export interface LineOptions {
  /** 0: the first one. */
  readonly number: number
  /** Counters of pushes are of one line, and so are their names (PUSH1). */
  readonly device: DeviceId
  /** Where it may lead to. */
  readonly places: () => readonly Place[]
  entered(region: RegionId): void
}

export class Line implements SyncState {
  readonly number: number
  readonly connection: Connection
  readonly locator: Locator
  readonly session = new Session()
  readonly outbox = new Outbox()
  readonly out = new Outgoing()
  readonly waiters = new Set<ClientDocument>()
  progressMs = 0
  heardMs = 0
  askedMs = 0
  readonly effects: SyncEffects
  readonly options: SyncOptions
  readonly documents: Map<DocumentName, ClientDocument>
  readonly journal: Journal
  readonly ages: Map<string, number>
  readonly regionCounts: Map<GroupId, number>
  readonly changed: Set<ClientDocument>
  readonly #shared: Shared
  #reader: FrameReader

  constructor(shared: Shared, options: LineOptions) {
    const { effects } = shared
    const { number } = options
    this.number = number
    this.#shared = shared
    this.effects = effects
    this.options = shared.options
    this.documents = shared.documents
    this.journal = shared.journal
    this.ages = shared.ages
    this.regionCounts = shared.regionCounts
    this.changed = shared.changed
    this.#reader = newReader(this)
    this.locator = new Locator(shared.options.places, options.places, {
      monotonicMs: () => effects.monotonicMs(),
      random: effects.random,
      ask: (place, timeoutMs) => effects.ask(number, place, timeoutMs),
      isMetered: () => effects.isMetered(),
      move: () => this.connection.receive({ type: 'move' }),
    })
    this.connection = new Connection(
      {
        clock: effects.clock,
        monotonicMs: () => effects.monotonicMs(),
        random: effects.random,
        requestToken: () => effects.requestToken(number),
        dial: (socket) => {
          this.locator.dialled()
          effects.dial(number, socket, this.locator.current.url)
        },
        hangUp: () => effects.hangUp(number),
        send: (frame) => this.out.push(frame),
        greet: (token) => this.#greet(token, options.device),
        entered: (welcome) => {
          this.session.welcome = welcome
          this.heardMs = effects.monotonicMs()
          this.locator.entered(welcome.region)
          options.entered(welcome.region)
        },
        left: () => left(this),
        lost: () => this.locator.lost(),
        destination: () => (this.locator.isElsewhere ? this.locator.current.region : undefined),
      },
      { times: shared.options.times ?? connectionTimes, tokens: shared.options.tokens },
    )
  }

  get leads(): boolean {
    return this.#shared.leads
  }

  get mirrored(): ConnectionStatus | undefined {
    return this.#shared.mirrored
  }

  get told(): ConnectionStatus {
    return this.#shared.told
  }

  get anewCount(): number {
    return this.#shared.anewCount
  }

  get lines(): readonly SyncState[] {
    return this.#shared.lines
  }

  openLine(places: () => readonly Place[]): SyncState {
    return this.#shared.openLine(places)
  }

  message(socket: number, message: Uint8Array): void {
    if (socket !== this.connection.socket) return
    this.connection.heard()
    this.heardMs = this.effects.monotonicMs()
    try {
      this.#reader.receive(message)
    } catch (thrown) {
      this.connection.receive({ type: 'lost', socket, code: toMeridianError(thrown).code })
    }
  }

  #greet(token: string, device: DeviceId): void {
    this.out.clear()
    if (this.locator.isElsewhere) this.outbox.rename()
    this.#reader = newReader(this)
    this.out.push(encodeClientFrame({ type: 'hello', protocol: protocolVersion, device, token }))
    attachLoaded(this, [...this.documents.values()])
  }
}
