/** Repeats a call as an orchestrator does: what is held by recovery or by a lost caller is asked again. */
import { setTimeout as sleep } from "node:timers/promises";
import { CsiError } from "../../src/csi/client.ts";

const passing = ["ABORTED", "UNAVAILABLE", "DEADLINE_EXCEEDED"];

/**
 * Until it gets through, for at most ten seconds; `also` are codes that pass in this case. @throws the last error, or at once
 * one that no repeat can mend.
 */
export async function settled<T>(call: () => Promise<T>, also: readonly string[] = []): Promise<T> {
  const end = performance.now() + 10_000;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof CsiError) || ![...passing, ...also].includes(error.code) || performance.now() > end)
        throw error;
      // While a driver starts, at once: its first moments are to be met.
      await sleep(error.code === "UNAVAILABLE" ? 2 : 20);
    }
  }
}
