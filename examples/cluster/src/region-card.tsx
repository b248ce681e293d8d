/** One region: what it is, what it holds, what it may not hold, how far behind it is, and the button that ends it. */

import type { Holding, Order, PeerLag, Region } from './cluster.js'

interface RegionCardProps {
  readonly region: Region
  readonly onOrder: (order: Order) => void
}

export function RegionCard({ region, onOrder }: RegionCardProps) {
  const { name, place, state, said } = region
  const isDown = state === 'down'
  return (
    <article className="card" data-state={state}>
      <header>
        <h2>{place}</h2>
        <code>{name}</code>
        <button
          type="button"
          className={isDown ? 'go' : 'stop'}
          disabled={state === 'starting'}
          onClick={() => onOrder({ to: 'regions', region: name, do: isDown ? 'start' : 'kill' })}
        >
          {isDown ? 'Start again' : state === 'starting' ? 'Starting …' : 'Kill -9'}
        </button>
      </header>
      {said === undefined ? (
        <p className="silent">{isDown ? 'Killed. Its disk is as it was.' : 'It does not answer yet.'}</p>
      ) : (
        <>
          <ul className="holdings">
            {said.holdings.map((holding) => (
              <HoldingRow key={holding.collection} holding={holding} />
            ))}
          </ul>
          <ul className="lags">
            {said.peers.map((peer) => (
              <li key={peer.peer}>{lagOf(peer)}</li>
            ))}
          </ul>
          <p className="counts">
            {count(said.sessions, 'app')} connected · {count(said.entries, 'edit')} since the start
            {said.refused > 0 ? ` · ${said.refused} refused` : ''}
          </p>
        </>
      )}
    </article>
  )
}

function HoldingRow({ holding: { collection, documents, isMore, refusal } }: { readonly holding: Holding }) {
  if (documents === undefined)
    return (
      <li data-kept="out">
        <details>
          <summary>
            <code>{collection}</code>
            <span>kept out: why</span>
          </summary>
          <pre>{refusal ?? 'It does not say.'}</pre>
        </details>
      </li>
    )
  return (
    <li>
      <code>{collection}</code>
      <span>{`${count(documents, 'document')}${isMore ? ' and more' : ''}`}</span>
    </li>
  )
}

function lagOf({ peer, isLinked, entries, seconds }: PeerLag): string {
  const behind = entries > 0 ? `lacks ${count(entries, 'edit')}, ${seconds.toFixed(1)} s` : 'in step'
  return `${peer} ${isLinked ? behind : entries > 0 ? `no link, ${behind}` : 'no link'}`
}

const count = (many: number, what: string): string => `${many.toLocaleString('en')} ${what}${many === 1 ? '' : 's'}`
