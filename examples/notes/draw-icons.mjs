/** Draws the icons of the app from public/icon.svg, in a browser; run by hand when the drawing changes. `CHROMIUM_PATH` names the browser. */

import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright'

const folder = new URL('public/', import.meta.url)
const drawing = await readFile(new URL('icon.svg', folder), 'utf8')
const executablePath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'

/** Systems cut a maskable icon to their own shape: its ground fills all, and the drawing keeps to the middle. */
const icons = [
  { name: 'icon-180.png', size: 180, isMaskable: true },
  { name: 'icon-192.png', size: 192, isMaskable: false },
  { name: 'icon-512.png', size: 512, isMaskable: false },
  { name: 'icon-maskable-512.png', size: 512, isMaskable: true },
]

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
try {
  for (const { name, size, isMaskable } of icons) {
    const page = await browser.newPage({ viewport: { width: size, height: size } })
    const inner = isMaskable ? '82%' : '100%'
    const ground = isMaskable ? 'background:#0f5f5c;' : ''
    await page.setContent(
      `<body style="margin:0;display:grid;place-items:center;height:100vh;${ground}">${drawing.replace('<svg ', `<svg width="${inner}" `)}`,
    )
    await page.screenshot({ path: fileURLToPath(new URL(name, folder)), omitBackground: true })
    await page.close()
  }
} finally {
  await browser.close()
}
