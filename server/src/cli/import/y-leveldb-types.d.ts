/** What is used of y-leveldb, whose own types its `exports` hide. */
declare module 'y-leveldb' {
  export class LeveldbPersistence {
    constructor(directory: string)
    /** Answers null for what failed, after a word on the console. */
    _transact<T>(run: (db: unknown) => Promise<T>): Promise<T | null>
    destroy(): Promise<void>
  }
  export function getAllDocsKeys(db: unknown): Promise<readonly (readonly unknown[])[]>
  export function getLevelUpdates(db: unknown, name: string): Promise<readonly Uint8Array[]>
}
