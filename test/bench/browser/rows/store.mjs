// How many edits the device's store takes: in bursts, which share commits, and one by one, each a flush to disk of its own.

/** @type {import('../run.mjs').BrowserRow} */
export const row = {
  name: 'store',
  title: 'edits a second on the device, flushed (durability: strict)',
  cases: ({ quick }) => [{ name: 'IndexedDB', burst: quick ? 500 : 5_000, single: quick ? 20 : 200 }],
  figures: [
    { key: 'burst', label: 'in a burst, edits/s', digits: 0 },
    { key: 'single', label: 'one by one, edits/s', digits: 0 },
  ],
  notes: ['y-indexeddb is not here: it does not say when an edit is stored.'],
  only: ({ name }) => name === 'meridian',
  async run({ open, params, repeat }) {
    const tab = await open()
    await tab.call('open', `store-${repeat}`)
    const burst = await tab.call('burst', params.burst)
    const single = await tab.call('oneByOne', params.single)
    await tab.close()
    return { burst, single }
  },
}
