/** A node without a world: hub and sessions over a memory log, sockets that a test fills and drains, and principals by token. */

import type { CompactionPolicy } from '@meridian/core/compaction'
import { type Door, doorOf } from '@meridian/core/door'
import type { Admit, Clock, Principal } from '@meridian/core/effects'
import type { Engine, EngineName } from '@meridian/core/engine'
import type { AsideError, EngineAside } from '@meridian/core/engine-aside'
import { yjsEngine } from '@meridian/core/engines/yjs'
import type { ErrorCode } from '@meridian/core/errors'
import { MeridianError } from '@meridian/core/errors'
import { Hub } from '@meridian/core/hub'
import type { HubLinks } from '@meridian/core/hub-effects'
import type { DocumentName, GroupId, RegionId, TenantId } from '@meridian/core/ids'
import { documentParts, parseGroup, parseRegion } from '@meridian/core/ids'
import type { HubLimits, SessionLimits } from '@meridian/core/limits'
import { hubLimits, sessionLimits } from '@meridian/core/limits'
import type { RegionLog } from '@meridian/core/log'
import type { Outgoing } from '@meridian/core/outgoing'
import type { Asking, Connected, SessionSocket } from '@meridian/core/session'
import type { Wire, WireRequest } from '@meridian/core/wire'
import { nativeWire } from '@meridian/core/wires/native/wire'
import type { SeededRandom } from './random.js'
import type { Scheduler } from './scheduler.js'

export const region = parseRegion('eu-west')

export interface SimNodeOptions {
  readonly scheduler: Scheduler
  readonly random: SeededRandom
  readonly log: RegionLog
  /** Default: `eu-west`. */
  readonly region?: RegionId
  /** What its wall clock says; by default the right time. */
  readonly clock?: Clock
  /** Whether other regions have its groups, too. */
  readonly aloneInGroups?: boolean
  readonly limits?: Partial<SessionLimits>
  readonly hubLimits?: Partial<HubLimits>
  /** The native one by default. */
  readonly wire?: Wire
  readonly compaction?: CompactionPolicy
  readonly admit?: Admit
  readonly engines?: Partial<Record<EngineName, Engine>>
  /** What tokens say; any other token is a writer of tenant `acme` with that name. */
  readonly tokens?: { get(token: string): Principal | MeridianError | undefined }
  readonly compact?: (document: DocumentName) => void
  /** What hears of all that becomes durable. */
  readonly links?: HubLinks
  /** Where a trusted proxy says that connections come from. */
  readonly country?: string
}

/** Every document of a tenant in its one group. */
export const admitAll: Admit = (_verb, document) => ({ kind: 'yes', group: groupOf(document), epoch: 0, rule: 'no policy' })

export const groupOf = (document: DocumentName): GroupId => parseGroup(`${documentParts(document).tenant}/default`)

export function principal(subject: string, rest: Partial<Principal> = {}): Principal {
  return { subject, tenant: 'acme', grants: [{ match: '*', access: 'write' }], expiresAt: Number.POSITIVE_INFINITY, ...rest }
}

export class SimNode {
  readonly hub: Hub
  readonly scheduler: Scheduler
  readonly sessions = new Set<SimSocket>()
  readonly limits: SessionLimits
  /** What the next connection speaks. */
  wire: Wire
  /** What the next socket becomes, if it is not one session of `wire`. */
  door: Door | undefined
  readonly refused: ErrorCode[] = []
  readonly #options: SimNodeOptions
  /** Pieces of engine work that were done beside the loop. */
  asideCount = 0
  /** A node that crashed runs nothing more. */
  alive = true
  readonly region: RegionId
  readonly clock: Clock
  /** What waits while the process is stopped. */
  #stopped: (() => void)[] | undefined

  constructor(options: SimNodeOptions) {
    this.#options = options
    this.scheduler = options.scheduler
    this.region = options.region ?? region
    this.clock = options.clock ?? { now: () => this.scheduler.nowMs }
    this.wire = options.wire ?? nativeWire
    this.limits = { ...sessionLimits, ...options.limits }
    this.hub = new Hub(
      {
        log: options.log,
        clock: this.clock,
        random: options.random,
        admit: options.admit ?? admitAll,
        engines: options.engines ?? { yjs: yjsEngine },
        aside: this.#aside(options.engines ?? { yjs: yjsEngine }),
        schedule: (run) => this.later(run),
        compact: (document) => options.compact?.(document),
        ...(options.links === undefined ? {} : { links: options.links }),
      },
      {
        limits: { ...hubLimits, ...options.hubLimits },
        ...(options.compaction === undefined ? {} : { compaction: options.compaction }),
        aloneInGroups: options.aloneInGroups ?? true,
      },
    )
  }

  later(run: () => void, delayMs = 0): void {
    this.scheduler.after(delayMs, () => this.enter(run))
  }

  /** Something of the process runs: now, when it goes on after a stop, or never. */
  enter(run: () => void): void {
    if (this.#stopped !== undefined) this.#stopped.push(run)
    else if (this.alive) run()
  }

  /** SIGSTOP, or a long pause of its machine: nothing runs, its sockets stay open. */
  stop(): void {
    this.#stopped ??= []
  }

  continue(): void {
    const waiting = this.#stopped ?? []
    this.#stopped = undefined
    for (const run of waiting) this.enter(run)
  }

  get isStopped(): boolean {
    return this.#stopped !== undefined
  }

  /** The same work a moment later, and as it crosses between threads. */
  #aside(engines: Partial<Record<EngineName, Engine>>): EngineAside {
    const later = <T>(work: (engine: Engine) => T, name: EngineName, done: (answer: T | AsideError) => void): void => {
      const engine = engines[name]
      if (engine === undefined) throw new Error(`no engine ${name}`)
      this.asideCount++
      this.later(() => {
        let answer: T | AsideError
        try {
          answer = work(engine)
        } catch (thrown) {
          if (!(thrown instanceof MeridianError)) throw thrown
          answer = thrown.code === 'UPDATE_TOO_LARGE' ? thrown.code : 'UPDATE_INVALID'
        }
        done(answer)
      })
    }
    return {
      inspect: (name, update, limits, done) =>
        later((engine) => engine.unpack(engine.pack(engine.inspect(update, limits))), name, done),
      admissible: (name, update, basis, done) => later((engine) => engine.admissible(update, basis), name, done),
      cut: (name, update, overlap, done) => later((engine) => engine.cut(update, overlap), name, done),
    }
  }

  get country(): string | undefined {
    return this.#options.country
  }

  /** The policy was edited. */
  review(tenant?: TenantId): void {
    for (const socket of this.sessions) socket.session.review(tenant)
  }

  connect(): SimSocket {
    return new SimSocket(this)
  }

  authenticate(token: string): Principal | MeridianError {
    return this.#options.tokens?.get(token) ?? principal(token)
  }

  tick(): void {
    for (const socket of this.sessions) socket.session.tick(this.clock.now())
  }

  crash(): void {
    this.alive = false
    for (const socket of this.sessions) socket.gone()
    this.sessions.clear()
  }
}

/** The node's end of a connection. What it sends stands in its buffer until it is taken, at once unless it is held. */
export class SimSocket implements SessionSocket {
  readonly session: Connected
  readonly node: SimNode
  #onMessage: ((message: Uint8Array) => void) | undefined
  onClose: ((code: number) => void) | undefined
  /** Everything that was sent, as the objects that were handed over. */
  readonly sent: Outgoing[] = []
  readonly tokens: string[] = []
  bufferedBytes = 0
  /** The most that stood in the buffer. */
  bufferedBytesPeak = 0
  held = false
  paused = false
  closedWith: { readonly code: number; readonly reason: string } | undefined
  /** Answers of the authenticator wait for `answerToken`. */
  holdTokens = false
  /** Who asked last. */
  #asking: Asking | undefined
  readonly #buffer: Uint8Array[] = []
  readonly #inbox: Uint8Array[] = []
  readonly #unheard: Uint8Array[] = []

  constructor(node: SimNode, request: WireRequest = { path: '', token: '' }) {
    this.node = node
    node.sessions.add(this)
    this.session = (node.door ?? doorOf(node.wire)).connect(node.hub, this, {
      region: node.region,
      limits: node.limits,
      request,
      ...(node.country === undefined ? {} : { country: node.country }),
      onRefused: (code) => node.refused.push(code),
    })
  }

  /** Takes what leaves the buffer, and what left it before anybody listened. */
  listen(take: (message: Uint8Array) => void): void {
    this.#onMessage = take
    for (const message of this.#unheard.splice(0)) take(message)
  }

  send(message: Outgoing): void {
    if (this.closedWith !== undefined) return
    this.sent.push(message)
    this.#buffer.push(...message.messages)
    this.bufferedBytes += message.length
    this.bufferedBytesPeak = Math.max(this.bufferedBytesPeak, this.bufferedBytes)
    if (!this.held) this.#take(Number.POSITIVE_INFINITY)
  }

  /** The client reads: about so many bytes leave the buffer; once it is empty the session is told. */
  drain(bytes = Number.POSITIVE_INFINITY): void {
    const full = this.#buffer.length > 0
    this.#take(bytes)
    if (full && this.#buffer.length === 0) this.session.drained()
  }

  /** Reads on at once from here on. */
  release(): void {
    this.held = false
    this.drain()
  }

  close(code: number, reason: string): void {
    if (this.closedWith !== undefined) return
    this.closedWith = { code, reason }
    this.#take(Number.POSITIVE_INFINITY)
    this.node.sessions.delete(this)
    this.onClose?.(code)
  }

  authenticate(token: string, asking: Asking): void {
    this.tokens.push(token)
    this.#asking = asking
    if (!this.holdTokens) this.node.later(() => this.answerToken(token, asking))
  }

  answerToken(token: string, asking = this.#asking): void {
    const answer = this.node.authenticate(token)
    if (answer instanceof MeridianError) asking?.fail(answer)
    else asking?.authenticated(answer)
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    // Later, as a real socket: the session is in the middle of something.
    this.node.later(() => this.#read())
  }

  /** Bytes of the client arrive. */
  receive(message: Uint8Array): void {
    this.node.enter(() => {
      this.#inbox.push(message)
      this.#read()
    })
  }

  get unreadCount(): number {
    return this.#inbox.length
  }

  /** The connection is cut. */
  cut(): void {
    this.node.enter(() => {
      this.node.sessions.delete(this)
      this.gone()
      this.session.closed()
    })
  }

  gone(): void {
    this.closedWith ??= { code: 1006, reason: '' }
    this.#onMessage = () => undefined
  }

  #read(): void {
    while (!this.paused) {
      const message = this.#inbox.shift()
      if (message === undefined || this.closedWith !== undefined) return
      this.session.receive(message)
    }
  }

  #take(bytes: number): void {
    let left = bytes
    while (left > 0) {
      const message = this.#buffer.shift()
      if (message === undefined) return
      left -= message.length
      this.bufferedBytes -= message.length
      if (this.#onMessage === undefined) this.#unheard.push(message)
      else this.#onMessage(message)
    }
  }
}
