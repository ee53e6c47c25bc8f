/**
 * One operation a volume, and it can say what it is doing: which RPC, which step, since when, which child process, when
 * its caller gives up. A repeat of the same request joins it; any other gets OPERATION_RUNNING with all of that.
 * Between processes a flock on the volume's own lock file decides, and its holder writes the same words there.
 */
import { hash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { lockFile } from "../host/locks.ts";
import { currentShare, inShare, type Share } from "../host/share.ts";
import { type WarmLock, WarmLocks } from "../host/warm-locks.ts";
import { within } from "../host/within.ts";
import type { Progress } from "../pools/pool.ts";
import { Problem } from "../pools/problem.ts";
import { hasCode } from "../pools/record.ts";
import type { Call } from "./api.ts";
import { cancelled, explain } from "./explain.ts";

export interface Subject {
  /** Unique in this process. */
  readonly key: string;
  /** As messages call it: `volume 'pvc-1'`. */
  readonly label: string;
  /** The files that decide between processes, in an order that all keep; none: nothing outside this process can conflict. */
  readonly lockPaths: readonly string[];
  /** Whose threads its operations use; absent: those of whoever runs them. */
  readonly share?: Share | undefined;
  /** The files lie on file systems of this machine, so that looking at one that is open waits for nobody. */
  readonly local?: boolean;
}

export interface RunOptions {
  /** The work goes on when its callers left: long copies, and whatever must not be undone half-way. */
  readonly goesOn?: boolean;
  /** When the work is done, there is nothing left that anybody could do to the subject. */
  readonly last?: boolean;
}

/** What the work of an operation is given. */
export interface Operation extends Progress {
  /**
   * Runs a part that goes on without callers, in work that otherwise stops with them: a check or a growth that takes
   * longer than a caller waits would never be done if each caller's leaving ended it.
   */
  readonly lasting: <T>(part: () => Promise<T>) => Promise<T>;
}

interface Running {
  readonly call: Call;
  readonly request: string;
  readonly since: number;
  readonly controller: AbortController;
  readonly outcome: Promise<unknown>;
  step: string;
  child: string;
  callers: number;
  goesOn: boolean;
  over: boolean;
}

/** Milliseconds that an operation may take before it says to other processes what it is doing. */
const silentMs = 100;

/** Milliseconds that an operation has to undo what it did, once it was asked to end. */
const lastWords = 5_000;

export class Ledger {
  readonly #running = new Map<string, Running>();
  readonly #locks = new WarmLocks();
  #stopping = false;

  /**
   * Runs `work` as the subject's only operation. `request` tells requests apart: the same text joins the one that runs.
   * Throws OPERATION_RUNNING, and CALL_CANCELLED or CALL_TIMED_OUT when this caller leaves first.
   */
  async run<T>(
    subject: Subject,
    call: Call,
    request: string,
    work: (operation: Operation) => Promise<T>,
    options: RunOptions = {},
  ): Promise<T> {
    if (this.#stopping) throw new Problem("STOPPING", "the driver is stopping and takes no new operations");
    // While it waited for a disk its caller may have left.
    if (call.signal.aborted) throw cancelled(call.signal, `waiting for the ${subject.label}`);
    const digest = hash("sha256", `${call.rpc}\0${request}`);
    const there = this.#running.get(subject.key);
    if (there) {
      // Work that is being undone for a caller that left can't be joined: its end is not this caller's.
      if (there.request !== digest || there.controller.signal.aborted) throw busy(subject, describe(there));
      return this.#wait(there, call) as Promise<T>;
    }
    const running = this.#start(subject, call, digest, work, options);
    return this.#wait(running, call) as Promise<T>;
  }

  /** What runs now, for logs and for whoever asks. */
  list(): { readonly subject: string; readonly text: string }[] {
    return [...this.#running].map(([subject, running]) => ({ subject, text: describe(running) }));
  }

  /**
   * No new operations; running ones are asked to end when `graceMs` milliseconds have passed, and given up a little later:
   * one that waits in the kernel may never end, and the next start finds what it left.
   */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    const all = Promise.allSettled([...this.#running.values()].map((each) => each.outcome));
    const timer = setTimeout(() => {
      for (const each of this.#running.values()) each.controller.abort(new Error("the driver is stopping"));
    }, graceMs);
    await within(graceMs + lastWords, all);
    clearTimeout(timer);
    await this.#locks.end();
  }

  #start<T>(
    subject: Subject,
    call: Call,
    request: string,
    work: (operation: Operation) => Promise<T>,
    { goesOn = false, last = false }: RunOptions,
  ): Running {
    const controller = new AbortController();
    const held: WarmLock[] = [];
    let wrote: string | undefined;
    const tell = (): void => {
      const text = describe(running);
      if (text !== wrote) for (const lock of held) lock.write(text);
      wrote = text;
    };
    // Most operations are over before anybody could read their words.
    const late = setTimeout(tell, silentMs);
    const operation: Operation = {
      signal: controller.signal,
      step: (what) => {
        running.step = what;
        running.child = "";
        if (wrote !== undefined) tell();
      },
      child: (pid, program) => {
        running.child = `${program} (process ${pid})`;
        if (wrote !== undefined) tell();
      },
      lasting: async (part) => {
        const before = running.goesOn;
        running.goesOn = true;
        try {
          return await part();
        } finally {
          running.goesOn = before;
          endIfAlone(running);
        }
      },
    };
    const whole = async () => {
      try {
        for (const path of subject.lockPaths) {
          const lock = await this.#lock(subject, path);
          if (wrote !== undefined) lock.write(wrote);
          held.push(lock);
        }
        return await work(operation);
      } catch (error) {
        throw explain(error, controller.signal, subject.label);
      } finally {
        clearTimeout(late);
        for (const lock of held) await lock.release({ last });
        running.over = true;
        this.#running.delete(subject.key);
      }
    };
    // Begun in a later turn, so that `running` is in place before the work says anything.
    const outcome = inShare(subject.share ?? currentShare(), () => Promise.resolve().then(whole));
    const running: Running = {
      call,
      request,
      since: Date.now(),
      controller,
      outcome,
      step: "starting",
      child: "",
      callers: 0,
      goesOn,
      over: false,
    };
    outcome.catch(() => undefined);
    this.#running.set(subject.key, running);
    return running;
  }

  async #lock(subject: Subject, path: string): Promise<WarmLock> {
    const take = async () => {
      if (subject.local) return this.#locks.take(path);
      const lock = await lockFile(path);
      return "heldBy" in lock ? lock : { write: (text: string) => lock.write(text), release: () => lock.release() };
    };
    try {
      let lock = await take();
      if ("heldBy" in lock && lock.heldBy === "") {
        // Just begun: soon it is over, or has said what it is.
        await delay(2 * silentMs);
        lock = await take();
      }
      if (!("heldBy" in lock)) return lock;
      throw busy(subject, lock.heldBy === "" ? "another process" : lock.heldBy);
    } catch (error) {
      if (!hasCode(error, "ENOENT", "ENOTDIR")) throw error;
      throw new Problem("POOL_UNAVAILABLE", `the pool of the ${subject.label} is not there any more`, { cause: error });
    }
  }

  async #wait(running: Running, call: Call): Promise<unknown> {
    running.callers += 1;
    let leave: (() => void) | undefined;
    const left = new Promise<never>((_resolve, reject) => {
      leave = () => reject(cancelled(call.signal, running.step));
      if (call.signal.aborted) leave();
      else call.signal.addEventListener("abort", leave, { once: true });
    });
    try {
      return await Promise.race([running.outcome, left]);
    } finally {
      if (leave) call.signal.removeEventListener("abort", leave);
      running.callers -= 1;
      endIfAlone(running, call.signal.reason);
    }
  }
}

/** Work that can be redone stops when nobody waits for it any more. */
function endIfAlone(running: Running, reason?: unknown): void {
  if (running.over || running.callers > 0 || running.goesOn) return;
  running.controller.abort(reason ?? new DOMException("every caller left", "AbortError"));
}

/** The text of a holder in another process is as old as its last step, so its age is counted here. */
function busy(subject: Subject, holder: string): Problem {
  const since = Date.parse(/ since (\S+?Z)/.exec(holder)?.[1] ?? "");
  const age = Number.isNaN(since) ? "" : ` (${((Date.now() - since) / 1000).toFixed(1)} s ago)`;
  return new Problem("OPERATION_RUNNING", `the ${subject.label} is held by ${holder}${age}`);
}

function describe(running: Running): string {
  const child = running.child === "" ? "" : `, child ${running.child}`;
  const { deadline } = running.call;
  const until = deadline === undefined ? "" : `, its caller gives up at ${new Date(deadline).toISOString()}`;
  const { rpc, requestId } = running.call;
  return `${rpc} (request ${requestId}), at the step '${running.step}'${child}${until}, since ${new Date(running.since).toISOString()}`;
}
