/**
 * The bench on a real Kubernetes: our helpers, the upstream sidecars beside the same driver, and what the cluster
 * itself needs, in the same run.
 *
 *     npm run bench:cluster -- [--only GROUP[,GROUP...]] [--quick] [--json FILE]
 */
import { runGroups } from "../support/run-groups.ts";
import { fifty, fiftyDefaults } from "./fifty.ts";
import { nodes } from "./nodes.ts";
import { pods, podsDefaults } from "./pods.ts";
import { single } from "./single.ts";
import { start } from "./start.ts";

await runGroups({
  command: "npm run bench:cluster",
  groups: { single, fifty, "fifty-defaults": fiftyDefaults, start, pods, "pods-defaults": podsDefaults, nodes },
  otherPrograms: false,
  prefix: "cluster-",
});
