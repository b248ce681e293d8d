/** JSON Patch and JSON Merge Patch on Yjs documents. */

import type { Edit, PatchOperation } from '@meridian/core/engine'
import { yjsEngine } from '@meridian/core/engines/yjs'
import { describe, expect, it } from 'vitest'
import * as Y from 'yjs'

/** A document that holds `template`, and what it comes to by edits of one author after the other. */
function edited(template: unknown, ...edits: Edit[]): unknown {
  const updates = [yjsEngine.edit([], { kind: 'merge', value: template }, 1)]
  for (const [index, edit] of edits.entries()) {
    const update = yjsEngine.edit(updates, edit, 2 + index)
    if (update.length > 0) updates.push(update)
  }
  return JSON.parse(yjsEngine.read(updates, { kind: 'json' }))
}

const patch = (...operations: PatchOperation[]): Edit => ({ kind: 'patch', operations })
const merge = (value: unknown): Edit => ({ kind: 'merge', value })
const template = { text: 'hello', map: { a: 1, deep: { list: [1, 2, 3] } }, list: ['x', { y: 'z' }] }

describe('JSON Patch', () => {
  it.each<[string, PatchOperation[], unknown]>([
    ['adds to a map', [{ op: 'add', path: '/map/b', value: [true] }], { ...template, map: { ...template.map, b: [true] } }],
    ['adds into an array', [{ op: 'add', path: '/list/1', value: 'new' }], { ...template, list: ['x', 'new', { y: 'z' }] }],
    ['adds to the end of an array', [{ op: 'add', path: '/list/-', value: 5 }], { ...template, list: ['x', { y: 'z' }, 5] }],
    ['adds a root', [{ op: 'add', path: '/other', value: { k: 'v' } }], { ...template, other: { k: 'v' } }],
    ['replaces a text', [{ op: 'replace', path: '/text', value: 'help' }], { ...template, text: 'help' }],
    ['replaces in an array', [{ op: 'replace', path: '/list/0', value: null }], { ...template, list: [null, { y: 'z' }] }],
    [
      'goes deep',
      [{ op: 'replace', path: '/map/deep/list/2', value: 9 }],
      { ...template, map: { a: 1, deep: { list: [1, 2, 9] } } },
    ],
    ['removes a key', [{ op: 'remove', path: '/map/deep' }], { ...template, map: { a: 1 } }],
    ['removes a root', [{ op: 'remove', path: '/text' }], { map: template.map, list: template.list }],
    [
      'moves',
      [{ op: 'move', from: '/list/1', path: '/map/b' }],
      { ...template, list: ['x'], map: { ...template.map, b: { y: 'z' } } },
    ],
    ['copies', [{ op: 'copy', from: '/map/a', path: '/list/0' }], { ...template, list: [1, 'x', { y: 'z' }] }],
    ['unescapes', [{ op: 'add', path: '/map/~1~0', value: 1 }], { ...template, map: { ...template.map, '/~': 1 } }],
    [
      'sees what it did before',
      [
        { op: 'add', path: '/map/c', value: {} },
        { op: 'add', path: '/map/c/d', value: 4 },
        { op: 'test', path: '/map/c', value: { d: 4 } },
      ],
      { ...template, map: { ...template.map, c: { d: 4 } } },
    ],
  ])('%s', (_name, operations, wanted) => {
    expect(edited(template, patch(...operations))).toEqual(wanted)
  })

  it.each<[string, PatchOperation]>([
    ['a path without a slash', { op: 'add', path: 'map', value: 1 }],
    ['the whole document', { op: 'add', path: '', value: {} }],
    ['a parent that is not there', { op: 'add', path: '/map/none/b', value: 1 }],
    ['a root that is not there', { op: 'add', path: '/none/b', value: 1 }],
    ['a path into a text', { op: 'add', path: '/text/0', value: 'x' }],
    ['an index beyond the end', { op: 'add', path: '/list/3', value: 1 }],
    ['an index with a zero before it', { op: 'remove', path: '/list/00' }],
    ['a value that is not there', { op: 'replace', path: '/map/none', value: 1 }],
    ['another kind of root', { op: 'add', path: '/text', value: {} }],
    ['a root of no kind', { op: 'add', path: '/other', value: 5 }],
    ['a test that does not hold', { op: 'test', path: '/map/a', value: '1' }],
    ['a move into itself', { op: 'move', from: '/map/deep', path: '/map/deep/x' }],
    ['__proto__', { op: 'add', path: '/map/__proto__', value: {} }],
    ['__proto__ in a value', { op: 'add', path: '/map/b', value: JSON.parse('{"__proto__":1}') }],
  ])('refuses %s, and says which operation', (_name, operation) => {
    expect(() => edited(template, patch({ op: 'test', path: '/map/a', value: 1 }, operation))).toThrow(
      /UPDATE_INVALID.*Operation 1 \(\w+\) does not fit/,
    )
  })

  it('given plain values that an app put in, then a part of one is edited and the rest stays', () => {
    const doc = new Y.Doc()
    doc.clientID = 1
    doc.getMap('map').set('plain', { a: [1, { b: 2 }], c: 3 })
    const updates = [Y.encodeStateAsUpdate(doc)]
    updates.push(yjsEngine.edit(updates, patch({ op: 'replace', path: '/map/plain/a/1/b', value: 5 }), 2))
    updates.push(
      yjsEngine.edit(updates, patch({ op: 'remove', path: '/map/plain/c' }, { op: 'add', path: '/map/plain/a/-', value: 0 }), 3),
    )
    expect(JSON.parse(yjsEngine.read(updates, { kind: 'json' }))).toEqual({ map: { plain: { a: [1, { b: 5 }, 0] } } })
  })

  it('given a text that others edit at the same time, then both edits stay', () => {
    const base = [yjsEngine.edit([], merge({ text: 'one two three' }), 1)]
    const mine = yjsEngine.edit(base, patch({ op: 'replace', path: '/text', value: 'one 2 three' }), 2)
    const theirs = yjsEngine.edit(base, patch({ op: 'replace', path: '/text', value: 'one two three four' }), 3)
    expect(yjsEngine.read([...base, mine, theirs], { kind: 'text' })).toBe('one 2 three four')
  })

  it.each([
    ['\u{1f600}', '\u{1f601}'],
    ['a\u{1f600}b', 'a\u{1f600}\u{1f601}b'],
    ['\u{1f600}', '\u{1f900}'],
    ['', 'x'],
    ['x', ''],
    ['aaa', 'aa'],
  ])('given the text %s, when it becomes %s, then no character is cut', (from, to) => {
    const updates = [yjsEngine.edit([], merge({ text: `${from}.` }), 1)]
    updates.push(yjsEngine.edit(updates, merge({ text: `${to}.` }), 2))
    expect(yjsEngine.read(updates, { kind: 'text' })).toBe(`${to}.`)
  })
})

describe('JSON Merge Patch', () => {
  it('merges, replaces, and removes what is null', () => {
    expect(
      edited(template, merge({ map: { a: null, deep: { list: [0], more: { x: null, y: 1 } } }, text: 'bye', list: null })),
    ).toEqual({
      text: 'bye',
      map: { deep: { list: [0], more: { y: 1 } } },
    })
  })

  it('given what is there already, then there is no update', () => {
    expect(yjsEngine.edit([yjsEngine.edit([], merge(template), 1)], merge({ text: 'hello', map: { a: 1 } }), 2)).toHaveLength(0)
  })

  it.each([
    ['a list', []],
    ['null', null],
    ['a number for a root', { n: 1 }],
    ['a text where a map is', { map: 'x' }],
    ['a map where a text is', { text: { x: 1 } }],
  ])('refuses %s', (_name, value) => {
    expect(() => edited(template, merge(value))).toThrow(/UPDATE_INVALID.*does not fit/)
  })
})

it('reads what an app may put in and JSON has no word for', () => {
  const doc = new Y.Doc()
  doc.clientID = 1
  doc
    .getArray('list')
    .push([new Uint8Array([1, 2, 255]), { big: 12n, none: undefined }, new Y.Text('nested'), new Y.Map([['k', 1]])])
  doc.getXmlFragment('xml').insert(0, [new Y.XmlElement('p')])
  doc.getText('bold').insert(0, 'b', { bold: true })
  doc.getMap('gone').set('a', 1)
  doc.getMap('gone').delete('a')
  expect(JSON.parse(yjsEngine.read([Y.encodeStateAsUpdate(doc)], { kind: 'json' }))).toEqual({
    list: ['AQL/', { big: '12', none: null }, 'nested', { k: 1 }],
    xml: '<p></p>',
    bold: 'b',
  })
  expect(() => yjsEngine.read([Y.encodeStateAsUpdate(doc)], { kind: 'text' })).toThrow(/2 roots are text/)
})
