/** Policy files as the tenants' first policies; what is wrong with them, each with its line. Pure. */

import type { TenantId } from '@meridian/core/ids'
import { formatFinding } from '@meridian/regions/plain'
import { parsePolicy } from '@meridian/regions/policy/parse'
import { unknownRegions } from '@meridian/regions/policy/validate'
import type { Topology } from '@meridian/regions/topology'
import { whereOf } from './cluster-file.js'
import { type Issue, readYaml } from './yaml-file.js'

export interface TenantPolicy {
  readonly tenant: TenantId
  /** As it stands in the file. */
  readonly values: unknown
}

/** A region that the cluster file does not know is a slip that would open or close a place: it is refused, as what cannot be read. */
export function readPolicies(
  sources: readonly { readonly name: string; readonly text: string }[],
  topology: Topology,
  issues: Issue[],
): TenantPolicy[] {
  const policies: TenantPolicy[] = []
  for (const source of sources) {
    const own: Issue[] = []
    const yaml = readYaml(source, own)
    if (own.length === 0) {
      const outcome = parsePolicy(yaml.values)
      const findings = outcome.kind === 'invalid' ? outcome.findings : unknownRegions(outcome.policy, topology)
      for (const finding of findings)
        if (finding.level === 'error') own.push({ where: whereOf(yaml, finding), message: formatFinding(finding) })
      if (outcome.kind === 'parsed') {
        const { tenant } = outcome.policy
        if (policies.some((other) => other.tenant === tenant))
          own.push({ where: yaml.where(['tenant']), message: `tenant: another file has the policy of ${tenant}` })
        else policies.push({ tenant, values: yaml.values })
      }
    }
    issues.push(...own)
  }
  return policies
}
