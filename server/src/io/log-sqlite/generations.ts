/**
 * A bounded cache in two generations: when the young one is full it becomes the old one, and what was in the old one and not asked for
 * since is forgotten. A hit costs one look-up and no order is kept, which is what a hot path wants of a cache.
 */

export class Generations<K, V> {
  private readonly countMax: number
  private young = new Map<K, V>()
  private old = new Map<K, V>()

  /** Holds between `countMax` and twice as many. */
  constructor(countMax: number) {
    this.countMax = countMax
  }

  get(key: K): V | undefined {
    const value = this.young.get(key)
    if (value !== undefined) return value
    const aged = this.old.get(key)
    if (aged !== undefined) this.set(key, aged)
    return aged
  }

  set(key: K, value: V): void {
    if (this.young.size >= this.countMax && !this.young.has(key)) {
      this.old = this.young
      this.young = new Map()
    }
    this.young.set(key, value)
  }

  clear(): void {
    this.young.clear()
    this.old.clear()
  }

  delete(key: K): void {
    this.young.delete(key)
    this.old.delete(key)
  }
}
