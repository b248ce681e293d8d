/** Nodes of one cluster, in this process, each with a folder and a port of its own; stopped and removed when the test is over. */

import type { Clock } from '@meridian/core/effects'
import { clusterOf, placesOf, type RegionPlace } from './linked-region.js'
import { type RunningNode, startTestNode } from './running-node.js'

export interface ClusterNodesOptions {
  /** By tenant. */
  readonly policies?: Readonly<Record<string, object>>
  /** By region; what others have in common stands under `all`. */
  readonly flags?: Readonly<Record<string, Readonly<Record<string, string | boolean>>>>
  readonly texts?: Readonly<Record<string, string>>
  readonly clock?: Clock
  /** Only these are started; the others are in the cluster file. */
  readonly start?: readonly string[]
  /** By region: the policies that it alone is started with. */
  readonly policiesOf?: Readonly<Record<string, Readonly<Record<string, object>>>>
}

export interface ClusterNodes {
  readonly places: readonly RegionPlace[]
  readonly nodes: ReadonlyMap<string, RunningNode>
  url(region: string): string
}

/** The regions are in IE, US, IN, JP and BR, in their order. */
export async function startClusterNodes(names: readonly string[], options: ClusterNodesOptions = {}): Promise<ClusterNodes> {
  const places = await placesOf(names)
  const nodes = new Map<string, RunningNode>()
  for (const place of places) {
    if (options.start?.includes(place.name) === false) continue
    nodes.set(place.name, await startClusterNode(places, place.name, options))
  }
  return {
    places,
    nodes,
    url(region) {
      const node = nodes.get(region)
      if (node === undefined) throw new Error(`no node of ${region} was started`)
      return node.node.url
    },
  }
}

/** One region of a cluster. With `dataDir` among its flags it goes on where another left that folder. */
export async function startClusterNode(
  places: readonly RegionPlace[],
  region: string,
  { policies = {}, policiesOf = {}, flags = {}, texts = {}, clock }: ClusterNodesOptions,
): Promise<RunningNode> {
  const place = places.find(({ name }) => name === region)
  if (place === undefined) throw new Error(`${region} is no region of the cluster`)
  const files = Object.entries(policiesOf[region] ?? policies).map(([tenant, policy]) => [
    `policies/${tenant}.yaml`,
    JSON.stringify(policy),
  ])
  return startTestNode(
    {
      region,
      port: String(place.port),
      'cluster.file': 'cluster.yaml',
      'cluster.keyFile': 'key.pem',
      'link.dialMs': '200',
      ...(files.length === 0 ? {} : { 'cluster.policiesDir': 'policies' }),
      ...flags['all'],
      ...flags[region],
    },
    {
      texts: { 'cluster.yaml': JSON.stringify(clusterOf(places)), 'key.pem': place.key, ...Object.fromEntries(files), ...texts },
      ...(clock === undefined ? {} : { clock }),
    },
  )
}

/** A policy with one placement for each of these collections, named as it is: where it is stored, and from where it may be reached. */
export const pinned = (
  tenant: string,
  collections: Readonly<Record<string, { readonly store: readonly string[]; readonly access?: readonly string[] }>>,
): object => ({
  version: 1,
  tenant,
  placements: Object.fromEntries(
    Object.entries(collections).map(([name, { store, access = ['anywhere'] }]) => [
      name,
      { store: { in: store }, access: { in: access } },
    ]),
  ),
  collections: Object.fromEntries(Object.keys(collections).map((name) => [name, { placement: name }])),
})
