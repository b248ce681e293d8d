/** The frames of a node, each to what it is about. */

import { MeridianError, unreachable } from '@meridian/core/errors'
import { mutableVersion } from '@meridian/core/version'
import { FrameReader } from '@meridian/core/wires/native/frame'
import type { ServerFrame } from '@meridian/core/wires/native/server-frames'
import { decodeServerFrame } from '@meridian/core/wires/native/server-frames'
import { acked, replicated } from './acks.js'
import { arrived, current } from './arrivals.js'
import { attached, detachChannel } from './attaching.js'
import { durable, enoughRegions } from './durable.js'
import { erase } from './erasing.js'
import { redirected } from './redirects.js'
import { denied, refused } from './refusals.js'
import type { SyncState } from './sync-state.js'

/** Reads the messages of one connection. */
export function newReader(sync: SyncState): FrameReader {
  // A goodbye ends a connection in the midst of a message; what stands behind it belongs to nobody.
  let socket: number | undefined
  return new FrameReader(frameLimits, (type, body, end) => {
    socket ??= sync.connection.socket
    const frame = decodeServerFrame(type, body, end)
    if (frame !== undefined && socket === sync.connection.socket) take(sync, frame)
  })
}

function take(sync: SyncState, frame: ServerFrame): void {
  const { phase } = sync.connection
  if (phase !== 'online' && frame.type !== 'welcome' && frame.type !== 'goodbye') {
    throw new MeridianError('FRAME_INVALID', { message: 'The first frame of a node is a welcome.' })
  }
  switch (frame.type) {
    case 'welcome':
    case 'goodbye':
      return sync.connection.receive(frame.type === 'welcome' ? { type: 'welcome', frame } : { type: 'goodbye', frame })
    case 'replicas':
      for (const [index, id] of frame.ids.entries()) sync.session.replicas[frame.first + index] = id
      return
    case 'group':
      return sync.session.nameGroup(frame.handle, frame.group)
    case 'attached':
      return attached(sync, frame)
    case 'state':
      return arrived(sync, frame.handle, (document) => ({ kind: 'data', document, payload: frame.payload, dot: undefined }))
    case 'update': {
      const { payload } = frame
      const dot = sync.session.dot(frame.replica, frame.sequence)
      return arrived(sync, frame.handle, (document) => ({ kind: 'data', document, payload, dot }))
    }
    case 'current':
      return current(sync, frame.handle, mutableVersion(frame.version))
    case 'ack':
      return acked(sync, frame)
    case 'replicated':
      return replicated(sync, frame.group, frame.version)
    case 'durable': {
      durable(sync, frame)
      if (frame.regions === enoughRegions && frame.regions <= frame.count) replicated(sync, frame.group, frame.version)
      return
    }
    case 'refused':
      return refused(sync, frame)
    case 'denied':
      return denied(sync, frame.channel, frame.code, frame.retryAfterMs)
    case 'redirect':
      return detachChannel(sync, frame.channel, (document) => {
        redirected(sync, document, frame.redirects)
      })
    case 'erased':
      return detachChannel(sync, frame.channel, (document) => erase(sync, document, frame.life))
    case 'presence': {
      const document = sync.session.byHandle.get(frame.handle)
      if (document !== undefined) sync.effects.presence(document.name, frame.session, frame.subject, frame.payload)
      return
    }
    case 'pong':
    case 'granted':
      return
    default:
      unreachable(frame)
  }
}

/** What a node may send: a state of a large document comes in one frame, in fragments. */
const frameLimits = { messageBytesMax: 64 * 1024 * 1024, frameBytesMax: 1024 * 1024 * 1024 }
