/** A change feed as server-sent events (WHATWG HTML, 9.2): `changed`, `erased`, `alive`, and `goodbye` with what to do. */

import { type ErrorCode, errorTable, MeridianError } from '@meridian/core/errors'
import type { Alive, Change } from './changes.js'
import { versionToken } from './version-token.js'

export interface EventStreamOptions {
  /** Why it ends, if it is time to. */
  readonly ends: () => ErrorCode | undefined
  /** Called when the reader is gone, or has been told goodbye. */
  readonly onEnd: () => void
}

/** One event is made when the one before was taken; so what waits for a slow reader is one event and what its socket holds. */
export function eventStream(events: AsyncGenerator<Change | Alive>, options: EventStreamOptions): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  const goodbye = (code: ErrorCode): string =>
    `event: goodbye\ndata: ${JSON.stringify({ code, retry: errorTable[code].retry })}\n\n`
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const next = options.ends() === undefined ? await events.next() : undefined
        if (next?.done === false && options.ends() === undefined) return controller.enqueue(encoder.encode(eventText(next.value)))
        controller.enqueue(encoder.encode(goodbye(options.ends() ?? 'INTERNAL')))
      } catch (thrown) {
        controller.enqueue(encoder.encode(goodbye(thrown instanceof MeridianError ? thrown.code : 'INTERNAL')))
      }
      options.onEnd()
      controller.close()
    },
    async cancel() {
      options.onEnd()
      await events.return(undefined)
    },
  })
}

function eventText(event: Change | Alive): string {
  const id = event.cursor === undefined ? '' : `id: ${versionToken(event.cursor)}\n`
  if (event.kind === 'alive') return `event: alive\n${id}data: {}\n\n`
  const { kind, key, life, version } = event
  return `event: ${kind}\n${id}data: ${JSON.stringify({ key, life, version: versionToken(version) })}\n\n`
}
