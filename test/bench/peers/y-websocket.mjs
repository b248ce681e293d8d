// @y/websocket-server with y-leveldb, wired as y-websocket 1 and 2 did. argv: the directory of the store.

import { createServer } from 'node:http'
import { join } from 'node:path'
import { setPersistence, setupWSConnection } from '@y/websocket-server/utils'
import { WebSocketServer } from 'ws'
import { LeveldbPersistence } from 'y-leveldb'
import * as Y from 'yjs'

const store = new LeveldbPersistence(join(process.argv[2], 'leveldb'))
setPersistence({
  provider: store,
  bindState: async (name, document) => {
    const stored = await store.getYDoc(name)
    store.storeUpdate(name, Y.encodeStateAsUpdate(document))
    Y.applyUpdate(document, Y.encodeStateAsUpdate(stored))
    document.on('update', (update) => {
      store.storeUpdate(name, update)
    })
  },
  writeState: async () => {},
})

const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
sockets.on('connection', setupWSConnection)
const server = createServer((_request, response) => response.end('okay'))
server.on('upgrade', (request, socket, head) => {
  sockets.handleUpgrade(request, socket, head, (webSocket) => sockets.emit('connection', webSocket, request))
})
server.listen(0, '127.0.0.1', () => console.log(`READY ${server.address().port}`))
