// A Meridian node on its native wire.

import { meridianBy } from '../lib/meridian.mjs'

export const target = meridianBy('meridian', 'native')
