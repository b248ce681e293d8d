/** Who is told when something changed. */

export type Listener = () => void

/** The answer ends it. */
export function subscribe(listeners: Set<Listener>, listener: Listener): () => void {
  // Wrapped, so that one function given twice is told twice and ended once each.
  const own = (): void => listener()
  listeners.add(own)
  return () => {
    listeners.delete(own)
  }
}
