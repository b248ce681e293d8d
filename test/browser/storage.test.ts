/** What a page does when its storage is cleared, full, or a month old, with a real node and a real browser. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '@meridian/client'
import { expect, it, onTestFinished } from 'vitest'
import { NodeProcess, type NodeOptions } from '../e2e/node-process.js'
import { hmac, token } from '../server/auth/tokens.js'
import type { NotesPage } from './pages/notes.js'
import type { Tab } from './profile.js'
import { Profile } from './profile.js'
import { bundlePage, pageEntry, Site } from './site.js'

const limitMs = 90_000
const note = 'notes/1'

/** A browser that can be closed and opened again on another day. */
class Person {
  readonly #directory: string
  readonly #url: string
  #profile: Profile | undefined

  constructor(directory: string, url: string) {
    this.#directory = directory
    this.#url = url
  }

  get profile(): Profile {
    if (this.#profile === undefined) throw new Error('the browser is closed')
    return this.#profile
  }

  async start(): Promise<void> {
    this.#profile = await Profile.open({ directory: this.#directory })
  }

  async stop(): Promise<void> {
    await this.#profile?.close()
    this.#profile = undefined
  }

  tab(): Promise<Tab<NotesPage>> {
    return this.profile.open<NotesPage>(this.#url)
  }
}

interface Setting {
  readonly directory: string
  readonly site: Site
  readonly node: NodeProcess
  person(name: string): Promise<Person>
}

async function setting(options: (directory: string, site: Site) => Promise<Partial<NodeOptions>>): Promise<Setting> {
  const directory = await mkdtemp(join(tmpdir(), 'meridian-storage-'))
  const site = await Site.start(await bundlePage(pageEntry('notes.ts')))
  const node = await NodeProcess.start({ directory: join(directory, 'node'), ...(await options(directory, site)) })
  const people: Person[] = []
  onTestFinished(async () => {
    for (const person of people) await person.stop()
    await site.dispose()
    await node.kill()
    await rm(directory, { recursive: true, force: true, maxRetries: 20 })
  })
  return {
    directory,
    site,
    node,
    async person(name) {
      const person = new Person(join(directory, name), `${site.url}?node=${encodeURIComponent(node.url)}`)
      await person.start()
      people.push(person)
      return person
    },
  }
}

const development = async (): Promise<Partial<NodeOptions>> => ({})

async function readElsewhere({ person }: Setting, name: string, last: string): Promise<string[]> {
  const tab = await (await person('elsewhere')).tab()
  await tab.call('open', name)
  expect(await tab.call('until', last, limitMs)).toBe(true)
  return tab.call('read')
}

it.each([
  ['the browser', (person: Person, tab: Tab<NotesPage>, site: Site) => person.profile.clear(tab, site.url, 'indexeddb')],
  ['a script', (_: Person, tab: Tab<NotesPage>) => tab.call('deleteDatabases')],
])(
  '[SES2] [CLI1] given IndexedDB that %s clears under a running page, then it is told, nothing in memory is lost, and the rest comes back',
  async (_, clear) => {
    const all = await setting(development)
    const { node, site } = all
    const person = await all.person('ann')
    const tab = await person.tab()
    await tab.call('open', 'notes/closed')
    expect(await tab.call('isPersistAsked')).toBe(false)
    await tab.call('add', 'on the node')
    expect(await tab.call('saved', limitMs)).toBe(true)
    expect(await tab.call('isPersistAsked')).toBe(true)
    await tab.call('close')
    await tab.call('open', note)
    await tab.call('add', 'saved')
    expect(await tab.call('saved', limitMs)).toBe(true)
    await node.kill()
    await tab.call('add', 'offline')
    expect(await tab.call('stored')).toBe(undefined)

    await clear(person, tab, site)
    await expect.poll(() => tab.call('storage'), { timeout: limitMs }).toBe('lost')
    await tab.call('add', 'after')
    await expect.poll(() => tab.call('stored'), { timeout: limitMs }).toBe(undefined)

    // Killed and not closed: what is there is what was answered.
    await tab.kill()
    const again = await person.tab()
    expect(await again.call('open', note)).toBe('device')
    expect(await again.call('read')).toEqual(['saved', 'offline', 'after'])
    expect(await again.call('storage')).toBe('fine')
    await node.start()
    expect(await again.call('saved', limitMs)).toBe(true)
    expect(await readElsewhere(all, note, 'after')).toEqual(['saved', 'offline', 'after'])
    await again.call('close')
    expect(await again.call('open', 'notes/closed')).toBe('region')
    expect(await again.call('read')).toEqual(['on the node'])
  },
)

it('[SES1] given site data that is cleared while no page is open, then that is told, and the copy of the node comes back', async () => {
  const all = await setting(development)
  const person = await all.person('ann')
  const tab = await person.tab()
  await tab.call('open', note)
  await tab.call('add', 'saved')
  expect(await tab.call('saved', limitMs)).toBe(true)
  await tab.page.goto('about:blank')
  await person.profile.clear(tab, all.site.url, 'indexeddb')
  const again = await person.tab()
  expect(await again.call('open', note)).toBe('region')
  expect(await again.call('storage')).toBe('evicted')
  expect(await again.call('read')).toEqual(['saved'])
})

it('[CLI1] [SES1] given a quota of a few megabytes, then that is told, the page goes on in memory, and the copy of the node comes back', async () => {
  const all = await setting(development)
  const writer = await (await all.person('writer')).tab()
  await writer.call('open', note)
  for (let each = 0; each < 8; each++) await writer.call('addRandom', 500_000)
  expect(await writer.call('saved', limitMs)).toBe(true)
  const sizes = await writer.call('sizes')

  const person = await all.person('ann')
  const tab = await person.tab()
  // Before the first write: Chromium asks for an origin's room then, and believes it for a while.
  await person.profile.setQuota(tab, all.site.url, 2_000_000)
  await tab.call('open', note)
  await expect.poll(() => tab.call('storage'), { timeout: limitMs }).toBe('full')
  expect(await tab.call('sizes')).toEqual(sizes)
  await tab.call('add', 'in memory')
  expect(await tab.call('stored')).toBe('STORE_FULL')
  expect(await tab.call('saved', limitMs)).toBe(true)
  expect(await writer.call('until', 'in memory', limitMs)).toBe(true)

  await person.stop()
  await person.start()
  const again = await person.tab()
  await again.call('open', note)
  expect(await again.call('until', 'in memory', limitMs)).toBe(true)
  expect(await again.call('sizes')).toEqual([...sizes, 'in memory'.length])
  await expect.poll(() => again.call('stored'), { timeout: limitMs }).toBe(undefined)
  expect(await again.call('storage')).toBe('fine')
})

it('[SES2] [CLI1] given a page that edited offline and opens a month later with an expired token, then it signs in, syncs and loses nothing', async () => {
  const secret = '0123456789abcdef0123456789abcdef'
  const nowSeconds = Math.floor(Date.now() / 1_000)
  const tokenUntil = (exp: number) =>
    token(hmac(secret), { sub: 'ann', tenant: 'acme', exp, docs: [{ match: '*', access: 'write' }] })
  const all = await setting(async (directory, site) => {
    const secretFile = join(directory, 'secret')
    await mkdir(directory, { recursive: true })
    await writeFile(secretFile, secret)
    const flags = ['--region', 'eu-west', '--auth-secret-file', secretFile, '--allowed-origins', new URL(site.url).origin]
    return { isDevelopment: false, flags }
  })
  const { node } = all
  await node.kill()
  const monthSeconds = 30 * 24 * 3_600
  const old = { tenant: 'acme', user: 'ann', token: tokenUntil(nowSeconds - monthSeconds + 600) }
  const person = await all.person('ann')
  await person.profile.setClock((nowSeconds - monthSeconds) * 1_000)
  const tab = await person.tab()
  expect(await tab.page.evaluate(() => Date.now())).toBeLessThan((nowSeconds - monthSeconds + 600) * 1_000)
  expect(await tab.call('open', note, old)).toBe('nowhere')
  await tab.call('add', 'a month ago')
  expect(await tab.call('stored')).toBe(undefined)
  await person.stop()

  await node.start()
  const fresh = tokenUntil(nowSeconds + 600)
  const other = connect({ url: node.url, token: fresh })
  onTestFinished(() => other.close())
  const theirs = other.open(note)
  theirs.ydoc.getArray('list').push(['meanwhile'])
  await theirs.saved()

  await person.start()
  const again = await person.tab()
  expect(await again.call('open', note, old)).toBe('device')
  expect(await again.call('read')).toEqual(['a month ago'])
  await expect.poll(() => again.call('refusal'), { timeout: limitMs }).toBe('TOKEN_EXPIRED')
  expect((await again.call('status')).pending).toBe(1)
  await again.call('refreshToken', fresh)
  expect(await again.call('saved', limitMs)).toBe(true)
  expect((await again.call('read')).toSorted()).toEqual(['a month ago', 'meanwhile'])
  await expect
    .poll(() => theirs.ydoc.getArray<string>('list').toJSON(), { timeout: limitMs })
    .toEqual(expect.arrayContaining(['a month ago', 'meanwhile']))
})

it('given two users of one browser, then neither has what the other wrote, and a sign-out takes the one and leaves the other', async () => {
  const all = await setting(development)
  await all.node.kill()
  const person = await all.person('shared')
  const ann = await person.tab()
  const bo = await person.tab()
  await ann.call('open', note, { tenant: 'dev', user: 'ann' })
  await bo.call('open', note, { tenant: 'dev', user: 'bo' })
  await ann.call('add', 'of ann')
  await bo.call('add', 'of bo')
  expect([await ann.call('stored'), await bo.call('stored')]).toEqual([undefined, undefined])
  expect([await ann.call('read'), await bo.call('read')]).toEqual([['of ann'], ['of bo']])
  await ann.call('signOut')
  expect(await ann.call('databases')).toHaveLength(1)
  await bo.reload()
  expect(await bo.call('open', note, { tenant: 'dev', user: 'bo' })).toBe('device')
  expect(await bo.call('read')).toEqual(['of bo'])
  // Who signs in again begins with nothing, and is told of no loss.
  await ann.reload()
  expect(await ann.call('open', note, { tenant: 'dev', user: 'ann' })).toBe('nowhere')
  expect([await ann.call('read'), await ann.call('storage')]).toEqual([[], 'fine'])
})
