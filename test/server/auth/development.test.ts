import { developmentAuthenticator } from '@meridian/server/auth/development'
import { describeAuthenticator } from '../../conformance/authenticator.js'

describeAuthenticator({
  name: 'development',
  make: () => Promise.resolve(developmentAuthenticator()),
  good: () =>
    Promise.resolve({
      token: '',
      principal: {
        subject: 'dev',
        tenant: 'dev',
        grants: [{ match: '*', access: 'write' }],
        expiresAt: Number.POSITIVE_INFINITY,
        scopes: ['policy:read', 'policy:write'],
      },
    }),
  bad: [],
})
