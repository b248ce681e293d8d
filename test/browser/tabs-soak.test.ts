/**
 * Two real browsers and one real node, cycle after cycle: typing in two tabs each while tabs are killed, pages reloaded, browsers set
 * offline and back, and the node killed by `kill -9`. What a page called saved is in the region, nothing is there twice, all end equal.
 *
 * `MERIDIAN_BROWSER_CYCLES=200 npx vitest run test/browser/tabs-soak.test.ts` soaks.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { NodeProcess } from '../e2e/node-process.js'
import type { NotesPage } from './pages/notes.js'
import type { Tab } from './profile.js'
import { Profile } from './profile.js'
import { bundlePage, pageEntry, Site } from './site.js'

const cycles = Number(process.env['MERIDIAN_BROWSER_CYCLES'] ?? 4)
const seed = Number(process.env['MERIDIAN_BROWSER_SEED'] ?? Date.now() % 1_000_000)
const limitMs = 120_000

/** Mulberry32 (Tommy Ettinger, 2017). */
function chances(from: number): (count: number) => number {
  let state = from >>> 0
  return (count) => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % count
  }
}

it('[CLI1] [CLI2] [SES2] given any of these faults, then nothing saved is lost, nothing is doubled, and all end equal', {
  timeout: 120_000 + cycles * 60_000,
}, async () => {
  const chance = chances(seed)
  process.stderr.write(`${cycles} cycles, seed ${seed}\n`)
  const directory = await mkdtemp(join(tmpdir(), 'meridian-tabs-'))
  const node = await NodeProcess.start({ directory })
  const site = await Site.start(await bundlePage(pageEntry('notes.ts')))
  const profiles = await Promise.all([Profile.open(), Profile.open()])
  onTestFinished(async () => {
    await Promise.all(profiles.map((profile) => profile.close()))
    await site.dispose()
    await node.kill()
    await rm(directory, { recursive: true, force: true, maxRetries: 20 })
  })
  const url = `${site.url}?node=${encodeURIComponent(node.url)}`
  const open = async (profile: Profile): Promise<Tab<NotesPage>> => {
    const tab = await profile.open<NotesPage>(url)
    await tab.call('open', 'notes/1')
    return tab
  }
  const tabs = await Promise.all(profiles.map(async (profile) => [await open(profile), await open(profile)]))
  const saved = new Set<string>()
  let count = 0
  const type = async (tab: Tab<NotesPage>): Promise<void> => {
    const texts = Array.from({ length: 1 + chance(20) }, () => `t${count++}`)
    await tab.call('add', ...texts)
    if (chance(2) === 0 && (await tab.call('saved', 300))) for (const text of texts) saved.add(text)
  }
  const faults: readonly ((browser: number, place: number) => Promise<void>)[] = [
    async (browser, place) => {
      const [profile, list] = [profiles[browser], tabs[browser]]
      if (profile === undefined || list === undefined) return
      await list[place]?.kill()
      list[place] = await open(profile)
    },
    async (browser, place) => {
      const tab = tabs[browser]?.[place]
      await tab?.reload()
      await tab?.call('open', 'notes/1')
    },
    async (browser) => {
      await profiles[browser]?.setOffline(true)
      for (const tab of tabs[browser] ?? []) await type(tab)
      await profiles[browser]?.setOffline(false)
    },
    async () => {
      await node.kill()
      for (const tab of tabs.flat()) await type(tab)
      await node.start()
    },
  ]
  for (let cycle = 0; cycle < cycles; cycle++) {
    for (const tab of tabs.flat()) await type(tab)
    const fault = chance(faults.length)
    await faults[fault]?.(chance(2), chance(2))
    for (const tab of tabs.flat()) await type(tab)
    for (const tab of tabs.flat()) expect(await tab.call('saved', limitMs), `cycle ${cycle}, fault ${fault}`).toBe(true)
    await expect
      .poll(
        async () => {
          const shown = await Promise.all(tabs.flat().map((tab) => tab.call('read')))
          return shown.filter((list) => list.join() !== shown[0]?.join()).length
        },
        { timeout: limitMs },
      )
      .toBe(0)
    const shown = (await tabs[0]?.[0]?.call('read')) ?? []
    expect([...saved].filter((text) => !shown.includes(text))).toEqual([])
    expect(shown.filter((text, index) => shown.indexOf(text) !== index)).toEqual([])
    // All that is shown was called saved by now.
    for (const text of shown) saved.add(text)
  }
  process.stderr.write(`${count} edits, ${saved.size} saved, node started ${node.startCount} times\n`)
})
