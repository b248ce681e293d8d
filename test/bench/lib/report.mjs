// Tables for people.

/** @param {number[]} values @returns {import('./goals.mjs').Summary | undefined} */
export function summary(values) {
  const sorted = values.filter((value) => Number.isFinite(value)).sort((a, b) => a - b)
  const count = sorted.length
  if (count === 0) return undefined
  const half = Math.floor(count / 2)
  const median = count % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
  return { median, min: sorted[0], max: sorted[count - 1], count }
}

/** @param {number} value @param {number} digits */
export const show = (value, digits) =>
  value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })

/** @param {import('./goals.mjs').Summary | undefined} one @param {number} digits */
function cell(one, digits) {
  if (one === undefined) return '–'
  const median = show(one.median, digits)
  return one.count === 1 ? median : `${median} (${show(one.min, digits)}–${show(one.max, digits)})`
}

/** Left column left, the others right. @param {string[][]} rows the first is the head. */
export function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => [...row[column]].length)))
  const line = (/** @type {string[]} */ row) =>
    `| ${row.map((text, column) => (column === 0 ? text.padEnd(widths[column]) : text.padStart(widths[column]))).join(' | ')} |`
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`
  return [line(rows[0]), rule, ...rows.slice(1).map(line)].join('\n')
}

/** What ratios are taken against, if it is in the run. */
const REFERENCES = ['hocuspocus', 'y-websocket', 'raw-log', 'meridian']
const OURS = 'meridian'

/**
 * @param {import('./goals.mjs').Row} row
 * @param {CaseResult[]} cases
 * @returns {string}
 *
 * @typedef {object} CaseResult
 * @property {any} params
 * @property {{ name: string, notRun?: string, runs: Record<string, any>[], failures: string[] }[]} targets
 */
export function report(row, cases) {
  const out = [`\n## ${row.name}: ${row.title}\n`]
  /** @param {CaseResult | undefined} one @param {string} target @param {string} key */
  const summaryOf = (one, target, key) => {
    const values = one?.targets.find(({ name }) => name === target)?.runs.map((run) => run[key]) ?? []
    return summary(values.filter((value) => typeof value === 'number'))
  }
  for (const one of cases) {
    const references = REFERENCES.filter((name) => one.targets.some((target) => target.name === name && target.runs.length > 0))
    const head = [one.params.name]
    for (const figure of row.figures) {
      head.push(figure.label)
      if (figure.ratio) head.push(...references.map((name) => `÷ ${name}`))
    }
    const rows = [head]
    /** @type {string[]} */
    const remarks = []
    for (const target of one.targets) {
      const cells = [target.name]
      for (const figure of row.figures) {
        const mine = summaryOf(one, target.name, figure.key)
        cells.push(target.runs.length > 0 ? cell(mine, figure.digits) : target.failures.length > 0 ? 'FAILED' : 'not run')
        if (!figure.ratio) continue
        for (const name of references) {
          const other = summaryOf(one, name, figure.key)
          cells.push(
            mine === undefined || other === undefined || other.median === 0 ? '–' : (mine.median / other.median).toFixed(2),
          )
        }
      }
      rows.push(cells)
      if (target.notRun !== undefined) remarks.push(`${target.name}: not run: ${target.notRun}`)
      for (const failure of target.failures) remarks.push(`${target.name}: a run FAILED: ${failure.split('\n')[0]}`)
    }
    const goals = row.figures.map((figure) => figure.goalFor?.(one.params) ?? figure.goal)
    if (goals.some((goal) => goal !== undefined)) {
      const cells = ['goal']
      row.figures.forEach((figure, index) => {
        const goal = goals[index]
        const mine = summaryOf(one, OURS, figure.key)
        const met =
          goal === undefined || mine === undefined
            ? undefined
            : goal.met(mine, ({ target = OURS, caseName }) => {
                const where = caseName === undefined ? one : cases.find(({ params }) => params.name === caseName)
                return summaryOf(where, target, figure.key)?.median
              })
        cells.push(goal === undefined ? '' : `${goal.text}${met === undefined ? '' : met ? ' met' : ' MISSED'}`)
        if (figure.ratio) cells.push(...references.map(() => ''))
      })
      rows.push(cells)
    }
    out.push(table(rows), ...remarks, '')
  }
  for (const note of row.notes ?? []) out.push(`(${note})`)
  return out.join('\n')
}
