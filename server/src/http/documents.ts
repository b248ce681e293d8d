/**
 * Documents for people and programs that know no CRDT: what HTTP asks of the hub and of materialised documents, as promises. It decides nothing
 * about who may: whoever calls has been admitted, with the group and the epoch that the choke point gave.
 *
 * - Writes go through visits, and so through the lanes of the hub as every push.
 * - SES5 A read at a version waits for the region to hold it, no longer than `waitMs`.
 */

import type { Random } from '@meridian/core/effects'
import type { Edit, EngineName, Reading } from '@meridian/core/engine'
import { type ErrorCode, MeridianError } from '@meridian/core/errors'
import type { Hub } from '@meridian/core/hub'
import type { DeviceId, DocumentName, GroupId } from '@meridian/core/ids'
import type { SessionLimits } from '@meridian/core/limits'
import type { LiveGroup } from '@meridian/core/live-group'
import type { Done, LogErrorCode, Outcome } from '@meridian/core/log'
import type { Materialisation, Materialised, Materialiser, Worked } from '@meridian/core/materialised'
import { isEmpty, type Version } from '@meridian/core/version'
import { Visit, type Visited, type VisitTask } from '@meridian/core/visit'
import { HttpProblem, problem, problemOf } from './problem.js'
import { versionToken } from './version-token.js'

export interface DocumentsOptions {
  readonly hub: Hub
  readonly materialiser: Materialiser
  readonly random: Random
  readonly limits: SessionLimits
}

/** Where a document is, as the choke point said. */
export interface Place {
  readonly document: DocumentName
  readonly group: GroupId
  readonly epoch: number
}

/** What a client calls one of its writes, so that a resend of it is recognised. */
export interface WriteName {
  readonly device: DeviceId
  readonly counter: number
}

export type Written = Extract<Visited, { kind: 'saved' | 'found' }>

/** Ids of authors whose edits are made here: Yjs draws 32 bits at random, too. Below it they are reserved for seeds. */
const authorMin = 2

/** Every seed has this author, so that the same template of two callers, or of two regions, is the same update. */
export const seedAuthor = 1

/** Draws for an author who is new to the document; with 32 bits one is enough but for bad luck. */
const drawsMax = 8

export class Documents {
  readonly #options: DocumentsOptions
  readonly #visits = new Set<Visit>()

  constructor(options: DocumentsOptions) {
    this.#options = options
  }

  /** About once a second. */
  tick(): void {
    for (const visit of this.#visits) visit.tick()
  }

  /** The group, once it covers `seen`. @throws MeridianError, HttpProblem NOT_YET_VISIBLE with what is missing */
  async covered(id: GroupId, seen: Version): Promise<LiveGroup> {
    const group = await new Promise<LiveGroup | LogErrorCode>((resolve) => this.#options.hub.withGroup(id, resolve))
    if (typeof group === 'string') throw new MeridianError(group)
    const missing = isEmpty(seen) ? undefined : await this.#waitFor(group, seen)
    if (missing === undefined) return group
    throw new HttpProblem(
      { ...problemOf(new MeridianError('NOT_YET_VISIBLE')), missing: versionToken(missing) },
      { 'retry-after': '1' },
    )
  }

  /** The document as of now and no earlier than `seen`. @throws MeridianError, HttpProblem 404 */
  async state(place: Place, seen: Version): Promise<Materialised> {
    await this.covered(place.group, seen)
    const answer = await this.#materialise(place.document)
    if (answer.kind === 'absent') throw notWritten()
    if (answer.kind === 'ended') throw new MeridianError('ERASED')
    return answer.value
  }

  async read(state: Materialised, reading: Reading): Promise<string> {
    return outcomeOf(await new Promise<Worked<string>>((resolve) => this.#options.materialiser.read(state, reading, resolve)))
  }

  async whole(state: Materialised): Promise<Uint8Array> {
    return outcomeOf(await new Promise<Worked<Uint8Array>>((resolve) => this.#options.materialiser.whole(state, resolve)))
  }

  async differences(state: Materialised, known: Uint8Array): Promise<readonly Uint8Array[]> {
    return outcomeOf(
      await new Promise<Worked<readonly Uint8Array[]>>((resolve) =>
        this.#options.materialiser.differences(state, known, resolve),
      ),
    )
  }

  /** @throws MeridianError with the code that a push would be refused with */
  async push(
    place: Place,
    payload: Uint8Array,
    options: { readonly name: WriteName | undefined; readonly seen: Version; readonly engine: EngineName | undefined },
  ): Promise<Written> {
    return this.#visit(place, { kind: 'push', mode: 'open', payload, ...options })
  }

  /** `found` if there is a life already; then nothing is stored, whatever `payload` is. */
  async create(
    place: Place,
    payload: Uint8Array,
    { name, engine = defaultEngine }: { readonly name: WriteName | undefined; readonly engine: EngineName | undefined },
  ): Promise<Written> {
    return this.#visit(place, { kind: 'push', mode: 'create', engine, payload, name, seen: noVersion })
  }

  /** A template as the update that it is for whoever seeds with it: its roots in the order of their names, by one author. */
  async template(roots: Readonly<Record<string, unknown>>, engine: EngineName = defaultEngine): Promise<Uint8Array> {
    return this.#edit(engine, seedOf(roots), seedAuthor)
  }

  /** An edit made on the document as it is now. An edit that changes nothing is not stored. */
  async edit(
    place: Place,
    edit: Edit,
    options: { readonly name: WriteName | undefined; readonly seen: Version },
  ): Promise<Written> {
    await this.covered(place.group, options.seen)
    const { name } = options
    // A resend would be made on what its first copy left, and could fail there: whether there was one is asked first.
    if (name !== undefined && (await this.#knows(place.group, name))) {
      const { version, life } = await this.state(place, noVersion)
      return {
        kind: 'saved',
        version: { floors: new Map(version.floors), sequences: new Map(version.sequences) },
        dot: undefined,
        life,
      }
    }
    const state = await this.state(place, noVersion)
    for (let draw = 0; ; draw++) {
      try {
        const payload = await this.#edit(state, edit, Math.max(authorMin, this.#options.random.uint32()))
        if (payload.length === 0) return { kind: 'saved', version: copyOf(state.version), dot: undefined, life: state.life }
        return await this.push(place, payload, { name, seen: noVersion, engine: state.engine })
      } catch (thrown) {
        if (draw >= drawsMax || !isAuthorTaken(thrown)) throw thrown
      }
    }
  }

  async erase(place: Place): Promise<Written> {
    return this.#visit(place, { kind: 'erase', epoch: place.epoch })
  }

  /** Why the region lacks what was seen, after a bounded wait. */
  #waitFor(group: LiveGroup, seen: Version): Promise<Version | undefined> {
    const missing = group.lacks(seen)
    if (missing === undefined) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      const look = (): void => {
        if (group.lacks(seen) === undefined) end(undefined)
      }
      const end = (lacking: Version | undefined): void => {
        clearTimeout(timer)
        group.watchers.delete(look)
        resolve(lacking)
      }
      const timer = setTimeout(() => end(group.lacks(seen)), this.#options.limits.waitMs)
      group.watchers.add(look)
    })
  }

  #materialise(document: DocumentName): Promise<Exclude<Materialisation, { kind: 'failed' }>> {
    return new Promise((resolve, reject) => {
      this.#options.materialiser.materialise(document, (answer) => {
        if (answer.kind === 'failed') reject(new MeridianError(answer.code))
        else resolve(answer)
      })
    })
  }

  async #knows(group: GroupId, { device, counter }: WriteName): Promise<boolean> {
    const { log } = this.#options.hub.effects
    const last = await ask<{ readonly counter: number } | undefined>((done) => log.lastPush(group, device, done))
    return last !== undefined && last.counter >= counter
  }

  async #edit(state: Materialised | EngineName, edit: Edit, author: number): Promise<Uint8Array> {
    return outcomeOf(
      await new Promise<Worked<Uint8Array>>((resolve) => this.#options.materialiser.edit(state, edit, author, resolve)),
    )
  }

  async #visit(place: Place, task: VisitTask): Promise<Written> {
    const { hub, limits } = this.#options
    const visited = await new Promise<Visited>((resolve) => {
      let visit: Visit | undefined
      let ended = false
      visit = new Visit(hub, {
        document: place.document,
        group: place.group,
        limits,
        task,
        done: (answer) => {
          ended = true
          if (visit !== undefined) this.#visits.delete(visit)
          resolve(answer)
        },
      })
      if (!ended) this.#visits.add(visit)
    })
    if (visited.kind === 'absent') throw notWritten()
    if (visited.kind === 'refused') throw refusal(visited.code, visited.missing)
    return visited
  }
}

const seedOf = (roots: Readonly<Record<string, unknown>>): Edit => ({
  kind: 'patch',
  operations: Object.entries(roots)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([root, value]) => ({ op: 'add', path: `/${root.replaceAll('~', '~0').replaceAll('/', '~1')}`, value })),
})

/** Documents that begin over HTTP are of this engine. */
const defaultEngine: EngineName = 'yjs'

const noVersion: Version = { floors: new Map(), sequences: new Map() }

const copyOf = (version: Version): Written['version'] => ({
  floors: new Map(version.floors),
  sequences: new Map(version.sequences),
})

function refusal(code: ErrorCode, missing: Version): Error {
  const error = new MeridianError(code)
  return isEmpty(missing) ? error : new HttpProblem({ ...problemOf(error), missing: versionToken(missing) })
}

const notWritten = (): HttpProblem =>
  new HttpProblem(problem(404, 'Not found', 'Nothing was written to this document yet. PUT with If-None-Match: * begins it.'))

/** @throws MeridianError UPDATE_INVALID for what does not go with the document, INTERNAL or TIMEOUT for work that failed */
function outcomeOf<T>(answer: Worked<T>): T {
  switch (answer.kind) {
    case 'done':
      return answer.value
    case 'refused':
      throw new MeridianError('UPDATE_INVALID', { message: answer.message })
    case 'failed':
      if (answer.why === 'busy' || answer.why === 'time')
        throw new MeridianError('TIMEOUT', {
          message: 'The node has more of this work than it can do now, or the document is too large for it.',
        })
      if (answer.why === 'memory') throw new MeridianError('DOCUMENT_TOO_LARGE')
      throw new MeridianError(answer.why === 'closed' ? 'DRAINING' : 'INTERNAL')
  }
}

const isAuthorTaken = (thrown: unknown): boolean =>
  thrown instanceof MeridianError && thrown.code === 'UPDATE_INVALID' && thrown.sentence.startsWith('The author of an edit')

async function ask<T>(run: (done: Done<T>) => void): Promise<T> {
  const outcome = await new Promise<Outcome<T>>((resolve) => run(resolve))
  if (outcome.kind === 'failed') throw new MeridianError(outcome.code)
  return outcome.value
}
