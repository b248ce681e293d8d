/** Where the page begins: the app, and the worker that keeps it for times without a network. */

import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from './app.js'
import { theme } from './device.js'
import './styles.css'
import { registerWorker } from './update.js'

document.documentElement.dataset['theme'] = theme.read()

const root = document.querySelector('#root')
if (root === null) throw new Error('index.html has an element #root')
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
)

// Without it the app works online only, which is no reason to say anything to somebody who writes.
registerWorker().catch((error: unknown) => console.warn('The app cannot be kept for offline use.', error))
