#!/usr/bin/env node
// npm links this file at install time, before anything is built; so it is committed, and only points at the built command line.
import('../dist/cli/main.js').then(
  (cli) => cli.main(process.argv),
  (error) => {
    if (error?.code !== 'ERR_MODULE_NOT_FOUND') throw error
    process.stderr.write('meridian: the project is not built yet. Run `npm run build` in its top folder and try again.\n')
    process.exitCode = 1
  },
)
