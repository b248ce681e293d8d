/** Where the page begins. */

import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { Page } from './page.js'
import './styles.css'

const root = document.querySelector('#root')
if (root === null) throw new Error('index.html has an element #root')
createRoot(root).render(
  <StrictMode>
    <Page />
  </StrictMode>,
)
