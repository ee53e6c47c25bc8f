/** The commands that people type. */
import { type Command, Option } from "commander";
import { completion } from "./completion.ts";
import { doctor } from "./doctor.ts";
import { addHelpers } from "./helper-commands.ts";
import { info } from "./info.ts";
import { nodeAdopt } from "./node-adopt.ts";
import { nodeForget } from "./node-forget.ts";
import { listOf } from "./options.ts";
import { poolInit } from "./pool-init.ts";
import { poolShow } from "./pool-show.ts";
import { probe } from "./probe.ts";
import { quickstart } from "./quickstart.ts";
import { newRoot } from "./root.ts";
import { type Flag, serveFlags } from "./serve-flags.ts";
import { snapshotCreate } from "./snapshot-create.ts";
import { snapshotDelete } from "./snapshot-delete.ts";
import { snapshotList } from "./snapshot-list.ts";
import { volumeAttach } from "./volume-attach.ts";
import { volumeCreate } from "./volume-create.ts";
import { volumeDelete } from "./volume-delete.ts";
import { volumeDetach } from "./volume-detach.ts";
import { volumeExpand } from "./volume-expand.ts";
import { volumeList } from "./volume-list.ts";
import { volumePublish } from "./volume-publish.ts";
import { volumeShow } from "./volume-show.ts";
import { volumeStage } from "./volume-stage.ts";
import { volumeStats } from "./volume-stats.ts";
import { volumeUnpublish } from "./volume-unpublish.ts";
import { volumeUnstage } from "./volume-unstage.ts";
import { volumeValidate } from "./volume-validate.ts";

export function program(): Command {
  const root = newRoot();
  addCommands(root);
  return root;
}

/** All of them, in the order in which the help has them. */
export function addCommands(root: Command): void {
  serveHelp(root);
  const pool = root
    .command("pool")
    .summary("make and look at pools")
    .description("Make and look at pools: the folders where volumes live.");
  for (const add of [poolInit, poolShow]) add(pool);
  const volume = root
    .command("volume")
    .summary("work with volumes of any CSI driver")
    .description("Work with volumes of any CSI driver, as an orchestrator does.");
  for (const add of [volumeCreate, volumeList, volumeShow, volumeDelete, volumeExpand, volumeAttach, volumeDetach])
    add(volume);
  for (const add of [volumeStage, volumeUnstage, volumePublish, volumeUnpublish, volumeStats, volumeValidate])
    add(volume);
  const snapshot = root
    .command("snapshot")
    .summary("work with snapshots of any CSI driver")
    .description("Work with snapshots of any CSI driver.");
  for (const add of [snapshotCreate, snapshotList, snapshotDelete]) add(snapshot);
  const node = root
    .command("node")
    .summary("Kubernetes: nodes that are gone or renamed")
    .description(
      "Kubernetes: what an administrator says of nodes that are gone for ever, or came back under another name.",
    );
  for (const add of [nodeForget, nodeAdopt]) add(node);
  for (const add of [info, probe, doctor]) add(root);
  addHelpers(root);
  for (const add of [quickstart, completion]) add(root);
}

/** `serve` is started by main.ts, past commander; here it has its help and its place in the completion. */
function serveHelp(root: Command): void {
  const serve = root
    .command("serve")
    .summary("run the driver")
    .description("Runs the driver on a Unix socket until SIGTERM or SIGINT.");
  for (const [name, flag] of Object.entries<Flag>(serveFlags)) {
    const value = flag.optional ? ` [${flag.value}]` : flag.value === undefined ? "" : ` <${flag.value}>`;
    const option = new Option(`--${name}${value}`, flag.text);
    if (flag.choices) option.choices(flag.choices);
    serve.addOption(flag.repeated ? option.argParser(listOf) : option);
  }
}
