/** The sample app as somebody in one region has it: another origin for each region, so another device. */

import { useRef } from 'react'
import type { Region } from './cluster.js'

interface PaneProps {
  readonly label: string
  readonly regions: readonly Region[]
  readonly chosen: string
  readonly onChoose: (region: string) => void
}

export function Pane({ label, regions, chosen, onChoose }: PaneProps) {
  const region = regions.find(({ name }) => name === chosen)
  // The app comes from its region once; then it goes on without it.
  const hasBeenUp = useRef(false)
  if (region?.state === 'running') hasBeenUp.current = true
  if (region === undefined) return null
  return (
    <article className="pane">
      <header>
        <select
          aria-label={`Region of the ${label.toLowerCase()} side`}
          value={chosen}
          onChange={({ target }) => onChoose(target.value)}
        >
          {regions.map(({ name, place }) => (
            <option key={name} value={name}>
              {place} ({name})
            </option>
          ))}
        </select>
        <span className="state" data-state={region.state} role="status">
          {states[region.state]}
        </span>
        <a href={region.url} target="_blank" rel="noreferrer" aria-label={`Notes in ${region.place}, in a tab of its own`}>
          Own tab ↗
        </a>
      </header>
      {hasBeenUp.current ? (
        <iframe title={`Notes in ${region.place}`} src={region.url} />
      ) : (
        <p className="waiting">
          {region.state === 'down'
            ? `${region.place} is down. Start it again, and the app comes.`
            : 'The app comes with its region …'}
        </p>
      )}
    </article>
  )
}

const states: Readonly<Record<Region['state'], string>> = { running: 'Up', starting: 'Starting', down: 'Down' }
