// What every page of the browser benchmark answers to; `open` is its own way to a document. In `globalThis.page`, as the harness calls it.

/**
 * @typedef {object} Opened
 * @property {import('yjs').Doc} ydoc
 * @property {Promise<unknown>} ready the copy of this device is in it.
 * @property {() => Promise<unknown>} stored everything so far is on the device, as far as the library can say so.
 */

const limitMs = 60_000

/** @param {(name: string) => Opened} open @param {(ydoc: import('yjs').Doc, state: Uint8Array) => void} apply */
export function expose(open, apply) {
  /** @type {Opened | undefined} */
  let opened
  const document = () => {
    if (opened === undefined) throw new Error('nothing is open')
    return opened
  }
  const text = () => document().ydoc.getText('t')
  const channel = new BroadcastChannel('bench echo')
  const now = () => performance.timeOrigin + performance.now()
  const api = {
    /** @param {string} name */
    async open(name) {
      opened = open(name)
      await opened.ready
    },
    /** A large edit and then small ones, each in a turn of its own. @param {number[]} state @param {number} edits */
    async seed(state, edits) {
      apply(document().ydoc, Uint8Array.from(state))
      for (let each = 0; each < edits; each++) {
        text().insert(text().length, 'x')
        await new Promise((resolve) => setTimeout(resolve, 0))
      }
      await document().stored()
      return text().length
    },
    /** Milliseconds until the document can be edited, since the navigation and since the last byte of the script. */
    async opening(/** @type {string} */ name, /** @type {number} */ length) {
      const [script] = performance.getEntriesByType('resource').filter(({ name: url }) => new URL(url).pathname === '/page.js')
      opened = open(name)
      await opened.ready
      while (text().length < length) {
        if (performance.now() > limitMs) throw new Error(`the document has ${text().length} of ${length} characters`)
        await new Promise((resolve) => setTimeout(resolve, 0))
      }
      text().insert(length, 'y')
      const readyMs = performance.now()
      if (text().length !== length + 1) throw new Error('the document is not the one that was stored')
      text().delete(length, 1)
      await document().stored()
      return { navigationMs: readyMs, scriptsMs: readyMs - script.responseEnd }
    },
    /** Edits in turns of their own, as fast as they come, until the last of them is stored. @param {number} count */
    async burst(count) {
      const startMs = performance.now()
      for (let each = 0; each < count; each++) {
        text().insert(text().length, 'x')
        await Promise.resolve()
        // A turn of the event loop now and then: writes go on while somebody types.
        if (each % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 0))
      }
      await document().stored()
      return (count * 1000) / (performance.now() - startMs)
    },
    /** Each edit waits until it is stored. @param {number} count */
    async oneByOne(count) {
      const startMs = performance.now()
      for (let each = 0; each < count; each++) {
        text().insert(text().length, 'x')
        await document().stored()
      }
      return (count * 1000) / (performance.now() - startMs)
    },
    /** Says by the wall clock when each edit of another tab was shown. */
    echo() {
      text().observe((_, transaction) => {
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel is of one origin
        if (!transaction.local) channel.postMessage(now())
      })
    },
    /** Milliseconds from each keystroke to the moment when another tab shows it. @param {number} count */
    async latencies(count) {
      /** @type {number[]} */
      const found = []
      for (let each = 0; each < count; each++) {
        const shown = new Promise((resolve, reject) => {
          channel.addEventListener('message', ({ data }) => resolve(data), { once: true })
          setTimeout(() => reject(new Error('the other tab shows nothing')), 10_000)
        })
        const startMs = now()
        text().insert(text().length, 'x')
        found.push((await shown) - startMs)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      return found
    },
  }
  Object.assign(globalThis, { page: api })
}

/** Where nobody listens: the page is offline as far as it can tell. */
export const nodeUrl = () => new URLSearchParams(location.search).get('node') ?? ''
