/**
 * As much of a document as react-dom touches for components that draw nothing: the hooks are looked at, not the page. It stands in
 * global names while a test runs, because react-dom looks for a window there.
 */

import { onTestFinished } from 'vitest'

/** An element that takes what it is given and shows nothing. */
export function minimalElement(): Element {
  const element = {
    nodeType: 1,
    nodeName: 'DIV',
    tagName: 'DIV',
    namespaceURI: 'http://www.w3.org/1999/xhtml',
    textContent: '',
    firstChild: null,
    lastChild: null,
    parentNode: null,
    ownerDocument: { nodeType: 9, addEventListener: () => undefined, removeEventListener: () => undefined, activeElement: null },
    addEventListener: () => undefined,
    removeEventListener: () => undefined,
  }
  // As react-dom takes it.
  const unknownElement: unknown = element
  return unknownElement as Element
}

/** No element is one. */
function noFrame(): void {}

/** Globals until the test is over. `IS_REACT_ACT_ENVIRONMENT` makes React complain about an update that no `act` has waited for. */
export function useMinimalWindow(): void {
  const names = { window: { event: undefined, HTMLIFrameElement: noFrame }, IS_REACT_ACT_ENVIRONMENT: true }
  Object.assign(globalThis, names)
  onTestFinished(() => {
    for (const name of Object.keys(names)) Reflect.deleteProperty(globalThis, name)
  })
}
