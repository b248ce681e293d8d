/**
 * Metrics for Prometheus, in a registry of their own. Labels are bounded and never hold a name of a document, a tenant or a person.
 * What the hub and the gateway count anyway is read when somebody asks, so that counting costs the hot path an addition.
 */

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from '@prometheus-io/client'
import type { ErrorCode } from '@meridian/core/errors'
import type { About } from './app.js'

/** A number that only grows, kept by its owner. */
export interface CounterSource {
  readonly name: string
  readonly help: string
  readonly read: () => number
}

/** Numbers under labels, of which there are few. */
export interface LabelledSource {
  readonly name: string
  readonly help: string
  readonly labels: readonly string[]
  readonly read: () => readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[]
}

export interface MetricSources {
  readonly counters: readonly CounterSource[]
  readonly gauges: readonly CounterSource[]
  readonly labelled?: readonly LabelledSource[]
}

/** Seconds; a commit takes about a millisecond on a local disk. */
const commitBuckets = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1, 2, 5]

/** Commits that are noted before they are counted: a histogram costs each as much as all that the hub does for it. */
const notedCommits = 256

/** How often the event loop is looked at. The defaults, 10 and 100 ms, wake an idle process a hundred and ten times a second. */
const eventLoop = { eventLoopMonitoringPrecision: 50, eventLoopUtilizationTimeout: 1_000 }

export class Metrics {
  readonly #registry = new Registry()
  readonly #refused: Counter<'code'>
  readonly #compactions: Counter<'result'>
  readonly #commitSeconds: Histogram
  readonly #noted = new Float64Array(notedCommits)
  #notedCount = 0

  constructor(about: About, development: boolean) {
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry, ...eventLoop })
    new Gauge({
      name: 'meridian_build_info',
      help: 'Version of this node; always 1.',
      labelNames: ['version', 'region', 'node'],
      registers,
    }).set({ version: about.version, region: about.region, node: about.node }, 1)
    new Gauge({
      name: 'meridian_development_mode',
      help: '1 if this node asks for no token. Alert on it in production.',
      registers,
    }).set(development ? 1 : 0)
    this.#refused = new Counter({
      name: 'meridian_refused_total',
      help: 'What clients were refused, by error code.',
      labelNames: ['code'],
      registers,
    })
    this.#compactions = new Counter({
      name: 'meridian_compactions_total',
      help: 'Compactions, by result.',
      labelNames: ['result'],
      registers,
    })
    this.#commitSeconds = new Histogram({
      name: 'meridian_commit_seconds',
      help: 'Time from a batch handed to the log until it was durable.',
      buckets: commitBuckets,
      registers,
    })
  }

  add({ counters, gauges, labelled = [] }: MetricSources): void {
    const registers = [this.#registry]
    for (const { name, help, read } of counters) {
      const counter: Counter = new Counter({
        name,
        help,
        registers,
        collect() {
          counter.reset()
          counter.inc(read())
        },
      })
    }
    for (const { name, help, read } of gauges) {
      const gauge: Gauge = new Gauge({ name, help, registers, collect: () => gauge.set(read()) })
    }
    for (const { name, help, labels, read } of labelled) {
      const gauge = new Gauge<string>({
        name,
        help,
        labelNames: [...labels],
        registers,
        collect() {
          gauge.reset()
          for (const one of read()) gauge.set({ ...one.labels }, one.value)
        },
      })
    }
  }

  refused(code: ErrorCode): void {
    this.#refused.inc({ code })
  }

  compacted(result: 'done' | 'nothing' | 'failed' | 'dropped'): void {
    this.#compactions.inc({ result })
  }

  /** [hot] */
  committed(seconds: number): void {
    if (this.#notedCount === notedCommits) this.#countCommits()
    this.#noted[this.#notedCount++] = seconds
  }

  #countCommits(): void {
    for (const seconds of this.#noted.subarray(0, this.#notedCount)) this.#commitSeconds.observe(seconds)
    this.#notedCount = 0
  }

  async read(): Promise<{ readonly text: string; readonly type: string }> {
    this.#countCommits()
    return { text: await this.#registry.metrics(), type: this.#registry.contentType }
  }
}
