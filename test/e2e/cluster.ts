/**
 * Several regions on this machine: real nodes as processes, each with a store of its own, and between each two a proxy that is the network. Every
 * region reads a cluster file of its own, in which the addresses of the others are those of its proxies.
 */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeRegionKey } from '@meridian/server/io/region-key'
import { CutProxy, type ProxyOptions, type Weather } from './cut-proxy.js'
import { NodeProcess } from './node-process.js'
import type { Resources } from './resources.js'
import { every, until } from './waiting.js'

const countries: Readonly<Record<string, string>> = { 'eu-west': 'IE', 'us-east': 'US', 'ap-south': 'IN' }

export interface ClusterOptions {
  readonly names?: readonly string[]
  /** Milliseconds that the network takes, one way. */
  readonly delayMs?: number
  /** Pairs without a link. */
  readonly without?: readonly (readonly string[])[]
  readonly flags?: readonly string[]
  /** Of the tenant `dev`; `everywhere` if absent. */
  readonly policy?: object
  /** Sees what crosses the links between two regions. */
  readonly tap?: (one: string, other: string) => NonNullable<ProxyOptions['tap']>
}

/** What tests of links write, in one group that every region keeps. */
const everywhere = {
  version: 1,
  tenant: 'dev',
  placements: { default: { store: { in: ['anywhere'] }, access: { in: ['anywhere'] } } },
  collections: Object.fromEntries(['notes', 'chats', 'causes'].map((name) => [name, { placement: 'default' }])),
}

/** Each collection where it may be stored; all may be reached from anywhere. */
export const policyOf = (collections: Readonly<Record<string, readonly string[]>>): object => ({
  version: 1,
  tenant: 'dev',
  placements: Object.fromEntries(
    Object.entries(collections).map(([name, store]) => [name, { store: { in: store }, access: { in: ['anywhere'] } }]),
  ),
  collections: Object.fromEntries(Object.keys(collections).map((name) => [name, { placement: name }])),
})

export class Cluster {
  readonly names: readonly string[]
  readonly nodes = new Map<string, NodeProcess>()
  /** By `a b`, the name that comes first in front: it dials. */
  readonly proxies = new Map<string, CutProxy>()
  /** By region: the network between it and its clients. */
  readonly doors = new Map<string, CutProxy>()
  readonly #fine: Weather

  private constructor(options: ClusterOptions) {
    this.names = options.names ?? ['eu-west', 'us-east']
    this.#fine = options.delayMs === undefined ? { kind: 'fine' } : { kind: 'delay', ms: options.delayMs }
  }

  static async start(resources: Resources, options: ClusterOptions = {}): Promise<Cluster> {
    const cluster = new Cluster(options)
    const { names } = cluster
    const keys = new Map(names.map((name) => [name, makeRegionKey()]))
    for (const one of names)
      for (const other of names) {
        if (one >= other) continue
        const tap = options.tap?.(one, other)
        const port = (): number => cluster.nodes.get(other)?.port ?? 1
        const proxy = resources.own(await CutProxy.start({ port, ...(tap === undefined ? {} : { tap }) }))
        proxy.setWeather(cluster.#fine)
        cluster.proxies.set(`${one} ${other}`, proxy)
      }
    for (const name of names)
      cluster.doors.set(name, resources.own(await CutProxy.start({ port: () => cluster.nodes.get(name)?.port ?? 1 })))
    const started = names.map(async (here) => {
      const directory = resources.directory()
      const regions = Object.fromEntries(
        names.map((name) => {
          const port = cluster.proxies.get(`${here} ${name}`)?.port ?? 1
          const address = `ws://127.0.0.1:${port}`
          const fields = {
            jurisdiction: countries[name] ?? 'IE',
            operator: 'example-hosting',
            client: `ws://127.0.0.1:${cluster.door(name).port}`,
            link: `${address}/v1/link`,
          }
          return [name, { ...fields, publicKey: keys.get(name)?.publicKey }]
        }),
      )
      const file = join(directory, 'cluster.yaml')
      const keyFile = join(directory, 'key.pem')
      writeFileSync(file, JSON.stringify({ version: 1, regions, without: options.without ?? [] }))
      writeFileSync(keyFile, keys.get(here)?.privatePem ?? '', { mode: 0o600 })
      const policies = join(directory, 'policies')
      mkdirSync(policies)
      writeFileSync(join(policies, 'dev.yaml'), JSON.stringify(options.policy ?? everywhere))
      const placing = ['--cluster-file', file, '--cluster-key-file', keyFile, '--cluster-policies-dir', policies]
      const flags = ['--region', here, ...placing, ...(options.flags ?? [])]
      const node = resources.own(await NodeProcess.start({ directory: join(directory, 'data'), flags }))
      cluster.nodes.set(here, node)
    })
    await Promise.all(started)
    return cluster
  }

  node(name: string): NodeProcess {
    const node = this.nodes.get(name)
    if (node === undefined) throw new Error(`there is no region ${name}`)
    return node
  }

  door(name: string): CutProxy {
    const door = this.doors.get(name)
    if (door === undefined) throw new Error(`there is no region ${name}`)
    return door
  }

  /** Nothing comes in or goes out of a region, and nobody is told. */
  silence(name: string): void {
    for (const proxy of this.#around(name)) proxy.setWeather({ kind: 'swallow' })
  }

  endSilence(name: string): void {
    for (const proxy of this.#around(name)) proxy.setWeather(proxy === this.door(name) ? { kind: 'fine' } : this.#fine)
  }

  #around(name: string): CutProxy[] {
    return [this.door(name), ...this.names.filter((other) => other !== name).map((other) => this.proxy(name, other))]
  }

  proxy(one: string, other: string): CutProxy {
    const proxy = this.proxies.get(one < other ? `${one} ${other}` : `${other} ${one}`)
    if (proxy === undefined) throw new Error(`there is no link between ${one} and ${other}`)
    return proxy
  }

  /** The network between two regions as it is on a good day. */
  heal(one: string, other: string): void {
    this.proxy(one, other).setWeather(this.#fine)
  }

  /** Until all links that can be are open, and nothing that one region holds is lacking in another that it is linked with. */
  async settled(limitMs = 60_000): Promise<void> {
    let state = ''
    const look = async (): Promise<boolean> => {
      const all = await Promise.all([...this.nodes.values()].map((node) => node.metrics()))
      const lags = all.flatMap((metrics) => [...metrics].filter(([name]) => name.startsWith('meridian_link_lag_entries')))
      const links = all.map((metrics) => metrics.get('meridian_links') ?? 0)
      state = JSON.stringify({ links, lags })
      return lags.every(([, entries]) => entries === 0)
    }
    let isSettled = false
    let isLooking = false
    await until(
      () => {
        if (!isLooking) {
          isLooking = true
          void look().then(
            (answer) => {
              isSettled = answer
              isLooking = false
            },
            () => (isLooking = false),
          )
        }
        return isSettled
      },
      every(50),
      { what: () => `regions that hold the same: ${state}`, limitMs },
    )
  }
}
