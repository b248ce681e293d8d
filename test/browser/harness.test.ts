/** The harness of browser tests: what the other files take for granted. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { findChromium } from './chromium.js'
import type { BlankPage } from './pages/blank.js'
import { Profile } from './profile.js'
import { bundlePage, pageEntry, Site } from './site.js'

async function blankSite(): Promise<Site> {
  const site = await Site.start(await bundlePage(pageEntry('blank.ts')))
  onTestFinished(() => site.dispose())
  return site
}

describe('chromium', () => {
  it('given a CHROMIUM_PATH that does not run, then it is an error and no other browser is taken', () => {
    const before = process.env['CHROMIUM_PATH']
    try {
      process.env['CHROMIUM_PATH'] = '/no/such/browser'
      expect(() => findChromium()).toThrow(/CHROMIUM_PATH is \/no\/such\/browser/)
    } finally {
      if (before === undefined) delete process.env['CHROMIUM_PATH']
      else process.env['CHROMIUM_PATH'] = before
    }
    expect(findChromium()).toBe(before)
  })
})

describe('profile', () => {
  it('given two tabs of a profile, then they share storage, which a second profile does not; a killed tab harms no other', async () => {
    const site = await blankSite()
    const [one, other] = await Promise.all([Profile.open(), Profile.open()])
    onTestFinished(async () => {
      await Promise.all([one.close(), other.close()])
    })
    const [first, second, stranger] = await Promise.all([
      one.open<BlankPage>(site.url),
      one.open<BlankPage>(site.url),
      other.open<BlankPage>(site.url),
    ])
    await first.call('remember', 'teapot')
    expect(await second.call('recall')).toBe('teapot')
    expect(await stranger.call('recall')).toBeNull()
    await first.kill()
    expect(await second.call('recall')).toBe('teapot')
  })

  it('given a profile that is closed and opened on its folder, then its storage is there, and its clock and network are as set', async () => {
    const site = await blankSite()
    const directory = await mkdtemp(join(tmpdir(), 'meridian-profile-'))
    const before = await Profile.open({ directory })
    await (await before.open<BlankPage>(site.url)).call('remember', 'kettle')
    await before.close()
    const after = await Profile.open({ directory })
    onTestFinished(async () => {
      await after.close()
      await rm(directory, { recursive: true, force: true, maxRetries: 20 })
    })
    const aMonthMs = 30 * 24 * 60 * 60 * 1000
    await after.setClock(Date.now() + aMonthMs)
    const tab = await after.open<BlankPage>(site.url)
    expect(await tab.call('recall')).toBe('kettle')
    expect(await tab.call('now')).toBeGreaterThan(Date.now() + aMonthMs - 60_000)
    expect(await tab.call('isOnline')).toBe(true)
    await after.setOffline(true)
    expect(await tab.call('isOnline')).toBe(false)
  })
})
