/** What the tests use of y-leveldb, whose own types its `exports` hide. */
declare module 'y-leveldb' {
  export class LeveldbPersistence {
    constructor(directory: string)
    storeUpdate(name: string, update: Uint8Array): Promise<number>
    getYDoc(name: string): Promise<import('yjs').Doc>
    destroy(): Promise<void>
  }
}
