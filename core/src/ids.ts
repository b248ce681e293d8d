/**
 * Ids and their only constructors. Each is a branded string or number, so that a document cannot be passed where a region is wanted.
 *
 * Grammar of names (NAME1–NAME4 of PROTOCOL.md): a document is `tenant/collection/key`. A name that is not canonical is refused and
 * never normalised: two spellings of one name would be two documents in two places.
 */

import { MeridianError } from './errors.js'

declare const brand: unique symbol

/** A site, such as `eu-west`. */
export type RegionId = string & { readonly [brand]: 'RegionId' }
/** `region#counter.random`: one opening of one region's store for writing (LOG2). */
export type ReplicaId = string & { readonly [brand]: 'ReplicaId' }
export type TenantId = string & { readonly [brand]: 'TenantId' }
/** `tenant/collection/key`. */
export type DocumentName = string & { readonly [brand]: 'DocumentName' }
/** `tenant/placement` with the values of the key parts that its rules match on (RES0); `tenant/default` before there is a policy. */
export type GroupId = string & { readonly [brand]: 'GroupId' }
/** 32 lower-case hex digits: one local store of one user on one device; names pushes together with a counter. */
export type DeviceId = string & { readonly [brand]: 'DeviceId' }
/** 64 lower-case hex digits: one edit of a tenant's policy (RES3), named by what it says. */
export type EditId = string & { readonly [brand]: 'EditId' }
/** Where an entry stands in one region's log. Never leaves the node. */
export type Position = number & { readonly [brand]: 'Position' }

const labelPattern = /^[a-z0-9][a-z0-9-]{0,62}$/
const replicaPattern = /^([a-z0-9][a-z0-9-]{0,62})#([1-9][0-9]{0,9})\.([0-9a-f]{16})$/
const devicePattern = /^[0-9a-f]{32}$/
const editPattern = /^[0-9a-f]{64}$/
/** Control characters of C0, DEL and C1, the three characters that mean something in a URL, and lone surrogates, which are no UTF-8. */
// biome-ignore lint: control characters are what this pattern is about
const keyForbidden = /[\u0000-\u001f\u007f-\u009f#?%]|\p{Surrogate}/u

export const keyBytesMax = 512

export function parseRegion(text: string): RegionId {
  if (!labelPattern.test(text))
    throw new MeridianError('NAME_INVALID', { message: 'A region is 1 to 63 of a-z, 0-9 and -, not beginning with -.' })
  return text as RegionId
}

export function parseTenant(text: string): TenantId {
  if (!labelPattern.test(text))
    throw new MeridianError('NAME_INVALID', { message: 'A tenant is 1 to 63 of a-z, 0-9 and -, not beginning with -.' })
  return text as TenantId
}

export interface ReplicaParts {
  readonly region: RegionId
  /** 1, 2, 3 … per store. */
  readonly counter: number
  /** 16 hex digits, so that two copies of one store never share an incarnation. */
  readonly random: string
}

export function formatReplica(parts: ReplicaParts): ReplicaId {
  return parseReplica(`${parts.region}#${parts.counter}.${parts.random}`)
}

export function parseReplica(text: string): ReplicaId {
  if (!replicaPattern.test(text)) throw new MeridianError('FRAME_INVALID', { message: 'A replica id is region#counter.random.' })
  return text as ReplicaId
}

export function replicaParts(replica: ReplicaId): ReplicaParts {
  const hash = replica.indexOf('#')
  const dot = replica.lastIndexOf('.')
  return {
    region: replica.slice(0, hash) as RegionId,
    counter: Number(replica.slice(hash + 1, dot)),
    random: replica.slice(dot + 1),
  }
}

export function parseDevice(text: string): DeviceId {
  if (!devicePattern.test(text)) throw new MeridianError('FRAME_INVALID', { message: 'A device id is 32 lower-case hex digits.' })
  return text as DeviceId
}

export function parseEdit(text: string): EditId {
  if (!editPattern.test(text))
    throw new MeridianError('FRAME_INVALID', { message: 'A policy edit is named by 64 lower-case hex digits.' })
  return text as EditId
}

export function parseGroup(text: string): GroupId {
  const slash = text.indexOf('/')
  if (slash < 1 || !labelPattern.test(text.slice(0, slash)) || text.length > 1024) {
    throw new MeridianError('NAME_INVALID', { message: 'A group is tenant/placement.' })
  }
  return text as GroupId
}

/** The group of every document of a tenant that has no policy yet. */
export const defaultGroup = (tenant: TenantId): GroupId => `${tenant}/default` as GroupId

/** Where the edits of a tenant's policy are entries; no placement is named so. */
export const controlGroup = (tenant: TenantId): GroupId => `${tenant}/control` as GroupId

export const groupTenant = (group: GroupId): TenantId => group.slice(0, group.indexOf('/')) as TenantId

export function toPosition(value: number): Position {
  return value as Position
}

export interface NameParts {
  readonly tenant: TenantId
  readonly collection: string
  readonly key: string
}

/** @throws MeridianError NAME_INVALID that says which rule was broken, and never repeats the name. */
export function parseDocument(text: string): DocumentName {
  const first = text.indexOf('/')
  const second = text.indexOf('/', first + 1)
  if (first < 0 || second < 0) throw new MeridianError('NAME_INVALID', { message: 'A document is tenant/collection/key.' })
  parseTenant(text.slice(0, first))
  if (!labelPattern.test(text.slice(first + 1, second))) {
    throw new MeridianError('NAME_INVALID', { message: 'A collection is 1 to 63 of a-z, 0-9 and -, not beginning with -.' })
  }
  checkKey(text.slice(second + 1))
  return text as DocumentName
}

/** A path of a URL, decoded once, as a document name. */
export function parseDocumentPath(path: string): DocumentName {
  let decoded: string
  try {
    decoded = decodeURIComponent(path)
  } catch (cause) {
    throw new MeridianError('NAME_INVALID', { message: 'The path is not percent-encoded UTF-8.', cause })
  }
  return parseDocument(decoded)
}

export function documentParts(document: DocumentName): NameParts {
  const first = document.indexOf('/')
  const second = document.indexOf('/', first + 1)
  return {
    tenant: document.slice(0, first) as TenantId,
    collection: document.slice(first + 1, second),
    key: document.slice(second + 1),
  }
}

function checkKey(key: string): void {
  const bytes = utf8Length(key)
  if (bytes < 1 || bytes > keyBytesMax)
    throw new MeridianError('NAME_INVALID', { message: `A key is 1 to ${keyBytesMax} bytes of UTF-8.` })
  if (keyForbidden.test(key))
    throw new MeridianError('NAME_INVALID', { message: 'A key holds no control characters, no #, ? or %, and is valid UTF-8.' })
  if (key.normalize('NFC') !== key) throw new MeridianError('NAME_INVALID', { message: 'A key is in Unicode normal form C.' })
  for (const segment of key.split('/')) {
    if (segment === '' || segment === '.' || segment === '..') {
      throw new MeridianError('NAME_INVALID', { message: 'No segment of a key is empty, . or ...' })
    }
  }
}

function utf8Length(text: string): number {
  let bytes = 0
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit < 0x80) bytes += 1
    else if (unit < 0x800) bytes += 2
    else if (unit >= 0xd800 && unit < 0xdc00) {
      bytes += 4
      index++
    } else bytes += 3
  }
  return bytes
}
