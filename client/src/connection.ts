/**
 * The life of a client's connection: token, dial, greeting, heartbeat, loss, back-off. It knows nothing of documents; `Sync` does.
 *
 * ```
 *            start                token              opened              welcome
 *   idle ───────────▶ asking ───────────▶ dialing ───────────▶ greeting ───────────▶ online
 *    ▲                  ▲ │ fails           │ lost                │ lost                │ lost, silent, goodbye
 *    │ stop             │ ▼                 ▼                     ▼                     ▼
 *    └── any state    waiting ◀─────────────┴─────────────────────┴──── retry now or ───┤
 *                       (time, reconnect, token: dial again)            after a while   │
 *                     refused ◀───────────────────────────────────────── retry never ───┘
 *                       (reconnect or a new token only)
 * ```
 *
 * Every event in every state stands in `transitions`; a missing cell does not compile. Events of an older socket are dropped by number.
 * CLI1: nothing here throws for the network. All times are monotonic milliseconds, but for the end of a token.
 */

import type { Clock, Random } from '@meridian/core/effects'
import type { ErrorCode, MeridianError, Retry } from '@meridian/core/errors'
import type { RegionId } from '@meridian/core/ids'
import { errorTable, unreachable } from '@meridian/core/errors'
import { encodeClientFrame } from '@meridian/core/wires/native/client-frames'
import type { Goodbye, Welcome } from '@meridian/core/wires/native/server-frames'
import { backoffMs, reconnectBackoff } from './backoff.js'
import type { ConnectionStatus } from './status.js'
import { readClaims, refreshDelayMs } from './token.js'

export interface ConnectionTimes {
  /** Milliseconds that a token provider has to answer. */
  readonly tokenTimeoutMs: number
  /** Milliseconds from dialling to the welcome of the node. */
  readonly greetingTimeoutMs: number
  /** Milliseconds that a connection must have lasted for the next attempt to count as the first. */
  readonly stableMs: number
  /** Milliseconds for the answer to a probe, which is asked when the device woke up or changed its network. */
  readonly probeTimeoutMs: number
}

export const connectionTimes: ConnectionTimes = {
  tokenTimeoutMs: 30_000,
  greetingTimeoutMs: 15_000,
  stableMs: 1_000,
  probeTimeoutMs: 4_000,
}

export type Phase = 'idle' | 'asking' | 'dialing' | 'greeting' | 'online' | 'waiting' | 'refused' | 'closed'

export type ConnectionEvent =
  | { readonly type: 'start' }
  /** Another tab takes over, or the user wants no connection. */
  | { readonly type: 'stop' }
  /** The provider's answer, or a new token that the app got otherwise. */
  | { readonly type: 'token'; readonly token: string }
  | { readonly type: 'tokenFailed'; readonly error: MeridianError }
  | { readonly type: 'opened'; readonly socket: number }
  | { readonly type: 'welcome'; readonly frame: Welcome }
  | { readonly type: 'goodbye'; readonly frame: Goodbye }
  /** The socket ended, could not be opened, or brought what is no frame. */
  | { readonly type: 'lost'; readonly socket: number; readonly code: ErrorCode }
  | { readonly type: 'time' }
  /** The user, or the device's network, says that now is a good moment. */
  | { readonly type: 'reconnect' }
  /** Another region is to be dialled, or this one needs not be waited for any longer. */
  | { readonly type: 'move' }
  /** Is the other side still there? A sleeping device or a changed network closes no socket. */
  | { readonly type: 'probe'; readonly timeoutMs?: number }
  | { readonly type: 'close' }

export type ConnectionEventType = ConnectionEvent['type']

type Step =
  | 'ignore'
  | 'ask'
  | 'dial'
  | 'greet'
  | 'enter'
  | 'keepToken'
  | 'renew'
  | 'renewLater'
  | 'part'
  | 'retry'
  | 'retryToken'
  | 'expire'
  | 'beat'
  | 'wake'
  | 'hurry'
  | 'again'
  | 'probe'
  | 'rest'
  | 'end'

export const transitions: Readonly<Record<Phase, Readonly<Record<ConnectionEventType, Step>>>> = {
  idle: {
    start: 'ask',
    stop: 'ignore',
    token: 'ignore',
    tokenFailed: 'ignore',
    opened: 'ignore',
    welcome: 'ignore',
    goodbye: 'ignore',
    lost: 'ignore',
    time: 'ignore',
    reconnect: 'ignore',
    move: 'ignore',
    probe: 'ignore',
    close: 'end',
  },
  asking: {
    start: 'ignore',
    stop: 'rest',
    token: 'dial',
    tokenFailed: 'retryToken',
    opened: 'ignore',
    welcome: 'ignore',
    goodbye: 'ignore',
    lost: 'ignore',
    time: 'expire',
    reconnect: 'hurry',
    move: 'ignore',
    probe: 'ignore',
    close: 'end',
  },
  dialing: {
    start: 'ignore',
    stop: 'rest',
    token: 'keepToken',
    tokenFailed: 'ignore',
    opened: 'greet',
    welcome: 'ignore',
    goodbye: 'ignore',
    lost: 'retry',
    time: 'expire',
    reconnect: 'hurry',
    move: 'again',
    probe: 'ignore',
    close: 'end',
  },
  greeting: {
    start: 'ignore',
    stop: 'rest',
    token: 'keepToken',
    tokenFailed: 'ignore',
    opened: 'ignore',
    welcome: 'enter',
    goodbye: 'part',
    lost: 'retry',
    time: 'expire',
    reconnect: 'hurry',
    move: 'again',
    probe: 'ignore',
    close: 'end',
  },
  online: {
    start: 'ignore',
    stop: 'rest',
    token: 'renew',
    tokenFailed: 'renewLater',
    opened: 'ignore',
    welcome: 'ignore',
    goodbye: 'part',
    lost: 'retry',
    time: 'beat',
    reconnect: 'probe',
    move: 'again',
    probe: 'probe',
    close: 'end',
  },
  waiting: {
    start: 'ignore',
    stop: 'rest',
    token: 'dial',
    tokenFailed: 'ignore',
    opened: 'ignore',
    welcome: 'ignore',
    goodbye: 'ignore',
    lost: 'ignore',
    time: 'wake',
    reconnect: 'ask',
    move: 'ask',
    probe: 'ignore',
    close: 'end',
  },
  refused: {
    start: 'ignore',
    stop: 'rest',
    token: 'dial',
    tokenFailed: 'ignore',
    opened: 'ignore',
    welcome: 'ignore',
    goodbye: 'ignore',
    lost: 'ignore',
    time: 'ignore',
    reconnect: 'ask',
    move: 'ignore',
    probe: 'ignore',
    close: 'end',
  },
  closed: {
    start: 'ignore',
    stop: 'ignore',
    token: 'ignore',
    tokenFailed: 'ignore',
    opened: 'ignore',
    welcome: 'ignore',
    goodbye: 'ignore',
    lost: 'ignore',
    time: 'ignore',
    reconnect: 'ignore',
    move: 'ignore',
    probe: 'ignore',
    close: 'ignore',
  },
}

export interface ConnectionEffects {
  /** For the end of a token only. */
  readonly clock: Clock
  /** Milliseconds that never run backwards. */
  monotonicMs(): number
  readonly random: Random
  /** Answered by `token` or `tokenFailed`, later. */
  requestToken(): void
  /** Answered by `opened` and `lost` with the same number, later. */
  dial(socket: number): void
  hangUp(): void
  /** One frame, ahead of everything that was not sent yet if `first`. */
  send(frame: Uint8Array): void
  /** The socket is open: say hello and what stands behind it. */
  greet(token: string): void
  /** The greeting was answered. */
  entered(welcome: Welcome): void
  /** The connection is gone; what was not acked is to be sent again. */
  left(): void
  /**
   * It is gone, or did not come about, by no wish of this side, and the next attempt comes by itself.
   *
   * @returns milliseconds that this attempt is to wait at least.
   */
  lost(): number
  /** The region that is dialled, if that is another one than before. */
  destination(): RegionId | undefined
}

export interface ConnectionOptions {
  readonly times: ConnectionTimes
  /** `fixed`: the app gave one token, so that there is nobody to ask for the next one. */
  readonly tokens: 'fixed' | 'provided'
}

export class Connection {
  readonly #effects: ConnectionEffects
  readonly #options: ConnectionOptions
  #phase: Phase = 'idle'
  /** Number of the newest socket; events of others are late. */
  #socket = 0
  #token = ''
  #tokenChanged = false
  /** When something is due: a time-out, the end of a wait. */
  #dueMs: number | undefined
  #refreshMs: number | undefined
  #attempt = 0
  #enteredMs = 0
  /** When the newest ping went, or the welcome came. */
  #pingedMs = 0
  #pinged = false
  #lateCount = 0
  #heartbeatMs = 0
  #nonce = 0
  #code: ErrorCode = 'CLOSED'
  #region: Welcome | undefined
  #status: ConnectionStatus = { kind: 'idle' }

  constructor(effects: ConnectionEffects, options: ConnectionOptions) {
    this.#effects = effects
    this.#options = options
  }

  get phase(): Phase {
    return this.#phase
  }

  /** The number of the socket whose messages count. */
  get socket(): number {
    return this.#socket
  }

  get status(): ConnectionStatus {
    return this.#status
  }

  /** When `time` is to come next, in monotonic milliseconds. */
  get dueMs(): number | undefined {
    if (this.#dueMs === undefined) return this.#refreshMs
    return this.#refreshMs === undefined ? this.#dueMs : Math.min(this.#dueMs, this.#refreshMs)
  }

  /** A message came: the other side lives. */
  heard(): void {
    if (this.#phase !== 'online') return
    this.#pinged = false
    this.#lateCount = 0
    // A probe is answered; the next ping goes a heartbeat after the last one, however much is heard: the node wants a sign of life, too.
    this.#dueMs = this.#pingedMs + this.#heartbeatMs
  }

  receive(event: ConnectionEvent): void {
    if ((event.type === 'opened' || event.type === 'lost') && event.socket !== this.#socket) return
    const step = transitions[this.#phase][event.type]
    switch (step) {
      case 'ignore':
        return
      case 'ask':
        if (event.type === 'reconnect') this.#attempt = 0
        return this.#ask()
      case 'dial':
        if (event.type === 'token') this.#dial(event.token)
        return
      case 'greet':
        this.#move('greeting')
        this.#tokenChanged = false
        return this.#effects.greet(this.#token)
      case 'enter':
        if (event.type === 'welcome') this.#enter(event.frame)
        return
      case 'keepToken':
        if (event.type !== 'token') return
        this.#token = event.token
        this.#tokenChanged = true
        return
      case 'renew':
        if (event.type === 'token') this.#renew(event.token)
        return
      case 'renewLater':
        this.#refreshMs = this.#effects.monotonicMs() + backoffMs(2, 0, this.#effects.random, reconnectBackoff)
        return
      case 'part':
        if (event.type === 'goodbye') this.#part(event.frame)
        return
      case 'retry':
        return this.#wait(event.type === 'lost' ? event.code : 'TIMEOUT', 'backoff', 0)
      case 'retryToken':
        if (event.type === 'tokenFailed') this.#wait(event.error.code, event.error.retry, event.error.retryAfterMs)
        return
      case 'expire':
        if (this.#isDue()) this.#wait('TIMEOUT', 'backoff', 0)
        return
      case 'beat':
        return this.#beat()
      case 'wake':
        if (this.#isDue()) this.#ask()
        return
      case 'hurry':
        // This attempt goes on; should it fail, the next one does not wait for what failed before.
        this.#attempt = 0
        return
      case 'again':
        this.#leave()
        return this.#ask()
      case 'probe':
        return this.#probe((event.type === 'probe' ? event.timeoutMs : undefined) ?? this.#options.times.probeTimeoutMs)
      case 'rest':
        this.#leave()
        this.#attempt = 0
        return this.#move('idle')
      case 'end':
        this.#leave()
        return this.#move('closed')
      default:
        unreachable(step)
    }
  }

  get #isHeld(): boolean {
    return this.#phase === 'dialing' || this.#phase === 'greeting' || this.#phase === 'online'
  }

  #isDue(): boolean {
    return this.#dueMs !== undefined && this.#effects.monotonicMs() >= this.#dueMs
  }

  #ask(): void {
    this.#move('asking')
    this.#dueMs = this.#effects.monotonicMs() + this.#options.times.tokenTimeoutMs
    this.#effects.requestToken()
  }

  #dial(token: string): void {
    this.#token = token
    this.#move('dialing')
    this.#dueMs = this.#effects.monotonicMs() + this.#options.times.greetingTimeoutMs
    this.#effects.dial(++this.#socket)
  }

  #enter(welcome: Welcome): void {
    this.#region = welcome
    this.#move('online')
    this.#enteredMs = this.#effects.monotonicMs()
    this.#heartbeatMs = Math.max(1, welcome.heartbeatMs)
    this.#pingedMs = this.#enteredMs
    this.heard()
    this.#planRefresh()
    this.#effects.entered(welcome)
    if (this.#tokenChanged) this.#renew(this.#token)
  }

  #planRefresh(): void {
    this.#refreshMs = undefined
    const { expiresAtMs } = readClaims(this.#token)
    if (this.#options.tokens === 'fixed' || expiresAtMs === undefined) return
    const chance = this.#effects.random.uint32() / 2 ** 32
    this.#refreshMs = this.#effects.monotonicMs() + refreshDelayMs(expiresAtMs, this.#effects.clock.now(), chance)
  }

  #renew(token: string): void {
    this.#token = token
    this.#tokenChanged = false
    this.#effects.send(encodeClientFrame({ type: 'token', token }))
    this.#planRefresh()
  }

  #beat(): void {
    const now = this.#effects.monotonicMs()
    if (this.#refreshMs !== undefined && now >= this.#refreshMs) {
      this.#refreshMs = undefined
      this.#effects.requestToken()
    }
    if (this.#dueMs === undefined || now < this.#dueMs) return
    if (this.#pinged) {
      // Who comes late was asleep or busy, and has not read yet what came meanwhile: that says nothing of the other side.
      if (now - this.#dueMs <= lateMs || this.#lateCount >= lateCountMax) return this.#wait('TIMEOUT', 'backoff', 0)
      this.#lateCount++
      this.#dueMs = now + lateMs
      return
    }
    this.#ping()
    this.#dueMs = now + this.#heartbeatMs
  }

  #probe(timeoutMs: number): void {
    this.#ping()
    const now = this.#effects.monotonicMs()
    if (this.#dueMs === undefined || this.#dueMs <= now || now + timeoutMs < this.#dueMs) this.#dueMs = now + timeoutMs
  }

  #ping(): void {
    this.#pinged = true
    this.#pingedMs = this.#effects.monotonicMs()
    this.#effects.send(encodeClientFrame({ type: 'ping', nonce: ++this.#nonce }))
  }

  #part(goodbye: Goodbye): void {
    // Whoever can be asked for a new token is asked; the loop is bounded by the back-off.
    const expired = goodbye.code === 'TOKEN_EXPIRED' && this.#options.tokens === 'provided'
    this.#wait(goodbye.code, expired ? 'now' : goodbye.retry, goodbye.retryAfterMs)
  }

  #wait(code: ErrorCode, retry: Retry, leastMs: number): void {
    const now = this.#effects.monotonicMs()
    const stable = this.#phase === 'online' && now - this.#enteredMs >= this.#options.times.stableMs
    if (stable) this.#attempt = 0
    const wasHeld = this.#isHeld
    this.#leave()
    this.#code = code
    if (retry === 'never') return this.#move('refused')
    this.#move('waiting')
    if (wasHeld && code !== 'TOKEN_EXPIRED') leastMs = Math.max(leastMs, this.#effects.lost())
    // `now` is spread over a first delay, too: a node that drains sends all its clients away in one instant.
    this.#dueMs = now + backoffMs(this.#attempt++, leastMs, this.#effects.random, reconnectBackoff)
  }

  #leave(): void {
    const held = this.#isHeld
    this.#dueMs = undefined
    this.#refreshMs = undefined
    this.#pinged = false
    this.#region = undefined
    if (!held) return
    // Late events of this socket are dropped.
    this.#socket++
    this.#effects.hangUp()
    this.#effects.left()
  }

  #move(phase: Phase): void {
    this.#phase = phase
    this.#status = this.#describe()
  }

  #describe(): ConnectionStatus {
    switch (this.#phase) {
      case 'idle':
      case 'closed':
        return { kind: this.#phase }
      case 'asking':
      case 'dialing':
      case 'greeting': {
        const region = this.#effects.destination()
        if (this.#status.kind === 'connecting' && this.#status.region === region) return this.#status
        return region === undefined ? { kind: 'connecting' } : { kind: 'connecting', region }
      }
      case 'online':
        return this.#region === undefined
          ? { kind: 'connecting' }
          : { kind: 'online', region: this.#region.region, subject: this.#region.subject }
      case 'waiting':
      case 'refused':
        return { kind: this.#phase, code: this.#code }
      default:
        return unreachable(this.#phase)
    }
  }
}

/** Milliseconds by which a timer may be late, and how often in a row a late one is forgiven. */
const lateMs = 500
const lateCountMax = 3

/** What a code of the table says to do, for codes that come without advice of their own. */
export const retryOf = (code: ErrorCode): Retry => errorTable[code].retry
