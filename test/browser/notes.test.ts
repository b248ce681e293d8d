/** The sample app as people use it: a real node serves what `npm run build` made, and a real browser runs it. */

import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '@meridian/client'
import { appFolder } from '@meridian/server/http/app-files'
import type { Page } from 'playwright'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { NodeProcess } from '../e2e/node-process.js'
import { hmac, token } from '../server/auth/tokens.js'
import { contrastsBelow, namelessControls } from './accessibility.js'
import { Front } from './front.js'
import { badge, editorTakesKeys, newNote, openPage, openProfile, row, textOf, write } from './notes-app.js'
import { Tab } from './profile.js'

const limitMs = 90_000

beforeAll(() => {
  if (!existsSync(join(appFolder, 'index.html'))) throw new Error('The sample app is not built: run npm run build first.')
})

async function startNode(flags: readonly string[] = [], secret?: string): Promise<NodeProcess> {
  const directory = await mkdtemp(join(tmpdir(), 'meridian-notes-'))
  const node = await NodeProcess.start({ directory, flags, ...(secret === undefined ? {} : { secret }) })
  onTestFinished(async () => {
    await node.dispose()
    await rm(directory, { recursive: true, force: true, maxRetries: 20 })
  })
  return node
}

/** Edits of notes that the device keeps and no node has saved. */
const keptEditCount = (page: Page): Promise<number> =>
  page.evaluate(async () => {
    const answer = <T>(request: IDBRequest<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        request.addEventListener('success', () => resolve(request.result))
        request.addEventListener('error', () => reject(request.error ?? new Error('no answer')))
      })
    let count = 0
    for (const { name = '' } of await indexedDB.databases()) {
      const database = await answer(indexedDB.open(name))
      for (const store of database.objectStoreNames) {
        const keys: unknown[] = await answer(database.transaction(store).objectStore(store).getAllKeys())
        for (const key of keys) if (Array.isArray(key) && key[0] === 'out' && !String(key[1]).endsWith('/notes/index')) count++
      }
      database.close()
    }
    return count
  })

describe('two people', () => {
  it('write in one note, see each other and each other’s cursor, and take back only what is theirs', async () => {
    const node = await startNode()
    const ada = await openPage(await openProfile({ name: 'Ada Berg', color: 1 }), node.url)
    const bo = await openPage(await openProfile({ name: 'Bo Lind', color: 4 }), node.url)
    await newNote(ada, 'Trip\nTent')
    await row(bo, 'Trip').click()
    await textOf(bo).filter({ hasText: 'Tent' }).click()
    await editorTakesKeys(bo)
    await bo.keyboard.press('Control+End')
    await write(bo, ' and coffee')
    await textOf(ada).filter({ hasText: 'Tent and coffee' }).waitFor()
    await ada.locator('.cm-ySelectionInfo', { hasText: 'Bo Lind' }).waitFor()
    await bo.locator('.cm-ySelectionInfo', { hasText: 'Ada Berg' }).waitFor()
    await expect.poll(() => ada.locator('.people').getAttribute('aria-label'), { timeout: limitMs }).toBe('Also here: Bo Lind')

    await textOf(ada).focus()
    await ada.keyboard.press('Control+Home')
    await write(ada, 'Our ')
    // The cursor of Ada, with her name, stands between the words.
    await textOf(bo)
      .filter({ hasText: /Our [^]*Trip/ })
      .waitFor()
    await textOf(bo).focus()
    await bo.keyboard.press('Control+z')
    await textOf(ada).filter({ hasNotText: 'and coffee' }).waitFor()
    expect(await textOf(ada).innerText()).toContain('Our Trip')
    await row(bo, 'Our Trip').waitFor()

    await bo.close()
    await ada.locator('.people').waitFor({ state: 'detached' })
  })
})

describe('a browser that clears its data under the app', () => {
  it('is told so in words that a person understands, keeps what is open, and takes the notice away when it was read', async () => {
    const node = await startNode()
    const profile = await openProfile({ name: 'Ada Berg' })
    const page = await openPage(profile, node.url)
    await newNote(page, 'Trip\nTent')
    await profile.clear(new Tab(page), node.url, 'indexeddb')
    const notice = page.locator('.notice', { hasText: 'copy of your notes was cleared' })
    await notice.waitFor()
    await badge(page, 'saved').waitFor()
    await notice.getByRole('button', { name: 'Got it' }).click()
    await notice.waitFor({ state: 'detached' })
    expect(await textOf(page).innerText()).toContain('Tent')
  })
})

describe('without a network', () => {
  it('[CLI1] opens, edits, opens again and gives everything to the node when it is back', async () => {
    const node = await startNode()
    const profile = await openProfile({ name: 'Ada Berg' })
    const page = await openPage(profile, node.url)
    await newNote(page, 'Trip\nTent')
    await row(page, 'Trip').waitFor()
    await page.evaluate(async () => {
      await navigator.serviceWorker.ready
    })

    await node.kill()
    await badge(page, 'offline').waitFor()
    await textOf(page).click()
    await editorTakesKeys(page)
    await page.keyboard.press('Control+End')
    await write(page, ' and tarp')
    await expect.poll(() => keptEditCount(page), { timeout: limitMs }).toBe(1)
    await page.reload()
    await textOf(page).filter({ hasText: 'Tent and tarp' }).waitFor()
    await badge(page, 'offline').waitFor()
    await expect.poll(() => page.locator('.connection').innerText(), { timeout: limitMs }).toBe('Offline')

    await profile.setOffline(true)
    await page.reload()
    await textOf(page).filter({ hasText: 'Tent and tarp' }).waitFor()
    await profile.setOffline(false)

    await node.start()
    await page.locator('.connection').click()
    await badge(page, 'saved').waitFor()
    const other = await openPage(await openProfile({ name: 'Bo Lind' }), node.url)
    await row(other, 'Trip').click()
    await textOf(other).filter({ hasText: 'Tent and tarp' }).waitFor()
  })
})

describe('the list', () => {
  it('is renamed by the first line, searched without case and accents, and gives back what was deleted', async () => {
    const node = await startNode()
    const page = await openPage(await openProfile({ name: 'Ada Berg' }), node.url)
    await newNote(page, '# Café list\nbeans')
    await newNote(page, 'Trip\nTent')
    await row(page, 'Café list').waitFor()
    await row(page, 'Trip').waitFor()
    await page.getByRole('searchbox', { name: 'Search notes' }).fill('CAFE beans')
    await row(page, 'Trip').waitFor({ state: 'detached' })
    await row(page, 'Café list').click()
    await textOf(page).filter({ hasText: 'beans' }).waitFor()
    await page.getByRole('button', { name: 'Delete this note' }).click()
    // It stays while the pointer is on it.
    await page.getByRole('button', { name: 'Undo' }).hover()
    await row(page, 'Café list').waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'Undo' }).click()
    await row(page, 'Café list').waitFor()
    await textOf(page).filter({ hasText: 'beans' }).waitFor()
  })
})

describe('what is refused', () => {
  it('says so with what to do, and keeps the edit', async () => {
    const node = await startNode(['--limits-update-bytes-max', '1024'])
    const page = await openPage(await openProfile({ name: 'Ada Berg' }), node.url)
    await newNote(page, 'Trip\n')
    await write(page, 'x'.repeat(2_000))
    await badge(page, 'refused').waitFor()
    const notice = page.getByRole('alert')
    expect(await notice.innerText()).toContain('This edit is too large for the node.')
    expect(await notice.innerText()).toContain('smaller pieces')
    expect(await textOf(page).innerText()).toContain('xxx')
  })
})

describe('a node whose log is full', () => {
  it('is told as such with what happens next, and what waited is saved once there is room', async () => {
    // What a compaction frees would take the edit after all.
    const never = [
      ...['--compaction-open-entries', '10000000', '--compaction-idle-entries', '10000000'],
      ...['--compaction-open-bytes', String(1024 * 1024 * 1024)],
    ]
    const node = await startNode(['--store-log-bytes-max', String(16 * 1024 * 1024), ...never])
    const page = await openPage(await openProfile({ name: 'Ada Berg' }), node.url)
    await newNote(page, 'Trip\nTent')
    await fillLog(node)
    // More than the last step of the filling, which is what may still fit.
    await write(page, ` and coffee${' beans'.repeat(5_000)}`)
    await badge(page, 'full').filter({ hasText: 'Node full' }).waitFor()
    expect(await page.getByRole('alert').innerText()).toContain('sent by itself once there is room')
    await node.stop()
    await node.start({ flags: ['--store-log-bytes-max', String(64 * 1024 * 1024)] })
    await badge(page, 'saved').waitFor()
    await page.getByRole('alert').waitFor({ state: 'detached' })
    await page.keyboard.press('Control+Home')
    await textOf(page).filter({ hasText: 'Tent and coffee' }).waitFor()
  })
})

/** Until the node takes no more: large edits first, and then ones as small as a word. */
async function fillLog(node: NodeProcess): Promise<void> {
  for (const bytes of [300_000, 10_000, 50]) {
    const store = connect({ url: node.url })
    const handle = store.open('blocks/1')
    await handle.ready
    const isFull = new Promise<'full'>((resolve) => {
      handle.subscribe(() => {
        if (handle.status.kind === 'waiting') resolve('full')
      })
    })
    for (let end: unknown; end !== 'full'; ) {
      handle.ydoc.getArray('list').push([randomBytes(bytes).toString('hex')])
      end = await Promise.race([isFull, handle.saved()])
    }
    expect(handle.status).toMatchObject({ kind: 'waiting', code: 'LOG_FULL' })
    await store.close()
  }
}

describe('by keyboard alone', () => {
  it('makes a note, leaves the text, searches, walks the list and opens another note', async () => {
    const node = await startNode()
    const page = await openPage(await openProfile({ name: 'Ada Berg' }), node.url)
    await page.getByRole('button', { name: 'Write the first note' }).waitFor()
    await page.keyboard.press('Alt+n')
    await editorTakesKeys(page)
    await page.keyboard.type('First')
    await row(page, 'First').waitFor()
    await page.keyboard.press('Alt+n')
    await editorTakesKeys(page, 'First')
    await page.keyboard.type('Second')
    await row(page, 'Second').waitFor()

    await page.keyboard.press('Shift+Tab')
    const inside = await page.evaluate(() => document.activeElement?.closest('.cm-editor') !== null)
    expect(inside).toBe(false)
    expect(await outlineOf(page)).not.toBe('none')

    await page.keyboard.press('Control+k')
    await page.keyboard.type('first')
    await row(page, 'Second').waitFor({ state: 'detached' })
    await page.keyboard.press('ArrowDown')
    expect(await page.evaluate(() => document.activeElement?.textContent)).toContain('First')
    expect(await outlineOf(page)).not.toBe('none')
    await page.keyboard.press('Enter')
    await textOf(page).filter({ hasText: 'First' }).waitFor()

    await page.getByRole('button', { name: /^You are/ }).focus()
    await page.keyboard.press('Enter')
    await page.getByRole('dialog', { name: 'You' }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    expect(await page.evaluate(() => document.activeElement?.className)).toBe('me')
  })

  it('begins with a link to the note', async () => {
    const node = await startNode()
    const page = await openPage(await openProfile({ name: 'Ada Berg' }), node.url)
    await page.getByRole('button', { name: 'Write the first note' }).waitFor()
    await page.keyboard.press('Tab')
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Skip to the note')
    await page.keyboard.press('Enter')
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('note')
  })
})

const outlineOf = (page: Page): Promise<string> =>
  page.evaluate(() => (document.activeElement === null ? 'none' : getComputedStyle(document.activeElement).outlineStyle))

describe('on a phone', () => {
  it('shows the list or the note, nothing wider than the screen, and everything large enough to touch', async () => {
    const node = await startNode()
    const page = await openPage(await openProfile({ name: 'Ada Berg' }), node.url)
    for (const width of [390, 320]) {
      await page.setViewportSize({ width, height: 844 })
      await page.goto(node.url)
      await page.getByRole('button', { name: 'New', exact: true }).waitFor()
      expect(await excessOf(page), `the list at ${width}`).toBe(0)
      expect(await smallTargets(page)).toEqual([])
      await newNote(
        page,
        `A title that is longer than the screen of any phone\n${'averylongword'.repeat(12)}\n\n\`\`\`\n${'code '.repeat(40)}`,
      )
      expect(await page.getByRole('navigation').isVisible()).toBe(false)
      expect(await excessOf(page), `a note at ${width}`).toBe(0)
      expect(await smallTargets(page)).toEqual([])
      await page.goBack()
      await page.getByRole('button', { name: /^You are/ }).click()
      await page.getByRole('dialog', { name: 'You' }).waitFor()
      expect(await excessOf(page), `a dialog at ${width}`).toBe(0)
    }
  })
})

/** Pixels by which something stands out of the screen. */
const excessOf = (page: Page): Promise<number> =>
  page.evaluate(() => {
    const scrollers = [document.documentElement, ...document.querySelectorAll('.cm-scroller, .rows, dialog')]
    return Math.max(...scrollers.map((element) => element.scrollWidth - element.clientWidth))
  })

/** Things to touch that are lower than 44 pixels. */
const smallTargets = (page: Page): Promise<string[]> =>
  page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>('button, a.row, input')]
      .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 44)
      .map((element) => element.outerHTML.slice(0, 80)),
  )

describe('an app that is run in front of a node', () => {
  const secret = '0123456789abcdef0123456789abcdef'
  const tokenOf = (sub: string): string => {
    const exp = Math.floor(Date.now() / 1_000) + 3_600
    return token(hmac(secret), { sub, tenant: 'acme', exp, docs: [{ match: '*', access: 'write' }] })
  }

  it('asks for a token, goes on with it after a reload, and forgets it and the notes at the sign-out', async () => {
    const front = await Front.start()
    const node = await startNode(['--allowed-origins', front.url], secret)
    front.port = node.port
    const page = await openPage(await openProfile({ name: 'Ada Berg' }), front.url)
    const dialog = page.getByRole('dialog', { name: 'Sign in' })
    await dialog.getByRole('textbox', { name: 'Token' }).fill(tokenOf('ada'))
    await dialog.getByRole('button', { name: 'Sign in', exact: true }).click()
    await dialog.waitFor({ state: 'detached' })
    await newNote(page, 'Trip')
    await page.reload()
    await row(page, 'Trip').waitFor()
    await badge(page, 'saved').waitFor()
    expect(await dialog.count()).toBe(0)
    const other = connect({ url: node.url, token: tokenOf('bo') })
    onTestFinished(() => other.close())
    const index = other.open('notes/index')
    await index.ready
    expect(index.ydoc.share.size).toBeGreaterThan(0)

    await page.getByRole('button', { name: /^You are/ }).click()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await dialog.waitFor()
    await row(page, 'Trip').waitFor({ state: 'detached' })
    expect(await page.evaluate(() => JSON.stringify(localStorage))).not.toContain(tokenOf('ada').slice(0, 20))
  })

  it('says that a new version is ready, and shows it with everything that was there when somebody takes it', async () => {
    const front = await Front.start()
    front.port = (await startNode(['--allowed-origins', front.url])).port
    const page = await openPage(await openProfile({ name: 'Ada Berg' }), front.url)
    await newNote(page, 'Trip')
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null)
    const toast = page.getByText('A new version is ready')
    front.build = 'second'
    // As an hour later.
    await page.evaluate(async () => (await navigator.serviceWorker.ready).update())
    await toast.waitFor()
    expect(await page.locator('html').getAttribute('data-build')).toBe('first')
    await page.getByRole('button', { name: 'Reload' }).click()
    await page.locator('html[data-build="second"]').waitFor()
    await row(page, 'Trip').waitFor()
    expect(await toast.count()).toBe(0)
  })
})

describe('for everybody', () => {
  it.each(['light', 'dark'] as const)('every control has a name and every text its contrast, %s', async (colorScheme) => {
    const node = await startNode()
    const page = await openPage(await openProfile({ name: 'Ada Berg' }), node.url)
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    await page.getByRole('button', { name: 'Write the first note' }).waitFor()
    expect(await contrastsBelow(page)).toEqual([])
    await newNote(page, 'Trip\n- [x] Tickets\n- Tent\n\n> a quote and a [link](https://example.org)\n\n`code`\n')
    await row(page, 'Trip').waitFor()
    expect(await namelessControls(page)).toEqual([])
    expect(await contrastsBelow(page)).toEqual([])
    await page.getByRole('button', { name: /^You are/ }).click()
    await page.getByRole('dialog', { name: 'You' }).waitFor()
    expect(await namelessControls(page)).toEqual([])
    expect(await contrastsBelow(page)).toEqual([])
    await page.getByRole('button', { name: 'Sign in with a token' }).click()
    await page.getByRole('dialog', { name: 'Sign in' }).waitFor()
    await page.getByRole('textbox', { name: 'Token' }).fill('no token')
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    expect(await page.getByRole('dialog').getByRole('alert').innerText()).toContain('three parts with dots')
    expect(await contrastsBelow(page)).toEqual([])
    await page.keyboard.press('Escape')
    await node.kill()
    await badge(page, 'offline').waitFor()
    expect(await contrastsBelow(page)).toEqual([])
  })

  it('has one main part, one name of the app, a language, and a note with a name', async () => {
    const node = await startNode()
    const page = await openPage(await openProfile({ name: 'Ada Berg' }), node.url)
    await newNote(page, 'Trip')
    await row(page, 'Trip').waitFor()
    expect(await page.getByRole('main').count()).toBe(1)
    expect(await page.getByRole('heading', { level: 1 }).allInnerTexts()).toEqual(['Notes'])
    expect(await page.locator('html').getAttribute('lang')).toBe('en')
    expect(await page.getByRole('textbox', { name: 'Text of the note' }).count()).toBe(1)
    await page.getByRole('article', { name: 'Trip' }).waitFor()
    await page.waitForFunction(() => document.title === 'Trip · Meridian Notes')
  })

  it('moves nothing for those who asked for it', async () => {
    const node = await startNode()
    const page = await openPage(await openProfile({ name: 'Ada Berg' }), node.url)
    await page.emulateMedia({ reducedMotion: 'reduce' })
    await page.getByRole('button', { name: 'New', exact: true }).waitFor()
    const longest = await page.evaluate(() =>
      Math.max(
        ...[...document.querySelectorAll('*')].map((element) => Number.parseFloat(getComputedStyle(element).transitionDuration)),
      ),
    )
    expect(longest).toBeLessThanOrEqual(0.001)
  })
})

describe('installed', () => {
  it('has a manifest with icons that are there, of the sizes that it says', async () => {
    const node = await startNode()
    const page = await openPage(await openProfile({ name: 'Ada Berg' }), node.url)
    const sizes = await page.evaluate(async () => {
      const link = document.querySelector<HTMLLinkElement>('link[rel=manifest]')
      const manifest: unknown = await (await fetch(link?.href ?? '')).json()
      const icons = (manifest as { readonly icons: readonly { readonly src: string; readonly sizes: string }[] }).icons
      return Promise.all(
        icons.map(async ({ src, sizes }) => {
          const image = new Image()
          image.src = src
          await image.decode()
          return sizes === 'any' ? image.naturalWidth > 0 : `${image.naturalWidth}x${image.naturalHeight}` === sizes
        }),
      )
    })
    expect(sizes).toEqual([true, true, true, true])
  })
})
