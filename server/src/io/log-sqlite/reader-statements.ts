/** Every statement that the reader runs, prepared once. */

import type { SqliteDatabase, SqliteStatement } from '@meridian/core/io/sqlite'
import { entryColumns } from './records.js'

export const snapshotColumns = 'document_ref, snapshot, life, position, bytes, chunks, checksum, version, engine_index'
export const listRowsMax = 64

export class ReaderStatements {
  readonly begin: SqliteStatement
  readonly commit: SqliteStatement
  readonly documentByName: SqliteStatement
  readonly documentsFrom: SqliteStatement
  readonly groupByName: SqliteStatement
  readonly groupNames: SqliteStatement
  readonly snapshotOf: SqliteStatement
  readonly chunkOf: SqliteStatement
  readonly tailsBeyond: SqliteStatement
  readonly ordersBeyond: SqliteStatement
  readonly entryAt: SqliteStatement
  readonly entriesBetween: SqliteStatement
  readonly versionsOf: SqliteStatement
  readonly floorsOf: SqliteStatement
  readonly currentReplica: SqliteStatement
  readonly pushOf: SqliteStatement
  readonly trimOf: SqliteStatement
  readonly anyTrim: SqliteStatement
  readonly peersOf: SqliteStatement
  readonly documentsBetween: SqliteStatement
  readonly damagedBeyond: SqliteStatement
  readonly damagedDocument: SqliteStatement
  readonly groupName: SqliteStatement
  readonly documentName: SqliteStatement
  readonly replicaName: SqliteStatement
  readonly lengthsBeyond: SqliteStatement
  readonly entriesWithin: SqliteStatement
  readonly tailsWithin: SqliteStatement
  readonly ordersWithin: SqliteStatement
  readonly dotsWithin: SqliteStatement
  readonly snapshotBeyond: SqliteStatement
  readonly tailOver: SqliteStatement

  constructor(database: SqliteDatabase) {
    const prepare = (sql: string): SqliteStatement => database.prepare(sql)
    this.begin = prepare('BEGIN')
    this.commit = prepare('COMMIT')
    this.documentByName = prepare('SELECT ref, engine, life, ended, trimmed, damaged FROM documents WHERE name = ?')
    this.documentsFrom = prepare(
      'SELECT name, engine, life, ended FROM documents WHERE name >= ? AND name > ? ORDER BY name LIMIT ?',
    )
    this.groupByName = prepare('SELECT ref, trimmed, dropped, joining FROM groups WHERE name = ?')
    this.groupNames = prepare('SELECT name FROM groups ORDER BY name')
    this.snapshotOf = prepare(`SELECT ${snapshotColumns} FROM snapshots WHERE document_ref = ?`)
    this.chunkOf = prepare('SELECT checksum, bytes FROM chunks WHERE snapshot = ? AND number = ?')
    this.tailsBeyond = prepare(
      `SELECT position, life, checksum, list FROM tails WHERE document_ref = ? AND position > ? ORDER BY position LIMIT ${listRowsMax}`,
    )
    this.ordersBeyond = prepare(
      `SELECT position, checksum, list FROM orders WHERE group_ref = ? AND position > ? ORDER BY position LIMIT ${listRowsMax}`,
    )
    this.entryAt = prepare(`SELECT ${entryColumns} FROM entries WHERE position = ?`)
    this.entriesBetween = prepare(
      `SELECT ${entryColumns} FROM entries WHERE position BETWEEN ? AND ? AND document_ref = ? ORDER BY position`,
    )
    this.versionsOf = prepare('SELECT replica_ref, sequence, position, sealed FROM versions WHERE group_ref = ?')
    this.floorsOf = prepare('SELECT region, counter, seal FROM floors WHERE group_ref = ?')
    this.currentReplica = prepare('SELECT replica_ref, counter FROM incarnations ORDER BY counter DESC LIMIT 1')
    this.pushOf = prepare('SELECT counter, replica_ref, sequence FROM pushes WHERE group_ref = ? AND device = ?')
    this.trimOf = prepare('SELECT position, life, erased FROM trims WHERE document_ref = ?')
    this.anyTrim = prepare('SELECT 1 FROM trims LIMIT 1')
    this.peersOf = prepare('SELECT region, version, at_ms FROM peers WHERE group_ref = ? ORDER BY region')
    this.documentsBetween = prepare('SELECT name, group_ref FROM documents WHERE name > ? AND name < ? ORDER BY name LIMIT ?')
    this.damagedBeyond = prepare('SELECT min(position) FROM damaged WHERE group_ref = ? AND position > ?')
    this.damagedDocument = prepare('SELECT 1 FROM damaged WHERE document_ref = ? LIMIT 1')
    this.groupName = prepare('SELECT name FROM groups WHERE ref = ?')
    this.documentName = prepare('SELECT name FROM documents WHERE ref = ?')
    this.replicaName = prepare('SELECT name FROM replicas WHERE ref = ?')
    this.lengthsBeyond = prepare('SELECT position, length(payload) FROM entries WHERE position > ? ORDER BY position LIMIT ?')
    this.entriesWithin = prepare(`SELECT ${entryColumns} FROM entries WHERE position > ? AND position <= ? ORDER BY position`)
    this.tailsWithin = prepare(
      'SELECT document_ref, position, life, checksum, list FROM tails WHERE (document_ref, position) > (?, ?) ORDER BY document_ref, position LIMIT ?',
    )
    this.ordersWithin = prepare(
      'SELECT group_ref, position, checksum, list FROM orders WHERE (group_ref, position) > (?, ?) ORDER BY group_ref, position LIMIT ?',
    )
    this.dotsWithin = prepare(
      `SELECT group_ref, replica_ref, sequence, checksum, list FROM dots WHERE (group_ref, replica_ref, sequence) > (?, ?, ?)
      ORDER BY group_ref, replica_ref, sequence LIMIT ?`,
    )
    this.snapshotBeyond = prepare(
      `SELECT ${snapshotColumns} FROM snapshots WHERE document_ref >= ? ORDER BY document_ref LIMIT 1`,
    )
    this.tailOver = prepare('SELECT list FROM tails WHERE document_ref = ? AND position >= ? ORDER BY position LIMIT 1')
  }
}
