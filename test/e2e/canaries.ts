/**
 * Canaries: strings that must not be somewhere, and the search for them in every form that bytes of them could have. What crosses a WebSocket is put
 * together and inflated before it is searched.
 */

import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInflateRaw, type InflateRaw } from 'node:zlib'
import type { Connection, ProxyOptions } from './cut-proxy.js'
import { WebSocketStream } from './websocket-stream.js'

/** A word that is nowhere else, in letters that every encoding leaves as they are. */
export const canary = (name: string): string => `canary${name}${randomBytes(12).toString('hex')}`

/** A word as it is, in UTF-16, in hex, in base64 wherever it begins, and its digests without a key. */
function formsOf(word: string): readonly (readonly [form: string, bytes: Buffer])[] {
  const bytes = Buffer.from(word)
  const forms: (readonly [string, Buffer])[] = [
    ['plain', bytes],
    ['utf16', Buffer.from(word, 'utf16le')],
    ['hex', Buffer.from(bytes.toString('hex'))],
  ]
  for (let shift = 0; shift < 3; shift++) {
    // Without the characters that depend on what stands before and behind.
    const text = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replaceAll('=', '')
    forms.push([`base64 ${shift}`, Buffer.from(text.slice(shift === 0 ? 0 : 4, -4))])
  }
  for (const algorithm of ['md5', 'sha1', 'sha256']) {
    const digest = createHash(algorithm).update(bytes).digest()
    forms.push([algorithm, digest], [`${algorithm} in hex`, Buffer.from(digest.toString('hex'))])
  }
  return forms
}

/** Where which word was found, in which form: `content plain in us-east store log.db`. */
export function sightings(words: Readonly<Record<string, string>>, places: Readonly<Record<string, Uint8Array>>): string[] {
  const found: string[] = []
  for (const [name, word] of Object.entries(words)) {
    for (const [form, bytes] of formsOf(word)) {
      for (const [place, held] of Object.entries(places))
        if (Buffer.from(held).includes(bytes)) found.push(`${name} ${form} in ${place}`)
    }
  }
  return found
}

/** Every file under a folder, by its path in it. */
export function filesIn(folder: string, prefix: string): Record<string, Uint8Array> {
  const files: Record<string, Uint8Array> = {}
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    files[`${prefix} ${path.slice(folder.length + 1)}`] = readFileSync(path)
  }
  return files
}

/** All that crosses one proxy, both ways: as it is, and as messages, inflated. */
export class WireRecord {
  readonly #raw: Buffer[] = []
  readonly #inflated: Buffer[] = []
  readonly #streams = new Map<
    Connection,
    Record<'up' | 'down', { readonly stream: WebSocketStream; readonly inflate: InflateRaw }>
  >()

  readonly tap: NonNullable<ProxyOptions['tap']> = (bytes, connection, direction) => {
    this.#raw.push(Buffer.from(bytes))
    let ways = this.#streams.get(connection)
    if (ways === undefined) this.#streams.set(connection, (ways = { up: this.#way(), down: this.#way() }))
    ways[direction].stream.receive(bytes)
  }

  /** Everything so far. */
  async bytes(): Promise<Uint8Array> {
    const ways = [...this.#streams.values()].flatMap(({ up, down }) => [up, down])
    await Promise.all(ways.map(({ inflate }) => new Promise<void>((resolve) => inflate.write(Buffer.alloc(0), () => resolve()))))
    await Promise.all(ways.map(({ inflate }) => new Promise<void>((resolve) => inflate.flush(() => resolve()))))
    return Buffer.concat([...this.#raw, ...this.#inflated])
  }

  get messageBytes(): number {
    return this.#inflated.reduce((bytes, piece) => bytes + piece.length, 0)
  }

  #way() {
    // RFC 7692: one window for all messages of a direction, each without its empty last block.
    const inflate = createInflateRaw()
    inflate.on('data', (piece: Buffer) => this.#inflated.push(piece))
    inflate.on('error', () => undefined)
    const stream = new WebSocketStream((message, _startByte, isCompressed) => {
      if (!isCompressed) this.#inflated.push(message)
      else inflate.write(Buffer.concat([message, Buffer.from([0, 0, 0xff, 0xff])]))
    })
    return { stream, inflate }
  }
}
