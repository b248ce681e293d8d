/** What two regions digest of a document to find out whether they hold it alike (LINK6): the same bytes at both ends, keyed by those of the transfer. */

import * as encoding from 'lib0/encoding'
import type { DocumentName } from '../../ids.js'
import type { GroupDocument } from '../../log.js'
import { writeVersion } from '../../version.js'

export function keyedName(key: Uint8Array, document: DocumentName): Uint8Array {
  const encoder = encoding.createEncoder()
  encoding.writeUint8Array(encoder, key)
  encoding.writeVarString(encoder, document)
  return encoding.toUint8Array(encoder)
}

export function keyedDocument(key: Uint8Array, { document, life, ended, version }: GroupDocument): Uint8Array {
  const encoder = encoding.createEncoder()
  encoding.writeUint8Array(encoder, key)
  encoding.writeVarString(encoder, document)
  encoding.writeVarUint(encoder, life * 2 + (ended ? 1 : 0))
  writeVersion(encoder, version)
  return encoding.toUint8Array(encoder)
}
