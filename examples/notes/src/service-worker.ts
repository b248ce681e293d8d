/**
 * The app without a network: what was built is kept whole when the worker is installed, and answered from there.
 *
 * A version is one cache. It is filled before the worker is installed, or not at all, and serves only pages that it controls: a new
 * version waits until no page of the old one is left, or until the user says so (`update.ts`), so that no page ever gets files of two builds.
 * Documents are none of its business: those are in the client's store.
 */

declare const self: ServiceWorkerGlobalScope
/** Put in by build.mjs: the hash of everything that was built, and its paths. */
declare const version: string
declare const precache: readonly string[]

const prefix = 'meridian-notes-'
const cacheName = prefix + version
const paths: ReadonlySet<string> = new Set(precache)

/** What the node answers itself, and what must not look as if it were the app. */
const ofTheNode = /^\/(?:v\d+\/|healthz$|readyz$|metrics$|version$|openapi)/

self.addEventListener('install', (event) => {
  // Past the browser's own cache: it could hold files of another build under names that have no hash.
  const requests = precache.map((path) => new Request(path, { cache: 'reload' }))
  event.waitUntil(caches.open(cacheName).then((cache) => cache.addAll(requests)))
})

self.addEventListener('activate', (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) =>
        Promise.all(names.filter((name) => name.startsWith(prefix) && name !== cacheName).map((name) => caches.delete(name))),
      )
      .then(() => self.clients.claim()),
  )
})

self.addEventListener('message', (event) => {
  if (event.data === 'activate') void self.skipWaiting()
})

self.addEventListener('fetch', (event) => {
  const { request } = event
  const { origin, pathname } = new URL(request.url)
  if (request.method !== 'GET' || origin !== self.location.origin) return
  if (request.mode === 'navigate' && !ofTheNode.test(pathname)) event.respondWith(cached('/', request))
  else if (paths.has(pathname)) event.respondWith(cached(pathname, request))
})

/** The network is asked only if the browser has thrown the cache away. */
async function cached(path: string, request: Request): Promise<Response> {
  const cache = await caches.open(cacheName)
  return (await cache.match(path)) ?? fetch(request)
}
