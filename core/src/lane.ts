/**
 * The pushes of one session in one group, in order (SES2). The first one that cannot be admitted yet holds up those behind it; one that
 * is refused drops them, until the client resumes at that counter or beyond it (go-back-N, as in a sliding window protocol).
 *
 * ```
 *   push ─▶ waiting ─▶ known? ─▶ loaded? ─▶ allowed? ─▶ visible? (SES5) ─▶ inspected ─▶ judged ─▶ hub ─▶ ack
 *                        │                     │            │                  │          │
 *                      acked                refused   NOT_YET_VISIBLE    UPDATE_INVALID  PREMATURE, or nothing new (SES7)
 * ```
 */

import type { Attachment } from './attachment.js'
import { sameBytes } from './bytes.js'
import type { Engine, EngineIndex, Inspection, InspectLimits, IsForeign } from './engine.js'
import { inspectLimits } from './engine.js'
import type { AsideError } from './engine-aside.js'
import type { ErrorCode } from './errors.js'
import { toMeridianError } from './errors.js'
import type { Receipt } from './commit-queue.js'
import type { Hub, Pushed } from './hub.js'
import type { DeviceId } from './ids.js'
import type { SessionLimits } from './limits.js'
import type { LiveDocument } from './live-document.js'
import type { LiveGroup } from './live-group.js'
import type { LogErrorCode } from './log.js'
import type { Subscriber } from './subscription.js'
import type { Version } from './version.js'
import { emptyVersion } from './version.js'

/** What a lane tells its session. */
export interface LaneSession extends Subscriber {
  /** Names its pushes together with their counters; without one a resend is not recognised, and no push is remembered. */
  readonly device: DeviceId | undefined
  /** Whether what is admissible of a premature push is stored before the rest (SES2). Only where nobody takes an ack for the whole of it. */
  readonly storesParts: boolean
  /** Who it is; undefined for who has no session. */
  readonly subject: string | undefined
  /** Something of this lane is to be acked at the next flush. */
  acked(lane: Lane): void
  /** This push is durable, all of it. */
  saved?(counter: number): void
  refused(push: RefusedPush): void
  /** Work went on outside a message of this session's; flush what came of it. */
  flush(): void
}

export interface RefusedPush {
  readonly channel: number
  readonly counter: number
  readonly code: ErrorCode
  readonly missing: Version
  /** Of a premature update, if it can be told: as long as this is judged so, so is the update. */
  readonly lacking?: Inspection
}

/** The newest push that is saved, waiting to be told. */
export interface PendingAck {
  readonly counter: number
  readonly replica: number
  readonly sequence: number
}

interface WaitingPush {
  readonly attachment: Attachment
  readonly counter: number
  payload: Uint8Array
  /** When it came, or when it was looked into beside the loop: it waits for others only since then. */
  since: number
  /** True once the payload was copied out of the socket's buffer. */
  kept: boolean
  /** What it holds, or why it is refused; undefined until it was looked into. */
  inspection: Inspection | ErrorCode | undefined
  /** It without what was held when that was cut off beside the loop. */
  rest: { readonly overlap: Uint8Array; readonly update: Uint8Array | AsideError } | undefined
  /** What of it is admissible while it is premature: empty if it is not to be looked for again, undefined until it was. */
  part: Uint8Array | AsideError | undefined
  /** If it was judged premature last, what it lacked: as long as that is not held, it need not be judged again. */
  lacking: Inspection | undefined
  /** What it lacked is an edit that somebody else has to bring. */
  isForeign: boolean
  /** It is such a part itself. */
  readonly isPart: boolean
  /** Work on it goes on beside the loop. */
  aside: boolean
}

/** Pushes that may let others pass while they wait, and of which one session without names may have as many waiting before it is not read from. */
const asideMax = 256

type Step =
  | 'done'
  | 'wait'
  | { readonly kind: 'refuse'; readonly code: ErrorCode }
  /** This goes first. */
  | { readonly kind: 'part'; readonly update: Uint8Array }

const refuse = (code: ErrorCode): Step => ({ kind: 'refuse', code })

const noPart = new Uint8Array(0)

export class Lane implements Receipt {
  readonly group: LiveGroup
  readonly #hub: Hub
  readonly #session: LaneSession
  readonly #limits: SessionLimits
  readonly #inspectLimits: InspectLimits
  readonly #waiting: WaitingPush[] = []
  /** What this device had pushed before this session: asked for with the first push. */
  #known: 'not asked' | 'asked' | 'known' = 'not asked'
  /** Highest counter that was admitted, and that is saved. */
  #admitted = 0
  #saved = 0
  /** Counter at which a refusal stopped the lane. */
  #stoppedAt: number | undefined
  #unackedBytes = 0
  #working = false
  #closed = false
  /** Why the first push waits, with a deadline on some. */
  #holdup: 'none' | 'log' | 'aside' | 'premature' | 'not visible' = 'none'
  /** Bytes that were looked into since others had their turn. */
  #inlineBytes = 0
  /** Others have their turn. */
  #yielded = false
  /** The session token, until the region covers it (SES5). */
  #required: Version | undefined
  #ack: PendingAck | undefined
  /** Dot of the newest saved push; sequence 0 if nothing of it has a dot. */
  #lastDot: { readonly replica: number; readonly sequence: number } = { replica: 0, sequence: 0 }

  constructor(hub: Hub, session: LaneSession, group: LiveGroup, limits: SessionLimits) {
    this.#hub = hub
    this.#session = session
    this.group = group
    this.#limits = limits
    if (session.device === undefined) this.#known = 'known'
    this.#inspectLimits = { ...inspectLimits, updateBytesMax: limits.updateBytesMax }
  }

  get unackedBytes(): number {
    return this.#unackedBytes
  }

  get waitingCount(): number {
    return this.#waiting.length
  }

  /** Names what pushes of this lane build on. An empty or covered version lets them pass. */
  require(seen: Version): void {
    this.#required = this.group.lacks(seen) === undefined ? undefined : seen
  }

  receive(attachment: Attachment, counter: number, payload: Uint8Array): void {
    if (this.#stoppedAt !== undefined) return
    const { unackedBytesMax, waitingPushesMax } = this.#limits
    // Who cannot be told to stop is not read from instead (`isFull`).
    const isOver = this.#named && this.#unackedBytes > 0 && this.#unackedBytes + payload.length > unackedBytesMax
    if (isOver || this.#waiting.length >= waitingPushesMax) {
      // What waits in front of it goes on: it was not refused, and a later ack would say that it is saved.
      this.#stop({ channel: attachment.channel, counter, code: 'LIMIT_UNACKED', missing: emptyVersion })
      return
    }
    this.#waiting.push(this.#push(attachment, counter, payload, 'whole'))
    this.work()
    const last = this.#waiting.at(-1)
    if (last !== undefined) this.#keep(last)
  }

  #push(attachment: Attachment, counter: number, payload: Uint8Array, kind: 'whole' | 'part'): WaitingPush {
    this.#unackedBytes += payload.length
    return {
      attachment,
      counter,
      payload,
      since: this.#hub.stopwatch.ms,
      kept: false,
      inspection: undefined,
      rest: undefined,
      part: kind === 'part' || !this.#session.storesParts ? noPart : undefined,
      lacking: undefined,
      isForeign: false,
      isPart: kind === 'part',
      aside: false,
    }
  }

  #keep(push: WaitingPush): void {
    if (push.kept) return
    // Not `slice`, which is a view if these bytes are a Buffer of Node.js.
    push.payload = new Uint8Array(push.payload)
    push.kept = true
    this.#hub.hold(push.attachment.document)
  }

  /** The client goes on after a refusal. */
  resume(counter: number): void {
    if (this.#stoppedAt !== undefined && counter >= this.#stoppedAt) this.#stoppedAt = undefined
  }

  /** Admits what can be admitted, in order. [hot] */
  work(): void {
    if (this.#working || this.#closed || this.#yielded) return
    this.#working = true
    let aside = Math.min(this.#waiting.length - 1, asideMax)
    for (;;) {
      const first = this.#waiting[0]
      if (first === undefined) break
      if (this.#inlineBytes >= this.#hub.limits.inlineBytesMax) {
        this.#yield()
        break
      }
      this.#holdup = 'none'
      const step = this.#admit(first)
      if (step === 'wait') {
        if (!this.#mayStepAside(aside--)) break
        this.#keep(first)
        this.#waiting.shift()
        this.#waiting.push(first)
        continue
      }
      if (step === 'done') {
        this.#waiting.shift()
        if (first.kept) this.#hub.letGo(first.attachment.document)
        continue
      }
      if (step.kind === 'part') {
        this.#keep(first)
        const part = this.#push(first.attachment, first.counter, step.update, 'part')
        this.#keep(part)
        this.#waiting.unshift(part)
        continue
      }
      this.#refuse(first.attachment, first.counter, step.code, emptyVersion)
      break
    }
    this.#working = false
  }

  /** Pushes without names are in no order, so that what comes too early lets others pass: they may bring what it builds on (SES2). */
  #mayStepAside(left: number): boolean {
    return left > 0 && this.#holdup === 'premature' && !this.#named
  }

  get #named(): boolean {
    return this.#session.device !== undefined
  }

  /** True while its client may send no more, and is not to be read from if it cannot be told so. */
  get isFull(): boolean {
    return !this.#named && (this.#unackedBytes > this.#limits.unackedBytesMax || this.#waiting.length >= asideMax)
  }

  tick(): void {
    const nowMs = this.#hub.stopwatch.ms
    if (this.#holdup === 'not visible') this.work()
    if (!this.#named) this.#expire(nowMs)
    const first = this.#waiting[0]
    if (first === undefined || nowMs - first.since < this.#limits.waitMs) return
    if (this.#holdup === 'premature' && this.#named) this.#refuse(first.attachment, first.counter, 'PREMATURE', emptyVersion)
    else if (this.#holdup === 'not visible') {
      this.#refuse(
        first.attachment,
        first.counter,
        'NOT_YET_VISIBLE',
        this.group.lacks(this.#required ?? emptyVersion) ?? emptyVersion,
      )
    }
  }

  /** Pushes without names are in no order: those that waited too long are refused, and no others. */
  #expire(nowMs: number): void {
    const isOver = (push: WaitingPush): boolean => push.lacking !== undefined && nowMs - push.since >= this.#limits.waitMs
    if (!this.#waiting.some(isOver)) return
    const waiting = this.#waiting.splice(0)
    this.#waiting.push(...waiting.filter((push) => !isOver(push)))
    for (const push of waiting.filter(isOver)) {
      const { lacking } = push
      this.#forget(push)
      this.#session.refused({
        channel: push.attachment.channel,
        counter: push.counter,
        code: 'PREMATURE',
        missing: emptyVersion,
        ...(lacking === undefined ? {} : { lacking }),
      })
    }
    this.work()
  }

  takeAck(): PendingAck | undefined {
    const ack = this.#ack
    this.#ack = undefined
    return ack
  }

  /** The session is gone; what is on its way into the log goes on. */
  close(): void {
    this.#closed = true
    this.#dropWaiting()
  }

  saved(counter: number, bytes: number, replica: number, sequence: number): void {
    this.#unackedBytes -= bytes
    if (counter > this.#saved) this.#saved = counter
    this.#lastDot = { replica, sequence }
    this.#ack = { counter: this.#saved, replica, sequence }
    if (this.#closed) return
    this.#session.acked(this)
    this.#session.saved?.(counter)
  }

  /** The rest of a push may wait for long, and is told apart. */
  readonly #partReceipt: Receipt = {
    saved: (_counter, bytes) => {
      this.#unackedBytes -= bytes
    },
    failed: (...push) => this.failed(...push),
  }

  failed(channel: number, counter: number, bytes: number, code: LogErrorCode): void {
    this.#unackedBytes -= bytes
    this.#admitted = Math.min(this.#admitted, counter - 1)
    if (this.#closed || (this.#stoppedAt !== undefined && this.#stoppedAt <= counter)) return
    this.#dropWaiting()
    this.#stop({ channel, counter, code, missing: emptyVersion })
  }

  /** [hot] */
  #admit(push: WaitingPush): Step {
    if (this.#known !== 'known' && this.#session.device !== undefined) return this.#ask()
    if (this.#named && push.counter <= this.#admitted) {
      // A resend of what is on its way, or of what is saved: only the latter is acked now.
      this.#unackedBytes -= push.payload.length
      if (push.counter <= this.#saved && this.#ack === undefined) this.#ackKnown()
      return 'done'
    }
    const { attachment } = push
    const { document } = attachment
    if (document.state === 'loading') return this.#waitFor(document.waiting)
    if (document.state !== 'ready') return refuse(document.state)
    if (document.ended && attachment.mode === 'open') return refuse('ERASED')
    // An erase is on its way into the log: what it ends is not known before it is durable.
    if (document.erasing > 0) return this.#waitFor(document.waiting)
    if (attachment.access !== 'write') return refuse('WRITE_DENIED')
    if (push.payload.length > this.#limits.updateBytesMax) return refuse('UPDATE_TOO_LARGE')
    const decision = this.#hub.effects.admit('store', document.name)
    if (decision.kind === 'no' || decision.group !== document.group.id) return refuse('NOT_PLACED_HERE')
    if (this.#required !== undefined) {
      if (this.group.lacks(this.#required) !== undefined) {
        this.#hub.recheck(this.group)
        this.#holdup = 'not visible'
        return 'wait'
      }
      this.#required = undefined
    }
    if ((document.engine ?? attachment.engine) !== attachment.engine) return refuse('ENGINE_MISMATCH')
    if (attachment.mode === 'create') {
      if (document.ended && !document.isBeginning) this.#hub.beginLife(document, attachment.engine)
      else if (document.engine !== undefined) {
        // Somebody else began it. Told when that is durable, as everything is.
        attachment.mode = 'found'
        this.#admitted = push.counter
        this.#hub.barrier(document, this.#pushed(push))
        return 'done'
      }
    }
    const loaded = this.#hub.index(document, attachment.engine, this.#retry)
    if (typeof loaded === 'string') return refuse(loaded)
    if (loaded === undefined) {
      this.#holdup = 'log'
      return 'wait'
    }
    const { engine, index } = loaded
    const inspection = this.#inspect(push, engine)
    if (inspection === 'wait') return 'wait'
    if (typeof inspection === 'string') return refuse(inspection)
    const isForeign = this.#foreignTo(document)
    const foreign = isForeign && engine.foreign(index, inspection, isForeign)
    if (push.isForeign) this.#lookAgain(push, engine, index)
    push.isForeign = foreign !== undefined
    const stillLacks = push.lacking !== undefined && engine.judge(index, push.lacking) === 'premature'
    const judgement = push.isForeign || stillLacks ? 'premature' : engine.judge(index, inspection)
    if (!stillLacks) push.lacking = foreign ?? (judgement === 'premature' ? engine.lacking(index, inspection) : undefined)
    if (judgement === 'premature') {
      const part = this.#part(push, { engine, index, inspection })
      if (part === 'wait') return 'wait'
      if (typeof part === 'string') return refuse(part)
      if (part.length > 0) return { kind: 'part', update: part }
      this.#holdup = 'premature'
      document.premature.add(this.#retry)
      return 'wait'
    }
    document.premature.delete(this.#retry)
    if (judgement === 'contradiction') return refuse('UPDATE_INVALID')
    const payload = judgement === 'nothing' ? undefined : this.#cut(push, { engine, index, inspection })
    if (payload === 'wait') return 'wait'
    if (typeof payload === 'string') return refuse(payload)
    if (payload !== undefined && document.bytes + payload.length > this.#limits.documentBytesMax) {
      this.#hub.makeRoom(document)
      return refuse('DOCUMENT_TOO_LARGE')
    }
    if (payload !== undefined && engine.authorsWith(index, inspection) > this.#limits.documentAuthorsMax)
      return refuse('DOCUMENT_TOO_LARGE')
    this.#admitted = push.counter
    if (payload === undefined && push.isPart) {
      this.#unackedBytes -= push.payload.length
      return 'done'
    }
    if (payload === undefined) {
      this.#hub.barrier(document, this.#pushed(push))
      return 'done'
    }
    engine.include(index, inspection)
    this.#hub.append(document, payload, decision.epoch, this.#pushed(push))
    if (document.premature.size > 0) for (const run of [...document.premature]) run()
    return 'done'
  }

  /** Somebody has brought more of what they alone may bring, or may be done: what builds on that may be admissible now. */
  #lookAgain(push: WaitingPush, engine: Engine, index: EngineIndex): void {
    const grew = push.lacking === undefined || engine.judge(index, push.lacking) !== 'premature'
    push.lacking = undefined
    if (grew && !push.isPart && this.#session.storesParts) push.part = undefined
  }

  /** Undefined while nobody has said who edits under which id. [hot] */
  #foreignTo({ writers }: LiveDocument): IsForeign | undefined {
    if (writers === undefined) return undefined
    const { subject } = this.#session
    const nowMs = this.#hub.effects.clock.now()
    return (author) => writers.isOfOther(author, subject, nowMs)
  }

  /** What is large is looked into beside the loop; those behind it wait. */
  #inspect(push: WaitingPush, engine: Engine): Inspection | ErrorCode | 'wait' {
    if (push.inspection !== undefined) return push.inspection
    const { aside } = this.#hub.effects
    if (push.payload.length > this.#hub.limits.inlineBytesMax) {
      return this.#beside(push, (done) =>
        aside.inspect(engine.name, push.payload, this.#inspectLimits, (answer) => {
          push.inspection = answer
          done()
        }),
      )
    }
    this.#inlineBytes += push.payload.length
    try {
      push.inspection = engine.inspect(push.payload, this.#inspectLimits)
    } catch (thrown) {
      push.inspection = toMeridianError(thrown).code
    }
    return push.inspection
  }

  /** What of a premature update is admissible, said once. */
  #part(
    push: WaitingPush,
    { engine, index, inspection }: { readonly engine: Engine; readonly index: EngineIndex; readonly inspection: Inspection },
  ): Uint8Array | AsideError | 'wait' {
    const { payload, part } = push
    if (part !== undefined) {
      push.part = noPart
      return part
    }
    const basis = engine.basis(index, inspection, this.#foreignTo(push.attachment.document))
    if (payload.length > this.#hub.limits.inlineBytesMax) {
      return this.#beside(push, (done) =>
        this.#hub.effects.aside.admissible(engine.name, payload, basis, (answer) => {
          push.part = answer
          done()
        }),
      )
    }
    this.#inlineBytes += payload.length
    push.part = noPart
    return engine.admissible(payload, basis)
  }

  /** The update without what is held. Others may have brought more of that while it was cut: then once more, which ends, as what is held only grows. */
  #cut(
    push: WaitingPush,
    { engine, index, inspection }: { readonly engine: Engine; readonly index: EngineIndex; readonly inspection: Inspection },
  ): Uint8Array | AsideError | 'wait' {
    const { payload, rest } = push
    const overlap = engine.overlap(index, inspection)
    if (overlap === undefined) return payload
    if (rest !== undefined && sameBytes(rest.overlap, overlap)) return rest.update
    if (payload.length <= this.#hub.limits.inlineBytesMax) return engine.cut(payload, overlap)
    return this.#beside(push, (done) =>
      this.#hub.effects.aside.cut(engine.name, payload, overlap, (update) => {
        push.rest = { overlap, update }
        done()
      }),
    )
  }

  /** Nothing of the push is worked on twice at once, however often its turn comes meanwhile. */
  #beside(push: WaitingPush, begin: (done: () => void) => void): 'wait' {
    this.#holdup = 'aside'
    if (push.aside) return 'wait'
    push.aside = true
    this.#keep(push)
    begin(() => {
      push.aside = false
      push.since = this.#hub.stopwatch.ms
      this.#retry()
    })
    return 'wait'
  }

  /** A message may hold very many updates, and each is cheap: what comes next waits until other sockets were read. */
  #yield(): void {
    this.#yielded = true
    this.#hub.effects.schedule(() => {
      this.#yielded = false
      this.#inlineBytes = 0
      this.#retry()
    }, 'end of turn')
  }

  #pushed({ attachment, counter, payload, isPart }: WaitingPush): Pushed {
    const { device } = this.#session
    const name = device === undefined ? undefined : { device, counter }
    return {
      name,
      counter,
      engine: attachment.engine,
      bytes: payload.length,
      receipt: isPart ? this.#partReceipt : this,
      origin: attachment,
    }
  }

  readonly #retry = (): void => {
    if (this.#closed || this.#working) return
    this.work()
    this.#session.flush()
  }

  #waitFor(list: (() => void)[]): Step {
    this.#holdup = 'log'
    list.push(this.#retry)
    return 'wait'
  }

  /** SES2: what this device pushed here before, in an earlier session, so that a resend is recognised. */
  #ask(): Step {
    const { device } = this.#session
    this.#holdup = 'log'
    if (this.#known === 'asked' || device === undefined) return 'wait'
    this.#known = 'asked'
    this.#hub.effects.log.lastPush(this.group.id, device, (outcome) => {
      if (this.#closed) return
      if (outcome.kind === 'failed') {
        this.#known = 'not asked'
        const first = this.#waiting[0]
        if (first !== undefined) this.#refuse(first.attachment, first.counter, outcome.code, emptyVersion)
      } else {
        this.#known = 'known'
        if (outcome.value !== undefined) {
          this.#admitted = Math.max(this.#admitted, outcome.value.counter)
          this.#saved = Math.max(this.#saved, outcome.value.counter)
          this.#lastDot = { replica: this.#hub.replicaIndex(outcome.value.replica), sequence: outcome.value.sequence }
        }
      }
      this.#retry()
    })
    return 'wait'
  }

  #ackKnown(): void {
    this.#ack = { counter: this.#saved, ...this.#lastDot }
    this.#session.acked(this)
  }

  #refuse(attachment: Attachment, counter: number, code: ErrorCode, missing: Version): void {
    this.#dropWaiting()
    this.#stop({ channel: attachment.channel, counter, code, missing })
  }

  #stop(push: RefusedPush): void {
    this.#stoppedAt = push.counter
    this.#session.refused(push)
  }

  #dropWaiting(): void {
    for (const push of this.#waiting.splice(0)) this.#forget(push)
    this.#holdup = 'none'
  }

  #forget(push: WaitingPush): void {
    const { document } = push.attachment
    this.#unackedBytes -= push.payload.length
    document.premature.delete(this.#retry)
    if (push.kept) this.#hub.letGo(document)
  }
}
