/**
 * What the compiler and the linter cannot refuse (STYLE, ARCHITECTURE "Rooms and arrows"). Each rule is shown twice: it refuses
 * what was planted in a made-up file, and it finds nothing in this tree.
 */

import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { refuseArrows, refuseCycles, refuseLeavingRoom } from './tidy/arrows.js'
import { refuseIncompleteLock, refuseUndeclared, refuseUnused } from './tidy/dependencies.js'
import { readTree, type Rule, toSource } from './tidy/source.js'
import {
  refuseAny,
  refuseIdleTests,
  refuseMachinePaths,
  refuseNames,
  refuseModuleAwait,
  refuseNonNull,
  refuseRegistryHosts,
  refuseTsDirectives,
} from './tidy/text.js'
import { refuseRandomDocs, refuseWorldFiles, refuseWorldModules, refuseWorldNames } from './tidy/world.js'

/** Under vitest this file runs from its source, one folder below the top. */
const root = fileURLToPath(new URL('..', import.meta.url))
const tree = readTree(root)

type Files = Readonly<Record<string, string>>

/** The violations of a made-up tree, as `path:line`. */
function refused(rule: Rule, files: Files): string[] {
  return rule(Object.entries(files).map(([path, text]) => toSource(path, text))).map((found) => `${found.path}:${found.line}`)
}

function inTree(rule: Rule): string[] {
  return rule(tree).map((found) => `${found.path}:${found.line} ${found.message}`)
}

/** One line a file: each must be refused on its own. */
function lines(path: (index: number) => string, texts: readonly string[]): Files {
  return Object.fromEntries(texts.map((text, index) => [path(index), text]))
}

function expectEach(rule: Rule, files: Files): void {
  for (const [path, text] of Object.entries(files))
    expect(refused(rule, { [path]: text }), `not refused: ${text}`).toContain(`${path}:1`)
}

function expectNone(rule: Rule, files: Files): void {
  for (const [path, text] of Object.entries(files)) expect(refused(rule, { [path]: text }), `refused: ${text}`).toEqual([])
}

describe('the reader of sources', () => {
  it('reads this tree, all five rooms of it', () => {
    const rooms = new Set(tree.map((source) => source.path.split('/')[0]))
    expect([...rooms]).toEqual(expect.arrayContaining(['client', 'core', 'regions', 'server', 'test', 'package.json']))
    expect(tree.some((source) => source.path === 'test/tidy.test.ts' && source.imports.length > 4)).toBe(true)
    expect(tree.filter((source) => /(?:^|\/)(?:node_modules|dist)\//.test(source.path))).toEqual([])
  })

  it('blanks comments, strings, templates and regular expressions, and nothing else', () => {
    const source = toSource(
      'core/src/a.ts',
      "const a = 'b' // c\nconst d = `e${f({ g: `h` })}i` /* j\n */ / k / l\nconst m = /n['/]o/.test(p)\n",
    )
    expect(source.code).toBe("const a = ' '     \nconst d = ` ${f({ g: ` ` })} `     \n    / k / l\nconst m = /      /.test(p)\n")
    expect(source.code.length).toBe(source.text.length)
  })

  it('goes on after an apostrophe in the text of a page and after a slash that closes a tag', () => {
    const source = toSource('client/src/react/a.tsx', "<p>don't</p>\n<b x={y} />\nconst z = 1 // w\n")
    expect(source.code).toContain('const z = 1 ')
    expect(source.code).not.toContain('w')
  })

  it('finds imports of values and of types, exports, dynamic imports and requires, with their lines', () => {
    const text =
      "import a from 'b'\nimport type {\n  C,\n} from 'd'\nexport * from 'e'\nimport 'f'\ntype G = import('h').I\nawait import('j')\nrequire('k')\n// import 'l'\nconst m = \"import 'n'\"\n"
    expect(toSource('core/src/a.ts', text).imports).toEqual([
      { specifier: 'b', line: 1 },
      { specifier: 'd', line: 4 },
      { specifier: 'e', line: 5 },
      { specifier: 'f', line: 6 },
      { specifier: 'h', line: 7 },
      { specifier: 'j', line: 8 },
      { specifier: 'k', line: 9 },
    ])
  })
})

describe('arrows between rooms', () => {
  it('refuses every import of a room that no arrow leads to', () => {
    const allowed: Readonly<Record<string, readonly string[]>> = {
      core: [],
      regions: ['core'],
      server: ['core', 'regions'],
      client: ['core'],
      test: ['core', 'regions', 'server', 'client'],
    }
    for (const [from, targets] of Object.entries(allowed)) {
      for (const to of Object.keys(allowed)) {
        const path = from === 'test' ? 'test/core/a.test.ts' : `${from}/src/a.ts`
        const expected = targets.includes(to) ? [] : [`${path}:1`]
        expect(refused(refuseArrows, { [path]: `import type { A } from '@meridian/${to}/a'\n` }), `${from} to ${to}`).toEqual(
          expected,
        )
      }
    }
    expect(inTree(refuseArrows)).toEqual([])
  })

  it('refuses a way into a package past its exports', () => {
    expectEach(
      refuseArrows,
      lines(
        (index) => `server/src/${index}.ts`,
        ["import '@meridian/core/dist/hub.js'", "export * from '@meridian/core/src/hub'"],
      ),
    )
  })

  it('refuses a relative or absolute import that leaves its room', () => {
    expectEach(refuseLeavingRoom, {
      'core/src/hub.ts': "import '../../regions/src/group.js'",
      'test/core/hub.test.ts': "import { Hub } from '../../core/src/hub.js'",
      'client/src/io/socket.ts': "await import('../../../server/dist/node.js')",
      'server/src/node.ts': "import '/somewhere/else.js'",
    })
    expectNone(refuseLeavingRoom, {
      'core/src/engines/yjs.ts': "import '../errors.js'",
      'server/bin/meridian.js': "import('../dist/cli/main.js')",
    })
    expect(inTree(refuseLeavingRoom)).toEqual([])
  })

  it('refuses files that import each other in a ring, types included', () => {
    expect(refused(refuseCycles, { 'core/src/a.ts': "import './a.js'" })).toEqual(['core/src/a.ts:1'])
    const ring = {
      'core/src/a.ts': "import './b.js'",
      'core/src/b.ts': "\nexport type { C } from './io/c.js'",
      'core/src/io/c.ts': "import type { A } from '../a.js'",
    }
    expect(refused(refuseCycles, ring)).toEqual(['core/src/io/c.ts:1'])
    expect(refused(refuseCycles, { ...ring, 'core/src/io/c.ts': "import '../d.js'", 'core/src/d.ts': '' })).toEqual([])
    expect(inTree(refuseCycles)).toEqual([])
  })
})

describe('dependencies', () => {
  const manifest = JSON.stringify({
    dependencies: { ws: '1', '@meridian/core': '1' },
    peerDependencies: { yjs: '1' },
    devDependencies: { tap: '1' },
  })

  it('refuses an import that package.json of the room does not declare', () => {
    expectEach(refuseUndeclared, { 'core/src/a.ts': "import 'lib0/encoding'" })
    const files = {
      'server/package.json': manifest,
      'server/src/a.ts':
        "import 'ws'\nimport 'yjs'\nimport 'node:fs'\nimport 'fs/promises'\nimport './b.js'\nimport 'tap'\nimport '@hono/node-server/x'\n",
    }
    expect(refused(refuseUndeclared, files)).toEqual(['server/src/a.ts:6', 'server/src/a.ts:7'])
    const top = { 'package.json': JSON.stringify({ devDependencies: { vitest: '4' } }) }
    expect(
      refused(refuseUndeclared, { ...top, 'test/a.test.ts': "import 'vitest'", 'core/src/a.ts': "import 'vitest'" }),
    ).toEqual(['core/src/a.ts:1'])
    expect(inTree(refuseUndeclared)).toEqual([])
  })

  it('lets a folder that installs for itself declare for itself', () => {
    const files = {
      'test/package.json': manifest,
      'test/a.test.ts': "import 'peer'",
      'test/bench/peers/package.json': JSON.stringify({ dependencies: { peer: '1' } }),
      'test/bench/peers/run.mjs': "import 'peer'\nimport 'ws'",
    }
    expect(refused(refuseUndeclared, files)).toEqual(['test/a.test.ts:1', 'test/bench/peers/run.mjs:2'])
  })

  it('refuses a declared dependency that nothing in the room imports, once there is a server/src/node.ts', () => {
    const files = { 'server/package.json': manifest, 'server/src/a.ts': "import 'yjs'", 'regions/src/b.ts': "import 'ws'" }
    expect(refused(refuseUnused, files)).toEqual([])
    expect(refused(refuseUnused, { ...files, 'server/src/node.ts': '' })).toEqual([
      'server/package.json:1',
      'server/package.json:1',
    ])
    expect(
      refused(refuseUnused, {
        ...files,
        'server/src/node.ts': "import 'ws'\ncreateRequire(import.meta.url)('x')\nrequire('tap')",
      }),
    ).toEqual([])
    expect(inTree(refuseUnused)).toEqual([])
  })

  it('refuses a lockfile that lacks an optional dependency of what it locks, as npm ci does', () => {
    const lint = { version: '1.0.0', optionalDependencies: { '@lint/linux': '1.0.0', '@lint/darwin': '1.0.0' } }
    const lock = (packages: object): Files => ({ 'package-lock.json': JSON.stringify({ packages }) })
    const whole = { 'node_modules/lint': lint, 'node_modules/@lint/linux': {}, 'node_modules/lint/node_modules/@lint/darwin': {} }
    expect(refused(refuseIncompleteLock, lock({ 'node_modules/lint': lint, 'node_modules/@lint/linux': {} }))).toEqual([
      'package-lock.json:1',
    ])
    expect(refused(refuseIncompleteLock, lock(whole))).toEqual([])
    expect(inTree(refuseIncompleteLock)).toEqual([])
  })
})

describe('the world', () => {
  const pure = [
    'core/src/hub.ts',
    'core/src/engines/yjs.ts',
    'regions/src/group.ts',
    'client/src/sync.ts',
    'server/src/config.ts',
  ]
  const open = [
    'core/src/io/log-memory.ts',
    'regions/src/io/clock.ts',
    'client/src/io/socket.ts',
    'client/src/react/hooks.tsx',
    'server/src/io/gateway.ts',
    'server/src/cli/main.ts',
    'server/src/http/health.ts',
    'server/src/auth/jwt.ts',
    'server/src/console/page.ts',
    'server/src/node.ts',
    'test/e2e/cluster.test.ts',
  ]
  const names = [
    'Date.now()',
    'new Date()',
    'new Date',
    'Date()',
    'performance.now()',
    'Math.random()',
    'crypto.getRandomValues(bytes)',
    'process.env',
    'console.log(1)',
    'setTimeout(f, 1)',
    'setInterval(f, 1)',
    'setImmediate(f)',
    'queueMicrotask(f)',
    "globalThis['Date']",
    "fetch('x')",
    'import.meta.url',
  ]
  const modules = [
    'node:fs',
    'fs',
    'crypto',
    'timers/promises',
    'lib0',
    'lib0/time',
    'lib0/random',
    'lib0/random.js',
    'lib0/webcrypto',
    'lib0/eventloop',
    'y-protocols/awareness',
    'ws',
    'libsql',
  ]

  it.each(names)('refuses %s in a pure part', (name) => {
    for (const path of pure)
      expect(refused(refuseWorldNames, { [path]: `const a = 1\nconst b = ${name}\n` }), path).toEqual([`${path}:2`])
    for (const path of open) expect(refused(refuseWorldNames, { [path]: `const b = ${name}\n` }), path).toEqual([])
  })

  it('refuses no word in a comment or a string, and no property or parameter of that name', () => {
    expectNone(
      refuseWorldNames,
      lines(
        (index) => `core/src/${index}.ts`,
        [
          '// Date.now() is refused',
          "const a = 'Math.random()'",
          'effects.process.run()',
          'effects.setTimeout(1)',
          'const date = clock.Date(1)',
          'type D = Date',
        ],
      ),
    )
  })

  it.each(modules)('refuses an import of %s in a pure part', (name) => {
    for (const path of pure)
      expect(refused(refuseWorldModules, { [path]: `import type { A } from '${name}'\n` }), path).toEqual([`${path}:1`])
    for (const path of open) expect(refused(refuseWorldModules, { [path]: `import { a } from '${name}'\n` }), path).toEqual([])
  })

  it('refuses a pure file that imports one which touches the world', () => {
    expectEach(refuseWorldFiles, {
      'core/src/hub.ts': "import './io/log-memory.js'",
      'client/src/store.ts': "import type { A } from './react/hooks.js'",
      'server/src/config.ts': "import '@meridian/core/io/log-memory'",
    })
    expectNone(refuseWorldFiles, {
      'core/src/io/a.ts': "import './b.js'",
      'server/src/config.ts': "import '@meridian/core/ids'",
      'core/src/hub.ts': "import './ids.js'",
    })
  })

  it('finds none of it in the pure parts of this tree', () => {
    expect([...inTree(refuseWorldNames), ...inTree(refuseWorldModules), ...inTree(refuseWorldFiles)]).toEqual([])
  })
})

describe('documents of Yjs', () => {
  const space = "import * as Y from 'yjs'\n"

  it('refuses a new Y.Doc whose clientID is not set within the next two statements', () => {
    const left = {
      'core/src/a.ts': `${space}const doc = new Y.Doc()\nuse(doc)\n`,
      'regions/src/b.ts': `${space}const doc = new Y.Doc({\n  gc: false,\n})\na()\nb()\ndoc.clientID = 1\n`,
      'server/src/io/c.ts': "import { Doc as YDoc } from 'yjs'\nreturn new YDoc()\n",
      'client/src/d.ts': `${space}const doc = new Y.Doc()\nother.clientID = 1\n`,
      'client/src/e.ts': `${space}function f() { return new Y.Doc() }\ndoc.clientID = 1\n`,
      'client/src/f.ts': `${space}const doc = new Y.Doc()\nif (doc.clientID === 1) a()\n`,
    }
    expect(refused(refuseRandomDocs, left)).toEqual(Object.keys(left).map((path) => `${path}:2`))
  })

  it('lets one pass whose clientID is set, and a Doc that is not of yjs', () => {
    expectNone(refuseRandomDocs, {
      'core/src/a.ts': `${space}const doc = new Y.Doc({\n  gc: false,\n})\n\n// Why.\ndoc.gc = true\ndoc.clientID = 1\n`,
      'core/src/b.ts': `${space}this.#doc = new Y.Doc(); this.#doc.clientID = id\n`,
      'core/src/c.ts': `${space}return Object.assign(new Y.Doc(), { clientID: 1 })\n`,
      'core/src/d.ts': "import { Doc } from './doc.js'\nconst doc = new Doc()\n",
      'test/core/e.test.ts': `${space}const doc = new Y.Doc()\n`,
    })
    expect(inTree(refuseRandomDocs)).toEqual([])
  })
})

describe('types', () => {
  it('refuses any', () => {
    const holes = [
      'let a: any',
      'b as any',
      'f<any>()',
      'let c: any[]',
      'let d: Map<string, any>',
      'let e: () => any',
      'let f: string | any',
      'type G<T extends any> = T',
      'let h: readonly any[]',
      'let i = <any>j',
    ]
    expectEach(
      refuseAny,
      lines((index) => `test/core/${index}.test.ts`, holes),
    )
    expectNone(
      refuseAny,
      lines(
        (index) => `core/src/${index}.ts`,
        ['// as any', "'let a: any'", 'Promise.any(all)', 'let many: string', 'any(1)', 'encoding.writeAny(e, a)'],
      ),
    )
    expect(inTree(refuseAny)).toEqual([])
  })

  it('refuses a non-null assertion', () => {
    const holes = [
      'a!.b',
      'f(a!)',
      'f()!.b',
      'let b = c[0]!',
      'let b = c!;',
      'd! + 1',
      'e! as string',
      'let f!: string',
      'g![0]',
      'h!()',
      "'i'!.j",
      'k = l!\n',
    ]
    expectEach(
      refuseNonNull,
      lines((index) => `test/core/${index}.test.ts`, holes),
    )
    expectNone(
      refuseNonNull,
      lines(
        (index) => `core/src/${index}.ts`,
        ['!a', 'a !== b', 'a!==b', 'f(!a)', 'return !a', '// b!.c', "'d!.e'", 'const f = /g!./', '!(a)', '!!h', '`i!${j}!`'],
      ),
    )
    expect(inTree(refuseNonNull)).toEqual([])
  })

  it('refuses a comment that switches the compiler off', () => {
    expectEach(
      refuseTsDirectives,
      lines((index) => `core/src/${index}.ts`, ['// @ts-ignore', '/* @ts-nocheck */', '// @ts-ignore: because']),
    )
    expectNone(refuseTsDirectives, { 'core/src/a.ts': "'@ts-ignore'" })
    expect(inTree(refuseTsDirectives)).toEqual([])
  })
})

describe('modules', () => {
  it('refuses one that awaits before it is there', () => {
    expectEach(
      refuseModuleAwait,
      lines(
        (index) => `server/src/io/${index}.ts`,
        [
          'const a = await b()',
          'await c',
          'export const { d } = await e()',
          'for await (const f of g) h(f)',
          'let i: string = await j',
        ],
      ),
    )
    expectNone(
      refuseModuleAwait,
      lines(
        (index) => `server/src/io/${index}.ts`,
        ['  await a', 'async function b() { await c }', '// await d', 'const awaited = e'],
      ),
    )
    expectNone(refuseModuleAwait, { 'test/core/a.test.ts': 'await a' })
    expect(inTree(refuseModuleAwait)).toEqual([])
  })
})

describe('tests', () => {
  it('refuses a test that is skipped, focused, expected to fail or not written', () => {
    const idle = [
      "it.skip('a', f)",
      "it.only('a', f)",
      "describe.only('a', f)",
      "describe.skip('a', f)",
      "test.todo('a')",
      "it.fails('a', f)",
      "it.concurrent.only('a', f)",
      "test.each([1]).skip('a')\nit . skip('a')",
      "xit('a', f)",
      "xdescribe('a', f)",
    ]
    for (const text of idle) expect(refused(refuseIdleTests, { 'test/a.test.ts': text }), text).not.toEqual([])
    expectNone(
      refuseIdleTests,
      lines(
        (index) => `test/${index}.test.ts`,
        ["it('skip', f)", "it.each([1])('a', f)", 'reader.skip(4)', "it.runIf(browser)('a', f)", "// it.skip('a')"],
      ),
    )
    expect(inTree(refuseIdleTests)).toEqual([])
  })
})

describe('names', () => {
  it('refuses a file or folder that is not kebab-case or says nothing', () => {
    const bad = [
      'core/src/antiEntropy.ts',
      'core/src/Hub.ts',
      'core/src/anti_entropy.ts',
      'core/src/Engines/yjs.ts',
      'core/src/utils.ts',
      'core/src/util/bytes.ts',
      'test/helpers/clock.ts',
      'server/src/common.ts',
      'client/src/misc.ts',
      'test/sim-helpers.ts',
      'core/src/-a.ts',
    ]
    for (const path of bad) expect(refused(refuseNames, { [path]: '' }), path).not.toEqual([])
    expectNone(
      refuseNames,
      lines(
        (index) =>
          [
            'core/src/anti-entropy.ts',
            'test/core/hub.test.ts',
            'core/src/common-ancestor.ts',
            'server/src/io/log-sqlite.worker.ts',
            'README.md',
          ][index] ?? '',
        ['', '', '', '', ''],
      ),
    )
    expect(inTree(refuseNames)).toEqual([])
  })
})

describe('traces of a machine', () => {
  /** Joined here, because this file is read too. */
  const path = (...parts: string[]): string => parts.map((part) => `/${part}`).join('')

  it('refuses a path of one machine in any file', () => {
    const bad = [
      `see ${path('work', 'main', 'core')}`,
      `cd ${path('root', '.npm')}`,
      `'${path('tmp', 'a')}'`,
      `(${path('home', 'someone', 'x')})`,
      path('Users', 'someone', 'x'),
    ]
    expectEach(
      refuseMachinePaths,
      lines((index) => ['README.md', 'core/src/a.ts', 'package-lock.json', '.ci/run', 'docs/adr/0001-a.md'][index] ?? '', bad),
    )
    expectNone(
      refuseMachinePaths,
      lines(
        (index) => `docs/${index}.md`,
        [`https://example.org${path('work', 'x')}`, `docs${path('home', 'x')}`, 'src/root/x', path('var', 'lib', 'x')],
      ),
    )
    expect(inTree(refuseMachinePaths)).toEqual([])
  })

  it('refuses the host of a registry in any file, and any address in package-lock.json', () => {
    const host = ['registry', 'npmjs', 'org'].join('.')
    expectEach(refuseRegistryHosts, {
      'README.md': `from ${host}`,
      '.npmrc': `${['regis', 'try'].join('')}=https://example.org`,
      'core/src/a.ts': `'https://${host}/yjs'`,
    })
    expectEach(refuseRegistryHosts, { 'package-lock.json': '{ "resolved": "http://localhost:4873/yjs.tgz" }' })
    expectNone(refuseRegistryHosts, {
      'package-lock.json': '{ "resolved": "core", "url": "https://example.org" }',
      '.npmrc': 'omit-lockfile-registry-resolved=true',
    })
    expect(inTree(refuseRegistryHosts)).toEqual([])
  })
})
