/** The sign of the app: a globe with its meridians, and one place on it. */

export function Mark({ size }: { readonly size: number }) {
  return (
    <svg className="mark" viewBox="10 10 44 44" width={size} height={size} aria-hidden="true" focusable="false">
      <g fill="none" stroke="currentColor" strokeWidth="2.6" strokeLinecap="round">
        <circle cx="32" cy="32" r="19" />
        <path d="M32 13c-11.500 11-11.500 27 0 38" />
        <path d="M32 13c11.500 11 11.500 27 0 38M14.400 26h35.200M14.400 38h35.200" opacity=".35" />
      </g>
      <circle className="mark-place" cx="24" cy="27" r="4.600" />
    </svg>
  )
}
