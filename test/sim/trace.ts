/**
 * What happened in a run, as one number and, if somebody wants to read it, as lines. Two runs are the same if their numbers are. The legend of
 * the lines stands in README.md.
 *
 * Two rounds of 32-bit FNV-1a: no number here is a fraction or a logarithm, so that every version of Node.js comes to the same.
 */

import { epochMs } from './scheduler.js'

export class Trace {
  #low = 0x811c9dc5
  #high = 0x01234567
  #count = 0
  readonly #clock: { readonly nowMs: number }
  readonly #print: ((line: string) => void) | undefined

  constructor(clock: { readonly nowMs: number }, print?: (line: string) => void) {
    this.#clock = clock
    this.#print = print
  }

  /** 16 digits. */
  get hash(): string {
    return [this.#high, this.#low].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('')
  }

  get count(): number {
    return this.#count
  }

  /** @param code what it is, see the legend. @param who where. @param bytes what was said, if anything. */
  note(code: string, who: string, what: string | number = '', bytes?: Uint8Array): void {
    this.#count++
    const atMs = this.#clock.nowMs - epochMs
    const head = `${atMs} ${code} ${who} ${what}`
    for (let index = 0; index < head.length; index++) this.#take(head.charCodeAt(index))
    if (bytes !== undefined) this.#takeBytes(bytes)
    if (this.#print === undefined) return
    const size = bytes === undefined ? '' : ` ${bytes.length}B`
    this.#print(`${(atMs / 1000).toFixed(3).padStart(9)} ${code} ${who}${what === '' ? '' : ` ${what}`}${size}`)
  }

  /** All of what is short; of what is long every sixteenth byte, and its length. */
  #takeBytes(bytes: Uint8Array): void {
    const { length } = bytes
    this.#take(length)
    const stride = length > 1024 ? 16 : 1
    for (let index = 0; index < length; index += stride) this.#take(bytes[index] ?? 0)
  }

  #take(value: number): void {
    this.#low = Math.imul(this.#low ^ value, 0x01000193)
    this.#high = Math.imul(this.#high ^ value ^ (this.#low >>> 24), 0x01000193)
  }
}
