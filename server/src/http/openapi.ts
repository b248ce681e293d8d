/** `/v1/openapi.json`: OpenAPI 3.1, made of the schemas that requests are checked by. */

import { OpenAPIHono, type RouteConfig, z } from '@hono/zod-openapi'
import {
  changeBody,
  changesQuery,
  createQuery,
  collectionParams,
  explainedBody,
  explainQuery,
  listBody,
  listQuery,
  nameParams,
  patchBody,
  policyBody,
  policyHeadsBody,
  problemBody,
  readQuery,
  regionsBody,
  templateBody,
  tenantParams,
  validatedBody,
  pushQuery,
  writeQuery,
  writtenBody,
} from './schemas.js'

const bytes = z.string().meta({ format: 'binary' })
const problems = { default: { description: 'What went wrong', content: { 'application/problem+json': { schema: problemBody } } } }
const versionHeaders = {
  etag: { description: 'The version, weak', schema: { type: 'string' as const } },
  'meridian-version': { description: 'The version, for `at`', schema: { type: 'string' as const } },
  'meridian-life': { description: 'The life of the document', schema: { type: 'string' as const } },
}
const written = {
  description: 'Durable in the region',
  headers: versionHeaders,
  content: { 'application/json': { schema: writtenBody } },
}
const pushHeader = z.object({
  'meridian-push': z
    .string()
    .regex(/^[0-9a-f]{32}\/[1-9][0-9]*$/)
    .optional()
    .describe('Device (32 hex digits) and counter, growing: a resend under the same name is stored once.'),
})
const document = '/v1/documents/{tenant}/{collection}/{key}'
const collection = '/v1/collections/{tenant}/{collection}'
const policyContent = { content: { 'application/json': { schema: policyBody }, 'application/yaml': { schema: z.string() } } }
const policyShown = {
  description: 'What holds',
  headers: { etag: { description: 'The heads, for If-Match', schema: { type: 'string' as const } } },
  content: { 'application/json': { schema: policyHeadsBody } },
}
const security = [{ token: [] }]

const routes: readonly RouteConfig[] = [
  {
    method: 'get',
    path: '/v1/regions',
    summary: 'The regions, where each is and where clients reach it; asks no token',
    responses: { 200: { description: 'The regions', content: { 'application/json': { schema: regionsBody } } }, ...problems },
  },
  {
    method: 'get',
    path: document,
    summary: 'Read a document',
    security,
    request: { params: nameParams, query: readQuery },
    responses: {
      200: {
        description: 'The document',
        headers: versionHeaders,
        content: {
          'application/json': { schema: z.record(z.string(), z.unknown()) },
          'text/plain': { schema: z.string() },
          'application/octet-stream': { schema: bytes },
          'application/vnd.meridian.updates': { schema: bytes },
        },
      },
      304: { description: 'If-None-Match names the version that it has' },
      ...problems,
    },
  },
  {
    method: 'post',
    path: document,
    summary: 'Push an update',
    security,
    request: {
      params: nameParams,
      query: pushQuery,
      headers: pushHeader,
      body: { content: { 'application/octet-stream': { schema: bytes } } },
    },
    responses: { 200: written, ...problems },
  },
  {
    method: 'patch',
    path: document,
    summary: 'Edit a document',
    security,
    request: {
      params: nameParams,
      query: writeQuery,
      headers: pushHeader,
      body: {
        content: {
          'application/json-patch+json': { schema: patchBody },
          'application/merge-patch+json': { schema: templateBody },
        },
      },
    },
    responses: { 200: written, ...problems },
  },
  {
    method: 'put',
    path: document,
    summary: 'Begin a document, once, whoever asks first',
    security,
    request: {
      params: nameParams,
      query: createQuery,
      headers: pushHeader.extend({ 'if-none-match': z.literal('*') }),
      body: { content: { 'application/json': { schema: templateBody }, 'application/octet-stream': { schema: bytes } } },
    },
    responses: { 201: written, 412: { description: 'There is one already' }, ...problems },
  },
  {
    method: 'delete',
    path: document,
    summary: 'Erase a document',
    security,
    request: { params: nameParams },
    responses: { 200: written, ...problems },
  },
  {
    method: 'get',
    path: collection,
    summary: 'List the documents of a collection that the token grants',
    security,
    request: { params: collectionParams, query: listQuery },
    responses: { 200: { description: 'A page', content: { 'application/json': { schema: listBody } } }, ...problems },
  },
  {
    method: 'get',
    path: `${collection}/changes`,
    summary: 'Follow the changes of a collection (server-sent events `changed`, `erased`, `alive`, `goodbye`)',
    security,
    request: { params: collectionParams, query: changesQuery },
    responses: { 200: { description: 'Events', content: { 'text/event-stream': { schema: changeBody } } }, ...problems },
  },
  {
    method: 'post',
    path: '/v1/policies/validate',
    summary: 'Check a placement policy against this cluster',
    security,
    request: { body: policyContent },
    responses: {
      200: { description: 'What is wrong with it', content: { 'application/json': { schema: validatedBody } } },
      ...problems,
    },
  },
  {
    method: 'get',
    path: '/v1/policies/{tenant}',
    summary: 'Read the policy of a tenant (scope `policy:read`)',
    security,
    request: { params: tenantParams },
    responses: { 200: policyShown, ...problems },
  },
  {
    method: 'put',
    path: '/v1/policies/{tenant}',
    summary: 'Edit the policy of a tenant (scope `policy:write`)',
    security,
    request: {
      params: tenantParams,
      headers: z.object({ 'if-match': z.string().optional().describe('The ETag of what was read; 412 if it was edited since.') }),
      body: policyContent,
    },
    responses: { 200: policyShown, ...problems },
  },
  {
    method: 'get',
    path: '/v1/policies/{tenant}/explain',
    summary: 'Ask what is decided about a document in a place, and why',
    security,
    request: { params: tenantParams, query: explainQuery },
    responses: { 200: { description: 'The decision', content: { 'application/json': { schema: explainedBody } } }, ...problems },
  },
]

/** The document as JSON; made once, for it does not change while a node runs. */
export function openApiDocument(version: string): string {
  const app = new OpenAPIHono()
  app.openAPIRegistry.registerComponent('securitySchemes', 'token', { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' })
  for (const route of routes) app.openAPIRegistry.registerPath(route)
  return JSON.stringify(
    app.getOpenAPI31Document({
      openapi: '3.1.0',
      info: { title: 'Meridian', version, description: 'Documents of a region over HTTP. See docs/http.md.' },
    }),
  )
}
