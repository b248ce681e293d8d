/** Automerge changes that break a rule: bytes of honest ones changed, with length and checksum made right again. */
import * as A from '@automerge/automerge'
import { digest as sha256 } from 'lib0/hash/sha256'
import { inspectLimits } from '@meridian/core/engine'
import { MeridianError } from '@meridian/core/errors'
import { automergeWithContent as engine } from '@meridian/core/engines/automerge-content'
import { automergeHistory } from './automerge-edits.js'
import { randomOf } from './yjs-edits.js'

/** The chunk of a change with this body. */
export function chunkOf(body: Uint8Array, type = 1): Uint8Array {
  const length: number[] = []
  for (let rest = body.length; ; rest = Math.floor(rest / 128)) {
    length.push(rest > 127 ? (rest & 127) | 128 : rest)
    if (rest < 128) break
  }
  const named = Uint8Array.from([type, ...length, ...body])
  return Uint8Array.from([0x85, 0x6f, 0x4a, 0x83, ...sha256(named).subarray(0, 4), ...named])
}

/** The body of the only chunk of `update`. */
export function bodyOf(update: Uint8Array): Uint8Array {
  let at = 9
  while ((update[at] ?? 0) > 127) at++
  return update.subarray(at + 1)
}

export interface Mutated {
  refused: number
  nothing: number
  premature: number
  contradiction: number
  new: number
  /** What inspection took, Automerge does not: seed and bytes. */
  readonly failures: string[]
}

export function mutateAutomerge(first: number, count: number): Mutated {
  const seen: Mutated = { refused: 0, nothing: 0, premature: 0, contradiction: 0, new: 0, failures: [] }
  for (let seed = first, tried = 0; tried < count; seed++) {
    const random = randomOf(seed)
    const updates = automergeHistory(seed, { editCount: 12 })
    const at = random(updates.length)
    const base = updates.slice(0, at)
    const honest = updates[at] ?? new Uint8Array()
    const index = engine.emptyIndex()
    for (const update of base) engine.include(index, engine.inspect(update, inspectLimits))
    for (let mutation = 0; mutation < 100; mutation++, tried++) {
      const body = [...bodyOf(honest)]
      for (let changes = 1 + random(3); changes > 0; changes--) {
        const place = random(body.length)
        const how = random(8)
        if (how === 0) body.splice(place, 1)
        else if (how === 1) body.splice(place, 0, random(256))
        else if (how < 5) body[place] = ((body[place] ?? 0) + ([1, 255, 2, 128][random(4)] ?? 0)) & 255
        else body[place] = random(256)
      }
      tryOne(seen, { seed, base, mutated: chunkOf(Uint8Array.from(body)), index })
    }
  }
  return seen
}

function tryOne(
  seen: Mutated,
  {
    seed,
    base,
    mutated,
    index,
  }: { seed: number; base: readonly Uint8Array[]; mutated: Uint8Array; index: ReturnType<typeof engine.emptyIndex> },
): void {
  let judgement
  try {
    judgement = engine.judge(index, engine.inspect(mutated, inspectLimits))
  } catch (thrown) {
    if (!(thrown instanceof MeridianError) || thrown.code !== 'UPDATE_INVALID') throw thrown
    seen.refused++
    return
  }
  seen[judgement]++
  if (judgement !== 'new') return
  const what = `${seed} ${Buffer.from(mutated).toString('hex')}`
  let step = 'apply'
  try {
    let doc = A.applyChanges(A.init({ actor: 'ff' }), [...base, mutated])[0]
    step = 'take'
    if (A.getAllChanges(doc).length !== base.length + 1) throw new Error('not taken')
    step = 'save'
    const saved = A.save(doc)
    step = 'load'
    const again = A.load(saved, { actor: 'fe' })
    step = 'compare'
    if (A.getHeads(again).join() !== A.getHeads(doc).join()) throw new Error('other heads')
    if (JSON.stringify(again) !== JSON.stringify(doc)) throw new Error('other content')
    step = 'read'
    engine.read([...base, mutated], { kind: 'json' })
    A.free(doc)
    A.free(again)
  } catch (thrown) {
    seen.failures.push(`${step}: ${String(thrown).slice(0, 120)} ${what}`)
  }
}
