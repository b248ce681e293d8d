import { parsePolicy } from '@meridian/regions/policy/parse'
import { parseTopology, peersOf } from '@meridian/regions/topology'
import { Samples } from '@meridian/server/console/observe'
import { clusterFile, pairsOf, plannedRegions, samplePolicy } from '@meridian/server/console/plan'
import { type Issue, readYaml } from '@meridian/server/yaml-file'
import { describe, expect, it } from 'vitest'

function parse(text: string): unknown {
  const issues: Issue[] = []
  const { values } = readYaml({ name: 'cluster.yaml', text }, issues)
  expect(issues).toEqual([])
  return values
}

describe('the plan of a local cluster', () => {
  it('is a cluster file that nodes can read, with a link from each region to each other', () => {
    const keys = new Map(plannedRegions.map(({ name }, index) => [name, Buffer.alloc(32, index + 1).toString('base64')]))
    const text = clusterFile(plannedRegions, {
      publicKeyOf: (name) => keys.get(name) ?? '',
      linkPortOf: (to) => 9_000 + plannedRegions.findIndex(({ name }) => name === to),
    })
    const outcome = parseTopology(parse(text))
    if (outcome.kind !== 'parsed') throw new Error(JSON.stringify(outcome))
    for (const { name } of plannedRegions) expect(peersOf(outcome.topology, name)).toHaveLength(2)
    expect(pairsOf(plannedRegions)).toHaveLength(3)
    expect([...outcome.topology.regions.values()].map(({ linkUrl }) => linkUrl)).toEqual([
      'ws://127.0.0.1:9000/v1/link',
      'ws://127.0.0.1:9001/v1/link',
      'ws://127.0.0.1:9002/v1/link',
    ])
  })

  it('has a sample policy that is right', () => {
    expect(parsePolicy(parse(samplePolicy))).toMatchObject({ kind: 'parsed' })
  })
})

describe('what is read of metrics', () => {
  const samples = new Samples(
    [
      '# HELP a b',
      'one 3',
      'lag{peer="us-east",group="1"} 4',
      'lag{peer="us-east",group="2"} 5',
      'lag{peer="ap-south"} 1.5',
    ].join('\n'),
  )

  it('sums what has the labels that are asked for', () => {
    expect(samples.sum('one')).toBe(3)
    expect(samples.sum('lag')).toBe(10.5)
    expect(samples.sum('lag', { peer: 'us-east' })).toBe(9)
    expect(samples.greatest('lag', { peer: 'us-east' })).toBe(5)
    expect(samples.sum('none')).toBe(0)
  })

  it('lists the values of a label once', () => {
    expect(samples.labels('lag', 'peer')).toEqual(['us-east', 'ap-south'])
  })
})
