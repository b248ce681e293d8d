// The part that every wire's `connect` shares: a promise that settles once, by readiness, close or time.

/** A client that holds nothing: the state vector `00`, and `00 00`, the update that adds nothing. @type {import('./types.mjs').Sync} */
export const EMPTY = { stateVector: Buffer.from([0]), answer: () => Buffer.from([0, 0]) }

/**
 * @param {import('./types.mjs').ConnectOptions} options
 * @param {(settle: { ready(connection: import('./types.mjs').Connection): void, closed(reason: string): void }) =>
 *   import('./types.mjs').Connection} open
 * @returns {Promise<import('./types.mjs').Connection>}
 */
export function opening({ timeoutMs = 30_000, documents, onClose }, open) {
  return new Promise((resolve, reject) => {
    let settled = false
    const timer = setTimeout(() => {
      settled = true
      reject(new Error(`not in sync after ${timeoutMs} ms: ${documents[0]}`))
      connection.close()
    }, timeoutMs)
    const connection = open({
      ready(made) {
        if (settled) return
        settled = true
        clearTimeout(timer)
        resolve(made)
      },
      closed(reason) {
        clearTimeout(timer)
        if (!settled) {
          settled = true
          reject(new Error(`closed before in sync: ${reason}`))
        }
        onClose?.()
      },
    })
  })
}
