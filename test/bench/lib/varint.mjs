// lib0 varints, just enough for drivers that read frames in place.

/** The value that the last `readVarUint` read, so that no object is made per call. */
export const read = { value: 0 }

/**
 * [hot] Reads a lib0 varUint (7 bits a byte, least significant first) of up to 53 bits.
 * @param {Uint8Array} buffer
 * @param {number} at
 * @returns {number} the position after it; the value is in `read.value`.
 */
export function readVarUint(buffer, at) {
  let value = 0
  let scale = 1
  for (;;) {
    const byte = buffer[at++]
    if (byte === undefined || scale > 2 ** 49) throw new Error(`varint runs over at byte ${at}`)
    value += (byte & 0x7f) * scale
    if (byte < 0x80) break
    scale *= 128
  }
  read.value = value
  return at
}

/**
 * [hot]
 * @param {Uint8Array} buffer
 * @param {number} at
 * @param {number} value
 * @returns {number} the position after it.
 */
export function writeVarUint(buffer, at, value) {
  while (value > 127) {
    buffer[at++] = (value % 128) | 0x80
    value = Math.floor(value / 128)
  }
  buffer[at++] = value
  return at
}

/**
 * @param {number} value
 * @returns {Uint8Array}
 */
export function varUint(value) {
  const buffer = new Uint8Array(8)
  return buffer.slice(0, writeVarUint(buffer, 0, value))
}
