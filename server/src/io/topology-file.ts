/** Reads a cluster file, at the command of an operator. */

import { readFileSync } from 'node:fs'
import { MeridianError } from '@meridian/core/errors'
import type { Topology } from '@meridian/regions/topology'
import { readCluster } from '../cluster-file.js'
import { formatIssue, type Issue } from '../yaml-file.js'

/** @throws MeridianError CONFIG_INVALID with everything that is wrong with it */
export function readTopology(file: string): Topology {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new MeridianError('CONFIG_INVALID', { message: `${file}: the file cannot be read.`, cause })
  }
  const issues: Issue[] = []
  const topology = readCluster({ name: file, text }, issues)
  if (topology === undefined) throw new MeridianError('CONFIG_INVALID', { message: issues.map(formatIssue).join('; ') })
  return topology
}
