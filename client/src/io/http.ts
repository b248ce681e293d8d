/** What a client asks over HTTP: who is there. No cookies, no cache, and no token: nothing that is asked is secret. */

export async function get(url: string, timeoutMs: number): Promise<string> {
  const answer = await fetch(url, {
    cache: 'no-store',
    credentials: 'omit',
    redirect: 'error',
    signal: AbortSignal.timeout(timeoutMs),
  })
  if (!answer.ok) throw new TypeError(`${answer.status}`)
  return answer.text()
}
