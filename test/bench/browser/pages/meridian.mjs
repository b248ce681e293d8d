// The entry of `@meridian/client` for browsers.

import { connect } from '@meridian/client'
import * as Y from 'yjs'
import { expose, nodeUrl } from './page.mjs'

const store = connect({ url: nodeUrl(), tenant: 'dev', user: 'bench' })

expose((name) => {
  const handle = store.open(`bench/${name}`)
  return { ydoc: handle.ydoc, ready: handle.ready, stored: () => handle.stored() }
}, Y.applyUpdate)
