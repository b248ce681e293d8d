/**
 * Honest Yjs histories for tests: a few authors who edit one document with everything that Yjs has (text, formats, embeds, maps, arrays,
 * XML, nested types, subdocuments, binaries, undo and redo), now and then exchange what they have, and are drawn from a seed.
 */
import * as Y from 'yjs'

export interface History {
  /** All updates that authors sent, in an order in which each can be applied after those before it. */
  readonly updates: readonly Uint8Array[]
  /** Every author's document as it was at the end, not exchanged any more. */
  readonly docs: readonly Y.Doc[]
}

/** Random numbers that a seed repeats (mulberry32). */
export function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

export function shuffled<T>(list: readonly T[], random: (below: number) => number): T[] {
  const result = [...list]
  for (let index = result.length - 1; index > 0; index--) {
    const other = random(index + 1)
    const one = result[index]
    const two = result[other]
    if (one === undefined || two === undefined) throw new Error('out of range')
    result[index] = two
    result[other] = one
  }
  return result
}

/**
 * A document without an author. It never cleans up formats: that is an edit which Yjs makes by itself when it applies what is remote,
 * differently for each order of updates, and now and then people see the difference.
 */
export function readerOf(updates: readonly Uint8Array[], gc = true): Y.Doc {
  const doc = new Y.Doc({ gc })
  doc.clientID = 0
  doc.on('beforeObserverCalls', (transaction) => {
    transaction.local = true
  })
  for (const update of updates) Y.applyUpdate(doc, update)
  return doc
}

/** What an app sees of the types that histories edit, with sorted keys, to compare. */
export function shownBy(doc: Y.Doc): string {
  const shown = [
    doc.getText('text').toDelta(),
    doc.getMap('map').toJSON(),
    doc.getArray('array').toJSON(),
    doc.getXmlFragment('xml').toString(),
  ]
  return JSON.stringify(shown, (_key, value: unknown) => {
    if (typeof value === 'bigint') return `${value}n`
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
    if (value instanceof Y.Doc) return value.guid
    return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
  })
}

const remote = Symbol('remote')

export function makeHistory(seed: number, { authorCount = 3, stepCount = 40 } = {}): History {
  const random = randomOf(seed)
  const updates: Uint8Array[] = []
  const authors = Array.from({ length: authorCount }, (_, place) => {
    // Ids on both sides of 2^31, ascending or descending by seed, some small as in tests of apps.
    const clientID = [1 + place, 0xffff_ffff - place, (0x7fff_fffe + place) >>> 0][seed % 3] ?? place
    const doc = new Y.Doc({ gc: random(4) > 0, guid: `history-${place}` })
    doc.clientID = clientID
    doc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin !== remote) updates.push(update)
    })
    const undo = new Y.UndoManager([doc.getText('text'), doc.getMap('map'), doc.getArray('array'), doc.getXmlFragment('xml')], {
      captureTimeout: 0,
    })
    return { doc, undo }
  })
  for (let step = 0; step < stepCount; step++) {
    const author = authors[random(authorCount)]
    const peer = authors[random(authorCount)]
    if (author === undefined || peer === undefined) throw new Error('no authors')
    if (random(4) === 0) {
      if (peer !== author) Y.applyUpdate(author.doc, Y.encodeStateAsUpdate(peer.doc, Y.encodeStateVector(author.doc)), remote)
    } else {
      author.doc.transact(() => {
        for (let edits = 1 + random(3); edits > 0; edits--) edit(author.doc, random)
      })
      if (random(8) === 0) author.undo.undo()
      if (random(12) === 0) author.undo.redo()
    }
  }
  for (const { undo } of authors) undo.destroy()
  return { updates, docs: authors.map(({ doc }) => doc) }
}

function edit(doc: Y.Doc, random: (below: number) => number): void {
  const text = doc.getText('text')
  const map = doc.getMap('map')
  const array = doc.getArray('array')
  const xml = doc.getXmlFragment('xml')
  switch (random(17)) {
    case 0:
    case 1:
    case 2:
      text.insert(random(text.length + 1), words[random(words.length)] ?? '')
      return
    case 3:
    case 4:
      cut(text, random)
      return
    case 5:
      if (text.length > 0) {
        const from = random(text.length)
        text.format(from, 1 + random(text.length - from), formats[random(formats.length)] ?? {})
      }
      return
    case 6:
      text.insertEmbed(random(text.length + 1), { image: 'x.png', sizes: [1, { w: 2 }] }, random(2) === 0 ? { bold: true } : {})
      return
    case 7:
    case 8:
      map.set(`key${random(4)}`, valueOf(random))
      return
    case 9:
      map.delete(`key${random(4)}`)
      return
    case 10:
    case 11:
      array.insert(random(array.length + 1), [valueOf(random), valueOf(random)])
      return
    case 12:
      cut(array, random)
      return
    case 13:
      xml.insert(random(xml.length + 1), [random(3) === 0 ? new Y.XmlText('words') : new Y.XmlElement(`p${random(2)}`)])
      return
    case 14: {
      const child = xml.length === 0 ? undefined : xml.get(random(xml.length))
      if (child instanceof Y.XmlElement) {
        child.setAttribute(`a${random(2)}`, 'value')
        if (random(2) === 0) child.insert(0, [new Y.XmlElement('b'), new Y.XmlText('inner')])
        if (random(4) === 0) child.removeAttribute('a0')
      } else if (child instanceof Y.XmlText) {
        child.insert(random(child.length + 1), 'mark')
        if (random(2) === 0) child.format(0, child.length, { em: true })
      }
      if (random(5) === 0) cut(xml, random)
      return
    }
    case 15: {
      // Deep in a nested type of whatever kind lies there.
      const nested = map.get(`key${random(4)}`)
      if (nested instanceof Y.Map) nested.set(`inner${random(2)}`, valueOf(random))
      else if (nested instanceof Y.Array) nested.insert(0, [valueOf(random)])
      else if (nested instanceof Y.Text) {
        nested.insert(random(nested.length + 1), 'nested')
        nested.format(0, nested.length, { italic: random(2) === 0 ? true : null })
      } else map.set(`key${random(4)}`, nestedOf(random))
      return
    }
    default:
      text.applyDelta([{ retain: random(text.length + 1) }, { insert: 'delta', attributes: { link: 'x' } }])
  }
}

function cut(type: Y.Text | Y.Array<unknown> | Y.XmlFragment, random: (below: number) => number): void {
  if (type.length === 0) return
  const from = random(type.length)
  type.delete(from, 1 + random(Math.min(4, type.length - from)))
}

const words = ['a', 'bc', 'läßt', '💡', 'one 💡 two', '漢字', '\u{10ffff}', 'line\nline', '\ufeff', 'x'.repeat(200), '\ud800']

const formats = [
  { bold: true },
  { bold: null },
  { italic: true, bold: true },
  { color: '#fff' },
  { comment: { id: 1, by: ['x'] } },
]

function valueOf(random: (below: number) => number): unknown {
  const plain: readonly unknown[] = [
    null,
    true,
    false,
    0,
    -0,
    -1,
    63,
    64,
    2 ** 31 - 1,
    -(2 ** 31),
    2 ** 53,
    1.5,
    0.1,
    Number.NaN,
    'word',
    '💡',
  ]
  switch (random(5)) {
    case 0:
      return { b: plain[random(plain.length)], a: [1, { '1': 'x', z: undefined }], big: -7n, bytes: new Uint8Array([1, 2]) }
    case 1:
      return new Uint8Array([random(256), 0, 255].slice(random(4)))
    case 2:
      return nestedOf(random)
    default:
      return plain[random(plain.length)]
  }
}

function nestedOf(random: (below: number) => number): unknown {
  switch (random(6)) {
    case 0:
      return new Y.Map([['k', 1]])
    case 1:
      return Y.Array.from([1, 'two', null])
    case 2:
      return new Y.Text('nested')
    case 3:
      return new Y.XmlElement('node')
    case 4:
      return new Y.XmlText('xml')
    default: {
      const subdocument = new Y.Doc({
        guid: `sub-${random(1000)}`,
        autoLoad: random(2) === 0,
        gc: random(2) === 0,
        meta: random(2) === 0 ? { m: 1 } : null,
      })
      subdocument.clientID = 0
      return subdocument
    }
  }
}
