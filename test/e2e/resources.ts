/** What a test opened: disposed in reverse order, all of it, whatever fails on the way. Directories are made and removed here, too. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Disposable {
  dispose(): void | Promise<void>
}

export class Resources {
  #owned: Disposable[] = []

  own<T extends Disposable>(resource: T): T {
    this.#owned.push(resource)
    return resource
  }

  /** Called at the end. */
  later(dispose: () => void | Promise<void>): void {
    this.#owned.push({ dispose })
  }

  /** A new, empty directory on the disk that the system keeps temporary files on. */
  directory(): string {
    const directory = mkdtempSync(join(tmpdir(), 'meridian-e2e-'))
    directories.add(directory)
    this.later(() => remove(directory))
    return directory
  }

  async dispose(): Promise<void> {
    const failures: unknown[] = []
    for (const resource of this.#owned.splice(0).toReversed()) {
      try {
        await resource.dispose()
      } catch (thrown) {
        failures.push(thrown)
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'not everything could be disposed of')
  }
}

const directories = new Set<string>()

function remove(directory: string): void {
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  directories.delete(directory)
}

// A run that is broken off leaves nothing either.
process.on('exit', () => {
  for (const directory of directories) remove(directory)
})
