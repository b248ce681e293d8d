/** What many runs have reached together: kinds of faults, rules that were compared, and how much time they stood for. */

import { faultKinds } from './options.js'
import type { RunReport } from './run.js'

export class Reached {
  runs = 0
  failed = 0
  simulatedMs = 0
  readonly #sums = { steps: 0, edits: 0, saved: 0, entries: 0, messages: 0, restarts: 0 }
  readonly #faults = new Map<string, number>()
  readonly #rules = new Map<string, number>()

  add(report: RunReport): void {
    this.runs++
    if (report.wrong.length > 0) this.failed++
    this.simulatedMs += report.simulatedMs
    for (const key of ['steps', 'edits', 'saved', 'entries', 'messages', 'restarts'] as const) this.#sums[key] += report[key]
    for (const [kind, count] of Object.entries(report.faults)) this.#faults.set(kind, (this.#faults.get(kind) ?? 0) + count)
    for (const [rule, count] of Object.entries(report.rules)) this.#rules.set(rule, (this.#rules.get(rule) ?? 0) + count)
  }

  lines(seconds: number): string[] {
    const minutes = this.simulatedMs / 60_000
    const list = (counts: ReadonlyMap<string, number>): string =>
      [...counts]
        .sort(([one], [two]) => (one < two ? -1 : 1))
        .map(([name, count]) => `${name} ${count}`)
        .join(', ')
    const missed = faultKinds.filter((kind) => !this.#faults.has(kind))
    return [
      `${this.runs} seeds, ${this.failed} failed; ${minutes.toFixed(1)} simulated minutes in ${seconds.toFixed(1)} s: ${(minutes / (seconds / 60)).toFixed(0)} a minute`,
      Object.entries(this.#sums)
        .map(([name, count]) => `${name} ${count}`)
        .join(', '),
      `faults: ${list(this.#faults)}`,
      ...(missed.length > 0 ? [`faults that no seed reached: ${missed.join(', ')}`] : []),
      `rules: ${list(this.#rules)}`,
    ]
  }
}
