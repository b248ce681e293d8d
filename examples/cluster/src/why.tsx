/** Why a region does not hold a collection, in its own words. */

import type { Region } from './cluster.js'

export interface Question {
  readonly region: string
  readonly collection: string
}

interface WhyProps {
  readonly question: Question
  readonly regions: readonly Region[]
  readonly onClose: () => void
}

export function Why({ question: { region, collection }, regions, onClose }: WhyProps) {
  const asked = regions.find(({ name }) => name === region)
  const holding = asked?.said?.holdings.find((one) => one.collection === collection)
  // A region that is down says nothing, and a policy may have changed.
  if (asked === undefined || (holding !== undefined && holding.documents !== undefined)) return null
  return (
    <aside className="why" aria-label={`Why ${collection} are not in ${asked.place}`}>
      <header>
        <h2>
          Why <code>{collection}</code> are not in {asked.place}
        </h2>
        <button type="button" onClick={onClose}>
          Close
        </button>
      </header>
      <pre>{holding?.refusal ?? 'The region does not answer now.'}</pre>
    </aside>
  )
}
