/**
 * Valid updates of Yjs (V1) drawn from a seed, and the same with exactly one rule of the format broken, somewhere in them. What surrounds the
 * fault is sound, so that nothing else can be the reason why inspection refuses it.
 */

type Draw = (below: number) => number
type Bytes = readonly number[]

interface Struct {
  readonly bytes: Bytes
  /** In clocks. */
  readonly length: number
}

interface Block {
  readonly client: number
  readonly clock: number
  structs: Struct[]
}

interface Deletion {
  readonly client: number
  readonly ranges: (readonly [from: number, length: number])[]
}

interface Model {
  readonly blocks: Block[]
  readonly deletions: Deletion[]
}

export interface Rule {
  readonly name: string
  /** What the error says. */
  readonly says: RegExp
  /** The update with this rule broken. */
  readonly make: (model: Model, draw: Draw) => Uint8Array
}

export const uint = (value: number): Bytes => (value < 128 ? [value] : [(value % 128) | 128, ...uint(Math.floor(value / 128))])
const text = (value: string): Bytes => {
  const bytes = new TextEncoder().encode(value)
  return [...uint(bytes.length), ...bytes]
}
const reference = (client: number, clock: number): Bytes => [...uint(client), ...uint(clock)]

const clockMax = 0xffff_ffff

/** Clients that structs refer to and that have no block. */
const outsider = (draw: Draw): number => 500 + draw(5)

/** An item of some kind, in a top-level type, next to something, or inside of something. */
function itemOf(draw: Draw, kind: number, content: Bytes, { client, clock }: { client: number; clock: number }): Bytes {
  switch (draw(4)) {
    case 0:
      return [kind, ...uint(1), ...text(`root${draw(3)}`), ...content]
    case 1:
      return [0x20 | kind, 0, ...reference(outsider(draw), draw(50)), ...text(`key${draw(3)}`), ...content]
    case 2:
      return [0xc0 | kind, ...reference(outsider(draw), draw(50)), ...reference(outsider(draw), draw(50)), ...content]
    default:
      return clock === 0
        ? [0x40 | kind, ...reference(outsider(draw), draw(50)), ...content]
        : [0x80 | kind, ...reference(client, draw(clock)), ...content]
  }
}

const plain = (draw: Draw): Bytes =>
  [[127], [126], [121], [120], [125, 5], [124, 0, 0, 0, 0], [123, 0, 0, 0, 0, 0, 0, 0, 0], [119, 1, 97], [116, 1, 7]][draw(9)] ??
  []

function soundStruct(draw: Draw, at: { client: number; clock: number }): Struct {
  const item = (kind: number, content: Bytes, length = 1): Struct => ({ bytes: itemOf(draw, kind, content, at), length })
  switch (draw(12)) {
    case 0:
      return { bytes: [0, 3], length: 3 }
    case 1:
      return { bytes: [10, 2], length: 2 }
    case 2:
      return item(1, uint(200), 200)
    case 3:
      return item(2, [2, ...text('{"a":[1]}'), ...text('undefined')], 2)
    case 4:
      return item(3, [3, 1, 2, 3])
    case 5:
      return item(4, text('wörd 💡'), 7)
    case 6:
      return item(5, text('{"image":"x"}'))
    case 7:
      return item(6, [...text('bold'), ...text('true')])
    case 8:
      return item(7, draw(2) === 0 ? [draw(3)] : [3, ...text('p')])
    case 9:
      return item(8, [3, ...plain(draw), 118, 1, ...text('k'), ...plain(draw), 117, 1, ...plain(draw)], 3)
    case 10:
      return item(9, [...text('guid'), 118, 2, ...text('gc'), 121, ...text('meta'), 118, 0])
    default:
      return item(4, text('a'))
  }
}

const clockAfter = (block: Block, count = block.structs.length): number =>
  block.structs.slice(0, count).reduce((clock, { length }) => clock + length, block.clock)

export function modelOf(draw: Draw): Model {
  const blocks: Block[] = []
  for (let count = 1 + draw(3); count > 0; count--) {
    const block: Block = {
      client: [7, 300, 70_000, 0xffff_fffe][count] ?? 1,
      clock: [0, 0, 5, 90_000][draw(4)] ?? 0,
      structs: [],
    }
    for (let structs = 1 + draw(6); structs > 0; structs--)
      block.structs.push(soundStruct(draw, { client: block.client, clock: clockAfter(block) }))
    blocks.push(block)
  }
  const deletions = Array.from({ length: draw(3) }, (_, place): Deletion => {
    let end = draw(10)
    return {
      client: 900 - place,
      ranges: Array.from({ length: 1 + draw(4) }, () => {
        const range = [end + draw(3), 1 + draw(5)] as const
        end = range[0] + range[1]
        return range
      }),
    }
  })
  return { blocks, deletions }
}

const encodeBlock = ({ client, clock, structs }: Block, count = structs.length): Bytes => [
  ...uint(count),
  ...uint(client),
  ...uint(clock),
  ...structs.flatMap(({ bytes }) => bytes),
]

const encodeDeletion = ({ client, ranges }: Deletion, count = ranges.length): Bytes => [
  ...uint(client),
  ...uint(count),
  ...ranges.flatMap(([from, length]) => [...uint(from), ...uint(length)]),
]

const withLists = (blocks: readonly Bytes[], deletions: readonly Bytes[]): Uint8Array =>
  Uint8Array.from([...uint(blocks.length), ...blocks.flat(), ...uint(deletions.length), ...deletions.flat()])

export const encode = ({ blocks, deletions }: Model): Uint8Array =>
  withLists(
    blocks.map((block) => encodeBlock(block)),
    deletions.map((deletion) => encodeDeletion(deletion)),
  )

/** A bad struct takes the place before a sound one, or after the last. */
function struct(name: string, says: RegExp, bad: (draw: Draw, at: { client: number; clock: number }) => Bytes): Rule {
  return {
    name,
    says,
    make: (model, draw) => {
      const block = model.blocks[draw(model.blocks.length)]
      if (block === undefined) throw new Error('a model has a block')
      const place = draw(block.structs.length + 1)
      const at = { client: block.client, clock: clockAfter(block, place) }
      block.structs.splice(place, 0, { bytes: bad(draw, at), length: 0 })
      // What comes behind may refer to its own block by clocks that are other ones now; the fault is read before.
      return encode(model)
    },
  }
}

/** The content of an item is bad. */
const content = (name: string, says: RegExp, kind: number, bad: (draw: Draw) => Bytes): Rule =>
  struct(name, says, (draw, at) => itemOf(draw, kind, bad(draw), at))

function block(name: string, says: RegExp, bad: (block: Block, draw: Draw) => Bytes): Rule {
  return {
    name,
    says,
    make: ({ blocks, deletions }, draw) => {
      const place = draw(blocks.length)
      return withLists(
        blocks.map((one, index) => (index === place ? bad(one, draw) : encodeBlock(one))),
        deletions.map((one) => encodeDeletion(one)),
      )
    },
  }
}

/** Deletions of a client of its own, before or behind the sound ones. */
function deletion(name: string, says: RegExp, bad: (draw: Draw) => Bytes): Rule {
  return {
    name,
    says,
    make: ({ blocks, deletions }, draw) => {
      const all = deletions.map((one) => encodeDeletion(one))
      all.splice(draw(all.length + 1), 0, bad(draw))
      return withLists(
        blocks.map((one) => encodeBlock(one)),
        all,
      )
    },
  }
}

const nested = (depth: number): Bytes => [...Array.from({ length: depth }, () => [117, 1]).flat(), 126]
const json = (value: string): Bytes => text(value)
const deepJson = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)

export const rules: readonly Rule[] = [
  struct('garbage of length zero', /length zero/, () => [0, 0]),
  struct('a gap of length zero', /length zero/, () => [10, 0]),
  content('a deleted item of length zero', /length zero/, 1, () => [0]),
  content('an empty text', /length zero/, 4, () => [0]),
  content('no values', /length zero/, 8, () => [0]),
  content('no JSON values', /length zero/, 2, () => [0]),
  struct('a struct of no kind', /kind of a struct/, (draw) => [11 + draw(21), 1]),
  struct('garbage with flags', /kind of a struct/, (draw) => [0x20 << draw(3), 3]),
  struct('a gap with flags', /kind of a struct/, (draw) => [10 | (0x20 << draw(3)), 3]),
  struct('garbage beyond the last clock', /end of a struct.*beyond/, () => [0, ...uint(clockMax)]),
  struct('an item next to itself', /not before the item itself/, (_, { client, clock }) => [
    0x84,
    ...reference(client, clock),
    1,
    97,
  ]),
  struct('an item next to a later one', /not before the item itself/, (draw, { client, clock }) => [
    0x44,
    ...reference(client, clock + 1 + draw(9)),
    1,
    97,
  ]),
  struct('an item inside of itself', /not before the item itself/, (_, { client, clock }) => [
    4,
    0,
    ...reference(client, clock),
    1,
    97,
  ]),
  struct('an item next to a client that cannot be', /origin of an item.*beyond/, () => [
    0x84,
    ...reference(clockMax + 1, 0),
    1,
    97,
  ]),
  struct('an item next to a clock that cannot be', /origin of an item.*beyond/, () => [0x84, ...reference(500, clockMax), 1, 97]),
  struct('a parent of no kind', /kind of a parent.*beyond/, () => [4, 2, ...text('root'), 1, 97]),
  struct('a top-level type named __proto__', /name of a top-level type.*prototype/, () => [4, 1, ...text('__proto__'), 1, 97]),
  struct('a key named __proto__', /key of an item.*prototype/, () => [0x24, 1, ...text('root'), ...text('__proto__'), 1, 97]),
  content('a format named __proto__', /name of a format.*prototype/, 6, () => [...text('__proto__'), ...json('1')]),
  content('a value with __proto__', /value.*prototype/, 8, () => [1, 118, 1, ...text('__proto__'), 126]),
  content('a value deep inside with __proto__', /value.*prototype/, 8, () => [1, 117, 1, 118, 1, ...text('__proto__'), 126]),
  content('JSON with __proto__', /prototype/, 5, () => json('{"__proto__":1}')),
  content('JSON with __proto__ in escapes', /prototype/, 5, () => json('{"a":[{"\\u005f_proto__":1}]}')),
  content('values too deep', /deeper/, 8, () => [1, ...nested(65)]),
  content('JSON too deep', /deeper/, 5, () => json(deepJson(65))),
  content('a format too deep', /deeper/, 6, () => [...text('f'), ...json(deepJson(65))]),
  content('JSON that is none', /no JSON/, 5, () => json('{"a":}')),
  content('an undefined embed', /no JSON/, 5, () => json('undefined')),
  content('a value of no kind', /no known kind/, 8, (draw) => [1, draw(116)]),
  content('an integer of a value that is too long', /too long/, 8, () => [
    1, 125, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
  ]),
  content('a type of no kind', /kind of a type.*beyond/, 7, (draw) => [7 + draw(100)]),
  content('a subdocument whose options are a list', /no object/, 9, () => [...text('guid'), 117, 0]),
  content('a subdocument with an option of no name', /no known name/, 9, () => [
    ...text('guid'),
    118,
    1,
    ...text('guid'),
    119,
    1,
    97,
  ]),
  content('a subdocument with a flag that is text', /neither true nor false/, 9, () => [
    ...text('guid'),
    118,
    1,
    ...text('gc'),
    119,
    1,
    97,
  ]),
  content('text that is cut off in a character', /no UTF-8/, 4, () => [2, 97, 0xc3]),
  content('text with a surrogate', /no UTF-8/, 4, () => [3, 0xed, 0xa0, 0x80]),
  content('text with a character in too many bytes', /no UTF-8/, 4, () => [2, 0xc0, 0x80]),
  content('text with a character beyond the last', /no UTF-8/, 4, () => [4, 0xf4, 0x90, 0x80, 0x80]),
  content('text beyond the bytes', /text.*beyond/, 4, () => uint(1_000_000)),
  content('bytes beyond the bytes', /binary value.*beyond/, 3, () => uint(1_000_000)),
  content('more values than bytes', /count of values.*beyond/, 8, () => uint(1_000_000)),
  content('more JSON values than bytes', /count of JSON values.*beyond/, 2, () => uint(1_000_000)),
  content('an object of more entries than bytes', /value.*beyond/, 8, () => [1, 118, ...uint(1_000_000)]),
  content('a length in more bytes than it takes', /too long/, 4, () => [0x81, 0x00, 97]),
  block('a client without structs', /count of structs.*zero/, ({ client, clock }) => [0, ...uint(client), ...uint(clock)]),
  block('more structs than bytes', /count of structs.*beyond/, (one) => encodeBlock(one, 1_000_000)),
  block('a client that cannot be', /client of structs.*beyond/, ({ clock, structs }) => [
    ...uint(structs.length),
    ...uint(clockMax + 1),
    ...uint(clock),
    ...structs.flatMap(({ bytes }) => bytes),
  ]),
  block('a clock that cannot be', /clock of structs.*beyond/, ({ client, structs }) => [
    ...uint(structs.length),
    ...uint(client),
    ...uint(clockMax + 1),
    ...structs.flatMap(({ bytes }) => bytes),
  ]),
  {
    name: 'a client twice',
    says: /client of structs.*twice/,
    make: (model, draw) => {
      const blocks = model.blocks.map((one) => encodeBlock(one))
      const again = model.blocks[draw(blocks.length)]
      blocks.splice(draw(blocks.length + 1), 0, [1, ...uint(again?.client ?? 0), 0, 0, 1])
      return withLists(
        blocks,
        model.deletions.map((one) => encodeDeletion(one)),
      )
    },
  },
  {
    name: 'a circle of clients',
    says: /circle/,
    make: ({ blocks, deletions }, draw) => {
      const count = 2 + draw(3)
      const circle = Array.from({ length: count }, (_, place) => [
        ...uint(1),
        ...uint(2_000 + place),
        0,
        0x84,
        ...reference(2_000 + ((place + 1) % count), 0),
        1,
        97,
      ])
      const all: Bytes[] = blocks.map((one) => encodeBlock(one))
      all.splice(draw(all.length + 1), 0, ...circle)
      return withLists(
        all,
        deletions.map((one) => encodeDeletion(one)),
      )
    },
  },
  {
    name: 'more clients than there are',
    says: /./,
    make: ({ blocks, deletions }) =>
      Uint8Array.from([
        ...uint(blocks.length + 1),
        ...blocks.flatMap((one) => encodeBlock(one)),
        ...uint(deletions.length),
        ...deletions.flatMap((one) => encodeDeletion(one)),
      ]),
  },
  {
    name: 'more clients than may be',
    says: /count of clients.*beyond/,
    make: (model) => Uint8Array.from([...uint(65_537), ...encode(model).subarray(1)]),
  },
  {
    name: 'bytes behind the end',
    says: /belong to nothing/,
    make: (model, draw) => Uint8Array.from([...encode(model), ...Array.from({ length: 1 + draw(4) }, () => draw(256))]),
  },
  {
    name: 'an end that is missing',
    says: /./,
    make: (model, draw) => {
      const bytes = encode(model)
      return bytes.subarray(0, draw(bytes.length))
    },
  },
  deletion('a deletion of length zero', /length of a deletion.*zero/, (draw) => [...uint(40), 1, draw(100), 0]),
  deletion('deletions that overlap', /before the end/, () => [...uint(40), 2, 5, 4, 8, 1]),
  deletion('deletions that descend', /before the end/, () => [...uint(40), 2, 50, 4, 5, 1]),
  deletion('a deletion that is there twice', /before the end/, () => [...uint(40), 2, 5, 4, 5, 4]),
  deletion('a deletion beyond the last clock', /end of a deletion.*beyond/, () => [...uint(40), 1, ...uint(clockMax), 1]),
  deletion('a deletion that begins beyond the last clock', /start of a deletion.*beyond/, () => [
    ...uint(40),
    1,
    ...uint(clockMax + 1),
    1,
  ]),
  deletion('a deleting client that cannot be', /client of deletions.*beyond/, () => [...uint(clockMax + 1), 1, 0, 1]),
  deletion('more deletions than bytes', /count of deletions.*beyond/, () => [...uint(40), ...uint(1_000_000)]),
  {
    name: 'deletions of a client twice',
    says: /client of deletions.*twice/,
    make: ({ blocks, deletions }, draw) => {
      const all: Bytes[] = [...deletions.map((one) => encodeDeletion(one)), [...uint(950), 1, 0, 1]]
      all.splice(draw(all.length + 1), 0, [...uint(950), 1, 7, 1])
      return withLists(
        blocks.map((one) => encodeBlock(one)),
        all,
      )
    },
  },
]
