/** What a group lacks of what somebody claims: claims come from histories that this store may never have lived. */

import { parseRegion, parseReplica, parseTenant, defaultGroup, toPosition } from '@meridian/core/ids'
import { LiveGroup } from '@meridian/core/live-group'
import { emptyVersion, toChain } from '@meridian/core/version'
import { expect, test } from 'vitest'

const region = parseRegion('eu-west')
const replica = (counter: number, random: string) => parseReplica(`eu-west#${counter}.${random.repeat(16)}`)
const floor = (counter: number, seal: bigint) => ({
  floors: new Map([[region, { counter, seal: toChain(seal) }]]),
  sequences: new Map(),
})

function groupWithFloors(): LiveGroup {
  const group = new LiveGroup(defaultGroup(parseTenant('acme')), 1)
  group.adopt({
    version: { ...floor(5, 55n), sequences: new Map([[replica(6, 'a'), 3]]) },
    closed: new Map(),
    sealed: new Map([[replica(4, 'a'), 80]]),
    seals: new Map([
      ['eu-west#3', toChain(33n)],
      ['eu-west#5', toChain(55n)],
    ]),
    position: toPosition(90),
  })
  return group
}

test('[LOG5] given a claim of this history, when it is compared, then nothing lacks', () => {
  const group = groupWithFloors()
  for (const claimed of [emptyVersion, floor(3, 33n), floor(5, 55n)]) expect(group.lacks(claimed)).toBeUndefined()
  expect(group.lacks({ floors: new Map(), sequences: new Map([[replica(4, 'a'), 80]]) })).toBeUndefined()
})

test('[LOG2] given a lower floor that another history raised, when this one has risen beyond it, then it is found out all the same', () => {
  const group = groupWithFloors()
  expect(group.lacks(floor(3, 99n))?.floors.get(region)).toEqual({ counter: 3, seal: 99n })
  expect(group.lacks(floor(4, 44n))?.floors.get(region)).toEqual({ counter: 4, seal: 44n })
  expect(group.lacks(floor(5, 44n))?.floors.get(region)).toEqual({ counter: 5, seal: 44n })
})

test('[LOG5] given a token beyond the end of a sealed incarnation, or of one never seen, when it is compared, then it is void', () => {
  const group = groupWithFloors()
  for (const [id, sequence] of [
    [replica(4, 'a'), 81],
    [replica(4, 'b'), 1],
    [replica(6, 'a'), 4],
    [replica(7, 'a'), 1],
  ] as const) {
    expect(group.lacks({ floors: new Map(), sequences: new Map([[id, sequence]]) })?.sequences.get(id)).toBe(sequence)
  }
})
