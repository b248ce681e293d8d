// Which documents differ, of many: what the two machines of LINK6 say to each other before the first state.

import { reconcile } from '../reconcile.mjs'

/** @type {import('../types.mjs').RegionRow} */
export const row = {
  name: 'reconciliation',
  title: 'a region that joins with a copy of which so many documents differ: bytes and round trips until it knows which',
  once: true,
  cases: ({ quick }) =>
    [0, 1, 10, 1_000].map((differing) => ({
      name: `${differing.toLocaleString('en')} of ${quick ? '10,000' : '1,000,000'} differ`,
      documents: quick ? 10_000 : 1_000_000,
      differing,
    })),
  figures: [
    { key: 'bytes', label: 'bytes, both ways', digits: 0, goal: ({ differing }) => (differing === 10 ? 25_000 : undefined) },
    { key: 'roundTrips', label: 'round trips', digits: 0, goal: ({ differing }) => (differing === 10 ? 3 : undefined) },
    { key: 'found', label: 'documents asked for', digits: 0 },
    { key: 'ms', label: 'ms of both sides', digits: 0 },
  ],
  run: ({ documents, differing }) => reconcile(documents, differing),
}
