/**
 * Where notes may be kept. A shelf is a collection, and the policy of a cluster says in which regions its documents may be: here those of the sample
 * policy of `meridian cluster`. A node that is alone has one shelf, and nobody is asked.
 */

import { useEffect } from 'react'
import { hasRegions } from './device.js'

export interface Shelf {
  /** As it stands in addresses. */
  readonly path: string
  readonly collection: string
  /** One or two words. */
  readonly label: string
  readonly hint: string
}

export const anywhere: Shelf = { path: 'n', collection: 'notes', label: 'Anywhere', hint: 'Kept in every region' }

export const shelves: readonly Shelf[] = [
  anywhere,
  { path: 'eu', collection: 'eu-notes', label: 'EU only', hint: 'Kept in the European Economic Area, and nowhere else' },
  { path: 'us', collection: 'us-notes', label: 'US only', hint: 'Kept in the United States, and nowhere else' },
]

/** Those that there are to choose from; what a node said once holds while it is away. */
export function useShelves(): readonly Shelf[] {
  const isCluster = hasRegions.use()
  useEffect(() => {
    askRegions().then(
      (count) => hasRegions.write(count > 1),
      // Asked again with the next page.
      () => undefined,
    )
  }, [])
  return isCluster ? shelves : [anywhere]
}

async function askRegions(): Promise<number> {
  const response = await fetch('/v1/regions')
  const { regions }: { readonly regions?: unknown } = await response.json()
  if (!response.ok || !Array.isArray(regions)) throw new Error('no list of regions')
  return regions.length
}
