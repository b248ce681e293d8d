/** Everything that people typed in the traces: no honest update is refused, none is premature, and the index ends as the document does. */
import { expect, it } from 'vitest'
import * as Y from 'yjs'
import { inspectLimits } from '@meridian/core/engine'
import { yjsEngine } from '@meridian/core/engines/yjs'
import { codeOf, hex } from '../../conformance/engine.js'
import { concurrentUpdates, loadTrace, sequentialUpdates, traceNames, traceTextName } from '../../traces.js'

it.each(traceNames)(
  'given the trace %s typed edit by edit, when each update is judged, then all are new, and the snapshot has the text and the index',
  (name) => {
    const trace = loadTrace(name)
    const updates =
      trace.agentCount === 1 ? sequentialUpdates(trace, 0xfeed_beef) : concurrentUpdates(trace).all.map(({ update }) => update)
    const index = yjsEngine.emptyIndex()
    const counts = { new: 0, nothing: 0, premature: 0, contradiction: 0 }
    for (const update of updates) {
      const inspection = yjsEngine.inspect(update, inspectLimits)
      counts[yjsEngine.judge(index, inspection)]++
      yjsEngine.include(index, inspection)
    }
    expect(counts).toEqual({ new: updates.length, nothing: 0, premature: 0, contradiction: 0 })

    const state = yjsEngine.snapshot(updates)
    expect(hex(state.index)).toBe(hex(yjsEngine.encodeIndex(index)))
    expect(yjsEngine.judge(index, yjsEngine.inspect(state.bytes, inspectLimits))).toBe('nothing')
    const doc = new Y.Doc()
    doc.clientID = 7
    Y.applyUpdate(doc, state.bytes)
    expect(doc.getText(traceTextName).toString()).toBe(trace.endContent)
    expect(yjsEngine.digest([state.bytes])).toBe(yjsEngine.digest(updates))
  },
  30_000,
)

it('given each author of a concurrent trace alone, when its updates come without those that they build on, then the first that needs one is premature', () => {
  const { authors } = concurrentUpdates(loadTrace('friendsforever'))
  const [, author = []] = authors
  const index = yjsEngine.emptyIndex()
  const waiting = author.find(({ update }) => {
    const inspection = yjsEngine.inspect(update, inspectLimits)
    if (yjsEngine.judge(index, inspection) === 'premature') return true
    yjsEngine.include(index, inspection)
    return false
  })
  expect(waiting?.seen[0]).toBeGreaterThan(0)
  const held = author.slice(0, waiting?.index).map(({ update }) => update)
  expect(codeOf(() => yjsEngine.snapshot([...held, waiting?.update ?? new Uint8Array()]))).toBe('UPDATE_INVALID')
})
