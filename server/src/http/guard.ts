/**
 * Who may ask: by the name that the node is asked for (Host) and by the page that asks (Origin). Browsers send both and pages cannot
 * forge them, so a page elsewhere reaches neither a node on this machine by a name of its own (DNS rebinding) nor one that does not know
 * its origin. There are no cookies; tokens say who somebody is.
 */

import { isLoopback, type NodeConfig } from '../config.js'

export interface Guard {
  /** `host` as in the header, with its port. */
  allowsHost(host: string | undefined): boolean
  /** Programs send no origin and are allowed. */
  allowsOrigin(origin: string | undefined): boolean
}

export function createGuard(config: Pick<NodeConfig, 'auth' | 'allowedHosts' | 'allowedOrigins'>): Guard {
  const development = config.auth.kind === 'development'
  const hosts = new Set(config.allowedHosts.map((host) => host.toLowerCase()))
  const origins = new Set(config.allowedOrigins)
  return {
    allowsHost(host) {
      if (hosts.size === 0 && !development) return true
      if (host === undefined) return false
      const whole = host.toLowerCase()
      const name = whole.replace(/:\d+$/, '')
      return hosts.has(whole) || hosts.has(name) || (development && isLoopback(name))
    },
    allowsOrigin(origin) {
      if (origin === undefined || origins.has(origin)) return true
      if (!development) return false
      const host = /^https?:\/\/([^/]+?)(?::\d+)?$/.exec(origin)?.[1]
      return host !== undefined && isLoopback(host)
    },
  }
}
