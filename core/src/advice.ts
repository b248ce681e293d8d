/** What the reader of an error can do, for each code of `errors.ts`. Loaded, it stands in every message. */

import type { ErrorCode } from './errors.js'
import { advise } from './errors.js'

export const advice: Readonly<Record<ErrorCode, string>> = {
  INTERNAL: 'Try again; if it goes on, look at the log of the node.',
  FRAME_INVALID: 'The bytes are no frame of this protocol; update the client.',
  FRAME_TOO_LARGE: 'Split what is sent into frames within the limit of the welcome.',
  PROTOCOL_UNSUPPORTED: 'Update the client, or the node, to a common protocol version.',
  HELLO_TIMEOUT: 'Send a hello with a token as the first frame.',
  TOKEN_INVALID: 'Sign in again and connect with a new token.',
  TOKEN_EXPIRED: 'Get a new token; send it in a token frame before the old one ends.',
  ACCESS_DENIED: 'The document is not there, or the token does not allow it.',
  WRITE_DENIED: 'The token allows reading only; ask for write access.',
  NAME_INVALID: 'Use tenant/collection/key as PROTOCOL.md, NAME rules, says.',
  NOT_PLACED_HERE: 'Connect to one of the regions of the redirect.',
  ERASED: 'The document was erased; drop the local copy.',
  UPDATE_INVALID: 'The update is no valid update of its engine; nothing was stored.',
  UPDATE_TOO_LARGE: 'Make smaller edits, or raise limits.updateBytesMax.',
  DOCUMENT_TOO_LARGE: 'Split the document into several, or raise limits.documentBytesMax or limits.documentAuthorsMax.',
  PREMATURE: 'Send the difference between the local state and the state of the region.',
  NOT_YET_VISIBLE: 'The region lacks what the session has seen; wait, or rescue (SES5).',
  ENGINE_MISMATCH: 'The document is of another engine; open it with that one.',
  DOCUMENT_DAMAGED: 'A record of the document failed its checksum and was set aside; restore it from a backup or a peer.',
  LIMIT_DOCUMENTS: 'Detach documents, or raise limits.documentsMax.',
  LIMIT_SESSIONS: 'The node is full; try again later or use another one.',
  LIMIT_UNACKED: 'Wait for acks before pushing more than the welcome allows.',
  LIMIT_PRESENCE: 'Send smaller or fewer presence states.',
  LOG_FULL: 'The disk or the log of the region is full: free space or raise its bound; edits stay on the devices.',
  LOG_UNAVAILABLE: 'The log of the region cannot be written now; edits stay on the devices.',
  LOG_DAMAGED: 'The store cannot be opened; restore it from a backup, or move it aside to begin anew.',
  LOG_LOCKED: 'Another process has this data directory open; stop it first.',
  DRAINING: 'The node stops; connect again.',
  CONFIG_INVALID: 'Correct the named setting.',
  STORE_FULL: 'The device has no room left; free space so that edits can be kept.',
  STORE_FAILED: 'The local store failed; edits made now live in memory only.',
  CLOSED: 'Open the store or the document again.',
  TIMEOUT: 'Nothing came in time; try again.',
  ORIGIN_DENIED: 'Add the origin of the page to allowedOrigins.',
  NOT_ATTACHED: 'The channel is not attached (any more); attach the document and push again there.',
  LINK_REFUSED: 'Give all regions the same cluster file and each its own key; until then they exchange nothing.',
  POLICY_INVALID: 'Correct what the findings name; `meridian policy validate` finds the same.',
  REGIONS_TOO_FEW: 'Ask for no more regions than the group of the document has.',
  JOINING: 'The region is taking over these documents from another one; wait, or connect to another region.',
}

advise((code) => advice[code])
