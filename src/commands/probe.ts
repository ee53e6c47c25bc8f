import type { Command } from "commander";
import { callsDriver } from "./driver-command.ts";
import { print } from "./output.ts";

export function probe(parent: Command): void {
  const command = parent
    .command("probe")
    .summary("ask whether the driver is ready")
    .description("Asks the driver whether it is ready. Exit code 1: it is not.");
  callsDriver(command, async ({ client, call }, options) => {
    const began = performance.now();
    const answer = await client.identity.probe({}, call);
    // Absent means ready: CSI specification, Probe.
    const ready = answer.ready ?? true;
    const milliseconds = Math.round((performance.now() - began) * 10) / 10;
    print(options.output, { ready, milliseconds }, () => `${ready ? "ready" : "not ready yet"} (${milliseconds} ms)\n`);
    if (!ready) process.exitCode = 1;
  });
}
