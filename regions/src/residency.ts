/**
 * RES1: the one choke point. Whether something may be done with a document in a place, decided from its name alone: pure, cheap,
 * and with the rule that said so. It is asked at every door, and nothing else decides. [hot]
 *
 * | the node | the tenant's policy | answer |
 * |---|---|---|
 * | is in no cluster | none | yes, in the group `tenant/default`, as there is one region only (RES0) |
 * | is in a cluster | unknown | no (RES2, RES3) |
 * | | known | what `policy/combine.ts` decides |
 *
 * Answers are kept, at most `keptMax`, for as long as policy, cluster file and time do not change what they were made from: one a document, and
 * one a tenant where there is neither a cluster nor a policy, as there all of its documents are alike.
 */

import type { Admit, Clock, Decision, Redirect, Verb } from '@meridian/core/effects'
import type { DocumentName, GroupId, RegionId, TenantId } from '@meridian/core/ids'
import { defaultGroup, documentParts } from '@meridian/core/ids'
import { isJurisdiction } from './areas/jurisdiction.js'
import { decide, type EffectivePolicy, nextChangeMs, type Ruling, storedIn } from './policy/combine.js'
import type { PlacedName, Surroundings } from './policy/evaluate.js'
import type { Place } from './policy/place.js'
import { sampleNames } from './policy/sample.js'
import type { Form } from './policy/schema.js'
import type { Topology } from './topology.js'

export interface ResidencyConfig {
  /** The region of this node. */
  readonly region: RegionId
  /** One that never runs backwards (`forwardClock`) where exceptions are in force. */
  readonly clock: Clock
  /** The cluster as it is now; absent: this node is in none. */
  readonly topology?: () => Topology
  /** What holds for a tenant now; undefined: nothing is known. A change of it is another object. */
  readonly policyOf?: (tenant: TenantId) => EffectivePolicy | undefined
  /** How far the clock may be off, in milliseconds: what ends, ends this much sooner. Default 60,000. */
  readonly skewMs?: number
  /** Answers that are kept. Default 20,000. */
  readonly keptMax?: number
}

interface Kept {
  readonly tenant: TenantId
  readonly effective: EffectivePolicy | undefined
  readonly topology: Topology | undefined
  readonly untilMs: number
  readonly ruling: Ruling
  readonly decision: Decision
}

/** A tenant's name has no `/`, so it is no document's. */
type AnswerKey = DocumentName | TenantId

/** Two halves: when there are enough younger ones they become the older, and what is still asked for moves back. */
interface Answers {
  young: Map<AnswerKey, Kept>
  old: Map<AnswerKey, Kept>
}

export type CollectionDecision =
  | { readonly kind: 'yes' /** Undefined: several. */; readonly group: GroupId | undefined }
  | (Decision & { readonly kind: 'no' })

const alone: Topology = { regions: new Map(), without: new Set() }

export class Residency {
  /** For core: asks about this node's region, and with `access` also about where the client is. */
  readonly admit: Admit
  readonly #config: ResidencyConfig
  readonly #skewMs: number
  readonly #here: Place
  readonly #keptMax: number
  /** By form, verb and place, so that the name of a document is looked up as it is. */
  readonly #answers: Readonly<Record<Form, Map<Verb, Map<string, Answers>>>> = { plaintext: new Map(), ciphertext: new Map() }
  #youngCount = 0
  #oldCount = 0
  /** Of the policy that was looked at last: when time changes its answers. */
  readonly #changes = new WeakMap<EffectivePolicy, { untilMs: number }>()

  constructor(config: ResidencyConfig) {
    this.#config = config
    this.#skewMs = config.skewMs ?? 60_000
    this.#keptMax = config.keptMax ?? 20_000
    this.#here = { kind: 'region', region: config.region }
    this.admit = (verb, document, attested = []) => this.#admit(verb, document, attested)
  }

  /** How many answers are kept now. */
  get keptCount(): number {
    return this.#youngCount + this.#oldCount
  }

  may(verb: Verb, document: DocumentName, place: Place, form: Form = 'plaintext'): Ruling {
    return this.#ask(verb, document, place, form).ruling
  }

  /** The regions that store a document; this one alone where there is no cluster. */
  storedIn(document: DocumentName): readonly RegionId[] {
    const topology = this.#config.topology?.()
    const effective = this.#config.policyOf?.(documentParts(document).tenant)
    if (effective === undefined) return topology === undefined ? [this.#config.region] : []
    return storedIn(effective, nameOf(document), this.#surroundings(topology ?? alone, this.#config.clock.now()))
  }

  /**
   * Where the documents of a collection are, for who asks about all of them at once: yes if some of them may be served here, with their group if
   * they are all in one.
   */
  admitCollection(tenant: TenantId, collection: string, attested: readonly string[]): CollectionDecision {
    const effective = this.#config.policyOf?.(tenant)
    const [head] = effective?.heads ?? []
    const names = head === undefined ? [] : sampleNames(head, collection)
    let refusal: CollectionDecision | undefined
    for (const { key } of names.length === 0 ? [{ key: '\u0001' }] : names) {
      const decision = this.#admit('access', `${tenant}/${collection}/${key}` as DocumentName, attested)
      if (decision.kind === 'no') {
        if (refusal?.kind !== 'no' || refusal.redirects.length === 0) refusal = decision
        continue
      }
      const placement = head?.placements.get(head.collections.get(collection)?.placement ?? '')
      return { kind: 'yes', group: placement === undefined || placement.by.length === 0 ? decision.group : undefined }
    }
    return refusal ?? { kind: 'no', rule: tenant, redirects: [] }
  }

  #admit(verb: Verb, document: DocumentName, attested: readonly string[]): Decision {
    if (verb !== 'access') return this.#ask(verb, document, this.#here, 'plaintext').decision
    // Whom no region may serve is sent nowhere.
    for (const country of attested.length === 0 ? [undefined] : attested) {
      const decision = this.#access(document, country)
      if (decision.kind === 'no') return decision
    }
    // A client is served from the log of this region, so the document has to be stored here.
    const stored = this.#ask('store', document, this.#here, 'plaintext').decision
    if (stored.kind === 'no') return stored
    return this.#access(document, attested[0])
  }

  #access(document: DocumentName, country: string | undefined): Decision {
    const jurisdiction = country !== undefined && isJurisdiction(country) ? country : undefined
    return this.#ask('access', document, { kind: 'client', jurisdiction }, 'plaintext').decision
  }

  /** A question that was asked lately costs three look-ups, and makes nothing. [hot] */
  #ask(verb: Verb, document: DocumentName, place: Place, form: Form): Kept {
    const answers = this.#answersOf(verb, place, form)
    const topology = this.#config.topology?.()
    const nowMs = this.#config.clock.now()
    const ofDocument = topology === undefined ? undefined : find(answers, document)
    const tenant = ofDocument?.tenant ?? documentParts(document).tenant
    const effective = this.#config.policyOf?.(tenant)
    const key = topology === undefined && effective === undefined ? tenant : document
    const kept = ofDocument ?? find(answers, key)
    if (kept !== undefined && kept.effective === effective && kept.topology === topology && nowMs < kept.untilMs) {
      if (!answers.young.has(key)) this.#keep(answers, key, kept)
      return kept
    }
    const ruling = this.#rule(verb, document, place, form, effective, topology, nowMs)
    const untilMs = effective === undefined ? Infinity : this.#untilMs(effective, nowMs)
    const made: Kept = { tenant, effective, topology, untilMs, ruling, decision: this.#decision(ruling, place, topology) }
    this.#keep(answers, key, made)
    return made
  }

  #answersOf(verb: Verb, place: Place, form: Form): Answers {
    const where = place.kind === 'region' ? place.region : (place.jurisdiction ?? '?')
    const tables = this.#answers[form]
    let byPlace = tables.get(verb)
    if (byPlace === undefined) tables.set(verb, (byPlace = new Map()))
    let answers = byPlace.get(where)
    if (answers === undefined) byPlace.set(where, (answers = { young: new Map(), old: new Map() }))
    return answers
  }

  #rule(
    verb: Verb,
    document: DocumentName,
    place: Place,
    form: Form,
    effective: EffectivePolicy | undefined,
    topology: Topology | undefined,
    nowMs: number,
  ): Ruling {
    const { tenant } = documentParts(document)
    if (effective !== undefined) {
      return decide(effective, { verb, name: nameOf(document), place, form }, this.#surroundings(topology ?? alone, nowMs))
    }
    const isHere = place.kind === 'client' ? verb === 'access' : place.region === this.#config.region
    if (topology === undefined && isHere && form === 'plaintext') return byDefault(tenant)
    return {
      kind: 'no',
      epoch: 0,
      rule: 'unknown policy',
      reason: { kind: 'unknown', what: form !== 'plaintext' ? 'form' : topology === undefined ? 'region' : 'policy' },
      head: undefined,
      isFrozen: true,
      nearest: [],
    }
  }

  #decision(ruling: Ruling, place: Place, topology: Topology | undefined): Decision {
    if (ruling.kind === 'yes') return { kind: 'yes', group: ruling.group, epoch: ruling.epoch, rule: ruling.rule }
    const redirects: Redirect[] = []
    // Another region does not change where the client is.
    for (const region of place.kind === 'region' ? ruling.nearest : []) {
      const url = topology?.regions.get(region)?.clientUrl
      if (url !== undefined && region !== this.#config.region) redirects.push({ region, url })
    }
    return { kind: 'no', rule: ruling.rule, redirects }
  }

  #untilMs(effective: EffectivePolicy, nowMs: number): number {
    const known = this.#changes.get(effective)
    if (known !== undefined && nowMs < known.untilMs) return known.untilMs
    const untilMs = nextChangeMs(effective, { nowMs, skewMs: this.#skewMs })
    this.#changes.set(effective, { untilMs })
    return untilMs
  }

  #keep(answers: Answers, key: AnswerKey, kept: Kept): void {
    if (this.#youngCount >= this.#keptMax / 2) this.#age()
    if (answers.old.delete(key)) this.#oldCount--
    if (!answers.young.has(key)) this.#youngCount++
    answers.young.set(key, kept)
  }

  #age(): void {
    for (const tables of Object.values(this.#answers)) {
      for (const byPlace of tables.values()) {
        for (const answers of byPlace.values()) {
          answers.old = answers.young
          answers.young = new Map()
        }
      }
    }
    this.#oldCount = this.#youngCount
    this.#youngCount = 0
  }

  #surroundings(topology: Topology, nowMs: number): Surroundings {
    return { topology, moment: { nowMs, skewMs: this.#skewMs } }
  }
}

const find = (answers: Answers, key: AnswerKey): Kept | undefined => answers.young.get(key) ?? answers.old.get(key)

function byDefault(tenant: TenantId): Ruling {
  return {
    kind: 'yes',
    group: defaultGroup(tenant),
    epoch: 0,
    rule: 'default',
    reason: {
      kind: 'allowed',
      voice: {
        rule: 'default',
        verb: 'store',
        constraint: { in: [{ kind: 'anywhere' }], not: [], prefer: [], replicas: undefined, exceptable: false },
      },
      exceptionUntilMs: undefined,
    },
  }
}

const nameOf = (document: DocumentName): PlacedName => ({ ...documentParts(document), section: undefined })
