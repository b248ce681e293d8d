/** What people do and what fails, one action at a time. Whatever lasts ends by itself; the heal phase ends the rest. */

import { unreachable } from '@meridian/core/errors'
import { SeededRandom } from '../random.js'
import type { Cluster, Member } from './cluster.js'
import type { Edit, Target, Watched } from './history.js'
import type { Action, FaultKind } from './options.js'

export function act(cluster: Cluster, action: Action): void {
  const random = new SeededRandom(action.roll)
  if (action.kind === 'edit') edit(cluster, random)
  else strike(cluster, action.kind, random)
}

/** A log slows down, a document grows, a text is taken out: of a hundred edits so many. */
const perHundred = { remove: 12, large: 5 }

function edit(cluster: Cluster, random: SeededRandom): void {
  const member = random.pick(cluster.members)
  if (member.device.isAsleep) return
  const watched = cluster.open(member, random.pick(member.targets))
  const { handle, target } = watched
  if (handle.status.kind === 'erased') return
  cluster.isTouched = true
  const list = handle.ydoc.getArray<string>('list')
  const { history, trace } = cluster
  if (list.length > 0 && random.below(100) < perHundred.remove) {
    const index = random.below(list.length)
    const found = history.edits.get(list.get(index))
    if (found !== undefined) found.removed = true
    trace.note('-', `d${member.device.number}`, `${target.name} ${index}`)
    list.delete(index, 1)
    return
  }
  const size = random.below(100) < perHundred.large ? random.between(500, random.chance(0.05) ? 150_000 : 9_000) : 0
  const text = `e${cluster.editCount++}${size > 0 ? '.'.repeat(size) : ''}`
  const made: Edit = {
    ...{ text, target, device: member.device.number },
    ...{ seen: history.seenBy(member.seen), shown: member.seen.shown, shownCount: member.seen.shown.length },
    causes: causesOf(cluster, member, target),
    ...{ stored: false, savedIn: undefined, free: false, removed: false, dot: undefined },
  }
  history.edits.set(text, made)
  trace.note('+', `d${member.device.number}`, `${target.name} ${text.slice(0, 10)}`)
  list.insert(random.below(list.length + 1), [text])
  ask(cluster, member, watched, made, random)
}

/** Whether it is stored and saved is asked for, and believed. */
function ask(cluster: Cluster, { device }: Member, watched: Watched, made: Edit, random: SeededRandom): void {
  const { client } = device
  const { history } = cluster
  const { era } = history
  watched.handle.stored().then(
    () => {
      if (device.client === client) made.stored = true
    },
    () => undefined,
  )
  if (random.chance(0.5)) return
  watched.handle.saved().then(
    () => {
      // A region that was restored meanwhile may have said it before.
      if (device.client !== client || era !== history.era) return
      cluster.savedCount++
      cluster.trace.note('!', `d${device.number}`, made.text.slice(0, 10))
      history.saved(made)
    },
    () => undefined,
  )
}

/** What its region has. An own edit that waits for its document may be passed by edits of others (outbox.ts). */
function causesOf(cluster: Cluster, member: Member, target: Target): string[] {
  const causes: string[] = []
  for (const watched of member.watched.values()) {
    if (watched.target === target) continue
    const { history } = cluster
    const text = watched.order.findLast(
      (shown) => history.isDurableAt(member.site.index, shown) && history.edits.get(shown)?.removed !== true,
    )
    if (text !== undefined) causes.push(text)
  }
  return causes
}

function strike(cluster: Cluster, kind: FaultKind, random: SeededRandom): void {
  const { scheduler, trace, sites, history } = cluster
  const later = (atMostMs: number, run: () => void): void => scheduler.after(random.between(1, atMostMs), run)
  const member = random.pick(cluster.members)
  const { device } = member
  const site = random.pick(sites)
  const pair = cluster.between.pairs.length > 0 ? random.pick(cluster.between.pairs) : undefined
  cluster.struck(kind)
  trace.note('*', kind)
  switch (kind) {
    case 'cut':
      return device.link?.cut()
    case 'die':
      return device.link?.die()
    case 'unreachable':
      device.reachable = false
      device.link?.cut()
      return later(10_000, () => {
        device.reachable = true
      })
    case 'slowReader': {
      const { link } = device
      link?.slow()
      for (let time = 0; time < 5; time++) later(3_000, () => link?.drain(random.between(1, 4_000)))
      return later(6_000, () => link?.hurry())
    }
    case 'cutPair':
      return pair === undefined
        ? undefined
        : cluster.between.cut(pair, random.between(100, 20_000), random.pick(['heard', 'unheard']))
    case 'halfOpen':
      return pair?.wire?.die(random.pick([0, 1]))
    case 'partition': {
      // Some regions on this side, the others on that one.
      const side = new Set(sites.filter(() => random.chance(0.5)))
      const forMs = random.between(1_000, 30_000)
      const how = random.pick(['heard', 'unheard'] as const)
      for (const other of cluster.between.pairs)
        if (side.has(other.ends[0]) !== side.has(other.ends[1])) cluster.between.cut(other, forMs, how)
      return
    }
    case 'flap':
      if (pair === undefined) return
      for (let time = 0; time < 10; time++)
        scheduler.after(time * random.between(50, 800), () => cluster.between.cut(pair, random.between(50, 400), 'heard'))
      return
    case 'clog':
      return pair === undefined ? undefined : cluster.between.clog(pair, random.between(100, 5_000))
    case 'killDevice':
      cluster.restart(member)
      return random.chance(0.7) ? cluster.openAll(member) : undefined
    case 'sleep':
      if (device.isAsleep) return
      device.sleep()
      if (random.chance(0.6)) device.link?.die()
      return later(random.pick([500, 5_000, 40_000]), () => cluster.wake(member))
    case 'roam':
      // Another region from its next process on.
      if (member.site !== site) history.hasRescued = true
      member.site = site
      device.url = site.url
      cluster.restart(member)
      return cluster.openAll(member)
    case 'crash':
      site.crash()
      return later(3_000, () => site.start())
    case 'crashAll':
      for (const one of sites) {
        one.crash()
        later(3_000, () => one.start())
      }
      return
    case 'drain':
      site.drain()
      return later(3_000, () => site.start())
    case 'stop': {
      const { node } = site
      node?.stop()
      return later(random.pick([200, 5_000, 15_000]), () => node?.continue())
    }
    case 'failCommit':
      return site.log.failAppend(random.pick(['LOG_FULL', 'LOG_UNAVAILABLE']), random.pick(['lost', 'kept']))
    case 'fullDisk':
      for (let time = 0; time < 12; time++)
        later(5_000, () => {
          if (!cluster.isHealed) site.log.failAppend('LOG_FULL', 'lost')
        })
      return
    case 'failReads': {
      const { log } = site
      const operation = random.pick([
        'openDocument',
        'openGroup',
        'readDocument',
        'readGroup',
        'readSnapshot',
        'lastPush',
        'seekGroup',
      ] as const)
      log.failReads((asked) => (asked === operation ? 'LOG_UNAVAILABLE' : undefined))
      return later(1_500, () => log.failReads(undefined))
    }
    case 'slowDisk': {
      const before = site.options.diskMs
      site.diskMs = random.between(100, 1_500)
      return later(8_000, () => {
        site.diskMs = before
      })
    }
    case 'fullDevice':
      device.storeFault = random.pick(['STORE_FULL', 'STORE_FAILED'])
      return later(4_000, () => {
        device.storeFault = undefined
      })
    case 'restore': {
      if (site.backups.length === 0 || random.chance(0.5)) {
        site.backups.push(site.store.copy())
        return
      }
      const copy = random.pick(site.backups).copy()
      site.crash()
      history.restored(site.index, copy)
      return site.start(copy)
    }
    case 'jumpClock':
      if (random.chance(0.5)) site.skewMs += random.between(-3_600_000, 3_600_000)
      else device.skewMs += random.between(-3_600_000, 3_600_000)
      return
    case 'tokensDown':
      cluster.tokensDown = true
      return later(8_000, () => {
        cluster.tokensDown = false
      })
    case 'closeHandle': {
      if (device.isAsleep) return
      const watched = member.watched.get(random.pick(member.targets))
      if (watched === undefined) return
      member.watched.delete(watched.target)
      cluster.isTouched = true
      return void watched.handle.close()
    }
    case 'erase': {
      const doomed = cluster.targets.filter((target) => target.isDoomed)
      return site.erase(random.pick(doomed).name)
    }
    default:
      return unreachable(kind)
  }
}
