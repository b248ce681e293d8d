/** How states of documents and what a group adopts go to the writer's thread (LINK6): cloned, but for the entries, which are one buffer. */

import type { EngineName } from '@meridian/core/engine'
import { engineNumber } from '@meridian/core/engine'
import type { Adopted, DocumentState } from '@meridian/core/log'
import { encodeVersion } from '@meridian/core/version'
import type { ForeignBatch } from './batch.js'
import { encodeForeign } from './batch.js'

export interface StateSnapshot {
  readonly version: Uint8Array
  readonly index: Uint8Array
  readonly state: Uint8Array
}

export interface StateRow {
  readonly document: string
  readonly engine: number
  readonly life: number
  readonly ended: boolean
  readonly version: Uint8Array
  readonly snapshot: StateSnapshot | undefined
  readonly entries: ForeignBatch
}

export interface AdoptedRows {
  readonly version: Uint8Array
  readonly chains: ReadonlyMap<string, bigint>
  readonly sealed: ReadonlyMap<string, number>
  readonly seals: ReadonlyMap<string, bigint>
}

export function stateRowOf({ document, engine, life, ended, version, snapshot, entries }: DocumentState): StateRow {
  return {
    ...{ document, engine: engineNumber[engine satisfies EngineName], life, ended },
    version: encodeVersion(version),
    snapshot:
      snapshot === undefined
        ? undefined
        : { version: encodeVersion(snapshot.version), index: snapshot.state.index, state: snapshot.state.bytes },
    entries: encodeForeign(entries),
  }
}

export const adoptedRowsOf = ({ version, chains, sealed, seals }: Adopted): AdoptedRows => ({
  version: encodeVersion(version),
  ...{ chains, sealed, seals },
})
