/** What `npm start` runs, on ports that nobody has and in a folder that goes. */

import { createServer } from 'node:net'
import { LocalCluster } from '@meridian/server/console/local-cluster'
import { createPage, pageFolder, servePage } from '@meridian/server/console/page'
import { plannedRegions } from '@meridian/server/console/plan'
import { readAppFiles } from '@meridian/server/http/app-files'
import type { Resources } from './resources.js'

/** One that nobody has now. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
  })
  if (address === null || typeof address === 'string') throw new Error('it had a port')
  return address.port
}

export interface Console {
  readonly cluster: LocalCluster
  /** Address of the page. */
  readonly page: string
  urlOf(region: string): string
}

export async function startConsole(resources: Resources): Promise<Console> {
  const regions = await Promise.all(plannedRegions.map(async (region) => ({ ...region, port: await freePort() })))
  const cluster = await LocalCluster.start({ regions, dataDir: resources.directory(), delayMs: 5 })
  resources.later(() => cluster.close())
  const urls = Object.fromEntries(regions.map(({ name, port }) => [name, `http://127.0.0.1:${port}`]))
  const page = await servePage(createPage(cluster, readAppFiles(pageFolder), Object.values(urls)), 0)
  resources.later(() => page.close())
  return {
    cluster,
    page: page.url,
    urlOf: (name) => urls[name] ?? '',
  }
}
