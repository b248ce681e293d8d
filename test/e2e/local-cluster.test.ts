/** What `npm start` runs: three regions as processes, their switches, and the page's requests. */

import { afterEach, describe, expect, it } from 'vitest'
import { startConsole } from './console.js'
import { Resources } from './resources.js'
import { every, until } from './waiting.js'

const resources = new Resources()
afterEach(() => resources.dispose(), 60_000)

const order = async (
  page: string,
  to: 'links' | 'regions',
  body: unknown,
  headers: Record<string, string> = {},
): Promise<number> => {
  const response = await fetch(`${page}/api/${to}`, { method: 'POST', body: JSON.stringify(body), headers })
  await response.arrayBuffer()
  return response.status
}

/** A document that was not there before. */
const write = async (url: string, document: string, words: string): Promise<number> => {
  const response = await fetch(`${url}/v1/documents/dev/${document}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json', 'if-none-match': '*' },
    body: JSON.stringify({ words }),
  })
  await response.arrayBuffer()
  return response.status
}

/** Until the region answers with the words. */
async function reads(url: string, document: string, words: string): Promise<void> {
  let last = ''
  let isAsking = false
  await until(
    () => last.includes(words),
    (check) =>
      every(100)(() => {
        if (isAsking) return
        isAsking = true
        void fetch(`${url}/v1/documents/dev/${document}?as=json`)
          .then((response) => response.text())
          .then((text) => {
            last = text
          })
          .catch(() => undefined)
          .finally(() => {
            isAsking = false
            check()
          })
      }),
    { what: () => `${words} in ${document}; the answer was ${last}` },
  )
}

describe('a local cluster', () => {
  it('given links that are cut and healed, and a region that is killed, then what is written anywhere is everywhere it may be', {
    timeout: 120_000,
  }, async () => {
    const { cluster, page, urlOf } = await startConsole(resources)
    expect(await write(urlOf('eu-west'), 'notes/1', 'from Ireland')).toBeLessThan(300)
    await reads(urlOf('us-east'), 'notes/1', 'from Ireland')
    await reads(urlOf('ap-south'), 'notes/1', 'from Ireland')

    // One cable: it goes round. Both: it stays, and comes later.
    expect(await order(page, 'links', { one: 'eu-west', other: 'us-east', do: 'cut' })).toBe(200)
    await write(urlOf('eu-west'), 'notes/2', 'the long way')
    await reads(urlOf('us-east'), 'notes/2', 'the long way')
    expect(await order(page, 'links', { one: 'eu-west', other: 'ap-south', do: 'cut' })).toBe(200)
    await write(urlOf('eu-west'), 'notes/3', 'alone')
    await write(urlOf('us-east'), 'notes/4', 'without Ireland')
    await reads(urlOf('ap-south'), 'notes/4', 'without Ireland')
    const missing = await fetch(`${urlOf('ap-south')}/v1/documents/dev/notes/3?as=json`)
    expect(await missing.text()).not.toContain('alone')
    for (const other of ['us-east', 'ap-south'])
      expect(await order(page, 'links', { one: 'eu-west', other, do: 'heal' })).toBe(200)
    await reads(urlOf('ap-south'), 'notes/3', 'alone')
    await reads(urlOf('eu-west'), 'notes/4', 'without Ireland')

    // What the policy keeps out is not there, and the page can say why.
    expect(await write(urlOf('eu-west'), 'eu-notes/1', 'canary')).toBeLessThan(300)
    expect(await write(urlOf('us-east'), 'eu-notes/2', 'canary')).toBe(421)
    const holding = () =>
      cluster
        .state()
        .regions.find(({ name }) => name === 'us-east')
        ?.said?.holdings.find(({ collection }) => collection === 'eu-notes')
    await until(
      () => holding()?.refusal !== undefined,
      (check) => cluster.onChange(check),
      { what: 'why it is kept out' },
    )
    expect(holding()).toMatchObject({ documents: undefined, refusal: expect.stringContaining('dev.europe') })

    expect(await order(page, 'regions', { region: 'ap-south', do: 'kill' })).toBe(200)
    expect(cluster.state().regions.map(({ state }) => state)).toEqual(['running', 'running', 'down'])
    await write(urlOf('us-east'), 'notes/5', 'while India was down')
    expect(await order(page, 'regions', { region: 'ap-south', do: 'start' })).toBe(200)
    await reads(urlOf('ap-south'), 'notes/5', 'while India was down')
  })

  it('given orders that are not right or come from elsewhere, then nothing happens', { timeout: 60_000 }, async () => {
    const { cluster, page } = await startConsole(resources)
    expect(await order(page, 'links', { one: 'eu-west', other: 'mars', do: 'cut' })).toBe(404)
    expect(await order(page, 'links', { one: 'eu-west' })).toBe(400)
    expect(await order(page, 'regions', { region: 'eu-west', do: 'erase' })).toBe(400)
    expect(await order(page, 'regions', { region: 'eu-west', do: 'kill' }, { origin: 'http://elsewhere.example' })).toBe(403)
    expect(cluster.state().links.every(({ isOpen }) => isOpen)).toBe(true)
    expect(cluster.state().regions.every(({ state }) => state === 'running')).toBe(true)
  })
})
