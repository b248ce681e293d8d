/** What is used of the helper that Yjs ships for tests of its own kind (`yjs/testHelper`); it comes without declarations. */

declare module 'yjs/testHelper' {
  import type { PRNG } from 'lib0/prng'
  import type * as Y from 'yjs'

  /** Carries messages between the documents that it made. */
  export class TestConnector {
    constructor(random: PRNG)
    createY(userId: number): TestYInstance
  }

  export class TestYInstance extends Y.Doc {
    /** All that came into the document, its own edits among it. */
    updates: Uint8Array[]
  }

  /**
   * Throws unless all are the same: contents, state vectors, deletions, structs and how they are linked; and the same as documents that are made
   * of the merged updates of each, which it adds to `users`. Destroys them.
   */
  export function compare(users: TestYInstance[]): void
}
