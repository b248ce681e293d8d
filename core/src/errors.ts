/**
 * The closed table of operating errors: what can go wrong with a peer, a disk or a user, and what to do about it.
 *
 * A code is for ever; a message may change. `close` is the WebSocket close code when the error ends a connection, and `retry`
 * says what a client does next. Names, bytes and tokens of documents stand in no message; `cause` stays on this side of the wire.
 * Programmer errors are `assert`, and expected outcomes are return values.
 */

export type Retry = 'now' | 'backoff' | 'never'

interface ErrorRow {
  /** What a code is on the wire; never reused, never renumbered. */
  readonly number: number
  /** WebSocket close code (RFC 6455, section 7.4) when the error ends the connection. */
  readonly close: number
  readonly retry: Retry
}

const rows = {
  INTERNAL: { number: 1, close: 1011, retry: 'backoff' },
  FRAME_INVALID: { number: 2, close: 4400, retry: 'never' },
  FRAME_TOO_LARGE: { number: 3, close: 4413, retry: 'never' },
  PROTOCOL_UNSUPPORTED: { number: 4, close: 4426, retry: 'never' },
  HELLO_TIMEOUT: { number: 5, close: 4408, retry: 'backoff' },
  TOKEN_INVALID: { number: 6, close: 4401, retry: 'never' },
  TOKEN_EXPIRED: { number: 7, close: 4402, retry: 'never' },
  ACCESS_DENIED: { number: 8, close: 4403, retry: 'never' },
  WRITE_DENIED: { number: 9, close: 4403, retry: 'never' },
  NAME_INVALID: { number: 10, close: 4400, retry: 'never' },
  NOT_PLACED_HERE: { number: 11, close: 4421, retry: 'now' },
  ERASED: { number: 12, close: 4410, retry: 'never' },
  UPDATE_INVALID: { number: 13, close: 4422, retry: 'never' },
  UPDATE_TOO_LARGE: { number: 14, close: 4413, retry: 'never' },
  DOCUMENT_TOO_LARGE: { number: 15, close: 4413, retry: 'never' },
  PREMATURE: { number: 16, close: 4425, retry: 'now' },
  NOT_YET_VISIBLE: { number: 17, close: 4409, retry: 'backoff' },
  ENGINE_MISMATCH: { number: 18, close: 4400, retry: 'never' },
  DOCUMENT_DAMAGED: { number: 19, close: 4500, retry: 'backoff' },
  LIMIT_DOCUMENTS: { number: 20, close: 4429, retry: 'never' },
  LIMIT_SESSIONS: { number: 21, close: 4429, retry: 'backoff' },
  LIMIT_UNACKED: { number: 22, close: 4429, retry: 'backoff' },
  LIMIT_PRESENCE: { number: 23, close: 4429, retry: 'backoff' },
  LOG_FULL: { number: 24, close: 4507, retry: 'backoff' },
  LOG_UNAVAILABLE: { number: 25, close: 4503, retry: 'backoff' },
  LOG_DAMAGED: { number: 26, close: 4503, retry: 'backoff' },
  LOG_LOCKED: { number: 27, close: 4503, retry: 'never' },
  DRAINING: { number: 28, close: 1012, retry: 'now' },
  CONFIG_INVALID: { number: 29, close: 1011, retry: 'never' },
  STORE_FULL: { number: 30, close: 1011, retry: 'backoff' },
  STORE_FAILED: { number: 31, close: 1011, retry: 'backoff' },
  CLOSED: { number: 32, close: 1000, retry: 'never' },
  TIMEOUT: { number: 33, close: 4408, retry: 'backoff' },
  ORIGIN_DENIED: { number: 34, close: 4403, retry: 'never' },
  NOT_ATTACHED: { number: 35, close: 4404, retry: 'now' },
  LINK_REFUSED: { number: 36, close: 4430, retry: 'backoff' },
  POLICY_INVALID: { number: 37, close: 4422, retry: 'never' },
  REGIONS_TOO_FEW: { number: 38, close: 4400, retry: 'never' },
  JOINING: { number: 39, close: 4503, retry: 'backoff' },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof rows

/** Every code with its number, close code and when to try again; `advice.ts` says what to do: the table that PROTOCOL.md prints. */
export const errorTable: Readonly<Record<ErrorCode, ErrorRow>> = rows

const codeByNumber = new Map<number, ErrorCode>()
for (const [code, row] of Object.entries(errorTable)) codeByNumber.set(row.number, code as ErrorCode)

/** The code of a number read from the wire; a number that is not known here is INTERNAL, as a newer peer may know more. */
export const errorCodeOf = (number: number): ErrorCode => codeByNumber.get(number) ?? 'INTERNAL'

let adviceOf: (code: ErrorCode) => string = () => ''

/** What the messages of errors from now on end with. A page that opens documents loads these texts after everything else. */
export function advise(of: (code: ErrorCode) => string): void {
  adviceOf = of
}

export interface ErrorDetails {
  /** One sentence for people. It holds no document name, no content and no token. */
  readonly message?: string
  readonly retry?: Retry
  readonly retryAfterMs?: number
  readonly cause?: unknown
}

export class MeridianError extends Error {
  override readonly name = 'MeridianError'
  readonly code: ErrorCode
  readonly retry: Retry
  readonly retryAfterMs: number
  /** What was said of this one error, without its code and the advice that all of its code have; may be empty. */
  readonly sentence: string

  constructor(code: ErrorCode, details: ErrorDetails = {}) {
    const row = errorTable[code]
    super(
      [`[${code}]`, details.message, adviceOf(code)].filter(Boolean).join(' '),
      details.cause === undefined ? undefined : { cause: details.cause },
    )
    this.code = code
    this.sentence = details.message ?? ''
    this.retry = details.retry ?? row.retry
    this.retryAfterMs = details.retryAfterMs ?? 0
  }

  get closeCode(): number {
    return errorTable[this.code].close
  }
}

/** Any thrown thing as a MeridianError; what is not one becomes INTERNAL with the thing as its cause. */
export function toMeridianError(thrown: unknown): MeridianError {
  return thrown instanceof MeridianError ? thrown : new MeridianError('INTERNAL', { cause: thrown })
}

/** For programmer errors only; on in production, because going on with a broken invariant loses data. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`)
}

export function unreachable(value: never): never {
  throw new Error(`unreachable: ${String(value)}`)
}
