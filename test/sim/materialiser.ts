/** A materialiser for wires over a rig. */

import type { Engine } from '@meridian/core/engine'
import { yjsEngine } from '@meridian/core/engines/yjs'
import { MeridianError } from '@meridian/core/errors'
import { toPosition } from '@meridian/core/ids'
import type { Materialised, Materialiser, Worked } from '@meridian/core/materialised'
import { emptyVersion } from '@meridian/core/version'
import type { Rig } from './rig.js'

/** Reads the rig's log each time, and works at once. */
export class SimMaterialiser implements Pick<Materialiser, 'materialise' | 'differences' | 'translate'> {
  rig: Rig | undefined
  readonly #engine: Engine

  constructor(engine: Engine = yjsEngine) {
    this.#engine = engine
  }

  materialise: Materialiser['materialise'] = (document, done) => {
    const log = this.rig?.log
    log?.openDocument(document, (opened) => {
      if (opened.kind === 'failed') return done({ kind: 'failed', code: opened.code })
      if (opened.value.engine === undefined) return done({ kind: 'absent' })
      log.readSnapshot(document, (snapshot) => {
        const held = snapshot.kind === 'done' ? snapshot.value : undefined
        log.readDocument(document, held?.position ?? toPosition(0), { bytes: 1e9, entries: 1e6 }, (read) => {
          if (read.kind === 'failed') return done({ kind: 'failed', code: read.code })
          const updates = read.value.entries.filter((entry) => entry.kind === 'update').map((entry) => entry.payload)
          const all = held === undefined ? updates : [held.state.bytes, ...updates]
          const value: Materialised = {
            document,
            engine: this.#engine.name,
            life: 1,
            version: emptyVersion,
            position: read.value.asOf,
            updates: all,
            bytes: all.reduce((sum, update) => sum + update.length, 0),
          }
          done({ kind: 'done', value })
        })
      })
    })
  }

  differences: Materialiser['differences'] = (state, known, done) =>
    this.#work(() => this.#engine.differences(state.updates, known), done)

  translate: Materialiser['translate'] = (_engine, foreign, done) => this.#work(() => this.#engine.translate(foreign), done)

  #work<T>(work: () => T, done: (answer: Worked<T>) => void): void {
    this.rig?.node.later(() => {
      let value: T
      try {
        value = work()
      } catch (thrown) {
        if (!(thrown instanceof MeridianError)) throw thrown
        return done({ kind: 'refused', message: thrown.message })
      }
      done({ kind: 'done', value })
    })
  }
}
