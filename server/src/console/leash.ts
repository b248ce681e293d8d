/** Loaded before a region's node: it stops when the process that started it is gone, however that ended. */

process.once('disconnect', () => {
  process.kill(process.pid, 'SIGTERM')
})
