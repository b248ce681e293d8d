/**
 * What a page hears of its network and its own life that a socket does not say: a browser that is set offline, a device that slept and a
 * tab that was frozen close no socket. Nothing is believed: each is a reason to ask the node whether it is still there.
 */

import type { Store } from '../client.js'

/** The answer ends it. In a worker there is no document, and only the network is heard of. */
export function followPage(store: Pick<Store, 'probe' | 'reconnect'>): () => void {
  const end = new AbortController()
  const { signal } = end
  const probe = (): void => store.probe()
  const reconnect = (): void => store.reconnect()
  globalThis.addEventListener?.('online', reconnect, { signal })
  globalThis.addEventListener?.('offline', probe, { signal })
  if (typeof document === 'undefined') return () => end.abort()
  globalThis.addEventListener('pageshow', reconnect, { signal })
  document.addEventListener('resume', reconnect, { signal })
  document.addEventListener(
    'visibilitychange',
    () => {
      if (document.visibilityState === 'visible') store.reconnect()
    },
    { signal },
  )
  return () => end.abort()
}
