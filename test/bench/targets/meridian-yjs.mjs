// A Meridian node as an app that is made for y-websocket sees it.

import { meridianBy } from '../lib/meridian.mjs'

export const target = meridianBy('meridian-yjs', 'yjs')
