// The same wire at a Meridian node, whose rooms are `/yjs/<tenant>/<collection>/<key>`.

import { yWebsocketWire } from './y-websocket.mjs'

export const wire = yWebsocketWire('yjs', '/yjs/dev')
