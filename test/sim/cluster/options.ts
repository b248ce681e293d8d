/**
 * What a seed draws: the world, the kinds of faults that it has at all (swarm testing: Groce et al., "Swarm testing", 2012), and every action
 * with the moment at which it happens. An action draws whom it meets from a number of its own, so that leaving others out changes nothing for it.
 */

import { SeededRandom } from '../random.js'

/** What may happen, and how often against the others where it does. */
export const faultWeights = {
  // The network of a device.
  cut: 4,
  die: 2,
  unreachable: 2,
  slowReader: 3,
  // Between regions.
  cutPair: 3,
  halfOpen: 3,
  partition: 2,
  flap: 1,
  clog: 2,
  // Processes.
  killDevice: 3,
  sleep: 2,
  roam: 3,
  crash: 2,
  crashAll: 1,
  drain: 1,
  stop: 1,
  // Disks.
  failCommit: 3,
  fullDisk: 1,
  failReads: 1,
  slowDisk: 1,
  fullDevice: 1,
  restore: 1,
  // Clocks, tokens, what people and operators do.
  jumpClock: 1,
  tokensDown: 1,
  closeHandle: 3,
  erase: 1,
} as const
export type FaultKind = keyof typeof faultWeights
export const faultKinds = Object.keys(faultWeights) as FaultKind[]

export type ActionKind = 'edit' | FaultKind

export interface Action {
  /** Milliseconds after the beginning. */
  readonly atMs: number
  readonly kind: ActionKind
  readonly roll: number
}

export interface ClusterOptions {
  readonly seed: number
  readonly regionCount: number
  readonly deviceCount: number
  /** Browsers with two tabs each, which count as two devices and share a disk. */
  readonly tabPairs: number
  /** Of each of the two tenants. */
  readonly documentCount: number
  readonly warmUpMs: number
  readonly chaosMs: number
  /** Milliseconds between two edits of all people together, at most. */
  readonly editEveryMs: number
  readonly faultEveryMs: number
  readonly faults: readonly FaultKind[]
  /** Bounds of sessions, hubs and links so small that a short run meets them. */
  readonly bounds: 'tight' | 'wide'
  /** Entries of an open document after which it is compacted. */
  readonly compactEntries: number
  /** Log records of an open document after which a device folds them. */
  readonly foldCount: number
  readonly tokenMs: number
  /** Milliseconds of one way between two regions, at most. */
  readonly betweenMs: number
  /** Milliseconds of a commit or a read, at most. */
  readonly diskMs: number
  /** Milliseconds by which the wall clocks of regions and devices are wrong, at most. */
  readonly skewMs: number
}

export interface Drawn {
  readonly options: ClusterOptions
  readonly actions: readonly Action[]
}

/** `mixed`: worlds of many sizes, most of them short, which find more in the same time. `small` and `large`: one size each, to measure by. */
export type Size = 'mixed' | 'small' | 'large'

/** Simulated time of people and trouble in one seed of one size, in milliseconds. */
const chaosMs = 57_000

export function draw(seed: number, size: Size = 'mixed'): Drawn {
  const random = new SeededRandom(seed)
  const often = random.pick([0.1, 0.15, 0.4, 0.8])
  const mixed = {
    regionCount: random.pick([2, 3, 3, 4]),
    deviceCount: random.pick([2, 4, 6, 12]),
    chaosMs: random.pick([8_000, 8_000, 20_000, chaosMs]),
    documentCount: random.pick([1, 3]),
  }
  const world =
    size === 'mixed'
      ? mixed
      : size === 'small'
        ? { regionCount: 3, deviceCount: 12, chaosMs, documentCount: 3 }
        : { regionCount: 5, deviceCount: 100, chaosMs, documentCount: 150 }
  const options: ClusterOptions = {
    seed,
    ...world,
    tabPairs: random.pick([0, 0, 1, 3]),
    warmUpMs: 3_000,
    editEveryMs: random.pick([60, 150, 400]),
    faultEveryMs: Math.ceil(world.chaosMs / random.pick([8, 20, 50])),
    faults: faultKinds.filter(() => random.chance(often)),
    bounds: random.chance(0.5) ? 'tight' : 'wide',
    compactEntries: random.pick([8, 40, 20_000, 20_000]),
    foldCount: random.pick([6, 500]),
    tokenMs: random.pick([45_000, 3_600_000]),
    betweenMs: random.pick([5, 40, 200]),
    diskMs: random.pick([2, 4, 60]),
    skewMs: random.pick([0, 0, 5_000, 3_600_000]),
  }
  return { options, actions: drawActions(options, random) }
}

function drawActions(options: ClusterOptions, random: SeededRandom): Action[] {
  const actions: Action[] = []
  const endMs = options.warmUpMs + options.chaosMs
  for (let atMs = 500; atMs < endMs; atMs += random.between(1, options.editEveryMs * 2))
    actions.push({ atMs, kind: 'edit', roll: random.uint32() })
  if (options.faults.length === 0) return actions
  for (let atMs = options.warmUpMs; atMs < endMs; atMs += random.between(1, options.faultEveryMs * 2))
    actions.push({ atMs, kind: drawFault(options.faults, random), roll: random.uint32() })
  return actions.sort((one, two) => one.atMs - two.atMs)
}

function drawFault(faults: readonly FaultKind[], random: SeededRandom): FaultKind {
  let left = random.below(faults.reduce((sum, fault) => sum + faultWeights[fault], 0))
  for (const fault of faults) {
    left -= faultWeights[fault]
    if (left < 0) return fault
  }
  return random.pick(faults)
}
