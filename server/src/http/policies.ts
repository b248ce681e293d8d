/** Placement policies over HTTP: checking one, asking what holds and why, reading and editing that of a tenant (docs/http.md). */

import type { Principal, Redirect, Scope, Verb } from '@meridian/core/effects'
import { MeridianError } from '@meridian/core/errors'
import { accessOf } from '@meridian/core/grants'
import { documentParts, parseDocument, parseRegion, parseTenant, type RegionId } from '@meridian/core/ids'
import { isJurisdiction } from '@meridian/regions/areas/jurisdiction'
import { type Finding, formatPath } from '@meridian/regions/plain'
import type { Policies } from '@meridian/regions/policies'
import type { PolicyHistory } from '@meridian/regions/policy/edits'
import { explain } from '@meridian/regions/policy/explain'
import type { Place } from '@meridian/regions/policy/place'
import type { Residency } from '@meridian/regions/residency'
import type { Topology } from '@meridian/regions/topology'
import type { Context, Hono } from 'hono'
import { headsTag, type PolicyStore } from '../policy-store.js'
import { formatIssue, type Issue, readYaml } from '../yaml-file.js'
import { readBody } from './body.js'
import { type Caller, notPlacedHere } from './entry.js'
import { HttpProblem, problem, problemOf } from './problem.js'
import { type Env, expectType, invalid, jsonOf, parsed } from './request.js'
import { explainQuery } from './schemas.js'

/** What a node in a cluster knows of policies. */
export interface PolicyParts {
  readonly store: PolicyStore
  readonly policies: Policies
  readonly residency: Residency
  readonly topology: () => Topology
}

export interface PolicyRoutesOptions {
  /** Undefined for a node that is in no cluster. */
  readonly parts: PolicyParts | undefined
  readonly enter: (context: Context<Env>) => Promise<Caller>
  readonly counted: (context: Context<Env>, run: () => Promise<Response>) => Promise<Response>
}

export const policiesPath = '/v1/policies/'

/** Bytes of a policy: as an edit carries it, with room for how YAML is written. */
const bodyBytesMax = 512 * 1024
const yaml = 'application/yaml'

export function addPolicyRoutes(app: Hono<Env>, { parts, enter, counted }: PolicyRoutesOptions): void {
  const answer =
    (run: (context: Context<Env>, caller: Caller, known: PolicyParts) => Promise<Response> | Response) =>
    async (context: Context<Env>): Promise<Response> => {
      const caller = await enter(context)
      if (parts === undefined) throw new HttpProblem(noCluster)
      return counted(context, async () => run(context, caller, parts))
    }
  app.post(
    `${policiesPath}validate`,
    answer(async (context, _caller, { store }) => {
      const { findings } = store.validate(await valueOf(context))
      return Response.json({ valid: findings.every(({ level }) => level === 'warning'), findings: findings.map(told) })
    }),
  )
  app.get(`${policiesPath}:tenant/explain`, answer(explained))
  app.get(
    `${policiesPath}:tenant`,
    answer((context, { principal }, known) => {
      const tenant = tenantOf(context, principal, 'policy:read')
      const history = known.policies.historyOf(tenant)
      if (history === undefined) throw new HttpProblem(noPolicy)
      return shown(history)
    }),
  )
  app.put(
    `${policiesPath}:tenant`,
    answer((context, { principal }, known) => edited(context, principal, known)),
  )
}

function explained(context: Context<Env>, { principal }: Caller, { residency }: PolicyParts): Response {
  const query = parsed(explainQuery, context.req.query(), 'query')
  const document = parseDocument(query.document)
  const parts = documentParts(document)
  const tenant = parseTenant(context.req.param('tenant') ?? '')
  if (principal.tenant !== tenant || parts.tenant !== tenant) throw new MeridianError('ACCESS_DENIED')
  if (!allows(principal, 'policy:read') && accessOf(principal, document) === 'none') throw new MeridianError('ACCESS_DENIED')
  const place = placeOf(query)
  const ruling = residency.may(query.verb, document, place)
  const question = { verb: query.verb, name: { ...parts, section: undefined }, place, form: 'plaintext' as const }
  const { kind, rule, epoch } = ruling
  const rest = ruling.kind === 'yes' ? { group: ruling.group } : { nearest: ruling.nearest, frozen: ruling.isFrozen }
  return Response.json({
    decision: kind,
    rule,
    reason: ruling.reason.kind,
    epoch,
    ...rest,
    explanation: explain(question, ruling),
  })
}

function placeOf({
  verb,
  region,
  from,
}: {
  readonly verb: Verb
  readonly region?: string | undefined
  readonly from?: string | undefined
}): Place {
  if ((region === undefined) === (from === undefined))
    throw invalid('query', 'say where: region for a region, or from for a client')
  if (region !== undefined) return { kind: 'region', region: parseRegion(region) }
  if (verb !== 'access') throw invalid('query', 'from goes with verb=access; the other verbs happen in a region')
  return { kind: 'client', jurisdiction: from !== undefined && isJurisdiction(from) ? from : undefined }
}

async function edited(context: Context<Env>, principal: Principal, { store, topology }: PolicyParts): Promise<Response> {
  const tenant = tenantOf(context, principal, 'policy:write')
  const value = await valueOf(context)
  const heads = context.req.header('if-match')?.replace(/^"|"$/g, '')
  const outcome = await store.edit(tenant, value, { author: authorOf(principal), heads })
  switch (outcome.kind) {
    case 'edited':
      return shown(outcome.history, { edit: outcome.id, findings: outcome.warnings.map(told) })
    case 'invalid':
      throw new HttpProblem({ ...problemOf(new MeridianError('POLICY_INVALID')), findings: outcome.findings.map(told) })
    case 'outdated':
      throw new HttpProblem(
        {
          ...problem(412, 'Precondition failed', 'The policy was edited meanwhile. Read it, and edit what it says now.'),
          retry: 'never',
        },
        { etag: `"${headsTag(outcome.history)}"` },
      )
    case 'elsewhere':
      throw notPlacedHere({ rule: tenant, redirects: redirectsTo(outcome.regions, topology()) })
  }
}

function redirectsTo(regions: readonly RegionId[], topology: Topology): Redirect[] {
  return regions.flatMap((region) => {
    const url = topology.regions.get(region)?.clientUrl
    return url === undefined ? [] : [{ region, url }]
  })
}

/** What holds now, with each of the edits that stand side by side. */
function shown(history: PolicyHistory, more: object = {}): Response {
  const heads = history.heads.map(({ id, edit, policy }) => ({
    id,
    epoch: edit.epoch,
    author: edit.author,
    parents: edit.parents,
    readable: policy !== undefined,
    policy: jsonOf(new TextEncoder().encode(edit.policy)),
  }))
  const { epoch, unreadableCount } = history.effective
  return Response.json(
    { tenant: history.tenant, epoch, frozen: heads.length !== 1 || unreadableCount > 0, heads, ...more },
    { headers: { etag: `"${headsTag(history)}"` } },
  )
}

/** JSON, or YAML as files have it. @throws HttpProblem */
async function valueOf(context: Context<Env>): Promise<unknown> {
  const type = expectType(context, ['application/json', yaml], 'accept')
  const body = await readBody(context.req.raw, bodyBytesMax)
  if (type !== yaml) return jsonOf(body)
  const issues: Issue[] = []
  const { values } = readYaml({ name: 'policy', text: new TextDecoder().decode(body) }, issues)
  if (issues.length > 0) throw invalid('body', issues.map(formatIssue).join('; '))
  return values
}

/** Nothing of another tenant exists for a token. @throws MeridianError ACCESS_DENIED */
function tenantOf(context: Context<Env>, principal: Principal, scope: Scope) {
  const tenant = parseTenant(context.req.param('tenant') ?? '')
  if (principal.tenant === tenant && allows(principal, scope)) return tenant
  throw new MeridianError('ACCESS_DENIED', { message: `It takes a token of the tenant with the scope ${scope}.` })
}

/** Who may write may read. */
const allows = ({ scopes = [] }: Principal, scope: Scope): boolean => scopes.includes(scope) || scopes.includes('policy:write')

/** 128 bytes at most, which an edit has room for. */
const authorOf = ({ subject }: Principal): string => (Buffer.byteLength(subject) > 128 ? 'long name' : subject)

const told = ({ level, code, path, message }: Finding) => ({ level, code, path: formatPath(path), message })

const noCluster = {
  ...problem(
    501,
    'Not implemented',
    'This node is in no cluster, and stores all there is; a policy says which of several regions do.',
  ),
  retry: 'never',
} as const

const noPolicy = problem(404, 'Not found', 'No policy of this tenant is known here, so nothing of it is placed. PUT one.')
