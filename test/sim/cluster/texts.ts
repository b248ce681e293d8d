/** What one transaction put into a list of texts: found by what is new in it, not by walking the list. */

import * as Y from 'yjs'

export function addedTexts(transaction: Y.Transaction, list: Y.Array<string>): string[] {
  const texts: string[] = []
  for (const [client, end] of transaction.afterState) {
    const begin = transaction.beforeState.get(client) ?? 0
    if (end <= begin) continue
    const structs = transaction.doc.store.clients.get(client) ?? []
    for (let index = structs.length - 1; index >= 0; index--) {
      const struct = structs[index]
      if (struct === undefined || struct.id.clock < begin) break
      if (!(struct instanceof Y.Item) || struct.deleted || struct.parent !== list) continue
      for (const text of struct.content.getContent()) texts.push(String(text))
    }
  }
  return texts
}
