/** The placement groups that a running hub knows: loaded from the log once, and again when it was opened anew. */

import { Holders } from './holders.js'
import type { GroupId } from './ids.js'
import { LiveGroup } from './live-group.js'
import type { LogErrorCode, RegionLog } from './log.js'

interface Slot {
  readonly group: LiveGroup
  state: 'loading' | 'ready'
  readonly waiting: ((code: LogErrorCode | undefined) => void)[]
}

export class LiveGroups {
  readonly #log: RegionLog
  readonly #newHandle: () => number
  readonly #changed: (group: LiveGroup) => void
  readonly #slots = new Map<GroupId, Slot>()
  readonly #holders = new Map<GroupId, Holders>()

  /** @param changed the log was asked again, and a group may hold more than was known. */
  constructor(log: RegionLog, newHandle: () => number, changed: (group: LiveGroup) => void) {
    this.#log = log
    this.#newHandle = newHandle
    this.#changed = changed
  }

  /** Undefined if nothing of it was asked for yet. */
  known(id: GroupId): LiveGroup | undefined {
    return this.#slots.get(id)?.group
  }

  /** The group at once, known or not. */
  get(id: GroupId): LiveGroup {
    return this.#slot(id).group
  }

  /** Calls back when the group is loaded, at once if it is, with why it could not be. */
  whenReady(id: GroupId, run: (code: LogErrorCode | undefined) => void): void {
    const slot = this.#slot(id)
    if (slot.state === 'ready') run(slot.group.isJoining ? 'JOINING' : undefined)
    else slot.waiting.push((code) => run(code ?? (slot.group.isJoining ? 'JOINING' : undefined)))
  }

  /** Which regions hold what of the group, as far as they told. */
  holders(group: GroupId): Holders {
    let holders = this.#holders.get(group)
    if (holders === undefined) {
      holders = new Holders()
      this.#holders.set(group, holders)
    }
    return holders
  }

  /** Asks the log again what it holds of the group. */
  reload(group: LiveGroup): void {
    this.#log.openGroup(group.id, (outcome) => {
      if (outcome.kind === 'failed') {
        group.isStale = true
        return
      }
      group.adopt(outcome.value)
      this.#changed(group)
    })
  }

  reloadAll(): void {
    for (const slot of this.#slots.values()) this.reload(slot.group)
  }

  /** LINK6: the group is served again, as the log now has it. */
  endJoin(id: GroupId): void {
    const group = this.known(id)
    if (group === undefined) return
    this.#log.openGroup(id, (outcome) => {
      if (outcome.kind === 'done') group.adopt(outcome.value)
      else group.isStale = true
      group.isJoining = false
      for (const run of group.watchers) run()
    })
  }

  #slot(id: GroupId): Slot {
    const held = this.#slots.get(id)
    if (held !== undefined) return held
    const slot: Slot = { group: new LiveGroup(id, this.#newHandle(), this.holders(id)), state: 'loading', waiting: [] }
    this.#slots.set(id, slot)
    this.#log.openGroup(id, (outcome) => {
      if (outcome.kind === 'done') {
        slot.group.adopt(outcome.value)
        slot.group.isJoining ||= outcome.value.joining === true
        slot.state = 'ready'
      } else this.#slots.delete(id)
      for (const run of slot.waiting.splice(0)) run(outcome.kind === 'done' ? undefined : outcome.code)
    })
    return slot
  }
}
