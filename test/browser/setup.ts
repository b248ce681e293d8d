/**
 * Before the first browser test: there is a Chromium, and one of it runs for all profiles that need no folder of their own. What it takes
 * to get one is shown. Tests find them through `CHROMIUM_PATH` and `CHROMIUM_SERVER`.
 */

import { chromium } from 'playwright'
import { ensureChromium, launchFlags, launchLimitMs } from './chromium.js'

export async function setup(): Promise<() => Promise<void>> {
  const executablePath = await ensureChromium((line) => process.stderr.write(`browser tests: ${line}\n`))
  process.env['CHROMIUM_PATH'] = executablePath
  const server = await chromium.launchServer({ executablePath, headless: true, args: launchFlags(), timeout: launchLimitMs })
  process.env['CHROMIUM_SERVER'] = server.wsEndpoint()
  return () => server.close()
}
