/**
 * The node that is attacked: a process of its own, watched from outside by its memory, its metrics and its answers. Nothing here needs
 * a test runner, so that the heavy attacks use it too.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** From `test/attacks` and from `test/dist/attacks`: up to the checkout. */
const checkout = fileURLToPath(new URL(import.meta.url.includes('/dist/') ? '../../..' : '../..', import.meta.url))
const program = join(checkout, 'server/bin/meridian.js')

export interface VictimOptions {
  readonly flags?: readonly string[]
  /** A config file instead of development mode. */
  readonly config?: (folder: string) => string
  /** A shell raises the bound of open files first. */
  readonly files?: 'as they are' | 'raised'
}

export class Victim {
  readonly url: string
  readonly port: number
  readonly folder: string
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>
  readonly #output: { text: string }

  private constructor(child: ChildProcess, ended: Promise<unknown>, folder: string, output: { text: string }, url: string) {
    this.#child = child
    this.#ended = ended
    this.#output = output
    this.folder = folder
    this.url = url
    this.port = Number(new URL(url).port)
  }

  static async start({ flags = [], config, files = 'as they are' }: VictimOptions = {}): Promise<Victim> {
    const folder = await mkdtemp(join(tmpdir(), 'meridian-attacked-'))
    const args = [program, 'node', '--data', join(folder, 'data'), '--port', '0', '--region', 'eu-west', '--log-format', 'json']
    if (config === undefined) args.push('--dev')
    else {
      const path = join(folder, 'node.yaml')
      writeFileSync(path, config(folder))
      args.push('--config', path)
    }
    args.push(...flags)
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('MERIDIAN_') && name !== 'NODE_OPTIONS')
    const [command, ...rest] =
      files === 'raised'
        ? ['bash', '-c', 'ulimit -n "$(ulimit -Hn)"; exec "$0" "$@"', process.execPath, ...args]
        : [process.execPath, ...args]
    const child = spawn(command ?? '', rest, { stdio: ['ignore', 'pipe', 'pipe'], env: Object.fromEntries(inherited) })
    const ended = once(child, 'close')
    const output = { text: '' }
    const url = await new Promise<string>((resolve, reject) => {
      const hear = (data: Buffer): void => {
        output.text += data.toString()
        const match = /"url":"([^"]+)"/.exec(output.text)
        if (match?.[1] !== undefined) resolve(match[1])
      }
      child.stdout?.on('data', hear)
      child.stderr?.on('data', hear)
      child.once('close', () => reject(new Error(`the node ended: ${output.text}`)))
    })
    return new Victim(child, ended, folder, output, url)
  }

  /** All that it logged. */
  get output(): string {
    return this.#output.text
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Resident memory in MiB. */
  get rssMb(): number {
    return this.#status('VmRSS')
  }

  /** The most that its resident memory was since the last `forgetPeak`, in MiB. */
  get peakMb(): number {
    return this.#status('VmHWM')
  }

  forgetPeak(): void {
    writeFileSync(`/proc/${this.#child.pid}/clear_refs`, '5')
  }

  async readiness(): Promise<number> {
    return (await this.#fetch('/readyz')).status
  }

  /** A metric without labels, or with them as they stand in the text: `meridian_refused_total{code="PREMATURE"}`. */
  async metric(name: string): Promise<number> {
    const text = await (await this.#fetch('/metrics')).text()
    const line = text.split('\n').find((one) => one.startsWith(`${name} `))
    return Number(line?.slice(name.length + 1) ?? 0)
  }

  refused(code: string): Promise<number> {
    return this.metric(`meridian_refused_total{code="${code}"}`)
  }

  async stop(): Promise<void> {
    if (this.isAlive) this.#child.kill('SIGKILL')
    await this.#ended
    await rm(this.folder, { recursive: true, force: true })
  }

  #status(field: string): number {
    const text = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8')
    return Math.round(Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(text)?.[1]) / 1024)
  }

  /** By address and without a connection that is kept. The bound is a guard against a node that hangs, not a measurement. */
  #fetch(path: string): Promise<Response> {
    return fetch(`${this.url}${path}`, { headers: { connection: 'close' }, signal: AbortSignal.timeout(20_000) })
  }
}
