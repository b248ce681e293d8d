/** Icons, drawn on a grid of 20; they say nothing to screen readers, so whatever holds one has a name of its own. */

import type { ReactNode } from 'react'

const icon = (drawing: ReactNode) =>
  function Icon() {
    return (
      <svg className="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
        {drawing}
      </svg>
    )
  }

export const PlusIcon = icon(<path d="M10 4v12M4 10h12" />)
export const SearchIcon = icon(<path d="m17 17-3.8-3.8M15 9A6 6 0 1 1 3 9a6 6 0 0 1 12 0Z" />)
export const BackIcon = icon(<path d="M12 4 6 10l6 6" />)
export const TrashIcon = icon(<path d="M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6M8.5 9v4M11.500 9v4" />)
export const CheckIcon = icon(<path d="m4.500 10.500 3.700 3.700 7.300-8" />)
export const CloudOffIcon = icon(
  <path d="M3 3l14 14M6.400 6.900A4.300 4.300 0 0 0 6.300 15h8M9.400 5.100a4.300 4.300 0 0 1 4.900 3.900 3 3 0 0 1 2.400 4" />,
)
export const WarningIcon = icon(<path d="M10 3.500 17.500 16.500h-15L10 3.500ZM10 8.500v3.500M10 14.300v.1" />)
export const FullIcon = icon(
  <path d="M4 5.500c0-1.400 2.700-2.500 6-2.500s6 1.100 6 2.500v9c0 1.400-2.700 2.500-6 2.500s-6-1.100-6-2.500v-9ZM4 5.500C4 6.900 6.700 8 10 8s6-1.100 6-2.500M4 10c0 1.400 2.700 2.500 6 2.500s6-1.100 6-2.500" />,
)
export const SpinnerIcon = icon(<path className="spin" d="M10 3a7 7 0 1 1-7 7" />)
export const CloseIcon = icon(<path d="m5 5 10 10M15 5 5 15" />)
