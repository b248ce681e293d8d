/**
 * Honest Automerge histories for tests: a few authors who edit one document with everything that Automerge has (text, marks, blocks, lists, maps,
 * counters, bytes, times, deletions), now and then exchange what they have, and are drawn from a seed.
 */
import * as A from '@automerge/automerge'
import { randomOf } from './yjs-edits.js'

type Doc = A.Doc<Record<string, unknown>>

export const actorOf = (number: number): string => number.toString(16).padStart(32, '0')

/** All changes that authors made, in an order in which each can be applied after those before it. */
export function automergeHistory(seed: number, { authorCount = 3, editCount = 24 } = {}): Uint8Array[] {
  const random = randomOf(seed)
  const updates: Uint8Array[] = []
  const docs: Doc[] = Array.from({ length: authorCount }, (_, author) => A.init({ actor: actorOf(1 + author + (seed % 7) * 16) }))
  for (let edit = 0; edit < editCount; edit++) {
    const author = random(authorCount)
    const before = docs[author] as Doc
    if (random(3) === 0) {
      const other = docs[random(authorCount)] as Doc
      docs[author] = A.applyChanges(before, A.getAllChanges(other))[0]
    }
    const doc = docs[author] as Doc
    const heads = A.getHeads(doc)
    const after = A.change(doc, { time: random(2) * 1_790_000_000, message: random(8) === 0 ? 'm\u00e9' : '' }, (draft) =>
      change(draft, random),
    )
    docs[author] = after
    updates.push(...A.getChangesSince(after, heads))
  }
  for (const doc of docs) A.free(doc)
  return updates
}

function change(draft: Record<string, unknown>, random: (below: number) => number): void {
  for (let count = 1 + random(3); count > 0; count--) {
    const key = `k${random(5)}`
    const { text, list, map, counter } = draft as {
      text?: string
      list?: unknown[]
      map?: Record<string, unknown>
      counter?: A.Counter
    }
    switch (random(12)) {
      case 0:
      case 1:
      case 2:
        if (text === undefined) draft['text'] = 'ab\u00e9\u{1f30d}'.repeat(1 + random(3))
        else A.splice(draft, ['text'], random(text.length + 1), 0, ['x', 'yz', '\u{1f30d}', 'longer text '][random(4)] ?? '')
        break
      case 3:
        if (text !== undefined && text.length > 2) A.splice(draft, ['text'], random(text.length - 1), 1 + random(3))
        break
      case 4:
        if (text !== undefined && text.length > 4)
          A.mark(
            draft,
            ['text'],
            { start: random(2), end: 2 + random(3), expand: ['both', 'none', 'after'][random(3)] as 'both' },
            'bold',
            random(2) === 0 ? true : null,
          )
        break
      case 5:
        if (list === undefined) draft['list'] = [1, 'two', null, { three: [3] }]
        else list.splice(random(list.length + 1), random(2), random(1000) - 500, [key])
        break
      case 6:
        if (map === undefined) draft['map'] = { a: { b: {} } }
        else
          map[key] = [
            random(1 << 30),
            -random(1 << 30),
            random(100) / 7,
            true,
            null,
            new Date(random(1 << 30)),
            new Uint8Array([random(256), 0]),
            new A.ImmutableString('im'),
            '',
          ][random(9)]
        break
      case 7:
        if (map !== undefined) delete map[key]
        break
      case 8:
        if (counter === undefined) draft['counter'] = new A.Counter(random(5))
        else counter.increment(random(9) - 4)
        break
      case 9:
        draft[key] = { nested: 'text', list: [[], {}] }
        break
      case 10:
        if (text !== undefined) A.splitBlock(draft, ['text'], random(text.length + 1), { type: 'p' })
        break
      default:
        delete draft[key]
    }
  }
}

/** What an app shows; changes that lack what they build on wait. */
export function shownAutomerge(updates: readonly Uint8Array[]): string {
  const doc = automergeReader(updates)
  const shown = JSON.stringify(A.toJS(doc), (_key, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
      : value,
  )
  A.free(doc)
  return shown
}

export const automergeReader = (updates: readonly Uint8Array[]): Doc =>
  A.loadIncremental(A.init<Record<string, unknown>>({ actor: actorOf(0xffff) }), Buffer.concat(updates))

export function automergeHeads(updates: readonly Uint8Array[]): Uint8Array {
  const doc = automergeReader(updates)
  const heads = A.getHeads(doc).sort()
  A.free(doc)
  return Uint8Array.from(Buffer.from(heads.join(''), 'hex'))
}
