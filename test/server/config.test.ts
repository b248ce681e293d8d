import { formatIssue, isLoopback, type LoadedConfig, loadConfig } from '@meridian/server/config'
import { type Setting, settings } from '@meridian/server/settings'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { folderOf } from './support/running-node.js'

const secret = 'a secret of thirty-two bytes ok!'

interface Given {
  readonly file?: string
  readonly environment?: Record<string, string>
  readonly flags?: Record<string, string | boolean>
  readonly texts?: Record<string, string>
}

function load(given: Given): ReturnType<typeof loadConfig> {
  return loadConfig({
    file: given.file === undefined ? undefined : { name: 'node.yaml', text: given.file },
    environment: given.environment ?? {},
    flags: new Map(Object.entries(given.flags ?? {})),
    readText(path) {
      const text = given.texts?.[path]
      if (text === undefined) throw new Error('no such file')
      return text
    },
    listFolder: (path) => folderOf(given.texts ?? {}, path),
  })
}

function loaded(given: Given): LoadedConfig {
  const outcome = load(given)
  if (outcome.kind === 'invalid') throw new Error(outcome.issues.map(formatIssue).join('\n'))
  return outcome
}

function issues(given: Given): string[] {
  const outcome = load(given)
  return outcome.kind === 'invalid' ? outcome.issues.map(formatIssue) : []
}

/** Three values that a setting may have, as text, and what they come to. */
function samples(setting: Setting): readonly (readonly [text: string, value: unknown])[] {
  if (setting.kind === 'number') {
    const standard = typeof setting.standard === 'number' ? setting.standard : 32 * 1024 * 1024
    // The default of this one is its least.
    const step = standard >= 10 && setting.path !== 'limits.greetingBytesMax' ? -1 : 1
    return [1, 2, 3].map((count) => [String(standard + step * count), standard + step * count])
  }
  const texts: Record<string, readonly string[]> = {
    region: ['a', 'b', 'c'],
    listen: ['127.0.0.2', '127.0.0.3', '127.0.0.4'],
    dataDir: ['a', 'b', 'c'],
    allowedOrigins: ['https://a.example', 'https://b.example', 'https://c.example'],
    allowedHosts: ['a.example', 'b.example', 'c.example'],
    countryHeader: ['CF-IPCountry', 'X-Country', 'X-Client-Country'],
    trustedProxies: ['10.0.0.1', '10.0.0.0/8', 'fd00::/8'],
    'auth.algorithm': ['ES256', 'RS256', 'EdDSA'],
    'auth.issuer': ['a', 'b', 'c'],
    'auth.audience': ['a', 'b', 'c'],
    'log.level': ['warn', 'error', 'debug'],
    'log.format': ['json', 'pretty', 'json'],
  }
  const list = texts[setting.path]
  if (list === undefined) throw new Error(`give three values for ${setting.path}`)
  return list.map((text) => [text, setting.kind === 'list' ? [text] : text])
}

const yamlOf = (setting: Setting, text: string): string => {
  const value = setting.kind === 'list' ? `[${text}]` : text
  return setting.path
    .split('.')
    .map((part, depth) => `${'  '.repeat(depth)}${part}:`)
    .join('\n')
    .concat(` ${value}\n`)
}

/** Settings that stand for themselves; the others are tried in tests of their own. */
const alone = settings.filter(({ path }) => path !== 'dev' && !/^auth\.(secret|publicKey|jwksUrl)|^(tls|cluster)\./.test(path))

describe('where a setting comes from', () => {
  it.each(alone.map((setting) => [setting.path, setting] as const))(
    '%s: flags win over the environment, the environment over the file, the file over the default',
    (path, setting) => {
      const [inFile, inEnvironment, inFlag] = samples(setting)
      if (inFile === undefined || inEnvironment === undefined || inFlag === undefined) throw new Error('three samples')
      // Token mode or development mode: whichever lets the setting be.
      const base = path.startsWith('auth.')
        ? { 'auth.publicKeyFile': 'key', 'auth.algorithm': 'ES256', region: 'r', dataDir: 'd' }
        : { dev: true }
      const flags = Object.fromEntries(Object.entries(base).filter(([name]) => name !== path))
      const file = yamlOf(setting, inFile[0])
      const environment = { [setting.environment]: inEnvironment[0] }
      const read = (given: Given): unknown => {
        const found = loaded({ texts: { key: 'k' }, ...given, flags: { ...flags, ...given.flags } }).effective.find(
          (one) => one.setting.path === path,
        )
        return [found?.value, found?.where]
      }
      expect(read({ file, environment, flags: { [path]: inFlag[0] } })).toEqual([inFlag[1], setting.flag])
      expect(read({ file, environment })).toEqual([inEnvironment[1], setting.environment])
      expect(read({ file })).toEqual([inFile[1], expect.stringMatching(/^node\.yaml:\d+:\d+$/)])
    },
  )

  it('[FRAME3] takes no less for `limits.greetingBytesMax` than what clients may send before they know a bound', () => {
    const given = (bytes: number): readonly string[] => issues({ flags: { dev: true, 'limits.greetingBytesMax': String(bytes) } })
    expect(given(64 * 1024)).toEqual([])
    expect(given(64 * 1024 - 1)).toEqual([expect.stringContaining('limits.greetingBytesMax')])
  })

  it('has a default for every setting that has a unit, and says in a sentence what each is for', () => {
    for (const setting of settings) {
      expect(setting.description, setting.path).toMatch(/^[A-Za-z`].*\.$/)
    }
    const open = settings.filter((setting) => setting.kind === 'number' && typeof setting.standard !== 'number')
    expect(open.map((setting) => setting.path)).toEqual(['store.logBytesMax'])
  })

  it('names a variable and a flag for each setting, after its path', () => {
    const names = settings.filter(({ path }) => /^(port|dataDir|limits\.documentsMax)$/.test(path))
    expect(names.map(({ environment, flag }) => [environment, flag])).toEqual([
      ['MERIDIAN_PORT', '--port'],
      ['MERIDIAN_DATA_DIR', '--data-dir'],
      ['MERIDIAN_LIMITS_DOCUMENTS_MAX', '--limits-documents-max'],
    ])
  })

  it('takes an empty variable for one that is not set', () => {
    expect(loaded({ environment: { MERIDIAN_PORT: '' }, flags: { dev: true } }).config.port).toBe(7101)
  })

  it('turns dev on by file, variable or flag, and off by a stronger one', () => {
    expect(loaded({ file: 'dev: true\n' }).config.auth.kind).toBe('development')
    expect(loaded({ environment: { MERIDIAN_DEV: '1' } }).config.auth.kind).toBe('development')
    expect(issues({ file: 'dev: true\n', environment: { MERIDIAN_DEV: 'false' } }).join()).toContain('region: say which region')
  })
})

describe('what is wrong, and where', () => {
  it.each([
    ['a value of another type', 'dev: true\nport: seven\n', ['node.yaml:2:7: port: expected number, received string']],
    [
      'a value out of range',
      'dev: true\nlimits:\n  documentsMax: 0\n',
      ['node.yaml:3:17: limits.documentsMax: expected number to be >=1'],
    ],
    ['a fraction', 'dev: true\nport: 7101.5\n', ['node.yaml:2:7: port: expected int, received number']],
    [
      'a region that is none',
      'dev: true\nregion: EU\n',
      ['node.yaml:2:9: region: expected 1 to 63 of a-z, 0-9 and -, not beginning with -'],
    ],
    ['an unknown setting', 'dev: true\nprot: 1\n', ['node.yaml:2:1: there is no setting prot; did you mean port?']],
    [
      'an unknown setting near none',
      'dev: true\nbanana: 1\n',
      ['node.yaml:2:1: there is no setting banana; `meridian config print` lists all'],
    ],
    [
      'an unknown setting near one',
      'dev: true\nregoin: a\n',
      ['node.yaml:2:1: there is no setting regoin; did you mean region?'],
    ],
    [
      'an unknown setting of a section',
      'dev: true\nlimits:\n  documentMax: 5\n',
      ['node.yaml:3:3: there is no setting limits.documentMax; did you mean limits.documentsMax?'],
    ],
    [
      'a setting in the wrong section',
      'dev: true\ndocumentsMax: 5\n',
      ['node.yaml:2:1: there is no setting documentsMax; did you mean limits.documentsMax?'],
    ],
    [
      'something else where a section belongs',
      'dev: true\nlimits: 5\n',
      ['node.yaml:2:9: limits: expected object, received number'],
    ],
    [
      'an origin with a path',
      'dev: true\nallowedOrigins: [https://a.example/b]\n',
      ['node.yaml:2:18: allowedOrigins.0: expected an origin such as https://app.example.com, without a path'],
    ],
    ['settings twice', 'dev: true\nport: 1\nport: 2\n', ['node.yaml:3:1: Map keys must be unique']],
    ['no settings at all', '- a\n- b\n', ['node.yaml:1:1: expected settings, one `name: value` a line']],
    ['an unfinished line', 'dev: true\nport: [1\n', [expect.stringMatching(/^node\.yaml:3:1: Flow sequence/)]],
  ])('given %s, then the issue says line and column', (_, file, expected) => {
    expect(issues({ file })).toEqual(expected)
  })

  it('names the variable or the flag that was wrong', () => {
    expect(issues({ environment: { MERIDIAN_PORT: 'x', MERIDIAN_DEV: 'maybe' } })).toEqual([
      'MERIDIAN_PORT: expected a number',
      'MERIDIAN_DEV: expected true or false',
    ])
    expect(issues({ flags: { dev: true, port: '70000' } })).toEqual(['--port: port: expected number to be <=65535'])
    expect(issues({ flags: { dev: true, 'log.level': 'loud' } })).toEqual([
      '--log-level: log.level: expected one of "fatal"|"error"|"warn"|"info"|"debug"|"trace"|"silent"',
    ])
  })

  it('says all that is missing at once', () => {
    expect(issues({ file: '# nothing\n' }).map((issue) => issue.replace(/:.*$/s, ''))).toHaveLength(3)
    expect(issues({}).join('\n')).toMatch(
      /region: say which.*\n.*dataDir: say where.*\n.*auth: nothing says how tokens are checked/,
    )
  })

  it('warns of a variable that was probably meant to be a setting, and of no other', () => {
    const { warnings } = loaded({
      environment: { MERIDIAN_PROT: '1', MERIDIAN_SOMETHING_ELSE: '1', MERIDIAN_CONFIG: 'x' },
      flags: { dev: true },
    })
    expect(warnings.map(formatIssue)).toEqual(['MERIDIAN_PROT: there is no such setting; did you mean MERIDIAN_PORT?'])
  })

  it('refuses aliases that would make a small file large', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x]']
    for (let index = 1; index < 9; index++)
      lines.push(`a${index}: &a${index} [${Array.from({ length: 8 }, () => `*a${index - 1}`).join(', ')}]`)
    expect(issues({ file: lines.join('\n') })).toEqual([expect.stringContaining('alias')])
  })

  it('given any text as a file, then it is loaded or has issues, and nothing is thrown', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.stringMatching(/^(?:[a-z]{1,8}: ?[[\]{}&*!|>'"%@#0-9a-z, -]{0,12}\n){0,6}$/)),
        (file) => {
          const outcome = load({ file, flags: { dev: true } })
          expect(outcome.kind === 'loaded' || outcome.issues.length > 0).toBe(true)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('given any text as any variable or flag, then it is loaded or has issues, and nothing is thrown', () => {
    fc.assert(
      fc.property(fc.constantFrom(...settings), fc.string(), (setting, text) => {
        load({ environment: { [setting.environment]: text } })
        load({ flags: { [setting.path]: text } })
      }),
      { numRuns: 500 },
    )
  })
})

describe('development mode', () => {
  it('stands on loopback, region eu-west and a folder here, if told nothing else', () => {
    const { config } = loaded({ flags: { dev: true } })
    expect([config.region, config.listen, config.port, config.dataDir, config.auth]).toEqual([
      'eu-west',
      '127.0.0.1',
      7101,
      '.meridian/eu-west',
      { kind: 'development' },
    ])
  })

  it.each(['0.0.0.0', '::', '192.168.1.5', 'example.com', '127.0.0.1.example.com', ''])('refuses to listen on %j', (listen) => {
    expect(issues({ flags: { dev: true, listen } })).toHaveLength(1)
  })

  it.each(['127.0.0.1', '127.8.9.10', '::1', 'localhost'])('listens on %s', (listen) => {
    expect(isLoopback(listen)).toBe(true)
    expect(loaded({ flags: { dev: true, listen } }).config.listen).toBe(listen)
  })

  it('refuses to be switched on over a configuration that asks for tokens', () => {
    const file = 'region: a\ndataDir: d\nauth:\n  secretFile: s\n'
    expect(loaded({ file, texts: { s: secret } }).config.auth.kind).toBe('token')
    expect(issues({ file, flags: { dev: true }, texts: { s: secret } })).toEqual([
      'node.yaml:4:15: auth.secretFile: development mode asks for no token; take this out, or dev',
    ])
  })
})

describe('keys of tokens', () => {
  const base = { region: 'a', dataDir: 'd' }

  it('takes a secret from a file, without its line end', () => {
    const { config } = loaded({ flags: { ...base, 'auth.secretFile': 's' }, texts: { s: `${secret}\n` } })
    expect(config.auth).toEqual({
      kind: 'token',
      token: { algorithm: 'HS256', key: secret, issuer: undefined, audience: undefined, clockToleranceMs: 30_000 },
    })
  })

  it('lets a variable with a file win over a secret in the file, and a secret over a file where it is stronger', () => {
    const file = `auth:\n  secret: ${'f'.repeat(32)}\n`
    const key = (given: Given): unknown => {
      const { auth } = loaded({ ...given, flags: base }).config
      return auth.kind === 'token' ? auth.token.key : undefined
    }
    expect(key({ file, environment: { MERIDIAN_AUTH_SECRET_FILE: 's' }, texts: { s: secret } })).toBe(secret)
    expect(key({ file: 'auth:\n  secretFile: s\n', environment: { MERIDIAN_AUTH_SECRET: 'e'.repeat(32) } })).toBe('e'.repeat(32))
  })

  it.each([
    ['both ways at once', { 'auth.secretFile': 's' }, { MERIDIAN_AUTH_PUBLIC_KEY: 'k' }, 'a secret and a public key'],
    ['a file that is not there', { 'auth.secretFile': 'missing' }, {}, 'cannot be read'],
    ['a public key without its algorithm', { 'auth.publicKeyFile': 's' }, {}, 'say which one'],
    ['a secret with the algorithm of a key', { 'auth.secretFile': 's', 'auth.algorithm': 'RS256' }, {}, 'HS256 goes with'],
    ['a key with the algorithm of a secret', { 'auth.publicKeyFile': 's', 'auth.algorithm': 'HS256' }, {}, 'HS256 goes with'],
    ['a short secret', { 'auth.secretFile': 'short' }, {}, 'too short'],
  ])('refuses %s', (_, flags, environment, expected) => {
    const found = issues({ flags: { ...base, ...flags }, environment, texts: { s: secret, short: 'short' } })
    expect(found).toEqual([expect.stringContaining(expected)])
  })

  it('refuses the secret and its file from one source', () => {
    const file = `auth:\n  secret: ${secret}\n  secretFile: s\n`
    expect(issues({ file, flags: base, texts: { s: secret } })).toEqual([
      'node.yaml:2:11: auth.secret: set it or auth.secretFile, not both',
    ])
  })

  it('shows no secret: not in an issue, not in what is printed, not as a flag', () => {
    const hidden = 'hunter2-hunter2-hunter2-hunter2!'
    const environment = { MERIDIAN_AUTH_SECRET: hidden, MERIDIAN_PORT: hidden, MERIDIAN_REGION: hidden }
    expect(issues({ environment }).length).toBeGreaterThan(0)
    expect(issues({ environment }).join()).not.toContain(hidden)
    expect(JSON.stringify(loaded({ environment: { MERIDIAN_AUTH_SECRET: hidden }, flags: base }).effective)).not.toContain(hidden)
    expect(settings.filter((setting) => setting.secret).map((setting) => setting.path)).toEqual(['auth.secret'])
  })
})

describe('the cluster of a node', () => {
  const region = (country: string, key: string): string =>
    `{ jurisdiction: ${country}, operator: example, client: ws://127.0.0.1:1, link: ws://127.0.0.1:1/v1/link, publicKey: ${key} }`
  const cluster = `version: 1
regions:
  eu-west: ${region('IE', 'nCScgD+jru2qLCdEC+mcYlB+Stg5AZKu1Vv06doQmUw=')}
  us-east: ${region('US', 'VEmufNfJ0RjaZPoLJmO5CNICftcuiUbPbfpRVq6vm1Y=')}
`
  const flags = { dev: true, 'cluster.file': 'cluster.yaml', 'cluster.keyFile': 'key.pem' }

  it('given a cluster file and a key, then the node has the topology and its key', () => {
    const { config } = loaded({ flags, texts: { 'cluster.yaml': cluster, 'key.pem': 'a key' } })
    expect([...(config.cluster?.topology.regions.keys() ?? [])]).toEqual(['eu-west', 'us-east'])
    expect(config.cluster?.key).toBe('a key')
    expect(loaded({ flags: { dev: true } }).config.cluster).toBeUndefined()
  })

  const policy = (tenant: string, store: string): string => `version: 1
tenant: ${tenant}
placements:
  notes: { store: { in: [${store}] }, access: { in: [anywhere] } }
collections:
  notes: { placement: notes }
`
  const withPolicies = (policies: Record<string, string>): Given => ({
    flags: { ...flags, 'cluster.policiesDir': 'policies' },
    texts: { 'cluster.yaml': cluster, 'key.pem': '', ...policies },
  })

  it('[RES0] given a folder of policies, then each is read, and other files there are not', () => {
    const { config } = loaded(
      withPolicies({ 'policies/b.yml': policy('b', 'US'), 'policies/a.yaml': policy('a', 'eu-west'), 'policies/readme': '?' }),
    )
    expect(config.cluster?.policies.map(({ tenant }) => tenant)).toEqual(['a', 'b'])
  })

  it.each([
    ['an unreadable file', { 'policies/a.yaml': 'version: [' }, 'a.yaml:1:'],
    ['an unknown field', { 'policies/a.yaml': `${policy('a', 'US')}moves: {}\n` }, 'a.yaml:7:1: '],
    ['an area that is not known', { 'policies/a.yaml': policy('a', 'EFTA') }, 'EFTA'],
    [
      'a region that the cluster does not have',
      { 'policies/a.yaml': policy('a', 'eu-wast') },
      'names eu-wast, which the cluster',
    ],
    ['two files of one tenant', { 'policies/a.yaml': policy('a', 'US'), 'policies/b.yaml': policy('a', 'IE') }, 'another file'],
    ['no folder', {}, 'cluster.policiesDir: the folder or a file in it cannot be read'],
  ])('[RES2] given %s among policies, then the node does not start, and is told what to correct', (_name, policies, message) => {
    expect(issues(withPolicies(policies)).join('\n')).toContain(message)
  })

  it.each([
    [{ dev: true, 'cluster.file': 'cluster.yaml' }, {}, 'file and keyFile go together'],
    [flags, { 'key.pem': '' }, 'cluster.file: the file cannot be read'],
    [flags, { 'cluster.yaml': cluster }, 'cluster.keyFile: the file cannot be read'],
    [{ ...flags, region: 'ap-south' }, { 'cluster.yaml': cluster, 'key.pem': '' }, 'it names eu-west, us-east'],
    [flags, { 'cluster.yaml': cluster.replace('IE', 'XX'), 'key.pem': '' }, 'cluster.yaml:3:'],
  ])('given what does not fit, then it says where and what to do', (given, texts, message) => {
    expect(issues({ flags: given, texts }).join('\n')).toContain(message)
  })
})
