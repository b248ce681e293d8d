/**
 * The strict parser: each thing that Yjs accepts and breaks on, or never writes, made by hand byte by byte. The sound updates among
 * them are there so that each refusal is known to be for its own reason.
 */
import { describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { inspectLimits } from '@meridian/core/engine'
import { MeridianError } from '@meridian/core/errors'
import { inspectYjs, rareMax } from '@meridian/core/engines/yjs-inspect'
import { codeOf } from '../../conformance/engine.js'

function parse(text: string): Uint8Array {
  const digits = text.replaceAll(' ', '')
  const bytes = Uint8Array.from(Buffer.from(digits, 'hex'))
  if (bytes.length * 2 !== digits.length) throw new Error('no hex')
  return bytes
}
const inspect = (text: string) => inspectYjs(parse(text), inspectLimits)
const holdings = (text: string) => {
  const { structs, needs, deletes } = inspect(text)
  return { structs, needs, deletes }
}

function varUint(value: number): string {
  const bytes: number[] = []
  let rest = value
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push(128 | (rest % 128))
  return Buffer.from([...bytes, rest]).toString('hex')
}
const text = (value: string): string => varUint(Buffer.byteLength(value)) + Buffer.from(value).toString('hex')
/** One struct of client 1 at clock 5 after its own clock 4, no deletions. */
const after = (kind: number, content: string): string => `01 01 01 05 ${(0x80 | kind).toString(16)} 01 04 ${content} 00`
/** The first item of client 1, in the text `t`. */
const first = (content: string): string => `01 01 01 00 04 01 01 74 ${content} 00`
const format = (key: string, json: string): string => after(6, text(key) + text(json))
const embed = (json: string): string => after(5, text(json))
const any = (value: string): string => after(8, `01 ${value}`)
const subdocument = (options: string): string => after(9, `${text('guid')} ${options}`)

/** What the update holds and needs, read off the bytes. */
const sound: readonly (readonly [name: string, update: string, holdings: unknown])[] = [
  ['nothing at all', '00 00', { structs: [], needs: [], deletes: [] }],
  ['a first character', first('01 61'), { structs: [1, 0, 1], needs: [], deletes: [] }],
  ['a character of two UTF-16 units', first('04 f09f92a1'), { structs: [1, 0, 2], needs: [], deletes: [] }],
  [
    'neighbours of other clients',
    '01 01 01 05 c4 02 07 03 00 01 61 00',
    { structs: [1, 5, 6], needs: [2, 8, 3, 1], deletes: [] },
  ],
  ['a neighbour twice', '01 01 01 05 c4 02 07 02 03 01 61 00', { structs: [1, 5, 6], needs: [2, 8], deletes: [] }],
  ['a parent of another client', '01 01 01 05 27 00 02 07 01 6b 01 00', { structs: [1, 5, 6], needs: [2, 8], deletes: [] }],
  [
    'the key bit with a neighbour, where Yjs sets it too',
    '01 01 01 05 a4 01 04 01 61 00',
    { structs: [1, 5, 6], needs: [], deletes: [] },
  ],
  ['a gap', '01 03 01 05 00 02 0a 03 00 01 00', { structs: [1, 5, 7, 1, 10, 11], needs: [], deletes: [] }],
  [
    'deletions',
    '00 02 03 02 00 01 05 02 01 01 04 01',
    { structs: [], needs: [3, 7, 1, 5], deletes: [3, 0, 1, 3, 5, 7, 1, 4, 5] },
  ],
  ['ranges that touch', '00 01 03 02 00 01 01 01', { structs: [], needs: [3, 2], deletes: [3, 0, 1, 3, 1, 2] }],
  ['a client without ranges', '00 01 03 00', { structs: [], needs: [], deletes: [] }],
  ['a deletion of what it brings', '01 01 01 00 00 05 01 01 01 00 05', { structs: [1, 0, 5], needs: [], deletes: [1, 0, 5] }],
  [
    'a deletion beyond what it brings',
    '01 01 01 00 00 05 01 01 01 00 06',
    { structs: [1, 0, 5], needs: [1, 6], deletes: [1, 0, 6] },
  ],
  [
    'the greatest client id and clock',
    '01 01 ffffffff0f feffffff0f 00 01 00',
    { structs: [0xffff_ffff, 0xffff_fffe, 0xffff_ffff], needs: [], deletes: [] },
  ],
  [
    'clients that refer to each other',
    '02 01 02 00 84 01 00 01 61 01 01 00 00 01 00',
    { structs: [2, 0, 1, 1, 0, 1], needs: [], deletes: [] },
  ],
  [
    'clients that refer to what both brought before',
    '02 01 02 05 84 01 00 01 61 01 01 03 84 02 02 01 61 00',
    { structs: [2, 5, 6, 1, 3, 4], needs: [], deletes: [] },
  ],
  [
    'clients not in descending order',
    '02 01 01 00 00 01 01 02 00 00 01 00',
    { structs: [1, 0, 1, 2, 0, 1], needs: [], deletes: [] },
  ],
]

const refused: readonly (readonly [name: string, update: string, reason: RegExp])[] = [
  ['a trailing byte', '00 00 00', /end of the update/],
  ['a count of clients that is not there', '05', /past the end/],
  ['a count of structs that is not there', '01 ffffffff07 01 00 00', /count of structs.*limit/],
  ['a block without structs', '01 00 01 00 00', /count of structs/],
  ['a count in a longer form than needed', '80 00 00', /too long/],
  ['an integer of more than 53 bits', 'ffffffffffffffffff 01', /count of clients/],
  ['an integer of a thousand bytes', `${'80'.repeat(1000)} 01`, /too long/],
  ['a client id of 33 bits', '01 01 8080808010 00 00 01 00', /client of structs/],
  ['a clock of 33 bits', '01 01 01 8080808010 00 01 00', /clock of structs/],
  ['a struct that ends beyond 32 bits', '01 01 01 ffffffff0f 00 01 00', /end of a struct/],
  ['two blocks of one client', '02 01 01 00 00 01 01 01 01 00 01 00', /twice/],
  ['two blocks of one client apart', '03 01 02 00 00 01 01 01 00 00 01 01 02 01 00 01 00', /twice/],
  ['an empty text', first('00'), /length zero/],
  ['a deleted item of length zero', after(1, '00'), /length zero/],
  ['garbage of length zero', '01 01 01 00 00 00 00', /length zero/],
  ['a gap of length zero', '01 01 01 00 0a 00 00', /length zero/],
  ['no JSON values', after(2, '00'), /length zero/],
  ['no values', after(8, '00'), /length zero/],
  ['an unknown kind of struct', after(11, '01'), /unknown/],
  ['garbage with flags', '01 01 01 00 80 01 00', /unknown/],
  ['a gap with flags', '01 01 01 00 2a 01 00', /unknown/],
  ['an unknown kind of type', after(7, '07'), /kind of a type/],
  ['an unknown kind of parent', '01 01 01 00 04 02 01 74 01 61 00', /kind of a parent/],
  ['an item after itself', '01 01 01 05 84 01 05 01 61 00', /not before/],
  ['an item before a later one of its client', '01 01 01 05 44 01 06 01 61 00', /not before/],
  ['an item in itself', '01 01 01 05 04 00 01 05 01 61 00', /not before/],
  ['two clients that wait for each other', '02 01 02 00 84 01 00 01 61 01 01 00 84 02 00 01 61 00', /circle/],
  [
    'three clients that wait for each other',
    '03 02 03 00 00 01 84 01 00 01 61 01 02 00 84 03 01 01 61 01 01 00 84 02 00 01 61 00',
    /circle/,
  ],
  ['text that goes past the end', first('05 61'), /text.*(past the end|limit)/],
  ['text in an overlong form', first('02 c080'), /UTF-8/],
  ['text with a surrogate', first('03 eda080'), /UTF-8/],
  ['text beyond U+10FFFF', first('04 f4908080'), /UTF-8/],
  ['text that ends within a character', first('03 61e282'), /UTF-8/],
  ['text that is a continuation byte', first('01 80'), /UTF-8/],
  ['a root named __proto__', `01 01 01 00 04 01 ${text('__proto__')} 01 61 00`, /prototype/],
  ['a key named __proto__', `01 01 01 00 28 01 01 6d ${text('__proto__')} 01 7f 00`, /prototype/],
  ['a format named __proto__', format('__proto__', 'true'), /prototype/],
  ['a value with a key __proto__', any(`76 01 ${text('__proto__')} 7f`), /prototype/],
  ['an embed with a key __proto__', embed('{"a":[{"__proto__":1}]}'), /prototype/],
  ['an embed with a key __proto__ in escapes', embed('{"\\u005f_proto__":1}'), /prototype/],
  ['a format that is no JSON', format('bold', 'tru'), /no JSON/],
  ['a format without a value', format('bold', ''), /no JSON/],
  ['an embed that is no JSON', embed("{'a':1}"), /no JSON/],
  ['an embed that is undefined, which only lists have', embed('undefined'), /no JSON/],
  ['a JSON value with something after it', after(2, `01 ${text('1 2')}`), /no JSON/],
  ['an unknown kind of value', any('73'), /no known kind/],
  ['a value that is cut off', any('7b 00'), /past the end/],
  ['an array with a count that is not there', any('75 ffffff7f'), /limit/],
  ['an object with a count that is not there', any('76 ffffff7f'), /limit/],
  ['an integer value beyond 53 bits', any('7d bfffffffffffffffff01'), /value/],
  ['an integer value in a longer form than needed', any('7d 8000'), /too long/],
  ['a subdocument without options', subdocument('7e'), /no object/],
  ['a subdocument with another guid', subdocument(`76 01 ${text('guid')} 7d 01`), /no known name/],
  ['a subdocument with a filter', subdocument(`76 01 ${text('gcFilter')} 7e`), /no known name/],
  ['a subdocument whose gc is a text', subdocument(`76 01 ${text('gc')} 77 01 61`), /neither true nor false/],
  ['an empty deletion', '00 01 01 01 00 00', /length of a deletion/],
  ['deletions that descend', '00 01 01 02 05 01 00 01', /start of a deletion/],
  ['deletions that overlap', '00 01 01 02 00 05 04 02', /start of a deletion/],
  ['a deletion that ends beyond 32 bits', '00 01 01 01 ffffffff0f 01', /end of a deletion/],
  ['deletions of one client twice', '00 02 01 01 00 01 01 01 02 01', /twice/],
  ['a count of deletions that is not there', '00 01 01 ffffff7f 00 01', /count of deletions/],
]

describe('inspecting updates of Yjs', () => {
  it.each(sound)('given %s, when inspected, then it holds and needs what it says', (_name, update, expected) => {
    expect(holdings(update)).toEqual(expected)
  })

  it.each(refused)('given %s, when inspected, then it is refused for that', (_name, update, reason) => {
    expect(codeOf(() => inspect(update))).toBe('UPDATE_INVALID')
    expect(() => inspect(update)).toThrow(reason)
  })

  it('given items next to those of twelve other clients, two each, when inspected, then each client is needed once, to its later item', () => {
    const others = Array.from({ length: 12 }, (_, n) => n + 2)
    const items = (clock: number): string => others.map((client) => `84 ${varUint(client)} ${varUint(clock)} 01 61`).join('')
    const { needs } = inspect(`01 24 01 00 ${items(3)} ${items(7)} ${items(5)} 00`)
    expect(needs).toEqual(others.flatMap((client) => [client, 8]))
  })

  it('given every kind of content as Yjs writes it, when inspected, then it is accepted', () => {
    for (const update of [
      after(1, '05'),
      after(2, `03 ${text('undefined')} ${text('{"a":[1,null]}')} ${text('"\\ud800"')}`),
      after(3, '00'),
      after(4, text('\ufeff漢字💡')),
      embed('{"a":{"b":[1e999,-0]}}'),
      format('bold', 'null'),
      ...['00', '01', '02', `03 ${text('p')}`, '04', `05 ${text('hook')}`, '06'].map((type) => after(7, type)),
      ...['7f', '7e', '79', '78', '7d 40', '7d ff01', '7c 3fc00000', `7b ${'00'.repeat(8)}`, `7a ${'ff'.repeat(8)}`].map(any),
      any(`76 02 ${text('a')} 75 02 7f ${'77' + text('x')} ${text('b')} 74 02 0001`),
      subdocument('76 00'),
      subdocument(`76 03 ${text('gc')} 79 ${text('autoLoad')} 78 ${text('meta')} 76 01 ${text('m')} 7d 01`),
    ]) {
      expect(codeOf(() => inspect(update))).toBe('accepted')
    }
  })

  it('[SES3] given values and JSON nested to the limit and a level more, when inspected, then they are accepted and refused', () => {
    const limits = { ...inspectLimits, depthMax: 4 }
    const code = (update: string): string => codeOf(() => inspectYjs(parse(update), limits))
    for (const [shape, accepted] of [
      [4, 'accepted'],
      [5, 'UPDATE_INVALID'],
    ] as const) {
      expect(code(any(`${'75 01'.repeat(shape)} 7f`))).toBe(accepted)
      expect(code(any(`${'76 01 01 6b'.repeat(shape)} 7f`))).toBe(accepted)
      expect(code(embed(`${'['.repeat(shape)}"[[[[["${']'.repeat(shape)}`))).toBe(accepted)
      expect(code(format('f', `${'{"a":'.repeat(shape)}1${'}'.repeat(shape)}`))).toBe(accepted)
      expect(code(after(2, `01 ${text('['.repeat(shape) + ']'.repeat(shape))}`))).toBe(accepted)
    }
    // A million levels overflow any recursion; the limit comes first.
    expect(codeOf(() => inspect(embed('['.repeat(1_000_000))))).toBe('UPDATE_INVALID')
    expect(codeOf(() => inspect(any('75 01'.repeat(1_000_000))))).toBe('UPDATE_INVALID')
  })

  it('[SES3] given as many clients as the limit and one more, when inspected, then they are accepted and refused', () => {
    const limits = { ...inspectLimits, clientsMax: 3 }
    const blocks = (count: number): string =>
      `${varUint(count)} ${Array.from({ length: count }, (_, n) => `01 ${varUint(count - n)} 00 00 01`).join('')} 00`
    const deletions = (count: number): string =>
      `00 ${varUint(count)} ${Array.from({ length: count }, (_, n) => `${varUint(count - n)} 01 00 01`).join('')}`
    for (const update of [blocks, deletions]) {
      expect(codeOf(() => inspectYjs(parse(update(3)), limits))).toBe('accepted')
      expect(codeOf(() => inspectYjs(parse(update(4)), limits))).toBe('UPDATE_INVALID')
    }
  })

  it('[SES3] given as many gaps, deletions and clients that are referred to as the limit and one more, when inspected, then they are accepted and refused', () => {
    const limits = { ...inspectLimits, clientsMax: 3, rangesMax: 3 }
    const gaps = (count: number): string => `01 ${varUint(count * 2)} 01 00 ${'00 01 0a 01'.repeat(count)} 00`
    const deletions = (count: number): string =>
      `00 01 01 ${varUint(count)} ${Array.from({ length: count }, (_, n) => `${varUint(n * 2)} 01`).join('')}`
    const neighbours = (count: number): string =>
      `01 ${varUint(count)} 01 00 ${Array.from({ length: count }, (_, n) => `84 ${varUint(n + 2)} 00 01 61`).join('')} 00`
    for (const update of [gaps, deletions, neighbours]) {
      expect(codeOf(() => inspectYjs(parse(update(3)), limits))).toBe('accepted')
      expect(codeOf(() => inspectYjs(parse(update(4)), limits))).toBe('UPDATE_INVALID')
    }
  })

  it('[SES3] given as many top-level types or subdocuments as the limit and one more, when inspected, then they are accepted and refused', () => {
    const roots = (count: number): string =>
      `01 ${varUint(count)} 01 00 ${Array.from({ length: count }, (_, n) => `04 01 ${text(`t${n}`)} 01 61`).join('')} 00`
    const subdocuments = (count: number): string => `01 ${varUint(count)} 01 05 ${'89 01 04 01 67 76 00'.repeat(count)} 00`
    for (const update of [roots, subdocuments]) {
      expect(codeOf(() => inspect(update(rareMax)))).toBe('accepted')
      expect(codeOf(() => inspect(update(rareMax + 1)))).toBe('UPDATE_INVALID')
    }
  })

  it('given 30,000 clients that wait for each other in a long chain, when inspected, then it takes time in proportion', () => {
    const count = 30_000
    const block = (client: number): string =>
      client === 1 ? '01 01 00 00 01' : `01 ${varUint(client)} 00 84 ${varUint(client - 1)} 00 01 61`
    const update = parse(`${varUint(count)} ${Array.from({ length: count }, (_, n) => block(count - n)).join('')} 00`)
    const inspection = inspectYjs(update, inspectLimits)
    expect(inspection.structs.length).toBe(count * 3)
    expect(inspection.needs).toEqual([])
  })

  it('given bytes in the middle of a greater buffer, when inspected, then nothing beyond the view is read', () => {
    const whole = parse(`ff ${first('01 61')} ff ff`)
    expect(inspectYjs(whole.subarray(1, whole.length - 2), inspectLimits).structs).toEqual([1, 0, 1])
    const short = parse(first('02 6161'))
    expect(codeOf(() => inspectYjs(short.subarray(0, short.length - 2), inspectLimits))).toBe('UPDATE_INVALID')
  })

  it('given a refusal, when its message is read, then it names field and offset and holds no content', () => {
    let caught: unknown
    try {
      inspect(format('secretword', 'othersecret'))
    } catch (error) {
      caught = error
    }
    expect(caught).toBeInstanceOf(MeridianError)
    expect(String(caught)).toMatch(/value of a format at offset \d+/)
    expect(String(caught)).not.toMatch(/secret/)
  })

  it('given a text whose characters are split in half by an edit, when its updates are inspected, then their lengths are those of Yjs', () => {
    const doc = new Y.Doc()
    doc.clientID = 1
    const ends: number[] = []
    doc.on('update', (update: Uint8Array) => {
      const { structs } = inspectYjs(update, inspectLimits)
      ends.push(structs.at(-1) ?? 0)
    })
    const shared = doc.getText('t')
    shared.insert(0, '💡💡')
    shared.insert(1, 'x\ud800')
    shared.insert(3, '\u{10ffff}ä')
    expect(ends).toEqual([4, 6, 9])
    expect(Y.getState(doc.store, 1)).toBe(9)
  })
})
