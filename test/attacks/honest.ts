/**
 * Two honest clients that type into one document while something else goes on, and the questions that are asked after every attack:
 * did anything of it reach them, is the node well, is nothing in its log that should not be.
 */

import { createHash } from 'node:crypto'
import { setTimeout as after } from 'node:timers/promises'
import { connect } from '@meridian/client'
import { parseDevice } from '@meridian/core/ids'
import * as Y from 'yjs'
import type { Victim } from './victim.js'
import { attachOf, pushOf, WireClient } from './wire.js'

/** Milliseconds between two edits of one client. */
const pauseMs = 15
/** A guard against hanging. */
const patienceMs = 20_000

class Honest {
  readonly client: WireClient
  readonly doc = new Y.Doc()
  readonly troubles: string[] = []
  /** Pushed, and acked. */
  counter = 0
  acked = 0
  /** The longest that an edit waited for its ack, in milliseconds: a figure to tell, not to assert. */
  slowestMs = 0
  readonly #sentAt = new Map<number, number>()
  readonly #label: string
  #timer: NodeJS.Timeout | undefined

  constructor(url: string, label: string) {
    this.#label = label
    this.client = new WireClient(url, { keeps: false })
    this.doc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin === 'remote') return
      this.#sentAt.set(++this.counter, Date.now())
      this.client.send(pushOf(1, this.counter, update))
    })
    this.client.onFrame = (frame) => {
      if (frame.type === 'update' || frame.type === 'state') Y.applyUpdate(this.doc, frame.payload, 'remote')
      else if (frame.type === 'ack') this.#hear(frame.counter)
      else if (frame.type === 'refused' || frame.type === 'denied' || frame.type === 'goodbye') this.troubles.push(frame.code)
    }
  }

  async start(document: string, token: string): Promise<void> {
    let welcome = false
    let current = false
    const { onFrame } = this.client
    this.client.onFrame = (frame) => {
      if (frame.type === 'welcome') welcome = true
      if (frame.type === 'current') current = true
      onFrame?.(frame)
    }
    await this.client.open()
    this.client.send({ ...helloFor(this.#label, token) }, attachOf(1, document))
    await this.client.until('welcome and current', () => welcome && current)
    this.client.onFrame = onFrame
    this.goOn()
  }

  get words(): readonly string[] {
    return this.doc.getArray<string>('words').toArray()
  }

  goOn(): void {
    this.#timer ??= setInterval(() => this.edit(), pauseMs)
  }

  edit(): void {
    const words = this.doc.getArray<string>('words')
    words.insert(Math.floor(words.length / 2), [`${this.#label}${this.counter + 1}`])
  }

  #hear(counter: number): void {
    for (; this.acked < counter; this.acked++) {
      this.slowestMs = Math.max(this.slowestMs, Date.now() - (this.#sentAt.get(this.acked + 1) ?? Date.now()))
      this.#sentAt.delete(this.acked + 1)
    }
  }

  rest(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

const helloFor = (label: string, token: string) => ({ type: 'hello', protocol: 1, device: deviceOf(label), token }) as const

const deviceOf = (label: string) => parseDevice(createHash('md5').update(`${label}${process.pid}${deviceCount++}`).digest('hex'))
let deviceCount = 0

export class HonestPair {
  readonly #both: readonly Honest[]

  private constructor(both: readonly Honest[]) {
    this.#both = both
  }

  static async start(victim: Victim, { document = 'dev/honest/pair', token = '' } = {}): Promise<HonestPair> {
    const both = [new Honest(victim.url, 'a'), new Honest(victim.url, 'b')]
    for (const one of both) await one.start(document, token)
    return new HonestPair(both)
  }

  /** Edits that were made so far; each is one entry of the log. */
  get edits(): number {
    return this.#both.reduce((sum, one) => sum + one.counter, 0)
  }

  /** The longest that an edit waited for its ack since this was last asked, in milliseconds. */
  takeSlowestMs(): number {
    const slowest = Math.max(...this.#both.map((one) => one.slowestMs))
    for (const one of this.#both) one.slowestMs = 0
    return slowest
  }

  goOn(): void {
    for (const one of this.#both) one.goOn()
  }

  /** Stops typing and waits until everything is acked and both show the same; says what went wrong, empty if nothing. */
  async settle(): Promise<string[]> {
    const [first, second] = this.#both
    if (first === undefined || second === undefined) throw new Error('a pair is two')
    for (const one of this.#both) one.rest()
    const troubles: string[] = []
    const isDone = (): boolean =>
      first.acked === first.counter && second.acked === second.counter && first.words.length === second.words.length
    const isOver = (): boolean => this.#both.some((one) => one.client.end !== undefined)
    const givenUp = Date.now() + patienceMs
    while (!isDone() && !isOver() && Date.now() < givenUp) await after(10)
    if (!isDone()) troubles.push(`acked ${first.acked} of ${first.counter} and ${second.acked} of ${second.counter}`)
    for (const one of this.#both) {
      troubles.push(...one.troubles)
      if (one.client.end !== undefined) troubles.push(`closed: ${JSON.stringify(one.client.end)}`)
    }
    if (first.words.join() !== second.words.join()) troubles.push('the two differ')
    const held = new Set(first.words)
    const missing = this.#both.flatMap((one, index) =>
      Array.from({ length: one.counter }, (_, edit) => `${'ab'[index]}${edit + 1}`).filter((word) => !held.has(word)),
    )
    if (missing.length > 0) troubles.push(`${missing.length} edits are missing`)
    return troubles
  }

  async close(): Promise<void> {
    for (const one of this.#both) {
      one.rest()
      await one.client.close()
    }
  }
}

export interface Bounds {
  /** By how much the node's resident memory may ever be greater in the attack than it was before, in MiB. Garbage is in it. */
  readonly growthMb: number
  /** Entries that the attack may leave in the log; those that it has to leave, if it is a number. */
  readonly entries?: number | 'any'
  readonly token?: string
  /** `collection/key` for a fresh client. */
  readonly fresh?: string
}

export interface Verdict {
  readonly honest: readonly string[]
  readonly ready: number
  readonly alive: boolean
  readonly fresh: string
  readonly entries: number | 'any'
  readonly damage: boolean
  readonly memory: string
}

export const unharmed = (bounds: Bounds): Verdict => ({
  honest: [],
  ready: 200,
  alive: true,
  fresh: 'served',
  entries: bounds.entries ?? 0,
  damage: false,
  memory: 'within its bound',
})

export interface Figures {
  readonly beforeMb: number
  readonly peakMb: number
  readonly afterMb: number
  readonly edits: number
  readonly slowestMs: number
}

/** Attacks while the pair types, and tells how the node came through it. */
export async function underAttack(
  victim: Victim,
  pair: HonestPair,
  bounds: Bounds,
  attack: () => Promise<void>,
): Promise<{ readonly verdict: Verdict; readonly figures: Figures }> {
  const honestBefore = await pair.settle()
  const entriesBefore = await victim.metric('meridian_entries_total')
  const editsBefore = pair.edits
  const beforeMb = victim.rssMb
  victim.forgetPeak()
  pair.takeSlowestMs()
  pair.goOn()
  await attack()
  // A short attack is over before anybody typed.
  await after(5 * pauseMs)
  const honest = [...honestBefore, ...(await pair.settle())]
  const edits = pair.edits - editsBefore
  if (edits === 0) honest.push('the pair could not type')
  const entries = (await victim.metric('meridian_entries_total')) - entriesBefore - edits
  const { peakMb, rssMb } = victim
  const verdict: Verdict = {
    honest,
    ready: await victim.readiness(),
    alive: victim.isAlive,
    fresh: await freshClient(victim, bounds),
    entries: bounds.entries === 'any' ? 'any' : entries,
    damage: /"level":"(error|fatal)"/.test(victim.output),
    memory: peakMb - beforeMb <= bounds.growthMb ? 'within its bound' : `${beforeMb} MiB before, ${peakMb} MiB at its peak`,
  }
  pair.goOn()
  const figures = { beforeMb, peakMb, afterMb: rssMb, edits, slowestMs: pair.takeSlowestMs() }
  if (process.env['MERIDIAN_ATTACK_FIGURES'] !== undefined) process.stderr.write(`figures ${JSON.stringify(figures)}\n`)
  return { verdict, figures }
}

let freshCount = 0

/** Somebody who comes now, with the client that users have. */
async function freshClient(victim: Victim, { token, fresh = 'fresh/note' }: Bounds): Promise<string> {
  const store = connect({ url: victim.url, ...(token === undefined ? {} : { token }) })
  try {
    const handle = store.open(`${fresh}-${process.pid}-${freshCount++}`)
    handle.ydoc.getText('t').insert(0, 'hello')
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(`not served: ${JSON.stringify(store.status)}`), 20_000)
    })
    const answer = await Promise.race([handle.saved().then(() => 'served'), late])
    clearTimeout(timer)
    return answer
  } catch (error) {
    return `not served: ${String(error)}`
  } finally {
    await store.close()
  }
}
