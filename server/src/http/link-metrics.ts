/** What `/metrics` says of links. A group is named by a digest, since its name holds that of a tenant; `meridian region status` spells it. */

import { groupDigest } from './group-digest.js'
import type { RegionLinks } from '../io/region-links.js'
import type { MetricSources } from './metrics.js'

/** Groups that stand with their lag, the worst first; all others are in the sums. */
const groupsMax = 100

export function linkMetrics(links: RegionLinks): MetricSources {
  const worst = (): ReturnType<typeof lags> => lags(links)
  return {
    counters: [
      {
        name: 'meridian_link_connections_total',
        help: 'Links to other regions that came about.',
        read: () => links.stats.connections,
      },
      {
        name: 'meridian_link_refusals_total',
        help: 'Connections to and from regions that ended before both had proved themselves.',
        read: () => links.stats.refusals,
      },
      {
        name: 'meridian_link_sent_bytes_total',
        help: 'Bytes of links that were sent, as the network saw them.',
        read: () => links.count().bytesOut,
      },
      {
        name: 'meridian_link_received_bytes_total',
        help: 'Bytes of links that were received, as the network saw them.',
        read: () => links.count().bytesIn,
      },
      {
        name: 'meridian_link_sent_messages_total',
        help: 'Messages of links that were sent.',
        read: () => links.stats.messagesOut,
      },
      {
        name: 'meridian_link_received_messages_total',
        help: 'Messages of links that were received.',
        read: () => links.stats.messagesIn,
      },
      {
        name: 'meridian_link_joined_documents_total',
        help: 'Documents that came to this region as state.',
        read: () => links.links.joined.documents,
      },
      {
        name: 'meridian_link_joined_bytes_total',
        help: 'Bytes of those states.',
        read: () => links.links.joined.bytes,
      },
      {
        name: 'meridian_link_compared_bytes_total',
        help: 'Bytes by which it was found out which documents differ.',
        read: () => links.links.joined.comparedBytes,
      },
      {
        name: 'meridian_link_compare_round_trips_total',
        help: 'Questions by which that was found out.',
        read: () => links.links.joined.roundTrips,
      },
    ],
    gauges: [
      { name: 'meridian_links', help: 'Links that are open.', read: () => links.links.links.size },
      {
        name: 'meridian_link_joining',
        help: 'Groups that this region joins now, and serves nothing of.',
        read: () => [...links.links.joins()].length,
      },
      { name: 'meridian_link_groups', help: 'Groups of this region that links know of.', read: () => links.links.groupCount },
    ],
    labelled: [
      {
        name: 'meridian_link_open',
        help: '1 for each region that a link is open with.',
        labels: ['peer'],
        read: () => [...links.links.links.keys()].map((peer) => ({ labels: { peer }, value: 1 })),
      },
      {
        name: 'meridian_link_lag_entries',
        help: 'Entries that this region holds and the peer does not, by its last word.',
        labels: ['peer', 'group'],
        read: () => worst().map(({ peer, group, entries }) => ({ labels: { peer, group: groupDigest(group) }, value: entries })),
      },
      {
        name: 'meridian_link_lag_seconds',
        help: 'Age of the oldest entry that the peer does not hold.',
        labels: ['peer', 'group'],
        read: () => worst().map(({ peer, group, seconds }) => ({ labels: { peer, group: groupDigest(group) }, value: seconds })),
      },
      {
        name: 'meridian_link_stopped',
        help: 'Groups that stand still on a link, by reason, until somebody acts. Alert on any.',
        labels: ['peer', 'reason'],
        read: () => stopped(links),
      },
    ],
  }
}

const lags = ({ links }: RegionLinks) =>
  [...links.status()].sort((one, other) => other.entries - one.entries || other.seconds - one.seconds).slice(0, groupsMax)

function stopped({ links }: RegionLinks): { readonly labels: Record<string, string>; readonly value: number }[] {
  const counts = new Map<string, number>()
  for (const { peer, stopped: reason } of links.status())
    if (reason !== undefined) counts.set(`${peer} ${reason}`, (counts.get(`${peer} ${reason}`) ?? 0) + 1)
  return [...counts].map(([key, value]) => {
    const [peer = '', reason = ''] = key.split(' ')
    return { labels: { peer, reason }, value }
  })
}
