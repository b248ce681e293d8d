/** The whole page: the map with its switches, what each region holds, and the sample app in two regions side by side. */

import { useState } from 'react'
import { type Cluster, give, type Order, useCluster } from './cluster.js'
import { Guide } from './guide.js'
import { Pane } from './pane.js'
import { RegionCard } from './region-card.js'
import { type Question, Why } from './why.js'
import { WorldMap } from './world-map.js'

export function Page() {
  const { cluster, isLive } = useCluster()
  const [trouble, setTrouble] = useState<string>()
  const [question, setQuestion] = useState<Question>()
  if (cluster === undefined) return <p className="waiting">Waiting for the cluster …</p>
  const order = (given: Order): void => {
    setTrouble(undefined)
    void give(given).then(setTrouble)
  }
  return (
    <>
      <header className="top">
        <h1>Meridian</h1>
        <p>Three regions on this machine, each a process with a disk of its own. Type on one side, cut a link, kill a region.</p>
        <output className="alarm">{isLive ? trouble : 'The cluster does not answer. Start it again with npm start.'}</output>
      </header>
      <main>
        <section className="world" aria-label="Regions and links">
          <WorldMap cluster={cluster} onOrder={order} />
          <div className="cards">
            {cluster.regions.map((region) => (
              <RegionCard
                key={region.name}
                region={region}
                asked={question?.region === region.name ? question.collection : undefined}
                onOrder={order}
                onAsk={(collection) => setQuestion(collection === undefined ? undefined : { region: region.name, collection })}
              />
            ))}
          </div>
          {question === undefined ? null : (
            <Why question={question} regions={cluster.regions} onClose={() => setQuestion(undefined)} />
          )}
          <Guide policy={cluster.policy} />
        </section>
        <Sides cluster={cluster} />
      </main>
    </>
  )
}

function Sides({ cluster: { regions } }: { readonly cluster: Cluster }) {
  const [left, setLeft] = useState(regions[0]?.name ?? '')
  const [right, setRight] = useState(regions[1]?.name ?? '')
  return (
    <section className="sides" aria-label="The sample app, twice">
      <Pane key={`left ${left}`} label="Left" regions={regions} chosen={left} onChoose={setLeft} />
      <Pane key={`right ${right}`} label="Right" regions={regions} chosen={right} onChoose={setRight} />
    </section>
  )
}
