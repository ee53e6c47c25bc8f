/**
 * A copy of a volume that another node holds is cut by that node: it is asked by a request in the pool, and does what its
 * own controller would do. While it is waited for, no lock is held here; what decides is the name, as for any repeat.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Pending } from "../pools/pending.ts";
import type { Progress } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import type { Call } from "./api.ts";
import type { Context } from "./context.ts";
import { type Cut, nameOf } from "./cut-request.ts";
import { HeldElsewhere } from "./hold.ts";

/** Milliseconds until a request that no node has taken expires: a node looks each second. */
const patienceMs = 10_000;
/** So long before its caller gives up it is told why; a caller that waits less than twice that is not told by us. */
const marginMs = 1_000;
/** How often the answer is looked for: soon it is there, or it takes a while. */
const lookMs = 50;
const lookLateMs = 500;
const soonMs = 3_000;
/** How often it is asked whether the node that took a request still lives. */
const proveMs = 1_000;

export class Asking {
  readonly #context: Context;
  /** When a node was first asked of those that have not answered since. */
  readonly #silent = new Map<string, number>();

  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * What `attempt` gives; where only another node can cut, that node is asked, and `attempt` finds what it has made.
   * Throws what the node says; SOURCE_NOT_READY, when the request was taken back, where it says nothing.
   */
  async orAsk<T>(cut: Cut, call: Call, operation: Progress, attempt: () => Promise<T>): Promise<T> {
    let held: HeldElsewhere;
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof HeldElsewhere && error.pool.shared)) throw error;
      held = error;
    }
    operation.step(`asking the node '${held.node}' to cut it`);
    const unanswered = await this.#ask(held, cut, call, operation);
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof HeldElsewhere)) throw error;
      throw unanswered ?? unseen(held, cut);
    }
  }

  /** Undefined: it has done it. Else why nobody does it, nor will. Throws what the node answers. */
  async #ask(held: HeldElsewhere, cut: Cut, call: Call, operation: Progress): Promise<Problem | undefined> {
    const { node, pool } = held;
    const requests = this.#context.requests(pool);
    const asked = Date.now();
    const patience = patienceFor(call, asked);
    const { requestId } = call;
    const request = { by: this.#context.pools.node, requestId, asked, expires: asked + patience, cut };
    const pending = await requests.ask(node, request);
    if (!pending) return noTaker(held);
    operation.step(`waiting for the node '${node}' to cut it, asked at ${new Date(asked).toISOString()}`);
    try {
      const answer = await waitFor(pending, patience, operation.signal);
      if (answer === undefined) return this.#unanswered(held, asked);
      this.#silent.delete(node);
      if (!answer.done)
        throw Problem.told({ ...answer, what: `the node '${node}' was asked to cut it: ${answer.what}` });
      await requests.seeAnew(cut.kind === "snapshot" ? "snapshots" : "volumes");
      return undefined;
    } catch (error) {
      await pending.withdraw().catch(() => false);
      throw error;
    }
  }

  #unanswered(held: HeldElsewhere, asked: number): Problem {
    const { node, what } = held;
    const since = this.#silent.get(node) ?? asked;
    this.#silent.set(node, since);
    const seconds = ((Date.now() - since) / 1000).toFixed(0);
    const silent = `the node '${node}' was asked to cut it, and has not answered since ${new Date(since).toISOString()}`;
    return new Problem("SOURCE_NOT_READY", `${what}; ${silent} (${seconds} s ago)`, {
      advice:
        `see that the driver runs on '${node}' and serves the pool '${held.pool.name}'; or unpublish and unstage the ` +
        "volume there, or copy from a snapshot",
    });
  }
}

/** Undefined: it was taken back, or nobody acts on it any more. */
async function waitFor(pending: Pending, patience: number, signal: AbortSignal) {
  const begun = performance.now();
  for (let proveAt = patience; ; ) {
    const answer = await pending.look();
    if (answer === "gone") return undefined;
    if (answer !== "waiting") return answer;
    const waited = performance.now() - begun;
    if (waited >= proveAt) {
      // A node that acts holds the request. As long as it does it is waited for, as for a long copy of our own.
      if (await pending.withdraw()) return undefined;
      proveAt = waited + proveMs;
    }
    await delay(waited < soonMs ? lookMs : lookLateMs, undefined, { signal });
  }
}

/** Milliseconds. */
function patienceFor({ deadline }: Call, now: number): number {
  const left = deadline === undefined ? Number.POSITIVE_INFINITY : deadline - now - marginMs;
  return left < marginMs ? patienceMs : Math.min(patienceMs, left);
}

function noTaker({ node, what, pool }: HeldElsewhere): Problem {
  return new Problem("SOURCE_NOT_READY", `${what}; the driver of the node '${node}' takes no requests to cut it`, {
    advice: `start a driver on '${node}' that is as new as this one and serves the pool '${pool.name}', or unpublish and unstage the volume there`,
  });
}

/** The file system of the pool shows it a moment later. */
function unseen({ node }: HeldElsewhere, cut: Cut): Problem {
  return new Problem(
    "OPERATION_RUNNING",
    `the node '${node}' has made '${nameOf(cut)}', which is not to be seen here yet`,
  );
}
