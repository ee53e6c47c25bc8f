/**
 * The bench: measures the driver against what the machine itself can do in the same run.
 *
 *     npm run bench -- [--only GROUP[,GROUP...]] [--quick] [--json FILE] [--program FILE]
 */
import { copies } from "./copies.ts";
import { fio } from "./fio.ts";
import { lifecycle } from "./lifecycle.ts";
import { processGroup } from "./process.ts";
import { scale } from "./scale.ts";
import { runGroups } from "./support/run-groups.ts";

await runGroups({
  command: "npm run bench",
  groups: { process: processGroup, lifecycle, copies, scale, fio },
  otherPrograms: true,
  prefix: "",
});
