/**
 * Where the regions are, between meridians, and the links between them: a click cuts one, another heals it. A link is drawn broken while it is cut or an end of
 * it is down, and moves while bytes pass.
 */

import { useEffect, useRef, useState } from 'react'
import type { Cluster, Link, Order, Region } from './cluster.js'

interface WorldMapProps {
  readonly cluster: Cluster
  readonly onOrder: (order: Order) => void
}

interface Point {
  readonly x: number
  readonly y: number
}

/** Degrees of longitude and latitude of capitals, by jurisdiction. */
const places: Readonly<Record<string, readonly [number, number]>> = { IE: [-6, 53], US: [-77, 39], IN: [73, 19] }

const width = 640
const height = 270
const west = -115
const east = 105
const north = 72
const south = -4

const project = (longitude: number, latitude: number): Point => ({
  x: ((longitude - west) / (east - west)) * width,
  y: ((north - latitude) / (north - south)) * height,
})

const pointOf = ({ jurisdiction }: Region): Point => project(...(places[jurisdiction] ?? [0, 0]))

const meridians = Array.from({ length: 15 }, (_, index) => -105 + index * 15)
const parallels = [0, 15, 30, 45, 60]

export function WorldMap({ cluster: { regions, links }, onOrder }: WorldMapProps) {
  return (
    <svg className="map" viewBox={`0 0 ${width} ${height}`} role="group" aria-label="Map of the regions">
      <g className="grid" aria-hidden="true">
        {meridians.map((longitude) => {
          const { x } = project(longitude, 0)
          return <line key={longitude} x1={x} x2={x} y1={0} y2={height} data-prime={longitude === 0 || undefined} />
        })}
        {parallels.map((latitude) => {
          const { y } = project(0, latitude)
          return <line key={latitude} x1={0} x2={width} y1={y} y2={y} />
        })}
      </g>
      {links.map((link) => (
        <LinkLine key={`${link.one} ${link.other}`} link={link} regions={regions} onOrder={onOrder} />
      ))}
      {regions.map((region) => {
        const { x, y } = pointOf(region)
        return (
          <g key={region.name} className="place" data-state={region.state} transform={`translate(${x} ${y})`}>
            <circle className="halo" r="15" />
            <circle r="7" />
            <text y="-22">{region.place}</text>
          </g>
        )
      })}
    </svg>
  )
}

interface LinkLineProps {
  readonly link: Link
  readonly regions: readonly Region[]
  readonly onOrder: (order: Order) => void
}

function LinkLine({ link, regions, onOrder }: LinkLineProps) {
  const rate = useRate(link.bytes)
  const ends = [link.one, link.other].map((name) => regions.find((region) => region.name === name))
  const [one, other] = ends
  if (one === undefined || other === undefined) return null
  const isUp = link.isOpen && ends.every((end) => end?.state === 'running')
  const from = pointOf(one)
  const to = pointOf(other)
  // Bent towards the north, as great circles are on such a map.
  const bend = { x: (from.x + to.x) / 2, y: Math.min(from.y, to.y) + Math.abs(from.y - to.y) * 0.35 - 6 }
  const middle = { x: (from.x + 2 * bend.x + to.x) / 4, y: (from.y + 2 * bend.y + to.y) / 4 }
  const path = `M${from.x} ${from.y} Q${bend.x} ${bend.y} ${to.x} ${to.y}`
  const order = (): void => onOrder({ to: 'links', one: link.one, other: link.other, do: link.isOpen ? 'cut' : 'heal' })
  const state = isUp ? (rate > busyBytes ? 'busy' : 'up') : 'cut'
  return (
    <g
      className="link"
      data-state={state}
      role="button"
      tabIndex={0}
      aria-pressed={!link.isOpen}
      aria-label={`Link between ${one.place} and ${other.place}: ${link.isOpen ? 'cut it' : 'heal it'}`}
      onClick={order}
      onKeyDown={({ key }) => {
        if (key === 'Enter' || key === ' ') order()
      }}
    >
      <path className="touch" d={path} />
      <path className="line" d={path} />
      <g className="switch" transform={`translate(${middle.x} ${middle.y})`}>
        <rect x="-34" y="-12" width="68" height="24" rx="12" />
        <text y="4">{link.isOpen ? (state === 'busy' ? rateOf(rate) : 'Cut') : 'Heal'}</text>
      </g>
    </g>
  )
}

/** Heartbeats stay below. */
const busyBytes = 400

/** Bytes a second, over the last second or so. */
function useRate(bytes: number): number {
  const [rate, setRate] = useState(0)
  const seen = useRef({ bytes, atMs: 0 })
  const newest = useRef(bytes)
  newest.current = bytes
  useEffect(() => {
    const timer = setInterval(() => {
      const nowMs = performance.now()
      const seconds = (nowMs - seen.current.atMs) / 1_000
      setRate(seen.current.atMs === 0 ? 0 : (newest.current - seen.current.bytes) / seconds)
      seen.current = { bytes: newest.current, atMs: nowMs }
    }, 800)
    return () => clearInterval(timer)
  }, [])
  return rate
}

const rateOf = (rate: number): string =>
  rate < 10_000 ? `${(rate / 1_000).toFixed(1)} kB/s` : `${Math.round(rate / 1_000)} kB/s`
