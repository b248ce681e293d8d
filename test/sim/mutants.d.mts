/** A planted bug, as mutants/*.json has it. */
export interface Mutant {
  readonly name: string
  readonly breaks: string
  readonly file: string
  readonly find: readonly string[]
  readonly replace: readonly string[]
  readonly story: string
  readonly from?: number
  readonly survives?: string
}
export function mutants(): Mutant[]
/** @throws Error if its lines do not stand once in its file. */
export function applied(mutant: Mutant): string
