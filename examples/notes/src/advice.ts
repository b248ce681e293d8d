/** What an error means to somebody who writes a note, and what they can do about it. Codes are those of PROTOCOL.md. */

/** What a button beside the sentence does. */
export type Remedy = 'sign-in' | 'retry' | 'dismiss'

/** Something that somebody should know and can do something about. */
export interface Notice {
  readonly title: string
  readonly text: string
  readonly remedy: Remedy | undefined
}

const kept = 'What you write stays on this device.'

const table: Readonly<Record<string, Notice>> = {
  TOKEN_INVALID: { title: 'This node asks who you are', text: `Sign in with a token of your own. ${kept}`, remedy: 'sign-in' },
  TOKEN_EXPIRED: {
    title: 'You were signed out',
    text: `Your token has ended. Sign in again to go on sharing. ${kept}`,
    remedy: 'sign-in',
  },
  ACCESS_DENIED: {
    title: 'You cannot open this note',
    text: 'It is not there, or your token does not allow it. Ask whoever shared it, or sign in as somebody else.',
    remedy: 'sign-in',
  },
  WRITE_DENIED: {
    title: 'You may read this note, not write it',
    text: `Your last edits were not taken. ${kept} Copy them elsewhere, or ask for write access.`,
    remedy: 'sign-in',
  },
  UPDATE_TOO_LARGE: {
    title: 'This edit is too large for the node',
    text: `${kept} Undo it and paste it in smaller pieces.`,
    remedy: undefined,
  },
  DOCUMENT_TOO_LARGE: {
    title: 'This note has become too large',
    text: `${kept} Move a part of it into a new note.`,
    remedy: undefined,
  },
  UPDATE_INVALID: {
    title: 'The node could not read an edit',
    text: `${kept} Copy the note elsewhere, then load the page again.`,
    remedy: undefined,
  },
  ERASED: {
    title: 'This note was erased',
    text: 'Its copies are gone, here and on the node. Begin a new one.',
    remedy: undefined,
  },
  NOT_PLACED_HERE: {
    title: 'This note lives in another region',
    text: `This node may not hold it. ${kept} Open it at a node of its region.`,
    remedy: undefined,
  },
  ORIGIN_DENIED: {
    title: 'The node does not know this page',
    text: 'Whoever runs the node can add its address to allowedOrigins.',
    remedy: 'retry',
  },
  LOG_FULL: {
    title: 'The node’s disk is full',
    text: `${kept} It is sent by itself once there is room on the node.`,
    remedy: 'retry',
  },
  LOG_UNAVAILABLE: {
    title: 'The node cannot write now',
    text: `${kept} It is sent by itself when the node recovers.`,
    remedy: 'retry',
  },
  DOCUMENT_DAMAGED: {
    title: 'The node’s copy of this note is damaged',
    text: `${kept} Whoever runs the node has to restore it from a backup.`,
    remedy: 'retry',
  },
  STORE_FULL: {
    title: 'This device has no room left',
    text: 'Free some space, then go on. Until then your edits are sent to the node, but would not survive closing this page offline.',
    remedy: 'retry',
  },
  STORE_FAILED: {
    title: 'This device does not keep your edits',
    text: 'Its storage failed. Keep this page open until it says Saved; a private window or blocked site data can be the cause.',
    remedy: 'retry',
  },
  PROTOCOL_UNSUPPORTED: {
    title: 'This app and the node do not match',
    text: 'Load the page again to get the newest version.',
    remedy: undefined,
  },
}

/** What somebody should know of this device, though nothing stands in the way of keeping edits. */
export const losses: Readonly<Record<'evicted' | 'lost', Notice>> = {
  evicted: {
    title: 'This browser had cleared your notes',
    text: 'They come back from the node as you open them. Edits that were never sent from here are gone. New ones are kept as before.',
    remedy: 'dismiss',
  },
  lost: {
    title: 'This browser’s copy of your notes was cleared',
    text: 'What is open here was kept and is stored again. The other notes come back from the node as you open them.',
    remedy: 'dismiss',
  },
}

export const adviceOf = (code: string): Notice | undefined => (Object.hasOwn(table, code) ? table[code] : undefined)
