/**
 * An origin of its own with one page: an entry of `pages/`, bundled by esbuild with what the packages export to browsers. It stays up
 * while a node is dead or a profile is offline, as an app that a service worker keeps does.
 */

import { createServer, type Server } from 'node:http'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

export interface BundleOptions {
  /** Default false: readable stack traces. */
  readonly minify?: boolean
  /** Names that the page imports and the test stands in for: from, to. */
  readonly alias?: Readonly<Record<string, string>>
}

/** The script of a page, as one file. */
export async function bundlePage(entry: string, options: BundleOptions = {}): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    conditions: ['browser'],
    minify: options.minify === true,
    legalComments: 'none',
    logLevel: 'silent',
    ...(options.alias === undefined ? {} : { alias: { ...options.alias } }),
  })
  return outputFiles[0]?.text ?? ''
}

/** An entry in `pages/`: beside this source, or found from `dist`. */
export function pageEntry(name: string): string {
  const near = new URL(`./pages/${name}`, import.meta.url)
  return fileURLToPath(existsSync(near) ? near : new URL(`../../browser/pages/${name}`, import.meta.url))
}

export class Site {
  readonly url: string
  readonly #server: Server

  private constructor(server: Server, url: string) {
    this.#server = server
    this.url = url
  }

  static async start(script: string): Promise<Site> {
    const server = createServer((request, response) => {
      const isScript = request.url?.startsWith('/page.js') === true
      response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html; charset=utf-8')
      response.setHeader('cache-control', 'no-store')
      response.end(isScript ? script : html)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('the site has no port')
    return new Site(server, `http://127.0.0.1:${address.port}/`)
  }

  async dispose(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }
}

const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Meridian test page</title>
<link rel="icon" href="data:,">
<script type="module" src="/page.js"></script>
</html>
`
