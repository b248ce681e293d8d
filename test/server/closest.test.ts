import { closest } from '@meridian/server/closest'
import { describe, expect, it } from 'vitest'

describe('closest', () => {
  it('finds a slip of the fingers, whatever its case', () => {
    expect(closest('prot', ['port', 'listen'])).toBe('port')
    expect(closest('prort', ['port', 'listen'])).toBe('port')
    expect(closest('limits.documentMax', ['limits.documentsMax', 'limits.greetingMs'])).toBe('limits.documentsMax')
    expect(closest('MERIDIAN_PROT', ['MERIDIAN_PORT', 'MERIDIAN_DEV'])).toBe('MERIDIAN_PORT')
    expect(closest('Region', ['region'])).toBe('region')
  })

  it('finds nothing where nothing is near, and does not hang on long words', () => {
    expect(closest('banana', ['port', 'listen'])).toBe(undefined)
    expect(closest('x'.repeat(100_000), ['port'])).toBe(undefined)
    expect(closest('x', [])).toBe(undefined)
  })
})
