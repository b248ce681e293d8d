/**
 * One run of a cluster, by what a seed drew: warm-up, chaos (safety only), heal, a deadline by which all is well again, and an audit. It ends at
 * the first thing that is wrong.
 */

import { yjsEngine } from '@meridian/core/engines/yjs'
import type { DocumentStatus } from '@meridian/client/status'
import { covers } from '@meridian/core/version'
import * as Y from 'yjs'
import { foldedBy } from '../rig.js'
import { epochMs } from '../scheduler.js'
import { act } from './actions.js'
import { Cluster, times } from './cluster.js'
import { groupOfTarget, listOf, type Watched } from './history.js'
import type { Drawn } from './options.js'

export interface RunReport {
  readonly seed: number
  readonly hash: string
  /** Empty if all is well. */
  readonly wrong: readonly string[]
  /** Milliseconds of the simulated clock at which the first of it was seen. */
  readonly wrongAtMs: number | undefined
  /** How often each kind of fault happened, and what each rule says was compared. */
  readonly faults: Readonly<Record<string, number>>
  readonly rules: Readonly<Record<string, number>>
  readonly simulatedMs: number
  readonly steps: number
  readonly edits: number
  readonly saved: number
  readonly entries: number
  readonly messages: number
  readonly restarts: number
}

/** Simulated milliseconds in which a healed world comes to rest. Back-off of devices is what takes longest. */
const deadlineMs = 400_000
/** Between two looks at bounds. */
const boundsMs = 100
const stepsMax = 20_000_000

class Run {
  readonly cluster: Cluster
  readonly #drawn: Drawn
  steps = 0

  constructor(drawn: Drawn, print?: (line: string) => void) {
    this.#drawn = drawn
    this.cluster = new Cluster(drawn.options, print)
  }

  async all(): Promise<void> {
    const { options, actions } = this.#drawn
    const { cluster } = this
    const { scheduler, history } = cluster
    for (const member of cluster.members) cluster.openAll(member)
    await this.#turn()
    for (const action of actions) scheduler.after(action.atMs, () => act(cluster, action))
    this.#watchBounds(options.warmUpMs + options.chaosMs)
    await this.pass(epochMs + options.warmUpMs + options.chaosMs)
    if (history.wrong.length > 0) return
    cluster.trace.note('#', 'heal')
    this.#heal()
    const untilMs = scheduler.nowMs + deadlineMs
    // Calm twice in a row: a node whose clock was put right may find a socket silent for too long.
    for (let calm = 0; calm < 2 && scheduler.nowMs < untilMs && history.wrong.length === 0; ) {
      await this.pass(scheduler.nowMs + 2_000)
      calm = this.#isCalm() ? calm + 1 : 0
    }
    if (history.wrong.length === 0) this.#audit()
    if (history.wrong.length === 0) await this.#leave()
  }

  /** One thing after the other, each with all the promises that hang on it. */
  async pass(untilMs: number): Promise<void> {
    const { cluster } = this
    const { scheduler, history } = cluster
    while (history.wrong.length === 0 && scheduler.step(untilMs)) {
      if (++this.steps > stepsMax) throw new Error('the world does not come to rest')
      if (cluster.isTouched) await this.#turn()
    }
    if (history.wrong.length === 0) scheduler.advance(Math.max(0, untilMs - scheduler.nowMs))
  }

  async #turn(): Promise<void> {
    this.cluster.isTouched = false
    await new Promise((resolve) => setImmediate(resolve))
    this.cluster.look()
  }

  #watchBounds(untilMs: number): void {
    const { scheduler } = this.cluster
    const again = (): void => {
      this.cluster.checkBounds()
      if (scheduler.nowMs - epochMs < untilMs) scheduler.after(boundsMs, again)
    }
    scheduler.after(boundsMs, again)
  }

  #heal(): void {
    const { cluster } = this
    cluster.isHealed = true
    cluster.tokensDown = false
    cluster.between.heal()
    for (const site of cluster.sites) {
      site.diskMs = site.options.diskMs
      site.skewMs = 0
      site.log.failReads(undefined)
      site.log.forgiveAppends()
      site.node?.continue()
      site.start()
    }
    for (const member of cluster.members) {
      member.device.reachable = true
      member.device.storeFault = undefined
      member.device.skewMs = 0
      cluster.wake(member)
    }
    cluster.network.heal()
    for (const member of cluster.members) cluster.openAll(member)
    cluster.isTouched = true
  }

  /** Someone who waits does nothing but wait: no reconnect(), no new token by hand. */
  #isCalm(): boolean {
    const { members } = this.cluster
    if (members.some(({ device }) => device.client.pending > 0)) return false
    return (
      members.every(({ watched }) => [...watched.values()].every((one) => isAtRest(one.handle.status) && this.#isEqual(one))) &&
      this.#areRegionsEqual()
    )
  }

  #areRegionsEqual(): boolean {
    const { history, sites, targets } = this.cluster
    const groups = new Set(targets.map(groupOfTarget))
    return [...groups].every((group) => {
      const versions = sites.map((site) => history.versionAt(site.index, group))
      const [first, ...rest] = versions
      return first !== undefined && rest.every((version) => covers(first, version) && covers(version, first))
    })
  }

  #isEqual({ handle, target, device }: Watched): boolean {
    if (handle.status.kind === 'erased') return true
    const site = this.cluster.members[device]?.site
    return site !== undefined && listOf(handle.ydoc).join() === this.cluster.history.list(site.index, target.name).join()
  }

  #difference({ handle, target, device }: Watched): string {
    const site = this.cluster.members[device]?.site
    if (site === undefined) return ''
    const shown = listOf(handle.ydoc)
    const held = this.cluster.history.list(site.index, target.name)
    const lacks = held.filter((text) => !shown.includes(text))
    const has = shown.filter((text) => !held.includes(text))
    const { pendingStructs, pendingDs } = handle.ydoc.store
    const waits = pendingStructs === null && pendingDs === null ? '' : ', and something waits'
    return `: lacks ${brief(lacks)}, has ${brief(has)} besides${waits}`
  }

  #audit(): void {
    const { cluster } = this
    const { history, members, sites, targets } = cluster
    history.hold('CONVERGE')
    if (!this.#areRegionsEqual()) history.fail('[LINK3] regions hold different versions after all has healed')
    for (const { device, watched } of members) {
      for (const one of watched.values()) {
        const where = `${one.target.name} of device ${device.number}`
        if (!isAtRest(one.handle.status)) history.fail(`[PROGRESS] ${where} is still ${JSON.stringify(one.handle.status)}`)
        if (!this.#isEqual(one)) history.fail(`[SES1] ${where} differs from the log${this.#difference(one)}`)
      }
      if (device.client.pending > 0) history.fail(`[PROGRESS] device ${device.number} has ${device.client.pending} edits pending`)
      for (const thrown of device.reported) history.fail(`[ERR] device ${device.number} threw ${String(thrown)}`)
      const own = device.errors.find((error) => error.code === 'INTERNAL')
      if (own !== undefined) history.fail(`[ERR] device ${device.number}: ${own.stack ?? own.message}`)
    }
    for (const target of targets) {
      if (target.isDoomed && history.erased.has(target.name)) {
        // A restore may have taken the erase before another region had it.
        if (!sites.some(({ index }) => history.isErasedAt(index, target.name))) continue
        for (const site of sites) this.#auditErased(site.index, target.name)
        continue
      }
      const lists = sites.map((site) => history.list(site.index, target.name))
      const [first = []] = lists
      for (const [index, list] of lists.entries()) {
        if (new Set(list).size !== list.length) history.fail(`[SES2] ${target.name} has something twice in region ${index}`)
        if (list.join() !== first.join()) history.fail(`[LINK2] ${target.name} differs between regions 0 and ${index}`)
        this.#auditStore(index, target.name, list)
      }
      const held = new Set(first)
      for (const edit of history.edits.values()) {
        if (edit.target === target && history.isPromised(edit) && !held.has(edit.text))
          history.fail(`[SES2] ${edit.text.slice(0, 12)} of device ${edit.device} is lost from ${target.name}`)
      }
    }
    for (const { node } of sites) {
      for (const socket of node?.sessions ?? []) {
        history.hold('SES4')
        // The mark, and what goes in one message when it is reached.
        const most = cluster.limits.bufferedBytesMax + cluster.limits.messageBytesMax
        if (socket.bufferedBytesPeak > most) history.fail(`[SES4] a socket held ${socket.bufferedBytesPeak} bytes`)
      }
    }
  }

  /** RES7: everywhere, and nothing of what it held is left. */
  #auditErased(index: number, name: Watched['target']['name']): void {
    const { history, sites } = this.cluster
    const site = sites[index]
    const held = site?.store.documents.get(name)
    if (held?.ended !== true) history.fail(`[RES7] ${name} is not erased in region ${index}`)
    else if (held.snapshot !== undefined || held.entries.some((entry) => entry.payload.length > 0))
      history.fail(`[RES7] something of ${name} is left in region ${index}`)
  }

  /** What a reader of the store gets, by snapshot and entries, is what the entries said when they were written. */
  #auditStore(index: number, name: Watched['target']['name'], list: readonly string[]): void {
    const { history, sites } = this.cluster
    const store = sites[index]?.store
    const held = store?.documents.get(name)
    if (store === undefined || held === undefined || held.ended) return
    history.hold('LOG4')
    const { state } = foldedBy(store, name).snapshot
    const doc = new Y.Doc({ guid: 'audit' })
    doc.clientID = 0
    Y.applyUpdate(doc, state.bytes)
    if (listOf(doc).join() !== list.join())
      history.fail(`[LOG4] snapshot and entries of ${name} say something else in region ${index}`)
    const digest = yjsEngine.digest([state.bytes])
    const other = this.#digests.get(name)
    this.#digests.set(name, digest)
    if (other !== undefined && other !== digest) history.fail(`[CONVERGE] ${name} has another digest in region ${index}`)
  }
  readonly #digests = new Map<string, string>()

  /** Everybody closes, some of them with work left: nothing is left behind, on the nodes or in their processes. */
  async #leave(): Promise<void> {
    const { cluster } = this
    const { scheduler, members, sites, history } = cluster
    for (const member of members) {
      void member.device.client.close()
      member.watched.clear()
    }
    cluster.isTouched = true
    await this.#turn()
    await this.pass(scheduler.nowMs + times.silenceMs * 3)
    const timers = members.reduce((sum, { device }) => sum + device.timers.size, 0)
    if (timers > 0) history.fail(`[SES3] ${timers} timers are left after everybody has gone`)
    for (const { node, index } of sites) {
      if (node === undefined) return history.fail(`[PROGRESS] region ${index} is down in the end`)
      const { hub } = node
      const left = {
        sessions: node.sessions.size,
        counted: hub.sessionCount,
        documents: hub.documentCount,
        pending: hub.pendingBytes,
      }
      for (const [what, count] of Object.entries(left))
        if (count > 0) history.fail(`[SES3] ${count} ${what} are left in region ${index} after everybody has gone`)
    }
  }
}

const brief = (texts: readonly string[]): string => texts.map((text) => text.slice(0, 12)).join(' ') || 'nothing'

const isAtRest = (status: DocumentStatus): boolean =>
  status.kind === 'erased' || (status.kind === 'current' && status.pending === 0)

export async function run(drawn: Drawn, print?: (line: string) => void): Promise<RunReport> {
  const one = new Run(drawn, print)
  const { cluster } = one
  const { history, scheduler, trace } = cluster
  try {
    await one.all()
  } catch (thrown) {
    history.fail(`[ERR] ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`)
  }
  const isWrong = history.wrong.length > 0
  trace.note('#', 'end', `${scheduler.askedCount} ${one.steps}`)
  return {
    seed: drawn.options.seed,
    hash: trace.hash,
    wrong: history.wrong,
    wrongAtMs: isWrong ? scheduler.nowMs - epochMs : undefined,
    faults: cluster.faults,
    rules: Object.fromEntries(history.reached),
    simulatedMs: scheduler.nowMs - epochMs,
    steps: one.steps,
    edits: history.edits.size,
    saved: cluster.savedCount,
    entries: history.entryCount,
    messages: cluster.between.messageCount,
    restarts: cluster.sites.reduce((sum, site) => sum + site.restarts, 0),
  }
}
