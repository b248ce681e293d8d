/** The client of client-child.mjs, from outside: what it said, killed by `kill -9` and opened again on the same store. */

import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import type { Ledger } from './ledger.js'
import { beside } from './node-process.js'
import { within } from './waiting.js'

export interface ClientProcessOptions {
  readonly url: string
  readonly path: string
  /** `collection/key` of its list. */
  readonly document: string
  /** Each of its words begins with this and the number of the opening. */
  readonly name: string
  readonly ledger: Ledger
}

export class ClientProcess {
  killCount = 0
  readonly errors = new Set<string>()
  readonly wrong: string[] = []
  readonly #options: ClientProcessOptions
  #opening = 0
  #child: ChildProcess | undefined
  #ended: Promise<void> | undefined
  #stored = 0
  #saved = 0
  /** Words that its device has stored, over all openings. */
  readonly #kept = new Set<string>()
  #rested: (() => void) | undefined

  constructor(options: ClientProcessOptions) {
    this.#options = options
  }

  start(): void {
    const { url, path, document, name } = this.#options
    this.#opening++
    this.#stored = 0
    this.#saved = 0
    const child = spawn(
      process.execPath,
      [
        '--import',
        pathToFileURL(beside('leash.mjs')).href,
        beside('client-child.mjs'),
        url,
        path,
        document,
        `${name}${this.#opening}`,
      ],
      { stdio: ['pipe', 'pipe', 'inherit', 'pipe'] },
    )
    this.#child = child
    this.#ended = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        if (signal !== 'SIGKILL') this.wrong.push(`the client ended with ${signal ?? code}`)
        this.#rested?.()
        resolve()
      })
    })
    child.stdin?.on('error', () => undefined)
    if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', (line) => this.#heard(line))
  }

  /** `kill -9`; what it had said is heard first. */
  async kill(): Promise<void> {
    this.killCount++
    await this.dispose()
  }

  /** It types no more, and everything is saved. */
  async rest(): Promise<void> {
    const rested = new Promise<void>((resolve) => {
      this.#rested = resolve
    })
    this.#child?.stdin?.write('rest\n')
    await within(rested, 'the client process to be saved')
  }

  goOn(): void {
    this.#child?.stdin?.write('go on\n')
  }

  async dispose(): Promise<void> {
    this.#child?.kill('SIGKILL')
    await this.#ended
    this.#child = undefined
  }

  #heard(text: string): void {
    const line = parseLine(text)
    if (line === undefined) return
    if ('found' in line && Array.isArray(line.found)) this.#found(new Set(line.found.map(String)))
    if ('stored' in line) this.#stored = this.#reached(this.#stored, Number(line.stored), (word) => this.#keep(word))
    if ('saved' in line) {
      const words: string[] = []
      this.#saved = this.#reached(this.#saved, Number(line.saved), (word) => words.push(word))
      for (const word of words) this.#keep(word)
      this.#options.ledger.saved(words.map((word) => ({ document: this.#options.document, word, kind: 'insert' })))
    }
    if ('rested' in line) this.#rested?.()
    if ('error' in line) this.errors.add(String(line.error))
  }

  /** CLI1: what was stored is on the device at the next opening. */
  #found(words: ReadonlySet<string>): void {
    for (const word of this.#kept) if (!words.has(word)) this.wrong.push(`${word} was stored and is not on the device`)
  }

  #keep(word: string): void {
    if (this.#kept.has(word)) return
    this.#kept.add(word)
    this.#options.ledger.made({ document: this.#options.document, word, kind: 'insert' })
  }

  #reached(from: number, to: number, take: (word: string) => void): number {
    for (let index = from + 1; index <= to; index++) take(`${this.#options.name}${this.#opening}-${index}`)
    return Math.max(from, to)
  }
}

/** The last line of a client that was killed may be a part of one, which says nothing. */
function parseLine(text: string): object | undefined {
  try {
    const line: unknown = JSON.parse(text)
    return typeof line === 'object' && line !== null ? line : undefined
  } catch {
    return undefined
  }
}
