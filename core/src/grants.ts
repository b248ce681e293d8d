/**
 * What a principal may do with a document, by the patterns of its token. A pattern matches `collection/key` as a whole; `*` stands for
 * any run of characters, slashes included, so `notes/*` is the collection and everything in it. The strongest match wins; none is no.
 */

import type { Access, Principal } from './effects.js'
import type { DocumentName } from './ids.js'

export function accessOf(principal: Principal, document: DocumentName): Access | 'none' {
  const slash = document.indexOf('/')
  if (document.slice(0, slash) !== principal.tenant) return 'none'
  const path = document.slice(slash + 1)
  let access: Access | 'none' = 'none'
  for (const grant of principal.grants) {
    if (grant.access === access || !matches(grant.match, path)) continue
    if (grant.access === 'write') return 'write'
    access = 'read'
  }
  return access
}

/**
 * Greedy two-pointer glob: linear for one star, at most pattern × text for several, and never exponential as a backtracking
 * regular expression made from a token would be.
 */
export function matches(pattern: string, text: string): boolean {
  let p = 0
  let t = 0
  let star = -1
  let mark = 0
  while (t < text.length) {
    if (p < pattern.length && pattern[p] === '*') {
      star = p++
      mark = t
    } else if (p < pattern.length && pattern[p] === text[t]) {
      p++
      t++
    } else if (star >= 0) {
      p = star + 1
      t = ++mark
    } else return false
  }
  while (p < pattern.length && pattern[p] === '*') p++
  return p === pattern.length
}
