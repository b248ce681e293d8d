/** The page of `meridian cluster` with the sample app in two regions, as somebody sees it who tries what the page proposes. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pageFolder } from '@meridian/server/console/page'
import type { Frame, Page } from 'playwright'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startConsole } from '../e2e/console.js'
import { Resources } from '../e2e/resources.js'
import { contrastsBelow, namelessControls } from './accessibility.js'
import { badge, newNote, openPage, openProfile, row, textOf, write } from './notes-app.js'

const resources = new Resources()
afterEach(() => resources.dispose(), 120_000)

beforeAll(() => {
  if (!existsSync(join(pageFolder, 'index.html'))) throw new Error('The page is not built: run npm run build first.')
})

const places = { 'eu-west': 'Ireland', 'us-east': 'United States', 'ap-south': 'India' } as const
type Region = keyof typeof places

const card = (page: Page, region: Region) => page.getByRole('article', { name: places[region], exact: true })
const link = (page: Page, one: Region, other: Region) =>
  page.getByRole('button', { name: `Link between ${places[one]} and ${places[other]}` })
const holding = (page: Page, region: Region, collection: string) =>
  card(page, region)
    .getByRole('list', { name: 'Holds' })
    .getByRole('listitem')
    .filter({ has: page.getByText(collection, { exact: true }) })

/** The app of a region, once it offers where notes may be kept. */
async function appIn(page: Page, region: Region): Promise<Frame> {
  const element = page.locator(`iframe[title="Notes in ${places[region]}"]`)
  await element.waitFor()
  const frame = await (await element.elementHandle())?.contentFrame()
  if (frame === null || frame === undefined) throw new Error('an iframe has a frame')
  await frame.getByRole('button', { name: 'EU only' }).waitFor()
  return frame
}

/** From a note to the list: in a narrow frame there is one of both. */
const toList = (app: Frame): Promise<void> => app.getByRole('button', { name: 'All notes' }).click()

describe('the page of a local cluster', () => {
  it('shows that what is typed in a region comes to another, the long way where a link is cut, and never where it may not be', async () => {
    const { page: url } = await startConsole(resources)
    const page = await openPage(await openProfile({ name: 'Ada Berg' }), url)
    await page.setViewportSize({ width: 1500, height: 900 })
    const ireland = await appIn(page, 'eu-west')
    const states = await appIn(page, 'us-east')
    await newNote(ireland, 'Trip\nTent')
    await row(states, 'Trip').click()
    await textOf(states).filter({ hasText: 'Tent' }).waitFor()

    await link(page, 'eu-west', 'us-east').click()
    await card(page, 'us-east').getByText('no link').waitFor()
    await textOf(ireland).click()
    await page.keyboard.press('Control+End')
    await write(ireland, ' the long way')
    await textOf(states).filter({ hasText: 'the long way' }).waitFor()
    await link(page, 'eu-west', 'us-east').click()
    await card(page, 'us-east').getByText('no link').waitFor({ state: 'detached' })

    await toList(ireland)
    await ireland.getByRole('button', { name: 'EU only' }).click()
    await newNote(ireland, 'Salaries')
    await holding(page, 'eu-west', 'eu-notes').getByText('2 docs').waitFor()
    await holding(page, 'us-east', 'eu-notes').getByRole('button', { name: 'Why?' }).click()
    const why = page.getByRole('complementary', { name: 'Why eu-notes are not in United States' })
    expect(await why.innerText()).toContain('dev.europe')
    expect(await namelessControls(page)).toEqual([])
    expect(await contrastsBelow(page)).toEqual([])
    await why.getByRole('button', { name: 'Close' }).click()
    await why.waitFor({ state: 'detached' })

    // The app goes on without its region, and the region comes back to what it missed.
    await page.getByRole('button', { name: 'Kill United States' }).click()
    await card(page, 'us-east').getByText('Killed').waitFor()
    await textOf(states).click()
    await page.keyboard.press('Control+End')
    await write(states, ' and without a region')
    await toList(ireland)
    await ireland.getByRole('button', { name: 'Anywhere' }).click()
    await page.getByRole('button', { name: 'Start United States again' }).click()
    await row(ireland, 'Trip').click()
    await textOf(ireland).filter({ hasText: 'the long way and without a region' }).waitFor()
    await badge(states, 'saved').waitFor()
    await page.getByRole('button', { name: 'Kill United States' }).waitFor()
    await holding(page, 'us-east', 'notes').getByText('2 docs').waitFor()
  })

  it('has nothing wider than the screen, on a desk, a small one and a phone', async () => {
    const { page: url } = await startConsole(resources)
    const page = await openPage(await openProfile({ name: 'Ada Berg' }), url)
    await card(page, 'ap-south').getByText('in step').first().waitFor()
    for (const [width, height] of [
      [1500, 900],
      [1100, 800],
      [390, 844],
    ] as const) {
      await page.setViewportSize({ width, height })
      expect(await overflowing(page), `at ${width}`).toEqual([])
    }
  })
})

/** Parts of the page that are wider than there is room for, and switches that something else covers. */
const overflowing = (page: Page): Promise<string[]> =>
  page.evaluate(() => {
    const wide = [document.documentElement, ...document.querySelectorAll('.card, .card li, .pane header, .world')].filter(
      (element) => element.scrollWidth > element.clientWidth,
    )
    const covered = [...document.querySelectorAll('.switch rect, .card button')].filter((element) => {
      element.scrollIntoView({ block: 'center' })
      const { left, top, width, height } = element.getBoundingClientRect()
      const found = document.elementFromPoint(left + width / 2, top + height / 2)
      return found === null || element.parentElement?.contains(found) !== true
    })
    return [...wide, ...covered].map((element) => element.outerHTML.slice(0, 100))
  })
