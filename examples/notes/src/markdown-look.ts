/**
 * How Markdown looks while it is written: headings large, tasks that can be ticked, and marks that are hidden where nobody writes. It changes
 * nothing in the text: a line that the cursor is in shows what stands there. The first line is the title of the note, whatever it is written as.
 */

import { syntaxTree } from '@codemirror/language'
import type { EditorState, Range } from '@codemirror/state'
import { Decoration, type DecorationSet, type EditorView, ViewPlugin, type ViewUpdate, WidgetType } from '@codemirror/view'

/** Nodes of the Markdown grammar whose lines get a class. */
const lineClasses: Readonly<Record<string, string>> = {
  ATXHeading1: 'md-h1',
  ATXHeading2: 'md-h2',
  ATXHeading3: 'md-h3',
  ATXHeading4: 'md-h3',
  Blockquote: 'md-quote',
  FencedCode: 'md-code',
  BulletList: 'md-list',
  OrderedList: 'md-list',
}

/** Nodes whose text gets one. */
const textClasses: Readonly<Record<string, string>> = {
  StrongEmphasis: 'md-strong',
  Emphasis: 'md-em',
  Strikethrough: 'md-strike',
  InlineCode: 'md-inline',
  Link: 'md-link',
  Autolink: 'md-link',
}

/** Marks that are quiet in a line that is being written, and hidden in all others. */
const marks: ReadonlySet<string> = new Set([
  'HeaderMark',
  'EmphasisMark',
  'CodeMark',
  'CodeInfo',
  'LinkMark',
  'StrikethroughMark',
  'QuoteMark',
])

const quiet = Decoration.mark({ class: 'md-mark' })
const hidden = Decoration.replace({})

export const markdownLook = ViewPlugin.fromClass(
  class {
    decorations: DecorationSet

    constructor(view: EditorView) {
      this.decorations = decorate(view)
    }

    update(update: ViewUpdate): void {
      const isParsed = syntaxTree(update.startState) !== syntaxTree(update.state)
      if (update.docChanged || update.viewportChanged || update.selectionSet || update.focusChanged || isParsed)
        this.decorations = decorate(update.view)
    }
  },
  { decorations: (plugin) => plugin.decorations },
)

function decorate(view: EditorView): DecorationSet {
  const { state } = view
  const isWritten = writtenIn(view)
  const found: Range<Decoration>[] = []
  if (view.viewport.from === 0) found.push(Decoration.line({ class: 'md-title' }).range(0))
  for (const { from, to } of view.visibleRanges) {
    syntaxTree(state).iterate({
      from,
      to,
      enter: ({ node, name, from: start, to: end }) => {
        const lineClass = lineClasses[name]
        if (lineClass !== undefined) found.push(...lines(state, Math.max(start, from), Math.min(end, to), lineClass))
        const textClass = textClasses[name]
        if (textClass !== undefined && start < end) found.push(Decoration.mark({ class: textClass }).range(start, end))
        const parent = node.parent?.name
        if (marks.has(name) && start < end) {
          const isBlock = name === 'HeaderMark' || name === 'QuoteMark'
          // The fences of a block of code are its edge, and stay.
          if (isWritten(start, end) || parent === 'FencedCode') found.push(quiet.range(start, end))
          else found.push(hidden.range(start, isBlock ? afterSpace(state, end) : end))
        } else if (name === 'URL') {
          if (parent !== 'Link' || isWritten(start, end)) found.push(quiet.range(start, end))
          else found.push(hidden.range(start, end))
        } else if (name === 'ListMark') found.push(...bullet(state, start, end, isWritten))
        else if (name === 'TaskMarker' && !isWritten(start, end)) {
          const isDone = /x/i.test(state.sliceDoc(start, end))
          found.push(Decoration.replace({ widget: new TaskBox(isDone) }).range(start, end))
          const { to: lineEnd } = state.doc.lineAt(end)
          if (isDone && end + 1 < lineEnd) found.push(Decoration.mark({ class: 'md-done' }).range(end + 1, lineEnd))
        }
      },
    })
  }
  return Decoration.set(found, true)
}

/** `-` as a bullet; nothing in front of the box of a task; numbers as they are. */
function bullet(
  state: EditorState,
  from: number,
  to: number,
  isWritten: (from: number, to: number) => boolean,
): Range<Decoration>[] {
  const rest = state.sliceDoc(to, to + 5)
  if (!isWritten(from, to) && /^[-*+]/.test(state.sliceDoc(from, to))) {
    if (/^ \[[ xX]\]/.test(rest)) return [hidden.range(from, to + 1)]
    return [Decoration.replace({ widget: new Bullet() }).range(from, to)]
  }
  return [Decoration.mark({ class: 'md-bullet' }).range(from, to)]
}

const afterSpace = (state: EditorState, at: number): number => (state.sliceDoc(at, at + 1) === ' ' ? at + 1 : at)

/** Whether a place is in a line that somebody writes in here. */
function writtenIn(view: EditorView): (from: number, to: number) => boolean {
  const { state } = view
  if (!view.hasFocus || state.readOnly) return () => false
  const written = state.selection.ranges.map((range) => ({
    from: state.doc.lineAt(range.from).from,
    to: state.doc.lineAt(range.to).to,
  }))
  return (from, to) => written.some((range) => range.from <= to && range.to >= from)
}

function lines(state: EditorState, from: number, to: number, name: string): Range<Decoration>[] {
  const found: Range<Decoration>[] = []
  for (let at = from; at <= to; at = state.doc.lineAt(at).to + 1) {
    const line = state.doc.lineAt(at)
    const place = `${line.from <= from ? ' first' : ''}${line.to >= to ? ' last' : ''}`
    found.push(Decoration.line({ class: `${name}${place}` }).range(line.from))
  }
  return found
}

class Bullet extends WidgetType {
  override eq(): boolean {
    return true
  }

  override toDOM(): HTMLElement {
    const dot = document.createElement('span')
    dot.className = 'md-bullet'
    dot.textContent = '•'
    return dot
  }
}

class TaskBox extends WidgetType {
  readonly #isDone: boolean

  constructor(isDone: boolean) {
    super()
    this.#isDone = isDone
  }

  override eq(other: TaskBox): boolean {
    return other.#isDone === this.#isDone
  }

  override toDOM(view: EditorView): HTMLElement {
    const box = document.createElement('input')
    box.type = 'checkbox'
    box.className = 'md-task'
    box.checked = this.#isDone
    box.disabled = view.state.readOnly
    box.setAttribute('aria-label', 'Done')
    box.addEventListener('change', () => {
      const at = view.posAtDOM(box)
      view.dispatch({ changes: { from: at + 1, to: at + 2, insert: box.checked ? 'x' : ' ' } })
    })
    return box
  }

  override ignoreEvent(): boolean {
    return true
  }
}
