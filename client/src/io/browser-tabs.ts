/**
 * What joins the tabs of one browser: a `BroadcastChannel`, one lock that the leader holds, and one for each tab, which the browser gives
 * back when the tab is gone, however it went. A browser without either has a connection a tab.
 */

import type { OpenTabPort, TabMessage } from '../tabs.js'

/** Raised with every change of `TabMessage` that an older client in another tab would misread: then the two do not hear each other. */
const version = 1

/** @param name of the store that the tabs share. */
export function tabPorts(name: string): OpenTabPort | undefined {
  if (typeof BroadcastChannel === 'undefined' || typeof navigator === 'undefined' || !('locks' in navigator)) return undefined
  const { locks } = navigator
  const channelName = `meridian ${version} ${name}`
  return (tab, message) => {
    const channel = new BroadcastChannel(channelName)
    const end = new AbortController()
    const { signal } = end
    const closed = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel is of one origin, and takes no other argument
    const send = (one: TabMessage): void => channel.postMessage(one)
    /** Nobody hears of a tab whose lock is not held: they would take it for gone. */
    let waiting: TabMessage[] | undefined = []
    channel.addEventListener('message', ({ data }: MessageEvent<TabMessage>) => message(data))
    locks
      .request(`${channelName} ${tab}`, { signal }, () => {
        for (const one of waiting ?? []) send(one)
        waiting = undefined
        return closed
      })
      .catch(ignoreAbort)
    return {
      post(one) {
        if (waiting !== undefined) waiting.push(one)
        else if (!signal.aborted) send(one)
      },
      lead(how, granted, lost) {
        let isHeld = false
        locks
          .request(channelName, how === 'take' ? { steal: true } : { signal }, () => {
            isHeld = true
            granted()
            return closed
          })
          .catch((thrown: unknown) => {
            if (isHeld && !signal.aborted) lost()
            else ignoreAbort(thrown)
          })
      },
      watch(other, gone) {
        locks.request(`${channelName} ${other}`, { mode: 'shared', signal }, () => gone()).catch(ignoreAbort)
      },
      close() {
        end.abort()
        channel.close()
      },
    }
  }
}

/** The end of this tab, or a lock that another tab took by force. */
function ignoreAbort(thrown: unknown): void {
  if (!(thrown instanceof DOMException && thrown.name === 'AbortError')) throw thrown
}
