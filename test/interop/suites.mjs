/** The suites of peers that can be pointed at a node or at our stores, and why those of their tests that do not pass do not. */

/**
 * @typedef {object} Suite
 * @property {string} name
 * @property {string} config of vitest, beside this file
 * @property {string[]} [filters] files, by a part of their names
 * @property {{ name: string, variable: string, contains: string }} [checkout] without which it is not run
 * @property {string} [notRun] why it cannot be
 * @property {Record<string, string>} [reasons] by the beginning of a title: why it does not pass
 */

/** @type {Suite[]} */
export const suites = [
  {
    name: 'automerge-repo 2.5: runNetworkAdapterTests, three repos at one node',
    config: 'vitest.config.ts',
    filters: ['automerge-repo-network'],
    reasons: {
      'emits a peer-candidate event': 'the peer of a client is the node, and no other client: metadata goes no further',
      'should emit disconnect events': 'the same: that another client has left is no event of this one',
      'should not send messages after disconnect': 'the same: it waits for that event',
    },
  },
  {
    name: 'automerge-repo 2.5: runStorageAdapterTests, our stores of a device',
    config: 'vitest.config.ts',
    filters: ['automerge-repo-storage'],
    reasons: {
      'should return all the data that matches': 'expects the order of writing; our stores answer in the order of keys',
    },
  },
  {
    name: 'Hocuspocus: tests/provider, with provider 4.8',
    config: 'hocuspocus.config.ts',
    checkout: { name: 'hocuspocus', variable: 'HOCUSPOCUS_CHECKOUT', contains: 'tests/provider' },
    reasons: {
      'executes the onStateless callback': 'a node runs no code of the app: stateless messages go to nobody',
      'onAwarenessChange callback is executed, even when no':
        'a node tells a client that begins that it is gone, which makes it show itself to all at once; the test takes that for the first change',
    },
  },
  {
    name: 'y-websocket: test of its main branch',
    config: '',
    notRun:
      'it is for @y/websocket 4 on Yjs 14 (@y/y), release candidates that are not served, and has a server of its own at port 1234',
  },
]
