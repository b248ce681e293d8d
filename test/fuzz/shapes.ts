/**
 * Updates of a given size that cost the most to look into, each in one way: many tiny things, many clients, many ranges, deep and large JSON. All are valid
 * but for those whose bound comes first. For bounds on time, not for content.
 */

import { clockMax } from '@meridian/core/engines/yjs-inspect'

export interface Shape {
  readonly name: string
  readonly make: (bytes: number) => Uint8Array
  /** What a document holds before: client and next clock. The rest of the update is new to it, so that a part has to be cut off. */
  readonly held: readonly (readonly [client: number, next: number])[]
}

class Writer {
  readonly #bytes: Uint8Array
  #length = 0

  constructor(bytes: number) {
    this.#bytes = new Uint8Array(bytes + 65_536)
  }

  get length(): number {
    return this.#length
  }

  uint(...values: readonly number[]): this {
    for (let value of values) {
      for (; value > 127; value = Math.floor(value / 128)) this.#bytes[this.#length++] = 128 | (value % 128)
      this.#bytes[this.#length++] = value
    }
    return this
  }

  bytes(...bytes: readonly number[]): this {
    for (const byte of bytes) this.#bytes[this.#length++] = byte
    return this
  }

  text(text: string): this {
    const bytes = new TextEncoder().encode(text)
    this.uint(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
    return this
  }

  done(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }
}

/** One client with one item in the text `t`, of this kind; its content follows. */
const item = (bytes: number, kind: number): Writer => new Writer(bytes).uint(1, 1, 1, 0, kind, 1).text('t')

const held = [[1, 1]] as const

export const shapes: readonly Shape[] = [
  {
    name: 'structs of two bytes',
    held,
    make: (bytes) => {
      const count = (bytes - 16) >> 1
      const writer = new Writer(bytes).uint(1, count, 1, 0)
      for (let index = 0; index < count; index++) writer.uint(0, 1)
      return writer.uint(0).done()
    },
  },
  {
    name: 'gaps of one clock',
    held: [[1, clockMax - 1]],
    make: (bytes) => {
      const count = Math.min((bytes - 16) >> 2, 1_048_000)
      const writer = new Writer(bytes).uint(1, count * 2, 1, clockMax - count * 2)
      for (let index = 0; index < count; index++) writer.uint(10, 1, 0, 1)
      return writer.uint(0).done()
    },
  },
  {
    name: 'deletions of one clock',
    held,
    make: (bytes) => {
      const count = Math.min(Math.floor((bytes - 16) / 5), 1_048_000)
      const writer = new Writer(bytes).uint(1, 1, 1, 0, 0, count * 2, 1, 1, count)
      for (let index = 0; index < count; index++) writer.uint(index * 2, 1)
      return writer.done()
    },
  },
  {
    name: 'clients of one struct',
    held: [[4_000_000_000, 1]],
    make: (bytes) => {
      const count = Math.min(Math.floor((bytes - 16) / 9), 65_536)
      const writer = new Writer(bytes).uint(count)
      for (let index = 0; index < count; index++) writer.uint(1, 4_000_000_000 - index * 997, 0, 0, 2)
      return writer.uint(0).done()
    },
  },
  {
    name: 'clients of one deletion',
    held: Array.from({ length: 65_536 }, (_, index) => [4_000_000_000 - index * 997, 1] as const),
    make: (bytes) => {
      const count = Math.min(Math.floor((bytes - 16) / 8), 65_536)
      const writer = new Writer(bytes).uint(0, count)
      for (let index = 0; index < count; index++) writer.uint(4_000_000_000 - index * 997, 1, 0, 1)
      return writer.done()
    },
  },
  {
    name: 'items next to items of many clients',
    held: [...Array.from({ length: 65_536 }, (_, index) => [4_000_000_000 - index * 997, 1] as const), [1, 1]],
    make: (bytes) => {
      const count = Math.floor((bytes - 16) / 9)
      const writer = new Writer(bytes).uint(1, count, 1, 0)
      for (let index = 0; index < count; index++)
        writer
          .bytes(0x84)
          .uint(4_000_000_000 - (index % 65_536) * 997, 0)
          .bytes(1, 97)
      return writer.uint(0).done()
    },
  },
  {
    name: 'clients next to each other',
    held: [[1000, 1]],
    make: (bytes) => {
      const clients = 1000
      const items = Math.floor((bytes - 6 * clients) / clients / 6)
      const writer = new Writer(bytes).uint(clients)
      for (let client = clients; client >= 1; client--) {
        writer.uint(items + 1, client, 0, 0, 1)
        for (let index = 0; index < items; index++)
          writer
            .bytes(0x84)
            .uint(((client + index) % clients) + 1, 0)
            .bytes(1, 97)
      }
      return writer.uint(0).done()
    },
  },
  {
    name: 'one text of wide characters',
    held,
    make: (bytes) =>
      item(bytes, 4)
        .text('ä'.repeat((bytes - 32) >> 1))
        .uint(0)
        .done(),
  },
  {
    name: 'values of one byte',
    held,
    make: (bytes) => {
      const writer = item(bytes, 8).uint(bytes - 32)
      for (let index = 0; index < bytes - 32; index++) writer.bytes(126)
      return writer.uint(0).done()
    },
  },
  {
    name: 'values that are empty lists',
    held,
    make: (bytes) => {
      const count = (bytes - 32) >> 1
      const writer = item(bytes, 8).uint(count)
      for (let index = 0; index < count; index++) writer.bytes(117, 0)
      return writer.uint(0).done()
    },
  },
  {
    name: 'JSON values that are empty lists',
    held,
    make: (bytes) => {
      const count = Math.floor((bytes - 32) / 3)
      const writer = item(bytes, 2).uint(count)
      for (let index = 0; index < count; index++) writer.bytes(2, 91, 93)
      return writer.uint(0).done()
    },
  },
  {
    name: 'one JSON value of deep lists',
    held: [],
    make: (bytes) => {
      const one = '['.repeat(63) + ']'.repeat(63)
      return item(bytes, 5)
        .text(
          `[${Array(Math.floor((bytes - 64) / 127))
            .fill(one)
            .join(',')}]`,
        )
        .uint(0)
        .done()
    },
  },
  {
    name: 'one JSON object of many keys in escapes',
    held: [],
    make: (bytes) => {
      const keys = Array.from({ length: Math.floor((bytes - 64) / 16) }, (_, index) => `"\\u0061${index.toString(36)}":[]`)
      return item(bytes, 5)
        .text(`{${keys.join(',')}}`)
        .uint(0)
        .done()
    },
  },
  {
    name: 'top-level types by turns',
    held,
    make: (bytes) => {
      const count = Math.floor((bytes - 32) / 8)
      const writer = new Writer(bytes).uint(1, count, 1, 0)
      for (let index = 0; index < count; index++) {
        const name = index % 16_384
        writer.bytes(4, 1, 3, 97 + (name % 26), 97 + (Math.floor(name / 26) % 26), 97 + (Math.floor(name / 676) % 26), 1, 97)
      }
      return writer.uint(0).done()
    },
  },
]
