/** What `/metrics` of a node reads of its parts, each with the sentence that says what it is. docs/operations.md says what to alert on. */

import type { Hub } from '@meridian/core/hub'
import type { Compactor } from '../io/compactor.js'
import type { Gateway } from '../io/gateway.js'
import type { SqliteLog } from '../io/log-sqlite.js'
import type { LogMaterialiser } from '../io/materialiser.js'
import type { MetricSources } from './metrics.js'
import type { Routes } from './routes.js'

export interface NodeParts {
  readonly hub: Hub
  readonly gateway: Gateway
  readonly log: SqliteLog
  readonly compactor: Compactor
  readonly materialiser: LogMaterialiser
  readonly routes: Routes
  /** False while the node stops. */
  readonly isRunning: () => boolean
}

export function nodeMetrics({ hub, gateway, log, compactor, materialiser, routes, isRunning }: NodeParts): MetricSources {
  return {
    counters: [
      { name: 'meridian_entries_total', help: 'Entries that became durable.', read: () => hub.stats.entries },
      {
        name: 'meridian_payload_bytes_total',
        help: 'Payload bytes of entries that became durable.',
        read: () => hub.stats.payloadBytes,
      },
      { name: 'meridian_commits_total', help: 'Commits of the log.', read: () => hub.stats.commits },
      {
        name: 'meridian_failed_commits_total',
        help: 'Commits that failed; nothing of them was acked.',
        read: () => hub.stats.failedCommits,
      },
      { name: 'meridian_delivered_total', help: 'Messages handed to subscribed sessions.', read: () => hub.stats.delivered },
      {
        name: 'meridian_received_messages_total',
        help: 'WebSocket messages of clients.',
        read: () => gateway.stats.messagesIn,
      },
      {
        name: 'meridian_received_bytes_total',
        help: 'Bytes of WebSocket messages of clients.',
        read: () => gateway.stats.bytesIn,
      },
      { name: 'meridian_sent_messages_total', help: 'WebSocket messages to clients.', read: () => gateway.stats.messagesOut },
      {
        name: 'meridian_sent_bytes_total',
        help: 'Bytes of WebSocket messages to clients, with their headers.',
        read: () => gateway.stats.bytesOut,
      },
      {
        name: 'meridian_evicted_sockets_total',
        help: 'Sockets of unknown clients that gave way to newer ones.',
        read: () => gateway.stats.evicted,
      },
      {
        name: 'meridian_scrub_passes_total',
        help: 'Checks of all stored records that came to their end.',
        read: () => log.status().scrub.passes,
      },
    ],
    gauges: [
      { name: 'meridian_sessions', help: 'Connections of clients, known or not yet.', read: () => hub.sessionCount },
      {
        name: 'meridian_unknown_sockets',
        help: 'Connections whose client is not known yet.',
        read: () => gateway.strangerCount,
      },
      {
        name: 'meridian_socket_buffer_bytes',
        help: 'Bytes that clients have not taken yet.',
        read: () => gateway.bufferedBytes,
      },
      { name: 'meridian_open_documents', help: 'Documents that some session has open.', read: () => hub.documentCount },
      { name: 'meridian_pending_bytes', help: 'Payload bytes that wait for their commit.', read: () => hub.pendingBytes },
      {
        name: 'meridian_http_requests',
        help: 'Requests on documents that are worked on.',
        read: () => routes.requestCount,
      },
      {
        name: 'meridian_http_feeds',
        help: 'Change feeds that are open.',
        read: () => routes.feedCount,
      },
      {
        name: 'meridian_materialised_bytes',
        help: 'Bytes of documents that are kept as states.',
        read: () => materialiser.cachedBytes,
      },
      {
        name: 'meridian_materialised_documents',
        help: 'Documents that are kept as states.',
        read: () => materialiser.cachedCount,
      },
      {
        name: 'meridian_materialise_queue',
        help: 'Pieces of engine work on states that wait for a thread.',
        read: () => materialiser.queueCount,
      },
      {
        name: 'meridian_compaction_queue',
        help: 'Documents that wait for their compaction.',
        read: () => compactor.queueCount,
      },
      { name: 'meridian_log_bytes', help: 'Bytes of the log on disk.', read: () => log.status().bytes },
      {
        name: 'meridian_log_open',
        help: '1 while the log can be written.',
        read: () => (log.status().state === 'open' ? 1 : 0),
      },
      {
        name: 'meridian_damaged_records',
        help: 'Records that failed their checksum and were set aside.',
        read: () => log.status().damagedCount,
      },
      {
        name: 'meridian_scrub_ratio',
        help: 'How far the running check of all stored records is, 0 to 1.',
        read: () => scrubRatio(log),
      },
      { name: 'meridian_draining', help: '1 while the node stops.', read: () => (isRunning() ? 0 : 1) },
    ],
  }
}

function scrubRatio(log: SqliteLog): number {
  const { scrubbed, total } = log.status().scrub
  return total === 0 ? 1 : Math.min(1, scrubbed / total)
}
