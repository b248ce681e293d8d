/** The life of a connection: every event in every state, and the times. */

import type { ConnectionEvent, ConnectionEventType, Phase } from '@meridian/client/connection'
import { Connection, connectionTimes } from '@meridian/client/connection'
import { MeridianError } from '@meridian/core/errors'
import { parseRegion } from '@meridian/core/ids'
import { FrameReader } from '@meridian/core/wires/native/frame'
import type { ClientFrame } from '@meridian/core/wires/native/client-frames'
import { decodeClientFrame } from '@meridian/core/wires/native/client-frames'
import type { Goodbye, Welcome } from '@meridian/core/wires/native/server-frames'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seeded } from './world.js'

const welcome: Welcome = {
  type: 'welcome',
  protocol: 1,
  region: parseRegion('eu-west'),
  session: 1,
  subject: 'ann',
  messageBytesMax: 1024,
  updateBytesMax: 1024,
  unackedBytesMax: 1024,
  heartbeatMs: 10_000,
}
const goodbye = (code: Goodbye['code'], retry: Goodbye['retry'], retryAfterMs = 0): ConnectionEvent => {
  return { type: 'goodbye', frame: { type: 'goodbye', code, retry, retryAfterMs, text: '' } }
}

class Bench {
  nowMs = 0
  readonly calls: string[] = []
  readonly frames: ClientFrame[] = []
  readonly connection: Connection

  constructor(tokens: 'fixed' | 'provided' = 'provided') {
    const reader = new FrameReader({ messageBytesMax: 1e6, frameBytesMax: 1e6 }, (type, body, end) => {
      const frame = decodeClientFrame(type, body, end)
      if (frame !== undefined) this.frames.push(frame)
    })
    this.connection = new Connection(
      {
        clock: { now: () => this.nowMs },
        monotonicMs: () => this.nowMs,
        random: seeded(7),
        requestToken: () => this.calls.push('requestToken'),
        dial: () => this.calls.push('dial'),
        hangUp: () => this.calls.push('hangUp'),
        send: (frame) => reader.receive(frame),
        greet: () => this.calls.push('greet'),
        entered: () => this.calls.push('entered'),
        left: () => this.calls.push('left'),
        lost: () => 0,
        destination: () => undefined,
      },
      { times: connectionTimes, tokens },
    )
  }

  do(...events: ConnectionEvent[]): this {
    for (const event of events) this.connection.receive(event)
    return this
  }

  /** The events that lead to a phase. */
  to(phase: Phase): this {
    switch (phase) {
      case 'idle':
        return this
      case 'asking':
        return this.do({ type: 'start' })
      case 'dialing':
        return this.to('asking').do({ type: 'token', token: 't' })
      case 'greeting':
        return this.to('dialing').do({ type: 'opened', socket: this.connection.socket })
      case 'online':
        return this.to('greeting').do({ type: 'welcome', frame: welcome })
      case 'waiting':
        return this.to('dialing').do({ type: 'lost', socket: this.connection.socket, code: 'TIMEOUT' })
      case 'refused':
        return this.to('greeting').do(goodbye('TOKEN_INVALID', 'never'))
      case 'closed':
        return this.do({ type: 'close' })
    }
  }

  event(type: ConnectionEventType): ConnectionEvent {
    const { socket } = this.connection
    switch (type) {
      case 'token':
        return { type, token: 'u' }
      case 'tokenFailed':
        return { type, error: new MeridianError('TOKEN_INVALID', { retry: 'backoff' }) }
      case 'opened':
        return { type, socket }
      case 'welcome':
        return { type, frame: welcome }
      case 'goodbye':
        return goodbye('DRAINING', 'now')
      case 'lost':
        return { type, socket, code: 'TIMEOUT' }
      default:
        return { type }
    }
  }
}

/** Where each event leads, once what is due is due. Written by hand from the diagram, so that a change of one is seen against the other. */
const expected: Record<Phase, Record<ConnectionEventType, Phase>> = {
  idle: {
    start: 'asking',
    stop: 'idle',
    token: 'idle',
    tokenFailed: 'idle',
    opened: 'idle',
    welcome: 'idle',
    goodbye: 'idle',
    lost: 'idle',
    time: 'idle',
    reconnect: 'idle',
    move: 'idle',
    probe: 'idle',
    close: 'closed',
  },
  asking: {
    start: 'asking',
    stop: 'idle',
    token: 'dialing',
    tokenFailed: 'waiting',
    opened: 'asking',
    welcome: 'asking',
    goodbye: 'asking',
    lost: 'asking',
    time: 'waiting',
    reconnect: 'asking',
    move: 'asking',
    probe: 'asking',
    close: 'closed',
  },
  dialing: {
    start: 'dialing',
    stop: 'idle',
    token: 'dialing',
    tokenFailed: 'dialing',
    opened: 'greeting',
    welcome: 'dialing',
    goodbye: 'dialing',
    lost: 'waiting',
    time: 'waiting',
    reconnect: 'dialing',
    move: 'asking',
    probe: 'dialing',
    close: 'closed',
  },
  greeting: {
    start: 'greeting',
    stop: 'idle',
    token: 'greeting',
    tokenFailed: 'greeting',
    opened: 'greeting',
    welcome: 'online',
    goodbye: 'waiting',
    lost: 'waiting',
    time: 'waiting',
    reconnect: 'greeting',
    move: 'asking',
    probe: 'greeting',
    close: 'closed',
  },
  online: {
    start: 'online',
    stop: 'idle',
    token: 'online',
    tokenFailed: 'online',
    opened: 'online',
    welcome: 'online',
    goodbye: 'waiting',
    lost: 'waiting',
    time: 'online',
    reconnect: 'online',
    move: 'asking',
    probe: 'online',
    close: 'closed',
  },
  waiting: {
    start: 'waiting',
    stop: 'idle',
    token: 'dialing',
    tokenFailed: 'waiting',
    opened: 'waiting',
    welcome: 'waiting',
    goodbye: 'waiting',
    lost: 'waiting',
    time: 'asking',
    reconnect: 'asking',
    move: 'asking',
    probe: 'waiting',
    close: 'closed',
  },
  refused: {
    start: 'refused',
    stop: 'idle',
    token: 'dialing',
    tokenFailed: 'refused',
    opened: 'refused',
    welcome: 'refused',
    goodbye: 'refused',
    lost: 'refused',
    time: 'refused',
    reconnect: 'asking',
    move: 'refused',
    probe: 'refused',
    close: 'closed',
  },
  closed: {
    start: 'closed',
    stop: 'closed',
    token: 'closed',
    tokenFailed: 'closed',
    opened: 'closed',
    welcome: 'closed',
    goodbye: 'closed',
    lost: 'closed',
    time: 'closed',
    reconnect: 'closed',
    move: 'closed',
    probe: 'closed',
    close: 'closed',
  },
}

const phases = Object.keys(expected) as Phase[]
const types = Object.keys(expected.idle) as ConnectionEventType[]

describe('transitions', () => {
  it.each(phases.flatMap((phase) => types.map((type) => [phase, type, expected[phase][type]] as const)))(
    '%s: %s leads to %s',
    (phase, type, next) => {
      const bench = new Bench().to(phase)
      expect(bench.connection.phase).toBe(phase)
      bench.nowMs = bench.connection.dueMs ?? 0
      bench.do(bench.event(type))
      expect(bench.connection.phase).toBe(next)
      // What holds a socket is left, and nothing else is.
      const holds = (one: Phase): boolean => one === 'dialing' || one === 'greeting' || one === 'online'
      expect(bench.calls.filter((call) => call === 'hangUp').length).toBe(
        bench.calls.filter((call) => call === 'dial').length - (holds(next) ? 1 : 0),
      )
    },
  )

  it('given any events, then every socket is hung up once, no wait is without an end, and closed is closed', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(...types), fc.nat(40_000)), { maxLength: 60 }), (events) => {
        const bench = new Bench()
        for (const [type, ms] of events) {
          bench.nowMs += ms
          const before = bench.connection.phase
          bench.do(bench.event(type))
          const { phase, dueMs } = bench.connection
          expect(before !== 'closed' || phase === 'closed').toBe(true)
          expect(phase === 'idle' || phase === 'refused' || phase === 'closed' || dueMs !== undefined).toBe(true)
          const dialled = bench.calls.filter((call) => call === 'dial').length
          const ended = bench.calls.filter((call) => call === 'hangUp').length
          expect(dialled - ended).toBe(phase === 'dialing' || phase === 'greeting' || phase === 'online' ? 1 : 0)
          expect(bench.calls.filter((call) => call === 'left').length).toBe(ended)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('given an event of an older socket, then it is dropped', () => {
    const bench = new Bench().to('dialing')
    const old = bench.connection.socket
    bench.do({ type: 'lost', socket: old, code: 'TIMEOUT' }, { type: 'reconnect' }, { type: 'token', token: 't' })
    bench.do({ type: 'opened', socket: old }, { type: 'lost', socket: old, code: 'TIMEOUT' })
    expect(bench.connection.phase).toBe('dialing')
  })
})

describe('times', () => {
  it('given silence for a heartbeat, then a ping goes, and after another the socket is dead', () => {
    const bench = new Bench().to('online')
    bench.nowMs = 9_999
    bench.do({ type: 'time' })
    expect(bench.frames).toEqual([])
    bench.nowMs = 10_000
    bench.do({ type: 'time' })
    expect(bench.frames).toEqual([{ type: 'ping', nonce: 1 }])
    bench.nowMs = 19_999
    bench.do({ type: 'time' })
    expect(bench.connection.phase).toBe('online')
    bench.nowMs = 20_000
    bench.do({ type: 'time' })
    expect(bench.connection.status).toEqual({ kind: 'waiting', code: 'TIMEOUT' })
  })

  it('given a node that never stops talking, then it is pinged all the same, since who only reads gives no other sign of life', () => {
    const bench = new Bench().to('online')
    for (let second = 0; second < 35; second++) {
      bench.nowMs += 1_000
      bench.connection.heard()
      bench.do({ type: 'time' })
    }
    expect(bench.connection.phase).toBe('online')
    expect(bench.frames).toEqual([1, 2, 3].map((nonce) => ({ type: 'ping', nonce })))
  })

  it('given an answer in time, then the next ping is a heartbeat after the last one', () => {
    const bench = new Bench().to('online')
    bench.nowMs = 10_000
    bench.do({ type: 'time' })
    bench.nowMs = 15_000
    bench.connection.heard()
    expect(bench.connection.dueMs).toBe(20_000)
  })

  it('given a probe without an answer, then the socket is dead after its time', () => {
    const bench = new Bench().to('online')
    bench.do({ type: 'probe' })
    expect(bench.connection.dueMs).toBe(connectionTimes.probeTimeoutMs)
    bench.nowMs = connectionTimes.probeTimeoutMs
    bench.do({ type: 'time' })
    expect(bench.connection.phase).toBe('waiting')
  })

  it('given losses in a row, then waits grow with jitter up to their bound, and begin anew after a connection that lasted', () => {
    const bench = new Bench()
    const waits: number[] = []
    bench.do({ type: 'start' })
    const fail = (): void => {
      bench.do({ type: 'token', token: 't' })
      bench.do({ type: 'lost', socket: bench.connection.socket, code: 'TIMEOUT' })
      waits.push((bench.connection.dueMs ?? 0) - bench.nowMs)
      bench.nowMs = bench.connection.dueMs ?? 0
      bench.do({ type: 'time' })
    }
    for (let attempt = 0; attempt < 12; attempt++) fail()
    for (const [attempt, wait] of waits.entries()) expect(wait).toBeLessThanOrEqual(Math.min(30_000, 500 * 2 ** attempt))
    expect(Math.max(...waits.slice(7))).toBeGreaterThan(5_000)
    expect(new Set(waits).size).toBe(waits.length)
    bench.do({ type: 'token', token: 't' })
    bench.do({ type: 'opened', socket: bench.connection.socket }, { type: 'welcome', frame: welcome })
    expect(bench.connection.phase).toBe('online')
    bench.nowMs += connectionTimes.stableMs
    bench.do({ type: 'lost', socket: bench.connection.socket, code: 'TIMEOUT' })
    expect((bench.connection.dueMs ?? 0) - bench.nowMs).toBeLessThanOrEqual(500)
  })

  it('given somebody who says that now is the moment, then waits begin anew', () => {
    for (const during of ['dialing', 'waiting'] as const) {
      const bench = new Bench().to('asking')
      for (let attempt = 0; attempt < 8; attempt++) {
        bench.do({ type: 'token', token: 't' })
        bench.do({ type: 'lost', socket: bench.connection.socket, code: 'TIMEOUT' })
        bench.nowMs = bench.connection.dueMs ?? 0
        bench.do({ type: 'time' })
      }
      bench.do({ type: 'token', token: 't' })
      if (during === 'waiting') bench.do({ type: 'lost', socket: bench.connection.socket, code: 'TIMEOUT' })
      bench.do({ type: 'reconnect' })
      if (during === 'waiting') bench.do({ type: 'token', token: 't' })
      bench.do({ type: 'lost', socket: bench.connection.socket, code: 'TIMEOUT' })
      expect((bench.connection.dueMs ?? 0) - bench.nowMs).toBeLessThanOrEqual(500)
    }
  })

  it('given a node that welcomes and ends at once, then waits still grow', () => {
    const bench = new Bench().to('asking')
    let longest = 0
    for (let attempt = 0; attempt < 10; attempt++) {
      bench.do({ type: 'token', token: 't' })
      bench.do({ type: 'opened', socket: bench.connection.socket }, { type: 'welcome', frame: welcome })
      expect(bench.connection.phase).toBe('online')
      bench.do(goodbye('DRAINING', 'now'))
      expect(bench.connection.phase).toBe('waiting')
      longest = Math.max(longest, (bench.connection.dueMs ?? 0) - bench.nowMs)
      bench.nowMs = bench.connection.dueMs ?? 0
      bench.do({ type: 'time' })
    }
    expect(longest).toBeGreaterThan(2_000)
  })

  it('given advice to come later, then no attempt is sooner', () => {
    const bench = new Bench().to('online').do(goodbye('LIMIT_SESSIONS', 'backoff', 20_000))
    expect(bench.connection.dueMs).toBeGreaterThan(20_000)
  })

  it('given a token that ended, then a provider is asked again, and without one nothing is tried', () => {
    const provided = new Bench('provided').to('online').do(goodbye('TOKEN_EXPIRED', 'never'))
    expect(provided.connection.phase).toBe('waiting')
    const fixed = new Bench('fixed').to('online').do(goodbye('TOKEN_EXPIRED', 'never'))
    expect(fixed.connection.status).toEqual({ kind: 'refused', code: 'TOKEN_EXPIRED' })
  })

  it('given a token that will end, then the next one is asked for ahead of that and sent', () => {
    const exp = `x.${Buffer.from(JSON.stringify({ exp: 600 })).toString('base64url')}.x`
    const bench = new Bench().do(
      { type: 'start' },
      { type: 'token', token: exp },
      { type: 'opened', socket: 1 },
      { type: 'welcome', frame: welcome },
    )
    let asked = 0
    while (asked === 0 && bench.nowMs < 600_000) {
      bench.nowMs = bench.connection.dueMs ?? 0
      bench.connection.heard()
      bench.do({ type: 'time' })
      asked = bench.calls.filter((call) => call === 'requestToken').length - 1
    }
    expect(bench.nowMs).toBeGreaterThanOrEqual(400_000)
    expect(bench.nowMs).toBeLessThanOrEqual(541_000)
    bench.do({ type: 'token', token: 'next' })
    expect(bench.frames.at(-1)).toEqual({ type: 'token', token: 'next' })
  })
})
