/** The node's half of a copy that a controller elsewhere asks for: see asking.ts. */
import { setTimeout as delay } from "node:timers/promises";
import { within } from "../host/within.ts";
import type { Pool } from "../pools/pool.ts";
import { failed, keptMs, type Requests, type Taken } from "../pools/requests.ts";
import type { Call } from "./api.ts";
import type { Context } from "./context.ts";
import type { CreateRules } from "./creating.ts";
import { type Cut, decodeCut, nameOf, rpcOf } from "./cut-request.ts";
import { explain } from "./explain.ts";
import type { SnapshotRules } from "./snapshots.ts";

/** Milliseconds between looks: one look is one list of a folder that is almost always empty. */
const lookMs = 1_000;
/** For a while after a request, when more may come. */
const lookSoonMs = 100;
const soonMs = 5_000;

export class Answering {
  readonly #context: Context;
  readonly #creating: CreateRules;
  readonly #snapshots: SnapshotRules;
  readonly #ending = new AbortController();
  readonly #watches: Promise<void>[] = [];
  readonly #acts = new Map<string, Promise<void>>();

  /** The rules as they cut here: without asking others. */
  constructor(context: Context, creating: CreateRules, snapshots: SnapshotRules) {
    this.#context = context;
    this.#creating = creating;
    this.#snapshots = snapshots;
  }

  /** Looks for requests until `stop`. Nothing where volumes can be cut from anywhere. Never throws. */
  watch(pool: Pool): void {
    const { gives, snapshots, clones } = pool.features;
    if (!pool.shared || gives === "directory" || !(snapshots || clones)) return;
    this.#watches.push(this.#watch(pool));
  }

  /** Takes no more requests. What runs goes on: see `ended`. */
  stop(): void {
    this.#ending.abort();
  }

  /** What ran when it was stopped has been answered, or has not for this long: its asker learns by the lock that nobody acts. */
  async ended(withinMs: number): Promise<void> {
    const all = Promise.all([...this.#watches, ...this.#acts.values()]);
    await within(withinMs, all);
  }

  async #watch(pool: Pool): Promise<void> {
    const { signal } = this.#ending;
    const { node } = this.#context.pools;
    const requests = this.#context.requests(pool);
    const unfetched = new Map<string, number>();
    let told: string | undefined;
    let serves = false;
    for (let soonUntil = 0; !signal.aborted; ) {
      try {
        if (!serves) await requests.serve(node);
        serves = true;
        const { ids, answers } = await requests.waiting(node);
        for (const id of ids) this.#act(pool, requests, id);
        if (ids.length > 0) soonUntil = performance.now() + soonMs;
        await forgetOld(requests, node, answers, unfetched);
        told = undefined;
      } catch (error) {
        // The folder may have been on a disk that is away, and must be made again on the one that comes.
        serves = false;
        const { message } = explain(error);
        if (message !== told) this.#context.log.warn({ pool: pool.name, error }, "requests to cut can't be looked for");
        told = message;
      }
      const wait = performance.now() < soonUntil ? lookSoonMs : lookMs;
      await delay(wait, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  #act(pool: Pool, requests: Requests, id: string): void {
    if (this.#acts.has(id)) return;
    const act = this.#answer(pool, requests, id)
      .catch((error: unknown) => {
        this.#context.log.warn({ pool: pool.name, request: id, error }, "a request to cut could not be answered");
      })
      .finally(() => this.#acts.delete(id));
    this.#acts.set(id, act);
  }

  async #answer(pool: Pool, requests: Requests, id: string): Promise<void> {
    const taken = await requests.take(this.#context.pools.node, id);
    if (!taken) return;
    try {
      const { by, requestId } = taken.request;
      if (!taken.late) {
        await this.#serve(pool, taken);
        // While this process counts as a controller the others sum the pool up anew for each create.
        return await pool.rest?.();
      }
      await taken.drop();
      this.#context.log.info({ pool: pool.name, by, requestId }, "a request to cut had expired");
    } finally {
      taken.release();
    }
  }

  #cut(cut: Cut, call: Call): Promise<unknown> {
    if (cut.kind === "clone") return this.#creating.create(cut.request, call);
    const { name, sourceVolumeId } = cut;
    return this.#snapshots.create({ name, sourceVolumeId, parameters: {} }, call);
  }

  async #serve(pool: Pool, taken: Taken): Promise<void> {
    const { by, requestId } = taken.request;
    const begun = performance.now();
    const about = { pool: pool.name, by, requestId };
    try {
      const cut = decodeCut(taken.request.cut);
      // Nobody here waits for it: it ends when it is done, as when a caller has left.
      const { signal } = new AbortController();
      await this.#cut(cut, { rpc: rpcOf(cut), requestId: `${requestId} of ${by}`, signal });
      const ms = Math.round(performance.now() - begun);
      this.#context.log.info({ ...about, rpc: rpcOf(cut), name: nameOf(cut), ms }, "cut for a controller elsewhere");
    } catch (error) {
      const problem = explain(error);
      this.#context.log.warn({ ...about, problem: problem.code, error }, "a cut for a controller elsewhere failed");
      return taken.answer(failed(problem));
    }
    await taken.answer({ done: true });
  }
}

/** Answers whose askers have gone. Their age is this process's own: an asker fetches within a second. */
async function forgetOld(
  requests: Requests,
  node: string,
  answers: readonly string[],
  unfetched: Map<string, number>,
): Promise<void> {
  for (const name of unfetched.keys()) if (!answers.includes(name)) unfetched.delete(name);
  for (const name of answers) {
    const since = unfetched.get(name) ?? performance.now();
    unfetched.set(name, since);
    if (performance.now() - since > keptMs) await requests.forget(node, name);
  }
}
