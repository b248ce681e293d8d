// Prints a token for the node of node.yaml, as an identity provider would make it. For trying things out only.
//
//   node examples/node/make-token.mjs <secret file> [subject] [tenant] [match] [read|write]

import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'

const [secretFile, sub = 'ada', tenant = 'acme', match = 'notes/*', access = 'write'] = process.argv.slice(2)
if (secretFile === undefined) {
  process.stderr.write('usage: node examples/node/make-token.mjs <secret file> [subject] [tenant] [match] [read|write]\n')
  process.exit(2)
}

const exp = Math.floor(Date.now() / 1000) + 3600
const claims = { sub, tenant, docs: [{ match, access }], iss: 'https://id.example.com', aud: 'meridian', exp }
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
const input = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`
const secret = readFileSync(secretFile, 'utf8').trimEnd()
process.stdout.write(`${input}.${createHmac('sha256', secret).update(input).digest('base64url')}\n`)
