// Hocuspocus with its SQLite extension, both as they come. argv: the directory of the database.

import { join } from 'node:path'
import { SQLite } from '@hocuspocus/extension-sqlite'
import { Server } from '@hocuspocus/server'

const server = new Server({
  port: 0,
  address: '127.0.0.1',
  quiet: true,
  websocketOptions: { perMessageDeflate: false },
  extensions: [new SQLite({ database: join(process.argv[2], 'hocuspocus.sqlite') })],
})
await server.listen()
console.log(`READY ${server.address.port}`)
