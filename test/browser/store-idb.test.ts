/** The store of browsers in a real one: the suite of all client stores, kills, quota and data that is cleared under a running page. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ClientStore, StoreOperation } from '@meridian/client/store'
import { MeridianError } from '@meridian/core/errors'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { registerClientStoreTests } from '../conformance/client-store.js'
import type { StorePage } from './pages/store.js'
import { Profile, type Tab } from './profile.js'
import { bundlePage, pageEntry, Site } from './site.js'

let site: Site
let directory: string
let profile: Profile
let tab: Tab<StorePage>
let nameCount = 0

beforeAll(async () => {
  site = await Site.start(await bundlePage(pageEntry('store.ts')))
  directory = await mkdtemp(join(tmpdir(), 'meridian-profile-'))
  profile = await Profile.open({ directory })
  tab = await profile.open(site.url)
})
afterAll(async () => {
  await profile.close()
  await rm(directory, { recursive: true, force: true, maxRetries: 20 })
  await site.dispose()
})

const nextName = (): string => `store ${++nameCount}`

type Answer<T> = { readonly answer: T } | { readonly code: string }

function unwrap<T>(answer: Answer<T>): T {
  // The page answers with codes of our own.
  if ('code' in answer) throw new MeridianError(answer.code === 'STORE_FULL' ? 'STORE_FULL' : 'STORE_FAILED')
  return answer.answer
}

/** A store of the page, seen from here. Every call goes through the page. */
class PageStore implements ClientStore {
  readonly lingerMs = 0
  readonly #tab: Tab<StorePage>
  readonly #number: number

  constructor(from: Tab<StorePage>, number: number) {
    this.#tab = from
    this.#number = number
  }

  static async open(name: string, from: Tab<StorePage> = tab): Promise<PageStore> {
    return new PageStore(from, await from.call('open', name))
  }

  async read(prefix: readonly (string | number)[]) {
    return unwrap(await this.#tab.call('read', this.#number, prefix))
  }

  async write(batch: readonly StoreOperation[]) {
    return unwrap(await this.#tab.call('write', this.#number, batch))
  }

  async close() {
    return unwrap(await this.#tab.call('close', this.#number))
  }

  async renew() {
    return unwrap(await this.#tab.call('renew', this.#number))
  }

  async wipe() {
    return unwrap(await this.#tab.call('wipe', this.#number))
  }
}

registerClientStoreTests('IndexedDB of Chromium', async () => {
  const name = nextName()
  const opened: PageStore[] = []
  const open = async (): Promise<PageStore> => {
    const store = await PageStore.open(name)
    opened.push(store)
    return store
  }
  return {
    async open() {
      await profile.setQuota(tab, site.url, undefined)
      return open()
    },
    async openSmall() {
      // Chromium asks for an origin's room at its first write and then believes it for half a minute; a browser that starts believes nothing.
      await profile.close()
      profile = await Profile.open({ directory })
      tab = await profile.open(site.url)
      opened.length = 0
      // Values are compressed before they are counted, and those of the suite are zeros: the large one takes about 50 KB.
      await profile.setQuota(tab, site.url, 32 * 1024)
      return open()
    },
    async remove() {
      await profile.setQuota(tab, site.url, undefined)
      for (const store of opened) await store.close()
      await (await PageStore.open(name)).wipe()
    },
  }
})

describe('IndexedDB of Chromium', () => {
  const put = (name: string) => ({ kind: 'put', key: [name], value: Uint8Array.of(1) }) as const

  it('[CLI1] given a tab that is killed, then every write that was answered is there', async () => {
    const name = nextName()
    const writer = await profile.open<StorePage>(site.url)
    await writer.call('writeOn', await writer.call('open', name))
    let answered = 0
    while (answered < 50) answered = await writer.call('written')
    await writer.kill()
    const store = await PageStore.open(name)
    const records = await store.read(['log'])
    await store.close()
    expect(records.length).toBeGreaterThanOrEqual(answered)
    expect(records.map(({ key }) => key[1])).toEqual(records.map((_, index) => index + 1))
  })

  it('given site data that is cleared under a running page, then it is told without a call, and the store can be renewed', async () => {
    const store = await PageStore.open(nextName())
    await store.write([put('a')])
    await tab.call('events')
    await profile.clear(tab, site.url, 'indexeddb')
    const events: string[] = []
    while (!events.includes('lost')) events.push(...(await tab.call('events')))
    expect(events).toEqual(['lost'])
    await expect(store.write([put('b')])).rejects.toMatchObject({ code: 'STORE_FAILED' })
    await store.renew()
    await store.write([put('c')])
    expect((await store.read([])).map(({ key }) => key)).toEqual([['c']])
    await store.close()
  })

  it('given a store that is gone when the page opens it again, then it is told; a first visit is told nothing', async () => {
    const name = nextName()
    const before = await PageStore.open(name)
    await before.write([put('a')])
    expect(await tab.call('events')).toEqual([])
    await before.close()
    await profile.clear(tab, site.url, 'indexeddb')
    const after = await PageStore.open(name)
    expect(await after.read([])).toEqual([])
    expect(await tab.call('events')).toContain('evicted')
    await after.close()
  })

  it('given two tabs of one store, then both write, and when one signs out the other closes and brings nothing back', async () => {
    const name = nextName()
    const other = await profile.open<StorePage>(site.url)
    const [here, there] = [await PageStore.open(name), await PageStore.open(name, other)]
    await Promise.all([here.write([put('a')]), there.write([put('b')])])
    expect(await here.read([])).toHaveLength(2)
    await here.wipe()
    await expect(there.write([put('c')])).rejects.toMatchObject({ code: 'STORE_FAILED' })
    await expect.poll(() => other.call('events'), { timeout: 60_000 }).toEqual(['wiped'])
    expect(await tab.call('databases')).not.toContain(name)
    await other.close()
  })
})
