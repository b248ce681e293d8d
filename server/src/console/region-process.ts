/**
 * The node of one region as a process of its own, with a folder of its own: started, killed and started again by whoever looks at the cluster.
 *
 * ```
 *  down ──start──▶ starting ──answers──▶ running ──kill, stop or by itself──▶ down
 * ```
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, type WriteStream } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { MeridianError } from '@meridian/core/errors'

export interface RegionProcessOptions {
  readonly url: string
  /** Arguments of `meridian node`. */
  readonly args: readonly string[]
  /** Where what the node logs goes. */
  readonly logFile: string
  readonly onChange: () => void
}

export type RegionState = 'down' | 'starting' | 'running'

const meridian = fileURLToPath(new URL('../../bin/meridian.js', import.meta.url))
const leash = new URL('./leash.js', import.meta.url).href

const startLimitMs = 30_000
const lookMs = 100
/** What a node may take to drain and to close its log, and a little. */
const stopLimitMs = 27_000
const tailLength = 2_000

export class RegionProcess {
  readonly #options: RegionProcessOptions
  readonly #log: WriteStream
  #child: ChildProcess | undefined
  #ended: Promise<void> = Promise.resolve()
  #state: RegionState = 'down'
  /** The end of what it wrote to standard error. */
  #said = ''

  constructor(options: RegionProcessOptions) {
    this.#options = options
    this.#log = createWriteStream(options.logFile, { flags: 'a' })
  }

  get state(): RegionState {
    return this.#state
  }

  /** Resolves when the node answers. @throws MeridianError CONFIG_INVALID with what the node said, if it ended instead. */
  async start(): Promise<void> {
    if (this.#child !== undefined) return
    this.#become('starting')
    this.#said = ''
    const child = spawn(process.execPath, ['--import', leash, meridian, 'node', ...this.#options.args], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    this.#child = child
    child.stdout?.on('data', (bytes: Buffer) => this.#log.write(bytes))
    child.stderr?.on('data', (bytes: Buffer) => {
      this.#said = `${this.#said}${bytes.toString()}`.slice(-tailLength)
    })
    this.#ended = new Promise((resolve) => {
      child.once('close', () => {
        if (this.#child === child) {
          this.#child = undefined
          this.#become('down')
        }
        resolve()
      })
      child.once('error', () => undefined)
    })
    const deadline = performance.now() + startLimitMs
    while (this.#child === child && performance.now() < deadline) {
      if (await answers(`${this.#options.url}/readyz`)) return this.#become('running')
      await new Promise((resolve) => setTimeout(resolve, lookMs))
    }
    await this.#end('SIGKILL')
    throw new MeridianError('CONFIG_INVALID', {
      message: `The node at ${this.#options.url} did not start.\n${this.#said.trim()}`,
    })
  }

  /** `kill -9`: nothing is told, nothing is written any more. */
  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  /** In order: clients are told, and nothing that was saved is lost. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => void this.kill(), stopLimitMs)
    await this.#end('SIGTERM')
    clearTimeout(timer)
  }

  async close(): Promise<void> {
    await this.stop()
    await new Promise<void>((resolve) => this.#log.end(() => resolve()))
  }

  #end(signal: NodeJS.Signals): Promise<void> {
    this.#child?.kill(signal)
    return this.#ended
  }

  #become(state: RegionState): void {
    this.#state = state
    this.#options.onChange()
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(1_000) })).ok
  } catch {
    return false
  }
}
