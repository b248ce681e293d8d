/** The sample app as somebody in one region has it: another origin for each region, so another device. */

import type { Region } from './cluster.js'

interface PaneProps {
  readonly label: string
  readonly regions: readonly Region[]
  readonly chosen: string
  readonly onChoose: (region: string) => void
}

export function Pane({ label, regions, chosen, onChoose }: PaneProps) {
  const region = regions.find(({ name }) => name === chosen)
  if (region === undefined) return null
  return (
    <article className="pane">
      <header>
        <label>
          <span className="side">{label}</span>
          <select value={chosen} onChange={({ target }) => onChoose(target.value)}>
            {regions.map(({ name, place }) => (
              <option key={name} value={name}>
                {place} ({name})
              </option>
            ))}
          </select>
        </label>
        <span className="state" data-state={region.state}>
          {region.state === 'running' ? 'region is up' : region.state === 'starting' ? 'region starts' : 'region is down'}
        </span>
        <a href={region.url} target="_blank" rel="noreferrer">
          Open alone
        </a>
      </header>
      <iframe key={chosen} title={`Notes in ${region.place}`} src={region.url} />
    </article>
  )
}
