// The same wire at a Meridian node, whose rooms are `/yjs/<tenant>/<collection>/<key>`. It sends nobody their own updates back, so a writer
// learns nothing of what became of them.

import { yWebsocketWire } from './y-websocket.mjs'

export const wire = yWebsocketWire('yjs', '/yjs/dev', 'none')
