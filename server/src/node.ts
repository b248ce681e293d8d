/**
 * The composition root: one node of one region, made of its log, hub, gateway and HTTP server. What the pure machines ask of the world is
 * handed in here and nowhere else.
 *
 * ```
 *  running ──drain──▶ draining (says goodbye, answers what is on its way) ──▶ closed
 *     └────────────────────────────close─────────────────────────────────────▲
 * ```
 */

import { doorOf } from '@meridian/core/door'
import type { Clock } from '@meridian/core/effects'
import { automergeEngine } from '@meridian/core/engines/automerge'
import { yjsEngine } from '@meridian/core/engines/yjs'
import { toMeridianError } from '@meridian/core/errors'
import { Hub } from '@meridian/core/hub'
import { parseRegion, type RegionId, type TenantId } from '@meridian/core/ids'
import { protocolFloor, protocolVersion } from '@meridian/core/wires/native/frame'
import { nativeWire } from '@meridian/core/wires/native/wire'
import { automergeRepoWire } from '@meridian/core/wires/automerge-repo/wire'
import { hocuspocusDoor } from '@meridian/core/wires/hocuspocus/socket'
import { hocuspocusWire } from '@meridian/core/wires/hocuspocus/wire'
import { yWebsocketWire } from '@meridian/core/wires/y-websocket/wire'
import { unlessLeaving } from '@meridian/regions/leaving'
import { Residency } from '@meridian/regions/residency'
import type { Authenticator } from './auth/authenticator.js'
import { developmentAuthenticator } from './auth/development.js'
import { jwtAuthenticator } from './auth/jwt.js'
import type { NodeConfig } from './config.js'
import { Answering } from './http/answering.js'
import { type About, automergePath, createApp, hocuspocusPath, type Readiness, syncPath, yjsPath } from './http/app.js'
import { appFolder, readAppFiles } from './http/app-files.js'
import { Documents } from './http/documents.js'
import { createGuard } from './http/guard.js'
import { createForwarding } from './http/forwarded.js'
import { createListener, listen } from './http/listener.js'
import { Metrics } from './http/metrics.js'
import { linkMetrics } from './http/link-metrics.js'
import { nodeMetrics } from './http/node-metrics.js'
import { openApiDocument } from './http/openapi.js'
import { type RegionStatus, regionStatus } from './http/region-status.js'
import { regionList } from './http/regions.js'
import { askingOfUpgrade } from './http/request.js'
import { Routes } from './http/routes.js'
import { systemClock, systemRandom } from './io/clock.js'
import { Compactor } from './io/compactor.js'
import { Gateway } from './io/gateway.js'
import { createLogger, type Logger } from './io/logging.js'
import { type LogAlarm, openSqliteLog, type SqliteLog } from './io/log-sqlite.js'
import { LogMaterialiser } from './io/materialiser.js'
import { RegionLinks } from './io/region-links.js'
import { readTopology } from './io/topology-file.js'
import { UpdateThread } from './io/update-thread.js'
import { measuredLog } from './io/measured-log.js'
import { Placing } from './io/placing.js'
import { type Certificate, readCertificate, watchCertificate } from './io/tls.js'
import { packageVersion } from './io/version.js'

export interface NodeOptions {
  readonly logger?: Logger
  readonly clock?: Clock
}

export interface MeridianNode {
  readonly region: RegionId
  readonly url: string
  readonly port: number
  readonly version: string
  /**
   * Stops in order: nothing new is taken, what is on its way is made durable and acked, clients are told to come again, the log is closed.
   * Takes at most `drainMs` and what closing the log needs.
   */
  drain(): Promise<void>
  /** Reads the certificate again. One that cannot be used is logged, and the one before goes on. */
  reloadCertificate(): void
  /** Reads the cluster file again. One that cannot be used is logged, and the one before goes on. */
  reloadCluster(): void
  /** Stops at once, as far as clients are concerned; the log is closed in order. */
  close(): Promise<void>
}

/** How often sessions are looked after: deadlines, expiry, presence. */
const tickMs = 1_000

/**
 * How long a commit is held open for others to join it, where several writers are at work. One millisecond halves the commits, and with
 * them the writes to each socket, at 1,000 updates a second; it is less than anybody sees, and less than the sync of most disks.
 */
const gatherMs = 1

/** Closing the log checkpoints it. Beyond this the process ends anyway: what is durable is so already. */
const logCloseMs = 5_000

/** @throws MeridianError CONFIG_INVALID, LOG_LOCKED, LOG_DAMAGED, LOG_FULL, LOG_UNAVAILABLE */
export async function startNode(config: NodeConfig, options: NodeOptions = {}): Promise<MeridianNode> {
  const logger = options.logger ?? createLogger(config)
  const clock = options.clock ?? systemClock
  const authenticator: Authenticator =
    config.auth.kind === 'development'
      ? developmentAuthenticator(countryOf(config))
      : await jwtAuthenticator(config.auth.token, clock)
  const certificate = config.tls === undefined ? undefined : readCertificate(config.tls)
  const log = await openSqliteLog({
    directory: config.dataDir,
    region: config.region,
    isLinked: config.cluster !== undefined,
    scrubBytesPerSecond: config.store.scrubBytesPerSecond,
    scrubIntervalMs: config.store.scrubIntervalMs,
    retainMs: config.store.retainMs,
    retainBytes: config.store.retainBytes,
    ...(config.store.logBytesMax === undefined ? {} : { logBytesMax: config.store.logBytesMax }),
    onAlarm: (alarm) => report(alarm, logger),
  })
  const node = new RunningNode(config, { logger, clock, authenticator, log, certificate })
  try {
    await node.listen()
  } catch (thrown) {
    await node.close()
    throw thrown
  }
  return node
}

/** Where the law of a node's region is; undefined for one that is in no cluster. */
const countryOf = ({ cluster, region }: NodeConfig): string | undefined => cluster?.topology.regions.get(region)?.jurisdiction

function report(alarm: LogAlarm, logger: Logger): void {
  if (alarm.kind === 'damaged')
    logger.error({ reason: alarm.reason, count: alarm.count }, 'records of the log are damaged and were set aside')
  else if (alarm.kind === 'stopped')
    logger.error({ code: alarm.code, reason: alarm.message }, 'a commit failed; writes are refused until the log is open again')
  else logger.warn({ replica: alarm.replica }, 'the log is open again')
}

interface Parts {
  readonly logger: Logger
  readonly clock: Clock
  readonly authenticator: Authenticator
  readonly log: SqliteLog
  readonly certificate: Certificate | undefined
}

class RunningNode implements MeridianNode {
  readonly region: RegionId
  readonly version: string
  url = ''
  port = 0

  readonly #config: NodeConfig
  readonly #parts: Parts
  readonly #hub: Hub
  readonly #gateway: Gateway
  readonly #compactor: Compactor
  readonly #materialiser: LogMaterialiser
  readonly #updateThread: UpdateThread
  /** Undefined for a node that is alone. */
  readonly #links: RegionLinks | undefined
  /** Undefined for a node that is alone. */
  readonly #placing: Placing | undefined
  readonly #documents: Documents
  readonly #routes: Routes
  readonly #server: ReturnType<typeof createListener>
  readonly #answering = new Answering()
  #wheel: NodeJS.Timeout | undefined
  #unwatch: (() => void) | undefined
  #state: 'running' | 'draining' | 'closed' = 'running'
  #closing: Promise<void> | undefined
  #draining: Promise<void> | undefined

  constructor(config: NodeConfig, parts: Parts) {
    const { clock, log, logger, authenticator } = parts
    this.#config = config
    this.#parts = parts
    this.region = config.region
    this.version = packageVersion()
    const about: About = {
      version: this.version,
      region: config.region,
      node: process.version,
      protocol: { oldest: protocolFloor, newest: protocolVersion },
    }
    const metrics = new Metrics(about, config.auth.kind === 'development')
    const measured = measuredLog(log, (seconds) => metrics.committed(seconds))
    const engines = { yjs: yjsEngine, automerge: automergeEngine }
    const random = systemRandom()
    const clientOf = createForwarding(config)
    const { cluster } = config
    const placing =
      cluster === undefined ? undefined : new Placing({ cluster, clock, region: config.region, directory: config.dataDir })
    this.#placing = placing
    const residency = placing?.residency ?? new Residency({ region: config.region, clock })
    const admit = placing === undefined ? residency.admit : unlessLeaving(residency, config.region, placing.topology)
    const compactor: Compactor = new Compactor({
      log: measured,
      clock,
      limits: config.compaction,
      recent: (document, after) => this.#hub.recent(document, after),
      onCompacted: (document, snapshot) => this.#hub.compacted(document, snapshot),
      onResult: (result, why) => {
        metrics.compacted(result)
        if (result === 'failed') logger.warn({ why }, 'a compaction failed; its document is served from its entries')
      },
    })
    this.#compactor = compactor
    this.#materialiser = new LogMaterialiser({ log: measured, clock, engines, limits: config.materialise })
    this.#updateThread = new UpdateThread(engines, config.inspection)
    this.#links =
      cluster === undefined || placing === undefined
        ? undefined
        : new RegionLinks({
            region: config.region,
            cluster,
            limits: config.link,
            log: measured,
            placement: placing.forLinks,
            engines,
            logger,
            random,
            clientOf,
            onKnown: (socket) => this.#gateway.known(socket),
          })
    this.#hub = new Hub(
      {
        log: measured,
        clock,
        random,
        admit,
        engines,
        aside: this.#updateThread,
        schedule: (run, when) => (when === 'end of turn' ? setImmediate(run) : setTimeout(run, gatherMs)),
        compact: (document) => compactor.compact(document),
        ...(this.#links === undefined ? {} : { links: this.#links }),
        ...(placing === undefined ? {} : { controlled: (group, payload) => placing.controlled(group, payload) }),
      },
      { limits: config.limits, compaction: config.compaction, aloneInGroups: this.#links === undefined },
    )
    placing?.use({ hub: this.#hub, log: measured })
    placing?.policies.watch((tenant) => this.#review(tenant))
    this.#gateway = new Gateway(this.#hub, {
      region: config.region,
      limits: config.limits,
      authenticator,
      onRefused: (code) => metrics.refused(code),
      countryOf: (request) => clientOf(askingOfUpgrade(request)).country,
      doors: new Map([
        [syncPath, doorOf(nativeWire)],
        [yjsPath, doorOf(yWebsocketWire(this.#materialiser))],
        [
          automergePath,
          doorOf(automergeRepoWire(this.#materialiser, `meridian-${config.region}-${random.uint32().toString(16)}`)),
        ],
        [hocuspocusPath, hocuspocusDoor(hocuspocusWire(this.#materialiser))],
      ]),
    })
    this.#documents = new Documents({
      hub: this.#hub,
      materialiser: this.#materialiser,
      clock,
      random,
      limits: config.limits,
    })
    this.#routes = new Routes({
      clientOf,
      documents: this.#documents,
      log: measured,
      residency: { admit, admitCollection: (...asked) => residency.admitCollection(...asked) },
      policies: placing,
      authenticator,
      clock,
      limits: config.http,
      onKnown: (socket) => this.#gateway.known(socket),
    })
    metrics.add(
      nodeMetrics({
        hub: this.#hub,
        gateway: this.#gateway,
        log,
        compactor,
        materialiser: this.#materialiser,
        routes: this.#routes,
        isRunning: () => this.#state === 'running',
      }),
    )
    if (this.#links !== undefined) metrics.add(linkMetrics(this.#links))
    const guard = createGuard(config)
    const app = createApp({
      guard,
      clientOf,
      about,
      readiness: () => this.#readiness(),
      metrics: () => metrics.read(),
      files: config.auth.kind === 'development' ? readAppFiles(appFolder) : undefined,
      onError: (error) => logger.error({ err: error }, 'an HTTP request failed'),
      regions: () => regionList(config.region, this.#placing?.topology()),
      documents: this.#routes.app,
      openApi: openApiDocument(this.version),
      regionStatus: this.#links === undefined ? undefined : () => this.#status(this.#links as RegionLinks),
    })
    this.#server = createListener({
      config,
      guard,
      fetch: (request, bindings) => app.fetch(request, bindings),
      onConnection: (socket) => this.#gateway.accept(socket),
      onSecured: (socket) => this.#gateway.known(socket),
      certificate: parts.certificate,
      onUpgrade: (request, socket, head) => {
        if (this.#links?.speaksAt(request.url)) this.#links.upgrade(request, socket, head)
        else this.#gateway.upgrade(request, socket, head)
      },
      speaksAt: (url) => this.#gateway.speaksAt(url) || this.#links?.speaksAt(url) === true,
      accepts: () => this.#state === 'running',
    })
    this.#server.on('request', (_request, response) => this.#answering.add(response))
  }

  async listen(): Promise<void> {
    // Nobody is served, and no link opened, by less than all that is known.
    await this.#placing?.load()
    const { address, port } = await listen(this.#server, this.#config)
    this.port = port
    const { tls } = this.#config
    this.url = `${tls === undefined ? 'http' : 'https'}://${address}:${port}`
    const { certificate } = this.#parts
    if (tls !== undefined && certificate !== undefined)
      this.#unwatch = watchCertificate(tls, certificate, () => this.reloadCertificate())
    await this.#links?.begin(this.#hub)
    this.#wheel = setInterval(() => {
      this.#gateway.tick(this.#parts.clock.now())
      this.#materialiser.tick()
      this.#documents.tick()
      if (this.#placing?.tick() === 'changed') this.#review(undefined)
    }, tickMs)
  }

  /** RES3: who may no longer be served here is told so, and what may no longer cross a link stops, at once. */
  #review(tenant: TenantId | undefined): void {
    this.#gateway.review(tenant)
    this.#routes.review()
    for (const one of tenant === undefined ? (this.#placing?.policies.tenants ?? []) : [tenant]) this.#links?.links.review(one)
  }

  reloadCertificate(): void {
    const { tls } = this.#config
    if (tls === undefined || !('setSecureContext' in this.#server)) return
    try {
      this.#server.setSecureContext(readCertificate(tls))
      this.#parts.logger.info('the certificate was read again')
    } catch (thrown) {
      this.#parts.logger.error(
        { reason: toMeridianError(thrown).message },
        'the new certificate cannot be used; the one before goes on',
      )
    }
  }

  reloadCluster(): void {
    const links = this.#links
    const { cluster, region } = this.#config
    if (links === undefined || cluster === undefined) return
    const { logger } = this.#parts
    const wasLeaving = links.topology.regions.get(region)?.state === 'leaving'
    try {
      const topology = readTopology(cluster.file)
      links.check(topology)
      // Placement first: what links share is asked there.
      this.#placing?.reload(topology)
      links.reload(topology)
    } catch (thrown) {
      logger.error({ reason: toMeridianError(thrown).message }, 'the new cluster file cannot be used; the one before goes on')
      return
    }
    this.#review(undefined)
    const state = links.topology.regions.get(region)?.state
    logger.info({ state, regions: links.topology.regions.size }, 'the cluster file was read again')
    // Clients come again, and are sent to the regions that stay.
    if (state === 'leaving' && !wasLeaving) this.#gateway.shutdown(() => undefined)
  }

  #status(links: RegionLinks): RegionStatus {
    const { topology } = links
    return regionStatus({
      region: this.region,
      stateOf: (name) => topology.regions.get(parseRegion(name))?.state ?? 'removed',
      sessions: this.#gateway.connections.size,
      isWriting: this.#hub.pendingBytes > 0,
      groups: links.links.groupCount,
      peers: links.links.peers(),
      joins: [...links.links.joins()],
    })
  }

  drain(): Promise<void> {
    this.#draining ??= this.#drain()
    return this.#draining
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #drain(): Promise<void> {
    if (this.#state !== 'running') return this.close()
    this.#state = 'draining'
    const { logger } = this.#parts
    logger.info({ sessions: this.#hub.sessionCount }, 'draining')
    const deadline = timer(this.#config.drainMs)
    // Nothing more is read; what was read is made durable and acked, and only then do the clients go.
    this.#gateway.pause()
    this.#routes.drain()
    await Promise.race([deadline.passed, new Promise<void>((resolve) => this.#hub.whenIdle(resolve))])
    await Promise.race([deadline.passed, new Promise<void>((resolve) => this.#gateway.shutdown(resolve))])
    await this.#links?.drain(deadline.passed)
    await Promise.race([deadline.passed, this.#answering.ended()])
    deadline.cancel()
    if (this.#gateway.connections.size > 0)
      logger.warn({ sessions: this.#gateway.connections.size }, 'some clients did not close in time')
    await this.close()
  }

  async #close(): Promise<void> {
    this.#state = 'closed'
    const { log, logger } = this.#parts
    clearInterval(this.#wheel)
    this.#unwatch?.()
    this.#routes.drain()
    this.#gateway.destroy()
    this.#links?.close()
    const served = new Promise<void>((resolve) => {
      // Answers an error if it never listened, which is as closed as can be.
      this.#server.close(() => resolve())
    })
    this.#server.closeAllConnections()
    await served
    this.#hub.close()
    this.#placing?.close()
    await Promise.all([this.#compactor.close(), this.#materialiser.close(), this.#updateThread.close()])
    const deadline = timer(logCloseMs)
    const closed = new Promise<'closed'>((resolve) => log.close(() => resolve('closed')))
    const first = await Promise.race([closed, deadline.passed])
    deadline.cancel()
    if (first === 'closed') logger.info('closed')
    else logger.warn('the log did not close in time; the next start recovers it')
  }

  #readiness(): Readiness {
    const reasons: string[] = []
    if (this.#state !== 'running') reasons.push('The node is stopping.')
    if (this.#parts.log.status().state !== 'open') reasons.push('The log cannot be written now.')
    return { ready: reasons.length === 0, reasons }
  }
}

function timer(ms: number): { readonly passed: Promise<'passed'>; cancel(): void } {
  let handle: NodeJS.Timeout | undefined
  const passed = new Promise<'passed'>((resolve) => {
    handle = setTimeout(() => resolve('passed'), ms)
  })
  return { passed, cancel: () => clearTimeout(handle) }
}
