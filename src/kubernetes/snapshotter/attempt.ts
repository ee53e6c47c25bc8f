/** A step that asks the driver: what its failure leaves on the content, and when to ask again. */
import { CsiError } from "../../csi/client.ts";
import { ApiError, isNotFound } from "../api/api-error.ts";
import type { Informer } from "../api/informer.ts";
import { Later } from "../api/queue.ts";
import type { ApiObject, Resource } from "../api/resources.ts";
import { explain } from "../outcome.ts";
import { tryAgain } from "../snapshots/told.ts";
import { changeStatus, failedStatus } from "../snapshots/writer.ts";
import type { Snapshotter } from "./context.ts";

interface Status {
  readonly readyToUse?: boolean;
  readonly error?: { readonly message?: string };
}
type Content = ApiObject & { readonly status?: Status };

const shortestPollMs = 1_000;
const longestPollMs = 60_000;
const askAwayMs = 5_000;

/** A kind of contents, and those that are served. */
export interface Contents<T extends Content> {
  readonly resource: Resource<T>;
  readonly informer: Informer<T>;
}

/**
 * Does `work`, and answers in how many milliseconds to look again; undefined: when it changes. A failure is written into the status, from
 * where it reaches the snapshot, and said as an event, once for the same words; then throws a Later.
 */
export async function attempt<T extends Content>(
  snapshotter: Snapshotter,
  { resource, informer }: Contents<T>,
  content: T,
  work: () => Promise<T>,
  failure: { readonly reason: string; readonly what: string },
): Promise<number | undefined> {
  const { events, log, signal } = snapshotter;
  try {
    const { metadata, status } = await work();
    return status?.readyToUse === true ? undefined : pollAfter(metadata?.creationTimestamp);
  } catch (error) {
    if (signal.aborted) throw error;
    // Only the content itself can be what the API server misses.
    if (isNotFound(error)) return undefined;
    // That it did not take a write is no failure of the snapshot's: what the driver has is found again.
    if (error instanceof ApiError) throw error;
    const message = `${failure.what}: ${explain(error)}`;
    const newest = informer.get(content.metadata?.name ?? "") ?? content;
    if (newest.status?.error?.message !== message) {
      events.warning(resource, newest, failure.reason, message);
      try {
        await changeStatus(snapshotter, resource, informer, newest, (status) => failedStatus(status, message));
      } catch (unwritten) {
        log.debug({ content: content.metadata?.name, error: String(unwritten) }, "a failure could not be written");
      }
    }
    throw again(failure.what, error);
  }
}

/** A driver that is away is soon back: what waits for it must not wait minutes longer than that. */
function again(what: string, error: unknown): Later {
  const away = error instanceof CsiError && error.code === "UNAVAILABLE";
  return away ? new Later(`${what}: the driver is away, it is asked again`, askAwayMs) : tryAgain(what);
}

/** The same for a deletion: its failure is only an event, for whoever deletes looks no more at the status. */
export async function attemptRemoval<T extends Content>(
  { events, signal }: Snapshotter,
  { resource }: Contents<T>,
  content: T,
  work: () => Promise<unknown>,
  failure: { readonly reason: string; readonly what: string },
): Promise<void> {
  try {
    await unlessGone(work());
  } catch (error) {
    if (signal.aborted) throw error;
    events.warning(resource, content, failure.reason, `${failure.what}: ${explain(error)}`);
    throw again(failure.what, error);
  }
}

/** That the content is gone already is fine. */
export async function unlessGone(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

/** The storage may need seconds or hours until a snapshot is ready: a quarter of the time that its content has waited. */
function pollAfter(waitsSince: string | undefined): number {
  const waitedMs = waitsSince === undefined ? 0 : Date.now() - Date.parse(waitsSince);
  return Math.min(longestPollMs, Math.max(shortestPollMs, waitedMs / 4));
}
