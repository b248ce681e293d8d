/** Every statement that an opening of the store for writing runs, prepared once. */

import type { SqliteDatabase, SqliteStatement } from '@meridian/core/io/sqlite'
import { entryColumns } from './records.js'

export const tailRowsMax = 1024

export class OpeningStatements {
  readonly begin: SqliteStatement
  readonly commit: SqliteStatement
  readonly checkpoint: SqliteStatement
  readonly putEntry: SqliteStatement
  readonly removeEntry: SqliteStatement
  readonly entryAt: SqliteStatement
  readonly putVersion: SqliteStatement
  readonly versionOf: SqliteStatement
  readonly sealVersion: SqliteStatement
  readonly putFloor: SqliteStatement
  readonly floorsOf: SqliteStatement
  readonly setGone: SqliteStatement
  readonly adoptVersion: SqliteStatement
  readonly putGroup: SqliteStatement
  readonly groupByName: SqliteStatement
  readonly putDocument: SqliteStatement
  readonly documentByName: SqliteStatement
  readonly documentName: SqliteStatement
  readonly setLife: SqliteStatement
  readonly setGroup: SqliteStatement
  readonly makeStub: SqliteStatement
  readonly putStub: SqliteStatement
  readonly removeStub: SqliteStatement
  readonly stubsFrom: SqliteStatement
  readonly stubGroupBeyond: SqliteStatement
  readonly setGroupDropped: SqliteStatement
  readonly setJoining: SqliteStatement
  readonly groupState: SqliteStatement
  readonly versionedSnapshot: SqliteStatement
  readonly setDamaged: SqliteStatement
  readonly setTrimmed: SqliteStatement
  readonly setGroupTrimmed: SqliteStatement
  readonly putReplica: SqliteStatement
  readonly replicaByName: SqliteStatement
  readonly replicaByRef: SqliteStatement
  readonly putTail: SqliteStatement
  readonly removeTail: SqliteStatement
  readonly tailsFrom: SqliteStatement
  readonly tailsBack: SqliteStatement
  readonly tailsOf: SqliteStatement
  readonly putOrder: SqliteStatement
  readonly removeOrder: SqliteStatement
  readonly orderAt: SqliteStatement
  readonly putPush: SqliteStatement
  readonly pushesBeyond: SqliteStatement
  readonly removePush: SqliteStatement
  readonly setMeta: SqliteStatement
  readonly putMeta: SqliteStatement
  readonly putChunk: SqliteStatement
  readonly removeChunk: SqliteStatement
  readonly anyChunk: SqliteStatement
  readonly putSnapshot: SqliteStatement
  readonly removeSnapshot: SqliteStatement
  readonly snapshotHeld: SqliteStatement
  readonly putDropped: SqliteStatement
  readonly removeDropped: SqliteStatement
  readonly anyDropped: SqliteStatement
  readonly putTrim: SqliteStatement
  readonly removeTrim: SqliteStatement
  readonly trimBeyond: SqliteStatement
  readonly putDamaged: SqliteStatement
  readonly damagedAlready: SqliteStatement
  readonly damagedTo: SqliteStatement
  readonly forgetDamaged: SqliteStatement

  constructor(database: SqliteDatabase) {
    const prepare = (sql: string): SqliteStatement => database.prepare(sql)
    this.begin = prepare('BEGIN IMMEDIATE')
    this.commit = prepare('COMMIT')
    this.checkpoint = prepare('PRAGMA wal_checkpoint(PASSIVE)')
    this.putEntry = prepare(`INSERT INTO entries (${entryColumns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    this.removeEntry = prepare('DELETE FROM entries WHERE position = ? RETURNING group_ref, replica_ref, sequence')
    this.entryAt = prepare(`SELECT ${entryColumns} FROM entries WHERE position = ?`)
    this.putVersion = prepare(`INSERT INTO versions (group_ref, replica_ref, sequence, chain, position) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET sequence = excluded.sequence, chain = excluded.chain, position = excluded.position`)
    this.versionOf = prepare('SELECT sequence, chain, position FROM versions WHERE group_ref = ? AND replica_ref = ?')
    this.sealVersion =
      prepare(`INSERT INTO versions (group_ref, replica_ref, sequence, chain, position, sealed) VALUES (?, ?, 0, ?, 0, ?)
      ON CONFLICT DO UPDATE SET sealed = excluded.sealed`)
    this.putFloor = prepare(`INSERT INTO floors (group_ref, region, counter, seal) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`)
    this.floorsOf = prepare('SELECT region, max(counter) FROM floors WHERE group_ref = ? GROUP BY region')
    this.setGone = prepare('UPDATE versions SET gone = max(gone, ?) WHERE group_ref = ? AND replica_ref = ?')
    this.adoptVersion =
      prepare(`INSERT INTO versions (group_ref, replica_ref, sequence, chain, position, gone) VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET sequence = excluded.sequence, chain = excluded.chain, position = excluded.position, gone = excluded.gone
      WHERE excluded.sequence > sequence`)
    this.putGroup = prepare('INSERT INTO groups (ref, name) VALUES (?, ?)')
    this.groupByName = prepare('SELECT ref FROM groups WHERE name = ?')
    this.putDocument = prepare(
      'INSERT INTO documents (ref, name, engine, life, ended, trimmed, damaged, group_ref) VALUES (?, ?, ?, ?, ?, 0, 0, ?)',
    )
    this.documentByName = prepare('SELECT ref, life, ended, group_ref FROM documents WHERE name = ?')
    this.documentName = prepare('SELECT name FROM documents WHERE ref = ?')
    this.setLife = prepare('UPDATE documents SET life = ?, ended = ?, trimmed = 0 WHERE ref = ?')
    this.setGroup = prepare('UPDATE documents SET group_ref = ? WHERE ref = ?')
    this.makeStub = prepare(
      'UPDATE entries SET document_ref = 0, kind = ?, life = 0, engine = 0, device = NULL, counter = 0, checksum = ?, payload = ? WHERE position = ?',
    )
    this.putStub = prepare('INSERT OR IGNORE INTO stubs (group_ref, position) VALUES (?, ?)')
    this.removeStub = prepare('DELETE FROM stubs WHERE group_ref = ? AND position = ?')
    this.stubsFrom = prepare('SELECT position FROM stubs WHERE group_ref = ? AND position <= ? ORDER BY position LIMIT ?')
    this.stubGroupBeyond = prepare('SELECT group_ref FROM stubs WHERE group_ref > ? ORDER BY group_ref LIMIT 1')
    this.setGroupDropped = prepare('UPDATE groups SET dropped = max(dropped, ?) WHERE ref = ?')
    this.setJoining = prepare('UPDATE groups SET joining = ? WHERE ref = ?')
    this.groupState = prepare('SELECT joining FROM groups WHERE ref = ?')
    this.versionedSnapshot = prepare('SELECT position, version FROM snapshots WHERE document_ref = ? AND life = ?')
    this.setDamaged = prepare('UPDATE documents SET damaged = ? WHERE ref = ?')
    this.setTrimmed = prepare('UPDATE documents SET trimmed = max(trimmed, ?) WHERE ref = ?')
    this.setGroupTrimmed = prepare('UPDATE groups SET trimmed = max(trimmed, ?) WHERE ref = ?')
    this.putReplica = prepare('INSERT INTO replicas (ref, name) VALUES (?, ?)')
    this.replicaByName = prepare('SELECT ref FROM replicas WHERE name = ?')
    this.replicaByRef = prepare('SELECT name FROM replicas WHERE ref = ?')
    this.putTail = prepare('INSERT INTO tails (document_ref, position, life, checksum, list) VALUES (?, ?, ?, ?, ?)')
    this.removeTail = prepare('DELETE FROM tails WHERE document_ref = ? AND position = ?')
    this.tailsFrom = prepare(
      'SELECT position, life, checksum, list FROM tails WHERE document_ref = ? AND life <= ? ORDER BY position LIMIT ?',
    )
    this.tailsBack = prepare(
      `SELECT position, life, checksum, list FROM tails WHERE document_ref = ? AND life <= ? ORDER BY position DESC LIMIT ${tailRowsMax}`,
    )
    this.tailsOf = prepare(
      'SELECT position, life, checksum, list FROM tails WHERE document_ref = ? AND position > ? ORDER BY position',
    )
    this.putOrder = prepare('INSERT INTO orders (group_ref, position, checksum, list) VALUES (?, ?, ?, ?)')
    this.removeOrder = prepare('DELETE FROM orders WHERE group_ref = ? AND position = ?')
    this.orderAt = prepare(
      'SELECT position, checksum, list FROM orders WHERE group_ref = ? AND position >= ? ORDER BY position LIMIT 1',
    )
    this.putPush =
      prepare(`INSERT INTO pushes (group_ref, device, counter, replica_ref, sequence, seen_ms) VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET counter = excluded.counter, replica_ref = excluded.replica_ref, sequence = excluded.sequence, seen_ms = excluded.seen_ms
      WHERE excluded.counter >= counter`)
    this.pushesBeyond = prepare(
      'SELECT group_ref, device, seen_ms FROM pushes WHERE (group_ref, device) > (?, ?) ORDER BY group_ref, device LIMIT ?',
    )
    this.removePush = prepare('DELETE FROM pushes WHERE group_ref = ? AND device = ?')
    this.setMeta = prepare('UPDATE meta SET value = ? WHERE key = ?')
    this.putMeta = prepare('INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value')
    this.putChunk = prepare('INSERT INTO chunks (snapshot, number, checksum, bytes) VALUES (?, ?, ?, ?)')
    this.removeChunk = prepare('DELETE FROM chunks WHERE snapshot = ? AND number = ?')
    this.anyChunk = prepare('SELECT number FROM chunks WHERE snapshot = ? LIMIT 1')
    this.putSnapshot = prepare(
      'INSERT INTO snapshots (document_ref, snapshot, life, position, bytes, chunks, checksum, version, engine_index) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
    )
    this.removeSnapshot = prepare('DELETE FROM snapshots WHERE document_ref = ?')
    this.snapshotHeld = prepare('SELECT snapshot, position, chunks FROM snapshots WHERE document_ref = ?')
    this.putDropped = prepare('INSERT OR IGNORE INTO dropped (snapshot) VALUES (?)')
    this.removeDropped = prepare('DELETE FROM dropped WHERE snapshot = ?')
    this.anyDropped = prepare('SELECT snapshot FROM dropped LIMIT 1')
    this.putTrim = prepare(`INSERT INTO trims (document_ref, position, life, erased) VALUES (?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET position = max(position, excluded.position), life = max(life, excluded.life), erased = max(erased, excluded.erased)`)
    this.removeTrim = prepare('DELETE FROM trims WHERE document_ref = ?')
    this.trimBeyond =
      prepare(`SELECT document_ref, position, trims.life, erased, group_ref FROM trims JOIN documents ON documents.ref = document_ref
      WHERE document_ref > ? ORDER BY document_ref LIMIT 1`)
    this.putDamaged = prepare(
      'INSERT INTO damaged (reason, found_ms, document_ref, group_ref, position, record) VALUES (?, ?, ?, ?, ?, ?)',
    )
    this.damagedAlready = prepare('SELECT 1 FROM damaged WHERE document_ref = ? AND position = ? AND reason = ?')
    this.forgetDamaged = prepare('UPDATE damaged SET record = NULL WHERE document_ref = ?')
    this.damagedTo = prepare('SELECT max(position) FROM damaged WHERE document_ref = ?')
  }
}
