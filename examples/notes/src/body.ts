/** Where the text of a note stands in its document. */

import type { Handle } from '@meridian/client'
import type * as Y from 'yjs'

export const bodyOf = (handle: Handle): Y.Text => handle.ydoc.getText('body')
