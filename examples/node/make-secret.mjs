// Prints a new secret for tokens: 32 random bytes as text. Keep it out of version control.

import { randomBytes } from 'node:crypto'

process.stdout.write(`${randomBytes(32).toString('base64url')}\n`)
