/** What to try, and the policy that the regions follow. */

export function Guide({ policy }: { readonly policy: string }) {
  return (
    <div className="guide">
      <details open>
        <summary>Try this</summary>
        <ol>
          <li>
            <b>Write on the left</b> and see it on the right: another process, another disk.
          </li>
          <li>
            <b>Cut the link between the two</b> and go on: edits travel through the third region. Cut that way, too: both sides go
            on alone. Heal, and both have everything.
          </li>
          <li>
            <b>Kill a region</b> in the middle of a word. The app goes on in the next region that may have the note. What it
            called saved is there when the region starts again.
          </li>
          <li>
            <b>Keep a note in the EU</b>: choose “EU only” on the left, and write. The other regions never hold it, on disk or in
            memory; “kept out” says why, in the words of the policy.
          </li>
        </ol>
      </details>
      <details>
        <summary>The policy</summary>
        <pre>{policy}</pre>
      </details>
    </div>
  )
}
