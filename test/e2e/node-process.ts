/**
 * A real node as a process of its own on one data directory: started, stopped by SIGTERM, killed by `kill -9`, started again on the same
 * port. What it logs is kept over all its openings. It ends with the test, however that ends (leash.mjs).
 */

import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { within } from './waiting.js'

export interface NodeOptions {
  readonly directory: string
  /** More flags of `meridian node`, after `--dev`, or with a secret `--region eu-west`, and `--port … --data …`. */
  readonly flags?: readonly string[]
  /** False: without `--dev`, so that tokens are asked for. Default true. */
  readonly isDevelopment?: boolean
  /** More flags of Node.js itself. */
  readonly nodeFlags?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  /** Tokens are asked for, signed with this by HS256; without it the node is in development mode. */
  readonly secret?: string
  /** A command that runs the node, such as a tracer; it goes in front. */
  readonly under?: readonly string[]
}

/** One line of the node's log. */
export type LogLine = Readonly<Record<string, unknown>>

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** The node ended before it listened. */
export class StartRefused extends Error {
  readonly exit: Exit
  readonly stderr: string

  constructor(exit: Exit, stderr: string) {
    super(`the node ended with ${exit.signal ?? exit.code} before it listened:\n${stderr}`)
    this.exit = exit
    this.stderr = stderr
  }
}

const startLimitMs = 60_000
/** A node may take its `drainMs` and five seconds for its log. */
const stopLimitMs = 40_000

/** A file that is not compiled: beside the source, or found from `dist`. */
export function beside(name: string): string {
  const near = new URL(`./${name}`, import.meta.url)
  return fileURLToPath(existsSync(near) ? near : new URL(`../../e2e/${name}`, import.meta.url))
}

export class NodeProcess {
  readonly directory: string
  /** Of all openings. */
  readonly lines: LogLine[] = []
  /** What was written to standard output and standard error, as it came, of all openings. */
  output = ''
  port = 0
  startCount = 0
  killCount = 0
  #options: NodeOptions
  #child: ChildProcess | undefined
  #ended: Promise<Exit> | undefined
  #stderr = ''

  private constructor(options: NodeOptions) {
    this.#options = options
    this.directory = options.directory
  }

  /** @throws StartRefused */
  static async start(options: NodeOptions): Promise<NodeProcess> {
    const node = new NodeProcess(options)
    await node.start()
    return node
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get isRunning(): boolean {
    return this.#child !== undefined
  }

  /** Of the node, or of what runs it. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** On the port that it had before. @throws StartRefused */
  async start(changes: Partial<Omit<NodeOptions, 'directory'>> = {}): Promise<void> {
    if (this.#child !== undefined) throw new Error('the node runs already')
    this.#options = { ...this.#options, ...changes }
    const { directory, flags = [], nodeFlags = [], environment = {}, secret, under = [] } = this.#options
    const { isDevelopment = secret === undefined } = this.#options
    const [command, ...before] = [...under, process.execPath]
    const child = spawn(
      command,
      [
        ...before,
        '--import',
        pathToFileURL(beside('leash.mjs')).href,
        ...nodeFlags,
        meridian,
        'node',
        ...(isDevelopment ? ['--dev'] : []),
        ...(secret === undefined ? [] : ['--region', 'eu-west']),
        '--port',
        String(this.port),
        '--data',
        directory,
        ...flags,
      ],
      // The fourth is the leash. A group of its own, so that a tracer goes together with what it traces.
      {
        stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
        env: { ...cleanEnvironment(), ...(secret === undefined ? {} : { MERIDIAN_AUTH_SECRET: secret }), ...environment },
        detached: true,
      },
    )
    this.#child = child
    this.#stderr = ''
    live.add(child)
    this.#ended = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        live.delete(child)
        if (this.#child === child) this.#child = undefined
        resolve({ code, signal })
      })
      child.once('error', (error) => {
        this.#stderr += error.message
      })
    })
    child.stderr?.on('data', (data: Buffer) => {
      this.#stderr = (this.#stderr + data.toString()).slice(-16_384)
      this.output += data.toString()
    })
    const listening = new Promise<string>((resolve, reject) => {
      if (child.stdout !== null) {
        createInterface({ input: child.stdout }).on('line', (text) => {
          const line = parseLine(text)
          this.lines.push(line)
          this.output += `${text}\n`
          if (typeof line['url'] === 'string') resolve(line['url'])
        })
      }
      void this.#ended?.then((exit) => reject(new StartRefused(exit, this.#stderr)))
    })
    try {
      this.port = Number(new URL(await within(listening, () => `the node to listen\n${this.#stderr}`, startLimitMs)).port)
    } catch (thrown) {
      await this.#end('SIGKILL')
      throw thrown
    }
    this.startCount++
  }

  /** SIGTERM: it drains. */
  async stop(): Promise<Exit> {
    return this.#end('SIGTERM')
  }

  /** `kill -9`. */
  async kill(): Promise<Exit> {
    if (this.#child !== undefined) this.killCount++
    return this.#end('SIGKILL')
  }

  async restart(): Promise<void> {
    await this.kill()
    await this.start()
  }

  /** Sends a signal and waits for nothing. */
  signal(signal: NodeJS.Signals): void {
    if (this.#child !== undefined) signalGroup(this.#child, signal)
  }

  /** When the running process has ended. */
  async ended(): Promise<Exit> {
    const ended = this.#ended ?? Promise.resolve({ code: null, signal: null })
    return within(ended, () => `the node to end\n${this.#stderr}`, stopLimitMs)
  }

  /** What `/metrics` says: `name` or `name{labels}` → value. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const response = await fetch(`${this.url}/metrics`)
    const text = await response.text()
    if (!response.ok) throw new Error(`/metrics answers ${response.status}: ${text}`)
    const values = new Map<string, number>()
    for (const line of text.split('\n')) {
      const match = /^([^#\s{]+(?:\{[^}]*\})?) (\S+)/.exec(line)
      if (match?.[1] !== undefined) values.set(match[1], Number(match[2]))
    }
    return values
  }

  async dispose(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async #end(signal: NodeJS.Signals): Promise<Exit> {
    if (this.#child !== undefined) signalGroup(this.#child, signal)
    return this.ended()
  }
}

const meridian = join(dirname(createRequire(import.meta.url).resolve('@meridian/server/package.json')), 'bin', 'meridian.js')
const live = new Set<ChildProcess>()

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // It is gone already.
  }
}

function parseLine(text: string): LogLine {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : { text }
  } catch {
    return { text }
  }
}

/** What the tests run under must not configure the node. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(?:MERIDIAN_|VITEST|NODE_OPTIONS$|NODE_V8_COVERAGE$)/.test(name))
  return Object.fromEntries(kept)
}

process.on('exit', () => {
  for (const child of live) signalGroup(child, 'SIGKILL')
})
