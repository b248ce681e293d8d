// Everything bad at one node, one thing after the other and then all at once, with two honest clients that type beside it: `npm run attack`, or
// `-- --seconds 60` for the part where all go together. For each attack it prints the node's memory, the longest that an honest edit waited for
// its ack, and what was refused. It leaves with 1 if the node ended, is not ready, or an honest edit was lost, refused or is not on both sides.
//
// It is heavy and for a quiet machine; what must never break stands as tests in test/attacks.

import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { setTimeout as after } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { deflateRawSync } from 'node:zlib'
import { encodeClientFrame } from '@meridian/core/wires/native/client-frames'
import { HonestPair } from '../dist/attacks/honest.js'
import { atClock, hex, textUpdate } from '../dist/attacks/updates.js'
import { Victim } from '../dist/attacks/victim.js'
import {
  attachOf,
  helloOf,
  messageOf,
  MiB,
  pushOf,
  Raw,
  rawFrame,
  varUint,
  webSocketFrame,
  WireClient,
} from '../dist/attacks/wire.js'

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '20' }, sockets: { type: 'string', default: '10000' } },
})
const togetherMs = Number(values.seconds) * 1000

/** @param {string} line */
const say = (line) => process.stdout.write(`${line}\n`)
const victim = await Victim.start({ files: 'raised' })

/**
 * One connection for one thing to say.
 * @param {(client: WireClient) => void | Promise<void>} speak
 */
async function once(speak) {
  const client = new WireClient(victim.url, { keeps: false })
  try {
    await client.open()
    await speak(client)
    await after(20)
  } catch {
    // Refused at the door, which is an answer.
  }
  client.socket.terminate()
}

/**
 * @param {number} count
 * @param {(index: number) => Promise<void>} run
 */
async function each(count, run) {
  for (let index = 0; index < count; index += 20) await Promise.all(Array.from({ length: 20 }, (_, place) => run(index + place)))
}

const sound = messageOf(helloOf(), attachOf(1, 'dev/attacked/1'), pushOf(1, 1, textUpdate('x'.repeat(200))))
const absurd = [2 ** 31 - 1, 2 ** 32, 2 ** 48, Number.MAX_SAFE_INTEGER]
/** A struct of no length, as an item, as a collected one and as a skip; counts and clocks that nobody has. */
const updates = [
  hex('01 01 05 00 00 00 00'),
  hex('01 01 05 00 0a 00 00'),
  hex('01 01 05 00 04 01 01 74 00 00'),
  ...absurd.flatMap((number) => [
    Buffer.concat([varUint(number), hex('01 05 00 00 01 00')]),
    Buffer.concat([hex('01'), varUint(number), hex('05 00 00 01 00')]),
    Buffer.concat([hex('01 01 05'), varUint(number), hex('00 01 00')]),
    Buffer.concat([hex('01 01 05 00 00'), varUint(number), hex('00')]),
    Buffer.concat([hex('00 01 05 01 00'), varUint(number)]),
  ]),
  atClock(99, 2 ** 40),
]

/** @type {Record<string, () => Promise<void>>} */
const attacks = {
  'random frames': () => each(1_000, () => once((client) => client.socket.send(randomBytes(2_000)))),
  'truncated frames': () =>
    each(sound.length, (index) => once((client) => client.socket.send(sound.subarray(0, index % sound.length)))),
  'absurd numbers': () =>
    each(400, (index) =>
      once(async (client) => {
        client.send(helloOf(), attachOf(1, 'dev/attacked/2'))
        client.send(
          rawFrame(1 + (index % 9), Buffer.concat([varUint(absurd[index % 4] ?? 0), varUint(absurd[(index >> 2) % 4] ?? 0)])),
        )
      }),
    ),
  'updates that are none': () =>
    each(20, () =>
      once(async (client) => {
        client.send(helloOf(), attachOf(1, 'dev/attacked/3'))
        let counter = 1
        for (const update of updates) {
          client.send(pushOf(1, counter, update))
          client.send({ type: 'resume', channel: 1, counter: ++counter })
        }
        await after(200)
      }),
    ),
  'presence floods': () =>
    each(20, () =>
      once(async (client) => {
        client.send(helloOf(), attachOf(1, 'dev/attacked/4'))
        const states = Buffer.concat(
          Array.from({ length: 200 }, () => encodeClientFrame({ type: 'presence', channel: 1, payload: randomBytes(4_000) })),
        )
        for (let message = 0; message < 10; message++) await client.sendAndWait(states)
      }),
    ),
  'sockets that never say who they are': async () => {
    const script = fileURLToPath(new URL('../server/support/silent-sockets.mjs', import.meta.url))
    const child = fork(script, [String(victim.port), values.sockets], { stdio: 'inherit' })
    const [{ opened, failed }] = await new Promise((resolve) => child.once('message', (message) => resolve([message])))
    say(`    ${opened} sockets were open at once or had been, ${failed} failed`)
    await after(3_000)
    child.kill('SIGKILL')
  },
  'slow readers': async () => {
    const readers = Array.from({ length: 20 }, () => new WireClient(victim.url, { keeps: false }))
    for (const reader of readers) {
      await reader.open()
      reader.send(helloOf(), attachOf(1, 'dev/attacked/5'))
      await after(20)
      reader.socket.pause()
    }
    await once(async (writer) => {
      writer.send(helloOf(), attachOf(1, 'dev/attacked/5'))
      for (let counter = 1; counter <= 30; counter++) {
        await writer.sendAndWait(messageOf(pushOf(1, counter, textUpdate('y'.repeat(500_000), 1_000 + counter))))
        await after(30)
      }
    })
    for (const reader of readers) reader.socket.terminate()
  },
  'messages over the limits': () =>
    each(40, () => once((client) => void client.sendAndWait(Buffer.concat([sound, Buffer.alloc(2 * MiB)])))),
  'compression bombs': async () => {
    const bomb = deflateRawSync(Buffer.alloc(64 * MiB))
    await each(40, async () => {
      const raw = await Raw.webSocket(victim.port)
      await raw.push(webSocketFrame(bomb, { reserved: 4 }))
      await after(50)
      raw.destroy()
    })
  },
  'messages that never end': async () => {
    const raws = await Promise.all(Array.from({ length: 50 }, () => Raw.known(victim.port)))
    for (const raw of raws) raw.write(webSocketFrame(Buffer.alloc(900_000), { length: MiB }))
    await after(2_000)
    for (const raw of raws) raw.destroy()
  },
}

const codes = [
  'FRAME_INVALID',
  'FRAME_TOO_LARGE',
  'UPDATE_INVALID',
  'PREMATURE',
  'LIMIT_PRESENCE',
  'LIMIT_UNACKED',
  'HELLO_TIMEOUT',
  'TIMEOUT',
]
const refusals = async () =>
  new Map(await Promise.all(codes.map(async (code) => /** @type {const} */ ([code, await victim.refused(code)]))))

const honest = await HonestPair.start(victim)
await after(2_000)
const first = victim.rssMb
say(`attack: Node.js ${process.version}, ${first} MiB before; an honest edit waits ${honest.takeSlowestMs()} ms at most`)

/**
 * @param {string} name
 * @param {() => Promise<void>} attack
 */
async function measure(name, attack) {
  const before = await refusals()
  const rss = victim.rssMb
  victim.forgetPeak()
  honest.takeSlowestMs()
  await attack()
  const gone = [...(await refusals())]
    .map(([code, count]) => /** @type {const} */ ([code, count - (before.get(code) ?? 0)]))
    .filter(([, count]) => count > 0)
  say(
    `${name.padEnd(38)} +${victim.peakMb - rss} MiB at most, ${victim.rssMb} MiB after; honest edits ${honest.takeSlowestMs()} ms at most; ` +
      `refused: ${gone.map(([code, count]) => `${code} ${count}`).join(', ') || 'by closing only'}`,
  )
}

let failed = false
try {
  for (const [name, attack] of Object.entries(attacks)) await measure(name, attack)
  await measure(`all of them for ${togetherMs / 1000} s`, async () => {
    const until = Date.now() + togetherMs
    await Promise.all(
      Object.values(attacks).map(async (attack) => {
        do await attack()
        while (Date.now() < until)
      }),
    )
  })
  await after(3_000)
  const troubles = await honest.settle()
  const ready = await victim.readiness()
  failed = troubles.length > 0 || !victim.isAlive || ready !== 200
  say(
    `attack: ${failed ? 'FAILED' : 'held'}: ${honest.edits} honest edits, troubles: ${troubles.join('; ') || 'none'}; /readyz ${ready}; ${victim.rssMb} MiB in the end, ${first} before`,
  )
} catch (thrown) {
  failed = true
  say(`attack: FAILED\n${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`)
  say(victim.output.slice(-2_000))
} finally {
  await honest.close().catch(() => undefined)
  await victim.stop()
}
process.exitCode = failed ? 1 : 0
