/** PROTOCOL.md prints the table of errors; this writes it with MERIDIAN_WRITE_DOCS=1 and otherwise refuses one that is out of date. */

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { advice } from '@meridian/core/advice'
import type { ErrorCode } from '@meridian/core/errors'
import { errorTable } from '@meridian/core/errors'
import { expect, test } from 'vitest'

const path = fileURLToPath(new URL('../PROTOCOL.md', import.meta.url))

test('PROTOCOL.md lists every error with its number, close code, retry advice and what to do', () => {
  const text = readFileSync(path, 'utf8')
  const begin = text.indexOf('-->\n', text.indexOf('<!-- errors:begin')) + 4
  const end = text.indexOf('<!-- errors:end -->')
  const rows = Object.entries(errorTable).map(
    ([code, row]) => `| ${row.number} | ${code} | ${row.close} | ${row.retry} | ${advice[code as ErrorCode]} |`,
  )
  const table = ['| number | code | close | retry | what to do |', '|---|---|---|---|---|', ...rows, ''].join('\n')
  if (process.env['MERIDIAN_WRITE_DOCS'] === '1') writeFileSync(path, text.slice(0, begin) + table + text.slice(end))
  const now = readFileSync(path, 'utf8')
  expect(now.slice(begin, now.indexOf('<!-- errors:end -->'))).toBe(table)
})
