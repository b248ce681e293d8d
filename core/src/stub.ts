/**
 * Stubs: what an erase leaves of an entry for links, its dot and chain value (RES7). A stub names the life that was erased, and nothing of what the
 * entry said. The erase itself stands further on in the log of whoever erased: a region that is handed the stub first would else hold what builds
 * on the entry and not the entry (ADR 22).
 *
 * `erased := varUint(version) • varString(document) • varUint(engine) • varUint(life)`; a stub of a release before has no bytes.
 */

import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import { decoded, readString, readVarUint } from './bytes.js'
import { type EngineName, engineNameOf, engineNumber } from './engine.js'
import type { Entry } from './entry.js'
import { MeridianError } from './errors.js'
import { type DocumentName, parseDocument } from './ids.js'

/** A life of a document that was erased. */
export interface ErasedLife {
  readonly document: DocumentName
  readonly engine: EngineName
  readonly life: number
}

const stubVersion = 1
const noBytes = new Uint8Array(0)

export function stubOf<E extends Omit<Entry, 'position'>>(entry: E): E {
  const { kind, document, engine, life } = entry
  const payload =
    kind === 'stub'
      ? entry.payload
      : document === undefined || engine === undefined
        ? noBytes
        : encodeErased({ document, engine, life })
  return { ...entry, kind: 'stub', document: undefined, engine: undefined, life: 0, payload }
}

/** The document that an entry says something of: of a stub the one that was erased. @throws MeridianError FRAME_INVALID */
export const documentOf = ({
  kind,
  document,
  payload,
}: Pick<Entry, 'kind' | 'document' | 'payload'>): DocumentName | undefined =>
  kind === 'stub' ? erasedOf(payload)?.document : document

export function encodeErased({ document, engine, life }: ErasedLife): Uint8Array {
  const encoder = encoding.createEncoder()
  encoding.writeVarUint(encoder, stubVersion)
  encoding.writeVarString(encoder, document)
  encoding.writeVarUint(encoder, engineNumber[engine])
  encoding.writeVarUint(encoder, life)
  return encoding.toUint8Array(encoder)
}

/**
 * What a stub names; undefined if it is of a release before, or of a newer one.
 *
 * @throws MeridianError FRAME_INVALID
 */
export function erasedOf(payload: Uint8Array): ErasedLife | undefined {
  if (payload.length === 0) return undefined
  return decoded(() => {
    const decoder = decoding.createDecoder(payload)
    if (readVarUint(decoder) !== stubVersion) return undefined
    const document = parseDocument(readString(decoder, 1024))
    const engine = engineNameOf(readVarUint(decoder))
    const life = readVarUint(decoder)
    if (engine === undefined)
      throw new MeridianError('FRAME_INVALID', { message: 'A stub is of an engine that is not known here.' })
    return { document, engine, life }
  })
}
