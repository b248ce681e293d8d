/**
 * Whether the structs of one update can be integrated in some order at all.
 *
 * Items refer to items of other clients in the same update. What people make refers only to what was there before, so following
 * the references never comes back to where it began; in an update that was made up it can, and then Yjs keeps both ends as pending
 * for ever. The check walks as Yjs itself does (`integrateStructs`): depth first, one stack. Cost: O(blocks + references).
 *
 * The same walk finds how far each block can be integrated where something that is referred to is missing.
 */

/** Numbers a reference takes: block, clock of its struct, client and clock that it refers to. */
const width = 4

export class YjsOrder {
  /** The client of each block. */
  readonly clients: number[] = []
  private references = new Uint32Array(64 * width)
  private used = 0

  /** Notes that the struct at `clock` of the update's block number `block` refers to an item of another client. In the order of parsing. */
  refer(block: number, clock: number, toClient: number, toClock: number): void {
    if (this.used === this.references.length) {
      const grown = new Uint32Array(this.used * 2)
      grown.set(this.references)
      this.references = grown
    }
    this.references[this.used++] = block
    this.references[this.used++] = clock
    this.references[this.used++] = toClient
    this.references[this.used++] = toClock
  }

  /** What a block does not hold itself is before its first struct, so it counts as integrated. */
  isPossible(): boolean {
    if (this.used === 0) return true
    return this.walk(new Float64Array(this.clients.length).fill(Number.POSITIVE_INFINITY), undefined) === 'done'
  }

  /**
   * Lowers the clocks in `stops`, before which the structs of each block join what is held, to the first struct that refers to something
   * that is neither held nor before such a stop.
   *
   * @param held the next clock of a client.
   */
  stopAtMissing(stops: Float64Array, held: (client: number) => number): void {
    if (this.used > 0) this.walk(stops, held)
  }

  /** @param held undefined: all that is in no block is held, and nothing may be missing. */
  private walk(stops: Float64Array, held: ((client: number) => number) | undefined): 'done' | 'circle' {
    const { references, used, clients } = this
    const blocks = new Map<number, number>()
    for (let block = 0; block < clients.length; block++) blocks.set(clients[block] ?? 0, block)
    /** For each block its next reference that is not known to be satisfied. */
    const next = new Uint32Array(clients.length).fill(used)
    for (let at = used - width; at >= 0; at -= width) next[references[at] ?? 0] = at
    const waiting = new Uint8Array(clients.length)
    const stack: number[] = []
    /** For each level of the stack the clock that its block has to come past. */
    const targets: number[] = []
    const pop = (block: number): void => {
      waiting[block] = 0
      stack.pop()
      targets.pop()
    }
    for (let root = 0; root < clients.length; root++) {
      stack.push(root)
      targets.push(Number.POSITIVE_INFINITY)
      waiting[root] = 1
      while (stack.length > 0) {
        const block = stack[stack.length - 1] ?? 0
        const at = next[block] ?? used
        const clock = references[at + 1] ?? 0
        const isDone = at >= used || references[at] !== block
        if (isDone || clock >= (stops[block] ?? 0) || clock > (targets[targets.length - 1] ?? 0)) {
          pop(block)
          continue
        }
        const toClient = references[at + 2] ?? 0
        const toClock = references[at + 3] ?? 0
        const to = blocks.get(toClient)
        const isHeld = held === undefined ? to === undefined : held(toClient) > toClock
        const mayCome = to !== undefined && toClock < (stops[to] ?? 0)
        if (isHeld || (mayCome && isPast(references, used, next[to] ?? used, to, toClock))) next[block] = at + width
        else if (mayCome && waiting[to] === 0) {
          waiting[to] = 1
          stack.push(to)
          targets.push(toClock)
        } else if (held === undefined) return 'circle'
        else {
          stops[block] = clock
          pop(block)
        }
      }
    }
    return 'done'
  }
}

/** Whether `block` can be integrated beyond `clock` with the references before `at` satisfied. */
function isPast(references: Uint32Array, used: number, at: number, block: number, clock: number): boolean {
  return at >= used || references[at] !== block || (references[at + 1] ?? 0) > clock
}
