/** The body of a request, read as it comes and no further than its bound: what is beyond is never held. */

import { MeridianError } from '@meridian/core/errors'

/** @throws MeridianError UPDATE_TOO_LARGE */
export async function readBody(request: Request, bytesMax: number): Promise<Uint8Array> {
  const tooLarge = (): MeridianError =>
    new MeridianError('UPDATE_TOO_LARGE', { message: `A body has at most ${bytesMax} bytes (http.bodyBytesMax).` })
  if (Number(request.headers.get('content-length') ?? 0) > bytesMax) throw tooLarge()
  if (request.body === null) return new Uint8Array(0)
  const reader = request.body.getReader()
  const chunks: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    length += value.length
    if (length > bytesMax) {
      void reader.cancel().catch(() => undefined)
      throw tooLarge()
    }
    chunks.push(value)
  }
  const bytes = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.length
  }
  return bytes
}
