/**
 * One connection of a client with what goes over it: which region it leads to, what that has named, and edits on their way there. A client
 * has one, and another one for documents that may not be where the others are (`redirects.ts`).
 */

import { toMeridianError } from '@meridian/core/errors'
import type { DeviceId, DocumentName, GroupId } from '@meridian/core/ids'
import { encodeClientFrame } from '@meridian/core/wires/native/client-frames'
import type { FrameReader } from '@meridian/core/wires/native/frame'
import { protocolVersion } from '@meridian/core/wires/native/frame'
import { attachLoaded, detach, lacksRights, left, showPresence, tryRefusedAgain } from './attaching.js'
import { Connection, connectionTimes } from './connection.js'
import type { ClientDocument } from './document.js'
import { outcomeIn } from './durable.js'
import { earliest } from './earliest.js'
import { newReader } from './frames.js'
import type { Journal } from './journal.js'
import { Locator } from './locate.js'
import { Outbox } from './outbox.js'
import type { Outcome, Wanted } from './wanted.js'
import { Outgoing } from './outgoing.js'
import type { Place, Places } from './places.js'
import { listen, pump, watch } from './pushes.js'
import { gather, go } from './redirects.js'
import { replacePremature, rescue } from './rescue.js'
import { Session } from './session.js'
import type { ConnectionStatus } from './status.js'
import type { Carrier, LineEvent, LineOptions, Shared, SyncEffects, SyncOptions, SyncState } from './sync-state.js'
import { retry } from './waits.js'

export class Line implements SyncState {
  readonly number: number
  readonly places: Places
  readonly carrier: Carrier
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
    const { number, places, carrier } = options
    this.number = number
    this.places = places
    this.carrier = carrier
    this.#shared = shared
    this.effects = effects
    this.options = shared.options
    this.documents = shared.documents
    this.journal = shared.journal
    this.ages = shared.ages
    this.regionCounts = shared.regionCounts
    this.changed = shared.changed
    this.#reader = newReader(this)
    this.locator = new Locator(places, options.allowed, {
      monotonicMs: () => effects.monotonicMs(),
      random: effects.random,
      ask: (place, timeoutMs) => carrier.ask(number, place, timeoutMs),
      isMetered: () => carrier.isMetered(),
      move: () => this.connection.receive({ type: 'move' }),
    })
    this.connection = new Connection(
      {
        clock: effects.clock,
        monotonicMs: () => effects.monotonicMs(),
        random: effects.random,
        requestToken: () => carrier.requestToken(number),
        dial: (socket) => {
          this.locator.dialled()
          carrier.dial(number, socket, this.locator.current.url)
        },
        hangUp: () => carrier.hangUp(number),
        send: (frame) => this.out.push(frame),
        greet: (token) => this.#greet(token, options.device),
        entered: (welcome) => {
          this.session.welcome = welcome
          this.heardMs = effects.monotonicMs()
          this.locator.entered(welcome.region)
          if (number > 0) return
          places.served(this.locator.current)
          gather(this, welcome.region)
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

  get early(): ConnectionStatus {
    return this.#shared.early
  }

  get lines(): readonly SyncState[] {
    return this.#shared.lines
  }

  openLine(allowed: () => readonly Place[]): SyncState | undefined {
    return this.#shared.openLine(allowed)
  }

  receive(event: LineEvent): void {
    if (event.type === 'close' || event.type === 'stop') this.locator.left()
    if (event.type === 'time') this.locator.time()
    // A node does not say when it has judged a new token, so whoever needs more than the old one allowed connects anew.
    if (event.type === 'token' && this.connection.phase === 'online' && lacksRights(this)) {
      this.connection.receive({ type: 'stop' })
      this.connection.receive({ type: 'start' })
    } else this.connection.receive(event)
    if (event.type === 'reconnect' || event.type === 'token') tryRefusedAgain(this)
  }

  attach(documents: Iterable<ClientDocument>): void {
    attachLoaded(this, documents)
  }

  detach(document: ClientDocument): void {
    detach(this, document)
    this.waiters.delete(document)
  }

  place(document: ClientDocument): void {
    go(this, document)
  }

  showPresence(document: ClientDocument): void {
    showPresence(this, document)
  }

  stateRead(document: ClientDocument, state: Uint8Array): void {
    const { needs } = document
    document.needs = 'nothing'
    if (needs === 'premature') replacePremature(this, document, state)
    else if (needs === 'rescue') rescue(this, document, state)
  }

  outcome(name: DocumentName, age: number, wait: Wanted): Outcome {
    const outcome = outcomeIn(this, name, age, wait)
    this.sendOut()
    return outcome
  }

  work(nowMs: number): number | undefined {
    const dueMs = [retry(this, nowMs), watch(this, nowMs), listen(this, nowMs), this.locator.dueMs].reduce(earliest)
    pump(this, nowMs)
    return dueMs
  }

  sendOut(): number | undefined {
    for (const message of this.#messages()) this.carrier.send(this.number, message)
    return this.connection.dueMs
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

  #messages(): Uint8Array[] {
    const { phase } = this.connection
    const { welcome } = this.session
    if (phase === 'online' && welcome !== undefined) return this.out.take(welcome.messageBytesMax)
    return phase === 'greeting' ? this.out.takeGreeting() : []
  }

  #greet(token: string, device: DeviceId): void {
    this.out.clear()
    if (this.locator.isElsewhere) this.outbox.rename()
    this.#reader = newReader(this)
    this.out.push(encodeClientFrame({ type: 'hello', protocol: protocolVersion, device, token }))
    attachLoaded(this, [...this.documents.values()])
  }
}
