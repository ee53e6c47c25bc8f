/** What livenessprobe asks of a driver, through its socket. */
import type { CsiClient } from "../csi/client.ts";
import type { Check } from "../observe/health.ts";

/** Milliseconds: a little less than a check has, so that the driver's own words are told. */
const probeWithinMs = 2500;

/** `lives`: the driver answers a Probe. `ready`: and does not say that it is not ready. */
export function driverChecks(client: CsiClient): { readonly lives: Check; readonly ready: Check } {
  const probe = () => client.identity.probe({}, { timeoutMs: probeWithinMs });
  return {
    lives: { name: "driver", run: () => probe().then(() => undefined) },
    // Absent means ready: CSI specification, Probe.
    ready: {
      name: "driver",
      run: async () => ((await probe()).ready === false ? "it answers and is not ready" : undefined),
    },
  };
}
