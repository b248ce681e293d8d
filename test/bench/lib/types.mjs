// The shapes that targets, wires and rows agree on. Types only; nothing is exported at run time.

/**
 * One server under test: `targets/<name>.mjs` exports `target`.
 *
 * @typedef {object} Target
 * @property {string} name as in `--targets`, and the file's name.
 * @property {string} wire the name of the module in `wires/` that speaks to it.
 * @property {'ours' | 'peer' | 'relay'} kind
 * @property {boolean} persists whether a restart keeps what was written; only these take part in `w5`.
 * @property {() => string | undefined} [unavailable] why it cannot run here (printed as `not run`), or nothing.
 * @property {(dir: string, options: StartOptions) => Promise<Server>} start resolves when the server listens.
 * @property {(dir: string, count: number, options: StartOptions) => Promise<void>} [seed] fills an empty store with `count`
 *   documents named `bench/seed-0` … and leaves it cleanly closed. Only a target that has it takes part in `start`.
 * @property {(dir: string) => Promise<string[]>} [recover] for a store that its wire cannot read back (a relay's log): the files in
 *   which `w5` looks for the markers of what must have survived.
 */

/**
 * @typedef {object} StartOptions
 * @property {string} node path of the Node.js binary to run the server with.
 */

/**
 * A running server, as `spawnServer` of `lib/server.mjs` makes it. After `restart` the same object describes the new process.
 *
 * @typedef {object} Server
 * @property {number} pid
 * @property {number} port on 127.0.0.1.
 * @property {number} spawnedAt `performance.now()` just before the process was spawned.
 * @property {() => Promise<void>} stop SIGTERM, then SIGKILL after 15 s.
 * @property {() => Promise<void>} kill9 SIGKILL; resolves when the process is gone. Harmless when it already is.
 * @property {() => Promise<void>} restart starts it again on the same directory; the port may change.
 * @property {(what: 'start' | 'stop') => Promise<{ maxMs: number, p99Ms: number } | null>} stalls event-loop delays between the two calls.
 * @property {() => Promise<Memory>} memory after a full garbage collection.
 * @property {() => string} tail the last output of the process, for error messages.
 * @property {() => boolean} alive
 */

/**
 * Of a server's process, in bytes, worker threads included in `rss` only.
 *
 * @typedef {object} Memory
 * @property {number} rss
 * @property {number} live heap and buffers that are in use.
 */

/**
 * One client protocol: `wires/<name>.mjs` exports `wire`. It is a driver for the load generator, not a client: bytes in, bytes out,
 * no Y.Doc. One TCP connection a `connect`.
 *
 * @typedef {object} Wire
 * @property {string} name
 * @property {'ack' | 'echo' | 'none'} feedback how a writer learns that its push was taken: by `onAck`; by receiving its own update
 *   through `onUpdate`; or not at all (the generator then opens a reader where it needs to know).
 * @property {boolean} syncs whether a fresh client is sent the document's content.
 * @property {(options: ConnectOptions) => Promise<Connection>} connect resolves when every document is in sync, rejects after
 *   `timeoutMs` or when the server closes first.
 */

/**
 * @typedef {object} ConnectOptions
 * @property {string} host
 * @property {number} port
 * @property {string[]} documents names such as `bench/w2-17`; more than one only if the wire can (else it throws).
 * @property {number} [timeoutMs] 30,000 unless given.
 * @property {Sync} [sync] what this client already holds, for state-vector wires; empty documents unless given.
 * @property {unknown} [resume] what `Connection.resume` of an earlier connection returned, for wires that resume by version.
 * @property {(document: number, buffer: Uint8Array, start: number, end: number, initial: boolean) => void} [onUpdate] [hot] one
 *   received Yjs update (v1), or several merged by the server, at `buffer[start, end)`; the bytes are valid during the call only.
 *   `initial`: it is the answer to the opening sync. A snapshot that is a Yjs update is given the same way.
 * @property {(from: number, to: number) => void} [onAck] [hot] the pushes numbered `from … to` (inclusive) are acked, i.e. saved as far
 *   as this server ever says so. Each number is reported once.
 * @property {() => void} [onClose] once, when the socket has closed for whatever reason; everything received came before.
 */

/**
 * What a client in sync holds.
 *
 * @typedef {object} Sync
 * @property {Uint8Array} stateVector the encoded Yjs state vector.
 * @property {(serverStateVector: Uint8Array) => Uint8Array} answer the SyncStep2 that a real client would send.
 */

/**
 * @typedef {object} Connection
 * @property {(document: number, update: Uint8Array) => number} push [hot] queues one update and returns its number on this connection:
 *   0, 1, 2 … over all documents. Copies the bytes.
 * @property {() => void} flush writes what was queued, in one write.
 * @property {() => unknown} [resume] an opaque value with which a later connection takes up where this one is.
 * @property {() => number} bytesIn bytes received on the socket, the 101 included.
 * @property {() => void} [pause] reads nothing more from its socket, as a client does whose user has closed the lid.
 * @property {() => void} [resumeReading]
 * @property {() => void} close drops the socket at once.
 */

export {}
