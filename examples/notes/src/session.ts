/**
 * The one store of this page, and who it speaks for. A new token of the same person goes on with the store, so that what waits for it goes
 * out; another person gets a store of their own.
 */

import { useSyncExternalStore } from 'react'
import { connect, type Store } from '@meridian/client'
import { readClaims } from '@meridian/client/token'
import { token } from './device.js'

interface Identity {
  readonly tenant: string
  readonly user: string
}

const nobody: Identity = { tenant: 'dev', user: '' }

let identity = identityOf(token.read()) ?? nobody
let store = open(token.read())
const listeners = new Set<() => void>()

/** The node that this page came from. */
function open(text: string): Store {
  return connect({ url: location.origin, ...identity, ...(text === '' ? {} : { token: text }) })
}

export const useStore = (): Store => useSyncExternalStore(subscribe, () => store)

/** @returns why not, as a sentence; undefined if the token was taken. Whether the node takes it, its status will say. */
export async function signIn(text: string): Promise<string | undefined> {
  const next = identityOf(text)
  if (next === undefined) return 'This is no token: it should be three parts with dots between them. Copy it whole and try again.'
  token.write(text)
  if (next.tenant === identity.tenant && next.user === identity.user) store.refreshToken(text)
  else await replaceStore(next, text)
  return undefined
}

/** Forgets the token and, with it, the notes that this browser holds of that person. */
export async function signOut(): Promise<void> {
  token.write('')
  await replaceStore(nobody, '', 'wipe')
}

async function replaceStore(next: Identity, text: string, how: 'keep' | 'wipe' = 'keep'): Promise<void> {
  const old = store
  identity = next
  store = open(text)
  for (const listener of listeners) listener()
  await (how === 'wipe' ? old.signOut() : old.close())
}

/** What a token says of itself. Nothing is verified here: that is the node's to do. */
function identityOf(text: string): Identity | undefined {
  const { tenant, subject } = readClaims(text)
  return tenant === undefined || subject === undefined ? undefined : { tenant, user: subject }
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}
