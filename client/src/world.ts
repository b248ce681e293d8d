/** Everything of the world that a client touches beside its store and its tabs; handed in by `io/`. */

import type { Clock, Random } from '@meridian/core/effects'

export interface SocketEvents {
  opened(): void
  message(bytes: Uint8Array): void
  lost(): void
}

export interface ClientSocket {
  send(message: Uint8Array): void
  close(): void
}

export interface ClientWorld {
  readonly clock: Clock
  readonly random: Random
  monotonicMs(): number
  /** Runs when the current synchronous work is over. */
  defer(run: () => void): void
  /** Calls back once; the answer calls it off. */
  after(ms: number, run: () => void): () => void
  /** Answers later, never before it returns; after `lost` no more. */
  dial(url: string, events: SocketEvents): ClientSocket
  /** The body of what this HTTP URL answers. Rejects for anything but a success within so many milliseconds. */
  get(url: string, timeoutMs: number): Promise<string>
  /** The user pays for what is sent, or has asked to save it. Default: no. */
  isMetered?(): boolean
  /** An exception of somebody's listener or observer, or of ours. */
  report(thrown: unknown): void
}
