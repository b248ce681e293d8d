// Puts one planted bug (MERIDIAN_MUTANT) into the module that it is of, while that is loaded.

import { register } from 'node:module'

register('./mutant-loader.mjs', import.meta.url, { data: { name: process.env['MERIDIAN_MUTANT'] } })
