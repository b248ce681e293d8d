/**
 * XXHash, in WebAssembly, for both threads of the log. [hot]
 *
 * It is loaded by a promise and not by an `await` of the module: Node 24 (V8 13.6) ends the whole process ("Check failed: (location_) != nullptr" in
 * `SourceTextModule::AsyncModuleExecutionFulfilled`) when a thread is terminated while a module behind one that awaits is being run.
 */

import { assert } from '@meridian/core/errors'
import type { XXHashAPI } from 'xxhash-wasm'
import xxhash from 'xxhash-wasm'

let loaded: XXHashAPI | undefined

/** Resolves when `hash` can be used; awaited once by whoever begins to read or write records. */
export const hashReady: Promise<void> = xxhash().then((api) => {
  loaded = api
})

export function hash(): XXHashAPI {
  assert(loaded !== undefined, 'hashReady is awaited before a record is hashed')
  return loaded
}
