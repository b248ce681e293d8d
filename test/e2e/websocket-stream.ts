/** The binary messages of one direction of a WebSocket connection, from its bytes: behind the HTTP head, masked or not. */

export class WebSocketStream {
  #held: Buffer = Buffer.alloc(0)
  /** Bytes that were taken out of `#held`. */
  #taken = 0
  #state: 'head' | 'frames' | 'refused' = 'head'
  readonly #onMessage: (message: Buffer, startByte: number, isCompressed: boolean) => void

  /** @param onMessage is told at which byte of the stream the message's frame begins. */
  constructor(onMessage: (message: Buffer, startByte: number, isCompressed: boolean) => void) {
    this.#onMessage = onMessage
  }

  receive(bytes: Uint8Array): void {
    if (this.#state === 'refused') return
    this.#held = Buffer.concat([this.#held, bytes])
    if (this.#state === 'head') {
      const end = this.#held.indexOf('\r\n\r\n')
      if (end < 0) return
      const [line = ''] = this.#held.toString('latin1', 0, end).split('\r\n')
      // A node that stops, or is full, answers in plain HTTP.
      this.#state = line.startsWith('GET ') || line.startsWith('HTTP/1.1 101 ') ? 'frames' : 'refused'
      if (this.#state === 'refused') return
      this.#take(end + 4)
    }
    for (;;) {
      const [first, second] = this.#held
      if (first === undefined || second === undefined) return
      const short = second & 127
      const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0
      const maskBytes = (second & 128) === 0 ? 0 : 4
      const head = 2 + lengthBytes + maskBytes
      if (this.#held.length < head) return
      const length =
        lengthBytes === 2 ? this.#held.readUInt16BE(2) : lengthBytes === 8 ? Number(this.#held.readBigUInt64BE(2)) : short
      if (this.#held.length < head + length) return
      if ((first & 15) === 2) this.#onMessage(unmasked(this.#held, head, length, maskBytes), this.#taken, (first & 64) !== 0)
      // Neither side splits its messages into WebSocket fragments.
      if ((first & 128) === 0 || (first & 15) === 0) throw new Error('a WebSocket fragment')
      this.#take(head + length)
    }
  }

  #take(count: number): void {
    this.#held = this.#held.subarray(count)
    this.#taken += count
  }
}

function unmasked(held: Buffer, head: number, length: number, maskBytes: number): Buffer {
  const message = Buffer.from(held.subarray(head, head + length))
  const mask = held.subarray(head - maskBytes, head)
  if (maskBytes > 0) for (let index = 0; index < length; index++) message[index] = (message[index] ?? 0) ^ (mask[index % 4] ?? 0)
  return message
}
