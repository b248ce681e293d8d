/**
 * A region that leaves the cluster: it holds what it held until the others do, and takes nobody in. Clients are sent to the regions that stay; what
 * they still have unsaved goes with them (CLI3).
 */

import type { Admit } from '@meridian/core/effects'
import type { RegionId } from '@meridian/core/ids'
import type { Topology } from './topology.js'

/** `admit`, but for access to a region that the cluster file calls leaving. [hot] */
export function unlessLeaving(admit: Admit, here: RegionId, topology: () => Topology | undefined): Admit {
  return (verb, document, attested) => {
    if (verb !== 'access') return admit(verb, document, attested)
    const regions = topology()?.regions
    if (regions?.get(here)?.state !== 'leaving') return admit(verb, document, attested)
    const redirects = [...regions.values()]
      .filter(({ name, state }) => state === 'active' && name !== here)
      .map(({ name, clientUrl }) => ({ region: name, url: clientUrl }))
    return { kind: 'no', rule: 'the region is leaving', redirects }
  }
}
