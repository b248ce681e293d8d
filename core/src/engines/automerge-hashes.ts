/**
 * [hot] A set of hashes of changes, each with its place: 40 bytes or so of memory for one, where a `Set` of strings takes 150. A hash is already spread
 * evenly; who wants many to begin alike pays for each with as many hashes as there are slots.
 */

/** Words of 32 bits in a hash. */
export const hashWords = 8

export class HashSet {
  /** How many there are; their places are 0 … count - 1, in the order in which they came. */
  count = 0
  #words = new Uint32Array(hashWords * 4)
  /** Place + 1, or 0. Twice as many as places, or more. */
  #slots = new Uint32Array(8)

  /** @returns the place of the hash at `at` of `words`; -1 if it is not in the set */
  find(words: Uint32Array, at: number): number {
    return (this.#slots[this.#slot(words, at)] ?? 0) - 1
  }

  has(words: Uint32Array, at: number): boolean {
    return this.find(words, at) >= 0
  }

  /** @returns whether it was new */
  add(words: Uint32Array, at: number): boolean {
    const slot = this.#slot(words, at)
    if (this.#slots[slot] !== 0) return false
    const start = this.count * hashWords
    if (start === this.#words.length) {
      const grown = new Uint32Array(start * 2)
      grown.set(this.#words)
      this.#words = grown
    }
    for (let index = 0; index < hashWords; index++) this.#words[start + index] = words[at + index] ?? 0
    this.count++
    this.#slots[slot] = this.count
    if (this.count * 2 > this.#slots.length) this.#spread()
    return true
  }

  /** All of them, in the order of their places. */
  get words(): Uint32Array {
    return this.#words.subarray(0, this.count * hashWords)
  }

  #slot(words: Uint32Array, at: number): number {
    const mask = this.#slots.length - 1
    for (let slot = (words[at] ?? 0) & mask; ; slot = (slot + 1) & mask) {
      const held = this.#slots[slot] ?? 0
      if (held === 0 || this.#equals((held - 1) * hashWords, words, at)) return slot
    }
  }

  #equals(start: number, words: Uint32Array, at: number): boolean {
    for (let index = 0; index < hashWords; index++) if (this.#words[start + index] !== words[at + index]) return false
    return true
  }

  #spread(): void {
    this.#slots = new Uint32Array(this.#slots.length * 2)
    for (let place = 0; place < this.count; place++) this.#slots[this.#slot(this.#words, place * hashWords)] = place + 1
  }
}

/** Hashes one after the other as words; big endian, so that words compare as bytes do. */
export function wordsOf(bytes: Uint8Array): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(bytes.length >>> 2)
  for (let index = 0; index < words.length; index++) {
    const at = index * 4
    words[index] = ((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)
  }
  return words
}

export function bytesOf(words: Uint32Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(words.length * 4)
  const view = new DataView(bytes.buffer)
  for (const [index, word] of words.entries()) view.setUint32(index * 4, word)
  return bytes
}
