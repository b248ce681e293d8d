/**
 * The Chromium that browser tests and benchmarks run: found, or installed once. In this order: `CHROMIUM_PATH`, where systems keep it,
 * what Playwright has installed, `playwright install chromium`, Debian's package as root or by `sudo -n`. A machine on which none of
 * it works is told what to install; no test is left out for it.
 */

import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { chromium } from 'playwright'

/** Told of what takes its time, a line each. */
export type Say = (line: string) => void

const knownPaths = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
  '/usr/lib/chromium/chromium',
  '/opt/google/chrome/chrome',
  '/snap/bin/chromium',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
]

/** A browser that does not say its version in this time does not work: a wrapper of a package that is not there, or missing libraries. */
const versionLimitMs = 60_000
/** Milliseconds for a browser to start: seconds on an idle machine, and many times as long beside a suite that uses every core. */
export const launchLimitMs = 120_000
/** Playwright's download of about 170 MB; without a network it fails in seconds by itself. */
const downloadLimitMs = 240_000
/** Milliseconds to the first byte of it. Playwright's own default is 30,000, five times over. */
const downloadConnectMs = 10_000
const packageLimitMs = 420_000

/**
 * The browser that is on this machine, without installing anything.
 *
 * @throws Error if `CHROMIUM_PATH` names none that works: another one than was asked for would be a silent answer.
 */
export function findChromium(): string | undefined {
  const asked = process.env['CHROMIUM_PATH']
  if (asked !== undefined && asked !== '') {
    if (!works(asked))
      throw new Error(`CHROMIUM_PATH is ${asked}, which does not run. Set it to a Chromium or Chrome, or unset it.`)
    return asked
  }
  return [...knownPaths, chromium.executablePath()].find(works)
}

/** Finds the browser, or installs it. @throws Error that says what was tried and what to install. */
export async function ensureChromium(say: Say): Promise<string> {
  const tried: string[] = []
  const found = findChromium()
  if (found !== undefined) return found
  for (const attempt of attempts()) {
    say(`no Chromium on this machine; trying ${attempt.name} …`)
    const failure = await attempt.run(say)
    const path = failure === undefined ? findChromium() : undefined
    if (path !== undefined) {
      say(`Chromium is installed: ${path}`)
      return path
    }
    tried.push(`${attempt.name}: ${failure ?? 'it ran to its end, and there is no browser that starts'}`)
    say(tried.at(-1) ?? '')
  }
  throw new Error(
    [
      'The browser tests need Chromium, and none could be found or installed.',
      ...tried.map((line) => `  - ${line}`),
      'Install Chromium or Chrome (Debian: apt-get install chromium), or set CHROMIUM_PATH to one.',
    ].join('\n'),
  )
}

/** Flags for a machine without a display and with a closed network, and for root, which Chromium's sandbox refuses. */
export function launchFlags(): string[] {
  return [
    ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--disable-dev-shm-usage',
    // With little memory Chromium lets tabs of one site share a process: then killing the one kills the other.
    '--renderer-process-limit=200',
  ]
}

interface Attempt {
  readonly name: string
  /** @returns why it failed, or undefined. */
  run(say: Say): Promise<string | undefined>
}

function attempts(): Attempt[] {
  const cli = join(dirname(createRequire(import.meta.url).resolve('playwright/package.json')), 'cli.js')
  const download: Attempt = {
    name: 'playwright install chromium',
    run: (say) =>
      run([process.execPath, cli, 'install', 'chromium'], say, {
        limitMs: downloadLimitMs,
        environment: { PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT: String(downloadConnectMs) },
      }),
  }
  const isRoot = process.getuid?.() === 0
  const debian: Attempt = {
    name: isRoot ? 'apt-get install chromium' : 'sudo -n apt-get install chromium',
    async run(say) {
      if (!existsSync('/usr/bin/apt-get')) return 'this system has no apt-get'
      const command = isRoot ? [] : ['sudo', '-n']
      // Another process may be installing, too; its lock is waited for.
      const apt = [...command, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-q', '-o', 'DPkg::Lock::Timeout=120']
      const options = { limitMs: packageLimitMs }
      return (
        (await run([...apt, 'update'], say, options)) ??
        (await run([...apt, 'install', '-y', '--no-install-recommends', 'chromium'], say, options))
      )
    },
  }
  return [download, debian]
}

/** Output is shown a line in so many milliseconds: enough to see that it goes on, and not thousands of lines. */
const progressMs = 2_000

function run(
  command: readonly string[],
  say: Say,
  options: { readonly limitMs: number; readonly environment?: NodeJS.ProcessEnv },
): Promise<string | undefined> {
  const [program = '', ...args] = command
  return new Promise((resolve) => {
    // A group of its own, so that what it has started ends with it.
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.environment },
      detached: true,
    })
    let last = ''
    let saidAt = 0
    const heard = (data: Buffer): void => {
      last =
        data
          .toString()
          .trim()
          .split(/[\r\n]+/)
          .at(-1)
          ?.trim() || last
      if (Date.now() - saidAt < progressMs) return
      saidAt = Date.now()
      say(`  ${last.slice(0, 120)}`)
    }
    child.stdout.on('data', heard)
    child.stderr.on('data', heard)
    let late = false
    const timer = setTimeout(() => {
      late = true
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }, options.limitMs)
    const end = (failure: string | undefined): void => {
      clearTimeout(timer)
      resolve(failure)
    }
    child.once('error', (error) => end(error.message))
    child.once('close', (code, signal) => {
      if (late) end(`no end after ${options.limitMs / 1000} s`)
      else end(code === 0 ? undefined : `it ended with ${signal ?? code}: ${last.slice(0, 200)}`)
    })
  })
}

function works(path: string): boolean {
  if (!existsSync(path)) return false
  const { status } = spawnSync(path, ['--version'], { stdio: 'ignore', timeout: versionLimitMs })
  return status === 0
}
