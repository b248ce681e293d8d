/**
 * The configuration of a node, from flags, `MERIDIAN_*` environment, file and defaults, in this order, for every setting. Pure: texts come
 * in, a checked configuration or a list of issues comes out. An issue says where it is: `node.yaml:3:9`, a variable, or a flag.
 *
 * No value stands in an issue: it could be a secret in the wrong place.
 */

import type { CompactionPolicy } from '@meridian/core/compaction'
import type { RegionId } from '@meridian/core/ids'
import { parseRegion } from '@meridian/core/ids'
import type { HubLimits, SessionLimits } from '@meridian/core/limits'
import { isPlace, type Topology } from '@meridian/regions/topology'
import type { z } from 'zod'
import { closest } from './closest.js'
import { readCluster } from './cluster-file.js'
import { readPolicies, type TenantPolicy } from './policy-files.js'
import { type Setting, settings, settingsSchema, type Settings } from './settings.js'
import { type Issue, noFile, readYaml, type YamlFile } from './yaml-file.js'

export { formatIssue, type Issue } from './yaml-file.js'

/** Where public keys are fetched from. */
export interface JwksConfig {
  readonly url: string
  /** Milliseconds between two requests for a key that is not known. */
  readonly cooldownMs: number
  /** Milliseconds after which known keys are looked at anew. */
  readonly cacheMs: number
  readonly timeoutMs: number
}

/** How tokens are checked; none in development mode. */
export interface TokenConfig {
  readonly algorithm: NonNullable<Settings['auth']['algorithm']>
  /** Shared secret, or PEM or JWK of the public key. */
  readonly key: string
  /** Where keys are fetched from; then `key` is empty. */
  readonly jwks?: JwksConfig
  readonly issuer: string | undefined
  readonly audience: string | undefined
  readonly clockToleranceMs: number
}

export type GatewayLimits = Pick<
  Settings['limits'],
  'greetingSocketsMax' | 'fragmentsMax' | 'chunksMax' | 'closeMs' | 'headerBytesMax' | 'requestMs'
>

export type CompactionLimits = Pick<Settings['compaction'], 'workersMax' | 'queueMax' | 'bytesMax' | 'memoryMb' | 'timeMs'>

export type HttpLimits = Settings['http']

export type MaterialiserLimits = Settings['materialise']
export type InspectionLimits = Settings['inspection']

export interface TlsConfig {
  readonly certFile: string
  readonly keyFile: string
}

/** The cluster that a node is a region of. */
export interface ClusterConfig {
  /** Where the topology was read, to be read there again. */
  readonly file: string
  readonly topology: Topology
  /** PEM of the private key of this region. */
  readonly key: string
  /** PEM of authorities that links believe beside those of the system. */
  readonly authorities: string | undefined
  /** What holds for tenants until it is edited; nothing is placed for the others. */
  readonly policies: readonly TenantPolicy[]
}

export type LinkLimits = Settings['link']

export interface NodeConfig {
  readonly region: RegionId
  readonly listen: string
  readonly port: number
  readonly dataDir: string
  readonly allowedOrigins: readonly string[]
  readonly allowedHosts: readonly string[]
  readonly trustedProxies: readonly string[]
  readonly countryHeader: string | undefined
  /** Undefined: the node speaks http and ws. */
  readonly tls: TlsConfig | undefined
  /** Undefined: the node is the only region there is. */
  readonly cluster: ClusterConfig | undefined
  readonly link: LinkLimits
  readonly drainMs: number
  readonly auth: { readonly kind: 'development' } | { readonly kind: 'token'; readonly token: TokenConfig }
  readonly log: Settings['log']
  readonly limits: SessionLimits & HubLimits & GatewayLimits
  readonly store: Settings['store']
  readonly compaction: CompactionPolicy & CompactionLimits
  readonly materialise: MaterialiserLimits
  readonly inspection: InspectionLimits
  readonly http: HttpLimits
}

export interface ConfigSources {
  readonly file?: { readonly name: string; readonly text: string } | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  /** By the path of the setting, such as `limits.documentsMax`; as typed. */
  readonly flags: ReadonlyMap<string, string | boolean>
  /** The text of a file that a setting names. Throws if there is none. */
  readonly readText: (path: string) => string
  /** Names of what is in a folder that a setting names. Throws if there is none. */
  readonly listFolder: (path: string) => readonly string[]
}

export interface LoadedConfig {
  readonly kind: 'loaded'
  readonly config: NodeConfig
  readonly warnings: readonly Issue[]
  /** What each setting is and where it came from; secrets are left out. For `meridian config print`. */
  readonly effective: readonly { readonly setting: Setting; readonly value: unknown; readonly where: string }[]
}

export type ConfigOutcome = LoadedConfig | { readonly kind: 'invalid'; readonly issues: readonly Issue[] }

/** What development mode stands on when it is told nothing else. */
export const developmentRegion = 'eu-west'

export function loadConfig(sources: ConfigSources): ConfigOutcome {
  const issues: Issue[] = []
  const file = sources.file === undefined ? noFile : readYaml(sources.file, issues)
  const origins = new Map<string, string>()
  const values = overlay(file.values, sources, origins, issues)
  if (issues.length > 0) return { kind: 'invalid', issues }
  const where = (path: readonly PropertyKey[]): string => origins.get(path.join('.')) ?? file.where(path)
  const parsed = settingsSchema.safeParse(values)
  if (!parsed.success)
    return { kind: 'invalid', issues: parsed.error.issues.flatMap((issue) => toIssues(issue, where, file.whereKey)) }
  const config = finish(parsed.data, sources, (path) => where(path.split('.')), issues)
  if (config === undefined) return { kind: 'invalid', issues }
  const effective = settings
    .filter((setting) => !setting.secret)
    .map((setting) => ({
      setting,
      value: effectiveValue(parsed.data, config, setting.path),
      where: originOf(setting.path, origins, file),
    }))
  return { kind: 'loaded', config, warnings: unknownVariables(sources.environment), effective }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The values of the file with those of the environment and of the flags over them. Notes where each of these came from. */
function overlay(
  file: Record<string, unknown>,
  sources: ConfigSources,
  origins: Map<string, string>,
  issues: Issue[],
): Record<string, unknown> {
  const values = structuredClone(file)
  for (const setting of settings) {
    const flag = sources.flags.get(setting.path)
    const variable = sources.environment[setting.environment]
    const given = flag ?? (variable === '' ? undefined : variable)
    if (given === undefined) continue
    const where = flag === undefined ? setting.environment : setting.flag
    const value = coerce(setting, given)
    if (value === undefined)
      issues.push({ where, message: `expected ${setting.kind === 'number' ? 'a number' : 'true or false'}` })
    else if (put(values, setting.path.split('.'), value)) origins.set(setting.path, where)
  }
  return values
}

function coerce(setting: Setting, given: string | boolean): unknown {
  if (setting.kind === 'boolean') {
    if (typeof given === 'boolean') return given
    return given === 'true' || given === '1' ? true : given === 'false' || given === '0' ? false : undefined
  }
  const text = String(given)
  if (setting.kind === 'number') return /^-?[0-9]+(?:_[0-9]+)*$/.test(text) ? Number(text.replaceAll('_', '')) : undefined
  if (setting.kind !== 'list') return text
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

/** False if the file has something else where a section belongs; the schema will say so. */
function put(values: Record<string, unknown>, path: readonly string[], value: unknown): boolean {
  let target = values
  for (const part of path.slice(0, -1)) {
    const section = target[part] ?? {}
    if (!isRecord(section)) return false
    target[part] = section
    target = section
  }
  target[path.at(-1) ?? ''] = value
  return true
}

function toIssues(
  issue: z.core.$ZodIssue,
  where: (path: readonly PropertyKey[]) => string,
  whereKey: YamlFile['whereKey'],
): Issue[] {
  const name = issue.path.join('.')
  if (issue.code === 'unrecognized_keys') {
    const prefix = name === '' ? '' : `${name}.`
    return issue.keys.map((key) => ({
      where: whereKey(issue.path, key),
      message: `there is no setting ${prefix}${key}${suggestion(`${prefix}${key}`)}`,
    }))
  }
  const message = issue.message.replace(/^Invalid (?:input|option): /, '').replace(/^(?:Too (?:big|small)): /, '')
  return [{ where: where(issue.path), message: `${name}: ${message}` }]
}

/** A name of a setting near to one that does not exist: in the same section, or its last part anywhere. */
function suggestion(path: string): string {
  const near = closest(
    path,
    settings.map((setting) => setting.path),
  )
  if (near !== undefined) return `; did you mean ${near}?`
  const last = path.slice(path.lastIndexOf('.') + 1)
  const elsewhere = settings.find((setting) => setting.path.endsWith(`.${last}`) || setting.path === last)
  return elsewhere === undefined ? '; `meridian config print` lists all' : `; did you mean ${elsewhere.path}?`
}

/** What a schema cannot say: settings that need or exclude one another. */
function finish(
  settings: Settings,
  sources: ConfigSources,
  where: (path: string) => string,
  issues: Issue[],
): NodeConfig | undefined {
  const { dev, limits } = settings
  const region = settings.region ?? (dev ? developmentRegion : undefined)
  if (region === undefined)
    issues.push({ where: where('region'), message: 'region: say which region this node is (region, MERIDIAN_REGION, --region)' })
  const dataDir = settings.dataDir ?? (dev ? `.meridian/${region}` : undefined)
  if (dataDir === undefined)
    issues.push({ where: where('dataDir'), message: 'dataDir: say where the log is kept (dataDir, MERIDIAN_DATA_DIR, --data)' })
  if (dev && !isLoopback(settings.listen)) {
    issues.push({
      where: where('listen'),
      message: 'listen: development mode asks for no token, so it listens on loopback only: 127.0.0.1, ::1 or localhost',
    })
  }
  if (limits.greetingBytesMax > limits.messageBytesMax) {
    issues.push({ where: where('limits.greetingBytesMax'), message: 'limits.greetingBytesMax: at most limits.messageBytesMax' })
  }
  const { certFile, keyFile } = settings.tls
  if ((certFile === undefined) !== (keyFile === undefined))
    issues.push({
      where: where(certFile === undefined ? 'tls.keyFile' : 'tls.certFile'),
      message: 'tls: certFile and keyFile go together',
    })
  const cluster = region === undefined ? undefined : clusterOf(region, settings, sources, where, issues)
  const auth = dev ? development(settings, where, issues) : tokens(settings, sources, where, issues)
  if (issues.length > 0 || region === undefined || dataDir === undefined || auth === undefined) return undefined
  return {
    region: parseRegion(region),
    listen: settings.listen,
    port: settings.port,
    dataDir,
    allowedOrigins: settings.allowedOrigins,
    allowedHosts: settings.allowedHosts,
    trustedProxies: settings.trustedProxies,
    countryHeader: settings.countryHeader,
    tls: certFile === undefined || keyFile === undefined ? undefined : { certFile, keyFile },
    cluster,
    link: settings.link,
    drainMs: settings.drainMs,
    auth,
    log: settings.log,
    limits,
    store: settings.store,
    compaction: settings.compaction,
    materialise: settings.materialise,
    inspection: settings.inspection,
    http: settings.http,
  }
}

/** Undefined for a node that is alone, and if something is wrong, which is an issue then. */
function clusterOf(
  region: string,
  { cluster }: Settings,
  sources: ConfigSources,
  where: (path: string) => string,
  issues: Issue[],
): ClusterConfig | undefined {
  const { file, keyFile, caFile, policiesDir } = cluster
  if (file === undefined && keyFile === undefined && caFile === undefined && policiesDir === undefined) return undefined
  if (file === undefined || keyFile === undefined) {
    issues.push({
      where: where(file === undefined ? 'cluster' : 'cluster.file'),
      message: 'cluster: file and keyFile go together; `meridian keys` makes a key',
    })
    return undefined
  }
  const read = (path: string, name: string): string | undefined => {
    try {
      return sources.readText(name)
    } catch {
      issues.push({ where: where(path), message: `${path}: the file cannot be read` })
      return undefined
    }
  }
  const text = read('cluster.file', file)
  const key = read('cluster.keyFile', keyFile)
  const authorities = caFile === undefined ? undefined : read('cluster.caFile', caFile)
  const topology = text === undefined ? undefined : readCluster({ name: file, text }, issues)
  if (topology === undefined || key === undefined || (caFile !== undefined && authorities === undefined)) return undefined
  const own = topology.regions.get(parseRegion(region))
  if (own === undefined) {
    issues.push({
      where: where('region'),
      message: `region: the cluster file has no region of this name; it names ${[...topology.regions.keys()].join(', ')}`,
    })
  } else if (!isPlace(own)) {
    issues.push({ where: where('region'), message: `region: the cluster file says that this region is ${own.state}` })
  }
  const policies = policiesDir === undefined ? [] : policiesIn(policiesDir, topology, sources, where, issues)
  return { file, topology, key, authorities, policies }
}

function policiesIn(
  folder: string,
  topology: Topology,
  sources: ConfigSources,
  where: (path: string) => string,
  issues: Issue[],
): TenantPolicy[] {
  try {
    const names = [...sources.listFolder(folder)].filter((name) => /\.ya?ml$/.test(name)).sort()
    return readPolicies(
      names.map((name) => ({ name, text: sources.readText(`${folder}/${name}`) })),
      topology,
      issues,
    )
  } catch (thrown) {
    if (!(thrown instanceof Error)) throw thrown
    issues.push({
      where: where('cluster.policiesDir'),
      message: 'cluster.policiesDir: the folder or a file in it cannot be read',
    })
    return []
  }
}

/** A configuration that says how to check tokens and then asks for none is a mistake, and a dangerous one. */
function development(settings: Settings, where: (path: string) => string, issues: Issue[]): NodeConfig['auth'] {
  for (const name of ['secret', 'secretFile', 'publicKey', 'publicKeyFile', 'jwksUrl'] as const) {
    if (settings.auth[name] !== undefined) {
      issues.push({
        where: where(`auth.${name}`),
        message: `auth.${name}: development mode asks for no token; take this out, or dev`,
      })
    }
  }
  return { kind: 'development' }
}

function tokens(
  settings: Settings,
  sources: ConfigSources,
  where: (path: string) => string,
  issues: Issue[],
): NodeConfig['auth'] | undefined {
  const { auth } = settings
  const before = issues.length
  const secret = keyText('auth.secret', auth.secret, auth.secretFile, sources, where, issues)
  const publicKey = keyText('auth.publicKey', auth.publicKey, auth.publicKeyFile, sources, where, issues)
  if (issues.length > before) return undefined
  const issue = (path: string, message: string): undefined => {
    issues.push({ where: where(path), message: `${path}: ${message}` })
  }
  const { jwksUrl } = auth
  if (jwksUrl !== undefined && (secret !== undefined || publicKey !== undefined))
    return issue('auth.jwksUrl', 'there is a key and a URL of keys; keep one')
  if (secret !== undefined && publicKey !== undefined) return issue('auth.secret', 'there is a secret and a public key; keep one')
  if (secret === undefined && publicKey === undefined && jwksUrl === undefined) {
    return issue(
      'auth',
      'nothing says how tokens are checked: set auth.secretFile, auth.publicKeyFile or auth.jwksUrl, or use --dev on your own machine',
    )
  }
  const algorithm = auth.algorithm ?? (secret === undefined ? undefined : 'HS256')
  if (algorithm === undefined) return issue('auth.algorithm', 'say which one the public keys are for: ES256, RS256 or EdDSA')
  if ((algorithm === 'HS256') !== (secret !== undefined)) {
    return issue(
      'auth.algorithm',
      'HS256 goes with auth.secret or auth.secretFile, the others with auth.publicKey, auth.publicKeyFile or auth.jwksUrl',
    )
  }
  const key = secret ?? publicKey ?? ''
  if (secret !== undefined && utf8Length(secret) < 32) return issue('auth.secret', 'too short to be safe; 32 bytes or more')
  return {
    kind: 'token',
    token: {
      algorithm,
      key,
      ...(jwksUrl === undefined
        ? {}
        : { jwks: { url: jwksUrl, cooldownMs: auth.jwksCooldownMs, cacheMs: auth.jwksCacheMs, timeoutMs: auth.jwksTimeoutMs } }),
      issuer: auth.issuer,
      audience: auth.audience,
      clockToleranceMs: auth.clockToleranceMs,
    },
  }
}

/** A value given directly or by the name of a file. Of the two, that from the stronger source counts; from equal ones neither does. */
function keyText(
  path: string,
  direct: string | undefined,
  fileName: string | undefined,
  sources: ConfigSources,
  where: (path: string) => string,
  issues: Issue[],
): string | undefined {
  const strength = (setting: string): number =>
    where(setting).startsWith('--') ? 2 : where(setting).startsWith('MERIDIAN_') ? 1 : 0
  if (direct !== undefined && fileName !== undefined && strength(path) === strength(`${path}File`)) {
    issues.push({ where: where(path), message: `${path}: set it or ${path}File, not both` })
    return undefined
  }
  if (fileName === undefined || (direct !== undefined && strength(path) > strength(`${path}File`))) return direct
  try {
    return sources.readText(fileName).replace(/\r?\n$/, '')
  } catch {
    issues.push({ where: where(`${path}File`), message: `${path}File: the file cannot be read` })
    return undefined
  }
}

const utf8Length = (text: string): number => new TextEncoder().encode(text).length

export function isLoopback(address: string): boolean {
  return address === 'localhost' || address === '::1' || address === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(address)
}

function originOf(path: string, origins: ReadonlyMap<string, string>, file: YamlFile): string {
  const parts = path.split('.')
  return origins.get(path) ?? (file.has(parts) ? file.where(parts) : 'default')
}

function effectiveValue(settings: Settings, config: NodeConfig, path: string): unknown {
  if (path === 'region') return config.region
  if (path === 'dataDir') return config.dataDir
  let value: unknown = settings
  for (const part of path.split('.')) value = isRecord(value) ? value[part] : undefined
  return value
}

/** Names the configuration file, as `--config` does. */
export const fileVariable = 'MERIDIAN_CONFIG'

/** A variable that names no setting is most often a slip; an error would break what others put there. */
function unknownVariables(environment: ConfigSources['environment']): Issue[] {
  const known = [...settings.map((setting) => setting.environment), fileVariable]
  const warnings: Issue[] = []
  for (const name of Object.keys(environment)) {
    if (!name.startsWith('MERIDIAN_') || known.includes(name)) continue
    const near = closest(name, known)
    if (near !== undefined) warnings.push({ where: name, message: `there is no such setting; did you mean ${near}?` })
  }
  return warnings
}
