/** As nodes take them: 64 bits of SHA-256. */

import { createHash } from 'node:crypto'

export const digestOf = (bytes: Uint8Array): bigint => createHash('sha256').update(bytes).digest().readBigUInt64LE()
