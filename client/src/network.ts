/**
 * The half of a client that needs a network: connections with their frames, regions, and the way of edits to them. A document opens from
 * the device, shows and takes edits without any of it, so that a page can load it beside and join it when it is there (`Sync.join`).
 */

import '@meridian/core/advice'
import type { DialerEffects } from './dialer.js'
import { Dialers } from './dialer.js'
import { Line } from './line.js'
import { Places } from './places.js'
import type { Carrier, Lines } from './sync-state.js'
import type { ClientWorld } from './world.js'

export interface Network extends Lines {
  newCarrier(world: ClientWorld, effects: DialerEffects): Carrier
}

/** There, or to be loaded. */
export type NetworkSource = Network | (() => Promise<Network>)

export const network: Network = {
  newPlaces: (urls) => new Places(urls),
  newCarrier: (world, effects) => new Dialers(world, effects),
  newLine: (shared, options) => new Line(shared, options),
}
