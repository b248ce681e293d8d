// CPU of a whole process from /proc: user and system time of all its threads, those that have ended included, and of its children.

import { readFileSync, readdirSync } from 'node:fs'

/** USER_HZ is 100 on every Linux that Node.js runs on. */
const TICK_MS = 10

/** @param {number} pid @returns {number} */
function own(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // The name, in brackets, may hold anything; user and system time are the 12th and 13th fields after it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}

/** @param {number} pid @returns {number} CPU time in ms since the process began, ±10; throws if it is gone. */
export function cpuMs(pid) {
  let total = own(pid)
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      for (const child of readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1').split(' ')) {
        if (child !== '') total += cpuMs(Number(child))
      }
    } catch {
      // The thread or its child has just ended, or this kernel has no `children` file.
    }
  }
  return total
}
