/**
 * Reading plain values, what JSON or YAML came to, strictly: a field that is not known is refused and never ignored, and every finding
 * carries the path of its field, so that whoever read the file can say `policy.yaml:7:5`. All findings of a file are collected, not the
 * first only.
 *
 * Not a schema library: core and regions have no dependency that users of the client would have to download (ADR 12).
 */

import { MeridianError } from '@meridian/core/errors'

export type Path = readonly (string | number)[]

/** `invalid`: against the schema. `not served`: right, but this version cannot hold it. `unsatisfiable`: right, and can never be met. */
export type FindingCode = 'invalid' | 'not served' | 'unsatisfiable'

export interface Finding {
  readonly level: 'error' | 'warning'
  readonly code: FindingCode
  /** Where, from the top of the file. */
  readonly path: Path
  /** What is wrong and what to do about it. */
  readonly message: string
  /** The field that does not belong there, for a finding about a key and not about its value. */
  readonly key?: string
}

/** Entries of one mapping or items of one list, at most; a policy has tens. */
export const itemsMax = 1_000

/** `areas.EEA.members[2]` */
export function formatPath(path: Path): string {
  let text = ''
  for (const part of path) text += typeof part === 'number' ? `[${part}]` : text === '' ? part : `.${part}`
  return text === '' ? 'the file' : text
}

export const formatFinding = (finding: Finding): string => `${formatPath(finding.path)}: ${finding.message}`

/** Findings as one error, for who cannot go on with them. */
export function findingsError(what: string, findings: readonly Finding[]): MeridianError {
  return new MeridianError('CONFIG_INVALID', { message: `${what} is not right. ${findings.map(formatFinding).join(' ')}` })
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** One value of a file and where it stands. What reads it returns undefined after it has noted a finding. */
export class Plain {
  readonly value: unknown
  readonly path: Path
  readonly findings: Finding[]

  constructor(value: unknown, findings: Finding[] = [], path: Path = []) {
    this.value = value
    this.findings = findings
    this.path = path
  }

  get isAbsent(): boolean {
    return this.value === undefined
  }

  refuse(message: string, code: FindingCode = 'invalid'): undefined {
    this.findings.push({ level: 'error', code, path: this.path, message })
  }

  at(part: string | number): Plain {
    const value =
      isRecord(this.value) && typeof part === 'string' && Object.hasOwn(this.value, part) ? this.value[part] : undefined
    return new Plain(value, this.findings, [...this.path, part])
  }

  /** True for a mapping; what it has beside these fields is noted. */
  isMapping(known: readonly string[]): boolean {
    if (!isRecord(this.value)) {
      this.refuse(`expected fields: ${known.join(', ')}`)
      return false
    }
    for (const key of Object.keys(this.value)) {
      if (known.includes(key)) continue
      const message = `there is no field ${key} here; there are ${known.join(', ')}`
      this.findings.push({ level: 'error', code: 'invalid', path: [...this.path, key], message, key })
    }
    return true
  }

  /** The entries of a mapping whose keys are names; none if it is absent. */
  entries(keys: RegExp, expected: string): readonly (readonly [string, Plain])[] {
    if (this.isAbsent) return []
    if (!isRecord(this.value)) {
      this.refuse('expected a mapping, one `name: …` a line')
      return []
    }
    const names = Object.keys(this.value)
    if (names.length > itemsMax) {
      this.refuse(`${names.length} entries; at most ${itemsMax}`)
      return []
    }
    const found: [string, Plain][] = []
    for (const name of names) {
      if (keys.test(name)) found.push([name, this.at(name)])
      else this.at(name).refuse(`a name here is ${expected}`)
    }
    return found
  }

  /** The items of a list; none if it is absent. */
  items(): readonly Plain[] {
    if (this.isAbsent) return []
    if (!Array.isArray(this.value)) {
      this.refuse('expected a list, such as [a, b]')
      return []
    }
    if (this.value.length > itemsMax) {
      this.refuse(`${this.value.length} items; at most ${itemsMax}`)
      return []
    }
    return this.value.map((value: unknown, index) => new Plain(value, this.findings, [...this.path, index]))
  }

  text(pattern: RegExp, expected: string): string | undefined {
    if (typeof this.value === 'string' && pattern.test(this.value)) return this.value
    return this.refuse(`expected ${expected}`)
  }

  oneOf<T extends string>(words: readonly T[]): T | undefined {
    const word = words.find((one) => one === this.value)
    return word ?? this.refuse(`expected ${words.join(' or ')}`)
  }

  count(min: number, max: number): number | undefined {
    const { value } = this
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value
    return this.refuse(`expected a whole number from ${min} to ${max}`)
  }

  boolean(standard: boolean): boolean {
    if (this.isAbsent) return standard
    if (typeof this.value === 'boolean') return this.value
    this.refuse('expected true or false')
    return standard
  }

  /** Milliseconds since 1970 of `2026-07-01`, the beginning of that day in UTC, or of `2026-07-01T12:00:00Z`. */
  time(): number | undefined {
    const match = typeof this.value === 'string' ? timePattern.exec(this.value) : null
    if (match === null) return this.refuse('expected a date, such as 2026-07-01 or 2026-07-01T12:00:00Z')
    const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map((part) => Number(part ?? 0))
    const days = month === 2 ? (isLeap(year) ? 29 : 28) : [4, 6, 9, 11].includes(month) ? 30 : 31
    if (month < 1 || month > 12 || day < 1 || day > days || hour > 23 || minute > 59 || second > 59)
      return this.refuse('there is no such date')
    return Date.UTC(year, month - 1, day, hour, minute, second)
  }
}

const timePattern = /^([0-9]{4})-([0-9]{2})-([0-9]{2})(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?Z)?$/

const isLeap = (year: number): boolean => (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
