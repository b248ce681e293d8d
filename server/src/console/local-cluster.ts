/**
 * Three regions on this machine, each a process with a store of its own, a switch on each link, and what all of them say: what the page shows
 * and what its buttons do.
 */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RegionId } from '@meridian/core/ids'
import { HttpProblem, problem } from '../http/problem.js'
import { makeRegionKey, readRegionKey } from '../io/region-key.js'
import { LinkSwitch } from './link-switch.js'
import { type Observation, observe } from './observe.js'
import { clusterFile, type Pair, pairsOf, type PlannedRegion, samplePolicy, tenant } from './plan.js'
import { RegionProcess, type RegionState } from './region-process.js'

export interface LocalClusterOptions {
  readonly regions: readonly PlannedRegion[]
  /** Folder of all of it: `<region>/` the stores, `cluster/` the keys, the files and what the nodes log. */
  readonly dataDir: string
  /** Milliseconds that a message takes from one region to another. */
  readonly delayMs: number
}

export interface RegionView {
  readonly name: string
  readonly jurisdiction: string
  readonly place: string
  readonly url: string
  readonly state: RegionState
  /** What it said last; undefined while it does not answer. */
  readonly said: Observation | undefined
}

export interface LinkView {
  readonly one: string
  readonly other: string
  readonly isOpen: boolean
  /** Bytes that passed between the two since the start. */
  readonly bytes: number
}

export interface ClusterState {
  readonly regions: readonly RegionView[]
  readonly links: readonly LinkView[]
  readonly policy: string
}

/** How often the regions are asked what they hold. */
const lookMs = 400

interface Link extends Pair {
  readonly switches: readonly LinkSwitch[]
}

export class LocalCluster {
  readonly #regions: readonly PlannedRegion[]
  readonly #links: readonly Link[]
  readonly #policy: string
  readonly #processes = new Map<RegionId, RegionProcess>()
  readonly #said = new Map<RegionId, Observation | undefined>()
  readonly #listeners = new Set<() => void>()
  #look: NodeJS.Timeout | undefined
  #isClosed = false

  private constructor(regions: readonly PlannedRegion[], links: readonly Link[], policy: string) {
    this.#regions = regions
    this.#links = links
    this.#policy = policy
  }

  /** @throws MeridianError CONFIG_INVALID with what a node said that did not start */
  static async start({ regions, dataDir, delayMs }: LocalClusterOptions): Promise<LocalCluster> {
    const folder = join(dataDir, 'cluster')
    mkdirSync(join(folder, 'policies'), { recursive: true })
    const entrances = await openEntrances(regions, delayMs)
    const policy = writeOnce(join(folder, 'policies', `${tenant}.yaml`), () => samplePolicy)
    const keys = new Map(regions.map(({ name }) => [name, keyOf(folder, name)]))
    const links = pairsOf(regions).map((pair) => ({
      ...pair,
      switches: [entrances.get(`${pair.one}>${pair.other}`), entrances.get(`${pair.other}>${pair.one}`)].filter(
        (one) => one !== undefined,
      ),
    }))
    const cluster = new LocalCluster(regions, links, policy)
    for (const region of regions) {
      const { name, port } = region
      const clusterPath = join(folder, `${name}.cluster.yaml`)
      const view = {
        publicKeyOf: (of: RegionId) => keys.get(of) ?? '',
        linkPortOf: (to: RegionId) => entrances.get(`${name}>${to}`)?.port ?? port,
      }
      writeFileSync(clusterPath, clusterFile(regions, view))
      const args = ['--dev', '--region', name, '--port', String(port), '--data', join(dataDir, name)]
      args.push(
        '--cluster-file',
        clusterPath,
        '--cluster-key-file',
        keyFileOf(folder, name),
        '--cluster-policies-dir',
        join(folder, 'policies'),
      )
      cluster.#processes.set(
        name,
        new RegionProcess({
          url: urlOf(region),
          args,
          logFile: join(folder, `${name}.log`),
          onChange: () => cluster.#tell(),
        }),
      )
    }
    try {
      await Promise.all([...cluster.#processes.values()].map((one) => one.start()))
    } catch (thrown) {
      await cluster.close()
      throw thrown
    }
    cluster.#lookAgain()
    return cluster
  }

  state(): ClusterState {
    return {
      regions: this.#regions.map((region) => ({
        name: region.name,
        jurisdiction: region.jurisdiction,
        place: region.place,
        url: urlOf(region),
        state: this.#processOf(region.name).state,
        said: this.#said.get(region.name),
      })),
      links: this.#links.map(({ one, other, switches }) => ({
        one,
        other,
        isOpen: switches.every(({ isOpen }) => isOpen),
        bytes: switches.reduce((sum, { passedBytes }) => sum + passedBytes, 0),
      })),
      policy: this.#policy,
    }
  }

  /** Tells when something may have changed. @returns how to be told no more */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** @throws HttpProblem 404 */
  setLink(one: string, other: string, what: 'cut' | 'heal'): void {
    const link = this.#links.find((each) => each.one === one && each.other === other)
    if (link === undefined)
      throw new HttpProblem(problem(404, 'Not found', 'There is no link between two regions of these names.'))
    for (const each of link.switches) each[what]()
    this.#tell()
  }

  /** @throws HttpProblem 404; MeridianError CONFIG_INVALID if it does not start */
  async setRegion(name: string, what: 'kill' | 'start'): Promise<void> {
    const region = this.#regions.find((each) => each.name === name)
    if (region === undefined) throw new HttpProblem(problem(404, 'Not found', 'There is no region of this name.'))
    await this.#processOf(region.name)[what]()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#look)
    await Promise.all([...this.#processes.values()].map((one) => one.close()))
    await Promise.all(this.#links.flatMap(({ switches }) => switches.map((one) => one.close())))
  }

  #processOf(name: RegionId): RegionProcess {
    const found = this.#processes.get(name)
    if (found === undefined) throw new Error('each region has a process')
    return found
  }

  #lookAgain(): void {
    void Promise.all(
      this.#regions.map(async (region) => {
        const isRunning = this.#processOf(region.name).state === 'running'
        this.#said.set(region.name, isRunning ? await observe(region.name, urlOf(region)) : undefined)
      }),
    ).then(() => {
      if (this.#isClosed) return
      this.#tell()
      this.#look = setTimeout(() => this.#lookAgain(), lookMs)
    })
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}

const urlOf = ({ port }: PlannedRegion): string => `http://127.0.0.1:${port}`

/** A switch for each way, by `from>to`. */
async function openEntrances(regions: readonly PlannedRegion[], delayMs: number): Promise<ReadonlyMap<string, LinkSwitch>> {
  const entrances = new Map<string, LinkSwitch>()
  for (const from of regions) {
    for (const to of regions) {
      if (from !== to) entrances.set(`${from.name}>${to.name}`, await LinkSwitch.open({ port: to.port, delayMs }))
    }
  }
  return entrances
}

const keyFileOf = (folder: string, region: RegionId): string => join(folder, `${region}.key.pem`)

/** The public key; the pair is made at the first start. */
function keyOf(folder: string, region: RegionId): string {
  const pem = writeOnce(keyFileOf(folder, region), () => makeRegionKey().privatePem)
  return readRegionKey(pem).publicKey
}

function writeOnce(path: string, make: () => string): string {
  if (!existsSync(path)) writeFileSync(path, make(), { mode: 0o600, flag: 'wx' })
  return readFileSync(path, 'utf8')
}
