/** One helper as a process of its own: `helper-main.ts NAME '{"csiAddress":…,"kubeconfig":…,"node":…,"options":{…}}'`. */

import { connect } from "../../../src/csi/client.ts";
import { openClient } from "../../../src/kubernetes/api/client.ts";
import { findCluster } from "../../../src/kubernetes/api/cluster.ts";
import { openEvents } from "../../../src/kubernetes/api/events.ts";
import { runAttacher } from "../../../src/kubernetes/attacher/index.ts";
import { runCapacity } from "../../../src/kubernetes/capacity/index.ts";
import { type ClusterRolesOptions, runClusterRoles } from "../../../src/kubernetes/cluster-roles/index.ts";
import { runContentLabeller } from "../../../src/kubernetes/cluster-roles/label-contents.ts";
import { learnDriver } from "../../../src/kubernetes/driver-facts.ts";
import { type HelperContext, openInformers } from "../../../src/kubernetes/helper.ts";
import { runProvisioner } from "../../../src/kubernetes/provisioner/index.ts";
import { runResizer } from "../../../src/kubernetes/resizer/index.ts";
import { runSnapshotController } from "../../../src/kubernetes/snapshot-controller/index.ts";
import { runSnapshotter } from "../../../src/kubernetes/snapshotter/index.ts";
import { createLog } from "../../../src/observe/log.ts";

const helpers = {
  attacher: runAttacher,
  capacity: runCapacity,
  provisioner: runProvisioner,
  resizer: runResizer,
  // In earnest it has no driver; here one tells it the name.
  roles: (context: HelperContext, options?: ClusterRolesOptions) =>
    runClusterRoles({ ...context, driverName: context.driver.name }, options),
  contentLabeller: (context: HelperContext, _options?: object) =>
    runContentLabeller({ ...context, driverName: context.driver.name }),
  snapshotter: runSnapshotter,
  snapshotController: runSnapshotController,
} as const;
export type HelperName = keyof typeof helpers;

const [name, text = "{}"] = process.argv.slice(2);
const { csiAddress, kubeconfig, node, options } = JSON.parse(text) as {
  csiAddress: string;
  kubeconfig: string;
  node?: string;
  options?: object;
};
const stop = new AbortController();
process.once("SIGTERM", () => stop.abort());
const log = createLog({ level: "debug", format: "json" });
const csi = connect(csiAddress);
const api = openClient(findCluster(kubeconfig), "holdfast-test");
const driver = await learnDriver(csi, log, stop.signal);
const events = openEvents(api, { component: driver.name, ...(node !== undefined && { host: node }) }, log);
const informers = openInformers(api, log, stop.signal);
const run = helpers[name as keyof typeof helpers];
await run(
  { api, csi, driver, events, log, signal: stop.signal, informers, ...(node !== undefined && { node }) },
  options,
).catch((error: unknown) => {
  // One that is told to end before its first lists are in rejects.
  if (!stop.signal.aborted) throw error;
});
await events.flush();
csi.close();
api.close();
