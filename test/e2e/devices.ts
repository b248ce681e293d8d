/** Clients of tests: the real `@meridian/client` with the errors that it had, and what tests read of documents. */

import type { Handle, Store } from '@meridian/client'
import { connect } from '@meridian/client'
import { yjsEngine } from '@meridian/core/engines/yjs'
import type { MeridianError } from '@meridian/core/errors'
import * as Y from 'yjs'
import { traceTextName } from '../traces.js'
import { within } from './waiting.js'

export interface DeviceOptions {
  readonly url: string
  /** A file for SQLite; default: memory. */
  readonly path?: string | undefined
}

export class Device {
  readonly store: Store
  readonly errors: MeridianError[] = []

  constructor({ url, path }: DeviceOptions) {
    this.store = connect({
      url,
      ...(path === undefined ? {} : { storage: { path } }),
      onError: (error) => this.errors.push(error),
    })
  }

  open(name: string): Handle {
    const handle = this.store.open(name)
    // Whoever needs it awaits it; a client that is closed before is no failure of the test.
    handle.ready.catch(() => undefined)
    return handle
  }

  async dispose(): Promise<void> {
    await this.store.close()
  }
}

export const textOf = (ydoc: Y.Doc): Y.Text => ydoc.getText(traceTextName)

/** Equal for equal contents: of the state vector, what is deleted, and what is to be seen; never of encoded bytes. */
export const digestOf = (ydoc: Y.Doc): string => yjsEngine.digest([Y.encodeStateAsUpdate(ydoc)])

/** Opens a document on a new device, waits until the node has sent all of it, and reads it. */
export async function readFresh<T>(url: string, name: string, read: (ydoc: Y.Doc) => T, limitMs?: number): Promise<T> {
  const device = new Device({ url })
  try {
    const handle = device.open(name)
    const origin = await within(handle.ready, `a new device to have ${name}`, limitMs)
    if (origin !== 'region' || handle.status.kind !== 'current')
      throw new Error(`${name} is not there: ${JSON.stringify(handle.status)}`)
    return read(handle.ydoc)
  } finally {
    await device.dispose()
  }
}
