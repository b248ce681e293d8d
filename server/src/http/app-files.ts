/**
 * The sample app as a node in development mode serves it: the files of one folder, read once at the start. A request picks from that list by
 * its whole path, so no path leads out of the folder, and nothing of the disk is touched for a request.
 *
 * Pages may do what the app needs and no more (CSP): code, styles, images and connections of this node. Styles may stand in the page, because
 * the editor writes its own there; nothing that a document holds becomes markup.
 */

import { createHash } from 'node:crypto'
import { type Dirent, readdirSync, readFileSync } from 'node:fs'
import { extname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Context } from 'hono'

/** Where `npm run build` puts the app. */
export const appFolder = fileURLToPath(new URL('../../app/', import.meta.url))

export interface AppFile {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly type: string
  readonly etag: string
  /** True if another content would have another name. */
  readonly isHashed: boolean
}

/** By path, `/index.html` first of all; empty if the app was not built. */
export type AppFiles = ReadonlyMap<string, AppFile>

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webmanifest': 'application/manifest+json',
}

export const indexPath = '/index.html'

/** @param folder its files are read; those of no known type are left out. */
export function readAppFiles(folder: string): AppFiles {
  const files = new Map<string, AppFile>()
  for (const path of filesOf(folder)) {
    const type = types[extname(path)]
    if (type === undefined) continue
    const bytes = new Uint8Array(readFileSync(join(folder, path)))
    const name = `/${path.split(sep).join('/')}`
    const hash = createHash('sha256').update(bytes).digest('base64url').slice(0, 22)
    files.set(name, { bytes, type, etag: `"${hash}"`, isHashed: /^\/assets\/.+-[A-Z0-9]{8}\.\w+$/.test(name) })
  }
  return files.has(indexPath) ? files : new Map()
}

function filesOf(folder: string): string[] {
  let entries: Dirent[]
  try {
    entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  } catch {
    // Not built: the page at / says how to.
    return []
  }
  return entries.filter((entry) => entry.isFile()).map((entry) => relative(folder, join(entry.parentPath, entry.name)))
}

/**
 * A file by its path; the page itself for a navigation to an address of the app. Undefined for everything else.
 *
 * @param regions addresses of the regions that the app may go on in.
 */
export function answerFromApp(files: AppFiles, context: Context, regions: readonly string[]): Response | undefined {
  const { path } = context.req
  const isPage = path === '/' || path === indexPath || (isNavigation(context) && isAppAddress(path))
  const file = files.get(isPage ? indexPath : path)
  if (file === undefined) return path === '/' ? context.html(notBuilt) : undefined
  return answerFile(file, context, isPage ? pageHeaders(context.req.header('host') ?? '', regions) : {})
}

/** @param more headers beside those that every file has. */
export function answerFile(file: AppFile, context: Context, more: Readonly<Record<string, string>>): Response {
  const headers: Record<string, string> = {
    etag: file.etag,
    'cache-control': file.isHashed ? 'public, max-age=31536000, immutable' : 'no-cache',
    ...more,
  }
  if (matches(context.req.header('if-none-match'), file.etag)) return context.body(null, 304, headers)
  return context.body(file.bytes, 200, { ...headers, 'content-type': file.type, 'content-length': String(file.bytes.length) })
}

/** Addresses that the app gives to its notes. */
const isAppAddress = (path: string): boolean => /^\/(?:n\/[^/]+|(?:eu|us)(?:\/[^/]+)?)$/.test(path)

/** What a browser asks for to show it in its window; a script that asks for a note's address should not get a page. */
const isNavigation = (context: Context): boolean => {
  const mode = context.req.header('sec-fetch-mode')
  return mode === undefined ? (context.req.header('accept') ?? '').includes('text/html') : mode === 'navigate'
}

const matches = (header: string | undefined, etag: string): boolean =>
  header !== undefined && header.split(',').some((one) => one.trim().replace(/^W\//, '') === etag)

/** @param host as the guard has let it pass; named beside 'self', which older browsers do not take for WebSockets. */
function pageHeaders(host: string, regions: readonly string[]): Record<string, string> {
  const others = regions.flatMap((url) => [
    new URL(url.replace(/^ws/, 'http')).origin,
    new URL(url.replace(/^http/, 'ws')).origin,
  ])
  return {
    'content-security-policy': [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self' 'unsafe-inline'",
      "img-src 'self' data:",
      "manifest-src 'self'",
      "worker-src 'self'",
      [`connect-src 'self' ws://${host} wss://${host}`, ...others].join(' '),
      "base-uri 'none'",
      "form-action 'none'",
      // The page of a local cluster shows the app of each region in a frame; no page of another machine may.
      'frame-ancestors http://127.0.0.1:* http://localhost:*',
    ].join('; '),
    'cross-origin-opener-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
  }
}

const notBuilt = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Meridian</title>
<style>body { max-width: 34rem; margin: 15vh auto; padding: 0 1.5rem; font: 1.05rem/1.6 sans-serif; color-scheme: light dark } code { font-size: 1.05em }</style>
<h1>This node is running</h1>
<p>The sample app is not built yet. Run <code>npm run build</code> in the top folder of the checkout, start the node again, and load this page.</p>
<p>Clients connect with <code>@meridian/client</code> to the address of this page.</p>
</html>
`
