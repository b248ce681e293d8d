/** What HTTP takes and answers, as schemas: requests are checked by them, and `/v1/openapi.json` is made of them. */

import { z } from '@hono/zod-openapi'
import { errorTable } from '@meridian/core/errors'

/** Operations of one JSON Patch; more are several patches. */
export const operationsMax = 1_000
const pathLengthMax = 4_096

const token = z
  .string()
  .max(8_192)
  .regex(/^[A-Za-z0-9_-]*$/)
  .describe('A version as this API gave it. Opaque.')

const base64url = z.string().regex(/^[A-Za-z0-9_-]*$/)

export const nameParams = z.object({
  tenant: z.string().describe('Tenant of the token.'),
  collection: z.string(),
  key: z.string().describe('The rest of the path, slashes included; percent-encoded once.'),
})

export const collectionParams = nameParams.omit({ key: true })

export const readQuery = z.strictObject({
  as: z
    .enum(['json', 'text', 'update', 'updates'])
    .optional()
    .describe(
      'What to answer; otherwise by `Accept`. `update` is one Yjs update, V1; `updates` are several as they are stored, each behind its length.',
    ),
  root: z.string().min(1).max(1_024).optional().describe('With `text`: which root. Not needed if only one is text.'),
  since: base64url
    .max(1_048_576)
    .optional()
    .describe('With `update` or `updates`: a state vector, base64url; only what it lacks is answered.'),
  at: token
    .optional()
    .describe(
      'Waits, no longer than limits.waitMs, until the region holds this version. What is answered is the newest then: `Meridian-Version` and `ETag` say which.',
    ),
})

export const writeQuery = z.strictObject({
  at: token.optional().describe('The region has to hold this version before (writes follow reads).'),
})

const engine = z.enum(['yjs', 'automerge'])

export const pushQuery = writeQuery.extend({
  engine: engine.optional().describe('Of the update; by default that of the document, and of a new one Yjs.'),
})

export const createQuery = z.strictObject({ engine: engine.default('yjs').describe('Of the document, for ever.') })

export const listQuery = z.strictObject({
  prefix: z.string().max(512).default('').describe('Keys that begin with this.'),
  after: z.string().max(512).default('').describe('Keys after this one: `next` of the page before.'),
  limit: z.coerce.number().int().min(1).default(100).describe('Documents of a page, at most http.pageMax.'),
  erased: z.enum(['true', 'false']).default('false').describe('Whether documents that were erased are listed too.'),
})

export const changesQuery = z.strictObject({
  since: token.optional().describe('From here on; empty for the beginning; from now on if absent. `Last-Event-ID` wins.'),
})

export const verbs = ['store', 'process', 'access', 'transit', 'backup', 'key', 'log'] as const

export const explainQuery = z.strictObject({
  document: z.string().max(1_024).describe('tenant/collection/key.'),
  verb: z.enum(verbs).default('store').describe('What is to be done.'),
  region: z.string().optional().describe('In which region.'),
  from: z.string().max(8).optional().describe('With `verb=access`: the country of the client, such as IE.'),
})

export const tenantParams = z.object({ tenant: z.string().describe('Tenant of the token.') })

export const policyBody = z
  .record(z.string(), z.unknown())
  .openapi('Policy')
  .describe('As docs/policies.md says; the same as YAML with `application/yaml`.')

const findingBody = z
  .object({
    level: z.enum(['error', 'warning']),
    code: z.enum(['invalid', 'not served', 'unsatisfiable']),
    path: z.string().describe('Where, such as `placements.europe.store`.'),
    message: z.string(),
  })
  .openapi('Finding')

export const validatedBody = z.object({ valid: z.boolean(), findings: z.array(findingBody) }).openapi('Validated')

export const explainedBody = z
  .object({
    decision: z.enum(['yes', 'no']),
    rule: z.string(),
    reason: z.string(),
    epoch: z.int(),
    group: z.string().optional(),
    nearest: z.array(z.string()).optional().describe('Regions that store it, the preferred first.'),
    frozen: z.boolean().optional().describe('Several edits stand side by side, or one cannot be read.'),
    explanation: z.string(),
  })
  .openapi('Explained')

export const policyHeadsBody = z
  .object({
    tenant: z.string(),
    epoch: z.int().describe('How many edits are known here.'),
    frozen: z
      .boolean()
      .describe('Not exactly one edit that can be read: what any of them refuses is refused, and nothing is moved.'),
    heads: z.array(
      z.object({
        id: z.string(),
        epoch: z.int(),
        author: z.string(),
        parents: z.array(z.string()),
        readable: z.boolean(),
        policy: policyBody,
      }),
    ),
    edit: z.string().optional().describe('After a PUT: the name of the edit.'),
    findings: z.array(findingBody).optional().describe('After a PUT: warnings.'),
  })
  .openapi('PolicyHeads')

const pointer = z.string().max(pathLengthMax)

export const patchBody = z
  .array(
    z.discriminatedUnion('op', [
      z.object({ op: z.literal(['add', 'replace', 'test']), path: pointer, value: z.unknown() }),
      z.object({ op: z.literal('remove'), path: pointer }),
      z.object({ op: z.literal(['move', 'copy']), from: pointer, path: pointer }),
    ]),
  )
  .max(operationsMax)
  .openapi('JsonPatch')

export const templateBody = z
  .record(z.string(), z.unknown())
  .openapi('Template')
  .describe('Roots by name: a string becomes a text, an array an array, an object a map.')

export const problemBody = z
  .object({
    type: z.literal('about:blank'),
    title: z.string(),
    status: z.int(),
    detail: z.string().describe('What went wrong and what to do about it.'),
    code: z.enum(Object.keys(errorTable)).optional().describe('From the table of PROTOCOL.md.'),
    retry: z.enum(['now', 'backoff', 'never']).optional(),
    missing: token.optional(),
    redirects: z
      .array(z.object({ region: z.string(), url: z.string() }))
      .optional()
      .describe('With NOT_PLACED_HERE: the regions that may serve it, the preferred first.'),
    findings: z.array(findingBody).optional().describe('With POLICY_INVALID: what is wrong, and where.'),
    rule: z.string().optional().describe('With NOT_PLACED_HERE: the rule of the policy that said no.'),
  })
  .openapi('Problem')

export const writtenBody = z
  .object({
    version: token,
    life: z.int(),
    entry: z
      .object({ replica: z.string(), sequence: z.int() })
      .optional()
      .describe('The entry that was logged; absent if it added nothing.'),
  })
  .openapi('Written')

export const listBody = z
  .object({
    documents: z.array(z.object({ key: z.string(), engine, life: z.int(), erased: z.boolean() })),
    next: z.string().optional().describe('`after` of the next page; absent on the last one.'),
  })
  .openapi('List')

export const changeBody = z
  .object({
    key: z.string(),
    life: z.int(),
    version: token.describe('The document holds this, and maybe more: read it `at` it.'),
  })
  .openapi('Change')

export const regionsBody = z
  .object({
    region: z.string().describe('The region that answers.'),
    regions: z.array(
      z.object({
        region: z.string(),
        jurisdiction: z.string().nullable().describe('The country whose law holds there; null if the node is in no cluster.'),
        url: z.string().nullable().describe('Where clients connect; null if the node is in no cluster: where it was asked.'),
        state: z.enum(['active', 'leaving']),
      }),
    ),
  })
  .openapi('Regions')
