/** Two informers of one kind as one, for a selection that no single watch can make. */
import type { Informer } from "./informer.ts";
import type { ApiObject } from "./resources.ts";

/**
 * What goes from one selection to the other is told as added and removed, in either order. `isOfFirst`: where an answer to a
 * write of ours is put.
 */
export function joinInformers<T extends ApiObject>(
  first: Informer<T>,
  second: Informer<T>,
  isOfFirst: (object: T) => boolean,
): Informer<T> {
  const synced = Promise.all([first.synced, second.synced]).then(() => undefined);
  synced.catch(() => undefined);
  return {
    synced,
    hasSynced: () => first.hasSynced() && second.hasSynced(),
    isFollowing: () => first.isFollowing() && second.isFollowing(),
    get: (name, namespace) => first.get(name, namespace) ?? second.get(name, namespace),
    *all() {
      yield* first.all();
      yield* second.all();
    },
    by: (index, value) => [...first.by(index, value), ...second.by(index, value)],
    on(handler) {
      const ends = [first.on(handler), second.on(handler)];
      return () => {
        for (const end of ends) end();
      };
    },
    put: (object) => (isOfFirst(object) ? first : second).put(object),
  };
}
