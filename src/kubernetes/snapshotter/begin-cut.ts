/**
 * Before a driver cuts anything the content is marked, and seen as it is now. What the cache says may be old: a content that was cut,
 * deleted and let go meanwhile, by another instance or while the watch was away, would get a snapshot that nobody knows of.
 */
import type { ApiObject } from "../api/resources.ts";
import { annotate } from "../snapshots/writer.ts";
import type { Contents } from "./attempt.ts";
import type { Snapshotter } from "./context.ts";

/** The content as it is now, marked; undefined: it is not to be cut, or is another of the same name. Throws when it is gone. */
export async function beginCut<T extends ApiObject>(
  snapshotter: Snapshotter,
  { resource, informer }: Contents<T>,
  seen: T,
  mark: string,
  isToBeCut: (content: T) => boolean,
): Promise<T | undefined> {
  const { name = "", uid } = seen.metadata ?? {};
  if (seen.metadata?.annotations?.[mark] !== undefined) {
    const newest = await snapshotter.api.get(resource, { name });
    informer.put(newest);
    return newest.metadata?.uid === uid && isToBeCut(newest) ? newest : undefined;
  }
  const marked = await annotate(snapshotter, resource, informer, seen, mark, "yes");
  // As it was before the mark: one that is on its way out must not be held by it.
  const { [mark]: _, ...annotations } = marked.metadata?.annotations ?? {};
  if (isToBeCut({ ...marked, metadata: { ...marked.metadata, annotations } })) return marked;
  await annotate(snapshotter, resource, informer, marked, mark, null);
  return undefined;
}
