/**
 * Named parts of keys: `:residence/:id` says that the first segment of a key is its residence, so that a rule can match on it. Segments are
 * words, `:names`, and at the end `*` for one or more of whatever follows. A key that does not match is in no place (RES2).
 */

export type Segment =
  | { readonly kind: 'word'; readonly word: string }
  | { readonly kind: 'part'; readonly name: string }
  | { readonly kind: 'rest' }

export interface KeyPattern {
  readonly text: string
  readonly segments: readonly Segment[]
  readonly parts: readonly string[]
}

export const partPattern = /^[a-z][a-zA-Z0-9]{0,30}$/
export const partExpected = 'a letter and then letters or digits, 31 at most'

/** A pattern, or a sentence that says what is wrong with it. */
export function parseKeyPattern(text: string): KeyPattern | string {
  const words = text.split('/')
  const segments: Segment[] = []
  const parts: string[] = []
  for (const [index, word] of words.entries()) {
    if (word === '*') {
      if (index !== words.length - 1 || index === 0) return 'a * stands for the rest of a key, at its end and behind something'
      segments.push({ kind: 'rest' })
    } else if (word.startsWith(':')) {
      const name = word.slice(1)
      if (!partPattern.test(name)) return `the name of a key part is ${partExpected}`
      if (parts.includes(name)) return `the part ${name} stands there twice`
      parts.push(name)
      segments.push({ kind: 'part', name })
    } else if (word === '' || /[:*#?%]/.test(word))
      return 'a pattern is segments between slashes: words, :names, and * at the end'
    else segments.push({ kind: 'word', word })
  }
  return { text, segments, parts }
}

/** The values of the named parts, in the order of `parts`; undefined if the key does not match. */
export function matchKey(pattern: KeyPattern, key: string): readonly string[] | undefined {
  const { segments } = pattern
  const values: string[] = []
  let start = 0
  for (let index = 0; index < segments.length; index++) {
    const segment = segments[index]
    if (segment === undefined || start > key.length) return undefined
    if (segment.kind === 'rest') return start < key.length ? values : undefined
    const slash = key.indexOf('/', start)
    const end = slash < 0 ? key.length : slash
    if (end === start) return undefined
    if (segment.kind === 'part') values.push(key.slice(start, end))
    else if (end - start !== segment.word.length || !key.startsWith(segment.word, start)) return undefined
    start = end + 1
  }
  return start > key.length ? values : undefined
}
