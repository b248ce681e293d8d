import { Holders } from '@meridian/core/holders'
import { parseRegion, parseReplica } from '@meridian/core/ids'
import { covers, emptyChain, emptyVersion, includes, mutableVersion, type Version } from '@meridian/core/version'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'

const regions = ['us-east', 'ap-south', 'sa-east'].map(parseRegion)
const replicas = ['eu-west', 'us-east', 'ap-south'].map((region) => parseReplica(`${region}#1.0123456789abcdef`))
const versionOf = (sequences: readonly number[]): Version => ({
  floors: new Map(),
  sequences: new Map(replicas.flatMap((replica, index) => (sequences[index] ? [[replica, sequences[index]] as const] : []))),
})
const sequences = fc.array(fc.nat(4), { minLength: 3, maxLength: 3 })

describe('what several regions hold', () => {
  it('[CLI2] claims each dot that as many hold, and no other', () => {
    fc.assert(
      fc.property(sequences, fc.array(sequences, { maxLength: 3 }), fc.integer({ min: 1, max: 5 }), (own, others, count) => {
        const holders = new Holders()
        for (const [index, other] of others.entries()) holders.hold(regions[index] ?? parseRegion('x'), versionOf(other))
        const held = holders.heldBy(count, versionOf(own))
        for (const [index, replica] of replicas.entries())
          for (let sequence = 1; sequence <= (own[index] ?? 0); sequence++) {
            const holding = 1 + others.filter((other) => (other[index] ?? 0) >= sequence).length
            expect(includes(held, replica, sequence)).toBe(holding >= count)
            expect(holders.haveEntry(count, replica, sequence)).toBe(holding >= count)
          }
        expect(covers(versionOf(own), held)).toBe(true)
      }),
    )
  })

  it('[CLI2] given a floor, then it is held by those that have it as well', () => {
    const [region] = regions
    if (region === undefined) throw new Error('no region')
    const holders = new Holders()
    const own = mutableVersion(emptyVersion)
    own.floors.set(parseRegion('eu-west'), { counter: 2, seal: emptyChain })
    expect(holders.heldBy(2, own).floors.size).toBe(0)
    holders.hold(region, own)
    expect([...holders.heldBy(2, own).floors.keys()]).toEqual(['eu-west'])
    expect(holders.heldBy(3, own).floors.size).toBe(0)
  })

  it('tells when a region holds more than was known, and only then', () => {
    const [region] = regions
    if (region === undefined) throw new Error('no region')
    const holders = new Holders()
    let told = 0
    holders.watchers.add(() => told++)
    holders.hold(region, versionOf([1, 0, 0]))
    holders.hold(region, versionOf([1, 0, 0]))
    holders.hold(region, versionOf([0, 1, 0]))
    expect(told).toBe(2)
    expect(holders.haveEntry(2, replicas[0] ?? parseReplica('x#1.0123456789abcdef'), 1)).toBe(true)
  })
})
