/**
 * Whose the author ids of an open document are: while somebody is there who edits under an id (a Yjs client id), or was just now, nobody else brings
 * what that id has not brought itself. Whoever could would swallow the edits to come: Yjs takes equal clocks of an id for equal edits.
 *
 * - An id is bound by its own session saying so, first come. What is only relayed (a sync step, what a provider passes on) binds nothing.
 * - It stays bound for `leaseMs` after its last session, so that a connection that broke is not the moment to take it over.
 * - Only while the document is open here, and in this node only: what other regions admitted is theirs to judge (LINK8).
 */

/** Milliseconds: as long as presence lives without renewal, which is how others know of an id. */
export const leaseMs = 30_000
/** Ids that are bound by a lease alone, above which the oldest goes. */
const leasesMax = 1_024

interface Binding {
  readonly subject: string
  /** Sessions, by whatever stands for them. */
  readonly holders: Set<object>
  leaseUntilMs: number
}

export class Writers {
  /** By id; those whose lease began last come last. */
  readonly #bindings = new Map<number, Binding>()
  readonly #idOf = new Map<object, number>()

  /** A session says what id it edits under, once. */
  claim(id: number, holder: object, subject: string, nowMs: number): void {
    if (this.#idOf.has(holder) || this.isOfOther(id, subject, nowMs)) return
    let binding = this.#bindings.get(id)
    if (binding === undefined || binding.subject !== subject)
      this.#bindings.set(id, (binding = { subject, holders: new Set(), leaseUntilMs: 0 }))
    binding.holders.add(holder)
    this.#idOf.set(holder, id)
  }

  release(holder: object, nowMs: number): void {
    const id = this.#idOf.get(holder)
    const binding = id === undefined ? undefined : this.#bindings.get(id)
    if (id === undefined || binding === undefined) return
    this.#idOf.delete(holder)
    binding.holders.delete(holder)
    if (binding.holders.size > 0) return
    binding.leaseUntilMs = nowMs + leaseMs
    this.#bindings.delete(id)
    this.#bindings.set(id, binding)
    let leases = this.#bindings.size - this.#idOf.size
    for (const [other, { holders }] of this.#bindings) {
      if (leases <= leasesMax) break
      if (holders.size > 0) continue
      this.#bindings.delete(other)
      leases--
    }
  }

  /** @param subject undefined: somebody of no session. [hot] */
  isOfOther(id: number, subject: string | undefined, nowMs: number): boolean {
    const binding = this.#bindings.get(id)
    if (binding === undefined || binding.subject === subject) return false
    return binding.holders.size > 0 || nowMs < binding.leaseUntilMs
  }
}
