/**
 * A run that goes wrong, made shorter as long as it goes wrong in the same way: first without one kind of fault after the other, then with fewer
 * devices, then with fewer actions (ddmin: Zeller & Hildebrandt, "Simplifying and isolating failure-inducing input", 2002).
 */

import type { Drawn } from './options.js'
import { type RunReport, run } from './run.js'

export interface Shrunk {
  readonly drawn: Drawn
  readonly report: RunReport
  readonly runCount: number
}

/** The rule that a run broke first, as it stands in front of the sentence. */
export const ruleOf = (report: RunReport): string | undefined => {
  const [first] = report.wrong
  return first === undefined ? undefined : (/^\[[^\]]*\]/.exec(first)?.[0] ?? first)
}

/** @param mayGoOn asked before each run. */
export async function shrink(drawn: Drawn, report: RunReport, mayGoOn: () => boolean): Promise<Shrunk> {
  const rule = ruleOf(report)
  let best = { drawn, report }
  let runCount = 0
  const tries = async (candidate: Drawn): Promise<boolean> => {
    if (!mayGoOn()) return false
    runCount++
    const found = await run(candidate)
    if (ruleOf(found) !== rule) return false
    best = { drawn: candidate, report: found }
    return true
  }
  // Nothing after the moment at which it was seen can have brought it about.
  const { wrongAtMs } = report
  const cut = drawn.actions.filter((action) => action.atMs <= (wrongAtMs ?? Number.POSITIVE_INFINITY))
  if (cut.length < drawn.actions.length) await tries({ ...drawn, actions: cut })
  for (const fault of drawn.options.faults) {
    const { options, actions } = best.drawn
    await tries({
      options: { ...options, faults: options.faults.filter((one) => one !== fault) },
      actions: actions.filter((action) => action.kind !== fault),
    })
  }
  for (const deviceCount of [2, 4, 8]) {
    const { options, actions } = best.drawn
    if (deviceCount < options.deviceCount && (await tries({ options: { ...options, deviceCount }, actions }))) break
  }
  for (let size = Math.ceil(best.drawn.actions.length / 2); size >= 1 && mayGoOn(); size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < best.drawn.actions.length && mayGoOn(); ) {
      const { options, actions } = best.drawn
      const without = [...actions.slice(0, from), ...actions.slice(from + size)]
      if (!(await tries({ options, actions: without }))) from += size
    }
  }
  return { ...best, runCount }
}
