/** Shows an address in the browser of whoever sits in front of this machine, if somebody does. */

import { spawn } from 'node:child_process'

export interface Desktop {
  readonly platform: NodeJS.Platform
  readonly environment: NodeJS.ProcessEnv
}

/** What to run; undefined where nobody would see it: in CI, in a container and over a remote shell. */
export function openCommand(
  url: string,
  { platform, environment }: Desktop,
): { readonly command: string; readonly args: readonly string[] } | undefined {
  if (environment['CI'] || environment['SSH_CONNECTION']) return undefined
  if (platform === 'darwin') return { command: 'open', args: [url] }
  // The first quoted argument of start is a title; Node.js quotes an empty one.
  if (platform === 'win32') return { command: 'cmd', args: ['/c', 'start', '', url] }
  if (environment['DISPLAY'] || environment['WAYLAND_DISPLAY']) return { command: 'xdg-open', args: [url] }
  return undefined
}

/** Never fails: the address was printed, too. */
export function openBrowser(url: string): void {
  const open = openCommand(url, { platform: process.platform, environment: process.env })
  if (open === undefined) return
  const child = spawn(open.command, open.args, { stdio: 'ignore', detached: true })
  child.on('error', () => undefined)
  child.unref()
}
