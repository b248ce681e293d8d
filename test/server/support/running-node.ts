/** A node of this process on a port and in a folder of its own, stopped and removed when the test is over. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '@meridian/core/effects'
import { type ConfigSources, formatIssue, loadConfig, type NodeConfig } from '@meridian/server/config'
import { createLogger, type Logger } from '@meridian/server/io/logging'
import { type MeridianNode, startNode } from '@meridian/server/node'
import { afterAll, beforeAll, onTestFinished } from 'vitest'

export interface RunningNode {
  readonly node: MeridianNode
  readonly config: NodeConfig
  /** What it logged, one object a line. */
  readonly lines: Record<string, unknown>[]
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'meridian-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export function configOf(flags: Record<string, string | boolean>, texts: Record<string, string> = {}): NodeConfig {
  const sources: ConfigSources = {
    environment: {},
    flags: new Map(Object.entries(flags)),
    readText(path) {
      const text = texts[path]
      if (text === undefined) throw new Error('no such file')
      return text
    },
    listFolder: (path) => folderOf(texts, path),
  }
  const outcome = loadConfig(sources)
  if (outcome.kind === 'invalid') throw new Error(outcome.issues.map(formatIssue).join('\n'))
  return outcome.config
}

/** Names of the files that stand in a folder among these. */
export function folderOf(texts: Readonly<Record<string, string>>, folder: string): readonly string[] {
  const paths = Object.keys(texts).filter((path) => path.startsWith(`${folder}/`))
  if (paths.length === 0) throw new Error('no such folder')
  return paths.map((path) => path.slice(folder.length + 1))
}

export function recordingLogger(config: NodeConfig): { readonly logger: Logger; readonly lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = []
  const logger = createLogger(config, { write: (text) => lines.push(JSON.parse(text) as Record<string, unknown>) })
  return { logger, lines }
}

export interface TestNodeOptions {
  /** Settings by path; development mode unless they say otherwise. */
  readonly flags?: Record<string, string | boolean>
  /** Files that settings name. */
  readonly texts?: Record<string, string>
  readonly clock?: Clock
}

export async function startTestNode(
  flags: Record<string, string | boolean> = {},
  options: TestNodeOptions = {},
): Promise<RunningNode> {
  const started = await start(flags['dataDir'] === undefined ? await temporaryFolder() : '', { ...options, flags })
  onTestFinished(() => started.node.close())
  return started
}

/** One node for all tests of a `describe`. */
export function useTestNode(flags: Record<string, string | boolean> = {}): () => MeridianNode {
  let folder = ''
  let started: RunningNode | undefined
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'meridian-'))
    started = await start(folder, { flags })
  })
  afterAll(async () => {
    await started?.node.close()
    await rm(folder, { recursive: true, force: true })
  })
  return () => {
    if (started === undefined) throw new Error('the node has not started')
    return started.node
  }
}

async function start(dataDir: string, { flags = {}, texts = {}, clock }: TestNodeOptions): Promise<RunningNode> {
  const config = configOf(
    { region: 'eu-west', port: '0', dataDir, ...(flags['dev'] === undefined ? { dev: true } : {}), ...flags },
    texts,
  )
  const { logger, lines } = recordingLogger(config)
  const node = await startNode(config, { logger, ...(clock === undefined ? {} : { clock }) })
  return { node, config, lines }
}
