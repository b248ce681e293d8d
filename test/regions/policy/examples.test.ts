/** Each row of the requirements as a policy, with a table of its decisions: verb, document, place, and the rule that says so. */

import { readdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Verb } from '@meridian/core/effects'
import { storingRegions } from '@meridian/regions/policy/evaluate'
import { validate } from '@meridian/regions/policy/validate'
import { describe, expect, it } from 'vitest'
import {
  ask,
  exampleCluster,
  examplePath,
  exampleValues,
  findingsOf,
  may,
  nameOf,
  policyOf,
  ruling,
  skewMs,
} from '../policies.js'

type Row = readonly [verb: Verb, name: string, place: string, answer: 'yes' | 'no', rule: string]

interface Example {
  readonly file: string
  readonly title: string
  readonly rows: readonly Row[]
  /** Who stores it. */
  readonly stored: Readonly<Record<string, readonly string[]>>
}

const examples: readonly Example[] = [
  {
    file: 'gdpr',
    title: 'GDPR, without encrypted backups outside, erasing in time and records',
    rows: [
      ['store', 'acme/customers/1', 'eu-west', 'yes', 'acme.customers'],
      ['store', 'acme/customers/1', 'ch-zurich', 'no', 'acme.customers'],
      ['store', 'acme/customers/1', 'us-east', 'no', 'acme.customers'],
      ['process', 'acme/customers/1', 'us-east', 'no', 'acme.customers'],
      ['transit', 'acme/customers/1', 'uk-london', 'no', 'acme.customers'],
      ['backup', 'acme/customers/1', 'eu-south', 'yes', 'acme.class.personal'],
      ['backup', 'acme/customers/1', 'ch-zurich', 'no', 'acme.class.personal'],
      ['access', 'acme/customers/1', 'NO', 'yes', 'acme.class.personal'],
      ['access', 'acme/customers/1', 'GB', 'yes', 'acme.class.personal'],
      ['access', 'acme/customers/1', 'BR', 'yes', 'acme.class.personal'],
      ['access', 'acme/customers/1', 'US', 'yes', 'acme.class.personal'],
      ['access', 'acme/customers/1', 'CA', 'no', 'acme.class.personal'],
      ['access', 'acme/customers/1', '?', 'no', 'acme.class.personal'],
    ],
    stored: { 'acme/customers/1': ['eu-west', 'eu-central', 'eu-south'] },
  },
  {
    file: 'russia-152-fz',
    title: 'Russia 152-FZ, without the order of a first write inside and copies after it',
    rows: [
      ['store', 'acme/people/ru/1', 'ru-moscow', 'yes', 'acme.people.where[0]'],
      ['store', 'acme/people/ru/1', 'eu-west', 'no', 'acme.people.where[0]'],
      ['backup', 'acme/people/ru/1', 'eu-west', 'no', 'acme.people.where[0]'],
      ['transit', 'acme/people/ru/1', 'ru-moscow', 'yes', 'acme.people.where[0]'],
      ['store', 'acme/people/de/1', 'ru-moscow', 'no', 'acme.people.otherwise'],
      ['store', 'acme/people/de/1', 'us-east', 'yes', 'acme.people.otherwise'],
      ['access', 'acme/people/ru/1', 'DE', 'yes', 'acme.people'],
      ['store', 'acme/people/ru', 'ru-moscow', 'no', 'acme.people'],
    ],
    stored: { 'acme/people/ru/1': ['ru-moscow'] },
  },
  {
    file: 'china-pipl',
    title: 'China PIPL, with process as storing',
    rows: [
      ['store', 'acme/profiles/1', 'cn-north', 'yes', 'acme.class.personal'],
      ['store', 'acme/profiles/1', 'jp-east', 'no', 'acme.class.personal'],
      ['process', 'acme/profiles/1', 'cn-north', 'yes', 'acme.class.personal'],
      ['backup', 'acme/profiles/1', 'cn-north', 'yes', 'acme.class.personal'],
      ['backup', 'acme/profiles/1', 'jp-east', 'no', 'acme.class.personal'],
      ['access', 'acme/profiles/1', 'CN', 'yes', 'acme.class.personal'],
      ['access', 'acme/profiles/1', 'SG', 'yes', 'acme.class.personal'],
      ['access', 'acme/profiles/1', 'HK', 'no', 'acme.class.personal'],
    ],
    stored: { 'acme/profiles/1': ['cn-north'] },
  },
  {
    file: 'india-rbi',
    title: 'India RBI and DPDP, plaintext only',
    rows: [
      ['store', 'acme/payments/1', 'in-west', 'yes', 'acme.class.payment'],
      ['store', 'acme/payments/1', 'eu-west', 'no', 'acme.class.payment'],
      ['backup', 'acme/payments/1', 'eu-west', 'no', 'acme.class.payment'],
      ['access', 'acme/payments/1', 'IN', 'yes', 'acme.payments'],
      ['access', 'acme/payments/1', 'US', 'no', 'acme.payments'],
      ['store', 'acme/profiles/1', 'eu-west', 'yes', 'acme.class.personal'],
      ['access', 'acme/profiles/1', '?', 'yes', 'acme.profiles'],
    ],
    stored: { 'acme/payments/1': ['in-west', 'in-south'] },
  },
  {
    file: 'australia-my-health',
    title: 'Australia My Health Records, without ciphertext, keys and telemetry as verbs',
    rows: [
      ['store', 'acme/records/1', 'au-east', 'yes', 'acme'],
      ['store', 'acme/records/1', 'jp-east', 'no', 'acme'],
      ['backup', 'acme/records/1', 'au-south', 'yes', 'acme'],
      ['backup', 'acme/records/1', 'us-east', 'no', 'acme'],
      ['transit', 'acme/records/1', 'in-west', 'no', 'acme'],
      ['log', 'acme/records/1', 'us-east', 'no', 'acme'],
      ['key', 'acme/records/1', 'us-east', 'no', 'acme'],
      ['access', 'acme/records/1', 'AU', 'yes', 'acme'],
      ['access', 'acme/records/1', 'NZ', 'no', 'acme'],
    ],
    stored: { 'acme/records/1': ['au-east', 'au-south'] },
  },
  {
    file: 'us-itar',
    title: 'US ITAR, without ciphertext elsewhere and attested persons',
    rows: [
      ['store', 'acme/drawings/1', 'us-east', 'yes', 'acme.class.itar'],
      ['store', 'acme/drawings/1', 'ca-east', 'no', 'acme.class.itar'],
      ['store', 'acme/drawings/1', 'ru-moscow', 'no', 'acme.class.itar'],
      ['backup', 'acme/drawings/1', 'uk-london', 'no', 'acme.class.itar'],
      ['access', 'acme/drawings/1', 'US', 'yes', 'acme.class.itar'],
      ['access', 'acme/drawings/1', 'CN', 'no', 'acme.class.itar'],
      ['access', 'acme/drawings/1', '?', 'no', 'acme.class.itar'],
    ],
    stored: { 'acme/drawings/1': ['us-east', 'us-gov'] },
  },
  {
    file: 'us-cjis',
    title: 'US CJIS, plaintext only',
    rows: [
      ['store', 'acme/cases/1', 'us-gov', 'yes', 'acme'],
      ['store', 'acme/cases/1', 'us-east', 'yes', 'acme'],
      ['store', 'acme/cases/1', 'ca-east', 'no', 'acme.cases'],
      ['store', 'acme/cases/1', 'eu-west', 'no', 'acme'],
      ['backup', 'acme/cases/1', 'ca-east', 'yes', 'acme'],
      ['access', 'acme/cases/1', 'PR', 'yes', 'acme'],
      ['access', 'acme/cases/1', 'MX', 'no', 'acme'],
    ],
    stored: { 'acme/cases/1': ['us-gov', 'us-east'] },
  },
  {
    file: 'saudi-pdpl',
    title: 'Saudi PDPL',
    rows: [
      ['store', 'acme/clients/1', 'sa-central', 'yes', 'acme.clients'],
      ['store', 'acme/clients/1', 'uk-london', 'yes', 'acme.clients'],
      ['store', 'acme/clients/1', 'eu-west', 'yes', 'acme.clients'],
      ['store', 'acme/clients/1', 'jp-east', 'no', 'acme.clients'],
      ['store', 'acme/clients/1', 'eu-central', 'no', 'acme.clients'],
      ['access', 'acme/clients/1', 'SA', 'yes', 'acme.clients'],
    ],
    stored: { 'acme/clients/1': ['sa-central', 'eu-west', 'uk-london'] },
  },
  {
    file: 'care-plan',
    title: 'a care plan in three sections, decided and not yet served as sections',
    rows: [
      ['store', 'acme/patients/ch/7f#clinical', 'ch-zurich', 'yes', 'acme.patients.clinical.where[0]'],
      ['store', 'acme/patients/ch/7f#clinical', 'eu-west', 'yes', 'acme.patients.clinical.where[0]'],
      ['store', 'acme/patients/ch/7f#clinical', 'us-east', 'no', 'acme.patients.clinical.where[0]'],
      ['store', 'acme/patients/us/7f#clinical', 'us-east', 'yes', 'acme.patients.clinical.where[1]'],
      ['store', 'acme/patients/br/7f#clinical', 'br-south', 'no', 'acme.patients.clinical'],
      ['store', 'acme/patients/ch/7f#schedule', 'ch-zurich', 'yes', 'acme.patients.schedule'],
      ['store', 'acme/patients/ch/7f#schedule', 'cn-north', 'no', 'acme.patients.schedule'],
      ['store', 'acme/patients/ch/7f#public', 'cn-north', 'yes', 'acme.patients.public'],
      ['access', 'acme/patients/ch/7f#clinical', 'JP', 'no', 'acme.class.health'],
      ['store', 'acme/patients/ch/7f', 'ch-zurich', 'no', 'acme.patients'],
      ['store', 'acme/patients/ch/7f#notes', 'ch-zurich', 'no', 'acme.patients'],
    ],
    stored: {
      'acme/patients/us/7f#schedule': ['us-east', 'ca-east', 'eu-west', 'eu-central'],
      'acme/patients/ch/7f#schedule': ['ch-zurich', 'eu-west', 'eu-central', 'eu-south'],
      'acme/patients/au/7f#clinical': ['au-east', 'au-south'],
    },
  },
]

describe.each(examples)('$title', ({ file, rows, stored }) => {
  const policy = policyOf(exampleValues(file))

  it('is valid on its cluster, without a warning', () => {
    expect([...findingsOf(exampleValues(file)), ...validate(policy, { nowMs: may, skewMs }, exampleCluster)]).toEqual([])
  })

  it.each(rows)('[RES1] %s %s at %s: %s, by %s', (verb, name, place, answer, rule) => {
    const { kind, rule: said } = ruling(policy, ask(verb, name, place))
    expect([kind, said]).toEqual([answer, rule])
  })

  it('[RES0] names the regions that store it', () => {
    for (const [name, regions] of Object.entries(stored)) {
      expect(storingRegions(policy, nameOf(name), { topology: exampleCluster, moment: { nowMs: may, skewMs } }), name).toEqual(
        regions,
      )
    }
  })

  it('says in its file what is not served yet', () => {
    expect(readFileSync(examplePath(file), 'utf8')).toMatch(/^# Not served yet: /m)
  })
})

it('has a table for every example', () => {
  const files = readdirSync(dirname(examplePath('gdpr'))).map((name) => name.replace('.yaml', ''))
  expect(
    examples
      .map(({ file }) => file)
      .concat('cluster')
      .sort(),
  ).toEqual(files.sort())
})
