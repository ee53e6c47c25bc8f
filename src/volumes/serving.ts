/** What every rule is run in: the share of its pool, its caller's deadline, and the errors of the catalogue. */
import { inShare, type Share } from "../host/share.ts";
import type { Call } from "./api.ts";
import { explain } from "./explain.ts";

/**
 * Runs `work` in the share; absent: in the common one. Whatever is thrown leaves as a problem, also when the caller leaves: work
 * that waits for a disk goes on then, and nobody waits for it.
 */
export async function serve<T>(share: Share | undefined, call: Call, work: () => Promise<T>): Promise<T> {
  try {
    return await inShare(share, () => {
      const admitted = share?.admitted(call.signal);
      return unlessLeft(call.signal, admitted ? admitted.then(work) : work());
    });
  } catch (error) {
    throw explain(error, call.signal);
  }
}

function unlessLeft<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    // What the work itself says of it, its step for example, comes first.
    const leave = () => setImmediate(() => reject(signal.reason));
    const end = () => signal.removeEventListener("abort", leave);
    signal.addEventListener("abort", leave, { once: true });
    work.then(
      (value) => {
        end();
        resolve(value);
      },
      (error) => {
        end();
        reject(error);
      },
    );
  });
}
