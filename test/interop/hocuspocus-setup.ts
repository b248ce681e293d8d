/** The node that the tests of a file began ends with them. */

import { afterAll } from 'vitest'
import { stop } from './hocuspocus-server.js'

afterAll(stop)
