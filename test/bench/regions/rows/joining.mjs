// A region that is new: it takes the state of another one.

import { joinSeeded } from '../seeded.mjs'

/** @type {import('../types.mjs').RegionRow} */
export const row = {
  name: 'joining',
  title: 'a new region takes the state of one that holds so many documents',
  cases: ({ quick, full }) =>
    (quick ? [1_000] : full ? [10_000, 100_000, 1_000_000] : [10_000, 100_000]).map((documents) => ({
      name: `${documents.toLocaleString('en')} documents`,
      documents,
    })),
  figures: [
    { key: 'seconds', label: 'seconds', digits: 1 },
    { key: 'documentsPerS', label: 'documents/s', digits: 0 },
    { key: 'megabytesPerS', label: 'MB/s on the socket', digits: 2 },
    { key: 'bytesEach', label: 'bytes a document', digits: 0 },
    { key: 'giverMb', label: 'giver: growth of RSS, MiB', digits: 0 },
    { key: 'joinerMb', label: 'joiner: RSS, MiB', digits: 0 },
  ],
  run: ({ documents }) => joinSeeded(documents),
}
