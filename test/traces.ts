/**
 * Editing traces of real people, replayed into Yjs: what tests and benchmarks type when they need honest edits.
 *
 * The files are in `data/traces` (see ATTRIBUTION.md there). Two formats: a sequential trace is one author's list of edits, a
 * concurrent one names for every edit its author and its parents. Positions count UTF-16 units; the traces hold no astral characters,
 * and every replay is checked against the text that the trace ends with.
 */
import { existsSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import * as Y from 'yjs'

/** At `position`, delete `deleted` characters, then insert `inserted`. */
export type TracePatch = readonly [position: number, deleted: number, inserted: string]

export interface TraceEdit {
  /** Indices of the edits that this one was made after; only in concurrent traces. */
  readonly parents?: readonly number[]
  /** Author, 0-based; only in concurrent traces. */
  readonly agent?: number
  readonly patches: readonly TracePatch[]
}

export interface Trace {
  readonly name: TraceName
  readonly startContent: string
  readonly endContent: string
  /** Number of authors; 1 for a sequential trace. */
  readonly agentCount: number
  readonly txns: readonly TraceEdit[]
}

export const traceNames = ['automerge-paper', 'friendsforever', 'sveltecomponent'] as const
export type TraceName = (typeof traceNames)[number]

/** One edit of a concurrent trace as its author sent it. */
export interface ConcurrentUpdate {
  readonly agent: number
  /** 0-based place among its author's updates. */
  readonly index: number
  readonly update: Uint8Array
  /** For each author how many of its updates the author of this one held; `seen[agent]` is `index`. */
  readonly seen: readonly number[]
}

export interface ConcurrentReplay {
  /** By agent, in the order of making. Agent n used the Yjs client id n + 1. */
  readonly authors: readonly (readonly ConcurrentUpdate[])[]
  /** All of them in the order of the trace, which is a causal order. */
  readonly all: readonly ConcurrentUpdate[]
}

/** The name of the shared text that replays type into. */
export const traceTextName = 'text'

/** Reads and unpacks one trace; about 0.3 s for the longest. */
export function loadTrace(name: TraceName): Trace {
  const raw: unknown = JSON.parse(gunzipSync(readFileSync(tracePath(name))).toString('utf8'))
  if (typeof raw !== 'object' || raw === null) throw new Error(`trace ${name} is no object`)
  // The files are ours and unchanged; their end text is compared by every replay.
  const {
    startContent = '',
    endContent,
    numAgents = 1,
    txns,
  } = raw as { startContent?: string; endContent: string; numAgents?: number; txns: TraceEdit[] }
  return { name, startContent, endContent, agentCount: numAgents, txns }
}

/**
 * The Yjs updates (V1) of a sequential trace, one for each edit; first one more for the start content if there is any.
 * `limit` stops after so many edits; only a whole replay is checked against the end content.
 */
export function sequentialUpdates(trace: Trace, clientID: number, limit: number = trace.txns.length): Uint8Array[] {
  if (trace.agentCount !== 1) throw new Error(`trace ${trace.name} is concurrent`)
  const doc = typist(clientID)
  const text = doc.getText(traceTextName)
  const updates: Uint8Array[] = []
  doc.on('update', (update: Uint8Array) => updates.push(update))
  if (trace.startContent !== '') text.insert(0, trace.startContent)
  for (const edit of trace.txns.slice(0, limit)) type(doc, text, edit)
  if (limit >= trace.txns.length) checkEnd(trace, text)
  doc.destroy()
  return updates
}

/**
 * Replays a concurrent trace on one document an author, each of which holds exactly the history of an edit when the edit is made.
 * Client ids are 1 and 2 for agents 0 and 1; swapped ones would order a conflict otherwise than the end content does.
 */
export function concurrentUpdates(trace: Trace): ConcurrentReplay {
  const agents = Array.from({ length: trace.agentCount }, (_, agent) => agent)
  const docs = agents.map((agent) => typist(agent + 1))
  const authors: ConcurrentUpdate[][] = agents.map(() => [])
  const held = agents.map(() => agents.map(() => 0))
  const all: ConcurrentUpdate[] = []
  /** After each edit: how many updates of each author its history holds, itself included. */
  const histories: number[][] = []
  const made: Uint8Array[] = []
  for (const doc of docs) doc.on('update', (update: Uint8Array, origin: unknown) => void (origin === remote || made.push(update)))
  for (const edit of trace.txns) {
    const agent = edit.agent ?? 0
    const seen = agents.map(() => 0)
    for (const parent of edit.parents ?? []) {
      const history = at(histories, parent)
      for (const other of agents) seen[other] = Math.max(at(seen, other), at(history, other))
    }
    const doc = at(docs, agent)
    const own = at(authors, agent)
    const holds = at(held, agent)
    if (at(seen, agent) !== own.length) throw new Error(`trace ${trace.name}: an author branched off its own edits`)
    for (const other of agents) {
      if (other === agent) continue
      if (at(holds, other) > at(seen, other)) throw new Error(`trace ${trace.name}: an author forgot edits that it had seen`)
      for (; at(holds, other) < at(seen, other); holds[other] = at(holds, other) + 1) {
        Y.applyUpdate(doc, at(at(authors, other), at(holds, other)).update, remote)
      }
    }
    type(doc, doc.getText(traceTextName), edit)
    const update = made.pop()
    // An edit that changes nothing makes no update.
    if (update !== undefined) {
      const one: ConcurrentUpdate = { agent, index: own.length, update, seen: seen.slice() }
      own.push(one)
      all.push(one)
    }
    seen[agent] = own.length
    histories.push(seen)
  }
  const end = typist(agents.length + 1)
  for (const { update } of all) Y.applyUpdate(end, update)
  checkEnd(trace, end.getText(traceTextName))
  for (const doc of [...docs, end]) doc.destroy()
  return { authors, all }
}

const remote = Symbol('remote')

function typist(clientID: number): Y.Doc {
  const doc = new Y.Doc()
  doc.clientID = clientID
  return doc
}

function type(doc: Y.Doc, text: Y.Text, edit: TraceEdit): void {
  doc.transact(() => {
    for (const [position, deleted, inserted] of edit.patches) {
      if (deleted > 0) text.delete(position, deleted)
      if (inserted !== '') text.insert(position, inserted)
    }
  })
}

function checkEnd(trace: Trace, text: Y.Text): void {
  if (text.toString() !== trace.endContent) throw new Error(`trace ${trace.name}: the replay ends with another text`)
}

/** Beside the source, or one folder up when run from `dist`. */
function tracePath(name: TraceName): URL {
  const beside = new URL(`./data/traces/${name}.json.gz`, import.meta.url)
  return existsSync(beside) ? beside : new URL(`../data/traces/${name}.json.gz`, import.meta.url)
}

function at<T>(list: readonly T[], index: number): T {
  const value = list[index]
  if (value === undefined) throw new Error(`no element ${index}`)
  return value
}
