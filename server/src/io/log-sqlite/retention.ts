/**
 * For whom a log keeps entries that it needs no more itself (LOG4): the peers of each group, with what each holds. It answers one question, up to
 * which position everything of a group may go, and remembers what stood in the way, so that a peer that is too far behind is given up.
 */

import { millisecondsOf, toHybridTime } from '@meridian/core/hybrid-time'
import type { SqliteDatabase, SqliteStatement } from '@meridian/core/io/sqlite'
import { decodeVersion } from '@meridian/core/version'
import type { DotIndex } from './dots.js'

export interface RetentionOptions {
  /** Milliseconds that an entry is kept for a peer, by the entry's own time. */
  readonly retainMs: number
  /** Payload bytes that are kept for peers in all groups; beyond it the peer that is farthest behind is given up. */
  readonly retainBytes: number
}

/** A peer named, and what it holds. */
export interface Retained {
  readonly group: string
  readonly region: string
  readonly version: Uint8Array
}

interface Blocked {
  position: number
  time: number
  bytes: number
}

interface PeerLimit {
  readonly region: string
  readonly position: number
  readonly behind: boolean
}

export class Retention {
  private readonly options: RetentionOptions
  private readonly dots: DotIndex
  private readonly peersOf: SqliteStatement
  private readonly putPeer: SqliteStatement
  private readonly setPeer: SqliteStatement
  private readonly removePeer: SqliteStatement
  private readonly limits = new Map<number, readonly PeerLimit[]>()
  private readonly blocked = new Map<number, Blocked>()
  private readonly givenUp = new Set<string>()

  constructor(database: SqliteDatabase, dots: DotIndex, options: RetentionOptions) {
    this.options = options
    this.dots = dots
    this.peersOf = database.prepare('SELECT region, version FROM peers WHERE group_ref = ?')
    this.putPeer = database.prepare('INSERT OR IGNORE INTO peers (group_ref, region, version, at_ms) VALUES (?, ?, ?, ?)')
    this.setPeer = database.prepare('UPDATE peers SET version = ?, at_ms = ? WHERE group_ref = ? AND region = ?')
    this.removePeer = database.prepare('DELETE FROM peers WHERE group_ref = ? AND region = ?')
  }

  /** Inside a transaction. */
  setPeers(group: number, regions: readonly string[], empty: Uint8Array): void {
    for (const [region] of this.peersOf.all([group]))
      if (typeof region === 'string' && !regions.includes(region)) this.removePeer.run([group, region])
    for (const region of regions) this.putPeer.run([group, region, empty, Date.now()])
    this.forget(group)
  }

  /** Inside a transaction. */
  retain(group: number, region: string, version: Uint8Array): void {
    this.setPeer.run([version, Date.now(), group, region])
    this.givenUp.delete(`${group}/${region}`)
    this.forget(group)
  }

  /** What is known of a group's peers no longer holds. */
  forget(group: number): void {
    this.limits.delete(group)
  }

  hasPeers(group: number): boolean {
    return this.peersOf.get([group]) !== undefined
  }

  /** Everything up to here may go that is needed for links alone. `settled`: the newest position that `dots` knows. */
  limit(group: number, settled: number): number {
    let limit = Number.POSITIVE_INFINITY
    for (const peer of this.limitsOf(group, settled))
      if (!peer.behind && !this.givenUp.has(`${group}/${peer.region}`)) limit = Math.min(limit, peer.position)
    return limit
  }

  /** This had to stay. */
  block(group: number, entry: { readonly position: number; readonly time: number; readonly bytes: number }): void {
    const held = this.blocked.get(group)
    if (held === undefined) this.blocked.set(group, { ...entry })
    else {
      held.bytes += entry.bytes
      if (entry.position < held.position) {
        held.position = entry.position
        held.time = entry.time
      }
    }
  }

  get hasBlocked(): boolean {
    return this.blocked.size > 0
  }

  beginPass(): void {
    this.blocked.clear()
    this.limits.clear()
  }

  /** At the end of a pass over all that could go. True if a peer was given up, so that another pass is worth it. */
  giveUp(): boolean {
    const before = this.givenUp.size
    let bytes = 0
    let largest: [number, Blocked] | undefined
    for (const [group, held] of this.blocked) {
      if (Date.now() - millisecondsOf(toHybridTime(held.time)) > this.options.retainMs) this.giveUpBefore(group, held.position)
      bytes += held.bytes
      if (largest === undefined || held.bytes > largest[1].bytes) largest = [group, held]
    }
    if (bytes > this.options.retainBytes && largest !== undefined && this.givenUp.size === before) {
      this.giveUpBefore(largest[0], this.limit(largest[0], 0) + 1)
    }
    return this.givenUp.size > before
  }

  private giveUpBefore(group: number, position: number): void {
    for (const peer of this.limitsOf(group, 0))
      if (!peer.behind && peer.position < position) this.givenUp.add(`${group}/${peer.region}`)
  }

  private limitsOf(group: number, settled: number): readonly PeerLimit[] {
    const held = this.limits.get(group)
    if (held !== undefined) return held
    const limits = this.peersOf.all([group]).map(([region, version]): PeerLimit => {
      const held = Buffer.isBuffer(version) ? decodeVersion(version) : decodeVersion(new Uint8Array(1))
      const { position, behind } = this.dots.seek(group, held, { fresh: [], position: settled })
      return { region: String(region), position, behind }
    })
    this.limits.set(group, limits)
    return limits
  }
}
