/**
 * The certificate of a node: read from two files, and read again when they change or when the node is told to (SIGHUP). Connections that are open
 * keep what they began with. What cannot be used is reported, and the certificate before goes on.
 */

import { readFileSync } from 'node:fs'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { MeridianError } from '@meridian/core/errors'
import type { TlsConfig } from '../config.js'

/** Older versions have known holes (RFC 8996). */
const minVersion = 'TLSv1.2'

/** The two files are seldom written in one instant; what does not fit together is looked at again when the other one changes. */
const watchMs = 5_000

export interface Certificate extends SecureContextOptions {
  readonly cert: string
  readonly key: string
}

/** @throws MeridianError CONFIG_INVALID if the files cannot be read or do not fit together */
export function readCertificate({ certFile, keyFile }: TlsConfig): Certificate {
  try {
    const context = { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8'), minVersion } as const
    createSecureContext(context)
    return context
  } catch (cause) {
    throw new MeridianError('CONFIG_INVALID', {
      message: 'tls.certFile and tls.keyFile have to be PEM files of one certificate (with its chain) and of its key.',
      cause,
    })
  }
}

/**
 * Calls back when one of the files no longer holds what it did when `held` was read, which may have been before this. By content: the first look of
 * a watcher of the system may come after the change. The answer ends it.
 */
export function watchCertificate(
  { certFile, keyFile }: TlsConfig,
  held: Pick<Certificate, 'cert' | 'key'>,
  onChange: () => void,
): () => void {
  let seen = textOf(held)
  const timer = setInterval(() => {
    const now = textOf({ cert: contentOf(certFile), key: contentOf(keyFile) })
    if (now === seen) return
    seen = now
    onChange()
  }, watchMs).unref()
  return () => clearInterval(timer)
}

const textOf = ({ cert, key }: Pick<Certificate, 'cert' | 'key'>): string => `${cert}\n${key}`

/** Empty if it cannot be read, which whoever reads it to use it reports. */
function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
