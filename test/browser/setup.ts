/** Before the first browser test: there is a Chromium. What it takes to get one is shown. Tests find it through `CHROMIUM_PATH`. */

import { ensureChromium } from './chromium.js'

export async function setup(): Promise<void> {
  process.env['CHROMIUM_PATH'] = await ensureChromium((line) => process.stderr.write(`browser tests: ${line}\n`))
}
