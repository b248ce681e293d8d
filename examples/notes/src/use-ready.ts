/** Where a document came from, once there is something to show of it. */

import type { Handle, Origin } from '@meridian/client'
import { useEffect, useState } from 'react'

/** Undefined while nothing is there; `nowhere` also if the document is refused and this device has nothing of it. */
export function useReady(handle: Handle | undefined): Origin | undefined {
  const [ready, setReady] = useState<{ readonly handle: Handle; readonly origin: Origin }>()
  useEffect(() => {
    if (handle === undefined) return undefined
    let isCurrent = true
    const settle = (origin: Origin): void => {
      if (isCurrent) setReady({ handle, origin })
    }
    // What was refused stands in the status, in words.
    handle.ready.then(settle, () => settle('nowhere'))
    return () => {
      isCurrent = false
    }
  }, [handle])
  return ready?.handle === handle ? ready?.origin : undefined
}
