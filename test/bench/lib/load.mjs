// [hot] What the rows' generators share: opening clients, pacing updates, measuring deliveries.

import { Author, eachMarker } from './marker.mjs'

/** @param {number} ms */
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * Copies what a wire's `onUpdate` shows. (`Buffer.slice` would not copy.)
 * @param {Uint8Array} buffer @param {number} start @param {number} end
 */
export const copyOf = (buffer, start, end) => new Uint8Array(buffer.subarray(start, end))

/** @param {Float64Array} sorted @param {number} share */
export const quantile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN

/**
 * Waits until `done` or `limitMs` have passed.
 * @param {() => boolean} done @param {number} limitMs @returns {Promise<boolean>} what `done` said last.
 */
export async function until(done, limitMs) {
  const end = performance.now() + limitMs
  while (!done() && performance.now() < end) await sleep(2)
  return done()
}

/**
 * Waits until the server has been nearly idle (below 5 %) for half a second: what it still owes for the work is then in its CPU time.
 * @param {import('../generator.mjs').Bench} bench @param {{ leastMs: number, mostMs: number }} bounds
 */
export async function quiet(bench, { leastMs, mostMs }) {
  const begin = performance.now()
  for (;;) {
    const before = bench.serverCpuMs()
    await sleep(500)
    const passed = performance.now() - begin
    if ((passed >= leastMs && bench.serverCpuMs() - before <= 25) || passed >= mostMs) return
  }
}

/**
 * Opens many clients, 50 at a time.
 * @template T @param {number} count @param {(index: number) => Promise<T>} open @returns {Promise<T[]>}
 */
export async function openMany(count, open) {
  /** @type {T[]} */
  const all = []
  for (let at = 0; at < count; at += 50) {
    all.push(...(await Promise.all(Array.from({ length: Math.min(50, count - at) }, (_, index) => open(at + index)))))
  }
  return all
}

/**
 * @typedef {object} Pair a document with its writer and its reader.
 * @property {Author} author
 * @property {import('./types.mjs').Connection} writer
 * @property {import('./types.mjs').Connection} reader
 */

/**
 * @param {import('../generator.mjs').Bench} bench
 * @param {object} options
 * @param {number} options.documents
 * @param {string} options.prefix
 * @param {(sequence: number) => void} options.onDelivered [hot] a reader has received the update of this number.
 * @param {(document: number, from: number, to: number) => void} [options.onAck] [hot]
 * @param {() => void} [options.onClose]
 * @returns {Promise<Pair[]>}
 */
export function openPairs(bench, { documents, prefix, onDelivered, onAck, onClose }) {
  const { wire, host, port } = bench
  const onUpdate = (
    /** @type {number} */ _document,
    /** @type {Uint8Array} */ buffer,
    /** @type {number} */ start,
    /** @type {number} */ end,
  ) => eachMarker(buffer, start, end, onDelivered)
  return openMany(documents, async (index) => {
    const common = { host, port, documents: [`bench/${prefix}-${index}`], onClose }
    const reader = await wire.connect({ ...common, onUpdate })
    const writer = await wire.connect({ ...common, onAck: (from, to) => onAck?.(index, from, to) })
    return { author: new Author(1000 + index), writer, reader }
  })
}

/** The pairs' shared numbering of updates; a row that paces several times keeps one. */
export class Numbering {
  /** The number of the next update. */
  next = 0
  /** Set while `pace` runs. @type {(sequence: number) => void} */
  delivered = () => {}
}

/**
 * @typedef {object} Paced
 * @property {number} sent in the measured time.
 * @property {number} delivered in the measured time.
 * @property {number} seconds the measured time.
 * @property {number} cpuMs the server's in the measured time.
 * @property {number} p50Ms from push to delivery, of the updates sent in the measured time.
 * @property {number} p99Ms
 * @property {number} maxMs
 * @property {number} missing of all sent, not delivered 5 s after the last.
 * @property {boolean} behind stopped early: more than two seconds' worth were outstanding.
 * @property {number} lateMs the generator's own worst lateness in the measured time.
 * @property {number} generatorShare of one core that the generator used.
 */

/**
 * Sends `rate` updates a second round robin over the pairs, open loop.
 * @param {import('../generator.mjs').Bench} bench
 * @param {object} options
 * @param {Pair[]} options.pairs
 * @param {Numbering} options.numbering
 * @param {number} options.rate updates a second.
 * @param {number} options.warmMs before the measured time.
 * @param {number} options.measureMs
 * @returns {Promise<Paced>}
 */
export async function pace(bench, { pairs, numbering, rate, warmMs, measureMs }) {
  const total = Math.ceil((rate * (warmMs + measureMs)) / 1000)
  const first = numbering.next
  numbering.next += total
  const sentAt = new Float64Array(total)
  const latency = new Float64Array(total).fill(-1)
  let sent = 0
  let delivered = 0
  numbering.delivered = (sequence) => {
    const index = sequence - first
    if (index < 0 || index >= sent || latency[index] >= 0) return
    latency[index] = performance.now() - sentAt[index]
    delivered++
  }

  const outstandingMax = Math.max(rate * 2, 1000)
  let behind = false
  let lateMs = 0
  const mark = { sent: -1, delivered: 0, cpuMs: 0, at: 0, own: process.cpuUsage() }
  await new Promise((resolve) => {
    const begin = performance.now()
    let lastTick = begin
    const tick = () => {
      const now = performance.now()
      if (mark.sent === -1 && now - begin >= warmMs) {
        Object.assign(mark, { sent, delivered, cpuMs: bench.serverCpuMs(), at: now, own: process.cpuUsage() })
        lateMs = 0
      }
      lateMs = Math.max(lateMs, now - lastTick)
      lastTick = now
      const due = Math.min(total, Math.floor(((now - begin) * rate) / 1000))
      behind = due - delivered > outstandingMax
      if (behind) {
        resolve(undefined)
        return
      }
      while (sent < due) {
        const pair = pairs[sent % pairs.length]
        pair.writer.push(0, pair.author.type(first + sent))
        sentAt[sent] = performance.now()
        sent++
        pair.writer.flush()
      }
      if (sent < total) setTimeout(tick, 1)
      else resolve(undefined)
    }
    tick()
  })
  const seconds = (performance.now() - mark.at) / 1000
  const usedMs = bench.serverCpuMs() - mark.cpuMs
  const own = process.cpuUsage(mark.own)
  const deliveredInTime = delivered - mark.delivered
  await until(() => delivered === sent, behind ? 0 : 5_000)
  numbering.delivered = () => {}
  const measured = latency
    .subarray(Math.max(0, mark.sent), sent)
    .filter((ms) => ms >= 0)
    .sort()
  return {
    sent: sent - Math.max(0, mark.sent),
    delivered: deliveredInTime,
    seconds,
    cpuMs: usedMs,
    p50Ms: quantile(measured, 0.5),
    p99Ms: quantile(measured, 0.99),
    maxMs: measured.at(-1) ?? Number.NaN,
    missing: sent - delivered,
    behind,
    lateMs,
    generatorShare: (own.user + own.system) / 1000 / (seconds * 1000),
  }
}
