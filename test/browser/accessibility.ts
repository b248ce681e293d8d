/**
 * What of WCAG 2.2 can be computed from a page: names of controls (4.1.2) and contrast of text (1.4.3). Whether a name says the right
 * thing, and whether the order of things makes sense, is for people.
 */

import type { Page } from 'playwright'

/** Controls that are shown and that a screen reader would have no name for. */
export const namelessControls = (page: Page): Promise<string[]> =>
  page.evaluate(() => {
    const nameOf = (element: HTMLElement): string => {
      const labels =
        element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement ? [...(element.labels ?? [])] : []
      const named = (element.getAttribute('aria-labelledby') ?? '')
        .split(' ')
        .map((id) => document.getElementById(id)?.textContent)
      return [element.getAttribute('aria-label'), ...named, ...labels.map((label) => label.textContent), element.textContent]
        .join('')
        .trim()
    }
    return [
      ...document.querySelectorAll<HTMLElement>('button, a[href], input, textarea, dialog, nav, [role=textbox], [role=img]'),
    ]
      .filter((element) => element.checkVisibility() && nameOf(element) === '')
      .map((element) => element.outerHTML.slice(0, 100))
  })

/** Texts that are shown with less contrast than 4.5, or 3 where they are large, with what they have. */
export const contrastsBelow = (page: Page): Promise<string[]> =>
  page.evaluate(() => {
    type Color = readonly [number, number, number, number]
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true })
    /** By drawing it, since browsers write colours in many ways. */
    const parse = (text: string): Color => {
      if (canvas === null) throw new Error('no canvas')
      canvas.clearRect(0, 0, 1, 1)
      canvas.fillStyle = text
      canvas.fillRect(0, 0, 1, 1)
      const [red = 0, green = 0, blue = 0, alpha = 0] = canvas.getImageData(0, 0, 1, 1).data
      return [red, green, blue, alpha / 255]
    }
    const over = (top: Color, ground: Color): Color => {
      const mix = (index: 0 | 1 | 2): number => top[index] * top[3] + ground[index] * (1 - top[3])
      return [mix(0), mix(1), mix(2), 1]
    }
    const groundOf = (element: Element | null): Color => {
      if (element === null) return [255, 255, 255, 1]
      const own = parse(getComputedStyle(element).backgroundColor)
      if (own[3] === 1) return own
      // A dialog stands in the top layer: what is around it in the document is not what is behind it.
      return over(own, groundOf(element.parentElement))
    }
    const luminance = ([red, green, blue]: Color): number => {
      const linear = [red, green, blue].map((value) => {
        const part = value / 255
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
      })
      return 0.2126 * (linear[0] ?? 0) + 0.7152 * (linear[1] ?? 0) + 0.0722 * (linear[2] ?? 0)
    }
    const found: string[] = []
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
      const element = node.parentElement
      const text = node.textContent?.trim() ?? ''
      if (element === null || text === '' || !element.checkVisibility() || element.closest('.unseen, :disabled') !== null)
        continue
      const style = getComputedStyle(element)
      const ground = groundOf(element)
      const [high, low] = [luminance(over(parse(style.color), ground)), luminance(ground)].toSorted((a, b) => b - a)
      const contrast = ((high ?? 0) + 0.05) / ((low ?? 0) + 0.05)
      const pixels = Number.parseFloat(style.fontSize)
      const isLarge = pixels >= 24 || (pixels >= 18.66 && Number(style.fontWeight) >= 700)
      if (contrast < (isLarge ? 3 : 4.5)) found.push(`${contrast.toFixed(2)} “${text.slice(0, 40)}” ${element.className}`)
    }
    return found
  })
