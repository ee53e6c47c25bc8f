/**
 * What a controller asks of the node that holds a volume of a shared pool: `requests/<node>/<id>.json`, one for each time
 * that it asks, and the node's answer beside it, `<id>.answer`. The folder is the node's: it is there when the driver there
 * looks for requests.
 *
 * Who acts on a request, and whether anybody may, is decided by flock on its file: the node holds it while it acts, the
 * asker takes it to withdraw, and the kernel drops it when either dies. So an asker that has withdrawn knows that nothing
 * is done any more, whatever the clocks say. What an asker left that died is told by its age on the pool's own clock: the
 * time of a file that is made for the purpose less the time of the request. Nodes' clocks are never compared.
 */
import { constants } from "node:fs";
import { join } from "node:path";
import { closeFile, createDurably, openFile, temporaryBeside, writeDurably } from "../host/files.ts";
import { lstat, readdir, unlink } from "../host/fs.ts";
import { newNonce } from "./ids.ts";
import { encodeNode } from "./node-records.ts";
import { type Answer, drop, locked, namesIn, Pending } from "./pending.ts";
import { Problem } from "./problem.ts";
import { encodeRecord, hasCode, RecordReader, readIfThere } from "./record.ts";
import { makeFolder } from "./shelf.ts";

export interface Request {
  /** The node name of the process that asks, and its RPC's request: for logs. */
  readonly by: string;
  readonly requestId: string;
  /** Milliseconds since the epoch by the asker's clock. Only their difference counts: nobody acts on it later than that. */
  readonly asked: number;
  readonly expires: number;
  /** What is to be cut: the rules' own words. */
  readonly cut: RecordReader;
}

/** An answer that nobody fetches, and whatever is there after a node went for ever, goes after this long: milliseconds. */
export const keptMs = 10 * 60_000;
const requestName = /^([0-9a-f]{16})\.json$/;
const answerName = /^[0-9a-f]{16}\.answer$/;

export class Requests {
  readonly #pool: string;
  readonly #folder: string;

  constructor(pool: { readonly folder: string }) {
    this.#pool = pool.folder;
    this.#folder = join(pool.folder, "requests");
  }

  /** Says that the driver of this node looks for requests. May be called again. */
  async serve(node: string): Promise<void> {
    await makeFolder(this.#folder);
    await makeFolder(this.#of(node));
  }

  /** Durable when it returns. Undefined: no driver of that node, of a release that takes requests, has served this pool. */
  async ask(node: string, request: Omit<Request, "cut"> & { readonly cut: object }): Promise<Pending | undefined> {
    const id = newNonce();
    try {
      await writeDurably(join(this.#of(node), `${id}.json`), encodeRecord({ id, ...request }));
    } catch (error) {
      if (hasCode(error, "ENOENT")) return undefined;
      throw error;
    }
    return new Pending(this.#of(node), id);
  }

  /**
   * The IDs of what this node is asked, and the names of answers that nobody has fetched. One look at one folder: opening
   * it makes NFS ask the server whether it has changed (close-to-open, nfs(5)), which a look at one name would not.
   */
  async waiting(node: string): Promise<{ readonly ids: readonly string[]; readonly answers: readonly string[] }> {
    const names = await readdir(this.#of(node));
    return {
      ids: names.flatMap((name) => requestName.exec(name)?.[1] ?? []),
      answers: names.filter((name) => answerName.test(name)),
    };
  }

  /**
   * Takes a request to act on it. Undefined: it was withdrawn, or another process acts on it. Throws RECORD_DAMAGED or
   * POOL_NEWER, when the asker has been told so.
   */
  async take(node: string, id: string): Promise<Taken | undefined> {
    const folder = this.#of(node);
    const path = join(folder, `${id}.json`);
    const lock = await locked(path);
    if (!lock) return undefined;
    const answer = async (text: Answer) => {
      // The answer comes first: an asker that finds neither would believe that nobody acted.
      await writeDurably(join(folder, `${id}.answer`), encodeRecord(text));
      await drop(path);
    };
    try {
      // Read under the lock: a request that was withdrawn before has no name any more.
      const text = await readIfThere(path);
      if (text === undefined) {
        lock.release();
        return undefined;
      }
      const request = await decoded(text, path, answer);
      const late = (await this.#age(folder, path)) > request.expires - request.asked;
      return { request, late, answer, drop: () => drop(path), release: () => lock.release() };
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /** Removes an answer that nobody fetched. */
  async forget(node: string, answer: string): Promise<void> {
    await drop(join(this.#of(node), answer));
  }

  /** Removes what nobody will ever act on or fetch, of any node: left by askers that died, for nodes that went. */
  async collect(): Promise<number> {
    let removed = 0;
    for (const node of await namesIn(this.#folder)) {
      const folder = join(this.#folder, node);
      for (const name of await namesIn(folder)) {
        if (!requestName.test(name) && !answerName.test(name)) continue;
        const path = join(folder, name);
        if ((await this.#age(folder, path)) <= keptMs) continue;
        const lock = await locked(path);
        if (!lock) continue;
        await drop(path);
        lock.release();
        removed += 1;
      }
    }
    return removed;
  }

  /** Lets this node see what another has put into one of the pool's folders: opening it asks the server (see `waiting`). */
  async seeAnew(folder: "volumes" | "snapshots"): Promise<void> {
    await closeFile(await openFile(join(this.#pool, folder), constants.O_RDONLY | constants.O_DIRECTORY));
  }

  /** Milliseconds since the file was written, by the clock of the pool's file system. */
  async #age(folder: string, path: string): Promise<number> {
    const probe = temporaryBeside(join(folder, "clock"));
    // A byte, so that its time is that of a write, as the request's is.
    await createDurably(probe, "\n");
    try {
      return (await lstat(probe)).mtimeMs - (await lstat(path)).mtimeMs;
    } finally {
      await unlink(probe);
    }
  }

  #of(node: string): string {
    return join(this.#folder, encodeNode(node));
  }
}

/** A request that this process acts on, and nobody else. */
export interface Taken {
  readonly request: Request;
  /** It has expired: to be dropped, not acted on. */
  readonly late: boolean;
  /** Durable when it returns; the request is gone then. */
  answer(answer: Answer): Promise<void>;
  /** Removes it without an answer. */
  drop(): Promise<void>;
  /** Others may take it then, if it is still there. To be called once. */
  release(): void;
}

/** A request that can't be read is answered at once, so that its asker need not wait. */
async function decoded(text: string, path: string, answer: (answer: Answer) => Promise<void>): Promise<Request> {
  try {
    const record = RecordReader.parse(text, path);
    return {
      by: record.text("by"),
      requestId: record.text("requestId"),
      asked: record.count("asked"),
      expires: record.count("expires"),
      cut: record.within("cut"),
    };
  } catch (error) {
    await answer(failed(error));
    throw error;
  }
}

export function failed(error: unknown): Answer {
  const { code, what, advice } = Problem.from(error);
  return { done: false, problem: code, what, advice };
}
