/** Whose store it is, and the names that an opening of it gets. */

import type { Random } from '@meridian/core/effects'
import { MeridianError } from '@meridian/core/errors'
import type { DeviceId, TenantId } from '@meridian/core/ids'
import { parseDevice, parseTenant } from '@meridian/core/ids'
import type { ClientOptions } from './options.js'
import { readClaims } from './token.js'
import type { ClientWorld } from './world.js'

/** @throws MeridianError CONFIG_INVALID, NAME_INVALID */
export function tenantOf(options: ClientOptions): TenantId {
  if (options.tenant !== undefined) return parseTenant(options.tenant)
  const token = options.token ?? ''
  if (typeof token !== 'string')
    throw new MeridianError('CONFIG_INVALID', {
      message: 'A token function needs the option tenant: documents open before there is a token.',
    })
  if (token === '') return parseTenant('dev')
  const { tenant } = readClaims(token)
  if (tenant === undefined)
    throw new MeridianError('CONFIG_INVALID', { message: 'The token names no tenant; set the option tenant.' })
  return parseTenant(tenant)
}

const hex = (random: Random): string => random.uint32().toString(16).padStart(8, '0')

/** New for each opening: a copied or restored store cannot push under names that another one used (OUT3). */
export const randomDevice = (random: Random): DeviceId => parseDevice(hex(random) + hex(random) + hex(random) + hex(random))

/** The wall clock in front sorts openings of one store as they came, as long as it does not run backwards; nothing but an order hangs on it. */
export const randomOpening = (world: ClientWorld): string =>
  Math.floor(world.clock.now()).toString(36).padStart(9, '0') + hex(world.random) + hex(world.random)
