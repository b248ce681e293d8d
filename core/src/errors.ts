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
  /** What the reader of the error can do. */
  readonly advice: string
}

const rows = {
  INTERNAL: { number: 1, close: 1011, retry: 'backoff', advice: 'Try again; if it goes on, look at the log of the node.' },
  FRAME_INVALID: {
    number: 2,
    close: 4400,
    retry: 'never',
    advice: 'The bytes are no frame of this protocol; update the client.',
  },
  FRAME_TOO_LARGE: {
    number: 3,
    close: 4413,
    retry: 'never',
    advice: 'Split what is sent into frames within the limit of the welcome.',
  },
  PROTOCOL_UNSUPPORTED: {
    number: 4,
    close: 4426,
    retry: 'never',
    advice: 'Update the client, or the node, to a common protocol version.',
  },
  HELLO_TIMEOUT: { number: 5, close: 4408, retry: 'backoff', advice: 'Send a hello with a token as the first frame.' },
  TOKEN_INVALID: { number: 6, close: 4401, retry: 'never', advice: 'Sign in again and connect with a new token.' },
  TOKEN_EXPIRED: {
    number: 7,
    close: 4402,
    retry: 'never',
    advice: 'Get a new token; send it in a token frame before the old one ends.',
  },
  ACCESS_DENIED: { number: 8, close: 4403, retry: 'never', advice: 'The document is not there, or the token does not allow it.' },
  WRITE_DENIED: { number: 9, close: 4403, retry: 'never', advice: 'The token allows reading only; ask for write access.' },
  NAME_INVALID: {
    number: 10,
    close: 4400,
    retry: 'never',
    advice: 'Use tenant/collection/key as PROTOCOL.md, NAME rules, says.',
  },
  NOT_PLACED_HERE: { number: 11, close: 4421, retry: 'now', advice: 'Connect to one of the regions of the redirect.' },
  ERASED: { number: 12, close: 4410, retry: 'never', advice: 'The document was erased; drop the local copy.' },
  UPDATE_INVALID: {
    number: 13,
    close: 4422,
    retry: 'never',
    advice: 'The update is no valid update of its engine; nothing was stored.',
  },
  UPDATE_TOO_LARGE: { number: 14, close: 4413, retry: 'never', advice: 'Make smaller edits, or raise limits.updateBytesMax.' },
  DOCUMENT_TOO_LARGE: {
    number: 15,
    close: 4413,
    retry: 'never',
    advice: 'Split the document into several, or raise limits.documentBytesMax or limits.documentAuthorsMax.',
  },
  PREMATURE: {
    number: 16,
    close: 4425,
    retry: 'now',
    advice: 'Send the difference between the local state and the state of the region.',
  },
  NOT_YET_VISIBLE: {
    number: 17,
    close: 4409,
    retry: 'backoff',
    advice: 'The region lacks what the session has seen; wait, or rescue (SES5).',
  },
  ENGINE_MISMATCH: {
    number: 18,
    close: 4400,
    retry: 'never',
    advice: 'The document is of another engine; open it with that one.',
  },
  DOCUMENT_DAMAGED: {
    number: 19,
    close: 4500,
    retry: 'backoff',
    advice: 'A record of the document failed its checksum and was set aside; restore it from a backup or a peer.',
  },
  LIMIT_DOCUMENTS: { number: 20, close: 4429, retry: 'never', advice: 'Detach documents, or raise limits.documentsMax.' },
  LIMIT_SESSIONS: { number: 21, close: 4429, retry: 'backoff', advice: 'The node is full; try again later or use another one.' },
  LIMIT_UNACKED: {
    number: 22,
    close: 4429,
    retry: 'backoff',
    advice: 'Wait for acks before pushing more than the welcome allows.',
  },
  LIMIT_PRESENCE: { number: 23, close: 4429, retry: 'backoff', advice: 'Send smaller or fewer presence states.' },
  LOG_FULL: {
    number: 24,
    close: 4507,
    retry: 'backoff',
    advice: 'The disk or the log of the region is full: free space or raise its bound; edits stay on the devices.',
  },
  LOG_UNAVAILABLE: {
    number: 25,
    close: 4503,
    retry: 'backoff',
    advice: 'The log of the region cannot be written now; edits stay on the devices.',
  },
  LOG_DAMAGED: {
    number: 26,
    close: 4503,
    retry: 'backoff',
    advice: 'The store cannot be opened; restore it from a backup, or move it aside to begin anew.',
  },
  LOG_LOCKED: { number: 27, close: 4503, retry: 'never', advice: 'Another process has this data directory open; stop it first.' },
  DRAINING: { number: 28, close: 1012, retry: 'now', advice: 'The node stops; connect again.' },
  CONFIG_INVALID: { number: 29, close: 1011, retry: 'never', advice: 'Correct the named setting.' },
  STORE_FULL: {
    number: 30,
    close: 1011,
    retry: 'backoff',
    advice: 'The device has no room left; free space so that edits can be kept.',
  },
  STORE_FAILED: {
    number: 31,
    close: 1011,
    retry: 'backoff',
    advice: 'The local store failed; edits made now live in memory only.',
  },
  CLOSED: { number: 32, close: 1000, retry: 'never', advice: 'Open the store or the document again.' },
  TIMEOUT: { number: 33, close: 4408, retry: 'backoff', advice: 'Nothing came in time; try again.' },
  ORIGIN_DENIED: { number: 34, close: 4403, retry: 'never', advice: 'Add the origin of the page to allowedOrigins.' },
  NOT_ATTACHED: {
    number: 35,
    close: 4404,
    retry: 'now',
    advice: 'The channel is not attached (any more); attach the document and push again there.',
  },
  LINK_REFUSED: {
    number: 36,
    close: 4430,
    retry: 'backoff',
    advice: 'Give all regions the same cluster file and each its own key; until then they exchange nothing.',
  },
  POLICY_INVALID: {
    number: 37,
    close: 4422,
    retry: 'never',
    advice: 'Correct what the findings name; `meridian policy validate` finds the same.',
  },
  REGIONS_TOO_FEW: {
    number: 38,
    close: 4400,
    retry: 'never',
    advice: 'Ask for no more regions than the group of the document has.',
  },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof rows

/** Every code with its number, close code, retry advice and what to do: the table that PROTOCOL.md prints. */
export const errorTable: Readonly<Record<ErrorCode, ErrorRow>> = rows

const codeByNumber = new Map<number, ErrorCode>()
for (const [code, row] of Object.entries(errorTable)) codeByNumber.set(row.number, code as ErrorCode)

/** The code of a number read from the wire; a number that is not known here is INTERNAL, as a newer peer may know more. */
export const errorCodeOf = (number: number): ErrorCode => codeByNumber.get(number) ?? 'INTERNAL'

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
      `[${code}] ${details.message ? `${details.message} ` : ''}${row.advice}`,
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
