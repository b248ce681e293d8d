/**
 * A region without clients: its hub over a log in memory, and real links over real sockets on loopback. What is written to it goes in by its hub, as
 * what a client pushes does.
 */

import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { yjsEngine } from '@meridian/core/engines/yjs'
import type { Receipt } from '@meridian/core/commit-queue'
import { Hub } from '@meridian/core/hub'
import type { DocumentName, RegionId } from '@meridian/core/ids'
import { defaultGroup, documentParts, parseRegion } from '@meridian/core/ids'
import { hubLimits } from '@meridian/core/limits'
import type { Subscription } from '@meridian/core/subscription'
import type { ClusterConfig, LinkLimits } from '@meridian/server/config'
import { createForwarding } from '@meridian/server/http/forwarded'
import { systemClock, systemRandom } from '@meridian/server/io/clock'
import { makeRegionKey, readRegionKey } from '@meridian/server/io/region-key'
import { RegionLinks } from '@meridian/server/io/region-links'
import { type LinkPlacement, placedEverywhere } from '@meridian/regions/link/placement'
import { parseTopology, type Topology } from '@meridian/regions/topology'
import { configOf, recordingLogger } from './running-node.js'
import { MemoryLog, MemoryStore } from '../../sim/memory-log.js'

const countries = ['IE', 'US', 'IN', 'JP', 'BR']

export interface RegionPlace {
  readonly name: RegionId
  /** PEM of the private key. */
  readonly key: string
  readonly publicKey: string
  readonly port: number
}

/** Places with keys, on ports that were free a moment ago: addresses stand in the cluster file before anybody listens. */
export async function placesOf(names: readonly string[]): Promise<RegionPlace[]> {
  const servers = names.map(() => createServer())
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return names.map((name, index) => {
    const { privatePem } = makeRegionKey()
    const port = ports[index] ?? 0
    return { name: parseRegion(name), key: privatePem, publicKey: readRegionKey(privatePem).publicKey, port }
  })
}

export interface ClusterChanges {
  readonly without?: readonly (readonly string[])[]
  /** By region: fields of its entry that are another. */
  readonly fields?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

/** The values of a cluster file. */
export const clusterOf = (places: readonly RegionPlace[], { without = [], fields = {} }: ClusterChanges = {}): object => ({
  version: 1,
  regions: Object.fromEntries(
    places.map(({ name, publicKey, port }, index) => [
      name,
      {
        jurisdiction: countries[index],
        operator: 'example-hosting',
        client: `ws://127.0.0.1:${port}`,
        link: `ws://127.0.0.1:${port}/v1/link`,
        publicKey,
        ...fields[name],
      },
    ]),
  ),
  without,
})

export function topologyOf(places: readonly RegionPlace[], changes: ClusterChanges = {}): Topology {
  const outcome = parseTopology(clusterOf(places, changes))
  if (outcome.kind === 'invalid') throw new Error(JSON.stringify(outcome.findings))
  return outcome.topology
}

export interface LinkedRegionOptions {
  readonly place: RegionPlace
  readonly topology: Topology
  /** Another key than that of the place. */
  readonly key?: string
  readonly limits?: Partial<LinkLimits>
  readonly placement?: LinkPlacement
  readonly store?: MemoryStore
}

export class LinkedRegion {
  readonly name: RegionId
  readonly hub: Hub
  readonly links: RegionLinks
  readonly store: MemoryStore
  readonly log: MemoryLog
  /** What it logged. */
  readonly lines: Record<string, unknown>[]
  readonly #place: RegionPlace
  readonly #server: Server

  private constructor({
    place,
    topology,
    key = place.key,
    limits = {},
    placement = placedEverywhere,
    store,
  }: LinkedRegionOptions) {
    this.name = place.name
    this.#place = place
    const random = systemRandom()
    const { logger, lines } = recordingLogger(configOf({ dev: true }))
    this.lines = lines
    this.store = store ?? new MemoryStore(place.name)
    this.log = new MemoryLog(this.store, { random, timing: (_step, run) => void setImmediate(run) })
    const cluster: ClusterConfig = { file: 'cluster.yaml', topology, key, authorities: undefined, policies: [] }
    this.links = new RegionLinks({
      region: place.name,
      cluster,
      limits: { ...configOf({ dev: true }).link, dialMs: 200, ...limits },
      log: this.log,
      placement,
      engines: { yjs: yjsEngine },
      logger,
      random,
      clientOf: createForwarding({ trustedProxies: [], countryHeader: undefined }),
      onKnown: () => undefined,
    })
    this.hub = new Hub(
      {
        log: this.log,
        clock: systemClock,
        random,
        admit: (_verb, document) => ({
          kind: 'yes',
          group: defaultGroup(documentParts(document).tenant),
          epoch: 0,
          rule: 'test',
        }),
        engines: { yjs: yjsEngine },
        aside: { inspect: () => undefined, cut: () => undefined, admissible: () => undefined },
        schedule: (run) => void setImmediate(run),
        compact: () => undefined,
        links: this.links,
      },
      { limits: hubLimits, aloneInGroups: false },
    )
    this.#server = createServer().on('upgrade', (request, socket, head) => this.links.upgrade(request, socket, head))
  }

  static async start(options: LinkedRegionOptions): Promise<LinkedRegion> {
    const region = new LinkedRegion(options)
    await new Promise<void>((resolve) => region.#server.listen(region.#place.port, '127.0.0.1', resolve))
    await region.links.begin(region.hub)
    return region
  }

  /** Durable when answered. */
  async write(document: DocumentName, payload: Uint8Array): Promise<void> {
    const live = this.hub.open(document, defaultGroup(documentParts(document).tenant))
    if (live.state === 'loading') await new Promise<void>((resolve) => void live.waiting.push(resolve))
    await new Promise<void>((resolve, reject) => {
      const receipt: Receipt = { saved: () => resolve(), failed: (_channel, _counter, _bytes, code) => reject(new Error(code)) }
      this.hub.append(live, payload, 0, {
        name: undefined,
        counter: 0,
        engine: 'yjs',
        bytes: payload.length,
        receipt,
        origin: nobody,
      })
    })
  }

  /** Payloads of a document, in the order of this region's log. */
  payloads(document: DocumentName): Uint8Array[] {
    return (this.store.documents.get(document)?.entries ?? []).map((entry) => entry.payload)
  }

  async close(): Promise<void> {
    this.links.close()
    this.log.crash()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

/** Who writes and does not listen. */
const nobody: Subscription = {
  engine: 'yjs',
  subscriber: {
    deliver: () => 'taken',
    flush: () => undefined,
    holdBack: () => undefined,
    wake: () => undefined,
    failed: () => undefined,
    erased: () => undefined,
  },
  channel: 0,
  state: 'opening',
  position: 0 as never,
  wroteCommit: 0,
  presence: undefined,
}
