/** What the cluster says of itself, as it comes, and the orders that can be given. The shapes are those of server/src/console/local-cluster.ts. */

import { useEffect, useState } from 'react'

export interface Holding {
  readonly collection: string
  readonly documents?: number
  readonly isMore: boolean
  readonly refusal?: string
}

export interface PeerLag {
  readonly peer: string
  readonly isLinked: boolean
  readonly entries: number
  readonly seconds: number
}

export interface Region {
  readonly name: string
  readonly jurisdiction: string
  readonly place: string
  readonly url: string
  readonly state: 'down' | 'starting' | 'running'
  readonly said?: {
    readonly sessions: number
    readonly entries: number
    readonly refused: number
    readonly holdings: readonly Holding[]
    readonly peers: readonly PeerLag[]
  }
}

export interface Link {
  readonly one: string
  readonly other: string
  readonly isOpen: boolean
  readonly bytes: number
}

export interface Cluster {
  readonly regions: readonly Region[]
  readonly links: readonly Link[]
  readonly policy: string
}

export type Order =
  | { readonly to: 'links'; readonly one: string; readonly other: string; readonly do: 'cut' | 'heal' }
  | { readonly to: 'regions'; readonly region: string; readonly do: 'kill' | 'start' }

/** Undefined until the first state has come. `isLive` is false while the program that runs the cluster does not answer. */
export function useCluster(): { readonly cluster: Cluster | undefined; readonly isLive: boolean } {
  const [cluster, setCluster] = useState<Cluster>()
  const [isLive, setLive] = useState(false)
  useEffect(() => {
    const source = new EventSource('/api/events')
    source.addEventListener('message', ({ data }) => {
      setCluster(JSON.parse(String(data)) as Cluster)
      setLive(true)
    })
    source.addEventListener('open', () => setLive(true))
    source.addEventListener('error', () => setLive(false))
    return () => source.close()
  }, [])
  return { cluster, isLive }
}

/** @returns why not, as a sentence; undefined if it was done. */
export async function give({ to, ...order }: Order): Promise<string | undefined> {
  try {
    const response = await fetch(`/api/${to}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(order),
    })
    if (response.ok) return undefined
    const { detail }: { detail?: string } = await response.json()
    return detail ?? `It was answered with ${response.status}.`
  } catch {
    return 'The cluster does not answer. Look at the terminal that it was started in.'
  }
}
