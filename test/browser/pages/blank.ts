/** A page that remembers a word, for the test of the harness itself. */

const api = {
  remember(word: string): void {
    localStorage.setItem('word', word)
  },
  recall: (): string | null => localStorage.getItem('word'),
  now: (): number => Date.now(),
  isOnline: (): boolean => navigator.onLine,
}

export type BlankPage = typeof api

Object.assign(globalThis, { page: api })
