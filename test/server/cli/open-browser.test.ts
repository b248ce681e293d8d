import { openCommand } from '@meridian/server/cli/open-browser'
import { describe, expect, it } from 'vitest'

const url = 'http://127.0.0.1:7101'

describe('showing the app in a browser', () => {
  it.each([
    ['darwin', {}, 'open'],
    ['win32', {}, 'cmd'],
    ['linux', { DISPLAY: ':0' }, 'xdg-open'],
    ['linux', { WAYLAND_DISPLAY: 'wayland-0' }, 'xdg-open'],
    ['linux', {}, undefined],
    ['linux', { DISPLAY: ':0', CI: 'true' }, undefined],
    ['darwin', { CI: '1' }, undefined],
    ['darwin', { SSH_CONNECTION: '10.0.0.1 1 10.0.0.2 22' }, undefined],
  ] as const)('on %s with %o: %s', (platform, environment, command) => {
    const open = openCommand(url, { platform, environment })
    expect([open?.command, open?.args.at(-1)]).toEqual([command, command === undefined ? undefined : url])
  })
})
