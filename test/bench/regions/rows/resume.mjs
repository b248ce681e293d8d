// A link comes back after a cut: what it costs depends on what was missed, and not on how many documents there are.

import { seededCluster, settledBytes, writeMissed } from '../seeded.mjs'

/** @type {import('../types.mjs').RegionRow} */
export const row = {
  name: 'resume',
  title: 'two regions in step, cut while 1,000 entries in 100 documents are written in one: from the healing to equal',
  cases: ({ quick, full }) =>
    (quick ? [1_000] : full ? [1_000, 100_000, 1_000_000] : [1_000, 100_000]).map((documents) => ({
      name: `${documents.toLocaleString('en')} documents`,
      documents,
      missed: 1_000,
    })),
  figures: [
    { key: 'bytes', label: 'bytes', digits: 0 },
    { key: 'perEntry', label: 'bytes an entry missed', digits: 1 },
    { key: 'ms', label: 'ms from the dial', digits: 0 },
    { key: 'nothing', label: 'bytes when nothing was missed', digits: 0 },
  ],
  run: ({ documents, missed }) =>
    seededCluster({ documents }, async (world) => {
      const nothing = await settledBytes(world, async () => undefined)
      const something = await settledBytes(world, () => writeMissed(world, missed, 100))
      return { bytes: something.bytes, perEntry: something.bytes / missed, ms: something.ms, nothing: nothing.bytes }
    }),
}
