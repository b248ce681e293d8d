/**
 * A region that leaves the cluster: it holds what it held until the others do, and takes nobody in. Clients are sent to the regions that stay; what
 * they still have unsaved goes with them (CLI3).
 */

import type { Admit } from '@meridian/core/effects'
import type { RegionId } from '@meridian/core/ids'
import type { Residency } from './residency.js'
import type { Topology } from './topology.js'

/** `admit` of the choke point, but for access to a region that the cluster file calls leaving. [hot] */
export function unlessLeaving(residency: Pick<Residency, 'admit' | 'storedIn'>, here: RegionId, topology: () => Topology): Admit {
  return (verb, document, attested) => {
    const decision = residency.admit(verb, document, attested)
    const { regions } = topology()
    if (verb !== 'access' || decision.kind === 'no' || regions.get(here)?.state !== 'leaving') return decision
    const redirects = residency.storedIn(document).flatMap((name) => {
      const region = regions.get(name)
      return region?.state === 'active' ? [{ region: name, url: region.clientUrl }] : []
    })
    return { kind: 'no', rule: 'the region is leaving', redirects }
  }
}
