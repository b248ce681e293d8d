/** The sample app as a person handles it, in a page of its own or in a frame of another. */

import type { Frame, Page } from 'playwright'
import { expect, onTestFinished } from 'vitest'
import { Profile } from './profile.js'

/** Where the app is shown. */
export type View = Page | Frame

const keyboardOf = (view: View) => ('keyboard' in view ? view.keyboard : view.page().keyboard)

interface PersonOptions {
  readonly name: string
  readonly color?: number
}

/** A browser of somebody who has told the app a name. */
export async function openProfile({ name, color = 0 }: PersonOptions): Promise<Profile> {
  const profile = await Profile.open()
  onTestFinished(() => profile.close())
  await profile.context.addInitScript(
    (person) => localStorage.setItem('meridian-notes:person', person),
    JSON.stringify({ name, color }),
  )
  return profile
}

/** What the page threw or complained of, looked at when the test is over: an error that nobody sees is one, too. */
export async function openPage(profile: Profile, url: string): Promise<Page> {
  const tab = await profile.open(url)
  onTestFinished(() => {
    // The browser itself says what it could not load while it is offline.
    expect(tab.errors.filter((error) => !/net::ERR_|WebSocket connection/.test(error))).toEqual([])
  })
  return tab.page
}

export const textOf = (view: View) => view.locator('.cm-content')
export const badge = (view: View, kind: string) => view.locator(`.badge[data-kind="${kind}"]`)

/** The editor of a note is there, does not show `other`, and takes what is typed: keys that come before go nowhere. */
export async function editorTakesKeys(view: View, other?: string): Promise<void> {
  await view.waitForFunction((before) => {
    const editor = document.querySelector('.cm-content')
    return editor !== null && editor === document.activeElement && editor.textContent !== before
  }, other)
}

const shownText = (view: View): Promise<string | undefined> =>
  view.evaluate(() => document.querySelector('.cm-content')?.textContent ?? undefined)

/** Into the editor that has the focus, at its cursor. Typed again if nothing came of it: a busy page may take the focus away in between. */
export async function write(view: View, text: string): Promise<void> {
  await editorTakesKeys(view)
  const before = await shownText(view)
  await keyboardOf(view).insertText(text)
  if ((await shownText(view)) !== before) return
  await textOf(view).focus()
  await write(view, text)
}

export async function newNote(view: View, text: string): Promise<void> {
  const before = await shownText(view)
  await view.getByRole('button', { name: 'New', exact: true }).click()
  await editorTakesKeys(view, before)
  await write(view, text)
  await badge(view, 'saved').waitFor()
}

/** The note's name is in the list, and so in the index document, as soon as somebody rests. */
export const row = (view: View, title: string) => view.getByRole('navigation').getByRole('link', { name: title })
