/**
 * Automerge's wasm with an end to its memory. The module may grow to 4 GiB by itself, bounds on a thread's heap do not hold for it, and few bytes
 * can ask for very much. So the limit is written into the module before it is compiled: what asks for more fails, and its thread ends.
 */

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { initializeWasm } from '@automerge/automerge/slim'
import { assert } from '../errors.js'

const pageBytes = 65_536
const memorySection = 5

/** Before anything else of Automerge in this thread. @param memoryMb mebibytes that it may grow to */
export async function initializeAutomerge(memoryMb: number): Promise<void> {
  const path = createRequire(import.meta.url).resolve('@automerge/automerge/automerge.wasm')
  await initializeWasm(limitMemory(readFileSync(path), (memoryMb * 1024 * 1024) / pageBytes))
}

/** A module of one memory, which gets a maximum (WebAssembly core specification, 5.5.8). */
export function limitMemory(module: Uint8Array, pagesMax: number): Uint8Array {
  // Behind magic and version.
  let at = 8
  while (at < module.length) {
    const section = module[at]
    const [length, from] = readLeb(module, at + 1)
    if (section === memorySection) {
      assert(module[from] === 1 && module[from + 1] === 0, 'the module has one memory, and no maximum')
      const [pagesMin] = readLeb(module, from + 2)
      const body = [1, 1, ...leb(pagesMin), ...leb(pagesMax)]
      const rest = module.subarray(from + length)
      return Uint8Array.from(
        Buffer.concat([module.subarray(0, at), Buffer.from([memorySection, ...leb(body.length), ...body]), rest]),
      )
    }
    at = from + length
  }
  throw new Error('the module has no memory')
}

/** @returns the number, and where it ends */
function readLeb(bytes: Uint8Array, from: number): [number, number] {
  let value = 0
  for (let at = from, factor = 1; ; at++, factor *= 128) {
    const byte = bytes[at] ?? 0
    value += (byte & 0x7f) * factor
    if (byte < 0x80) return [value, at + 1]
  }
}

function leb(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 128) return [...bytes, rest]
    bytes.push((rest & 0x7f) | 0x80)
  }
}
