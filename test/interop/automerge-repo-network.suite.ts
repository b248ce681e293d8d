/** The acceptance tests that automerge-repo has for network adapters, as its package exports them: three repos, each with a socket to one node. */

// The tests import the slim door of the package, which has no wasm of its own.
import '@automerge/automerge-repo'
import { WebSocketClientAdapter } from '@automerge/automerge-repo-network-websocket'
import { runNetworkAdapterTests } from '@automerge/automerge-repo/helpers/tests/network-adapter-tests.js'
import { afterAll, beforeAll } from 'vitest'
import { NodeProcess } from '../e2e/node-process.js'
import { Resources } from '../e2e/resources.js'

const resources = new Resources()
let node: NodeProcess

beforeAll(async () => {
  node = resources.own(await NodeProcess.start({ directory: resources.directory() }))
}, 60_000)
afterAll(() => resources.dispose())

/** A test that fails does not tear down what it had. */
let before = (): void => undefined

runNetworkAdapterTests(async () => {
  before()
  const dial = (): WebSocketClientAdapter => new WebSocketClientAdapter(`ws://127.0.0.1:${node.port}/automerge`, 500)
  const adapters: [WebSocketClientAdapter, WebSocketClientAdapter, WebSocketClientAdapter] = [dial(), dial(), dial()]
  before = () => {
    for (const adapter of adapters) if (adapter.socket !== undefined) adapter.disconnect()
  }
  return { adapters, teardown: before }
}, 'Meridian')
