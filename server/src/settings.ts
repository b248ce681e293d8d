/**
 * Every setting of a node: its type, bounds, default and what it is for. The file, the environment, the flags, their help and
 * `meridian config print` are all made from this one table. Units stand in the names (`Bytes`, `Ms`) or in the description.
 */

import { compactionPolicy } from '@meridian/core/compaction'
import { hubLimits, sessionLimits } from '@meridian/core/limits'
import { defaultLinkOptions } from '@meridian/regions/link/options'
import { z } from 'zod'

const KiB = 1024
const MiB = 1024 * KiB

/** A bound: a whole number with a default and a range, so that no setting can switch a limit off. */
const bound = (standard: number, min: number, max: number, description: string) =>
  z.int().min(min).max(max).default(standard).describe(description)

const region = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'expected 1 to 63 of a-z, 0-9 and -, not beginning with -')
const origin = z.string().regex(/^https?:\/\/[^/\s?#@]+$/, 'expected an origin such as https://app.example.com, without a path')
const host = z.string().regex(/^[^/\s?#@]+$/, 'expected a host name, with a port if it is not any')

const proxy = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()], 'expected an IP address, or a network such as 10.0.0.0/8')

export const algorithms = ['HS256', 'ES256', 'RS256', 'EdDSA'] as const

const auth = z.strictObject({
  algorithm: z.enum(algorithms).optional().describe('Algorithm that tokens are signed with. No other one is accepted.'),
  secret: z
    .string()
    .optional()
    .meta({ description: 'Shared secret for HS256, 32 bytes or more; better in a file.', secret: true }),
  secretFile: z
    .string()
    .min(1)
    .optional()
    .describe('File that holds the shared secret for HS256; a line end after it is dropped.'),
  publicKey: z.string().min(1).optional().describe('Public key for ES256, RS256 or EdDSA: PEM (SPKI) or JWK.'),
  publicKeyFile: z.string().min(1).optional().describe('File that holds the public key.'),
  jwksUrl: z
    .string()
    .regex(/^(https:\/\/|http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?\/)\S+$/, 'expected an https URL')
    .optional()
    .describe('URL of a JSON Web Key Set with public keys; https, or http on this machine.'),
  jwksCooldownMs: bound(30_000, 100, 3_600_000, 'Milliseconds between two requests to jwksUrl for a key that is not known.'),
  jwksCacheMs: bound(600_000, 1_000, 86_400_000, 'Milliseconds after which the keys of jwksUrl are looked at anew.'),
  jwksTimeoutMs: bound(5_000, 100, 60_000, 'Milliseconds that jwksUrl has to answer.'),
  issuer: z.string().min(1).optional().describe('What `iss` of a token must be; not checked if absent.'),
  audience: z.string().min(1).optional().describe('What `aud` of a token must name; not checked if absent.'),
  clockToleranceMs: bound(30_000, 0, 300_000, 'Milliseconds by which clocks of issuers may differ from ours.'),
})

const tls = z.strictObject({
  certFile: z
    .string()
    .min(1)
    .optional()
    .describe('PEM file of the certificate and its chain: the node speaks https and wss then.'),
  keyFile: z.string().min(1).optional().describe('PEM file of the private key of the certificate.'),
})

const log = z.strictObject({
  level: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info')
    .describe('The least of what is logged.'),
  format: z
    .enum(['auto', 'json', 'pretty'])
    .default('auto')
    .describe('json is one object a line; pretty is for people; auto is pretty in development on a terminal.'),
})

const limits = z.strictObject({
  messageBytesMax: bound(
    sessionLimits.messageBytesMax,
    64 * KiB,
    64 * MiB,
    'Bytes of one WebSocket message, once the client is known.',
  ),
  // Clients send as much before they know a bound (FRAME3): the largest token and the first frames.
  greetingBytesMax: bound(sessionLimits.greetingBytesMax, 64 * KiB, MiB, 'Bytes that a client may send before it is known.'),
  greetingMs: bound(sessionLimits.greetingMs, 100, 120_000, 'Milliseconds that a socket has to say who it is.'),
  greetingSocketsMax: bound(2_000, 1, 1_000_000, 'Connections whose client is not known yet; above it the oldest one is closed.'),
  documentsMax: bound(sessionLimits.documentsMax, 1, 1_000_000, 'Documents that one session has attached at once.'),
  updateBytesMax: bound(sessionLimits.updateBytesMax, KiB, 1024 * MiB, 'Bytes of one update.'),
  documentBytesMax: bound(
    sessionLimits.documentBytesMax,
    KiB,
    16 * 1024 * MiB,
    'Bytes of a document, its snapshot and the updates behind it; beyond it updates are refused.',
  ),
  documentAuthorsMax: bound(
    sessionLimits.documentAuthorsMax,
    64,
    16_777_216,
    'Authors of a document, which are Yjs client ids; beyond it updates are refused.',
  ),
  inlineBytesMax: bound(
    hubLimits.inlineBytesMax,
    KiB,
    MiB,
    'Bytes of updates that are looked into in one go; larger updates are looked into by a thread.',
  ),
  unackedBytesMax: bound(
    sessionLimits.unackedBytesMax,
    KiB,
    1024 * MiB,
    'Payload bytes of one session that are pushed and not acked.',
  ),
  waitingPushesMax: bound(
    sessionLimits.waitingPushesMax,
    1_024,
    16_777_216,
    'Pushes of one session that wait for what they build on, or for the log.',
  ),
  presenceBytesMax: bound(sessionLimits.presenceBytesMax, 1, MiB, 'Bytes of one presence state.'),
  presencePerSecond: bound(sessionLimits.presencePerSecond, 1, 10_000, 'Presence states a second of one session.'),
  bufferedBytesMax: bound(
    sessionLimits.bufferedBytesMax,
    64 * KiB,
    256 * MiB,
    'Bytes that wait in the socket of a slow reader before its session stops.',
  ),
  readBytes: bound(sessionLimits.readBytes, KiB, 64 * MiB, 'Bytes of one read from the log for one session.'),
  readsMax: bound(sessionLimits.readsMax, 1, 1_000, 'Documents that one session reads from the log at once.'),
  silenceMs: bound(sessionLimits.silenceMs, 1_000, 3_600_000, 'Milliseconds of silence after which a socket is taken for dead.'),
  waitMs: bound(sessionLimits.waitMs, 0, 60_000, 'Milliseconds that a push waits for what it builds on.'),
  sessionsMax: bound(hubLimits.sessionsMax, 1, 1_000_000, 'Sessions at once.'),
  batchEntriesMax: bound(hubLimits.batchEntriesMax, 1, 1_000_000, 'Entries of one commit.'),
  batchBytesMax: bound(hubLimits.batchBytesMax, KiB, 1024 * MiB, 'Payload bytes of one commit.'),
  pendingBytesMax: bound(hubLimits.pendingBytesMax, KiB, 4096 * MiB, 'Payload bytes of all sessions that wait for their commit.'),
  tailBytesMax: bound(hubLimits.tailBytesMax, 0, 4096 * MiB, 'Bytes of the newest entries that are kept in memory.'),
  fragmentsMax: bound(1_024, 1, 16_384, 'WebSocket fragments of one message.'),
  chunksMax: bound(4_096, 64, 262_144, 'Pieces in which the network may deliver one WebSocket frame.'),
  closeMs: bound(5_000, 100, 60_000, 'Milliseconds that a closed WebSocket has to answer the close.'),
  headerBytesMax: bound(16 * KiB, 2 * KiB, 256 * KiB, 'Bytes of the headers of one HTTP request.'),
  requestMs: bound(10_000, 500, 300_000, 'Milliseconds that an HTTP request has to arrive.'),
})

const compaction = z.strictObject({
  openEntries: bound(
    compactionPolicy.openEntries,
    1,
    10_000_000,
    'Entries after the snapshot at which an open document is compacted.',
  ),
  openBytes: bound(
    compactionPolicy.openBytes,
    1,
    1024 * MiB,
    'Bytes after the snapshot, beyond its own size, at which an open document is compacted.',
  ),
  idleEntries: bound(
    compactionPolicy.idleEntries,
    1,
    10_000_000,
    'Entries after the snapshot at which a document is compacted when its last session leaves.',
  ),
  restMs: bound(
    compactionPolicy.restMs,
    0,
    3_600_000,
    'Milliseconds between two compactions of an open document, unless it has four times what is allowed after its snapshot.',
  ),
  ageMs: bound(
    compactionPolicy.ageMs,
    1_000,
    2_000_000_000,
    'Milliseconds after which an open document with `idleEntries` entries after the snapshot is compacted though it is open.',
  ),
  workersMax: bound(1, 1, 64, 'Worker threads that compact.'),
  queueMax: bound(10_000, 1, 1_000_000, 'Documents that wait for their compaction; what is beyond waits for its next chance.'),
  bytesMax: bound(
    256 * MiB,
    MiB,
    4096 * MiB,
    'Bytes of snapshot and entries of one compaction; a larger document is left as it is.',
  ),
  memoryMb: bound(1_024, 64, 65_536, 'Mebibytes of heap of one compacting worker.'),
  timeMs: bound(60_000, 100, 3_600_000, 'Milliseconds of one compaction.'),
})

const materialise = z.strictObject({
  bytesMax: bound(64 * MiB, MiB, 65_536 * MiB, 'Bytes of the documents that are kept as states, for HTTP and for foreign wires.'),
  idleMs: bound(60_000, 1_000, 86_400_000, 'Milliseconds after which a state that nobody asked for is let go.'),
  workersMax: bound(1, 1, 64, 'Worker threads that read, compare and edit large documents.'),
  queueMax: bound(256, 1, 65_536, 'Pieces of such work that wait; what is beyond is refused for now.'),
  memoryMb: bound(1_024, 64, 65_536, 'Mebibytes of heap of one such worker.'),
  timeMs: bound(10_000, 100, 600_000, 'Milliseconds of one such piece of work.'),
})

/** The worst shapes of 16 MiB took 10 s on a machine with six times as much to do as it can. */
const inspection = z.strictObject({
  memoryMb: bound(1_024, 64, 65_536, 'Mebibytes of heap of the worker that looks into updates above `limits.inlineBytesMax`.'),
  timeMs: bound(
    60_000,
    100,
    600_000,
    'Milliseconds for one of them; one that takes more memory or time is refused with UPDATE_TOO_LARGE.',
  ),
  idleMs: bound(
    30_000,
    100,
    86_400_000,
    'Milliseconds without one after which the worker is ended; the next one starts it again.',
  ),
})

const http = z.strictObject({
  bodyBytesMax: bound(16 * MiB, KiB, 1024 * MiB, 'Bytes of the body of one request on a document.'),
  requestsMax: bound(256, 1, 65_536, 'Requests on documents that are worked on at once.'),
  clientRequestsMax: bound(64, 1, 65_536, 'Requests on documents and open change feeds of one client address.'),
  feedsMax: bound(1_000, 1, 1_000_000, 'Change feeds that are open at once.'),
  pageMax: bound(1_000, 1, 10_000, 'Documents of one page of a list.'),
  heartbeatMs: bound(15_000, 100, 300_000, 'Milliseconds of silence after which a change feed says that it is alive.'),
})

const store = z.strictObject({
  logBytesMax: z
    .int()
    .min(16 * MiB)
    .optional()
    .describe('Bytes of the log at which writes are refused; no bound but the disk if absent.'),
  retainMs: bound(
    7 * 86_400_000,
    60_000,
    366 * 86_400_000,
    'Milliseconds that entries are kept for a region that does not take them; it joins anew after that.',
  ),
  retainBytes: bound(
    1024 * MiB,
    1 * MiB,
    1024 * 1024 * MiB,
    'Bytes of entries that are kept for other regions, at most; a quarter of `logBytesMax` if that is less.',
  ),
  scrubBytesPerSecond: bound(
    8 * MiB,
    0,
    1024 * MiB,
    'Bytes of stored records that are checked a second, in the background; 0 for none.',
  ),
  scrubIntervalMs: bound(
    86_400_000,
    1_000,
    2_000_000_000,
    'Milliseconds from the end of one check of the whole store to the next.',
  ),
})

const cluster = z.strictObject({
  file: z
    .string()
    .min(1)
    .optional()
    .describe('YAML file of the cluster: all regions with jurisdiction, addresses and public key. Without it the node is alone.'),
  keyFile: z
    .string()
    .min(1)
    .optional()
    .describe('PEM file of the private key of this region, as `meridian keys` makes it; links prove themselves with it.'),
  caFile: z
    .string()
    .min(1)
    .optional()
    .describe('PEM file of authorities that links believe beside those of the system, for certificates of other regions.'),
  policiesDir: z
    .string()
    .min(1)
    .optional()
    .describe('Folder of placement policies, one .yaml file a tenant, that hold until they are edited.'),
})

const link = z.strictObject({
  batchMs: bound(
    defaultLinkOptions.batchMs,
    0,
    10_000,
    'Milliseconds that an entry waits for others before it goes to another region; 0 sends at once, more saves bytes. Acks between regions take up to five times as long.',
  ),
  windowBytes: bound(
    defaultLinkOptions.windowBytes,
    4 * KiB,
    256 * MiB,
    'Bytes of one group that may be on their way to another region, or wait there.',
  ),
  heartbeatMs: bound(
    defaultLinkOptions.heartbeatMs,
    50,
    60_000,
    'Milliseconds after which a link that is quiet says that it is alive.',
  ),
  silenceMs: bound(
    defaultLinkOptions.silenceMs,
    200,
    600_000,
    'Milliseconds of silence after which a link is taken for dead and begun anew.',
  ),
  handshakeMs: bound(
    10_000,
    100,
    120_000,
    'Milliseconds that connecting two regions may take, until both have proved themselves.',
  ),
  dialMs: bound(2_000, 100, 600_000, 'Milliseconds between two attempts to reach a region, at most; the first come sooner.'),
})

export const settingsSchema = z.strictObject({
  region: region.optional().describe('Name of the region that this node is, such as eu-west.'),
  listen: z.string().min(1).default('127.0.0.1').describe('Address to listen on. Development mode listens on loopback only.'),
  port: z.int().min(0).max(65_535).default(7101).describe('Port to listen on; 0 takes any that is free.'),
  dataDir: z.string().min(1).optional().describe('Folder of the log; made if it is not there. Kept by one process at a time.'),
  dev: z.boolean().default(false).describe('Development mode: asks for no token, tenant `dev`, loopback only.'),
  allowedOrigins: z.array(origin).default([]).describe('Origins of web pages that may connect. Programs that send none may.'),
  allowedHosts: z
    .array(host)
    .default([])
    .describe('Names that this node may be asked for by (the Host header); empty allows any, but not in development mode.'),
  trustedProxies: z
    .array(proxy)
    .default([])
    .describe('Addresses of proxies, or networks such as 10.0.0.0/8, whose X-Forwarded-For and X-Forwarded-Proto are believed.'),
  countryHeader: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9-]{0,63}$/, 'expected the name of a header')
    .optional()
    .describe(
      'Header in which trusted proxies say the country of a client (ISO 3166), such as CF-IPCountry; not read if absent.',
    ),
  drainMs: bound(15_000, 0, 20_000, 'Milliseconds that a stopping node waits for what is on its way.'),
  auth: auth.prefault({}),
  tls: tls.prefault({}),
  cluster: cluster.prefault({}),
  link: link.prefault({}),
  log: log.prefault({}),
  limits: limits.prefault({}),
  store: store.prefault({}),
  compaction: compaction.prefault({}),
  materialise: materialise.prefault({}),
  inspection: inspection.prefault({}),
  http: http.prefault({}),
})

export type Settings = z.output<typeof settingsSchema>

export type SettingKind = 'text' | 'number' | 'boolean' | 'list'

export interface Setting {
  /** As in the file, such as `limits.documentsMax`. */
  readonly path: string
  readonly environment: string
  readonly flag: string
  readonly kind: SettingKind
  readonly description: string
  readonly standard: unknown
  /** Never on a command line, where every user of the machine can read it, and never printed. */
  readonly secret: boolean
}

/** All settings in the order of the table. */
export const settings: readonly Setting[] = leaves(settingsSchema, [])

function leaves(schema: z.ZodObject, parents: readonly string[]): Setting[] {
  const found: Setting[] = []
  for (const [name, field] of Object.entries(schema.shape)) {
    const path = [...parents, name]
    const inner = unwrap(field)
    if (inner instanceof z.ZodObject) found.push(...leaves(inner, path))
    else found.push(toSetting(path, field, inner))
  }
  return found
}

function unwrap(field: unknown): unknown {
  if (field instanceof z.ZodDefault || field instanceof z.ZodOptional || field instanceof z.ZodPrefault)
    return unwrap(field.def.innerType)
  return field
}

function toSetting(path: readonly string[], field: unknown, inner: unknown): Setting {
  const meta = field instanceof z.ZodType ? (field.meta() ?? {}) : {}
  const words = path.flatMap((part) => part.replace(/[A-Z]/g, (letter) => `_${letter}`).split('_'))
  return {
    path: path.join('.'),
    environment: `MERIDIAN_${words.join('_').toUpperCase()}`,
    flag: `--${words.join('-').toLowerCase()}`,
    kind:
      inner instanceof z.ZodNumber
        ? 'number'
        : inner instanceof z.ZodBoolean
          ? 'boolean'
          : inner instanceof z.ZodArray
            ? 'list'
            : 'text',
    description: meta.description ?? '',
    standard: field instanceof z.ZodDefault ? field.def.defaultValue : undefined,
    secret: meta['secret'] === true,
  }
}
