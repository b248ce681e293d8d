/** How clients get in at a path of a node: the wire that is spoken there, and what a socket of it becomes. */

import type { Hub } from './hub.js'
import { type Connected, Session, type SessionOptions, type SessionSocket } from './session.js'
import type { Wire } from './wire.js'

export interface Door {
  readonly wire: Wire
  connect(hub: Hub, socket: SessionSocket, options: SessionOptions): Connected
}

/** Of a wire whose sockets are one session each. */
export const doorOf = (wire: Wire): Door => ({
  wire,
  connect: (hub, socket, options) => new Session(hub, socket, wire, options),
})
