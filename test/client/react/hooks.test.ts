/** The hooks in a real React, over a real client of the simulated world; components draw nothing and say what they saw. */

import type { Store } from '@meridian/client/client'
import type { Handle } from '@meridian/client/handle'
import { useDocument, usePresence, useStatus } from '@meridian/client/react'
import { act, Component, createElement, type FunctionComponent, type ReactNode, StrictMode } from 'react'
import { createRoot, type Root } from 'react-dom/client'
import { renderToString } from 'react-dom/server'
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { add, World } from '../world.js'
import { minimalElement, useMinimalWindow } from './minimal-dom.js'

beforeEach(() => {
  useMinimalWindow()
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
})

/** A root that is unmounted when the test is over. */
function newRoot(): { readonly root: Root; render(node: ReactNode): Promise<void> } {
  const root = createRoot(minimalElement())
  onTestFinished(() => act(async () => root.unmount()))
  return { root, render: (node) => act(async () => root.render(node)) }
}

/** What a component of one hook saw in each of its renders. */
function watcher<Props extends object, Seen>(hook: (props: Props) => Seen) {
  const seen: Seen[] = []
  const Watch: FunctionComponent<Props> = (props) => {
    seen.push(hook(props))
    return null
  }
  return { seen, Watch }
}

/** Until timers of no delay have run: that is how long a handle outlives its last component. */
const taskEnd = (): Promise<void> => act(async () => void (await vi.advanceTimersByTimeAsync(0)))

/** Every handle that the store has given out. */
function handlesOf(store: Store): Handle[] {
  const handles: Handle[] = []
  const { open } = store
  store.open = (name) => {
    const handle = open.call(store, name)
    handles.push(handle)
    return handle
  }
  return handles
}

const documents = () =>
  watcher(({ store, name }: { store: Store | undefined; name: string | undefined }) => useDocument(store, name))

describe('useDocument', () => {
  it('opens the document with the component and closes it after', async () => {
    const store = new World().device('a').client
    const handles = handlesOf(store)
    const { seen, Watch } = documents()
    const { render } = newRoot()
    await render(createElement(Watch, { store, name: 'notes/1' }))
    expect([handles.length, seen]).toEqual([1, [undefined, handles[0]]])
    await render(null)
    expect(handles[0]?.status.kind).not.toBe('closed')
    await taskEnd()
    expect(handles[0]?.status.kind).toBe('closed')
  })

  it('given StrictMode, which mounts twice, then one handle is opened and stays open', async () => {
    const store = new World().device('a').client
    const handles = handlesOf(store)
    const { seen, Watch } = documents()
    await newRoot().render(createElement(StrictMode, null, createElement(Watch, { store, name: 'notes/1' })))
    await taskEnd()
    expect([handles.length, seen.at(-1) === handles[0], handles[0]?.status.kind]).toEqual([1, true, 'offline'])
  })

  it('given a remount in the same task, then the Y.Doc is the same and was not destroyed', async () => {
    const store = new World().device('a').client
    const handles = handlesOf(store)
    const { seen, Watch } = documents()
    const { render } = newRoot()
    for (const key of ['one', 'two', 'three']) await render(createElement(Watch, { key, store, name: 'notes/1' }))
    await taskEnd()
    expect([handles.length, new Set(seen.map((handle) => handle?.ydoc)).size, handles[0]?.ydoc.isDestroyed]).toEqual([
      1,
      2,
      false,
    ])
  })

  it('given two components and one name, then they share a handle until both are gone', async () => {
    const store = new World().device('a').client
    const handles = handlesOf(store)
    const { Watch } = documents()
    const { render } = newRoot()
    const two = [
      createElement(Watch, { key: 1, store, name: 'notes/1' }),
      createElement(Watch, { key: 2, store, name: 'notes/1' }),
    ]
    await render(two)
    await render(two.slice(1))
    await taskEnd()
    expect([handles.length, handles[0]?.status.kind]).toEqual([1, 'offline'])
    await render([])
    await taskEnd()
    expect(handles[0]?.status.kind).toBe('closed')
  })

  it('given another name, then it never shows the document of the one before, and closes that', async () => {
    const store = new World().device('a').client
    const handles = handlesOf(store)
    const { seen, Watch } = documents()
    const { render } = newRoot()
    await render(createElement(Watch, { store, name: 'notes/1' }))
    const before = seen.length
    await render(createElement(Watch, { store, name: 'notes/2' }))
    await taskEnd()
    expect(seen.slice(before).map((handle) => handle?.name)).toEqual([undefined, 'notes/2'])
    expect(handles.map((handle) => handle.status.kind)).toEqual(['closed', 'offline'])
  })

  it('given a document that was closed and is asked for again, then there is a new handle', async () => {
    const store = new World().device('a').client
    const handles = handlesOf(store)
    const { seen, Watch } = documents()
    const { render } = newRoot()
    await render(createElement(Watch, { store, name: 'notes/1' }))
    await render(null)
    await taskEnd()
    await render(createElement(Watch, { store, name: 'notes/1' }))
    expect([handles.length, seen.at(-1) === handles[1], handles[1]?.status.kind]).toEqual([2, true, 'offline'])
  })

  it('given no store or no name, then nothing is opened', async () => {
    const store = new World().device('a').client
    const handles = handlesOf(store)
    const { seen, Watch } = documents()
    const { render } = newRoot()
    await render([
      createElement(Watch, { key: 1, store: undefined, name: 'notes/1' }),
      createElement(Watch, { key: 2, store, name: undefined }),
    ])
    expect([handles, seen]).toEqual([[], [undefined, undefined]])
  })

  it('given a name that is none, then the error boundary gets the typed error', async () => {
    const store = new World().device('a').client
    const { Watch } = documents()
    const caught: unknown[] = []
    class Boundary extends Component<{ readonly children: ReactNode }, { readonly isBroken: boolean }> {
      override state = { isBroken: false }
      static getDerivedStateFromError = () => ({ isBroken: true })
      override componentDidCatch(error: unknown): void {
        caught.push(error)
      }
      override render(): ReactNode {
        return this.state.isBroken ? null : this.props.children
      }
    }
    const root = createRoot(minimalElement(), { onCaughtError: () => undefined })
    onTestFinished(() => act(async () => root.unmount()))
    await act(async () => root.render(createElement(Boundary, null, createElement(Watch, { store, name: 'no collection' }))))
    expect(caught).toEqual([expect.objectContaining({ code: 'NAME_INVALID' })])
  })
})

describe('useStatus', () => {
  it('[CLI2] follows a document from the device to saved, and renders for nothing else', async () => {
    const world = new World()
    const store = world.device('a').client
    const handle = store.open('notes/1')
    const { seen, Watch } = watcher(() => useStatus(handle))
    await newRoot().render(createElement(Watch))
    await act(() => world.settle())
    const settled = seen.length
    await act(async () => add(handle, 'x'))
    await act(() => world.settle())
    const kinds = seen.map((status) => `${status.kind} ${status.pending}`)
    expect(kinds[0]).toBe('loading 0')
    expect(kinds.slice(settled)).toEqual(['current 1', 'current 0'])
    expect(seen.at(-1)).toBe(handle.status)
    await act(() => world.settle())
    expect(seen.length).toBe(kinds.length)
  })

  it('follows a store, and changes over to another one', async () => {
    const world = new World()
    const [one, two] = [world.device('a').client, world.device('b').client]
    const { seen, Watch } = watcher(({ store }: { store: Store }) => useStatus(store))
    const { render } = newRoot()
    await render(createElement(Watch, { store: one }))
    await act(() => world.settle())
    expect(seen.at(-1)?.connection.kind).toBe('online')
    await render(createElement(Watch, { store: two }))
    await act(() => one.close())
    expect(seen.at(-1)).toBe(two.status)
  })
})

describe('usePresence', () => {
  it('[SES6] shows others as they come, change and go, as one map until something changes', async () => {
    const world = new World()
    const handle = world.device('a').open('notes/1')
    const other = world.device('b').open('notes/1')
    const { seen, Watch } = watcher(() => usePresence(handle))
    await newRoot().render(createElement(Watch))
    await act(() => world.settle())
    other.presence.set({ user: { name: 'Bo' } })
    await act(() => world.pass(200))
    expect([...(seen.at(-1)?.values() ?? [])].map((peer) => peer.state)).toEqual([{ user: { name: 'Bo' } }])
    expect(seen.at(-1)).toBe(handle.presence.peers)
    const count = seen.length
    await act(() => world.settle())
    expect(seen.length).toBe(count)
    await other.close()
    await act(() => world.pass(200))
    expect(seen.at(-1)?.size).toBe(0)
  })
})

describe('on a server', () => {
  it('opens nothing, and says what a client says that has not begun', () => {
    const store = new World().device('a').client
    const handle = store.open('notes/1')
    const handles = handlesOf(store)
    const all = watcher(() => [useDocument(store, 'notes/2'), useStatus(handle), usePresence(handle).size] as const)
    expect(renderToString(createElement(all.Watch))).toBe('')
    expect([handles, all.seen]).toEqual([[], [[undefined, { kind: 'loading', pending: 0 }, 0]]])
  })
})
