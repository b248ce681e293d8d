/**
 * Pictures of the app in its states, on a desktop and a phone, light and dark: the real app, served by real nodes. Run it after
 * `npm run build`, then look at what it made:
 *
 *     node examples/notes/screenshots.mjs [folder] [state …]
 *
 * Without a folder they go to `examples/notes/dist/screenshots`. `CHROMIUM_PATH` names the browser.
 */

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { connect } from '@meridian/client'
import { chromium } from 'playwright'

const [folder = fileURLToPath(new URL('dist/screenshots', import.meta.url)), ...wanted] = process.argv.slice(2)
const program = fileURLToPath(new URL('../../server/bin/meridian.js', import.meta.url))
const executablePath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'

const screens = {
  desktop: { viewport: { width: 1280, height: 800 } },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
}

const notes = [
  '# Reading list\n\n- The Left Hand of Darkness\n- A Field Guide to Getting Lost\n- How Buildings Learn',
  'Bread, second attempt\n\n75 % water, and let it rest overnight. The crust was too pale: ten minutes more.',
  'Questions for Thursday\n\n1. Who keeps the keys in August?\n2. Is the roof done before the rain?',
]
const trip = `Autumn trip to the coast

We leave on **Friday** at seven; whoever comes later takes the [night train](https://example.org).

## What to bring

- [x] Tickets
- [x] Tent and the *big* tarp
- [ ] Coffee, \`300 g\`
- [ ] Something to read

> The weather was good the last three years.

## Where

The campsite behind the dunes, second gate. Ferry at \`07:40\`, back on Tuesday.`

/** Each makes its state and says when it is there. */
const states = {
  async empty({ page }) {
    await page.getByRole('button', { name: 'Write the first note' }).waitFor()
  },
  async saved({ page, node, browser, screen }) {
    await write(page, screen)
    await friend(browser, node)
    await page.locator('.cm-ySelectionInfo').waitFor()
    await page.locator('.badge[data-kind=saved]').waitFor()
  },
  async list({ page, screen }) {
    await write(page, screen)
    if (screen === 'phone') await page.goBack()
    else await page.getByRole('searchbox').fill('the')
  },
  /** The node does not answer: the page is there, the device has nothing yet. */
  async loading({ page, node, screen }) {
    await write(page, screen)
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined))
    await forget(page)
    node.stop()
    await page.reload()
    await page.locator('.badge[data-kind=loading]').waitFor()
    await page.waitForTimeout(700)
  },
  async offline({ page, node, screen }) {
    await write(page, screen)
    await node.kill()
    await page.locator('.badge[data-kind=offline]').waitFor()
    await page.locator('.cm-content').click()
    await page.keyboard.press('Control+End')
    await page.keyboard.type(' No signal there.')
    await page.locator('.badge').click()
    await page.getByText('kept on this device, and sent as soon as').first().waitFor()
  },
  async saving({ page, node, screen }) {
    await write(page, screen)
    node.stop()
    await page.locator('.cm-content').click()
    await page.keyboard.press('Control+End')
    await page.keyboard.type(' Bring cash.')
    await page.locator('.badge[data-kind=saving]').waitFor()
  },
  async refused({ page, screen }) {
    await write(page, screen)
    await page.locator('.cm-content').click()
    await page.keyboard.press('Control+End')
    await page.keyboard.insertText(`\n\n${'A page that somebody pasted from elsewhere. '.repeat(100)}`)
    await page.locator('.badge[data-kind=refused]').waitFor()
    await page.keyboard.press('Control+Home')
  },
  /** The log of the node has no room: reads go on, edits wait on the device. */
  async full({ page, node, screen }) {
    await write(page, screen)
    await fillLog(node)
    await page.locator('.cm-content').click()
    await page.keyboard.press('Control+End')
    await page.keyboard.type(' Ask for a late arrival.')
    await page.locator('.badge[data-kind=full]').waitFor()
    await page.locator('.cm-scroller').evaluate((element) => element.scrollTo(0, 0))
  },
  /** This device has no room. Chromium asks for the room of an origin at its first write, so it is set before. */
  async 'device-full'({ page, node, screen }) {
    const session = await page.context().newCDPSession(page)
    await session.send('Storage.overrideQuotaForOrigin', { origin: new URL(node.url).origin, quotaSize: 1_000 })
    await page.evaluate(() => indexedDB.databases())
    await page.reload()
    await write(page, screen, 'full')
    await page.locator('.badge[data-kind=full]').waitFor()
  },
  /** Somebody cleared the site's data while no page was open. */
  async evicted({ page, node, screen }) {
    await write(page, screen)
    await page.goto('about:blank')
    const session = await page.context().newCDPSession(page)
    await session.send('Storage.clearDataForOrigin', { origin: new URL(node.url).origin, storageTypes: 'indexeddb' })
    await page.goto(node.url)
    if (screen === 'phone') await page.locator('a.row').first().click()
    await page.locator('.notice').waitFor()
    await page.locator('.badge[data-kind=saved]').waitFor()
  },
  /** The same under a running page. */
  async lost({ page, screen }) {
    await write(page, screen)
    await forget(page)
    await page.locator('.notice').waitFor()
    await page.locator('.badge[data-kind=saved]').waitFor()
  },
  async person({ page, screen }) {
    await write(page, screen)
    if (screen === 'phone') await page.goBack()
    await page.getByRole('button', { name: /^You are/ }).click()
    await page.getByRole('dialog').waitFor()
  },
  async 'sign-in'({ page }) {
    await page.getByRole('button', { name: /^You are/ }).click()
    await page.getByRole('button', { name: 'Sign in with a token' }).click()
    await page.getByRole('textbox', { name: 'Token' }).waitFor()
  },
}

const flags = { refused: ['--limits-update-bytes-max', '2048'], full: ['--store-log-bytes-max', String(16 * 1024 * 1024)] }

await mkdir(folder, { recursive: true })
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
try {
  for (const [state, make] of Object.entries(states)) {
    if (wanted.length > 0 && !wanted.includes(state)) continue
    for (const screen of Object.keys(screens))
      for (const colorScheme of ['light', 'dark']) {
        const path = join(folder, `${state}-${screen}-${colorScheme}.png`)
        try {
          await picture(path, { state, make, screen, colorScheme })
          console.log(path)
        } catch (thrown) {
          process.exitCode = 1
          console.error(`${path}: ${thrown.message}`)
        }
      }
  }
} finally {
  await browser.close()
}

async function picture(path, { state, make, screen, colorScheme }) {
  const node = await startNode(flags[state] ?? [])
  const context = await browser.newContext({ ...screens[screen], colorScheme, reducedMotion: 'reduce' })
  try {
    await context.addInitScript(
      (person) => localStorage.setItem('meridian-notes:person', person),
      '{"name":"Ada Berg","color":1}',
    )
    const page = await context.newPage()
    page.setDefaultTimeout(60_000)
    await page.goto(node.url)
    await make({ page, node, browser, screen })
    await page.waitForTimeout(300)
    await page.mouse.move(0, 0)
    await page.screenshot({ path })
  } finally {
    await context.close()
    await node.kill()
    await rm(node.directory, { recursive: true, force: true })
  }
}

/** Some notes, the newest of them open. */
async function write(page, screen, end = 'saved') {
  for (const text of [...notes, trip]) {
    await page.getByRole('button', { name: 'New', exact: true }).click()
    await page.locator('.cm-content').waitFor()
    await page.keyboard.insertText(text)
    await page.waitForTimeout(900)
    await page.locator(`.badge[data-kind=${end}]`).waitFor()
    if (screen === 'phone' && text !== trip) await page.goBack()
  }
  await page.locator('.cm-content').evaluate((element) => element.blur())
  await page.locator('.cm-scroller').evaluate((element) => element.scrollTo(0, 0))
}

/** Somebody else with a cursor in the newest note. */
async function friend(browser, node) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
  await context.addInitScript((person) => localStorage.setItem('meridian-notes:person', person), '{"name":"Bo Lind","color":4}')
  const page = await context.newPage()
  await page.goto(node.url)
  await page.locator('.cm-line', { hasText: '300 g' }).click()
  await page.keyboard.press('End')
  await page.keyboard.type(' and filters')
}

/** Until the node takes no more: large edits first, and then ones as small as a word. */
async function fillLog(node) {
  for (const bytes of [300_000, 10_000, 50]) {
    const store = connect({ url: node.url })
    const handle = store.open('blocks/1')
    await handle.ready
    const isFull = new Promise((resolve) => handle.subscribe(() => handle.status.kind === 'waiting' && resolve(true)))
    do handle.ydoc.getArray('list').push([randomBytes(bytes).toString('hex')])
    while (!(await Promise.race([isFull, handle.saved().then(() => false)])))
    await store.close()
  }
}

/** As a browser that has thrown its storage away, but not the app. */
async function forget(page) {
  const session = await page.context().newCDPSession(page)
  await session.send('Storage.clearDataForOrigin', { origin: new URL(page.url()).origin, storageTypes: 'indexeddb' })
}

async function startNode(more) {
  const directory = await mkdtemp(join(tmpdir(), 'meridian-screens-'))
  const child = spawn(process.execPath, [program, 'node', '--dev', '--port', '0', '--data', directory, ...more], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const ended = once(child, 'exit')
  let url
  for await (const line of createInterface({ input: child.stdout })) {
    ;({ url } = JSON.parse(line))
    if (url !== undefined) break
  }
  return {
    url,
    directory,
    /** Holds it up: its sockets stay open, and nothing is answered. */
    stop: () => child.kill('SIGSTOP'),
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}
