/** A newer build of the app: fetched in the background, and taken when somebody says so or when no page of the old one is left. */

import { useSyncExternalStore } from 'react'

let waiting: ServiceWorker | undefined
const listeners = new Set<() => void>()

/** True once a newer version is ready to be taken. */
export const useUpdate = (): boolean =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => waiting !== undefined,
  )

/** The new worker takes over, and every page of the app is loaded again under it: none runs old code beside a new cache. */
export const takeUpdate = (): void => waiting?.postMessage('activate', [])

/** Milliseconds between looks for a newer build while the page is open; a browser looks at each navigation, and an installed app has none. */
const lookMs = 3_600_000

export async function registerWorker(): Promise<void> {
  // Browsers have it only in secure contexts: https, and http on this machine.
  if (!('serviceWorker' in navigator)) return
  const { serviceWorker } = navigator
  // The first worker takes over a page that it fits; only a later one stands for another build.
  let isControlled = serviceWorker.controller !== null
  serviceWorker.addEventListener('controllerchange', () => {
    if (isControlled) location.reload()
    isControlled = true
  })
  const registration = await serviceWorker.register('/service-worker.js', { updateViaCache: 'none' })
  const look = (): void => {
    // The first install has no older version that it could replace.
    if (registration.waiting === null || serviceWorker.controller === null) return
    waiting = registration.waiting
    for (const listener of listeners) listener()
  }
  look()
  registration.addEventListener('updatefound', () => registration.installing?.addEventListener('statechange', look))
  setInterval(() => {
    // Offline it fails, and the next look is in an hour.
    registration.update().catch(() => undefined)
  }, lookMs)
}
