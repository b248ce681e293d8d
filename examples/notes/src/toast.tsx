/** A word about what has just happened, with one thing to do about it. It leaves by itself if it may. */

import { type ReactNode, useEffect, useRef } from 'react'

/** Milliseconds: long enough to read it and reach for the button. It stays while the pointer or the focus is on it. */
const stayMs = 10_000

interface ToastProps {
  readonly children: ReactNode
  readonly action: string
  readonly onAction: () => void
  /** Without it the toast stays. */
  readonly onEnd?: () => void
}

export function Toast({ children, action, onAction, onEnd }: ToastProps) {
  const box = useRef<HTMLDivElement>(null)
  const end = useRef(onEnd)
  useEffect(() => {
    end.current = onEnd
  })
  useEffect(() => {
    const timer = setInterval(() => {
      if (box.current?.matches(':hover, :focus-within') !== true) end.current?.()
    }, stayMs)
    return () => clearInterval(timer)
  }, [])
  return (
    <div className="toast" ref={box}>
      <span>{children}</span>
      <button type="button" onClick={onAction}>
        {action}
      </button>
    </div>
  )
}
