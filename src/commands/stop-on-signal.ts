/** How a process that serves ends: in order at the first signal, at once at the second, and at once when nobody knows what happened. */
import { surprise } from "../observe/apart.ts";
import type { Log } from "../observe/log.ts";

/** A terminal and its shell, or timeout(1), send the same signal to a process and to its group: that is one wish. */
const oneWishMs = 500;

/** From now on SIGTERM and SIGINT run `stop` and end the process: exit code 0, or 1 where `stop` rejects. */
export function stopOnSignal(log: Log, stop: (signal: string) => Promise<void>): void {
  let stoppingSince: number | undefined;
  const onSignal = async (signal: string) => {
    if (stoppingSince !== undefined) {
      if (performance.now() - stoppingSince < oneWishMs) return;
      log.warn({ signal }, "stopped at once, at the second signal; the next start finishes what was left");
      process.exit(1);
    }
    stoppingSince = performance.now();
    try {
      await stop(signal);
      log.info({}, "stopped");
      process.exit(0);
    } catch (error) {
      log.error({ error }, "did not stop cleanly");
      process.exit(1);
    }
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void onSignal(signal));
}

/** An error that nobody expected leaves unknown state behind: the process ends, and the next start reads what is there. */
export function endOnSurprise(log: Log): void {
  const end = (what: string) => (error: unknown) => {
    // Those of the helpers: the driver goes on, and they are begun again.
    if (surprise(error)) return;
    log.error({ error }, what);
    process.exit(1);
  };
  process.on("uncaughtException", end("uncaught exception"));
  process.on("unhandledRejection", end("unhandled rejection"));
}
