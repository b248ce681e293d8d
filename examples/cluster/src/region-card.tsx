/** One region: what it is, what it holds, what it may not hold, how far behind it is, and the button that ends it. */

import type { Holding, Order, PeerLag, Region } from './cluster.js'

interface RegionCardProps {
  readonly region: Region
  /** The collection that somebody has asked about: why it is kept out. */
  readonly asked: string | undefined
  readonly onOrder: (order: Order) => void
  readonly onAsk: (collection: string | undefined) => void
}

export function RegionCard({ region, asked, onOrder, onAsk }: RegionCardProps) {
  const { name, place, state, said } = region
  return (
    <article className="card" data-state={state} aria-label={place}>
      <header>
        <h2>{place}</h2>
        <code>{name}</code>
      </header>
      {said === undefined ? (
        <p className="silent" role="status">
          {silences[state]}
        </p>
      ) : (
        <>
          <ul className="holdings" aria-label="Holds">
            {said.holdings.map((holding) => (
              <HoldingRow
                key={holding.collection}
                holding={holding}
                isAsked={asked === holding.collection}
                onAsk={() => onAsk(asked === holding.collection ? undefined : holding.collection)}
              />
            ))}
          </ul>
          <ul className="lags" aria-label="Its peers">
            {said.peers.map((peer) => (
              <li key={peer.peer} data-state={peer.isLinked ? (peer.entries > 0 ? 'behind' : 'level') : 'cut'}>
                <code>{peer.peer}</code>
                <span title={peer.entries > 0 ? `Oldest: ${peer.seconds.toFixed(1)} s` : undefined}>{lagOf(peer)}</span>
              </li>
            ))}
          </ul>
          <p className="counts">
            {count(said.sessions, 'app')} · {count(said.entries, 'edit')}
            {said.refused > 0 ? ` · ${said.refused} refused` : ''}
          </p>
        </>
      )}
      <PowerButton region={region} onOrder={onOrder} />
    </article>
  )
}

const silences: Readonly<Record<Region['state'], string>> = {
  down: 'Killed. Its disk is as it was.',
  starting: 'Starting: it reads its log, then asks the others for what it has missed.',
  running: 'Looking at it …',
}

function PowerButton({ region: { name, place, state }, onOrder }: Pick<RegionCardProps, 'region' | 'onOrder'>) {
  const isDown = state === 'down'
  return (
    <button
      type="button"
      className={isDown ? 'go' : 'stop'}
      disabled={state === 'starting'}
      aria-label={isDown ? `Start ${place} again` : state === 'starting' ? `${place} starts` : `Kill ${place}`}
      onClick={() => onOrder({ to: 'regions', region: name, do: isDown ? 'start' : 'kill' })}
    >
      {isDown ? 'Start again' : state === 'starting' ? 'Starting …' : 'Kill -9'}
    </button>
  )
}

interface HoldingRowProps {
  readonly holding: Holding
  readonly isAsked: boolean
  readonly onAsk: () => void
}

function HoldingRow({ holding: { collection, documents, isMore }, isAsked, onAsk }: HoldingRowProps) {
  if (documents === undefined)
    return (
      <li data-kept="out">
        <code>{collection}</code>
        <button
          type="button"
          className="ask"
          aria-expanded={isAsked}
          aria-label={`${collection}: kept out. Why?`}
          onClick={onAsk}
        >
          kept out
        </button>
      </li>
    )
  return (
    <li>
      <code>{collection}</code>
      <span>{`${count(documents, 'doc')}${isMore ? ' +' : ''}`}</span>
    </li>
  )
}

function lagOf({ isLinked, entries }: PeerLag): string {
  if (!isLinked) return entries > 0 ? `cut, ${entries} behind` : 'no link'
  return entries > 0 ? `${entries} behind` : 'in step'
}

const count = (many: number, what: string): string => `${many.toLocaleString('en')} ${what}${many === 1 ? '' : 's'}`
