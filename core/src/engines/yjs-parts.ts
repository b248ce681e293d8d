/**
 * Where the structs of an update lie that come before a clock of their client: what a pass of the parser notes, so that they can be
 * written anew as they are. In V1 each struct stands by itself and a block is in order, so that its beginning is a run of bytes.
 */

/** The beginning of a block: the structs of one client. */
export interface YjsPart {
  readonly client: number
  /** Of its first struct. */
  readonly clock: number
  readonly count: number
  /** Of its structs. */
  readonly from: number
  readonly to: number
}

export class YjsParts {
  /** Those that are not empty, in the order of the update. */
  readonly parts: YjsPart[] = []
  readonly #stops: ArrayLike<number>
  #stop = 0
  #part: { client: number; clock: number; count: number; from: number; to: number } | undefined

  /** @param stops for each block the clock before which its structs are wanted. */
  constructor(stops: ArrayLike<number>) {
    this.#stops = stops
  }

  /** A block begins, its structs at `offset`. */
  begin(block: number, { client, clock, offset }: { client: number; clock: number; offset: number }): void {
    this.#stop = this.#stops[block] ?? 0
    this.#part = { client, clock, count: 0, from: offset, to: offset }
  }

  /** A struct that is no gap, the last of `count` in its block, ends before `offset`. */
  take(clock: number, count: number, offset: number): void {
    const part = this.#part
    if (part === undefined || clock >= this.#stop) return
    if (part.count === 0) this.parts.push(part)
    part.count = count
    part.to = offset
  }
}
