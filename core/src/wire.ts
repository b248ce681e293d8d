/**
 * The contract of a wire: how one kind of client speaks with a node. A wire is a folder `wires/<name>/` that passes test/conformance/wire.ts
 * and is handed in at the composition root.
 *
 * ```
 *   socket ─message─▶ Session ─▶ Conversation.receive ─▶ session.attach, push, presence, …     what the client wants
 *   socket ◀─────────  Outflow ◀─ Conversation.attached, refused, … ◀─ Session ◀─ hub, lanes    what it is told
 *                         ▲────── encodeUpdate, once for all sessions of the wire ◀─ hub
 * ```
 *
 * The hub deals in entries and knows no bytes of any wire. What all wires share stays in one place whatever the bytes: admission, limits,
 * catching up, presence, expiry, erase and drain are `session.ts` and what it uses. A wire translates, and holds no more than a translator needs.
 * A subscriber that is no session (a change feed, a link) implements `Subscriber` and, if it sends bytes, a `SharedEncoder`.
 */

import type { Attachment } from './attachment.js'
import type { Principal, Redirect } from './effects.js'
import type { EngineName } from './engine.js'
import type { ErrorCode, MeridianError, Retry } from './errors.js'
import type { Hub } from './hub.js'
import type { DeviceId, DocumentName, Position, RegionId } from './ids.js'
import type { Lane, RefusedPush } from './lane.js'
import type { SessionLimits } from './limits.js'
import type { LiveGroup } from './live-group.js'
import type { SharedEncoder } from './shared-encoder.js'
import type { Version } from './version.js'

/** Sizes in bytes of what a wire sends. */
export interface Sizes {
  /** Frames of one flush that go in one message or, if they go apart, in one write. */
  readonly batch: number
  /** What is larger goes bit by bit, as the socket takes it. */
  readonly large: number
  /** Frames of that go together up to this size; a frame that is larger is split. */
  readonly piece: number
}

export interface Wire extends SharedEncoder {
  readonly name: string
  /**
   * Milliseconds that a close waits, unless the node stops, for clients that dial again at once whatever the code; 0 for those that know
   * better. Clients with a delay are also pinged, as they send nothing by themselves.
   */
  readonly refusalMs: number
  /** The same for a message that is too large, for clients that dial again and send it again. */
  readonly tooLargeMs?: number
  /** Whether what is admissible of a premature update is stored before the rest (SES2), as its clients send both in one and take no ack for all of it. */
  readonly storesParts: boolean
  /** What a session of this wire is held to. */
  limits(limits: SessionLimits): SessionLimits
  sizes(limits: SessionLimits): Sizes
  /** One large frame as several that the wire can put together again, or as it is. */
  split(frame: Uint8Array, limits: SessionLimits): readonly Uint8Array[]
  /** Begins to speak on a new connection. What the session calls comes later. */
  open(session: WireSession, request: WireRequest): Conversation
}

/** What a connection was opened with. */
export interface WireRequest {
  /** What stands behind the wire's own path, as it came: the document, for wires that have one a connection. */
  readonly path: string
  /** Of the query or a header, for wires that have none in their messages; empty if there was none. In no log. */
  readonly token: string
}

/** A wire on one connection. Whatever is sent here goes through the session's outflow. */
export interface Conversation {
  /** The connection is there: a wire whose server speaks first, or whose token came with the request, begins. */
  begin(): void
  /** One message of the client. @throws MeridianError what ends the connection. [hot] */
  receive(message: Uint8Array): void
  /** The client is known now. */
  welcome(principal: Principal): void
  /** A newer token took the place of the one before. */
  granted(principal: Principal): void

  /**
   * An attach succeeded. `catch up`: the cursor says what the client lacks, which follows. `later`: the wire finds that out by itself, and goes
   * on with `session.catchUpFrom`.
   */
  attached(attachment: Attachment, standing: { readonly behind: boolean }): 'catch up' | 'later'
  denied(channel: number, code: ErrorCode, retryAfterMs: number): void
  redirected(channel: number, redirects: readonly Redirect[]): void
  erased(attachment: Attachment): void
  /** An attachment is gone, for whatever reason. */
  detached(attachment: Attachment): void

  /** Called before frames of documents go out, for what has to be said first. [hot] */
  beforeUpdates(): void
  /** A stored state as a frame. */
  stateFrame(attachment: Attachment, state: Uint8Array): Uint8Array
  /** The client has everything up to the document's head now; undefined if that is not said. */
  currentFrame(attachment: Attachment): Uint8Array | undefined

  /** Pushes of a lane became durable; `lane.takeAck` says which. */
  acked(lane: Lane): void
  /** One push is durable, for a wire that says so of each. */
  saved?(counter: number): void
  refused(push: RefusedPush, retryAfterMs: number): void
  /** Called when a flush has frames to say last, such as acks, which say that everything before them was sent. */
  readonly hasLast: boolean
  last(add: (frame: Uint8Array) => void): void
  /** About once a second. */
  tick(nowMs: number): void
  /** The last words before the connection is closed. */
  goodbye(end: Ending): void
  /** The connection is gone. */
  closed?(): void
}

export interface Ending {
  readonly code: ErrorCode
  readonly retry: Retry
  readonly retryAfterMs: number
  /** For people; no names, content or tokens. */
  readonly text: string
}

/** What a client opens, and where it stands with it. */
export interface Opening {
  /** The client's number for it, unique while attached. */
  readonly channel: number
  readonly engine: EngineName
  readonly document: DocumentName
  /** The life that the client's copy belongs to; 0 if it has none. */
  readonly life: number
  /** What the client has received of this document (SES1). */
  readonly cursor: Version
  /** What the client has seen of the document's group (SES5). */
  readonly seen: Version
}

/** A session as its wire knows it: what a client can want, and where frames go. */
export interface WireSession {
  readonly hub: Hub
  readonly limits: SessionLimits
  readonly region: RegionId
  /** What the node calls this session; stands in presence. */
  readonly id: number
  readonly state: 'greeting' | 'authenticating' | 'open' | 'closed'
  /** Set by a wire whose clients name their pushes, before the first one. */
  device: DeviceId | undefined
  /** The first token, or a newer one of the same subject and tenant. */
  authenticate(token: string): void
  /** For a wire whose token came with the request: nothing more is read until it was checked, so that nothing has to be kept. */
  holdUntilKnown(): void
  attach(opening: Opening): void
  attachment(channel: number): Attachment | undefined
  holds(attachment: Attachment): boolean
  detach(attachment: Attachment): void
  /** A wire that found out by itself what the client lacked has told it everything up to `position`. */
  catchUpFrom(attachment: Attachment, position: Position): void
  /** [hot] */
  push(attachment: Attachment, counter: number, payload: Uint8Array): void
  /** The client goes on after a refusal. */
  resume(attachment: Attachment, counter: number): void
  /** Replaces what the client's pushes build on (SES5). */
  require(attachment: Attachment, seen: Version): void
  /** The client edits the document under this id (a Yjs client id), as it says itself. */
  claim(attachment: Attachment, author: number): void
  /** What the client shows of itself; empty: nothing more. @throws MeridianError LIMIT_PRESENCE */
  show(attachment: Attachment, payload: Uint8Array): void
  /** What is still shown here once another session shows the rest. Others hear of it from that one, so they are told nothing. */
  handOver(attachment: Attachment, payload: Uint8Array): void
  /** Ends the connection with a typed goodbye. @param reason of the close, 123 bytes at most; the code if absent. */
  fail(error: MeridianError, reason?: string): void

  /** A frame that stands for itself. */
  send(frame: Uint8Array): void
  /** A frame of a document's stream: in order, behind a large one that is under way. */
  stream(frame: Uint8Array): void
  /** Sends what was collected; needed only outside a call of the session's. */
  flush(): void
  /** True while the client does not take what it was sent, or a large frame is under way. */
  readonly stalled: boolean
  /** True if none of the group's documents that the client takes for current has missed something. */
  isAtHead(group: LiveGroup): boolean
}
