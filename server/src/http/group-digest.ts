/** What stands for a group where its name, which holds that of a tenant, may not (RES6): in metrics and logs. */

import { createHash } from 'node:crypto'

export const groupDigest = (group: string): string => createHash('sha256').update(group).digest('hex').slice(0, 12)
