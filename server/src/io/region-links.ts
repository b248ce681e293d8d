/**
 * The links of a node: what listens for other regions, what dials them, and the machines that speak (regions/src/link). Made by a node that is in a
 * cluster.
 *
 * - RES2 Nobody speaks before both have proved themselves by the cluster file.
 * - Bytes of documents cross the network under TLS only; a node without it takes links from its own machine, or through a proxy that it trusts.
 */

import { createHash, randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { rootCertificates, TLSSocket } from 'node:tls'
import type { Random } from '@meridian/core/effects'
import type { Engine, EngineName } from '@meridian/core/engine'
import type { Entry } from '@meridian/core/entry'
import { MeridianError } from '@meridian/core/errors'
import type { Hub } from '@meridian/core/hub'
import type { HubLinks } from '@meridian/core/hub-effects'
import type { DocumentName, GroupId, RegionId, ReplicaId } from '@meridian/core/ids'
import type { LinkedLog } from '@meridian/core/log'
import type { FarPresence } from '@meridian/core/presence-board'
import type { Chain } from '@meridian/core/version'
import { Acceptor, Dialer, type HandshakeEffects } from '@meridian/regions/link/handshake'
import { Links } from '@meridian/regions/link/links'
import { mergeStates } from '@meridian/regions/link/merge-states'
import { type LinkOptions, linkOptions } from '@meridian/regions/link/options'
import type { LinkPlacement } from '@meridian/regions/link/placement'
import { isPlace, peersOf, type Topology } from '@meridian/regions/topology'
import { WebSocket, WebSocketServer } from 'ws'
import { type ClusterConfig, isLoopback, type LinkLimits } from '../config.js'
import type { createForwarding } from '../http/forwarded.js'
import { groupDigest } from '../http/group-digest.js'
import { dials, LinkDialer } from './link-dialer.js'
import { type Handshake, linkDeflate, linkMessageBytesMax, type LinkStats, SpokenSocket } from './link-socket.js'
import type { Logger } from './logging.js'
import { isSignedBy, readRegionKey } from './region-key.js'

/** Where regions connect. */
export const linkPath = '/v1/link'

/** How often the machines are looked after. */
const tickMs = 10

export interface RegionLinksOptions {
  readonly region: RegionId
  readonly cluster: ClusterConfig
  readonly limits: LinkLimits
  readonly log: LinkedLog
  readonly placement: LinkPlacement
  readonly engines: Partial<Record<EngineName, Engine>>
  readonly logger: Logger
  readonly random: Random
  readonly clientOf: ReturnType<typeof createForwarding>
  /** The other end of this socket is known. */
  readonly onKnown: (socket: Socket) => void
}

export class RegionLinks implements HubLinks {
  readonly links: Links
  readonly stats: LinkStats = { connections: 0, refusals: 0, messagesIn: 0, bytesIn: 0, messagesOut: 0, bytesOut: 0 }
  readonly #options: RegionLinksOptions
  readonly #handshake: HandshakeEffects
  readonly #key: string
  readonly #linkOptions: LinkOptions
  readonly #server: WebSocketServer
  readonly #sockets = new Set<SpokenSocket>()
  /** By region. */
  readonly #dialers = new Map<RegionId, LinkDialer>()
  #topology: Topology
  /** What was last said of a region that cannot be reached, so that it is said once. */
  readonly #said = new Map<string, string>()
  #hub: Hub | undefined
  #wheel: NodeJS.Timeout | undefined

  /** @throws MeridianError CONFIG_INVALID if the key is not the one that the cluster file has for this region */
  constructor(options: RegionLinksOptions) {
    this.#options = options
    const { region, cluster, limits, log, placement } = options
    const { topology } = cluster
    this.#topology = topology
    const key = readRegionKey(cluster.key)
    if (topology.regions.get(region)?.publicKey !== key.publicKey) {
      throw new MeridianError('CONFIG_INVALID', {
        message: `cluster.keyFile is not the key that the cluster file has for ${region}: its public key is ${key.publicKey}.`,
      })
    }
    this.#key = key.publicKey
    this.#handshake = {
      here: region,
      topology: () => this.#topology,
      ...{ nonce: () => randomBytes(32), sign: (bytes) => key.sign(bytes), isSignedBy },
    }
    const { batchMs, windowBytes, heartbeatMs, silenceMs } = limits
    this.#linkOptions = linkOptions({ batchMs, windowBytes, heartbeatMs, silenceMs })
    this.links = new Links({
      here: region,
      topology: () => this.#topology,
      placement,
      options: this.#linkOptions,
      effects: {
        nowMs: () => performance.now(),
        log,
        include: (entries, done) =>
          log.include(entries, (outcome) => {
            if (outcome.kind === 'failed') this.#hub?.includeFailed(entries)
            else if (outcome.value.kind === 'included') this.#hub?.included(outcome.value.entries)
            done(outcome)
          }),
        held: (group, peer, version) => this.#hub?.held(group, peer, version),
        merge: (engine, updates) => options.engines[engine]?.merge(updates),
        digest: (bytes) => createHash('sha256').update(bytes).digest().readBigUInt64LE(),
        random: (bytes) => randomBytes(bytes),
        mergeStates: (here, there) => mergeStates(options.engines, here, there),
        beginJoin: (group, done) => {
          options.logger.warn(
            { group: groupDigest(group) },
            'a group joins: what it lacks is no longer kept as entries elsewhere',
          )
          this.#hub?.beginJoin(group, () => log.beginJoin(group, done))
        },
        endJoin: (group) => {
          options.logger.info({ group: groupDigest(group) }, 'a group has joined, and is served')
          this.#hub?.endJoin(group)
        },
        presence: {
          shown: (document) => this.#hub?.presence.shown(document) ?? [],
          hear: (peer, document, state) => this.#hub?.presence.hear(peer, document, state),
          suspect: (peer) => this.#hub?.presence.suspect(peer),
          lost: (peer) => this.#hub?.presence.lost(peer),
        },
        alarm: ({ peer, reason, door, detail }) =>
          options.logger.error({ peer, reason, door, detail }, 'a group stands still on a link until somebody acts'),
      },
    })
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: linkMessageBytesMax,
      perMessageDeflate: linkDeflate,
    })
  }

  /** Opens every group and dials. Once the hub is there and the node listens. */
  async begin(hub: Hub): Promise<void> {
    this.#hub = hub
    await new Promise<void>((resolve, reject) => {
      this.links.begin((outcome) => {
        if (outcome.kind === 'done') resolve()
        else reject(new MeridianError(outcome.code, { cause: outcome.cause }))
      })
    })
    this.#dialAll()
    this.#wheel = setInterval(() => this.links.tick(), tickMs)
  }

  get topology(): Topology {
    return this.#topology
  }

  /** @throws MeridianError CONFIG_INVALID if this node could not be a region of that cluster */
  check(topology: Topology): void {
    const { region } = this.#options
    const own = topology.regions.get(region)
    const wrong =
      own === undefined
        ? `it has no region ${region}`
        : !isPlace(own)
          ? `it says that ${region} is ${own.state}; stop this node instead`
          : own.publicKey !== this.#key
            ? `its key of ${region} is not that of this node`
            : undefined
    if (wrong !== undefined) throw new MeridianError('CONFIG_INVALID', { message: `The cluster file cannot be used: ${wrong}.` })
  }

  /** The cluster file was read again, and is one that this node can be a region of. */
  reload(topology: Topology): void {
    this.#topology = topology
    this.links.topologyChanged()
    this.#dialAll()
  }

  #dialAll(): void {
    const { region, limits, random } = this.#options
    const wanted = new Set(
      peersOf(this.#topology, region)
        .map(({ name }) => name)
        .filter((peer) => dials(region, peer)),
    )
    for (const [peer, dialer] of this.#dialers) {
      if (wanted.has(peer)) continue
      dialer.close()
      this.#dialers.delete(peer)
    }
    for (const peer of wanted) {
      if (this.#dialers.has(peer)) continue
      this.#dialers.set(peer, new LinkDialer({ random, dialMs: limits.dialMs, dial: (over) => this.#dial(peer, over) }))
    }
  }

  appended(group: GroupId, replica: ReplicaId, sequence: number, chain: Chain | undefined): void {
    this.links.appended(group, replica, sequence, chain)
  }

  included(entries: readonly Entry[]): void {
    this.links.included(entries)
  }

  reopened(): void {
    this.links.reopened()
  }

  watchPresence(group: GroupId, document: DocumentName, isWatched: boolean): void {
    this.links.watchPresence(group, document, isWatched)
  }

  showPresence(group: GroupId, document: DocumentName, state: FarPresence): void {
    this.links.showPresence(group, document, state)
  }

  regionCount(group: GroupId): number {
    return this.links.regionCount(group)
  }

  isLinked(region: RegionId): boolean {
    return this.links.isLinked(region)
  }

  speaksAt(url: string | undefined): boolean {
    return url?.split('?', 1)[0] === linkPath
  }

  /** An upgrade whose path, host and origin were found right. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (!this.#isPrivate(request)) {
      socket.end('HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\nUpgrade: TLS/1.2\r\n\r\n')
      return
    }
    this.#server.handleUpgrade(request, socket, head, (client) => {
      this.#speak(client, { end: 'accepted', acceptor: new Acceptor(this.#handshake) }, () =>
        this.#options.onKnown(request.socket),
      )
    })
  }

  /** Bytes of all links so far. */
  count(): LinkStats {
    for (const socket of this.#sockets) socket.count()
    return this.stats
  }

  /** Waits until every region that is connected holds all that this one does, or as long as `deadline`. */
  async drain(deadline: Promise<unknown>): Promise<void> {
    let isOver = false
    void deadline.then(() => (isOver = true))
    while (!isOver && !this.links.isCaughtUp) await new Promise((resolve) => setTimeout(resolve, tickMs))
  }

  close(): void {
    for (const dialer of this.#dialers.values()) dialer.close()
    clearInterval(this.#wheel)
    this.links.close()
    for (const socket of this.#sockets) socket.terminate()
    this.#server.close()
  }

  #isPrivate(request: IncomingMessage): boolean {
    const { headers, socket } = request
    const isEncrypted = socket instanceof TLSSocket
    const client = this.#options.clientOf({
      address: socket.remoteAddress,
      isEncrypted,
      forwardedFor: header(headers['x-forwarded-for']),
      forwardedProto: header(headers['x-forwarded-proto']),
    })
    return client.isSecure || isLoopback(client.address)
  }

  #dial(name: RegionId, over: (how: 'proved' | 'failed') => void): void {
    const peer = this.#topology.regions.get(name)
    if (peer === undefined) return
    const { authorities } = this.#options.cluster
    const client = new WebSocket(peer.linkUrl, {
      perMessageDeflate: linkDeflate,
      maxPayload: linkMessageBytesMax,
      handshakeTimeout: this.#options.limits.handshakeMs,
      followRedirects: false,
      ...(authorities === undefined ? {} : { ca: [...rootCertificates, authorities] }),
    })
    const dialer = new Dialer(this.#handshake, peer)
    this.#speak(client, { end: 'dialled', dialer, peer: peer.name }, undefined, over)
  }

  #speak(client: WebSocket, handshake: Handshake, onKnown?: () => void, over?: (how: 'proved' | 'failed') => void): void {
    let peer = handshake.end === 'dialled' ? handshake.peer : undefined
    let isProved = false
    const socket: SpokenSocket = new SpokenSocket({
      socket: client,
      handshake,
      handshakeMs: this.#options.limits.handshakeMs,
      roomBytes: this.#linkOptions.socketBytes,
      stats: this.stats,
      onProved: (proved, spoken) => {
        peer = proved
        isProved = true
        onKnown?.()
        this.#said.delete(proved)
        this.#options.logger.info({ peer }, 'a link is open')
        return this.links.connect(proved, spoken)
      },
      onClosed: (error) => {
        this.#sockets.delete(socket)
        this.#say(peer, error, isProved)
        over?.(isProved ? 'proved' : 'failed')
      },
    })
    this.#sockets.add(socket)
  }

  /** A region that cannot be reached is dialled often; what is said of it is said when it changes. */
  #say(peer: RegionId | undefined, error: MeridianError | undefined, wasProved: boolean): void {
    const { logger } = this.#options
    if (wasProved) logger.info({ peer, ...(error === undefined ? {} : { reason: error.message }) }, 'a link ended')
    else {
      const reason = error?.message ?? 'it closed'
      const name = peer ?? 'stranger'
      if (this.#said.get(name) === reason) return
      this.#said.set(name, reason)
      logger.warn({ peer, reason }, 'a link did not come about')
    }
  }
}

const header = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value.join(',') : value)
