/** A wait that its caller may end. */

/** The part of an `AbortSignal` that is needed here. */
export interface Signal {
  readonly aborted: boolean
  readonly reason: unknown
  addEventListener(type: 'abort', listener: () => void): void
  removeEventListener(type: 'abort', listener: () => void): void
}

export function throwIfAborted(signal: Signal | undefined): void {
  if (signal?.aborted === true) throw signal.reason
}

/** @param begin begins what is waited for, and answers how to end the wait. */
export function abortable(
  signal: Signal | undefined,
  begin: (resolve: () => void, reject: (error: unknown) => void) => () => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let end = (): void => undefined
    const onAbort = (): void => {
      end()
      reject(signal?.reason)
    }
    const settled = (): void => signal?.removeEventListener('abort', onAbort)
    signal?.addEventListener('abort', onAbort)
    end = begin(
      () => {
        settled()
        resolve()
      },
      (error) => {
        settled()
        reject(error)
      },
    )
  })
}
