/**
 * One profile of a real browser, with its storage, its network and its tabs. Two tabs of a profile share IndexedDB, locks and channels;
 * two profiles share nothing. A profile that is closed and opened on the same folder is the same person's browser on another day.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContext, CDPSession, Page } from 'playwright'
import { chromium } from 'playwright'
import { within } from '../e2e/waiting.js'
import { ensureChromium, launchFlags, launchLimitMs } from './chromium.js'

/** Milliseconds that one step of a page may take before it counts as never: a machine that does ten things at once needs many seconds. */
const stepLimitMs = 90_000
/** Milliseconds to wait for the word that a page has crashed. It is dead then, with or without it. */
const crashLimitMs = 15_000
/** Milliseconds for a browser to close in order; what does not is left to the end of the process. */
const closeLimitMs = 30_000

/** What a page of `pages/` puts into `globalThis.page`: functions with arguments and answers that can be sent. */
export type PageApi = Record<string, (...args: never[]) => unknown>

export class Tab<Api extends PageApi> {
  readonly page: Page
  /** What the page threw and nobody caught, and what it wrote as an error. */
  readonly errors: string[] = []

  constructor(page: Page) {
    this.page = page
    page.on('pageerror', (error) => this.errors.push(error.stack ?? error.message))
    page.on('console', (message) => {
      if (message.type() === 'error') this.errors.push(message.text())
    })
  }

  /** Calls a function of the page and waits for its answer. What it throws is thrown here. */
  async call<Name extends keyof Api & string>(
    name: Name,
    ...args: Parameters<Api[Name]>
  ): Promise<Awaited<ReturnType<Api[Name]>>> {
    const answer: unknown = await this.page.evaluate(
      async ({ name, args }) => {
        // The script of the page may be running still.
        while (!('page' in globalThis)) await new Promise((resolve) => setTimeout(resolve, 5))
        const api: unknown = Reflect.get(globalThis, 'page')
        const run: unknown = typeof api === 'object' && api !== null ? Reflect.get(api, name) : undefined
        if (typeof run !== 'function') throw new Error(`the page has no ${name}`)
        return await run(...args)
      },
      { name, args: [...args] as unknown[] },
    )
    return answer as Awaited<ReturnType<Api[Name]>>
  }

  async reload(): Promise<void> {
    await this.page.reload()
  }

  /** As a tab that is closed by its user. */
  async close(): Promise<void> {
    await this.page.close()
  }

  /** Ends the page's process where it stands: no event, no handler, no last write. */
  async kill(): Promise<void> {
    const crashed = new Promise<void>((resolve) => this.page.once('crash', () => resolve()))
    const session = await this.page.context().newCDPSession(this.page)
    // The answer never comes.
    session.send('Page.crash').catch(() => undefined)
    await within(crashed, 'the crash', crashLimitMs).catch(() => undefined)
    await within(this.page.close(), 'the end of the page', closeLimitMs).catch(() => undefined)
  }
}

export interface ProfileOptions {
  /** Kept when the profile is closed, for a browser that is opened again on another day. Default: nothing is kept. */
  readonly directory?: string
}

let executable: Promise<string> | undefined
let shared: Promise<Browser> | undefined

const executablePath = (): Promise<string> => {
  executable ??= ensureChromium((line) => process.stderr.write(`${line}\n`))
  return executable
}

/** A context of the browser that runs for all tests; a profile of its own in all that a page can see. */
async function openShared(server: string): Promise<BrowserContext> {
  shared ??= chromium.connect(server, { timeout: launchLimitMs })
  return (await shared).newContext()
}

export class Profile {
  readonly context: BrowserContext
  /** Goes when the profile is closed. */
  readonly #directory: string | undefined

  private constructor(context: BrowserContext, directory: string | undefined) {
    this.context = context
    this.#directory = directory
    context.setDefaultTimeout(stepLimitMs)
    context.setDefaultNavigationTimeout(stepLimitMs)
  }

  static async open(options: ProfileOptions = {}): Promise<Profile> {
    const server = process.env['CHROMIUM_SERVER']
    if (options.directory === undefined && server !== undefined) return new Profile(await openShared(server), undefined)
    const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'meridian-profile-')))
    const context = await chromium.launchPersistentContext(directory, {
      executablePath: await executablePath(),
      headless: true,
      args: launchFlags(),
      timeout: launchLimitMs,
    })
    return new Profile(context, options.directory === undefined ? directory : undefined)
  }

  async open<Api extends PageApi>(url: string): Promise<Tab<Api>> {
    const tab = new Tab<Api>(await this.context.newPage())
    await tab.page.goto(url)
    return tab
  }

  /** The network of all tabs, as the browser's own switch does it: sockets that are open get no event. */
  async setOffline(isOffline: boolean): Promise<void> {
    await this.context.setOffline(isOffline)
  }

  /** Moves the wall clock of pages that are opened or reloaded from now on; timers run as before. */
  async setClock(timeMs: number): Promise<void> {
    await this.context.clock.setSystemTime(timeMs)
  }

  /** Commands of the DevTools protocol, for what Playwright has no word for. */
  async session(tab: Tab<PageApi>): Promise<CDPSession> {
    return this.context.newCDPSession(tab.page)
  }

  /** Bytes that the origin may store, from now on; undefined: what the disk has. */
  async setQuota(tab: Tab<PageApi>, origin: string, bytes: number | undefined): Promise<void> {
    const session = await this.session(tab)
    await session.send('Storage.overrideQuotaForOrigin', {
      origin: origin.replace(/\/$/, ''),
      ...(bytes === undefined ? {} : { quotaSize: bytes }),
    })
  }

  /** "Clear site data" of the browser, under running pages. @param types as DevTools names them, with commas. */
  async clear(tab: Tab<PageApi>, origin: string, types = 'all'): Promise<void> {
    const session = await this.session(tab)
    await session.send('Storage.clearDataForOrigin', { origin: origin.replace(/\/$/, ''), storageTypes: types })
  }

  async close(): Promise<void> {
    await within(this.context.close(), 'the end of the browser', closeLimitMs).catch(() => undefined)
    // A folder of the system's temporary ones: if the browser still writes there, it stays.
    if (this.#directory !== undefined)
      await rm(this.#directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 }).catch(() => undefined)
  }
}
