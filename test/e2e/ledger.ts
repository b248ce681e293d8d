/**
 * What was typed into lists of unique words, and what is known of it: who may miss what. An audit reads a list and holds it against this.
 *
 * - A word whose insertion was saved, or that another client received, is in the store; one whose deletion was saved is not.
 * - No word stands twice, and none that nobody typed.
 */

export interface Deed {
  readonly document: string
  readonly word: string
  readonly kind: 'insert' | 'delete'
}

interface Word {
  readonly document: string
  inserted: 'made' | 'durable'
  deleted: 'not' | 'made' | 'durable'
  /** Whoever typed it was told. */
  told: boolean
}

export class Ledger {
  readonly #words = new Map<string, Word>()
  /** Begin with this and may be typed without our knowing, because who typed them was killed before it could say so. */
  readonly #unheard: string
  savedCount = 0
  receivedCount = 0

  constructor(unheard: string) {
    this.#unheard = unheard
  }

  get wordCount(): number {
    return this.#words.size
  }

  made({ document, word, kind }: Deed): void {
    const held = this.#words.get(word)
    if (kind === 'insert') {
      if (held !== undefined) throw new Error(`the test typed ${word} twice`)
      this.#words.set(word, { document, inserted: 'made', deleted: 'not', told: false })
    } else if (held !== undefined) held.deleted = 'made'
  }

  /** A region said so to whoever typed it. */
  saved(deeds: readonly Deed[]): void {
    for (const { word, kind } of deeds) {
      const held = this.#words.get(word)
      if (held === undefined) continue
      if (kind === 'insert') held.inserted = 'durable'
      else held.deleted = 'durable'
      if (!held.told) this.savedCount++
      held.told = true
    }
  }

  /** LOG1: nobody but its writer sees an update before it is durable. */
  received(word: string): void {
    const held = this.#words.get(word)
    if (held === undefined || held.inserted === 'durable') return
    held.inserted = 'durable'
    this.receivedCount++
  }

  /** What is wrong with a list as the store has it; `complete` when everything that was made has been saved. */
  audit(document: string, list: readonly unknown[], claim: 'durable' | 'complete'): string[] {
    const wrong: string[] = []
    const counts = new Map<string, number>()
    for (const word of list) counts.set(String(word), (counts.get(String(word)) ?? 0) + 1)
    for (const [word, count] of counts) {
      const held = this.#words.get(word)
      if (count > 1) wrong.push(`${word} stands ${count} times`)
      if (held === undefined) {
        if (!word.startsWith(this.#unheard)) wrong.push(`${word} was never typed`)
      } else if (held.document !== document) wrong.push(`${word} belongs to ${held.document}`)
      else if (held.deleted === 'durable' || (claim === 'complete' && held.deleted === 'made'))
        wrong.push(`${word} was deleted and is back`)
    }
    for (const [word, held] of this.#words) {
      if (held.document !== document || counts.has(word) || held.deleted !== 'not') continue
      if (held.inserted === 'durable' || claim === 'complete') wrong.push(`${word} is lost (${held.inserted})`)
    }
    return wrong
  }
}
