/**
 * Structured logs on standard output: one JSON object a line, or lines for people in development on a terminal. Document names,
 * contents and tokens are in none of them; `redact` is the net below that, for what a library might put into an error.
 *
 * Writing is synchronous and lines are few (starting, stopping, trouble): nothing is lost when the process ends. Sessions log at `debug`.
 */

import { stripVTControlCharacters, styleText } from 'node:util'
import { type DestinationStream, type Logger, pino } from 'pino'
import type { NodeConfig } from '../config.js'

export type { Logger } from 'pino'

export interface LogOutput {
  readonly isTTY?: boolean | undefined
  write(text: string): unknown
}

export function createLogger(config: NodeConfig, output: LogOutput = process.stdout): Logger {
  const { level, format } = config.log
  const pretty = format === 'pretty' || (format === 'auto' && config.auth.kind === 'development' && output.isTTY === true)
  const destination: DestinationStream = pretty ? prettyStream(output) : { write: (line) => void output.write(line) }
  return pino(
    {
      level,
      base: { region: config.region },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: [
          'token',
          'authorization',
          'cookie',
          'payload',
          'document',
          'name',
          '*.token',
          '*.authorization',
          '*.cookie',
          '*.payload',
          '*.document',
        ],
        censor: '[redacted]',
      },
    },
    destination,
  )
}

const colors = { fatal: 'red', error: 'red', warn: 'yellow', info: 'green', debug: 'gray', trace: 'gray' } as const

/** `12:30:05 info  message  key=value`. Control characters are dropped, so that nobody draws on the terminal of who reads the log. */
function prettyStream(output: LogOutput): DestinationStream {
  const colored = output.isTTY === true && !process.env['NO_COLOR']
  return {
    write(line) {
      const { time, level, msg, region: _region, ...rest } = parseLine(line)
      const name = String(level)
      const paint = (name in colors ? colors[name as keyof typeof colors] : 'gray') satisfies Parameters<typeof styleText>[0]
      const label = name.padEnd(5)
      const text = `${String(time).slice(11, 19)} ${colored ? styleText(paint, label) : label} ${String(msg)}${fields(rest)}`
      output.write(`${clean(text, colored)}\n`)
    },
  }
}

function parseLine(line: string): Record<string, unknown> {
  const value: unknown = JSON.parse(line)
  return typeof value === 'object' && value !== null ? { ...value } : { msg: line }
}

function fields(rest: Record<string, unknown>): string {
  let text = ''
  for (const [key, value] of Object.entries(rest)) text += `  ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`
  return text
}

const clean = (text: string, colored: boolean): string =>
  (colored ? text : stripVTControlCharacters(text)).replaceAll(/[\r\n]+/g, ' | ')
