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
  /** Regions that no cluster file names and that do not run, until they are added. */
  readonly later?: readonly string[]
  /** Of the tenant `dev`; `everywhere` if absent. */
  readonly policy?: object
  /** True: the list of regions names addresses that nobody answers at, so that clients stay where they were sent. */
  readonly clientsStay?: boolean
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
  readonly #options: ClusterOptions
  readonly #resources: Resources
  readonly #keys = new Map<string, ReturnType<typeof makeRegionKey>>()
  readonly #directories = new Map<string, string>()

  private constructor(resources: Resources, options: ClusterOptions) {
    this.#options = options
    this.#resources = resources
    this.names = options.names ?? ['eu-west', 'us-east']
    this.#fine = options.delayMs === undefined ? { kind: 'fine' } : { kind: 'delay', ms: options.delayMs }
  }

  static async start(resources: Resources, options: ClusterOptions = {}): Promise<Cluster> {
    const cluster = new Cluster(resources, options)
    const { names } = cluster
    for (const name of names) {
      cluster.#keys.set(name, makeRegionKey())
      cluster.#directories.set(name, resources.directory())
    }
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
    const first = names.filter((name) => options.later?.includes(name) !== true)
    cluster.write(first)
    await Promise.all(first.map((name) => cluster.start(name)))
    return cluster
  }

  /** The cluster file of each of these regions, with these in it, as their states say; whoever runs reads it again. */
  write(names: readonly string[], states: Readonly<Record<string, string>> = {}): void {
    for (const here of names) {
      const regions = Object.fromEntries(
        names.map((name) => {
          const port = this.proxies.get(`${here} ${name}`)?.port ?? 1
          const address = `ws://127.0.0.1:${port}`
          const fields = {
            jurisdiction: countries[name] ?? 'IE',
            operator: 'example-hosting',
            client: `ws://127.0.0.1:${this.#options.clientsStay === true ? 1 : this.door(name).port}`,
            link: `${address}/v1/link`,
            state: states[name] ?? 'active',
          }
          return [name, { ...fields, publicKey: this.#keys.get(name)?.publicKey }]
        }),
      )
      writeFileSync(this.fileOf(here), JSON.stringify({ version: 1, regions, without: this.#options.without ?? [] }))
      this.nodes.get(here)?.signal('SIGHUP')
    }
  }

  fileOf(name: string): string {
    return join(this.#directories.get(name) ?? '', 'cluster.yaml')
  }

  async start(name: string): Promise<void> {
    const directory = this.#directories.get(name) ?? ''
    const keyFile = join(directory, 'key.pem')
    writeFileSync(keyFile, this.#keys.get(name)?.privatePem ?? '', { mode: 0o600 })
    const policies = join(directory, 'policies')
    mkdirSync(policies, { recursive: true })
    writeFileSync(join(policies, 'dev.yaml'), JSON.stringify(this.#options.policy ?? everywhere))
    const files = ['--cluster-file', this.fileOf(name), '--cluster-key-file', keyFile, '--cluster-policies-dir', policies]
    const flags = ['--region', name, ...files]
    const options = { directory: join(directory, 'data'), flags: [...flags, ...(this.#options.flags ?? [])] }
    this.nodes.set(name, this.#resources.own(await NodeProcess.start(options)))
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
