/** Two tabs of one real browser and one real node: one socket, in step without a network, and nothing lost when the leader is killed. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { NodeProcess } from '../e2e/node-process.js'
import type { NotesPage } from './pages/notes.js'
import type { Tab } from './profile.js'
import { Profile } from './profile.js'
import { bundlePage, pageEntry, Site } from './site.js'

interface Setting {
  readonly node: NodeProcess
  readonly profile: Profile
  open(): Promise<Tab<NotesPage>>
}

async function setting(): Promise<Setting> {
  const directory = await mkdtemp(join(tmpdir(), 'meridian-tabs-'))
  const node = await NodeProcess.start({ directory })
  const site = await Site.start(await bundlePage(pageEntry('notes.ts')))
  const profile = await Profile.open()
  onTestFinished(async () => {
    await profile.close()
    await site.dispose()
    await node.kill()
    await rm(directory, { recursive: true, force: true, maxRetries: 20 })
  })
  return {
    node,
    profile,
    async open() {
      const tab = await profile.open<NotesPage>(`${site.url}?node=${encodeURIComponent(node.url)}`)
      await tab.call('open', 'notes/1')
      return tab
    },
  }
}

const limitMs = 90_000

it('[CLI1] [CLI2] given two tabs of one profile, then they have one socket, are in step offline, and both know what is saved', async () => {
  const { profile, open } = await setting()
  const one = await open()
  await one.call('add', 'a')
  expect(await one.call('saved', limitMs)).toBe(true)
  const two = await open()
  expect(await two.call('read')).toEqual(['a'])
  await two.call('add', 'b')
  expect(await two.call('saved', limitMs)).toBe(true)
  expect(await one.call('until', 'b', limitMs)).toBe(true)
  await expect
    .poll(async () => (await one.call('openSocketCount')) + (await two.call('openSocketCount')), { timeout: limitMs })
    .toBe(1)
  await profile.setOffline(true)
  await two.call('add', 'c')
  expect(await one.call('until', 'c', limitMs)).toBe(true)
  await one.call('add', 'd')
  expect(await two.call('until', 'd', limitMs)).toBe(true)
  expect(await one.call('saved', 500)).toBe(false)
  expect((await two.call('status')).pending).toBe(2)
  await profile.setOffline(false)
  expect(await two.call('saved', limitMs)).toBe(true)
  expect(await one.call('saved', limitMs)).toBe(true)
  // The browser itself says what it could not load while it is offline.
  expect([one.errors, two.errors].flat().filter((text) => !/net::ERR_|WebSocket connection/.test(text))).toEqual([])
})

it('[SES2] [SES6] given a leader that is killed in mid-push, then the other tab goes on at once, and nothing is lost or doubled', async () => {
  const { open } = await setting()
  const one = await open()
  const two = await open()
  await one.call('show', { tab: 1 })
  await expect.poll(() => two.call('peers'), { timeout: limitMs }).toEqual([{ tab: 1 }])
  const texts = Array.from({ length: 200 }, (_, index) => `t${index}`)
  await one.call('add', ...texts)
  await two.call('add', 'mine')
  expect(await two.call('until', 't199', limitMs)).toBe(true)
  await one.kill()
  expect(await two.call('saved', limitMs)).toBe(true)
  await expect.poll(() => two.call('peers'), { timeout: limitMs }).toEqual([])
  const three = await open()
  const shown = await three.call('read')
  expect(shown.toSorted()).toEqual([...texts, 'mine'].toSorted())
  // Another browser has only what the region has.
  const other = await Profile.open()
  onTestFinished(() => other.close())
  const stranger = await other.open<NotesPage>(two.page.url())
  await stranger.call('open', 'notes/1')
  expect(await stranger.call('until', 'mine', limitMs)).toBe(true)
  expect(await stranger.call('read')).toEqual(shown)
  await stranger.call('show', { from: 'elsewhere' })
  await three.call('show', { tab: 3 })
  await expect.poll(() => two.call('peers'), { timeout: limitMs }).toHaveLength(2)
  await expect.poll(() => stranger.call('peers'), { timeout: limitMs }).toEqual([{ tab: 3 }])
  await three.kill()
  await expect.poll(() => two.call('peers'), { timeout: limitMs }).toEqual([{ from: 'elsewhere' }])
  await expect.poll(() => stranger.call('peers'), { timeout: limitMs }).toEqual([])
})

it('[CLI1] given keystrokes in one tab, then the other shows each of them without a network', async () => {
  const { profile, open } = await setting()
  const one = await open()
  const two = await open()
  await profile.setOffline(true)
  await two.call('echo')
  const times = (await one.call('latencies', 50)).toSorted((a, b) => a - b)
  // How long it takes on this machine, beside other tests, says nothing; npm run bench:browser measures it.
  process.stderr.write(`keystroke to other tab, offline: p50 ${times[25]?.toFixed(1)} ms, p95 ${times[47]?.toFixed(1)} ms\n`)
  expect(times).toHaveLength(50)
})

it('given a sign-out in one tab, then both are closed and no database is left', async () => {
  const { open } = await setting()
  const one = await open()
  const two = await open()
  await one.call('add', 'secret')
  await two.call('until', 'secret', limitMs)
  await two.call('signOut')
  await expect.poll(() => one.call('status').then(({ connection }) => connection), { timeout: limitMs }).toBe('closed')
  await expect.poll(() => two.call('databases'), { timeout: limitMs }).toEqual([])
})
