/**
 * Yjs' own oracle (`yjs/testHelper`) behind real sockets: several people edit one document at random through unmodified providers, come and go
 * and are cut off, then the helper compares what all of them have: contents, deletions, structs and their links, state vectors.
 *
 * The documents are the helper's, each with a connector of its own, so that its network carries nothing: all that goes from one to
 * another goes through the node.
 */

import { create, type PRNG, uint32 } from 'lib0/prng'
import * as Y from 'yjs'
import { compare, TestConnector, type TestYInstance } from 'yjs/testHelper'
import type { CutProxy } from '../e2e/cut-proxy.js'
import type { NodeProcess } from '../e2e/node-process.js'
import { Editor, eventually, type ProviderVersion, providerVersions } from '../e2e/providers.js'
import { pause, turn } from '../e2e/waiting.js'

export interface RoundOptions {
  readonly seed: number
  /** In front of the node. */
  readonly proxy: CutProxy
  /** Ends the node's process and starts another on its data. */
  restart(): Promise<void>
  /** Edits of all users. */
  readonly stepCount: number
}

export interface RoundReport {
  readonly users: readonly ProviderVersion[]
  readonly edits: number
  readonly cuts: number
  readonly restarts: number
}

type Draw = (below: number) => number

interface User {
  readonly doc: TestYInstance
  readonly editor: Editor
  isOnline: boolean
}

export interface Session {
  readonly node: NodeProcess
  readonly proxy: CutProxy
  readonly firstSeed: number
  readonly roundCount: number
  readonly stepCount: number
  /** No further round begins when it says so. */
  isOver?(): boolean
}

export interface SessionReport {
  rounds: number
  users: number
  edits: number
  cuts: number
  restarts: number
  readonly versions: Set<ProviderVersion>
}

/** Rounds at once, on one node: most of a round is waiting for sockets. */
const sideBySide = 4

/** Many rounds, each with a seed of its own. @throws as `playRound` */
export async function playRounds(session: Session): Promise<SessionReport> {
  const { node, proxy, firstSeed, roundCount, stepCount } = session
  const report: SessionReport = { rounds: 0, users: 0, edits: 0, cuts: 0, restarts: 0, versions: new Set() }
  let begun = 0
  let restarting: Promise<void> | undefined
  const restart = (): Promise<void> => (restarting ??= node.restart().finally(() => (restarting = undefined)))
  const play = async (): Promise<void> => {
    while (begun < roundCount && session.isOver?.() !== true) {
      const { users, edits, cuts, restarts } = await playRound({ seed: firstSeed + begun++, proxy, restart, stepCount })
      report.rounds++
      report.users += users.length
      report.edits += edits
      report.cuts += cuts
      report.restarts += restarts
      for (const version of users) report.versions.add(version)
    }
  }
  await Promise.all(Array.from({ length: sideBySide }, play))
  return report
}

/** @throws what the helper finds to differ, with the seed in front of it. */
export async function playRound(options: RoundOptions): Promise<RoundReport> {
  const { seed, proxy, stepCount } = options
  const random = create(seed)
  const draw: Draw = (below) => uint32(random, 0, below - 1)
  const room = `dev/oracle/${seed}`
  const open = (version: ProviderVersion): User => {
    const doc = documentOf(random)
    return { doc, editor: new Editor({ version, port: proxy.port, room, doc }), isOnline: true }
  }
  const users = Array.from({ length: 3 + draw(3) }, () => open(pick(draw, providerVersions)))
  let cuts = 0
  let restarts = 0
  try {
    for (let step = 0; step < stepCount; step++) {
      const user = pick(draw, users)
      user.doc.transact(() => edit(user.doc, draw))
      const chance = draw(200)
      if (chance < 10) toggle(user)
      else if (chance < 13) {
        cuts++
        proxy.cut()
      } else if (chance === 13 && restarts === 0) {
        restarts++
        await options.restart()
      } else if (chance < 100) await turn()
      else if (chance < 120) await pause(draw(20))
    }
    for (const user of users) if (!user.isOnline) toggle(user)
    // Who comes last has all of it from the node.
    const all = [...users, open(pick(draw, providerVersions))]
    users.push(...all.slice(-1))
    const docs = users.map(({ doc }) => doc)
    const waited = await inStep(docs, users)
    try {
      compare(docs)
    } catch (thrown) {
      throw new Error(`seed ${seed}${waited ? '' : ', and they never came to the same'}: ${String(thrown)}`, { cause: thrown })
    }
    return { users: users.map(({ editor }) => editor.version), edits: stepCount, cuts, restarts }
  } finally {
    for (const { editor } of users) editor.dispose()
  }
}

/** One of the helper's documents, alone in a network of its own. */
export function documentOf(random: PRNG): TestYInstance {
  const doc = new TestConnector(random).createY(0)
  doc.clientID = uint32(random, 1, 0xffff_ffff)
  // As the helper's `init` does: what these are is said before anything comes.
  doc.get('xml', Y.XmlElement)
  doc.getArray('array')
  doc.getMap('map')
  return doc
}

function toggle(user: User): void {
  user.isOnline = !user.isOnline
  if (user.isOnline) user.editor.provider.connect()
  else user.editor.provider.disconnect()
}

/** False if they are not within a time that is far beyond what it takes: the helper says how they differ. */
async function inStep(docs: readonly Y.Doc[], users: readonly User[]): Promise<boolean> {
  const snapshots = (): string[] => docs.map((doc) => Buffer.from(Y.encodeSnapshot(Y.snapshot(doc))).toString('latin1'))
  try {
    await eventually(
      () => users.every(({ editor }) => editor.provider.synced) && new Set(snapshots()).size === 1,
      'all users to have the same',
      30_000,
    )
    return true
  } catch {
    return false
  }
}

const pick = <T>(draw: Draw, list: readonly T[]): T => {
  const one = list[draw(list.length)]
  if (one === undefined) throw new Error('nothing to draw from')
  return one
}

const words = ['a', 'words ', 'läßt', '💡', '漢字', 'line\nline', 'x'.repeat(40)]

/**
 * What the random tests of Yjs do to each of its types, with contents of their kinds. Left out is what makes the helper find differences in
 * its own network, too, because Yjs ends up otherwise by the order in which things come: formats (which marks a document deletes by itself,
 * as superfluous; 59 of 400 rounds) and edits of a type that somebody else deletes (how structs are merged; 72 of 2,000 rounds).
 */
function edit(doc: Y.Doc, draw: Draw): void {
  const array = doc.getArray('array')
  const map = doc.getMap('map')
  const text = doc.getText('text')
  const xml = doc.get('xml', Y.XmlElement)
  switch (draw(12)) {
    case 0:
    case 1:
    case 2:
      return text.insert(draw(text.length + 1), pick(draw, words))
    case 3:
      return remove(text, draw)
    case 4:
      return text.insertEmbed(draw(text.length + 1), { image: `${draw(9)}.png` })
    case 5:
      return array.insert(draw(array.length + 1), [draw(100), pick(draw, words), { deep: [draw(9)] }])
    case 6: {
      array.insert(draw(array.length + 1), [Y.Array.from([1, 2, 3, 4]), new Y.Map([['one', draw(9)]])])
      const nested = array.get(draw(array.length))
      if (nested instanceof Y.Array) nested.insert(draw(nested.length + 1), [draw(9)])
      else if (nested instanceof Y.Map) nested.set(`k${draw(2)}`, pick(draw, words))
      return undefined
    }
    case 7:
      return removeValue(array, draw)
    case 8:
      return void map.set(`key${draw(3)}`, draw(3) === 0 ? new Y.Map([['x', draw(9)]]) : pick(draw, words))
    case 9:
      return map.delete(`key${draw(3)}`)
    case 10: {
      xml.insert(draw(xml.length + 1), [draw(2) === 0 ? new Y.XmlElement('p') : new Y.XmlText(pick(draw, words))])
      const child = xml.get(draw(xml.length))
      if (child instanceof Y.XmlElement) child.setAttribute(`a${draw(2)}`, String(draw(9)))
      return undefined
    }
    default:
      return removeValue(xml, draw)
  }
}

function remove(text: Y.Text, draw: Draw): void {
  if (text.length === 0) return
  const from = draw(text.length)
  text.delete(from, 1 + draw(Math.min(3, text.length - from)))
}

/** One that nobody edits. */
function removeValue(type: Y.Array<unknown> | Y.XmlElement, draw: Draw): void {
  const at = draw(Math.max(1, type.length))
  const value: unknown = type.length === 0 ? undefined : type.get(at)
  const isEdited = value instanceof Y.Array || value instanceof Y.Map || value instanceof Y.XmlElement
  if (type.length > 0 && !isEdited) type.delete(at, 1)
}
